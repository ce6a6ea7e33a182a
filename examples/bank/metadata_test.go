package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/profile"
)

func TestMetadata(t *testing.T) {
	w := newWorld(t)
	paths := []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"}
	var m object
	for _, path := range paths {
		r := w.get(w.issuer + path).ok(http.StatusOK)
		m = r.json()
		require.Equal(t, w.issuer, m["issuer"], "the issuer is exact in both documents")
	}
	has := func(name string, values ...string) {
		t.Helper()
		for _, value := range values {
			require.Contains(t, m[name], value, name)
		}
	}
	t.Run("MD-2-1 the issuer has https and neither query nor fragment", func(t *testing.T) {
		u, err := url.Parse(m["issuer"].(string))
		require.NoError(t, err)
		require.Equal(t, "https", u.Scheme)
		require.Empty(t, u.RawQuery+u.Fragment)
	})
	t.Run("response types and grant types", func(t *testing.T) {
		require.Equal(t, []any{"code"}, m["response_types_supported"])
		has("grant_types_supported", "authorization_code", "refresh_token", "client_credentials")
	})
	t.Run("every endpoint has https", func(t *testing.T) {
		for _, name := range []string{"pushed_authorization_request_endpoint", "authorization_endpoint", "token_endpoint", "jwks_uri", "introspection_endpoint"} {
			require.Contains(t, m, name)
		}
		for name, value := range m {
			if strings.HasSuffix(name, "_endpoint") || name == "jwks_uri" {
				require.True(t, strings.HasPrefix(value.(string), "https://"), name)
			}
		}
	})
	t.Run("iss in responses, S256 alone, pushed requests required", func(t *testing.T) {
		require.Equal(t, true, m["authorization_response_iss_parameter_supported"])
		require.Equal(t, []any{"S256"}, m["code_challenge_methods_supported"])
		require.Equal(t, true, m["require_pushed_authorization_requests"])
	})
	t.Run("client authentication and its algorithms", func(t *testing.T) {
		has("token_endpoint_auth_methods_supported", "private_key_jwt", "tls_client_auth")
		onlyFAPI(t, m["token_endpoint_auth_signing_alg_values_supported"])
		onlyFAPI(t, m["dpop_signing_alg_values_supported"])
		onlyFAPI(t, m["request_object_signing_alg_values_supported"])
		onlyFAPI(t, m["authorization_signing_alg_values_supported"])
		onlyFAPI(t, m["id_token_signing_alg_values_supported"])
		require.Equal(t, true, m["tls_client_certificate_bound_access_tokens"])
	})
	t.Run("OpenID Connect", func(t *testing.T) {
		require.Contains(t, m, "subject_types_supported")
		has("scopes_supported", "openid", "accounts", "payments")
		has("claims_supported", "preferred_username")
		require.Equal(t, true, m["claims_parameter_supported"])
	})
	t.Run("signed responses", func(t *testing.T) { has("response_modes_supported", "jwt") })
	t.Run("aliases are of endpoints that exist, and not that of browsers", func(t *testing.T) {
		aliases := m["mtls_endpoint_aliases"].(object)
		require.NotEmpty(t, aliases)
		require.NotContains(t, aliases, "authorization_endpoint")
		for name, value := range aliases {
			require.Contains(t, m, name)
			require.True(t, strings.HasPrefix(value.(string), w.mtls+"/"), name)
		}
	})
	t.Run("every member is a registered one", func(t *testing.T) {
		known, err := json.Marshal(allMembers())
		require.NoError(t, err)
		var names object
		require.NoError(t, json.Unmarshal(known, &names))
		for name := range m {
			require.Contains(t, names, name)
		}
	})
	t.Run("the linter has no error and no warning to report", func(t *testing.T) {
		parsed, err := profile.Discover(context.Background(), w.http(nil), w.issuer)
		require.NoError(t, err)
		for _, f := range parsed.Lint(profile.Baseline) {
			require.Equal(t, "advice", f.Severity, "%v", f)
		}
	})
}

