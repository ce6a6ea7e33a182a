package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/profile"
)

// A reply is a response that has been read.
type reply struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

func (r reply) json() object {
	r.t.Helper()
	require.Equal(r.t, "application/json", r.header.Get("Content-Type"), "%s", r.body)
	var o object
	require.NoError(r.t, json.Unmarshal(r.body, &o), "%s", r.body)
	return o
}

// str is a member of the JSON document, which is there and a string.
func (r reply) str(name string) string {
	r.t.Helper()
	s, ok := r.json()[name].(string)
	require.True(r.t, ok, "%s in %s", name, r.body)
	return s
}

// location is where a redirect leads.
func (r reply) location() *url.URL {
	r.t.Helper()
	require.Equal(r.t, http.StatusSeeOther, r.status, "%s", r.body)
	u, err := url.Parse(r.header.Get("Location"))
	require.NoError(r.t, err)
	return u
}

// refused checks an error response of an endpoint for programs.
func (r reply) refused(status int, codes ...string) {
	r.t.Helper()
	require.Equal(r.t, status, r.status, "%s", r.body)
	require.Contains(r.t, codes, r.str("error"), "%s", r.body)
	for name, value := range r.json() {
		if name != "error_uri" { // RFC 6749 §5.2
			require.Regexp(r.t, `^[\x20\x21\x23-\x5b\x5d-\x7e]*$`, value)
		}
	}
	require.Contains(r.t, r.header.Get("Cache-Control"), "no-store")
}

func (r reply) ok(status int) reply {
	r.t.Helper()
	require.Equal(r.t, status, r.status, "%s", r.body)
	return r
}

// http is a client that follows no redirects. A new one has no connection whose
// certificate could be another's.
func (w *world) http(certificate *tls.Certificate) *http.Client {
	keeping := profile.TLSConfig()
	keeping.RootCAs = w.roots
	if certificate != nil {
		keeping.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: keeping, DisableKeepAlives: true, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       20 * time.Second,
	}
}

func (w *world) send(client *http.Client, r *http.Request) reply {
	w.t.Helper()
	response, err := client.Do(r)
	require.NoError(w.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	require.NoError(w.t, err)
	return reply{w.t, response.StatusCode, response.Header, body}
}

func (w *world) get(target string) reply {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodGet, target, nil)
	require.NoError(w.t, err)
	return w.send(w.http(nil), r)
}

// A request is what a client sends. Every part can be changed before that.
type request struct {
	p             *party
	method, url   string
	form          url.Values // nil: none
	header        http.Header
	client        *party // that authenticates; nil: nobody
	assertion     []change
	key           crypto.Signer // of the assertion; nil: the client's
	certificate   *tls.Certificate
	dpop          *ecdsa.PrivateKey // nil: no proof
	proof         []change
	json          string // the body, where there is no form
	token, scheme string // of a request to the API
	proofURL      string // what the proof says, if not what is true
}

// post is a right request to an endpoint for programs.
func (p *party) post(path string, form url.Values) *request {
	r := &request{p: p, method: http.MethodPost, url: p.at(path), form: maps.Clone(form), header: http.Header{}, client: p, certificate: p.certificate}
	return r
}

func (r *request) with(name, value string) *request {
	if r.form.Set(name, value); value == "" {
		r.form.Del(name)
	}
	return r
}

