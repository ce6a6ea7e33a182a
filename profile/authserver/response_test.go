package authserver_test

import (
	"context"
	"errors"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// An arrival is what a browser brings to the client.
type arrival struct {
	mode   string // query, query.jwt, form_post.jwt; page: nothing, the browser stays
	status int
	params url.Values
	body   string
}

var formPost = regexp.MustCompile(`<form method="post" action="([^"]*)">\s*<input type="hidden" name="response" value="([^"]*)">`)

// follow opens a URL as a browser does, and reads with the client's eyes what comes of it. Nothing that it returns went
// anywhere but to redirectURI.
func (w *world) follow(target string) arrival {
	browser := &http.Client{Transport: w.http.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := browser.Get(target)
	require.NoError(w.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(w.t, err)
	require.Equal(w.t, []string{"no-referrer"}, response.Header.Values("Referrer-Policy"), "RAR-13-2")
	require.Contains(w.t, response.Header.Get("Cache-Control"), "no-store", "JARM-2.3.3-1")
	got := arrival{mode: "page", status: response.StatusCode, body: string(body)}
	var values url.Values
	switch form := formPost.FindStringSubmatch(got.body); {
	case response.StatusCode == http.StatusSeeOther:
		query, ok := strings.CutPrefix(response.Header.Get("Location"), redirectURI+"&")
		require.True(w.t, ok, "BCP-2.1-2 %s", response.Header.Get("Location"))
		values, err = url.ParseQuery(query)
		require.NoError(w.t, err)
		got.mode = "query"
	case form != nil:
		require.Equal(w.t, redirectURI, html.UnescapeString(form[1]), "BCP-2.1-2")
		values, got.mode = url.Values{"response": {html.UnescapeString(form[2])}}, "form_post"
	default:
		require.Empty(w.t, response.Header.Get("Location"))
		require.NotContains(w.t, got.body, "s 1&2", "the state is for the client alone")
		return got
	}
	got.params = values
	if values.Has("response") {
		require.Len(w.t, values, 1, "MS-5.4.1-N JARM-2.3-1")
		got.mode += ".jwt"
		got.params = w.opened(values)
		got.params.Set("iss", w.asHTTP.URL) // checked by the verifier
	}
	require.Equal(w.t, "s 1&2", got.params.Get("state"))
	require.Equal(w.t, w.asHTTP.URL, got.params.Get("iss"), "ISS-2-1")
	return got
}

func (w *world) opened(values url.Values) url.Values {
	verifier, err := jarm.NewVerifier(jarm.VerifierConfig{Issuer: w.asHTTP.URL, ClientID: "client-1", Keys: w.as.Keys().Keys, Now: w.clock.Now})
	require.NoError(w.t, err)
	response, err := verifier.VerifyValues(context.Background(), values)
	require.NoError(w.t, err)
	return response.Params()
}

// withMode is a good push of client-1 that asks for a response mode.
func (w *world) withMode(mode string) url.Values {
	form := w.pushForm("client-1")
	if mode != "" {
		form.Set("response_mode", mode)
	}
	return form
}

// restartable returns an option, and a function that puts another server in the place of the first, for the same issuer and
// with the same stores: a new configuration has been rolled out.
func restartable() (worldOption, func(w *world, change func(*authserver.Config))) {
	var cfg *authserver.Config
	option := func(as *authserver.Config, _ *resourceserver.Config) {
		as.Store, cfg = memstore.New(memstore.Config{}), as
	}
	return option, func(w *world, change func(*authserver.Config)) {
		next := *cfg
		change(&next)
		as, err := authserver.New(next)
		require.NoError(w.t, err)
		w.as = as
	}
}

// What has become unacceptable since the push is for the client to hear, in the response mode that it asked for.
func TestErrorsReachTheClient(t *testing.T) {
	type server = authserver.Config
	for _, tc := range []struct {
		name   string
		client func(*profile.ClientMetadata)
		server func(*server)
		code   string
	}{
		{"PAR-7.4-1 the client has lost a scope", func(c *profile.ClientMetadata) { c.Scope = "openid" }, nil, "invalid_scope"},
		{"PAR-7.4-1 the client has lost the grant type", func(c *profile.ClientMetadata) { c.GrantTypes = []string{"client_credentials"} }, nil, "unauthorized_client"},
		{"PAR-7.4-1 JAR-10.5-1 the client has to sign by now", func(c *profile.ClientMetadata) { c.RequireSignedRequestObject = true }, nil, "invalid_request"},
		{"PAR-7.4-1 the client wants other ID tokens", func(c *profile.ClientMetadata) { c.IDTokenSignedResponseAlg = "PS256" }, nil, "unauthorized_client"},
		{"PAR-4-4 the server has lost a scope", nil, func(s *server) { s.Scopes = []string{"openid"} }, "invalid_scope"},
		{"PAR-4-4 RI-2-1 the server has lost a resource", nil, func(s *server) { s.Resources = s.Resources[:1] }, "invalid_target"},
		{"PAR-4-4 MS-5.3.1-1 the server demands signed requests by now", nil, func(s *server) { s.Profile = profile.SignedRequests }, "invalid_request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for mode, want := range map[string]string{"": "query", "query": "query", "jwt": "query.jwt", "query.jwt": "query.jwt", "form_post.jwt": "form_post.jwt"} {
				option, restart := restartable()
				w := newWorld(t, option)
				form := w.withMode(mode)
				form.Set("resource", "https://other-api.example")
				target := w.authorizationURL("client-1", form)
				if tc.client != nil {
					tc.client(w.clients["client-1"])
				} else {
					restart(w, tc.server)
				}
				got := w.follow(target)
				require.Equal(t, want, got.mode, "MS-5.4.1-1 response_mode %q", mode)
				require.Equal(t, tc.code, got.params.Get("error"))
				require.NotEmpty(t, got.params.Get("error_description"))
				require.False(t, got.params.Has("code"))
				again := w.follow(target)
				require.Equal(t, "page", again.mode, "PAR-4-2 used up as by Deny")
				require.Contains(t, again.body, "invalid_request_uri")
			}
		})
	}
}

// Where signed responses are demanded, by whomever and since whenever, nothing goes to the client unsigned.
func TestErrorsAreNotDowngraded(t *testing.T) {
	only := func(modes ...string) func(*profile.ClientMetadata) {
		return func(c *profile.ClientMetadata) { c.ResponseModes = modes }
	}
	signedBy := func(alg string, modes ...string) func(*profile.ClientMetadata) {
		return func(c *profile.ClientMetadata) { c.AuthorizationSignedResponseAlg, c.ResponseModes = alg, modes }
	}
	for _, tc := range []struct {
		name, asked string
		demanded    profile.Profile // by the server, since the push
		client      func(*profile.ClientMetadata)
		want        string
	}{
		{"MS-5.3.3-1 the client takes signed ones only", "", 0, only("jwt"), "query.jwt"},
		{"MS-5.3.3-1 the client takes signed ones only, by post", "query", 0, only("form_post.jwt"), "query.jwt"},
		{"MS-5.4.1-1 the server sends signed ones only", "", profile.SignedResponses, nil, "query.jwt"},
		{"MS-5.4.1-1 though the client would take plain ones", "query", profile.SignedResponses, only("query"), "query.jwt"},
		{"JARM-3-1 and cannot sign for this client", "", profile.SignedResponses, signedBy("PS256"), "page"},
		{"JARM-3-1 nobody can sign what the client takes", "", 0, signedBy("PS256", "jwt"), "page"},
		{"JARM-3-1 nor what it asked for", "jwt", 0, signedBy("PS256"), "page"},
		{"JARM-2.2-2 nor for a post", "form_post.jwt", 0, signedBy("PS256"), "page"},
		{"MS-5.3.3-1 it takes plain ones only, and has asked for signed", "jwt", 0, only("query"), "query.jwt"},
		{"MS-5.3.3-1 it takes redirects only, and has asked for a post", "form_post.jwt", 0, only("jwt"), "form_post.jwt"},
		{"nothing has changed about responses", "", 0, signedBy("PS256", "query"), "query"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			option, restart := restartable()
			w := newWorld(t, option)
			before := *w.clients["client-1"]
			target := w.authorizationURL("client-1", w.withMode(tc.asked))
			w.clients["client-1"].Scope = "openid" // so that it is refused in any case
			if tc.client != nil {
				tc.client(w.clients["client-1"])
			}
			if tc.demanded != 0 {
				restart(w, func(s *authserver.Config) { s.Profile = tc.demanded })
			}
			got := w.follow(target)
			require.Equal(t, tc.want, got.mode)
			if tc.want != "page" {
				require.NotEmpty(t, got.params.Get("error"))
				return
			}
			require.Equal(t, http.StatusBadRequest, got.status)
			*w.clients["client-1"] = before
			restart(w, func(*authserver.Config) {})
			require.NotEmpty(t, w.follow(target).params.Get("code"), "nothing was used up")
		})
	}
	t.Run("JARM-2.3-1 a redirect_uri that no signed response can go to", func(t *testing.T) {
		w := newWorld(t)
		const own = "https://client.example/callback?response=1"
		w.clients["client-1"].RedirectURIs = []string{own}
		form := w.pushForm("client-1")
		form.Set("redirect_uri", own)
		target := w.authorizationURL("client-1", form)
		w.clients["client-1"].ResponseModes = []string{"jwt"}
		require.Equal(t, "page", w.follow(target).mode)
	})
}

