package accesstoken

import (
	"bytes"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
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
	typ             = "at+jwt"
	idBytes         = 16 // SP-5.4.1-4: 128 bits
)

// IssuerConfig configures an [Issuer].
type IssuerConfig struct {
	// Issuer is the authorization server's issuer identifier. Required.
	Issuer string
	// Key signs the tokens: P-256, Ed25519 or RSA. Required. It must be safe for concurrent use.
	Key crypto.Signer
	// KeyID is the kid under which the public key is published. Default: the key's RFC 7638 thumbprint.
	KeyID string
	// Algorithm is ES256, PS256, EdDSA or Ed25519. Default: ES256, PS256 or EdDSA, by the kind of the key.
	Algorithm string
	// Lifetime is how long tokens are valid that say nothing else. A resource server that does not ask about revocation
	// believes a token for so long. Default 5 minutes, at most 24 hours.
	Lifetime time.Duration
	// InsecureAllowBearer permits tokens that are bound to no key, which anyone who sees one can use. FAPI 2.0 forbids them.
	InsecureAllowBearer bool
	// Now is the clock; nil means time.Now. It is called concurrently.
	Now func() time.Time
}

// An Issuer makes JWT access tokens (RFC 9068 §2). It is safe for concurrent use if its key is.
type Issuer struct {
	cfg    IssuerConfig
	signer *jose.Signer
}

// Claims are what an access token says.
type Claims struct {
	// Subject is the resource owner, or the client itself in a client credentials grant ("sub"). Required.
	Subject string
	// ClientID is the client that the token is issued to ("client_id"). Required.
	ClientID string
	// Audience are the resource servers that the token is for ("aud"): the resource indicators (RFC 8707) of the request,
	// or else a default one. One is best: with several, each of them could use the token at the others. Required.
	Audience []string
	// Scope is the granted scope, space-separated ("scope"). Leave out values that mean nothing to the audience.
	Scope string
	// ID identifies the token, for revocation ("jti"). Default: 128 random bits.
	ID string
	// Lifetime replaces the Lifetime of the configuration.
	Lifetime time.Duration
	// JKT is the thumbprint of the client's DPoP key ("cnf"."jkt", RFC 9449 §6.1). This or X5TS256 is required.
	JKT string
	// X5TS256 is the thumbprint of the client's certificate ("cnf"."x5t#S256", RFC 8705 §3.1).
	X5TS256 string
	// AuthTime is when the user authenticated ("auth_time"); zero: not said. Like ACR and AMR it belongs to the
	// authorization and stays the same in tokens that come of a refresh.
	AuthTime time.Time
	// ACR is the authentication context class that was met ("acr").
	ACR string
	// AMR are the authentication methods that were used ("amr").
	AMR []string
	// AuthorizationDetails is a JSON array of objects (RFC 9396), those that concern the audience.
	AuthorizationDetails json.RawMessage
	// GrantID identifies the consent behind the token ("grant_id"): the ID of the
	// grant (Grant Management for OAuth 2.0) or of the authorization. All tokens
	// of one consent carry the same value, including refreshed tokens. If empty,
	// the token has no grant_id.
	GrantID string
	// Extra are further claims by name. A name that RFC 9068 or this package gives a meaning to is refused.
	Extra map[string]any
}

