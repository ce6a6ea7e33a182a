// Package jwks implements JSON Web Key Sets (RFC 7517): it finds the public
// keys of other parties and publishes a party's own.
//
// [Remote] fetches the set at another party's jwks_uri. It caches the set for
// minutes, and fetches again when a token names an unknown key. The other party
// can therefore rotate its keys at any time. [Parse] parses a set that is at
// hand, for example the member jwks of a client's metadata. Both have the
// method
//
//	Keys(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
//
// for accesstoken.VerifierConfig.Keys, idtoken.VerifierConfig.Keys and
// clientauth.Client.Keys.
//
// To publish keys, make a [Set] with [NewSet] and mount it as the
// [http.Handler] of the jwks_uri. A Set is immutable. To rotate keys, publish a
// set with the old and the new key. Sign with the new key after five minutes,
// when caches of the old set have expired. Remove the old key when the last
// token that it signed has expired. [Current] publishes a set that changes.
//
// The package supports only keys that the FAPI 2.0 Security Profile permits:
// P-256, Ed25519, and RSA from 2048 to 8192 bits. It drops unusable entries of
// a set: keys of another kind, malformed entries, private and symmetric keys.
// [Set.Dropped] and [RemoteConfig].Report name them.
//
// The package does not fetch keys from URLs in a token (jku, x5u), does not
// evaluate certificate chains, and does not decrypt.
package jwks

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
)

var (
	// ErrInvalid means that a JWK or a JWK Set is malformed, or that a key must
	// not be used. The wire form is invalid_client_metadata with status 400
	// (RFC 7591 §3.2.2), for a client that registers the set.
	ErrInvalid = oautherr.New("jwks: invalid JWK Set", "invalid_client_metadata", http.StatusBadRequest,
		"jwks is not a set of usable public keys")
	// ErrUnavailable means that a [Remote] has no keys because it could not
	// fetch them. It wraps the cause. The wire form is server_error with status
	// 503, because the failure is temporary.
	ErrUnavailable = oautherr.New("jwks: keys unavailable", oautherr.ServerError, http.StatusServiceUnavailable, "")
)

const (
	maxSetBytes = 1 << 20 // enough for 100 RSA keys with certificate chains
	maxAge      = 300     // seconds for which readers may cache a published set
)

// A Key is one public key of a [Set].
type Key struct {
	// Public is the key: an *ecdsa.PublicKey on P-256, an ed25519.PublicKey, or
	// an *rsa.PublicKey. Required.
	Public crypto.PublicKey
	// KeyID is the kid, which tokens have in their header. The default is the
	// [Thumbprint] of the key.
	KeyID string
	// Algorithm is the only algorithm of the key. The default for a signing key
	// is ES256, EdDSA or PS256, by the kind of the key.
	Algorithm string
	// Use is "sig" or "enc". The default is "sig".
	Use string
	// Certificates is the chain that is published as x5c, beginning with the
	// certificate of the key. A client that authenticates with
	// self_signed_tls_client_auth publishes its certificate here (RFC 8705
	// §2.2.2). If nil, there is no x5c.
	Certificates []*x509.Certificate
}

// A Set is an immutable set of public keys. It is safe for concurrent use. The
// zero Set is empty.
type Set struct {
	keys    []*jose.Key
	dropped []Dropped
	doc     []byte // the set as JSON
}

// A Dropped describes an entry of a set that [Parse] did not use, or used
// without its certificates.
type Dropped struct {
	// Index is the position in the list of keys, from 0.
	Index int
	// KeyID is the kid, if it could be read. The owner of the set chose this
	// text. It has at most 128 bytes.
	KeyID string
	// Certificates is true if the key is used and only its x5c was dropped.
	Certificates bool
	// Private is true if the entry has a private or symmetric member. Its owner
	// has published a secret and must replace that key.
	Private bool
	// Reason is the reason for which the entry was dropped. It does not quote
	// the key.
	Reason error
}

// String returns one line for a log.
func (d Dropped) String() string {
	lost := "key"
	if d.Certificates {
		lost = "certificates of key"
	}
	text := fmt.Sprintf("%s %d, kid %q: %v", lost, d.Index, d.KeyID, d.Reason)
	if d.Private {
		text += " (published secret)"
	}
	return text
}

