package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
)

const benchClaims = `{"jti":"-BwC3ESc6acc2lTc","htm":"POST","htu":"https://server.example.com/token","iat":1562262616,"ath":"fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"}`

var pss = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}

// BenchmarkVerify compares the bare operation of the standard library with Verify,
// which also decodes and checks.
func BenchmarkVerify(b *testing.B) {
	for _, p := range pairs(b)[:3] {
		s, err := jose.NewSigner(p.key, jose.SignerOptions{Type: "dpop+jwt", EmbedKey: true})
		require.NoError(b, err)
		token, err := s.Sign([]byte(benchClaims))
		require.NoError(b, err)
		c := split(b, token)
		signed := []byte(c.Header + "." + c.Payload)
		sig, err := base64.RawURLEncoding.DecodeString(c.Signature)
		require.NoError(b, err)
		digest := sha256.Sum256(signed)
		bare := func() bool { return ed25519.Verify(p.key.Public().(ed25519.PublicKey), signed, sig) }
		switch k := p.key.(type) {
		case *ecdsa.PrivateKey:
			der, err := ecdsa.SignASN1(rand.Reader, k, digest[:])
			require.NoError(b, err)
			bare = func() bool { return ecdsa.VerifyASN1(&k.PublicKey, digest[:], der) }
		case *rsa.PrivateKey:
			bare = func() bool { return rsa.VerifyPSS(&k.PublicKey, crypto.SHA256, digest[:], sig, pss) == nil }
		}
		public := p.key.Public()
		b.Run(p.alg+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !bare() {
					b.Fatal("does not verify")
				}
			}
		})
		b.Run(p.alg+"/Compact.Verify", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Verify(p.alg, public); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(p.alg+"/Split+Header+Claims+Verify", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := read(token, public); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSign(b *testing.B) {
	for _, p := range pairs(b)[:3] {
		s, err := jose.NewSigner(p.key, jose.SignerOptions{Type: "dpop+jwt", EmbedKey: true})
		require.NoError(b, err)
		token, err := s.Sign([]byte(benchClaims))
		require.NoError(b, err)
		c := split(b, token)
		signed := []byte(c.Header + "." + c.Payload)
		digest := sha256.Sum256(signed)
		input, opts := digest[:], crypto.SignerOpts(crypto.SHA256)
		switch p.alg {
		case jose.PS256:
			opts = pss
		case jose.EdDSA:
			input, opts = signed, crypto.Hash(0)
		}
		b.Run(p.alg+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.key.Sign(rand.Reader, input, opts); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(p.alg+"/Signer.Sign", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Sign([]byte(benchClaims)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseKey(b *testing.B) {
	for _, p := range pairs(b)[:3] {
		raw := []byte(edit(b, publicJWK(b, p.key.Public())))
		b.Run(p.alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := jose.ParseKey(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
