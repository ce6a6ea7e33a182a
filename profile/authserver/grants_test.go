package authserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// managed changes the configuration of grant management.
func managed(change func(*grants.ManagerConfig)) worldOption {
	return func(as *authserver.Config, _ *resourceserver.Config) { change(as.Grants) }
}

// own is an access token of a client for itself.
func (w *world) own(id, scope string) string {
	got := w.send(w.tokenURL(), w.credentialsForm(id, scope), w.tokenProof("d"))
	require.Equal(w.t, http.StatusOK, got.status, "%v", got.body)
	return got.body["access_token"].(string)
}

// grant sends a request to the URL of a grant.
func (w *world) grant(method, id, token string) answer {
	return w.grantAt(method, w.as.Metadata().GrantManagementEndpoint+"/"+id, token, "d")
}

func (w *world) grantAt(method, target, token, key string) answer {
	r, err := http.NewRequest(method, target, nil)
	require.NoError(w.t, err)
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", w.proof(key, method, target, dpop.ProofOptions{AccessToken: token}))
	return w.do(r)
}

func (w *world) query(id string) answer {
	return w.grant(http.MethodGet, id, w.own("client-1", "grant_management_query"))
}

func (w *world) end(id string) answer {
	return w.grant(http.MethodDelete, id, w.own("client-1", "grant_management_revoke"))
}

// create runs an authorization that creates a grant.
func (w *world) create(fields ...string) (tokens answer, id string) {
	return w.manage("create", "", fields...)
}

func (w *world) manage(action, id string, fields ...string) (answer, string) {
	w.t.Helper()
	fields = append(fields, "grant_management_action", action)
	if id != "" {
		fields = append(fields, "grant_id", id)
	}
	got := w.redeem(fields...)
	require.Equal(w.t, http.StatusOK, got.status, "%v", got.body)
	id, _ = got.body["grant_id"].(string)
	return got, id
}

// alive says whether tokens of client-1 are good: the access token at introspection, and the refresh token.
func (w *world) alive(tokens answer) (access, refresh bool) {
	return w.seen("client-2", tokens.body["access_token"].(string)).body["active"] == true, w.renew(tokens).status == http.StatusOK
}

func (w *world) requireAlive(access, refresh bool, tokens answer, why string) {
	w.t.Helper()
	a, r := w.alive(tokens)
	require.Equal(w.t, access, a, "access token: %s", why)
	require.Equal(w.t, refresh, r, "refresh token: %s", why)
}

