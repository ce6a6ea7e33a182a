package message

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/strictjson"
)

const (
	defaultMaxAge = 5 * time.Minute
	clockSkew     = 30 * time.Second
	maxID         = 256
)

// A ReplayStore remembers the messages that were accepted. Every store.Store is
// one.
type ReplayStore interface {
	// Add stores value under key until expires and returns true, unless key
	// exists.
	Add(ctx context.Context, key string, value []byte, expires time.Time) (added bool, err error)
}

// VerifierConfig configures a [Verifier].
type VerifierConfig struct {
	// Issuer is the identifier of the sender ("iss"). Required.
	Issuer string
	// Audience contains the identifiers of this recipient. The message must
	// have one of them as audience. Required.
	Audience []string
	// Keys returns the keys of the sender for the kid and alg of a message: see
	// package jwks. It is called concurrently, and only for messages that have
	// passed all checks that need no key. Required.
	Keys func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
	// Algorithms contains the accepted algorithms. The default is ES256, PS256,
	// EdDSA and Ed25519. Other algorithms are not supported.
	Algorithms []string
	// Type is the required typ of the header. If empty, typ must be JWT or
	// absent.
	Type string
	// MaxAge is the longest time since iat, even if exp is later: 1 second to
	// 24 hours. The default is 5 minutes.
	MaxAge time.Duration
	// AllowNoExpiry accepts messages without exp, because some ecosystems do
	// not use it. Only MaxAge then bounds the life of a message.
	AllowNoExpiry bool
	// AllowNoID accepts messages without jti, because some ecosystems do not
	// use it. Replay then recognizes such a message by the signed text.
	AllowNoID bool
	// Replay rejects a jti of this sender that was used before. If nil, a
	// message can be used several times until it is too old. That suits a
	// client, which receives each response on its own connection, and an API
	// with idempotency keys.
	Replay ReplayStore
	// Now is the clock. If nil, time.Now is used. It is called concurrently.
	Now func() time.Time
}

// A Verifier checks the messages of one sender to one recipient. An API has one
// for each client, and chooses it by the client_id of the access token. It is
// safe for concurrent use.
type Verifier struct {
	cfg   VerifierConfig
	rules jwt.Rules
}

// NewVerifier validates and copies cfg.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	if cfg.MaxAge == 0 {
		cfg.MaxAge = defaultMaxAge
	}
	switch {
	case cfg.Issuer == "":
		return nil, errors.New("message: missing Issuer")
	case len(cfg.Audience) == 0 || slices.Contains(cfg.Audience, ""):
		return nil, errors.New("message: missing or empty Audience")
	case cfg.Keys == nil:
		return nil, errors.New("message: missing Keys")
	case cfg.MaxAge < time.Second || cfg.MaxAge > maxLifetime:
		return nil, fmt.Errorf("message: invalid MaxAge %v, want 1s to %v", cfg.MaxAge, maxLifetime)
	}
	algorithms, err := jwt.Algorithms(cfg.Algorithms)
	if err != nil {
		return nil, fmt.Errorf("message: %w", err)
	}
	cfg.Audience = slices.Clone(cfg.Audience)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Verifier{cfg: cfg, rules: jwt.Rules{
		MaxBytes: maxMessage, Algorithms: algorithms, Type: cfg.Type, Untyped: cfg.Type == "",
		Errors: jwt.Errors{
			Malformed: ErrMalformed, Algorithm: ErrAlgorithm, Type: ErrType, Signature: ErrSignature,
			Unavailable: ErrUnavailable,
		},
	}}, nil
}

// ReadBody returns the message in the body of a request or a response. It reads
// at most 1 MiB. The error matches [ErrMediaType] or [ErrMalformed], or comes
// from body.
func ReadBody(h http.Header, body io.Reader) (string, error) {
	contentType := strings.Join(h.Values("Content-Type"), ", ")
	if mediaType, _, err := mime.ParseMediaType(contentType); err != nil || mediaType != MediaType {
		return "", fmt.Errorf("%w: got %.64q, want %s", ErrMediaType, mediaType, MediaType)
	}
	raw, err := io.ReadAll(io.LimitReader(body, maxMessage+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("message: %w", err)
	case len(raw) > maxMessage:
		return "", fmt.Errorf("%w: more than %d bytes", ErrMalformed, maxMessage)
	}
	return strings.TrimRight(string(raw), "\r\n"), nil
}

// Verify checks a message and returns its claims. The replay store is written
// last, so a message that is rejected for another reason can be sent again.
func (v *Verifier) Verify(ctx context.Context, token string) (*Message, error) {
	t, err := v.rules.Open(token)
	if err != nil {
		return nil, err
	}
	m, err := v.check(t.Claims)
	if err != nil {
		return nil, err
	}
	if _, err := t.Verify(ctx, v.cfg.Keys); err != nil {
		return nil, err
	}
	m.token = token
	if v.cfg.Replay == nil {
		return m, nil
	}
	key := jose.SHA256Base64("message\x00", v.cfg.Issuer, "\x00", m.id)
	if m.id == "" {
		// attack: another form of the signature (ECDSA has two)
		key = jose.SHA256Base64("message\x00", v.cfg.Issuer, "\x00\x00", token[:strings.LastIndexByte(token, '.')])
	}
	added, err := v.cfg.Replay.Add(ctx, key, nil, m.lastAccepted(v.cfg.MaxAge).Add(time.Second)) // a store may round
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrReplayStore, err)
	case !added:
		return nil, ErrReplayed
	}
	return m, nil
}

