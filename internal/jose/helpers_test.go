package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

const claims = `{"iss":"https://as.example","jti":"-BwC3ESc6acc2lTc"}`

// opaque hides the type of a key, like a key management service or a hardware
// module.
type opaque struct{ key crypto.Signer }

func (o opaque) Public() crypto.PublicKey { return o.key.Public() }
func (o opaque) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return o.key.Sign(random, digest, opts)
}

// A device returns the configured signature.
type device struct {
	public    crypto.PublicKey
	signature []byte
	err       error
}

func (d device) Public() crypto.PublicKey { return d.public }
func (d device) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return d.signature, d.err
}

type pair struct {
	alg string
	key crypto.Signer
}

// pairs has one key for each algorithm.
func pairs(t testing.TB) []pair {
	return []pair{
		{jose.ES256, testkit.ECKey(t, "signer")},
		{jose.PS256, testkit.RSAKey(t, "signer")},
		{jose.EdDSA, testkit.Ed25519Key(t, "signer")},
		{jose.Ed25519, testkit.Ed25519Key(t, "signer")},
	}
}

func enc(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// compact returns a token with any header and a wrong signature of the right
// size.
func compact(header, payload string) string {
	return enc(header) + "." + enc(payload) + "." + enc(strings.Repeat("s", 64))
}

func split(t testing.TB, token string) jose.Compact {
	t.Helper()
	c, err := jose.Split(token, 1<<16)
	require.NoError(t, err)
	return c
}

func sign(t testing.TB, key crypto.Signer, o jose.SignerOptions) string {
	t.Helper()
	s, err := jose.NewSigner(key, o)
	require.NoError(t, err)
	token, err := s.Sign([]byte(claims))
	require.NoError(t, err)
	return token
}

// publicJWK returns the JWK of a key as a map that tests change.
func publicJWK(t testing.TB, key crypto.PublicKey) map[string]any {
	t.Helper()
	raw, err := (&jose.Key{Public: key}).MarshalJSON()
	require.NoError(t, err)
	var jwk map[string]any
	require.NoError(t, json.Unmarshal(raw, &jwk))
	return jwk
}

// edit marshals a JWK with changed members. It removes a member whose value is
// nil.
func edit(t testing.TB, jwk map[string]any, changes ...any) string {
	t.Helper()
	out := map[string]any{}
	for name, value := range jwk {
		out[name] = value
	}
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == nil {
			delete(out, changes[i].(string))
		} else {
			out[changes[i].(string)] = changes[i+1]
		}
	}
	raw, err := json.Marshal(out)
	require.NoError(t, err)
	return string(raw)
}

func generateEC(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	return key
}

func generateRSA(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	return key
}
