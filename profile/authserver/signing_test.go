package authserver_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/jar"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

func demanding(p profile.Profile) worldOption {
	return func(as *authserver.Config, rs *resourceserver.Config) {
		as.Profile = p
		as.Introspection = &authserver.Introspection{ResourceServers: func(_ context.Context, clientID string) ([]string, error) {
			if clientID == "client-2" {
				return []string{rs.Resource}, nil
			}
			return nil, nil
		}}
	}
}

func using(p profile.Profile) func(*client.Config) {
	return func(c *client.Config) { c.Profile = p }
}

// Each part of message signing works alone, demanded or not.
func TestMessageSigning(t *testing.T) {
	const none, requests, responses = profile.Baseline, profile.SignedRequests, profile.SignedResponses
	for _, tc := range []struct {
		name           string
		server, client profile.Profile
	}{
		{"nobody signs", none, none},
		{"the client signs its requests", none, requests},
		{"the client wants signed responses", none, responses},
		{"the client wants both", none, requests | responses},
		{"MS-5.3.1-1 requests demanded", requests, requests},
		{"MS-5.4.1-1 responses demanded", responses, responses},
		{"requests demanded, responses wanted", requests, requests | responses},
		{"all of it", profile.Advanced, profile.Advanced},
	} {
		t.Run("MS-5.1-1 "+tc.name, func(t *testing.T) {
			w, ctx := newWorld(t, demanding(tc.server)), context.Background()
			app := w.client("client-1", using(tc.client))
			session, err := app.Begin(ctx, client.Request{Scopes: []string{"openid", "accounts"}, Resources: []string{w.rsHTTP.URL}})
			require.NoError(t, err)
			callback := w.browse(session.URL)
			if tc.client&responses != 0 {
				require.Equal(t, []string{"response", "tenant"}, names(callback), "MS-5.4.1-N JARM-2.1-3 everything is inside")
			}
			token, err := app.Finish(ctx, session, callback)
			require.NoError(t, err)
			_, verified := client.IDToken(token)
			require.True(t, verified)

			w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
				return w.as.Deny(ctx, a, "access_denied", "no")
			}
			session, err = app.Begin(ctx, client.Request{Scopes: []string{"accounts"}})
			require.NoError(t, err)
			_, err = app.Finish(ctx, session, w.browse(session.URL))
			var refused *oauth2.RetrieveError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, "access_denied", refused.ErrorCode)
		})
	}
}

func names(values url.Values) (all []string) {
	for _, name := range []string{"code", "error", "iss", "response", "state", "tenant"} {
		if values.Has(name) {
			all = append(all, name)
		}
	}
	return all
}

func (w *world) signed(id string, params url.Values, change ...func(*jar.SignerConfig)) url.Values {
	cfg := jar.SignerConfig{ClientID: id, Audience: w.asHTTP.URL, Key: testkit.ECKey(w.t, id), KeyID: id + "-key", Now: w.clock.Now}
	for _, f := range change {
		f(&cfg)
	}
	signer, err := jar.NewSigner(cfg)
	require.NoError(w.t, err)
	for _, name := range []string{"client_assertion", "client_assertion_type"} {
		params.Del(name)
	}
	form, err := signer.Form(params)
	require.NoError(w.t, err)
	return w.authenticated(id, form)
}

