package profile_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/stretchr/testify/require"
)

func keySet(t testing.TB, keys ...jwks.Key) *jwks.Set {
	t.Helper()
	if len(keys) == 0 {
		keys = []jwks.Key{{Public: testkit.ECKey(t, "client").Public()}}
	}
	set, err := jwks.NewSet(keys...)
	require.NoError(t, err)
	return set
}

// withEntries returns the document of a set with more entries behind its keys.
func withEntries(t testing.TB, set *jwks.Set, entries ...string) string {
	t.Helper()
	doc, err := set.MarshalJSON()
	require.NoError(t, err)
	return strings.TrimSuffix(string(doc), "]}") + "," + strings.Join(entries, ",") + "]}"
}

func readKeySet(t testing.TB, entries ...string) *jwks.Set {
	t.Helper()
	set, err := jwks.Parse([]byte(withEntries(t, keySet(t), entries...)))
	require.NoError(t, err)
	return set
}

// registration is that of an ordinary client: assertions, DPoP, the code flow.
func registration(t testing.TB) *profile.ClientMetadata {
	return &profile.ClientMetadata{
		ClientID:                "s6BhdRkqt3",
		ClientName:              "Fintech",
		RedirectURIs:            []string{"https://client.example/cb", "https://client.example/cb?a=b", "http://127.0.0.1:8080/cb", "http://[::1]/cb"},
		GrantTypes:              []string{"authorization_code", "refresh_token"},
		ResponseTypes:           []string{"code"},
		Scope:                   "openid accounts",
		JWKS:                    keySet(t),
		TokenEndpointAuthMethod: "private_key_jwt",
		DPoPBoundAccessTokens:   true,
	}
}

type clientChange struct {
	name string
	edit func(*profile.ClientMetadata)
}

func TestClientsThatFAPIAllows(t *testing.T) {
	for _, tc := range []clientChange{
		{"as it is", func(c *profile.ClientMetadata) {}},
		{"defaults", func(c *profile.ClientMetadata) { c.GrantTypes, c.ResponseTypes, c.Scope = nil, nil, "" }},
		{"SP-5.4.2-R2 keys by reference", func(c *profile.ClientMetadata) { c.JWKS, c.JWKSURI = nil, "https://client.example/jwks" }},
		{"SP-5.3.2.1-6 tls_client_auth without keys", func(c *profile.ClientMetadata) {
			c.JWKS, c.TokenEndpointAuthMethod, c.TLSClientAuthSANDNS = nil, "tls_client_auth", "client.example"
		}},
		{"SP-5.3.2.1-6 self_signed_tls_client_auth", func(c *profile.ClientMetadata) { c.TokenEndpointAuthMethod = "self_signed_tls_client_auth" }},
		{"MTLS-3.4-1 tokens bound by certificate", func(c *profile.ClientMetadata) {
			c.DPoPBoundAccessTokens, c.TLSClientCertificateBoundAccessTokens, c.UseMTLSEndpointAliases = false, true, true
		}},
		{"client credentials alone need no redirect_uris", func(c *profile.ClientMetadata) {
			c.GrantTypes, c.RedirectURIs = []string{"client_credentials"}, nil
		}},
		{"MS-5.3.3-1 all response modes of FAPI 2.0", func(c *profile.ClientMetadata) {
			c.ResponseModes = []string{"query", "jwt", "query.jwt", "form_post.jwt"}
		}},
		{"SP-5.4.1-1.2 algorithms", func(c *profile.ClientMetadata) {
			c.TokenEndpointAuthSigningAlg, c.RequestObjectSigningAlg = "ES256", "ES256"
			c.AuthorizationSignedResponseAlg, c.IntrospectionSignedResponseAlg, c.IDTokenSignedResponseAlg = "PS256", "EdDSA", "Ed25519"
		}},
		{"JARM-3-2 encryption with and without enc", func(c *profile.ClientMetadata) {
			c.AuthorizationEncryptedResponseAlg, c.AuthorizationEncryptedResponseEnc = "RSA-OAEP-256", "A256GCM"
			c.IntrospectionEncryptedResponseAlg = "RSA-OAEP-256"
		}},
		{"a client_id that is a URL", func(c *profile.ClientMetadata) { c.ClientID = "https://client.example/id" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := registration(t)
			tc.edit(c)
			require.NoError(t, c.Validate())
			data, err := json.Marshal(c)
			require.NoError(t, err)
			read := new(profile.ClientMetadata)
			require.NoError(t, json.Unmarshal(data, read))
			require.NoError(t, read.Validate())
			again, err := json.Marshal(read)
			require.NoError(t, err)
			require.Equal(t, string(data), string(again))
		})
	}
}

