package idtoken

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/strictjson"
)

const (
	defaultLifetime = 5 * time.Minute
	maxLifetime     = 24 * time.Hour
)

// IssuerConfig configures an [Issuer].
type IssuerConfig struct {
	// Issuer is the OpenID provider's issuer identifier. Required.
	Issuer string
	// Key signs the tokens: P-256, Ed25519 or RSA. Required. It must be safe for concurrent use.
	Key crypto.Signer
	// KeyID is the kid under which the public key is published. Default: the key's RFC 7638 thumbprint.
	KeyID string
	// Algorithm is ES256, PS256, EdDSA or Ed25519. Default: ES256, PS256 or EdDSA, by the kind of the key.
	Algorithm string
	// Lifetime is how long a client may take to look at the token. Default 5 minutes, at most 24 hours.
	Lifetime time.Duration
	// Now is the clock; nil means time.Now. It is called concurrently.
	Now func() time.Time
}

// An Issuer makes ID tokens. It is safe for concurrent use if its key is.
type Issuer struct {
	cfg    IssuerConfig
	signer *jose.Signer
}

// Claims are what an ID token says.
type Claims struct {
	// Subject is the user: at most 255 ASCII characters, never reassigned ("sub"). Required.
	Subject string
	// ClientID is the client that asked ("aud"). Required.
	ClientID string
	// OtherAudience are further recipients. The client then is also the authorized party ("azp"), and accepts the token only
	// if it knows and trusts the others. Usually nil.
	OtherAudience []string
	// Nonce is the nonce of the authorization request, exactly as it came; empty if it had none ("nonce").
	Nonce string
	// AuthTime is when the user authenticated ("auth_time"); zero: not said. Required if the request had max_age.
	AuthTime time.Time
	// ACR is the authentication context class that was met ("acr").
	ACR string
	// AMR are the authentication methods that were used ("amr").
	AMR []string
	// AccessToken is the access token of the same response, to tie the two together ("at_hash"). Optional.
	AccessToken string
	// Extra are further claims by name. A name that this package gives a meaning to is refused.
	Extra map[string]any
}

// String leaves out the access token and what is said about the user.
func (c Claims) String() string {
	return fmt.Sprintf("claims of an ID token for client %.256q", c.ClientID)
}

// LogValue is String for slog.
func (c Claims) LogValue() slog.Value { return slog.StringValue(c.String()) }

