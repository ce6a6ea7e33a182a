package idtoken

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
)

const (
	// maxTokenBytes: an ID token comes in a response body and may carry a profile of the user, but no picture.
	maxTokenBytes = 64 << 10
	// futureSkew is how far ahead of ours the issuer's clock may be in any case.
	futureSkew = 10 * time.Second
	maxLeeway  = 5 * time.Minute
	// maxAge is how long ago a token may have been issued. It answers a request that was made just now, so an older one is
	// from somewhere else, or a clock is off by more than anything else would bear.
	maxAge = time.Hour
)

// VerifierConfig configures a [Verifier].
type VerifierConfig struct {
	// Issuer is the identifier of the OpenID provider. Required.
	Issuer string
	// ClientID is this client. Required.
	ClientID string
	// Keys returns the issuer's candidates for a token's kid and alg; see the package jwks. It is called concurrently, with
	// an algorithm that is allowed, and only for tokens that are otherwise right. Required.
	Keys func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
	// Algorithms are those accepted: best the one that the client registered as id_token_signed_response_alg. Default:
	// ES256, PS256, EdDSA and Ed25519; others cannot be had.
	Algorithms []string
	// TrustedAudiences are recipients beside this client that a token may have. Default: none.
	TrustedAudiences []string
	// Leeway is for how long after its expiry a token is accepted, and how far ahead "iat" may lie if that is more than the
	// 10 seconds which are always granted. Default 0, at most 5 minutes.
	Leeway time.Duration
	// Now is the clock; nil means time.Now. It is called concurrently.
	Now func() time.Time
}

// Expected is what the client knows from the request that the token answers.
type Expected struct {
	// Nonce is the nonce that was sent. The token must have the same, or none if it is empty.
	Nonce string
	// MaxAge is the max_age that was sent: the token must say when the user authenticated, and it must not be longer ago
	// than this and the Leeway. 0: none was sent; for a max_age of 0 use a second.
	MaxAge time.Duration
	// ACRValues are the classes of which one must have been met. Empty: any.
	ACRValues []string
	// Subject is who the user has to be: the sub of an earlier ID token of the session. Empty: anyone.
	Subject string
	// AccessToken is the access token that came along. An at_hash in the token must fit it; there need not be one.
	AccessToken string
	// Refreshed says that the token comes of a refresh (§12.2). Then Nonce is that of the original request, the token need
	// not have it, and Subject is required.
	Refreshed bool
}

// String says nothing: the fields are secrets of a session.
func (e Expected) String() string { return "expectations of an ID token" }

// LogValue is String for slog.
func (e Expected) LogValue() slog.Value { return slog.StringValue(e.String()) }

// A Verifier checks ID tokens of one issuer for one client. It is safe for concurrent use.
type Verifier struct{ cfg VerifierConfig }

// NewVerifier validates and copies cfg.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	switch {
	case cfg.Issuer == "":
		return nil, errors.New("idtoken: Issuer is empty")
	case cfg.ClientID == "":
		return nil, errors.New("idtoken: ClientID is empty")
	case cfg.Keys == nil:
		return nil, errors.New("idtoken: Keys is nil")
	case cfg.Leeway < 0 || cfg.Leeway > maxLeeway:
		return nil, fmt.Errorf("idtoken: Leeway is %v, not between 0 and %v", cfg.Leeway, maxLeeway)
	}
	if cfg.Algorithms == nil {
		cfg.Algorithms = jose.Algorithms()
	}
	// An empty list allows nothing, and one with RS256 in it would promise what is not kept.
	notAllowed := func(alg string) bool { return !jose.Allowed(alg) }
	if len(cfg.Algorithms) == 0 || slices.ContainsFunc(cfg.Algorithms, notAllowed) {
		return nil, fmt.Errorf("idtoken: Algorithms is %q, of which not all are among %q", cfg.Algorithms, jose.Algorithms())
	}
	cfg.Algorithms = slices.Clone(cfg.Algorithms)
	cfg.TrustedAudiences = slices.Clone(cfg.TrustedAudiences)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Verifier{cfg: cfg}, nil
}

