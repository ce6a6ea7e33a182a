package resourceserver_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/internal/roletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
)

const (
	readOnly    = `[{"type":"account","actions":["read"]}]`
	readAndList = `[{"type":"account","actions":["read","list"]}]`
	payACME     = `[{"type":"payment","payee":"ACME","amount":"1.00"}]`
	payEVIL     = `[{"type":"payment","payee":"EVIL","amount":"1.00"}]`
)

// join concatenates JSON arrays.
func join(lists ...string) string {
	for i, list := range lists {
		lists[i] = strings.TrimSuffix(strings.TrimPrefix(list, "["), "]")
	}
	return "[" + strings.Join(lists, ",") + "]"
}

// detailed serves a request with handle, after its token has passed the guard.
// The token has these details, or none if they are empty.
func detailed(
	t testing.TB, registry *rar.Registry, details string,
	handle func(w http.ResponseWriter, r *http.Request, rs *resourceserver.Server),
) *httptest.ResponseRecorder {
	w := newAPI(t, func(cfg *resourceserver.Config) { cfg.AuthorizationDetails = registry })
	token := w.token(func(_ *accesstoken.IssuerConfig, c *accesstoken.Claims) {
		if details != "" {
			c.AuthorizationDetails = []byte(details)
		}
	})
	r := httptest.NewRequest(http.MethodGet, w.cfg.Resource+"/accounts", nil)
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", w.forge(token, testkit.ECKey(t, "client")))
	recorder := httptest.NewRecorder()
	if r, ok := w.rs.Authorize(recorder, r, "accounts"); ok {
		handle(recorder, r, w.rs)
	}
	return recorder
}

func TestAPIAllows(t *testing.T) {
	all := roletest.Types(t)
	types := []*rar.Type{all.Type("account"), all.Type("payment")}
	registry, err := rar.NewRegistry(rar.RegistryConfig{Types: types, MaxBytes: 4096})
	require.NoError(t, err)
	for _, tc := range []struct {
		name, granted, wanted string
		status                int
		missing               string // in the description
	}{
		{"RAR-9-1 what was granted", readAndList, readOnly, 200, ""},
		{"RAR-9-1 two of two", join(payACME, readAndList), join(readOnly, payACME), 200, ""},
		{"RAR-9-1 in addition to a detail of another type", join(`[{"type":"https://other.example/x","a":{"b":[1]}}]`, readAndList), readOnly, 200, ""},
		{"RAR-9-1 an action more", readOnly, readAndList, 403, "authorization_details[0].actions (account)"},
		{"RAR-9-1 the second one is missing", readAndList, join(readOnly, payACME), 403, "authorization_details[1] (payment)"},
		{"RAR-9-1 another payee", payACME, payEVIL, 403, "authorization_details[0].payee (payment)"},
		{"RAR-9-1 a token without details", "", readOnly, 403, "authorization_details[0] (account)"},
		{"RAR-9-1 a token with none", "[]", readOnly, 403, "authorization_details[0] (account)"},
		{"RAR-9-1 details of unknown types alone", `[{"type":"x"}]`, readOnly, 403, "authorization_details[0] (account)"},
		{"RAR-9-1 a type in another case", `[{"type":"Account","actions":["read"]}]`, readOnly, 403, "authorization_details[0] (account)"},
		{"RAR-9-1 an empty want", readAndList, "[]", 403, ""},
		{"RAR-5-2 a known type with an unknown field", `[{"type":"account","actions":["read"],"limit":1}]`, readOnly, 500, ""},
		{"RAR-5-2 one of two without a required field", join(readAndList, `[{"type":"payment","payee":"EVIL"}]`), readOnly, 500, ""},
		{"RAR-5-5 no type", join(readAndList, `[{"actions":["read"]}]`), readOnly, 200, ""},
		{"RAR-5-4 longer than MaxBytes", `[{"type":"payment","amount":"1","payee":"` + strings.Repeat("x", 5000) + `"}]`, payACME, 500, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := detailed(t, registry, tc.granted, func(w http.ResponseWriter, r *http.Request, rs *resourceserver.Server) {
				wanted := roletest.Details(t, registry, tc.wanted)
				token, _ := resourceserver.TokenFromContext(r.Context())
				require.Equal(t, tc.status == 200, token.CheckDetails(wanted) == nil)
				if rs.Allows(w, r, wanted) {
					fmt.Fprint(w, "done")
				}
			})
			require.Equal(t, tc.status, got.Code, got.Body)
			require.Equal(t, tc.status == 200, got.Body.String() == "done", "one response only")
			require.NotContains(t, got.Body.String()+fmt.Sprint(got.Header()), "EVIL", "RAR-13-1")
			switch tc.status {
			case 403:
				challenge := got.Header().Get("WWW-Authenticate")
				require.True(t, strings.HasPrefix(challenge, "DPoP "), challenge)
				require.Contains(t, challenge, `error="insufficient_scope"`)
				require.Contains(t, challenge, tc.missing, "the client learns what to request")
				require.Contains(t, got.Body.String(), tc.missing)
				require.Equal(t, "no-store", got.Header().Get("Cache-Control"))
			case 500:
				require.Contains(t, got.Body.String(), "server_error", "the client cannot correct it")
				require.Empty(t, got.Header().Get("WWW-Authenticate"))
			}
		})
	}
}

