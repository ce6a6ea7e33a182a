package rules_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/rules"
)

// linted are rules of every kind that registrations and metadata can violate.
// The source of a rule is its path.
func linted() *rules.Set {
	set := &rules.Set{
		Name:                 "example",
		MessageSigning:       []string{"requests"},
		ClientAuthentication: []string{"private_key_jwt"},
		Bindings:             []string{"mTLS"},
		MutualTLS:            []string{"pushed_authorization_request", "token", "resource"},
		ResponseModes:        []string{"query"},
		SubjectTypes:         []string{"pairwise"},
		Algorithms:           rules.Algorithms{Signing: []string{"PS256", "ES256"}, IDToken: []string{"PS256"}, RSABits: 3072},
		RefreshTokens:        rules.RefreshTokens{Required: true},
		Request: rules.Request{Scopes: []string{"openid"},
			AuthorizationDetails: rules.AuthorizationDetails{Required: true, Types: []string{"urn:example:consent"}}},
		Claims:   rules.Claims{Supported: []string{"cpf", "cnpj"}, Required: []string{"txn"}},
		ACR:      rules.ACR{Supported: []string{"urn:example:2"}, Request: "forbidden"},
		Intent:   &rules.Intent{Claim: "intent_id"},
		Metadata: map[string]json.RawMessage{"verified_claims_supported": json.RawMessage(`true`)},
	}
	encrypted := rules.Encrypted{Required: true, Algorithms: []string{"ECDH-ES"}, ContentEncryptions: []string{"A256GCM"}}
	set.Encryption = rules.Encryption{IDToken: encrypted, UserInfo: encrypted, Introspection: encrypted}
	return set
}

func goodClient(t testing.TB) *profile.ClientMetadata {
	keys, err := jwks.NewSet(jwks.Key{Public: testkit.ECKey(t, "client").Public()},
		jwks.Key{Public: testkit.ECKey(t, "encryption").Public(), Use: "enc"})
	require.NoError(t, err)
	return &profile.ClientMetadata{
		ClientID: "client", RedirectURIs: []string{"https://client.example/cb"}, Scope: "openid accounts",
		GrantTypes:    []string{"authorization_code", "refresh_token"},
		ResponseModes: []string{"query"}, SubjectType: "pairwise", AuthorizationDetailsTypes: []string{"urn:example:consent"},
		TokenEndpointAuthMethod: "private_key_jwt", TokenEndpointAuthSigningAlg: "ES256",
		TLSClientCertificateBoundAccessTokens: true, JWKS: keys,
		RequireSignedRequestObject: true, RequestObjectSigningAlg: "ES256", IDTokenSignedResponseAlg: "PS256",
		UserInfoSignedResponseAlg:   "PS256",
		IDTokenEncryptedResponseAlg: "ECDH-ES", IDTokenEncryptedResponseEnc: "A256GCM",
		UserInfoEncryptedResponseAlg: "ECDH-ES", UserInfoEncryptedResponseEnc: "A256GCM",
	}
}

