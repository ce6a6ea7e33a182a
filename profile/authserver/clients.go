package authserver

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/rules"
	"github.com/gofapi/fapi2/tokenbinding"
)

// A sender is the authenticated client of a request.
type sender struct {
	auth        clientauth.Authentication
	client      *profile.ClientMetadata
	rules       *rules.Set
	certificate tokenbinding.ClientCertificate // zero if none was presented
}

// authenticate finds out who sends a request and what was registered for it,
// and applies the rules for an endpoint. Nothing is written before the returned
// Authentication is committed.
func (s *Server) authenticate(
	ctx context.Context, r *http.Request, params url.Values, endpoint string,
) (from sender, err error) {
	if from.certificate, err = s.certificate(r); err != nil {
		return sender{}, err
	}
	ctx = s.withRegistration(ctx)
	from.auth, err = s.clients.Check(ctx, clientauth.Credentials{
		Form: params, Authorization: r.Header.Values("Authorization"),
		Certificates: from.certificate.Chain, ChainVerified: from.certificate.Verified,
	})
	if err != nil {
		return sender{}, err
	}
	if e := eventOf(ctx); e != nil {
		e.ClientID, e.ClientAuth = from.auth.ClientID(), from.auth.Method()
	}
	if from.client, err = s.client(ctx, from.auth.ClientID()); err != nil {
		return sender{}, err
	}
	from.rules = s.rulesIn(ctx, from.client)
	return from, s.checkSender(r, &from, endpoint)
}

// registrationKey is the key of the registration of a client in a context.
type registrationKey struct{ *Server }

// withRegistration returns a context in which the server asks the host once for
// a registration. All checks of one request then see the same.
func (s *Server) withRegistration(ctx context.Context) context.Context {
	if ctx.Value(registrationKey{s}) != nil {
		return ctx
	}
	return context.WithValue(ctx, registrationKey{s}, new(registration))
}

// A registration is the value of a registrationKey.
type registration struct{ found atomic.Pointer[registered] }

// registered is a registration with the rules for its client.
type registered struct {
	client *profile.ClientMetadata
	rules  *rules.Set
}

// certificate returns what the client has presented, nothing if mutual TLS is
// off.
func (s *Server) certificate(r *http.Request) (tokenbinding.ClientCertificate, error) {
	if s.cfg.MutualTLS == nil {
		return tokenbinding.ClientCertificate{}, nil
	}
	certificate, err := s.cfg.MutualTLS.Certificates.Certificate(r)
	if errors.Is(err, tokenbinding.ErrCertificate) {
		// MTLS-2-3: an invalid certificate authenticates no client.
		err = oautherr.Describe(fmt.Errorf("%w: %w", clientauth.ErrCertificate, err), "client certificate is not valid")
	}
	return certificate, err
}

// client returns a registration. A host's failure is not the client's fault and
// does not look like it.
func (s *Server) client(ctx context.Context, clientID string) (*profile.ClientMetadata, error) {
	known, ok := ctx.Value(registrationKey{s}).(*registration)
	if ok {
		if found := known.found.Load(); found != nil && found.client.ClientID == clientID {
			return found.client, nil
		}
	}
	client, err := s.cfg.Clients(ctx, clientID)
	switch {
	case errors.Is(err, clientauth.ErrUnknownClient):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: client registration: %w", ErrStore, err)
	case client == nil || client.ClientID != clientID:
		return nil, fmt.Errorf("%w: Clients returned another client's registration", ErrStore)
	}
	if ok {
		known.found.Store(&registered{client, s.rulesOf(client)})
	}
	return client, nil
}

// lookup is what clientauth asks.
func (s *Server) lookup(ctx context.Context, clientID string) (clientauth.Client, error) {
	client, err := s.client(ctx, clientID)
	if err != nil {
		return clientauth.Client{}, err
	}
	if client.TokenEndpointAuthMethod == "" { // SP-5.3.2.1-6: RFC 7591 would have it mean client_secret_basic
		return clientauth.Client{}, clientauth.ErrUnknownClient
	}
	known := client.Authentication() // CA-OIDC-9-2: and its algorithm
	known.Keys = s.remoteKeys.of(client)
	set := s.rulesIn(ctx, client)
	known.Algorithms, known.MinRSABits = set.Algorithms.For(set.Algorithms.Assertion), set.Algorithms.RSABits
	known.MaxLifetime = set.Lifetimes.Assertion.Max
	return known, nil
}

// remoteKeys keeps one source for each jwks_uri, so that its cache and its
// limits outlive a request.
type remoteKeys struct {
	client  *http.Client
	now     func() time.Time
	logger  *slog.Logger
	mu      sync.Mutex // one source is made for one URI, however many requests come at once
	sources *expiring.Cache[*jwks.Remote]
}

func newRemoteKeys(client *http.Client, now func() time.Time, logger *slog.Logger) *remoteKeys {
	const maxSources = 10000
	return &remoteKeys{client: client, now: now, logger: logger, sources: expiring.NewCache[*jwks.Remote](maxSources)}
}

// encryption returns the keys of a client to encrypt to.
func (k *remoteKeys) encryption(ctx context.Context, client *profile.ClientMetadata, alg string) ([]jwks.Key, error) {
	if client.JWKS != nil {
		return client.JWKS.EncryptionKeys(ctx, alg)
	}
	if client.JWKSURI == "" {
		return nil, nil
	}
	source, err := k.source(client.JWKSURI)
	if err != nil {
		return nil, err
	}
	return source.EncryptionKeys(ctx, alg)
}

func (k *remoteKeys) of(
	client *profile.ClientMetadata,
) func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	if client.JWKS != nil {
		return client.JWKS.Keys
	}
	return func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error) {
		if client.JWKSURI == "" {
			return nil, nil // no key: no signature verifies
		}
		source, err := k.source(client.JWKSURI)
		if err != nil {
			return nil, err
		}
		return source.Keys(ctx, kid, alg)
	}
}

func (k *remoteKeys) source(uri string) (*jwks.Remote, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if source, ok := k.sources.Get(uri); ok {
		return source, nil
	}
	source, err := jwks.NewRemote(jwks.RemoteConfig{
		URL: uri, HTTPClient: k.client, PublicOnly: k.client == nil, Now: k.now,
		Report: func(ctx context.Context, dropped []jwks.Dropped) {
			for _, d := range dropped {
				k.logger.WarnContext(ctx, "key dropped", "jwks_uri", uri, "detail", d.String())
			}
		},
	})
	if err != nil {
		return nil, err
	}
	k.sources.Put(uri, source)
	return source, nil
}
