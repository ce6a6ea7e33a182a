package idtoken

import (
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/strictjson"
)

const (
	defaultLifetime = 5 * time.Minute
	maxLifetime     = 24 * time.Hour
)

// IssuerConfig configures an [Issuer].
type IssuerConfig struct {
	// Issuer is the issuer identifier of the OpenID provider. Required.
	Issuer string
	// Key signs the tokens: P-256, Ed25519 or RSA. It must be safe for
	// concurrent use. Required.
	Key crypto.Signer
	// KeyID is the kid of the published public key. The default is the RFC 7638
	// thumbprint of the key.
	KeyID string
	// Algorithm is ES256, PS256, EdDSA or Ed25519. The default is the algorithm
	// that fits the key, EdDSA for Ed25519.
	Algorithm string
	// Lifetime is the time within which a client must verify the token. The
	// default is 5 minutes, the maximum 24 hours.
	Lifetime time.Duration
	// Now is the clock. If nil, time.Now is used. It is called concurrently.
	Now func() time.Time
}

// An Issuer issues ID tokens. It is safe for concurrent use if its key is.
type Issuer struct {
	cfg    IssuerConfig
	signer *jose.Signer
}

// Claims are the claims of an ID token.
type Claims struct {
	// Subject is the user ("sub"): at most 255 ASCII characters, which are
	// never reassigned. Required.
	Subject string
	// ClientID is the client that receives the token ("aud"). Required.
	ClientID string
	// OtherAudience contains further recipients. If there are any, the client
	// is also the authorized party ("azp"). It accepts the token only if it
	// trusts the others. Usually nil.
	OtherAudience []string
	// Nonce is the nonce of the authorization request, unchanged ("nonce"). If
	// empty, the token has no nonce.
	Nonce string
	// AuthTime is when the user authenticated ("auth_time"). If zero, the token
	// has no auth_time. Required if the request has max_age.
	AuthTime time.Time
	// ACR is the authentication context class of the authentication ("acr").
	ACR string
	// AMR contains the authentication methods that were used ("amr").
	AMR []string
	// AccessToken is the access token of the same response. If it is not empty,
	// the token has its hash ("at_hash").
	AccessToken string
	// Extra contains further claims by name. A name that this package defines
	// is an error.
	Extra map[string]any
}

// String returns a text with the client, without the access token and the
// claims about the user.
func (c Claims) String() string {
	return fmt.Sprintf("claims of an ID token for client %.256q", c.ClientID)
}

// LogValue returns the text of String.
func (c Claims) LogValue() slog.Value { return slog.StringValue(c.String()) }

// NewIssuer validates and copies cfg.
func NewIssuer(cfg IssuerConfig) (*Issuer, error) {
	if cfg.Issuer == "" || !jwt.UTF8(cfg.Issuer) {
		return nil, errors.New("idtoken: Issuer is empty or not UTF-8")
	}
	if cfg.Lifetime == 0 {
		cfg.Lifetime = defaultLifetime
	}
	if cfg.Lifetime < time.Second || cfg.Lifetime > maxLifetime {
		return nil, fmt.Errorf("idtoken: invalid Lifetime %v, want 1s to %v", cfg.Lifetime, maxLifetime)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	// SP-5.4.1-1.2. The header has no typ, because some clients reject every
	// typ.
	signer, err := jwt.NewSigner(cfg.Key, jose.SignerOptions{Algorithm: cfg.Algorithm, KeyID: cfg.KeyID})
	if err != nil {
		return nil, fmt.Errorf("idtoken: %w", err)
	}
	return &Issuer{cfg: cfg, signer: signer}, nil
}

// reserved names are not permitted in Extra. client_id and cnf are among them
// because they mark an access token.
var reserved = []string{
	"iss", "sub", "aud", "azp", "exp", "iat", "nbf", "auth_time", "nonce", "acr", "amr", "at_hash", "c_hash",
	"client_id", "cnf",
}

// Issue returns a signed token. An error is about the claims or comes from the
// key. Do not send its text to the client.
func (i *Issuer) Issue(c Claims) (string, error) {
	if err := check(c); err != nil {
		return "", fmt.Errorf("idtoken: %w", err)
	}
	now := i.cfg.Now().Unix()
	var w strictjson.Writer
	w.String("iss", i.cfg.Issuer)
	w.String("sub", c.Subject)
	jwt.WriteAudience(&w, append([]string{c.ClientID}, c.OtherAudience...))
	if len(c.OtherAudience) > 0 {
		w.String("azp", c.ClientID)
	}
	w.Int("exp", now+int64(i.cfg.Lifetime/time.Second))
	w.Int("iat", now)
	jwt.WriteTime(&w, "auth_time", c.AuthTime)
	w.String("nonce", c.Nonce)
	w.String("acr", c.ACR)
	w.Strings("amr", c.AMR)
	if c.AccessToken != "" {
		w.String("at_hash", leftHalf(i.signer.Algorithm(), c.AccessToken))
	}
	body, err := jwt.Encode(&w, c.Extra, reserved)
	if err != nil {
		return "", fmt.Errorf("idtoken: %w", err)
	}
	token, err := i.signer.Sign(body)
	if err != nil {
		return "", fmt.Errorf("idtoken: signing: %w", err)
	}
	if len(token) > maxTokenBytes {
		return "", fmt.Errorf("idtoken: token of %d bytes, want at most %d", len(token), maxTokenBytes)
	}
	return token, nil
}

func check(c Claims) error {
	switch {
	case !isSubject(c.Subject):
		return fmt.Errorf("Subject is not 1 to %d ASCII characters", maxSubject)
	case c.ClientID == "" || slices.Contains(c.OtherAudience, ""):
		return errors.New("missing ClientID or empty element of OtherAudience")
	case !jwt.UTF8(c.ClientID, c.Nonce, c.ACR):
		return errors.New("ClientID, Nonce or ACR is not UTF-8")
	case !jwt.UTF8(c.OtherAudience...) || !jwt.UTF8(c.AMR...): // JWT-3.7-1
		return errors.New("OtherAudience or AMR is not UTF-8")
	case !c.AuthTime.IsZero() && c.AuthTime.Unix() <= 0:
		return errors.New("AuthTime is before 1970")
	}
	return nil
}

// leftHalf returns at_hash (OpenID Connect Core 1.0 §3.1.3.6): the left half of
// the hash of the access token. The algorithm determines the hash, which is
// SHA-512 for Ed25519.
func leftHalf(alg, token string) string {
	if alg == jose.EdDSA || alg == jose.Ed25519 {
		sum := sha512.Sum512([]byte(token))
		return base64.RawURLEncoding.EncodeToString(sum[:sha512.Size/2])
	}
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2])
}
