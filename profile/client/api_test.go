package client_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// nonces returns a handler that demands a nonce once.
func nonces(status int, nonce string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("DPoP-Nonce", nonce)
		parts := strings.Split(r.Header.Get("DPoP"), ".")
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		if bytes.Contains(payload, []byte(`"nonce":"`+nonce+`"`)) {
			next(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `dpop algs="ES256", Error=use_dpop_nonce`)
		reply(w, status, `{"error":"use_dpop_nonce"}`)
	}
}

func TestClientNonces(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	p.push = nonces(400, "as-1", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 201, `{"request_uri":"urn:x:1","expires_in":60}`)
	})
	p.token = nonces(400, "as-2", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, `{"access_token":"at","token_type":"DPoP","refresh_token":"rt","expires_in":300}`)
	})
	p.respond = nonces(401, "rs-1", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Form.Encode()) })
	app := p.client()
	session, err := app.Begin(ctx, client.Request{Scopes: []string{"a"}})
	require.NoError(t, err)
	token, err := app.Finish(ctx, session, callback(session))
	require.NoError(t, err)

	for _, path := range []string{"/par", "/token"} {
		sent := p.messages(path)
		require.Len(t, sent, 2, "SP-5.3.3.1-8 one repetition at "+path)
		require.NotEqual(t, sent[0].proof["jti"], sent[1].proof["jti"], "DPOP-7.3-1")
		first, second := jwtClaims(t, sent[0].form.Get("client_assertion")), jwtClaims(t, sent[1].form.Get("client_assertion"))
		require.NotEmpty(t, second["jti"])
		require.NotEqual(t, first["jti"], second["jti"], "an assertion of its own")
		require.Equal(t, sent[0].length, sent[1].length)
		for _, m := range sent {
			m.form.Del("client_assertion")
			require.NotContains(t, m.proof, "ath")
		}
		require.Equal(t, sent[0].form, sent[1].form)
	}
	require.NotContains(t, p.messages("/par")[0].proof, "nonce")
	require.Equal(t, "as-1", p.messages("/par")[1].proof["nonce"])
	require.Equal(t, "as-1", p.messages("/token")[0].proof["nonce"], "DPOP-8.2-1 learnt from a 201")
	require.Equal(t, "as-2", p.messages("/token")[1].proof["nonce"])

	for i := range 2 { // a new http.Client for each user's request, as web applications make them
		api, err := app.HTTPClient(app.TokenSource(ctx, token))
		require.NoError(t, err)
		response, err := api.PostForm(p.api.URL+"/pay", url.Values{"amount": {"7"}})
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, "amount=7", string(body), "the body was sent again")
		require.Len(t, p.messages("/pay"), 2+i, "the nonce is known from then on")
	}
	paid := p.messages("/pay")
	require.NotContains(t, paid[0].proof, "nonce", "DPOP-9-2 the authorization server's nonces stay there")
	require.Equal(t, "rs-1", paid[1].proof["nonce"])
	hash := sha256.Sum256([]byte("at"))
	for _, m := range paid {
		require.Equal(t, base64.RawURLEncoding.EncodeToString(hash[:]), m.proof["ath"], "DPOP-7-1")
		require.Equal(t, []string{"DPoP at"}, m.header["Authorization"], "DPOP-7.1-1 SP-5.3.3.1-3")
	}
	_, err = app.Refresh(ctx, "rt", client.Request{})
	require.NoError(t, err)
	sent := p.messages("/token")
	require.Equal(t, "as-2", sent[2].proof["nonce"], "DPOP-9-2 nor does the API's nonce get there")

	p.token = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("DPoP-Nonce", fmt.Sprint("n-", len(p.messages("/token"))))
		reply(w, 400, `{"error":"use_dpop_nonce"}`)
	}
	before := len(p.messages("/token"))
	_, err = app.Refresh(ctx, "rt", client.Request{})
	said := (*oauth2.RetrieveError)(nil)
	require.ErrorAs(t, err, &said)
	require.Equal(t, "use_dpop_nonce", said.ErrorCode)
	require.Len(t, p.messages("/token"), before+2, "once is enough")
}

