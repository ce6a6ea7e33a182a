package dpop

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/jose"
)

// VerifierConfig configures a [Verifier]. Exactly one of BaseURLs and URLs is
// required.
type VerifierConfig struct {
	// BaseURLs are the URLs under which clients reach the service: scheme, host,
	// port and the part of the path that a proxy or http.StripPrefix removes. The
	// path of the request (its EscapedPath, so %2F differs from a slash) is
	// appended. With "https://example.com/bank", the proof of a request for
	// /v1/accounts names https://example.com/bank/v1/accounts. A service with
	// several base URLs, for example an alias for mutual TLS, accepts proofs for
	// each of them.
	BaseURLs []string

	// URLs returns the URLs that the proof of a request may name, in place of
	// BaseURLs: for example those of tenants, or the original URL behind a gateway.
	// The verifier ignores query and fragment. URLs must not trust headers such as
	// X-Forwarded-Host unless a proxy replaces them. If URLs returns an error, or
	// no URL, the request is rejected.
	URLs func(*http.Request) ([]*url.URL, error)

	// Replay remembers used proofs. If nil, the Verifier keeps up to 8,388,608 proofs
	// in memory, at 40 to 81 bytes each. That is enough for a service of one process.
	Replay ReplayStore

	// Nonces makes the Verifier demand a nonce in each proof. nil means that none is demanded, and any is ignored.
	Nonces *NonceSource

	// Algorithms are those that proofs may be signed with, some of ES256, PS256, EdDSA and Ed25519. nil means all four.
	Algorithms []string

	// MaxAge is how old a proof may be. 0 means 60 seconds; at most ten minutes. Nonces do not extend it.
	MaxAge time.Duration

	// FutureSkew is how far in the future a proof may be dated, for clients whose clock is ahead. 0 means 10 seconds,
	// which is also the least that FAPI 2.0 allows; at most 60 seconds.
	FutureSkew time.Duration

	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// A Verifier checks proofs. It is safe for concurrent use.
//
// It reads the method, the URL, the Host if URLs does, and the header field DPoP of a request, and no body. So whoever has
// those without an HTTP server (a gRPC gateway, the back end of a proxy's authorization requests) can fill in an
// http.Request with them.
type Verifier struct {
	bases      []string
	urls       func(*http.Request) ([]*url.URL, error)
	replay     ReplayStore
	nonces     *NonceSource
	algorithms []string
	maxAge     time.Duration
	futureSkew time.Duration
	now        func() time.Time
	headers    *expiring.Cache[*header]
}

const (
	maxProof      = 8 << 10 // bytes; a proof with an RSA key of 4,096 bits has 1,700
	maxIdentifier = 256     // bytes
	maxMaxAge     = 10 * time.Minute
	minFutureSkew = 10 * time.Second // SP-5.3.2.1-13a
	maxFutureSkew = 60 * time.Second // SP-5.3.2.1-13b

	// Each client sends the same header with every proof, so a service has about as many as it has clients at a time.
	maxHeaders    = 8 << 10
	maxHeaderSize = 2 << 10
)

// NewVerifier refuses a configuration that names no URL, or anything out of the ranges that [VerifierConfig] names.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	v := &Verifier{
		urls: cfg.URLs, replay: cfg.Replay, nonces: cfg.Nonces, algorithms: slices.Clone(cfg.Algorithms),
		maxAge: cfg.MaxAge, futureSkew: cfg.FutureSkew, now: cfg.Now,
		headers: expiring.NewCache[*header](maxHeaders),
	}
	if (len(cfg.BaseURLs) == 0) == (cfg.URLs == nil) {
		return nil, errors.New("dpop: want either BaseURLs or URLs")
	}
	for _, base := range cfg.BaseURLs {
		t, err := parseTarget(base)
		if err == nil {
			_, err = t.normal()
		}
		if err != nil || strings.ContainsAny(base, "?#") {
			return nil, fmt.Errorf("dpop: BaseURLs: %q is not an http or https URL without user, query and fragment", base)
		}
		v.bases = append(v.bases, t.origin+strings.TrimSuffix(t.path, "/"))
	}
	if v.now == nil {
		v.now = time.Now
	}
	if v.maxAge == 0 {
		v.maxAge = time.Minute
	}
	if v.futureSkew == 0 {
		v.futureSkew = minFutureSkew
	}
	if v.algorithms == nil {
		v.algorithms = jose.Algorithms()
	}
	if v.replay == nil {
		// DPOP-11.1-3: the set keeps digests of fixed size.
		v.replay = expiring.NewSet(expiring.SetConfig{Now: v.now})
	}
	switch {
	case v.maxAge < 0 || v.maxAge > maxMaxAge: // DPOP-11.1-1
		return nil, fmt.Errorf("dpop: MaxAge is %v, want at most %v", v.maxAge, maxMaxAge)
	case v.futureSkew < minFutureSkew || v.futureSkew > maxFutureSkew:
		return nil, fmt.Errorf("dpop: FutureSkew is %v, want %v to %v", v.futureSkew, minFutureSkew, maxFutureSkew)
	case len(v.algorithms) == 0:
		return nil, errors.New("dpop: no algorithm is allowed")
	}
	for _, alg := range v.algorithms {
		if !jose.Allowed(alg) { // DPOP-11.6-1: what is insecure cannot be configured
			return nil, fmt.Errorf("dpop: algorithm %q, want some of %v", alg, jose.Algorithms())
		}
	}
	return v, nil
}

