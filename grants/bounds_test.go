package grants_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
)

// numbered returns n different scope values.
func numbered(prefix string, n int) string {
	var values []string
	for i := range n {
		values = append(values, fmt.Sprint(prefix, i))
	}
	return strings.Join(values, " ")
}

// bulky is an approval for as much as there may be. Control characters are six
// times as long in JSON.
func bulky() grants.Approval {
	var claims []string
	for i := range 49 {
		claims = append(claims, fmt.Sprintf("%03d", i)+strings.Repeat("\x01", 100))
	}
	text := func(size int) json.RawMessage { return json.RawMessage(`"` + strings.Repeat("x", size) + `"`) }
	return grants.Approval{
		Subject: alice, Scopes: []grants.Scope{{Scope: numbered("s", 1024)}}, Claims: claims, Data: text(15 << 10),
		AuthorizationDetails: json.RawMessage(`[{"a":` + string(text(60<<10)) + `}]`),
		Extra:                map[string]json.RawMessage{"x": text(15 << 10)},
	}
}

// Every grant can be revoked, even the largest: a grant whose record is full
// would be one for ever.
func TestALargeGrantCanBeRevoked(t *testing.T) {
	t.Parallel()
	t.Run("GM-6.5-2 as large as there may be", func(t *testing.T) {
		b := newBank(t, nil)
		g, authorization := b.claimed("create", "", bulky())
		require.NoError(t, b.Revoke(t.Context(), fintech, g.ID))
		require.Equal(t, []string{authorization}, b.log.last(t).EndedAccess)
	})
	t.Run("GM-6.5-2 with an event that waits", func(t *testing.T) {
		b := newBank(t, nil)
		g, _ := b.claimed("create", "", bulky())
		change := b.prepared("replace", g.ID, bulky())
		b.log.setFail(errDown)
		b.claimFails(change, grants.ErrEvent)
		require.ErrorIs(t, b.Revoke(t.Context(), fintech, g.ID), grants.ErrEvent)
		b.requireEnded(g.ID, change.AuthorizationID())
		b.log.setFail(nil)
		require.NoError(t, b.Revoke(t.Context(), fintech, g.ID))
		require.Equal(t, []string{"created", "replaced", "revoked"}, b.log.kinds())
	})
	t.Run("GM-6.5-2 with as many authorizations as it has room for", func(t *testing.T) {
		b := newBank(t, nil)
		g, _ := b.claimed("create", "", scopes("s1"))
		silent := b.process(func(c *grants.ManagerConfig) { c.Events = nil })
		for range 560 {
			merge := scopes("s1")
			merge.AuthorizationID = fmt.Sprintf("%s%0106d", b.id(), 0)
			_, err := silent.Claim(t.Context(), b.prepared("merge", g.ID, merge))
			require.NoError(t, err)
		}
		b.claimed("merge", g.ID, bulky())
		_, err := b.Claim(t.Context(), b.prepared("replace", g.ID, bulky()))
		require.ErrorIs(t, err, grants.ErrStore, "after it there would be no room for the end")
		require.NoError(t, b.Revoke(t.Context(), fintech, g.ID))
		require.Len(t, b.log.last(t).EndedAccess, 562)
	})
	t.Run("more than there may be", func(t *testing.T) {
		b := newBank(t, nil)
		approval := bulky()
		for i := range 100 {
			approval.Claims = append(approval.Claims, fmt.Sprintf("c%03d", i)+strings.Repeat("\x01", 100))
		}
		_, err := b.prepare(fintech, "create", "", approval)
		require.ErrorContains(t, err, "a grant of")
		_, err = b.prepare(strings.Repeat("c", 256), "create", "", scopes("s"))
		require.ErrorIs(t, err, grants.ErrClient, "its name would be in each line of the history")
	})
}

func TestMergeOfTheSame(t *testing.T) {
	t.Parallel()
	b := newBank(t, nil)
	all := scopes(numbered("s", 1024))
	g, _ := b.claimed("create", "", all)
	t.Run("GM-5.2-5 a union of many scopes with themselves is no more", func(t *testing.T) {
		merged, _ := b.claimed("merge", g.ID, all)
		require.Equal(t, g.Scopes, merged.Scopes)
	})
	t.Run("one scope more is too many", func(t *testing.T) {
		_, err := b.prepare(fintech, "merge", g.ID, scopes("more"))
		require.ErrorContains(t, err, "1024 scopes")
	})
}
