package grants_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/oautherr"
)

var (
	errToken = oautherr.New("no good token", "invalid_token", 401, "the token is no good")
	errScope = oautherr.New("no scope", "insufficient_scope", 403, "more scope is needed")
)

// authorize is a resource server's check: the headers have the client,
// user and scopes the token has.
func authorize(r *http.Request, scope string) (clientID, subject string, err error) {
	h := r.Header
	if h.Get("Authorization") == "" {
		return "", "", errToken
	}
	if !strings.Contains(h.Get("Scopes"), scope) {
		return "", "", errScope
	}
	return h.Get("Authorization"), h.Get("User"), nil
}

func newAPI(t testing.TB, b *bank, change func(*grants.HandlerConfig)) http.Handler {
	cfg := grants.HandlerConfig{Manager: b.Manager, Path: "/grants", Authorize: authorize}
	if change != nil {
		change(&cfg)
	}
	h, err := grants.NewHandler(cfg)
	require.NoError(t, err)
	return h
}

// request returns a request of fintech with both scopes. headers replace them.
func request(method, target string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, "/", nil)
	u, err := url.ParseRequestURI(target)
	if err != nil { // what no client can send, but some middleware might make
		u = &url.URL{Path: target}
	}
	r.URL, r.RequestURI = u, target
	r.Header.Set("Authorization", fintech)
	r.Header.Set("Scopes", "grant_management_query grant_management_revoke")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAPIQuery(t *testing.T) {
	t.Parallel()
	b := newBank(t, nil)
	h := newAPI(t, b, nil)
	approval := grants.Approval{
		Subject: alice, Scopes: []grants.Scope{{Scope: "openid"}, {Scope: "read write", Resource: []string{"https://rs.example/api"}}},
		Claims: []string{"name", "email"}, AuthorizationDetails: details(t, map[string]any{"type": "account", "amount": json.Number("1.10")}),
		Data: json.RawMessage(`"the host's own"`), Extra: map[string]json.RawMessage{"purpose": json.RawMessage(`"budget"`)},
	}
	g, authorization := b.claimed("create", "", approval)
	b.clock.Advance(time.Hour)
	_, err := b.Update(t.Context(), g.ID, func(*grants.Grant) error { return nil })
	require.NoError(t, err)
	w := serve(h, request("GET", "/grants/"+g.ID))
	t.Run("GM-6.4-1 200 with JSON that is not cached", func(t *testing.T) {
		require.Equal(t, 200, w.Code)
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		require.Equal(t, "no-cache, no-store", w.Header().Get("Cache-Control"))
	})
	t.Run("GM-6.4-2 GM-6.4-3 GM-6.4-4 GM-6.4-5 GM-6.4-6 GM-6.4-7 the answer has what the grant permits, and its times", func(t *testing.T) {
		require.JSONEq(t, `{
			"scopes": [{"scope": "openid"}, {"scope": "read write", "resource": ["https://rs.example/api"]}],
			"claims": ["email", "name"], "authorization_details": [{"type": "account", "amount": 1.10}], "purpose": "budget",
			"created_at": 1772366400, "last_updated_at": 1772370000, "expires_at": 1803902400, "updated_by": "authorization_server"
		}`, w.Body.String())
	})
	t.Run("GM-6-2 no token, no user and nothing of the host's is in it", func(t *testing.T) {
		for _, word := range []string{"token", alice, fintech, authorization, "the host's own", "history"} {
			require.NotContains(t, w.Body.String(), word)
		}
	})
	t.Run("a grant that permits nothing has no empty members", func(t *testing.T) {
		g, _ := b.claimed("create", "", grants.Approval{Subject: alice})
		w := serve(h, request("GET", "/grants/"+g.ID))
		for _, name := range []string{"scopes", "claims", "authorization_details"} {
			require.NotContains(t, w.Body.String(), name)
		}
	})
	t.Run("HEAD is GET without a body", func(t *testing.T) {
		server := httptest.NewServer(h)
		defer server.Close()
		r := request("HEAD", "/")
		r.RequestURI = ""
		r.URL, _ = url.Parse(server.URL + "/grants/" + g.ID)
		resp, err := server.Client().Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, 200, resp.StatusCode)
	})
}

