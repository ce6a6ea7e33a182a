package dpop

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/jwt"
)

// VerifierConfig configures a [Verifier]. Exactly one of BaseURLs and URLs is
// required.
type VerifierConfig struct {
	// BaseURLs are the URLs under which clients reach the service: scheme,
	// host, port and the part of the path that a proxy or http.StripPrefix
	// removes. The path of the request (its EscapedPath, so %2F differs from a
	// slash) is appended. With "https://example.com/bank", the proof of a
	// request for /v1/accounts names https://example.com/bank/v1/accounts. A
	// service with several base URLs, for example an alias for mutual TLS,
	// accepts proofs for each of them.
	BaseURLs []string

	// URLs returns the URLs that the proof of a request may name, in place of
	// BaseURLs. Examples are the URLs of tenants and the original URL behind a
	// gateway. The verifier ignores query and fragment. URLs must not trust
	// headers such as X-Forwarded-Host unless a proxy replaces them. If URLs
	// returns an error, or no URL, the request is rejected.
	URLs func(*http.Request) ([]*url.URL, error)

	// Replay remembers used proofs. If nil, the Verifier keeps up to 8,388,608
	// proofs in memory, at 40 to 81 bytes each. That is enough for a service of
	// one process.
	Replay ReplayStore

	// Nonces requires a recent nonce in each proof. If nil, nonces are not
	// required, and a nonce in a proof is ignored.
	Nonces *NonceSource

	// Algorithms contains the accepted signature algorithms. The default is
	// ES256, PS256, EdDSA and Ed25519. Other algorithms are not supported.
	Algorithms []string

	// MaxAge is the maximum age of a proof. A nonce does not extend it. The
	// default is 60 seconds, the maximum 10 minutes.
	MaxAge time.Duration

	// FutureSkew is how far in the future "iat" may lie, because the clock of a
	// client may be ahead. It is 10 to 60 seconds, the limits of FAPI 2.0. The
	// default is 10 seconds.
	FutureSkew time.Duration

	// Now is the clock. If nil, time.Now is used. It is called concurrently.
	Now func() time.Time
}

// A Verifier checks proofs. It is safe for concurrent use.
//
// It reads the method, the URL and the header field DPoP of a request, and
// never the body. A service without an HTTP server, for example a gRPC gateway
// or the target of a proxy's authorization requests, can set these fields in an
// http.Request.
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
	origin     atomic.Pointer[origin] // the latest valid one
}

const (
	maxProof      = 8 << 10 // bytes; a proof with an RSA key of 4,096 bits has 1,700
	maxIdentifier = 256     // bytes
	maxMaxAge     = 10 * time.Minute
	minFutureSkew = 10 * time.Second // SP-5.3.2.1-13a
	maxFutureSkew = 60 * time.Second // SP-5.3.2.1-13b

	// A client sends the same JOSE header in every proof, so a service sees
	// about one header per active client.
	maxHeaders    = 8 << 10
	maxHeaderSize = 2 << 10
)

// NewVerifier validates and copies cfg.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	v := &Verifier{
		urls: cfg.URLs, replay: cfg.Replay, nonces: cfg.Nonces,
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
			return nil, fmt.Errorf("dpop: malformed BaseURLs: %q, want scheme http or https, host and path", base)
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
	var err error
	if v.algorithms, err = jwt.Algorithms(cfg.Algorithms); err != nil { // DPOP-11.6-1
		return nil, fmt.Errorf("dpop: %w", err)
	}
	if v.replay == nil {
		// DPOP-11.1-3: the set keeps digests of fixed size.
		v.replay = expiring.NewSet(expiring.SetConfig{Now: v.now})
	}
	switch {
	case v.maxAge < 0 || v.maxAge > maxMaxAge: // DPOP-11.1-1
		return nil, fmt.Errorf("dpop: invalid MaxAge %v, want at most %v", v.maxAge, maxMaxAge)
	case v.futureSkew < minFutureSkew || v.futureSkew > maxFutureSkew:
		return nil, fmt.Errorf("dpop: invalid FutureSkew %v, want %v to %v", v.futureSkew, minFutureSkew, maxFutureSkew)
	}
	return v, nil
}

// Algorithms returns a copy of the accepted algorithms, for
// dpop_signing_alg_values_supported (RFC 9449 §5.1).
func (v *Verifier) Algorithms() []string { return slices.Clone(v.algorithms) }

// Verify calls [Verifier.Check] and [Verifier.Commit] for a request to the
// token endpoint or the pushed authorization request endpoint. If a server
// makes further checks after that, it should make both calls itself. Otherwise
// a rejected request uses up the proof.
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

// Check checks the proof of a request at an authorization server. It writes
// nothing. The proof need not be for an access token, and ath is ignored.
func (v *Verifier) Check(r *http.Request) (Proof, error) {
	return v.check(r, nil)
}

// VerifyToken calls [Verifier.CheckToken] and [Verifier.Commit].
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

// CheckToken checks the proof of a request to a protected resource. It writes
// nothing. The proof must be for accessToken, which is the token of the
// Authorization header and which the caller has checked. The key of the proof
// must have the given thumbprint.
//
// The thumbprint is the member jkt of the confirmation claim (cnf) of the token
// (RFC 9449 §6.1, §6.2). If it is empty, the error is [ErrBinding].
func (v *Verifier) CheckToken(r *http.Request, accessToken, thumbprint string) (Proof, error) {
	p, err := v.check(r, &presented{accessToken: accessToken, thumbprint: thumbprint})
	return p, atResource(err)
}

// CheckTokenHash is [Verifier.CheckToken] for a caller that knows the hash of
// the access token: base64url(SHA-256(token)), 43 characters. The caller must
// have computed the hash from the token of the Authorization header. If the
// hash is empty, the error is [ErrTokenHash].
func (v *Verifier) CheckTokenHash(r *http.Request, hash, thumbprint string) (Proof, error) {
	p, err := v.check(r, &presented{hash: hash, thumbprint: thumbprint})
	return p, atResource(err)
}

// Commit records the use of a proof. Call it once for each request, after all
// other checks and before the request has an effect. Of any number of
// concurrent calls with one proof, exactly one succeeds. The others return
// [ErrReplayed]. Commit returns [ErrStore] if the store fails, and
// [ErrIssuedAt] if the proof has become too old since Check. After an error the
// caller rejects the request.
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
	// From then on the store may drop the entry.
	if now := v.now(); !now.Before(p.expires) {
		return fmt.Errorf("%w: Commit at %s, too late for a proof of %s", ErrIssuedAt, stamp(now), stamp(p.issuedAt))
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