func goodServer() *profile.ServerMetadata {
	algs := []string{"PS256", "ES256"}
	return &profile.ServerMetadata{
		Issuer: "https://as.example", AuthorizationEndpoint: "https://as.example/authorize",
		TokenEndpoint: "https://as.example/token", JWKSURI: "https://as.example/jwks",
		PushedAuthorizationRequestEndpoint: "https://as.example/par",
		IntrospectionEndpoint:              "https://as.example/introspect", UserInfoEndpoint: "https://as.example/userinfo",
		MTLSEndpointAliases: &profile.MTLSEndpointAliases{
			TokenEndpoint: "https://mtls.as.example/token", PushedAuthorizationRequestEndpoint: "https://mtls.as.example/par",
		},
		ScopesSupported: []string{"openid", "accounts"}, ResponseTypesSupported: []string{"code"},
		ResponseModesSupported:                             []string{"query"},
		GrantTypesSupported:                                []string{"authorization_code", "refresh_token"},
		CodeChallengeMethodsSupported:                      []string{"S256"},
		TokenEndpointAuthMethodsSupported:                  []string{"private_key_jwt"},
		TokenEndpointAuthSigningAlgValuesSupported:         algs,
		IntrospectionEndpointAuthMethodsSupported:          []string{"private_key_jwt"},
		IntrospectionEndpointAuthSigningAlgValuesSupported: algs,
		TLSClientCertificateBoundAccessTokens:              true, RequirePushedAuthorizationRequests: true,
		AuthorizationResponseIssParameterSupported: true, RequireSignedRequestObject: true,
		RequestObjectSigningAlgValuesSupported: algs, SubjectTypesSupported: []string{"pairwise"},
		IDTokenSigningAlgValuesSupported: []string{"PS256"}, UserInfoSigningAlgValuesSupported: algs,
		IDTokenEncryptionAlgValuesSupported: []string{"ECDH-ES"}, IDTokenEncryptionEncValuesSupported: []string{"A256GCM"},
		UserInfoEncryptionAlgValuesSupported: []string{"ECDH-ES"}, UserInfoEncryptionEncValuesSupported: []string{"A256GCM"},
		IntrospectionSigningAlgValuesSupported:    algs,
		IntrospectionEncryptionAlgValuesSupported: []string{"ECDH-ES"}, IntrospectionEncryptionEncValuesSupported: []string{"A256GCM"},
		AuthorizationDetailsTypesSupported: []string{"urn:example:consent"}, ACRValuesSupported: []string{"urn:example:2"},
		ClaimsSupported: []string{"cpf", "txn", "intent_id"}, ClaimsParameterSupported: true,
		Other: map[string]json.RawMessage{"verified_claims_supported": json.RawMessage(`true`)},
	}
}

// short returns the findings about rules as "severity path member". General
// findings have a clause of this module.
func short(set *rules.Set, findings []profile.Finding) (list []string) {
	for _, f := range findings {
		if path, ok := strings.CutPrefix(f.Clause, set.Name+" "); ok {
			list = append(list, f.Severity+" "+path+" "+f.Member)
		}
	}
	return list
}

func TestLintFindsNothingInGoodDocuments(t *testing.T) {
	set := linted()
	require.NoError(t, set.Validate())
	require.Empty(t, short(set, set.LintClient(goodClient(t))))
	require.Empty(t, short(set, set.LintServer(goodServer())))
	for _, f := range append(set.LintClient(goodClient(t)), set.LintServer(goodServer())...) {
		require.Equal(t, "advice", f.Severity, f)
	}
	none := new(rules.Set)
	require.Equal(t, goodClient(t).Lint(profile.Baseline), none.LintClient(goodClient(t)), "no rules: the findings of profile")
	require.Equal(t, goodServer().Lint(profile.Baseline), none.LintServer(goodServer()))
}

