package grants_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/testkit"
)

// wire answers requests without a network.
type wire func(*http.Request) (*http.Response, error)

func (w wire) RoundTrip(r *http.Request) (*http.Response, error) { return w(r) }

// reply is a wire with one response.
func reply(status int, body string, headers ...string) wire {
	return func(*http.Request) (*http.Response, error) {
		h := http.Header{"Content-Type": {"application/json"}}
		for i := 0; i < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func wired(t testing.TB, w wire) *grants.Client { return wiredAt(t, testkit.NewClock(t0), w) }

func wiredAt(t testing.TB, clock *testkit.Clock, w wire) *grants.Client {
	c, err := grants.NewClient(grants.ClientConfig{
		Endpoint: "https://as.example.com/grants", HTTPClient: &http.Client{Transport: w}, Now: clock.Now,
	})
	require.NoError(t, err)
	return c
}

func TestClientAgainstHandler(t *testing.T) {
	t.Parallel()
	b := newBank(t, nil)
	g, _ := b.claimed("create", "", grants.Approval{
		Subject: alice, Scopes: []grants.Scope{{Scope: "openid"}, {Scope: "read", Resource: []string{"https://rs.example/"}}},
		Claims: []string{"name"}, AuthorizationDetails: details(t, map[string]any{"type": "account"}),
	})
	h := newAPI(t, b, nil)
	c := wired(t, func(r *http.Request) (*http.Response, error) {
		return serve(h, request(r.Method, r.URL.RequestURI())).Result(), nil
	})
	got, err := c.Query(t.Context(), g.ID)
	require.NoError(t, err)
	require.Equal(t, grants.Grant{
		ID: g.ID, Scopes: g.Scopes, Claims: g.Claims, AuthorizationDetails: g.AuthorizationDetails, Status: "active",
		CreatedAt: time.Unix(g.CreatedAt.Unix(), 0), UpdatedAt: time.Unix(g.UpdatedAt.Unix(), 0), ExpiresAt: time.Unix(g.ExpiresAt.Unix(), 0),
		UpdatedBy: "client",
	}, got)
	require.NoError(t, c.Revoke(t.Context(), g.ID))
	_, err = c.Query(t.Context(), g.ID)
	require.ErrorIs(t, err, grants.ErrNotFound)
	var said *oauth2.RetrieveError
	require.ErrorAs(t, err, &said)
	require.Equal(t, 404, said.Response.StatusCode)
	require.ErrorIs(t, c.Revoke(t.Context(), g.ID), grants.ErrNotFound)
}

func TestClientRequests(t *testing.T) {
	t.Parallel()
	var seen []string
	c := wired(t, func(r *http.Request) (*http.Response, error) {
		seen = append(seen, r.Method+" "+r.URL.String())
		return reply(204, "")(r)
	})
	t.Run("GM-6.3-1 the URL is the endpoint, a slash and the identifier", func(t *testing.T) {
		require.NoError(t, c.Revoke(t.Context(), "TSdqirmAxDa0_-DB_1bASQ.~"))
		require.Equal(t, []string{"DELETE https://as.example.com/grants/TSdqirmAxDa0_-DB_1bASQ.~"}, seen)
	})
	seen = nil
	for _, id := range []string{"", ".", "..", "../x", "a/b", "a%2fb", "a?b", "a#b", "a b", "a\x00", "ä", `a\b`, "a;b", "a:b", "@", strings.Repeat("a", 1025)} {
		t.Run("GM-6.3-2 an identifier that is not URL-safe is not sent: "+id[:min(len(id), 20)], func(t *testing.T) {
			_, err := c.Query(t.Context(), id)
			require.Error(t, err)
			require.Error(t, c.Revoke(t.Context(), id))
			require.Empty(t, seen)
		})
	}
	t.Run("a redirect is an answer, and is not followed", func(t *testing.T) {
		asked := 0
		elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}))
		defer elsewhere.Close()
		c, err := grants.NewClient(grants.ClientConfig{Endpoint: elsewhere.URL + "/grants/", HTTPClient: elsewhere.Client()})
		require.NoError(t, err)
		_, err = c.Query(t.Context(), "g-1")
		var said *oauth2.RetrieveError
		require.ErrorAs(t, err, &said)
		require.Equal(t, 307, said.Response.StatusCode)
		require.Error(t, c.Revoke(t.Context(), "g-1"))
		require.Equal(t, 2, asked)
	})
	for name, cfg := range map[string]grants.ClientConfig{
		"http":                   {Endpoint: "http://as.example.com/grants", HTTPClient: http.DefaultClient},
		"no host":                {Endpoint: "https:///grants", HTTPClient: http.DefaultClient},
		"a query":                {Endpoint: "https://as.example.com/grants?x", HTTPClient: http.DefaultClient},
		"a fragment":             {Endpoint: "https://as.example.com/grants#x", HTTPClient: http.DefaultClient},
		"user information":       {Endpoint: "https://u@as.example.com/grants", HTTPClient: http.DefaultClient},
		"GM-6.1-1 no HTTPClient": {Endpoint: "https://as.example.com/grants"},
	} {
		t.Run(name+" makes no client", func(t *testing.T) {
			c, err := grants.NewClient(cfg)
			require.Error(t, err)
			require.Nil(t, c)
		})
	}
}

