package client

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/jar"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
)

// ownHTTPClient copies a client, so that nobody changes it later, and completes it.
func ownHTTPClient(theirs *http.Client) *http.Client {
	own := &http.Client{}
	if theirs != nil {
		own.Transport, own.Timeout = theirs.Transport, theirs.Timeout
	}
	if own.Transport == nil {
		own.Transport = &http.Transport{ // http.DefaultTransport, with TLS as SP-5.2.2-2 wants it
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: profile.TLSConfig(), ForceAttemptHTTP2: true,
			MaxIdleConns: 100, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
			ExpectContinueTimeout: time.Second, MaxResponseHeaderBytes: 256 << 10,
		}
	}
	return own
}

// withCertificate returns a transport like base that presents the client's certificate. It has connections and TLS sessions
// of its own, so that servers that need not know it do not see it, and those that want it do.
func withCertificate(base http.RoundTripper, cfg *Config) (*http.Transport, error) {
	plain, ok := base.(*http.Transport)
	if !ok {
		return nil, fmt.Errorf("client: a Certificate needs an HTTPClient whose Transport is a *http.Transport, not %T", base)
	}
	//lint:ignore SA1019 http.Transport still obeys DialTLS
	if plain.DialTLSContext != nil || plain.DialTLS != nil {
		return nil, errors.New("client: a Certificate needs a Transport without DialTLSContext and DialTLS, which know nothing of it")
	}
	own := plain.Clone()
	if own.TLSClientConfig == nil {
		own.TLSClientConfig = profile.TLSConfig()
	}
	own.TLSClientConfig.Certificates = nil // out of which package tls takes none by an authority that the server does not name
	if get := cfg.GetCertificate; get != nil {
		own.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return current(get) }
		own.TLSClientConfig.ClientSessionCache = nil // a resumed session has the certificate that it began with
	} else {
		mine := *cfg.Certificate
		own.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &mine, nil }
		if own.TLSClientConfig.ClientSessionCache != nil { // in which there may be sessions without it
			own.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(0)
		}
	}
	if own.TLSNextProto["h2"] != nil { // bound to the connections of plain
		own.TLSNextProto, own.ForceAttemptHTTP2 = nil, true
	}
	return own, nil
}

// current returns the host's certificate of now. Without one there must be no connection: the server might serve it as somebody
// else's.
func current(get func() (*tls.Certificate, error)) (*tls.Certificate, error) {
	certificate, err := get()
	if err != nil {
		return nil, fmt.Errorf("client: GetCertificate: %w", err)
	}
	if problem := certificateProblem(certificate); problem != "" {
		return nil, errors.New("client: the certificate of GetCertificate " + problem)
	}
	return certificate, nil
}

// certificateProblem says what keeps a certificate from being presented, "" if nothing does.
func certificateProblem(certificate *tls.Certificate) string {
	if certificate == nil || len(certificate.Certificate) == 0 {
		return "is required for mutual TLS"
	}
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		return "is not an X.509 certificate"
	}
	signer, ok := certificate.PrivateKey.(crypto.Signer)
	if !ok || wire.IsNil(signer) {
		return "has no private key that can sign"
	}
	if public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(leaf.PublicKey) {
		return "has another certificate's private key"
	}
	return ""
}

// usesMTLS reports whether the client uses mutual TLS at the authorization server in any way.
func (cfg *Config) usesMTLS() bool {
	return cfg.CertificateBoundTokens || cfg.UseMTLSEndpointAliases || cfg.authMethod() != clientauth.MethodPrivateKeyJWT
}

func (cfg *Config) authMethod() string {
	if cfg.AuthMethod == "" {
		return clientauth.MethodPrivateKeyJWT
	}
	return cfg.AuthMethod
}

