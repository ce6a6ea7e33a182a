package dpop_test

import (
	"crypto"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/testkit"
)

func benchKeys(b *testing.B) []struct {
	name string
	key  crypto.Signer
} {
	return []struct {
		name string
		key  crypto.Signer
	}{
		{"ES256", testkit.ECKey(b, "bench")},
		{"Ed25519", testkit.Ed25519Key(b, "bench")},
		{"PS256", testkit.RSAKey(b, "bench")},
	}
}

// BenchmarkVerify compares VerifyToken, with all checks and a replay store, with the signature check alone. cold: the
// header of each proof is new to the verifier.
func BenchmarkVerify(b *testing.B) {
	const url, token = "https://api.example.com/v1/accounts/1234567890", "a-token-of-usual-length-0123456789abcdef"
	for _, k := range benchKeys(b) {
		prover, err := dpop.NewProver(dpop.ProverConfig{Key: k.key})
		require.NoError(b, err)
		proof, err := prover.Proof("GET", url, dpop.ProofOptions{AccessToken: token})
		require.NoError(b, err)
		r := httptest.NewRequest("GET", url+"?page=2", nil)
		r.Header.Set("DPoP", proof)
		now := time.Now()
		newVerifier := func() *dpop.Verifier {
			v, err := dpop.NewVerifier(dpop.VerifierConfig{
				BaseURLs: []string{"https://api.example.com"}, Now: func() time.Time { return now },
				Replay: testkit.NewForgetful(),
			})
			require.NoError(b, err)
			return v
		}
		_, bare := testkit.Bare(b, k.key, []byte(proof[:len(proof)-80]))
		testkit.Benchmark(b, k.name+"/bare", bare)
		v := newVerifier()
		warm := func() bool {
			now = time.Now()
			_, err := v.VerifyToken(b.Context(), r, token, prover.Thumbprint())
			return err == nil
		}
		testkit.Benchmark(b, k.name+"/warm", warm)
		b.Run(k.name+"/cold", func(b *testing.B) {
			read, verify := cold(b, k.key, url, token)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%testkit.Block == 0 {
					b.StopTimer()
					read()
					b.StartTimer()
				}
				require.True(b, verify())
			}
		})
		b.Run(k.name+"/ratio", func(b *testing.B) {
			read, verify := cold(b, k.key, url, token)
			testkit.Ratios(b, bare, map[string]testkit.Measured{
				"warm/bare": {Run: warm}, "cold/bare": {Before: read, Run: verify},
			})
		})
	}
}

// cold returns a verification that goes round more headers than a verifier keeps. They differ in a member that means
// nothing. read does what the server has done to the next block of requests before they are verified: it copies the proofs
// from where they were, which brings them into the processor's cache.
func cold(b *testing.B, key crypto.Signer, url, token string) (read func(), verify func() bool) {
	thumbprint := thumbprintOf(b, key)
	proofs := make([]string, 9000)
	now := time.Now()
	for i := range proofs {
		proofs[i] = sign(b, key, map[string]any{"x": i}, map[string]any{
			"jti": fmt.Sprint("identifier-of-22-c", i), "htm": "GET", "htu": url, "iat": now.Unix(), "ath": ath(token),
		})
	}
	v, err := dpop.NewVerifier(dpop.VerifierConfig{
		BaseURLs: []string{"https://api.example.com"}, Now: func() time.Time { return now },
		Replay: testkit.NewForgetful(),
	})
	require.NoError(b, err)
	requests := make([]*http.Request, testkit.Block)
	next := 0
	read = func() {
		for i := range requests {
			requests[i] = httptest.NewRequest("GET", url, nil)
			requests[i].Header.Set("DPoP", strings.Clone(proofs[(next+i)%len(proofs)]))
		}
	}
	return read, func() bool {
		_, err := v.VerifyToken(b.Context(), requests[next%testkit.Block], token, thumbprint)
		next++
		return err == nil
	}
}

// BenchmarkProof compares making a proof with signing alone.
func BenchmarkProof(b *testing.B) {
	for _, k := range benchKeys(b) {
		bare, _ := testkit.Bare(b, k.key, make([]byte, 500))
		prover, err := dpop.NewProver(dpop.ProverConfig{Key: k.key})
		require.NoError(b, err)
		o := dpop.ProofOptions{AccessToken: "a-token-of-usual-length-0123456789abcdef", Nonce: "eyJ7S_zG.eyJH0-Z.HX4w-7v"}
		prove := func() bool {
			_, err := prover.Proof("GET", "https://api.example.com/v1/accounts/1234567890", o)
			return err == nil
		}
		testkit.Benchmark(b, k.name+"/bare", bare)
		testkit.Benchmark(b, k.name+"/prover", prove)
		b.Run(k.name+"/ratio", func(b *testing.B) {
			testkit.Ratios(b, bare, map[string]testkit.Measured{"prover/bare": {Run: prove}})
		})
	}
}
