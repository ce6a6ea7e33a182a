package authserver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/tokenbinding"
	"github.com/stretchr/testify/require"
)

// mtlsWorld is a world whose servers ask for certificates, the authorization server on a second socket.
type mtlsWorld struct {
	*world
	ca      *tls.Certificate
	aliases *httptest.Server
}

func newMTLSWorld(t testing.TB, options ...worldOption) *mtlsWorld {
	m := &mtlsWorld{ca: testkit.Authority(t, "client CA")}
	cas := x509.NewCertPool()
	cas.AddCert(m.ca.Leaf)
	m.aliases = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { m.as.Handler().ServeHTTP(rw, r) }))
	m.aliases.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	m.aliases.StartTLS()
	t.Cleanup(m.aliases.Close)
	m.world = newWorld(t, append([]worldOption{func(as *authserver.Config, rs *resourceserver.Config) {
		as.MutualTLS = &authserver.MutualTLS{ClientCAs: cas, BaseURL: m.aliases.URL}
		rs.Certificates = new(tokenbinding.CertificateSource)
	}}, options...)...)
	m.rsHTTP.TLS.ClientAuth = tls.RequestClientCert
	m.http.Transport.(*http.Transport).TLSClientConfig.RootCAs.AddCert(m.aliases.Certificate())
	return m
}

// enrol registers a client.
func (m *mtlsWorld) enrol(id, method string, certificateBound bool) *profile.ClientMetadata {
	c := *m.register(id, testkit.ECKey(m.t, id).Public())
	c.TokenEndpointAuthMethod = method
	c.DPoPBoundAccessTokens, c.TLSClientCertificateBoundAccessTokens = !certificateBound, certificateBound
	switch method {
	case "tls_client_auth":
		c.TLSClientAuthSANDNS, c.JWKS = id+".example", nil
	case "self_signed_tls_client_auth":
		set, err := jwks.NewSet(jwks.Key{Public: testkit.ECKey(m.t, id).Public(), KeyID: "certificate"})
		require.NoError(m.t, err)
		c.JWKS = set
	}
	require.NoError(m.t, c.Validate())
	m.clients[id] = &c
	return &c
}

