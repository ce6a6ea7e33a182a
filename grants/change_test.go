package grants_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	b := newBank(t, nil)
	approval := grants.Approval{
		Subject: alice,
		Scopes: []grants.Scope{
			{Scope: "payments accounts"}, {Scope: "read", Resource: []string{"https://b.example/", "https://a.example/"}},
			{Scope: "read", Resource: []string{"https://a.example/"}},
		},
		Claims:               []string{"name", "email", "name"},
		AuthorizationDetails: details(t, map[string]any{"type": "account", "iban": "GB33"}),
		Data:                 json.RawMessage(`{"consent":"c-1"}`),
	}
	change := b.prepared("create", "", approval)
	t.Run("GM-5.6.1-1 there is no grant before tokens are claimed", func(t *testing.T) {
		b.requireUnknown(change.GrantID())
		require.Empty(t, b.log.all())
	})
	g := b.claim(change)
	t.Run("what was consented is what it permits, in a normal form", func(t *testing.T) {
		require.Equal(t, grants.Grant{
			ID: change.GrantID(), ClientID: fintech, Subject: alice,
			Scopes: []grants.Scope{
				{Scope: "accounts payments"}, {Scope: "read", Resource: []string{"https://a.example/", "https://b.example/"}},
			},
			Claims: []string{"email", "name"}, AuthorizationDetails: approval.AuthorizationDetails, Data: approval.Data,
			Status: "active", CreatedAt: t0, UpdatedAt: t0, ExpiresAt: t0.Add(year), UpdatedBy: "client", Version: 1,
			History: []grants.Transition{{Kind: "created", By: fintech, Time: t0, Version: 1}},
		}, g)
		require.Equal(t, []string{"accounts", "payments", "read"}, g.ScopeValues())
		require.Equal(t, []string{"https://a.example/", "https://b.example/"}, g.Resources())
		again := b.get(g.ID)
		require.Equal(t, g, again)
	})
	t.Run("GM-5.5-1 GM-5.5-2 GM-9-1 the identifier is 256 bits of randomness in URL-safe characters", func(t *testing.T) {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(g.ID)
		require.NoError(t, err)
		require.Len(t, raw, 32)
	})
	t.Run("GM-9-2 the same client and user, and others, get another one each time", func(t *testing.T) {
		seen := map[string]bool{g.ID: true}
		for i := range 100 {
			c, err := b.prepare(fmt.Sprint("client", i%3), "create", "", grants.Approval{Subject: fmt.Sprint("user", i%5)})
			require.NoError(t, err)
			require.False(t, seen[c.GrantID()])
			seen[c.GrantID()] = true
		}
	})
	t.Run("the event has the grant and its origin", func(t *testing.T) {
		require.Equal(t, []grants.Event{{Kind: "created", New: g, By: fintech, AuthorizationID: change.AuthorizationID(), Time: t0}}, b.log.all())
	})
	t.Run("grant, change and event print no personal data", func(t *testing.T) {
		for _, v := range []any{g, &g, change, *change, b.log.all()[0]} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
				require.NotContains(t, fmt.Sprintf(verb, v), alice)
			}
		}
	})
}

func TestScopeValues(t *testing.T) {
	t.Parallel()
	const a, b, c = "https://a.example/", "https://b.example/", "https://c.example/"
	g := grants.Grant{Scopes: []grants.Scope{
		{Scope: "openid"}, {Scope: "read", Resource: []string{a, b}}, {Scope: "write read", Resource: []string{b}}, {Scope: "write", Resource: []string{c}},
	}}
	for _, tc := range []struct {
		name      string
		resources []string
		want      []string
	}{
		{"all of them", nil, []string{"openid", "read", "write"}},
		{"at one resource", []string{a}, []string{"openid", "read"}},
		{"at another", []string{b}, []string{"openid", "read", "write"}},
		{"at two: the values of both", []string{a, b}, []string{"openid", "read"}},
		{"from entries that have them in parts", []string{c, b}, []string{"openid", "write"}},
		{"at two that have nothing in common", []string{a, c}, []string{"openid"}},
		{"at one that was not consented", []string{"https://d.example/"}, []string{"openid"}},
	} {
		t.Run(tc.name, func(t *testing.T) { require.Equal(t, tc.want, g.ScopeValues(tc.resources...)) })
	}
}

