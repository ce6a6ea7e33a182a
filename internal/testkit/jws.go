package testkit

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
)

var (
	base64Encoding = base64.RawURLEncoding
	pss            = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
)

// KeySource returns a key source of a verifier. It returns keys for every kid
// and algorithm.
func KeySource(keys ...crypto.PublicKey) func(context.Context, string, string) ([]crypto.PublicKey, error) {
	return func(context.Context, string, string) ([]crypto.PublicKey, error) { return keys, nil }
}

// KeyError returns a key source that fails.
func KeyError(err error) func(context.Context, string, string) ([]crypto.PublicKey, error) {
	return func(context.Context, string, string) ([]crypto.PublicKey, error) { return nil, err }
}

// SignPayload signs a payload, which may be malformed JSON, with a signer of
// package jose.
func SignPayload(t testing.TB, payload string, o jose.SignerOptions, key crypto.Signer) string {
	t.Helper()
	s, err := jose.NewSigner(key, o)
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	token, err := s.Sign([]byte(payload))
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	return token
}

// A PKCS1Key makes SignJWS sign with RSASSA-PKCS1-v1_5 (RS256).
type PKCS1Key struct{ *rsa.PrivateKey }

// SignJWS returns a compact JWS of any header and payload, even invalid ones. A
// string is used as it is, and any other value is marshalled. The type of the
// key selects the signature: ECDSA, Ed25519, RSASSA-PSS, PKCS1Key, or HMAC for
// bytes.
func SignJWS(t testing.TB, header, payload, key any) string {
	t.Helper()
	signed := Segment(t, header) + "." + Segment(t, payload)
	digest := sha256.Sum256([]byte(signed))
	var sig []byte
	var err error
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		r, s, signErr := ecdsa.Sign(rand.Reader, k, digest[:])
		sig, err = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), signErr
	case ed25519.PrivateKey:
		sig = ed25519.Sign(k, []byte(signed))
	case *rsa.PrivateKey:
		sig, err = rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest[:], pss)
	case PKCS1Key:
		sig, err = rsa.SignPKCS1v15(rand.Reader, k.PrivateKey, crypto.SHA256, digest[:])
	case []byte:
		mac := hmac.New(sha256.New, k)
		mac.Write([]byte(signed))
		sig = mac.Sum(nil)
	default:
		err = errors.New("unsupported type of key")
	}
	if err != nil {
		t.Fatalf("testkit: %v", err)
	}
	return signed + "." + base64Encoding.EncodeToString(sig)
}

// Segment returns the base64url encoding of v. A string is used as it is, and
// any other value is marshalled.
func Segment(t testing.TB, v any) string {
	t.Helper()
	raw, ok := v.(string)
	if !ok {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("testkit: %v", err)
		}
		raw = string(b)
	}
	return base64Encoding.EncodeToString([]byte(raw))
}

// WithHeader returns a token with another header. Its signature does not match.
func WithHeader(token, header string) string {
	_, rest, _ := strings.Cut(token, ".")
	return base64Encoding.EncodeToString([]byte(header)) + "." + rest
}

// Segments returns the header and the claims of a token.
func Segments(t testing.TB, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("testkit: token of %d segments", len(parts))
	}
	for i, to := range []*map[string]any{&header, &claims} {
		raw, err := base64Encoding.DecodeString(parts[i])
		if err == nil {
			err = json.NewDecoder(bytes.NewReader(raw)).Decode(to)
		}
		if err != nil {
			t.Fatalf("testkit: segment %d: %v", i, err)
		}
	}
	return header, claims
}

// Change returns a copy of claims with changes, which are names and values in
// turn. A nil value removes the claim.
func Change(claims map[string]any, changes ...any) map[string]any {
	c := maps.Clone(claims)
	for i := 0; i < len(changes); i += 2 {
		name := changes[i].(string)
		if c[name] = changes[i+1]; c[name] == nil {
			delete(c, name)
		}
	}
	return c
}

// Wire returns the wire form of an error. A test whose error has none fails.
func Wire(t testing.TB, err error) (code, description string, status int) {
	t.Helper()
	var e interface {
		error
		OAuthError() (code, description string)
		HTTPStatus() int
	}
	if !errors.As(err, &e) {
		t.Fatalf("testkit: error without wire form: %v", err)
	}
	code, description = e.OAuthError()
	return code, description, e.HTTPStatus()
}

// A Recorder is a replay store that counts its calls. It has no clock and drops
// no entry. It is safe for concurrent use, except its fields.
type Recorder struct {
	Calls int
	Used  map[string]time.Time // the expiry by key
	Err   error                // returned by each call, together with true

	mu sync.Mutex
}

// Add implements the replay stores of this module.
func (r *Recorder) Add(_ context.Context, key string, _ []byte, expires time.Time) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Calls++
	if r.Err != nil {
		return true, r.Err // the result must not matter after an error
	}
	if _, ok := r.Used[key]; ok {
		return false, nil
	}
	if r.Used == nil {
		r.Used = make(map[string]time.Time)
	}
	r.Used[key] = expires
	return true, nil
}