// with returns an http.Client that presents a certificate, nil for none.
func (m *mtlsWorld) with(certificate *tls.Certificate) *http.Client {
	transport := m.http.Transport.(*http.Transport).Clone()
	if certificate != nil {
		transport.TLSClientConfig.Certificates = []tls.Certificate{*certificate}
	}
	m.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (m *mtlsWorld) sendWith(certificate *tls.Certificate, target string, form url.Values, proofs ...string) answer {
	r, err := http.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	require.NoError(m.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header["Dpop"] = proofs
	old := m.http
	defer func() { m.http = old }()
	m.http = m.with(certificate)
	return m.do(r)
}

func (m *mtlsWorld) callWith(certificate *tls.Certificate, scheme, token string, proofs ...string) answer {
	old := m.http
	defer func() { m.http = old }()
	m.http = m.with(certificate)
	return m.callAPI(scheme, token, proofs...)
}

// Every way to authenticate with every way to bind: the whole flow.
func TestMutualTLSCombinations(t *testing.T) {
	for _, method := range []string{"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"} {
		for _, certificateBound := range []bool{false, true} {
			for _, aliases := range []bool{false, true} {
				name := method + map[bool]string{false: " dpop", true: " mtls"}[certificateBound] + map[bool]string{false: "", true: " aliases"}[aliases]
				t.Run("SP-5.3.2.1-5 SP-5.3.3.1-1 SP-5.3.3.1-2 "+name, func(t *testing.T) {
					m, ctx := newMTLSWorld(t), context.Background()
					m.enrol("app", method, certificateBound)
					certificate := testkit.Certify(t, "app", m.ca)
					if method == "self_signed_tls_client_auth" {
						certificate = testkit.Certify(t, "app", nil)
					}
					app := m.client("app", func(c *client.Config) {
						c.MutualTLS = &client.MutualTLS{
							AuthMethod: method, BindTokens: certificateBound, UseEndpointAliases: aliases, Certificate: certificate,
						}
					})
					session, err := app.Begin(ctx, client.Request{Scopes: []string{"openid", "accounts"}})
					require.NoError(t, err)
					require.True(t, strings.HasPrefix(session.URL, m.asHTTP.URL), "MTLS-5-2 the browser goes to no alias")
					token, err := app.Finish(ctx, session, m.browse(session.URL))
					require.NoError(t, err)
					require.Equal(t, map[bool]string{false: "DPoP", true: "Bearer"}[certificateBound], token.TokenType, "DPOP-5-3")
					for _, fresh := range []func() error{
						func() error { return nil },
						func() (err error) {
							token, err = app.Refresh(ctx, token.RefreshToken, client.Request{})
							return err
						},
						func() (err error) {
							token, err = app.ClientCredentials(ctx, client.Request{Scopes: []string{"accounts"}})
							return err
						},
					} {
						require.NoError(t, fresh())
						api, err := app.HTTPClient(app.TokenSource(ctx, token))
						require.NoError(t, err)
						response, err := api.Get(m.rsHTTP.URL + "/accounts")
						require.NoError(t, err)
						response.Body.Close()
						require.Equal(t, http.StatusOK, response.StatusCode, response.Header.Get("WWW-Authenticate"))
					}
				})
			}
		}
	}
}

func TestMutualTLSMetadata(t *testing.T) {
	m := newMTLSWorld(t)
	published := m.as.Metadata()
	require.True(t, published.TLSClientCertificateBoundAccessTokens, "MTLS-3.3-1")
	require.Equal(t, []string{"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"}, published.TokenEndpointAuthMethodsSupported)
	require.Equal(t, m.aliases.URL+"/token", published.MTLSEndpointAliases.TokenEndpoint, "MTLS-5-1 SP-5.2.2.1-2")
	require.NoError(t, published.CheckPublished())

	plain := newWorld(t).as.Metadata()
	require.False(t, plain.TLSClientCertificateBoundAccessTokens)
	require.Nil(t, plain.MTLSEndpointAliases)
	require.Equal(t, []string{"private_key_jwt"}, plain.TokenEndpointAuthMethodsSupported)
}

func TestMutualTLSClientAuthenticationRefused(t *testing.T) {
	m := newMTLSWorld(t)
	m.enrol("app", "tls_client_auth", true)
	m.enrol("selfmade", "self_signed_tls_client_auth", true)
	form := func(id string) url.Values {
		return url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}, "client_id": {id}}
	}
	good := testkit.Certify(t, "app", m.ca)
	require.Equal(t, http.StatusOK, m.sendWith(good, m.aliases.URL+"/token", form("app")).status)
	other := testkit.Authority(t, "another CA")
	other.PrivateKey = testkit.ECKey(t, "another CA")
	without := form("app")
	without.Del("client_id")
	expired := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = c.NotBefore.Add(-48*time.Hour), c.NotAfter.Add(-48*time.Hour)
	}
	future := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = c.NotBefore.Add(48*time.Hour), c.NotAfter.Add(48*time.Hour)
	}
	for _, tc := range []struct {
		name        string
		certificate *tls.Certificate
		form        url.Values
		codes       []string
	}{
		{"MTLS-2-3 no certificate", nil, form("app"), []string{"invalid_client"}},
		{"MTLS-2-3 another client's certificate", testkit.Certify(t, "attacker", m.ca), form("app"), []string{"invalid_client"}},
		{"MTLS-2.1-1 a wrong CA", testkit.Certify(t, "app", other), form("app"), []string{"invalid_client"}},
		{"MTLS-2.1-1 self-signed where a CA is wanted", testkit.Certify(t, "app", nil), form("app"), []string{"invalid_client"}},
		{"MTLS-2.2-1 a CA's where a registered key is wanted", testkit.Certify(t, "app", m.ca), form("selfmade"), []string{"invalid_client"}},
		{"MTLS-2-2 no client_id", good, without, []string{"invalid_client"}},
		{"an unknown client", good, form("nobody"), []string{"invalid_client"}},
		{"an expired certificate", testkit.Certify(t, "app", m.ca, expired), form("app"), []string{"invalid_client"}},
		{"a certificate of the future", testkit.Certify(t, "app", m.ca, future), form("app"), []string{"invalid_client"}},
		{"a CA's own certificate", m.ca, form("app"), []string{"invalid_client"}},
		{"an assertion of a client registered for certificates", good, m.authenticated("app", form("app")), []string{"invalid_client"}},
		{"a client registered for assertions with a certificate alone", testkit.Certify(t, "client-1", m.ca), form("client-1"), []string{"invalid_client"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, endpoint := range []string{"/token", "/par"} {
				got := m.sendWith(tc.certificate, m.aliases.URL+endpoint, tc.form)
				require.Contains(t, tc.codes, got.code, "%v", got.body)
				require.Contains(t, []int{400, 401}, got.status)
			}
		})
	}
}

