package interop_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/interop/internal/testkit"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

const payment = `[{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"12.34"},"creditorName":"ACME"}]`

// A provider is a running oidc-provider.
type provider struct {
	Issuer string `json:"issuer"`
	URL    string `json:"url"`
	MTLS   string `json:"mtls"`
}

// startProvider starts it with all our clients. It demands nonces. more goes over the configuration.
func (w *world) startProvider(t *testing.T, more map[string]any) *provider {
	t.Helper()
	testkit.RequirePeers(t, "oidc-provider")
	var clients []any
	for _, c := range combinations() {
		m := w.registration(t, c)
		// RFC 7591 knows no scope that a server has for its APIs alone; this one checks these with the resource.
		m.Scope = "openid offline_access"
		m.AuthorizationDetailsTypes = []string{"payment_initiation"}
		if c.advanced {
			m.AuthorizationSignedResponseAlg, m.IDTokenSignedResponseAlg = "ES256", "ES256"
		}
		clients = append(clients, m)
	}
	config := map[string]any{
		"tls": w.authority.ServerPEM(t), "clients": clients, "resources": []string{w.api.url}, "requireNonce": true,
		"keys": []any{testkit.JWK(t, w.asRSAKey, asRSAKeyID, "PS256"), testkit.JWK(t, w.asKey, asKeyID, "ES256")},
	}
	maps.Copy(config, more)
	p := new(provider)
	testkit.Start(t, "as.mjs", config, p)
	return p
}

// Our client against oidc-provider, which demands nonces, and our resource server with its access tokens.
func TestClientAgainstOIDCProvider(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.startProvider(t, nil)
	w.guard(t, p.Issuer, p.Issuer+"/jwks")
	for _, c := range combinations() {
		for _, rar := range []bool{false, true} {
			name := c.String() + " OpenID"
			if rar {
				name = c.String() + " RAR"
			}
			t.Run(name, func(t *testing.T) { (&flow{world: w, combination: c, rar: rar}).run(t, p.Issuer) })
		}
	}
	t.Run("nonces are demanded", func(t *testing.T) { requireNonceDemand(t, w, p) })
}

// A flow is one authorization from discovery to revocation.
type flow struct {
	*world
	combination
	rar    bool
	client *client.Client
}

func (f *flow) run(t *testing.T, issuer string) {
	ctx := t.Context()
	var err error
	f.client, err = client.New(ctx, f.clientConfig(t, issuer, f.combination))
	require.NoError(t, err)
	request := client.Request{Scopes: []string{"openid", "accounts"}, Resources: []string{f.api.url}}
	if f.rar {
		request.Scopes, request.AuthorizationDetails = []string{"accounts"}, json.RawMessage(payment)
	}
	session, err := f.client.Begin(ctx, request)
	require.NoError(t, err)
	token, err := f.client.Finish(ctx, session, f.authority.Browse(t, session.URL, redirectURI))
	require.NoError(t, err)
	f.checkToken(t, token)
	if id, ok := client.IDToken(token); f.rar {
		require.False(t, ok)
	} else {
		require.True(t, ok)
		require.Equal(t, "alice", id.Subject())
	}
	first := f.callAPI(t, token)
	f.refuseUnbound(t, token)

	refreshed, err := f.client.Refresh(ctx, token.RefreshToken, client.Request{})
	require.NoError(t, err)
	f.checkToken(t, refreshed)
	require.NotEqual(t, token.AccessToken, refreshed.AccessToken)
	require.Equal(t, token.RefreshToken, refreshed.RefreshToken, "it is not rotated")
	require.Equal(t, first, f.callAPI(t, refreshed))

	require.NoError(t, f.client.Revoke(ctx, refreshed.RefreshToken, "refresh_token"))
	_, err = f.client.Refresh(ctx, token.RefreshToken, client.Request{})
	var said *oauth2.RetrieveError
	require.ErrorAs(t, err, &said)
	require.Equal(t, "invalid_grant", said.ErrorCode)
}

// checkToken checks the token response.
func (f *flow) checkToken(t *testing.T, token *oauth2.Token) {
	t.Helper()
	require.Equal(t, f.tokenType(), token.TokenType)
	require.NotEmpty(t, token.RefreshToken)
	require.Positive(t, token.ExpiresIn)
	if f.rar {
		require.JSONEq(t, payment, string(client.AuthorizationDetails(token)))
	}
}

// callAPI calls the API with the token and returns the API's view of the token.
func (f *flow) callAPI(t *testing.T, token *oauth2.Token) told {
	t.Helper()
	app, err := f.client.HTTPClient(oauth2.StaticTokenSource(token))
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.api.at(f.combination), nil)
	require.NoError(t, err)
	response, err := app.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode, response.Header.Get("WWW-Authenticate"))
	var what told
	require.NoError(t, json.NewDecoder(response.Body).Decode(&what))
	require.Equal(t, "alice", what.Subject)
	require.Equal(t, f.id(), what.Client)
	require.Equal(t, f.mtls, what.X5T != "")
	require.Equal(t, !f.mtls, what.JKT != "")
	require.Contains(t, what.Scopes, "accounts")
	if f.rar {
		require.JSONEq(t, payment, string(what.Details))
	}
	return what
}

// refuseUnbound checks that the API rejects the token without its key or
// certificate.
func (f *flow) refuseUnbound(t *testing.T, token *oauth2.Token) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.api.at(f.combination), nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token.AccessToken)
	response, err := f.authority.HTTPClient(t).Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
}

// requireNonceDemand checks that the server rejects proofs without a nonce.
func requireNonceDemand(t *testing.T, w *world, p *provider) {
	t.Helper()
	c := combination{auth: privateKey}
	app, err := client.New(t.Context(), w.clientConfig(t, p.Issuer, c))
	require.NoError(t, err)
	form := url.Values{"grant_type": {"client_credentials"}}
	by, err := clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{ClientID: c.id(), Audience: p.Issuer, Key: w.key, KeyID: authKeyID})
	require.NoError(t, err)
	require.NoError(t, by.Authenticate(t.Context(), form))
	prover, err := dpop.NewProver(dpop.ProverConfig{Key: testkit.NewKey(t)})
	require.NoError(t, err)
	endpoint := app.ServerMetadata().TokenEndpoint
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	proof, err := prover.Proof(r.Method, endpoint, dpop.ProofOptions{})
	require.NoError(t, err)
	r.Header.Set("DPoP", proof)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := w.authority.HTTPClient(t).Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
	require.NotEmpty(t, response.Header.Get("DPoP-Nonce"))
	var said struct {
		Error string `json:"error"`
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&said))
	require.Equal(t, "use_dpop_nonce", said.Error)
}
