package jarm

import (
	"crypto"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/strictjson"
)

const (
	// defaultLifetime suffices for a browser, even if the clock of the client
	// is ahead.
	defaultLifetime = 5 * time.Minute
	maxLifetime     = 10 * time.Minute // JARM-2.1-2
)

// IssuerConfig configures an [Issuer].
type IssuerConfig struct {
	// Issuer is the issuer identifier of the authorization server. Required.
	Issuer string
	// Key signs the responses: P-256, Ed25519 or RSA. It must be safe for
	// concurrent use. Required.
	Key crypto.Signer
	// KeyID is the kid of the published public key. The default is the RFC 7638
	// thumbprint of the key.
	KeyID string
	// Algorithm is ES256, PS256, EdDSA or Ed25519. The default is the algorithm
	// that fits the key, EdDSA for Ed25519. If clients have registered
	// different algorithms as authorization_signed_response_alg, the server has
	// an Issuer for each.
	Algorithm string
	// Lifetime is the time within which a client must verify the response. The
	// default is 5 minutes, the maximum 10.
	Lifetime time.Duration
	// Now is the clock. If nil, time.Now is used. It is called concurrently.
	Now func() time.Time
}

// An Issuer issues signed authorization responses. It is safe for concurrent
// use if its key is.
type Issuer struct {
	cfg    IssuerConfig
	signer *jose.Signer
}