func TestSignedRequestsRefused(t *testing.T) {
	w := newWorld(t, demanding(profile.SignedRequests))
	require.True(t, w.as.Metadata().RequireSignedRequestObject, "JAR-10.5-1")
	got := w.send(w.parURL(), w.signed("client-1", w.pushForm("client-1")))
	require.Equal(t, http.StatusCreated, got.status, "%v", got.body)
	change := func(f func(url.Values)) url.Values {
		form := w.pushForm("client-1")
		f(form)
		return w.signed("client-1", form)
	}
	add := func(name, value string) url.Values {
		form := w.signed("client-1", w.pushForm("client-1"))
		form.Set(name, value)
		return form
	}
	replayed := w.signed("client-1", w.pushForm("client-1"))
	require.Equal(t, http.StatusCreated, w.send(w.parURL(), replayed).status)
	for _, tc := range []struct {
		name string
		form url.Values
		code string
	}{
		{"MS-5.3.1-1 PAR-2.3-4 JAR-10.5-1 not signed", w.pushForm("client-1"), "invalid_request"},
		{"PAR-3-1 a parameter beside the object", add("scope", "payments"), "invalid_request"},
		{"JAR-6.2-1 signed by another client's key", w.signed("client-1", w.pushForm("client-1"), func(c *jar.SignerConfig) { c.Key = testkit.ECKey(t, "client-2") }), "invalid_request_object"},
		{"PAR-3-3 another client's object", w.authenticated("client-1", url.Values{"request": {w.signed("client-2", w.pushForm("client-2")).Get("request")}}), "invalid_request_object"},
		{"MS-5.3.1-2 for another server", w.signed("client-1", w.pushForm("client-1"), func(c *jar.SignerConfig) { c.Audience = "https://other-as.example" }), "invalid_request_object"},
		{"an object used before", w.authenticated("client-1", url.Values{"request": replayed["request"]}), "invalid_request_object"},
		{"SP-5.3.2.2-5 no PKCE inside", change(func(f url.Values) { f.Del("code_challenge") }), "invalid_request"},
		{"SP-5.3.2.2-1 another response_type inside", change(func(f url.Values) { f.Set("response_type", "token") }), "unsupported_response_type"},
		{"SP-5.3.2.2-6 no redirect_uri inside", change(func(f url.Values) { f.Del("redirect_uri") }), "invalid_request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := w.send(w.parURL(), tc.form)
			require.Equal(t, http.StatusBadRequest, got.status, "%v", got.body)
			require.Equal(t, tc.code, got.code)
		})
	}
	old := w.signed("client-1", w.pushForm("client-1"))
	w.clock.Advance(time.Hour + time.Second)
	require.Equal(t, "invalid_request_object", w.send(w.parURL(), w.authenticated("client-1", url.Values{"request": old["request"]})).code, "MS-5.3.1-3")

	// One client's registration demands what the server does not.
	w = newWorld(t)
	w.clients["client-1"].RequireSignedRequestObject = true
	require.Equal(t, "invalid_request", w.send(w.parURL(), w.pushForm("client-1")).code, "JAR-10.5-1")
	require.Equal(t, http.StatusCreated, w.send(w.parURL(), w.signed("client-1", w.pushForm("client-1"))).status)
	require.Equal(t, http.StatusCreated, w.send(w.parURL(), w.pushForm("client-2")).status)
}

func TestSignedResponsesDemanded(t *testing.T) {
	w := newWorld(t, demanding(profile.SignedResponses))
	require.NotContains(t, w.as.Metadata().ResponseModesSupported, "query")
	mode := func(value string) url.Values {
		form := w.pushForm("client-1")
		if value != "" {
			form.Set("response_mode", value)
		}
		return form
	}
	for value, status := range map[string]int{"": 400, "query": 400, "fragment": 400, "fragment.jwt": 400, "form_post": 400, "form_post.jwt": 201, "jwt": 201, "query.jwt": 201} {
		require.Equal(t, status, w.send(w.parURL(), mode(value)).status, "MS-5.4.1-1 response_mode %q", value)
	}
	w.clients["client-1"].AuthorizationSignedResponseAlg = "PS256"
	require.Equal(t, "unauthorized_client", w.send(w.parURL(), mode("jwt")).code, "JARM-3-1")

	_, err := client.New(context.Background(), client.Config{
		Issuer: w.asHTTP.URL, ClientID: "client-1", Key: testkit.ECKey(t, "client-1"), HTTPClient: w.http, Hooks: client.Hooks{Now: w.clock.Now},
	})
	require.ErrorIs(t, err, profile.ErrServerMetadata, "a client that would be refused")
}

