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

// This file adds FAPI 2.0 Message Signing to the three servers: introspection
// by the API, and archives.

// An askerConfig is the configuration of the introspection client of one API.
type askerConfig struct {
	resource, clientID string // the API's resource identifier and its client ID
	issuer, endpoint   string
	// with the API's certificate for mutual TLS
	httpClient *http.Client
	// if nil, the certificate authenticates the API
	authenticate func(ctx context.Context, form url.Values) error
	keys         func(context.Context, string, string) ([]crypto.PublicKey, error) // the authorization server's
	now          func() time.Time
}

// newAsker creates the introspection client of an API. It accepts only signed
// responses and introspects a token at each request. A revoked token is
// therefore rejected at once. With CacheFor there are fewer requests, and
// revocations take effect later by as much.
func newAsker(cfg askerConfig) (*introspection.Client, error) {
	return introspection.NewClient(introspection.ClientConfig{
		Endpoint: cfg.endpoint, HTTPClient: cfg.httpClient, Authenticate: cfg.authenticate, Issuer: cfg.issuer,
		ClientID: cfg.clientID,
		Keys:     cfg.keys, Algorithms: []string{"ES256"}, Audience: []string{cfg.resource}, Now: cfg.now,
	})
}

// An archive stores the signed messages that one party has accepted or issued.
// A real archive is an append-only log with few readers and a retention period,
// because it contains personal data: see profile.Evidence. The zero value is
// ready.
type archive struct {
	mu   sync.Mutex
	held []profile.Evidence
}

// keep stores a message before it takes effect. If keep fails, the message has
// no effect.
func (a *archive) keep(_ context.Context, e profile.Evidence) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held = append(a.held, e)
	return nil
}

// of returns the messages of one kind.
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
