package authserver_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestG13ClaimsOfAGrantAreThoseConsented(t *testing.T) {
	w := newRichWorld(t)
	w.agreeing(func(p *authserver.Approval) { p.IDTokenClaims = map[string]any{"sid": "session-1"} })
	_, id := w.create("scope", "accounts openid")
	require.NotContains(t, w.query(id).body, "claims", "G13 GM-6.4-3 a claim of the ID token was not requested")
	w.agreeing(func(p *authserver.Approval) { p.GrantClaims = []string{"email", "given_name", "email"} })
	_, id = w.create("scope", "accounts openid")
	require.JSONEq(t, `["email","given_name"]`, w.query(id).told("claims"), "G13 GM-6.4-3")
	w.agreeing(func(p *authserver.Approval) { p.GrantClaims = []string{"birthdate"} })
	w.manage("merge", id, "scope", "accounts")
	require.JSONEq(t, `["birthdate","email","given_name"]`, w.query(id).told("claims"), "G13 over all requests of the grant")
	w.manage("replace", id, "scope", "accounts")
	require.JSONEq(t, `["birthdate"]`, w.query(id).told("claims"), "GM-5.2-7")
}

func TestG16ApprovalSetsMembersOfTheGrant(t *testing.T) {
	w := newRichWorld(t)
	w.agreeing(func(p *authserver.Approval) {
		p.GrantExtra = map[string]json.RawMessage{"sharing_purpose": json.RawMessage(`{"text":"loans & cards"}`)}
	})
	_, id := w.create()
	require.JSONEq(t, `{"text":"loans & cards"}`, w.query(id).told("sharing_purpose"), "G16 GM-6.4-7")
	w.agreeing(nil)
	w.manage("merge", id, "scope", "accounts")
	require.JSONEq(t, `{"text":"loans & cards"}`, w.query(id).told("sharing_purpose"), "G16 a merge keeps them")
	for name, change := range map[string]func(*authserver.Approval){
		"G16 a member of the response": func(p *authserver.Approval) { p.GrantExtra = map[string]json.RawMessage{"scopes": []byte(`1`)} },
		"G16 GM-6-2 a token": func(p *authserver.Approval) {
			p.GrantExtra = map[string]json.RawMessage{"refresh_token": []byte(`"x"`)}
		},
		"G13 GM-6.4-3 a claim that is not a claim": func(p *authserver.Approval) { p.GrantClaims = []string{""} },
	} {
		t.Run(name, func(t *testing.T) { w.requireNotApproved(change, "grant_management_action", "create") })
	}
	for name, change := range map[string]func(*authserver.Approval){
		"G16 without grant management": func(p *authserver.Approval) { p.GrantExtra = map[string]json.RawMessage{"a": []byte(`1`)} },
		"G13 without grant management": func(p *authserver.Approval) { p.GrantClaims = []string{"email"} },
	} {
		t.Run(name, func(t *testing.T) { w.requireNotApproved(change) })
	}
}

// requireNotApproved sees a host's approval refused, and the request still there to be approved.
func (w *world) requireNotApproved(change func(*authserver.Approval), fields ...string) {
	w.t.Helper()
	refused := false
	w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
		_, err := w.agree(a, change)
		require.Error(w.t, err)
		refused = true
		return w.agree(a, nil)
	}
	require.Equal(w.t, http.StatusOK, w.redeem(fields...).status)
	require.True(w.t, refused)
}

func TestG15EndOfAGrantWithoutAnEnd(t *testing.T) {
	w := newRichWorld(t, managed(func(m *grants.ManagerConfig) { m.Lifetime = 48 * time.Hour }))
	var ends time.Time
	w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
		var err error
		ends, err = a.GrantEnds(t.Context(), "alice")
		require.NoError(t, err)
		if a.GrantRequest().GrantID() != "" {
			_, err = a.GrantEnds(t.Context(), "bob")
			require.ErrorIs(t, err, grants.ErrGrantID, "GM-5.4-1 the date of another user's grant is not shown")
		}
		return w.agree(a, nil)
	}
	w.redeem()
	require.True(t, ends.IsZero(), "G15 no grant")
	expires := func(id string) int64 { return int64(w.query(id).body["expires_at"].(float64)) }
	_, id := w.create()
	require.Equal(t, expires(id), ends.Unix(), "G15 create: the Lifetime")
	w.clock.Advance(time.Hour)
	w.manage("merge", id)
	require.Equal(t, expires(id), ends.Unix(), "G15 merge: as it is")
	w.manage("replace", id)
	require.Equal(t, expires(id), ends.Unix(), "G15 replace: the Lifetime from now on")
	require.Equal(t, w.clock.Now().Add(48*time.Hour).Unix(), ends.Unix())
}

