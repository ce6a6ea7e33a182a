package testkit_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

func TestReject(t *testing.T) {
	construct := func(n int) (*int, error) {
		if n < 0 {
			return nil, errors.New("negative")
		}
		return &n, nil
	}
	testkit.Reject(t, construct, map[string]int{"minus one": -1})
	testkit.RejectChanges(t, construct, 1, map[string]func(*int){"minus two": func(n *int) { *n -= 3 }})
}

func FuzzForgeries(f *testing.F) {
	good := testkit.SignJWS(f, `{}`, `{}`, testkit.ECKey(f, "a"))
	testkit.FuzzForgeries(f, good, func(token string) (*int, error) {
		if token != good {
			return nil, errors.New("forged")
		}
		return new(int), nil
	})
}

func FuzzClaims(f *testing.F) {
	key := testkit.ECKey(f, "a")
	testkit.FuzzClaims(f, jose.SignerOptions{}, key, func(t *testing.T, token string) {
		c, err := jose.Split(token, 1<<20)
		require.NoError(t, err)
		require.NoError(t, c.Verify("ES256", key.Public()))
	}, ``, `{}`)
}
