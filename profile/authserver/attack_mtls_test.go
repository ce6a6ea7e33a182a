package authserver_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/tokenbinding"
	"github.com/stretchr/testify/require"
)

// watched notes at which paths of a server a certificate was presented.
type watched struct {
	mu        sync.Mutex
	with, all map[string]int
}

func watch(server *httptest.Server) *watched {
	w := &watched{with: map[string]int{}, all: map[string]int{}}
	next := server.Config.Handler
	server.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.all[r.URL.Path]++
		if len(r.TLS.PeerCertificates) > 0 {
			w.with[r.URL.Path]++
		}
		w.mu.Unlock()
		next.ServeHTTP(rw, r)
	})
	return w
}

// Everybody asks for a certificate here; the client presents it where it is of use and nowhere else.
func TestWhoSeesTheCertificate(t *testing.T) {
	for _, tc := range []struct {
		name    string
		mutual  client.MutualTLS
		api     bool
		aliases bool
		none    bool
	}{
		{name: "private_key_jwt, DPoP", none: true},
		{name: "tls_client_auth, DPoP", aliases: true, mutual: client.MutualTLS{AuthMethod: "tls_client_auth"}},
		{name: "tls_client_auth, certificate", aliases: true, api: true, mutual: client.MutualTLS{AuthMethod: "tls_client_auth", BindTokens: true}},
		{name: "private_key_jwt, aliases, DPoP", aliases: true, mutual: client.MutualTLS{UseEndpointAliases: true}},
	} {
		t.Run("MTLS-2-1 SP-5.2.2.1-3 SP-5.3.3.1-7 "+tc.name, func(t *testing.T) {
			m, ctx := newMTLSWorld(t), context.Background()
			m.asHTTP.TLS.ClientAuth = tls.RequestClientCert
			primary, aliases, api := watch(m.asHTTP), watch(m.aliases), watch(m.rsHTTP)
			// A template with a cache, as it resumes sessions of whoever shares it.
			m.http.Transport.(*http.Transport).TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(0)
			app := m.client("app", func(c *client.Config) {
				m.enrol("app", cmp.Or(tc.mutual.AuthMethod, "private_key_jwt"), tc.mutual.BindTokens)
				c.MutualTLS = &tc.mutual
				c.MutualTLS.Certificate = testkit.Certify(t, "app", m.ca)
			})
			session, err := app.Begin(ctx, client.Request{Scopes: []string{"openid", "accounts"}})
			require.NoError(t, err)
			token, err := app.Finish(ctx, session, m.browse(session.URL))
			require.NoError(t, err)
			apiClient, err := app.HTTPClient(app.TokenSource(ctx, token))
			require.NoError(t, err)
			response, err := apiClient.Get(m.rsHTTP.URL + "/accounts")
			require.NoError(t, err)
			response.Body.Close()
			require.Equal(t, http.StatusOK, response.StatusCode)

			require.Empty(t, primary.with, "neither discovery nor the JWK Set, nor the browser")
			require.Contains(t, primary.all, "/jwks")
			require.Equal(t, tc.api, api.with["/accounts"] == 1)
			require.Equal(t, 1, api.all["/accounts"])
			if tc.none {
				require.Empty(t, aliases.all)
				return
			}
			require.NotContains(t, primary.all, "/token", "MTLS-5-1")
			require.NotContains(t, primary.all, "/par", "MTLS-5-1")
			require.Equal(t, map[string]int{"/par": 1, "/token": 1}, aliases.with)
		})
	}
}

// Without aliases the endpoints that want the certificate are at the host of the documents that do not. A session that was
// begun without certificate is not resumed for them, nor one with it for the documents.
func TestResumptionKeepsCertificatesApart(t *testing.T) {
	m, ctx := newMTLSWorld(t, func(as *authserver.Config, _ *resourceserver.Config) { as.MutualTLS.BaseURL = "" }), context.Background()
	m.asHTTP.TLS.ClientAuth = tls.RequestClientCert
	seen := watch(m.asHTTP)
	m.enrol("app", "tls_client_auth", true)
	template := m.http.Transport.(*http.Transport)
	template.TLSClientConfig.ClientSessionCache, template.DisableKeepAlives = tls.NewLRUClientSessionCache(0), true
	app := m.client("app", func(c *client.Config) {
		c.MutualTLS = &client.MutualTLS{AuthMethod: "tls_client_auth", BindTokens: true, Certificate: testkit.Certify(t, "app", m.ca)}
	})
	for range 2 {
		_, err := app.ClientCredentials(ctx, client.Request{Scopes: []string{"accounts"}})
		require.NoError(t, err, "MTLS-2-1")
		_, err = profile.Discover(ctx, m.http, m.asHTTP.URL)
		require.NoError(t, err)
	}
	require.Equal(t, map[string]int{"/token": 2}, seen.with)
}

