package grants_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/internal/testkit"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	b, g, _ := granted(t)
	over, _ := b.claimed("create", "", scopes("accounts"))
	require.NoError(t, b.Revoke(t.Context(), fintech, over.ID))
	narrow := newBank(t, func(c *grants.ManagerConfig) { c.Actions = []string{"create", "query"}; c.ActionRequired = true })
	alias := newBank(t, func(c *grants.ManagerConfig) { c.AcceptUpdate = true })
	unknown := strings.Repeat("A", 43)
	for _, tc := range []struct {
		name   string
		bank   *bank
		client string
		params url.Values
		want   error
	}{
		{"a request without grant management is ignored", b, fintech, params("", ""), nil},
		{"GM-5.2-3 create is taken", b, fintech, params("create", ""), nil},
		{"GM-5.2-1 merge of a grant is taken, by whichever way the parameters came", b, fintech, params("merge", g.ID), nil},
		{"replace of a grant is taken", b, fintech, params("replace", g.ID), nil},
		{"empty parameters are absent ones", b, fintech, url.Values{"grant_management_action": {""}, "grant_id": {""}}, nil},
		{"GM-5.1-1 a client that is not authenticated has no grants", b, "", params("create", ""), grants.ErrClient},
		{"GM-5.4-2 grant_id with create", b, fintech, params("create", g.ID), grants.ErrRequest},
		{"GM-5.4-3 grant_id without an action", b, fintech, params("", g.ID), grants.ErrRequest},
		{"GM-5.4-4 an unknown action", b, fintech, params("extend", g.ID), grants.ErrRequest},
		{"GM-5.4-4 an action in another case", b, fintech, params("Create", ""), grants.ErrRequest},
		{"GM-5.4-4 query is not an action of an authorization request", b, fintech, params("query", g.ID), grants.ErrRequest},
		{"GM-5.4-4 revoke is not an action of an authorization request", b, fintech, params("revoke", g.ID), grants.ErrRequest},
		{"GM-5.4-4 update, unless the server takes the old name", b, fintech, params("update", g.ID), grants.ErrRequest},
		{"GM-5.4-4 an action that this server does not offer", narrow, fintech, params("merge", g.ID), grants.ErrRequest},
		{"GM-5.2-3 create, if that is offered", narrow, fintech, params("create", ""), nil},
		{"GM-5.4-5 no action where one is required", narrow, fintech, params("", ""), grants.ErrRequest},
		{"GM-5.2-4 merge without grant_id", b, fintech, params("merge", ""), grants.ErrRequest},
		{"GM-5.2-4 replace without grant_id", b, fintech, params("replace", ""), grants.ErrRequest},
		{"GM-5.2-4 update without grant_id, where it means merge", alias, fintech, params("update", ""), grants.ErrRequest},
		{"two actions", b, fintech, url.Values{"grant_management_action": {"create", "create"}}, grants.ErrRequest},
		{"two grant_ids", b, fintech, url.Values{"grant_management_action": {"merge"}, "grant_id": {g.ID, g.ID}}, grants.ErrRequest},
		{"GM-5.2-2 a grant_id that was never issued", b, fintech, params("merge", unknown), grants.ErrGrantID},
		{"GM-5.4-1 a grant_id of another form", b, fintech, params("merge", "g-1"), grants.ErrGrantID},
		{"GM-5.4-1 a huge grant_id", b, fintech, params("merge", strings.Repeat("A", 1<<20)), grants.ErrGrantID},
		{"GM-5.4-1 a grant_id with a path in it", b, fintech, params("merge", "../"+g.ID[:40]), grants.ErrGrantID},
		{"GM-5.2-2 another client's grant", b, "other", params("merge", g.ID), grants.ErrGrantID},
		{"GM-5.4-1 a revoked grant", b, fintech, params("merge", over.ID), grants.ErrGrantID},
	} {
		t.Run(tc.name, func(t *testing.T) {
			request, err := tc.bank.Check(t.Context(), tc.client, tc.params)
			if tc.want != nil {
				require.ErrorIs(t, err, tc.want)
				require.True(t, request.IsZero())
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.params.Get("grant_management_action"), request.Action())
			require.Equal(t, tc.params.Get("grant_id"), request.GrantID())
		})
	}
	t.Run("the errors have the codes of the table in section 5.4", func(t *testing.T) {
		tells(t, grants.ErrRequest, "invalid_request", 400)
		tells(t, grants.ErrGrantID, "invalid_grant_id", 400)
		tells(t, grants.ErrClient, "unauthorized_client", 400)
		tells(t, grants.ErrInactive, "invalid_grant", 400)
		tells(t, grants.ErrStore, "server_error", 503)
		tells(t, grants.ErrEvent, "server_error", 503)
	})
	t.Run("GM-5.4-1 an expired grant", func(t *testing.T) {
		b, g, _ := granted(t)
		b.clock.Advance(year - 1)
		_, err := b.Check(t.Context(), fintech, params("merge", g.ID))
		require.NoError(t, err)
		b.clock.Advance(1)
		_, err = b.Check(t.Context(), fintech, params("merge", g.ID))
		require.ErrorIs(t, err, grants.ErrGrantID)
	})
	t.Run("update means merge where the old name is taken", func(t *testing.T) {
		g, _ := alias.claimed("create", "", scopes("accounts"))
		request, err := alias.Check(t.Context(), fintech, params("update", g.ID))
		require.NoError(t, err)
		require.Equal(t, "merge", request.Action())
	})
	t.Run("a failed store is not an invalid_grant_id", func(t *testing.T) {
		b, g, _ := granted(t)
		b.store.set(failGet, nil)
		_, err := b.Check(t.Context(), fintech, params("merge", g.ID))
		require.ErrorIs(t, err, grants.ErrStore)
		require.ErrorIs(t, err, errStoreDown)
	})
}

