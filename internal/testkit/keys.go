package testkit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"io"
	"sync"
	"testing"
)

// A keyring has the keys that this process has generated, by name. Each key is
// generated in its own sync.OnceValues, so that a slow RSA key does not delay
// callers that need another key.
type keyring[K any] struct {
	generate func() (K, error)

	mu   sync.Mutex
	keys map[string]func() (K, error)
}

func (r *keyring[K]) get(t testing.TB, name string) K {
	t.Helper()
	r.mu.Lock()
	once, ok := r.keys[name]
	if !ok {
		if r.keys == nil {
			r.keys = make(map[string]func() (K, error))
		}
		once = sync.OnceValues(r.generate)
		r.keys[name] = once
	}
	r.mu.Unlock()
	key, err := once()
	if err != nil {
		t.Fatalf("testkit: generating key %q: %v", name, err)
	}
	return key
}

var (
	ecKeys = keyring[*ecdsa.PrivateKey]{generate: func() (*ecdsa.PrivateKey, error) {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}}
	ed25519Keys = keyring[ed25519.PrivateKey]{generate: func() (ed25519.PrivateKey, error) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}}
	rsaKeys = keyring[*rsa.PrivateKey]{generate: func() (*rsa.PrivateKey, error) {
		return rsa.GenerateKey(rand.Reader, 2048)
	}}
)

// ECKey returns the P-256 key with that name. One name has one key in a
// process, and two names have different keys. ECKey is safe for concurrent use.
func ECKey(t testing.TB, name string) *ecdsa.PrivateKey {
	t.Helper()
	return ecKeys.get(t, name)
}

// Ed25519Key is [ECKey] for Ed25519.
func Ed25519Key(t testing.TB, name string) ed25519.PrivateKey {
	t.Helper()
	return ed25519Keys.get(t, name)
}

// RSAKey is [ECKey] for RSA with 2048 bits. A new name takes some tenths of a
// second, so use few names.
func RSAKey(t testing.TB, name string) *rsa.PrivateKey {
	t.Helper()
	return rsaKeys.get(t, name)
}

// A RemoteKey is a key whose type is not a type of the standard library, such
// as a key in a hardware module. If Err is not nil, Sign returns it.
type RemoteKey struct {
	crypto.Signer
	Err error
}

// Sign signs as the Signer does.
func (k RemoteKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if k.Err != nil {
		return nil, k.Err
	}
	return k.Signer.Sign(random, digest, opts)
}
