package accesstoken_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

// Each token that verifies has all required claims.
func FuzzVerifyClaims(f *testing.F) {
	v := newVerifier(f, nil)
	testkit.FuzzClaims(f, jose.SignerOptions{Type: "at+jwt"}, testkit.ECKey(f, "as"), func(t *testing.T, token string) {
		got, err := v.Verify(t.Context(), token)
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
	}, `{}`, `{"iss":"https://as.example.com","sub":"a","aud":"https://api.example.com/accounts","client_id":"c","iat":1800000000,"exp":1800000300,"jti":"i","cnf":{"jkt":"`+jkt+`"}}`)
}

func FuzzVerifyToken(f *testing.F) {
	v, token := newVerifier(f, nil), sign(f, good())
	verify := func(token string) (*accesstoken.Token, error) { return v.Verify(context.Background(), token) }
	_, err := verify(token) // The cache contains the token.
	require.NoError(f, err)
	testkit.FuzzForgeries(f, token, verify)
}

func BenchmarkIssue(b *testing.B) {
	i, c := newIssuer(b, nil), grant()
	c.Scope = "accounts payments"
	sign, _ := testkit.Bare(b, testkit.ECKey(b, "as"), []byte("x"))
	issue := func() bool { _, err := i.Issue(c); return err == nil }
	testkit.Benchmark(b, "bare", sign)
	testkit.Benchmark(b, "token", issue)
	b.Run("ratio", func(b *testing.B) {
		testkit.Ratios(b, sign, map[string]testkit.Measured{"token/bare": {Run: issue}})
	})
}

func BenchmarkVerify(b *testing.B) {
	token := sign(b, good())
	_, verify := testkit.Bare(b, testkit.ECKey(b, "as"), []byte("x"))
	testkit.Benchmark(b, "bare", verify)
	for name, size := range map[string]int{"cold": -1, "hot": 0} {
		v := newVerifier(b, func(c *accesstoken.VerifierConfig) {
			c.CacheSize, c.Keys = size, testkit.KeySource(testkit.ECKey(b, "as").Public())
		})
		testkit.Benchmark(b, name, func() bool { _, err := v.Verify(b.Context(), token); return err == nil })
	}
}
