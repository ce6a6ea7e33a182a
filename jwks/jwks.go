// Package jwks implements JSON Web Key Sets (RFC 7517): where the public keys of others come from, and how one's own
// are published.
//
// For another party whose metadata has a jwks_uri, use [Remote]: it fetches the set, keeps it for minutes, and asks
// again when a token names a key it does not know, so that the other side can rotate its keys without telling anyone.
// For a party that handed over its keys by value ("jwks" in client metadata, a file), use [Parse]. Both have the method
//
//	Keys(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
//
// which fits the fields Keys of this module as it is: set.Keys or remote.Keys for accesstoken.VerifierConfig.Keys,
// idtoken.VerifierConfig.Keys and clientauth.Client.Keys. To publish keys, make a [Set] with [NewSet] and mount it: it is
// an [http.Handler]. A Set never changes. To rotate keys, publish a set with the old and the new key, sign with the new
// one when the readers have had the time to fetch it (five minutes for those that honour Cache-Control), and drop the
// old one when the last token signed with it has expired; an atomic.Pointer to the current Set is all the machinery that
// takes.
//
// The package supports only keys that the FAPI 2.0 Security Profile permits:
// P-256, Ed25519, and RSA from 2048 to 8192 bits. It drops an unusable entry of
// a set and keeps the rest: a key of another kind, a malformed entry, a private
// or a symmetric key. [Set.Dropped] and [RemoteConfig].Report name the dropped
// entries.
//
// The package does not fetch keys from URLs in a token (jku, x5u), does not
// evaluate certificate chains, and does not decrypt. It holds only the public
// half of encryption keys, see [Set.EncryptionKeys].
package jwks

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
)

var (
	// ErrInvalid says that a JWK or a JWK Set is not one, or that one of its keys must not be used. To a client that
	// registers it is invalid_client_metadata (RFC 7591 §3.2.2).
	ErrInvalid = oautherr.New("jwks: invalid JWK Set", "invalid_client_metadata", http.StatusBadRequest, "jwks is not a set of usable public keys")
	// ErrUnavailable says that a [Remote] has no keys to offer because it could not fetch them. It wraps the cause. To a
	// peer it is server_error, status 503: nobody can be believed for now, and nobody is refused for good.
	ErrUnavailable = oautherr.New("jwks: keys cannot be fetched", oautherr.ServerError, http.StatusServiceUnavailable, "")
)

const (
	maxSetBytes = 1 << 20 // a hundred RSA keys with certificate chains take less
	maxAge      = 300     // seconds for which readers may keep a published set
)

// A Key is one public key to publish.
type Key struct {
	// Public is the key: *ecdsa.PublicKey on P-256, ed25519.PublicKey, or *rsa.PublicKey. Required.
	Public crypto.PublicKey
	// KeyID is the kid, which tokens name in their header. Default: the key's [Thumbprint].
	KeyID string
	// Algorithm is the one algorithm that the key is used with. Default: ES256, EdDSA or PS256, by the kind of the key.
	Algorithm string
	// Use is "sig" or "enc". Default: "sig".
	Use string
	// Certificates is the chain to publish as x5c, the one with the key first. A client that authenticates by
	// self_signed_tls_client_auth publishes its certificate so (RFC 8705 §2.2.2). Usually nil.
	Certificates []*x509.Certificate
}

// A Set is a fixed set of public keys. It is immutable and safe for concurrent use. The zero Set is empty.
type Set struct {
	keys    []*jose.Key
	dropped []Dropped
	doc     []byte // the set as JSON
}

// A Dropped describes an entry of a set that [Parse] did not use, or used without
// its certificates.
type Dropped struct {
	// Index is the position in the list of keys, from 0.
	Index int
	// KeyID is the kid, if it could be read. The owner of the set chose this text.
	// It has at most 128 bytes.
	KeyID string
	// Certificates is true if the key is used and only its x5c was dropped.
	Certificates bool
	// Private is true if the entry has a private or symmetric member. Its owner
	// has published a secret and must replace that key.
	Private bool
	// Reason is the reason for which the entry was dropped. It does not quote the
	// key.
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

// NewSet returns the set of these keys, for publishing. It refuses an empty list, keys that FAPI 2.0 cannot use, private
// keys, a kid that two keys share, and certificates that belong to another key; the error matches [ErrInvalid].
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
		// SP-5.4.2-3: what is legal to read is not to be published.
		if seen[key.KeyID] {
			return nil, fmt.Errorf("%w: key %d: kid %q is there twice", ErrInvalid, i, key.KeyID)
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
	if k.KeyID == "" {
		k.KeyID = thumbprint
	}
	if k.Use == "" {
		k.Use = "sig"
	}
	if k.Use != "sig" && k.Use != "enc" {
		return nil, fmt.Errorf("use is %q, neither sig nor enc", k.Use)
	}
	if k.Use == "sig" {
		if k.Algorithm == "" {
			if k.Algorithm, err = jose.AlgorithmFor(k.Public); err != nil {
				return nil, err
			}
		}
		if !jose.KeyFits(k.Public, k.Algorithm) {
			return nil, fmt.Errorf("a %T is not one for %q", k.Public, k.Algorithm)
		}
	}
	if len(k.Certificates) > 0 && !jose.Equal(k.Certificates[0].PublicKey, k.Public) {
		return nil, fmt.Errorf("the certificate is for another key")
	}
	return &jose.Key{
		Public: k.Public, KeyID: k.KeyID, Algorithm: k.Algorithm, Use: k.Use, Thumbprint: thumbprint, Certificates: k.Certificates,
	}, nil
}

// Parse parses a JWK Set of at most 1 MiB and 100 keys. It drops unusable
// entries: see [Set.Dropped]. If x5c cannot be parsed, Parse drops the
// certificates and keeps the key. A set without any usable entry is valid. Its
// method Keys returns an error with the reasons.
//
// If the document is not a JWK Set, the error matches [ErrInvalid].
func Parse(data []byte) (*Set, error) {
	if len(data) > maxSetBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrInvalid, len(data), maxSetBytes)
	}
	keys, dropped, err := jose.ParseKeySet(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	s := &Set{keys: keys}
	for _, d := range dropped {
		s.dropped = append(s.dropped, Dropped{
			Index: d.Index, KeyID: d.KeyID[:min(len(d.KeyID), maxReportedKeyID)], Certificates: d.Certificates, Private: d.Secret,
			Reason: d.Reason,
		})
	}
	return s, s.encode()
}

