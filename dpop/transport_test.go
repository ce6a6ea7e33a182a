package dpop_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/testkit"
)

// sent is a request as a server got it.
type sent struct {
	method, url, body string
	header            http.Header
	claims            map[string]any
}

func (s sent) nonce() any { return s.claims["nonce"] }

// network is the servers of a test: each response is made by answer. It closes bodies, as a RoundTripper must.
type network struct {
	t      testing.TB
	answer func(n int, r sent) *http.Response
	mu     sync.Mutex
	log    []sent
	open   atomic.Int32 // response bodies that have not been closed
}

func (n *network) RoundTrip(req *http.Request) (*http.Response, error) {
	r := sent{method: req.Method, url: req.URL.String(), header: req.Header.Clone()}
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		req.Body.Close()
		r.body = string(body)
	}
	if proofs := req.Header.Values("DPoP"); len(proofs) == 1 {
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(proofs[0], ".")[1])
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(payload, &r.claims); err != nil {
			return nil, err
		}
	} else {
		return nil, fmt.Errorf("%d proofs", len(proofs))
	}
	n.mu.Lock()
	i := len(n.log)
	n.log = append(n.log, r)
	n.mu.Unlock()
	resp := n.answer(i, r)
	n.open.Add(1)
	resp.Body = &tracked{resp.Body, &n.open, sync.Once{}}
	resp.Request = req
	return resp, nil
}

type tracked struct {
	io.ReadCloser
	open *atomic.Int32
	once sync.Once
}

func (t *tracked) Close() error {
	t.once.Do(func() { t.open.Add(-1) })
	return t.ReadCloser.Close()
}

