package profile_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/profile"
	"github.com/stretchr/testify/require"
)

// publishable is the metadata of a server that does everything.
func publishable(issuer string) *profile.ServerMetadata {
	base := strings.TrimSuffix(issuer, "/")
	algs := []string{"ES256", "PS256", "EdDSA"}
	return &profile.ServerMetadata{
		Issuer:                             issuer,
		AuthorizationEndpoint:              base + "/authorize",
		TokenEndpoint:                      base + "/token",
		PushedAuthorizationRequestEndpoint: base + "/par",
		JWKSURI:                            base + "/jwks",
		IntrospectionEndpoint:              base + "/introspect",
		RevocationEndpoint:                 base + "/revoke",
		MTLSEndpointAliases: &profile.MTLSEndpointAliases{
			TokenEndpoint:                      "https://mtls.example/token",
			PushedAuthorizationRequestEndpoint: "https://mtls.example/par",
		},
		ScopesSupported:                                 []string{"openid", "accounts"},
		ResponseTypesSupported:                          []string{"code"},
		ResponseModesSupported:                          []string{"query", "jwt"},
		GrantTypesSupported:                             []string{"authorization_code", "refresh_token", "client_credentials"},
		CodeChallengeMethodsSupported:                   []string{"S256"},
		TokenEndpointAuthMethodsSupported:               []string{"private_key_jwt", "tls_client_auth"},
		TokenEndpointAuthSigningAlgValuesSupported:      algs,
		RevocationEndpointAuthMethodsSupported:          []string{"private_key_jwt"},
		RevocationEndpointAuthSigningAlgValuesSupported: algs,
		DPoPSigningAlgValuesSupported:                   algs,
		TLSClientCertificateBoundAccessTokens:           true,
		RequirePushedAuthorizationRequests:              true,
		AuthorizationResponseIssParameterSupported:      true,
		RequestObjectSigningAlgValuesSupported:          algs,
		AuthorizationSigningAlgValuesSupported:          algs,
		IntrospectionSigningAlgValuesSupported:          algs,
		SubjectTypesSupported:                           []string{"public"},
		IDTokenSigningAlgValuesSupported:                algs,
	}
}

const issuer = "https://as.example"

// causes lists the problems of a joined error.
func causes(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return nil
}

type metadataChange struct {
	name string
	edit func(*profile.ServerMetadata)
	want string // part of the one problem
}

func TestMetadataThatAClientRefuses(t *testing.T) {
	require.NoError(t, publishable(issuer).Validate(issuer))
	for _, tc := range []metadataChange{
		{"MD-2-2 no token endpoint", func(m *profile.ServerMetadata) { m.TokenEndpoint, m.MTLSEndpointAliases = "", nil }, "missing token_endpoint"},
		{"MD-2-2 no authorization endpoint", func(m *profile.ServerMetadata) { m.AuthorizationEndpoint = "" }, "missing authorization_endpoint"},
		{"MD-2-3 no response types", func(m *profile.ServerMetadata) { m.ResponseTypesSupported = nil }, "missing response_types_supported"},
		{"SP-5.2.1-1 http", func(m *profile.ServerMetadata) { m.TokenEndpoint = "http://as.example/token" }, "token_endpoint"},
		{"SP-5.2.1-1 http on the loopback interface", func(m *profile.ServerMetadata) { m.AuthorizationEndpoint = "http://127.0.0.1/a" }, "authorization_endpoint"},
		{"SP-5.2.1-1 a path alone", func(m *profile.ServerMetadata) { m.PushedAuthorizationRequestEndpoint = "/par" }, "pushed_authorization_request_endpoint"},
		{"SP-5.2.1-1 user information", func(m *profile.ServerMetadata) { m.IntrospectionEndpoint = "https://a@b.example" }, "introspection_endpoint"},
		{"a fragment", func(m *profile.ServerMetadata) { m.RevocationEndpoint = "https://as.example/#r" }, "revocation_endpoint"},
		{"SP-5.2.1-1 a script", func(m *profile.ServerMetadata) { m.EndSessionEndpoint = "javascript:alert(1)" }, "end_session_endpoint"},
		{"SP-5.4.2-1 keys over http", func(m *profile.ServerMetadata) { m.JWKSURI = "http://as.example/jwks" }, "jwks_uri"},
		{"SP-5.2.1-1 an alias over http", func(m *profile.ServerMetadata) { m.MTLSEndpointAliases.TokenEndpoint = "http://as.example/t" }, "mtls_endpoint_aliases.token_endpoint"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := publishable(issuer)
			tc.edit(m)
			err := m.Validate(issuer)
			require.ErrorIs(t, err, profile.ErrServerMetadata)
			require.Len(t, causes(err), 1)
			require.ErrorContains(t, err, tc.want)
			require.Error(t, m.CheckPublished())
		})
	}
	t.Run("MD-2-2 a server without the code flow needs no authorization endpoint", func(t *testing.T) {
		m := publishable(issuer)
		m.GrantTypesSupported = []string{"client_credentials"}
		m.AuthorizationEndpoint, m.PushedAuthorizationRequestEndpoint, m.ResponseTypesSupported = "", "", nil
		m.MTLSEndpointAliases, m.AuthorizationResponseIssParameterSupported = nil, false
		require.NoError(t, m.Validate(issuer))
		require.NoError(t, m.CheckBaseline())
		require.NoError(t, m.CheckPublished())
	})
	t.Run("a query in an endpoint is its own", func(t *testing.T) {
		m := publishable(issuer)
		m.TokenEndpoint += "?tenant=1"
		require.NoError(t, m.Validate(issuer))
	})
	t.Run("all problems at once", func(t *testing.T) {
		require.Len(t, causes((&profile.ServerMetadata{Issuer: issuer}).Validate(issuer)), 3)
	})
}

