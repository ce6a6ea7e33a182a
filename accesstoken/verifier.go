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
	"github.com/gofapi/fapi2/internal/strictjson"
)

const (
	// maxTokenBytes bounds a token. Servers and proxies take header lines of 8 to 16 KiB, so a longer one does not arrive.
	maxTokenBytes     = 16 << 10
	defaultFutureSkew = 30 * time.Second
	maxLeeway         = time.Minute
	defaultCacheSize  = 4096
	// maxCached bounds how long the signature of a token is believed unseen: a key that its owner has withdrawn is out of
	// use after this time at the latest (and that for which the key source keeps its set).
	maxCached = 5 * time.Minute
)

// VerifierConfig configures a [Verifier].
type VerifierConfig struct {
	// Issuer is the identifier of the one authorization server whose tokens are accepted. Required.
	Issuer string
	// Audience are the identifiers of this resource server; the token must be for one of them. Required.
	Audience []string
	// Keys returns the issuer's candidates for a token's kid and alg; see the package jwks. It is called concurrently, with
	// an algorithm that is allowed, and only for tokens that are otherwise right. Required.
	Keys func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
	// Algorithms are those accepted. Default: ES256, PS256, EdDSA and Ed25519; others cannot be had.
	Algorithms []string
	// Leeway is the time after its expiry during which a token is still accepted.
	// The default is 0, because a token must not outlive the time that its issuer
	// set. The maximum is 1 minute.
	Leeway time.Duration
	// FutureSkew is how far ahead "nbf" and "iat" may lie, because the clock of
	// the resource server may be behind that of the issuer. The default is 30
	// seconds, the maximum 1 minute. If Leeway is greater, it applies instead.
	FutureSkew time.Duration
	// Revoked reports whether the token with this ID ("jti") has been revoked. It is asked on every use, cached or not,
	// once the token has passed everything else. An error refuses the token with [ErrUnavailable]. It is called
	// concurrently. Nil: tokens live until they expire, which is good enough if that is minutes.
	Revoked func(ctx context.Context, tokenID string) (bool, error)
	// CacheSize is how many verified tokens are remembered. An entry takes about twice the memory of its token. Default
	// 4096; negative: none.
	CacheSize int
	// InsecureAllowBearer accepts tokens that are bound to no key, which anyone who sees one can use. FAPI 2.0 forbids them.
	InsecureAllowBearer bool
	// Now is the clock; nil means time.Now. It is called concurrently.
	Now func() time.Time
}

// A Verifier checks JWT access tokens (RFC 9068 §4). It is safe for concurrent use.
type Verifier struct {
	cfg   VerifierConfig
	cache *expiring.Cache[cached] // nil: none
}

type cached struct {
	token *Token
	since time.Time
}

// NewVerifier validates and copies cfg.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	switch {
	case cfg.Issuer == "":
		return nil, errors.New("accesstoken: Issuer is empty")
	case len(cfg.Audience) == 0 || slices.Contains(cfg.Audience, ""):
		return nil, errors.New("accesstoken: Audience is empty")
	case cfg.Keys == nil:
		return nil, errors.New("accesstoken: Keys is nil")
	case cfg.Leeway < 0 || cfg.Leeway > maxLeeway:
		return nil, fmt.Errorf("accesstoken: Leeway is %v, not between 0 and %v", cfg.Leeway, maxLeeway)
	case cfg.FutureSkew < 0 || cfg.FutureSkew > maxLeeway:
		return nil, fmt.Errorf("accesstoken: invalid FutureSkew %v, want 0 to %v", cfg.FutureSkew, maxLeeway)
	}
	if cfg.FutureSkew == 0 {
		cfg.FutureSkew = defaultFutureSkew
	}
	if cfg.Algorithms == nil {
		cfg.Algorithms = jose.Algorithms()
	}
	// An empty list allows nothing, and one with RS256 in it would promise what is not kept.
	if len(cfg.Algorithms) == 0 || !allAllowed(cfg.Algorithms) {
		return nil, fmt.Errorf("accesstoken: Algorithms is %q, of which not all are among %q", cfg.Algorithms, jose.Algorithms())
	}
	cfg.Algorithms = slices.Clone(cfg.Algorithms)
	cfg.Audience = slices.Clone(cfg.Audience)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	v := &Verifier{cfg: cfg}
	if cfg.CacheSize == 0 {
		cfg.CacheSize = defaultCacheSize
	}
	if cfg.CacheSize > 0 {
		v.cache = expiring.NewCache[cached](cfg.CacheSize)
	}
	return v, nil
}