// NewSet returns a set of keys to publish. The error matches [ErrInvalid].
// NewSet rejects an empty list, private keys and keys that FAPI 2.0 does not
// permit. It also rejects a kid that two keys share, and a certificate of
// another key.
func NewSet(keys ...Key) (*Set, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: no keys", ErrInvalid)
	}
	s := &Set{keys: make([]*jose.Key, 0, len(keys))}
	seen := make(map[string]bool, len(keys))
	for i, k := range keys {
		key, err := publish(k)
		if err != nil {
			return nil, fmt.Errorf("%w: key %d: %w", ErrInvalid, i, err)
		}
		// SP-5.4.2-3: two keys of one kid are legal to read and not to publish.
		if seen[key.KeyID] {
			return nil, fmt.Errorf("%w: key %d: duplicate kid %q", ErrInvalid, i, key.KeyID)
		}
		seen[key.KeyID] = true
		s.keys = append(s.keys, key)
	}
	return s, s.encode()
}

func publish(k Key) (*jose.Key, error) {
	thumbprint, err := jose.Thumbprint(k.Public)
	if err != nil {
		return nil, err
	}
	k.KeyID, k.Use = cmp.Or(k.KeyID, thumbprint), cmp.Or(k.Use, "sig")
	if k.Use != "sig" && k.Use != "enc" {
		return nil, fmt.Errorf("invalid use %q, want sig or enc", k.Use)
	}
	if k.Use == "sig" {
		if k.Algorithm == "" {
			if k.Algorithm, err = jose.AlgorithmFor(k.Public); err != nil {
				return nil, err
			}
		}
		if !jose.KeyFits(k.Public, k.Algorithm) {
			return nil, fmt.Errorf("unsuitable key %T for algorithm %q", k.Public, k.Algorithm)
		}
	}
	if len(k.Certificates) > 0 && !jose.Equal(k.Certificates[0].PublicKey, k.Public) {
		return nil, errors.New("certificate of another key")
	}
	return &jose.Key{
		Public: k.Public, KeyID: k.KeyID, Algorithm: k.Algorithm, Use: k.Use, Thumbprint: thumbprint,
		Certificates: k.Certificates,
	}, nil
}

// Parse parses a JWK Set of at most 1 MiB and 100 keys. It drops unusable
// entries: see [Set.Dropped]. If x5c is malformed, Parse drops the certificates
// and keeps the key. A set without any usable entry is valid, and its method
// Keys returns an error with the reasons. If the document is not a JWK Set, the
// error matches [ErrInvalid].
func Parse(data []byte) (*Set, error) {
	if len(data) > maxSetBytes {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", ErrInvalid, len(data), maxSetBytes)
	}
	keys, dropped, err := jose.ParseKeySet(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	s := &Set{keys: keys}
	for _, d := range dropped {
		s.dropped = append(s.dropped, Dropped{
			Index: d.Index, KeyID: d.KeyID[:min(len(d.KeyID), maxReportedKeyID)],
			Certificates: d.Certificates, Private: d.Secret, Reason: d.Reason,
		})
	}
	return s, s.encode()
}

// maxReportedKeyID bounds the text that the owner of a set can write to a log.
const maxReportedKeyID = 128

// Dropped returns the entries that [Parse] dropped, in the order of the set. It
// is empty for a set that [NewSet] made.
func (s *Set) Dropped() []Dropped { return slices.Clone(s.dropped) }

// unusable returns an error if the set has entries and none of them is usable.
func (s *Set) unusable() error {
	if len(s.keys) > 0 || len(s.dropped) == 0 {
		return nil
	}
	const shown = 3
	var reasons []string
	for _, d := range s.dropped[:min(len(s.dropped), shown)] {
		reasons = append(reasons, d.String())
	}
	if len(s.dropped) > shown {
		reasons = append(reasons, "and so on")
	}
	return fmt.Errorf("%w: no usable key among %d: %s", ErrInvalid, len(s.dropped), strings.Join(reasons, "; "))
}

func (s *Set) encode() (err error) {
	s.doc, err = json.Marshal(map[string][]*jose.Key{"keys": s.keys})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// Keys returns the keys that may have signed a token with this kid and alg in
// its header. These are the keys with that kid whose kind, alg, use and key_ops
// permit alg. If kid is empty, keys with any kid are candidates. An unknown kid
// is not an error.
//
// If the set has entries and none of them is usable, the error matches
// [ErrInvalid] and has the reasons.
func (s *Set) Keys(_ context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	return s.candidates(kid, alg), s.unusable()
}

// EncryptionKeys returns the keys to which a sender may encrypt with alg:
// RSA-OAEP-256, RSA-OAEP, ECDH-ES, ECDH-ES+A128KW or ECDH-ES+A256KW. These are
// the keys with use "enc", in the order of the set. Use the first one. A set
// without such a key is not an error. No key is both in [Set.Keys] and in
// EncryptionKeys. The errors are those of Keys.
func (s *Set) EncryptionKeys(_ context.Context, alg string) ([]Key, error) {
	return s.encryptionKeys(alg), s.unusable()
}

func (s *Set) encryptionKeys(alg string) (keys []Key) {
	for _, k := range s.keys {
		if k.Encrypts(alg) {
			keys = append(keys, exported(k))
		}
	}
	return keys
}

func exported(k *jose.Key) Key {
	return Key{
		Public: k.Public, KeyID: k.KeyID, Algorithm: k.Algorithm, Use: k.Use, Certificates: k.Certificates,
	}
}

// candidates returns the keys for a token.
func (s *Set) candidates(kid, alg string) []crypto.PublicKey {
	// SP-5.4.3-1: several keys may have one kid, with different kty, crv, use
	// and alg. JWT-3.10-1: the token has chosen the kid, so it is only
	// compared.
	return jose.Candidates(s.keys, kid, alg)
}

// MarshalJSON returns the published JSON, which has only public members.
func (s *Set) MarshalJSON() ([]byte, error) {
	if s.doc == nil {
		return []byte(`{"keys":[]}`), nil
	}
	return bytes.Clone(s.doc), nil
}

// ServeHTTP responds to GET and HEAD with the set. The media type is
// application/json, because every reader accepts it, unlike
// application/jwk-set+json. Readers may cache the set for five minutes. Mount
// the Set on a server that requires TLS (FAPI 2.0 Security Profile §5.4.2).
func (s *Set) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	body, _ := s.MarshalJSON() // never fails
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(maxAge))
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodGet {
		w.Write(body) // an error means that the reader is gone
	}
}