func TestTheIssuerIsComparedAsAString(t *testing.T) {
	for _, tc := range []struct{ name, document string }{
		{"MD-3.3-1, SP-5.3.3.1-11 another one", "https://evil.example"},
		{"MD-3.3-1, SP-5.3.3.1-11 a slash more", "https://as.example/"},
		{"MD-3.3-1, SP-5.3.3.1-11 a port more", "https://as.example:443"},
		{"MD-4-1 another case of the host", "https://AS.example"},
		{"MD-4-1 another spelling of a path", "https://as.example/%7e"},
		{"MD-3.3-1 none", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := publishable(issuer)
			m.Issuer = tc.document
			require.ErrorIs(t, m.Validate(issuer), profile.ErrIssuerMismatch)
		})
	}
	require.ErrorIs(t, publishable("http://as.example").Validate("http://as.example"), profile.ErrIssuer, "MD-2-1")
}

func TestServersWithoutFAPI(t *testing.T) {
	require.NoError(t, publishable(issuer).CheckBaseline())
	for _, tc := range []metadataChange{
		{"MD-2-2 no token endpoint", func(m *profile.ServerMetadata) { m.TokenEndpoint = "" }, "missing token_endpoint"},
		{"MD-2-2 no authorization endpoint", func(m *profile.ServerMetadata) { m.AuthorizationEndpoint = "" }, "missing authorization_endpoint"},
		{"PAR-2-2 no pushed requests", func(m *profile.ServerMetadata) { m.PushedAuthorizationRequestEndpoint = "" }, "pushed"},
		{"MD-2-3 no code", func(m *profile.ServerMetadata) { m.ResponseTypesSupported = []string{"code id_token"} }, "response_types_supported"},
		{"MD-2-6 fragments only", func(m *profile.ServerMetadata) { m.ResponseModesSupported = []string{"fragment"} }, "response_modes_supported"},
		{"MD-2-9 plain only", func(m *profile.ServerMetadata) { m.CodeChallengeMethodsSupported = []string{"plain"} }, "S256"},
		{"ISS-2.3-2, ISS-3-1 no iss, as absence means", func(m *profile.ServerMetadata) { m.AuthorizationResponseIssParameterSupported = false }, "iss_parameter"},
		{"MD-2-7 absent methods mean a secret", func(m *profile.ServerMetadata) { m.TokenEndpointAuthMethodsSupported = nil }, "auth_methods"},
		{"MD-2-7 secrets only", func(m *profile.ServerMetadata) {
			m.TokenEndpointAuthMethodsSupported = []string{"client_secret_post", "none"}
		}, "auth_methods"},
		{"MD-2-8 assertions with RS256 only", func(m *profile.ServerMetadata) {
			m.TokenEndpointAuthMethodsSupported = []string{"private_key_jwt"}
			m.TokenEndpointAuthSigningAlgValuesSupported = []string{"RS256", "none"}
		}, "signing_alg"},
		{"SP-5.3.2.1-4 no way to bind tokens", func(m *profile.ServerMetadata) {
			m.DPoPSigningAlgValuesSupported, m.TLSClientCertificateBoundAccessTokens = nil, false
		}, "dpop"},
		{"SP-5.4.1-1.2 proofs with RS256 only", func(m *profile.ServerMetadata) {
			m.DPoPSigningAlgValuesSupported, m.TLSClientCertificateBoundAccessTokens = []string{"RS256"}, false
		}, "dpop"},
		{"MD-2-5 other grant types only", func(m *profile.ServerMetadata) { m.GrantTypesSupported = []string{"password"} }, "grant_types"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := publishable(issuer)
			tc.edit(m)
			err := m.CheckBaseline()
			require.ErrorIs(t, err, profile.ErrServerMetadata)
			require.Len(t, causes(err), 1)
			require.ErrorContains(t, err, tc.want)
			require.Error(t, m.CheckPublished())
		})
	}
	for _, tc := range []struct {
		name string
		edit func(*profile.ServerMetadata)
	}{
		{"MD-2-9 absent PKCE methods include S256", func(m *profile.ServerMetadata) { m.CodeChallengeMethodsSupported = nil }},
		{"MD-2-6 absent response modes include query", func(m *profile.ServerMetadata) { m.ResponseModesSupported = nil }},
		{"MD-2-5 absent grant types include the code", func(m *profile.ServerMetadata) { m.GrantTypesSupported = nil }},
		{"MD-2-9 S256 among others", func(m *profile.ServerMetadata) { m.CodeChallengeMethodsSupported = []string{"plain", "S256"} }},
		{"MD-2-7 private_key_jwt among others", func(m *profile.ServerMetadata) {
			m.TokenEndpointAuthMethodsSupported = []string{"none", "private_key_jwt"}
		}},
		{"MTLS-3.3-1 certificates alone", func(m *profile.ServerMetadata) { m.DPoPSigningAlgValuesSupported = nil }},
		{"DPOP-5.1-1 DPoP alone", func(m *profile.ServerMetadata) { m.TLSClientCertificateBoundAccessTokens = false }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := publishable(issuer)
			tc.edit(m)
			require.NoError(t, m.CheckBaseline())
		})
	}
	require.Len(t, causes((&profile.ServerMetadata{}).CheckBaseline()), 7)
}

