package authserver_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/pkce"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/internal/roletest"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// The whole flow of a web application, plain and with every message signed.
func TestLogin(t *testing.T) {
	for name, signed := range map[string]profile.Profile{"plain": profile.Baseline, "signed": profile.SignedRequests | profile.SignedResponses} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			app := roletest.NewApplication(t, w.client("client-1", using(signed)))
			tabs := []string{app.Login(), app.Login()}
			require.Len(t, app.Cookies, 2)
			for _, tab := range []int{1, 0} {
				callback := "/cb?" + w.browse(tabs[tab]).Encode()
				response := app.Visit(http.MethodGet, callback)
				require.Equal(t, http.StatusSeeOther, response.StatusCode, "%v", app.Failed)
				require.Equal(t, "no-referrer", response.Header.Get("Referrer-Policy"))
				require.Equal(t, "/home", app.Keep)
				require.Len(t, app.Cookies, tab)
				app.Visit(http.MethodGet, callback)
				require.ErrorIs(t, app.Failed, client.ErrSession, "a page that is reloaded")
			}
			require.Len(t, app.Finished, 2)
			user, ok := client.IDToken(app.Finished[0])
			require.True(t, ok)
			require.Equal(t, "alice", user.Subject())
		})
	}
}

// An encrypted response says to its client alone which login it answers.
func TestLoginEncrypted(t *testing.T) {
	w := newWorld(t, encrypting)
	key := w.registerEncryption("ECDH-ES")
	app := roletest.NewApplication(t, w.client("client-1", using(profile.SignedResponses), func(c *client.Config) {
		c.ResponseDecryptionKeys = []jarm.DecryptionKey{key}
	}))
	tabs := []string{app.Login(), app.Login(), app.Login()}
	for _, tab := range []int{1, 2, 0} {
		callback := "/cb?" + w.browse(tabs[tab]).Encode()
		cookies := app.Cookies
		app.Cookies = nil
		app.Visit(http.MethodGet, callback)
		require.ErrorIs(t, app.Failed, client.ErrSession, "AM-5.4a in another browser")
		app.Cookies = cookies
		app.Visit(http.MethodGet, callback)
		require.NoError(t, app.Failed)
		app.Cookies = cookies
		app.Visit(http.MethodGet, callback)
		require.ErrorIs(t, app.Failed, client.ErrSession, "a copy of the cookies")
		app.Cookies = cookies
		app.Visit(http.MethodGet, "/cb?response=a.b.c.d.e")
		require.ErrorIs(t, app.Failed, client.ErrAuthorizationResponse)
		require.Len(t, app.Cookies, len(cookies), "JARM-2.4-1 which has used up nothing")
	}
	require.Len(t, app.Finished, 3)
}

func TestClientItemsOfTLS(t *testing.T) {
	t.Run("client item 3: SP-5.3.3.1-7 MTLS-5-1 client item 9: MTLS-2-2 client item 22: MTLS-3-2", func(t *testing.T) {
		m, ctx := newMTLSWorld(t), context.Background()
		m.enrol("app", "tls_client_auth", true)
		main, aliases, api := watch(m.asHTTP), watch(m.aliases), watch(m.rsHTTP)
		app := m.client("app", func(c *client.Config) {
			c.Key = nil
			c.MutualTLS = &client.MutualTLS{AuthMethod: "tls_client_auth", BindTokens: true, Certificate: testkit.Certify(t, "app", m.ca)}
		})
		session, err := app.Begin(ctx, client.Request{Scopes: []string{"accounts"}})
		require.NoError(t, err)
		token, err := app.Finish(ctx, session, m.browse(session.URL))
		require.NoError(t, err)
		answer, err := testkit.Must(app.HTTPClient(app.TokenSource(ctx, token))).Get(m.rsHTTP.URL + "/accounts")
		require.NoError(t, err)
		answer.Body.Close()
		require.Equal(t, http.StatusOK, answer.StatusCode)
		require.Equal(t, map[string]int{"/par": 1, "/token": 1}, aliases.with)
		require.Empty(t, main.with, "the certificate is for the aliases")
		require.Zero(t, main.all["/par"]+main.all["/token"])
		require.Equal(t, map[string]int{"/accounts": 1}, api.with)
	})
	t.Run("client item 22: MTLS-2-1 tokens bound by DPoP go out without a certificate", func(t *testing.T) {
		m, ctx := newMTLSWorld(t), context.Background()
		m.enrol("app", "tls_client_auth", false)
		api := watch(m.rsHTTP)
		app := m.client("app", func(c *client.Config) {
			c.Key = nil
			c.MutualTLS = &client.MutualTLS{AuthMethod: "tls_client_auth", Certificate: testkit.Certify(t, "app", m.ca)}
		})
		token, err := app.ClientCredentials(ctx, client.Request{Scopes: []string{"accounts"}})
		require.NoError(t, err)
		answer, err := testkit.Must(app.HTTPClient(oauth2.StaticTokenSource(token))).Get(m.rsHTTP.URL + "/accounts")
		require.NoError(t, err)
		answer.Body.Close()
		require.Equal(t, http.StatusOK, answer.StatusCode)
		require.Empty(t, api.with)
		require.Equal(t, 1, api.all["/accounts"])
	})
	t.Run("client item 24: SP-5.2.1-2 SP-5.2.1-3 SP-5.2.2-2 TLS 1.3, or 1.2 with AEAD", func(t *testing.T) {
		cfg := profile.TLSConfig()
		require.EqualValues(t, tls.VersionTLS12, cfg.MinVersion)
		require.Zero(t, cfg.MaxVersion)
		for _, id := range cfg.CipherSuites {
			require.Contains(t, tls.CipherSuiteName(id), "_GCM_")
		}
	})
}

