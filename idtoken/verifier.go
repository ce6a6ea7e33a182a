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
	"github.com/gofapi/fapi2/internal/jwt"
)

const (
	// maxTokenBytes bounds a token in a response body. A token with a profile
	// of the user fits, a token with a picture does not.
	maxTokenBytes = 64 << 10
	// futureSkew is how far the clock of the issuer may be ahead in any case.
	futureSkew = 10 * time.Second
	maxLeeway  = 5 * time.Minute
	// maxAge bounds the time since the issue of a token. The token belongs to a
	// request that was sent just now. An older token has another origin, or a
	// clock is wrong.
	maxAge = time.Hour
)

// VerifierConfig configures a [Verifier].
type VerifierConfig struct {
	// Issuer is the identifier of the OpenID provider. Required.
	Issuer string
	// ClientID is the identifier of this client. Required.
	ClientID string
	// Keys returns the keys of the issuer for the kid and alg of a token: see
	// package jwks. It is called concurrently, with an accepted algorithm, and
	// only for tokens that have passed all checks that need no key. Required.
	Keys func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
	// Algorithms contains the accepted algorithms. Use the one that the client
	// has registered as id_token_signed_response_alg. The default is ES256,
	// PS256, EdDSA and Ed25519. Other algorithms are not supported.
	Algorithms []string
	// DecryptionKeys contains the keys of this client for encrypted tokens. If
	// empty, an encrypted token is rejected. Otherwise a token that is not
	// encrypted is rejected.
	DecryptionKeys []DecryptionKey
	// UserInfo configures VerifyUserInfo. The zero value accepts JSON and
	// signed responses.
	UserInfo UserInfoConfig
	// TrustedAudiences contains the recipients that a token may have in
	// addition to this client. The default is none.
	TrustedAudiences []string
	// Leeway is the time after its expiry during which a token is still
	// accepted. "iat" may lie ahead by Leeway or by 10 seconds, whichever is
	// more. The default is 0, the maximum 5 minutes.
	Leeway time.Duration
	// Now is the clock. If nil, time.Now is used. It is called concurrently.
	Now func() time.Time
}

// Expected contains the values that the client knows from its request.
type Expected struct {
	// Nonce is the nonce of the request. The token must have the same nonce. If
	// empty, the token must not have a nonce.
	Nonce string
	// MaxAge is the max_age of the request. The token must have auth_time, and
	// it must not be longer ago than MaxAge and the Leeway together. If 0, the
	// request had no max_age. For a max_age of 0 use one second.
	MaxAge time.Duration
	// ACRValues contains the accepted authentication context classes. If empty,
	// every class is accepted.
	ACRValues []string
	// Subject is the expected user: the sub of an earlier ID token of the
	// session. If empty, every user is accepted.
	Subject string
	// AccessToken is the access token of the same response. If the token has an
	// at_hash, it must match. An absent at_hash is accepted.
	AccessToken string
	// Refreshed reports that the token comes from a refresh (OpenID Connect
	// Core 1.0 §12.2). Nonce is then that of the original request, and the
	// token need not have it. Subject is required.
	Refreshed bool
}

// String returns a constant text, because the fields are secrets of a session.
func (e Expected) String() string { return "expectations of an ID token" }

// LogValue returns the text of String.
func (e Expected) LogValue() slog.Value { return slog.StringValue(e.String()) }

// A Verifier checks ID tokens of one issuer for one client. It is safe for
// concurrent use.
type Verifier struct {
	cfg      VerifierConfig
	rules    jwt.Rules
	userInfo jwt.Rules
}

func sentinels() jwt.Errors {
	return jwt.Errors{
		Malformed: ErrMalformed, Algorithm: ErrAlgorithm, Type: ErrType, Signature: ErrSignature,
		Unavailable: ErrUnavailable, Encryption: ErrEncryption,
	}
}

// NewVerifier validates and copies cfg.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	switch {
	case cfg.Issuer == "":
		return nil, errors.New("idtoken: missing Issuer")
	case cfg.ClientID == "":
		return nil, errors.New("idtoken: missing ClientID")
	case cfg.Keys == nil:
		return nil, errors.New("idtoken: missing Keys")
	case cfg.Leeway < 0 || cfg.Leeway > maxLeeway:
		return nil, fmt.Errorf("idtoken: invalid Leeway %v, want 0 to %v", cfg.Leeway, maxLeeway)
	}
	algorithms, err := jwt.Algorithms(cfg.Algorithms)
	if err != nil {
		return nil, fmt.Errorf("idtoken: %w", err)
	}
	decrypter, err := jose.NewDecrypter(cfg.DecryptionKeys) // CA-OIDC-3.1.3.7-1
	if err != nil {
		return nil, fmt.Errorf("idtoken: %w", err)
	}
	cfg.TrustedAudiences = slices.Clone(cfg.TrustedAudiences)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	userInfo, err := userInfoRules(cfg.UserInfo, algorithms)
	if err != nil {
		return nil, fmt.Errorf("idtoken: %w", err)
	}
	// JWT-3.12-1: every other kind of JWT has a typ. An access token (at+jwt)
	// must not pass for an ID token.
	return &Verifier{cfg: cfg, userInfo: userInfo, rules: jwt.Rules{
		MaxBytes: maxTokenBytes, Algorithms: algorithms, Untyped: true, Peer: true, Decrypter: decrypter,
		Errors: sentinels(),
	}}, nil
}

