package testkit

import (
	"crypto"
	"testing"

	"github.com/gofapi/fapi2/internal/jose"
)

// Reject runs a subtest for each named argument. The subtest requires that
// construct returns an error and a zero result.
func Reject[C any, R comparable](t *testing.T, construct func(C) (R, error), cases map[string]C) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Helper()
			var zero R
			if got, err := construct(c); err == nil || got != zero {
				t.Errorf("testkit: result %v, error %v, want an error only", got, err)
			}
		})
	}
}

// RejectChanges is [Reject] for copies of a good argument with one change each.
func RejectChanges[C any, R comparable](
	t *testing.T, construct func(C) (R, error), good C, changes map[string]func(*C),
) {
	t.Helper()
	cases := make(map[string]C, len(changes))
	for name, change := range changes {
		c := good
		change(&c)
		cases[name] = c
	}
	Reject(t, construct, cases)
}

// FuzzForgeries fuzzes verify with texts that differ from a good token. It
// requires an error and no result for each.
func FuzzForgeries[R any](f *testing.F, token string, verify func(token string) (*R, error)) {
	f.Add(token, 0)
	f.Add("", 1)
	f.Fuzz(func(t *testing.T, other string, i int) {
		for _, forged := range []string{other, MutateJWS(token, i), token + other, other + token} {
			if forged == token {
				continue
			}
			if got, err := verify(forged); err == nil || got != nil {
				t.Errorf("testkit: result %v, error %v for a forged token", got, err)
			}
		}
	})
}

// FuzzClaims fuzzes check with tokens that have any payload and a good
// signature.
func FuzzClaims(
	f *testing.F, o jose.SignerOptions, key crypto.Signer, check func(t *testing.T, token string), seeds ...string,
) {
	signer, err := jose.NewSigner(key, o)
	if err != nil {
		f.Fatalf("testkit: %v", err)
	}
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) == 0 { // the signer rejects it
			return
		}
		token, err := signer.Sign(payload)
		if err != nil {
			t.Fatalf("testkit: %v", err)
		}
		check(t, token)
	})
}
