package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/profile"
)

// A world is a bank that serves real sockets, and who its clients are.
type world struct {
	t            testing.TB
	cfg          *config
	bank         *bank
	issuer, mtls string
	offset       atomic.Int64 // by which the bank's clock differs
	log          *buffer
	roots        *x509.CertPool
	one, two     *party // private_key_jwt, DPoP
	tlsOne       *party // tls_client_auth, certificate-bound
	tlsTwo       *party
	mixed        *party // private_key_jwt, certificate-bound
	rs           *party // the server of the bank's own resource
}

// A party is a client with everything that it needs to act, and to misbehave.
type party struct {
	w            *world
	id, redirect string
	key, dpop    *ecdsa.PrivateKey
	certificate  *tls.Certificate // nil: none
	jwt, bound   bool             // authenticates by assertion; tokens bound to the certificate
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

const redirectURI = "https://app.example/callback?dummy1=lorem&dummy2=ipsum"

// newWorld starts a bank; changes are to its configuration.
func newWorld(t testing.TB, changes ...func(cfg object)) *world {
	t.Helper()
	w := &world{t: t, log: new(buffer)}
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		return l
	}
	listener, asking := listen(), listen()
	port := func(l net.Listener) string { return l.Addr().String()[len("127.0.0.1"):] }
	w.issuer, w.mtls = "https://localhost"+port(listener), "https://localhost"+port(asking)
	clients, clientCA := w.newParties()
	document := object{
		"issuer": w.issuer, "listen": listener.Addr().String(), "mtls_listen": asking.Addr().String(), "client_ca_file": clientCA,
		"openid": true, "users": []object{{"username": "alice", "password": "correct horse"}, {"username": "bob", "password": "battery staple"}},
		"auto_approve": "alice", "clients": clients, "resource_servers": object{"rs": []string{w.issuer}},
	}
	for _, change := range changes {
		change(document)
	}
	maps.DeleteFunc(document, func(_ string, value any) bool { return value == nil })
	raw, err := json.Marshal(document)
	require.NoError(t, err)
	w.cfg, err = parseConfig(raw)
	require.NoError(t, err)
	w.cfg.iterations = 1000
	certificate, made, err := w.cfg.serverCertificate()
	require.NoError(t, err)
	w.roots = x509.NewCertPool()
	w.roots.AddCert(made.certificate)
	log := slog.New(slog.NewJSONHandler(w.log, nil))
	w.bank, err = newBank(w.cfg, log, w.now)
	require.NoError(t, err)
	sockets, err := w.bank.sockets(listener, asking)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- serve(ctx, log, *certificate, sockets...) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-served)
	})
	return w
}

func with(name string, value any) func(cfg object) { return func(cfg object) { cfg[name] = value } }

// registration changes the registration of all clients, or of those named.
func registration(changes object, ids ...string) func(cfg object) {
	return func(cfg object) {
		for _, client := range cfg["clients"].([]object) {
			if len(ids) == 0 || slices.Contains(ids, client["client_id"].(string)) {
				set(client, changes)
			}
		}
	}
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.offset.Load())) }

func (w *world) advance(d time.Duration) { w.offset.Add(int64(d)) }

func (w *world) newParties() (clients []object, clientCA string) {
	key := newEC(w.t)
	authority := certify(w.t, &x509.Certificate{Subject: pkix.Name{CommonName: "CA of clients"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign}, nil, key)
	clientCA = filepath.Join(w.t.TempDir(), "clients.pem")
	require.NoError(w.t, os.WriteFile(clientCA, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Certificate[0]}), 0o600))
	add := func(id string, jwt, bound bool) *party {
		p := &party{w: w, id: id, redirect: redirectURI, key: newEC(w.t), dpop: newEC(w.t), jwt: jwt, bound: bound}
		public := publicJWK(w.t, p.key.Public())
		public["kid"], public["use"] = "key-of-"+id, "sig"
		client := object{
			"client_id": id, "client_name": "Application " + id, "redirect_uris": []string{redirectURI, "https://app.example/other"},
			"scope": "openid profile accounts payments grant_management_query grant_management_revoke", "authorization_details_types": []string{"payment_initiation", "account_information"}, "grant_types": []string{"authorization_code", "refresh_token", "client_credentials"},
			"jwks": object{"keys": []object{public}}, "token_endpoint_auth_method": "private_key_jwt",
		}
		if bound {
			client["tls_client_certificate_bound_access_tokens"] = true
			p.certificate = certify(w.t, &x509.Certificate{Subject: pkix.Name{CommonName: id}, DNSNames: []string{id + ".example"}}, authority, newEC(w.t))
		} else {
			client["dpop_bound_access_tokens"] = true
		}
		if !jwt {
			client["token_endpoint_auth_method"], client["tls_client_auth_san_dns"] = "tls_client_auth", id+".example"
		}
		clients = append(clients, client)
		return p
	}
	w.one, w.two = add("one", true, false), add("two", true, false)
	w.tlsOne, w.tlsTwo = add("tls-one", false, true), add("tls-two", false, true)
	w.mixed = add("mixed", true, true)
	w.rs = add("rs", true, false)
	return clients, clientCA
}

func certify(t testing.TB, template *x509.Certificate, by *tls.Certificate, key *ecdsa.PrivateKey) *tls.Certificate {
	t.Helper()
	parent, signer := template, key
	if by != nil {
		parent, signer = by.Leaf, by.PrivateKey.(*ecdsa.PrivateKey)
		template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	leaf, err := sign(template, parent, key, signer)
	require.NoError(t, err)
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// all are the clients that tests of every client go through.
func (w *world) all() []*party { return []*party{w.one, w.two, w.tlsOne, w.tlsTwo, w.mixed} }

// at is where a client finds an endpoint: clients that use certificates go to the aliases.
func (p *party) at(path string) string {
	if p.bound {
		return p.w.mtls + path
	}
	return p.w.issuer + path
}

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

// refused checks a refusal by an endpoint for programs.
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

// http is a client that follows no redirects. A new one has no connection whose certificate could be another's.
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
	p                  *party
	method, url        string
	form               url.Values // nil: none
	header             http.Header
	client             *party // that authenticates; nil: nobody
	assertion          []change
	key                crypto.Signer // of the assertion; nil: the client's
	certificate        *tls.Certificate
	dpop               *ecdsa.PrivateKey // nil: no proof
	proof              []change
	json               string // the body, where there is no form
	token, scheme      string // of a request to the API
	proofURL, proofFor string // what the proof says, if not what is true
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
	maps.Copy(sent.Header, r.header)
	return r.p.w.send(r.p.w.http(r.certificate), sent)
}

// assertion is a client assertion; key nil is the client's.
func (p *party) assertion(key crypto.Signer, changes ...change) string {
	p.w.t.Helper()
	alg := "ES256"
	if key == nil {
		key = p.key
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

func newPool(t testing.TB, ca []byte) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(ca))
	return pool
}