func TestCertificateBoundTokens(t *testing.T) {
	m := newMTLSWorld(t)
	m.enrol("app", "private_key_jwt", true)
	certificate, renewed, attacker := testkit.Certify(t, "app", m.ca), testkit.Certify(t, "app", m.ca), testkit.Certify(t, "attacker", m.ca)
	token := m.aliases.URL + "/token"
	code := m.code("app", nil)
	refused := m.sendWith(nil, token, m.codeForm("app", code))
	require.Equal(t, http.StatusBadRequest, refused.status, "SP-5.3.2.1-4 MTLS-3.4-1 nothing to bind to")
	require.Equal(t, "invalid_request", refused.code)
	refused = m.sendWith(nil, token, m.codeForm("app", code), m.proof("d", "POST", token, dpop.ProofOptions{}))
	require.Equal(t, "invalid_request", refused.code, "a proof does not make up for the certificate")
	got := m.sendWith(certificate, token, m.codeForm("app", code))
	require.Equal(t, http.StatusOK, got.status, "%v", got.body)
	require.Equal(t, "Bearer", got.body["token_type"])
	bound := got.body["access_token"].(string)

	require.Equal(t, http.StatusOK, m.callWith(certificate, "Bearer", bound).status, "MTLS-3-1")
	dpopBound := m.tokens("client-1", "d").body["access_token"].(string)
	for _, tc := range []struct {
		name        string
		certificate *tls.Certificate
		scheme      string
		token       string
		proofs      []string
	}{
		{"MTLS-3-3 no certificate", nil, "Bearer", bound, nil},
		{"MTLS-3-3 a attacker's certificate", attacker, "Bearer", bound, nil},
		{"MTLS-3-2 the client's next certificate", renewed, "Bearer", bound, nil},
		{"a certificate-bound token with a proof alone", nil, "DPoP", bound, []string{m.apiProof("d", bound)}},
		{"a certificate-bound token with a proof and a attacker's certificate", attacker, "DPoP", bound, []string{m.apiProof("d", bound)}},
		{"a DPoP-bound token with a certificate alone", certificate, "Bearer", dpopBound, nil},
		{"a DPoP-bound token with a certificate and no proof", certificate, "DPoP", dpopBound, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := m.callWith(tc.certificate, tc.scheme, tc.token, tc.proofs...)
			require.Equal(t, http.StatusUnauthorized, got.status)
			require.Contains(t, []string{"invalid_token", "invalid_dpop_proof"}, got.code)
		})
	}

	// MTLS-7.1-1: the refresh token belongs to the client, whatever its certificate.
	got = m.sendWith(renewed, token, m.refreshForm("app", got.body["refresh_token"].(string)))
	require.Equal(t, http.StatusOK, got.status, "%v", got.body)
	again := got.body["access_token"].(string)
	require.Equal(t, http.StatusOK, m.callWith(renewed, "Bearer", again).status)
	require.Equal(t, http.StatusUnauthorized, m.callWith(certificate, "Bearer", again).status)
}

// A header of the client's own is no certificate.
func TestForgedCertificateHeader(t *testing.T) {
	m := newMTLSWorld(t)
	m.enrol("app", "tls_client_auth", true)
	r, err := http.NewRequest(http.MethodPost, m.aliases.URL+"/token", strings.NewReader("grant_type=client_credentials&client_id=app&scope=accounts"))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Client-Cert", "AAAA")
	got := m.do(r)
	require.Equal(t, http.StatusBadRequest, got.status, "BCP-4.13-1")
	require.Equal(t, "invalid_request", got.code, "BCP-4.13-1 an error and not silence")
}