func allAllowed(algs []string) bool {
	return !slices.ContainsFunc(algs, func(alg string) bool { return !jose.Allowed(alg) })
}

// Verify checks a token, given without its scheme, and returns what it says. It does not check that the sender holds the
// key that the token is bound to: compare [Token.JKT] and [Token.X5TS256] with the proof and the certificate of the
// request, each that is not empty.
//
// The same *Token may be returned for several uses of one token.
func (v *Verifier) Verify(ctx context.Context, token string) (*Token, error) {
	if len(token) > maxTokenBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrMalformed, len(token), maxTokenBytes)
	}
	now := v.cfg.Now()
	t, err := v.authentic(ctx, token, now)
	if err != nil {
		return nil, err
	}
	// What changes with time is checked on every use. SP-5.3.4-3: expiry and revocation.
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

// authentic returns the token with everything checked that does not change with time: from the cache, or anew.
//
// The cache is keyed by a hash of the whole token, signature included, so a hit is the very token that was verified;
// hashing also keeps usable tokens out of our memory.
func (v *Verifier) authentic(ctx context.Context, token string, now time.Time) (*Token, error) {
	if v.cache == nil {
		return v.verify(ctx, token, now)
	}
	sum := jose.Sum256(token)
	// A clock that was set back must not lengthen a stay in the cache.
	if hit, ok := v.cache.Get(string(sum[:])); ok && !now.Before(hit.since) && now.Sub(hit.since) < maxCached {
		return hit.token, nil
	}
	t, err := v.verify(ctx, token, now)
	if err != nil {
		return nil, err
	}
	v.cache.Put(string(sum[:]), cached{t, now})
	return t, nil
}

// verify checks what costs nothing first: no key is fetched for a token that could not be accepted anyway.
func (v *Verifier) verify(ctx context.Context, token string, now time.Time) (*Token, error) {
	jws, err := jose.Split(token, maxTokenBytes)
	if err != nil {
		return nil, fail(err)
	}
	header, err := jws.ParseHeader()
	if err != nil {
		return nil, fail(err)
	}
	// JWT-3.1-1: the token does not choose beyond what we allow.
	if !jose.Accepts(v.cfg.Algorithms, header.Algorithm) {
		return nil, fmt.Errorf("%w: %.32q", ErrAlgorithm, header.Algorithm)
	}
	// AT-4-1, JWT-3.12-1, INT-9701-8.1-1: an ID token, a client assertion or an introspection response is none of ours, whatever it says.
	if !header.IsType(typ) {
		return nil, fmt.Errorf("%w: typ is %.64q", ErrType, header.Type)
	}
	claims, err := jws.PeerClaims()
	if err != nil {
		return nil, fail(err)
	}
	t, err := v.read(claims)
	if err != nil {
		return nil, err
	}
	if err := v.checkTimes(t, now); err != nil {
		return nil, err
	}
	// AT-4-4, SP-5.3.4-3: integrity. JWT-3.8-1: the keys are those of the issuer that the token names.
	keys, err := v.cfg.Keys(ctx, header.KeyID, header.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err := jws.VerifyAny(header.Algorithm, keys); err != nil {
		return nil, fail(err)
	}
	return t, nil
}

// read checks the claims, as far as they do not change with time.
func (v *Verifier) read(o strictjson.Object) (*Token, error) {
	t := &Token{claims: o, now: v.cfg.Now}
	for _, c := range []struct {
		name     string
		to       *string
		required bool
	}{
		// AT-2.2-1
		{"iss", &t.issuer, true}, {"sub", &t.subject, true}, {"client_id", &t.clientID, true}, {"jti", &t.id, true},
		// An array is rejected, because RFC 9068 §2.2.3 requires one string. If it
		// were ignored, the API would see a token without permissions.
		{"scope", &t.scope, false}, {"grant_id", &t.grant, false},
	} {
		value, _, err := o.String(c.name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrClaims, err)
		}
		if value == "" && c.required {
			return nil, fmt.Errorf("%w: no %s", ErrClaims, c.name)
		}
		*c.to = value
	}
	// AT-4-2, JWT-3.8-1: the identifiers are compared as they are, without normalisation.
	if t.issuer != v.cfg.Issuer {
		return nil, fmt.Errorf("%w: got %.256q, want %q", ErrIssuer, t.issuer, v.cfg.Issuer)
	}
	var err error
	if t.audience, _, err = o.StringOrStrings("aud"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrClaims, err)
	}
	if len(t.audience) == 0 { // AT-2.2-1
		return nil, fmt.Errorf("%w: no aud, or an empty one", ErrClaims)
	}
	// AT-4-3, JWT-3.9-1: no audience is not ours either.
	if !slices.ContainsFunc(v.cfg.Audience, func(ours string) bool { return slices.Contains(t.audience, ours) }) {
		return nil, fmt.Errorf("%w: got %.256q, want one of %q", ErrAudience, t.audience, v.cfg.Audience)
	}
	if err := t.readTimes(); err != nil {
		return nil, err
	}
	// A check that needs one of these fails without it.
	optional := o.Lenient()
	t.acr, t.amr, t.authTime = optional.String("acr"), optional.Strings("amr"), optional.Time("auth_time")
	t.dropped = optional.Dropped()
	if details, ok := o.Get("authorization_details"); ok && !o.Null("authorization_details") {
		if !isObjectArray(details) {
			return nil, fmt.Errorf("%w: authorization_details is no array of objects", ErrClaims)
		}
		t.details = details
	}
	return t, v.readConfirmation(t)
}