// Algorithms returns the algorithms that are allowed, for dpop_signing_alg_values_supported in metadata (§5.1).
func (v *Verifier) Algorithms() []string { return slices.Clone(v.algorithms) }

// Verify checks the proof of a request at an authorization server, to the token endpoint or to that for pushed
// authorization requests, and records its use: [Verifier.Check] and [Verifier.Commit] in one.
//
// A server that authenticates the client or looks at a code after that had better use the two, or a request refused
// later has used up the proof.
func (v *Verifier) Verify(ctx context.Context, r *http.Request) (Proof, error) {
	p, err := v.Check(r)
	if err == nil {
		err = v.Commit(ctx, p)
	}
	if err != nil {
		return Proof{}, err
	}
	return p, nil
}

// Check is Verify without the record of the use: it writes nothing. No access token is expected; if the proof is for one
// nevertheless, that does not matter.
func (v *Verifier) Check(r *http.Request) (Proof, error) {
	return v.check(r, nil)
}

// VerifyToken checks the proof of a request to a protected resource, made with an access token that is bound to the key
// with the given thumbprint, and records its use.
//
// accessToken is the token as it came in the Authorization header. Whether the token is good is for the caller to know.
// thumbprint is the member jkt of its confirmation claim, cnf (§6.1, §6.2), empty if it has none: a token
// that is bound to no key is refused with [ErrBinding].
func (v *Verifier) VerifyToken(ctx context.Context, r *http.Request, accessToken, thumbprint string) (Proof, error) {
	p, err := v.CheckToken(r, accessToken, thumbprint)
	if err == nil {
		err = v.Commit(ctx, p)
	}
	if err != nil {
		return Proof{}, err
	}
	return p, nil
}

// CheckToken is VerifyToken without the record of the use: it writes nothing.
func (v *Verifier) CheckToken(r *http.Request, accessToken, thumbprint string) (Proof, error) {
	p, err := v.check(r, &presented{accessToken, thumbprint})
	return p, atResource(err)
}

// Commit records that a proof has been used. It must be called once for each request whose proof has been checked, when
// nothing can refuse the request any more, and before anything is done for it. An error refuses the request: it is
// [ErrReplayed], [ErrStore], or [ErrIssuedAt] if the proof has grown too old since it was checked.
func (v *Verifier) Commit(ctx context.Context, p Proof) error {
	if p.replayKey == "" {
		return fmt.Errorf("%w: the zero Proof", ErrMissing)
	}
	err := v.use(ctx, p)
	if p.resource {
		err = atResource(err)
	}
	return err
}

func (v *Verifier) use(ctx context.Context, p Proof) error {
	// The store may forget the proof from then on.
	if now := v.now(); !now.Before(p.expires) {
		return fmt.Errorf("%w: committed at %s, too late for a proof of %s", ErrIssuedAt, stamp(now), stamp(p.issuedAt))
	}
	first, err := v.replay.Add(ctx, p.replayKey, nil, p.expires) // DPOP-11.1-2
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrStore, err)
	case !first:
		return ErrReplayed
	}
	return nil
}
