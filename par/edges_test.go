package par_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/par"
)

// What Push accepts can be loaded: a request_uri that leads to an error page
// would be worse than an error at once.
func TestWhatIsAcceptedCanBeLoaded(t *testing.T) {
	r := newRig(t)
	nested := func(n int) json.RawMessage { return json.RawMessage(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	many := honest()
	for i := range 1025 {
		many.Set(fmt.Sprintf("%x", i), "1")
	}
	for _, tc := range []struct {
		name string
		push par.PushRequest
		ok   bool
	}{
		{"data of 31 levels", par.PushRequest{ClientID: "app", Params: honest(), Data: nested(31)}, true},
		{"data of 32 levels, which is one more within what is stored", par.PushRequest{ClientID: "app", Params: honest(), Data: nested(32)}, false},
		{"data that is null", par.PushRequest{ClientID: "app", Params: honest(), Data: json.RawMessage("null")}, true},
		{"a client id with NUL", par.PushRequest{ClientID: "a\x00b", Params: honest("client_id", "")}, false},
		{"1,025 parameters and more", par.PushRequest{ClientID: "app", Params: many}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pushed, err := r.Push(t.Context(), tc.push)
			require.Equal(t, tc.ok, err == nil, "%v", err)
			if !tc.ok {
				require.Zero(t, pushed)
				_, err = r.Check(t.Context(), tc.push)
				require.Error(t, err)
				return
			}
			req, err := r.Load(t.Context(), tc.push.ClientID, pushed.RequestURI)
			require.NoError(t, err)
			require.Equal(t, tc.push.Data, req.Data())
		})
	}
}

func TestEmptyResourcesAreLeftOut(t *testing.T) {
	r := newRig(t)
	for _, tc := range []struct {
		name string
		form string
		want []string
	}{
		{"BASE-6749-3.1-1 an empty resource", "resource=", nil},
		{"BASE-6749-3.1-1 empty ones among others", "resource=&resource=https://b&resource=&resource=https://a", []string{"https://b", "https://a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			post := httptest.NewRequest("POST", "/par", strings.NewReader(tc.form))
			post.Header.Set("Content-Type", formType)
			params, err := par.ParseForm(post)
			require.NoError(t, err)
			require.Equal(t, tc.want, params["resource"])
			require.Equal(t, tc.want != nil, params.Has("resource"))

			raw, err := url.ParseQuery(tc.form)
			require.NoError(t, err)
			push := honest()
			push["resource"] = raw["resource"]
			checked, err := r.Check(t.Context(), par.PushRequest{ClientID: "app", Params: push})
			require.NoError(t, err)
			require.Equal(t, tc.want, checked.Params["resource"])
			require.Equal(t, tc.want != nil, checked.Params.Has("resource"))
			require.Equal(t, raw["resource"], push["resource"], "the caller's map has been changed")
		})
	}
}

func TestStoresThatAreNone(t *testing.T) {
	_, err := par.NewServer(par.ServerConfig{Check: anything, Store: (*countingStore)(nil)})
	require.Error(t, err)
}

func TestNothingPersonalIsPrintedInGoSyntax(t *testing.T) {
	r := newRig(t)
	push := par.PushRequest{ClientID: "app", Params: honest("login_hint", "alice@example.org")}
	pushed, err := r.Push(t.Context(), push)
	require.NoError(t, err)
	req, err := r.Load(t.Context(), "app", pushed.RequestURI)
	require.NoError(t, err)
	text := fmt.Sprintf("%#v %#v %#v", req, pushed, push)
	for _, secret := range []string{"alice", "af0ifjsldkj", pushed.RequestURI} {
		require.NotContains(t, text, secret)
	}
}

func TestResponsesOfTheEndpoint(t *testing.T) {
	t.Run("PAR-2.2-1 a Pushed that Push has not made is no success", func(t *testing.T) {
		for _, p := range []par.Pushed{{}, {RequestURI: "urn:x:y"}, {ExpiresIn: time.Minute}, {RequestURI: "urn:x:y", ExpiresIn: time.Millisecond}} {
			w := httptest.NewRecorder()
			p.ServeHTTP(w, nil)
			require.Equal(t, 500, w.Code)
			require.JSONEq(t, `{"error":"server_error"}`, w.Body.String())
		}
	})
	t.Run("a length that was meant for another body is taken back", func(t *testing.T) {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Length", "3")
		par.WriteError(w, par.ErrClientID)
		require.Empty(t, w.Header().Get("Content-Length"))
	})
}
