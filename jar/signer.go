package jar

import (
	"crypto"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/internal/syntax"
)

const defaultLifetime = 5 * time.Minute

// SignerConfig configures a [Signer].
type SignerConfig struct {
	// ClientID is the identifier of the client at the authorization server.
	// Required.
	ClientID string
	// Audience is the issuer identifier of the authorization server, exactly as
	// in its metadata. The URL of an endpoint is not valid. Required.
	Audience string
	// Key signs the request objects: P-256, Ed25519, or RSA of at least 2048
	// bits. A key of a KMS or HSM is supported. Use a key that signs nothing
	// else. It must be safe for concurrent use. Required.
	Key crypto.Signer
	// KeyID is the kid by which the server finds the key in the key set of the
	// client. If empty, the object has no kid.
	KeyID string
	// Algorithm is "PS256", "ES256", "EdDSA" or "Ed25519": the
	// request_object_signing_alg of the client. The default is the algorithm
	// that fits Key, EdDSA for Ed25519.
	Algorithm string
	// Lifetime is the time from nbf to exp, in whole seconds: 1 second to 60
	// minutes. The default is 5 minutes.
	Lifetime time.Duration
	// JSONParameters names further parameters whose values are JSON (numbers,
	// booleans, arrays, objects), in addition to claims, authorization_details
	// and max_age. All other parameters are strings.
	JSONParameters []string
	// Now is the clock. If nil, time.Now is used. It is called concurrently.
	Now func() time.Time
}

// String returns a text without the key.
func (c SignerConfig) String() string {
	return fmt.Sprintf("jar.SignerConfig{ClientID: %q, Audience: %q, KeyID: %q}", c.ClientID, c.Audience, c.KeyID)
}

// GoString returns the text of String.
func (c SignerConfig) GoString() string { return c.String() }

// LogValue returns the text of String.
func (c SignerConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// A Signer signs the request objects of a client for one authorization server.
// It is safe for concurrent use.
type Signer struct {
	clientID, audience string
	signer             *jose.Signer
	lifetime           int64 // seconds
	extra              []string
	now                func() time.Time
}

// NewSigner validates and copies cfg.
func NewSigner(cfg SignerConfig) (*Signer, error) {
	if err := syntax.CheckClientID(cfg.ClientID); err != nil {
		return nil, fmt.Errorf("jar: %w", err)
	}
	if err := syntax.CheckIssuer(cfg.Audience); err != nil {
		return nil, fmt.Errorf("jar: Audience: %w", err)
	}
	if cfg.Lifetime == 0 {
		cfg.Lifetime = defaultLifetime
	}
	// MS-5.3.2-4
	if cfg.Lifetime < time.Second || cfg.Lifetime > maxLifetime || cfg.Lifetime%time.Second != 0 {
		return nil, fmt.Errorf("jar: invalid Lifetime %v, want 1s to %v in whole seconds", cfg.Lifetime, maxLifetime)
	}
	if err := checkExtra(cfg.JSONParameters); err != nil {
		return nil, fmt.Errorf("jar: %w", err)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	// MS-5.3.2-5, JAR-4-6: the typ rules out use as another kind of JWT.
	// JAR-4-3: the signature is required. JAR-10.8-2.
	signer, err := jose.NewSigner(cfg.Key, jose.SignerOptions{
		Type: objectTyp, Algorithm: cfg.Algorithm, KeyID: cfg.KeyID,
	})
	if err != nil {
		return nil, fmt.Errorf("jar: %w", err)
	}
	return &Signer{
		clientID: cfg.ClientID, audience: cfg.Audience, signer: signer, lifetime: int64(cfg.Lifetime / time.Second),
		extra: slices.Clone(cfg.JSONParameters), now: cfg.Now,
	}, nil
}

// Sign returns a request object with all parameters of an authorization
// request. The object can be used once. params may lack client_id. Parameters
// without a value are omitted, and only resource may be repeated. max_age must
// be digits, claims a JSON object and authorization_details a JSON array.
//
// Sign returns an error for request, request_uri, parameters of client
// authentication and the names of claims of the JWT. Other errors come from the
// key. Sign does not change params.
func (s *Signer) Sign(params url.Values) (string, error) {
	if id := params.Get(paramClientID); id != "" && id != s.clientID {
		return "", fmt.Errorf("jar: client_id is %.128q, want %q", id, s.clientID)
	}
	claims, err := encode(params, s.extra) // MS-5.3.2-1
	if err != nil {
		return "", fmt.Errorf("jar: %w", err)
	}
	nbf := s.now().Unix()
	claims[paramClientID] = s.clientID // JAR-5-2, JAR-6.3-1
	claims["iss"] = s.clientID         // JAR-4-4, PAR-3-4, JAR-10.8-1: no sub
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
		return "", fmt.Errorf("jar: signing: %w", err)
	}
	if len(token) > maxObject {
		return "", fmt.Errorf("jar: request object of %d bytes, want at most %d", len(token), maxObject)
	}
	return token, nil
}

// marshal returns claims as JSON that a Verifier can read.
func marshal(claims map[string]any) ([]byte, error) {
	if len(claims) > maxClaims {
		return nil, fmt.Errorf("%d claims, want at most %d", len(claims), maxClaims)
	}
	payload, err := jwt.Marshal(claims)
	if err != nil {
		return nil, err
	}
	// Names may differ only by case, or values may nest too deep within the
	// object.
	return payload, strictjson.Valid(payload)
}

// Form returns the form to push: client_id and a request object that Sign
// returns for params. The caller adds the parameters of client authentication
// and no others (RFC 9126 §3).
func (s *Signer) Form(params url.Values) (url.Values, error) {
	request, err := s.Sign(params)
	if err != nil {
		return nil, err
	}
	// PAR-3-1, MS-5.3.2-1, JAR-5-1: no request_uri. JAR-5-2: client_id is in
	// the form and in the object.
	return url.Values{paramRequest: {request}, paramClientID: {s.clientID}}, nil
}