func TestClientsThatFAPIRefuses(t *testing.T) {
	for _, tc := range []clientChange{
		{"no client_id", func(c *profile.ClientMetadata) { c.ClientID = "" }},
		{"a client_id with a control character", func(c *profile.ClientMetadata) { c.ClientID = "a\nb" }},
		{"a client_id that is not ASCII", func(c *profile.ClientMetadata) { c.ClientID = "clïent" }},
		{"a client_id without end", func(c *profile.ClientMetadata) { c.ClientID = strings.Repeat("x", 1025) }},
		{"SP-5.3.2.1-2 the password grant", func(c *profile.ClientMetadata) { c.GrantTypes = append(c.GrantTypes, "password") }},
		{"the implicit grant", func(c *profile.ClientMetadata) { c.GrantTypes = append(c.GrantTypes, "implicit") }},
		{"refresh tokens without codes", func(c *profile.ClientMetadata) { c.GrantTypes = []string{"client_credentials", "refresh_token"} }},
		{"SP-5.3.2.2-1 a response type other than code", func(c *profile.ClientMetadata) { c.ResponseTypes = []string{"code", "code id_token"} }},
		{"MS-5.3.3-1 fragment", func(c *profile.ClientMetadata) { c.ResponseModes = []string{"fragment"} }},
		{"MS-5.3.3-1 fragment.jwt", func(c *profile.ClientMetadata) { c.ResponseModes = []string{"fragment.jwt"} }},
		{"a scope with two spaces", func(c *profile.ClientMetadata) { c.Scope = "openid  accounts" }},
		{"a scope with a quotation mark", func(c *profile.ClientMetadata) { c.Scope = `a"b` }},
		{"an empty type of authorization details", func(c *profile.ClientMetadata) { c.AuthorizationDetailsTypes = []string{""} }},
		{"SP-5.3.2.1-6 no method, which means client_secret_basic", func(c *profile.ClientMetadata) { c.TokenEndpointAuthMethod = "" }},
		{"SP-5.3.2.1-6 client_secret_basic", func(c *profile.ClientMetadata) { c.TokenEndpointAuthMethod = "client_secret_basic" }},
		{"SP-5.3.2.1-6 client_secret_jwt", func(c *profile.ClientMetadata) { c.TokenEndpointAuthMethod = "client_secret_jwt" }},
		{"SP-5.3.2.1-3 a public client", func(c *profile.ClientMetadata) { c.TokenEndpointAuthMethod = "none" }},
		{"MTLS-2.1.2-1 tls_client_auth without a subject", func(c *profile.ClientMetadata) { c.TokenEndpointAuthMethod = "tls_client_auth" }},
		{"MTLS-2.1.2-1 tls_client_auth with two", func(c *profile.ClientMetadata) {
			c.TokenEndpointAuthMethod, c.TLSClientAuthSANDNS, c.TLSClientAuthSANEmail = "tls_client_auth", "client.example", "a@client.example"
		}},
		{"MTLS-2.1.2-1 a subject for another method", func(c *profile.ClientMetadata) { c.TLSClientAuthSubjectDN = "CN=client" }},
		{"an assertion algorithm without assertions", func(c *profile.ClientMetadata) {
			c.TokenEndpointAuthMethod, c.TokenEndpointAuthSigningAlg = "self_signed_tls_client_auth", "ES256"
		}},
		{"private_key_jwt without keys", func(c *profile.ClientMetadata) { c.JWKS = nil }},
		{"MTLS-2.2.2-1 self_signed_tls_client_auth without keys", func(c *profile.ClientMetadata) {
			c.JWKS, c.TokenEndpointAuthMethod = nil, "self_signed_tls_client_auth"
		}},
		{"JAR-10.5-1 signed requests without keys", func(c *profile.ClientMetadata) {
			c.JWKS, c.TokenEndpointAuthMethod, c.TLSClientAuthSANDNS, c.RequireSignedRequestObject = nil, "tls_client_auth", "client.example", true
		}},
		{"keys by value and by reference", func(c *profile.ClientMetadata) { c.JWKSURI = "https://client.example/jwks" }},
		{"SP-5.4.2-1 keys over http", func(c *profile.ClientMetadata) { c.JWKS, c.JWKSURI = nil, "http://client.example/jwks" }},
		{"a set without a key", func(c *profile.ClientMetadata) { c.JWKS = new(jwks.Set) }},
		{"a set with an encryption key alone", func(c *profile.ClientMetadata) {
			c.JWKS = keySet(t, jwks.Key{Public: testkit.ECKey(t, "client").Public(), Use: "enc"})
		}},
		{"no key for the algorithm registered", func(c *profile.ClientMetadata) { c.TokenEndpointAuthSigningAlg = "EdDSA" }},
		{"no key for the algorithm of request objects", func(c *profile.ClientMetadata) { c.RequestObjectSigningAlg = "PS256" }},
		{"SP-5.4.1-1.2 RS256 for assertions", func(c *profile.ClientMetadata) { c.TokenEndpointAuthSigningAlg = "RS256" }},
		{"SP-5.4.1-1.3 none for request objects", func(c *profile.ClientMetadata) { c.RequestObjectSigningAlg = "none" }},
		{"JARM-3-1 RS256 for authorization responses", func(c *profile.ClientMetadata) { c.AuthorizationSignedResponseAlg = "RS256" }},
		{"JARM-3-1 none for authorization responses", func(c *profile.ClientMetadata) { c.AuthorizationSignedResponseAlg = "none" }},
		{"JARM-3-2 enc without alg", func(c *profile.ClientMetadata) { c.AuthorizationEncryptedResponseEnc = "A256GCM" }},
		{"INT-9701-6-1 RS256 for introspection responses", func(c *profile.ClientMetadata) { c.IntrospectionSignedResponseAlg = "RS256" }},
		{"INT-9701-6-1 enc without alg", func(c *profile.ClientMetadata) { c.IntrospectionEncryptedResponseEnc = "A256GCM" }},
		{"SP-5.4.1-1.2 HS256 for ID tokens", func(c *profile.ClientMetadata) { c.IDTokenSignedResponseAlg = "HS256" }},
		{"SP-5.3.2.1-4, DPOP-5.2-1 unbound tokens", func(c *profile.ClientMetadata) { c.DPoPBoundAccessTokens = false }},
		{"SP-5.3.2.1-4, MTLS-3.4-1 tokens bound twice", func(c *profile.ClientMetadata) { c.TLSClientCertificateBoundAccessTokens = true }},
		{"an unknown application type", func(c *profile.ClientMetadata) { c.ApplicationType = "spa" }},
		{"an unknown subject type", func(c *profile.ClientMetadata) { c.SubjectType = "private" }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := registration(t)
			tc.edit(c)
			err := c.Validate()
			require.ErrorIs(t, err, profile.ErrClientMetadata)
			require.NotErrorIs(t, err, profile.ErrClientRedirectURI)
			require.Len(t, causes(err), 1)
			code, _, status := oautherr.From(err)
			require.Equal(t, "invalid_client_metadata", code)
			require.Equal(t, 400, status)
		})
	}
}