func TestGrantLifecycle(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		first, id := w.create("authorization_details", readOnly, "scope", "accounts openid")
		require.Regexp(t, `^[A-Za-z0-9_-]{43}$`, id, "GM-5.5-1 GM-5.5-2 GM-9-1 GM-5.2-3")
		again := w.renew(first)
		require.Equal(t, id, again.body["grant_id"], "GM-5.5-3")
		for _, finding := range w.as.Metadata().Lint(profile.Baseline) {
			require.NotRegexp(t, "grant|details", finding.Member, finding.Clause)
		}
		_, other := w.create()
		require.NotEqual(t, id, other, "GM-5.2-3 GM-5.5-1 GM-9-2 a fresh one each time")
		require.NotContains(t, w.redeem().body, "grant_id", "GM-5.5-3 no action, no grant")

		created := w.query(id)
		require.Equal(t, http.StatusOK, created.status)
		require.JSONEq(t, `[{"scope":"accounts openid","resource":["`+w.rsHTTP.URL+`"]}]`, created.told("scopes"), "GM-6.4-2")
		require.JSONEq(t, readOnly, created.told("authorization_details"), "GM-6.4-4 RAR-11.2-1")
		require.Equal(t, "client", created.body["updated_by"], "GM-6.4-6")
		require.EqualValues(t, w.clock.Now().Unix(), created.body["created_at"], "GM-6.4-5")
		require.EqualValues(t, w.clock.Now().Add(365*24*time.Hour).Unix(), created.body["expires_at"], "GM-6.4-5")

		w.clock.Advance(10 * time.Second)
		second, same := w.manage("merge", id, "scope", "payments", "resource", otherAPI, "authorization_details", payACME)
		require.Equal(t, id, same, "GM-5.2-9")
		merged := w.query(id)
		require.JSONEq(t, `[{"scope":"accounts openid","resource":["`+w.rsHTTP.URL+`"]},{"scope":"payments","resource":["`+otherAPI+`"]}]`, merged.told("scopes"), "GM-5.2-5")
		require.JSONEq(t, join(readOnly, payACME), merged.told("authorization_details"), "GM-5.2-5 RAR-11.2-2")
		require.EqualValues(t, w.clock.Now().Unix(), merged.body["last_updated_at"], "GM-6.4-5")
		require.Equal(t, created.body["created_at"], merged.body["created_at"])
		w.requireAlive(true, false, first, "GM-5.2-6 what it permits is still permitted, its refresh token is not good any more")
		require.Equal(t, "invalid_grant", w.renew(first).code, "GM-5.2-6")
		require.Equal(t, http.StatusOK, w.renew(second).status)

		third, same := w.manage("replace", id, "authorization_details", theirMoney, "scope", "payments")
		require.Equal(t, id, same, "GM-5.2-9")
		replaced := w.query(id)
		require.JSONEq(t, `[{"scope":"payments","resource":["`+w.rsHTTP.URL+`"]}]`, replaced.told("scopes"), "GM-5.2-7")
		require.JSONEq(t, theirMoney, replaced.told("authorization_details"), "GM-5.2-7")
		w.requireAlive(false, false, first, "GM-5.2-8 GM-10-2")
		w.requireAlive(false, false, second, "GM-5.2-8 GM-10-2")
		require.Equal(t, "invalid_grant", w.renew(second).code, "GM-5.2-8")
		w.requireDetails(theirMoney, w.renew(third), "GM-5.2-7")

		ended := w.end(id)
		require.Equal(t, http.StatusNoContent, ended.status, "GM-6.5-1")
		require.Empty(t, ended.body, "GM-6.5-1")
		require.Equal(t, "invalid_grant", w.renew(third).code, "GM-6.5-2")
		w.requireAlive(false, false, third, "GM-6.5-2 GM-6.5-3")
		require.Equal(t, http.StatusNotFound, w.query(id).status, "GM-6.6-1")
		require.Equal(t, http.StatusNotFound, w.end(id).status, "GM-6.6-1")
		require.Equal(t, http.StatusOK, w.query(other).status, "another grant of the same user and client stays")
	})
}