func TestLintClient(t *testing.T) {
	type client = profile.ClientMetadata
	rsa, err := jwks.NewSet(jwks.Key{Public: testkit.RSAKey(t, "client").Public()})
	require.NoError(t, err)
	for _, tc := range []struct {
		name string
		edit func(c *client, s *rules.Set)
		want []string
	}{
		{"another method", func(c *client, _ *rules.Set) { c.TokenEndpointAuthMethod = "self_signed_tls_client_auth" },
			[]string{"error client_authentication token_endpoint_auth_method"}},
		{"DPoP where certificates are required", func(c *client, _ *rules.Set) {
			c.DPoPBoundAccessTokens, c.TLSClientCertificateBoundAccessTokens = true, false
		}, []string{"error bindings dpop_bound_access_tokens", "warning mutual_tls use_mtls_endpoint_aliases"}},
		{"certificates where DPoP is required", func(_ *client, s *rules.Set) { s.Bindings = []string{"DPoP"} },
			[]string{"error bindings tls_client_certificate_bound_access_tokens"}},
		{"aliases for a client without bound certificate", func(c *client, s *rules.Set) {
			s.Bindings, c.DPoPBoundAccessTokens, c.TLSClientCertificateBoundAccessTokens = nil, true, false
			c.UseMTLSEndpointAliases = true
		}, nil},
		{"another response mode", func(c *client, _ *rules.Set) { c.ResponseModes = []string{"query", "jwt"} },
			[]string{"error response_modes response_modes"}},
		{"another subject type", func(c *client, _ *rules.Set) { c.SubjectType = "public" },
			[]string{"error subject_types subject_type"}},
		{"no subject type", func(c *client, _ *rules.Set) { c.SubjectType = "" }, []string{"advice subject_types subject_type"}},
		{"no refresh tokens", func(c *client, _ *rules.Set) { c.GrantTypes = []string{"authorization_code"} },
			[]string{"error refresh_tokens.required grant_types"}},
		{"no details", func(c *client, _ *rules.Set) { c.AuthorizationDetailsTypes = nil },
			[]string{"error request.authorization_details.required authorization_details_types"}},
		{"other details", func(c *client, _ *rules.Set) { c.AuthorizationDetailsTypes = []string{"payment"} },
			[]string{"error request.authorization_details.types authorization_details_types"}},
		{"default classes", func(c *client, _ *rules.Set) { c.DefaultACRValues = []string{"urn:example:2"} },
			[]string{"error acr.request default_acr_values"}},
		{"no openid", func(c *client, _ *rules.Set) { c.Scope = "accounts" }, []string{"error request.scopes scope"}},
		{"EdDSA assertions", func(c *client, _ *rules.Set) { c.TokenEndpointAuthSigningAlg = "EdDSA" },
			[]string{"error algorithms.signing token_endpoint_auth_signing_alg"}},
		{"EdDSA requests", func(c *client, _ *rules.Set) { c.RequestObjectSigningAlg = "EdDSA" },
			[]string{"error algorithms.signing request_object_signing_alg"}},
		{"ES256 ID tokens", func(c *client, _ *rules.Set) { c.IDTokenSignedResponseAlg = "ES256" },
			[]string{"error algorithms.id_token id_token_signed_response_alg"}},
		{"EdDSA UserInfo", func(c *client, _ *rules.Set) { c.UserInfoSignedResponseAlg = "EdDSA" },
			[]string{"error algorithms.signing userinfo_signed_response_alg"}},
		{"EdDSA responses", func(c *client, _ *rules.Set) { c.AuthorizationSignedResponseAlg = "EdDSA" },
			[]string{"error algorithms.signing authorization_signed_response_alg"}},
		{"EdDSA introspection", func(c *client, _ *rules.Set) { c.IntrospectionSignedResponseAlg = "EdDSA" },
			[]string{"error algorithms.signing introspection_signed_response_alg"}},
		{"no key for assertions and requests", func(_ *client, s *rules.Set) { s.Algorithms = rules.Algorithms{Signing: []string{"PS256"}} },
			[]string{"error algorithms.signing token_endpoint_auth_signing_alg", "error algorithms.signing request_object_signing_alg",
				"error algorithms.signing jwks", "error algorithms.signing jwks"}},
		{"short RSA key", func(c *client, _ *rules.Set) { c.JWKS, c.JWKSURI = rsa, "" }, []string{"error algorithms.rsa_bits jwks"}},
		{"keys at a URL", func(c *client, s *rules.Set) {
			c.JWKS, c.JWKSURI, s.Algorithms = nil, "https://client.example/jwks", rules.Algorithms{}
		}, nil},
		{"ID tokens without encryption", func(c *client, _ *rules.Set) { c.IDTokenEncryptedResponseAlg, c.IDTokenEncryptedResponseEnc = "", "" },
			[]string{"error encryption.id_token.required id_token_encrypted_response_alg"}},
		{"another key encryption", func(c *client, _ *rules.Set) { c.IDTokenEncryptedResponseAlg = "RSA-OAEP-256" },
			[]string{"error encryption.id_token.alg id_token_encrypted_response_alg"}},
		{"the default content encryption", func(c *client, _ *rules.Set) { c.UserInfoEncryptedResponseEnc = "" },
			[]string{"error encryption.userinfo.enc userinfo_encrypted_response_enc"}},
		{"a resource server without encryption", func(c *client, _ *rules.Set) {
			*c = profile.ClientMetadata{ClientID: "api", GrantTypes: []string{"client_credentials"}, JWKS: c.JWKS,
				TokenEndpointAuthMethod: "private_key_jwt", TLSClientCertificateBoundAccessTokens: true}
		}, []string{"error encryption.introspection.required introspection_encrypted_response_alg"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set, c := linted(), goodClient(t)
			tc.edit(c, set)
			require.NoError(t, set.Validate())
			before, err := json.Marshal(c)
			require.NoError(t, err)
			require.Equal(t, tc.want, short(set, set.LintClient(c)))
			after, err := json.Marshal(c)
			require.NoError(t, err)
			require.JSONEq(t, string(before), string(after))
		})
	}
}

