package clientauth

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
)

const (
	defaultLifetime = time.Minute
	longestLifetime = 10 * time.Minute // every server should accept this
)

// PrivateKeyJWTConfig configures a client's side of private_key_jwt.
type PrivateKeyJWTConfig struct {
	// ClientID is the client identifier that the authorization server knows. Required.
	ClientID string
	// Audience is the issuer identifier of the authorization server, character by character as in its metadata: not the
	// URL of an endpoint. Required.
	Audience string
	// Key signs: P-256, Ed25519, or RSA of at least 2048 bits (SP-5.4.1-2). A key of a KMS or HSM will do. It is used
	// concurrently. Required.
	Key crypto.Signer
	// KeyID becomes the header's kid, by which the server finds the key in the client's key set. Empty: no kid.
	KeyID string
	// Algorithm is "PS256", "ES256", "EdDSA" or "Ed25519". Empty: the one that fits Key (EdDSA for Ed25519).
	Algorithm string
	// Lifetime is how long an assertion is good for: 1 second to 10 minutes, default 1 minute.
	Lifetime time.Duration
	// Now is the clock, nil means time.Now. Where the local clock may be far off, give one that is corrected by the
	// Date header of the server's responses (SP-5.3.3.1-N1).
	Now func() time.Time
}

// String names the client and keeps the key to itself.
func (c PrivateKeyJWTConfig) String() string {
	return fmt.Sprintf("clientauth.PrivateKeyJWTConfig{ClientID: %q, Audience: %q, KeyID: %q}", c.ClientID, c.Audience, c.KeyID)
}

// GoString is String.
func (c PrivateKeyJWTConfig) GoString() string { return c.String() }

// LogValue is String.
func (c PrivateKeyJWTConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// PrivateKeyJWT authenticates a client at one authorization server. It is safe for concurrent use.
type PrivateKeyJWT struct {
	clientID, audience string
	signer             *jose.Signer
	lifetime           time.Duration
	now                func() time.Time
}

// NewPrivateKeyJWT checks and copies the configuration (SP-5.3.3.1-2).
func NewPrivateKeyJWT(cfg PrivateKeyJWTConfig) (*PrivateKeyJWT, error) {
	if err := checkClientID(cfg.ClientID); err != nil {
		return nil, fmt.Errorf("clientauth: %w", err)
	}
	if err := checkIssuer(cfg.Audience); err != nil {
		return nil, fmt.Errorf("clientauth: audience: %w", err)
	}
	if cfg.Lifetime == 0 {
		cfg.Lifetime = defaultLifetime
	}
	if cfg.Lifetime < time.Second || cfg.Lifetime > longestLifetime {
		return nil, fmt.Errorf("clientauth: lifetime of %v, want 1s to %v", cfg.Lifetime, longestLifetime)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	// CA-BIS-4-5: the explicit type, so that nobody can take the assertion for a JWT of another kind.
	signer, err := jose.NewSigner(cfg.Key, jose.SignerOptions{Type: assertionTyp, Algorithm: cfg.Algorithm, KeyID: cfg.KeyID})
	if err != nil {
		return nil, fmt.Errorf("clientauth: %w", err)
	}
	return &PrivateKeyJWT{clientID: cfg.ClientID, audience: cfg.Audience, signer: signer, lifetime: cfg.Lifetime, now: cfg.Now}, nil
}

// assertionClaims are those of OpenID Connect Core §9. There is no nbf: it would only make a fast clock a failure.
type assertionClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"` // SP-5.3.3.1-5, CA-BIS-4-1, PAR-2-5: one string, not an array
	ID       string `json:"jti"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

// Assertion returns a new assertion, good for one request. An error comes from the key.
func (c *PrivateKeyJWT) Assertion() (string, error) {
	now := c.now()
	assertion, err := c.signer.SignClaims(assertionClaims{ // CA-OIDC-9-1
		Issuer: c.clientID, Subject: c.clientID, Audience: c.audience,
		ID:       jose.RandomString(16), // 128 bits: never the same again
		IssuedAt: now.Unix(), Expires: now.Add(c.lifetime).Unix(),
	})
	if err != nil {
		return "", fmt.Errorf("clientauth: signing an assertion: %w", err)
	}
	return assertion, nil
}

// Authenticate puts client_id, client_assertion_type and a new client_assertion into the form of a request to the
// authorization server, in place of any that are there, and removes a client_secret. Call it again for every retry. An
// error comes from the key, or is ctx's; form is unchanged then.
func (c *PrivateKeyJWT) Authenticate(ctx context.Context, form url.Values) error {
	if form == nil {
		return errors.New("clientauth: no form to authenticate")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	assertion, err := c.Assertion()
	if err != nil {
		return err
	}
	form.Set(paramClientID, c.clientID) // CA-7521-4.2-1
	form.Set(paramAssertionType, assertionType)
	form.Set(paramAssertion, assertion)
	form.Del(paramClientSecret) // CA-7521-4.2-2: one method in a request
	return nil
}
