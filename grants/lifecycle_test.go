package grants_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
)

func TestRevoke(t *testing.T) {
	t.Parallel()
	t.Run("GM-6.5-2 the grant and its refresh tokens end at once", func(t *testing.T) {
		b, g, authorization := granted(t)
		require.NoError(t, b.Revoke(t.Context(), fintech, g.ID))
		b.requireEnded(g.ID, authorization)
		b.requireHidden(fintech, g.ID)
	})
	t.Run("GM-6.5-3 the event names the access tokens", func(t *testing.T) {
		b, g, authorization := granted(t)
		b.clock.Advance(time.Hour)
		require.NoError(t, b.Revoke(t.Context(), fintech, g.ID))
		e := b.log.last(t)
		require.Equal(t, []string{authorization}, e.EndedAccess)
		require.Equal(t, []string{authorization}, e.EndedRefresh)
		require.Equal(t, fintech, e.By)
		require.Equal(t, t0.Add(time.Hour), e.Time)
		require.Equal(t, []string{"active", "revoked"}, []string{e.Old.Status, e.New.Status})
		g.History = nil
		require.Equal(t, g, e.Old)
		require.Equal(t, int64(2), e.New.Version)
	})
	t.Run("the server's own revocation is by authorization_server", func(t *testing.T) {
		b, g, _ := granted(t)
		require.NoError(t, b.Withdraw(t.Context(), g.ID))
		now := b.get(g.ID)
		require.Equal(t, []string{"revoked", "authorization_server"}, []string{now.Status, now.UpdatedBy})
		require.Equal(t, "authorization_server", b.log.last(t).By)
	})
	t.Run("a second revocation and one of another grant are not found", func(t *testing.T) {
		b, g, _ := granted(t)
		require.ErrorIs(t, b.Revoke(t.Context(), "other", g.ID), grants.ErrNotFound)
		require.NoError(t, b.Revoke(t.Context(), fintech, g.ID))
		require.ErrorIs(t, b.Revoke(t.Context(), fintech, g.ID), grants.ErrNotFound)
		require.ErrorIs(t, b.Withdraw(t.Context(), g.ID), grants.ErrNotFound)
		require.ErrorIs(t, b.Revoke(t.Context(), fintech, strings.Repeat("A", 43)), grants.ErrNotFound)
		require.ErrorIs(t, b.Withdraw(t.Context(), strings.Repeat("A", 1<<20)), grants.ErrNotFound)
		require.Equal(t, []string{"created", "revoked"}, b.log.kinds())
	})
	t.Run("GM-5.6.3-1 an ended grant is kept for the retention", func(t *testing.T) {
		b, g, _ := granted(t)
		require.NoError(t, b.Withdraw(t.Context(), g.ID))
		b.clock.Advance(30*24*time.Hour - time.Second)
		_ = b.get(g.ID)
		b.clock.Advance(time.Second)
		b.requireUnknown(g.ID)
	})
	t.Run("one server's grants are not another's, on the same store", func(t *testing.T) {
		b, g, _ := granted(t)
		other := b.process(func(c *grants.ManagerConfig) { c.Issuer = "https://other.example" })
		_, err := other.Get(t.Context(), g.ID)
		require.ErrorIs(t, err, grants.ErrNotFound)
	})
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	t.Run("GM-5.6.2-1 a joint account's grant grows with each consent", func(t *testing.T) {
		b := newBank(t, nil)
		g, authorization := b.claimed("create", "", grants.Approval{Subject: alice, Data: json.RawMessage(`{"waiting for":["bob"]}`)})
		require.Empty(t, g.ScopeValues())
		b.clock.Advance(time.Hour)
		g, err := b.Update(t.Context(), g.ID, func(g *grants.Grant) error {
			g.Scopes = append(g.Scopes, grants.Scope{Scope: "payments accounts"})
			g.Data = nil
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, "authorization_server", g.UpdatedBy) // GM-6.4-6
		require.Equal(t, t0.Add(time.Hour), g.UpdatedAt)
		refreshed, err := b.CheckRefresh(t.Context(), g.ID, authorization)
		require.NoError(t, err)
		require.Equal(t, []string{"accounts", "payments"}, refreshed.ScopeValues())
		e := b.log.last(t)
		require.Equal(t, "updated", e.Kind)
		require.Empty(t, e.EndedRefresh)
		require.Empty(t, e.EndedAccess)
		require.Empty(t, e.Old.Scopes)
	})
	t.Run("other fields are not changed", func(t *testing.T) {
		b, before, _ := granted(t)
		g, err := b.Update(t.Context(), before.ID, func(g *grants.Grant) error {
			g.ID, g.ClientID, g.Subject, g.Status, g.Version, g.History = "x", "x", "x", "revoked", 99, nil
			g.CreatedAt, g.UpdatedAt, g.UpdatedBy = time.Time{}, time.Time{}, "x"
			g.ExpiresAt = t0.Add(24 * time.Hour)
			return nil
		})
		require.NoError(t, err)
		before.ExpiresAt, before.UpdatedBy, before.Version = t0.Add(24*time.Hour), "authorization_server", 2
		before.History = append(before.History, grants.Transition{Kind: "updated", By: "authorization_server", Time: t0, Version: 2})
		require.Equal(t, before, g)
	})
	for _, tc := range []struct {
		name string
		edit func(*grants.Grant) error
	}{
		{"an error of the host's", func(*grants.Grant) error { return errDown }},
		{"an expiry in the past", func(g *grants.Grant) error { g.ExpiresAt = t0; return nil }},
		{"an expiry beyond the lifetime", func(g *grants.Grant) error { g.ExpiresAt = t0.Add(2 * year); return nil }},
		{"details that are none", func(g *grants.Grant) error { g.AuthorizationDetails = json.RawMessage(`1`); return nil }},
	} {
		t.Run(tc.name+" changes nothing", func(t *testing.T) {
			b, before, _ := granted(t)
			_, err := b.Update(t.Context(), before.ID, tc.edit)
			require.Error(t, err)
			now := b.get(before.ID)
			require.Equal(t, before, now)
		})
	}
	t.Run("an ended grant is not updated", func(t *testing.T) {
		b, g, _ := granted(t)
		require.NoError(t, b.Withdraw(t.Context(), g.ID))
		_, err := b.Update(t.Context(), g.ID, func(*grants.Grant) error { return nil })
		require.ErrorIs(t, err, grants.ErrInactive)
		_, err = b.Update(t.Context(), strings.Repeat("A", 43), func(*grants.Grant) error { return nil })
		require.ErrorIs(t, err, grants.ErrNotFound)
	})
	t.Run("the history keeps the latest 32 changes", func(t *testing.T) {
		b, g, _ := granted(t)
		for range 50 {
			var err error
			g, err = b.Update(t.Context(), g.ID, func(*grants.Grant) error { return nil })
			require.NoError(t, err)
		}
		require.Len(t, g.History, 32)
		require.Equal(t, int64(51), g.History[31].Version)
		require.Equal(t, int64(20), g.History[0].Version)
	})
}

func TestExpire(t *testing.T) {
	t.Parallel()
	b, g, authorization := granted(t)
	require.ErrorIs(t, b.Expire(t.Context(), g.ID), grants.ErrInactive)
	b.clock.Advance(year)
	now := b.get(g.ID)
	require.Equal(t, "expired", now.Status)
	require.Len(t, b.log.all(), 1)
	t.Run("the event comes once", func(t *testing.T) {
		for range 2 {
			require.NoError(t, b.Expire(t.Context(), g.ID))
		}
		require.Equal(t, []string{"created", "expired"}, b.log.kinds())
		require.Equal(t, []string{authorization}, b.log.last(t).EndedAccess)
	})
	t.Run("a grant that has expired is not to be revoked", func(t *testing.T) {
		require.ErrorIs(t, b.Revoke(t.Context(), fintech, g.ID), grants.ErrNotFound)
	})
	t.Run("a grant that was revoked does not expire", func(t *testing.T) {
		g, _ := b.claimed("create", "", scopes("accounts"))
		require.NoError(t, b.Withdraw(t.Context(), g.ID))
		require.ErrorIs(t, b.Expire(t.Context(), g.ID), grants.ErrInactive)
	})
}
