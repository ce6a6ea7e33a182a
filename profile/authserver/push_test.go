package authserver_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/pkce"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 Appendix B

// An answer is what an endpoint said.
type answer struct {
	status int
	header http.Header
	body   map[string]any
	code   string // error
}

func (w *world) assertion(id string) string {
	auth, err := clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
		ClientID: id, Audience: w.as.Metadata().Issuer, Key: testkit.ECKey(w.t, id), KeyID: id + "-key", Now: w.clock.Now,
	})
	require.NoError(w.t, err)
	assertion, err := auth.Assertion()
	require.NoError(w.t, err)
	return assertion
}

func (w *world) authenticated(id string, form url.Values) url.Values {
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", w.assertion(id))
	return form
}

// proof makes a DPoP proof with the key of this name.
func (w *world) proof(key, method, target string, o dpop.ProofOptions) string {
	prover, err := dpop.NewProver(dpop.ProverConfig{Key: testkit.ECKey(w.t, key), Now: w.clock.Now})
	require.NoError(w.t, err)
	proof, err := prover.Proof(method, target, o)
	require.NoError(w.t, err)
	return proof
}

func (w *world) jkt(key string) string {
	prover, err := dpop.NewProver(dpop.ProverConfig{Key: testkit.ECKey(w.t, key)})
	require.NoError(w.t, err)
	return prover.Thumbprint()
}

