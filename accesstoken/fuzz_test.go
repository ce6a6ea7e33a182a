package accesstoken_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

// FuzzVerifyClaims signs whatever comes: only what has all that is required gets through.
func FuzzVerifyClaims(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"iss":"https://as.example.com","sub":"a","aud":"https://api.example.com/accounts","client_id":"c","iat":1800000000,"exp":1800000300,"jti":"i","cnf":{"jkt":"` + jkt + `"}}`))
	v := newVerifier(f, nil)
	signer, err := jose.NewSigner(testkit.ECKey(f, "as"), jose.SignerOptions{Type: "at+jwt"})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) == 0 { // nothing that could be signed
			return
		}
		token, err := signer.Sign(payload)
		require.NoError(t, err)
		got, err := v.Verify(context.Background(), token)
		if err != nil {
			require.Nil(t, got)
			return
		}
		require.Equal(t, issuer, got.Issuer())
		require.Contains(t, got.Audience(), rs)
		require.NotEmpty(t, got.Subject())
		require.NotEmpty(t, got.ClientID())
		require.NotEmpty(t, got.ID())
		require.NotEmpty(t, got.JKT()+got.X5TS256())
		require.True(t, got.ExpiresAt().After(t0))
	})
}

// FuzzVerifyToken: nothing but the token itself verifies.
func FuzzVerifyToken(f *testing.F) {
	v := newVerifier(f, nil)
	token := sign(f, good())
	f.Add(token, 0)
	f.Add("", 1)
	_, err := v.Verify(context.Background(), token) // hot
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, other string, i int) {
		for _, forged := range []string{other, testkit.MutateJWS(token, i), token + other, other + token} {
			if forged == token {
				continue
			}
			got, err := v.Verify(context.Background(), forged)
			require.Error(t, err)
			require.Nil(t, got)
		}
	})
}

func BenchmarkIssue(b *testing.B) {
	i := newIssuer(b, nil)
	c := grant()
	c.Scope = "accounts payments"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := i.Issue(c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBareSign(b *testing.B) {
	key, digest := testkit.ECKey(b, "as"), sha256.Sum256([]byte("x"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ecdsa.SignASN1(rand.Reader, key, digest[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkVerify(b *testing.B, size int) {
	v := newVerifier(b, func(c *accesstoken.VerifierConfig) {
		c.CacheSize, c.Keys = size, testkit.KeySource(testkit.ECKey(b, "as").Public())
	})
	token := sign(b, good())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(context.Background(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyCold(b *testing.B) { benchmarkVerify(b, -1) }
func BenchmarkVerifyHot(b *testing.B)  { benchmarkVerify(b, 0) }

func BenchmarkBareVerify(b *testing.B) {
	key, digest := testkit.ECKey(b, "as"), sha256.Sum256([]byte("x"))
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], sig) {
			b.Fatal("no")
		}
	}
}