// maxReportedKeyID bounds the text that the owner of a set can write to our
// log.
const maxReportedKeyID = 128

// Dropped returns the entries that [Parse] dropped, in the order of the set. It is
// empty for a set that [NewSet] made.
func (s *Set) Dropped() []Dropped { return slices.Clone(s.dropped) }

// unusable returns an error if the set has entries and none of them can be used.
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
	s.doc, err = json.Marshal(struct {
		Keys []*jose.Key `json:"keys"`
	}{s.keys})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// Keys returns the keys that may have signed a token with this kid and alg in its
// header: the keys with that kid (all, if kid is empty) whose kind, alg, use and
// key_ops permit alg. A kid that the set does not have is not an error.
//
// The error matches [ErrInvalid]: the set has entries and none of them can be
// used. It names the reasons.
func (s *Set) Keys(_ context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	return s.candidates(kid, alg), s.unusable()
}

// EncryptionKeys returns the keys to which the owner of the set accepts content
// encrypted with alg, RSA-OAEP-256 or ECDH-ES. These are the keys with use
// "enc", in the order of the set. Use the first key. A set without such a key
// is not an error. A key for encryption is never among [Set.Keys], and a key
// for signatures is never among EncryptionKeys. The errors are those of Keys.
func (s *Set) EncryptionKeys(_ context.Context, alg string) ([]Key, error) {
	return s.encryptionKeys(alg), s.unusable()
}

func (s *Set) encryptionKeys(alg string) (keys []Key) {
	for _, k := range s.keys {
		if k.Encrypts(alg) {
			keys = append(keys, Key{Public: k.Public, KeyID: k.KeyID, Algorithm: k.Algorithm, Use: k.Use, Certificates: k.Certificates})
		}
	}
	return keys
}

// candidates. SP-5.4.3-1: kid is not unique, so there may be several, told apart by kty, crv, use and alg. JWT-3.10-1:
// the kid is the token's, so it is compared and nothing else.
func (s *Set) candidates(kid, alg string) []crypto.PublicKey {
	return jose.Candidates(s.keys, kid, alg)
}

// MarshalJSON returns the set as it is published: public members only.
func (s *Set) MarshalJSON() ([]byte, error) {
	if s.doc == nil {
		return []byte(`{"keys":[]}`), nil
	}
	return append([]byte(nil), s.doc...), nil
}

// ServeHTTP answers GET and HEAD with the set. The media type is application/json and not application/jwk-set+json,
// because every reader takes the former. Readers may cache it for five minutes. Mount it on a server that speaks TLS
// only (FAPI 2.0 Security Profile §5.4.2).
func (s *Set) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	body, _ := s.MarshalJSON() // encoded before
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(maxAge))
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodGet {
		w.Write(body) // a reader that went away
	}
}

// Thumbprint returns the SHA-256 thumbprint of a public key in base64url, 43 characters (RFC 7638): the default kid, and
// the form in which tokens name the key of their holder. It refuses keys that FAPI 2.0 cannot use.
func Thumbprint(key crypto.PublicKey) (string, error) {
	thumbprint, err := jose.Thumbprint(key)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return thumbprint, nil
}

// ParsePrivateKey reads one private JWK, as configurations hold it, and returns the key to sign with and its public half
// to publish. It checks that the two belong together. The error matches [ErrInvalid] and never quotes the key.
func ParsePrivateKey(data []byte) (crypto.Signer, Key, error) {
	if len(data) > maxSetBytes {
		return nil, Key{}, fmt.Errorf("%w: %d bytes, at most %d are read", ErrInvalid, len(data), maxSetBytes)
	}
	signer, k, err := jose.ParsePrivateKey(data)
	if err != nil {
		return nil, Key{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return signer, Key{
		Public: k.Public, KeyID: k.KeyID, Algorithm: k.Algorithm, Use: k.Use, Certificates: k.Certificates,
	}, nil
}
