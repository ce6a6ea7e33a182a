package authserver_test

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"testing"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/profile/rules"
	"github.com/gofapi/fapi2/tokenbinding"
	"github.com/stretchr/testify/require"
)

// get sends a GET request with a token and a new proof, on a connection with a certificate.
func (m *mtlsWorld) get(certificate *tls.Certificate, target, token string) answer {
	r, err := http.NewRequest(http.MethodGet, target, nil)
	require.NoError(m.t, err)
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", m.proof("d", http.MethodGet, target, dpop.ProofOptions{AccessToken: token}))
	old := m.http
	defer func() { m.http = old }()
	m.http = m.with(certificate)
	return m.do(r)
}

// A client whose authentication and tokens need no certificate presents one where the rules require it.
func TestRulesRequireCertificates(t *testing.T) {
	set := rules.Set{MutualTLS: []string{"pushed_authorization_request", "token", "introspection", "revocation", "userinfo", "grants"}}
	for name, rule := range map[string]worldOption{"all": ruled(set), "one": ruledFor("client-1", &set)} {
		t.Run(name, func(t *testing.T) {
			m := newMTLSWorld(t, rule, withUserInfo(about), func(as *authserver.Config, rs *resourceserver.Config) {
				as.Grants = new(grants.ManagerConfig)
				as.Introspection = introspected(nil)
			})
			c := m.clients["client-1"]
			c.Scope += " grant_management_query"
			certificate, aliases := testkit.Certify(t, "any", m.ca), m.as.Metadata().MTLSEndpointAliases
			both := func(endpoint string, form func() url.Values, proofs ...string) answer {
				t.Helper()
				body := form()
				refused := m.sendWith(nil, endpoint, body, proofs...)
				want := http.StatusUnauthorized
				if endpoint == aliases.IntrospectionEndpoint { // INT-9701-5-7
					want = http.StatusBadRequest
				}
				require.Equal(t, want, refused.status, "%s: %v", endpoint, refused.body)
				require.Equal(t, "invalid_client", refused.code)
				got := m.sendWith(certificate, endpoint, body, proofs...)
				require.Less(t, got.status, 300, "%s: the rejection consumed nothing: %v", endpoint, got.body)
				return got
			}
			pushed := both(aliases.PushedAuthorizationRequestEndpoint, func() url.Values { return m.pushForm("client-1") })
			query := url.Values{"client_id": {"client-1"}, "request_uri": {pushed.body["request_uri"].(string)}}
			code := m.browse(m.asHTTP.URL + "/authorize?" + query.Encode()).Get("code")
			proof := m.proof("d", "POST", aliases.TokenEndpoint, dpop.ProofOptions{})
			tokens := both(aliases.TokenEndpoint, func() url.Values { return m.codeForm("client-1", code) }, proof)
			token := tokens.body["access_token"].(string)
			both(aliases.IntrospectionEndpoint, func() url.Values { return m.authenticated("client-1", url.Values{"token": {token}}) })

			require.Equal(t, http.StatusUnauthorized, m.get(nil, aliases.UserInfoEndpoint, token).status)
			require.Equal(t, http.StatusOK, m.get(certificate, aliases.UserInfoEndpoint, token).status)
			proof = m.proof("d", "POST", aliases.TokenEndpoint, dpop.ProofOptions{})
			own := m.sendWith(certificate, aliases.TokenEndpoint, m.credentialsForm("client-1", "grant_management_query"), proof)
			grant := aliases.GrantManagementEndpoint + "/unknown"
			require.Equal(t, http.StatusUnauthorized, m.get(nil, grant, own.body["access_token"].(string)).status)
			require.Equal(t, http.StatusNotFound, m.get(certificate, grant, own.body["access_token"].(string)).status)

			both(aliases.RevocationEndpoint, func() url.Values { return m.authenticated("client-1", url.Values{"token": {token}}) })
		})
	}
}

// The guard of an API in the same process follows the rules of the server.
func TestRulesRequireCertificatesAtAPIs(t *testing.T) {
	m := newMTLSWorld(t, ruled(rules.Set{MutualTLS: []string{"resource"}}))
	_, err := m.as.ResourceServer(resourceserver.Config{Resource: m.rsHTTP.URL})
	require.ErrorContains(t, err, "RequireCertificate without Certificates")
	m.rs, err = m.as.ResourceServer(resourceserver.Config{Resource: m.rsHTTP.URL, Certificates: new(tokenbinding.CertificateSource)})
	require.NoError(t, err)
	token := m.tokens("client-1", "d").body["access_token"].(string)
	require.Equal(t, http.StatusUnauthorized, m.get(nil, m.rsHTTP.URL+"/accounts", token).status)
	require.Equal(t, http.StatusOK, m.get(testkit.Certify(t, "any", m.ca), m.rsHTTP.URL+"/accounts", token).status)
}
