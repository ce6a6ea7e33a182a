package dpop_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/testkit"
)

// FuzzVerify: nothing but the proof itself verifies, however it is changed, and an error comes with no Proof.
func FuzzVerify(f *testing.F) {
	// A published one, which is the same in all processes.
	vectors := testkit.LoadVectors[published](f, "testdata/published.json")
	vector := vectors[slices.IndexFunc(vectors, func(v published) bool { return v.AccessToken != "" })]
	proof, request := vector.Proof, func(proof string) *http.Request { return requestTo(vector.Method, vector.URL, proof) }
	v, err := dpop.NewVerifier(dpop.VerifierConfig{
		BaseURLs: []string{"https://resource.example.org"}, Now: func() time.Time { return time.Unix(vector.IAT, 0) },
	})
	require.NoError(f, err)
	for i, field := range []string{proof, proof + "=", "e30.e30.e30", "..", strings.ToUpper(proof)} {
		f.Add(field, i)
	}
	f.Fuzz(func(t *testing.T, field string, i int) {
		for _, changed := range []string{field, testkit.MutateJWS(proof, i), proof + field, field + proof} {
			for _, check := range []func() (dpop.Proof, error){
				func() (dpop.Proof, error) { return v.Check(request(changed)) },
				func() (dpop.Proof, error) { return v.CheckToken(request(changed), vector.AccessToken, vector.JKT) },
			} {
				p, err := check()
				if changed == proof {
					require.NoError(t, err)
					continue
				}
				// Others can sign good proofs too, but no fuzzer can.
				require.Error(t, err)
				require.Zero(t, p)
			}
		}
	})
}

// TestEveryMutation does what the fuzzer cannot in its time: each character of a proof, and each place of its bits.
func TestEveryMutation(t *testing.T) {
	g, key := loadGood(t)
	proof := testkit.SignJWS(t, g.Header, g.Claims, key)
	v, _ := newVerifier(t, nil)
	for i := range 3 * len(proof) {
		changed := testkit.MutateJWS(proof, i)
		p, err := v.Check(request(changed))
		require.Error(t, err, "DPOP-4.3-6 %s", changed)
		require.Zero(t, p)
	}
	_, err := v.Check(request(proof))
	require.NoError(t, err)
}

// FuzzChallenge: a challenge is found behind and before any other that is complete, and more parameters hide nothing.
func FuzzChallenge(f *testing.F) {
	for _, s := range []string{"Bearer", `Negotiate YII/+a==`, `DPoP error="x\"y"`, `a b=c, d="e, f"`, `,,= "`, `DPoP error="use_dpop_nonce"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		const asks = `DPoP error="use_dpop_nonce"`
		alone := dpop.ChallengesNonce([]string{s})
		require.True(t, dpop.ChallengesNonce([]string{s, asks}))
		require.True(t, dpop.ChallengesNonce([]string{asks + ", " + s}))
		require.Equal(t, alone, dpop.ChallengesNonce([]string{"Bearer, " + s}))
		require.Equal(t, alone, dpop.ChallengesNonce([]string{"Basic x=y", s, ""}))
		if alone {
			require.Contains(t, strings.ToLower(s), "dpop")
			require.Contains(t, strings.ToLower(s), "error")
		}
	})
}