// What is wrong with the parameters is told at the push, plain or signed, and uses up nothing.
func TestGrantRequestsRefused(t *testing.T) {
	w := newRichWorld(t)
	_, id := w.create()
	_, theirs := func() (answer, string) {
		got := w.send(w.tokenURL(), w.codeForm("client-2", w.code("client-2", with("grant_management_action", "create"))), w.tokenProof("d"))
		return got, got.body["grant_id"].(string)
	}()
	_, ended := w.create()
	require.Equal(t, http.StatusNoContent, w.end(ended).status)
	for _, tc := range []struct{ name, action, id, code string }{
		{"GM-5.4-2 grant_id with create", "create", id, "invalid_request"},
		{"GM-5.4-3 grant_id without an action", "", id, "invalid_request"},
		{"GM-5.2-4 merge without grant_id", "merge", "", "invalid_request"},
		{"GM-5.2-4 replace without grant_id", "replace", "", "invalid_request"},
		{"GM-5.4-4 update, as it was called once", "update", id, "invalid_request"},
		{"GM-5.4-4 query is no action of a request", "query", id, "invalid_request"},
		{"GM-5.4-4 revoke is no action of a request", "revoke", id, "invalid_request"},
		{"GM-5.4-4 in another case", "Create", "", "invalid_request"},
		{"GM-5.4-1 an unknown grant_id", "merge", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "invalid_grant_id"},
		{"GM-5.4-1 no grant_id of ours", "replace", "../token", "invalid_grant_id"},
		{"GM-5.4-1 a revoked one", "merge", ended, "invalid_grant_id"},
		{"GM-5.2-2 GM-10-1 another client's", "merge", theirs, "invalid_grant_id"},
		{"GM-5.2-2 GM-10-1 another client's, to be replaced", "replace", theirs, "invalid_grant_id"},
	} {
		for _, signed := range []bool{false, true} {
			t.Run(tc.name, func(t *testing.T) {
				form := w.pushForm("client-1")
				for name, value := range map[string]string{"grant_management_action": tc.action, "grant_id": tc.id} {
					if value != "" {
						form.Set(name, value)
					}
				}
				if signed { // GM-5.2-1
					form = w.signed("client-1", form)
				}
				got := w.send(w.parURL(), form)
				require.Equal(t, http.StatusBadRequest, got.status, "%v", got.body)
				require.Equal(t, tc.code, got.code)
			})
		}
	}
	form := w.pushForm("client-1")
	form["grant_id"] = []string{id, id}
	form.Set("grant_management_action", "merge")
	require.Equal(t, "invalid_request", w.send(w.parURL(), form).code, "BASE-6749-3.1-1")
	form = w.pushForm("client-1")
	form.Del("client_assertion")
	form.Del("client_assertion_type")
	with("client_id", "client-1", "grant_management_action", "create")(form)
	require.Equal(t, "invalid_client", w.send(w.parURL(), form).code, "GM-5.1-1")
	require.Equal(t, http.StatusOK, w.query(id).status)

	limited := newRichWorld(t, managed(func(m *grants.ManagerConfig) {
		m.Actions, m.ActionRequired = []string{"create", "query"}, true
	}))
	require.Equal(t, "invalid_request", limited.send(limited.parURL(), limited.pushForm("client-1")).code, "GM-5.4-5")
	_, id = limited.create()
	for _, action := range []string{"merge", "replace"} {
		form := limited.pushForm("client-1")
		with("grant_management_action", action, "grant_id", id)(form)
		require.Equal(t, "invalid_request", limited.send(limited.parURL(), form).code, "GM-5.4-4")
	}
	require.Equal(t, http.StatusMethodNotAllowed, limited.end(id).status, "GM-6-1 revoke is not offered")
	m := limited.as.Metadata()
	require.Equal(t, []string{"create", "query"}, m.GrantManagementActionsSupported, "GM-7.1-1")
	require.True(t, m.GrantManagementActionRequired, "GM-7.1-3")
	require.Equal(t, limited.asHTTP.URL+"/grants", m.GrantManagementEndpoint, "GM-7.1-2 GM-6.2-1")

	without := newWorld(t)
	require.Nil(t, without.as.Grants())
	require.Empty(t, without.as.Metadata().GrantManagementEndpoint, "GM-7.1-2")
	for _, parameter := range []string{"grant_id", "grant_management_action"} {
		form := without.pushForm("client-1")
		form.Set(parameter, "create")
		require.Equal(t, "invalid_request", without.send(without.parURL(), form).code, "GM-5.4-4 a server without grant management")
	}
	require.Equal(t, http.StatusNotFound, without.visit(without.asHTTP.URL+"/grants/"+id).StatusCode)
}

// Who the user is, is known only after the login; the client hears of it in the response.
func TestGrantOfAnotherUser(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		tokens, id := w.create("authorization_details", readOnly)
		for _, action := range []string{"merge", "replace"} {
			w.agreeing(func(p *authserver.Approval) { p.Subject = "bob" })
			form := w.pushForm("client-1")
			with("grant_management_action", action, "grant_id", id)(form)
			target := w.authorizationURL("client-1", form)
			callback := w.browse(target)
			require.Equal(t, "invalid_grant_id", callback.Get("error"), "GM-5.4-1 %v", callback)
			require.Empty(t, callback.Get("code"))
			require.Equal(t, http.StatusBadRequest, w.visit(target).StatusCode, "used up")
		}
		w.agreeing(nil)
		require.JSONEq(t, readOnly, w.query(id).told("authorization_details"))
		w.requireAlive(true, true, tokens, "nothing has changed")

		w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
			require.Equal(t, "merge", a.GrantRequest().Action(), "GM-5.2-1")
			_, err := w.as.Grants().Existing(context.Background(), a.GrantRequest(), "bob")
			require.ErrorIs(t, err, grants.ErrGrantID, "GM-5.4-1 before the consent")
			return w.agree(a, nil)
		}
		_, same := w.manage("merge", id)
		require.Equal(t, id, same)
	})
}

