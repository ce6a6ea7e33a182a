package resourceserver_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/tokenbinding"
)

func TestIssuersReject(t *testing.T) {
	const none = `{"typ":"at+jwt","alg":"none"}`
	unsigned := func(claims string) string {
		token := forge(t, none, claims, "a")
		return token[:strings.LastIndexByte(token, '.')+1]
	}
	for _, tc := range []struct {
		name, token string
		want        error
		calls       []string
	}{
		{"attack: a token of A signed by the key of B", issue(t, "a", "b"), accesstoken.ErrSignature, []string{"a"}},
		{"attack: a token of B signed by the key of A", issue(t, "b", "a"), accesstoken.ErrSignature, []string{"b"}},
		{"AT-4-2 attack: an issuer that is not configured", issue(t, "z", "a"), accesstoken.ErrIssuer, nil},
		{"AT-4-2 attack: the host in upper case", forge(t, typed, claimsWith(t, `"iss":"https://A.example"`), "a"), accesstoken.ErrIssuer, nil},
		{"AT-4-2 attack: the scheme in upper case", forge(t, typed, claimsWith(t, `"iss":"HTTPS://a.example"`), "a"), accesstoken.ErrIssuer, nil},
		{"AT-4-2 attack: a slash at the end", forge(t, typed, claimsWith(t, `"iss":"https://a.example/"`), "a"), accesstoken.ErrIssuer, nil},
		{"attack: iss of A and of B", forge(t, typed, claimsWith(t, `"iss":"https://a.example","iss":"https://b.example"`), "a"), accesstoken.ErrMalformed, nil},
		{"attack: iss of A and Iss of B", forge(t, typed, claimsWith(t, `"iss":"https://a.example","Iss":"https://b.example"`), "a"), accesstoken.ErrMalformed, nil},
		{"attack: iss of A in an array", forge(t, typed, claimsWith(t, `"iss":["https://a.example","https://b.example"]`), "a"), accesstoken.ErrClaims, nil},
		{"attack: iss in the header", forge(t, `{"typ":"at+jwt","alg":"ES256","iss":"https://a.example"}`, claimsWith(t, ""), "a"), accesstoken.ErrIssuer, nil},
		{"attack: ISS in upper case", forge(t, typed, claimsWith(t, `"ISS":"https://a.example"`), "a"), accesstoken.ErrIssuer, nil},
		{"attack: iss is null", forge(t, typed, claimsWith(t, `"iss":null`), "a"), accesstoken.ErrIssuer, nil},
		{"SP-5.4.1-1.3 attack: alg none", forge(t, none, claimsWith(t, `"iss":"https://a.example"`), "a"), accesstoken.ErrAlgorithm, nil},
		{"SP-5.4.1-1.3 attack: an unsigned token", unsigned(claimsWith(t, `"iss":"https://a.example"`)), accesstoken.ErrAlgorithm, nil},
		{"claims that are not JSON", forge(t, typed, `{"iss":"https://a.example"`, "a"), accesstoken.ErrMalformed, nil},
		{"an opaque token", "opaque", accesstoken.ErrIssuer, nil},
		{"an opaque token with two dots", "x.y.z", accesstoken.ErrIssuer, nil},
		{"an encrypted token", "eyJhbGciOiJSU0EtT0FFUC0yNTYifQ.a.b.c.d", accesstoken.ErrIssuer, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFederation(t)
			token, err := f.guard("a b").Verify(request(t, tc.token), "accounts")
			require.ErrorIs(t, err, tc.want)
			require.Nil(t, token)
			require.Equal(t, tc.calls, f.calls)
			code, _, status := oautherr.From(err)
			require.Equal(t, "invalid_token", code)
			require.Equal(t, http.StatusUnauthorized, status)
		})
	}
}

