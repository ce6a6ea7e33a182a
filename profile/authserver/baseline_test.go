package authserver_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
)

// A code is bound to a DPoP key by dpop_jkt, by a proof at the push, or by both.
func TestCodeBoundToKey(t *testing.T) {
	w := newWorld(t)
	proof := func() string { return w.proof("d", "POST", w.parURL(), dpop.ProofOptions{}) }
	jkt := func(f url.Values) { f.Set("dpop_jkt", w.jkt("d")) }
	for _, tc := range []struct {
		name   string
		change func(url.Values)
		proofs []string
	}{
		{"SP-5.3.2.1-12 DPOP-10-1 by dpop_jkt", jkt, nil},
		{"SP-5.3.2.1-12 DPOP-10.1-2 by a proof", nil, []string{proof()}},
		{"SP-5.3.2.1-12 DPOP-10.1-1 by both", jkt, []string{proof()}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code := w.code("client-1", tc.change, tc.proofs...)
			got := w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("attacker"))
			require.Equal(t, "invalid_grant", got.code)
			got = w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d"))
			require.Equal(t, http.StatusOK, got.status, "%v", got.body)
		})
	}
}

// A client that did not get the answer repeats the request with the refresh token that it has.
func TestRefreshTokenStaysGood(t *testing.T) {
	w := newWorld(t)
	refresh := w.tokens("client-1", "d").body["refresh_token"].(string)
	for range 3 {
		require.Equal(t, http.StatusOK, w.send(w.tokenURL(), w.refreshForm("client-1", refresh), w.tokenProof("d")).status, "SP-5.3.2.1-9N SP-5.3.2.1-9")
	}
}

func TestClientSessions(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	app := w.client("client-1")
	first, err := app.Begin(ctx, client.Request{Scopes: []string{"accounts"}})
	require.NoError(t, err)
	second, err := app.Begin(ctx, client.Request{Scopes: []string{"accounts"}})
	require.NoError(t, err)
	require.NotEqual(t, first.URL, second.URL, "PAR-4-1 a request_uri for each authorization")
	require.NotEqual(t, first.CodeVerifier, second.CodeVerifier, "PAR-7.5-1 JARM-5.2-1")
	for _, session := range []*client.Session{first, second} {
		require.True(t, strings.HasPrefix(session.URL, w.as.Metadata().AuthorizationEndpoint+"?"), "SP-5.3.3.1-4 BCP-2.1-2")
	}

	// A code of the one session, put into the other with its state: the server sees another verifier.
	stolen := w.browse(first.URL)
	stolen.Set("state", second.State)
	_, err = app.Finish(ctx, second, stolen)
	require.ErrorContains(t, err, "invalid_grant", "BCP-2.1.1-1")
	mixedUp := w.browse(second.URL)
	mixedUp.Set("iss", "https://other-as.example")
	_, err = app.Finish(ctx, second, mixedUp)
	require.ErrorIs(t, err, client.ErrAuthorizationResponse, "BCP-2.1-4")
}

// What an access token looks like is no business of the client.
func TestClientDoesNotReadAccessTokens(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	w.asHTTP.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			rw.Header().Set("Content-Type", "application/json")
			rw.Write([]byte(`{"access_token":"eyJ.not a JWT?.","token_type":"dpop"}`))
			return
		}
		w.as.Handler().ServeHTTP(rw, r)
	})
	_, err := w.client("client-1").ClientCredentials(ctx, client.Request{})
	require.ErrorIs(t, err, client.ErrTokenResponse, "a blank cannot be sent")
	w.asHTTP.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			rw.Header().Set("Content-Type", "application/json")
			rw.Write([]byte(`{"access_token":"eyJ.no-JWT.","token_type":"dpop"}`))
			return
		}
		w.as.Handler().ServeHTTP(rw, r)
	})
	token, err := w.client("client-1").ClientCredentials(ctx, client.Request{})
	require.NoError(t, err, "AT-6-1")
	require.Equal(t, "eyJ.no-JWT.", token.AccessToken)
}

func TestServerNeedsIssuerAndDistinctResources(t *testing.T) {
	cfg := authserver.Config{Keys: []profile.SigningKey{{Key: testkit.ECKey(t, "as")}}, Resources: []string{"https://api.example", "https://api.example"}}
	_, err := authserver.New(cfg)
	require.ErrorIs(t, err, profile.ErrIssuer, "CA-BIS-4-4")
	require.ErrorContains(t, err, "duplicate", "AT-5-1")
}

func TestStateAndNonceAreNeverCut(t *testing.T) {
	w := newWorld(t)
	form := w.pushForm("client-1")
	form.Set("state", strings.Repeat("s", 1000))
	form.Set("nonce", strings.Repeat("n", 64))
	require.Equal(t, strings.Repeat("s", 1000), w.browse(w.authorizationURL("client-1", form)).Get("state"), "CS-21")
	form = w.pushForm("client-1")
	form.Set("nonce", strings.Repeat("n", 2000))
	require.Equal(t, "invalid_request", w.send(w.parURL(), form).code, "CS-21")
}