func allMembers() object {
	o := object{}
	for _, name := range strings.Fields(`issuer authorization_endpoint token_endpoint jwks_uri registration_endpoint scopes_supported
		response_types_supported response_modes_supported grant_types_supported token_endpoint_auth_methods_supported
		token_endpoint_auth_signing_alg_values_supported service_documentation ui_locales_supported op_policy_uri op_tos_uri
		revocation_endpoint revocation_endpoint_auth_methods_supported revocation_endpoint_auth_signing_alg_values_supported
		introspection_endpoint introspection_endpoint_auth_methods_supported introspection_endpoint_auth_signing_alg_values_supported
		code_challenge_methods_supported userinfo_endpoint acr_values_supported subject_types_supported
		id_token_signing_alg_values_supported userinfo_signing_alg_values_supported request_object_signing_alg_values_supported
		claim_types_supported claims_supported claims_parameter_supported request_parameter_supported request_uri_parameter_supported
		require_request_uri_registration require_signed_request_object pushed_authorization_request_endpoint
		require_pushed_authorization_requests introspection_signing_alg_values_supported introspection_encryption_alg_values_supported introspection_encryption_enc_values_supported id_token_encryption_alg_values_supported id_token_encryption_enc_values_supported userinfo_encryption_alg_values_supported userinfo_encryption_enc_values_supported authorization_response_iss_parameter_supported
		mtls_endpoint_aliases tls_client_certificate_bound_access_tokens dpop_signing_alg_values_supported
		authorization_signing_alg_values_supported authorization_details_types_supported grant_management_actions_supported
		grant_management_endpoint grant_management_action_required protected_resources`) {
		o[name] = true
	}
	return o
}

func onlyFAPI(t *testing.T, algorithms any) {
	t.Helper()
	require.NotEmpty(t, algorithms)
	for _, alg := range algorithms.([]any) {
		require.Contains(t, []any{"PS256", "ES256", "EdDSA", "Ed25519"}, alg)
	}
}

func TestWithoutOpenIDThereIsNothingOfIt(t *testing.T) {
	w := newWorld(t, with("openid", false))
	m := w.get(w.issuer + "/.well-known/oauth-authorization-server").ok(http.StatusOK).json()
	require.NotContains(t, m["scopes_supported"], "openid")
	require.NotContains(t, m, "userinfo_endpoint")
	w.one.push().do().refused(http.StatusBadRequest, "invalid_scope")
	require.NotContains(t, w.one.tokens(param("scope", "accounts"), param("nonce", "")), "id_token")
}

func TestPublishedKeys(t *testing.T) {
	for _, alg := range []string{"ES256", "PS256", "EdDSA"} {
		w := newWorld(t, registration(object{"id_token_signed_response_alg": alg}))
		keys := w.get(w.issuer + "/jwks").ok(http.StatusOK)
		var set struct{ Keys []object }
		require.NoError(t, json.Unmarshal(keys.body, &set))
		require.NotEmpty(t, set.Keys)
		for _, key := range set.Keys {
			require.NotEmpty(t, key["kid"])
			for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "oth"} {
				require.NotContains(t, key, private)
			}
			if key["kty"] == "RSA" {
				require.GreaterOrEqual(t, len(key["n"].(string))*6, 2048)
			}
		}
		head, _ := unseal(t, w.one.tokens()["id_token"].(string))
		require.Equal(t, alg, head["alg"])
		require.Equal(t, set.Keys[0]["kid"], head["kid"])
	}
}

