package introspection

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/internal/syntax"
)

// ResponderConfig configures a [Responder].
type ResponderConfig struct {
	// Issuer is the issuer identifier of the authorization server. Required.
	Issuer string
	// Key signs the responses: P-256, Ed25519 or RSA. It must be safe for
	// concurrent use. If nil, all responses are plain JSON, which FAPI 2.0
	// Message Signing does not permit.
	Key crypto.Signer
	// KeyID is the kid of the published public key. The default is the RFC 7638
	// thumbprint of the key.
	KeyID string
	// Algorithm is ES256, PS256, EdDSA or Ed25519. The default is the algorithm
	// that fits the key, EdDSA for Ed25519. If resource servers have registered
	// different algorithms as introspection_signed_response_alg, the server has
	// a Responder for each.
	Algorithm string
	// RequireJWT signs every response. ResourceServer.RequireJWT does the same
	// for one resource server.
	RequireJWT bool
	// InsecureAllowBearer permits responses about tokens that are not bound to
	// a key, which any party that sees one can use. FAPI 2.0 forbids such
	// tokens.
	InsecureAllowBearer bool
	// Now is the clock. If nil, time.Now is used. It is called concurrently.
	Now func() time.Time
}

// A Responder writes introspection responses. It is safe for concurrent use if
// its key is.
type Responder struct {
	cfg    ResponderConfig
	signer *jose.Signer // nil without a key
}

// NewResponder validates and copies cfg.
func NewResponder(cfg ResponderConfig) (*Responder, error) {
	if cfg.Issuer == "" || !jwt.UTF8(cfg.Issuer) {
		return nil, errors.New("introspection: Issuer is empty or not UTF-8")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Responder{cfg: cfg}
	if cfg.Key == nil {
		if cfg.RequireJWT || cfg.KeyID != "" || cfg.Algorithm != "" {
			return nil, errors.New("introspection: RequireJWT, KeyID or Algorithm without Key")
		}
		return s, nil
	}
	var err error
	// INT-9701-5-1, JWT-3.12-1: the typ rules out use as another kind of JWT.
	s.signer, err = jwt.NewSigner(cfg.Key, jose.SignerOptions{Type: typ, Algorithm: cfg.Algorithm, KeyID: cfg.KeyID})
	if err != nil {
		return nil, fmt.Errorf("introspection: %w", err)
	}
	return s, nil
}

// Algorithm returns the signature algorithm of the responses, or "" without a
// key, for introspection_signing_alg_values_supported.
func (s *Responder) Algorithm() string {
	if s.signer == nil {
		return ""
	}
	return s.signer.Algorithm()
}

// Answer returns the response for rs and its media type. The response is a JWT
// if there is a key and wantsJWT is true or a JWT is required. Otherwise it is
// plain JSON. It reports an inactive token, and no other members, unless
// resp.Active is true, the token is valid now, and rs is in its audience.
//
// If rs has no ID, the error is [ErrUnauthenticated]. Other errors are about
// the arguments, for example an active token without an expiry, or come from
// the key. Do not send their texts to the resource server.
func (s *Responder) Answer(rs ResourceServer, wantsJWT bool, resp Response) (mediaType string, body []byte, err error) {
	// INT-7662-2.1-1, INT-9701-4-2: an attacker must not test guessed tokens
	// here. INT-9701-3-1.
	if rs.ID == "" {
		return "", nil, ErrUnauthenticated
	}
	if !jwt.UTF8(rs.ID) {
		return "", nil, errors.New("introspection: ID of the resource server is not UTF-8")
	}
	required := rs.RequireJWT || rs.Encrypt != nil || s.cfg.RequireJWT
	if required && s.signer == nil {
		return "", nil, fmt.Errorf("introspection: %.256q requires a signed response, which needs Key", rs.ID)
	}
	now := s.cfg.Now()
	mediaType, body = mediaJSON, []byte(inactive) // INT-7662-2.2-2
	if resp.isActive(rs, now) {
		if err := resp.check(s.cfg.InsecureAllowBearer); err != nil {
			return "", nil, fmt.Errorf("introspection: %w", err)
		}
		if body, err = resp.encode(s.cfg.Issuer, rs); err != nil {
			return "", nil, fmt.Errorf("introspection: %w", err)
		}
	}
	if s.signer != nil && (wantsJWT || required) { // MS-5.5.1-1
		// INT-9701-5-2, INT-9701-5-4: there is neither sub nor exp, so a reader
		// that ignores typ does not take the response for an access token.
		var w strictjson.Writer
		w.String("iss", s.cfg.Issuer)
		w.String("aud", rs.ID)
		w.Int("iat", now.Unix())
		w.Raw("token_introspection", body)
		token, err := s.signer.Sign(w.Bytes())
		if err != nil {
			return "", nil, fmt.Errorf("introspection: signing: %w", err)
		}
		if rs.Encrypt != nil { // INT-9701-5-6: the reverse order would not show the sender
			if token, err = rs.Encrypt(token); err != nil {
				return "", nil, fmt.Errorf("introspection: encrypting: %w", err)
			}
		}
		mediaType, body = mediaJWT, []byte(token)
	}
	if len(body) > maxResponse {
		return "", nil, fmt.Errorf("introspection: response of %d bytes, want at most %d", len(body), maxResponse)
	}
	return mediaType, body, nil
}

// Write writes the response of [Responder.Answer] to req (RFC 7662 §2.2, RFC
// 9701 §5). If Answer fails, Write writes the error with [Responder.WriteError]
// and returns it for the log.
func (s *Responder) Write(w http.ResponseWriter, req Request, rs ResourceServer, resp Response) error {
	mediaType, body, err := s.Answer(rs, req.WantsJWT, resp)
	if err != nil {
		s.WriteError(w, err)
		return err
	}
	write(w, http.StatusOK, mediaType, body)
	return nil
}

// WriteError writes an error response, for example for an error of
// [ParseRequest] or of the authentication of the caller. Code, description and
// status are those of the error, which may come from any package of this
// module. An error without them is server_error without a description. An
// inactive token is a [Response] and not an error.
//
// For an unauthenticated caller, the status is 400 if the Responder has a key
// (RFC 9701 §5), and otherwise 401 (RFC 7662 §2.3).
func (s *Responder) WriteError(w http.ResponseWriter, err error) {
	code, description, status := oautherr.From(err)
	if status < 400 || status > 599 {
		status = http.StatusInternalServerError
	}
	if status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	}
	// INT-7662-2.3-1: 401 without a key. INT-9701-4-2, INT-9701-5-7: 400 with
	// one, for plain requests too, so that Accept makes no difference.
	if status == http.StatusUnauthorized && s.signer != nil {
		status = http.StatusBadRequest
	}
	body, _ := json.Marshal(struct { // never fails for strings
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{syntax.ErrorText(code), syntax.ErrorText(description)})
	write(w, status, mediaJSON, body)
}

func write(w http.ResponseWriter, status int, mediaType string, body []byte) {
	h := w.Header()
	h.Del("Content-Length") // of a response that failed before
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a failure cannot be reported any more
}