// check finds what is wrong before anything is sent.
func (cfg *Config) check() error {
	var errs []error
	bad := func(text string) { errs = append(errs, errors.New("client: "+text)) }
	if cfg.ClientID == "" {
		bad("ClientID is required")
	}
	if err := profile.CheckIssuer(cfg.Issuer); err != nil {
		errs = append(errs, err)
	}
	switch cfg.authMethod() { // SP-5.3.3.1-2
	case clientauth.MethodPrivateKeyJWT:
		if wire.IsNil(cfg.Key) {
			bad("Key is required for private_key_jwt")
		}
	case clientauth.MethodTLSClientAuth, clientauth.MethodSelfSignedTLSClientAuth:
	default:
		bad("AuthMethod is none of FAPI 2.0")
	}
	if cfg.Profile&^profile.Advanced != 0 {
		bad("unknown Profile")
	}
	if len(cfg.ResponseDecryptionKeys) > 0 && !cfg.Profile.Has(profile.SignedResponses) {
		bad("ResponseDecryptionKeys without SignedResponses")
	}
	if cfg.Profile.Has(profile.SignedRequests) && wire.IsNil(cfg.Key) {
		bad("Key is required to sign requests")
	}
	switch problem := certificateProblem(cfg.Certificate); {
	case cfg.GetCertificate == nil:
		if cfg.usesMTLS() && problem != "" { // MTLS-2-1
			bad("Certificate " + problem)
		}
	case cfg.Certificate != nil:
		bad("both Certificate and GetCertificate")
	case cfg.CertificateBoundTokens: // MTLS-3-2: one for the token request and the API
		bad("CertificateBoundTokens needs a Certificate that stays, not GetCertificate")
	}
	if problem := cfg.serverKeysProblem(); problem != "" {
		bad(problem)
	}
	return errors.Join(errs...)
}

// serverKeysProblem is found here rather than after discovery.
func (cfg *Config) serverKeysProblem() string {
	k := cfg.ServerKeys
	if k == nil {
		return ""
	}
	if k.URL != "" || k.HTTPClient != nil || k.Now != nil || k.PublicOnly || k.AllowPrefixes != nil || k.InsecureAllowHTTP {
		return "ServerKeys has a field that the client sets itself"
	}
	if _, err := cfg.serverKeys("https://as.example"); err != nil {
		return "ServerKeys: " + err.Error()
	}
	return ""
}

// serverKeys returns the keys that the server publishes.
func (cfg *Config) serverKeys(uri string) (*jwks.Remote, error) {
	var remote jwks.RemoteConfig
	if cfg.ServerKeys != nil {
		remote = *cfg.ServerKeys
	}
	remote.URL, remote.HTTPClient, remote.Now = uri, cfg.HTTPClient, cfg.Now
	return jwks.NewRemote(remote)
}

// signingAlgorithms are the names of what the client signs with; an empty one is that which fits the key.
type signingAlgorithms struct{ assertions, requests, proofs string }

// useKeys makes what signs with the client's keys.
func (c *Client) useKeys(algorithms signingAlgorithms) (err error) {
	c.authenticate = clientauth.MutualTLS(c.cfg.ClientID).Authenticate // MTLS-2-2
	if c.cfg.authMethod() == clientauth.MethodPrivateKeyJWT {
		// SP-5.3.3.1-5: the audience is the issuer, from our own configuration.
		assertions, err := clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
			ClientID: c.cfg.ClientID, Audience: c.cfg.Issuer, Key: c.cfg.Key, KeyID: c.cfg.KeyID, Algorithm: algorithms.assertions, Now: c.cfg.Now,
		})
		if err != nil {
			return fmt.Errorf("client: %w", err)
		}
		c.authenticate = assertions.Authenticate
	}
	if c.cfg.Profile.Has(profile.SignedRequests) {
		c.requests, err = jar.NewSigner(jar.SignerConfig{
			ClientID: c.cfg.ClientID, Audience: c.cfg.Issuer, Key: c.cfg.Key, KeyID: c.cfg.KeyID, Algorithm: algorithms.requests, Now: c.cfg.Now,
		})
		if err != nil {
			return fmt.Errorf("client: %w", err)
		}
	}
	if c.cfg.CertificateBoundTokens {
		return nil
	}
	c.prover, err = dpop.NewProver(dpop.ProverConfig{Key: c.cfg.DPoPKey, Algorithm: algorithms.proofs, Now: c.cfg.Now})
	if err != nil {
		return fmt.Errorf("client: DPoPKey: %w", err)
	}
	return nil
}