func TestLintServer(t *testing.T) {
	type server = profile.ServerMetadata
	eddsa := []string{"PS256", "EdDSA"}
	for _, tc := range []struct {
		name string
		edit func(m *server, s *rules.Set)
		want []string
	}{
		{"another method at the token endpoint", func(m *server, _ *rules.Set) {
			m.TokenEndpointAuthMethodsSupported = []string{"private_key_jwt", "tls_client_auth"}
		}, []string{"error client_authentication token_endpoint_auth_methods_supported"}},
		{"another method for introspection", func(m *server, _ *rules.Set) {
			m.IntrospectionEndpointAuthMethodsSupported = []string{"tls_client_auth"}
		}, []string{"error client_authentication introspection_endpoint_auth_methods_supported"}},
		{"another method for revocation", func(m *server, _ *rules.Set) {
			m.RevocationEndpoint, m.RevocationEndpointAuthMethodsSupported = "https://as.example/revoke", []string{"tls_client_auth"}
		}, []string{"error client_authentication revocation_endpoint_auth_methods_supported"}},
		{"DPoP as well", func(m *server, _ *rules.Set) { m.DPoPSigningAlgValuesSupported = []string{"ES256"} },
			[]string{"error bindings dpop_signing_alg_values_supported"}},
		{"no bound certificates", func(m *server, _ *rules.Set) { m.TLSClientCertificateBoundAccessTokens = false },
			[]string{"error bindings tls_client_certificate_bound_access_tokens"}},
		{"bound certificates where DPoP is required", func(_ *server, s *rules.Set) { s.Bindings = []string{"DPoP"} },
			[]string{"error bindings tls_client_certificate_bound_access_tokens", "error bindings dpop_signing_alg_values_supported"}},
		{"no aliases", func(m *server, _ *rules.Set) { m.MTLSEndpointAliases = nil },
			[]string{"warning mutual_tls mtls_endpoint_aliases.pushed_authorization_request_endpoint",
				"warning mutual_tls mtls_endpoint_aliases.token_endpoint"}},
		{"no alias of UserInfo", func(_ *server, s *rules.Set) { s.MutualTLS = []string{"userinfo"} },
			[]string{"warning mutual_tls mtls_endpoint_aliases.userinfo_endpoint"}},
		{"no alias of introspection, and no grants", func(_ *server, s *rules.Set) { s.MutualTLS = []string{"introspection", "grants"} },
			[]string{"warning mutual_tls mtls_endpoint_aliases.introspection_endpoint"}},
		{"another response mode", func(m *server, _ *rules.Set) {
			m.ResponseModesSupported, m.AuthorizationSigningAlgValuesSupported = []string{"query", "jwt"}, []string{"PS256"}
		}, []string{"error response_modes response_modes_supported"}},
		{"another subject type", func(m *server, _ *rules.Set) { m.SubjectTypesSupported = []string{"pairwise", "public"} },
			[]string{"error subject_types subject_types_supported"}},
		{"no refresh tokens", func(m *server, _ *rules.Set) { m.GrantTypesSupported = []string{"authorization_code"} },
			[]string{"error refresh_tokens.required grant_types_supported"}},
		{"other details", func(m *server, _ *rules.Set) {
			m.AuthorizationDetailsTypesSupported = []string{"urn:example:consent", "payment"}
		}, []string{"error request.authorization_details.types authorization_details_types_supported"}},
		{"no details", func(m *server, _ *rules.Set) { m.AuthorizationDetailsTypesSupported = nil },
			[]string{"error request.authorization_details.required authorization_details_types_supported"}},
		{"no scope", func(m *server, s *rules.Set) { s.Request.Scopes = []string{"openid", "consents"} },
			[]string{"error request.scopes scopes_supported"}},
		{"no scopes at all", func(m *server, _ *rules.Set) { m.ScopesSupported = nil }, []string{"error request.scopes scopes_supported"}},
		{"EdDSA assertions", func(m *server, _ *rules.Set) { m.TokenEndpointAuthSigningAlgValuesSupported = eddsa },
			[]string{"error algorithms.signing token_endpoint_auth_signing_alg_values_supported"}},
		{"EdDSA assertions for introspection", func(m *server, _ *rules.Set) { m.IntrospectionEndpointAuthSigningAlgValuesSupported = eddsa },
			[]string{"error algorithms.signing introspection_endpoint_auth_signing_alg_values_supported"}},
		{"EdDSA requests", func(m *server, _ *rules.Set) { m.RequestObjectSigningAlgValuesSupported = eddsa },
			[]string{"error algorithms.signing request_object_signing_alg_values_supported"}},
		{"ES256 ID tokens", func(m *server, _ *rules.Set) { m.IDTokenSigningAlgValuesSupported = []string{"PS256", "ES256"} },
			[]string{"error algorithms.id_token id_token_signing_alg_values_supported"}},
		{"EdDSA UserInfo", func(m *server, _ *rules.Set) { m.UserInfoSigningAlgValuesSupported = eddsa },
			[]string{"error algorithms.signing userinfo_signing_alg_values_supported"}},
		{"EdDSA introspection", func(m *server, _ *rules.Set) { m.IntrospectionSigningAlgValuesSupported = eddsa },
			[]string{"error algorithms.signing introspection_signing_alg_values_supported"}},
		{"no encryption of ID tokens", func(m *server, _ *rules.Set) { m.IDTokenEncryptionAlgValuesSupported = nil },
			[]string{"error encryption.id_token.required id_token_encryption_alg_values_supported"}},
		{"another key encryption", func(m *server, _ *rules.Set) { m.UserInfoEncryptionAlgValuesSupported = []string{"RSA-OAEP-256"} },
			[]string{"error encryption.userinfo.alg userinfo_encryption_alg_values_supported"}},
		{"another content encryption", func(m *server, _ *rules.Set) { m.IntrospectionEncryptionEncValuesSupported = []string{"A128GCM"} },
			[]string{"error encryption.introspection.enc introspection_encryption_enc_values_supported"}},
		{"no parameter claims, because of the intent", func(m *server, _ *rules.Set) { m.ClaimsParameterSupported = false },
			[]string{"error intent.claim claims_parameter_supported"}},
		{"no parameter claims, because of an essential claim", func(m *server, s *rules.Set) {
			m.ClaimsParameterSupported, s.Claims.Essential = false, []string{"txn"}
		}, []string{"error claims.essential claims_parameter_supported"}},
		{"no parameter claims, because of a member", func(m *server, s *rules.Set) {
			m.ClaimsParameterSupported, s.Claims.Top = false, map[string]rules.Integer{"duration": {Max: 9}}
		}, []string{"error claims.top claims_parameter_supported"}},
		{"no parameter claims, because of acr", func(m *server, s *rules.Set) {
			m.ClaimsParameterSupported, s.Intent, s.ACR.Request = false, nil, "essential_without_values"
		}, []string{"error acr.request claims_parameter_supported"}},
		{"no parameter claims, because of claims", func(m *server, s *rules.Set) { m.ClaimsParameterSupported, s.Intent = false, nil },
			[]string{"error claims.supported claims_parameter_supported"}},
		{"none of the claims", func(m *server, _ *rules.Set) { m.ClaimsSupported = []string{"txn", "intent_id"} },
			[]string{"error claims.supported claims_supported"}},
		{"not each claim", func(m *server, _ *rules.Set) { m.ClaimsSupported = []string{"cnpj", "intent_id"} },
			[]string{"error claims.required claims_supported"}},
		{"no claim for the consent", func(m *server, _ *rules.Set) { m.ClaimsSupported = []string{"cnpj", "txn"} },
			[]string{"warning intent.claim claims_supported"}},
		{"another class", func(m *server, _ *rules.Set) { m.ACRValuesSupported = []string{"urn:example:1"} },
			[]string{"error acr.supported acr_values_supported"}},
		{"no further member", func(m *server, _ *rules.Set) { m.Other = nil },
			[]string{"error metadata.verified_claims_supported verified_claims_supported"}},
		{"another value of a further member", func(m *server, _ *rules.Set) {
			m.Other = map[string]json.RawMessage{"verified_claims_supported": json.RawMessage(`"true"`)}
		}, []string{"error metadata.verified_claims_supported verified_claims_supported"}},
		{"the same value in another spelling", func(m *server, s *rules.Set) {
			s.Metadata["verified_claims_supported"] = json.RawMessage(`{"a":1,"b":[2]}`)
			m.Other["verified_claims_supported"] = json.RawMessage(`{ "b": [2.0], "a": 1 }`)
		}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set, m := linted(), goodServer()
			tc.edit(m, set)
			require.NoError(t, set.Validate())
			require.Equal(t, tc.want, short(set, set.LintServer(m)))
		})
	}
}

