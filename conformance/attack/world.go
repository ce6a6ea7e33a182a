package attack

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

// clientID is the registration of the client at both authorization servers. The
// attacker's server has chosen the same value, which no rule forbids.
const clientID = "app"

// A Wrapper returns a handler that stands in front of a party, or in its place.
type Wrapper func(w *World, next http.Handler) http.Handler

// A Config configures [NewWorld]. The zero value is valid: all honest parties
// are those of this module, unchanged.
type Config struct {
	// AuthServer, API and Client wrap the honest parties. If nil, a party is
	// not wrapped.
	AuthServer, API, Client Wrapper
	// Guard changes the configuration of the API. If nil, nothing is changed.
	Guard func(cfg *resourceserver.Config)
	// Sessions changes the configuration of the client's unfinished logins. If
	// nil, nothing is changed.
	Sessions func(cfg *client.SessionsConfig)
	// ClientKey is the key with which the client authenticates. A wrapper that
	// must sign for the client needs it. If nil, the key is new and private.
	ClientKey *ecdsa.PrivateKey
}

// A World has an honest authorization server, an API, a client and a user, and
// an attacker with an authorization server of its own. All of them are on TLS
// sockets of the loopback interface. A World is safe for concurrent use.
type World struct {
	// Issuer is the honest authorization server, and RogueIssuer that of the
	// attacker.
	Issuer, RogueIssuer string
	// APIURL is the API, whose resource is at /accounts. ClientURL is the
	// client. It has /login, /callback, /me and /accounts.
	APIURL, ClientURL string

	keys    func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
	rogue   *door
	user    *browser
	servers []*httptest.Server

	mu       sync.Mutex
	parties  map[string]Party // by the address of the connection
	pools    []*http.Transport
	events   []Event
	requests []*http.Request // to the API, after it has processed them
	visits   []string        // authorization requests of the user's browser
}

// A door is a socket whose handler comes later.
type door struct{ handler atomic.Pointer[http.Handler] }

func (d *door) open(handler http.Handler) { d.handler.Store(&handler) }

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler := d.handler.Load()
	if handler == nil {
		http.NotFound(w, r)
		return
	}
	(*handler).ServeHTTP(w, r)
}

// NewWorld starts the parties of a world. Call Close at the end.
func NewWorld(cfg Config) (*World, error) {
	w := &World{parties: map[string]Party{}}
	var bank, api, front *door
	bank, w.Issuer = w.serve()
	api, w.APIURL = w.serve()
	front, w.ClientURL = w.serve()
	w.rogue, w.RogueIssuer = w.serve()
	w.user = w.newBrowser(User, Alice)
	err := w.settle(cfg, bank, api, front)
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// Close stops all parties.
func (w *World) Close() {
	w.mu.Lock()
	pools := slices.Clone(w.pools)
	w.mu.Unlock()
	for _, pool := range pools {
		pool.CloseIdleConnections()
	}
	for _, server := range w.servers {
		server.Close()
	}
}

// Events returns what the honest parties have recorded until now.
func (w *World) Events() []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

// Party returns the party that has sent a request.
func (w *World) Party(r *http.Request) Party {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.parties[r.RemoteAddr]
}

// Keys returns the keys of the honest authorization server, for a [Wrapper]
// that reads access tokens.
func (w *World) Keys(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	return w.keys(ctx, kid, alg)
}

// Deliver writes the resource of a subject, and records the party that receives
// it. A [Wrapper] in place of the API calls it.
func (w *World) Deliver(rw http.ResponseWriter, r *http.Request, subject string) {
	w.record(Event{Kind: Delivered, Party: w.Party(r), Subject: subject})
	fmt.Fprintf(rw, "accounts of %s", subject)
}

func (w *World) record(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

func (w *World) serve() (d *door, url string) {
	d = new(door)
	server := httptest.NewTLSServer(d)
	w.servers = append(w.servers, server)
	return d, server.URL
}

// httpClient returns the HTTP client of a party. The world recognizes the
// connections of the client. The client follows no redirect.
func (w *World) httpClient(party Party) *http.Client {
	pool := w.servers[0].Client().Transport.(*http.Transport).Clone()
	pool.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			w.mu.Lock()
			w.parties[connection.LocalAddr().String()] = party
			w.mu.Unlock()
		}
		return connection, err
	}
	w.mu.Lock()
	w.pools = append(w.pools, pool)
	w.mu.Unlock()
	return &http.Client{
		Transport: pool, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// timeout bounds each request of the world.
const timeout = 10 * time.Second

// settle creates the honest parties and opens their sockets.
func (w *World) settle(cfg Config, bank, api, front *door) error {
	issuerKey, err := newKey()
	if err != nil {
		return err
	}
	if cfg.ClientKey == nil {
		if cfg.ClientKey, err = newKey(); err != nil {
			return err
		}
	}
	registration, err := w.registration(cfg.ClientKey)
	if err != nil {
		return err
	}
	server, err := newBank(authserver.Config{
		Issuer: w.Issuer, Keys: []profile.SigningKey{{Key: issuerKey}}, Scopes: []string{"openid", "accounts"},
		Resources: []string{w.APIURL},
		Clients: func(_ context.Context, id string) (*profile.ClientMetadata, error) {
			if id != clientID {
				return nil, clientauth.ErrUnknownClient
			}
			return registration, nil
		},
	})
	if err != nil {
		return err
	}
	w.keys = server.Keys().Keys
	guard := resourceserver.Config{
		Resource: w.APIURL, Issuers: []resourceserver.Issuer{{ID: w.Issuer, Keys: w.keys, Revoked: server.Revoked}},
	}
	if cfg.Guard != nil {
		cfg.Guard(&guard)
	}
	resource, err := resourceserver.New(guard)
	if err != nil {
		return err
	}
	web, err := w.newApp(cfg.ClientKey, cfg.Sessions)
	if err != nil {
		return err
	}
	bank.open(w.wrap(cfg.AuthServer, server.Handler()))
	api.open(w.noteRequests(w.wrap(cfg.API, resource.Require("accounts")(http.HandlerFunc(w.accounts)))))
	front.open(w.wrap(cfg.Client, web))
	return nil
}

func (w *World) wrap(wrapper Wrapper, next http.Handler) http.Handler {
	if wrapper == nil {
		return next
	}
	return wrapper(w, next)
}

// registration returns the registration of the client.
func (w *World) registration(key *ecdsa.PrivateKey) (*profile.ClientMetadata, error) {
	set, err := jwks.NewSet(jwks.Key{Public: key.Public(), KeyID: "1"})
	if err != nil {
		return nil, err
	}
	return &profile.ClientMetadata{
		ClientID: clientID, RedirectURIs: []string{w.ClientURL + "/callback"}, JWKS: set, Scope: "openid accounts",
		GrantTypes:              []string{"authorization_code"},
		TokenEndpointAuthMethod: clientauth.MethodPrivateKeyJWT, DPoPBoundAccessTokens: true,
	}, nil
}

// accounts is the resource of the API.
func (w *World) accounts(rw http.ResponseWriter, r *http.Request) {
	token, ok := resourceserver.TokenFromContext(r.Context())
	if !ok {
		http.Error(rw, "no token", http.StatusInternalServerError)
		return
	}
	w.Deliver(rw, r, token.Subject())
}

// noteRequests keeps the requests to the API of all parties except the
// attacker.
func (w *World) noteRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(rw, r)
		if w.Party(r) == Foe {
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.requests = append(w.requests, r.Clone(context.Background()))
	})
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }
