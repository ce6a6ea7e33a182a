package authserver_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// code runs an authorization and returns its code. The proof's key, if there is one, binds it.
func (w *world) code(id string, change func(url.Values), proofs ...string) string {
	form := w.pushForm(id)
	if change != nil {
		change(form)
	}
	code := w.browse(w.authorizationURL(id, form, proofs...)).Get("code")
	require.NotEmpty(w.t, code)
	return code
}

func (w *world) codeForm(id, code string) url.Values {
	return w.authenticated(id, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier}})
}

func (w *world) refreshForm(id, token string) url.Values {
	return w.authenticated(id, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

func (w *world) tokenProof(key string) string {
	return w.proof(key, "POST", w.tokenURL(), dpop.ProofOptions{})
}

// tokens runs a whole flow.
func (w *world) tokens(id, key string) answer {
	got := w.send(w.tokenURL(), w.codeForm(id, w.code(id, nil)), w.tokenProof(key))
	require.Equal(w.t, http.StatusOK, got.status, "%v", got.body)
	return got
}

func (w *world) callAPI(scheme, token string, proofs ...string) answer {
	r, err := http.NewRequest(http.MethodGet, w.rsHTTP.URL+"/accounts", nil)
	require.NoError(w.t, err)
	r.Header.Set("Authorization", scheme+" "+token)
	for _, proof := range proofs {
		r.Header.Add("DPoP", proof)
	}
	return w.do(r)
}

func (w *world) apiProof(key, token string) string {
	return w.proof(key, "GET", w.rsHTTP.URL+"/accounts", dpop.ProofOptions{AccessToken: token})
}

func clone(form url.Values) url.Values {
	out := url.Values{}
	for name, values := range form {
		out[name] = append([]string(nil), values...)
	}
	return out
}

func TestTokenResponse(t *testing.T) {
	w := newWorld(t)
	got := w.tokens("client-1", "d")
	require.Equal(t, "no-store", got.header.Get("Cache-Control"), "BASE-6749-5.1-1")
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
	require.Equal(t, "DPoP", got.body["token_type"], "DPOP-5-3")
	require.Equal(t, 300.0, got.body["expires_in"])
	require.Equal(t, "accounts openid", got.body["scope"])
	require.NotEmpty(t, got.body["id_token"], "SP-5.3.2.3-1")
	access := got.body["access_token"].(string)
	require.Equal(t, http.StatusOK, w.callAPI("DPoP", access, w.apiProof("d", access)).status)
	require.Equal(t, http.StatusOK, w.callAPI("dpop", access, w.apiProof("d", access)).status, "CS-18")

	without := w.send(w.tokenURL(), w.codeForm("client-1", w.code("client-1", func(f url.Values) { f.Set("scope", "accounts"); f.Del("nonce") })), w.tokenProof("d"))
	require.Equal(t, http.StatusOK, without.status)
	require.NotContains(t, without.body, "id_token")
}

// Whatever is refused here has used up nothing: the same assertion, the same proof and the code still work together.
func TestTokenRefused(t *testing.T) {
	w := newWorld(t)
	set := func(name, value string) func(url.Values) { return func(f url.Values) { f.Set(name, value) } }
	del := func(name string) func(url.Values) { return func(f url.Values) { f.Del(name) } }
	old, _ := w.proof("d", "POST", w.tokenURL(), dpop.ProofOptions{}), 0
	for _, tc := range []struct {
		name   string
		change func(url.Values)
		proofs []string // nil: a good one
		status int
		code   string
	}{
		{"CS-11 PKCE-4.6-1 wrong code_verifier", set("code_verifier", strings.Repeat("a", 43)), nil, 400, "invalid_grant"},
		{"PKCE-4.5-1 BCP-2.1.1-3 no code_verifier", del("code_verifier"), nil, 400, "invalid_grant"},
		{"BASE-6749-4.1.3-1 another redirect_uri", set("redirect_uri", "https://client.example/other"), nil, 400, "invalid_grant"},
		{"BASE-6749-4.1.3-1 no redirect_uri", del("redirect_uri"), nil, 400, "invalid_grant"},
		{"an unknown code", set("code", "AAAA"), nil, 400, "invalid_grant"},
		{"no code", del("code"), nil, 400, "invalid_request"},
		{"no grant_type", del("grant_type"), nil, 400, "invalid_request"},
		{"SP-5.3.2.1-2 BCP-2.4-1 password grant", set("grant_type", "password"), nil, 400, "unsupported_grant_type"},
		{"SP-5.3.2.1-4 DPOP-5.2-1 CS-14 no proof", nil, []string{}, 400, "invalid_dpop_proof"},
		{"DPOP-5-2 an old proof", nil, []string{old}, 400, "invalid_dpop_proof"},
		{"DPOP-10-1 CS-15 a proof of another key", nil, []string{w.tokenProof("other")}, 400, "invalid_grant"},
		{"DPOP-4.3-9 a proof for the API", nil, []string{w.proof("d", "POST", w.rsHTTP.URL+"/token", dpop.ProofOptions{})}, 400, "invalid_dpop_proof"},
		{"RI-2.2-2 a resource that was not granted", set("resource", "https://other-api.example"), nil, 400, "invalid_target"},
		{"BASE-6749-6-1 BCP-4.14-1 a scope that was not granted", set("scope", "accounts payments"), nil, 400, "invalid_scope"},
		{"CS-13 client_id of another client", set("client_id", "client-2"), nil, 401, "invalid_client"},
		{"CS-12 no client authentication", func(f url.Values) { f.Del("client_assertion"); f.Del("client_assertion_type") }, nil, 401, "invalid_client"},
		{"a repeated parameter", func(f url.Values) { f.Add("code", "x") }, nil, 400, "invalid_request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.name == "DPOP-5-2 an old proof" {
				w.clock.Advance(2 * time.Minute)
			}
			code := w.code("client-1", nil, w.proof("d", "POST", w.parURL(), dpop.ProofOptions{}))
			good, goodProof := w.codeForm("client-1", code), w.tokenProof("d")
			form := clone(good)
			if tc.change != nil {
				tc.change(form)
			}
			proofs := tc.proofs
			switch {
			case tc.proofs == nil:
				proofs = []string{goodProof}
			case tc.code == "invalid_grant": // of now, as time has passed for the other one
				proofs = []string{w.tokenProof("other")}
			}
			got := w.send(w.tokenURL(), form, proofs...)
			require.Equal(t, tc.status, got.status, "%v", got.body)
			require.Equal(t, tc.code, got.code)
			require.NotContains(t, got.body, "access_token")
			require.Equal(t, "no-store", got.header.Get("Cache-Control"))
			require.Equal(t, http.StatusOK, w.send(w.tokenURL(), good, goodProof).status, "something was used up")
		})
	}
}

