package main

import (
	"context"
	"crypto"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/profile"
)

// What FAPI 2.0 Message Signing adds to the three servers: a way for the API to ask about tokens, and archives.

// An askerConfig is what is different for each API that asks about tokens.
type askerConfig struct {
	resource, clientID string // what the API is in tokens, and what it is as a client of the authorization server
	issuer, endpoint   string
	httpClient         *http.Client                                                      // with the API's certificate, if that authenticates it
	authenticate       func(ctx context.Context, form url.Values) error                  // nil: its certificate does
	keys               func(context.Context, string, string) ([]crypto.PublicKey, error) // the authorization server's
	now                func() time.Time
}

// newAsker sets up how an API asks about tokens. It takes signed answers only, and asks each time: so a token that is
// revoked is worth nothing from then on. With CacheFor it would ask less often, and be late by as much.
func newAsker(cfg askerConfig) (*introspection.Client, error) {
	return introspection.NewClient(introspection.ClientConfig{
		Endpoint: cfg.endpoint, HTTPClient: cfg.httpClient, Authenticate: cfg.authenticate, Issuer: cfg.issuer, ClientID: cfg.clientID,
		Keys: cfg.keys, Algorithms: []string{"ES256"}, Audience: []string{cfg.resource}, Now: cfg.now,
	})
}

// An archive keeps the signed messages that one party has accepted or issued. Yours is a log that only grows, with few
// readers and an end, since it holds personal data: see profile.Evidence. Its zero value is ready.
type archive struct {
	mu   sync.Mutex
	held []profile.Evidence
}

// keep is called before a message takes effect. If it fails the message has none.
func (a *archive) keep(_ context.Context, e profile.Evidence) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held = append(a.held, e)
	return nil
}

// of returns what is held of one kind.
func (a *archive) of(kind string, issued bool) (found []profile.Evidence) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.held {
		if e.Kind == kind && e.Issued == issued {
			found = append(found, e)
		}
	}
	return found
}
