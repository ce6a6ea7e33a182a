package authserver_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	requested "github.com/gofapi/fapi2/claims"
	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/profile/rules"
)

var pairwiseSecret = []byte(strings.Repeat("k", 32))

// pairwiseOf computes a pairwise subject as the documentation says.
func pairwiseOf(sector, subject string) string {
	h := hmac.New(sha256.New, pairwiseSecret)
	for _, part := range []string{sector, "\x00", subject} {
		h.Write([]byte(part))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// pairwiseWorld is a rich world in which client-1 is registered for pairwise subjects, and client-2 for none.
func pairwiseWorld(t testing.TB, options ...worldOption) *world {
	var w *world
	first := func(as *authserver.Config, rs *resourceserver.Config) {
		withClaims(as, rs)
		as.Pairwise = testkit.Must(idtoken.PairwiseSubjects(pairwiseSecret))
		as.UserInfo = func(ctx context.Context, token *resourceserver.Token, _ requested.Set) (map[string]any, error) {
			local, err := w.as.LocalSubject(ctx, token)
			return map[string]any{"sub": local, "email": local + "@example.com"}, err
		}
	}
	w = newRichWorld(t, append([]worldOption{first}, options...)...)
	w.clients["client-1"].SubjectType = "pairwise"
	return w
}

func (w *world) subjectOfUserInfo(tokens answer) answer {
	raw := tokens.body["access_token"].(string)
	return w.userInfo(http.MethodGet, w.as.Metadata().UserInfoEndpoint, "Authorization", "DPoP "+raw, "DPoP", w.userInfoProof("d", http.MethodGet, raw))
}

func TestPairwiseSubject(t *testing.T) {
	require.Equal(t, "jFHRXyuh3l0NNciI8xZ2I4ZfsiiAyaNLh9bDBSW89pI", pairwiseOf("client.example", "alice"))
	for kind, option := range map[string]worldOption{"JWT": func(*authserver.Config, *resourceserver.Config) {}, "opaque": opaque} {
		t.Run("CA-OIDC-8.1-1 "+kind, func(t *testing.T) {
			w := pairwiseWorld(t, option)
			require.Equal(t, []string{"public", "pairwise"}, w.as.Metadata().SubjectTypesSupported, "CA-OIDC-8-1")
			want := pairwiseOf("client.example", "alice")
			tokens, id := w.create()
			require.NotEmpty(t, id)
			for _, got := range []answer{tokens, w.renew(tokens)} {
				require.Equal(t, http.StatusOK, got.status, "%v", got.body)
				require.Equal(t, want, w.seen("client-2", got.body["access_token"].(string)).body["sub"])
				about := w.subjectOfUserInfo(got)
				require.Equal(t, want, about.body["sub"], "%v", about.body)
				require.Equal(t, "alice@example.com", about.body["email"], "the host knows its own subject")
				if kind == "JWT" {
					_, token := claims(t, got.body["access_token"])
					require.Equal(t, `"`+want+`"`, string(token["sub"]))
					for _, part := range strings.Split(got.body["access_token"].(string), ".")[:2] {
						text, err := base64.RawURLEncoding.DecodeString(part)
						require.NoError(t, err)
						require.NotContains(t, string(text), "alice", "CA-OIDC-8.1-2")
					}
				}
			}
			_, idToken := claims(t, tokens.body["id_token"])
			require.Equal(t, `"`+want+`"`, string(idToken["sub"]))
			own, err := w.as.Grants().Get(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, "alice", own.Subject, "the pages of the host list grants by the user")
			require.Equal(t, http.StatusOK, w.query(id).status)
			token := w.own("client-1", "grant_management_query")
			require.Equal(t, http.StatusOK, w.grant(http.MethodGet, id, token).status)
			merged, _ := w.manage("merge", id, "scope", "openid payments")
			require.Equal(t, http.StatusOK, merged.status, "it is the same user: %v", merged.body)

			other := w.send(w.tokenURL(), w.codeForm("client-2", w.code("client-2", nil)), w.tokenProof("d"))
			_, idToken = claims(t, other.body["id_token"])
			require.Equal(t, `"alice"`, string(idToken["sub"]), "client-2 has a public one")
			require.Equal(t, "alice", w.subjectOfUserInfo(other).body["sub"])
			alone := w.send(w.tokenURL(), w.credentialsForm("client-1", "accounts"), w.tokenProof("d"))
			require.Equal(t, "client-1", w.seen("client-2", alone.body["access_token"].(string)).body["sub"], "a client is not a user")
		})
	}
}

func TestPairwiseSectors(t *testing.T) {
	w := pairwiseWorld(t)
	subject := func(id string) string {
		got := w.send(w.tokenURL(), w.codeForm(id, w.code(id, nil)), w.tokenProof("d"))
		_, idToken := claims(t, got.body["id_token"])
		return strings.Trim(string(idToken["sub"]), `"`)
	}
	first := subject("client-1")
	w.clients["client-2"].SubjectType = "pairwise"
	require.Equal(t, first, subject("client-2"), "CA-OIDC-8.1-1 the same sector")
	w.clients["client-2"].SectorIdentifierURI = "https://Sector.example:8443/uris.json"
	require.Equal(t, pairwiseOf("sector.example", "alice"), subject("client-2"), "CA-OIDC-8.1-1 another sector")
	w.agreeing(func(a *authserver.Approval) { a.Subject = "bob" })
	require.Equal(t, pairwiseOf("client.example", "bob"), subject("client-1"))

	push := func(id string) answer { return w.send(w.parURL(), w.pushForm(id)) }
	c := w.clients["client-1"]
	c.RedirectURIs = append(c.RedirectURIs, "https://other.example/cb")
	require.Equal(t, "unauthorized_client", push("client-1").code, "CA-OIDC-8.1-3")
	require.ErrorIs(t, c.Validate(), profile.ErrClientMetadata)
	c.SectorIdentifierURI = "https://sector.example/uris.json"
	require.NoError(t, c.Validate())
	require.Equal(t, http.StatusCreated, push("client-1").status)
	c.SubjectType = "other"
	require.Equal(t, "unauthorized_client", push("client-1").code)

	w = newWorld(t)
	require.Equal(t, []string{"public"}, w.as.Metadata().SubjectTypesSupported)
	w.clients["client-1"].SubjectType = "pairwise"
	require.Equal(t, "unauthorized_client", push("client-1").code, "a server without pairwise subjects")
	w.clients["client-1"].SubjectType = "public"
	require.Equal(t, http.StatusCreated, push("client-1").status)
}

func TestPairwiseUnderRules(t *testing.T) {
	only := func(types ...string) worldOption {
		return func(as *authserver.Config, _ *resourceserver.Config) {
			as.Rules = &rules.Set{Name: "x", SubjectTypes: types}
		}
	}
	w := pairwiseWorld(t, only("pairwise"))
	require.Equal(t, []string{"pairwise"}, w.as.Metadata().SubjectTypesSupported, "CA-OIDC-8-1")
	w.clients["client-1"].SubjectType = ""
	got := w.redeem()
	_, idToken := claims(t, got.body["id_token"])
	require.Equal(t, `"`+pairwiseOf("client.example", "alice")+`"`, string(idToken["sub"]), "it is the default then")
	w.clients["client-1"].SubjectType = "public"
	require.Equal(t, "unauthorized_client", w.send(w.parURL(), w.pushForm("client-1")).code)
	w = pairwiseWorld(t, only("public"))
	require.Equal(t, []string{"public"}, w.as.Metadata().SubjectTypesSupported)
	require.Equal(t, "unauthorized_client", w.send(w.parURL(), w.pushForm("client-1")).code)
}

func TestPairwiseSubjectRequested(t *testing.T) {
	w := pairwiseWorld(t)
	for value, ok := range map[string]bool{pairwiseOf("client.example", "alice"): true, pairwiseOf("client.example", "bob"): false, "alice": false} {
		form := w.pushForm("client-1")
		form.Set("claims", `{"id_token":{"sub":{"value":"`+value+`"}}}`)
		_, err := w.as.Approve(context.Background(), w.load("client-1", form), authserver.Approval{
			Subject: "alice", Scopes: []string{"accounts"}, IDTokenClaims: map[string]any{"sub": "alice"},
		})
		if ok {
			require.NoError(t, err, value)
		} else {
			require.ErrorIs(t, err, authserver.ErrLogin, "CA-OIDC-3.1.2.2-1 %s", value)
		}
	}
}

// The host makes the identifiers, and may fail.
func TestPairwiseSubjectOfTheHost(t *testing.T) {
	var result string
	var failure error
	w := pairwiseWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.Pairwise = func(_ context.Context, sector, subject string) (string, error) {
			if sector != "client.example" || subject != "alice" {
				return "", errors.New("unexpected arguments")
			}
			return result, failure
		}
	})
	a := w.load("client-1", w.pushForm("client-1"))
	approve := func() error {
		_, err := w.as.Approve(context.Background(), a, authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}})
		return err
	}
	failure = errors.New("down")
	require.ErrorIs(t, approve(), authserver.ErrStore)
	failure = nil
	for _, result = range []string{"", "alice", "Ünïcode", strings.Repeat("x", 256)} {
		require.ErrorContains(t, approve(), "Pairwise returned no pairwise subject")
	}
	result = "client-1"
	require.ErrorContains(t, approve(), "client_id")
	result = "p-1"
	require.NoError(t, approve(), "nothing was consumed")
}

