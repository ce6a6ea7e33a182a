package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"time"
)

// This file has attacks on clients that authenticate with a certificate, and on
// tokens that are bound to one.

// withCertificate sends the call to the address that asks for certificates,
// with this one.
func (c *call) withCertificate(certificate *tls.Certificate) {
	c.url, c.certificate = c.w.apiMTLSURL+"/accounts", certificate
}

// pretended returns the headers in which proxies send a certificate, with the
// client's certificate. A certificate is not a secret, so an attacker can write
// these headers. A server that terminates TLS itself ignores all of them.
func pretended(certificate *tls.Certificate) map[string]string {
	der := base64.StdEncoding.EncodeToString(certificate.Certificate[0])
	escaped := url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE",
		Bytes: certificate.Certificate[0]})))
	return map[string]string{
		"Client-Cert": ":" + der + ":", "X-SSL-Client-Cert": escaped,
		"X-Forwarded-Client-Cert": `Cert="` + escaped + `"`,
	}
}

// proxyHeaders contains the names in pretended, in the order of the attacks.
var proxyHeaders = []string{"Client-Cert", "X-SSL-Client-Cert", "X-Forwarded-Client-Cert"}

func pretend(name string, certificate *tls.Certificate) http.Header {
	h := http.Header{}
	h.Set(name, pretended(certificate)[name])
	return h
}

// tokensWithoutCertificate are attacks with tokens that are bound to a
// certificate.
func tokensWithoutCertificate() []attack {
	refused := func(name, clause string, spoil change[*call]) attack {
		return onAPI(name, clause, 401, "invalid_token", spoil)
	}
	withProof := func(_ context.Context, c *call) (err error) {
		c.scheme = "DPoP"
		c.proofURL = c.w.apiURL + "/accounts" // the URL that the API has for itself
		c.prover, err = c.w.prover(c.w.rival.dpop)
		return err
	}
	all := []attack{
		refused("a stolen token without a certificate", "MTLS-3-3", one(func(c *call) { c.certificate = nil })),
		refused("a stolen token where no certificate is asked for", "MTLS-3-3",
			one(func(c *call) { c.url = c.w.apiURL + "/accounts" })),
		refused("a stolen token with another client's certificate", "MTLS-3-3",
			one(func(c *call) { c.certificate = c.w.rival.certificate })),
		refused("a stolen token with the client's next certificate", "MTLS-3-2",
			func(_ context.Context, c *call) (err error) {
				c.certificate, err = c.w.clients.client(c.w.ours.hostName())
				return err
			}),
		refused("a stolen token with a lookalike of the certificate", "MTLS-3-3",
			func(_ context.Context, c *call) (err error) {
				c.certificate, err = certify(nil, lookalike(c.w.ours.certificate))
				return err
			}),
		refused("a stolen token, two certificates, the first another", "MTLS-3-3", one(func(c *call) {
			c.certificate = &tls.Certificate{
				Certificate: [][]byte{c.w.rival.certificate.Certificate[0], c.w.ours.certificate.Certificate[0]},
				PrivateKey:  c.w.rival.certificate.PrivateKey,
			}
		})),
		refused("a stolen token with a proof, no certificate", "MTLS-3-3", func(ctx context.Context, c *call) error {
			c.url, c.certificate = c.w.apiURL+"/accounts", nil
			return withProof(ctx, c)
		}),
		refused("a stolen token with a proof, another certificate", "MTLS-3-3",
			func(ctx context.Context, c *call) error {
				c.certificate = c.w.rival.certificate
				return withProof(ctx, c)
			}),
	}
	for _, name := range proxyHeaders {
		all = append(all, onAPI("a stolen token, a forged "+name, "BCP-4.13-1", 400, "invalid_request",
			one(func(c *call) {
				c.certificate, c.header = nil, pretend(name, c.w.ours.certificate)
			})))
	}
	// The certificate of the connection is ambiguous then. The error is
	// therefore not about the token.
	return append(all, onAPI("another certificate and a forged Client-Cert", "BCP-4.13-1", 400, "invalid_request",
		one(func(c *call) {
			c.certificate, c.header = c.w.rival.certificate, pretend("Client-Cert", c.w.ours.certificate)
		})))
}

// lookalike copies the fields of a certificate. Only the key and the signature
// differ.
func lookalike(of *tls.Certificate) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		l := of.Leaf
		c.SerialNumber, c.Subject, c.DNSNames, c.ExtKeyUsage = l.SerialNumber, l.Subject, l.DNSNames, l.ExtKeyUsage
		c.NotBefore, c.NotAfter = l.NotBefore, l.NotAfter
	}
}

