package dpop_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/testkit"
)

// TestTransportRepeatsWithTheNonceOfTheRefusal: other responses of the same server come in between, late ones too.
func TestTransportRepeatsWithTheNonceOfTheRefusal(t *testing.T) {
	var transport *dpop.Transport
	transport, n := newTransport(t, func(_ int, r sent) *http.Response {
		switch {
		case r.url == origin+"/late":
			return respond(200, "", "DPoP-Nonce", "stale")
		case r.nonce() != "fresh":
			return respond(401, "", "WWW-Authenticate", challenge, "DPoP-Nonce", "fresh")
		}
		return respond(200, "")
	}, func(c *dpop.TransportConfig) {
		c.Renew = func(r *http.Request) error {
			do(t, transport, "GET", origin+"/late", "", "")
			if r.URL.Path == "/moved" { // to another server, for which the nonce is not
				r.URL, r.Host = &url.URL{Scheme: "https", Host: "other.example", Path: "/"}, ""
			}
			return nil
		}
	})
	require.Equal(t, 200, do(t, transport, "GET", origin+"/x", "", "").StatusCode, "DPOP-8.2-1")
	require.Equal(t, "fresh", n.log[2].nonce())
	do(t, transport, "GET", origin+"/moved", "", "")
	last := n.log[len(n.log)-1]
	require.Equal(t, "https://other.example/", last.url)
	require.Nil(t, last.nonce(), "DPOP-9-2")
}

// TestTransportKeepsTheNonceThatCameLast, be it the one that its request was sent with.
func TestTransportKeepsTheNonceThatCameLast(t *testing.T) {
	var transport *dpop.Transport
	transport, n := newTransport(t, func(_ int, r sent) *http.Response {
		switch r.url {
		case origin + "/slow":
			do(t, transport, "GET", origin+"/quick", "", "")
			return respond(200, "", "DPoP-Nonce", "one")
		case origin + "/quick":
			return respond(200, "", "DPoP-Nonce", "two")
		}
		return respond(200, "", "DPoP-Nonce", "one")
	}, nil)
	do(t, transport, "GET", origin+"/first", "", "")
	do(t, transport, "GET", origin+"/slow", "", "")
	do(t, transport, "GET", origin+"/last", "", "")
	require.Equal(t, "one", n.log[len(n.log)-1].nonce(), "DPOP-8.2-1")
}

// TestTransportTakesNoTokenToAnotherOrigin puts it below oauth2.Transport, which puts its token into every request.
func TestTransportTakesNoTokenToAnotherOrigin(t *testing.T) {
	var to string
	transport, n := newTransport(t, func(i int, _ sent) *http.Response {
		if i == 0 {
			return respond(307, "", "Location", to)
		}
		return respond(200, "")
	}, nil)
	token := &oauth2.Token{AccessToken: aToken, TokenType: "DPoP"}
	for _, tc := range []struct {
		name, to string
		follows  bool
	}{
		{"another path", "/y", true},
		{"the same origin in another form", "HTTPS://Server.example.com:443/y", true},
		{"another host", "https://evil.example/", false},
		{"a subdomain", "https://x.server.example.com/", false},
		{"another port", origin + ":8443/", false},
		{"DPOP-9-2 in the clear", "http://server.example.com/", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n.log, to = nil, tc.to
			client := &http.Client{Transport: &oauth2.Transport{Base: transport, Source: oauth2.StaticTokenSource(token)}}
			resp, err := client.Get(origin + "/x")
			if tc.follows {
				require.NoError(t, err)
				resp.Body.Close()
				require.Len(t, n.log, 2)
				require.Equal(t, origin+"/y", n.log[1].claims["htu"])
				return
			}
			require.ErrorContains(t, err, "dpop: a redirect to another origin gets no access token")
			require.NotContains(t, err.Error(), aToken)
			require.Len(t, n.log, 1)
		})
	}
	t.Run("without a token there is nothing to take", func(t *testing.T) {
		n.log, to = nil, "https://other.example/y"
		resp, err := (&http.Client{Transport: transport}).Get(origin + "/x")
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, to, n.log[1].claims["htu"])
	})
	t.Run("a redirect of unknown origin", func(t *testing.T) {
		req := httptest.NewRequest("GET", origin, nil)
		req.Header.Set("Authorization", "DPoP "+aToken)
		for _, from := range []*http.Request{nil, {}, {URL: &url.URL{}}} {
			req.Response = &http.Response{Request: from}
			_, err := transport.RoundTrip(req)
			require.Error(t, err)
		}
	})
}

func TestTransportRefusesRequestsWithoutUsableURL(t *testing.T) {
	transport, n := newTransport(t, nil, nil)
	for _, u := range []*url.URL{nil, {}, {Scheme: "https", Host: "a.example", Opaque: "//a.example/x%2Fy"}, {Scheme: "https", Opaque: "a"}} {
		body := &closing{Reader: strings.NewReader("x")}
		resp, err := transport.RoundTrip(&http.Request{Method: "POST", URL: u, Body: body})
		require.ErrorContains(t, err, "dpop: ")
		require.Nil(t, resp)
		require.True(t, body.closed)
	}
	require.Empty(t, n.log)
}

// bare is a RoundTripper whose responses have no body, not even an empty one, as those of some tests and proxies.
type bare struct{ header http.Header }

func (b bare) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 401, Header: b.header}, nil
}

func TestTransportTakesResponsesWithoutBody(t *testing.T) {
	for _, header := range []http.Header{
		{"Dpop-Nonce": {"n"}, "Www-Authenticate": {challenge}},
		{"Dpop-Nonce": {"n"}, "Content-Type": {"application/json"}},
	} {
		transport, err := dpop.NewTransport(dpop.TransportConfig{Prover: newProver(t, testkit.ECKey(t, "client")), Base: bare{header}})
		require.NoError(t, err)
		resp := do(t, transport, "GET", origin, "", "")
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Empty(t, body)
	}
}

func TestTransportWhoseBodyCannotBeHadAgain(t *testing.T) {
	cause := errors.New("file is gone")
	transport, n := newTransport(t, func(int, sent) *http.Response {
		return respond(401, "", "WWW-Authenticate", challenge, "DPoP-Nonce", "n1")
	}, nil)
	body := &closing{Reader: strings.NewReader("x")}
	req, err := http.NewRequest("POST", origin, body)
	require.NoError(t, err)
	req.GetBody = func() (io.ReadCloser, error) { return nil, cause }
	resp, err := transport.RoundTrip(req)
	require.ErrorIs(t, err, cause)
	require.Nil(t, resp)
	require.True(t, body.closed)
	require.Len(t, n.log, 1)
	require.Zero(t, n.open.Load(), "no response is left open")
}
