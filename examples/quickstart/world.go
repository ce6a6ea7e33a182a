package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/rar/openbanking"
)

// A world contains all parties. The authorization server and the API have two
// sockets each, of which one requests client certificates. The client is a web
// application. There is a second client, and the wire that records the
// messages.
type world struct {
	combination
	clock              clock
	wire               *wire
	servers            *authority // issues the certificates of servers
	clients            *authority // issues those of clients; only the authorization server trusts it
	asURL, asMTLSURL   string
	apiURL, apiMTLSURL string
	appURL             string
	bank               *bank
	app                *app
	ours, rival        *application
	apiClient          *application      // the API as a client that introspects tokens
	bankKey            *ecdsa.PrivateKey // signs in attacks that need a valid signature
	archives           struct{ bank, app, api archive }
	meddler            meddler // between the API and the authorization server
	tally              tally   // of the authorization server's requests, by URL
	orders             atomic.Int64

	mu         sync.Mutex
	transports map[sender]*http.Transport
	running    []*http.Server
}

// otherAPI is another API that the authorization server issues tokens for.
const otherAPI = "https://other-api.example"

// A client is a registered client with its private keys.
type application struct {
	id, redirectURI string
	auth            *ecdsa.PrivateKey // for private_key_jwt and request objects
	authRSA         *rsa.PrivateKey   // the same for the attacked client; only an RSA key can be misused for RS256
	dpop            *ecdsa.PrivateKey // its access tokens are bound to this key or to certificate
	certificate     *tls.Certificate  // for tls_client_auth
}

const (
	authKeyID    = "auth-ec"
	authRSAKeyID = "auth-rsa"
)

// newWorld creates a world. It opens the sockets first, because the parties
// need each other's URLs.
func newWorld(ctx context.Context, c combination) (w *world, err error) {
	w = &world{combination: c, wire: newWire(), transports: map[sender]*http.Transport{}}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	for name, its := range map[string]**authority{"authority for servers": &w.servers,
		"authority for clients": &w.clients} {
		if *its, err = newAuthority(name); err != nil {
			return nil, err
		}
	}
	doors := []struct {
		name   string
		url    *string
		asks   bool // for a client certificate
		socket net.Listener
	}{
		{name: "AS", url: &w.asURL}, {name: "AS-mTLS", url: &w.asMTLSURL, asks: true},
		{name: "API", url: &w.apiURL}, {name: "API-mTLS", url: &w.apiMTLSURL, asks: true},
		{name: "client", url: &w.appURL},
	}
	for i := range doors {
		d := &doors[i]
		if d.socket, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
			return nil, err
		}
		*d.url = "https://" + d.socket.Addr().String()
		w.wire.name(*d.url, d.name)
	}
	handlers, err := w.settle()
	if err != nil {
		return nil, err
	}
	for i, d := range doors {
		if err := w.serve(d.socket, handlers[i], d.asks); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// settle creates clients and servers, and returns the handlers of the sockets.
func (w *world) settle() (handlers []http.Handler, err error) {
	if w.ours, err = w.newClient("accounting-app", w.appURL+"/callback"); err != nil {
		return nil, err
	}
	if w.rival, err = w.newClient("rival-app", "https://rival.example/callback"); err != nil {
		return nil, err
	}
	if w.apiClient, err = w.newClient("accounts-api", ""); err != nil {
		return nil, err
	}
	if w.byJWT() || w.advanced() {
		if w.ours.authRSA, err = slowKey(); err != nil {
			return nil, err
		}
	}
	if w.bankKey, err = newKey(); err != nil {
		return nil, err
	}
	clients := map[string]*profile.ClientMetadata{}
	for _, c := range []*application{w.ours, w.rival, w.apiClient} {
		if clients[c.id], err = w.registration(c); err != nil {
			return nil, err
		}
	}
	w.bank, err = newBank(bankConfig{
		issuer: w.asURL, certificateURL: w.asMTLSURL, clientCAs: w.clients.pool,
		resources: []string{w.apiURL, otherAPI}, clients: clients, key: w.bankKey, now: w.clock.Now,
		profile: w.demands(), servers: map[string][]string{w.apiClient.id: {w.apiURL}}, evidence: w.archives.bank.keep,
	})
	if err != nil {
		return nil, err
	}
	api, err := w.settleAPI()
	if err != nil {
		return nil, err
	}
	as := w.tally.count(w.bank.Handler())
	// The app exists after it has discovered the authorization server, which is
	// the first step of the flow.
	front := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.app.handler().ServeHTTP(rw, r) })
	return []http.Handler{as, as, api, api, front}, nil
}

// serve serves a handler on a socket, with the TLS settings of FAPI 2.0.
func (w *world) serve(socket net.Listener, handler http.Handler, asksClients bool) error {
	certificate, err := w.servers.server(net.IPv4(127, 0, 0, 1))
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: w.wire.listen(handler), TLSConfig: serverTLS(*certificate, asksClients),
		ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
	}
	w.running = append(w.running, server)
	go func() {
		if err := server.ServeTLS(socket, "", ""); !errors.Is(err, http.ErrServerClosed) {
			log.Printf("server at %s: %v", socket.Addr(), err)
		}
	}()
	return nil
}

