package jar_test

import (
	"crypto"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jar"
)

func benchKeys(t testing.TB) map[string]crypto.Signer {
	return map[string]crypto.Signer{
		"ES256": testkit.ECKey(t, clientID), "PS256": testkit.RSAKey(t, clientID), "EdDSA": testkit.Ed25519Key(t, clientID),
	}
}

func BenchmarkVerify(b *testing.B) {
	for alg, key := range benchKeys(b) {
		public := []crypto.PublicKey{key.Public()}
		s := newServer(b)
		s.client.Keys = testkit.KeySource(public...)
		f, err := newSigner(b, s, func(c *jar.SignerConfig) { c.Key = key }).Form(honest())
		require.NoError(b, err)
		_, verify := testkit.Bare(b, key, []byte(f.Get("request")))
		testkit.Benchmark(b, alg+"/object", func() bool { _, err := s.Check(b.Context(), s.client, f); return err == nil })
		testkit.Benchmark(b, alg+"/bare", verify)
	}
}

func BenchmarkSign(b *testing.B) {
	for alg, key := range benchKeys(b) {
		s := newServer(b)
		signer, params := newSigner(b, s, func(c *jar.SignerConfig) { c.Key = key }), honest()
		object, err := signer.Sign(params)
		require.NoError(b, err)
		sign, _ := testkit.Bare(b, key, []byte(object))
		testkit.Benchmark(b, alg+"/object", func() bool { _, err := signer.Sign(params); return err == nil })
		testkit.Benchmark(b, alg+"/bare", sign)
	}
}
