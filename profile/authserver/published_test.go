package authserver_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// What a server with everything says of itself, as a client reads it.
func TestPublishedDocument(t *testing.T) {
	m := newMTLSWorld(t, withUserInfo(about), demanding(profile.Advanced), func(as *authserver.Config, _ *resourceserver.Config) {
		as.ACRValues = []string{"gold", "silver"}
	})
	oauth, openid, err := profile.WellKnownURLs(m.asHTTP.URL)
	require.NoError(t, err)
	var documents []map[string]json.RawMessage
	for _, target := range []string{oauth, openid} {
		got := m.userInfo(http.MethodGet, target)
		require.Equal(t, http.StatusOK, got.status, "BCP-2.6-1 %s", target)
		text, err := json.Marshal(got.body)
		require.NoError(t, err)
		var document map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(text, &document))
		documents = append(documents, document)
	}
	require.Equal(t, documents[0], documents[1])
	base, alias := m.asHTTP.URL, m.aliases.URL
	for member, want := range map[string]any{
		"code_challenge_methods_supported":                      []string{"S256"},           // BCP-2.1.1-5
		"acr_values_supported":                                  []string{"gold", "silver"}, // SU-7-1
		"revocation_endpoint":                                   base + "/revoke",
		"revocation_endpoint_auth_methods_supported":            []string{"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"},
		"revocation_endpoint_auth_signing_alg_values_supported": []string{"ES256", "PS256", "EdDSA", "Ed25519"},
		"userinfo_endpoint":                                     base + "/userinfo",
		"introspection_endpoint":                                base + "/introspect",
		"pushed_authorization_request_endpoint":                 base + "/par",
		"require_pushed_authorization_requests":                 true,
		"authorization_response_iss_parameter_supported":        true,
		"tls_client_certificate_bound_access_tokens":            true,
		"require_signed_request_object":                         true,
		"protected_resources":                                   []string{m.rsHTTP.URL, "https://other-api.example"},
		"mtls_endpoint_aliases": map[string]string{
			"token_endpoint": alias + "/token", "pushed_authorization_request_endpoint": alias + "/par", "introspection_endpoint": alias + "/introspect",
			"revocation_endpoint": alias + "/revoke", "userinfo_endpoint": alias + "/userinfo",
		},
	} {
		text, err := json.Marshal(want)
		require.NoError(t, err)
		require.JSONEq(t, string(text), string(documents[0][member]), "MD-2-12 BCP-2.1.1-5 SU-7-1 MTLS-5-1 %s", member)
	}
	for _, finding := range m.as.Metadata().Lint(profile.Advanced) {
		require.Equal(t, "advice", finding.Severity, "%v", finding)
	}
	found, err := profile.Discover(t.Context(), m.http, m.asHTTP.URL)
	require.NoError(t, err, "BCP-2.6-1")
	require.Equal(t, alias+"/revoke", found.ForMTLS().RevocationEndpoint)
	require.Equal(t, alias+"/userinfo", found.ForMTLS().UserInfoEndpoint)
}

// A client that names no resource gets a token for the first one, and for no other.
func TestDefaultResource(t *testing.T) {
	w := newWorld(t)
	for name, token := range map[string]any{
		"RI-2.1-2 a code":             w.tokens("client-1", "d").body["access_token"],
		"RI-2.1-2 client credentials": w.send(w.tokenURL(), w.credentialsForm("client-1", "accounts"), w.tokenProof("d")).body["access_token"],
	} {
		_, payload := claims(t, token)
		require.JSONEq(t, `"`+w.rsHTTP.URL+`"`, string(payload["aud"]), name)
	}
	unknown := w.pushForm("client-1")
	unknown["resource"] = []string{"https://unknown.example"}
	require.Equal(t, "invalid_target", w.send(w.parURL(), unknown).code, "RI-2.1-2")
}

// The challenges of both schemes name the metadata of the API.
func TestResourceMetadataInChallenges(t *testing.T) {
	m := newMTLSWorld(t, func(_ *authserver.Config, rs *resourceserver.Config) {
		rs.ResourceMetadata = "https://api.example/.well-known/oauth-protected-resource"
	})
	for _, scheme := range []string{"DPoP", "Bearer"} {
		got := m.callAPI(scheme, "abc")
		require.Equal(t, http.StatusUnauthorized, got.status)
		challenges := got.header.Values("WWW-Authenticate")
		require.Len(t, challenges, 2)
		for _, challenge := range challenges {
			require.Contains(t, challenge, `resource_metadata="https://api.example/.well-known/oauth-protected-resource"`, "PRM-5-1")
		}
	}
}

// What the host adds is published, and what the server says of itself stays.
func TestMetadataOfTheHost(t *testing.T) {
	w := newMTLSWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.Metadata = func(m *profile.ServerMetadata) {
			m.ServiceDocumentation, m.Issuer, m.TokenEndpoint = "https://as.example/docs", "https://evil.example", ""
			m.RequirePushedAuthorizationRequests, m.ScopesSupported = false, []string{"admin"}
			m.RequestURIParameterSupported = true
			m.ResponseTypesSupported[0], m.MTLSEndpointAliases.TokenEndpoint = "token", "https://evil.example/token"
			m.Other = map[string]json.RawMessage{"cdr_arrangement_revocation_endpoint": json.RawMessage(`"https://as.example/arrangements"`)}
		}
	})
	m, err := profile.Discover(t.Context(), w.http, w.asHTTP.URL)
	require.NoError(t, err)
	require.Equal(t, "https://as.example/docs", m.ServiceDocumentation)
	require.Equal(t, `"https://as.example/arrangements"`, string(m.Other["cdr_arrangement_revocation_endpoint"]))
	require.Equal(t, w.asHTTP.URL, m.Issuer)
	require.Equal(t, w.tokenURL(), m.TokenEndpoint)
	require.True(t, m.RequirePushedAuthorizationRequests)
	require.Equal(t, []string{"openid", "accounts", "payments"}, m.ScopesSupported)
	require.Equal(t, []string{"code"}, m.ResponseTypesSupported)
	require.False(t, m.RequestURIParameterSupported)
	require.Equal(t, w.aliases.URL+"/token", m.MTLSEndpointAliases.TokenEndpoint)
}

// The endpoints of the host's other services are elsewhere, perhaps at the same
// paths.
func TestEndpointsOfTheHost(t *testing.T) {
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.Metadata = func(m *profile.ServerMetadata) {
			m.IntrospectionEndpoint = "https://elsewhere.example/introspect"
			m.UserInfoEndpoint = "https://elsewhere.example/token"
		}
	})
	require.Equal(t, http.StatusOK, w.tokens("client-1", "d").status)
	got := w.send(w.asHTTP.URL+"/introspect", w.authenticated("client-1", url.Values{"token": {"x"}}))
	require.Equal(t, http.StatusNotFound, got.status)
}
