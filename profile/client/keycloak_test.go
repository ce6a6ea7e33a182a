package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/internal/roletest"
	"github.com/stretchr/testify/require"
)

// A signed authorization response of Keycloak 26 contains iss twice.
func TestSignedResponsesOfKeycloak(t *testing.T) {
	p := newPeer(t)
	p.metadata = func(m map[string]any) { m["response_modes_supported"] = []string{"query", "jwt"} }
	cfg := p.config()
	cfg.Profile = profile.SignedResponses
	app, err := client.New(t.Context(), cfg)
	require.NoError(t, err)
	signer, err := jose.NewSigner(testkit.ECKey(t, "peer"), jose.SignerOptions{KeyID: "k1", Type: "JWT"})
	require.NoError(t, err)
	for second, want := range map[string]error{
		p.as.URL: nil, "https://evil.example": client.ErrAuthorizationResponse,
	} {
		t.Run("CASES F1: iss twice, the second is "+second, func(t *testing.T) {
			session, err := app.Begin(t.Context(), client.Request{Scopes: []string{"a"}})
			require.NoError(t, err)
			response, err := signer.Sign(fmt.Appendf(nil, `{"exp":%d,"iss":%q,"aud":"c-1","code":"code-1","session_state":"s","state":%q,"iss":%q}`,
				p.clock.Now().Unix()+300, p.as.URL, session.State, second))
			require.NoError(t, err)
			_, err = app.Finish(t.Context(), session, url.Values{"response": {response}})
			require.ErrorIs(t, err, want)

			sessions, err := client.NewSessions(client.SessionsConfig{Keys: [][]byte{make([]byte, 32)}, Now: p.clock.Now})
			require.NoError(t, err)
			begin := httptest.NewRecorder()
			require.NoError(t, sessions.Put(begin, httptest.NewRequest("POST", "https://client.example/login", nil), session))
			r := httptest.NewRequest("GET", "https://client.example/cb?response="+response, nil)
			for _, cookie := range begin.Result().Cookies() {
				r.AddCookie(cookie)
			}
			_, err = sessions.Take(httptest.NewRecorder(), r)
			if want == nil {
				require.NoError(t, err, "the session is found by the state inside")
			} else {
				require.ErrorIs(t, err, client.ErrSession)
			}
		})
	}
}

// One redirect URI for several banks whose responses are signed, so that no
// parameter says which bank the browser comes from.
func TestSignedResponsesOfSeveralServers(t *testing.T) {
	clients := make(map[string]*client.Client)
	var banks []*peer
	sessions := roletest.NewSessions(t)
	for range 3 {
		p := newPeer(t)
		p.metadata = func(m map[string]any) { m["response_modes_supported"] = []string{"jwt"} }
		app, err := p.try(func(c *client.Config) { c.Profile = profile.SignedResponses })
		require.NoError(t, err)
		clients[p.as.URL], banks = app, append(banks, p)
	}
	var has []*http.Cookie
	responses := make(map[string]string)
	for _, p := range banks {
		session, err := clients[p.as.URL].Begin(t.Context(), client.Request{Scopes: []string{"a"}})
		require.NoError(t, err)
		has = putIn(t, sessions, has, session)
		signer, err := jose.NewSigner(testkit.ECKey(t, "peer"), jose.SignerOptions{KeyID: "k1"})
		require.NoError(t, err)
		responses[p.as.URL], err = signer.Sign(fmt.Appendf(nil, `{"exp":%d,"iss":%q,"aud":"c-1","code":"code-1","state":%q}`,
			p.clock.Now().Unix()+300, p.as.URL, session.State))
		require.NoError(t, err)
	}
	for issuer, response := range responses {
		session, left, err := takeFrom(sessions, has, "response="+response)
		require.NoError(t, err)
		has = left
		require.Equal(t, issuer, session.Issuer, "CASES B9: the session says which client finishes it")
		for other, app := range clients {
			if other != issuer {
				_, err := app.Finish(t.Context(), session, url.Values{"response": {response}})
				require.ErrorIs(t, err, client.ErrAuthorizationResponse, "AM-5.4b another bank's client does not")
			}
		}
		token, err := clients[issuer].Finish(t.Context(), session, url.Values{"response": {response}})
		require.NoError(t, err)
		require.Equal(t, "at-1", token.AccessToken)
	}
	require.Empty(t, has)
}