func TestClaimTimesOut(t *testing.T) {
	t.Parallel()
	t.Run("GM-5.6.1-2 an approval that is not claimed in time is forgotten", func(t *testing.T) {
		b := newBank(t, nil)
		change := b.prepared("create", "", scopes("accounts"))
		b.clock.Advance(5 * time.Minute)
		tells(t, b.claimFails(change, grants.ErrInactive), "invalid_grant", 400)
		b.requireUnknown(change.GrantID())
		require.Empty(t, b.log.all())
	})
	t.Run("an unclaimed merge changes no refresh tokens", func(t *testing.T) {
		b, g, authorization := granted(t)
		change := b.prepared("merge", g.ID, scopes("payments"))
		b.requireCurrent(g.ID, authorization)
		b.clock.Advance(5 * time.Minute)
		b.claimFails(change, grants.ErrInactive)
		b.requireCurrent(g.ID, authorization)
	})
	t.Run("an expiry before the claim", func(t *testing.T) {
		b := newBank(t, nil)
		approval := until("accounts", t0.Add(time.Minute))
		change := b.prepared("create", "", approval)
		b.clock.Advance(time.Minute)
		b.claimFails(change, grants.ErrInactive)
	})
}

func TestMerge(t *testing.T) {
	t.Parallel()
	b := newBank(t, nil)
	account := func(iban string) any { return map[string]any{"type": "account", "iban": iban} }
	first, one := b.claimed("create", "", grants.Approval{
		Subject: alice, Scopes: []grants.Scope{{Scope: "accounts", Resource: []string{"https://a.example/"}}}, Claims: []string{"name"},
		AuthorizationDetails: details(t, account("GB33"), account("DE89")), Data: json.RawMessage(`1`),
	})
	b.clock.Advance(time.Hour)
	merged, two := b.claimed("merge", first.ID, grants.Approval{
		Subject: alice,
		Scopes:  []grants.Scope{{Scope: "accounts payments", Resource: []string{"https://b.example/"}}, {Scope: "payments", Resource: []string{"https://a.example/"}}},
		Claims:  []string{"email"}, AuthorizationDetails: json.RawMessage(`[{"iban":"DE89", "type":"account"},{"type":"account","iban":"FR76"}]`),
	})
	t.Run("GM-5.2-5 the result is the union, each thing once", func(t *testing.T) {
		require.Equal(t, []grants.Scope{{Scope: "accounts payments", Resource: []string{"https://a.example/", "https://b.example/"}}}, merged.Scopes)
		require.Equal(t, []string{"email", "name"}, merged.Claims)
		require.JSONEq(t, string(details(t, account("GB33"), account("DE89"), account("FR76"))), string(merged.AuthorizationDetails))
	})
	t.Run("GM-5.2-9 in the same grant", func(t *testing.T) {
		require.Equal(t, first.ID, merged.ID)
		require.Equal(t, t0, merged.CreatedAt)
		require.Equal(t, t0.Add(time.Hour), merged.UpdatedAt)
		require.Equal(t, first.ExpiresAt, merged.ExpiresAt)
		require.Equal(t, int64(2), merged.Version)
		require.Equal(t, json.RawMessage(`1`), merged.Data)
	})
	t.Run("GM-5.2-6 the refresh tokens so far are over, the new ones good", func(t *testing.T) {
		b.requireEnded(first.ID, one)
		g, err := b.CheckRefresh(t.Context(), first.ID, two)
		require.NoError(t, err)
		require.Equal(t, merged, g)
		require.Equal(t, []string{one}, b.log.last(t).EndedRefresh)
	})
	t.Run("the access tokens so far live on, and end with the grant", func(t *testing.T) {
		require.Empty(t, b.log.last(t).EndedAccess)
		require.NoError(t, b.Revoke(t.Context(), fintech, first.ID))
		require.Equal(t, []string{one, two}, b.log.last(t).EndedAccess)
	})
	t.Run("an access token that cannot live any more is not named at the end", func(t *testing.T) {
		b, g, _ := granted(t)
		_, second := b.claimed("merge", g.ID, scopes("payments"))
		b.clock.Advance(62 * time.Minute)
		_, third := b.claimed("merge", g.ID, scopes("more"))
		require.NoError(t, b.Withdraw(t.Context(), g.ID))
		require.Equal(t, []string{second, third}, b.log.last(t).EndedAccess)
	})
	t.Run("an access token that would outlive a merge is named with it", func(t *testing.T) {
		b, g, one := granted(t)
		soon, later := until("payments", t0.Add(10*time.Minute)), until("payments", t0.Add(24*time.Hour))
		_, two := b.claimed("merge", g.ID, later)
		require.Empty(t, b.log.last(t).EndedAccess, "it has ended long before")
		_, three := b.claimed("merge", g.ID, soon)
		require.Equal(t, []string{one, two}, b.log.last(t).EndedAccess, "GM-6.4-5")
		b.claimed("merge", g.ID, later)
		require.Empty(t, b.log.last(t).EndedAccess, "GM-6.4-5 longer than before")
		require.NoError(t, b.Withdraw(t.Context(), g.ID))
		require.Contains(t, b.log.last(t).EndedAccess, three)
	})
	t.Run("GM-5.2-10 a merge that adds nothing brings new tokens", func(t *testing.T) {
		b, g, _ := granted(t)
		same, authorization := b.claimed("merge", g.ID, grants.Approval{Subject: alice})
		require.Equal(t, g.Scopes, same.Scopes)
		b.requireCurrent(g.ID, authorization)
	})
	t.Run("an expiry in the approval counts", func(t *testing.T) {
		b, g, _ := granted(t)
		approval := until("payments", t0.Add(24*time.Hour+700*time.Millisecond))
		g, _ = b.claimed("merge", g.ID, approval)
		require.Equal(t, t0.Add(24*time.Hour), g.ExpiresAt)
	})
}