// respond makes a response; header is name, value, name, value…
func respond(status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

const (
	useNonce  = `{"error":"use_dpop_nonce","error_description":"x"}`
	challenge = `DPoP error="use_dpop_nonce", error_description="x"`
)

func newTransport(t testing.TB, answer func(n int, r sent) *http.Response, change func(*dpop.TransportConfig)) (*dpop.Transport, *network) {
	t.Helper()
	n := &network{t: t, answer: answer}
	cfg := dpop.TransportConfig{Prover: newProver(t, testkit.ECKey(t, "client")), Base: n}
	if change != nil {
		change(&cfg)
	}
	transport, err := dpop.NewTransport(cfg)
	require.NoError(t, err)
	return transport, n
}

func do(t testing.TB, rt http.RoundTripper, method, url, token, body string) *http.Response {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, url, r)
	require.NoError(t, err)
	if token != "" {
		req.Header.Set("Authorization", "DPoP "+token)
	}
	resp, err := rt.RoundTrip(req)
	require.NoError(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestTransportSignsEveryRequest(t *testing.T) {
	transport, n := newTransport(t, func(int, sent) *http.Response { return respond(200, "") }, nil)
	ids := map[any]bool{}
	for i, tc := range []struct{ name, method, url, authorization, htu, ath string }{
		{"DPOP-5-1 a token request", "POST", tokenEP, "", tokenEP, ""},
		{"DPOP-5-1 a token request with other credentials", "POST", tokenEP, "Basic eDp5", tokenEP, ""},
		{"DPOP-7-1 a request with a token", "GET", origin + "/x?y=1#z", "DPoP " + aToken, origin + "/x", ath(aToken)},
		{"DPOP-7.1-1 the scheme in lower case", "GET", origin, "dpop  " + aToken, origin + "/", ath(aToken)},
		{"DPOP-4.2-8 a token with another scheme has no hash", "GET", origin, "Bearer " + aToken, origin + "/", ""},
		{"DPOP-4.2-6 an escaped path", "PUT", "HTTPS://A.example:443/a%2Fb%20%C3%BC", "", "https://a.example/a%2Fb%20%C3%BC", ""},
		{"DPOP-4.2-6 userinfo stays out", "GET", "https://u:p@a.example:8443/", "", "https://a.example:8443/", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req, err := http.NewRequest(tc.method, tc.url, nil)
			require.NoError(t, err)
			req.Header.Set("DPoP", "stale")
			if tc.authorization != "" {
				req.Header.Set("Authorization", tc.authorization)
			}
			before := fmt.Sprint(req.Header, req.URL, req.Host)
			resp, err := transport.RoundTrip(req)
			require.NoError(t, err)
			resp.Body.Close()
			require.Equal(t, before, fmt.Sprint(req.Header, req.URL, req.Host), "the caller's request is left alone")
			got := n.log[i].claims
			require.Equal(t, tc.method, got["htm"])
			require.Equal(t, tc.htu, got["htu"])
			if tc.ath == "" {
				require.NotContains(t, got, "ath")
			} else {
				require.Equal(t, tc.ath, got["ath"])
			}
			require.NotContains(t, got, "nonce")
			require.False(t, ids[got["jti"]], "DPOP-4-1: each proof is new")
			ids[got["jti"]] = true
		})
	}
	t.Run("DPOP-4.2-5 no method means GET, and Host goes before the host of the URL", func(t *testing.T) {
		req, err := http.NewRequest("", origin, nil)
		require.NoError(t, err)
		req.Method, req.Host, req.Header = "", "Other.example", nil
		resp, err := transport.RoundTrip(req)
		require.NoError(t, err)
		resp.Body.Close()
		got := n.log[len(n.log)-1].claims
		require.Equal(t, "GET", got["htm"])
		require.Equal(t, "https://other.example/", got["htu"])
		require.Nil(t, req.Header)
	})
}

func TestTransportRetries(t *testing.T) {
	const json = "application/json"
	for _, tc := range []struct {
		name    string
		refusal *http.Response
		again   bool
	}{
		{"SP-5.3.3.1-8 DPOP-8-1 an authorization server", respond(400, useNonce, "Content-Type", json, "DPoP-Nonce", "n1"), true},
		{"DPOP-8-1 with a charset", respond(400, useNonce, "Content-Type", "application/json;charset=UTF-8", "DPoP-Nonce", "n1"), true},
		{"SP-5.3.3.1-8 DPOP-9-1 a resource server", respond(401, "x", "WWW-Authenticate", challenge, "DPoP-Nonce", "n1"), true},
		{"DPOP-7.1-1 scheme and parameter in other case", respond(401, "", "WWW-Authenticate", `dPOp ERROR=use_dpop_nonce`, "DPoP-Nonce", "n1"), true},
		{"DPOP-7.1-6 unknown parameters", respond(401, "", "WWW-Authenticate", `DPoP x="a, \"b", error = "use_dpop_nonce" , y=z`, "DPoP-Nonce", "n1"), true},
		{"a list of challenges", respond(401, "", "WWW-Authenticate", `Negotiate YII/+a==, Bearer error="invalid_token", `+challenge, "DPoP-Nonce", "n1"), true},
		{"several header fields", respond(401, "", "WWW-Authenticate", "Bearer", "WWW-Authenticate", challenge, "DPoP-Nonce", "n1"), true},
		{"401 with the code in the body", respond(401, useNonce, "Content-Type", json, "DPoP-Nonce", "n1"), true},
		{"no nonce", respond(401, "", "WWW-Authenticate", challenge), false},
		{"DPOP-8-3 two nonces", respond(401, "", "WWW-Authenticate", challenge, "DPoP-Nonce", "n1", "DPoP-Nonce", "n2"), false},
		{"DPOP-8.1-1 an empty nonce", respond(401, "", "WWW-Authenticate", challenge, "DPoP-Nonce", ""), false},
		{"DPOP-8.1-1 a nonce with a quote", respond(401, "", "WWW-Authenticate", challenge, "DPoP-Nonce", `a"b`), false},
		{"DPOP-8.1-1 a nonce with a backslash", respond(401, "", "WWW-Authenticate", challenge, "DPoP-Nonce", `a\b`), false},
		{"DPOP-8.1-1 a nonce with a space", respond(401, "", "WWW-Authenticate", challenge, "DPoP-Nonce", "a b"), false},
		{"DPOP-8.1-1 a nonce of two kilobytes", respond(401, "", "WWW-Authenticate", challenge, "DPoP-Nonce", strings.Repeat("n", 2048)), false},
		{"another error", respond(400, `{"error":"invalid_grant"}`, "Content-Type", json, "DPoP-Nonce", "n1"), false},
		{"another challenge", respond(401, "", "WWW-Authenticate", `DPoP error="invalid_token"`, "DPoP-Nonce", "n1"), false},
		{"the code in a challenge of another scheme", respond(401, "", "WWW-Authenticate", `DPoP algs="ES256", Bearer error="use_dpop_nonce"`, "DPoP-Nonce", "n1"), false},
		{"the code in a description", respond(401, "", "WWW-Authenticate", `DPoP error_description="error=use_dpop_nonce", error="x"`, "DPoP-Nonce", "n1"), false},
		{"an open string", respond(401, "", "WWW-Authenticate", `DPoP x="error=use_dpop_nonce`, "DPoP-Nonce", "n1"), false},
		{"a body of another type", respond(400, useNonce, "Content-Type", "text/html", "DPoP-Nonce", "n1"), false},
		{"a body too long to be an error", respond(400, useNonce+strings.Repeat(" ", 100<<10), "Content-Type", json, "DPoP-Nonce", "n1"), false},
		{"another status", respond(403, useNonce, "Content-Type", json, "WWW-Authenticate", challenge, "DPoP-Nonce", "n1"), false},
		{"DPOP-7.1-7 a proxy", respond(407, useNonce, "Content-Type", json, "Proxy-Authenticate", challenge, "DPoP-Nonce", "n1"), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			refusal, err := io.ReadAll(tc.refusal.Body)
			require.NoError(t, err)
			tc.refusal.Body = io.NopCloser(bytes.NewReader(refusal))
			transport, n := newTransport(t, func(i int, r sent) *http.Response {
				if i == 0 {
					return tc.refusal
				}
				return respond(200, "fine", "DPoP-Nonce", "n2")
			}, nil)
			resp := do(t, transport, "POST", tokenEP, "", "a=b")
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.EqualValues(t, 1, n.open.Load(), "only the response that the caller has is open")
			if !tc.again {
				require.Len(t, n.log, 1)
				require.Equal(t, tc.refusal.StatusCode, resp.StatusCode)
				require.Equal(t, string(refusal), string(body), "the caller gets all of the body")
				return
			}
			require.Equal(t, "fine", string(body))
			require.Len(t, n.log, 2)
			require.Equal(t, "n1", n.log[1].nonce())
			require.Equal(t, "a=b", n.log[1].body)
			require.NotEqual(t, n.log[0].claims["jti"], n.log[1].claims["jti"], "DPOP-4-1 DPOP-7.3-1")
			do(t, transport, "POST", tokenEP, "", "")
			require.Equal(t, "n2", n.log[2].nonce(), "DPOP-8.2-1: the nonce of a repeated request's response counts")
		})
	}
}

