package jarm_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jarm"
)

func BenchmarkResponse(b *testing.B) {
	params := url.Values{"code": {code}, "state": {state}}
	for _, alg := range []string{"ES256", "PS256", "EdDSA"} {
		key := map[string]crypto.Signer{"ES256": testkit.ECKey(b, "as"), "PS256": testkit.RSAKey(b, "as"), "EdDSA": testkit.Ed25519Key(b, "as")}[alg]
		i := newIssuer(b, func(c *jarm.IssuerConfig) { c.Key = key })
		token, err := i.Response(client, params)
		require.NoError(b, err)
		v := newVerifier(b, func(c *jarm.VerifierConfig) { c.Keys = testkit.KeySource(key.Public()) })
		sign, verify := testkit.Bare(b, key, []byte(token))
		respond := func() bool { _, err := i.Response(client, params); return err == nil }
		read := func() bool { _, err := v.Verify(b.Context(), token); return err == nil }
		testkit.Benchmark(b, alg+"/sign/bare", sign)
		testkit.Benchmark(b, alg+"/sign/response", respond)
		testkit.Benchmark(b, alg+"/verify/bare", verify)
		testkit.Benchmark(b, alg+"/verify/response", read)
		b.Run(alg+"/sign/ratio", func(b *testing.B) {
			testkit.Ratios(b, sign, map[string]testkit.Measured{"response/bare": {Run: respond}})
		})
		b.Run(alg+"/verify/ratio", func(b *testing.B) {
			testkit.Ratios(b, verify, map[string]testkit.Measured{"response/bare": {Run: read}})
		})
	}
}

// BenchmarkEncryptedResponse: bare is the two operations of which encryption and decryption mostly consist, beside those of
// the signature.
func BenchmarkEncryptedResponse(b *testing.B) {
	params := url.Values{"code": {code}, "state": {state}}
	i, v := newIssuer(b, nil), newVerifier(b, decrypting(b))
	rsaKey := testkit.RSAKey(b, "enc")
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &rsaKey.PublicKey, make([]byte, 32), nil)
	require.NoError(b, err)
	ecKey, err := testkit.ECKey(b, "enc").ECDH()
	require.NoError(b, err)
	for _, tc := range []struct {
		name string
		to   jarm.Encryption
		bare func() bool
	}{
		{"ECDH-ES", toEC(b), func() bool { _, err := ecKey.ECDH(ecKey.PublicKey()); return err == nil }},
		{"RSA-OAEP-256", toRSA(b), func() bool { _, err := rsa.DecryptOAEP(sha256.New(), nil, rsaKey, wrapped, nil); return err == nil }},
	} {
		sealed, err := i.EncryptedResponse(client, params, tc.to)
		require.NoError(b, err)
		testkit.Benchmark(b, tc.name+"/encrypt/response", func() bool { _, err := i.EncryptedResponse(client, params, tc.to); return err == nil })
		testkit.Benchmark(b, tc.name+"/decrypt/bare", tc.bare)
		testkit.Benchmark(b, tc.name+"/decrypt/response", func() bool { _, err := v.Verify(b.Context(), sealed); return err == nil })
	}
}