// A client assertion (RFC 7523 §3) has these claims, and usually no others.
var assertionClaims = []string{"iss", "sub", "aud", "iat", "exp", "nbf", "jti"}

// isAssertion reports whether claims are those of a client assertion. A sender
// signs its assertions with the same key, and their typ may be JWT.
func isAssertion(claims strictjson.Object) bool {
	other := func(name string) bool { return !slices.Contains(assertionClaims, name) }
	return claims.Has("sub") && !slices.ContainsFunc(claims.Names(), other)
}

// check checks the claims of a message.
func (v *Verifier) check(claims strictjson.Object) (*Message, error) {
	c := jwt.Read(claims, ErrClaims)
	m := &Message{payload: claims, issuer: c.String("iss"), issued: c.Time("iat"), id: c.NonEmpty("jti")}
	if m.id == "" && (!v.cfg.AllowNoID || claims.Has("jti")) {
		c.Fail("missing jti")
	}
	audience := c.Audience()
	m.expires, _ = c.OptionalTime("exp")
	notBefore, _ := c.OptionalTime("nbf")
	if m.expires.IsZero() && (!v.cfg.AllowNoExpiry || claims.Has("exp")) {
		c.Fail("missing exp")
	}
	if len(m.id) > maxID {
		c.Fail("jti of %d bytes, want at most %d", len(m.id), maxID)
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	if isAssertion(claims) { // RFC 8725 §3.12
		return nil, fmt.Errorf("%w: it has the claims of a client assertion", ErrType)
	}
	if m.issuer != v.cfg.Issuer {
		return nil, fmt.Errorf("%w: got %.256q, want %q", ErrIssuer, m.issuer, v.cfg.Issuer)
	}
	if !slices.ContainsFunc(audience, func(aud string) bool { return slices.Contains(v.cfg.Audience, aud) }) {
		return nil, fmt.Errorf("%w: got %.256q, want one of %q", ErrAudience, audience, v.cfg.Audience)
	}
	now := v.cfg.Now()
	switch {
	case m.issued.Sub(now) > clockSkew, now.Sub(m.issued) > v.cfg.MaxAge+clockSkew:
		return nil, fmt.Errorf("%w: iat %s, now %s, MaxAge %v", ErrIssuedAt, stamp(m.issued), stamp(now), v.cfg.MaxAge)
	case now.After(m.lastAccepted(v.cfg.MaxAge)):
		return nil, fmt.Errorf("%w: exp %s, now %s", ErrExpired, stamp(m.expires), stamp(now))
	case notBefore.Sub(now) > clockSkew:
		return nil, fmt.Errorf("%w: nbf %s, now %s", ErrExpired, stamp(notBefore), stamp(now))
	}
	return m, nil
}

// stamp formats a time for an operator.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// A Message contains the claims of a verified message. Only a [Verifier]
// returns one. It is immutable and safe for concurrent use. Its String and
// LogValue contain no member of the body.
type Message struct {
	token, issuer, id string
	issued, expires   time.Time
	payload           strictjson.Object
}

// lastAccepted returns the last instant at which the message is accepted.
func (m *Message) lastAccepted(maxAge time.Duration) time.Time {
	last := m.issued.Add(maxAge)
	if !m.expires.IsZero() && m.expires.Before(last) {
		last = m.expires
	}
	return last.Add(clockSkew)
}

// Issuer returns the sender ("iss").
func (m *Message) Issuer() string { return m.issuer }

// ID returns the identifier of the message ("jti"). It is empty if the message
// has none.
func (m *Message) ID() string { return m.id }

// IssuedAt returns when the message was signed ("iat").
func (m *Message) IssuedAt() time.Time { return m.issued }

// Token returns the message as it was received, for an archive.
func (m *Message) Token() string { return m.token }

// Claim returns a copy of a member by its name, as JSON. It is nil if the
// message has no such member.
func (m *Message) Claim(name string) json.RawMessage {
	raw, _ := m.payload.Get(name)
	return slices.Clone(raw)
}

// Decode decodes the members into v, a pointer to a struct. A field matches the
// member whose exact name is in its json tag. A member without a field is
// ignored. The error matches [ErrClaims].
func (m *Message) Decode(v any) error {
	all := make(map[string]json.RawMessage)
	for _, name := range m.payload.Names() {
		all[name], _ = m.payload.Get(name)
	}
	raw, err := json.Marshal(all)
	if err == nil {
		err = strictjson.Decode(raw, v)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrClaims, err)
	}
	return nil
}

// String returns a text with the issuer and the ID.
func (m *Message) String() string { return fmt.Sprintf("message %.64q of %.256q", m.id, m.issuer) }

// LogValue returns the text of String.
func (m *Message) LogValue() slog.Value { return slog.StringValue(m.String()) }