func TestLocalSubjectIsKept(t *testing.T) {
	var spy *spyStore
	w := pairwiseWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		spy = newSpy(as.Hooks.Now)
		as.Store = spy
	})
	tokens := w.redeem()
	spy.fail(1, "get grant")
	require.Equal(t, http.StatusServiceUnavailable, w.subjectOfUserInfo(tokens).status, "the store is down")
	spy.recover()
	w.clients["client-1"].SubjectType = "public"
	require.Equal(t, pairwiseOf("client.example", "alice"), w.subjectOfUserInfo(tokens).body["sub"], "the tokens keep their subject")
	before := w.redeem()
	w.clients["client-1"].SubjectType = "pairwise"
	got := w.subjectOfUserInfo(before)
	require.Equal(t, http.StatusUnauthorized, got.status, "a public subject is not taken for a local one of a pairwise client")
}

func TestPairwiseConfig(t *testing.T) {
	_, err := authserver.New(authserver.Config{
		Issuer: "https://as.example", Keys: []profile.SigningKey{{Key: testkit.ECKey(t, "as"), KeyID: "1"}},
		Clients: func(context.Context, string) (*profile.ClientMetadata, error) { return nil, nil },
		Scopes:  []string{"openid"}, Resources: []string{"https://api.example"},
		Rules: &rules.Set{Name: "x", SubjectTypes: []string{"pairwise"}},
	})
	require.ErrorContains(t, err, `Rules.SubjectTypes are ["pairwise"], and Pairwise is nil`)
}