// The subject of a certificate is checked where it is registered, and not at the client's first request.
func TestCertificateSubjectsOfClients(t *testing.T) {
	for _, tc := range []struct {
		name, dn, dns, uri, ip, email string
		ok                            bool
	}{
		{name: "MTLS-2.1.2-1 a DN", dn: `CN=client\, one,OU=A+OU=B,O=Example,C=US`, ok: true},
		{name: "MTLS-2.1.2-1 a DN with types by number", dn: "2.5.4.97=PSDDE-BAFIN-1,C=DE", ok: true},
		{name: "MTLS-2.1.2-1 a DNS name", dns: "Client.example", ok: true},
		{name: "MTLS-2.1.2-1 a URI", uri: "spiffe://example/client", ok: true},
		{name: "MTLS-2.1.2-2 an IPv4 address", ip: "192.0.2.1", ok: true},
		{name: "MTLS-2.1.2-2 an IPv6 address", ip: "2001:DB8::1", ok: true},
		{name: "MTLS-2.1.2-1 an e-mail address", email: "Ops@client.example", ok: true},

		{name: "MTLS-2.1.2-1 a DN that is none", dn: "client"},
		{name: "MTLS-2.1.2-1 a DN as OpenSSL used to write it", dn: "/C=US/O=Example/CN=client"},
		{name: "MTLS-2.1.2-1 a DN with an unknown type", dn: "XN=client"},
		{name: "MTLS-2.1.2-1 a DN that ends early", dn: "CN=client,"},
		{name: "MTLS-2.1.2-1 a DN without end", dn: "CN=" + strings.Repeat("x", 4096)},
		{name: "MTLS-2.1.2-1 a wildcard", dns: "*.client.example"},
		{name: "MTLS-2.1.2-1 a DNS name with a dot at its end", dns: "client.example."},
		{name: "MTLS-2.1.2-1 a DNS name in Unicode", dns: "clïent.example"},
		{name: "MTLS-2.1.2-1 a DNS name with NUL", dns: "client.example\x00.evil.example"},
		{name: "MTLS-2.1.2-1 a URI without a scheme", uri: "//client.example"},
		{name: "MTLS-2.1.2-2 a prefix", ip: "192.0.2.0/24"},
		{name: "MTLS-2.1.2-2 an address with a zone", ip: "fe80::1%eth0"},
		{name: "MTLS-2.1.2-2 an address with leading zeros", ip: "192.000.002.001"},
		{name: "MTLS-2.1.2-1 an e-mail address without host", email: "ops@"},
		{name: "MTLS-2.1.2-1 two", dns: "client.example", ip: "192.0.2.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := registration(t)
			c.TokenEndpointAuthMethod = "tls_client_auth"
			c.TLSClientAuthSubjectDN, c.TLSClientAuthSANDNS, c.TLSClientAuthSANURI, c.TLSClientAuthSANIP, c.TLSClientAuthSANEmail = tc.dn, tc.dns, tc.uri, tc.ip, tc.email
			err := c.Validate()
			if tc.ok {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, profile.ErrClientMetadata)
			require.Len(t, causes(err), 1)
			code, description, status := oautherr.From(err)
			require.Equal(t, []any{"invalid_client_metadata", "the client metadata is not acceptable", 400}, []any{code, description, status})
			c.TokenEndpointAuthMethod = "self_signed_tls_client_auth"
			require.Len(t, causes(c.Validate()), 1, "of no use there")
		})
	}
}