// Verify checks an ID token against the expected values and returns its claims.
// The steps are those of OpenID Connect Core 1.0 §3.1.3.7, which begin with the
// decryption. The signature is checked last, so that no key is fetched for a
// token that is rejected anyway.
func (v *Verifier) Verify(ctx context.Context, raw string, expected Expected) (*Token, error) {
	if expected.Refreshed && expected.Subject == "" {
		return nil, fmt.Errorf("%w: Expected.Subject is empty for a refreshed token", ErrSubject)
	}
	opened, err := v.rules.Open(raw)
	if err != nil {
		return nil, err
	}
	// JWT-3.12-1: a logout token may have all required claims of an ID token,
	// and it need not have a typ.
	if opened.Claims.Has("events") {
		return nil, fmt.Errorf("%w: it has the claim events", ErrType)
	}
	t, err := read(opened.Claims)
	if err != nil {
		return nil, err
	}
	for _, check := range []func() error{
		func() error { return v.checkParties(t) },
		func() error { return v.checkTimes(t) },
		func() error { return checkNonce(t, expected) },
		func() error { return v.checkUser(t, expected) },
		func() error { return checkAccessToken(t, opened.Header.Algorithm, expected.AccessToken) },
	} {
		if err := check(); err != nil { // CS-20
			return nil, err
		}
	}
	// MS-5.6.2-1, JWT-3.8-1: TLS to the token endpoint does not replace the
	// signature. The keys are those of the issuer.
	if _, err := opened.Verify(ctx, v.cfg.Keys); err != nil {
		return nil, err
	}
	return t, nil
}

// checkParties makes steps 2 to 5 of OpenID Connect Core 1.0 §3.1.3.7.
func (v *Verifier) checkParties(t *Token) error {
	// CS-20, JWT-3.8-1: identifiers are compared without normalisation.
	if t.issuer != v.cfg.Issuer {
		return fmt.Errorf("%w: got %.256q, want %q", ErrIssuer, t.issuer, v.cfg.Issuer)
	}
	if !slices.Contains(t.audience, v.cfg.ClientID) { // JWT-3.9-1
		return fmt.Errorf("%w: got %.256q, want %q", ErrAudience, t.audience, v.cfg.ClientID)
	}
	for _, aud := range t.audience {
		// CS-20: another recipient of the token could present it here.
		if aud != v.cfg.ClientID && !slices.Contains(v.cfg.TrustedAudiences, aud) {
			return fmt.Errorf("%w: untrusted recipient %.256q", ErrAudience, aud)
		}
	}
	if t.azp != "" && t.azp != v.cfg.ClientID {
		return fmt.Errorf("%w: got %.256q, want %q", ErrAuthorizedParty, t.azp, v.cfg.ClientID)
	}
	if t.azp == "" && len(t.audience) > 1 {
		return fmt.Errorf("%w: several audiences without azp", ErrAuthorizedParty)
	}
	return nil
}

// checkTimes makes steps 9 and 10.
func (v *Verifier) checkTimes(t *Token) error {
	now := v.cfg.Now()
	if !now.Before(t.expires.Add(v.cfg.Leeway)) {
		return fmt.Errorf("%w: exp %s, now %s, leeway %v", ErrExpired, stamp(t.expires), stamp(now), v.cfg.Leeway)
	}
	if ahead := t.issuedAt.Sub(now); ahead > max(futureSkew, v.cfg.Leeway) || ahead < -maxAge {
		return fmt.Errorf("%w: iat %s, now %s", ErrIssuedAt, stamp(t.issuedAt), stamp(now))
	}
	return nil
}

// stamp formats a time for an operator.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// checkNonce makes step 11. If the client has sent no nonce, a token with one
// belongs to another request.
func checkNonce(t *Token, expected Expected) error {
	switch {
	case t.nonce == "" && (expected.Nonce == "" || expected.Refreshed):
		return nil
	case t.nonce == "":
		return fmt.Errorf("%w: missing", ErrNonce)
	case expected.Nonce == "":
		return fmt.Errorf("%w: unexpected", ErrNonce)
	case !jose.EqualString(t.nonce, expected.Nonce):
		return fmt.Errorf("%w: different value", ErrNonce)
	}
	return nil
}

// checkUser makes steps 12 and 13.
func (v *Verifier) checkUser(t *Token, expected Expected) error {
	if expected.Subject != "" && t.subject != expected.Subject {
		return fmt.Errorf("%w: not the expected user", ErrSubject)
	}
	if len(expected.ACRValues) > 0 && (t.acr == "" || !slices.Contains(expected.ACRValues, t.acr)) {
		return fmt.Errorf("%w: acr is %.256q, want one of %q", ErrAuthentication, t.acr, expected.ACRValues)
	}
	if expected.MaxAge <= 0 {
		return nil
	}
	if t.authTime.IsZero() {
		return fmt.Errorf("%w: missing auth_time", ErrAuthentication)
	}
	if age := v.cfg.Now().Sub(t.authTime); age > expected.MaxAge+max(futureSkew, v.cfg.Leeway) {
		return fmt.Errorf("%w: authenticated %v ago, want at most %v", ErrAuthentication,
			age.Round(time.Second), expected.MaxAge)
	}
	return nil
}

// checkAccessToken makes the check of OpenID Connect Core 1.0 §3.1.3.8.
func checkAccessToken(t *Token, alg, accessToken string) error {
	if accessToken == "" {
		return nil
	}
	hash, present, err := t.payload.String("at_hash")
	if err != nil { // an ignored at_hash would skip the check
		return fmt.Errorf("%w: %w", ErrClaims, err)
	}
	if present && !jose.EqualString(hash, leftHalf(alg, accessToken)) {
		return fmt.Errorf("%w: at_hash differs", ErrAccessToken)
	}
	return nil
}