// A certificate may change under a client whose tokens are bound otherwise.
func TestGetCertificate(t *testing.T) {
	m, ctx := newMTLSWorld(t), context.Background()
	m.enrol("app", "self_signed_tls_client_auth", false)
	var mine atomic.Pointer[tls.Certificate]
	mine.Store(testkit.Certify(t, "app", nil))
	asked := atomic.Int32{}
	app := m.client("app", func(c *client.Config) {
		c.Key, c.MutualTLS = nil, &client.MutualTLS{AuthMethod: "self_signed_tls_client_auth"}
		c.MutualTLS.GetCertificate = func() (*tls.Certificate, error) {
			if asked.Add(1); mine.Load() == nil {
				return nil, errors.New("no certificate today")
			}
			return mine.Load(), nil
		}
	})
	call := func() error {
		_, err := app.ClientCredentials(ctx, client.Request{Scopes: []string{"accounts"}})
		return err
	}
	require.NoError(t, call())
	require.NoError(t, call())
	require.EqualValues(t, 1, asked.Load(), "once for each connection")

	next := testkit.Certify(t, "app, renewed", nil)
	set, err := jwks.NewSet(jwks.Key{Public: testkit.ECKey(t, "app, renewed").Public(), KeyID: "next"})
	require.NoError(t, err)
	m.clients["app"].JWKS = set
	mine.Store(next)
	app.CloseIdleConnections()
	require.NoError(t, call(), "MTLS-2-1 with the new one")
	for _, bad := range []*tls.Certificate{nil, {}} {
		mine.Store(bad)
		app.CloseIdleConnections()
		require.ErrorContains(t, call(), "certificate", "no connection without one")
	}

	get := func() (*tls.Certificate, error) { return next, nil }
	for _, mutual := range []*client.MutualTLS{
		{AuthMethod: "tls_client_auth", GetCertificate: get, Certificate: next},
		{AuthMethod: "tls_client_auth", GetCertificate: get, BindTokens: true},
	} {
		_, err := client.New(ctx, client.Config{Issuer: m.asHTTP.URL, ClientID: "app", HTTPClient: m.http, MutualTLS: mutual})
		require.ErrorContains(t, err, "GetCertificate")
	}
}

// A token works in package oauth2's own Transport, on top of dpop's.
func TestOAuth2Transport(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	token, err := w.client("client-1").ClientCredentials(ctx, client.Request{Scopes: []string{"accounts"}})
	require.NoError(t, err)
	prover, err := dpop.NewProver(dpop.ProverConfig{Key: testkit.ECKey(t, "client-1 dpop"), Now: w.clock.Now})
	require.NoError(t, err)
	proofs, err := dpop.NewTransport(dpop.TransportConfig{Prover: prover, Base: w.http.Transport})
	require.NoError(t, err)
	api := &http.Client{Transport: &oauth2.Transport{Source: oauth2.StaticTokenSource(token), Base: proofs}}
	response, err := api.Get(w.rsHTTP.URL + "/accounts")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
}

// A session that is used twice redeems its code twice; the server refuses that.
func TestSessionUsedTwice(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	app := w.client("client-1")
	session, err := app.Begin(ctx, client.Request{Scopes: []string{"accounts"}})
	require.NoError(t, err)
	values := w.browse(session.URL)
	token, err := app.Finish(ctx, session, values)
	require.NoError(t, err)
	_, err = app.Finish(ctx, session, values)
	said := (*oauth2.RetrieveError)(nil)
	require.ErrorAs(t, err, &said)
	require.Equal(t, "invalid_grant", said.ErrorCode)
	api, err := app.HTTPClient(app.TokenSource(ctx, token))
	require.NoError(t, err)
	response, err := api.Get(w.rsHTTP.URL + "/accounts")
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, response.StatusCode, "what was issued for it is revoked")
}

// A host that does it all itself with package oauth2, and takes the connections alone.
func TestOAuth2Host(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	app := w.client("client-1")
	cfg, own := app.OAuth2()
	cfg.Scopes = []string{"accounts"}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, own)
	verifier := pkce.NewVerifier()
	query, err := url.Parse(cfg.AuthCodeURL("state-1", oauth2.S256ChallengeOption(verifier)))
	require.NoError(t, err)
	require.Empty(t, query.Host, "it leads nowhere")
	pushes, err := par.NewClient(par.ClientConfig{Endpoint: app.ServerMetadata().PushedAuthorizationRequestEndpoint, HTTPClient: own})
	require.NoError(t, err)
	pushed, err := pushes.Push(ctx, query.Query())
	require.NoError(t, err)
	target, err := par.AuthorizationURL(app.ServerMetadata().AuthorizationEndpoint, cfg.ClientID, pushed.RequestURI)
	require.NoError(t, err)
	token, err := cfg.Exchange(ctx, w.browse(target).Get("code"), oauth2.VerifierOption(verifier))
	require.NoError(t, err)
	require.Equal(t, "DPoP", token.TokenType)
	token.Expiry = time.Now().Add(-time.Minute) // so that it is refreshed too
	response, err := cfg.Client(ctx, token).Get(w.rsHTTP.URL + "/accounts")
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
}
