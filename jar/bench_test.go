package jar_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
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

var pss = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}

// bare returns signing and verifying of a message without anything around it.
func bare(b *testing.B, key crypto.Signer, message []byte) (sign, verify func() bool) {
	digest := sha256.Sum256(message)
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		sig, err := ecdsa.SignASN1(rand.Reader, k, digest[:])
		require.NoError(b, err)
		return func() bool { _, err := ecdsa.SignASN1(rand.Reader, k, digest[:]); return err == nil },
			func() bool { return ecdsa.VerifyASN1(&k.PublicKey, digest[:], sig) }
	case ed25519.PrivateKey:
		sig := ed25519.Sign(k, message)
		return func() bool { return len(ed25519.Sign(k, message)) > 0 },
			func() bool { return ed25519.Verify(k.Public().(ed25519.PublicKey), message, sig) }
	}
	k := key.(*rsa.PrivateKey)
	sig, err := rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest[:], pss)
	require.NoError(b, err)
	return func() bool { _, err := rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest[:], pss); return err == nil },
		func() bool { return rsa.VerifyPSS(&k.PublicKey, crypto.SHA256, digest[:], sig, pss) == nil }
}

func run(b *testing.B, name string, f func() bool) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !f() {
				b.Fatal("failed")
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for alg, key := range benchKeys(b) {
		public := []crypto.PublicKey{key.Public()}
		s := newServer(b)
		s.client.Keys = func(context.Context, string, string) ([]crypto.PublicKey, error) { return public, nil }
		f, err := newSigner(b, s, func(c *jar.SignerConfig) { c.Key = key }).Form(honest())
		require.NoError(b, err)
		_, verify := bare(b, key, []byte(f.Get("request")))
		run(b, alg+"/object", func() bool { _, err := s.Check(b.Context(), s.client, f); return err == nil })
		run(b, alg+"/bare", verify)
	}
}

func BenchmarkSign(b *testing.B) {
	for alg, key := range benchKeys(b) {
		s := newServer(b)
		signer, params := newSigner(b, s, func(c *jar.SignerConfig) { c.Key = key }), honest()
		object, err := signer.Sign(params)
		require.NoError(b, err)
		sign, _ := bare(b, key, []byte(object))
		run(b, alg+"/object", func() bool { _, err := signer.Sign(params); return err == nil })
		run(b, alg+"/bare", sign)
	}
}