func TestClientMutualTLSConfiguration(t *testing.T) {
	m, ctx := newMTLSWorld(t), context.Background()
	certificate := testkit.Certify(t, "app", m.ca)
	base := client.Config{Issuer: m.asHTTP.URL, ClientID: "app", Key: testkit.ECKey(t, "app"), HTTPClient: m.http, Hooks: client.Hooks{Now: m.clock.Now}}
	for _, tc := range []struct {
		name   string
		mutual client.MutualTLS
		change func(*client.Config)
		want   string
	}{
		{"MTLS-2-1 no certificate", client.MutualTLS{AuthMethod: "tls_client_auth"}, nil, "Certificate is required"},
		{"an empty certificate", client.MutualTLS{BindTokens: true, Certificate: &tls.Certificate{}}, nil, "Certificate is required"},
		{"another method", client.MutualTLS{AuthMethod: "client_secret_basic", Certificate: certificate}, nil, "AuthMethod"},
		{"no key", client.MutualTLS{Certificate: certificate}, func(c *client.Config) { c.Key = nil }, "Key is required"},
		{"a transport that cannot present it", client.MutualTLS{BindTokens: true, Certificate: certificate}, func(c *client.Config) {
			c.HTTPClient = &http.Client{Transport: testkit.RoundTripper(m.http.Transport.RoundTrip)}
		}, "*http.Transport"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := base
			cfg.MutualTLS = &tc.mutual
			if tc.change != nil {
				tc.change(&cfg)
			}
			_, err := client.New(ctx, cfg)
			require.ErrorContains(t, err, tc.want)
		})
	}

	// SP-5.2.2.1-3: a client that has to use aliases does not fall back.
	plain := newWorld(t)
	cfg := base
	cfg.Issuer, cfg.HTTPClient = plain.asHTTP.URL, plain.http
	cfg.MutualTLS = &client.MutualTLS{Certificate: certificate, UseEndpointAliases: true}
	_, err := client.New(ctx, cfg)
	require.ErrorIs(t, err, profile.ErrServerMetadata, "SP-5.2.2.1-3 MTLS-5-1")
	require.ErrorContains(t, err, "mtls_endpoint_aliases lacks token_endpoint")
	cfg.MutualTLS = &client.MutualTLS{Certificate: certificate, BindTokens: true}
	_, err = client.New(ctx, cfg)
	require.ErrorContains(t, err, "tls_client_certificate_bound_access_tokens is not true")
}

// A resource server that authenticates by certificate asks about a certificate-bound token, and checks the binding.
func TestMutualTLSIntrospection(t *testing.T) {
	m, ctx := newMTLSWorld(t, demanding(profile.Baseline), func(as *authserver.Config, rs *resourceserver.Config) {
		as.Introspection = &authserver.Introspection{ResourceServers: func(_ context.Context, id string) ([]string, error) {
			return map[string][]string{"api": {rs.Resource}}[id], nil
		}}
	}), context.Background()
	m.enrol("app", "tls_client_auth", true)
	m.enrol("api", "tls_client_auth", true)
	certificate := testkit.Certify(t, "app", m.ca)
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}, "client_id": {"app"}}
	access := m.sendWith(certificate, m.aliases.URL+"/token", form).body["access_token"].(string)

	asking, err := introspection.NewClient(introspection.ClientConfig{
		Endpoint: m.as.Metadata().MTLSEndpointAliases.IntrospectionEndpoint, HTTPClient: m.with(testkit.Certify(t, "api", m.ca)), Issuer: m.asHTTP.URL,
		ClientID: "api", Audience: []string{m.rsHTTP.URL}, Keys: m.as.Keys().Keys, Authenticate: clientauth.MutualTLS("api").Authenticate, Now: m.clock.Now,
	})
	require.NoError(t, err)
	token, err := asking.Introspect(ctx, access)
	require.NoError(t, err)
	require.Equal(t, tokenbinding.CertificateThumbprint(certificate.Leaf), token.X5TS256(), "MTLS-3.2-1")
	m.rs, err = resourceserver.New(resourceserver.Config{
		Resource: m.rsHTTP.URL, Issuers: []resourceserver.Issuer{{ID: m.asHTTP.URL, Introspection: asking}}, Certificates: new(tokenbinding.CertificateSource), Hooks: resourceserver.Hooks{Now: m.clock.Now},
	})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, m.callWith(certificate, "Bearer", access).status)
	require.Equal(t, "invalid_token", m.callWith(testkit.Certify(t, "attacker", m.ca), "Bearer", access).code, "MTLS-3-3")
	require.Equal(t, "invalid_token", m.callWith(nil, "Bearer", access).code, "MTLS-3-3")
}