// The list of authorities in a server's request is advice. A server takes self-signed certificates although it names some,
// and tls.Config.Certificates keeps back what does not fit.
func TestCertificateWhoseAuthorityIsNotNamed(t *testing.T) {
	m, ctx := newMTLSWorld(t), context.Background()
	named := x509.NewCertPool()
	named.AddCert(testkit.Authority(t, "somebody else").Leaf)
	m.aliases.TLS.ClientCAs = named
	m.enrol("app", "self_signed_tls_client_auth", true)
	app := m.client("app", func(c *client.Config) {
		c.MutualTLS = &client.MutualTLS{AuthMethod: "self_signed_tls_client_auth", BindTokens: true, Certificate: testkit.Certify(t, "app", nil)}
	})
	_, err := app.ClientCredentials(ctx, client.Request{Scopes: []string{"accounts"}})
	require.NoError(t, err, "MTLS-2-1")
}

// Transports that would not present the certificate, or let connections with it be used without.
func TestTransportsForCertificates(t *testing.T) {
	m, ctx := newMTLSWorld(t), context.Background()
	m.enrol("app", "tls_client_auth", true)
	certificate := testkit.Certify(t, "app", m.ca)
	config := func(transport *http.Transport) client.Config {
		return client.Config{
			Issuer: m.asHTTP.URL, ClientID: "app", HTTPClient: &http.Client{Transport: transport}, Hooks: client.Hooks{Now: m.clock.Now},
			MutualTLS: &client.MutualTLS{AuthMethod: "tls_client_auth", BindTokens: true, Certificate: certificate},
		}
	}
	template := func() *http.Transport {
		transport := m.http.Transport.(*http.Transport).Clone()
		t.Cleanup(transport.CloseIdleConnections)
		return transport
	}
	t.Run("MTLS-2-1 one that makes its TLS connections elsewhere", func(t *testing.T) {
		transport := template()
		transport.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return (&tls.Dialer{Config: transport.TLSClientConfig}).DialContext(ctx, network, addr)
		}
		_, err := client.New(ctx, config(transport))
		require.ErrorContains(t, err, "DialTLS")
		//lint:ignore SA1019 http.Transport still obeys DialTLS
		transport.DialTLSContext, transport.DialTLS = nil, func(network, addr string) (net.Conn, error) {
			return tls.Dial(network, addr, transport.TLSClientConfig)
		}
		_, err = client.New(ctx, config(transport))
		require.ErrorContains(t, err, "DialTLS")
	})
	t.Run("MTLS-2-1 one with HTTP/2 set up by hand, whose pool all clones share", func(t *testing.T) {
		m.aliases.TLS.NextProtos = []string{"h2", "http/1.1"}
		transport, handed := template(), 0
		transport.TLSClientConfig.NextProtos = []string{"h2", "http/1.1"}
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{"h2": func(_ string, c *tls.Conn) http.RoundTripper {
			handed++
			c.Close()
			return testkit.RoundTripper(func(*http.Request) (*http.Response, error) { return nil, net.ErrClosed })
		}}
		app, err := client.New(ctx, config(transport))
		require.NoError(t, err)
		_, err = app.ClientCredentials(ctx, client.Request{Scopes: []string{"accounts"}})
		require.NoError(t, err)
		require.Zero(t, handed)
	})
	for name, broken := range map[string]*tls.Certificate{
		"no private key":      {Certificate: certificate.Certificate},
		"another private key": {Certificate: certificate.Certificate, PrivateKey: testkit.ECKey(t, "another")},
		"no certificate":      {Certificate: [][]byte{{1, 2, 3}}, PrivateKey: testkit.ECKey(t, "app")},
	} {
		t.Run("MTLS-2-1 "+name, func(t *testing.T) {
			cfg := config(template())
			cfg.MutualTLS.Certificate = broken
			_, err := client.New(ctx, cfg)
			require.ErrorContains(t, err, "client: MutualTLS.Certificate")
		})
	}
}

