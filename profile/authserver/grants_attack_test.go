package authserver_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/stretchr/testify/require"
)

// What the user has permitted at one API is not permitted at another by a merge.
func TestMergedScopesStayWhereTheyAre(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		_, id := w.create("scope", "accounts", "resource", w.rsHTTP.URL)
		merge := func(fields ...string) string {
			return w.code("client-1", with(append(fields, "grant_management_action", "merge", "grant_id", id)...))
		}
		tokens := w.spend(merge("scope", "payments", "resource", otherAPI))
		here, there := []string{"resource", w.rsHTTP.URL}, []string{"resource", otherAPI}
		both := append(slices.Clone(here), there...)
		for _, tc := range []struct {
			name   string
			fields []string
			scope  string // what is granted
			aud    []string
			code   string
		}{
			{"GM-5.2-5 as this authorization was", nil, "payments", []string{otherAPI}, ""},
			{"GM-5.2-5 at the other API", there, "payments", []string{otherAPI}, ""},
			{"GM-5.2-5 at the first", here, "accounts", []string{w.rsHTTP.URL}, ""},
			{"GM-8.3-1 at both, what is permitted at both", both, "", []string{w.rsHTTP.URL, otherAPI}, ""},
			{"GM-8.3-1 a scope of the first, at the other", append(there, "scope", "accounts"), "", nil, "invalid_scope"},
			{"GM-8.3-1 a scope of the other, at the first", append(here, "scope", "payments"), "", nil, "invalid_scope"},
			{"GM-8.3-1 both, at the first", append(here, "scope", "accounts payments"), "", nil, "invalid_scope"},
			{"GM-8.3-1 one at both", append(both, "scope", "accounts"), "", nil, "invalid_scope"},
			{"GM-8.3-1 a scope of the first, nowhere in particular", []string{"scope", "accounts"}, "", nil, "invalid_scope"},
			{"RI-2.2-2 at an API that nobody has named", []string{"resource", "https://third.example"}, "", nil, "invalid_target"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				for name, got := range map[string]answer{
					"refresh": w.renew(tokens, tc.fields...),
					"code":    w.spend(merge("scope", "payments", "resource", otherAPI), tc.fields...),
				} {
					if name == "code" && got.status == http.StatusOK {
						tokens = got // the earlier refresh token has ended
					}
					if name == "code" && tc.code != "" { // the merge has been made
						tokens = w.spend(merge("scope", "payments", "resource", otherAPI))
					}
					require.Equal(t, tc.code, got.code, "%s: %v", name, got.body)
					if tc.code != "" {
						continue
					}
					require.Equal(t, tc.scope, got.body["scope"], name)
					raw := got.body["access_token"].(string)
					for id, api := range map[string]string{"client-2": w.rsHTTP.URL, "client-3": otherAPI} {
						seen := w.seen(id, raw)
						require.Equal(t, slices.Contains(tc.aud, api), seen.body["active"], "%s %s", name, id)
						if seen.body["active"] == true {
							require.Equal(t, tc.scope, strings.TrimSpace(strings.Join([]string{text(seen.body["scope"])}, "")), name)
						}
					}
				}
			})
		}
		// A grant of details alone: what was opened stays open, and with no scope.
		_, id = w.create("scope", "", "authorization_details", readOnly, "resource", w.rsHTTP.URL)
		require.JSONEq(t, `[{"resource":["`+w.rsHTTP.URL+`"]}]`, w.query(id).told("scopes"), "GM-6.4-2")
		tokens = w.spend(merge("scope", "payments", "resource", otherAPI))
		got := w.renew(tokens, here...)
		require.Equal(t, "", got.body["scope"], "GM-5.2-5 %v", got.body)
		w.requireDetails(readOnly, got, "GM-5.2-5 RAR-9-1")
		require.Equal(t, "payments", w.renew(tokens).body["scope"], "GM-5.2-5")
	})
}