// send posts a form; proofs are DPoP headers.
func (w *world) send(target string, form url.Values, proofs ...string) answer {
	r, err := http.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	require.NoError(w.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, proof := range proofs {
		r.Header.Add("DPoP", proof)
	}
	return w.do(r)
}

func (w *world) do(r *http.Request) answer {
	response, err := w.http.Do(r)
	require.NoError(w.t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(w.t, err)
	a := answer{status: response.StatusCode, header: response.Header}
	if len(raw) > 0 && response.Header.Get("Content-Type") == "application/json" {
		require.NoError(w.t, json.Unmarshal(raw, &a.body), string(raw))
	}
	a.code, _ = a.body["error"].(string)
	return a
}

func (w *world) parURL() string { return w.asHTTP.URL + "/par" }

func (w *world) tokenURL() string { return w.asHTTP.URL + "/token" }

// pushForm is a good request of a client, without client_id in the form.
func (w *world) pushForm(id string) url.Values {
	challenge, err := pkce.Challenge(verifier)
	require.NoError(w.t, err)
	return w.authenticated(id, url.Values{
		"response_type": {"code"}, "redirect_uri": {redirectURI}, "scope": {"accounts openid"}, "state": {"s 1&2"}, "nonce": {"n-1"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	})
}

// authorizationURL pushes a form and returns where the browser is to go.
func (w *world) authorizationURL(id string, form url.Values, proofs ...string) string {
	pushed := w.send(w.parURL(), form, proofs...)
	require.Equal(w.t, http.StatusCreated, pushed.status, "%v", pushed.body)
	return w.asHTTP.URL + "/authorize?" + url.Values{"client_id": {id}, "request_uri": {pushed.body["request_uri"].(string)}}.Encode()
}

func TestPushAccepted(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("s", 1000)
	for _, tc := range []struct {
		name   string
		change func(url.Values)
		proof  string
	}{
		{"PAR-2.2-1 without client_id in the form", func(url.Values) {}, ""},
		{"PAR-2.1-2 with client_id in the form", func(f url.Values) { f.Set("client_id", "client-1") }, ""},
		{"BASE-6749-3.1-1 unknown parameters are ignored", func(f url.Values) { f.Set("acme", "1") }, ""},
		{"SP-5.3.2.2-N4 SP-5.3.2.2-14 long state and nonce", func(f url.Values) { f.Set("state", long); f.Set("nonce", long[:384]) }, ""},
		{"no state and no nonce", func(f url.Values) { f.Del("state"); f.Del("nonce") }, ""},
		{"RI-2-2 resource may repeat", func(f url.Values) { f["resource"] = []string{w.rsHTTP.URL, "https://other-api.example"} }, ""},
		{"prompt is the host's", func(f url.Values) { f.Set("prompt", "consent") }, ""},
		{"response_mode query", func(f url.Values) { f.Set("response_mode", "query") }, ""},
		{"DPOP-10-1 dpop_jkt alone", func(f url.Values) { f.Set("dpop_jkt", w.jkt("d")) }, ""},
		{"DPOP-10.1-1 a proof alone", func(url.Values) {}, "d"},
		{"DPOP-10.1-1 both and equal", func(f url.Values) { f.Set("dpop_jkt", w.jkt("d")) }, "d"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			form := w.pushForm("client-1")
			tc.change(form)
			var proofs []string
			if tc.proof != "" {
				proofs = append(proofs, w.proof(tc.proof, "POST", w.parURL(), dpop.ProofOptions{}))
			}
			got := w.send(w.parURL(), form, proofs...)
			require.Equal(t, http.StatusCreated, got.status, "%v", got.body)
			require.Contains(t, got.header.Get("Cache-Control"), "no-store")
			require.Greater(t, got.body["expires_in"], 4.0)
			require.Less(t, got.body["expires_in"], 600.0)
			require.Greater(t, len(got.body["request_uri"].(string)), 40)

			again := w.send(w.parURL(), form, proofs...)
			require.NotEqual(t, http.StatusCreated, again.status, "assertion and proof are used up")
		})
	}
}

// Whatever is refused has used up nothing: the same assertion still works for a good request.
func TestPushRefused(t *testing.T) {
	w := newWorld(t)
	set := func(name, value string) func(url.Values) { return func(f url.Values) { f.Set(name, value) } }
	del := func(name string) func(url.Values) { return func(f url.Values) { f.Del(name) } }
	for _, tc := range []struct {
		name   string
		change func(url.Values)
		status int
		code   string
	}{
		{"PAR-2.1-5 request_uri in the form", set("request_uri", "urn:x"), 400, "invalid_request"},
		{"PAR-3-1 a request object beside plain parameters", set("request", "a.b.c"), 400, "invalid_request"},
		{"SP-5.3.2.2-5 PKCE-4.4.1-1 no code_challenge", del("code_challenge"), 400, "invalid_request"},
		{"SP-5.3.2.2-5 PKCE-4.3-1 no method, which means plain", del("code_challenge_method"), 400, "invalid_request"},
		{"PKCE-4.4.1-2 plain", set("code_challenge_method", "plain"), 400, "invalid_request"},
		{"PKCE-4.2-4 a challenge of 42 characters", set("code_challenge", verifier[:42]), 400, "invalid_request"},
		{"PKCE-4.2-4 a challenge of 129 characters", set("code_challenge", strings.Repeat("a", 129)), 400, "invalid_request"},
		{"SP-5.3.2.2-1 response_type token", set("response_type", "token"), 400, "unsupported_response_type"},
		{"SP-5.3.2.2-1 response_type code id_token", set("response_type", "code id_token"), 400, "unsupported_response_type"},
		{"no response_type", del("response_type"), 400, "invalid_request"},
		{"response_mode fragment", set("response_mode", "fragment"), 400, "invalid_request"},
		{"SP-5.3.2.2-6 no redirect_uri", del("redirect_uri"), 400, "invalid_request"},
		{"BCP-2.1-1 unregistered redirect_uri", set("redirect_uri", redirectURI+"&more=1"), 400, "invalid_request"},
		{"SP-5.3.2.2-8 BCP-2.6-3 plain http", set("redirect_uri", "http://client.example/callback?tenant=1"), 400, "invalid_request"},
		{"CS-13 PAR-2.1-2 client_id of another client", set("client_id", "client-2"), 401, "invalid_client"},
		{"unknown scope", set("scope", "accounts admin"), 400, "invalid_scope"},
		{"RI-2.1-3 unknown resource", set("resource", "https://evil.example"), 400, "invalid_target"},
		{"RI-2-1 resource with a fragment", set("resource", w.rsHTTP.URL+"#x"), 400, "invalid_target"},
		{"BASE-6749-3.1-1 repeated parameter", func(f url.Values) { f.Add("state", "2") }, 400, "invalid_request"},
		{"a state without end", set("state", strings.Repeat("s", 9000)), 400, "invalid_request"},
		{"DPOP-10-1 malformed dpop_jkt", set("dpop_jkt", "abc"), 400, "invalid_request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			good := w.pushForm("client-1")
			form := url.Values{}
			for name, values := range good {
				form[name] = append([]string(nil), values...)
			}
			tc.change(form)
			got := w.send(w.parURL(), form)
			require.Equal(t, tc.status, got.status, "%v", got.body)
			require.Equal(t, tc.code, got.code)
			require.NotContains(t, got.body, "request_uri")
			require.Contains(t, got.header.Get("Cache-Control"), "no-store")
			require.Equal(t, http.StatusCreated, w.send(w.parURL(), good).status, "the assertion was used up")
		})
	}
}

func TestPushProofs(t *testing.T) {
	w := newWorld(t)
	proof := func(key string) string { return w.proof(key, "POST", w.parURL(), dpop.ProofOptions{}) }
	for _, tc := range []struct {
		name   string
		jkt    string
		proofs []string
		code   string
	}{
		{"DPOP-10.1-3 CS-15 dpop_jkt of another key", w.jkt("other"), []string{proof("d")}, "invalid_request"},
		{"DPOP-4.3-1 two proofs", "", []string{proof("d"), proof("d")}, "invalid_dpop_proof"},
		{"DPOP-4.3-1 an empty one first", "", []string{"", proof("d")}, "invalid_dpop_proof"},
		{"DPOP-10.1-2 an empty one", "", []string{""}, "invalid_dpop_proof"},
		{"DPOP-10.1-2 a proof for the token endpoint", "", []string{w.proof("d", "POST", w.tokenURL(), dpop.ProofOptions{})}, "invalid_dpop_proof"},
		{"DPOP-4.3-8 a proof for GET", "", []string{w.proof("d", "GET", w.parURL(), dpop.ProofOptions{})}, "invalid_dpop_proof"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			form := w.pushForm("client-1")
			if tc.jkt != "" {
				form.Set("dpop_jkt", tc.jkt)
			}
			got := w.send(w.parURL(), form, tc.proofs...)
			require.Equal(t, http.StatusBadRequest, got.status)
			require.Equal(t, tc.code, got.code)
			form.Del("dpop_jkt")
			require.Equal(t, http.StatusCreated, w.send(w.parURL(), form).status, "the assertion was used up")
		})
	}
}