func TestTransportRetriesOnce(t *testing.T) {
	transport, n := newTransport(t, func(i int, _ sent) *http.Response {
		return respond(401, "", "WWW-Authenticate", challenge, "DPoP-Nonce", fmt.Sprint("n", i))
	}, nil)
	require.Equal(t, 401, do(t, transport, "GET", origin, "", "").StatusCode)
	require.Len(t, n.log, 2)
	do(t, transport, "GET", origin, "", "")
	require.Equal(t, "n1", n.log[2].nonce())

	transport, n = newTransport(t, func(int, sent) *http.Response {
		return respond(401, "", "WWW-Authenticate", challenge, "DPoP-Nonce", "always")
	}, nil)
	do(t, transport, "GET", origin, "", "")
	require.Len(t, n.log, 2)
	do(t, transport, "GET", origin, "", "")
	require.Len(t, n.log, 3, "not again with the nonce that has just been refused")
}

func TestTransportKeepsNoncesApart(t *testing.T) {
	transport, n := newTransport(t, func(_ int, r sent) *http.Response {
		kind := "as"
		if r.header.Get("Authorization") != "" {
			kind = "rs"
		}
		return respond(200, "", "DPoP-Nonce", kind+"-of-"+strings.TrimPrefix(r.claims["htu"].(string), "https://"))
	}, nil)
	last := func() any { return n.log[len(n.log)-1].nonce() }
	for _, url := range []string{"https://a.example/", "https://a.example:8443/", "https://b.example/", "http://a.example/"} {
		do(t, transport, "GET", url, "", "")
		require.Nil(t, last(), "DPOP-9-2 "+url)
		do(t, transport, "GET", url, aToken, "")
		require.Nil(t, last(), "DPOP-9-2 an API at the origin of the authorization server: "+url)
	}
	do(t, transport, "GET", "HTTPS://A.Example:443/", aToken, "")
	require.Equal(t, "rs-of-a.example/", last(), "DPOP-8.2-1 a response of status 200")
	do(t, transport, "GET", "https://a.example:8443/", "", "")
	require.Equal(t, "as-of-a.example:8443/", last())
	do(t, transport, "GET", "https://b.example/", "", "")
	require.Equal(t, "as-of-b.example/", last())
}

func TestTransportRenews(t *testing.T) {
	refuseOnce := func(i int, _ sent) *http.Response {
		if i == 0 {
			return respond(400, useNonce, "Content-Type", "application/json", "DPoP-Nonce", "n1")
		}
		return respond(200, "")
	}
	t.Run("the body of the repeated request is the caller's to renew", func(t *testing.T) {
		transport, n := newTransport(t, refuseOnce, func(c *dpop.TransportConfig) {
			c.Renew = func(r *http.Request) error {
				old, err := io.ReadAll(r.Body)
				r.Body.Close()
				body := string(old) + "&again"
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
				r.Header.Set("X-Again", "1")
				return err
			}
		})
		do(t, transport, "POST", tokenEP, "", "assertion=1")
		require.Equal(t, "assertion=1", n.log[0].body)
		require.Equal(t, "assertion=1&again", n.log[1].body)
		require.Empty(t, n.log[0].header.Get("X-Again"))
	})
	t.Run("its failure is the request's", func(t *testing.T) {
		cause := errors.New("no key")
		transport, n := newTransport(t, refuseOnce, func(c *dpop.TransportConfig) {
			c.Renew = func(*http.Request) error { return cause }
		})
		req, err := http.NewRequest("POST", tokenEP, strings.NewReader("a"))
		require.NoError(t, err)
		resp, err := transport.RoundTrip(req)
		require.ErrorIs(t, err, cause)
		require.Nil(t, resp)
		require.Zero(t, n.open.Load())
	})
	t.Run("a body that cannot be had again is not sent again, and the nonce is kept", func(t *testing.T) {
		transport, n := newTransport(t, refuseOnce, nil)
		req, err := http.NewRequest("POST", tokenEP, io.MultiReader(strings.NewReader("a=b")))
		require.NoError(t, err)
		require.Nil(t, req.GetBody)
		resp, err := transport.RoundTrip(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, 400, resp.StatusCode)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, useNonce, string(body))
		do(t, transport, "POST", tokenEP, "", "a=b")
		require.Equal(t, "n1", n.log[1].nonce())
	})
}