// Verify checks an ID token against what the client asked for and returns what it says. The steps are those of §3.1.3.7;
// the signature is checked last, so that no key is fetched for a token that could not be accepted anyway.
func (v *Verifier) Verify(ctx context.Context, raw string, expected Expected) (*Token, error) {
	if expected.Refreshed && expected.Subject == "" {
		return nil, fmt.Errorf("%w: Expected.Subject is empty, though the token comes of a refresh", ErrSubject)
	}
	jws, err := jose.Split(raw, maxTokenBytes)
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
	// JWT-3.12-1: every other kind of JWT says what it is; an access token (at+jwt) must not pass for an ID token.
	if header.Type != "" && !header.IsType("JWT") {
		return nil, fmt.Errorf("%w: typ is %.64q", ErrType, header.Type)
	}
	claims, err := jws.PeerClaims()
	if err != nil {
		return nil, fail(err)
	}
	// JWT-3.12-1: a logout token need not have a typ of its own and otherwise has all that an ID token needs.
	if claims.Has("events") {
		return nil, fmt.Errorf("%w: it reports events", ErrType)
	}
	t, err := read(claims)
	if err != nil {
		return nil, err
	}
	for _, check := range []func() error{
		func() error { return v.checkParties(t) },
		func() error { return v.checkTimes(t) },
		func() error { return checkNonce(t, expected) },
		func() error { return v.checkUser(t, expected) },
		func() error { return checkAccessToken(t, header.Algorithm, expected.AccessToken) },
	} {
		if err := check(); err != nil { // CS-20
			return nil, err
		}
	}
	// MS-5.6.2-1: TLS to the token endpoint does not stand in for it. JWT-3.8-1: the keys are the issuer's.
	keys, err := v.cfg.Keys(ctx, header.KeyID, header.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if _, err := jws.VerifyAny(header.Algorithm, keys); err != nil {
		return nil, fail(err)
	}
	return t, nil
}

// checkParties is steps 2 to 5.
func (v *Verifier) checkParties(t *Token) error {
	// CS-20, JWT-3.8-1: the identifiers are compared as they are, without normalisation.
	if t.issuer != v.cfg.Issuer {
		return fmt.Errorf("%w: got %.256q, want %q", ErrIssuer, t.issuer, v.cfg.Issuer)
	}
	if !slices.Contains(t.audience, v.cfg.ClientID) { // JWT-3.9-1
		return fmt.Errorf("%w: got %.256q, want %q", ErrAudience, t.audience, v.cfg.ClientID)
	}
	for _, aud := range t.audience {
		// CS-20: whoever else holds the token could present it here.
		if aud != v.cfg.ClientID && !slices.Contains(v.cfg.TrustedAudiences, aud) {
			return fmt.Errorf("%w: %.256q is not trusted", ErrAudience, aud)
		}
	}
	if t.azp != "" && t.azp != v.cfg.ClientID {
		return fmt.Errorf("%w: got %.256q, want %q", ErrAuthorizedParty, t.azp, v.cfg.ClientID)
	}
	if t.azp == "" && len(t.audience) > 1 {
		return fmt.Errorf("%w: several audiences and no azp", ErrAuthorizedParty)
	}
	return nil
}

// checkTimes is steps 9 and 10.
func (v *Verifier) checkTimes(t *Token) error {
	now := v.cfg.Now()
	if !now.Before(t.expires.Add(v.cfg.Leeway)) {
		return fmt.Errorf("%w: at %s, it is %s, leeway %v", ErrExpired, stamp(t.expires), stamp(now), v.cfg.Leeway)
	}
	if ahead := t.issuedAt.Sub(now); ahead > max(futureSkew, v.cfg.Leeway) || ahead < -maxAge {
		return fmt.Errorf("%w: at %s, it is %s", ErrIssuedAt, stamp(t.issuedAt), stamp(now))
	}
	return nil
}

// stamp is how operators read a time.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// checkNonce is step 11. A nonce that was not sent belongs to somebody else's request.
func checkNonce(t *Token, expected Expected) error {
	switch {
	case t.nonce == "" && (expected.Nonce == "" || expected.Refreshed):
		return nil
	case t.nonce == "":
		return fmt.Errorf("%w: none", ErrNonce)
	case expected.Nonce == "":
		return fmt.Errorf("%w: none was sent", ErrNonce)
	case !jose.EqualString(t.nonce, expected.Nonce):
		return fmt.Errorf("%w: not the one that was sent", ErrNonce)
	}
	return nil
}

// checkUser is steps 12 and 13.
func (v *Verifier) checkUser(t *Token, expected Expected) error {
	if expected.Subject != "" && t.subject != expected.Subject {
		return fmt.Errorf("%w: not the user of the session", ErrSubject)
	}
	if len(expected.ACRValues) > 0 && (t.acr == "" || !slices.Contains(expected.ACRValues, t.acr)) {
		return fmt.Errorf("%w: acr is %.256q, want one of %q", ErrAuthentication, t.acr, expected.ACRValues)
	}
	if expected.MaxAge <= 0 {
		return nil
	}
	if t.authTime.IsZero() {
		return fmt.Errorf("%w: no auth_time", ErrAuthentication)
	}
	if age := v.cfg.Now().Sub(t.authTime); age > expected.MaxAge+max(futureSkew, v.cfg.Leeway) {
		return fmt.Errorf("%w: %v ago, want at most %v", ErrAuthentication, age.Round(time.Second), expected.MaxAge)
	}
	return nil
}

// checkAccessToken is §3.1.3.8.
func checkAccessToken(t *Token, alg, accessToken string) error {
	if accessToken == "" {
		return nil
	}
	hash, present, err := t.payload.String("at_hash")
	if err != nil { // ignoring it would skip the check
		return fmt.Errorf("%w: %w", ErrClaims, err)
	}
	if present && !jose.EqualString(hash, leftHalf(alg, accessToken)) {
		return fmt.Errorf("%w: at_hash differs", ErrAccessToken)
	}
	return nil
}