func TestMetadataThatMustNotBePublished(t *testing.T) {
	require.NoError(t, publishable(issuer).CheckPublished())
	for _, tc := range []metadataChange{
		{"MD-2-3 more than code", func(m *profile.ServerMetadata) { m.ResponseTypesSupported = []string{"code", "token"} }, "response_types_supported"},
		{"MD-2-5 the default includes implicit", func(m *profile.ServerMetadata) { m.GrantTypesSupported = nil }, "grant_types_supported"},
		{"MD-2-5 implicit", func(m *profile.ServerMetadata) { m.GrantTypesSupported = append(m.GrantTypesSupported, "implicit") }, "grant_types_supported"},
		{"SP-5.3.2.1-2 the password grant", func(m *profile.ServerMetadata) { m.GrantTypesSupported = append(m.GrantTypesSupported, "password") }, "grant_types_supported"},
		{"MD-2-6 fragment", func(m *profile.ServerMetadata) {
			m.ResponseModesSupported = append(m.ResponseModesSupported, "fragment")
		}, "fragment"},
		{"MD-2-9 plain", func(m *profile.ServerMetadata) { m.CodeChallengeMethodsSupported = []string{"plain", "S256"} }, "code_challenge"},
		{"MD-2-9 absent", func(m *profile.ServerMetadata) { m.CodeChallengeMethodsSupported = nil }, "code_challenge"},
		{"MD-2-7, SP-5.3.2.1-6 client secrets", func(m *profile.ServerMetadata) {
			m.TokenEndpointAuthMethodsSupported = append(m.TokenEndpointAuthMethodsSupported, "client_secret_basic")
		}, "token_endpoint_auth_methods"},
		{"MD-2-8 no algorithms for assertions", func(m *profile.ServerMetadata) { m.TokenEndpointAuthSigningAlgValuesSupported = nil }, "token_endpoint_auth_signing_alg"},
		{"MD-2-8, SP-5.4.1-1.2 RS256 for assertions", func(m *profile.ServerMetadata) {
			m.TokenEndpointAuthSigningAlgValuesSupported = []string{"RS256", "PS256"}
		}, "token_endpoint_auth_signing_alg"},
		{"MD-2-8, SP-5.4.1-1.3 none for assertions", func(m *profile.ServerMetadata) {
			m.TokenEndpointAuthSigningAlgValuesSupported = []string{"none", "PS256"}
		}, "token_endpoint_auth_signing_alg"},
		{"MD-2-10 revocation with the default, a secret", func(m *profile.ServerMetadata) {
			m.RevocationEndpointAuthMethodsSupported = nil
		}, "revocation_endpoint_auth_methods"},
		{"MD-2-10 introspection with a secret", func(m *profile.ServerMetadata) {
			m.IntrospectionEndpointAuthMethodsSupported = []string{"client_secret_basic"}
		}, "introspection_endpoint_auth_methods"},
		{"SP-5.4.1-1.2 ID tokens with RS256", func(m *profile.ServerMetadata) { m.IDTokenSigningAlgValuesSupported = []string{"RS256"} }, "id_token_signing"},
		{"SP-5.4.1-1.3 request objects with none", func(m *profile.ServerMetadata) { m.RequestObjectSigningAlgValuesSupported = []string{"none"} }, "request_object_signing"},
		{"MD-2-4 signatures without keys", func(m *profile.ServerMetadata) { m.JWKSURI = "" }, "missing jwks_uri"},
		{"openid without subject types", func(m *profile.ServerMetadata) { m.SubjectTypesSupported = nil }, "subject_types"},
		{"openid without ID token algorithms", func(m *profile.ServerMetadata) { m.IDTokenSigningAlgValuesSupported = nil }, "id_token_signing"},
		{"JARM-4-2 signed responses without their mode", func(m *profile.ServerMetadata) { m.ResponseModesSupported = []string{"query"} }, "authorization_signing_alg_values_supported"},
		{"JARM-4-1 the mode without algorithms", func(m *profile.ServerMetadata) { m.AuthorizationSigningAlgValuesSupported = nil }, "authorization_signing_alg_values_supported"},
		{"an alias without its endpoint", func(m *profile.ServerMetadata) {
			m.MTLSEndpointAliases.UserInfoEndpoint = "https://mtls.example/userinfo"
		}, "userinfo_endpoint"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := publishable(issuer)
			tc.edit(m)
			err := m.CheckPublished()
			require.ErrorIs(t, err, profile.ErrServerMetadata)
			require.Len(t, causes(err), 1)
			require.ErrorContains(t, err, tc.want)
			require.Equal(t, 500, get(t, m.Handler(), "GET", "/.well-known/openid-configuration").Code)
		})
	}
}