// A client with certificate-bound tokens may send proofs as well: at the push,
// which binds the code, and then at the token endpoint.
func TestProofsOfCertificateBoundClients(t *testing.T) {
	m := newMTLSWorld(t)
	m.enrol("app", "private_key_jwt", true)
	certificate := testkit.Certify(t, "app", m.ca)
	pushProof := func() string { return m.proof("d", "POST", m.parURL(), dpop.ProofOptions{}) }
	alias := m.aliases.URL + "/token"
	spend := func(code string, proofs ...string) answer {
		return m.sendWith(certificate, alias, m.codeForm("app", code), proofs...)
	}
	for name, code := range map[string]func() string{
		"a proof at the push": func() string { return m.code("app", nil, pushProof()) },
		"dpop_jkt":            func() string { return m.code("app", with("dpop_jkt", m.jkt("d"))) },
	} {
		t.Run("C11 "+name, func(t *testing.T) {
			bound := code()
			got := spend(bound)
			require.Equal(t, "invalid_grant", got.code, "DPOP-10-1 without a proof")
			require.Contains(t, got.body["error_description"], "proof")
			require.Equal(t, "invalid_grant", spend(bound, m.tokenProof("other")).code, "DPOP-10-1 with another key")
			require.Equal(t, "invalid_dpop_proof", spend(bound, m.proof("d", "POST", m.parURL(), dpop.ProofOptions{})).code, "DPOP-4.3-9 the proof is checked")
			require.Equal(t, "invalid_dpop_proof", spend(bound, m.tokenProof("d"), m.tokenProof("d")).code, "two proofs")
			used := m.tokenProof("d")
			got = spend(bound, used)
			require.Equal(t, http.StatusOK, got.status, "nothing was used up: %v", got.body)
			require.Equal(t, "DPoP", got.body["token_type"], "DPOP-5-3")
			token := got.body["access_token"].(string)
			require.Equal(t, http.StatusOK, m.callWith(certificate, "DPoP", token, m.apiProof("d", token)).status)
			require.Equal(t, http.StatusUnauthorized, m.callWith(nil, "DPoP", token, m.apiProof("d", token)).status, "MTLS-3-3 the certificate as well")
			require.Equal(t, http.StatusUnauthorized, m.callWith(certificate, "Bearer", token).status, "DPOP-7.2-1")
			require.Equal(t, "invalid_dpop_proof", m.sendWith(certificate, alias, m.refreshForm("app", got.body["refresh_token"].(string)), used).code, "DPOP-11.1-1 a proof is good once")
			refreshed := m.sendWith(certificate, alias, m.refreshForm("app", got.body["refresh_token"].(string)))
			require.Equal(t, "Bearer", refreshed.body["token_type"], "a refresh token is bound to the client")
		})
	}
	t.Run("C11 a proof at the token endpoint alone", func(t *testing.T) {
		got := spend(m.code("app", nil), m.tokenProof("d"))
		require.Equal(t, "DPoP", got.body["token_type"], "%v", got.body)
	})
	t.Run("C11 a proof and no certificate", func(t *testing.T) {
		got := m.sendWith(nil, alias, m.codeForm("app", m.code("app", nil, pushProof())), m.tokenProof("d"))
		require.NotEqual(t, http.StatusOK, got.status, "MTLS-3-1 a proof does not replace the certificate")
	})
	t.Run("C11 a wrong proof at the push", func(t *testing.T) {
		require.Equal(t, "invalid_dpop_proof", m.send(m.parURL(), m.pushForm("app"), m.tokenProof("d")).code, "DPOP-10.1-2")
	})
}

// A server without mutual TLS has nothing to bind such a client's tokens to.
func TestCertificateBoundClientWithoutMutualTLS(t *testing.T) {
	w := newWorld(t)
	w.clients["client-1"].TLSClientCertificateBoundAccessTokens, w.clients["client-1"].DPoPBoundAccessTokens = true, false
	got := w.send(w.parURL(), w.pushForm("client-1"))
	require.Equal(t, "unauthorized_client", got.code, "A7 rejected at the push, not after the consent: %v", got.body)
}
