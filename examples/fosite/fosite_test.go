package fosite_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/storage"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	front "github.com/gofapi/fapi2/examples/fosite"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/profiletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
	"github.com/gofapi/fapi2/store"
)

const secret = "a secret of fosite, of 32 bytes."

const detail = `[{"type":"account_information","actions":["list_accounts"]}]`

// A world is fosite behind the checks, an API for its tokens, and clients.
type world struct {
	t       *testing.T
	kit     *profiletest.Server
	fosite  *memory
	as, api *httptest.Server
	app     *client.Client
}

// A memory is the storage of fosite.
type memory struct {
	*storage.MemoryStore
	down bool
}

func (m *memory) GetAccessTokenSession(
	ctx context.Context, signature string, session fosite.Session,
) (fosite.Requester, error) {
	if m.down {
		return nil, errors.New("the database does not respond")
	}
	return m.MemoryStore.GetAccessTokenSession(ctx, signature, session)
}

func newWorld(t *testing.T) *world {
	types, err := openbanking.NewRegistry(nil)
	require.NoError(t, err)
	asMux, apiMux := http.NewServeMux(), http.NewServeMux()
	w := &world{
		t: t, kit: profiletest.NewServer(t, profiletest.ServerConfig{Types: types}), fosite: &memory{MemoryStore: storage.NewMemoryStore()},
		as: httptest.NewTLSServer(asMux), api: httptest.NewTLSServer(apiMux),
	}
	t.Cleanup(w.as.Close)
	t.Cleanup(w.api.Close)
	shared, err := store.NewMemory(store.MemoryConfig{})
	require.NoError(t, err)
	pages := func(_ http.ResponseWriter, _ *http.Request, a *authserver.Authorization) (string, rar.Details, bool) {
		return "alice", a.Details(), true
	}
	server, err := front.New(authserver.Config{
		Issuer: w.as.URL, Keys: []profile.SigningKey{{Key: w.kit.ClientConfig(t, "").Key}}, Store: shared,
		Scopes: []string{"accounts"}, Resources: []string{w.api.URL}, AuthorizationDetails: types,
		Clients: w.kit.Registration,
		Endpoints: authserver.Endpoints{
			PushedAuthorizationRequest: "/oauth2/par", Authorization: "/oauth2/auth",
			Token: "/oauth2/token", Revocation: "/oauth2/revoke",
		},
	}, w.fosite, []byte(secret), pages)
	require.NoError(t, err)
	asMux.Handle("/", server)
	guard, err := resourceserver.New(resourceserver.Config{
		Resource: w.api.URL, AuthorizationDetails: types,
		Issuers: []resourceserver.Issuer{{ID: w.as.URL, Tokens: server.Claims}},
	})
	require.NoError(t, err)
	wanted, err := types.Parse([]byte(detail), types.Types())
	require.NoError(t, err)
	apiMux.Handle("/", guard.Require("accounts")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := resourceserver.TokenFromContext(r.Context())
		if err := token.CheckDetails(wanted); err != nil {
			guard.WriteError(w, r, err)
			return
		}
		io.WriteString(w, token.Subject())
	})))
	w.app = w.client()
	return w
}

// client registers a client at both servers.
func (w *world) client() *client.Client {
	cfg := w.kit.ClientConfig(w.t, "https://app.example/callback")
	w.fosite.Clients[cfg.ClientID] = &fosite.DefaultClient{
		ID: cfg.ClientID, RedirectURIs: []string{cfg.RedirectURI}, Scopes: []string{"accounts"},
		GrantTypes: []string{"authorization_code"}, ResponseTypes: []string{"code"},
	}
	cfg.Issuer = w.as.URL
	app, err := client.New(w.t.Context(), cfg)
	require.NoError(w.t, err)
	return app
}

// code returns a session and its callback with a code.
func (w *world) code(app *client.Client, details string) (*client.Session, url.Values) {
	session, err := app.Begin(w.t.Context(), client.Request{
		Scopes: []string{"accounts"}, AuthorizationDetails: json.RawMessage(details),
	})
	require.NoError(w.t, err)
	return session, w.kit.Browse(w.t, session.URL).Query()
}