func withoutCertificate(_ context.Context, p *post) error {
	p.certificate = nil
	return nil
}

// proofForCertificate sends a proof of another key than the bound one.
func proofForCertificate(_ context.Context, p *post) (err error) {
	p.certificate = nil
	p.prover, err = p.w.prover(p.w.ours.dpop)
	return err
}

// unboundGrants are attacks in the name of a client that authenticates with
// assertions, and whose tokens are bound to a certificate.
func unboundGrants() []attack {
	return []attack{
		onCode("a code without a certificate", "SP-5.3.2.1-4", 400, "invalid_request", withoutCertificate),
		onCode("a code with a proof in place of the certificate", "MTLS-3.4-1", 400, "invalid_request",
			proofForCertificate),
		onRefresh("a refresh token without a certificate", "MTLS-3.4-1", 400, "invalid_request", withoutCertificate),
		onRefresh("a refresh token with a proof for the certificate", "MTLS-3.4-1", 400, "invalid_request",
			proofForCertificate),
	}
}

func unboundRequests() []attack {
	all := []attack{
		onClient("a token request without a certificate", "MTLS-3.4-1", 400, "invalid_request", withoutCertificate),
		onClient("a proof in place of the certificate", "MTLS-3.4-1", 400, "invalid_request", proofForCertificate),
		onClient("a token request where no certificate is asked for", "SP-5.3.2.1-4", 400, "invalid_request",
			one(func(p *post) {
				p.url = p.w.app.ServerMetadata().TokenEndpoint
			})),
	}
	for _, name := range proxyHeaders {
		all = append(all, onClient("a token request, a forged "+name, "BCP-4.13-1", 400, "invalid_request",
			one(func(p *post) {
				p.certificate, p.header = nil, pretend(name, p.w.ours.certificate)
			})))
	}
	return all
}

func grantsWithOtherCertificates() []attack {
	rivals := one(func(p *post) { p.certificate = p.w.rival.certificate })
	return []attack{
		onCode("a code with the certificate of another client", "MTLS-2-3", 401, "invalid_client", rivals),
		onCode("a code with a proof in place of the certificate", "MTLS-2-3", 401, "invalid_client",
			proofForCertificate),
		onRefresh("a refresh token with another client's certificate", "MTLS-2-3", 401, "invalid_client", rivals),
	}
}

func pushesWithOtherCertificates() []attack {
	return []attack{
		onPush("a pushed request with another client's certificate", "MTLS-2-3", 401, "invalid_client",
			one(func(p *post) {
				p.certificate = p.w.rival.certificate
			})),
		onPush("a pushed request without client_id", "MTLS-2-2", 401, "invalid_client",
			one(func(p *post) { p.clientID = "" })),
		onPush("a pushed request where no certificate is asked for", "MTLS-2-3", 401, "invalid_client",
			one(func(p *post) {
				p.url = p.w.app.ServerMetadata().PushedAuthorizationRequestEndpoint
			})),
	}
}

