package jarm

import (
	"bytes"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/strictjson"
)

const (
	// defaultLifetime is what a browser needs, and room for the client's clock to be ahead.
	defaultLifetime = 5 * time.Minute
	maxLifetime     = 10 * time.Minute // JARM-2.1-2
)

// IssuerConfig configures an [Issuer].
type IssuerConfig struct {
	// Issuer is the authorization server's issuer identifier. Required.
	Issuer string
	// Key signs the responses: P-256, Ed25519 or RSA. Required. It must be safe for concurrent use.
	Key crypto.Signer
	// KeyID is the kid under which the public key is published. Default: the key's RFC 7638 thumbprint.
	KeyID string
	// Algorithm is ES256, PS256, EdDSA or Ed25519. Default: ES256, PS256 or EdDSA, by the kind of the key. A server whose
	// clients have registered different ones as authorization_signed_response_alg keeps an Issuer for each (JARM-2.2-2).
	Algorithm string
	// Lifetime is how long a client may take to look at the response. Default 5 minutes, at most 10.
	Lifetime time.Duration
	// Now is the clock; nil means time.Now. It is called concurrently.
	Now func() time.Time
}

// An Issuer makes signed authorization responses. It is safe for concurrent use if its key is.
type Issuer struct {
	cfg    IssuerConfig
	signer *jose.Signer
}

// NewIssuer validates and copies cfg.
func NewIssuer(cfg IssuerConfig) (*Issuer, error) {
	if cfg.Issuer == "" || !utf8.ValidString(cfg.Issuer) {
		return nil, errors.New("jarm: Issuer is empty or not UTF-8")
	}
	if cfg.Lifetime == 0 {
		cfg.Lifetime = defaultLifetime
	}
	if cfg.Lifetime < time.Second || cfg.Lifetime > maxLifetime {
		return nil, fmt.Errorf("jarm: Lifetime is %v, not between 1s and %v", cfg.Lifetime, maxLifetime)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Key == nil {
		return nil, errors.New("jarm: Key is nil")
	}
	if cfg.KeyID == "" {
		var err error
		if cfg.KeyID, err = jose.Thumbprint(cfg.Key.Public()); err != nil {
			return nil, fmt.Errorf("jarm: Key: %w", err)
		}
	}
	// No typ: the specification registers none, and clients exist that refuse any.
	signer, err := jose.NewSigner(cfg.Key, jose.SignerOptions{Algorithm: cfg.Algorithm, KeyID: cfg.KeyID})
	if err != nil {
		return nil, fmt.Errorf("jarm: Key: %w", err)
	}
	return &Issuer{cfg: cfg, signer: signer}, nil
}

// Algorithm returns the algorithm that the responses are signed with, for authorization_signing_alg_values_supported.
func (i *Issuer) Algorithm() string { return i.signer.Algorithm() }

// Response returns the signed response to a client: params are the parameters that would otherwise stand in the redirect's
// query, each with one value, and exactly one of code and error among them. iss, aud and exp are added and must not be
// there; so must not sub, which makes an ID token. state goes in exactly as it came, and not at all if it did not come.
//
// An error is either a mistake of the caller or comes from the key; neither is for the client to see.
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
		return "", fmt.Errorf("jarm: the response has %d bytes, more than %d", len(token), maxResponse)
	}
	return token, nil
}

// Encryption says how responses to a client are encrypted, by what the client has registered.
//
// MS-6.1-1: nothing here encrypts unless it is told to, and FAPI advises not to tell it.
type Encryption struct {
	// Key is the client's public key, of its JWK Set the one with "use":"enc": RSA or P-256. Required.
	Key crypto.PublicKey
	// KeyID is the kid of that key; empty: none.
	KeyID string
	// Algorithm is authorization_encrypted_response_alg: RSA-OAEP-256 or, for P-256, ECDH-ES. Required.
	Algorithm string
	// ContentEncryption is authorization_encrypted_response_enc: A256GCM. Required, as its default in client metadata is
	// another one.
	ContentEncryption string
}