func TestAPIClient(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	app := p.client()
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a token in the clear") }))
	t.Cleanup(plain.Close)
	api, err := app.HTTPClient(oauth2.StaticTokenSource(dpopToken("s3cret")))
	require.NoError(t, err)

	t.Run("SP-5.2.1-1 http is refused", func(t *testing.T) {
		_, err := api.Post(plain.URL, "text/plain", strings.NewReader("x"))
		require.Error(t, err)
		require.NotContains(t, err.Error(), "s3cret")
	})
	t.Run("a redirect is not followed", func(t *testing.T) {
		p.respond = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, p.as.URL+"/stolen", 307) }
		response, err := api.Get(p.api.URL + "/a")
		require.NoError(t, err)
		require.Equal(t, 307, response.StatusCode)
		require.Empty(t, p.messages("/stolen"))
	})
	t.Run("a caller who follows redirects does not get elsewhere", func(t *testing.T) {
		eager, err := app.HTTPClient(oauth2.StaticTokenSource(dpopToken("s3cret")))
		require.NoError(t, err)
		eager.CheckRedirect = nil
		_, err = eager.Get(p.api.URL + "/a")
		require.ErrorContains(t, err, "another origin")
		p.respond = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, plain.URL, 307) }
		_, err = eager.Get(p.api.URL + "/a")
		require.Error(t, err)
		require.Empty(t, p.messages("/stolen"))

		p.respond = func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/b" {
				http.Redirect(w, r, "/c", 307)
			}
		}
		response, err := eager.Post(p.api.URL+"/b", "text/plain", strings.NewReader("body"))
		require.NoError(t, err)
		require.Equal(t, 200, response.StatusCode)
		b, c := p.messages("/b")[0], p.messages("/c")[0]
		require.Equal(t, p.api.URL+"/c", c.proof["htu"], "a proof for where it goes")
		require.NotEqual(t, b.proof["jti"], c.proof["jti"])
	})
	t.Run("the caller's request is not changed", func(t *testing.T) {
		p.respond = nil
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.api.URL+"/d?x=1", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Basic dTpw")
		before := r.Clone(ctx)
		for range 2 {
			response, err := api.Do(r)
			require.NoError(t, err)
			response.Body.Close()
		}
		require.Equal(t, before.Header, r.Header)
		require.Equal(t, before.URL, r.URL)
		sent := p.messages("/d")
		require.Equal(t, []string{"DPoP s3cret"}, sent[0].header["Authorization"])
		require.Len(t, sent[0].header["Dpop"], 1)
		require.Equal(t, p.api.URL+"/d", sent[0].proof["htu"])
		require.NotEqual(t, sent[0].proof["jti"], sent[1].proof["jti"])
		r.Header = nil
		_, err = api.Transport.RoundTrip(r)
		require.NoError(t, err)
	})
	t.Run("DPOP-5-7 no token but a bound one is sent", func(t *testing.T) {
		before := len(p.messages("/e"))
		for _, token := range []*oauth2.Token{
			{AccessToken: "s3cret"}, {AccessToken: "s3cret", TokenType: "Bearer"}, {TokenType: "DPoP"}, nil, {AccessToken: "a\nb", TokenType: "DPoP"},
		} {
			api, err := app.HTTPClient(oauth2.StaticTokenSource(token))
			require.NoError(t, err)
			_, err = api.Get(p.api.URL + "/e")
			require.Error(t, err)
			require.NotContains(t, err.Error(), "s3cret")
		}
		require.Len(t, p.messages("/e"), before)
		_, err := app.HTTPClient(nil)
		require.Error(t, err)
	})
	t.Run("the body of a request that is not sent is closed", func(t *testing.T) {
		body := &closing{Reader: strings.NewReader("x")}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, plain.URL, body)
		require.NoError(t, err)
		_, err = api.Transport.RoundTrip(r)
		require.Error(t, err)
		require.True(t, body.closed)
	})
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}