func TestPushClientAuthentication(t *testing.T) {
	w := newWorld(t)
	unauthenticated := w.pushForm("client-1")
	unauthenticated.Del("client_assertion")
	unauthenticated.Del("client_assertion_type")
	unauthenticated.Set("client_id", "client-1")
	got := w.send(w.parURL(), unauthenticated)
	require.Equal(t, http.StatusUnauthorized, got.status, "SP-5.3.2.2-4 PAR-2.1-4")
	require.Equal(t, "invalid_client", got.code)

	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		r, err := http.NewRequest(method, w.parURL()+"?"+w.pushForm("client-1").Encode(), nil)
		require.NoError(t, err)
		got := w.do(r)
		require.Equal(t, http.StatusMethodNotAllowed, got.status, "PAR-2.3-5 CS-6 "+method)
		require.Equal(t, http.MethodPost, got.header.Get("Allow"))
	}
	r, err := http.NewRequest(http.MethodPost, w.parURL(), strings.NewReader(w.pushForm("client-1").Encode()))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	require.Equal(t, http.StatusBadRequest, w.do(r).status, "a multipart body")
	big := w.pushForm("client-1")
	big.Set("state", strings.Repeat("x", 300<<10))
	require.Equal(t, http.StatusRequestEntityTooLarge, w.send(w.parURL(), big).status, "PAR-2.3-6")
}

