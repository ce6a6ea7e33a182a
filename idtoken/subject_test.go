package idtoken_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/idtoken"
)

func TestPairwiseSubjects(t *testing.T) {
	secret := bytes.Repeat([]byte("k"), 32)
	_, err := idtoken.PairwiseSubjects(secret[1:])
	require.ErrorContains(t, err, "31 bytes, want at least 32")
	require.NotContains(t, err.Error(), "kkkk")
	pairwise, err := idtoken.PairwiseSubjects(secret)
	require.NoError(t, err)
	secret[0] = 'x' // it was copied
	seen := map[string]bool{}
	for _, c := range [][2]string{{"client.example", "alice"}, {"client.example", "bob"}, {"other.example", "alice"}, {"client.examplea", "lice"}} {
		first, err := pairwise(t.Context(), c[0], c[1])
		require.NoError(t, err)
		again, err := pairwise(t.Context(), c[0], c[1])
		require.NoError(t, err)
		require.Equal(t, first, again)
		require.False(t, seen[first], "CA-OIDC-8.1-1")
		require.NotContains(t, first, c[1], "CA-OIDC-8.1-2")
		seen[first] = true
	}
	require.True(t, seen["jFHRXyuh3l0NNciI8xZ2I4ZfsiiAyaNLh9bDBSW89pI"], "HMAC-SHA-256 of another implementation")
}