func TestExisting(t *testing.T) {
	t.Parallel()
	b, g, _ := granted(t)
	merge, err := b.Check(t.Context(), fintech, params("merge", g.ID))
	require.NoError(t, err)
	create, err := b.Check(t.Context(), fintech, params("create", ""))
	require.NoError(t, err)

	t.Run("the grant is there to be shown to its user", func(t *testing.T) {
		got, err := b.Existing(t.Context(), merge, alice)
		require.NoError(t, err)
		require.Equal(t, g, got)
	})
	t.Run("for create it is zero", func(t *testing.T) {
		got, err := b.Existing(t.Context(), create, alice)
		require.NoError(t, err)
		require.Zero(t, got)
	})
	t.Run("GM-5.4-1 another user logs in", func(t *testing.T) {
		_, err := b.Existing(t.Context(), merge, "bob")
		require.ErrorIs(t, err, grants.ErrGrantID)
		tells(t, err, "invalid_grant_id", 400)
		_, err = b.Prepare(t.Context(), merge, grants.Approval{AuthorizationID: b.id(), Subject: "bob"})
		require.ErrorIs(t, err, grants.ErrGrantID)
	})
	t.Run("GM-5.4-1 the grant is revoked between push and login", func(t *testing.T) {
		require.NoError(t, b.Withdraw(t.Context(), g.ID))
		_, err := b.Existing(t.Context(), merge, alice)
		require.ErrorIs(t, err, grants.ErrGrantID)
	})
}

func TestSector(t *testing.T) {
	t.Parallel()
	sectors := map[string]string{"web": "fintech.example", "app": "fintech.example", "fintech.example": ""}
	b := newBank(t, func(c *grants.ManagerConfig) { c.Sector = func(id string) string { return sectors[id] } })
	change, err := b.prepare("web", "create", "", scopes("accounts"))
	require.NoError(t, err)
	g := b.claim(change)

	t.Run("GM-8.1-1 a client of the same sector has the grant too", func(t *testing.T) {
		_, err := b.Query(t.Context(), "app", g.ID)
		require.NoError(t, err)
		change, err := b.prepare("app", "merge", g.ID, scopes("payments"))
		require.NoError(t, err)
		merged := b.claim(change)
		require.Equal(t, "web", merged.ClientID)
		require.Equal(t, "app", b.log.last(t).By)
	})
	for _, other := range []string{"fintech.example", "stranger", ""} {
		t.Run("GM-8.1-1 a client without a sector has not: "+other, func(t *testing.T) {
			b.requireHidden(other, g.ID)
			require.ErrorIs(t, b.Revoke(t.Context(), other, g.ID), grants.ErrNotFound)
		})
	}
	t.Run("a client that has left the sector keeps its own", func(t *testing.T) {
		sectors["web"] = ""
		_, err := b.Query(t.Context(), "web", g.ID)
		require.NoError(t, err)
		b.requireHidden("app", g.ID)
	})
}

