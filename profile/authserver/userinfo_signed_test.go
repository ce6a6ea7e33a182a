package authserver_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	requested "github.com/gofapi/fapi2/claims"
	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// A client that is registered for signed UserInfo responses gets them, by its algorithm (OpenID Connect Core §5.3.2).
func TestSignedUserInfo(t *testing.T) {
	w := newWorld(t, withUserInfo(about), withKeys(moreKeys(t)...))
	endpoint := w.as.Metadata().UserInfoEndpoint
	for id, alg := range map[string]string{"es": "ES256", "ps": "PS256", "ed": "EdDSA", "new": "Ed25519"} {
		w.wants(id, alg)
		raw := w.tokens(id, "d").body["access_token"].(string)
		status, mediaType, jwt := w.signedUserInfo(endpoint, raw)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, "application/jwt", mediaType)
		w.requireSigned(alg, jwt)
		header, payload := claims(t, jwt)
		require.NotContains(t, header, "typ")
		for name, value := range map[string]any{"sub": "alice", "iss": w.asHTTP.URL, "aud": id, "name": "Alice & <Bob>", "scopes": []string{"accounts", "openid"}} {
			want, err := json.Marshal(value)
			require.NoError(t, err)
			require.JSONEq(t, string(want), string(payload[name]), name)
		}
		require.Len(t, payload, 5)

		// JWT-3.12-1: it passes for nothing else.
		idTokens, err := idtoken.NewVerifier(idtoken.VerifierConfig{Issuer: w.asHTTP.URL, ClientID: id, Keys: w.as.Keys().Keys, Now: w.clock.Now})
		require.NoError(t, err)
		_, err = idTokens.Verify(t.Context(), jwt, idtoken.Expected{})
		require.Error(t, err, "JWT-3.12-1 no ID token")
		responses, err := jarm.NewVerifier(jarm.VerifierConfig{Issuer: w.asHTTP.URL, ClientID: id, Keys: w.as.Keys().Keys, Now: w.clock.Now})
		require.NoError(t, err)
		_, err = responses.Verify(t.Context(), jwt)
		require.Error(t, err, "JWT-3.12-1 no authorization response")
		require.Equal(t, "invalid_token", w.callAPI("DPoP", jwt, w.apiProof("d", jwt)).code, "JWT-3.12-1 no access token")
	}
	plain := w.tokens("client-1", "d").body["access_token"].(string)
	status, mediaType, _ := w.signedUserInfo(endpoint, plain)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "application/json", mediaType, "who has not asked for it gets JSON")
}

func (w *world) signedUserInfo(endpoint, token string) (status int, mediaType, body string) {
	r, err := http.NewRequest(http.MethodGet, endpoint, nil)
	require.NoError(w.t, err)
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", w.userInfoProof("d", "GET", token))
	response, err := w.http.Do(r)
	require.NoError(w.t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(w.t, err)
	require.Equal(w.t, "no-store", response.Header.Get("Cache-Control"))
	return response.StatusCode, response.Header.Get("Content-Type"), string(raw)
}

// Nothing that the host says makes another kind of JWT of a signed UserInfo response.
func TestSignedUserInfoOfTheHost(t *testing.T) {
	var say map[string]any
	key := &moody{Signer: testkit.RSAKey(t, "as")}
	w := newWorld(t, withKeys(profile.SigningKey{Key: key, KeyID: "as-2"}),
		withUserInfo(func(context.Context, *resourceserver.Token, requested.Set) (map[string]any, error) {
			return say, nil
		}))
	w.wants("ps", "PS256")
	raw := w.tokens("ps", "d").body["access_token"].(string)
	ask := func() (int, string, string) { return w.signedUserInfo(w.as.Metadata().UserInfoEndpoint, raw) }
	for _, name := range []string{"iss", "aud", "exp", "Exp", "nbf", "iat", "jti", "nonce", "azp", "client_id", "cnf", "code", "events", "token_introspection"} {
		say = map[string]any{name: int64(4102444800), "name": "Alice"}
		status, mediaType, body := ask()
		require.Equal(t, http.StatusInternalServerError, status, "JWT-3.12-1 %s", name)
		require.Equal(t, "application/json", mediaType)
		require.NotContains(t, body, "Alice")
	}
	say = map[string]any{"sub": "bob"}
	status, _, _ := ask()
	require.Equal(t, http.StatusInternalServerError, status, "OpenID Connect Core §5.3.2 another subject")
	say = nil
	status, mediaType, _ := ask()
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "application/jwt", mediaType)
	key.down.Store(true)
	status, mediaType, _ = ask()
	require.Equal(t, http.StatusServiceUnavailable, status, "a key that fails makes no unsigned response")
	require.Equal(t, "application/json", mediaType)
}
