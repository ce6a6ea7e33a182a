package grants_test

import (
	"context"
	"encoding/json"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
)

func TestSmoke(t *testing.T) {
	var events []grants.Event
	m, err := grants.NewManager(grants.ManagerConfig{Issuer: "https://as.example.com", Events: func(_ context.Context, e grants.Event) error {
		events = append(events, e)
		return nil
	}})
	require.NoError(t, err)
	req, err := m.Check(t.Context(), "fintech", url.Values{"grant_management_action": {"create"}})
	require.NoError(t, err)
	c, err := m.Prepare(t.Context(), req, grants.Approval{AuthorizationID: "0123456789abcdef", Subject: "alice", Scopes: []grants.Scope{{Scope: "b a"}}})
	require.NoError(t, err)
	data, err := json.Marshal(c)
	require.NoError(t, err)
	back := new(grants.Change)
	require.NoError(t, json.Unmarshal(data, back))
	g, err := m.Claim(t.Context(), back)
	require.NoError(t, err)
	require.Equal(t, c.GrantID(), g.ID)
	_, err = m.CheckRefresh(t.Context(), g.ID, "0123456789abcdef")
	require.NoError(t, err)
	require.NoError(t, m.Revoke(t.Context(), "fintech", g.ID))
	_, err = m.CheckRefresh(t.Context(), g.ID, "0123456789abcdef")
	require.ErrorIs(t, err, grants.ErrInactive)
	require.Len(t, events, 2)
	require.Equal(t, []string{"0123456789abcdef"}, events[1].EndedAccess)
}