func (r *request) do() reply {
	r.p.w.t.Helper()
	t := r.p.w.t
	form := maps.Clone(r.form)
	if r.client != nil && r.client.jwt && form != nil {
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", r.client.assertion(r.key, r.assertion...))
	} else if r.client != nil && form != nil {
		form.Set("client_id", r.client.id)
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	} else if r.json != "" {
		body = strings.NewReader(r.json)
	}
	sent, err := http.NewRequest(r.method, r.url, body)
	require.NoError(t, err)
	if form != nil {
		sent.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if r.token != "" {
		sent.Header.Set("Authorization", r.scheme+" "+r.token)
	}
	if r.dpop != nil {
		target := r.url
		if r.proofURL != "" {
			target = r.proofURL
		}
		changes := r.proof
		if r.token != "" {
			changes = append([]change{claim("ath", hash(r.token))}, changes...)
		}
		sent.Header.Set("DPoP", r.p.w.proof(r.dpop, r.method, target, changes...))
	}
	maps.Copy(sent.Header, r.p.header)
	maps.Copy(sent.Header, r.header)
	return r.p.w.send(r.p.w.http(r.certificate), sent)
}

// assertion is a client assertion; key nil is the client's.
func (p *party) assertion(key crypto.Signer, changes ...change) string {
	p.w.t.Helper()
	alg := "ES256"
	if key == nil {
		key, alg = p.key, p.alg()
	}
	now := p.w.now().Unix()
	return forge(p.w.t, key, object{"alg": alg, "kid": "key-of-" + p.id, "typ": "JWT"}, object{
		"iss": p.id, "sub": p.id, "aud": p.w.issuer, "jti": rand.Text(), "iat": now, "nbf": now, "exp": now + 60,
	}, changes...)
}

func (w *world) proof(key *ecdsa.PrivateKey, method, target string, changes ...change) string {
	w.t.Helper()
	return forge(w.t, key, object{"alg": "ES256", "typ": "dpop+jwt", "jwk": publicJWK(w.t, key.Public())}, object{
		"jti": rand.Text(), "htm": method, "htu": target, "iat": w.now().Unix(),
	}, changes...)
}

const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// params are those of a right authorization request.
func (p *party) params() url.Values {
	return url.Values{
		"response_type": {"code"}, "redirect_uri": {p.redirect}, "scope": {"openid accounts"}, "state": {"state-of-" + p.id}, "nonce": {"nonce-of-" + p.id},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
}

func (p *party) push() *request { return p.post("/par", p.params()) }

// pushed is the request_uri of a request that succeeds.
func (p *party) pushed(changes ...func(*request)) string {
	p.w.t.Helper()
	r := p.push()
	for _, change := range changes {
		change(r)
	}
	return r.do().ok(http.StatusCreated).str("request_uri")
}

func param(name, value string) func(*request) { return func(r *request) { r.with(name, value) } }

// front is the URL that a client sends the browser to.
func (p *party) front(requestURI string) string {
	return p.w.issuer + "/authorize?" + url.Values{"client_id": {p.id}, "request_uri": {requestURI}}.Encode()
}

// callback is what comes back for a client, by a bank that approves everything.
func (p *party) callback(changes ...func(*request)) url.Values {
	p.w.t.Helper()
	return p.w.get(p.front(p.pushed(changes...))).location().Query()
}

func (p *party) code(changes ...func(*request)) string {
	p.w.t.Helper()
	q := p.callback(changes...)
	require.NotEmpty(p.w.t, q.Get("code"), "%v", q)
	return q.Get("code")
}

// tokenRequest is a right request to the token endpoint.
func (p *party) tokenRequest(form url.Values) *request {
	r := p.post("/token", form)
	if !p.bound {
		r.dpop = p.dpop
	}
	return r
}

// grant is a right request to the grant management API.
func (p *party) grant(method, id string) *request {
	token := p.own().with("scope", "grant_management_query grant_management_revoke").do().ok(http.StatusOK).str("access_token")
	return p.call(method, "/grants/"+id, token)
}

func (p *party) redeem(code string) *request {
	return p.tokenRequest(url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {p.redirect}, "code_verifier": {verifier}})
}

func (p *party) refresh(token string) *request {
	return p.tokenRequest(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

func (p *party) own() *request {
	return p.tokenRequest(url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}})
}

// tokens are the answer of the token endpoint for a new authorization.
func (p *party) tokens(changes ...func(*request)) object {
	p.w.t.Helper()
	return p.redeem(p.code(changes...)).do().ok(http.StatusOK).json()
}

func (p *party) accessToken(changes ...func(*request)) string {
	p.w.t.Helper()
	return p.tokens(changes...)["access_token"].(string)
}

// call is a right request to the API.
func (p *party) call(method, path, token string) *request {
	r := &request{p: p, method: method, url: p.at(path), header: http.Header{}, token: token, scheme: "DPoP", dpop: p.dpop, certificate: p.certificate}
	if p.bound {
		r.scheme, r.dpop = "Bearer", nil
	}
	return r
}