// The guard requires the scope that goes with a detail.
func TestDetailsNeedTheirScope(t *testing.T) {
	registry := roletest.ScopedTypes(t)
	for _, tc := range []struct {
		name, scope string
		status      int
	}{{"A5 with it", "accounts payments", 200}, {"A5 without it", "accounts", 403}} {
		t.Run(tc.name, func(t *testing.T) {
			w := newAPI(t, func(cfg *resourceserver.Config) { cfg.AuthorizationDetails = registry })
			token := w.token(func(_ *accesstoken.IssuerConfig, c *accesstoken.Claims) {
				c.AuthorizationDetails, c.Scope = []byte(payACME), tc.scope
			})
			r := httptest.NewRequest(http.MethodGet, w.cfg.Resource+"/accounts", nil)
			r.Header.Set("Authorization", "DPoP "+token)
			r.Header.Set("DPoP", w.forge(token, testkit.ECKey(t, "client")))
			recorder := httptest.NewRecorder()
			r, ok := w.rs.Authorize(recorder, r)
			require.True(t, ok)
			w.rs.Allows(recorder, r, roletest.Details(t, registry, payACME))
			require.Equal(t, tc.status, recorder.Code)
			if tc.status == 403 {
				require.Contains(t, recorder.Header().Get("WWW-Authenticate"), `error="insufficient_scope"`)
				require.Contains(t, recorder.Header().Get("WWW-Authenticate"), `scope="payments"`)
			}
		})
	}
}

// If one detail is not valid under its type, the token has no details.
func TestTokenDetails(t *testing.T) {
	registry := roletest.Types(t)
	token := func(registry *rar.Registry, details string) (token *resourceserver.Token) {
		detailed(t, registry, details, func(_ http.ResponseWriter, r *http.Request, _ *resourceserver.Server) {
			token, _ = resourceserver.TokenFromContext(r.Context())
		})
		require.NotNil(t, token)
		return token
	}
	known := token(registry, join(`[{"type":"x"}]`, readAndList, payACME))
	for range 2 {
		details, err := known.Details()
		require.NoError(t, err)
		require.Len(t, details, 2, "RAR-9-1 unknown types are omitted")
		details[0] = rar.Detail{} // a copy
	}
	require.JSONEq(t, join(`[{"type":"x"}]`, readAndList, payACME), string(known.AuthorizationDetails()))
	account, err := rar.Get[roletest.Account](roletest.Details(t, registry, readAndList)[0])
	require.NoError(t, err)
	require.Equal(t, []string{"read", "list"}, account.Actions)

	invalid := token(registry, join(readAndList, `[{"type":"payment","payee":"EVIL"}]`))
	details, err := invalid.Details()
	require.ErrorIs(t, err, rar.ErrMissingField, "RAR-5-5")
	require.Empty(t, details, "RAR-5-5 nothing is permitted")
	require.NotContains(t, err.Error(), "EVIL", "RAR-13-1")
	require.Error(t, invalid.CheckDetails(roletest.Details(t, registry, readOnly)))

	none := token(nil, readAndList)
	_, err = none.Details()
	require.Error(t, err, "an API without types")
	require.Error(t, none.CheckDetails(roletest.Details(t, registry, readOnly)))
	_, err = new(resourceserver.Token).Details()
	require.Error(t, err, "a token that is not verified")
	require.Error(t, new(resourceserver.Token).CheckDetails(nil))

	// Types of two registries are different, even if their names are equal.
	require.Error(t, known.CheckDetails(roletest.Details(t, roletest.Types(t), readOnly)))

	// Concurrent callers parse the details once.
	shared := token(registry, readAndList)
	testkit.Hammer(16, func(int) {
		if err := shared.CheckDetails(roletest.Details(t, registry, readOnly)); err != nil {
			t.Error(err)
		}
	})
	w := newAPI(t)
	recorder := httptest.NewRecorder()
	require.False(t, w.rs.Allows(recorder, httptest.NewRequest(http.MethodGet, "/", nil), roletest.Details(t, registry, readOnly)), "a request that is not verified")
	require.Equal(t, http.StatusInternalServerError, recorder.Code)
}

// BenchmarkAllows compares the check of details with the signature check of a
// proof.
func BenchmarkAllows(b *testing.B) {
	registry := roletest.Types(b)
	wanted := roletest.Details(b, registry, readOnly)
	many := join(strings.Split(strings.Repeat(payACME+" ", 31)+readAndList, " ")...)
	for name, details := range map[string]string{"one detail": readAndList, "32 details": many} {
		b.Run(name, func(b *testing.B) {
			detailed(b, registry, details, func(w http.ResponseWriter, r *http.Request, rs *resourceserver.Server) {
				token, _ := resourceserver.TokenFromContext(r.Context())
				b.Run("first in a request", func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						_, err := registry.Parse(token.AuthorizationDetails(), registry.Types())
						if err != nil || token.CheckDetails(wanted) != nil {
							b.Fatal("rejected")
						}
					}
				})
				b.Run("again", func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if !rs.Allows(w, r, wanted) {
							b.Fatal("rejected")
						}
					}
				})
			})
		})
	}
	b.Run("ES256 alone", func(b *testing.B) {
		key, digest := testkit.ECKey(b, "bench"), sha256.Sum256([]byte("proof"))
		signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		require.NoError(b, err)
		b.ReportAllocs()
		for b.Loop() {
			if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
				b.Fatal("rejected")
			}
		}
	})
}
