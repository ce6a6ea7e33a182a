package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
)

// A peerSample has the shapes of what a server of another make sends.
type peerSample struct {
	Server    string                     `json:"server"`
	Documents map[string]json.RawMessage `json:"documents"`
	Push      json.RawMessage            `json:"push"`
	IDToken   json.RawMessage            `json:"idToken"`
	Token     json.RawMessage            `json:"token"`
	Refresh   json.RawMessage            `json:"refresh"`
	Keeps     string                     `json:"keeps"` // the refresh token after a refresh
}

func page(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		w.Write([]byte(body))
	}
}

// A login and a refresh succeed with each sample.
func TestServersOfOtherMakes(t *testing.T) {
	data, err := os.ReadFile("testdata/peers.json")
	require.NoError(t, err)
	var samples []peerSample
	require.NoError(t, json.Unmarshal(data, &samples))
	require.NotEmpty(t, samples)
	for _, sample := range samples {
		t.Run("CASES F: "+sample.Server, func(t *testing.T) {
			mux, now := http.NewServeMux(), time.Now()
			s := httptest.NewTLSServer(mux)
			t.Cleanup(s.Close)
			nonce, refreshed := "", false
			signer, err := jose.NewSigner(testkit.ECKey(t, "peer"), jose.SignerOptions{KeyID: "k1", Type: "JWT"})
			require.NoError(t, err)
			fill := func(raw json.RawMessage) string {
				return strings.NewReplacer(
					"$ISSUER", s.URL, "$CLIENT", "c-1", "$NONCE", nonce, `"$NOW"`, fmt.Sprint(now.Unix()), `"$EXP"`, fmt.Sprint(now.Unix()+300),
				).Replace(string(raw))
			}
			mux.HandleFunc("/.well-known/oauth-authorization-server", page(200, "application/json;charset=UTF-8", fill(sample.Documents["oauth"])))
			if openid := sample.Documents["openid"]; openid != nil {
				mux.HandleFunc("/.well-known/openid-configuration", page(200, "application/json", fill(openid)))
			}
			keys, err := jwks.NewSet(jwks.Key{Public: testkit.ECKey(t, "peer").Public(), KeyID: "k1"})
			require.NoError(t, err)
			mux.Handle("/oauth2/jwks", keys)
			mux.HandleFunc("/oauth2/par", page(201, "application/json", fill(sample.Push)))
			mux.HandleFunc("/oauth2/token", func(w http.ResponseWriter, r *http.Request) {
				idToken, err := signer.Sign([]byte(fill(sample.IDToken)))
				if err != nil {
					panic(err)
				}
				response := sample.Token
				if refreshed {
					response = sample.Refresh
				}
				page(200, "application/json;charset=UTF-8", strings.ReplaceAll(fill(response), "$IDTOKEN", idToken))(w, r)
			})

			ctx := context.Background()
			app, err := client.New(ctx, client.Config{
				Issuer: s.URL, ClientID: "c-1", RedirectURI: "https://client.example/cb", Key: testkit.ECKey(t, "c-1"), HTTPClient: s.Client(),
				Hooks: client.Hooks{Now: func() time.Time { return now }},
			})
			require.NoError(t, err)
			require.Equal(t, sample.Documents["openid"] != nil, app.ServerMetadata().UserInfoEndpoint != "")
			session, err := app.Begin(ctx, client.Request{Scopes: []string{"openid", "accounts"}})
			require.NoError(t, err)
			nonce = session.Nonce
			token, err := app.Finish(ctx, session, callback(session))
			require.NoError(t, err)
			require.Equal(t, "at", token.AccessToken)
			require.Positive(t, token.ExpiresIn)
			user, ok := client.IDToken(token)
			require.True(t, ok)
			require.NotEmpty(t, user.Subject())

			refreshed = true
			before := token.RefreshToken
			if before == "" {
				before = "rt-0"
			}
			token, err = app.Refresh(ctx, before, client.Request{})
			require.NoError(t, err)
			require.Equal(t, "at-2", token.AccessToken)
			require.Equal(t, sample.Keeps, token.RefreshToken)
		})
	}
}