func TestMergeDetails(t *testing.T) {
	t.Parallel()
	type call struct{ existing, added string }
	var calls []call
	var result json.RawMessage
	var failure error
	b := newBank(t, func(c *grants.ManagerConfig) {
		c.MergeDetails = func(existing, added json.RawMessage) (json.RawMessage, error) {
			calls = append(calls, call{string(existing), string(added)})
			return result, failure
		}
	})
	g, _ := b.claimed("create", "", grants.Approval{Subject: alice, AuthorizationDetails: json.RawMessage(`[{"type":"a"}]`)})
	require.Empty(t, calls)
	approval := grants.Approval{Subject: alice, AuthorizationDetails: json.RawMessage(`[{"type":"b"}]`)}
	t.Run("GM-5.2-5 the host's rules decide what the union is", func(t *testing.T) {
		result = json.RawMessage(`[{"type":"ab"}]`)
		merged, _ := b.claimed("merge", g.ID, approval)
		require.JSONEq(t, `[{"type":"ab"}]`, string(merged.AuthorizationDetails))
		require.Equal(t, []call{{`[{"type":"a"}]`, `[{"type":"b"}]`}, {`[{"type":"a"}]`, `[{"type":"b"}]`}}, calls) // tried, and done
	})
	t.Run("no details are an empty list", func(t *testing.T) {
		calls = nil
		b.prepared("merge", g.ID, scopes("accounts"))
		none, _ := b.claimed("create", "", scopes("accounts"))
		b.prepared("merge", none.ID, approval)
		require.Equal(t, []call{{`[{"type":"ab"}]`, `[]`}, {`[]`, `[{"type":"b"}]`}}, calls)
	})
	t.Run("details that cannot be merged are rejected at the approval", func(t *testing.T) {
		failure = errors.New("not with each other")
		_, err := b.prepare(fintech, "merge", g.ID, approval)
		require.ErrorIs(t, err, failure)
		failure = nil
	})
	t.Run("what the host makes has to be a list of objects", func(t *testing.T) {
		for _, bad := range []string{`{}`, `[1]`, `[{"a":1,"a":2}]`, `[`, `null`} {
			result = json.RawMessage(bad)
			_, err := b.prepare(fintech, "merge", g.ID, approval)
			require.Error(t, err, bad)
		}
	})
	t.Run("a failure at the claim leaves the grant as it is", func(t *testing.T) {
		result = json.RawMessage(`[]`)
		change := b.prepared("merge", g.ID, approval)
		failure = errors.New("not any more")
		b.claimFails(change, failure)
		now := b.get(g.ID)
		require.Equal(t, int64(2), now.Version)
	})
}

