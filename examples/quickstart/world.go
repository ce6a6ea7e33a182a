package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
)

// A world is everybody who takes part: three servers on sockets of their own, two registered clients, and the wire
// between them.
type world struct {
	clock     clock
	wire      *wire
	authority *authority

	asURL, apiURL, appURL string
	bank                  *bank
	app                   *app
	ours, rival           *client
	tally                 tally // of the authorization server's requests, by path

	mu         sync.Mutex
	transports map[string]*http.Transport // by party
	servers    []*http.Server
}

// otherAPI is another API that the authorization server issues tokens for.
const otherAPI = "https://other-api.example"

// A client is a registered client with its private keys.
type client struct {
	id, redirectURI string
	auth            *ecdsa.PrivateKey // authenticates it
	authRSA         *rsa.PrivateKey   // does so too; registered, since only an RSA key can be misused for RS256
	dpop            *ecdsa.PrivateKey // its access tokens are bound to this one
}

const (
	authKeyID    = "auth-ec"
	authRSAKeyID = "auth-rsa"
)

// newWorld opens the three sockets first, because everybody has to know the others' URLs.
func newWorld(ctx context.Context) (w *world, err error) {
	w = &world{wire: newWire(), transports: map[string]*http.Transport{}}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.authority, err = newAuthority(); err != nil {
		return nil, err
	}
	var sockets [3]net.Listener
	for i, its := range []*string{&w.asURL, &w.apiURL, &w.appURL} {
		if sockets[i], err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
			return nil, err
		}
		*its = "https://" + sockets[i].Addr().String()
	}
	w.wire.name(w.asURL, "AS")
	w.wire.name(w.apiURL, "API")
	w.wire.name(w.appURL, "client")

	if w.ours, err = newClient("accounting-app", w.appURL+"/callback"); err != nil {
		return nil, err
	}
	if w.rival, err = newClient("rival-app", "https://rival.example/callback"); err != nil {
		return nil, err
	}
	clients := map[string]*profile.ClientMetadata{}
	for _, c := range []*client{w.ours, w.rival} {
		if clients[c.id], err = c.registration(); err != nil {
			return nil, err
		}
	}
	if w.bank, err = newBank(w.asURL, []string{w.apiURL, otherAPI}, clients, w.clock.Now); err != nil {
		return nil, err
	}
	keys, err := jwks.NewRemote(jwks.RemoteConfig{URL: w.bank.Metadata().JWKSURI, HTTPClient: w.httpClient("API"), Now: w.clock.Now})
	if err != nil {
		return nil, err
	}
	api, err := newAPI(w.apiURL, w.asURL, keys.Keys, w.bank.Revoked, w.clock.Now)
	if err != nil {
		return nil, err
	}
	// The app is there once it has discovered the authorization server, which is the first step of the flow.
	front := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.app.handler().ServeHTTP(rw, r) })
	for i, handler := range []http.Handler{w.tally.count(w.bank.Handler()), api, front} {
		if err := w.serve(sockets[i], handler); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// serve answers on a socket, by TLS as FAPI 2.0 wants it.
func (w *world) serve(socket net.Listener, handler http.Handler) error {
	certificate, err := w.authority.issue(net.IPv4(127, 0, 0, 1))
	if err != nil {
		return err
	}
	config := profile.TLSConfig() // SP-5.2.1-2, SP-5.2.2-1
	config.Certificates = []tls.Certificate{certificate}
	server := &http.Server{
		Handler: handler, TLSConfig: config, ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
	}
	w.servers = append(w.servers, server)
	go func() {
		if err := server.ServeTLS(socket, "", ""); !errors.Is(err, http.ErrServerClosed) {
			log.Printf("server at %s: %v", socket.Addr(), err)
		}
	}()
	return nil
}

func (w *world) close() {
	for _, server := range w.servers {
		server.Close() //nolint:errcheck // the process is about to end
	}
	for _, transport := range w.transports {
		transport.CloseIdleConnections()
	}
}

// httpClient returns what one party sends its requests with: it trusts the authority above, keeps to profile.TLSConfig,
// and the wire takes note of what it says.
func (w *world) httpClient(party string) *http.Client {
	w.mu.Lock()
	defer w.mu.Unlock()
	transport, ok := w.transports[party]
	if !ok {
		config := profile.TLSConfig()
		config.RootCAs = w.authority.pool
		transport = &http.Transport{TLSClientConfig: config}
		w.transports[party] = transport
	}
	return &http.Client{
		Transport:     &recorder{wire: w.wire, party: party, base: transport},
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// clientConfig is what our client is configured with. A nil key means a new one.
func (w *world) clientConfig(dpopKey *ecdsa.PrivateKey) profile.ClientConfig {
	return profile.ClientConfig{
		Issuer: w.asURL, ClientID: w.ours.id, RedirectURI: w.ours.redirectURI, Key: w.ours.auth, KeyID: authKeyID,
		DPoPKey: dpopKey, HTTPClient: w.httpClient("client"), Now: w.clock.Now,
	}
}

func newClient(id, redirectURI string) (*client, error) {
	c := &client{id: id, redirectURI: redirectURI}
	var err error
	if c.auth, err = newKey(); err != nil {
		return nil, err
	}
	if c.dpop, err = newKey(); err != nil {
		return nil, err
	}
	c.authRSA, err = rsa.GenerateKey(rand.Reader, 2048)
	return c, err
}

// registration is what the authorization server keeps about a client: its public keys, never a secret.
func (c *client) registration() (*profile.ClientMetadata, error) {
	keys, err := jwks.NewSet(jwks.Key{Public: c.auth.Public(), KeyID: authKeyID}, jwks.Key{Public: c.authRSA.Public(), KeyID: authRSAKeyID})
	if err != nil {
		return nil, err
	}
	m := &profile.ClientMetadata{
		ClientID: c.id, ClientName: "The " + c.id, RedirectURIs: []string{c.redirectURI}, Scope: "openid accounts",
		GrantTypes: []string{"authorization_code", "refresh_token", "client_credentials"}, JWKS: keys,
		TokenEndpointAuthMethod: "private_key_jwt", DPoPBoundAccessTokens: true,
	}
	return m, m.Validate()
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// A clock is everybody's time. It runs as fast as the real one, and attacks that have to wait set it forward.
type clock struct{ ahead atomic.Int64 }

// Now is the time.
func (c *clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) pass(d time.Duration) { c.ahead.Add(int64(d)) }

// A tally counts requests by path. Its zero value is ready.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func (t *tally) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.mu.Lock()
		if t.n == nil {
			t.n = map[string]int{}
		}
		t.n[r.URL.Path]++
		t.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// of returns how many requests came to an endpoint.
func (t *tally) of(endpoint string) int {
	u, err := url.Parse(endpoint)
	if err != nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n[u.Path]
}

// An authority is a certification authority for as long as this program runs.
type authority struct {
	key    crypto.Signer
	cert   *x509.Certificate
	pool   *x509.CertPool
	serial int64
}

func newAuthority() (*authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "quickstart authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	a := &authority{key: key, cert: cert, pool: x509.NewCertPool(), serial: 1}
	a.pool.AddCert(cert)
	return a, nil
}

// issue returns a certificate for a server at ip, with a key of its own.
func (a *authority) issue(ip net.IP) (tls.Certificate, error) {
	key, err := newKey()
	if err != nil {
		return tls.Certificate{}, err
	}
	a.serial++
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), IPAddresses: []net.IP{ip}, NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