// The grant is nobody's business before its client has tokens, and gone if it gets none.
func TestGrantComesWithTheTokens(t *testing.T) {
	w := newRichWorld(t)
	form := w.pushForm("client-1")
	form.Set("grant_management_action", "create")
	callback := w.browse(w.authorizationURL("client-1", form))
	require.NotContains(t, callback, "grant_id", "GM-5.3-1")
	require.NotContains(t, callback, "grant_management_action", "GM-5.3-1")
	signed := w.pushForm("client-1")
	with("grant_management_action", "create", "response_mode", "jwt")(signed)
	_, payload := claims(t, w.browse(w.authorizationURL("client-1", signed)).Get("response"))
	require.NotEmpty(t, payload["code"])
	require.NotContains(t, payload, "grant_id", "GM-5.3-1")

	tokens, id := w.create("authorization_details", readOnly)
	code := w.code("client-1", with("grant_management_action", "replace", "grant_id", id, "authorization_details", payACME))
	require.JSONEq(t, readOnly, w.query(id).told("authorization_details"), "GM-5.6.1-1 until the tokens are claimed nothing has changed")
	w.requireAlive(true, true, tokens, "GM-5.6.1-1")
	w.clock.Advance(time.Minute)
	require.Equal(t, "invalid_grant", w.spend(code).code, "SP-5.3.2.1-11")
	require.JSONEq(t, readOnly, w.query(id).told("authorization_details"), "GM-5.6.1-2 what nobody has claimed never was")
	_, refresh := w.alive(tokens)
	require.True(t, refresh, "GM-5.6.1-2")
}

// What a grant permits no longer, no token of it permits, and none outlives it.
func TestGrantExpires(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		w.agreeing(func(p *authserver.Approval) {
			p.Expires, p.GrantData = w.clock.Now().Add(7*time.Minute), json.RawMessage(`{"consent":"urn:1"}`)
		})
		tokens, id := w.create()
		require.Equal(t, 300.0, tokens.body["expires_in"])
		g, err := w.as.Grants().Get(context.Background(), id)
		require.NoError(t, err)
		require.JSONEq(t, `{"consent":"urn:1"}`, string(g.Data), "the host's own")
		require.NotContains(t, w.query(id).told("scopes")+w.query(id).told("data"), "urn:1", "GM-6.4-7 and nobody else's")
		w.clock.Advance(5 * time.Minute)
		later := w.renew(tokens)
		seconds := later.body["expires_in"].(float64)
		require.True(t, seconds > 110 && seconds <= 120, "GM-6.4-5 %v", seconds)
		seen := w.seen("client-2", later.body["access_token"].(string))
		require.LessOrEqual(t, int64(seen.body["exp"].(float64)), g.ExpiresAt.Unix(), "GM-6.4-5 no token outlives its grant")
		w.clock.Advance(119*time.Second + 500*time.Millisecond)
		require.Equal(t, "invalid_grant", w.renew(tokens).code, "a token of no time at all")
		w.clock.Advance(time.Second)
		w.requireAlive(false, false, later, "GM-6.4-5")
		require.Equal(t, "invalid_grant", w.renew(tokens).code)
		require.Equal(t, http.StatusNotFound, w.query(id).status, "GM-6.6-1")
		form := w.pushForm("client-1")
		with("grant_management_action", "merge", "grant_id", id)(form)
		require.Equal(t, "invalid_grant_id", w.send(w.parURL(), form).code, "GM-5.4-1 an expired one")
	})
	w := newRichWorld(t)
	form := w.pushForm("client-1")
	a := w.load("client-1", form)
	for name, change := range map[string]func(*authserver.Approval){
		"GrantData": func(p *authserver.Approval) { p.GrantData = json.RawMessage("1") },
	} {
		_, err := w.agree(a, change)
		require.Error(t, err, "%s for a request without grant management", name)
	}
	form = w.pushForm("client-1")
	form.Set("grant_management_action", "create")
	a = w.load("client-1", form)
	for name, change := range map[string]func(*authserver.Approval){
		"in the past":       func(p *authserver.Approval) { p.Expires = w.clock.Now().Add(-time.Second) },
		"in the far future": func(p *authserver.Approval) { p.Expires = w.clock.Now().Add(366 * 24 * time.Hour) },
		"data that is none": func(p *authserver.Approval) { p.GrantData = json.RawMessage("{") },
		"the client itself": func(p *authserver.Approval) { p.Subject = "client-1" },
	} {
		_, err := w.agree(a, change)
		require.Error(t, err, name)
	}
	require.NotEmpty(t, w.spend(w.approve(a, authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}})).body["grant_id"], "nothing was used up")
}