func TestForMTLS(t *testing.T) {
	t.Run("MTLS-5-1, SP-5.3.3.1-7, SP-5.2.2.1-3 an alias goes before, where there is one", func(t *testing.T) {
		m := publishable(issuer)
		before := *m
		got := m.ForMTLS()
		require.Equal(t, "https://mtls.example/token", got.TokenEndpoint)
		require.Equal(t, "https://mtls.example/par", got.PushedAuthorizationRequestEndpoint)
		require.Equal(t, m.RevocationEndpoint, got.RevocationEndpoint)
		require.Equal(t, m.AuthorizationEndpoint, got.AuthorizationEndpoint)
		require.Equal(t, before, *m, "the original is as it was")
	})
	t.Run("MTLS-5-2 an alias of the authorization endpoint is ignored", func(t *testing.T) {
		m := new(profile.ServerMetadata)
		require.NoError(t, json.Unmarshal([]byte(`{"issuer":"https://as.example","authorization_endpoint":"https://as.example/a",
			"mtls_endpoint_aliases":{"authorization_endpoint":"https://evil.example/a","device_endpoint":7}}`), m))
		require.Equal(t, "https://as.example/a", m.ForMTLS().AuthorizationEndpoint)
	})
	t.Run("without aliases", func(t *testing.T) {
		m := publishable(issuer)
		m.MTLSEndpointAliases = nil
		require.Equal(t, m, m.ForMTLS())
	})
}