// What is wrong with a certificate that nobody could have is not a malformed request.
func TestUnusableCertificates(t *testing.T) {
	m := newMTLSWorld(t)
	m.enrol("app", "tls_client_auth", true)
	m.enrol("selfmade", "self_signed_tls_client_auth", true)
	m.enrol("jwt", "private_key_jwt", true)
	shift := func(d time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = c.NotBefore.Add(d), c.NotAfter.Add(d) }
	}
	isCA := func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
	}
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}}
	for name, change := range map[string]func(*x509.Certificate){"expired": shift(-48 * time.Hour), "not valid yet": shift(48 * time.Hour), "CA:TRUE": isCA} {
		for id, issuer := range map[string]*tls.Certificate{"app": m.ca, "selfmade": nil, "jwt": m.ca} {
			t.Run("MTLS-2-3 "+name+" "+id, func(t *testing.T) {
				for _, endpoint := range []string{"/token", "/par"} {
					f := clone(form)
					f.Set("client_id", id)
					if id == "jwt" {
						f = m.authenticated(id, f)
					}
					got := m.sendWith(testkit.Certify(t, id, issuer, change), m.aliases.URL+endpoint, f)
					require.Equal(t, http.StatusUnauthorized, got.status, "%v", got.body)
					require.Equal(t, "invalid_client", got.code)
					require.Equal(t, "application/json", got.header.Get("Content-Type"))
					require.Equal(t, "no-store", got.header.Get("Cache-Control"))
				}
			})
		}
	}

	certificate := testkit.Certify(t, "app", m.ca)
	f := clone(form)
	f.Set("client_id", "app")
	token := m.sendWith(certificate, m.aliases.URL+"/token", f).body["access_token"].(string)
	got := m.callWith(testkit.Certify(t, "app", m.ca, shift(-48*time.Hour)), "Bearer", token)
	require.Equal(t, http.StatusUnauthorized, got.status, "MTLS-3-3")
	require.Contains(t, strings.Join(got.header.Values("WWW-Authenticate"), "\n"), `Bearer error="invalid_token"`, "MTLS-3-3")
}

// A certificate that expires between two requests of one connection, or while its chain is remembered.
func TestCertificateExpiresOnItsConnection(t *testing.T) {
	clock := testkit.NewClock(time.Now())
	m := newMTLSWorld(t, func(as *authserver.Config, rs *resourceserver.Config) {
		source, err := tokenbinding.NewCertificateSource(tokenbinding.CertificateSourceConfig{Now: clock.Now})
		require.NoError(t, err)
		as.MutualTLS.Certificates, rs.Certificates, as.Hooks.Now, rs.Hooks.Now = source, source, clock.Now, clock.Now
	})
	m.enrol("app", "tls_client_auth", true)
	session := m.with(testkit.Certify(t, "app", m.ca))
	post := func() int {
		response, err := session.PostForm(m.aliases.URL+"/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}, "client_id": {"app"}})
		require.NoError(t, err)
		response.Body.Close()
		return response.StatusCode
	}
	require.Equal(t, http.StatusOK, post())
	clock.Advance(59 * time.Minute)
	require.Equal(t, http.StatusOK, post(), "from memory")
	clock.Advance(2 * time.Minute)
	require.Equal(t, http.StatusUnauthorized, post(), "MTLS-2-3")
}

// A proof counts once, whichever of an endpoint's two URLs it was made for and whichever it comes to.
func TestProofsForAliases(t *testing.T) {
	m := newMTLSWorld(t)
	form := func() url.Values { return m.credentialsForm("client-1", "accounts") }
	alias, primary := m.aliases.URL+"/token", m.tokenURL()
	for name, order := range map[string][2]string{"the alias first": {alias, primary}, "the primary URL first": {primary, alias}} {
		for _, htu := range []string{alias, primary} {
			t.Run("DPOP-11.1-2 "+name+" for "+map[bool]string{true: "the alias", false: "the primary URL"}[htu == alias], func(t *testing.T) {
				proof := m.proof("d", "POST", htu, dpop.ProofOptions{})
				got := m.send(order[0], form(), proof)
				require.Equal(t, http.StatusOK, got.status, "%v", got.body)
				for _, target := range order {
					require.Equal(t, "invalid_dpop_proof", m.send(target, form(), proof).code)
				}
			})
		}
	}
	for _, htu := range []string{m.aliases.URL + "/par", m.parURL(), m.aliases.URL, "https://evil.example/token", m.aliases.URL + "/token/"} {
		require.Equal(t, "invalid_dpop_proof", m.send(alias, form(), m.proof("d", "POST", htu, dpop.ProofOptions{})).code, "DPOP-4.3-9 %s", htu)
	}

	// No Host makes another URL of it, nor a proof of another server right.
	for _, host := range []string{"evil.example", m.asHTTP.Listener.Addr().String()} {
		for htu, want := range map[string]string{alias: "", "https://" + host + "/token": "invalid_dpop_proof"} {
			if htu == primary {
				want = ""
			}
			r, err := http.NewRequest(http.MethodPost, alias, strings.NewReader(form().Encode()))
			require.NoError(t, err)
			r.Host = host
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("X-Forwarded-Host", host)
			r.Header.Set("DPoP", m.proof("d", "POST", htu, dpop.ProofOptions{}))
			require.Equal(t, want, m.do(r).code, "Host %s htu %s", host, htu)
		}
	}
}

// A token with both members of cnf needs both proofs, whatever the order of an attacker's attempts.
func TestTokensBoundTwice(t *testing.T) {
	m := newMTLSWorld(t)
	certificate, attacker := testkit.Certify(t, "app", m.ca), testkit.Certify(t, "attacker", m.ca)
	issuer, err := accesstoken.NewIssuer(accesstoken.IssuerConfig{Issuer: m.asHTTP.URL, Key: testkit.ECKey(t, "as"), KeyID: "as-1", Now: m.clock.Now})
	require.NoError(t, err)
	both, err := issuer.Issue(accesstoken.Claims{
		ID: jose.RandomString(16) + "." + jose.RandomString(16), Subject: "alice", ClientID: "app", Audience: []string{m.rsHTTP.URL}, Scope: "accounts",
		JKT: m.jkt("d"), X5TS256: tokenbinding.CertificateThumbprint(certificate.Leaf),
	})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, m.callWith(certificate, "DPoP", both, m.apiProof("d", both)).status)
	for name, got := range map[string]answer{
		"MTLS-3-3 a proof alone":                 m.callWith(nil, "DPoP", both, m.apiProof("d", both)),
		"MTLS-3-3 a proof and a attacker's":      m.callWith(attacker, "DPoP", both, m.apiProof("d", both)),
		"DPOP-7.1-2 a certificate alone":         m.callWith(certificate, "DPoP", both),
		"DPOP-7.2-1 a certificate, as Bearer":    m.callWith(certificate, "Bearer", both),
		"DPOP-7.2-1 both, as Bearer":             m.callWith(certificate, "Bearer", both, m.apiProof("d", both)),
		"DPOP-4.3-12b another key":               m.callWith(certificate, "DPoP", both, m.apiProof("attacker", both)),
		"DPOP-4.3-12a a proof for another token": m.callWith(certificate, "DPoP", both, m.apiProof("d", both+"x")),
	} {
		require.Equal(t, http.StatusUnauthorized, got.status, name)
	}
}