// A client that is gone, or has lost the scope, loses the API with it, whatever tokens it has.
func TestGrantAPIAfterTheRegistration(t *testing.T) {
	w := newRichWorld(t)
	tokens, id := w.create()
	revoke := w.own("client-1", "grant_management_revoke")
	client := w.clients["client-1"]
	client.Scope = "openid accounts"
	require.Equal(t, http.StatusForbidden, w.grant("DELETE", id, revoke).status, "GM-6.1-2 GM-6.6-2")
	delete(w.clients, "client-1")
	require.Equal(t, http.StatusUnauthorized, w.grant("DELETE", id, revoke).status, "GM-6.6-3")
	w.clients["client-1"] = client
	w.enrich(client)
	w.failClients = func() error { return errDown }
	require.Equal(t, http.StatusServiceUnavailable, w.grant("DELETE", id, revoke).status, "GM-6.4-8")
	w.failClients = nil
	w.requireAlive(true, true, tokens, "nothing was revoked")
	require.Equal(t, http.StatusNoContent, w.grant("DELETE", id, revoke).status)
}

// Merges that are small enough each, and too large together.
func TestMergesThatNoGrantHolds(t *testing.T) {
	w := newRichWorld(t, opaque)
	payment := func(payee string) string {
		return `[{"type":"payment","amount":"1","payee":"` + payee + strings.Repeat("x", 7000) + `"}]`
	}
	_, id := w.create()
	merge := func(payee string) []string {
		return []string{"grant_management_action", "merge", "grant_id", id, "authorization_details", payment(payee)}
	}
	one, other, third := w.code("client-1", with(merge("A")...)), w.code("client-1", with(merge("B")...)), w.code("client-1", with(merge("C")...))
	w.requireDetails(payment("A"), w.spend(one), "")
	tokens := w.spend(other)
	w.requireDetails(join(payment("A"), payment("B")), tokens, "")
	for range 2 {
		got := w.spend(third)
		require.Equal(t, http.StatusBadRequest, got.status)
		require.Equal(t, "invalid_authorization_details", got.code, "RAR-8-1 %v", got.body)
	}
	w.requireAlive(true, true, tokens, "GM-5.2-6 what could not be merged has ended nothing")
	form := w.pushForm("client-1")
	with(merge("D")...)(form)
	require.Equal(t, "invalid_authorization_details", w.send(w.parURL(), form).code, "G5 the client hears of it at the push")
	w.requireDetails(join(payment("A"), payment("B")), w.renew(tokens), "")
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// A code that comes again ends the tokens of its own authorization, whatever has become of the grant, and brings nothing back.
func TestReplayAfterGrantChanges(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		for _, change := range []string{"nothing", "merge", "replace", "revoke", "withdraw"} {
			t.Run("GM-5.2-6 GM-5.2-8 GM-6.5-2 "+change, func(t *testing.T) {
				first := w.code("client-1", with("grant_management_action", "create", "authorization_details", readOnly))
				tokens := w.spend(first)
				id := tokens.body["grant_id"].(string)
				var later answer
				switch change {
				case "merge", "replace":
					later, _ = w.manage(change, id, "authorization_details", payACME)
				case "revoke":
					require.Equal(t, http.StatusNoContent, w.end(id).status)
				case "withdraw":
					require.NoError(t, w.as.Grants().Withdraw(context.Background(), id))
				}
				before := w.query(id)
				for range 2 {
					got := w.spend(first)
					require.Equal(t, "invalid_grant", got.code, "SP-5.3.2.2-9 %v", got.body)
				}
				w.requireAlive(false, false, tokens, "SP-5.3.2.2-9")
				require.Equal(t, before.told("authorization_details"), w.query(id).told("authorization_details"), "the change is not made again")
				if later.body != nil {
					w.requireAlive(true, true, later, "another authorization")
				}
			})
		}
	})
}

