package authserver_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/store"
)

type members = map[string]json.RawMessage

// approving approves requests with members of the host.
func (w *world) approving(m members) {
	w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
		return w.as.Approve(context.Background(), a, authserver.Approval{Subject: "alice", Scopes: a.Scopes(), TokenMembers: m})
	}
}

// An addedStore keeps the values that were added.
type addedStore struct {
	store.Store
	values []string
}

func (s *addedStore) Add(ctx context.Context, key string, value []byte, expires time.Time) (bool, error) {
	s.values = append(s.values, string(value))
	return s.Store.Add(ctx, key, value, expires)
}

// Our client reads the members of the host after the code and after refreshes.
func TestTokenMembers(t *testing.T) {
	var stored *addedStore
	for name, keep := range map[string]bool{"in introspection responses": true, "in token responses alone": false} {
		t.Run(name, func(t *testing.T) {
			w, ctx := newWorld(t, func(as *authserver.Config, rs *resourceserver.Config) {
				demanding(0)(as, rs)
				as.Introspection.TokenMembers = keep
				stored = &addedStore{Store: memstore.New(memstore.Config{Now: as.Hooks.Now})}
				as.Store = stored
			}), context.Background()
			app := w.client("client-1")
			login := func() (arrangement, refresh string) {
				session, err := app.Begin(ctx, client.Request{Scopes: []string{"openid", "accounts"}})
				require.NoError(t, err)
				token, err := app.Finish(ctx, session, w.browse(session.URL))
				require.NoError(t, err)
				arrangement, _ = token.Extra("cdr_arrangement_id").(string)
				return arrangement, token.RefreshToken
			}
			kept := func() (n int) {
				for _, value := range stored.values {
					n += strings.Count(value, `"members":`)
				}
				return n
			}
			arrangement, _ := login()
			require.Empty(t, arrangement)
			require.Zero(t, kept(), "nothing is stored if it is not used")

			w.approving(members{"cdr_arrangement_id": json.RawMessage(`"arrangement-1"`), "x.y_Z-1": json.RawMessage(`{"n":9007199254740993,"list":[1,"a"]}`)})
			arrangement, refresh := login()
			require.Equal(t, "arrangement-1", arrangement)
			require.Equal(t, map[bool]int{false: 2, true: 3}[keep], kept(), "with the code and the refresh token, and for introspection")
			w.approving(nil)
			for range 2 {
				token, err := app.Refresh(ctx, refresh, client.Request{})
				require.NoError(t, err)
				require.Equal(t, "arrangement-1", token.Extra("cdr_arrangement_id"))
				seen, err := w.newIntrospection(func(c *introspection.ClientConfig) { c.Unsigned = true }).Introspect(ctx, token.AccessToken)
				require.NoError(t, err)
				if keep {
					require.JSONEq(t, `{"n":9007199254740993,"list":[1,"a"]}`, string(seen.Claim("x.y_Z-1")))
				} else {
					require.Nil(t, seen.Claim("cdr_arrangement_id"))
				}
			}
			got := w.send(w.tokenURL(), w.refreshForm("client-1", refresh), w.tokenProof("d"))
			require.Equal(t, http.StatusOK, got.status)
			require.Contains(t, got.body, "x.y_Z-1")
		})
	}
}

// A host that passes other members learns it at the approval, and the request
// is not consumed.
func TestTokenMembersAreChecked(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	a := w.load("client-1", w.pushForm("client-1"))
	approve := func(m members) error {
		_, err := w.as.Approve(ctx, a, authserver.Approval{Subject: "alice", Scopes: a.Scopes(), TokenMembers: m})
		return err
	}
	for _, name := range []string{
		"access_token", "token_type", "expires_in", "refresh_token", "scope", "id_token", "authorization_details", "grant_id", "issued_token_type",
		"error", "error_description", "error_uri", "Access_Token", "SCOPE",
		"active", "iss", "sub", "aud", "client_id", "username", "iat", "nbf", "exp", "jti", "cnf", "auth_time", "acr", "amr",
	} {
		require.ErrorContains(t, approve(members{name: json.RawMessage(`"evil"`)}), "reserved name", "attack: the host replaces %s", name)
	}
	for problem, m := range map[string]members{
		"malformed name":       {"a b": json.RawMessage(`1`)},
		"want 1 to 64":         {strings.Repeat("a", 65): json.RawMessage(`1`)},
		`member ""`:            {"": json.RawMessage(`1`)},
		"\"é\": malformed":     {"é": json.RawMessage(`1`)},
		"differs only by case": {"arrangement": json.RawMessage(`1`), "Arrangement": json.RawMessage(`1`)},
		"malformed JSON":       {"a": json.RawMessage(`{`)},
		`"a": malformed JSON`:  {"a": nil},
		`"n": malformed JSON`:  {"n": json.RawMessage(`[1e999]`)}, // clients in Go could not read the response
		`"b": malformed JSON`:  {"b": json.RawMessage(`1,"access_token":"evil"`)},
		"duplicate":            {"a": json.RawMessage(`{"x":1,"x":2}`)},
		"more than 8 levels":   {"a": json.RawMessage(strings.Repeat(`{"a":[`, 4) + `["]"]` + strings.Repeat(`]}`, 4))},
		"more than 4096 bytes": {"a": json.RawMessage(`"` + strings.Repeat("x", 4090) + `"`), "b": json.RawMessage(`12345`)},
	} {
		require.ErrorContains(t, approve(m), problem)
	}
	require.NoError(t, approve(members{
		"largest": json.RawMessage(`"` + strings.Repeat("x", 4000) + `"`), "deepest": json.RawMessage(`[[[[[[[["[{\"["]]]]]]]]`), strings.Repeat("n", 43): json.RawMessage(`null`),
	}))
}
