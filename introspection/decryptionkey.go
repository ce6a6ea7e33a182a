package introspection

import (
	"crypto"
	"fmt"
	"log/slog"
)

// A DecryptionKey is a private key of the resource server for encrypted
// responses, with the algorithms that the resource server has registered. A
// response with other algorithms is rejected. Do not use the key for
// signatures. Its String and LogValue do not contain the key. It is safe for
// concurrent use if the key is.
type DecryptionKey struct {
	// Key is for ECDH-ES an *ecdsa.PrivateKey or *ecdh.PrivateKey of P-256, or
	// an ecdh.KeyExchanger, for example in a hardware module. For RSA-OAEP it
	// is the crypto.Decrypter of an RSA key. Required.
	Key crypto.PrivateKey
	// KeyID is the kid of the published public key. If empty, the key is tried
	// for every kid.
	KeyID string
	// Algorithm is introspection_encrypted_response_alg: ECDH-ES,
	// ECDH-ES+A128KW or ECDH-ES+A256KW for P-256, RSA-OAEP-256 or RSA-OAEP for
	// RSA. The default is ECDH-ES or RSA-OAEP-256.
	Algorithm string
	// ContentEncryption is introspection_encrypted_response_enc: A256GCM,
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