// Two prepared changes of one grant: the one that is claimed last wins, and each is made once.
func TestPreparedChanges(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		tokens, id := w.create("authorization_details", readOnly)
		change := func(action, details string) string {
			return w.code("client-1", with("grant_management_action", action, "grant_id", id, "authorization_details", details))
		}
		one, other := change("replace", payACME), change("merge", theirMoney)
		second := w.spend(other)
		require.JSONEq(t, join(readOnly, theirMoney), w.query(id).told("authorization_details"), "GM-5.2-5")
		third := w.spend(one)
		require.JSONEq(t, payACME, w.query(id).told("authorization_details"), "GM-5.2-7 though it was consented before")
		w.requireDetails(payACME, w.renew(third), "GM-5.2-7")
		w.requireAlive(false, false, tokens, "GM-5.2-8")
		w.requireAlive(false, false, second, "GM-5.2-8")

		late := change("merge", readOnly)
		require.Equal(t, http.StatusNoContent, w.end(id).status)
		for range 2 {
			require.Equal(t, "invalid_grant", w.spend(late).code, "GM-6.5-2 a change of what is over")
		}
		form := w.pushForm("client-1")
		_, id = w.create()
		with("grant_management_action", "merge", "grant_id", id)(form)
		waiting := w.authorizationURL("client-1", form)
		require.Equal(t, http.StatusNoContent, w.end(id).status)
		require.Equal(t, "invalid_grant_id", w.browse(waiting).Get("error"), "GM-5.4-1 over since the push")
	})
}

// A merge that no token request could be served from changes what it says and nothing else, and its code stays good.
func TestMergeAndABadTokenRequest(t *testing.T) {
	w := newRichWorld(t)
	first, id := w.create("scope", "accounts")
	code := w.code("client-1", with("grant_management_action", "merge", "grant_id", id, "scope", "payments"))
	form := w.codeForm("client-1", code)
	form.Set("code_verifier", strings.Repeat("a", 43))
	require.Equal(t, "invalid_grant", w.send(w.tokenURL(), form, w.tokenProof("d")).code)
	require.Equal(t, "invalid_grant", w.send(w.tokenURL(), w.codeForm("client-2", code), w.tokenProof("d")).code)
	_, refresh := w.alive(first)
	require.True(t, refresh, "whoever has not the verifier changes nothing")
	require.Equal(t, "invalid_scope", w.spend(code, "scope", "openid").code, "BASE-6749-6-1")
	got := w.spend(code, "scope", "accounts payments")
	require.Equal(t, "accounts payments", got.body["scope"], "GM-5.2-5 %v", got.body)
	create := w.code("client-1", with("grant_management_action", "create", "scope", "accounts"))
	require.Equal(t, "invalid_scope", w.spend(create, "scope", "payments").code, "BASE-6749-6-1")
	require.NotEmpty(t, w.spend(create).body["grant_id"])
}

// An access token that outlives what the grant says is refused where it matters: after the grant has been shortened.
func TestGrantIsShortened(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		tokens, id := w.create()
		w.agreeing(func(p *authserver.Approval) { p.Expires = w.clock.Now().Add(time.Minute) })
		merged, _ := w.manage("merge", id)
		require.LessOrEqual(t, merged.body["expires_in"], 60.0, "GM-6.4-5")
		w.clock.Advance(61 * time.Second)
		w.requireAlive(false, false, merged, "GM-6.4-5 over")
		w.requireAlive(false, false, tokens, "GM-6.4-5 an older token does not outlive it either")
	})
}