// A token must not be disclosed to another authorization server.
func TestTokensAreNotDisclosed(t *testing.T) {
	jwt := func(iss string) string { return forge(t, typed, claimsWith(t, iss), "z") }
	foreign := jwt(`"iss":"https://z.example"`)
	none := forge(t, `{"alg":"none"}`, `{"iss":"https://z.example"}`, "z")
	for name, token := range map[string]string{
		"attack: introspection of a foreign token":       foreign,
		"attack: introspection of an unsigned token":     none[:strings.LastIndexByte(none, '.')+1],
		"attack: introspection of a token with RS256":    forge(t, `{"alg":"RS256"}`, `{"iss":"https://z.example"}`, "z"),
		"attack: introspection of an ID token":           forge(t, `{"typ":"JWT","alg":"ES256"}`, `{"iss":"https://z.example"}`, "z"),
		"attack: mixed case":                             jwt(`"iss":"https://C.example"`),
		"attack: two issuers":                            jwt(`"iss":"https://c.example","iss":"https://z.example"`),
		"attack: two issuers in names of different case": jwt(`"iss":"https://c.example","ISS":"https://z.example"`),
		"attack: an issuer that is not a string":         jwt(`"iss":{"https://z.example":1}`),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFederation(t)
			for _, issuers := range []string{"c", "d", "a c", "a d", "c d"} {
				_, err := f.guard(issuers).Verify(request(t, token))
				require.Error(t, err, issuers)
				require.Empty(t, f.calls, issuers)
			}
		})
	}
	t.Run("attack: an opaque token that two servers could have issued", func(t *testing.T) {
		f := newFederation(t)
		for _, token := range []string{"opaque", "x.y.z", forge(t, typed, claimsWith(t, ""), "c")} {
			_, err := f.guard("a c d").Verify(request(t, token))
			require.ErrorIs(t, err, accesstoken.ErrIssuer)
			require.Empty(t, f.calls)
		}
	})
}

func TestIssuersAccept(t *testing.T) {
	for _, tc := range []struct{ name, issuers, token, want string }{
		{"a JWT of the first", "a b", issue(t, "a", "a"), "a"},
		{"a JWT of the second", "a b", issue(t, "b", "b"), "b"},
		{"a JWT beside introspection", "c a", issue(t, "a", "a"), "a"},
		{"an opaque token beside keys", "a c", "opaque", "c"},
		{"a JWT for introspection beside a host", "c d", issue(t, "c", "c"), "c"},
		{"a JWT for the host beside introspection", "c d", issue(t, "d", "d"), "d"},
		{"a JWT without iss for the only introspection", "a c", forge(t, typed, claimsWith(t, ""), "c"), "c"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFederation(t)
			token, err := f.guard(tc.issuers).Verify(request(t, tc.token), "accounts")
			require.NoError(t, err)
			require.Equal(t, []string{tc.want}, f.calls)
			require.Equal(t, idOf(tc.want), token.Issuer())
			require.Equal(t, "alice", token.Subject())
			require.Equal(t, "c-1", token.ClientID())
		})
	}
}

// Clients of two issuers that have one identifier do not share the limit of the
// replay store.
func TestReplayOwners(t *testing.T) {
	f := newFederation(t)
	var owners ownerSpy
	both := newGuard(t, func(c *resourceserver.Config) {
		c.Issuers, c.Replay = f.issuers("a b"), &owners
	})
	for _, name := range []string{"a", "b"} {
		_, err := both.Verify(request(t, issue(t, name, name)))
		require.NoError(t, err)
	}
	require.Equal(t, ownerSpy{"https://a.example c-1", "https://b.example c-1"}, owners)
}

type ownerSpy []string

func (s *ownerSpy) Add(ctx context.Context, _ string, _ []byte, _ time.Time) (bool, error) {
	*s = append(*s, expiring.Owner(ctx))
	return true, nil
}

func TestIntrospectionOfAnotherIssuer(t *testing.T) {
	f := newFederation(t)
	for name, tc := range map[string]struct {
		change func(*introspection.ClientConfig)
		reply  string
		want   error
	}{
		"AT-4-2 the client is configured for another issuer": {
			func(c *introspection.ClientConfig) { c.Issuer = idOf("a") }, f.reply, accesstoken.ErrIssuer},
		"AT-4-2 the response names another issuer": {
			func(*introspection.ClientConfig) {}, strings.Replace(f.reply, "{", `{"iss":"https://a.example",`, 1), introspection.ErrIssuer},
		"BCP-2.3-2 the response is for another API": {
			func(*introspection.ClientConfig) {}, strings.Replace(f.reply, apiURL, "https://other.example", 1), accesstoken.ErrAudience},
	} {
		f.reply = tc.reply
		guard := newGuard(t, func(c *resourceserver.Config) {
			c.Issuers = []resourceserver.Issuer{f.introspected("c", tc.change)}
		})
		_, err := guard.Verify(request(t, "opaque"))
		require.ErrorIs(t, err, tc.want, name)
	}
}