// readConfirmation. SP-5.3.4-5, DPOP-6-1: what the token is bound to must be known before it is worth anything. A cnf
// with nothing in it that we can check binds the token to something else, so it is refused even where a bare token is not.
func (v *Verifier) readConfirmation(t *Token) error {
	cnf, ok, err := t.claims.Object("cnf")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfirmation, err)
	}
	if !ok {
		// A null does not count as absent, because the issuer may have intended to
		// bind the token.
		if v.cfg.InsecureAllowBearer && !t.claims.Null("cnf") {
			return nil
		}
		return fmt.Errorf("%w: no cnf", ErrConfirmation)
	}
	found := false
	for _, c := range []struct {
		name string
		to   *string
	}{{"jkt", &t.jkt}, {"x5t#S256", &t.x5t}} {
		value, present, err := cnf.String(c.name)
		if err != nil || present && !isThumbprint(value) || cnf.Null(c.name) {
			return fmt.Errorf("%w: %s is no SHA-256 thumbprint in base64url", ErrConfirmation, c.name)
		}
		*c.to, found = value, found || present
	}
	if !found {
		return fmt.Errorf("%w: cnf with neither jkt nor x5t#S256", ErrConfirmation)
	}
	return nil
}

func (v *Verifier) checkTimes(t *Token, now time.Time) error {
	// AT-4-5: not on or after the instant itself.
	if !now.Before(t.expires.Add(v.cfg.Leeway)) {
		return fmt.Errorf("%w: at %s, it is %s, leeway %v", ErrExpired, stamp(t.expires), stamp(now), v.cfg.Leeway)
	}
	latest := now.Add(max(v.cfg.FutureSkew, v.cfg.Leeway))
	if t.issuedAt.After(latest) || t.notBefore.After(latest) {
		return fmt.Errorf("%w: iat %s, nbf %s, it is %s", ErrNotYetValid, stamp(t.issuedAt), stamp(t.notBefore), stamp(now))
	}
	return nil
}

// stamp is how operators read a time; the zero Time is a claim that the token does not have.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "absent"
	}
	return t.UTC().Format(time.RFC3339)
}

// fail finds the sentinel for a failure of the JOSE layer.
func fail(err error) error {
	switch {
	case errors.Is(err, jose.ErrMalformed):
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	case errors.Is(err, jose.ErrAlgorithm):
		return fmt.Errorf("%w: %w", ErrAlgorithm, err)
	}
	return fmt.Errorf("%w: %w", ErrSignature, err)
}
