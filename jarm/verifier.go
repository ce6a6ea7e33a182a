package jarm

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/gofapi/fapi2/internal/form"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/strictjson"
)

const (
	maxLeeway  = 5 * time.Minute
	futureSkew = 10 * time.Second // for nbf, if Leeway is less
)

// VerifierConfig configures a [Verifier].
type VerifierConfig struct {
	// Issuer is the identifier of the authorization server that received the
	// request. Required.
	//
	// A client of several servers has a Verifier for each. It stores in the
	// session which server received the request, and selects the Verifier by
	// that. It must not select it by the issuer of the response, because that
	// would disable the check.
	Issuer string
	// ClientID is the identifier of this client at that server. Required.
	ClientID string
	// Keys returns the keys of the issuer for the kid and alg of a response:
	// see package jwks. It is called concurrently, with an accepted algorithm,
	// and only for responses that have passed all checks that need no key.
	// Required.
	Keys func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
	// Algorithms contains the accepted algorithms. Use the one that the client
	// has registered as authorization_signed_response_alg. The default is
	// ES256, PS256, EdDSA and Ed25519. Other algorithms are not supported.
	Algorithms []string
	// DecryptionKeys contains the keys of this client for encrypted responses.
	// If empty, an encrypted response is rejected. Otherwise a response that is
	// not encrypted is rejected, except with AllowUnencrypted.
	DecryptionKeys []DecryptionKey
	// AllowUnencrypted accepts responses that are signed and not encrypted,
	// though there are DecryptionKeys. Use it while the registration changes.
	// The default is false.
	AllowUnencrypted bool
	// Leeway is the time after its expiry during which a response is still
	// accepted. The default is 0, the maximum 5 minutes.
	Leeway time.Duration
	// Now is the clock. If nil, time.Now is used. It is called concurrently.
	Now func() time.Time
}

// A DecryptionKey is a private key of the client for encrypted responses, with
// the algorithms that the client has registered. A response with other
// algorithms is rejected. Do not use the key for signatures. Its String and
// LogValue do not contain the key. It is safe for concurrent use if the key is.
type DecryptionKey struct {
	// Key is for ECDH-ES an *ecdsa.PrivateKey or *ecdh.PrivateKey of P-256, or
	// an ecdh.KeyExchanger, for example in a hardware module. For RSA-OAEP it
	// is the crypto.Decrypter of an RSA key. Required.
	Key crypto.PrivateKey
	// KeyID is the kid of the published public key. If empty, the key is tried
	// for every kid.
	KeyID string
	// Algorithm is authorization_encrypted_response_alg: ECDH-ES,
	// ECDH-ES+A128KW or ECDH-ES+A256KW for P-256, RSA-OAEP-256 or RSA-OAEP for
	// RSA. The default is ECDH-ES or RSA-OAEP-256.
	Algorithm string
	// ContentEncryption is authorization_encrypted_response_enc: A256GCM,
	// A128GCM, A256CBC-HS512 or A128CBC-HS256. The default is A256GCM, although
	// the default of a registration is A128CBC-HS256.
	ContentEncryption string
}

// String returns a text with the kid.
func (k DecryptionKey) String() string { return fmt.Sprintf("decryption key %.256q", k.KeyID) }

// GoString returns the text of String.
func (k DecryptionKey) GoString() string { return k.String() }

// LogValue returns the text of String.
func (k DecryptionKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// A Verifier checks the authorization responses of one server for one client.
// It is safe for concurrent use.
type Verifier struct {
	cfg   VerifierConfig
	rules jwt.Rules
}

// NewVerifier validates and copies cfg.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	switch {
	case cfg.Issuer == "":
		return nil, errors.New("jarm: missing Issuer")
	case cfg.ClientID == "":
		return nil, errors.New("jarm: missing ClientID")
	case cfg.Keys == nil:
		return nil, errors.New("jarm: missing Keys")
	case cfg.Leeway < 0 || cfg.Leeway > maxLeeway:
		return nil, fmt.Errorf("jarm: invalid Leeway %v, want 0 to %v", cfg.Leeway, maxLeeway)
	case cfg.AllowUnencrypted && len(cfg.DecryptionKeys) == 0:
		return nil, errors.New("jarm: AllowUnencrypted without DecryptionKeys")
	}
	algorithms, err := jwt.Algorithms(cfg.Algorithms)
	if err != nil {
		return nil, fmt.Errorf("jarm: %w", err)
	}
	decrypter, err := jose.NewDecrypter(cfg.DecryptionKeys) // JARM-2.4-1
	if err != nil {
		return nil, fmt.Errorf("jarm: %w", err)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	// JWT-3.12-1: a response has no typ. Other kinds of JWT that have a typ are
	// rejected by it.
	return &Verifier{cfg: cfg, rules: jwt.Rules{
		MaxBytes: maxResponse, Algorithms: algorithms, Untyped: true, Peer: true,
		Decrypter: decrypter, AllowUnencrypted: cfg.AllowUnencrypted,
		Errors: jwt.Errors{
			Malformed: ErrMalformed, Algorithm: ErrAlgorithm, Type: ErrType, Signature: ErrSignature,
			Unavailable: ErrUnavailable, Encryption: ErrEncryption,
		},
	}}, nil
}