// Nobody is sent to where nobody is known to want it; and a page uses up nothing.
func TestErrorsThatStayPages(t *testing.T) {
	down := errors.New("ldap at 10.0.0.7 is down")
	for _, tc := range []struct {
		name    string
		disturb func(w *world, target string) (visited string, mend func())
		status  int
	}{
		{"BASE-6749-4.1.2.1-1 BCP-2.1-2 the redirect_uri is registered no more", func(w *world, target string) (string, func()) {
			w.clients["client-1"].RedirectURIs = []string{"https://client.example/new"}
			return target, func() { w.clients["client-1"].RedirectURIs = []string{redirectURI} }
		}, 400},
		{"BASE-6749-4.1.2.1-1 nor is a scope", func(w *world, target string) (string, func()) {
			before := *w.clients["client-1"]
			w.clients["client-1"].RedirectURIs, w.clients["client-1"].Scope = nil, ""
			return target, func() { *w.clients["client-1"] = before }
		}, 400},
		{"BASE-6749-4.1.2.1-1 the client is registered no more", func(w *world, target string) (string, func()) {
			gone := w.clients["client-1"]
			delete(w.clients, "client-1")
			return target, func() { w.clients["client-1"] = gone }
		}, 400},
		{"PAR-2.2-4 CS-5 another client comes with it", func(w *world, target string) (string, func()) {
			before := *w.clients["client-1"]
			w.clients["client-1"].Scope = "openid"
			w.clients["client-2"].RedirectURIs = []string{"https://evil.example/cb"}
			return strings.Replace(target, "client_id=client-1", "client_id=client-2", 1), func() { *w.clients["client-1"] = before }
		}, 400},
		{"the registrations cannot be read", func(w *world, target string) (string, func()) {
			w.failClients = func() error { return down }
			return target, func() { w.failClients = nil }
		}, 503},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, mode := range []string{"", "jwt", "form_post.jwt"} {
				w := newWorld(t)
				target := w.authorizationURL("client-1", w.withMode(mode))
				visited, mend := tc.disturb(w, target)
				for range 2 {
					got := w.follow(visited)
					require.Equal(t, "page", got.mode)
					require.Equal(t, tc.status, got.status)
					require.NotContains(t, got.body, "10.0.0.7")
				}
				mend()
				require.NotEmpty(t, w.follow(target).params.Get("code"), "nothing was used up")
			}
		})
	}
	t.Run("the registrations cannot be read for an instant", func(t *testing.T) {
		w := newWorld(t)
		query, err := url.Parse(w.authorizationURL("client-1", w.pushForm("client-1")))
		require.NoError(t, err)
		asked := 0
		w.failClients = func() error {
			if asked++; asked == 1 {
				return down
			}
			return nil
		}
		a, err := w.as.Authorization(context.Background(), query.Query())
		require.ErrorIs(t, err, authserver.ErrStore)
		require.Nil(t, a, "nothing is wrong with the request")
	})
	t.Run("PAR-4-3 the browser comes too late", func(t *testing.T) {
		w := newWorld(t)
		target := w.authorizationURL("client-1", w.withMode("jwt"))
		w.clients["client-1"].Scope = "openid"
		w.clock.Advance(90 * time.Second)
		require.Equal(t, "page", w.follow(target).mode)
	})
	t.Run("it was pushed to another issuer", func(t *testing.T) {
		option, restart := restartable()
		w := newWorld(t, option)
		target := w.authorizationURL("client-1", w.pushForm("client-1"))
		w.clients["client-1"].Scope = "openid"
		restart(w, func(s *authserver.Config) { s.Issuer += "/tenant" })
		query, err := url.Parse(target)
		require.NoError(t, err)
		a, err := w.as.Authorization(context.Background(), query.Query())
		require.ErrorIs(t, err, par.ErrNotFound)
		require.Nil(t, a)
	})
}