func TestRedirectURIsThatFAPIRefuses(t *testing.T) {
	for _, tc := range []struct{ name, uri string }{
		{"empty", ""},
		{"relative", "/cb"},
		{"BCP-2.6-3, SP-5.3.2.2-8 http", "http://client.example/cb"},
		{"BCP-2.6-3 http on localhost, which is a name like any other", "http://localhost/cb"},
		{"BCP-2.6-3 http on what only begins like the loopback interface", "http://127.0.0.1.evil.example/cb"},
		{"BCP-2.6-3 http on the loopback interface as user information", "http://127.0.0.1@evil.example/cb"},
		{"a fragment", "https://client.example/cb#x"},
		{"an empty fragment", "https://client.example/cb#"},
		{"no host", "https:///cb"},
		{"user information", "https://a@client.example/cb"},
		{"an app's own scheme", "com.example.app:/cb"},
		{"a script", "javascript:alert(1)"},
		{"a space", "https://client.example/c b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := registration(t)
			c.RedirectURIs = append(c.RedirectURIs, tc.uri)
			err := c.Validate()
			require.ErrorIs(t, err, profile.ErrClientRedirectURI)
			require.NotErrorIs(t, err, profile.ErrClientMetadata)
			require.Len(t, causes(err), 1)
			code, _, status := oautherr.From(err)
			require.Equal(t, "invalid_redirect_uri", code)
			require.Equal(t, 400, status)
		})
	}
	t.Run("none at all, with the code grant", func(t *testing.T) {
		c := registration(t)
		c.RedirectURIs = nil
		require.ErrorIs(t, c.Validate(), profile.ErrClientRedirectURI)
	})
}