// A client that may only use its own credentials cannot push.
func TestPushGrantType(t *testing.T) {
	w := newWorld(t)
	w.clients["client-1"].GrantTypes = []string{"client_credentials"}
	got := w.send(w.parURL(), w.pushForm("client-1"))
	require.Equal(t, "unauthorized_client", got.code)
	require.Contains(t, got.body["error_description"], "grant_type")
	w.clients["client-1"].GrantTypes = nil
	w.clients["client-1"].IDTokenSignedResponseAlg = "PS256"
	got = w.send(w.parURL(), w.pushForm("client-1"))
	require.Equal(t, "unauthorized_client", got.code)
	require.NotContains(t, got.body["error_description"], "grant_type", "that is not what is wrong")
}

func TestAuthorizationEndpoint(t *testing.T) {
	w := newWorld(t)
	good := w.authorizationURL("client-1", w.pushForm("client-1"))
	stranger, err := url.Parse(good)
	require.NoError(t, err)
	query := stranger.Query()
	query.Set("client_id", "client-2")

	for _, tc := range []struct{ name, target string }{
		{"SP-5.3.2.2-3 PAR-4-5 not pushed", w.asHTTP.URL + "/authorize?" + w.pushForm("client-1").Encode() + "&client_id=client-1"},
		{"no client_id", w.asHTTP.URL + "/authorize?request_uri=" + url.QueryEscape(query.Get("request_uri"))},
		{"PAR-2.2-4 CS-5 another client's request_uri", w.asHTTP.URL + "/authorize?" + query.Encode()},
		{"an unknown request_uri", w.asHTTP.URL + "/authorize?client_id=client-1&request_uri=urn:ietf:params:oauth:request_uri:AAAA"},
		{"two request_uris", good + "&request_uri=x"},
		{"two client_ids", good + "&client_id=client-1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := w.visit(tc.target)
			require.Equal(t, http.StatusBadRequest, got.StatusCode)
			require.Empty(t, got.Header.Get("Location"), "nowhere is safe to redirect to")
			require.Contains(t, got.Header.Get("Content-Type"), "text/html")
			require.Contains(t, got.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'", "BCP-4.16-1")
			require.Empty(t, got.Header.Get("Access-Control-Allow-Origin"), "SP-5.2.3-3 BCP-2.6-4")
		})
	}

	// The failed visits have consumed nothing. SP-5.3.2.2-N3, CS-7: nor does a page that is merely opened.
	opened := 0
	w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
		opened++
		if opened < 3 {
			return nil, nil
		}
		require.Equal(t, []string{"accounts", "openid"}, a.Scopes())
		require.Equal(t, "s 1&2", a.Params().Get("state"), "SP-5.3.2.2-N4")
		require.Equal(t, "The client-1", a.Client().ClientName)
		return w.as.Approve(context.Background(), a, authserver.Approval{Subject: "alice", Scopes: a.Scopes()})
	}
	w.browse(good)
	w.browse(good)
	// CS-8, JAR-5-3: what else stands in the query is ignored.
	callback := w.browse(good + "&state=evil&redirect_uri=https://evil.example&scope=payments&response_type=token&nonce=x&state=twice")
	require.Equal(t, "s 1&2", callback.Get("state"))
	require.NotEmpty(t, callback.Get("code"))
	require.GreaterOrEqual(t, len(callback.Get("code")), 43, "SP-5.4.1-4")
	require.Equal(t, http.StatusBadRequest, w.visit(good).StatusCode, "PAR-4-2 PAR-7.3-1 used up")
}

func TestRequestURIExpires(t *testing.T) {
	w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.Lifetimes.Request = 10 * time.Second
	})
	target := w.authorizationURL("client-1", w.pushForm("client-1"))
	w.clock.Advance(11 * time.Second)
	require.Equal(t, http.StatusBadRequest, w.visit(target).StatusCode, "PAR-4-3")
}