// A code redeemed by many at once, each of whom makes its change: one may get tokens, and no tokens are good afterwards.
func TestClaimRacesItself(t *testing.T) {
	w := newRichWorld(t, opaque)
	for range 4 {
		_, id := w.create()
		code := w.code("client-1", with("grant_management_action", "merge", "grant_id", id, "authorization_details", payACME))
		const many = 8
		forms, proofs := make([]url.Values, many), make([]string, many)
		for i := range forms {
			forms[i], proofs[i] = w.codeForm("client-1", code), w.tokenProof("d")
		}
		var mu sync.Mutex
		var issued []answer
		testkit.Hammer(many, func(i int) {
			if got := w.send(w.tokenURL(), forms[i], proofs[i]); got.status == http.StatusOK {
				mu.Lock()
				defer mu.Unlock()
				issued = append(issued, got)
			}
		})
		require.LessOrEqual(t, len(issued), 1, "SP-5.3.2.2-9")
		for _, tokens := range issued {
			w.requireAlive(false, false, tokens, "SP-5.3.2.2-9")
		}
		g, err := w.as.Grants().Get(t.Context(), id)
		require.NoError(t, err)
		require.EqualValues(t, 2, g.Version, "GM-5.2-5 made once")
		again, same := w.manage("merge", id)
		require.Equal(t, id, same)
		w.requireAlive(true, true, again, "the grant itself is not to blame")
	}
}

// Codes, refreshes, merges and revocations at the same moment: once the revocation is answered, no token of the grant is good.
func TestRevocationRacesEverything(t *testing.T) {
	for name, options := range map[string][]worldOption{"JWT": nil, "opaque": {opaque}} {
		t.Run("GM-6.5-2 GM-6.5-3 "+name, func(t *testing.T) {
			w := newRichWorld(t, options...)
			for round := range 6 {
				raceRevocation(t, w, round%2 == 0)
			}
		})
	}
}

func raceRevocation(t *testing.T, w *world, byClient bool) {
	tokens, id := w.create("scope", "accounts")
	var issued []string
	var mu sync.Mutex
	keep := func(got answer) {
		mu.Lock()
		defer mu.Unlock()
		for _, name := range []string{"access_token", "refresh_token"} {
			if raw := text(got.body[name]); raw != "" {
				issued = append(issued, raw)
			}
		}
	}
	keep(tokens)
	var work []func()
	for range 4 {
		refresh, proof := w.refreshForm("client-1", tokens.body["refresh_token"].(string)), w.tokenProof("d")
		work = append(work, func() { keep(w.send(w.tokenURL(), refresh, proof)) })
	}
	for _, action := range []string{"merge", "replace", "merge"} {
		code := w.codeForm("client-1", w.code("client-1", with("grant_management_action", action, "grant_id", id, "scope", "accounts")))
		proof := w.tokenProof("d")
		work = append(work, func() {
			got := w.send(w.tokenURL(), code, proof)
			keep(got)
			if refresh := text(got.body["refresh_token"]); refresh != "" {
				keep(w.send(w.tokenURL(), w.refreshForm("client-1", refresh), w.tokenProof("d")))
			}
		})
	}
	var revoked atomic.Bool
	token := w.own("client-1", "grant_management_revoke")
	work = append(work, func() {
		if byClient {
			revoked.Store(w.grant("DELETE", id, token).status == http.StatusNoContent)
		} else {
			revoked.Store(w.as.Grants().Withdraw(context.Background(), id) == nil)
		}
	})
	testkit.Hammer(len(work), func(i int) { work[i]() })
	require.True(t, revoked.Load())
	for _, raw := range issued {
		require.Equal(t, false, w.seen("client-2", raw).body["active"], "GM-6.5-3")
		require.NotEqual(t, http.StatusOK, w.send(w.tokenURL(), w.refreshForm("client-1", raw), w.tokenProof("d")).status, "GM-6.5-2")
		if strings.Contains(raw, ".") {
			require.Equal(t, http.StatusUnauthorized, w.callAPI("DPoP", raw, w.apiProof("d", raw)).status, "GM-6.5-3")
		}
	}
	_, err := w.as.Grants().Query(t.Context(), "client-1", id)
	require.ErrorIs(t, err, grants.ErrNotFound)
}
