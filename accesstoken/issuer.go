package accesstoken

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/internal/syntax"
)

const (
	defaultLifetime = 5 * time.Minute
	maxLifetime     = 24 * time.Hour
	typ             = "at+jwt"
	idBytes         = 16 // SP-5.4.1-4: 128 bits
)

// IssuerConfig configures an [Issuer].
type IssuerConfig struct {
	// Issuer is the issuer identifier of the authorization server. Required.
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
	// Lifetime is the lifetime of tokens whose [Claims] have none. A resource
	// server that does not check revocation accepts a token for this time. The
	// default is 5 minutes, the maximum 24 hours.
	Lifetime time.Duration
	// InsecureAllowBearer permits tokens that are not bound to a key, which any
	// party that sees one can use. FAPI 2.0 forbids them.
	InsecureAllowBearer bool
	// Now is the clock. If nil, time.Now is used. It is called concurrently.
	Now func() time.Time
}

// An Issuer issues JWT access tokens (RFC 9068 §2). It is safe for concurrent
// use if its key is.
type Issuer struct {
	cfg    IssuerConfig
	signer *jose.Signer
}

// Claims are the claims of an access token.
type Claims struct {
	// Subject is the resource owner, or the client itself in a client
	// credentials grant ("sub"). Required.
	Subject string
	// ClientID is the client that receives the token ("client_id"). Required.
	ClientID string
	// Audience contains the resource servers that the token is for ("aud"): the
	// resource indicators (RFC 8707) of the request, or a default one. Use one
	// audience if possible: each of several resource servers could use the
	// token at the others. Required.
	Audience []string
	// Scope is the granted scope, space-separated ("scope"). Leave out values
	// that the audience does not use.
	Scope string
	// ID identifies the token, for revocation ("jti"). The default is 128
	// random bits.
	ID string
	// Lifetime replaces the Lifetime of the configuration if it is not 0.
	Lifetime time.Duration
	// JKT is the thumbprint of the client's DPoP key ("cnf"."jkt", RFC 9449
	// §6.1). JKT or X5TS256 is required.
	JKT string
	// X5TS256 is the thumbprint of the client's certificate ("cnf"."x5t#S256",
	// RFC 8705 §3.1).
	X5TS256 string
	// AuthTime is when the user authenticated ("auth_time"). If zero, the token
	// has no auth_time. AuthTime, ACR and AMR belong to the authorization. They
	// stay the same when a token is refreshed.
	AuthTime time.Time
	// ACR is the authentication context class of the authentication ("acr").
	ACR string
	// AMR contains the authentication methods that were used ("amr").
	AMR []string
	// AuthorizationDetails is a JSON array with the objects (RFC 9396) that
	// concern the audience.
	AuthorizationDetails json.RawMessage
	// GrantID identifies the consent behind the token ("grant_id"): the ID of
	// the grant (Grant Management for OAuth 2.0) or of the authorization. All
	// tokens of one consent carry the same value, including refreshed tokens.
	// If empty, the token has no grant_id.
	GrantID string
	// Extra contains further claims by name. A name that RFC 9068 or this
	// package defines is an error.
	Extra map[string]any
}

