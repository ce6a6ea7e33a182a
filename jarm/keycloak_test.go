package jarm_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jarm"
)

// repeated signs the claims of a response in the order in which Keycloak 26 writes
// them, with a second iss.
func repeated(t *testing.T, second string) string {
	payload := `{"exp":1800000300,"iss":"` + issuer + `","aud":"` + client + `","code":"` + code +
		`","session_state":"b7b4c1d2","state":"` + state + `",` + second + `}`
	return testkit.SignPayload(t, payload, jose.SignerOptions{KeyID: "k", Type: "JWT"}, testkit.ECKey(t, "as"))
}

func TestResponsesOfKeycloak(t *testing.T) {
	for entry, verify := range entries {
		t.Run("CASES F1: iss twice with the same value, "+entry, func(t *testing.T) {
			r, err := verify(newVerifier(t, nil), repeated(t, `"iss":"`+issuer+`"`))
			require.NoError(t, err)
			require.Equal(t, code, r.Code())
		})
		for name, second := range map[string]string{
			"another iss":     `"iss":"https://evil.example"`,
			"another case":    `"Iss":"` + issuer + `"`,
			"another code":    `"code":"x"`,
			"another state":   `"state":"x"`,
			"another exp":     `"exp":1900000000`,
			"another aud":     `"aud":["` + client + `"]`,
			"iss as an array": `"iss":["` + issuer + `"]`,
		} {
			t.Run("CASES F1: attack: "+name+", "+entry, func(t *testing.T) {
				r, err := verify(newVerifier(t, nil), repeated(t, second))
				require.ErrorIs(t, err, jarm.ErrMalformed)
				require.Nil(t, r)
			})
		}
		t.Run("CASES F1: a header stays strict, "+entry, func(t *testing.T) {
			token := testkit.WithHeader(repeated(t, `"iss":"`+issuer+`"`), `{"alg":"ES256","alg":"ES256","kid":"k"}`)
			_, err := verify(newVerifier(t, nil), token)
			require.ErrorIs(t, err, jarm.ErrMalformed)
		})
		t.Run("CASES F1: attack: a damaged signature, "+entry, func(t *testing.T) {
			token := repeated(t, `"iss":"`+issuer+`"`)
			last := strings.LastIndexByte(token, '.') + 1
			damaged := token[:last] + strings.Map(func(r rune) rune {
				if r == 'A' {
					return 'B'
				}
				return 'A'
			}, token[last:last+1]) + token[last+1:]
			_, err := verify(newVerifier(t, nil), damaged)
			require.ErrorIs(t, err, jarm.ErrSignature)
		})
	}
}