func (w *world) close() {
	for _, server := range w.running {
		server.Close() //nolint:errcheck // the program ends
	}
	for _, transport := range w.transports {
		transport.CloseIdleConnections()
	}
}

// A sender is a party with the certificate that it presents to servers that
// request one. The certificate may be nil.
type sender struct {
	party       string
	certificate *tls.Certificate
}

// httpClient returns the HTTP client of one party. It trusts the authority for
// servers and uses profile.TLSConfig. The wire records the party of its
// connections.
func (w *world) httpClient(party string, certificate *tls.Certificate) *http.Client {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := sender{party, certificate}
	transport, ok := w.transports[s]
	if !ok {
		config := profile.TLSConfig()
		config.RootCAs = w.servers.pool
		if certificate != nil {
			// GetClientCertificate presents the certificate to every server
			// that requests one. With Certificates, the client would omit a
			// certificate whose issuer the server does not list.
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return certificate, nil
			}
		}
		transport = &http.Transport{TLSClientConfig: config, DialContext: w.wire.dial(party)}
		w.transports[s] = transport
	}
	return &http.Client{
		Transport:     transport,
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// clientConfig returns the configuration of the client. The combination decides
// which of the keys it uses.
func (w *world) clientConfig(dpopKey *ecdsa.PrivateKey, certificate *tls.Certificate) client.Config {
	cfg := client.Config{
		Issuer: w.asURL, ClientID: w.ours.id, RedirectURI: w.ours.redirectURI, Profile: w.demands(),
		HTTPClient: w.httpClient("client", nil), Hooks: client.Hooks{Evidence: w.archives.app.keep, Now: w.clock.Now},
	}
	if w.byJWT() || w.advanced() {
		cfg.Key, cfg.KeyID = w.ours.auth, authKeyID
	}
	if w.byDPoP() {
		cfg.DPoPKey = dpopKey
	}
	if w.usesCertificates() {
		cfg.MutualTLS = &client.MutualTLS{
			Certificate: certificate, AuthMethod: w.auth, BindTokens: !w.byDPoP(), UseEndpointAliases: true,
		}
	}
	return cfg
}

// endpoints returns the endpoints of the client's requests.
func (w *world) endpoints() *profile.ServerMetadata {
	if w.usesCertificates() {
		return w.app.ServerMetadata().ForMTLS()
	}
	return w.app.ServerMetadata()
}

// api returns the URL at which the client calls the API.
func (w *world) api() string {
	if w.byDPoP() {
		return w.apiURL
	}
	return w.apiMTLSURL
}

func (w *world) newClient(id, redirectURI string) (*application, error) {
	c := &application{id: id, redirectURI: redirectURI}
	var err error
	if c.auth, err = newKey(); err != nil {
		return nil, err
	}
	if c.dpop, err = newKey(); err != nil {
		return nil, err
	}
	c.certificate, err = w.clients.client(c.hostName())
	return c, err
}

// hostName is the name in a client's certificate.
func (c *application) hostName() string { return c.id + ".example" }

// registration returns the registration of a client: its public keys or the
// name in its certificate, and never a secret.
func (w *world) registration(c *application) (*profile.ClientMetadata, error) {
	m := &profile.ClientMetadata{
		ClientID: c.id, ClientName: "The " + c.id, GrantTypes: []string{"client_credentials"},
		Scope:                     "openid accounts " + scopeQuery + " " + scopeRevoke,
		AuthorizationDetailsTypes: []string{openbanking.PaymentType},
		TokenEndpointAuthMethod:   w.auth,
		DPoPBoundAccessTokens:     w.byDPoP(), TLSClientCertificateBoundAccessTokens: !w.byDPoP(),
		UseMTLSEndpointAliases: w.usesCertificates(),
	}
	if c.redirectURI != "" {
		m.RedirectURIs = []string{c.redirectURI}
		m.GrantTypes = append(m.GrantTypes, "authorization_code", "refresh_token")
	}
	if w.advanced() {
		m.RequireSignedRequestObject, m.ResponseModes = true, []string{"jwt"}
		m.AuthorizationSignedResponseAlg, m.IntrospectionSignedResponseAlg = "ES256", "ES256"
	}
	if !w.byJWT() {
		m.TLSClientAuthSANDNS = c.hostName()
	}
	if w.byJWT() || w.advanced() {
		keys := []jwks.Key{{Public: c.auth.Public(), KeyID: authKeyID}}
		if c.authRSA != nil {
			keys = append(keys, jwks.Key{Public: c.authRSA.Public(), KeyID: authRSAKeyID})
		}
		var err error
		if m.JWKS, err = jwks.NewSet(keys...); err != nil {
			return nil, err
		}
	}
	return m, m.Validate()
}

// slowKey is shared by all worlds, because it takes longer to create than the
// rest of a world.
var slowKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// A clock is the clock of all parties. It runs in real time, and attacks that
// need time advance it.
type clock struct{ ahead atomic.Int64 }

// Now returns the time.
func (c *clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) pass(d time.Duration) { c.ahead.Add(int64(d)) }

// A tally counts requests by URL. Its zero value is ready.
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
		t.n["https://"+r.Host+r.URL.Path]++
		t.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// of returns the number of requests to endpoints.
func (t *tally) of(endpoints ...string) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, endpoint := range endpoints {
		n += t.n[endpoint]
	}
	return n
}