func TestCodeReplay(t *testing.T) {
	w := newWorld(t)
	code := w.code("client-1", nil)
	first := w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d"))
	require.Equal(t, http.StatusOK, first.status)
	access, refresh := first.body["access_token"].(string), first.body["refresh_token"].(string)

	// ACCEPTANCE of strangers: another client neither redeems nor revokes.
	stranger := w.send(w.tokenURL(), w.codeForm("client-2", code), w.tokenProof("d"))
	require.Equal(t, "invalid_grant", stranger.code, "CS-9 BCP-4.5-1 another client's code")
	wrong := w.codeForm("client-1", code)
	wrong.Set("code_verifier", strings.Repeat("a", 43))
	require.Equal(t, "invalid_grant", w.send(w.tokenURL(), wrong, w.tokenProof("d")).code)
	require.Equal(t, http.StatusOK, w.callAPI("DPoP", access, w.apiProof("d", access)).status, "a stranger has revoked the tokens")

	again := w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d"))
	require.Equal(t, http.StatusBadRequest, again.status, "SP-5.3.2.2-9 CS-9 BASE-6749-4.1.2-1")
	require.Equal(t, "invalid_grant", again.code)
	require.Equal(t, "invalid_grant", w.send(w.tokenURL(), w.refreshForm("client-1", refresh), w.tokenProof("d")).code)
	refused := w.callAPI("DPoP", access, w.apiProof("d", access))
	require.Equal(t, http.StatusUnauthorized, refused.status, "SP-5.3.4-3")
	require.Equal(t, "invalid_token", refused.code)
}