// Headers of certificates come from the proxy or not at all, whatever the token of the request is bound to.
func TestForgedCertificateHeadersAtTheAPI(t *testing.T) {
	for _, tc := range []struct {
		name    string
		trusted string
		headers []string
		want    int
	}{
		{"BCP-4.13-1 from a peer that is no proxy", "192.0.2.0/24", []string{"AAAA"}, http.StatusBadRequest},
		{"BCP-4.13-1 an empty one", "192.0.2.0/24", []string{""}, http.StatusBadRequest},
		{"BCP-4.13-1 the client's beside the proxy's", "127.0.0.0/8", []string{"AAAA", "BBBB"}, http.StatusBadRequest},
		{"BCP-4.13-1 garbage by the proxy", "127.0.0.0/8", []string{"AAAA"}, http.StatusBadRequest},
		{"BCP-4.13-1 too long", "127.0.0.0/8", []string{":" + strings.Repeat("A", 16<<10) + ":"}, http.StatusBadRequest},
		{"none", "192.0.2.0/24", nil, http.StatusOK},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, func(_ *authserver.Config, rs *resourceserver.Config) {
				source, err := tokenbinding.NewCertificateSource(tokenbinding.CertificateSourceConfig{
					Proxy: "rfc9440", TrustedPeers: []netip.Prefix{netip.MustParsePrefix(tc.trusted)},
				})
				require.NoError(t, err)
				rs.Certificates = source
			})
			token := w.tokens("client-1", "d").body["access_token"].(string)
			r, err := http.NewRequest(http.MethodGet, w.rsHTTP.URL+"/accounts", nil)
			require.NoError(t, err)
			r.Header["Client-Cert"] = tc.headers
			r.Header.Set("Authorization", "DPoP "+token)
			r.Header.Set("DPoP", w.apiProof("d", token))
			require.Equal(t, tc.want, w.do(r).status)
		})
	}
}

// An expired certificate is no obstacle to a token that is not bound to it.
func TestUnneededCertificateAtTheAPI(t *testing.T) {
	m := newMTLSWorld(t)
	token := m.tokens("client-1", "d").body["access_token"].(string)
	old := testkit.Certify(t, "app", m.ca, func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Minute) })
	require.Equal(t, http.StatusOK, m.callWith(old, "DPoP", token, m.apiProof("d", token)).status)
}