// A client that expects a signed response takes no part of another one.
func TestSignedResponsesRefused(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	app := w.client("client-1", using(profile.SignedResponses))
	session, err := app.Begin(ctx, client.Request{Scopes: []string{"accounts"}})
	require.NoError(t, err)
	good := w.browse(session.URL)
	for _, tc := range []struct {
		name     string
		callback url.Values
	}{
		{"JARM-2.4-5 tampered", url.Values{"response": {testkit.MutateJWS(good.Get("response"), len(good.Get("response"))/2)}}},
		{"two responses", url.Values{"response": {good.Get("response"), good.Get("response")}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := app.Finish(ctx, session, tc.callback)
			require.ErrorIs(t, err, client.ErrAuthorizationResponse)
		})
	}
	good.Set("code", "beside")
	good.Set("state", "beside")
	_, err = app.Finish(ctx, session, good)
	require.NoError(t, err, "JARM-2.4-6 what stands beside the response is ignored")
}

func TestIntrospectionEndpoint(t *testing.T) {
	w, ctx := newWorld(t, demanding(profile.SignedIntrospection)), context.Background()
	endpoint := w.as.Metadata().IntrospectionEndpoint
	require.Equal(t, w.asHTTP.URL+"/introspect", endpoint)
	access := w.tokens("client-1", "d").body["access_token"].(string)
	ask := func(id string) *introspection.Client {
		c, err := introspection.NewClient(introspection.ClientConfig{
			Endpoint: endpoint, HTTPClient: w.http, Issuer: w.asHTTP.URL, ClientID: id, Audience: []string{w.rsHTTP.URL}, Keys: w.as.Keys().Keys, Now: w.clock.Now,
			Authenticate: func(_ context.Context, form url.Values) error { w.authenticated(id, form); return nil },
		})
		require.NoError(t, err)
		return c
	}
	token, err := ask("client-2").Introspect(ctx, access)
	require.NoError(t, err)
	require.Equal(t, "alice", token.Subject())
	require.Equal(t, w.jkt("d"), token.JKT(), "DPOP-6.2-1")
	require.NotEmpty(t, token.Signed(), "MS-5.5.1-1")
	_, err = ask("client-1").Introspect(ctx, access)
	require.ErrorIs(t, err, introspection.ErrInactive, "MS-6.2-1 an ordinary client is told nothing")
	_, err = ask("client-2").Introspect(ctx, "no token of ours")
	require.ErrorIs(t, err, introspection.ErrInactive, "INT-7662-4-1")

	plain := w.send(endpoint, w.authenticated("client-2", url.Values{"token": {access}}))
	require.Equal(t, "application/token-introspection+jwt", plain.header.Get("Content-Type"), "MS-5.5.1-1 signed whether asked for or not")
	nobody := w.send(endpoint, url.Values{"token": {access}, "client_id": {"client-2"}})
	require.Equal(t, http.StatusBadRequest, nobody.status, "INT-9701-5-7 INT-7662-2.1-1")
	form := w.authenticated("client-2", url.Values{"token": {access}})
	w.send(endpoint, form)
	require.Equal(t, "invalid_client", w.send(endpoint, form).code, "the assertion is used up")

	// Revoked at once: a code that comes twice takes its tokens with it.
	code := w.code("client-1", nil)
	access = w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d")).body["access_token"].(string)
	_, err = ask("client-2").Introspect(ctx, access)
	require.NoError(t, err)
	w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d"))
	_, err = ask("client-2").Introspect(ctx, access)
	require.ErrorIs(t, err, introspection.ErrInactive, "SP-5.3.4-3")

	w.clients["client-2"].IntrospectionEncryptedResponseAlg = "RSA-OAEP-256"
	require.Equal(t, "unauthorized_client", w.send(endpoint, w.authenticated("client-2", url.Values{"token": {access}})).code, "INT-9701-6-1")
	require.Empty(t, newWorld(t).as.Metadata().IntrospectionEndpoint)
	require.True(t, strings.HasPrefix(endpoint, "https://"))
}