// call calls the API with a token.
func (w *world) call(app *client.Client, token *oauth2.Token) (int, string) {
	api, err := app.HTTPClient(oauth2.StaticTokenSource(token))
	require.NoError(w.t, err)
	response, err := api.Get(w.api.URL)
	require.NoError(w.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(w.t, err)
	return response.StatusCode, string(body)
}

func TestFosite(t *testing.T) {
	w := newWorld(t)
	session, callback := w.code(w.app, detail)
	token, err := w.app.Finish(t.Context(), session, callback)
	require.NoError(t, err)
	require.Equal(t, "DPoP", token.TokenType)
	require.Contains(t, token.AccessToken, "ory_at_")
	require.JSONEq(t, detail, string(client.AuthorizationDetails(token)))
	status, body := w.call(w.app, token)
	require.Equal(t, http.StatusOK, status, body)
	require.Equal(t, "alice", body)

	t.Run("an outage of the storage is not the fault of the token", func(t *testing.T) {
		w.fosite.down = true
		defer func() { w.fosite.down = false }()
		status, _ := w.call(w.app, token)
		require.Equal(t, http.StatusInternalServerError, status)
	})
	t.Run("attack: a stolen token with another key", func(t *testing.T) {
		status, _ := w.call(w.client(), token)
		require.Equal(t, http.StatusUnauthorized, status)
	})
	t.Run("attack: a token without the detail", func(t *testing.T) {
		session, callback := w.code(w.app, `[{"type":"account_information","actions":["read_balances"]}]`)
		token, err := w.app.Finish(t.Context(), session, callback)
		require.NoError(t, err)
		status, _ := w.call(w.app, token)
		require.Equal(t, http.StatusForbidden, status)
	})
	t.Run("attack: a stolen code in the attacker's session", func(t *testing.T) {
		victim, stolen := w.code(w.app, detail)
		mallory, _ := w.code(w.app, detail)
		forged := url.Values{"code": stolen["code"], "iss": stolen["iss"], "state": {mallory.State}}
		_, err := w.app.Finish(t.Context(), mallory, forged)
		require.ErrorContains(t, err, "invalid_grant")
		_, err = w.app.Finish(t.Context(), victim, stolen)
		require.NoError(t, err, "the code is not used up")
	})
	t.Run("attack: a stolen code at another client", func(t *testing.T) {
		_, stolen := w.code(w.app, detail)
		other := w.client()
		session, _ := w.code(other, detail)
		stolen.Set("state", session.State)
		_, err := other.Finish(t.Context(), session, stolen)
		require.ErrorContains(t, err, "invalid_grant")
	})
	t.Run("attack: a used code at another client ends nothing", func(t *testing.T) {
		other := w.client()
		forged, _ := w.code(other, detail)
		_, err := other.Finish(t.Context(), forged, url.Values{
			"code": callback["code"], "iss": callback["iss"], "state": {forged.State},
		})
		require.ErrorContains(t, err, "invalid_grant")
		status, _ := w.call(w.app, token)
		require.Equal(t, http.StatusOK, status)
	})
	t.Run("attack: a code a second time ends the token", func(t *testing.T) {
		_, err := w.app.Finish(t.Context(), session, callback)
		require.ErrorContains(t, err, "invalid_grant")
		status, _ := w.call(w.app, token)
		require.Equal(t, http.StatusUnauthorized, status)
	})
	t.Run("attack: a refresh token of fosite as an access token", func(t *testing.T) {
		session, callback := w.code(w.app, detail)
		token, err := w.app.Finish(t.Context(), session, callback)
		require.NoError(t, err)
		strategy := compose.NewOAuth2HMACStrategy(&fosite.Config{GlobalSecret: []byte(secret)})
		refresh, signature, err := strategy.GenerateRefreshToken(t.Context(), nil)
		require.NoError(t, err)
		for _, stored := range w.fosite.AccessTokens {
			require.NoError(t, w.fosite.CreateRefreshTokenSession(t.Context(), signature, "", stored))
		}
		token.AccessToken = refresh
		status, _ := w.call(w.app, token)
		require.Equal(t, http.StatusUnauthorized, status)
	})
	t.Run("attack: a request that was not pushed", func(t *testing.T) {
		response, err := w.as.Client().Get(w.as.URL + "/oauth2/auth?response_type=code&client_id=app-1&scope=accounts")
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusBadRequest, response.StatusCode)
	})
	t.Run("revocation, which fosite does not serve here", func(t *testing.T) {
		response, err := w.as.Client().PostForm(w.as.URL+"/oauth2/revoke", nil)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusNotFound, response.StatusCode)
	})
	t.Run("attack: invented tokens", func(t *testing.T) {
		session, callback := w.code(w.app, detail)
		other, err := w.app.Finish(t.Context(), session, callback)
		require.NoError(t, err)
		for _, text := range []string{"x", "ory_at_a.b", other.AccessToken + "A"} {
			invented := *token
			invented.AccessToken = text
			status, _ := w.call(w.app, &invented)
			require.Equal(t, http.StatusUnauthorized, status, text)
		}
	})
}

// Of many uses of a code at once at most one receives a token.
func TestOneUseOfACodeWins(t *testing.T) {
	w := newWorld(t)
	session, callback := w.code(w.app, detail)
	var all sync.WaitGroup
	tokens := make([]*oauth2.Token, 16)
	for i := range tokens {
		all.Go(func() { tokens[i], _ = w.app.Finish(t.Context(), session, callback) })
	}
	all.Wait()
	won := 0
	for _, token := range tokens {
		if token != nil {
			won++
		}
	}
	require.LessOrEqual(t, won, 1)
}
