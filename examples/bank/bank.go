package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/uses"
	"github.com/gofapi/fapi2/store"
	"github.com/gofapi/fapi2/tokenbinding"
)

// A bank is the authorization server with its pages, and the API.
type bank struct {
	cfg      *config
	log      *slog.Logger
	now      func() time.Time
	server   *authserver.Server
	protocol http.Handler // the server's endpoints
	users    *users
	sessions *sessions
	details  *rar.Registry
	answers  answers

	permissions permissions
	payments    payments
	uses        *uses.Uses // of consents to payments
}

const (
	accessTokenLifetime  = 5 * time.Minute
	refreshTokenLifetime = 90 * 24 * time.Hour
	grantLifetime        = 365 * 24 * time.Hour
	// usesKept is longer than any grant lives, as a merge can prolong one.
	usesKept = 10 * grantLifetime
)

// newBank creates the bank. authserver.Server implements the
// protocol. The bank adds its users and clients, and the method interact, which
// asks the user.
func newBank(cfg *config, log *slog.Logger, now func() time.Time) (*bank, error) {
	b := &bank{
		cfg: cfg, log: log, now: now, details: cfg.details,
		permissions: permissions{nobody: cfg.autoApprove, byUser: map[string][]permission{}},
		payments:    payments{byUser: map[string][]payment{}},
	}
	var err error
	if b.users, err = newUsers(cfg.users, cfg.iterations, now); err != nil {
		return nil, err
	}
	if b.sessions, err = newSessions(now); err != nil {
		return nil, err
	}
	// This example keeps everything in memory. A real bank needs a shared,
	// persistent store. Otherwise a payment could be made again after a
	// restart.
	used, err := store.NewMemory(store.MemoryConfig{Now: now})
	if err != nil {
		return nil, err
	}
	if b.uses, err = uses.New(uses.Config{Store: used, Issuer: cfg.issuer, Keep: usesKept, Now: now}); err != nil {
		return nil, err
	}
	keys, err := newKeys(cfg.algorithms)
	if err != nil {
		return nil, err
	}
	settings := authserver.Config{
		Profile: cfg.profile, Issuer: cfg.issuer, Keys: keys,
		Clients: b.client, Scopes: cfg.scopes(), Resources: cfg.resources,
		Introspection:        &authserver.Introspection{ResourceServers: b.resourceServers},
		AuthorizationDetails: b.details, Grants: &grants.ManagerConfig{Events: b.grantChanged, Lifetime: grantLifetime},
		GrantIDInTokens: true,
		Lifetimes: authserver.Lifetimes{
			Request: cfg.requestLifetime(), AccessToken: accessTokenLifetime, RefreshToken: refreshTokenLifetime,
		},
		Interact: b.interact,
		Hooks:    authserver.Hooks{ErrorPage: b.errorPage, Logger: log, Now: now},
	}
	if cfg.mtlsListen != "" {
		source, err := certificates()
		if err != nil {
			return nil, err
		}
		settings.MutualTLS = &authserver.MutualTLS{
			Certificates: source, ClientCAs: cfg.clientCAs, BaseURL: cfg.mtlsURL(),
		}
	}
	if settings.Nonces, err = cfg.nonces(now); err != nil {
		return nil, err
	}
	if cfg.openid {
		settings.UserInfo = userInfo
	}
	if cfg.accessToken == "opaque" {
		settings.OpaqueAccessTokens = true
	}
	if b.server, err = authserver.New(settings); err != nil {
		return nil, err
	}
	b.protocol = b.server.Handler()
	return b, nil
}

func (b *bank) client(_ context.Context, clientID string) (*profile.ClientMetadata, error) {
	if client, ok := b.cfg.registered[clientID]; ok {
		return client, nil
	}
	return nil, clientauth.ErrUnknownClient
}

// resourceServers returns the APIs of this bank that a client operates.
func (b *bank) resourceServers(_ context.Context, clientID string) ([]string, error) {
	return b.cfg.resourceServers[clientID], nil
}

// userInfo returns the claims that this bank has about a user.
func userInfo(_ context.Context, token *resourceserver.Token) (map[string]any, error) {
	if token.HasScope("profile") {
		return map[string]any{"preferred_username": token.Subject()}, nil
	}
	return nil, nil
}

// certificates reads client certificates from the TLS connection. The command
// openssl req -x509 marks the certificate of a client that signs its own as
// that of a CA. Such a certificate is never accepted for tls_client_auth.
func certificates() (*tokenbinding.CertificateSource, error) {
	return tokenbinding.NewCertificateSource(tokenbinding.CertificateSourceConfig{SelfSignedCA: true})
}

// nonces returns a source of nonces for one party. The server and the API have
// different keys. If the source is nil, proofs need no nonce.
func (c *config) nonces(now func() time.Time) (*dpop.NonceSource, error) {
	if !c.requireNonce {
		return nil, nil
	}
	return dpop.NewNonceSource(dpop.NonceSourceConfig{Now: now})
}

// newKeys creates the keys of the server. The keys of a real bank are in a KMS
// or an HSM, and outlive the program.
func newKeys(algorithms []string) ([]profile.SigningKey, error) {
	keys := make([]profile.SigningKey, len(algorithms))
	for i, algorithm := range algorithms {
		key, err := newKey(algorithm)
		if err != nil {
			return nil, err
		}
		keys[i] = profile.SigningKey{Key: key, Algorithm: algorithm}
	}
	return keys, nil
}

func newKey(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "PS256":
		return rsa.GenerateKey(rand.Reader, 2048)
	default: // EdDSA, Ed25519
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
}

// handler returns the handler for the address listen. It serves all endpoints
// and pages.
func (b *bank) handler() (http.Handler, error) {
	api, err := b.newAPI(b.cfg.issuer, false)
	if err != nil {
		return nil, err
	}
	own := b.pages()
	for path, handler := range api {
		own[path] = handler
	}
	return b.observe(b.routes(own)), nil
}

// mtlsHandler returns the handler for the address mtls_listen. It serves the
// endpoints for programs. The pages stay at an address that asks no browser for
// a certificate.
func (b *bank) mtlsHandler() (http.Handler, error) {
	own, err := b.newAPI(b.cfg.mtlsURL(), true)
	if err != nil {
		return nil, err
	}
	own[b.cfg.path("/authorize")] = http.NotFoundHandler()
	own[b.cfg.path("/healthz")] = http.HandlerFunc(healthy)
	return b.observe(b.routes(own)), nil
}

// routes serves a path only in this exact spelling. http.ServeMux would
// redirect other spellings, and a browser would send its password again. All
// other paths go to the protocol handler.
func (b *bank) routes(own map[string]http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if handler, ok := own[r.URL.EscapedPath()]; ok {
			handler.ServeHTTP(w, r)
			return
		}
		b.protocol.ServeHTTP(w, r)
	})
}

// only serves a path for the given methods.
func only(handlers map[string]http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		if handler, ok := handlers[method]; ok {
			handler(w, r)
			return
		}
		allowed := make([]string, 0, len(handlers))
		for method := range handlers {
			allowed = append(allowed, method)
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	})
}

func healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprintln(w, `{"status":"ok"}`)
}