func TestClientsOfSeveralAlgorithms(t *testing.T) {
	everything := func(alg string) object {
		return object{
			"id_token_signed_response_alg": alg, "authorization_signed_response_alg": alg, "userinfo_signed_response_alg": alg,
		}
	}
	w := newWorld(t, registration(everything("PS256"), "one"), registration(everything("EdDSA"), "two", "tls-one"),
		registration(everything("Ed25519"), "mixed"), registration(object{"introspection_signed_response_alg": "ES256"}, "rs"))
	m := w.get(w.issuer + "/.well-known/oauth-authorization-server").ok(http.StatusOK).json()
	kids := map[any]any{}
	for _, key := range w.get(w.issuer + "/jwks").ok(http.StatusOK).json()["keys"].([]any) {
		kids[key.(object)["alg"]] = key.(object)["kid"]
	}
	require.Len(t, kids, 4)
	for _, what := range []string{"id_token", "authorization", "introspection", "userinfo"} {
		require.Equal(t, []any{"PS256", "EdDSA", "Ed25519", "ES256"}, m[what+"_signing_alg_values_supported"], "MD-2-12 as they are named")
	}
	signed := func(token, alg string) {
		head, _ := unseal(t, token)
		require.Equal(t, alg, head["alg"])
		require.Equal(t, kids[alg], head["kid"], "SP-5.4.2-3")
	}
	for p, alg := range map[*party]string{w.one: "PS256", w.two: "EdDSA", w.tlsOne: "EdDSA", w.mixed: "Ed25519", w.tlsTwo: "PS256"} {
		signed(p.callback(param("response_mode", "jwt")).Get("response"), alg) // JARM-3-1
		tokens := p.tokens()
		signed(tokens["id_token"].(string), alg)
		access := tokens["access_token"].(string)
		signed(access, "PS256")
		p.call(http.MethodGet, "/accounts", access).do().ok(http.StatusOK)
		about := p.call(http.MethodGet, "/userinfo", access).do().ok(http.StatusOK)
		if p == w.tlsTwo { // which has registered nothing
			require.Equal(t, "alice", about.str("sub"))
		} else {
			require.Equal(t, "application/jwt", about.header.Get("Content-Type"))
			signed(string(about.body), alg)
		}
		answer := w.rs.post("/introspect", url.Values{"token": {access}}).do().ok(http.StatusOK)
		signed(string(answer.body), "ES256") // INT-9701-6-1
	}
}

func TestTLS(t *testing.T) {
	w := newWorld(t)
	host := func(base string) string { return strings.TrimPrefix(base, "https://") }
	dial := func(address string, cfg *tls.Config) (tls.ConnectionState, error) {
		cfg.RootCAs = w.roots
		c, err := tls.Dial("tcp", address, cfg)
		if err != nil {
			return tls.ConnectionState{}, err
		}
		defer c.Close()
		return c.ConnectionState(), nil
	}
	for _, address := range []string{host(w.issuer), host(w.mtls)} {
		state, err := dial(address, &tls.Config{})
		require.NoError(t, err)
		require.Equal(t, uint16(tls.VersionTLS13), state.Version, "SP-5.2.1-3 the newest version is preferred")
		state, err = dial(address, &tls.Config{MaxVersion: tls.VersionTLS12})
		require.NoError(t, err)
		require.Contains(t, tls.CipherSuiteName(state.CipherSuite), "GCM")
		_, err = dial(address, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
		require.Error(t, err, "SP-5.2.1-2 nothing older than TLS 1.2")
		for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
			if !slices.Contains(suite.SupportedVersions, tls.VersionTLS12) || slices.Contains(suite.SupportedVersions, tls.VersionTLS13) {
				continue
			}
			isGood := strings.Contains(suite.Name, "ECDHE") && strings.Contains(suite.Name, "GCM")
			_, err := dial(address, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}})
			if isGood && strings.Contains(suite.Name, "ECDSA") { // the made certificate is of that kind
				require.NoError(t, err, "SP-5.2.2-1 %s", suite.Name)
			} else {
				require.Error(t, err, "SP-5.2.2-1 %s", suite.Name)
			}
		}
	}
}

func TestResourceMetadata(t *testing.T) {
	w := newWorld(t)
	m, err := profile.DiscoverResource(context.Background(), w.http(nil), w.issuer)
	require.NoError(t, err)
	require.Equal(t, []string{w.issuer}, m.AuthorizationServers)
	require.True(t, m.TLSClientCertificateBoundAccessTokens)
	server, err := profile.Discover(context.Background(), w.http(nil), w.issuer)
	require.NoError(t, err)
	require.NoError(t, m.CheckServer(server))
	refused := w.get(w.issuer + "/accounts").ok(http.StatusUnauthorized)
	require.Contains(t, refused.header.Get("WWW-Authenticate"), `resource_metadata="`+w.issuer+`/.well-known/oauth-protected-resource"`)
}