func TestClaimsOfTheHost(t *testing.T) {
	failure := errors.New("database unavailable")
	for _, tc := range []struct {
		name   string
		change func(*federation)
		want   error
	}{
		{"AT-4-2 attack: of another issuer", func(f *federation) { f.claims.Issuer = idOf("a") }, accesstoken.ErrIssuer},
		{"AT-4-2 attack: an issuer in another case", func(f *federation) { f.claims.Issuer = "https://D.example" }, accesstoken.ErrIssuer},
		{"BCP-2.3-2 attack: for another API", func(f *federation) { f.claims.Audience = []string{"https://other.example"} }, accesstoken.ErrAudience},
		{"BCP-2.3-2 without audience", func(f *federation) { f.claims.Audience = nil }, accesstoken.ErrAudience},
		{"SP-5.3.4-5 attack: without binding", func(f *federation) { f.claims.Confirmation = tokenbinding.Confirmation{} }, accesstoken.ErrConfirmation},
		{"SP-5.3.4-5 attack: bound to another key", func(f *federation) { f.claims.Confirmation.JKT = boundTo(t, "attacker") }, dpop.ErrBinding},
		{"SP-5.3.4-5 attack: bound to a certificate too", func(f *federation) { f.claims.Confirmation.X5TS256 = boundTo(t, "x") }, tokenbinding.ErrNoCertificate},
		{"SP-5.3.4-3 expired", func(f *federation) { f.claims.ExpiresAt = time.Now().Add(-time.Second) }, accesstoken.ErrExpired},
		{"SP-5.3.4-4 without scope", func(f *federation) { f.claims.Scopes = nil }, accesstoken.ErrInsufficientScope},
		{"SP-5.3.4-3 revoked", func(f *federation) { f.err = accesstoken.ErrRevoked }, accesstoken.ErrRevoked},
		{"an error of the host", func(f *federation) { f.err = failure }, failure},
		{"no issuer, which means the configured one", func(f *federation) {}, nil},
		{"the configured issuer", func(f *federation) { f.claims.Issuer = idOf("d") }, nil},
		{"an unknown expiry", func(f *federation) { f.claims.ExpiresAt = time.Time{} }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFederation(t)
			tc.change(f)
			token, err := f.guard("d").Verify(request(t, "opaque"), "accounts")
			require.ErrorIs(t, err, tc.want)
			if tc.want == nil {
				require.Equal(t, idOf("d"), token.Issuer())
				return
			}
			require.Nil(t, token)
			_, _, status := oautherr.From(err)
			require.Equal(t, tc.want == failure, status == http.StatusInternalServerError, "the status is %d", status)
		})
	}
}

// A token in which a lenient parser finds a foreign issuer is not disclosed.
func FuzzStatedIssuer(f *testing.F) {
	f.Add(typed, `{"iss":"https://d.example"}`)
	f.Add(`{"alg":"none"}`, `{"iss":"https://d.example","iss":"https://z.example"}`)
	f.Add(`{"alg":"ES256","alg":"ES256K"}`, `{"\u0069ss":"https://z.example"}`)
	fed := newFederation(f)
	guard := fed.guard("a d")
	f.Fuzz(func(t *testing.T, header, claims string) {
		fed.calls = nil
		encode := base64.RawURLEncoding.EncodeToString
		token := encode([]byte(header)) + "." + encode([]byte(claims)) + ".c2ln"
		_, err := guard.Verify(request(t, token))
		var ignored, read map[string]any
		foreign := json.Unmarshal([]byte(header), &ignored) == nil && ignored != nil &&
			json.Unmarshal([]byte(claims), &read) == nil && read["iss"] != nil && read["iss"] != idOf("d")
		if foreign && len(fed.calls) > 0 {
			t.Fatalf("%q was disclosed to %v: %v", claims, fed.calls, err)
		}
	})
}