// A resource server hears of its own part of a token alone.
func TestIntrospectionIsNarrowed(t *testing.T) {
	const other = "https://other-api.example"
	serves := map[string][]string{}
	narrow := func(as *authserver.Config, rs *resourceserver.Config) {
		as.Introspection = &authserver.Introspection{
			ResourceServers: func(_ context.Context, clientID string) ([]string, error) { return serves[clientID], nil },
			Scopes:          map[string][]string{rs.Resource: {"accounts"}, other: {"payments"}},
		}
	}
	for _, tc := range []struct {
		name         string
		requested    func(*world) []string
		asks         func(*world) []string
		narrow       bool
		scope        string
		told, active bool // of both resources
	}{
		{"INT-9701-5-5 INT-7662-2.2-3 of a token for two, its own", both, own, true, "accounts", false, true},
		{"INT-9701-5-5 of a token for two, the other's", both, others, true, "payments", false, true},
		{"INT-9701-5-5 who serves both hears of both", both, both, true, "accounts payments", true, true},
		{"INT-9701-5-5 but not where the token is for one", own, both, true, "accounts", false, true},
		{"INT-9701-3-1 MS-6.2-1 of a token for others nothing", own, others, true, "", false, false},
		{"all scopes, where nobody has said what they mean", both, own, false, "accounts openid payments", false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			options := []worldOption{demanding(profile.SignedIntrospection), narrow}
			if !tc.narrow {
				options = append(options, func(as *authserver.Config, _ *resourceserver.Config) { as.Introspection.Scopes = nil })
			}
			w := newWorld(t, options...)
			serves["client-2"] = tc.asks(w)
			code := w.code("client-1", func(form url.Values) {
				form["resource"], form["scope"] = tc.requested(w), []string{"openid accounts payments"}
			})
			access := w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d")).body["access_token"].(string)
			token, err := w.newIntrospection().Introspect(context.Background(), access)
			if !tc.active {
				require.ErrorIs(t, err, introspection.ErrInactive)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.scope, strings.Join(token.Scopes(), " "))
			want := tc.asks(w)
			if tc.told {
				require.ElementsMatch(t, want, token.Audience())
				return
			}
			require.Len(t, token.Audience(), 1, "where else it may be used is not to be known")
			require.Contains(t, want, token.Audience()[0])
		})
	}
}

func own(w *world) []string { return []string{w.rsHTTP.URL} }

func others(*world) []string { return []string{"https://other-api.example"} }

func both(w *world) []string { return append(own(w), others(w)...) }

// An API that asks about each token sees a revocation at once, and checks the binding itself.
func TestResourceServerByIntrospection(t *testing.T) {
	w := newWorld(t, demanding(profile.SignedIntrospection))
	newClient := func(audience string) *introspection.Client {
		c, err := introspection.NewClient(introspection.ClientConfig{
			Endpoint: w.as.Metadata().IntrospectionEndpoint, HTTPClient: w.http, Issuer: w.asHTTP.URL, ClientID: "client-2",
			Audience: []string{audience}, Keys: w.as.Keys().Keys, Now: w.clock.Now,
			Authenticate: func(_ context.Context, form url.Values) error { w.authenticated("client-2", form); return nil },
		})
		require.NoError(t, err)
		return c
	}
	cfg := resourceserver.Config{Resource: w.rsHTTP.URL, Issuers: []resourceserver.Issuer{{ID: w.asHTTP.URL, Introspection: newClient(w.rsHTTP.URL)}}, Hooks: resourceserver.Hooks{Now: w.clock.Now}}
	var err error
	w.rs, err = resourceserver.New(cfg)
	require.NoError(t, err)
	code := w.code("client-1", nil)
	access := w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d")).body["access_token"].(string)
	require.Equal(t, http.StatusOK, w.callAPI("DPoP", access, w.apiProof("d", access)).status)
	for name, got := range map[string]answer{
		"DPOP-6.2-2 no proof":          w.callAPI("DPoP", access),
		"DPOP-6.2-2 another key":       w.callAPI("DPoP", access, w.apiProof("attacker", access)),
		"DPOP-7.2-1 as Bearer":         w.callAPI("Bearer", access),
		"INT-7662-4-1 no token of his": w.callAPI("DPoP", "abc", w.apiProof("d", "abc")),
	} {
		require.Equal(t, http.StatusUnauthorized, got.status, name)
	}
	w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d")) // the code comes twice
	require.Equal(t, "invalid_token", w.callAPI("DPoP", access, w.apiProof("d", access)).code, "SP-5.3.4-3")

	cfg.Issuers[0].Keys = w.as.Keys().Keys
	_, err = resourceserver.New(cfg)
	require.ErrorContains(t, err, "exclusive")
}