// NewIssuer validates and copies cfg.
func NewIssuer(cfg IssuerConfig) (*Issuer, error) {
	if cfg.Issuer == "" || !jwt.UTF8(cfg.Issuer) {
		return nil, errors.New("jarm: Issuer is empty or not UTF-8")
	}
	if cfg.Lifetime == 0 {
		cfg.Lifetime = defaultLifetime
	}
	if cfg.Lifetime < time.Second || cfg.Lifetime > maxLifetime {
		return nil, fmt.Errorf("jarm: invalid Lifetime %v, want 1s to %v", cfg.Lifetime, maxLifetime)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	// JARM registers no typ, and some clients reject every typ. JARM-2.2-2.
	signer, err := jwt.NewSigner(cfg.Key, jose.SignerOptions{Algorithm: cfg.Algorithm, KeyID: cfg.KeyID})
	if err != nil {
		return nil, fmt.Errorf("jarm: %w", err)
	}
	return &Issuer{cfg: cfg, signer: signer}, nil
}

// Algorithm returns the signature algorithm of the responses, for
// authorization_signing_alg_values_supported.
func (i *Issuer) Algorithm() string { return i.signer.Algorithm() }

// Response returns the signed response to a client. params contains the
// parameters of an unsigned response. Each has one value, and exactly one of
// code and error is present. Pass the state of the request unchanged, or no
// state if the request had none.
//
// Response adds iss, aud and exp. These names, other claims of JWTs, and sub,
// which marks an ID token, are errors in params. An error is about the
// arguments or comes from the key. Do not send its text to the client.
func (i *Issuer) Response(clientID string, params url.Values) (string, error) {
	body, err := i.payload(clientID, params)
	if err != nil {
		return "", fmt.Errorf("jarm: response: %w", err)
	}
	token, err := i.signer.Sign(body) // MS-5.4.1-1, JARM-2.2-1
	if err != nil {
		return "", fmt.Errorf("jarm: signing a response: %w", err)
	}
	if len(token) > maxResponse {
		return "", fmt.Errorf("jarm: response of %d bytes, want at most %d", len(token), maxResponse)
	}
	return token, nil
}

// An Encryption configures the encryption of responses to a client, as the
// client has registered it. Responses are not encrypted without one. FAPI 2.0
// Message Signing §6.1 advises against encryption. An Encryption is safe for
// concurrent use.
type Encryption struct {
	// Key is the public key with "use":"enc" of the client's JWK Set: RSA or
	// P-256. Required.
	Key crypto.PublicKey
	// KeyID is the kid of that key. If empty, the response has no kid.
	KeyID string
	// Algorithm is authorization_encrypted_response_alg: RSA-OAEP-256 or
	// RSA-OAEP for RSA, ECDH-ES, ECDH-ES+A128KW or ECDH-ES+A256KW for P-256.
	// Required.
	Algorithm string
	// ContentEncryption is authorization_encrypted_response_enc: A256GCM,
	// A128GCM, A256CBC-HS512 or A128CBC-HS256. Required. The default of client
	// metadata is A128CBC-HS256.
	ContentEncryption string
}

// EncryptedResponse is Response followed by [Encryption.Seal].
func (i *Issuer) EncryptedResponse(clientID string, params url.Values, to Encryption) (string, error) {
	signed, err := i.Response(clientID, params)
	if err != nil {
		return "", err
	}
	return to.Seal(signed)
}

// Seal encrypts a response of [Issuer.Response]. A server calls it if it keeps
// the signed response as evidence.
func (to Encryption) Seal(signed string) (string, error) {
	// JARM-2.2-1, MS-6.1-1: signed, then encrypted. The reverse order would not
	// show the sender.
	sealed, err := jose.Encryption(to).Seal(signed, maxResponse)
	if err != nil {
		return "", fmt.Errorf("jarm: encrypting a response: %w", err)
	}
	return sealed, nil
}

// payload returns iss, aud and exp followed by the parameters in the order of
// their names.
func (i *Issuer) payload(clientID string, params url.Values) ([]byte, error) {
	if clientID == "" || !jwt.UTF8(clientID) {
		return nil, errors.New("client identifier is empty or not UTF-8")
	}
	var w strictjson.Writer
	w.String("iss", i.cfg.Issuer) // JARM-2.1-1, MS-5.4.1-N: iss is only in the JWT
	w.String("aud", clientID)
	w.Int("exp", i.cfg.Now().Add(i.cfg.Lifetime).Unix())
	if err := writeParameters(&w, params); err != nil {
		return nil, err
	}
	body := w.Bytes()
	// A reader would reject names that differ only by case.
	return body, strictjson.Valid(body)
}

// reserved names are not permitted as parameters. They are the claims of the
// envelope, claims that mark another kind of JWT (JWT-3.12-1), and claims that
// RFC 7519 defines.
var reserved = append([]string{"sub", "events", "token_introspection", "nbf", "iat", "jti", paramResponse}, envelope...)

// writeParameters checks the parameters and writes them by their JSON types.
func writeParameters(w *strictjson.Writer, params url.Values) error {
	// JARM-2.1-3, JARM-2.1-5: including those of errors and of extensions.
	flat := make(map[string]string, len(params))
	for name, values := range params {
		switch {
		case jwt.Reserved(reserved, name):
			return fmt.Errorf("reserved parameter %.64q", name)
		case len(values) != 1: // RFC 6749 §3.1
			return fmt.Errorf("parameter %.64q has %d values", name, len(values))
		case !jwt.UTF8(name, values[0]):
			return fmt.Errorf("parameter %.64q is not UTF-8", name)
		}
		flat[name] = values[0]
	}
	if text, ok := flat[paramExpires]; ok {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
			return fmt.Errorf("%s is not a number of seconds", paramExpires)
		}
	}
	for _, name := range []string{paramError, "error_description", "error_uri"} {
		if strings.ContainsFunc(flat[name], func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
			return fmt.Errorf("malformed %s, see RFC 6749 §4.1.2.1", name)
		}
	}
	if err := checkOutcome(flat); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(flat)) { // JARM-2.1-4
		switch value := flat[name]; {
		case name == paramExpires: // the only response parameter of OAuth that is a number
			w.Raw(name, []byte(value))
		case value == "":
			w.Raw(name, []byte(`""`))
		default:
			w.String(name, value)
		}
	}
	return nil
}