func TestServerMetadataJSON(t *testing.T) {
	for _, tc := range []struct{ name, document string }{
		{"a duplicate member", `{"issuer":"https://as.example","issuer":"https://evil.example"}`},
		{"a member in two cases", `{"issuer":"https://as.example","Issuer":"https://evil.example"}`},
		{"a duplicate among the aliases", `{"mtls_endpoint_aliases":{"token_endpoint":"a","token_endpoint":"b"}}`},
		{"a number for a string", `{"issuer":1}`},
		{"a list", `[]`},
		{"nothing", ``},
		{"bytes behind", `{} {}`},
		{"too long", `{"x":"` + strings.Repeat("x", 1<<20) + `"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := profile.ServerMetadata{Issuer: issuer}
			require.ErrorIs(t, m.UnmarshalJSON([]byte(tc.document)), profile.ErrServerMetadata)
			require.Equal(t, profile.ServerMetadata{Issuer: issuer}, m, "unchanged")
		})
	}
	t.Run("exact names, defaults, unknown members", func(t *testing.T) {
		m := profile.ServerMetadata{TokenEndpoint: "https://left.over"}
		require.NoError(t, json.Unmarshal([]byte(`{"ISSUER":"x","unknown":{"a":[1]},"scopes_supported":null}`), &m))
		require.Equal(t, profile.ServerMetadata{
			RequestURIParameterSupported: true, Other: map[string]json.RawMessage{"unknown": json.RawMessage(`{"a":[1]}`)},
		}, m, "a member in another case is none of Other")
		text, err := json.Marshal(m)
		require.NoError(t, err)
		require.JSONEq(t, `{"issuer":"","request_uri_parameter_supported":true,"unknown":{"a":[1]}}`, string(text))
	})
	t.Run("members without a field", func(t *testing.T) {
		for _, other := range []map[string]json.RawMessage{
			{"issuer": json.RawMessage(`"https://evil.example"`)}, {"Issuer": json.RawMessage(`"https://evil.example"`)},
			{"a": json.RawMessage(`{`)}, {"a": json.RawMessage(`{"b":1,"b":2}`)}, {"a": nil, "A": nil}, {"a": json.RawMessage(`1,"issuer":2`)},
		} {
			_, err := json.Marshal(profile.ServerMetadata{Issuer: issuer, Other: other})
			require.Error(t, err, "%s", other)
		}
	})
	t.Run("MD-2-12 every member has a name of its own and comes back", func(t *testing.T) {
		checkEveryMember(t, profile.ServerMetadata{})
		checkEveryMember(t, profile.MTLSEndpointAliases{})
	})
}

// checkEveryMember fills in one field of a struct after the other.
func checkEveryMember(t *testing.T, zero any) {
	t.Helper()
	for i := range reflect.TypeOf(zero).NumField() {
		if !reflect.TypeOf(zero).Field(i).IsExported() {
			continue
		}
		v := reflect.New(reflect.TypeOf(zero))
		name := v.Elem().Type().Field(i).Tag.Get("json")
		name, _, _ = strings.Cut(name, ",")
		switch f := v.Elem().Field(i); f.Interface().(type) {
		case string:
			f.SetString("x")
		case bool:
			f.SetBool(true)
		case []string:
			f.Set(reflect.ValueOf([]string{"x", "y"}))
		default:
			continue
		}
		require.Regexp(t, `^[a-z0-9_]+$`, name)
		data, err := json.Marshal(v.Interface())
		require.NoError(t, err)
		var members map[string]any
		require.NoError(t, json.Unmarshal(data, &members))
		require.Contains(t, members, name)
		read := reflect.New(v.Elem().Type())
		require.NoError(t, json.Unmarshal(data, read.Interface()))
		require.Equal(t, v.Interface(), read.Interface(), name)
	}
}

func FuzzServerMetadata(f *testing.F) {
	full, err := json.Marshal(publishable(issuer))
	require.NoError(f, err)
	f.Add(full)
	f.Add([]byte(`{"issuer":"https://as.example","mtls_endpoint_aliases":null,"response_types_supported":[]}`))
	f.Add([]byte(`{"issuer":"\u00e4","scopes_supported":[null],"x":{"x":[]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		first := new(profile.ServerMetadata)
		if err := first.UnmarshalJSON(data); err != nil {
			require.ErrorIs(t, err, profile.ErrServerMetadata)
			require.Equal(t, new(profile.ServerMetadata), first)
			return
		}
		once, err := json.Marshal(first)
		require.NoError(t, err)
		second := new(profile.ServerMetadata)
		require.NoError(t, second.UnmarshalJSON(once))
		again, err := json.Marshal(second)
		require.NoError(t, err)
		require.Equal(t, string(once), string(again))
		if err := first.Validate(first.Issuer); err == nil {
			require.NoError(t, second.Validate(second.Issuer))
			require.NoError(t, profile.CheckIssuer(first.Issuer))
			require.NotEmpty(t, first.TokenEndpoint)
		} else {
			require.True(t, errors.Is(err, profile.ErrIssuer) || errors.Is(err, profile.ErrServerMetadata))
		}
	})
}