// A Current returns the set of the moment. It has the methods of a [Set] for a
// party that rotates its keys, and it can be mounted at the jwks_uri. It is
// called for each use and must be safe for concurrent use. It must not return
// nil.
type Current func(ctx context.Context) *Set

// Keys is [Set.Keys] of the current set.
func (c Current) Keys(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	return c(ctx).Keys(ctx, kid, alg)
}

// MarshalJSON is [Set.MarshalJSON] of the current set.
func (c Current) MarshalJSON() ([]byte, error) { return c(context.Background()).MarshalJSON() }

// ServeHTTP is [Set.ServeHTTP] of the current set.
func (c Current) ServeHTTP(w http.ResponseWriter, r *http.Request) { c(r.Context()).ServeHTTP(w, r) }

// Thumbprint returns the SHA-256 thumbprint of a public key (RFC 7638): 43
// characters of base64url. It is the default kid, and the jkt of
// sender-constrained tokens. If FAPI 2.0 does not permit the key, the error
// matches [ErrInvalid].
func Thumbprint(key crypto.PublicKey) (string, error) {
	thumbprint, err := jose.Thumbprint(key)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return thumbprint, nil
}

// ParsePrivateKey parses a private JWK, for example from a configuration. It
// returns the signing key, and the public half to publish. It checks that the
// two belong together. The error matches [ErrInvalid] and never quotes the key.
func ParsePrivateKey(data []byte) (crypto.Signer, Key, error) {
	if len(data) > maxSetBytes {
		return nil, Key{}, fmt.Errorf("%w: %d bytes, more than %d", ErrInvalid, len(data), maxSetBytes)
	}
	signer, k, err := jose.ParsePrivateKey(data)
	if err != nil {
		return nil, Key{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return signer, exported(k), nil
}

// MarshalPrivateKey returns a private JWK, which [ParsePrivateKey] reads. It
// takes its other members from public, with the defaults of [NewSet]. The
// Public of public may be nil, or else belongs to key. The key must be an
// *ecdsa.PrivateKey, an ed25519.PrivateKey or an *rsa.PrivateKey. The error
// matches [ErrInvalid] and never quotes the key. Store the result in a file
// that only the program can read.
func MarshalPrivateKey(key crypto.Signer, public Key) ([]byte, error) {
	if v := reflect.ValueOf(key); key == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, fmt.Errorf("%w: missing key", ErrInvalid)
	}
	if public.Public == nil {
		public.Public = key.Public()
	}
	k, err := publish(public)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	data, err := jose.MarshalPrivateKey(key, k)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return data, nil
}