func TestNewManager(t *testing.T) {
	t.Parallel()
	testkit.RejectChanges(t, grants.NewManager, grants.ManagerConfig{Issuer: issuer}, map[string]func(*grants.ManagerConfig){
		"no issuer":                   func(c *grants.ManagerConfig) { c.Issuer = "" },
		"an issuer with a space":      func(c *grants.ManagerConfig) { c.Issuer = "a b" },
		"a nil store in an interface": func(c *grants.ManagerConfig) { c.Store = (*memstore.Store)(nil) },
		"no action":                   func(c *grants.ManagerConfig) { c.Actions = []string{} },
		"an unknown action":           func(c *grants.ManagerConfig) { c.Actions = []string{"create", "update"} },
		"an action twice":             func(c *grants.ManagerConfig) { c.Actions = []string{"create", "create"} },
		"actions without create":      func(c *grants.ManagerConfig) { c.Actions = []string{"merge", "query"} },
		"the old name of an action that is not offered": func(c *grants.ManagerConfig) { c.Actions, c.AcceptUpdate = []string{"create"}, true },
		"a negative lifetime":                           func(c *grants.ManagerConfig) { c.Lifetime = -1 },
		"a lifetime of eleven years":                    func(c *grants.ManagerConfig) { c.Lifetime = 11 * year },
		"access tokens for two days":                    func(c *grants.ManagerConfig) { c.AccessTokenLifetime = 48 * 3600e9 },
		"two hours to claim":                            func(c *grants.ManagerConfig) { c.ClaimTime = 2 * 3600e9 },
		"a retention below a second":                    func(c *grants.ManagerConfig) { c.Retention = 1 },
	})
	t.Run("all problems are reported at once", func(t *testing.T) {
		_, err := grants.NewManager(grants.ManagerConfig{Lifetime: -1, Actions: []string{"merge"}})
		for _, field := range []string{"Issuer", "Lifetime", "Actions"} {
			require.ErrorContains(t, err, field)
		}
	})
	t.Run("an issuer is enough", func(t *testing.T) {
		m, err := grants.NewManager(grants.ManagerConfig{Issuer: issuer})
		require.NoError(t, err)
		require.Equal(t, []string{"create", "merge", "replace", "query", "revoke"}, m.Actions())
		require.False(t, m.ActionRequired())
		request, err := m.Check(t.Context(), fintech, params("create", ""))
		require.NoError(t, err)
		change, err := m.Prepare(t.Context(), request, grants.Approval{AuthorizationID: "authorization-1234", Subject: alice})
		require.NoError(t, err)
		_, err = m.Claim(t.Context(), change)
		require.NoError(t, err)
	})
}

func TestG15Ends(t *testing.T) {
	b := newBank(t, func(c *grants.ManagerConfig) { c.Lifetime = 48 * time.Hour })
	request := func(action, id string) grants.Request {
		r, err := b.Check(t.Context(), fintech, params(action, id))
		require.NoError(t, err)
		return r
	}
	create := request("create", "")
	require.Equal(t, t0.Add(48*time.Hour), b.Ends(create, grants.Grant{}))
	change, err := b.Prepare(t.Context(), create, grants.Approval{AuthorizationID: "authorization-1-of-alice", Subject: alice})
	require.NoError(t, err)
	b.clock.Advance(time.Minute)
	g := b.claim(change)
	require.Equal(t, t0.Add(48*time.Hour), g.ExpiresAt, "from the approval, as it was shown")
	b.clock.Advance(time.Hour)
	for action, want := range map[string]time.Time{"merge": g.ExpiresAt, "replace": b.clock.Now().Add(48 * time.Hour)} {
		r := request(action, g.ID)
		existing, err := b.Existing(t.Context(), r, alice)
		require.NoError(t, err)
		require.Equal(t, want, b.Ends(r, existing), action)
	}
}