// TestLintMessageSigning checks that the findings of package profile follow the
// Set, and stand before findings of less severity.
func TestLintMessageSigning(t *testing.T) {
	c, m := goodClient(t), goodServer()
	c.SubjectType, m.RequireSignedRequestObject = "", false
	m.MTLSEndpointAliases = nil
	set := linted()
	set.MessageSigning = []string{"requests", "responses", "introspection"}
	set.ResponseModes = nil
	members := func(findings []profile.Finding) (list []string) {
		for _, f := range findings {
			list = append(list, f.Member)
			require.NotEmpty(t, f.Clause)
			require.NotEmpty(t, f.Remedy)
		}
		return list
	}
	client, server := set.LintClient(c), set.LintServer(m)
	require.Contains(t, members(client), "introspection_signed_response_alg")
	require.Contains(t, members(server), "require_signed_request_object")
	for _, list := range [][]profile.Finding{client, server} {
		require.True(t, slices.IsSortedFunc(list, func(a, b profile.Finding) int {
			order := []string{"error", "warning", "advice"}
			return slices.Index(order, a.Severity) - slices.Index(order, b.Severity)
		}))
	}
}

func TestLintSources(t *testing.T) {
	set := linted()
	c := goodClient(t)
	c.IDTokenSignedResponseAlg, c.AuthorizationDetailsTypes = "ES256", nil
	set.Sources = map[string]string{"algorithms": "Text, §5", "algorithms.id": "wrong", "request.authorization_details": "Text, §9"}
	var clauses []string
	for _, f := range set.LintClient(c) {
		if f.Severity == "error" {
			clauses = append(clauses, f.Clause)
		}
	}
	require.Equal(t, []string{"Text, §9", "Text, §5"}, clauses)
}
