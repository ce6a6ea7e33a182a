package authserver_test

import (
	"net/http"
	"testing"

	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/stretchr/testify/require"
)

func TestAHostWithdrawsAnAuthorization(t *testing.T) {
	w := newWorld(t)
	var id string
	w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
		response, err := w.as.Approve(t.Context(), a, authserver.Approval{Subject: "alice", Scopes: a.Scopes()})
		require.NoError(t, err)
		id = response.AuthorizationID()
		return response, nil
	}
	first, firstID := w.tokens("client-1", "d").body, id
	second := w.tokens("client-1", "d").body
	require.NotEqual(t, firstID, id)
	unused := w.codeForm("client-1", w.code("client-1", nil))
	require.NoError(t, w.as.Withdraw(t.Context(), firstID))
	require.NoError(t, w.as.Withdraw(t.Context(), firstID), "again")
	refresh := func(tokens map[string]any) answer {
		return w.send(w.tokenURL(), w.refreshForm("client-1", tokens["refresh_token"].(string)), w.tokenProof("d"))
	}
	require.Equal(t, "invalid_grant", refresh(first).body["error"])
	require.Equal(t, http.StatusOK, refresh(second).status, "that of another authorization is as good as before")
	require.NoError(t, w.as.Withdraw(t.Context(), id))
	require.Equal(t, "invalid_grant", w.send(w.tokenURL(), unused, w.tokenProof("d")).body["error"], "before its code was redeemed")
	require.Error(t, w.as.Withdraw(t.Context(), ""))
	require.Error(t, w.as.Withdraw(t.Context(), id+"."+id))
	w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
		response, err := w.as.Deny(t.Context(), a, "access_denied", "")
		require.NoError(t, err)
		require.Empty(t, response.AuthorizationID())
		return response, nil
	}
	w.visit(w.authorizationURL("client-1", w.pushForm("client-1")))
}