func TestClientReads(t *testing.T) {
	t.Parallel()
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	for _, tc := range []struct {
		name, body string
		want       grants.Grant
	}{
		{"an empty answer", `{}`, grants.Grant{}},
		{"GM-6.4-5 the name that draft 04 has", `{"last_updated_at":5}`, grants.Grant{UpdatedAt: at(5)}},
		{"GM-6.4-5 the name in the text of draft 03", `{"last_updated":5}`, grants.Grant{UpdatedAt: at(5)}},
		{"GM-6.4-5 both names: the later one counts", `{"last_updated":4,"last_updated_at":5}`, grants.Grant{UpdatedAt: at(5)}},
		{"GM-6.4-5 all times", `{"created_at":1,"expires_at":3}`, grants.Grant{CreatedAt: at(1), ExpiresAt: at(3)}},
		{"GM-6.4-2 scopes with and without resources", `{"scopes":[{"scope":"a b","resource":["https://r/"]},{"scope":"c"},{"resource":"https://s/"}]}`,
			grants.Grant{Scopes: []grants.Scope{{Scope: "a b", Resource: []string{"https://r/"}}, {Scope: "c"}, {Resource: []string{"https://s/"}}}}},
		{"GM-6.4-7 unknown members are kept in Extra", `{"status":"active","x":{"y":1},"scopes":[{"scope":"a","z":1}]}`,
			grants.Grant{Scopes: []grants.Scope{{Scope: "a"}}, Extra: map[string]json.RawMessage{"status": json.RawMessage(`"active"`), "x": json.RawMessage(`{"y":1}`)}}},
		{"GM-6.4-5 null is absent", `{"last_updated":4,"last_updated_at":null,"created_at":null,"expires_at":null}`, grants.Grant{UpdatedAt: at(4)}},
		{"GM-6.4-4 null is absent", `{"scopes":null,"claims":null,"authorization_details":null,"updated_by":null}`, grants.Grant{}},
		{"GM-6.4-2 null is absent", `{"scopes":[{"scope":"a","resource":null},{"scope":null,"resource":["https://r/"]}]}`,
			grants.Grant{Scopes: []grants.Scope{{Scope: "a"}, {Resource: []string{"https://r/"}}}}},
		{"GM-6.4-5 GM-6.4-6 what only informs and has another type is absent", `{"created_at":"yesterday","last_updated":true,"updated_by":1,"expires_at":3}`,
			grants.Grant{ExpiresAt: at(3)}},
		{"GM-6.4-6 updated_by", `{"updated_by":"authorization_server"}`, grants.Grant{UpdatedBy: "authorization_server"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := wired(t, reply(200, tc.body)).Query(t.Context(), "g-1")
			require.NoError(t, err)
			tc.want.ID, tc.want.Status = "g-1", "active"
			require.Equal(t, tc.want, got)
		})
	}
	for _, body := range []string{
		``, `null`, `[]`, `{`, `{} x`, `{"scopes":{}}`, `{"scopes":["a"]}`, `{"scopes":[{"scope":1}]}`, `{"scopes":[{"resource":[1]}]}`,
		`{"claims":"name"}`, `{"claims":[1]}`, `{"authorization_details":{}}`, `{"authorization_details":[1]}`,
		`{"expires_at":1e300}`, `{"expires_at":"tomorrow"}`,
		`{"scopes":[],"scopes":[]}`, `{"claims":[],"Claims":[]}`, `{"authorization_details":[{"amount":1,"amount":2}]}`,
		`{"a":"` + strings.Repeat("x", 1<<20) + `"}`,
	} {
		t.Run("a malformed response is an error: "+body[:min(len(body), 60)], func(t *testing.T) {
			got, err := wired(t, reply(200, body)).Query(t.Context(), "g-1")
			require.ErrorIs(t, err, grants.ErrResponse)
			require.Zero(t, got)
		})
	}
	t.Run("another media type is an error", func(t *testing.T) {
		_, err := wired(t, reply(200, `{}`, "Content-Type", "text/html")).Query(t.Context(), "g-1")
		require.ErrorIs(t, err, grants.ErrResponse)
	})
	t.Run("GM-6.5-1 after DELETE nothing but 204 is success", func(t *testing.T) {
		for _, status := range []int{200, 201, 202} {
			require.ErrorIs(t, wired(t, reply(status, `{}`)).Revoke(t.Context(), "g-1"), grants.ErrResponse)
		}
	})
}