func TestCodeExpires(t *testing.T) {
	w := newWorld(t)
	code, redeemed := w.code("client-1", nil), w.code("client-1", nil)
	first := w.send(w.tokenURL(), w.codeForm("client-1", redeemed), w.tokenProof("d"))
	require.Equal(t, http.StatusOK, first.status)
	w.clock.Advance(61 * time.Second)
	late := w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d"))
	require.Equal(t, "invalid_grant", late.code, "SP-5.3.2.1-11 CS-10")

	// A replay after the end is still a replay.
	require.Equal(t, "invalid_grant", w.send(w.tokenURL(), w.codeForm("client-1", redeemed), w.tokenProof("d")).code)
	refresh := w.send(w.tokenURL(), w.refreshForm("client-1", first.body["refresh_token"].(string)), w.tokenProof("d"))
	require.Equal(t, "invalid_grant", refresh.code)
}

func TestParallelRedemption(t *testing.T) {
	w := newWorld(t)
	code := w.code("client-1", nil)
	forms, proofs := make([]url.Values, 32), make([]string, 32)
	for i := range forms {
		forms[i], proofs[i] = w.codeForm("client-1", code), w.tokenProof("d")
	}
	var winners atomic.Int32
	var refresh atomic.Value
	testkit.Hammer(len(forms), func(i int) {
		if got := w.send(w.tokenURL(), forms[i], proofs[i]); got.status == http.StatusOK {
			winners.Add(1)
			refresh.Store(got.body["refresh_token"])
		}
	})
	require.LessOrEqual(t, winners.Load(), int32(1), "SP-5.3.2.2-9")
	if token, ok := refresh.Load().(string); ok {
		require.Equal(t, "invalid_grant", w.send(w.tokenURL(), w.refreshForm("client-1", token), w.tokenProof("d")).code, "the grant is revoked")
	}
}

// One assertion and one proof, many requests: one is served.
func TestParallelReplay(t *testing.T) {
	w := newWorld(t)
	form := w.authenticated("client-1", url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}})
	proof := w.tokenProof("d")
	var winners atomic.Int32
	testkit.Hammer(64, func(int) {
		if w.send(w.tokenURL(), form, proof).status == http.StatusOK {
			winners.Add(1)
		}
	})
	require.Equal(t, int32(1), winners.Load(), "CA-7523-3-7 DPOP-11.1-2")
}