// A host that shows pages of its own does as Handler does.
func TestRefusedAuthorization(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	good := w.load("client-1", w.pushForm("client-1"))
	approval := authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}}
	w.clients["client-1"].Scope = "openid"
	a, err := w.as.Resume(ctx, good.ClientID(), good.RequestURI())
	require.ErrorIs(t, err, authserver.ErrScope)
	require.NotNil(t, a)
	for name, approve := range map[string]func() (*authserver.AuthorizationResponse, error){
		"Approve":  func() (*authserver.AuthorizationResponse, error) { return w.as.Approve(ctx, a, approval) },
		"Complete": func() (*authserver.AuthorizationResponse, error) { return w.as.Complete(ctx, a, "code") },
	} {
		response, err := approve()
		require.ErrorIs(t, err, authserver.ErrScope, "PAR-4-4 PAR-7.4-1 "+name)
		require.Nil(t, response)
	}
	write := func(as *authserver.Server, a *authserver.Authorization, err error) *httptest.ResponseRecorder {
		recorder := httptest.NewRecorder()
		as.WriteAuthorizationError(recorder, httptest.NewRequest(http.MethodGet, "/", nil), a, err)
		return recorder
	}
	for name, page := range map[string]*httptest.ResponseRecorder{
		"a store failed":           write(w.as, a, authserver.ErrStore),
		"PAR-4-2 another server's": write(newWorld(t).as, a, err),
		"nobody's":                 write(w.as, &authserver.Authorization{}, err),
		"none":                     write(w.as, nil, err),
	} {
		require.Empty(t, page.Header().Get("Location"), name)
		require.Contains(t, page.Body.String(), "<h1>", name)
	}
	for cause, code := range map[error]string{
		authserver.ErrTarget:        "invalid_target",
		clientauth.ErrUnknownClient: "unauthorized_client",
		errors.New("dsn=secret"):    "server_error",
		wireError("a b\n"):          "server_error",
		wireError(""):               "server_error",
		wireError("access_denied"):  "access_denied",
	} {
		w.clients["client-1"].Scope = "openid accounts"
		a := w.load("client-1", w.pushForm("client-1"))
		got := write(w.as, a, cause)
		require.Equal(t, http.StatusSeeOther, got.Code)
		location, err := got.Result().Location()
		require.NoError(t, err)
		require.Equal(t, code, location.Query().Get("error"), "PAR-2.3-1 %v", cause)
		require.NotContains(t, location.String(), "secret")
		got = write(w.as, a, cause)
		require.Empty(t, got.Header().Get("Location"), "PAR-4-2")
		require.Contains(t, got.Body.String(), "invalid_request_uri")
	}
}

