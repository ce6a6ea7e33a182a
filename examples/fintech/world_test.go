package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
	"github.com/gofapi/fapi2/tokenbinding"
	"github.com/stretchr/testify/require"
)

// A combination is one way for the client to be registered.
type combination struct {
	advanced bool
	auth     string
	mtls     bool // tokens are bound to the certificate
	nonces   bool // the servers ask for DPoP nonces
	grants   bool // the server manages grants
}

// A world contains an authorization server and an API in this process. Each has
// two sockets, of which one requests certificates. It also contains the
// configuration of the client.
type world struct {
	t        *testing.T
	dir      string
	settings map[string]any // the configuration file
	server   *authserver.Server
	key      *ecdsa.PrivateKey // the server's
	as, api  *httptest.Server
	asMTLS   *httptest.Server
	apiMTLS  *httptest.Server
	app      *httptest.Server // the pages, when servePages has been called
	pages    http.Handler
	log      journal // of the pages
	kept     *kept   // of the pages
	user     string  // who is at the bank
	// interact is what happens at the authorization endpoint.
	interact   func(rw http.ResponseWriter, r *http.Request, a *authserver.Authorization)
	restartAPI func()

	mu      sync.Mutex
	down    bool // the bank aborts all connections
	tampers map[string]tamper
	calls   map[string]int
}

// A tamper stands in front of the endpoint with a path.
type tamper func(rw http.ResponseWriter, r *http.Request, next http.Handler)

func newWorld(t *testing.T, c combination) *world { return newBank(t, c, nil) }

// newBank returns a world. If app is not nil, it is that of another world.
func newBank(t *testing.T, c combination, app *httptest.Server) *world {
	w := &world{t: t, user: "alice", dir: t.TempDir(), key: newKey(t), tampers: map[string]tamper{}, calls: map[string]int{}}
	var server, api http.Handler
	w.as, w.asMTLS = w.open(&server, tls.NoClientCert), w.open(&server, tls.RequestClientCert)
	w.api, w.apiMTLS = w.open(&api, tls.NoClientCert), w.open(&api, tls.RequestClientCert)
	if w.app, w.pages = app, http.NotFoundHandler(); app == nil {
		w.app = w.open(&w.pages, tls.NoClientCert)
	}
	w.interact = w.approve
	registration, clientCAs := w.register(c)

	types, err := openbanking.NewRegistry(nil)
	require.NoError(t, err)
	cfg := authserver.Config{
		AuthorizationDetails: types,
		Issuer:               w.as.URL, KeySource: w.keys, Scopes: []string{"openid", "accounts", "payments", "offline_access"}, Resources: []string{w.api.URL},
		Clients:   func(context.Context, string) (*profile.ClientMetadata, error) { return registration, nil },
		Interact:  func(rw http.ResponseWriter, r *http.Request, a *authserver.Authorization) { w.interact(rw, r, a) },
		MutualTLS: &authserver.MutualTLS{ClientCAs: clientCAs, BaseURL: w.asMTLS.URL},
	}
	apiCfg := resourceserver.Config{Resource: w.api.URL, Certificates: new(tokenbinding.CertificateSource), AuthorizationDetails: types}
	if c.grants {
		cfg.Grants = &grants.ManagerConfig{}
	}
	if c.nonces {
		cfg.Nonces, err = dpop.NewNonceSource(dpop.NonceSourceConfig{})
		require.NoError(t, err)
		apiCfg.Nonces = cfg.Nonces
	}
	w.server, err = authserver.New(cfg)
	require.NoError(t, err)
	apiCfg.Issuers = []resourceserver.Issuer{{ID: w.as.URL, Keys: w.server.Keys().Keys, Revoked: w.server.Revoked}}
	w.restartAPI = func() {
		guard, err := resourceserver.New(apiCfg)
		require.NoError(t, err)
		mux := http.NewServeMux()
		mux.Handle("GET /accounts", guard.Require("accounts")(http.HandlerFunc(listAccounts)))
		mux.Handle("POST /payments", guard.Require("payments")(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { pay(rw, r, guard, types) })))
		api = mux
	}
	w.restartAPI()
	server = w.server.Handler()
	return w
}

func listAccounts(rw http.ResponseWriter, r *http.Request) {
	token, _ := resourceserver.TokenFromContext(r.Context())
	_, _ = fmt.Fprintf(rw, `{"owner":%q,"accounts":[{"iban":"DE89370400440532013000","name":"Checking <&>","currency":"EUR"}]}`, token.Subject())
}

// pay makes the payment that the token permits, and returns it.
func pay(rw http.ResponseWriter, r *http.Request, guard *resourceserver.Server, types *rar.Registry) {
	order, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	wanted, err := types.Parse(append(append([]byte("["), order...), ']'), types.Types())
	if err != nil {
		guard.WriteError(rw, r, err)
		return
	}
	if guard.Allows(rw, r, wanted) {
		rw.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(rw).Encode(map[string]any{"status": "accepted: " + string(order)})
	}
}

// open starts a TLS server for a handler that is there later.
func (w *world) open(handler *http.Handler, clientAuth tls.ClientAuthType) *httptest.Server {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.calls[r.URL.Path]++
		change, down := w.tampers[r.URL.Path], w.down && handler != &w.pages
		w.mu.Unlock()
		if down {
			panic(http.ErrAbortHandler)
		}
		if change == nil {
			(*handler).ServeHTTP(rw, r)
			return
		}
		change(rw, r, *handler)
	}))
	s.TLS = profile.TLSConfig()
	s.TLS.ClientAuth = clientAuth
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	w.t.Cleanup(s.Close)
	return s
}