func TestClientProblemsComeAllAtOnce(t *testing.T) {
	err := (&profile.ClientMetadata{}).Validate()
	require.Len(t, causes(err), 4, "client_id, method, binding, redirect_uris: %v", err)
	for _, text := range []string{"client_id", "token_endpoint_auth_method", "dpop_bound", "redirect_uris"} {
		require.ErrorContains(t, err, text)
	}
	require.ErrorIs(t, err, profile.ErrClientMetadata)
	require.ErrorIs(t, err, profile.ErrClientRedirectURI)
}

func TestClientMetadataJSON(t *testing.T) {
	private := testkit.ECKey(t, "client")
	point, err := private.PublicKey.Bytes()
	require.NoError(t, err)
	scalar, err := private.Bytes()
	require.NoError(t, err)
	enc := base64.RawURLEncoding.EncodeToString
	leaked := `{"kty":"EC","crv":"P-256","x":"` + enc(point[1:33]) + `","y":"` + enc(point[33:]) + `","d":"` + enc(scalar) + `"}`
	for _, tc := range []struct{ name, document string }{
		{"a duplicate member", `{"client_id":"a","client_id":"b"}`},
		{"a member in two cases", `{"redirect_uris":[],"Redirect_URIs":["https://evil.example"]}`},
		{"a string for a boolean", `{"dpop_bound_access_tokens":"true"}`},
		{"a string for a list", `{"grant_types":"authorization_code"}`},
		{"a list for a string", `{"scope":["openid"]}`},
		{"keys as a string", `{"jwks":"{}"}`},
		{"keys as a list", `{"jwks":[]}`},
		{"keys without keys", `{"jwks":{}}`},
		{"a duplicate inside the keys", `{"jwks":{"keys":[],"keys":[]}}`},
		{"a list", `[]`},
		{"bytes behind", `{}{}`},
		{"too long", `{"x":"` + strings.Repeat("x", 1<<20) + `"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := profile.ClientMetadata{ClientID: "before"}
			err := c.UnmarshalJSON([]byte(tc.document))
			require.ErrorIs(t, err, profile.ErrClientMetadata)
			require.Equal(t, profile.ClientMetadata{ClientID: "before"}, c, "unchanged")
			require.NotContains(t, err.Error(), enc(scalar))
			code, _, _ := oautherr.From(err)
			require.Equal(t, "invalid_client_metadata", code)
		})
	}
	register := func(t *testing.T, entries ...string) *profile.ClientMetadata {
		c := registration(t)
		set := withEntries(t, c.JWKS, entries...)
		c.JWKS = nil
		data, err := json.Marshal(c)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(append(data[:len(data)-1], `,"jwks":`+set+`}`...), c))
		return c
	}
	t.Run("CASES C6: SP-5.4.2-R2 a private or symmetric key is an error of the registration", func(t *testing.T) {
		for _, secret := range []string{leaked, `{"kty":"oct","k":"` + enc(scalar) + `"}`} {
			err := register(t, secret).Validate()
			require.ErrorIs(t, err, profile.ErrClientMetadata)
			require.ErrorContains(t, err, "published secret")
			require.NotContains(t, err.Error(), enc(scalar))
			code, _, _ := oautherr.From(err)
			require.Equal(t, "invalid_client_metadata", code)
		}
	})
	t.Run("CASES C5, C6: other entries that cannot be used are warnings of the registration", func(t *testing.T) {
		c := register(t, `null`, `{"kty":"EC","kid":"x","kid":"y"}`, `{"kty":"AKP"}`)
		require.NoError(t, c.Validate())
		require.Len(t, c.JWKS.Dropped(), 3)
		require.Contains(t, fmt.Sprint(c.Lint(profile.Baseline)), "jwks: key 1")
	})
	t.Run("exact names, null, unknown members, nothing left over", func(t *testing.T) {
		c := profile.ClientMetadata{ClientName: "before", JWKS: keySet(t)}
		require.NoError(t, json.Unmarshal([]byte(`{"client_id":"a","SCOPE":"x","client_secret":"s","jwks":null,"grant_types":null}`), &c))
		require.Equal(t, profile.ClientMetadata{ClientID: "a"}, c)
	})
	t.Run("the keys are there", func(t *testing.T) {
		data, err := json.Marshal(registration(t))
		require.NoError(t, err)
		c := new(profile.ClientMetadata)
		require.NoError(t, json.Unmarshal(data, c))
		keys, err := c.JWKS.Keys(t.Context(), "", "ES256")
		require.NoError(t, err)
		require.Len(t, keys, 1)
		require.True(t, private.PublicKey.Equal(keys[0]))
	})
	t.Run("SP-5.2.2.1.1-1, PAR-6-1 what is false is left out", func(t *testing.T) {
		data, err := json.Marshal(profile.ClientMetadata{ClientID: "a"})
		require.NoError(t, err)
		require.JSONEq(t, `{"client_id":"a"}`, string(data))
	})
	t.Run("every member has a name of its own and comes back", func(t *testing.T) {
		checkEveryMember(t, profile.ClientMetadata{})
	})
	t.Run("keys of a kind that FAPI 2.0 has no use for are skipped", func(t *testing.T) {
		other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		require.NoError(t, err)
		point, err := other.PublicKey.Bytes()
		require.NoError(t, err)
		c := registration(t)
		c.JWKS = nil
		data, err := json.Marshal(c)
		require.NoError(t, err)
		data = append(data[:len(data)-1], `,"jwks":{"keys":[{"kty":"EC","crv":"P-384","x":"`+enc(point[1:49])+`","y":"`+enc(point[49:])+`"}]}}`...)
		require.NoError(t, json.Unmarshal(data, c))
		require.ErrorContains(t, c.Validate(), "jwks without a signature key")
	})
}

func TestClientAllowances(t *testing.T) {
	c := registration(t)
	t.Run("grant types", func(t *testing.T) {
		require.True(t, c.HasGrantType("refresh_token"))
		require.False(t, c.HasGrantType("client_credentials"))
		require.True(t, new(profile.ClientMetadata).HasGrantType("authorization_code"))
		require.False(t, new(profile.ClientMetadata).HasGrantType("refresh_token"))
	})
	t.Run("scopes", func(t *testing.T) {
		require.True(t, c.AllowsScope("accounts"))
		for _, scope := range []string{"", " ", "account", "openid accounts", "payments"} {
			require.False(t, c.AllowsScope(scope), scope)
		}
		require.False(t, new(profile.ClientMetadata).AllowsScope("openid"))
		require.False(t, new(profile.ClientMetadata).AllowsScope(""))
	})
	t.Run("MS-5.3.3-1 response modes", func(t *testing.T) {
		require.True(t, c.AllowsResponseMode("query"))
		c.ResponseModes = []string{"jwt"}
		require.True(t, c.AllowsResponseMode("jwt"))
		require.True(t, c.AllowsResponseMode("query.jwt"))
		require.False(t, c.AllowsResponseMode("query"))
		require.False(t, c.AllowsResponseMode("form_post.jwt"))
	})
}

func FuzzClientMetadata(f *testing.F) {
	full, err := json.Marshal(registration(f))
	require.NoError(f, err)
	f.Add(full)
	f.Add([]byte(`{"client_id":"a","jwks":{"keys":[{"kty":"EC"}]},"redirect_uris":["https://client.example"],"scope":""}`))
	f.Add([]byte(`{"client_id":"\u003c","jwks":null,"grant_types":[null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		first := new(profile.ClientMetadata)
		if err := first.UnmarshalJSON(data); err != nil {
			require.ErrorIs(t, err, profile.ErrClientMetadata)
			require.Equal(t, new(profile.ClientMetadata), first)
			return
		}
		once, err := json.Marshal(first)
		require.NoError(t, err)
		second := new(profile.ClientMetadata)
		require.NoError(t, second.UnmarshalJSON(once))
		again, err := json.Marshal(second)
		require.NoError(t, err)
		require.Equal(t, string(once), string(again))
		err = first.Validate()
		require.Equal(t, err == nil, second.Validate() == nil)
		switch {
		case err == nil:
			require.NotEqual(t, first.DPoPBoundAccessTokens, first.TLSClientCertificateBoundAccessTokens)
			require.NotEmpty(t, first.TokenEndpointAuthMethod)
		default:
			require.True(t, errors.Is(err, profile.ErrClientMetadata) || errors.Is(err, profile.ErrClientRedirectURI))
			code, _, _ := oautherr.From(err)
			require.Contains(t, []string{"invalid_client_metadata", "invalid_redirect_uri"}, code)
		}
	})
}