type wireError string

func (e wireError) Error() string { return "the host's own" }

func (e wireError) OAuthError() (code, detail string) { return string(e), "detail" }

func (e wireError) HTTPStatus() int { return http.StatusBadRequest }

// An error that is sent signed is evidence as any response is, and one that stays here is none.
func TestEvidenceOfErrors(t *testing.T) {
	held := &archive{}
	w := newWorld(t, archiving(held))
	target := w.authorizationURL("client-1", w.withMode("jwt"))
	w.clients["client-1"].Scope = "openid"
	require.Equal(t, "query.jwt", w.follow(target).mode)
	require.Equal(t, []string{"authorization response true"}, held.take(), "MS-7-1")
	require.Equal(t, "page", w.follow(target).mode)
	require.Empty(t, held.take(), "MS-7-1")
}

// Approvals and errors of one request at once: one response, and no code where it is an error.
func TestErrorRaces(t *testing.T) {
	for _, mode := range []string{"", "jwt"} {
		w := newWorld(t, archiving(&archive{}))
		target := w.authorizationURL("client-1", w.withMode(mode))
		query, err := url.Parse(target)
		require.NoError(t, err)
		good, err := w.as.Authorization(context.Background(), query.Query())
		require.NoError(t, err)
		w.clients["client-1"].Scope = "openid"
		var sent atomic.Int32
		testkit.Hammer(64, func(i int) {
			recorder := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodGet, target, nil)
			if i%2 == 0 {
				w.as.Handler().ServeHTTP(recorder, r)
			} else if response, err := w.as.Approve(context.Background(), good, authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}}); err == nil {
				response.ServeHTTP(recorder, r)
			} else {
				w.as.WriteAuthorizationError(recorder, r, good, err)
			}
			if recorder.Code == http.StatusSeeOther {
				sent.Add(1)
			}
		})
		require.EqualValues(t, 1, sent.Load(), "PAR-4-2 PAR-7.3-1")
	}
}