func TestReplace(t *testing.T) {
	t.Parallel()
	b := newBank(t, nil)
	first, one := b.claimed("create", "", grants.Approval{
		Subject: alice, Scopes: []grants.Scope{{Scope: "accounts"}}, Claims: []string{"name"},
		AuthorizationDetails: details(t, map[string]any{"type": "a"}), Expires: t0.Add(24 * time.Hour),
	})
	_, two := b.claimed("merge", first.ID, scopes("more"))
	replaced, three := b.claimed("replace", first.ID, scopes("payments"))
	t.Run("GM-5.2-7 what was consented now is all there is", func(t *testing.T) {
		require.Equal(t, []grants.Scope{{Scope: "payments"}}, replaced.Scopes)
		require.Empty(t, replaced.Claims)
		require.Empty(t, replaced.AuthorizationDetails)
		require.Equal(t, t0.Add(year), replaced.ExpiresAt)
	})
	t.Run("GM-5.2-9 in the same grant", func(t *testing.T) { require.Equal(t, first.ID, replaced.ID) })
	t.Run("GM-5.2-8 the refresh tokens so far are over, the new ones good", func(t *testing.T) {
		for _, old := range []string{one, two} {
			b.requireEnded(first.ID, old)
		}
		b.requireCurrent(first.ID, three)
	})
	t.Run("GM-10-2 the event names the earlier access tokens once", func(t *testing.T) {
		require.Equal(t, []string{one, two}, b.log.last(t).EndedAccess)
		require.NoError(t, b.Withdraw(t.Context(), first.ID))
		require.Equal(t, []string{three}, b.log.last(t).EndedAccess)
	})
}

func TestClaimOncePerAuthorization(t *testing.T) {
	t.Parallel()
	b := newBank(t, nil)
	create := b.prepared("create", "", scopes("accounts"))
	g := b.claim(create)
	t.Run("a repeated claim returns the grant and changes nothing", func(t *testing.T) {
		again := b.claim(create)
		require.Equal(t, g, again)
		require.Len(t, b.log.all(), 1)
	})
	replace := b.prepared("replace", g.ID, scopes("payments"))
	b.claim(replace)
	t.Run("a claim of a superseded change is rejected and does not apply it again", func(t *testing.T) {
		b.claimFails(create, grants.ErrInactive)
		_, _ = b.claimed("merge", g.ID, scopes("more"))
		b.claimFails(replace, grants.ErrInactive)
		now := b.get(g.ID)
		require.Equal(t, []string{"more", "payments"}, now.ScopeValues())
	})
	t.Run("a superseded claim is rejected even after its successors are forgotten", func(t *testing.T) {
		b := newBank(t, func(c *grants.ManagerConfig) { c.AccessTokenLifetime, c.ClaimTime = time.Second, time.Hour })
		create := b.prepared("create", "", scopes("accounts"))
		g := b.claim(create)
		for range 59 {
			b.clock.Advance(time.Minute)
			b.claimed("replace", g.ID, scopes("payments"))
			b.claimFails(create, grants.ErrInactive)
		}
		b.clock.Advance(time.Minute)
		b.claimFails(create, grants.ErrInactive)
	})
	t.Run("an unprepared change is rejected", func(t *testing.T) {
		for _, c := range []*grants.Change{nil, {}} {
			_, err := b.Claim(t.Context(), c)
			require.Error(t, err)
		}
		bad := new(grants.Change)
		require.Error(t, json.Unmarshal([]byte(`[]`), bad))
		require.NoError(t, json.Unmarshal([]byte(`{"authorization_id":"authorization-1","action":"steal"}`), bad))
		b.claimFails(bad, grants.ErrInactive)
	})
}