func TestAPIRevoke(t *testing.T) {
	t.Parallel()
	b := newBank(t, nil)
	h := newAPI(t, b, nil)
	g, authorization := b.claimed("create", "", scopes("accounts"))
	w := serve(h, request("DELETE", "/grants/"+g.ID))
	t.Run("GM-6.5-1 204 with an empty body", func(t *testing.T) {
		require.Equal(t, 204, w.Code)
		require.Empty(t, w.Body.Bytes())
		require.Equal(t, "no-cache, no-store", w.Header().Get("Cache-Control"))
	})
	t.Run("GM-6.5-2 GM-6.5-3 grant and tokens have ended", func(t *testing.T) {
		b.requireEnded(g.ID, authorization)
		require.Equal(t, []string{authorization}, b.log.last(t).EndedAccess)
	})
	t.Run("after that there is nothing", func(t *testing.T) {
		require.Equal(t, 404, serve(h, request("GET", "/grants/"+g.ID)).Code)
		require.Equal(t, 404, serve(h, request("DELETE", "/grants/"+g.ID)).Code)
	})
	t.Run("GM-6.4-8 an event that fails is 503 with Retry-After, and a repetition delivers it", func(t *testing.T) {
		g, _ := b.claimed("create", "", scopes("accounts"))
		b.log.setFail(errDown)
		w := serve(h, request("DELETE", "/grants/"+g.ID))
		require.Equal(t, 503, w.Code)
		require.NotEmpty(t, w.Header().Get("Retry-After"))
		require.Equal(t, "no-cache, no-store", w.Header().Get("Cache-Control"))
		require.NotContains(t, w.Body.String(), "audit trail")
		require.Equal(t, 404, serve(h, request("GET", "/grants/"+g.ID)).Code)
		b.log.setFail(nil)
		require.Equal(t, 204, serve(h, request("DELETE", "/grants/"+g.ID)).Code)
		require.Equal(t, 404, serve(h, request("DELETE", "/grants/"+g.ID)).Code)
	})
}

func TestAPIRefusals(t *testing.T) {
	t.Parallel()
	b := newBank(t, nil)
	h := newAPI(t, b, nil)
	g, _ := b.claimed("create", "", scopes("accounts"))
	over, _ := b.claimed("create", "", scopes("accounts"))
	require.NoError(t, b.Withdraw(t.Context(), over.ID))
	url := "/grants/" + g.ID
	type row struct {
		name string
		r    *http.Request
		want int
	}
	rows := []row{
		{"GM-6.6-3 no token", request("GET", url, "Authorization", ""), 401},
		{"GM-6.1-1 no token to revoke with", request("DELETE", url, "Authorization", ""), 401},
		{"GM-6.1-2 GM-6.6-2 a query with the other scope", request("GET", url, "Scopes", "grant_management_revoke"), 403},
		{"GM-6.1-2 GM-6.6-2 a revocation with the other scope", request("DELETE", url, "Scopes", "grant_management_query"), 403},
		{"GM-6.6-3 no token for what does not exist either", request("GET", "/grants/nothing", "Authorization", ""), 401},
		{"GM-6.6-1 a grant that does not exist", request("GET", "/grants/"+strings.Repeat("A", 43)), 404},
		{"GM-6.6-1 a grant that has ended", request("GET", "/grants/"+over.ID), 404},
		{"GM-10-1 another client's grant is not found", request("GET", url, "Authorization", "other"), 404},
		{"GM-10-1 another client's grant is not revoked", request("DELETE", url, "Authorization", "other"), 404},
		{"a token of another user does not see it", request("GET", url, "User", "bob"), 404},
		{"a token of another user does not revoke it", request("DELETE", url, "User", "bob"), 404},
		{"a token of its user sees it", request("GET", url, "User", alice), 200},
		{"GM-6-1 the endpoint itself lists nothing", request("GET", "/grants"), 404},
		{"GM-6-1 nor with a slash", request("GET", "/grants/"), 404},
		{"GM-6-1 nor can all be revoked", request("DELETE", "/grants/"), 404},
	}
	for _, target := range []string{
		url + "/", "/grants//" + g.ID, "/grants/../grants/" + g.ID, "/grants/x/../" + g.ID, "/grants/./" + g.ID, "//grants/" + g.ID,
		"/grants%2f" + g.ID, "/grants/%2e%2e/" + g.ID, "/grants/" + g.ID + "%2f", "/grants/" + g.ID + "%00", "/grants/" + g.ID + "%20",
		"/Grants/" + g.ID, "/" + g.ID, "/grants/" + g.ID[:42], "/grants/" + g.ID + "A", "/grants/..", "/grants/.", "/grants/*",
		"/grants/" + strings.Repeat("A", 1<<16), "/grants/" + g.ID + ";v=1", "/grants/" + g.ID + "\x00", "*", "",
		"/grants/%" + "41" + g.ID[1:],
	} {
		rows = append(rows, row{"GM-6.6-1 a path that is not a grant's: " + target[:min(len(target), 90)], request("GET", target), 404})
	}
	for _, tc := range rows {
		t.Run(tc.name, func(t *testing.T) {
			w := serve(h, tc.r)
			require.Equal(t, tc.want, w.Code)
			require.Equal(t, "no-cache, no-store", w.Header().Get("Cache-Control"))
			if tc.want == 404 {
				require.Empty(t, w.Body.String())
			}
			if tc.want == 401 || tc.want == 403 {
				require.Contains(t, w.Header().Get("WWW-Authenticate"), "DPoP")
			}
		})
	}
	_, err := b.Query(t.Context(), fintech, g.ID)
	require.NoError(t, err, "a rejected request changes nothing")
	for _, method := range []string{"POST", "PUT", "PATCH", "OPTIONS", "TRACE", "delete", "X"} {
		t.Run("405 for "+method, func(t *testing.T) {
			w := serve(h, request(method, url))
			require.Equal(t, 405, w.Code)
			require.Equal(t, "GET, HEAD, DELETE", w.Header().Get("Allow"))
		})
	}
}

