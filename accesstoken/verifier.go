package accesstoken

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/strictjson"
)

const (
	// maxTokenBytes bounds a token. Servers and proxies accept header fields of
	// 8 to 16 KiB, so they reject longer ones.
	maxTokenBytes     = 16 << 10
	defaultFutureSkew = 30 * time.Second
	maxLeeway         = time.Minute
	defaultCacheSize  = 4096
	// maxCached bounds the time between two checks of a signature. After it, a
	// withdrawn key is not accepted any more, unless the key source still has
	// it.
	maxCached = 5 * time.Minute
)

// VerifierConfig configures a [Verifier].
type VerifierConfig struct {
	// Issuer is the identifier of the authorization server whose tokens are
	// accepted. Required.
	Issuer string
	// Audience contains the identifiers of this resource server. The token must
	// have one of them as audience. Required.
	Audience []string
	// Keys returns the keys of the issuer for the kid and alg of a token: see
	// package jwks. It is called concurrently, with an accepted algorithm, and
	// only for tokens that have passed all checks that need no key. Required.
	Keys func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
	// Algorithms contains the accepted algorithms. The default is ES256, PS256,
	// EdDSA and Ed25519. Other algorithms are not supported.
	Algorithms []string
	// Leeway is the time after its expiry during which a token is still
	// accepted. The default is 0, because a token must not outlive the time
	// that its issuer set. The maximum is 1 minute.
	Leeway time.Duration
	// FutureSkew is how far ahead "nbf" and "iat" may lie, because the clock of
	// the resource server may be behind that of the issuer. The default is 30
	// seconds, the maximum 1 minute. If Leeway is greater, it applies instead.
	FutureSkew time.Duration
	// Revoked reports whether the token with this ID ("jti") has been revoked.
	// It is called concurrently, for each use of a token that has passed all
	// other checks. If it returns an error, the token is rejected with
	// [ErrUnavailable]. If nil, revocation is not checked. That suits tokens
	// that live for minutes.
	Revoked func(ctx context.Context, tokenID string) (bool, error)
	// CacheSize is the maximum number of cached tokens. An entry takes about
	// twice the memory of its token. The default is 4096. If negative, no token
	// is cached.
	CacheSize int
	// InsecureAllowBearer accepts tokens that are not bound to a key, which any
	// party that sees one can use. FAPI 2.0 forbids them.
	InsecureAllowBearer bool
	// Now is the clock. If nil, time.Now is used. It is called concurrently.
	Now func() time.Time
}

// A Verifier checks JWT access tokens (RFC 9068 §4). It is safe for concurrent
// use.
type Verifier struct {
	cfg   VerifierConfig
	rules jwt.Rules
	cache *expiring.Cache[cached] // nil if CacheSize is negative
}

type cached struct {
	token *Token
	since time.Time
}

// NewVerifier validates and copies cfg.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	switch {
	case cfg.Issuer == "":
		return nil, errors.New("accesstoken: missing Issuer")
	case len(cfg.Audience) == 0 || slices.Contains(cfg.Audience, ""):
		return nil, errors.New("accesstoken: missing or empty Audience")
	case cfg.Keys == nil:
		return nil, errors.New("accesstoken: missing Keys")
	case cfg.Leeway < 0 || cfg.Leeway > maxLeeway:
		return nil, fmt.Errorf("accesstoken: invalid Leeway %v, want 0 to %v", cfg.Leeway, maxLeeway)
	case cfg.FutureSkew < 0 || cfg.FutureSkew > maxLeeway:
		return nil, fmt.Errorf("accesstoken: invalid FutureSkew %v, want 0 to %v", cfg.FutureSkew, maxLeeway)
	}
	algorithms, err := jwt.Algorithms(cfg.Algorithms)
	if err != nil {
		return nil, fmt.Errorf("accesstoken: %w", err)
	}
	if cfg.FutureSkew == 0 {
		cfg.FutureSkew = defaultFutureSkew
	}
	cfg.Audience = slices.Clone(cfg.Audience)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	// AT-4-1, INT-9701-8.1-1: an ID token, a client assertion or an
	// introspection response is not an access token, even if it has all claims
	// of one.
	v := &Verifier{cfg: cfg, rules: jwt.Rules{
		MaxBytes: maxTokenBytes, Algorithms: algorithms, Type: typ, Peer: true,
		Errors: jwt.Errors{
			Malformed: ErrMalformed, Algorithm: ErrAlgorithm, Type: ErrType, Signature: ErrSignature,
			Unavailable: ErrUnavailable,
		},
	}}
	if cfg.CacheSize == 0 {
		cfg.CacheSize = defaultCacheSize
	}
	if cfg.CacheSize > 0 {
		v.cache = expiring.NewCache[cached](cfg.CacheSize)
	}
	return v, nil
}