func TestClaimAfterTheEnd(t *testing.T) {
	t.Parallel()
	t.Run("a merge approved before the revocation does not bring the grant back", func(t *testing.T) {
		b, g, _ := granted(t)
		merge, replace := b.prepared("merge", g.ID, scopes("a")), b.prepared("replace", g.ID, scopes("b"))
		require.NoError(t, b.Revoke(t.Context(), fintech, g.ID))
		for _, c := range []*grants.Change{merge, replace} {
			b.claimFails(c, grants.ErrInactive)
		}
		require.Equal(t, []string{"created", "revoked"}, b.log.kinds())
	})
	t.Run("nor does the code that created it", func(t *testing.T) {
		b := newBank(t, nil)
		create := b.prepared("create", "", scopes("accounts"))
		b.claim(create)
		require.NoError(t, b.Withdraw(t.Context(), create.GrantID()))
		b.claimFails(create, grants.ErrInactive)
	})
	t.Run("nor does one after the expiry", func(t *testing.T) {
		b := newBank(t, nil)
		approval := until("accounts", t0.Add(time.Minute))
		g, authorization := b.claimed("create", "", approval)
		merge := b.prepared("merge", g.ID, scopes("a"))
		b.clock.Advance(time.Minute)
		b.claimFails(merge, grants.ErrInactive)
		b.requireEnded(g.ID, authorization)
	})
	t.Run("a grant that has gone from the store", func(t *testing.T) {
		b, g, authorization := granted(t)
		merge := b.prepared("merge", g.ID, scopes("a"))
		b.clock.Advance(year + 31*24*time.Hour)
		b.claimFails(merge, grants.ErrInactive)
		b.requireEnded(g.ID, authorization)
	})
}

func TestMergeAndReplaceRacing(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		swap bool
		want []string
	}{
		{"replace first: the merge adds to it", false, []string{"merged", "replaced"}},
		{"merge first: the replacement is all there is", true, []string{"replaced"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, g, _ := granted(t)
			// Both users' pages showed the grant as it was.
			order := []*grants.Change{b.prepared("replace", g.ID, scopes("replaced")), b.prepared("merge", g.ID, scopes("merged"))}
			if tc.swap {
				order[0], order[1] = order[1], order[0]
			}
			for _, c := range order {
				b.claim(c)
			}
			now, err := b.CheckRefresh(t.Context(), g.ID, order[1].AuthorizationID())
			require.NoError(t, err)
			require.Equal(t, tc.want, now.ScopeValues())
			b.requireEnded(g.ID, order[0].AuthorizationID())
		})
	}
}

