package introspection

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
)

// ResponderConfig configures a [Responder].
type ResponderConfig struct {
	// Issuer is the authorization server's issuer identifier. Required.
	Issuer string
	// Key signs the answers: P-256, Ed25519 or RSA. It must be safe for concurrent use. nil: all answers are plain JSON,
	// which FAPI 2.0 Message Signing does not allow.
	Key crypto.Signer
	// KeyID is the kid under which the public key is published. Default: the key's RFC 7638 thumbprint.
	KeyID string
	// Algorithm is ES256, PS256, EdDSA or Ed25519. Default: ES256, PS256 or EdDSA, by the kind of the key. A server whose
	// resource servers have registered different ones as introspection_signed_response_alg keeps a Responder for each.
	Algorithm string
	// RequireJWT signs every answer, as ResourceServer.RequireJWT does for one resource server.
	RequireJWT bool
	// InsecureAllowBearer permits answers about tokens that are bound to no key, which anyone who sees one can use. FAPI 2.0
	// forbids them.
	InsecureAllowBearer bool
	// Now is the clock; nil means time.Now. It is called concurrently.
	Now func() time.Time
}

// A Responder answers questions about tokens. It is safe for concurrent use if its key is.
type Responder struct {
	cfg    ResponderConfig
	signer *jose.Signer // nil: plain answers only
}

// NewResponder validates and copies cfg.
func NewResponder(cfg ResponderConfig) (*Responder, error) {
	if cfg.Issuer == "" || !utf8.ValidString(cfg.Issuer) {
		return nil, errors.New("introspection: Issuer is empty or not UTF-8")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Responder{cfg: cfg}
	if cfg.Key == nil {
		if cfg.RequireJWT || cfg.KeyID != "" || cfg.Algorithm != "" {
			return nil, errors.New("introspection: Key is nil, which does not go with RequireJWT, KeyID or Algorithm")
		}
		return s, nil
	}
	if cfg.KeyID == "" {
		var err error
		if cfg.KeyID, err = jose.Thumbprint(cfg.Key.Public()); err != nil {
			return nil, fmt.Errorf("introspection: Key: %w", err)
		}
	}
	var err error
	// INT-9701-5-1, JWT-3.12-1: the type keeps the answer from passing for an access token or anything else.
	s.signer, err = jose.NewSigner(cfg.Key, jose.SignerOptions{Type: typ, Algorithm: cfg.Algorithm, KeyID: cfg.KeyID})
	if err != nil {
		return nil, fmt.Errorf("introspection: Key: %w", err)
	}
	return s, nil
}

// Algorithm returns the algorithm that answers are signed with, for introspection_signing_alg_values_supported, or "".
func (s *Responder) Algorithm() string {
	if s.signer == nil {
		return ""
	}
	return s.signer.Algorithm()
}

// signed is the payload of a signed answer. INT-9701-5-4: neither sub nor exp, without which it is no access token to
// anyone who looks at the claims alone.
type signed struct {
	Issuer        string          `json:"iss"`
	Audience      string          `json:"aud"`
	IssuedAt      int64           `json:"iat"`
	Introspection json.RawMessage `json:"token_introspection"`
}

// Answer returns what rs is to be told, and its media type. The answer is a JWT if one is wanted or required and there is
// a key, and plain JSON otherwise. The token is inactive, and nothing else is said of it, unless resp says that it is
// active, it has not expired, and it is for rs.
//
// [ErrUnauthenticated] says that rs is nobody. Any other error is a mistake of the caller, such as an active token without
// an expiry, or comes from the key; it is not for the resource server to see.
func (s *Responder) Answer(rs ResourceServer, wantsJWT bool, resp Response) (mediaType string, body []byte, err error) {
	// INT-7662-2.1-1, INT-9701-4-2, INT-9701-3-1: else whoever guesses tokens could have them sorted here.
	if rs.ID == "" {
		return "", nil, ErrUnauthenticated
	}
	if !utf8.ValidString(rs.ID) {
		return "", nil, errors.New("introspection: the resource server's ID is not UTF-8")
	}
	required := rs.RequireJWT || s.cfg.RequireJWT
	if required && s.signer == nil {
		return "", nil, fmt.Errorf("introspection: %.256q requires a signed response, and there is no Key", rs.ID)
	}
	now := s.cfg.Now()
	mediaType, body = mediaJSON, []byte(inactive) // INT-7662-2.2-2: not an error
	if resp.isActive(rs, now) {
		if err := resp.check(s.cfg.InsecureAllowBearer); err != nil {
			return "", nil, fmt.Errorf("introspection: %w", err)
		}
		if body, err = resp.encode(s.cfg.Issuer, rs); err != nil {
			return "", nil, fmt.Errorf("introspection: %w", err)
		}
	}
	// Encryption to the resource server is not offered: who has registered for it is the caller's to refuse.
	if s.signer != nil && (wantsJWT || required) { // MS-5.5.1-1
		payload, err := marshal(signed{s.cfg.Issuer, rs.ID, now.Unix(), body}) // INT-9701-5-2
		if err != nil {
			return "", nil, fmt.Errorf("introspection: %w", err)
		}
		jwt, err := s.signer.Sign(payload)
		if err != nil {
			return "", nil, fmt.Errorf("introspection: signing: %w", err)
		}
		mediaType, body = mediaJWT, []byte(jwt)
	}
	if len(body) > maxResponse {
		return "", nil, fmt.Errorf("introspection: the response has %d bytes, more than %d", len(body), maxResponse)
	}
	return mediaType, body, nil
}

// Write writes the answer to req (RFC 7662 §2.2, RFC 9701 §5), as [Responder.Answer] makes it. If that fails it writes the
// error with [Responder.WriteError] and returns it, to be logged.
func (s *Responder) Write(w http.ResponseWriter, req Request, rs ResourceServer, resp Response) error {
	mediaType, body, err := s.Answer(rs, req.WantsJWT, resp)
	if err != nil {
		s.WriteError(w, err)
		return err
	}
	write(w, http.StatusOK, mediaType, body)
	return nil
}

// WriteError writes an error response: that of [ParseRequest], of the caller's authentication, or one's own. It takes code,
// description and status from the error, whatever package it comes from; an error without them is a server_error about
// which nothing is said. A token that is not good is no error, see [Response].
//
// A caller that is not authenticated gets status 400 from a Responder that signs (RFC 9701 §5), however it asks, and 401
// from one that does not (RFC 7662 §2.3).
func (s *Responder) WriteError(w http.ResponseWriter, err error) {
	code, description, status := oautherr.From(err)
	if status < 400 || status > 599 {
		status = http.StatusInternalServerError
	}
	if status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	}
	// INT-7662-2.3-1: 401 it is, unless INT-9701-4-2, INT-9701-5-7 say otherwise, and they do so for plain questions too:
	// leaving out the Accept header leads nowhere.
	if status == http.StatusUnauthorized && s.signer != nil {
		status = http.StatusBadRequest
	}
	body, _ := json.Marshal(struct { // structs of strings do not fail
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{printable(code), printable(description)})
	write(w, status, mediaJSON, body)
}

func write(w http.ResponseWriter, status int, mediaType string, body []byte) {
	h := w.Header()
	h.Del("Content-Length") // of whatever was to be sent before it came to this
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // nobody is left to hear of a failure
}

// printable keeps the characters that RFC 6749 §5.2 allows in error and error_description.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, s)
}