// A user whose subject is a client's identifier could not be told from the client: RFC 9700 §4.15.
func TestApprovalBySomebodyCalledLikeTheClient(t *testing.T) {
	w := newWorld(t)
	a := w.load("client-1", w.pushForm("client-1"))
	_, err := w.as.Approve(context.Background(), a, authserver.Approval{Subject: "client-1", Scopes: a.Scopes()})
	require.ErrorContains(t, err, "Subject is the client's client_id")
	require.NotEmpty(t, w.approve(a, authserver.Approval{Subject: "client-2", Scopes: a.Scopes()}))
}

// The host's own events come after the tokens have ended; one that fails stops the answer and nothing else.
func TestGrantEvents(t *testing.T) {
	for _, indexed := range []bool{false, true} {
		t.Run(fmt.Sprint("with an index: ", indexed), func(t *testing.T) { grantEvents(t, indexed) })
	}
}

func grantEvents(t *testing.T, indexed bool) {
	var events []string
	var fail error
	w := newRichWorld(t, managed(func(m *grants.ManagerConfig) {
		if !indexed {
			m.Store = memstore.New(memstore.Config{})
		}
		m.Events = func(_ context.Context, e grants.Event) error {
			if fail == nil {
				events = append(events, e.Kind)
			}
			return fail
		}
	}))
	code := w.code("client-1", with("grant_management_action", "create"))
	fail = errors.New("queue: refused by 10.1.2.3")
	got := w.spend(code)
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.NotContains(t, got.body["error_description"], "10.1.2.3")
	require.NotEmpty(t, got.header.Get("Retry-After"), "GM-6.4-8")
	require.NotContains(t, got.body, "access_token")
	fail = nil
	tokens := w.spend(code)
	require.Equal(t, http.StatusOK, tokens.status, "the code was lost: %v", tokens.body)
	id := tokens.body["grant_id"].(string)
	require.Equal(t, []string{"created"}, events)

	merge := w.code("client-1", with("grant_management_action", "merge", "grant_id", id, "scope", "payments"))
	fail = errors.New("down")
	require.Equal(t, http.StatusServiceUnavailable, w.spend(merge).status)
	require.Equal(t, "invalid_grant", w.renew(tokens).code, "GM-5.2-6 in effect all the same")
	fail = nil
	tokens = w.spend(merge)
	require.Equal(t, http.StatusOK, tokens.status, "%v", tokens.body)

	fail = errors.New("down")
	got = w.end(id)
	if indexed { // the sweep repeats the event
		require.Equal(t, http.StatusNoContent, got.status, "GM-6.5-1")
	} else {
		require.Equal(t, http.StatusServiceUnavailable, got.status, "GM-6.4-8")
		require.NotEmpty(t, got.header.Get("Retry-After"), "GM-6.4-8")
	}
	w.requireAlive(false, false, tokens, "GM-6.5-2 GM-6.5-3 ended before anybody else was told")
	fail = nil
	require.Equal(t, http.StatusNoContent, w.end(id).status, "GM-6.5-1")
	require.Equal(t, []string{"created", "merged", "revoked"}, events)
	require.Equal(t, http.StatusNotFound, w.end(id).status)
}