func TestApprovalIsChecked(t *testing.T) {
	t.Parallel()
	b := newBank(t, nil)
	deep := strings.Repeat(`{"a":`, 32) + `1` + strings.Repeat(`}`, 32)
	for _, tc := range []struct {
		name   string
		change func(*grants.Approval)
	}{
		{"a short authorization ID", func(a *grants.Approval) { a.AuthorizationID = "short" }},
		{"a long authorization ID", func(a *grants.Approval) { a.AuthorizationID = strings.Repeat("a", 129) }},
		{"an authorization ID with a space", func(a *grants.Approval) { a.AuthorizationID = "authorization 1234" }},
		{"no user", func(a *grants.Approval) { a.Subject = "" }},
		{"attack: a user whose name JSON would change", func(a *grants.Approval) { a.Subject = "al\xffice" }},
		{"an expiry in the past", func(a *grants.Approval) { a.Expires = t0 }},
		{"an expiry beyond the lifetime", func(a *grants.Approval) { a.Expires = t0.Add(year + time.Second) }},
		{"a scope with a quotation mark", func(a *grants.Approval) { a.Scopes = []grants.Scope{{Scope: `a"b`}} }},
		{"GM-6.4-2 a resource that is not an absolute URI", func(a *grants.Approval) { a.Scopes = []grants.Scope{{Resource: []string{"/api"}}} }},
		{"GM-6.4-2 a resource with a fragment", func(a *grants.Approval) { a.Scopes = []grants.Scope{{Resource: []string{"https://a.example/#x"}}} }},
		{"GM-6.4-2 an empty resource", func(a *grants.Approval) { a.Scopes = []grants.Scope{{Resource: []string{""}}} }},
		{"too many scopes", func(a *grants.Approval) { a.Scopes = []grants.Scope{{Scope: numbered("s", 1025)}} }},
		{"too many scopes, though few differ", func(a *grants.Approval) { a.Scopes = []grants.Scope{{Scope: strings.Repeat("a ", 2049)}} }},
		{"too long scopes", func(a *grants.Approval) { a.Scopes = []grants.Scope{{Scope: strings.Repeat("a", 33<<10)}} }},
		{"an empty claim", func(a *grants.Approval) { a.Claims = []string{""} }},
		{"details that are not an array", func(a *grants.Approval) { a.AuthorizationDetails = json.RawMessage(`{}`) }},
		{"details that are not objects", func(a *grants.Approval) { a.AuthorizationDetails = json.RawMessage(`["a"]`) }},
		{"details with a member twice", func(a *grants.Approval) { a.AuthorizationDetails = json.RawMessage(`[{"amount":1,"amount":2}]`) }},
		{"details too deep to be answered with", func(a *grants.Approval) { a.AuthorizationDetails = json.RawMessage(`[` + deep + `]`) }},
		{"too large details", func(a *grants.Approval) {
			a.AuthorizationDetails = json.RawMessage(`[{"a":"` + strings.Repeat("x", 64<<10) + `"}]`)
		}},
		{"details that encoding/json makes too large", func(a *grants.Approval) {
			a.AuthorizationDetails = json.RawMessage(`[{"a":"` + strings.Repeat("<", 11<<10) + `"}]`)
		}},
		{"data that is not JSON", func(a *grants.Approval) { a.Data = json.RawMessage(`{`) }},
		{"GM-6-2 a token among the extra members", func(a *grants.Approval) {
			a.Extra = map[string]json.RawMessage{"refresh_token": json.RawMessage(`"x"`)}
		}},
		{"an extra member with a reserved name", func(a *grants.Approval) { a.Extra = map[string]json.RawMessage{"scopes": json.RawMessage(`[]`)} }},
		{"attack: extra members that differ only by case", func(a *grants.Approval) {
			a.Extra = map[string]json.RawMessage{"purpose": json.RawMessage(`1`), "Purpose": json.RawMessage(`2`)}
		}},
		{"attack: an extra member that differs only by case from a reserved name", func(a *grants.Approval) {
			a.Extra = map[string]json.RawMessage{"Scopes": json.RawMessage(`[]`)}
		}},
		{"an extra member too deep to be answered with", func(a *grants.Approval) {
			a.Extra = map[string]json.RawMessage{"x": json.RawMessage(deep)}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			approval := scopes("accounts")
			approval.AuthorizationID = b.id()
			tc.change(&approval)
			request, err := b.Check(t.Context(), fintech, params("create", ""))
			require.NoError(t, err)
			change, err := b.Prepare(t.Context(), request, approval)
			require.Error(t, err)
			require.Nil(t, change)
		})
	}
	t.Run("a request without an action has no change", func(t *testing.T) {
		_, err := b.Prepare(t.Context(), grants.Request{}, grants.Approval{AuthorizationID: b.id(), Subject: alice})
		require.Error(t, err)
	})
	t.Run("a merge that would be too large is rejected at the approval", func(t *testing.T) {
		big := func(c string) grants.Approval {
			return grants.Approval{Subject: alice, AuthorizationDetails: json.RawMessage(`[{"a":"` + strings.Repeat(c, 40<<10) + `"}]`)}
		}
		g, _ := b.claimed("create", "", big("x"))
		_, err := b.prepare(fintech, "merge", g.ID, big("y"))
		require.Error(t, err)
	})
}

// Plan returns the grant that Claim will return, and changes nothing.
func TestPlan(t *testing.T) {
	t.Parallel()
	b := newBank(t, nil)
	change := b.prepared("create", "", scopes("accounts"))
	planned, err := b.Plan(t.Context(), change)
	require.NoError(t, err)
	_, err = b.Get(t.Context(), change.GrantID())
	require.ErrorIs(t, err, grants.ErrNotFound, "G6 a plan creates no grant")
	g := b.claim(change)
	require.Equal(t, g.Scopes, planned.Scopes)
	require.Equal(t, g.ID, planned.ID)
	require.Equal(t, g.ExpiresAt, planned.ExpiresAt)

	first, authorization := b.claimed("create", "", scopes("accounts"))
	merge := b.prepared("merge", first.ID, scopes("payments"))
	planned, err = b.Plan(t.Context(), merge)
	require.NoError(t, err)
	_, err = b.CheckRefresh(t.Context(), first.ID, authorization)
	require.NoError(t, err, "G5 a plan ends no refresh token")
	for range 2 {
		merged := b.claim(merge)
		require.Equal(t, merged.Scopes, planned.Scopes)
		planned, err = b.Plan(t.Context(), merge)
		require.NoError(t, err, "after the claim it is what there is")
	}
	late := b.prepared("replace", first.ID, scopes("accounts"))
	require.NoError(t, b.Withdraw(t.Context(), first.ID))
	_, err = b.Plan(t.Context(), late)
	require.ErrorIs(t, err, grants.ErrInactive)
	_, err = b.Plan(t.Context(), new(grants.Change))
	require.Error(t, err)
}