// NewIssuer validates and copies cfg.
func NewIssuer(cfg IssuerConfig) (*Issuer, error) {
	if cfg.Issuer == "" || isNotUTF8(cfg.Issuer) {
		return nil, errors.New("accesstoken: Issuer is empty or not UTF-8")
	}
	if cfg.Lifetime == 0 {
		cfg.Lifetime = defaultLifetime
	}
	if cfg.Lifetime < time.Second || cfg.Lifetime > maxLifetime {
		return nil, fmt.Errorf("accesstoken: Lifetime is %v, not between 1s and %v", cfg.Lifetime, maxLifetime)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Key == nil {
		return nil, errors.New("accesstoken: Key is nil")
	}
	if cfg.KeyID == "" {
		var err error
		if cfg.KeyID, err = jose.Thumbprint(cfg.Key.Public()); err != nil {
			return nil, fmt.Errorf("accesstoken: Key: %w", err)
		}
	}
	// AT-2.1-1, AT-2.1-2: always signed, and by what FAPI 2.0 allows, which leaves out the RS256 of RFC 9068.
	// AT-2.1-3: the type keeps the token from passing for an ID token.
	signer, err := jose.NewSigner(cfg.Key, jose.SignerOptions{Type: typ, Algorithm: cfg.Algorithm, KeyID: cfg.KeyID})
	if err != nil {
		return nil, fmt.Errorf("accesstoken: Key: %w", err)
	}
	return &Issuer{cfg: cfg, signer: signer}, nil
}

// payload has the claims in the order in which they are written.
type payload struct {
	Issuer               string          `json:"iss"`
	Subject              string          `json:"sub"`
	Audience             any             `json:"aud"`
	ClientID             string          `json:"client_id"`
	IssuedAt             int64           `json:"iat"`
	Expires              int64           `json:"exp"`
	ID                   string          `json:"jti"`
	Scope                string          `json:"scope,omitempty"`
	Confirmation         *confirmation   `json:"cnf,omitempty"`
	AuthTime             int64           `json:"auth_time,omitempty"`
	ACR                  string          `json:"acr,omitempty"`
	AMR                  []string        `json:"amr,omitempty"`
	AuthorizationDetails json.RawMessage `json:"authorization_details,omitempty"`
	GrantID              string          `json:"grant_id,omitempty"`
}

type confirmation struct {
	JKT     string `json:"jkt,omitempty"`
	X5TS256 string `json:"x5t#S256,omitempty"`
}

// ownClaims may not come from Extra.
var ownClaims = []string{
	"iss", "sub", "aud", "client_id", "iat", "exp", "nbf", "jti", "scope", "cnf", "auth_time", "acr", "amr", "authorization_details", "grant_id",
}

// Issue returns a signed token. It refuses claims that a [Verifier] would, among them those that bind the token to no
// key, and a token of more than 16 KiB, with [ErrTooLong]. An error is either a mistake of the caller or comes from the key; neither is
// for the client to see.
func (i *Issuer) Issue(c Claims) (string, error) {
	body, err := i.body(c)
	if err != nil {
		return "", err
	}
	token, err := i.signer.Sign(body)
	if err != nil {
		return "", fmt.Errorf("accesstoken: signing: %w", err)
	}
	return token, nil
}

// Size returns the length of the token that Issue would make. It returns the
// errors of Issue, for example [ErrTooLong], except those of the key. It signs
// nothing.
func (i *Issuer) Size(c Claims) (int, error) {
	body, err := i.body(c)
	return i.signer.Size(len(body)), err
}

// body returns the claims as JSON, or [ErrTooLong].
func (i *Issuer) body(c Claims) ([]byte, error) {
	if err := i.check(c); err != nil {
		return nil, fmt.Errorf("accesstoken: %w", err)
	}
	lifetime := i.cfg.Lifetime
	if c.Lifetime != 0 {
		lifetime = c.Lifetime
	}
	if c.ID == "" {
		c.ID = jose.RandomString(idBytes)
	}
	now := i.cfg.Now().Unix()
	// AT-2.2-1: all that is required.
	p := payload{
		Issuer: i.cfg.Issuer, Subject: c.Subject, Audience: c.Audience, ClientID: c.ClientID,
		IssuedAt: now, Expires: now + int64(lifetime/time.Second), ID: c.ID,
		Scope: c.Scope, ACR: c.ACR, AMR: c.AMR, // AT-2.2.3-1, SU-5-2, SU-6.1-1
		AuthorizationDetails: c.AuthorizationDetails, GrantID: c.GrantID,
	}
	if len(c.Audience) == 1 {
		p.Audience = c.Audience[0]
	}
	if c.JKT != "" || c.X5TS256 != "" {
		p.Confirmation = &confirmation{c.JKT, c.X5TS256} // DPOP-6.1-1, MTLS-3.1-1
	}
	if !c.AuthTime.IsZero() {
		p.AuthTime = c.AuthTime.Unix()
	}
	body, err := encode(p, c.Extra)
	if err != nil {
		return nil, fmt.Errorf("accesstoken: %w", err)
	}
	if size := i.signer.Size(len(body)); size > maxTokenBytes {
		return body, fmt.Errorf("%w: %d bytes, more than %d", ErrTooLong, size, maxTokenBytes)
	}
	return body, nil
}

func (i *Issuer) check(c Claims) error {
	switch {
	case c.Subject == "":
		return errors.New("no Subject")
	case c.ClientID == "":
		return errors.New("no ClientID")
	case len(c.Audience) == 0 || slices.Contains(c.Audience, ""): // AT-3-1
		return errors.New("no Audience, or an empty one")
	case c.Lifetime < 0 || c.Lifetime > maxLifetime || c.Lifetime > 0 && c.Lifetime < time.Second:
		return fmt.Errorf("Lifetime is %v, not between 1s and %v", c.Lifetime, maxLifetime)
	case c.JKT == "" && c.X5TS256 == "" && !i.cfg.InsecureAllowBearer:
		return errors.New("neither JKT nor X5TS256: the token would be bound to no key")
	case c.JKT != "" && !isThumbprint(c.JKT):
		return errors.New("JKT is no SHA-256 thumbprint in base64url")
	case c.X5TS256 != "" && !isThumbprint(c.X5TS256):
		return errors.New("X5TS256 is no SHA-256 thumbprint in base64url")
	case slices.ContainsFunc([]string{c.Subject, c.ClientID, c.ID, c.ACR, c.GrantID}, isNotUTF8): // JSON would make one character of all that are invalid
		return errors.New("Subject, ClientID, ID, ACR or GrantID is not UTF-8")
	case slices.ContainsFunc(c.Audience, isNotUTF8) || slices.ContainsFunc(c.AMR, isNotUTF8): // JWT-3.7-1
		return errors.New("Audience or AMR is not UTF-8")
	case !isScope(c.Scope):
		return errors.New("Scope is not a list of scope tokens with a space between each two")
	case !c.AuthTime.IsZero() && c.AuthTime.Unix() <= 0:
		return errors.New("AuthTime is before 1970")
	case c.AuthorizationDetails != nil && !isObjectArray(c.AuthorizationDetails):
		return errors.New("AuthorizationDetails is no JSON array of objects")
	}
	for name := range c.Extra {
		if slices.ContainsFunc(ownClaims, func(own string) bool { return strings.EqualFold(own, name) }) {
			return fmt.Errorf("Extra has %q, which is not for Extra to say", name)
		}
	}
	return nil
}

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

// marshal keeps "&" in URLs as it is: tokens are long enough, and go into no HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// isScope checks RFC 6749 §3.3: scope-token *( SP scope-token ), or nothing.
func isScope(s string) bool {
	last := byte(' ')
	for i := range len(s) {
		c := s[i]
		if c == ' ' && last == ' ' || c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
		last = c
	}
	return s == "" || last != ' '
}

// isThumbprint checks the form only. MTLS-3.1-2: no padding, no white space. The last character may carry stray bits, as it does in the example of RFC 8705
// §3.1: thumbprints are compared as strings, and a wrong one fits nothing.
func isThumbprint(s string) bool {
	if len(s) != 43 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

func isObjectArray(raw json.RawMessage) bool {
	if strictjson.Valid(raw) != nil {
		return false
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil || items == nil {
		return false
	}
	return !slices.ContainsFunc(items, func(item json.RawMessage) bool { return item[0] != '{' })
}

// isNotUTF8 is asked for each string alone: two that are invalid can be valid as one.
func isNotUTF8(s string) bool { return !utf8.ValidString(s) }
