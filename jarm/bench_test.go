package jarm_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jarm"
)

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

func BenchmarkResponse(b *testing.B) {
	params := url.Values{"code": {code}, "state": {state}}
	for _, alg := range []string{"ES256", "PS256", "EdDSA"} {
		key := map[string]crypto.Signer{"ES256": testkit.ECKey(b, "as"), "PS256": testkit.RSAKey(b, "as"), "EdDSA": testkit.Ed25519Key(b, "as")}[alg]
		i := newIssuer(b, func(c *jarm.IssuerConfig) { c.Key = key })
		token, err := i.Response(client, params)
		require.NoError(b, err)
		v := newVerifier(b, func(c *jarm.VerifierConfig) { c.Keys = keySource(key.Public()) })
		sign, verify := bare(b, key, []byte(token))
		run(b, alg+"/sign/bare", sign)
		run(b, alg+"/sign/response", func() bool { _, err := i.Response(client, params); return err == nil })
		run(b, alg+"/verify/bare", verify)
		run(b, alg+"/verify/response", func() bool { _, err := v.Verify(b.Context(), token); return err == nil })
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
		run(b, tc.name+"/encrypt/response", func() bool { _, err := i.EncryptedResponse(client, params, tc.to); return err == nil })
		run(b, tc.name+"/decrypt/bare", tc.bare)
		run(b, tc.name+"/decrypt/response", func() bool { _, err := v.Verify(b.Context(), sealed); return err == nil })
	}
}