// forgedCertificates are attacks on tls_client_auth.
func forgedCertificates() []attack {
	refused := func(name, clause string, spoil change[*post]) attack {
		return onClient(name, clause, 401, "invalid_client", spoil)
	}
	with := func(f func(w *world) (*tls.Certificate, error)) change[*post] {
		return func(_ context.Context, p *post) (err error) {
			p.certificate, err = f(p.w)
			return err
		}
	}
	issued := func(changes ...func(*x509.Certificate)) change[*post] {
		return with(func(w *world) (*tls.Certificate, error) { return w.clients.client(w.ours.hostName(), changes...) })
	}
	return append([]attack{
		refused("the certificate where none is asked for", "MTLS-2-3",
			one(func(p *post) { p.url = p.w.app.ServerMetadata().TokenEndpoint })),
		refused("another client's certificate", "MTLS-2-3",
			one(func(p *post) { p.certificate = p.w.rival.certificate })),
		refused("the right certificate, another client_id", "MTLS-2-3",
			one(func(p *post) { p.clientID = p.w.rival.id })),
		refused("the right certificate, an unknown client_id", "MTLS-2-3",
			one(func(p *post) { p.clientID = "nobody" })),
		refused("the right certificate, no client_id", "MTLS-2-2", one(func(p *post) { p.clientID = "" })),
		refused("a certificate by a wrong authority", "MTLS-2.1-1", with(func(w *world) (*tls.Certificate, error) {
			other, err := newAuthority("authority for clients") // the same name
			if err != nil {
				return nil, err
			}
			return other.client(w.ours.hostName())
		})),
		refused("a certificate by the authority for servers", "MTLS-7.4-1",
			with(func(w *world) (*tls.Certificate, error) {
				return w.servers.client(w.ours.hostName())
			})),
		refused("a self-signed certificate", "MTLS-2.1-1", with(func(w *world) (*tls.Certificate, error) {
			return certify(nil, called(w.ours.hostName()))
		})),
		refused("a certificate signed by another client", "MTLS-7.5-1", with(func(w *world) (*tls.Certificate, error) {
			forged, err := certify(w.rival.certificate, called(w.ours.hostName()))
			if err == nil {
				forged.Certificate = append(forged.Certificate, w.rival.certificate.Certificate...)
			}
			return forged, err
		})),
		refused("a certificate with other names", "MTLS-2.1-1", issued(func(c *x509.Certificate) {
			c.DNSNames = []string{"other." + c.DNSNames[0], "accounting-app.example.evil.example"}
		})),
		refused("a certificate with the name as common name only", "MTLS-2.1-1",
			issued(func(c *x509.Certificate) { c.DNSNames = nil })),
		refused("a certificate with a wildcard", "MTLS-2.1-1",
			issued(func(c *x509.Certificate) { c.DNSNames = []string{"*.example"} })),
		refused("a certificate for servers", "MTLS-2.1-1", issued(func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})),
		refused("a certificate of yesterday", "MTLS-2.1-1", issued(shift(-24*time.Hour))),
		refused("a certificate of tomorrow", "MTLS-2.1-1", issued(shift(24*time.Hour))),
		refused("a client's certificate that may issue others", "MTLS-2.1-1", issued(func(c *x509.Certificate) {
			c.IsCA, c.KeyUsage = true, c.KeyUsage|x509.KeyUsageCertSign
		})),
		refused("the authority's own certificate", "MTLS-2.1-1", with(func(w *world) (*tls.Certificate, error) {
			return &w.clients.own, nil
		})),
		refused("an assertion where certificates are registered", "SP-5.3.2.1-6",
			func(_ context.Context, p *post) (err error) {
				p.auth, err = p.w.assertions(p.w.ours, nil) // the certificate is correct
				return err
			}),
	}, forgedCertificateHeaders()...)
}

// forgedCertificateHeaders are attacks on tls_client_auth with the headers of a
// proxy.
func forgedCertificateHeaders() (all []attack) {
	for _, name := range proxyHeaders {
		all = append(all, onClient("no certificate, a forged "+name, "BCP-4.13-1", 400, "invalid_request",
			one(func(p *post) {
				p.certificate, p.header = nil, pretend(name, p.w.ours.certificate)
			})))
	}
	return append(all, onClient("another client's, and a forged Client-Cert", "BCP-4.13-1", 400, "invalid_request",
		one(func(p *post) {
			p.certificate, p.header = p.w.rival.certificate, pretend("Client-Cert", p.w.ours.certificate)
		})))
}

// shortLife is the lifetime of the certificates in latecomers. It is shorter
// than that of an access token.
const shortLife = 2 * time.Minute

// newShortToken returns a request like that of newOwnToken, with a certificate
// that soon expires.
func newShortToken(ctx context.Context, w *world) (*post, error) {
	p, err := newOwnToken(ctx, w)
	if err != nil {
		return nil, err
	}
	p.certificate, err = w.clients.client(w.ours.hostName(), func(c *x509.Certificate) {
		c.NotAfter = w.clock.Now().Add(shortLife)
	})
	return p, err
}

// newShortCall returns a call with a token that is bound to such a certificate.
func newShortCall(ctx context.Context, w *world) (*call, error) {
	p, err := newShortToken(ctx, w)
	if err != nil {
		return nil, err
	}
	a, err := succeed(ctx, p)
	if err != nil {
		return nil, err
	}
	var issued tokens
	if err := json.Unmarshal(a.body, &issued); err != nil {
		return nil, err
	}
	return &call{w: w, method: http.MethodGet, url: w.api() + "/accounts", scheme: "Bearer", token: issued.Access,
		certificate: p.certificate}, nil
}