func TestDeny(t *testing.T) {
	w := newWorld(t)
	w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
		return w.as.Deny(context.Background(), a, "access_denied", "the user said \"no\"\n")
	}
	target := w.authorizationURL("client-1", w.pushForm("client-1"))
	callback := w.browse(target)
	require.Equal(t, url.Values{"tenant": {"1"}, "error": {"access_denied"}, "error_description": {"the user said ?no??"}, "state": {"s 1&2"}, "iss": {w.asHTTP.URL}}, callback,
		"SP-5.3.2.2-7 ISS-2-1 iss with errors too")
	require.Equal(t, http.StatusBadRequest, w.visit(target).StatusCode)

	form := w.pushForm("client-1")
	form.Del("state")
	require.NotContains(t, w.browse(w.authorizationURL("client-1", form)), "state")
}

func TestApprovalIsChecked(t *testing.T) {
	w := newWorld(t)
	form := w.pushForm("client-1")
	form.Set("max_age", "60")
	form.Set("scope", "openid")
	var loaded *authserver.Authorization
	w.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) {
		loaded = a
		return nil, nil
	}
	w.browse(w.authorizationURL("client-1", form))
	now := w.clock.Now()
	for name, approval := range map[string]authserver.Approval{
		"no subject":                   {Scopes: []string{"openid"}, AuthTime: now},
		"a long subject":               {Subject: strings.Repeat("x", 256), Scopes: []string{"openid"}, AuthTime: now},
		"a scope nobody asked for":     {Subject: "alice", Scopes: []string{"payments"}, AuthTime: now},
		"no AuthTime though max_age":   {Subject: "alice", Scopes: []string{"openid"}},
		"claims that are no JSON":      {Subject: "alice", Scopes: []string{"openid"}, AuthTime: now, IDTokenClaims: map[string]any{"f": func() {}}},
		"claims that replace our own":  {Subject: "alice", Scopes: []string{"openid"}, AuthTime: now, IDTokenClaims: map[string]any{"iss": "x"}},
		"an authentication in future?": {Subject: "al\nice", Scopes: []string{"openid"}, AuthTime: now},
	} {
		_, err := w.as.Approve(context.Background(), loaded, approval)
		require.Error(t, err, name)
	}
	_, err := w.as.Approve(context.Background(), &authserver.Authorization{}, authserver.Approval{Subject: "alice", Scopes: []string{"accounts"}})
	require.Error(t, err)
	_, err = w.as.Deny(context.Background(), loaded, "bad code\n", "")
	require.Error(t, err)

	// 64 approvals of one request: one code.
	codes := make([]*authserver.AuthorizationResponse, 64)
	testkit.Hammer(len(codes), func(i int) {
		codes[i], _ = w.as.Approve(context.Background(), loaded, authserver.Approval{Subject: "alice", Scopes: []string{"openid"}, AuthTime: now})
	})
	winners := 0
	for _, code := range codes {
		if code != nil {
			winners++
		}
	}
	require.Equal(t, 1, winners)
}

func TestLifetimeOfAssertions(t *testing.T) {
	for _, tc := range []struct {
		name     string
		longest  time.Duration
		lifetime time.Duration
		status   int
	}{
		{"CASES F4: an hour by default", 0, time.Hour, http.StatusCreated},
		{"CASES F4: more than an hour", 0, time.Hour + time.Second, http.StatusUnauthorized},
		{"CASES F4: as long as the host permits", time.Minute, time.Minute, http.StatusCreated},
		{"CASES F4: longer than the host permits", time.Minute, time.Minute + time.Second, http.StatusUnauthorized},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
				as.Lifetimes.Assertion = tc.longest
			})
			signer, err := jose.NewSigner(testkit.ECKey(t, "client-1"), jose.SignerOptions{KeyID: "client-1-key"})
			require.NoError(t, err)
			now := w.clock.Now().Unix()
			assertion, err := signer.Sign(testkit.Must(json.Marshal(map[string]any{
				"iss": "client-1", "sub": "client-1", "aud": w.as.Metadata().Issuer, "jti": "1", "iat": now, "exp": now + int64(tc.lifetime/time.Second),
			})))
			require.NoError(t, err)
			form := w.pushForm("client-1")
			form.Set("client_assertion", assertion)
			require.Equal(t, tc.status, w.send(w.parURL(), form).status)
		})
	}
}