// EncryptedResponse is Response, and the signed response then encrypted to the client.
func (i *Issuer) EncryptedResponse(clientID string, params url.Values, to Encryption) (string, error) {
	signed, err := i.Response(clientID, params)
	if err != nil {
		return "", err
	}
	return to.Seal(signed)
}

// Seal encrypts what [Issuer.Response] has made, for a server that keeps the signed response as evidence.
func (to Encryption) Seal(signed string) (string, error) {
	// JARM-2.2-1: signed, then encrypted. The reverse would leave open who has encrypted.
	sealed, err := jose.Encrypt(signed, to.Algorithm, to.ContentEncryption, to.Key, to.KeyID)
	if err != nil {
		return "", fmt.Errorf("jarm: encrypting a response: %w", err)
	}
	if len(sealed) > maxResponse {
		return "", fmt.Errorf("jarm: the response has %d bytes, more than %d", len(sealed), maxResponse)
	}
	return sealed, nil
}

// payload writes iss, aud and exp and then the parameters in the order of their names.
func (i *Issuer) payload(clientID string, params url.Values) ([]byte, error) {
	if clientID == "" || !utf8.ValidString(clientID) {
		return nil, errors.New("the client identifier is empty or not UTF-8")
	}
	members, err := members(params)
	if err != nil {
		return nil, err
	}
	// JARM-2.1-1. MS-5.4.1-N: iss is inside and nowhere else.
	body, err := marshal(struct {
		Issuer   string `json:"iss"`
		Audience string `json:"aud"`
		Expires  int64  `json:"exp"`
	}{i.cfg.Issuer, clientID, i.cfg.Now().Add(i.cfg.Lifetime).Unix()})
	if err != nil {
		return nil, err
	}
	more, err := marshal(members)
	if err != nil {
		return nil, err
	}
	body = append(append(body[:len(body)-1], ','), more[1:]...)
	// Names that differ only by case would be refused by whoever reads the response.
	return body, strictjson.Valid(body)
}

// reserved may not be parameters: the claims of the envelope; what other kinds of JWT of the same server are known by, so
// that no response passes for one of them (JWT-3.12-1); what RFC 7519 gives another meaning.
var reserved = append([]string{"sub", "events", "token_introspection", "nbf", "iat", "jti", paramResponse}, envelope...)

// members are the parameters by their JSON types. JARM-2.1-3, JARM-2.1-5: all that is given, those of errors and of
// extensions too.
func members(params url.Values) (map[string]any, error) {
	all := make(map[string]any, len(params))
	flat := make(map[string]string, len(params))
	for name, values := range params {
		switch {
		case slices.ContainsFunc(reserved, func(r string) bool { return strings.EqualFold(r, name) }):
			return nil, fmt.Errorf("%q is not for the parameters to say", name)
		case len(values) != 1: // RFC 6749 §3.1
			return nil, fmt.Errorf("parameter %.64q has %d values", name, len(values))
		case !utf8.ValidString(name) || !utf8.ValidString(values[0]): // JSON would make one character of all that are invalid
			return nil, fmt.Errorf("parameter %.64q is not UTF-8", name)
		}
		flat[name], all[name] = values[0], values[0] // JARM-2.1-4: a string as a string
	}
	if text, ok := flat[paramExpires]; ok { // JARM-2.1-4: the one number that OAuth has among response parameters
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
			return nil, fmt.Errorf("%s is not a number of seconds", paramExpires)
		}
		all[paramExpires] = n
	}
	for _, name := range []string{paramError, "error_description", "error_uri"} {
		if strings.ContainsFunc(flat[name], func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
			return nil, fmt.Errorf("%s has characters that RFC 6749 §4.1.2.1 does not allow", name)
		}
	}
	return all, checkOutcome(flat)
}

// marshal keeps "&" in URLs as it is: it goes into HTML only as base64url.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
