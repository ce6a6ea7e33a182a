package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/examples/internal/ready"
	"github.com/gofapi/fapi2/examples/internal/records"
	"github.com/gofapi/fapi2/examples/internal/telemetry"
	"github.com/gofapi/fapi2/examples/internal/vault"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/uses"
	"github.com/gofapi/fapi2/tokenbinding"
)

// A bank is the authorization server with its pages, and the API.
type bank struct {
	surroundings
	cfg      *config
	kept     *kept
	server   *authserver.Server
	protocol http.Handler // the server's endpoints
	users    *users
	sessions *sessions
	details  *rar.Registry
	vault    *vault.Vault
	probe    *ready.Probe
	answers  answers

	permissions permissions
	payments    payments
	consents    consents
	keysOf      map[string]keySource // of clients, for messages
	uses        *uses.Uses           // of consents to payments
}

// surroundings are what the program gives to its parts.
type surroundings struct {
	log       *slog.Logger
	now       func() time.Time
	telemetry *telemetry.Telemetry // nil if it is off
}

const (
	accessTokenLifetime  = 5 * time.Minute
	refreshTokenLifetime = 90 * 24 * time.Hour
	grantLifetime        = 365 * 24 * time.Hour
	// usesKept is longer than any grant lives, as a merge can prolong one.
	usesKept = 10 * grantLifetime
)

// newBank creates the bank. authserver.Server implements the protocol. The bank
// adds its users and clients, and the method interact, which asks the user.
func newBank(ctx context.Context, cfg *config, kept *kept, s surroundings) (*bank, error) {
	b := &bank{surroundings: s, cfg: cfg, kept: kept, details: cfg.details}
	if err := b.load(ctx); err != nil {
		return nil, err
	}
	settings, err := b.settings()
	if err != nil {
		return nil, err
	}
	if b.server, err = authserver.New(settings); err != nil {
		return nil, err
	}
	b.protocol = b.server.Handler()
	return b, nil
}

// load prepares the data of the bank in the store.
func (b *bank) load(ctx context.Context) (err error) {
	r := &records.Records{Store: b.kept.main, Owner: "fapi2/examples/bank\x00" + b.cfg.issuer, Now: b.now}
	b.permissions = permissions{records: r, nobody: b.cfg.autoApprove}
	b.payments = payments{records: r, details: b.details}
	b.consents = consents{records: r}
	if b.keysOf, err = b.newKeysOf(); err != nil {
		return err
	}
	b.vault, err = vault.New(ctx, vault.Config{Records: r, Uses: b.cfg.uses(), Period: b.cfg.keyPeriod()})
	if err != nil {
		return err
	}
	b.probe = b.newProbe()
	if b.users, err = newUsers(ctx, r, b.cfg.users, b.cfg.iterations, b.now); err != nil {
		return err
	}
	if err = b.checkUsers(ctx); err != nil {
		return err
	}
	b.sessions = &sessions{now: b.now, secrets: b.vault.Secrets, records: r}
	b.uses, err = uses.New(uses.Config{Store: b.kept.main, Issuer: b.cfg.issuer, Keep: usesKept, Now: b.now})
	return err
}

// settings returns the configuration of the server.
func (b *bank) settings() (authserver.Config, error) {
	cfg := b.cfg
	settings := authserver.Config{
		Profile: cfg.profile, Issuer: cfg.issuer, KeySource: b.vault.SigningKeys, KeyRefresh: vault.Refresh,
		Store: b.kept.server(), Replay: b.kept.replay, SeveralInstances: b.kept.isShared(),
		Clients: b.client, Scopes: cfg.scopes(), Resources: cfg.resources,
		Introspection:        &authserver.Introspection{ResourceServers: b.resourceServers},
		AuthorizationDetails: b.details,
		Grants: &grants.ManagerConfig{
			Index: b.kept.index(), Events: b.grantChanged, Lifetime: grantLifetime,
		},
		GrantIDInTokens: true, ACRValues: cfg.acrValues, InteractionIDs: cfg.interactionIDs,
		Lifetimes: authserver.Lifetimes{
			Request: cfg.requestLifetime(), AccessToken: accessTokenLifetime, RefreshToken: refreshTokenLifetime,
		},
		Interact: b.interact,
		Hooks: authserver.Hooks{
			ErrorPage: b.errorPage, Logger: b.log, Now: b.now, Observe: b.telemetry.ObserveRequest(),
		},
	}
	if cfg.mtlsListen != "" {
		source, err := certificates()
		if err != nil {
			return settings, err
		}
		settings.MutualTLS = &authserver.MutualTLS{
			Certificates: source, ClientCAs: cfg.clientCAs, BaseURL: cfg.mtlsURL(),
		}
	}
	if cfg.openid {
		settings.UserInfo, settings.Claims = b.userInfo, cfg.supportedClaims()
	}
	b.useRules(&settings)
	if cfg.accessToken == "opaque" {
		settings.OpaqueAccessTokens = true
	}
	var err error
	settings.Nonces, err = b.nonces(useServerNonces)
	return settings, err
}

// checkUsers reports users of the store that do not fit the configuration.
func (b *bank) checkUsers(ctx context.Context) error {
	names, err := b.users.names(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if b.cfg.registered[name] != nil {
			return fmt.Errorf("clients: %.100q is the name of a user in the store", name)
		}
	}
	if b.cfg.autoApprove == "" {
		return nil
	}
	if ok, err := b.users.exists(ctx, b.cfg.autoApprove); err != nil || ok {
		return err
	}
	return errors.New("auto_approve: the operator has deleted this user")
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

// certificates reads client certificates from the TLS connection. The command
// openssl req -x509 marks the certificate of a client that signs its own as
// that of a CA. Such a certificate is never accepted for tls_client_auth.
func certificates() (*tokenbinding.CertificateSource, error) {
	return tokenbinding.NewCertificateSource(tokenbinding.CertificateSourceConfig{SelfSignedCA: true})
}

// nonces returns a source of nonces for one party. The server and the API have
// different keys. If the source is nil, proofs need no nonce.
func (b *bank) nonces(use string) (*dpop.NonceSource, error) {
	if !b.cfg.requireNonce {
		return nil, nil
	}
	return dpop.NewNonceSource(dpop.NonceSourceConfig{
		KeySource: b.vault.Source(use), KeyRefresh: vault.Refresh, Now: b.now,
		Report: func(ctx context.Context, err error) {
			b.log.WarnContext(ctx, "keys of nonces not read", "reason", err.Error())
		},
	})
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
	return b.telemetry.Handler(b.observe(b.routes(own)), "bank"), nil
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
	own[b.cfg.path("/healthz")] = http.HandlerFunc(b.probe.Live)
	own[b.cfg.path("/readyz")] = http.HandlerFunc(b.probe.Ready)
	return b.telemetry.Handler(b.observe(b.routes(own)), "bank, mutual TLS"), nil
}

// routes serves a path only in this exact spelling. http.ServeMux would
// redirect other spellings, and a browser would send its password again. A path
// that ends in {id} is for any last segment. All other paths go to the protocol
// handler.
func (b *bank) routes(own map[string]http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		handler, ok := own[path]
		if !ok {
			handler, ok = own[path[:strings.LastIndexByte(path, '/')+1]+"{id}"]
		}
		if ok {
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