func TestRefresh(t *testing.T) {
	w := newWorld(t)
	got := w.tokens("client-1", "d")
	refresh := got.body["refresh_token"].(string)

	other := w.send(w.tokenURL(), w.refreshForm("client-1", refresh), w.tokenProof("new key"))
	require.Equal(t, http.StatusOK, other.status, "DPOP-5-5")
	require.NotContains(t, other.body, "refresh_token", "SP-5.3.2.1-9 no rotation")
	access := other.body["access_token"].(string)
	require.Equal(t, http.StatusOK, w.callAPI("DPoP", access, w.apiProof("new key", access)).status)
	require.Equal(t, http.StatusUnauthorized, w.callAPI("DPoP", access, w.apiProof("d", access)).status, "DPOP-4.3-12b")

	require.Equal(t, "invalid_grant", w.send(w.tokenURL(), w.refreshForm("client-2", refresh), w.tokenProof("d")).code, "BASE-6749-6-1 another client")
	require.Equal(t, "invalid_dpop_proof", w.send(w.tokenURL(), w.refreshForm("client-1", refresh)).code, "CS-22 no proof")
	bare := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {"client-1"}}
	require.Equal(t, "invalid_client", w.send(w.tokenURL(), bare, w.tokenProof("d")).code, "CS-22 no client authentication")
	require.Equal(t, "invalid_grant", w.send(w.tokenURL(), w.refreshForm("client-1", "AAAA"), w.tokenProof("d")).code)

	form := w.refreshForm("client-1", refresh)
	form.Set("scope", "accounts")
	narrowed := w.send(w.tokenURL(), form, w.tokenProof("d"))
	require.Equal(t, "accounts", narrowed.body["scope"])
	form = w.refreshForm("client-1", refresh)
	form.Set("scope", "accounts payments")
	require.Equal(t, "invalid_scope", w.send(w.tokenURL(), form, w.tokenProof("d")).code, "BASE-6749-6-1 a wider scope")
	full := w.send(w.tokenURL(), w.refreshForm("client-1", refresh), w.tokenProof("d"))
	require.Equal(t, "accounts openid", full.body["scope"], "RI-2.2-1 the grant stays what it is")

	w.clock.Advance(91 * 24 * time.Hour)
	require.Equal(t, "invalid_grant", w.send(w.tokenURL(), w.refreshForm("client-1", refresh), w.tokenProof("d")).code)
}

func TestResourceIndicators(t *testing.T) {
	w := newWorld(t)
	both := func(f url.Values) { f["resource"] = []string{w.rsHTTP.URL, "https://other-api.example"} }
	form := w.codeForm("client-1", w.code("client-1", both))
	form.Set("resource", "https://other-api.example")
	got := w.send(w.tokenURL(), form, w.tokenProof("d"))
	require.Equal(t, http.StatusOK, got.status)
	access := got.body["access_token"].(string)
	require.Equal(t, http.StatusUnauthorized, w.callAPI("DPoP", access, w.apiProof("d", access)).status, "RI-2-3 BCP-2.3-2 AT-4-3 meant for another API")

	refresh := w.refreshForm("client-1", got.body["refresh_token"].(string))
	refresh.Set("resource", w.rsHTTP.URL)
	got = w.send(w.tokenURL(), refresh, w.tokenProof("d"))
	require.Equal(t, http.StatusOK, got.status, "RI-2.2-1 the refresh token keeps the full grant")
	access = got.body["access_token"].(string)
	require.Equal(t, http.StatusOK, w.callAPI("DPoP", access, w.apiProof("d", access)).status)
}

func TestClientCredentials(t *testing.T) {
	w := newWorld(t)
	form := func(scope string) url.Values {
		return w.authenticated("client-1", url.Values{"grant_type": {"client_credentials"}, "scope": {scope}})
	}
	got := w.send(w.tokenURL(), form("accounts"), w.tokenProof("d"))
	require.Equal(t, http.StatusOK, got.status)
	require.NotContains(t, got.body, "refresh_token")
	require.NotContains(t, got.body, "id_token")
	access := got.body["access_token"].(string)
	require.Equal(t, "client-1", w.callAPI("DPoP", access, w.apiProof("d", access)).body["owner"], "AT-2.2-2 its own subject")
	require.Equal(t, "invalid_scope", w.send(w.tokenURL(), form("openid"), w.tokenProof("d")).code)
	require.Equal(t, "invalid_scope", w.send(w.tokenURL(), form("admin"), w.tokenProof("d")).code)
	w.clients["client-1"].GrantTypes = []string{"authorization_code"}
	require.Equal(t, "unauthorized_client", w.send(w.tokenURL(), form("accounts"), w.tokenProof("d")).code)
}