func TestClientErrors(t *testing.T) {
	t.Parallel()
	t.Run("the server's error", func(t *testing.T) {
		for _, status := range []int{400, 401, 403, 500} {
			c := wired(t, reply(status, `{"error":"e","error_description":"d","error_uri":"u"}`))
			_, err := c.Query(t.Context(), "g-1")
			for _, err := range []error{err, c.Revoke(t.Context(), "g-1")} {
				var said *oauth2.RetrieveError
				require.ErrorAs(t, err, &said)
				require.Equal(t, []string{"e", "d", "u"}, []string{said.ErrorCode, said.ErrorDescription, said.ErrorURI})
				require.Equal(t, status, said.Response.StatusCode)
				require.Nil(t, said.Response.Request)
			}
		}
	})
	t.Run("a page in place of an error is cut", func(t *testing.T) {
		_, err := wired(t, reply(502, strings.Repeat("<p>", 1<<20), "Content-Type", "text/html")).Query(t.Context(), "g-1")
		var said *oauth2.RetrieveError
		require.ErrorAs(t, err, &said)
		require.Less(t, len(err.Error()), 2048)
	})
	t.Run("no connection", func(t *testing.T) {
		c := wired(t, func(*http.Request) (*http.Response, error) { return nil, errDown })
		_, err := c.Query(t.Context(), "g-1")
		require.ErrorIs(t, err, errDown)
		require.ErrorIs(t, c.Revoke(t.Context(), "g-1"), errDown)
	})
	t.Run("a body that breaks off", func(t *testing.T) {
		c := wired(t, func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(io.MultiReader(strings.NewReader("{"), broken{}))}, nil
		})
		_, err := c.Query(t.Context(), "g-1")
		require.ErrorIs(t, err, grants.ErrResponse)
		require.ErrorIs(t, err, errDown)
	})
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errDown }

func TestClientHoldsBack(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, header string
		want         time.Duration // 0 for a header that is ignored
	}{
		{"GM-6.4-9 seconds", "120", 2 * time.Minute},
		{"GM-6.4-9 a date", t0.Add(time.Minute).Format(http.TimeFormat), time.Minute},
		{"GM-6.4-9 a year is an hour", "31536000", time.Hour},
		{"GM-6.4-9 a date in a far year is an hour", t0.Add(5 * year).Format(http.TimeFormat), time.Hour},
		{"a malformed header is ignored", "soon", 0},
		{"a negative number is ignored", "-5", 0},
		{"a number that overflows is ignored", "99999999999999999999", 0},
		{"no header", "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, status := range []int{503, 429} {
				clock, asked := testkit.NewClock(t0), 0
				answer := reply(status, `{"error":"temporarily_unavailable"}`, "Retry-After", tc.header)
				c := wiredAt(t, clock, func(r *http.Request) (*http.Response, error) { asked++; return answer(r) })
				_, err := c.Query(t.Context(), "g-1")
				var said *oauth2.RetrieveError
				require.ErrorAs(t, err, &said)
				var retry *grants.RetryError
				if tc.want == 0 {
					require.False(t, errors.As(err, &retry))
					continue
				}
				require.ErrorAs(t, err, &retry)
				require.True(t, t0.Add(tc.want).Equal(retry.After))

				clock.Advance(tc.want - 1)
				_, err = c.Query(t.Context(), "g-1")
				require.ErrorAs(t, err, &retry)
				require.NoError(t, retry.Err)
				require.NotEmpty(t, retry.Error())
				require.Equal(t, 1, asked, "not asked before the time")
				require.Error(t, c.Revoke(t.Context(), "g-1"))
				require.Equal(t, 2, asked, "a revocation does not wait")
			}
		})
	}
	t.Run("GM-6.4-9 after the back-off it sends a request", func(t *testing.T) {
		clock, answer := testkit.NewClock(t0), reply(503, ``, "Retry-After", "10")
		c := wiredAt(t, clock, func(r *http.Request) (*http.Response, error) { return answer(r) })
		_, err := c.Query(t.Context(), "g-1")
		require.Error(t, err)
		answer = reply(200, `{}`)
		clock.Advance(10 * time.Second)
		_, err = c.Query(t.Context(), "g-1")
		require.NoError(t, err)
	})
}