// checkServer finds out whether the server can do what this client is configured for: better now than when a user waits.
// Ed25519 goes by the name that the server has for it.
func (c *Client) checkServer() (err error) {
	var p serverProblems
	method := c.cfg.authMethod()
	p.require(slices.Contains(c.server.TokenEndpointAuthMethodsSupported, method), "token_endpoint_auth_methods_supported lacks %s", method)
	var algorithms signingAlgorithms
	if method == clientauth.MethodPrivateKeyJWT {
		algorithms.assertions, err = c.algorithm(&p, "token_endpoint_auth_signing_alg_values_supported", c.server.TokenEndpointAuthSigningAlgValuesSupported)
		if err != nil {
			return err
		}
	}
	if c.cfg.Profile.Has(profile.SignedRequests) { // JAR-4-5
		algorithms.requests, err = c.algorithm(&p, "request_object_signing_alg_values_supported", c.server.RequestObjectSigningAlgValuesSupported)
		if err != nil {
			return err
		}
	}
	if c.cfg.CertificateBoundTokens {
		p.require(c.server.TLSClientCertificateBoundAccessTokens, "tls_client_certificate_bound_access_tokens is not true")
	} else {
		algs := c.server.DPoPSigningAlgValuesSupported
		algorithms.proofs = known(c.prover.Algorithm(), algs)
		p.require(slices.Contains(algs, algorithms.proofs), "dpop_signing_alg_values_supported lacks %s, which DPoPKey signs with", algorithms.proofs)
	}
	if c.cfg.UseMTLSEndpointAliases { // SP-5.2.2.1-3: no falling back to the endpoints that ask for no certificate
		aliases := c.server.MTLSEndpointAliases
		if aliases == nil {
			aliases = new(profile.MTLSEndpointAliases)
		}
		p.require(aliases.TokenEndpoint != "" || c.server.TokenEndpoint == "", "mtls_endpoint_aliases lacks token_endpoint")
		p.require(aliases.PushedAuthorizationRequestEndpoint != "" || c.server.PushedAuthorizationRequestEndpoint == "",
			"mtls_endpoint_aliases lacks pushed_authorization_request_endpoint")
	}
	c.checkSigning(&p)
	if err := errors.Join(p...); err != nil {
		return err
	}
	return c.useKeys(algorithms)
}

// algorithm returns what Key signs with, by the name that the server has for it in a list. One that is absent says nothing.
func (c *Client) algorithm(p *serverProblems, list string, supported []string) (algorithm string, err error) {
	algorithm = c.cfg.Algorithm
	if algorithm == "" {
		if algorithm, err = jose.AlgorithmFor(c.cfg.Key.Public()); err != nil {
			return "", fmt.Errorf("client: %w", err)
		}
		algorithm = known(algorithm, supported)
	}
	p.require(supported == nil || slices.Contains(supported, algorithm), "%s lacks %s, which Key signs with", list, algorithm)
	return algorithm, nil
}

// checkSigning: what the server demands has to be configured, and what is configured the server has to have.
func (c *Client) checkSigning(p *serverProblems) {
	requests, responses := c.cfg.Profile.Has(profile.SignedRequests), c.cfg.Profile.Has(profile.SignedResponses)
	modes := c.server.ResponseModesSupported
	p.require(requests || !c.server.RequireSignedRequestObject, "require_signed_request_object is true, and Profile is without SignedRequests")
	p.require(responses || modes == nil || slices.Contains(modes, "query"), "response_modes_supported lacks query, and Profile is without SignedResponses")
	p.require(!responses || slices.Contains(modes, "jwt"), "response_modes_supported lacks jwt")
	p.require(!responses || c.server.JWKSURI != "", "no jwks_uri, to verify signed responses with")
	algs := c.server.AuthorizationSigningAlgValuesSupported // JARM-4-1
	p.require(!responses || algs == nil || intersects(algs, jose.Algorithms()), "authorization_signing_alg_values_supported has none of %q", jose.Algorithms())
}

