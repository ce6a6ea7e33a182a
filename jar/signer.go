package jar

import (
	"bytes"
	"crypto"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/strictjson"
)

const defaultLifetime = 5 * time.Minute

// SignerConfig configures a [Signer].
type SignerConfig struct {
	// ClientID is the client identifier that the authorization server knows. Required.
	ClientID string
	// Audience is the issuer identifier of the authorization server, character by character as in its metadata: not the
	// URL of an endpoint. Required.
	Audience string
	// Key signs: P-256, Ed25519, or RSA of at least 2048 bits. A key of a KMS or HSM will do; one that signs nothing else
	// is best (JAR-10.8-2). It is used concurrently. Required.
	Key crypto.Signer
	// KeyID becomes the header's kid, by which the server finds the key in the client's key set. Empty: no kid.
	KeyID string
	// Algorithm is "PS256", "ES256", "EdDSA" or "Ed25519": the client's request_object_signing_alg. Empty: the one that
	// fits Key (EdDSA for Ed25519).
	Algorithm string
	// Lifetime is how long an object is good for: 1 second to 60 minutes, in whole seconds, default 5 minutes.
	Lifetime time.Duration
	// JSONParameters names parameters, beyond claims, authorization_details and max_age, whose values are JSON (numbers,
	// booleans, arrays, objects) and stand as such in the object. All others are strings.
	JSONParameters []string
	// Now is the clock, nil means time.Now. It is called concurrently.
	Now func() time.Time
}

// String names the client and keeps the key to itself.
func (c SignerConfig) String() string {
	return fmt.Sprintf("jar.SignerConfig{ClientID: %q, Audience: %q, KeyID: %q}", c.ClientID, c.Audience, c.KeyID)
}

// GoString is String.
func (c SignerConfig) GoString() string { return c.String() }

// LogValue is String for slog.
func (c SignerConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// A Signer makes a client's request objects for one authorization server. It is safe for concurrent use.
type Signer struct {
	clientID, audience string
	signer             *jose.Signer
	lifetime           int64 // seconds
	extra              []string
	now                func() time.Time
}

// NewSigner checks and copies the configuration.
func NewSigner(cfg SignerConfig) (*Signer, error) {
	if err := checkClientID(cfg.ClientID); err != nil {
		return nil, fmt.Errorf("jar: %w", err)
	}
	if err := checkIssuer(cfg.Audience); err != nil {
		return nil, fmt.Errorf("jar: audience: %w", err)
	}
	if cfg.Lifetime == 0 {
		cfg.Lifetime = defaultLifetime
	}
	// MS-5.3.2-4
	if cfg.Lifetime < time.Second || cfg.Lifetime > maxLifetime || cfg.Lifetime%time.Second != 0 {
		return nil, fmt.Errorf("jar: lifetime of %v, want 1s to %v in whole seconds", cfg.Lifetime, maxLifetime)
	}
	if err := checkExtra(cfg.JSONParameters); err != nil {
		return nil, fmt.Errorf("jar: %w", err)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	// MS-5.3.2-5, JAR-4-6, JAR-10.8-2: the explicit type, so that nobody can take the object for a JWT of another kind.
	// JAR-4-3: an object is always signed.
	signer, err := jose.NewSigner(cfg.Key, jose.SignerOptions{Type: objectTyp, Algorithm: cfg.Algorithm, KeyID: cfg.KeyID})
	if err != nil {
		return nil, fmt.Errorf("jar: %w", err)
	}
	return &Signer{
		clientID: cfg.ClientID, audience: cfg.Audience, signer: signer, lifetime: int64(cfg.Lifetime / time.Second),
		extra: slices.Clone(cfg.JSONParameters), now: cfg.Now,
	}, nil
}

// Sign returns a request object with all parameters of an authorization request, good for one use. client_id need not be
// among them. Parameters without a value are left out; only resource may be repeated; max_age must be digits, claims a JSON
// object and authorization_details a JSON array. It refuses request, request_uri, parameters of client authentication, and
// the names of the JWT's own claims. params is only read.
//
// An error says what is wrong with params, or comes from the key.
func (s *Signer) Sign(params url.Values) (string, error) {
	if id := params.Get(paramClientID); id != "" && id != s.clientID {
		return "", fmt.Errorf("jar: client_id is %.128q, the signer's %q", id, s.clientID)
	}
	claims, err := encode(params, s.extra) // MS-5.3.2-1
	if err != nil {
		return "", fmt.Errorf("jar: %w", err)
	}
	nbf := s.now().Unix()
	claims[paramClientID] = s.clientID // JAR-5-2, JAR-6.3-1
	claims["iss"] = s.clientID         // JAR-4-4, PAR-3-4. JAR-10.8-1: and no sub
	claims["aud"] = s.audience         // MS-5.3.2-2
	claims["nbf"] = nbf                // MS-5.3.2-3
	claims["iat"] = nbf
	claims["exp"] = nbf + s.lifetime // MS-5.3.2-4
	claims["jti"] = jose.RandomString(16)
	payload, err := marshal(claims)
	if err != nil {
		return "", fmt.Errorf("jar: %w", err)
	}
	token, err := s.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("jar: signing a request object: %w", err)
	}
	if len(token) > maxObject {
		return "", fmt.Errorf("jar: request object of %d bytes, at most %d", len(token), maxObject)
	}
	return token, nil
}

// marshal writes claims so that strings and JSON values come back as they were.
func marshal(claims map[string]any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(claims); err != nil {
		return nil, err
	}
	payload := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	// Better an error now than at the server: names may differ by case only, or values nest too deep within the whole.
	if len(claims) > maxClaims {
		return nil, fmt.Errorf("%d claims, at most %d", len(claims), maxClaims)
	}
	if _, err := strictjson.ParseObject(payload); err != nil {
		return nil, fmt.Errorf("no server could read the object: %w", err)
	}
	return payload, nil
}

// Form returns what to push: a request object with all of params, as Sign makes it, and client_id. The parameters of client
// authentication are to be added to it, and nothing else (RFC 9126 §3).
func (s *Signer) Form(params url.Values) (url.Values, error) {
	request, err := s.Sign(params)
	if err != nil {
		return nil, err
	}
	// PAR-3-1, MS-5.3.2-1. JAR-5-1: never with a request_uri. JAR-5-2: client_id stands in both places.
	return url.Values{paramRequest: {request}, paramClientID: {s.clientID}}, nil
}
