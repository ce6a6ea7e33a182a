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

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/stretchr/testify/require"
)

// detailed is an API whose tokens have these details, "" for none. Its answer is what may stand for handle.
func detailed(t testing.TB, registry *rar.Registry, details string, handle func(w http.ResponseWriter, r *http.Request, rs *resourceserver.Server)) *httptest.ResponseRecorder {
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
	w.rs.Require("accounts")(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handle(rw, r, w.rs) })).ServeHTTP(recorder, r)
	return recorder
}

func want(t testing.TB, registry *rar.Registry, details string) rar.Details {
	d, err := registry.Parse([]byte(details), registry.Types())
	require.NoError(t, err)
	return d
}

func TestAPIAllows(t *testing.T) {
	all := richTypes(t)
	registry, err := rar.NewRegistry(rar.RegistryConfig{Types: []*rar.Type{all.Type("account"), all.Type("payment")}, MaxBytes: 4096})
	require.NoError(t, err)
	for _, tc := range []struct {
		name, granted, wanted string
		status                int
		missing               string // in the description
	}{
		{"RAR-9-1 what was granted", readAndList, readOnly, 200, ""},
		{"RAR-9-1 two of two", join(payACME, readAndList), join(readOnly, payACME), 200, ""},
		{"RAR-9-1 beside what is for others", join(`[{"type":"https://other.example/x","a":{"b":[1]}}]`, readAndList), readOnly, 200, ""},
		{"RAR-9-1 an action more", readOnly, readAndList, 403, "authorization_details[0].actions (account)"},
		{"RAR-9-1 the second one is missing", readAndList, join(readOnly, payACME), 403, "authorization_details[1] (payment)"},
		{"RAR-9-1 another payee", payACME, theirMoney, 403, "authorization_details[0].payee (payment)"},
		{"RAR-9-1 a token without details", "", readOnly, 403, "authorization_details[0] (account)"},
		{"RAR-9-1 a token with none", "[]", readOnly, 403, "authorization_details[0] (account)"},
		{"RAR-9-1 details of unknown types alone", `[{"type":"x"}]`, readOnly, 403, "authorization_details[0] (account)"},
		{"RAR-9-1 a type in another case", `[{"type":"Account","actions":["read"]}]`, readOnly, 403, "authorization_details[0] (account)"},
		{"RAR-9-1 nothing wanted is no question", readAndList, "[]", 403, ""},
		{"RAR-5-2 a known type, and not as the API knows it", `[{"type":"account","actions":["read"],"limit":1}]`, readOnly, 500, ""},
		{"RAR-5-2 one of two not as the API knows it", join(readAndList, `[{"type":"payment","payee":"EVIL"}]`), readOnly, 500, ""},
		{"RAR-5-5 no type", join(readAndList, `[{"actions":["read"]}]`), readOnly, 200, ""},
		{"RAR-5-4 more than the API has room for", `[{"type":"payment","amount":"1","payee":"` + strings.Repeat("x", 5000) + `"}]`, payACME, 500, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := detailed(t, registry, tc.granted, func(w http.ResponseWriter, r *http.Request, rs *resourceserver.Server) {
				wanted := want(t, registry, tc.wanted)
				token, _ := resourceserver.TokenFromContext(r.Context())
				require.Equal(t, tc.status == 200, token.CheckDetails(wanted) == nil)
				if rs.Allows(w, r, wanted) {
					fmt.Fprint(w, "done")
				}
			})
			require.Equal(t, tc.status, got.Code, got.Body)
			require.Equal(t, tc.status == 200, got.Body.String() == "done", "an answer beside the refusal")
			require.NotContains(t, got.Body.String()+fmt.Sprint(got.Header()), "EVIL", "RAR-13-1")
			switch tc.status {
			case 403:
				challenge := got.Header().Get("WWW-Authenticate")
				require.True(t, strings.HasPrefix(challenge, "DPoP "), challenge)
				require.Contains(t, challenge, `error="insufficient_scope"`)
				require.Contains(t, challenge, tc.missing, "a client has to know what to ask for")
				require.Contains(t, got.Body.String(), tc.missing)
				require.Equal(t, "no-store", got.Header().Get("Cache-Control"))
			case 500:
				require.Contains(t, got.Body.String(), "server_error", "nothing that a client could mend")
				require.Empty(t, got.Header().Get("WWW-Authenticate"))
			}
		})
	}
}

// Details are refused as a whole where the API cannot say what they mean.
func TestTokenDetails(t *testing.T) {
	registry := richTypes(t)
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
		require.Len(t, details, 2, "RAR-9-1 types of others are left out")
		details[0] = rar.Detail{} // the caller's own
	}
	require.JSONEq(t, join(`[{"type":"x"}]`, readAndList, payACME), string(known.AuthorizationDetails()))
	account, err := rar.Get[accountDetail](want(t, registry, readAndList)[0])
	require.NoError(t, err)
	require.Equal(t, []string{"read", "list"}, account.Actions)

	invalid := token(registry, join(readAndList, `[{"type":"payment","payee":"EVIL"}]`))
	details, err := invalid.Details()
	require.ErrorIs(t, err, rar.ErrMissingField, "RAR-5-5")
	require.Empty(t, details, "RAR-5-5 nothing is permitted")
	require.NotContains(t, err.Error(), "EVIL", "RAR-13-1")
	require.Error(t, invalid.CheckDetails(want(t, registry, readOnly)))

	none := token(nil, readAndList)
	_, err = none.Details()
	require.Error(t, err, "an API without types")
	require.Error(t, none.CheckDetails(want(t, registry, readOnly)))
	_, err = new(resourceserver.Token).Details()
	require.Error(t, err, "a token that nobody has verified")
	require.Error(t, new(resourceserver.Token).CheckDetails(nil))

	// The same names, and other types: two registries that agree on nothing.
	require.Error(t, known.CheckDetails(want(t, richTypes(t), readOnly)))

	// Many at once: they are read once.
	shared := token(registry, readAndList)
	testkit.Hammer(16, func(int) {
		if err := shared.CheckDetails(want(t, registry, readOnly)); err != nil {
			t.Error(err)
		}
	})
	w := newAPI(t)
	recorder := httptest.NewRecorder()
	require.False(t, w.rs.Allows(recorder, httptest.NewRequest(http.MethodGet, "/", nil), want(t, registry, readOnly)), "a request that nobody has verified")
	require.Equal(t, http.StatusInternalServerError, recorder.Code)
}

// BenchmarkAllows shows what a comparison of details costs beside the signature that every request has in its proof.
func BenchmarkAllows(b *testing.B) {
	registry := richTypes(b)
	wanted := want(b, registry, readOnly)
	for name, details := range map[string]string{"one detail": readAndList, "32 details": join(strings.Split(strings.Repeat(payACME+" ", 31)+readAndList, " ")...)} {
		b.Run(name, func(b *testing.B) {
			detailed(b, registry, details, func(w http.ResponseWriter, r *http.Request, rs *resourceserver.Server) {
				token, _ := resourceserver.TokenFromContext(r.Context())
				b.Run("first in a request", func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if _, err := registry.Parse(token.AuthorizationDetails(), registry.Types()); err != nil || token.CheckDetails(wanted) != nil {
							b.Fatal("refused")
						}
					}
				})
				b.Run("again", func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if !rs.Allows(w, r, wanted) {
							b.Fatal("refused")
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
				b.Fatal("refused")
			}
		}
	})
}