// register creates the client's registration at the server and its
// configuration.
func (w *world) register(c combination) (*profile.ClientMetadata, *x509.CertPool) {
	key := newKey(w.t)
	public, err := jwks.NewSet(jwks.Key{Public: key.Public(), KeyID: "sig-1"})
	require.NoError(w.t, err)
	m := &profile.ClientMetadata{
		ClientID: "fintech", RedirectURIs: []string{w.app.URL + "/callback"}, GrantTypes: []string{"authorization_code", "refresh_token", "client_credentials"},
		Scope: "openid accounts payments offline_access grant_management_query grant_management_revoke", TokenEndpointAuthMethod: c.auth, JWKS: public,
		AuthorizationDetailsTypes: []string{openbanking.AccountInformationType, openbanking.PaymentType},
		DPoPBoundAccessTokens:     !c.mtls, TLSClientCertificateBoundAccessTokens: c.mtls,
	}
	w.write("ca.pem", "CERTIFICATE", w.as.Certificate().Raw)
	w.settings = map[string]any{
		"issuer": w.as.URL, "client_id": m.ClientID, "redirect_uri": m.RedirectURIs[0], "token_endpoint_auth_method": c.auth,
		"dpop_bound_access_tokens": !c.mtls, "tls_client_certificate_bound_access_tokens": c.mtls, "ca_file": "ca.pem",
		"scope": "openid accounts", "openid": true, "resource_url": w.api.URL + "/accounts",
		"jwks": map[string]any{"keys": []any{privateJWK(w.t, key, "sig-1")}},
	}
	pool := x509.NewCertPool()
	if c.auth == "tls_client_auth" || c.mtls {
		pool.AddCert(w.certify("fintech.client.example"))
		w.settings["tls_cert_file"], w.settings["tls_key_file"] = "client.pem", "client.key"
	}
	if c.auth == "tls_client_auth" {
		m.TLSClientAuthSANDNS = "fintech.client.example"
	}
	if c.mtls {
		w.settings["resource_url"] = w.apiMTLS.URL + "/accounts"
	}
	if c.advanced {
		m.RequireSignedRequestObject, m.ResponseModes = true, []string{"jwt"}
		w.settings["message_signing"] = []string{"authorization_request", "authorization_response", "introspection"}
	}
	require.NoError(w.t, m.Validate())
	return m, pool
}

// certify writes client.pem and client.key, and returns the certificate of who
// vouches for them.
func (w *world) certify(name string) *x509.Certificate {
	caKey, key := newKey(w.t), newKey(w.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, caKey.Public(), caKey)
	require.NoError(w.t, err)
	ca, err := x509.ParseCertificate(der)
	require.NoError(w.t, err)
	template = &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	der, err = x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	require.NoError(w.t, err)
	w.write("client.pem", "CERTIFICATE", der)
	der, err = x509.MarshalPKCS8PrivateKey(key)
	require.NoError(w.t, err)
	w.write("client.key", "PRIVATE KEY", der)
	return ca
}

func (w *world) write(name, kind string, der []byte) {
	require.NoError(w.t, os.WriteFile(filepath.Join(w.dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

// configFile writes the settings and returns where they are.
func (w *world) configFile() string {
	data, err := json.Marshal(w.settings)
	require.NoError(w.t, err)
	path := filepath.Join(w.dir, "fintech.json")
	require.NoError(w.t, os.WriteFile(path, data, 0o600))
	return path
}

// approve approves requests without a page. Payments are made from the account
// that the bank knows.
func (w *world) approve(rw http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
	details := a.Details()
	for i, d := range details {
		if d.Type() == openbanking.PaymentType {
			var err error
			details[i], err = rar.Edit(d, func(p *openbanking.Payment) { p.DebtorAccount = &openbanking.Account{IBAN: "GB33BUKB20201555555555"} })
			require.NoError(w.t, err)
		}
	}
	to, err := w.server.Approve(r.Context(), a, authserver.Approval{Subject: w.user, Scopes: a.Scopes(), AuthTime: time.Now(), Details: details})
	require.NoError(w.t, err)
	to.ServeHTTP(rw, r)
}

// A journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// keys is the source of the server's keys.
func (w *world) keys(context.Context) ([]profile.SigningKey, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return []profile.SigningKey{{Key: w.key}}, nil
}

// rotate replaces the server's key at once. The API restarts, because it does
// not check tokens again for some minutes.
func (w *world) rotate() {
	key := newKey(w.t)
	w.mu.Lock()
	w.key = key
	w.mu.Unlock()
	require.NoError(w.t, w.server.RefreshKeys(w.t.Context()))
	w.restartAPI()
}

// tamper puts a tamper in front of an endpoint, or removes it.
func (w *world) tamper(path string, t tamper) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tampers[path] = t
}

// setDown ends the server and the API, or starts them again.
func (w *world) setDown(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
}

// count returns how many requests came to a path.
func (w *world) count(path string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[path]
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func privateJWK(t *testing.T, key *ecdsa.PrivateKey, kid string) map[string]any {
	d, err := key.Bytes()
	require.NoError(t, err)
	point, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	b64 := base64.RawURLEncoding.EncodeToString
	return map[string]any{"kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256", "use": "sig", "d": b64(d), "x": b64(point[1:33]), "y": b64(point[33:])}
}