// Verify checks a token, without its scheme, and returns its claims. It does
// not check that the sender has the key that the token is bound to. The caller
// compares [Token.JKT] and [Token.X5TS256], if they are not empty, with the
// proof and the certificate of the request.
//
// Several uses of one token may return the same *Token.
func (v *Verifier) Verify(ctx context.Context, token string) (*Token, error) {
	if len(token) > maxTokenBytes {
		return nil, fmt.Errorf("%w: %d bytes, want at most %d", ErrMalformed, len(token), maxTokenBytes)
	}
	now := v.cfg.Now()
	t, err := v.authentic(ctx, token, now)
	if err != nil {
		return nil, err
	}
	// SP-5.3.4-3: each use checks expiry and revocation, which change with
	// time.
	if err := v.checkTimes(t, now); err != nil {
		return nil, err
	}
	if v.cfg.Revoked != nil {
		revoked, err := v.cfg.Revoked(ctx, t.id)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if revoked {
			return nil, ErrRevoked
		}
	}
	return t, nil
}

// authentic returns a token that has passed all checks that do not change with
// time, from the cache or after verification.
//
// The key of an entry is a hash of the whole token with its signature, so a hit
// is the same token that was verified. The hash also keeps usable tokens out of
// memory.
func (v *Verifier) authentic(ctx context.Context, token string, now time.Time) (*Token, error) {
	sum := jose.Sum256(token)
	if v.cache != nil {
		hit, ok := v.cache.Get(string(sum[:]))
		// A clock that was set back must not extend the time in the cache.
		if ok && !now.Before(hit.since) && now.Sub(hit.since) < maxCached {
			return hit.token, nil
		}
	}
	t, err := v.verify(ctx, token, now)
	if err != nil {
		return nil, err
	}
	t.hash = jose.Base64(sum)
	if v.cache != nil {
		v.cache.Put(string(sum[:]), cached{t, now})
	}
	return t, nil
}

// verify makes the checks that need no key first, so that no key is fetched for
// a token that is rejected anyway.
func (v *Verifier) verify(ctx context.Context, token string, now time.Time) (*Token, error) {
	opened, err := v.rules.Open(token)
	if err != nil {
		return nil, err
	}
	t, err := v.read(opened.Claims)
	if err != nil {
		return nil, err
	}
	if err := v.checkTimes(t, now); err != nil {
		return nil, err
	}
	// AT-4-4, JWT-3.8-1: the keys are those of the issuer that the token names.
	if _, err := opened.Verify(ctx, v.cfg.Keys); err != nil {
		return nil, err
	}
	return t, nil
}

// read makes the checks of the claims that do not change with time.
func (v *Verifier) read(o strictjson.Object) (*Token, error) {
	t, c := &Token{claims: o, now: v.cfg.Now}, jwt.Read(o, ErrClaims)
	// AT-2.2-1
	t.issuer, t.subject, t.clientID, t.id = c.String("iss"), c.String("sub"), c.String("client_id"), c.String("jti")
	// An array is rejected, because RFC 9068 §2.2.3 requires one string. If it
	// were ignored, the API would see a token without permissions.
	t.scope, _ = c.OptionalString("scope")
	t.grant, _ = c.OptionalString("grant_id")
	// AT-4-2, JWT-3.8-1: identifiers are compared without normalisation.
	if c.Err() == nil && t.issuer != v.cfg.Issuer {
		return nil, fmt.Errorf("%w: got %.256q, want %q", ErrIssuer, t.issuer, v.cfg.Issuer)
	}
	t.audience = c.Audience() // AT-2.2-1
	ours := func(id string) bool { return slices.Contains(t.audience, id) }
	if c.Err() == nil && !slices.ContainsFunc(v.cfg.Audience, ours) { // AT-4-3, JWT-3.9-1
		return nil, fmt.Errorf("%w: got %.256q, want one of %q", ErrAudience, t.audience, v.cfg.Audience)
	}
	t.issuedAt, t.expires = c.Time("iat"), c.Time("exp") // AT-2.2-1
	t.notBefore, _ = c.OptionalTime("nbf")
	t.details = c.ObjectArray("authorization_details")
	if err := c.Err(); err != nil {
		return nil, err
	}
	// A check that needs one of these fails without it.
	optional := o.Lenient()
	t.acr, t.amr, t.authTime = optional.String("acr"), optional.Strings("amr"), optional.Time("auth_time")
	t.dropped = optional.Dropped()
	var err error
	// SP-5.3.4-5, DPOP-6-1: a token whose binding is unknown is rejected.
	t.cnf, err = jwt.ReadConfirmation(o, ErrConfirmation, v.cfg.InsecureAllowBearer)
	return t, err
}

func (v *Verifier) checkTimes(t *Token, now time.Time) error {
	// AT-4-5: at the instant of its expiry a token has expired.
	if !now.Before(t.expires.Add(v.cfg.Leeway)) {
		return fmt.Errorf("%w: exp %s, now %s, leeway %v", ErrExpired, stamp(t.expires), stamp(now), v.cfg.Leeway)
	}
	latest := now.Add(max(v.cfg.FutureSkew, v.cfg.Leeway))
	if t.issuedAt.After(latest) || t.notBefore.After(latest) {
		return fmt.Errorf("%w: iat %s, nbf %s, now %s", ErrNotYetValid,
			stamp(t.issuedAt), stamp(t.notBefore), stamp(now))
	}
	return nil
}

// stamp formats a time for an operator. The zero Time is an absent claim.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "absent"
	}
	return t.UTC().Format(time.RFC3339)
}