// NewIssuer validates and copies cfg.
func NewIssuer(cfg IssuerConfig) (*Issuer, error) {
	if cfg.Issuer == "" || isNotUTF8(cfg.Issuer) {
		return nil, errors.New("idtoken: Issuer is empty or not UTF-8")
	}
	if cfg.Lifetime == 0 {
		cfg.Lifetime = defaultLifetime
	}
	if cfg.Lifetime < time.Second || cfg.Lifetime > maxLifetime {
		return nil, fmt.Errorf("idtoken: Lifetime is %v, not between 1s and %v", cfg.Lifetime, maxLifetime)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Key == nil {
		return nil, errors.New("idtoken: Key is nil")
	}
	if cfg.KeyID == "" {
		var err error
		if cfg.KeyID, err = jose.Thumbprint(cfg.Key.Public()); err != nil {
			return nil, fmt.Errorf("idtoken: Key: %w", err)
		}
	}
	// SP-5.4.1-1.2. No typ: clients exist that refuse any.
	signer, err := jose.NewSigner(cfg.Key, jose.SignerOptions{Algorithm: cfg.Algorithm, KeyID: cfg.KeyID})
	if err != nil {
		return nil, fmt.Errorf("idtoken: Key: %w", err)
	}
	return &Issuer{cfg: cfg, signer: signer}, nil
}

// payload has the claims in the order in which they are written.
type payload struct {
	Issuer          string   `json:"iss"`
	Subject         string   `json:"sub"`
	Audience        any      `json:"aud"`
	AuthorizedParty string   `json:"azp,omitempty"`
	Expires         int64    `json:"exp"`
	IssuedAt        int64    `json:"iat"`
	AuthTime        int64    `json:"auth_time,omitempty"`
	Nonce           string   `json:"nonce,omitempty"`
	ACR             string   `json:"acr,omitempty"`
	AMR             []string `json:"amr,omitempty"`
	AccessTokenHash string   `json:"at_hash,omitempty"`
}

// ownClaims may not come from Extra. client_id and cnf are not ours and are what an access token is known by.
var ownClaims = []string{
	"iss", "sub", "aud", "azp", "exp", "iat", "nbf", "auth_time", "nonce", "acr", "amr", "at_hash", "c_hash", "client_id", "cnf",
}

// Issue returns a signed token. An error is either a mistake of the caller or comes from the key; neither is for the
// client to see.
func (i *Issuer) Issue(c Claims) (string, error) {
	if err := check(c); err != nil {
		return "", fmt.Errorf("idtoken: %w", err)
	}
	now := i.cfg.Now().Unix()
	p := payload{
		Issuer: i.cfg.Issuer, Subject: c.Subject, Audience: c.ClientID,
		Expires: now + int64(i.cfg.Lifetime/time.Second), IssuedAt: now,
		Nonce: c.Nonce, ACR: c.ACR, AMR: c.AMR,
	}
	if len(c.OtherAudience) > 0 {
		p.Audience, p.AuthorizedParty = append([]string{c.ClientID}, c.OtherAudience...), c.ClientID
	}
	if !c.AuthTime.IsZero() {
		p.AuthTime = c.AuthTime.Unix()
	}
	if c.AccessToken != "" {
		p.AccessTokenHash = leftHalf(i.signer.Algorithm(), c.AccessToken)
	}
	body, err := encode(p, c.Extra)
	if err != nil {
		return "", fmt.Errorf("idtoken: %w", err)
	}
	token, err := i.signer.Sign(body)
	if err != nil {
		return "", fmt.Errorf("idtoken: signing: %w", err)
	}
	if len(token) > maxTokenBytes {
		return "", fmt.Errorf("idtoken: the token has %d bytes, more than %d", len(token), maxTokenBytes)
	}
	return token, nil
}

func check(c Claims) error {
	switch {
	case !isSubject(c.Subject):
		return fmt.Errorf("Subject is not 1 to %d ASCII characters", maxSubject)
	case c.ClientID == "" || slices.Contains(c.OtherAudience, ""):
		return errors.New("no ClientID, or an empty member of OtherAudience")
	// One by one, since two that are invalid can be valid as one. JSON would make one character of all that are invalid.
	case slices.ContainsFunc([]string{c.ClientID, c.Nonce, c.ACR}, isNotUTF8):
		return errors.New("ClientID, Nonce or ACR is not UTF-8")
	case slices.ContainsFunc(c.OtherAudience, isNotUTF8) || slices.ContainsFunc(c.AMR, isNotUTF8): // JWT-3.7-1
		return errors.New("OtherAudience or AMR is not UTF-8")
	case !c.AuthTime.IsZero() && c.AuthTime.Unix() <= 0:
		return errors.New("AuthTime is before 1970")
	}
	for name := range c.Extra {
		if slices.ContainsFunc(ownClaims, func(own string) bool { return strings.EqualFold(own, name) }) {
			return fmt.Errorf("Extra has %q, which is not for Extra to say", name)
		}
	}
	return nil
}

func isNotUTF8(s string) bool { return !utf8.ValidString(s) }

func encode(p payload, extra map[string]any) ([]byte, error) {
	body, err := marshal(p)
	if err != nil || len(extra) == 0 {
		return body, err
	}
	more, err := marshal(extra)
	if err != nil {
		return nil, fmt.Errorf("Extra: %w", err)
	}
	body = append(append(body[:len(body)-1], ','), more[1:]...)
	// Names that differ only by case would be refused by whoever reads the token.
	return body, strictjson.Valid(body)
}

// marshal keeps "&" in URLs as it is: a token goes into no HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// leftHalf is at_hash (§3.1.3.6): the left half of the hash of the access token, by the hash that the algorithm uses. That
// of Ed25519 is SHA-512.
func leftHalf(alg, token string) string {
	if alg == jose.EdDSA || alg == jose.Ed25519 {
		sum := sha512.Sum512([]byte(token))
		return base64.RawURLEncoding.EncodeToString(sum[:sha512.Size/2])
	}
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2])
}