// NewIssuer validates and copies cfg.
func NewIssuer(cfg IssuerConfig) (*Issuer, error) {
	if cfg.Issuer == "" || !jwt.UTF8(cfg.Issuer) {
		return nil, errors.New("accesstoken: Issuer is empty or not UTF-8")
	}
	if cfg.Lifetime == 0 {
		cfg.Lifetime = defaultLifetime
	}
	if cfg.Lifetime < time.Second || cfg.Lifetime > maxLifetime {
		return nil, fmt.Errorf("accesstoken: invalid Lifetime %v, want 1s to %v", cfg.Lifetime, maxLifetime)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	// AT-2.1-1, AT-2.1-2: a signature is required. FAPI 2.0 does not permit the
	// RS256 of RFC 9068. AT-2.1-3: the typ rules out use as an ID token.
	signer, err := jwt.NewSigner(cfg.Key, jose.SignerOptions{Type: typ, Algorithm: cfg.Algorithm, KeyID: cfg.KeyID})
	if err != nil {
		return nil, fmt.Errorf("accesstoken: %w", err)
	}
	return &Issuer{cfg: cfg, signer: signer}, nil
}

// reserved names are not permitted in Extra.
var reserved = []string{
	"iss", "sub", "aud", "client_id", "iat", "exp", "nbf", "jti", "scope", "cnf", "auth_time", "acr", "amr",
	"authorization_details", "grant_id",
}

// Issue returns a signed token. It returns an error for claims that a
// [Verifier] would reject, for example claims without a binding. For a token of
// more than 16 KiB it returns [ErrTooLong]. Other errors come from the key. Do
// not send the text of an error to the client.
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

// Size returns the length of the token that Issue would return. It returns the
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
	var w strictjson.Writer
	w.String("iss", i.cfg.Issuer) // AT-2.2-1: all required claims
	w.String("sub", c.Subject)
	jwt.WriteAudience(&w, c.Audience)
	w.String("client_id", c.ClientID)
	w.Int("iat", now)
	w.Int("exp", now+int64(lifetime/time.Second))
	w.String("jti", c.ID)
	w.String("scope", c.Scope)                                 // AT-2.2.3-1
	jwt.Confirmation{JKT: c.JKT, X5TS256: c.X5TS256}.Write(&w) // DPOP-6.1-1, MTLS-3.1-1
	jwt.WriteTime(&w, "auth_time", c.AuthTime)                 // SU-6.1-1
	w.String("acr", c.ACR)                                     // SU-5-2
	w.Strings("amr", c.AMR)
	jwt.WriteArray(&w, "authorization_details", c.AuthorizationDetails)
	w.String("grant_id", c.GrantID)
	body, err := jwt.Encode(&w, c.Extra, reserved)
	if err != nil {
		return nil, fmt.Errorf("accesstoken: %w", err)
	}
	if size := i.signer.Size(len(body)); size > maxTokenBytes {
		return body, fmt.Errorf("%w: %d bytes, want at most %d", ErrTooLong, size, maxTokenBytes)
	}
	return body, nil
}

func (i *Issuer) check(c Claims) error {
	switch {
	case c.Subject == "":
		return errors.New("missing Subject")
	case c.ClientID == "":
		return errors.New("missing ClientID")
	case len(c.Audience) == 0 || slices.Contains(c.Audience, ""): // AT-3-1
		return errors.New("missing or empty Audience")
	case c.Lifetime < 0 || c.Lifetime > maxLifetime || c.Lifetime > 0 && c.Lifetime < time.Second:
		return fmt.Errorf("invalid Lifetime %v, want 1s to %v", c.Lifetime, maxLifetime)
	case !jwt.UTF8(c.Subject, c.ClientID, c.ID, c.ACR, c.GrantID):
		return errors.New("Subject, ClientID, ID, ACR or GrantID is not UTF-8")
	case !jwt.UTF8(c.Audience...) || !jwt.UTF8(c.AMR...): // JWT-3.7-1
		return errors.New("Audience or AMR is not UTF-8")
	case !syntax.IsScopeList(c.Scope):
		return errors.New("malformed Scope, want scope tokens with one space between each two")
	case !c.AuthTime.IsZero() && c.AuthTime.Unix() <= 0:
		return errors.New("AuthTime is before 1970")
	case c.AuthorizationDetails != nil && !jwt.IsObjectArray(c.AuthorizationDetails):
		return errors.New("AuthorizationDetails is not a JSON array of objects")
	}
	return jwt.Confirmation{JKT: c.JKT, X5TS256: c.X5TS256}.Check(i.cfg.InsecureAllowBearer)
}
