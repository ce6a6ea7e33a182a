package idtoken

import (
	"crypto"
	"fmt"
	"log/slog"

	"github.com/gofapi/fapi2/internal/jose"
)

// A DecryptionKey is a private key of the client for encrypted tokens, with the
// algorithms that the client has registered. A token with other algorithms is
// rejected. While a registration changes, a client has the keys for the old and
// for the new one. Do not use the key for signatures. Its String and LogValue
// do not contain the key. It is safe for concurrent use if the key is.
type DecryptionKey struct {
	// Key is for ECDH-ES an *ecdsa.PrivateKey or *ecdh.PrivateKey of P-256, or
	// an ecdh.KeyExchanger, for example in a hardware module. For RSA-OAEP it
	// is the crypto.Decrypter of an RSA key. Required.
	Key crypto.PrivateKey
	// KeyID is the kid of the published public key. If empty, the key is tried
	// for every kid.
	KeyID string
	// Algorithm is id_token_encrypted_response_alg: ECDH-ES, ECDH-ES+A128KW or
	// ECDH-ES+A256KW for P-256, RSA-OAEP-256 or RSA-OAEP for RSA. The default
	// is ECDH-ES or RSA-OAEP-256.
	Algorithm string
	// ContentEncryption is id_token_encrypted_response_enc: A256GCM, A128GCM,
	// A256CBC-HS512 or A128CBC-HS256. The default is A256GCM, although the
	// default of a registration is A128CBC-HS256.
	ContentEncryption string
}

// String returns a text with the kid.
func (k DecryptionKey) String() string { return fmt.Sprintf("decryption key %.256q", k.KeyID) }

// GoString returns the text of String.
func (k DecryptionKey) GoString() string { return k.String() }

// LogValue returns the text of String.
func (k DecryptionKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// An Encryption configures the encryption of tokens for a client, as the client
// has registered it. It is safe for concurrent use.
type Encryption struct {
	// Key is the public key with "use":"enc" of the client's JWK Set: RSA or
	// P-256. Required.
	Key crypto.PublicKey
	// KeyID is the kid of that key. If empty, the token has no kid.
	KeyID string
	// Algorithm is id_token_encrypted_response_alg: one of those of
	// [DecryptionKey]. Required.
	Algorithm string
	// ContentEncryption is id_token_encrypted_response_enc. Required. The
	// default of client metadata is A128CBC-HS256.
	ContentEncryption string
}

// Seal encrypts a token of [Issuer.Issue]. The client decrypts the token and
// verifies the signature inside (OpenID Connect Core 1.0 §10.2). Seal also
// encrypts a signed UserInfo response.
func (to Encryption) Seal(signed string) (string, error) {
	// CA-OIDC-10.2-1: the reverse order would not show the sender.
	sealed, err := jose.Encryption(to).Seal(signed, maxTokenBytes)
	if err != nil {
		return "", fmt.Errorf("idtoken: encrypting: %w", err)
	}
	return sealed, nil
}