// A store that fails lets nothing pass and loses nothing: once it is back, the code can be redeemed.
func TestStoresFailClosed(t *testing.T) {
	var store *spyStore
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		store = newSpy(as.Hooks.Now)
		as.Store = store
	})
	for name, fail := range map[string]func(){
		"load":       func() { store.fail(1, "get code") },
		"save":       func() { store.fail(1, "add refresh token") },
		"redeem":     func() { store.fail(1, "swap code") },
		"revoked":    func() { store.fail(1, "get unknown") },
		"assertions": func() { store.fail(1, "add replay") },
		"proofs":     func() { store.fail(2, "add replay") },
	} {
		t.Run(name, func(t *testing.T) {
			code := w.code("client-1", nil)
			fail()
			got := w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d"))
			store.recover()
			require.Equal(t, http.StatusServiceUnavailable, got.status, "%v", got.body)
			require.Equal(t, "server_error", got.code)
			require.NotEmpty(t, got.header.Get("Retry-After"))
			require.NotContains(t, got.body["error_description"], "10.1.2.3")
			require.Equal(t, http.StatusOK, w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d")).status, "the code was lost")
		})
	}
	t.Run("saving a code", func(t *testing.T) {
		target := w.authorizationURL("client-1", w.pushForm("client-1"))
		store.fail(1, "add code")
		require.Equal(t, http.StatusServiceUnavailable, w.visit(target).StatusCode)
		store.recover()
		require.NotEmpty(t, w.browse(target).Get("code"), "the request was lost")
	})
	t.Run("pushing", func(t *testing.T) {
		store.fail(1, "add replay")
		require.Equal(t, http.StatusServiceUnavailable, w.send(w.parURL(), w.pushForm("client-1")).status)
		store.recover()
	})
}

func TestNonces(t *testing.T) {
	w := newWorld(t, func(as *authserver.Config, rs *resourceserver.Config) {
		var err error
		as.Nonces, err = dpop.NewNonceSource(dpop.NonceSourceConfig{Now: as.Hooks.Now})
		require.NoError(t, err)
		rs.Nonces, err = dpop.NewNonceSource(dpop.NonceSourceConfig{Now: as.Hooks.Now})
		require.NoError(t, err)
	})
	form := w.authenticated("client-1", url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}})
	require.Equal(t, "invalid_dpop_proof", w.send(w.tokenURL(), form).code, "a missing proof is not a missing nonce")
	challenge := w.send(w.tokenURL(), form, w.tokenProof("d"))
	require.Equal(t, http.StatusBadRequest, challenge.status, "DPOP-8-1 SP-5.3.2.1-10")
	require.Equal(t, "use_dpop_nonce", challenge.code)
	nonce := challenge.header.Values("DPoP-Nonce")
	require.Len(t, nonce, 1, "DPOP-8-3")

	withNonce := w.proof("d", "POST", w.tokenURL(), dpop.ProofOptions{Nonce: nonce[0]})
	got := w.send(w.tokenURL(), form, withNonce)
	require.Equal(t, http.StatusOK, got.status, "DPOP-11.3-1 the challenge has not used up the assertion")
	require.Len(t, got.header.Values("DPoP-Nonce"), 1, "DPOP-8.2-1")

	access := got.body["access_token"].(string)
	refused := w.callAPI("DPoP", access, w.apiProof("d", access))
	require.Equal(t, http.StatusUnauthorized, refused.status, "DPOP-9-1")
	require.Contains(t, refused.header.Get("WWW-Authenticate"), `error="use_dpop_nonce"`)
	proof := w.proof("d", "GET", w.rsHTTP.URL+"/accounts", dpop.ProofOptions{AccessToken: access, Nonce: refused.header.Get("DPoP-Nonce")})
	require.Equal(t, http.StatusOK, w.callAPI("DPoP", access, proof).status)

	// The client does all that by itself, with one new assertion for each attempt.
	ctx, app := context.Background(), w.client("client-1")
	session, err := app.Begin(ctx, client.Request{Scopes: []string{"accounts"}})
	require.NoError(t, err)
	token, err := app.Finish(ctx, session, w.browse(session.URL))
	require.NoError(t, err)
	api, err := app.HTTPClient(app.TokenSource(ctx, token))
	require.NoError(t, err)
	response, err := api.Get(w.rsHTTP.URL + "/accounts")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, "SP-5.3.3.1-8")
}
