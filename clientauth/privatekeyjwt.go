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
	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/internal/syntax"
)

const (
	defaultLifetime = time.Minute
	longestLifetime = 10 * time.Minute // every server should accept this
)

// PrivateKeyJWTConfig configures a [PrivateKeyJWT].
type PrivateKeyJWTConfig struct {
	// ClientID is the identifier of the client at the authorization server.
	// Required.
	ClientID string
	// Audience is the issuer identifier of the authorization server, exactly as
	// in its metadata. The URL of an endpoint is not valid: a server that
	// obtains such an assertion could use it at another server. Required.
	Audience string
	// Key signs the assertions: P-256, Ed25519, or RSA of at least 2048 bits. A
	// key of a KMS or HSM is supported. It must be safe for concurrent use.
	// Required.
	Key crypto.Signer
	// KeyID is the kid by which the server finds the key in the key set of the
	// client. If empty, the assertion has no kid.
	KeyID string
	// Algorithm is "PS256", "ES256", "EdDSA" or "Ed25519". The default is the
	// algorithm that fits Key, EdDSA for Ed25519.
	Algorithm string
	// Lifetime is the time from iat to exp: 1 second to 10 minutes. The default
	// is 1 minute.
	Lifetime time.Duration
	// Claims returns further claims for an assertion, for example the
	// authorization_details that a server expects there. It receives the
	// context of [PrivateKeyJWT.Authenticate] and is called concurrently. It
	// must return the same claims for the attempts of one request. The claims
	// that an assertion always has, and nbf, are errors. If nil, there are no
	// further claims.
	Claims func(ctx context.Context) (map[string]any, error)
	// Now is the clock. If nil, time.Now is used. If the local clock may be
	// wrong, use one that is corrected by the Date header of responses. It is
	// called concurrently.
	Now func() time.Time
}

// String returns a text without the key.
func (c PrivateKeyJWTConfig) String() string {
	return fmt.Sprintf("clientauth.PrivateKeyJWTConfig{ClientID: %q, Audience: %q, KeyID: %q}",
		c.ClientID, c.Audience, c.KeyID)
}

// GoString returns the text of String.
func (c PrivateKeyJWTConfig) GoString() string { return c.String() }

// LogValue returns the text of String.
func (c PrivateKeyJWTConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// A PrivateKeyJWT authenticates a client at one authorization server. It is
// safe for concurrent use.
type PrivateKeyJWT struct {
	clientID, audience string
	signer             *jose.Signer
	lifetime           time.Duration
	claims             func(ctx context.Context) (map[string]any, error)
	now                func() time.Time
}

// NewPrivateKeyJWT validates and copies cfg.
func NewPrivateKeyJWT(cfg PrivateKeyJWTConfig) (*PrivateKeyJWT, error) { // SP-5.3.3.1-2
	if err := syntax.CheckClientID(cfg.ClientID); err != nil {
		return nil, fmt.Errorf("clientauth: %w", err)
	}
	if err := syntax.CheckIssuer(cfg.Audience); err != nil {
		return nil, fmt.Errorf("clientauth: Audience: %w", err)
	}
	if cfg.Lifetime == 0 {
		cfg.Lifetime = defaultLifetime
	}
	if cfg.Lifetime < time.Second || cfg.Lifetime > longestLifetime {
		return nil, fmt.Errorf("clientauth: invalid Lifetime %v, want 1s to %v", cfg.Lifetime, longestLifetime)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	// CA-BIS-4-5, SP-5.4.1-2: the typ rules out use as another kind of JWT.
	signer, err := jose.NewSigner(cfg.Key, jose.SignerOptions{
		Type: assertionTyp, Algorithm: cfg.Algorithm, KeyID: cfg.KeyID,
	})
	if err != nil {
		return nil, fmt.Errorf("clientauth: %w", err)
	}
	return &PrivateKeyJWT{
		clientID: cfg.ClientID, audience: cfg.Audience, signer: signer, lifetime: cfg.Lifetime,
		claims: cfg.Claims, now: cfg.Now,
	}, nil
}

// Assertion returns a new assertion for one request. An error comes from the
// key or from Claims, which receives an empty context.
func (c *PrivateKeyJWT) Assertion() (string, error) { return c.assertion(context.Background()) }

func (c *PrivateKeyJWT) assertion(ctx context.Context) (string, error) {
	var more map[string]any
	if c.claims != nil {
		var err error
		if more, err = c.claims(ctx); err != nil {
			return "", fmt.Errorf("clientauth: Claims: %w", err)
		}
	}
	now := c.now()
	var w strictjson.Writer // CA-OIDC-9-1
	w.String("iss", c.clientID)
	w.String("sub", c.clientID)
	w.String("aud", c.audience)            // SP-5.3.3.1-5, CA-BIS-4-1, PAR-2-5: one string, not an array
	w.String("jti", jose.RandomString(16)) // 128 bits
	// There is no nbf, because it would only fail for clients with a fast
	// clock.
	w.Int("iat", now.Unix())
	w.Int("exp", now.Add(c.lifetime).Unix())
	payload, err := jwt.Encode(&w, more, []string{"iss", "sub", "aud", "jti", "iat", "exp", "nbf"})
	if err != nil {
		return "", fmt.Errorf("clientauth: Claims: %w", err)
	}
	assertion, err := c.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("clientauth: signing: %w", err)
	}
	return assertion, nil
}

// Authenticate sets client_id, client_assertion_type and a new client_assertion
// in the form of a request to the authorization server, and removes
// client_secret. Call it again for every retry. An error comes from the key,
// from Claims or from ctx. After an error the form is unchanged.
func (c *PrivateKeyJWT) Authenticate(ctx context.Context, form url.Values) error {
	if form == nil {
		return errors.New("clientauth: nil form")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	assertion, err := c.assertion(ctx)
	if err != nil {
		return err
	}
	form.Set(paramClientID, c.clientID) // CA-7521-4.2-1
	form.Set(paramAssertionType, assertionType)
	form.Set(paramAssertion, assertion)
	form.Del(paramClientSecret) // CA-7521-4.2-2: one method in a request
	return nil
}
