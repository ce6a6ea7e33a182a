package message

import (
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/strictjson"
)

const (
	defaultLifetime = 5 * time.Minute
	maxLifetime     = 24 * time.Hour
)

// SignerConfig configures a [Signer].
type SignerConfig struct {
	// Issuer is the identifier of the sender. The ecosystem defines whether
	// this is the client ID, the issuer of the server, or the ID of an
	// organization. Required.
	Issuer string
	// Key signs the messages: P-256, Ed25519, or RSA of at least 2048 bits. A
	// key of a KMS or HSM is supported. Required.
	Key crypto.Signer
	// KeyID is the kid by which the recipient finds the key. The default is the
	// thumbprint of the key (RFC 7638).
	KeyID string
	// Algorithm is "PS256", "ES256", "EdDSA" or "Ed25519". The default is the
	// algorithm that fits Key.
	Algorithm string
	// Type is the typ of the header. The default is JWT.
	Type string
	// Lifetime is the time from iat to exp: 1 second to 24 hours. The default
	// is 5 minutes.
	Lifetime time.Duration
	// Now is the clock. If nil, time.Now is used. It is called concurrently.
	Now func() time.Time
}

// String returns a text without the key.
func (c SignerConfig) String() string {
	return fmt.Sprintf("message.SignerConfig{Issuer: %q, KeyID: %q}", c.Issuer, c.KeyID)
}

// GoString returns the text of String.
func (c SignerConfig) GoString() string { return c.String() }

// LogValue returns the text of String.
func (c SignerConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// A Signer signs the messages of one sender. It is safe for concurrent use.
type Signer struct {
	cfg    SignerConfig
	signer *jose.Signer
}

// NewSigner validates and copies cfg.
func NewSigner(cfg SignerConfig) (*Signer, error) {
	if cfg.Issuer == "" || !jwt.UTF8(cfg.Issuer) {
		return nil, errors.New("message: Issuer is empty or not UTF-8")
	}
	if cfg.Type == "" {
		cfg.Type = "JWT"
	}
	if cfg.Lifetime == 0 {
		cfg.Lifetime = defaultLifetime
	}
	if cfg.Lifetime < time.Second || cfg.Lifetime > maxLifetime {
		return nil, fmt.Errorf("message: invalid Lifetime %v, want 1s to %v", cfg.Lifetime, maxLifetime)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	signer, err := jwt.NewSigner(cfg.Key, jose.SignerOptions{
		Type: cfg.Type, Algorithm: cfg.Algorithm, KeyID: cfg.KeyID,
	})
	if err != nil {
		return nil, fmt.Errorf("message: %w", err)
	}
	return &Signer{cfg, signer}, nil
}

// Sign returns a message with the members of body, which must be a JSON object
// or nil. audience identifies the recipient. The ecosystem defines it: usually
// it is the identifier of the recipient or the URL of the request.
//
// Sign adds iss, aud, iat, exp and jti. A body with one of these members, or
// with nbf, is an error. So is a body with sub alone. Each message has a new
// jti. Sign a body again for each request, including retries. A client that
// repeats a request because of a DPoP nonce sends the same message. An API that
// checks the access token before the message accepts it. Other errors come from
// the key.
func (s *Signer) Sign(audience string, body any) (string, error) {
	if audience == "" || !jwt.UTF8(audience) {
		return "", errors.New("message: audience is empty or not UTF-8")
	}
	now := s.cfg.Now()
	var w strictjson.Writer
	w.String("iss", s.cfg.Issuer)
	w.String("aud", audience)
	w.Int("iat", now.Unix())
	w.Int("exp", now.Add(s.cfg.Lifetime).Unix())
	w.String("jti", jose.RandomString(16))
	if body != nil {
		members, err := marshal(body)
		if err != nil {
			return "", fmt.Errorf("message: body: %w", err)
		}
		w.Members(members)
	}
	token, err := s.signer.Sign(w.Bytes())
	if err != nil {
		return "", fmt.Errorf("message: signing: %w", err)
	}
	if len(token) > maxMessage {
		return "", fmt.Errorf("message: message of %d bytes, want at most %d", len(token), maxMessage)
	}
	return token, nil
}

// marshal returns body as a JSON object without claims of the signer.
func marshal(body any) ([]byte, error) {
	raw, err := jwt.Marshal(body)
	if err != nil {
		return nil, err
	}
	object, err := strictjson.ParseObject(raw)
	if err != nil {
		return nil, err
	}
	for _, name := range object.Names() {
		if jwt.Reserved([]string{"iss", "aud", "iat", "exp", "jti", "nbf"}, name) {
			return nil, fmt.Errorf("reserved name %.64q", name)
		}
	}
	if isAssertion(object) {
		return nil, errors.New("sub without another member, as in a client assertion")
	}
	return raw, nil
}
