package par_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/par"
)

// What is pushed comes back as it was, or is refused with nothing stored.
func FuzzPush(f *testing.F) {
	f.Add(honest().Encode())
	f.Add(honest("client_id", "", "client_secret", "x", "State", "y").Encode())
	f.Add("response_type=code&redirect_uri=https://a/&resource=a&resource=b&resource=")
	f.Add("response_type=code&redirect_uri=com.a:/&%00=%ff;&a=&a=b")
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", formType)
		params, err := par.ParseForm(r)
		if err != nil {
			require.Nil(t, params)
			return
		}
		s := newRig(t)
		pushed, err := s.Push(t.Context(), par.PushRequest{ClientID: "app", Params: params})
		if err != nil {
			require.Zero(t, pushed)
			require.Zero(t, s.store.saves)
			return
		}
		want := url.Values{}
		for name, values := range params {
			switch name {
			case "client_assertion", "client_assertion_type", "client_secret":
			default:
				want[name] = values
			}
		}
		want.Set("client_id", "app")
		_, err = s.Load(t.Context(), "other", pushed.RequestURI)
		require.ErrorIs(t, err, par.ErrWrongClient)
		for _, get := range []getter{s.Load, s.Consume} {
			req, err := get(t.Context(), "app", pushed.RequestURI)
			require.NoError(t, err)
			require.Equal(t, want, req.Params())
		}
	})
}

// A damaged row is refused or, where the damage does no harm, read for the same
// client; it never panics.
func FuzzDamagedRow(f *testing.F) {
	r := newRig(f)
	r.pushed(f)
	f.Add(r.store.lastValue)
	f.Add([]byte(`{"v":3,"key":"","expires":9223372036854775807,"params":["client_id","app"],"data":null}`))
	f.Fuzz(func(t *testing.T, row []byte) {
		r := newRig(t)
		uri := r.pushed(t)
		r.store.tamper = func([]byte) []byte { return row }
		req, err := r.Load(t.Context(), "app", uri)
		if err != nil {
			require.Zero(t, req)
			return
		}
		require.Equal(t, "app", req.Get("client_id"))
	})
}

// AuthorizationURL and ParseAuthorizationRequest are inverse, whatever else is
// in the endpoint.
func FuzzAuthorizationURL(f *testing.F) {
	f.Add("https://as.example/authorize", "app", "urn:ietf:params:oauth:request_uri:abc")
	f.Add("https://as.example/a%20b?x=%20&y;", "https://app/?&=", "https://as/r?a=b&c+d%20")
	f.Fuzz(func(t *testing.T, endpoint, clientID, requestURI string) {
		made, err := par.AuthorizationURL(endpoint, clientID, requestURI)
		if err != nil {
			require.Empty(t, made)
			return
		}
		u, err := url.Parse(made)
		require.NoError(t, err)
		before, err := url.Parse(endpoint)
		require.NoError(t, err)
		gotClient, gotURI, err := par.ParseAuthorizationRequest(u.Query())
		require.NoError(t, err)
		require.Equal(t, clientID, gotClient)
		require.Equal(t, requestURI, gotURI)
		require.Len(t, u.Query(), len(before.Query())+2)
		require.Equal(t, before.Host, u.Host)
		require.Equal(t, before.EscapedPath(), u.EscapedPath())
	})
}

// A redirect URI that passes is one that a browser and this package read alike.
func FuzzCheckRedirectURI(f *testing.F) {
	f.Add("http://127.0.0.1/cb", "http://127.0.0.1:51004/cb")
	f.Add("https://app.example/cb", "https://app.example/cb")
	f.Add("http://[::1]/", "http://[::1]:1@x/")
	f.Fuzz(func(t *testing.T, registered, requested string) {
		if par.CheckRedirectURI([]string{registered}, requested) != nil {
			return
		}
		u, err := url.Parse(requested)
		require.NoError(t, err)
		require.Nil(t, u.User)
		require.Empty(t, u.Fragment)
		if registered != requested {
			require.Equal(t, "http", u.Scheme)
		}
		if u.Scheme == "http" {
			require.Contains(t, []string{"127.0.0.1", "::1"}, u.Hostname())
		}
	})
}