// VerifyRequest is [Verifier.VerifyValues] for the request of a callback. The
// response is in the query of a GET (query.jwt) or in the form of a POST
// (form_post.jwt), whose body is read. Repeated parameters are rejected.
func (v *Verifier) VerifyRequest(ctx context.Context, r *http.Request) (*Response, error) {
	var values url.Values
	var err error
	switch r.Method {
	case http.MethodGet:
		values, err = form.Parse(r.URL.RawQuery)
	case http.MethodPost:
		values, err = form.Read(r)
	default:
		err = fmt.Errorf("method %.16q", r.Method)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoResponse, err)
	}
	return v.VerifyValues(ctx, values)
}

// VerifyValues is [Verifier.Verify] for the parameters of a callback. Exactly
// one parameter "response" is required. A parameter "iss" is optional and must
// be the issuer. All other parameters are ignored, because they are not signed.
func (v *Verifier) VerifyValues(ctx context.Context, values url.Values) (*Response, error) {
	responses := values[paramResponse]
	if len(responses) != 1 || responses[0] == "" { // MS-5.4.2-2: unsigned parameters do not replace it
		return nil, fmt.Errorf("%w: %d parameters %q", ErrNoResponse, len(responses), paramResponse)
	}
	for _, iss := range values["iss"] { // ISS-4-2, ISS-4-3: optional, and equal to the issuer in the JWT
		if iss != v.cfg.Issuer {
			return nil, fmt.Errorf("%w: parameter iss is %.256q, want %q", ErrIssuer, iss, v.cfg.Issuer)
		}
	}
	return v.Verify(ctx, responses[0])
}

// Verify checks a response, which is a JWT, and returns its parameters:
// [Response.Err] reports an error of the authorization server. The steps are
// those of JARM §2.4 in this order: issuer, audience, expiry, signature,
// parameters. The caller compares the state with [Response.CheckState].
func (v *Verifier) Verify(ctx context.Context, raw string) (*Response, error) {
	opened, err := v.rules.Open(raw) // JARM-2.4-5: neither none nor RS256
	if err != nil {
		return nil, err
	}
	r, err := v.checkEnvelope(opened.Claims)
	if err != nil {
		return nil, err
	}
	// JARM-5.1-1, JARM-2.4-5: no key was looked up before, so an attacker
	// cannot cause requests to other servers.
	if _, err := opened.Verify(ctx, v.cfg.Keys); err != nil {
		return nil, err
	}
	// JARM-2.4-6, MS-5.4.2-2: the parameters are authentic from here on.
	if r.params, r.dropped, err = readParams(opened.Claims); err != nil {
		return nil, err
	}
	return r, nil
}

// foreign claims mark other kinds of JWT of an authorization server that may
// lack a typ: ID tokens and signed userinfo, logout tokens, introspection
// responses.
var foreign = []string{"sub", "events", "token_introspection"}

// checkEnvelope makes steps 2 to 4 of JARM §2.4.
func (v *Verifier) checkEnvelope(claims strictjson.Object) (*Response, error) {
	c := jwt.Read(claims, ErrClaims)
	iss := c.String("iss")
	if c.Err() == nil && iss != v.cfg.Issuer { // JARM-2.4-2, JARM-2.4-0: without normalisation
		return nil, fmt.Errorf("%w: got %.256q, want %q", ErrIssuer, iss, v.cfg.Issuer)
	}
	aud := c.Audience()
	// JARM-2.4-3: an array of this client alone is equal to a string.
	if c.Err() == nil && (len(aud) != 1 || aud[0] != v.cfg.ClientID) {
		return nil, fmt.Errorf("%w: got %.256q, want %q", ErrAudience, aud, v.cfg.ClientID)
	}
	exp := c.Time("exp")
	now := v.cfg.Now()
	if c.Err() == nil && !now.Before(exp.Add(v.cfg.Leeway)) { // JARM-2.4-4
		return nil, fmt.Errorf("%w: exp %d, now %d, leeway %v", ErrExpired, exp.Unix(), now.Unix(), v.cfg.Leeway)
	}
	nbf, ok := c.OptionalTime("nbf")
	if ok && nbf.After(now.Add(max(futureSkew, v.cfg.Leeway))) { // RFC 7519 §4.1.5
		return nil, fmt.Errorf("%w: nbf %d, now %d", ErrExpired, nbf.Unix(), now.Unix())
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	for _, name := range foreign { // JWT-3.12-1: the claims of each kind exclude the others
		if claims.Has(name) {
			return nil, fmt.Errorf("%w: it has the claim %s", ErrType, name)
		}
	}
	return &Response{issuer: iss, expires: exp}, nil
}