// The revocation of tokens (RFC 7009) ends an authorization, and not the grant.
func TestRevocationLeavesTheGrant(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		for _, member := range []string{"access_token", "refresh_token"} {
			tokens, id := w.create()
			require.Equal(t, http.StatusOK, w.revoke("client-1", tokens.body[member].(string)).status)
			w.requireAlive(false, false, tokens, "RFC 7009 §2.1")
			require.Equal(t, http.StatusOK, w.query(id).status, "GM-6.5-4")
			again, same := w.manage("merge", id)
			require.Equal(t, id, same, "GM-6.5-4 GM-5.2-10")
			w.requireAlive(true, true, again, "GM-5.2-10")
			w.requireAlive(false, false, tokens, "what has ended stays so")
			require.Equal(t, http.StatusNoContent, w.end(id).status)
			w.requireAlive(false, false, again, "GM-6.5-2")
		}
	})
}

// Clients of one sector share what users have permitted (GM-8.1-1).
func TestGrantsOfASector(t *testing.T) {
	w := newRichWorld(t, managed(func(m *grants.ManagerConfig) {
		m.Sector = func(id string) string {
			return map[string]string{"client-1": "a", "client-2": "a", "client-3": "b"}[id]
		}
	}))
	tokens, id := w.create("authorization_details", join(readOnly, payACME), "scope", "accounts payments")
	require.Equal(t, http.StatusOK, w.grant(http.MethodGet, id, w.own("client-2", "grant_management_query")).status, "GM-8.1-1")
	require.Equal(t, http.StatusNotFound, w.grant(http.MethodGet, id, w.own("client-3", "grant_management_query")).status, "GM-8.1-1 GM-10-1")
	w.clients["client-2"].Scope, w.clients["client-2"].AuthorizationDetailsTypes = "accounts grant_management_query grant_management_revoke", []string{"account"}
	form := w.codeForm("client-2", w.code("client-2", with("grant_management_action", "merge", "grant_id", id, "scope", "accounts")))
	got := w.send(w.tokenURL(), form, w.tokenProof("d"))
	require.Equal(t, id, got.body["grant_id"], "GM-8.1-1 %v", got.body)
	require.Equal(t, "accounts", got.body["scope"], "BCP-2.3-1 each gets what it is registered for itself")
	w.requireDetails(readOnly, got, "RAR-10-2 each gets what it is registered for itself")
	require.Equal(t, "invalid_grant", w.renew(tokens).code, "GM-5.2-6")
	stranger := w.pushForm("client-3")
	with("grant_management_action", "merge", "grant_id", id)(stranger)
	require.Equal(t, "invalid_grant_id", w.send(w.parURL(), stranger).code, "GM-5.2-2 GM-8.1-1")
}

func TestMergeExtendsAGrant(t *testing.T) {
	w := newRichWorld(t, managed(func(m *grants.ManagerConfig) { m.Lifetime = 90 * 24 * time.Hour }))
	w.agreeing(func(p *authserver.Approval) { p.Expires = w.clock.Now().Add(24 * time.Hour) })
	first, id := w.create("scope", "accounts", "authorization_details", readOnly)
	before := w.query(id)
	_, concurrent := w.create("scope", "payments")
	require.NotEqual(t, id, concurrent, "GM-3.5-1")
	ends := w.clock.Now().Add(60 * 24 * time.Hour)
	w.agreeing(func(p *authserver.Approval) { p.Expires = ends })
	extended, same := w.manage("merge", id, "scope", "")
	require.Equal(t, id, same, "GM-3.4-1")
	after := w.query(id)
	require.EqualValues(t, ends.Unix(), after.body["expires_at"], "GM-3.4-1 the duration alone")
	require.JSONEq(t, before.told("scopes"), after.told("scopes"), "GM-3.4-1")
	require.JSONEq(t, before.told("authorization_details"), after.told("authorization_details"), "GM-3.4-1")
	require.Equal(t, "accounts", extended.body["scope"], "GM-3.4-1 nothing has to be repeated")
	require.Equal(t, "invalid_grant", w.renew(first).code, "GM-5.2-6")
	require.Equal(t, http.StatusNoContent, w.end(concurrent).status, "GM-3.5-1")
	require.Equal(t, http.StatusOK, w.query(id).status, "GM-3.5-1 each by its own grant_id")
}