func TestAPIOfferings(t *testing.T) {
	t.Parallel()
	t.Run("what the server does not offer is a method that is not allowed", func(t *testing.T) {
		b := newBank(t, func(c *grants.ManagerConfig) { c.Actions = []string{"create", "revoke"} })
		h := newAPI(t, b, nil)
		g, _ := b.claimed("create", "", scopes("accounts"))
		w := serve(h, request("GET", "/grants/"+g.ID))
		require.Equal(t, 405, w.Code)
		require.Equal(t, "DELETE", w.Header().Get("Allow"))
		require.Equal(t, 204, serve(h, request("DELETE", "/grants/"+g.ID)).Code)
	})
	t.Run("behind a prefix that was stripped, and in a mux", func(t *testing.T) {
		b, g, _ := granted(t)
		stripped := http.StripPrefix("/api/grants", newAPI(t, b, func(c *grants.HandlerConfig) { c.Path = "" }))
		require.Equal(t, 200, serve(stripped, request("GET", "/api/grants/"+g.ID)).Code)
		require.Equal(t, 404, serve(stripped, request("GET", "/api/grants/x%2f"+g.ID)).Code)
		mux := http.NewServeMux()
		mux.Handle("/grants/", newAPI(t, b, nil))
		require.Equal(t, 200, serve(mux, request("GET", "/grants/"+g.ID)).Code)
		require.Equal(t, 404, serve(mux, request("GET", "/grants/"+g.ID+"%2f..")).Code)
	})
	t.Run("the host's WriteError", func(t *testing.T) {
		b := newBank(t, nil)
		var said error
		var needs []string
		h := newAPI(t, b, func(c *grants.HandlerConfig) {
			c.WriteError = func(w http.ResponseWriter, _ *http.Request, err error, scopes ...string) {
				said, needs = err, scopes
				w.WriteHeader(418)
			}
		})
		require.Equal(t, 418, serve(h, request("GET", "/grants/x", "Scopes", "none")).Code)
		require.ErrorIs(t, said, errScope)
		require.Equal(t, []string{"grant_management_query"}, needs)
		b.store.set(failGet, nil)
		w := serve(h, request("DELETE", "/grants/"+strings.Repeat("A", 43)))
		require.ErrorIs(t, said, grants.ErrStore)
		require.Equal(t, []string{"grant_management_revoke"}, needs)
		require.NotEmpty(t, w.Header().Get("Retry-After")) // GM-6.4-8
	})
	t.Run("a token without a client is rejected", func(t *testing.T) {
		b := newBank(t, nil)
		h := newAPI(t, b, func(c *grants.HandlerConfig) {
			c.Authorize = func(*http.Request, string) (string, string, error) { return "", "", nil }
		})
		require.Equal(t, 403, serve(h, request("GET", "/grants/x")).Code)
	})
	t.Run("an error without a wire form is a server error without its cause", func(t *testing.T) {
		b := newBank(t, nil)
		h := newAPI(t, b, func(c *grants.HandlerConfig) {
			c.Authorize = func(*http.Request, string) (string, string, error) { return fintech, "", errors.New("secret cause") }
		})
		w := serve(h, request("GET", "/grants/x"))
		require.Equal(t, 500, w.Code)
		require.NotContains(t, w.Body.String(), "secret")
	})
	for name, cfg := range map[string]grants.HandlerConfig{
		"no manager":         {Authorize: authorize},
		"no Authorize":       {Manager: newBank(t, nil).Manager},
		"a relative path":    {Manager: newBank(t, nil).Manager, Authorize: authorize, Path: "grants"},
		"a slash at the end": {Manager: newBank(t, nil).Manager, Authorize: authorize, Path: "/grants/"},
		"an encoded path":    {Manager: newBank(t, nil).Manager, Authorize: authorize, Path: "/gr%61nts"},
	} {
		t.Run(name+" makes no handler", func(t *testing.T) {
			h, err := grants.NewHandler(cfg)
			require.Error(t, err)
			require.Nil(t, h)
		})
	}
}
