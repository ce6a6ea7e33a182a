package grants_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
)

// FuzzQueryAnswer: a grant has all members of the response and no others, or the
// response is an error.
func FuzzQueryAnswer(f *testing.F) {
	f.Add([]byte(`{"scopes":[{"scope":"a b","resource":["https://r/"]},{"scope":"c"}],"claims":["x"],"authorization_details":[{"type":"t"}],"created_at":1,"last_updated_at":2,"expires_at":3,"updated_by":"client"}`))
	f.Add([]byte(`{"last_updated":2.5,"x":{"y":[1]}}`))
	f.Add([]byte(`{"scopes":[],"Scopes":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		g, err := wired(t, reply(200, string(body))).Query(context.Background(), "g-1")
		if err != nil {
			require.ErrorIs(t, err, grants.ErrResponse)
			require.Zero(t, g)
			return
		}
		var said map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(body, &said))
		require.Equal(t, "g-1", g.ID)
		for name, value := range g.Extra {
			require.JSONEq(t, string(said[name]), string(value))
		}
		for name, empty := range map[string]bool{
			"scopes": len(g.Scopes) == 0, "claims": len(g.Claims) == 0, "authorization_details": len(g.AuthorizationDetails) == 0,
			"created_at": g.CreatedAt.IsZero(), "expires_at": g.ExpiresAt.IsZero(), "updated_by": g.UpdatedBy == "",
		} {
			require.True(t, empty || said[name] != nil, name)
			require.NotContains(t, g.Extra, name)
		}
		if len(g.AuthorizationDetails) > 0 {
			require.JSONEq(t, string(said["authorization_details"]), string(g.AuthorizationDetails))
		}
	})
}

// FuzzGrantID: an identifier is either sent exactly below the endpoint, or not
// at all.
func FuzzGrantID(f *testing.F) {
	for _, id := range []string{"TSdqirmAxDa0_-DB_1bASQ", "..", "a/../b", "%2e%2e", "a?b#c", "\x00", "ä", strings.Repeat("A", 43)} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		var sent *url.URL
		c := wired(t, func(r *http.Request) (*http.Response, error) { sent = r.URL; return reply(204, "")(r) })
		if err := c.Revoke(context.Background(), id); err != nil {
			require.Nil(t, sent)
			return
		}
		require.Equal(t, "https://as.example.com/grants/"+id, sent.String())
		require.Equal(t, "/grants/"+id, sent.JoinPath().EscapedPath(), "no dot segment")
	})
}

// FuzzPath: of all paths exactly one is a grant's.
func FuzzPath(f *testing.F) {
	b := newBank(f, nil)
	h := newAPI(f, b, nil)
	g, _ := b.claimed("create", "", scopes("accounts"))
	good := "/grants/" + g.ID
	for _, path := range []string{good, good + "/", "/grants/../grants/" + g.ID, "/grants/%41", "/grants%2f" + g.ID, "//" + good, "*", ""} {
		f.Add(path, "")
	}
	f.Add(good, "/grants%2F"+g.ID)
	f.Fuzz(func(t *testing.T, path, raw string) {
		r := request("GET", "/")
		r.URL = &url.URL{Path: path, RawPath: raw}
		want := http.StatusNotFound
		if path == good && r.URL.EscapedPath() == good {
			want = http.StatusOK
		}
		require.Equal(t, want, serve(h, r).Code)
	})
}

// FuzzCheck: a request that passes names an action that is offered, and a grant
// exactly if it is not create.
func FuzzCheck(f *testing.F) {
	b, g, _ := granted(f)
	f.Add("create", "")
	f.Add("merge", g.ID)
	f.Add("replace", "x")
	f.Add("", g.ID)
	f.Fuzz(func(t *testing.T, action, id string) {
		request, err := b.Check(context.Background(), fintech, url.Values{"grant_management_action": {action}, "grant_id": {id}})
		if err != nil {
			require.True(t, request.IsZero())
			return
		}
		switch action {
		case "":
			require.True(t, request.IsZero())
			require.Empty(t, id)
		case "create":
			require.Empty(t, id)
		case "merge", "replace":
			require.Equal(t, g.ID, id)
		default:
			t.Fatalf("%q passed", action)
		}
	})
}

// FuzzMerge: a merge is a union. It loses nothing, adds nothing, and doing it
// again changes nothing.
func FuzzMerge(f *testing.F) {
	f.Add("a b", "https://r/", "b c", "", `[{"type":"a"}]`, `[{"type":"b"},{"type":"a"}]`)
	f.Add("", "https://r/", "a", "https://r/", `[]`, ``)
	f.Fuzz(func(t *testing.T, scope1, resource1, scope2, resource2, details1, details2 string) {
		b := newBank(t, func(c *grants.ManagerConfig) { c.Events = nil })
		approve := func(scope, resource, details string) grants.Approval {
			s := grants.Scope{Scope: scope}
			if resource != "" {
				s.Resource = []string{resource}
			}
			return grants.Approval{Subject: alice, Scopes: []grants.Scope{s}, AuthorizationDetails: json.RawMessage(details)}
		}
		one, two := approve(scope1, resource1, details1), approve(scope2, resource2, details2)
		change, err := b.prepare(fintech, "create", "", one)
		if err != nil {
			return
		}
		g, err := b.Claim(context.Background(), change)
		require.NoError(t, err)
		var again grants.Grant
		for range 2 {
			again = g
			if change, err = b.prepare(fintech, "merge", g.ID, two); err != nil {
				return
			}
			g, err = b.Claim(context.Background(), change)
			require.NoError(t, err)
		}
		require.Equal(t, again.Scopes, g.Scopes)
		require.Equal(t, again.AuthorizationDetails, g.AuthorizationDetails)
		want := append(strings.Fields(scope1), strings.Fields(scope2)...)
		require.Subset(t, g.ScopeValues(), want)
		require.Subset(t, want, g.ScopeValues())
		for _, resource := range []string{resource1, resource2} {
			if resource != "" {
				require.Contains(t, g.Resources(), resource)
			}
		}
	})
}
