package profile_test

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
)

// The shape of a signed authorization response of Keycloak 26, which has iss twice.
func TestSignedResponsesOfKeycloak(t *testing.T) {
	p := newPeer(t)
	p.metadata = func(m map[string]any) { m["response_modes_supported"] = []string{"query", "jwt"} }
	cfg := p.config()
	cfg.Profile = profile.SignedResponses
	client, err := profile.NewClient(t.Context(), cfg)
	require.NoError(t, err)
	signer, err := jose.NewSigner(testkit.ECKey(t, "peer"), jose.SignerOptions{KeyID: "k1", Type: "JWT"})
	require.NoError(t, err)
	for second, want := range map[string]error{
		p.as.URL: nil, "https://evil.example": profile.ErrAuthorizationResponse,
	} {
		t.Run("CASES F1: iss twice, the second is "+second, func(t *testing.T) {
			session, err := client.Begin(t.Context(), profile.Request{Scopes: []string{"a"}})
			require.NoError(t, err)
			response, err := signer.Sign(fmt.Appendf(nil, `{"exp":%d,"iss":%q,"aud":"c-1","code":"code-1","session_state":"s","state":%q,"iss":%q}`,
				p.clock.Now().Unix()+300, p.as.URL, session.State, second))
			require.NoError(t, err)
			_, err = client.Finish(t.Context(), session, url.Values{"response": {response}})
			require.ErrorIs(t, err, want)

			sessions, err := profile.NewSessions(profile.SessionsConfig{Keys: [][]byte{make([]byte, 32)}, Now: p.clock.Now})
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
				require.ErrorIs(t, err, profile.ErrSession)
			}
		})
	}
}