// closing is a body that knows whether it has been closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

func TestTransportFails(t *testing.T) {
	transport, n := newTransport(t, nil, nil)
	for _, url := range []string{"ftp://a.example/", "/relative", "https://bücher.example/"} {
		body := &closing{Reader: strings.NewReader("x")}
		req, err := http.NewRequest("POST", url, body)
		require.NoError(t, err)
		resp, err := transport.RoundTrip(req)
		require.ErrorContains(t, err, "dpop: ")
		require.Nil(t, resp)
		require.True(t, body.closed)
	}
	require.Empty(t, n.log)
	_, err := dpop.NewTransport(dpop.TransportConfig{})
	require.Error(t, err)

	cause := errors.New("network down")
	transport, _ = newTransport(t, nil, func(c *dpop.TransportConfig) { c.Base = failing{cause} })
	req, err := http.NewRequestWithContext(context.Background(), "GET", origin, nil)
	require.NoError(t, err)
	_, err = transport.RoundTrip(req)
	require.ErrorIs(t, err, cause)
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// TestTransportAndVerifier lets 64 clients of one Transport, whose nonce grows old under them, speak to a Verifier.
func TestTransportAndVerifier(t *testing.T) {
	clock := testkit.NewClock(time.Now())
	nonces, err := dpop.NewNonceSource(dpop.NonceSourceConfig{Now: clock.Now})
	require.NoError(t, err)
	v, err := dpop.NewVerifier(dpop.VerifierConfig{BaseURLs: []string{origin}, Nonces: nonces, MaxAge: 10 * time.Minute})
	require.NoError(t, err)
	prover := newProverNow(t)
	transport, err := dpop.NewTransport(dpop.TransportConfig{Prover: prover, Base: servedBy(func(w http.ResponseWriter, r *http.Request) {
		if _, err := v.VerifyToken(r.Context(), r, aToken, prover.Thumbprint()); err != nil {
			v.WriteError(w, err)
			return
		}
		v.SetNonce(w.Header())
	})})
	require.NoError(t, err)
	client := &http.Client{Transport: transport}
	var fine atomic.Int32
	for range 3 {
		testkit.Hammer(64, func(int) {
			req, _ := http.NewRequest("GET", origin+"/x", nil)
			req.Header.Set("Authorization", "DPoP "+aToken)
			if resp, err := client.Do(req); err == nil {
				resp.Body.Close()
				if resp.StatusCode == 200 {
					fine.Add(1)
				}
			}
		})
		clock.Advance(10 * time.Minute)
	}
	require.EqualValues(t, 3*64, fine.Load(), "SP-5.3.3.1-8: one retry is enough")
}

// servedBy answers requests in process.
type servedBy func(http.ResponseWriter, *http.Request)

func (f servedBy) RoundTrip(req *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	f(w, req)
	return w.Result(), nil
}

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

func TestTransportWithAnotherKey(t *testing.T) {
	transport, n := newTransport(t, func(int, sent) *http.Response { return respond(200, "", "DPoP-Nonce", "n-1") }, nil)
	do(t, transport, "GET", origin, aToken, "")
	prover, err := dpop.NewProver(dpop.ProverConfig{Key: testkit.ECKey(t, "another user")})
	require.NoError(t, err)
	derived := transport.WithProver(prover)
	do(t, derived, "GET", origin, aToken, "")
	require.Equal(t, "n-1", n.log[1].nonce(), "the nonces are shared")
	do(t, transport, "GET", origin, aToken, "")
	heads := make([]string, 3)
	for i, r := range n.log {
		heads[i], _, _ = strings.Cut(r.header.Get("DPoP"), ".")
	}
	require.NotEqual(t, heads[0], heads[1], "the header contains the key")
	require.Equal(t, heads[0], heads[2], "the first Transport keeps its key")
	require.Panics(t, func() { transport.WithProver(nil) })
}
