package client

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"

	"github.com/gofapi/fapi2/dpop"
	"golang.org/x/oauth2"
)

// proofKeyKey is the key of the Extra value that contains the *proofKey of a
// token.
const proofKeyKey = "client: DPoP key"

// A proofKey is the DPoP key of one user. It is made at the login, and stored
// with the token.
type proofKey struct {
	prover *dpop.Prover
	pkcs8  []byte
}

// newProofKey makes a P-256 key. Proofs with RSA keys are longer, and such a
// key does not fit into a session in a cookie.
func (c *Client) newProofKey() (*proofKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return c.proofKeyOf(key, pkcs8)
}

// parseProofKey returns the key of a session or of a stored token. The error
// does not quote it.
func (c *Client) parseProofKey(pkcs8 []byte) (*proofKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, errors.New("malformed DPoP key")
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("unsupported DPoP key %T", parsed)
	}
	return c.proofKeyOf(key, pkcs8)
}

func (c *Client) proofKeyOf(key crypto.Signer, pkcs8 []byte) (*proofKey, error) {
	prover, err := dpop.NewProver(dpop.ProverConfig{Key: key, Now: c.cfg.Hooks.Now})
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return &proofKey{prover, pkcs8}, nil
}

// proofKeyOf returns the key that a token is bound to. It is nil if that is
// DPoPKey or a certificate.
func proofKeyOf(token *oauth2.Token) *proofKey {
	key, _ := token.Extra(proofKeyKey).(*proofKey)
	return key
}

type proofKeyContext struct{}

// withProofKey returns a context for requests to the authorization server whose
// proofs are made with key. If key is nil, DPoPKey makes them.
func withProofKey(ctx context.Context, key *proofKey) context.Context {
	if key == nil {
		return ctx
	}
	return context.WithValue(ctx, proofKeyContext{}, key)
}

func proofKeyIn(ctx context.Context) *proofKey {
	key, _ := ctx.Value(proofKeyContext{}).(*proofKey)
	return key
}

// serverProofs adds proofs to the requests to the authorization server. The
// context of a request has its key, because package par sends the push.
type serverProofs struct{ proofs *dpop.Transport }

// RoundTrip implements http.RoundTripper.
func (t serverProofs) RoundTrip(r *http.Request) (*http.Response, error) {
	if key := proofKeyIn(r.Context()); key != nil {
		return t.proofs.WithProver(key.prover).RoundTrip(r)
	}
	return t.proofs.RoundTrip(r)
}

// withKeyOf returns base with the key of a token that has one of its own. It
// returns nil for other tokens.
func withKeyOf(token *oauth2.Token, base http.RoundTripper) http.RoundTripper {
	key := proofKeyOf(token)
	if key == nil {
		return nil
	}
	switch proofs := base.(type) {
	case *dpop.Transport:
		return proofs.WithProver(key.prover)
	case serverProofs:
		return proofs.proofs.WithProver(key.prover)
	}
	return nil
}
