package profile

import (
	"crypto"
	"log/slog"
	"time"
)

// A SigningKey is a private key of an authorization server with its name and
// its algorithm. It may be copied. String and LogValue do not show the key.
type SigningKey struct {
	// Key signs. It is a key for P-256 or Ed25519, or an RSA key of at least
	// 2048 bits, and can be in a KMS or HSM. It must be safe for concurrent
	// use. Required.
	Key crypto.Signer
	// KeyID names the key in the JWK Set. The default is its thumbprint (RFC
	// 7638).
	KeyID string
	// Algorithm is PS256, ES256, EdDSA or Ed25519. The default is the one that
	// fits the key, and EdDSA for an Ed25519 key.
	Algorithm string
	// SignsFrom is the time from which the key signs. Until then, the server
	// only publishes it. Of several keys of one algorithm, the key with the
	// latest SignsFrom that has come signs, or the earliest if none has come.
	// Keys of one algorithm have different times. The default is the zero time,
	// which has always come.
	SignsFrom time.Time
}

// String returns the KeyID.
func (k SigningKey) String() string { return "signing key " + k.KeyID }

// GoString is String.
func (k SigningKey) GoString() string { return k.String() }

// LogValue is String.
func (k SigningKey) LogValue() slog.Value { return slog.StringValue(k.String()) }