// known returns the name that a server knows an algorithm by: EdDSA is a family, of which RFC 9864 renames our member.
func known(algorithm string, supported []string) string {
	const full = "Ed25519"
	if algorithm == "EdDSA" && !slices.Contains(supported, algorithm) && slices.Contains(supported, full) {
		return full
	}
	return algorithm
}

// compose puts the leaves together.
func (c *Client) compose() (err error) {
	c.endpoints = c.server
	if c.cfg.usesMTLS() {
		c.endpoints = c.server.ForMTLS() // SP-5.3.3.1-7, MTLS-5-1
	}
	if err := c.composeTransports(); err != nil {
		return err
	}
	if endpoint := c.endpoints.PushedAuthorizationRequestEndpoint; endpoint != "" {
		c.push, err = par.NewClient(par.ClientConfig{Endpoint: endpoint, HTTPClient: c.http, Authenticate: c.authenticate})
		if err != nil {
			return err
		}
	}
	if c.server.JWKSURI == "" {
		return nil // no ID tokens from here
	}
	keys, err := c.cfg.serverKeys(c.server.JWKSURI)
	if err != nil {
		return err
	}
	c.idTokens, err = idtoken.NewVerifier(idtoken.VerifierConfig{Issuer: c.cfg.Issuer, ClientID: c.cfg.ClientID, Keys: keys.Keys, Now: c.cfg.Now})
	if err != nil || !c.cfg.Profile.Has(profile.SignedResponses) {
		return err
	}
	// JARM-2.4-7: by keys that discovery leads to.
	c.responses, err = jarm.NewVerifier(jarm.VerifierConfig{
		Issuer: c.cfg.Issuer, ClientID: c.cfg.ClientID, Keys: keys.Keys, DecryptionKeys: c.cfg.ResponseDecryptionKeys, Now: c.cfg.Now,
	})
	return err
}

// composeTransports makes the ways to the authorization server and to APIs. The certificate goes to the server if it is
// for it, and to APIs if tokens are bound to it. SP-5.3.3.1-1: tokens are bound to it or to the DPoP key.
func (c *Client) composeTransports() (err error) {
	server := c.cfg.HTTPClient.Transport
	c.bare, c.api = server, server
	if c.cfg.usesMTLS() {
		own, err := withCertificate(server, &c.cfg)
		if err != nil {
			return err
		}
		server, c.close = own, append(c.close, own.CloseIdleConnections)
	}
	c.plain = c.serverClient(server)
	if c.cfg.CertificateBoundTokens {
		c.api = server // MTLS-3-2: the certificate of the token request
	} else {
		// SP-5.3.3.1-8: a server that asks for a nonce gets the request again, by GetBody with a new assertion in it.
		proofs, err := dpop.NewTransport(dpop.TransportConfig{Prover: c.prover, Base: server})
		if err != nil {
			return err
		}
		if c.api, err = dpop.NewTransport(dpop.TransportConfig{Prover: c.prover, Base: c.api}); err != nil {
			return err
		}
		server = proofs
	}
	c.http = c.serverClient(server)
	return nil
}

// serverClient sends requests to the authorization server.
func (c *Client) serverClient(transport http.RoundTripper) *http.Client {
	own := &http.Client{
		Transport: transport, Timeout: c.cfg.HTTPClient.Timeout,
		// A redirect would carry the client's credentials to wherever the answer says.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if own.Timeout == 0 {
		own.Timeout = clientTimeout
	}
	return own
}

// intersects reports whether two lists have a value in common.
func intersects(a, b []string) bool {
	return slices.ContainsFunc(a, func(value string) bool { return slices.Contains(b, value) })
}

// serverProblems collects what the metadata of an authorization server lacks for
// the configuration of a client.
type serverProblems []error

// require adds a problem unless ok.
func (p *serverProblems) require(ok bool, format string, args ...any) {
	if !ok {
		*p = append(*p, fmt.Errorf("%w: %w", profile.ErrServerMetadata, fmt.Errorf(format, args...)))
	}
}