// form_post.jwt is for responses that outgrow a URL.
func TestFormPost(t *testing.T) {
	held := &archive{}
	w := newWorld(t, archiving(held))
	require.Equal(t, []string{"query", "jwt", "query.jwt", "form_post.jwt"}, w.as.Metadata().ResponseModesSupported, "JARM-4-2")
	require.NoError(t, w.as.Metadata().CheckPublished())
	a := w.load("client-1", w.withMode("form_post.jwt"))
	response, err := w.as.Approve(context.Background(), a, authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}})
	require.NoError(t, err)
	require.Empty(t, response.URL(), "it is no redirect")
	require.Equal(t, []string{"authorization response true"}, held.take(), "MS-7-1")
	recorder := httptest.NewRecorder()
	response.ServeHTTP(recorder, nil)
	require.Equal(t, http.StatusOK, recorder.Code, "JARM-2.3.3-1")
	require.Contains(t, recorder.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'", "BCP-4.16-1")
	posted := formPost.FindStringSubmatch(recorder.Body.String())
	code := w.opened(url.Values{"response": {posted[2]}}).Get("code")
	require.Equal(t, http.StatusOK, w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d")).status)

	w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
		return w.as.Deny(context.Background(), a, "access_denied", "")
	}
	got := w.follow(w.authorizationURL("client-1", w.withMode("form_post.jwt")))
	require.Equal(t, "form_post.jwt", got.mode)
	require.Equal(t, "access_denied", got.params.Get("error"))

	w.clients["client-1"].ResponseModes = []string{"jwt"}
	require.Equal(t, "invalid_request", w.send(w.parURL(), w.withMode("form_post.jwt")).code, "MS-5.3.3-1 not registered for it")
	w.clients["client-1"].ResponseModes = []string{"form_post.jwt"}
	for _, mode := range []string{"", "query", "jwt", "query.jwt", "form_post"} {
		require.Equal(t, "invalid_request", w.send(w.parURL(), w.withMode(mode)).code, "MS-5.3.3-1 registered for it alone: %q", mode)
	}
	require.Equal(t, http.StatusCreated, w.send(w.parURL(), w.withMode("form_post.jwt")).status)

	const app = "com.example.app:/callback"
	w.clients["client-1"].RedirectURIs = []string{app}
	form := w.withMode("form_post.jwt")
	form.Set("redirect_uri", app)
	require.Equal(t, "invalid_request", w.send(w.parURL(), form).code, "JARM-2.3.3-1 no form can be posted there")
}