// A registry may lack a type for a while, such as during a deployment.
func TestG16MergeKeepsDetailsOfUnknownTypes(t *testing.T) {
	w := newRichWorld(t)
	const strange = `{"type":"mandate","limit":1.50,"note":"A \u0026 B","nested":{"b":1,"a":[1e2]}}`
	_, id := w.create("authorization_details", payACME, "scope", "accounts payments")
	_, err := w.as.Grants().Update(t.Context(), id, func(g *grants.Grant) error {
		g.AuthorizationDetails = json.RawMessage("[" + strange + "," + strings.TrimPrefix(string(g.AuthorizationDetails), "["))
		return nil
	})
	require.NoError(t, err)
	tokens, _ := w.manage("merge", id, "authorization_details", readOnly, "scope", "accounts")
	g, err := w.as.Grants().Get(t.Context(), id)
	require.NoError(t, err)
	require.Contains(t, string(g.AuthorizationDetails), strange, "G16 byte for byte")
	require.Contains(t, string(g.AuthorizationDetails), "ACME")
	require.Contains(t, string(g.AuthorizationDetails), `"read"`)
	require.NotContains(t, tokens.told("authorization_details"), "mandate", "BCP-2.3-1 and no token has it meanwhile")
	w.manage("merge", id, "authorization_details", readOnly, "scope", "accounts")
	again, err := w.as.Grants().Update(t.Context(), id, func(g *grants.Grant) error {
		g.Claims = []string{"email"}
		return nil
	})
	require.NoError(t, err)
	require.JSONEq(t, string(g.AuthorizationDetails), string(again.AuthorizationDetails), "G16 neither a second merge nor an update changes anything")
	require.Equal(t, 1, strings.Count(string(again.AuthorizationDetails), strange))
	w.manage("replace", id, "authorization_details", readOnly, "scope", "accounts")
	require.NotContains(t, w.query(id).told("authorization_details"), "mandate", "GM-5.2-7 a replacement does drop it")
}

// A host may have the revocation of a refresh token end its grant (GM-6.5-4).
func TestG16RevocationKnowsItsGrant(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		origin := func(token any) grants.Origin {
			o, err := w.as.TokenOrigin(t.Context(), "client-1", token.(string))
			require.NoError(t, err)
			return o
		}
		tokens, id := w.create("scope", "accounts")
		of := origin(tokens.body["refresh_token"])
		require.Equal(t, id, of.GrantID)
		require.True(t, of.Refresh)
		require.Len(t, of.AuthorizationID, 22)
		access := origin(tokens.body["access_token"])
		require.Equal(t, grants.Origin{AuthorizationID: of.AuthorizationID, GrantID: id}, access)
		plain := w.redeem("scope", "accounts")
		require.Empty(t, origin(plain.body["access_token"]).GrantID, "G16 no grant management, no grant")
		require.Empty(t, origin(plain.body["refresh_token"]).GrantID)
		require.Zero(t, origin("unknown"))
		for _, member := range []string{"refresh_token", "access_token"} {
			token := tokens.body[member].(string)
			_, err := w.as.TokenOrigin(t.Context(), "client-2", token)
			require.ErrorIs(t, err, authserver.ErrRevocation, "GM-10-1")
			require.ErrorIs(t, w.as.Revoke(t.Context(), "client-2", token), authserver.ErrRevocation)
		}

		merged, _ := w.manage("merge", id, "scope", "payments")
		require.Empty(t, origin(tokens.body["refresh_token"]).GrantID, "G16 a token that a merge has ended does not end the grant")
		require.Equal(t, id, origin(tokens.body["access_token"]).GrantID)
		last := merged.body["refresh_token"].(string)
		end := origin(last)
		require.NoError(t, w.as.Revoke(t.Context(), "client-1", last))
		require.Equal(t, http.StatusOK, w.query(id).status, "GM-6.5-4 the revocation alone leaves the grant")
		require.Equal(t, id, origin(merged.body["refresh_token"]).GrantID, "G16 a host that has failed there can go on")
		require.NoError(t, w.as.Grants().Revoke(t.Context(), "client-1", end.GrantID))
		require.Equal(t, http.StatusNotFound, w.query(id).status)
		require.Empty(t, origin(merged.body["refresh_token"]).GrantID, "G16 nothing is left to end")
		require.Empty(t, origin(tokens.body["access_token"]).GrantID)
	}, namingGrants)
}

// A host ends grants at the revocation of their refresh tokens, as TokenOrigin documents it, while tokens are refreshed.
func TestG16ManyRevocationsEndOneGrantOnce(t *testing.T) {
	var ended atomic.Int32
	w := newRichWorld(t, namingGrants, managed(func(m *grants.ManagerConfig) {
		m.Events = func(_ context.Context, e grants.Event) error {
			if e.Kind == "revoked" {
				ended.Add(1)
			}
			return nil
		}
	}))
	tokens, id := w.create("scope", "accounts")
	refresh := tokens.body["refresh_token"].(string)
	var all sync.WaitGroup
	var won atomic.Int32
	for range 12 {
		form, proof := w.refreshForm("client-1", refresh), w.tokenProof("d")
		all.Go(func() {
			origin, err := w.as.TokenOrigin(t.Context(), "client-1", refresh)
			assert.NoError(t, err)
			assert.NoError(t, w.as.Revoke(t.Context(), "client-1", refresh))
			if origin.GrantID == "" { // another one was first
				return
			}
			switch err := w.as.Grants().Revoke(t.Context(), "client-1", origin.GrantID); {
			case err == nil:
				won.Add(1)
			default:
				assert.ErrorIs(t, err, grants.ErrNotFound)
			}
		})
		all.Go(func() { w.send(w.tokenURL(), form, proof) })
	}
	all.Wait()
	require.EqualValues(t, 1, won.Load(), "G16 exactly one winner")
	require.EqualValues(t, 1, ended.Load())
	w.requireAlive(false, false, tokens, "GM-6.5-2")
	require.Equal(t, http.StatusNotFound, w.query(id).status)
}
