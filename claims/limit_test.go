package claims_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/claims"
)

func TestLimit(t *testing.T) {
	const verified = `{"verification":{"trust_framework":"au_connectid","time":"2026-01-01T00:00Z",
		"evidence":[{"type":"document","number":"secret"},{"type":"vouch","name":"secret"}]},
		"claims":{"given_name":"Alice","over18":true,"address":{"country":"AU"},"phone":"secret"}}`
	for _, tc := range []struct{ name, request, response, want string }{
		{"nothing is requested", `{}`, `{"email":"secret"}`, `{}`},
		{"claims that were not requested", `{"email":null}`, `{"email":"a","phone":"secret"}`, `{"email":"a"}`},
		{"another value than the requested one", `{"email":{"value":"b"},"cpf":{"values":["1","2"]}}`, `{"email":"secret","cpf":"2"}`, `{"cpf":"2"}`},
		{"a language tag", `{"name":null,"title#en":null}`, `{"name#ja":"x","title#ja":"secret","title#en":"y"}`, `{"name#ja":"x","title#en":"y"}`},
		{"verified_claims that were not requested", `{"email":null}`, `{"verified_claims":` + verified + `}`, `{}`},
		{"a claim is requested, and not as verified", `{"given_name":null}`, `{"verified_claims":` + verified + `}`, `{}`},
		{"inside verified_claims", `{"verified_claims":{"verification":{"trust_framework":{"value":"au_connectid"}},
			"claims":{"given_name":{"essential":true},"over18":null,"address":null,"family_name":null}}}`,
			`{"verified_claims":` + verified + `}`,
			`{"verified_claims":{"verification":{"trust_framework":"au_connectid"},"claims":{"given_name":"Alice","over18":true,"address":{"country":"AU"}}}}`},
		{"another trust framework", `{"verified_claims":{"verification":{"trust_framework":{"value":"de_aml"}},"claims":{"given_name":null}}}`,
			`{"verified_claims":` + verified + `}`, `{}`},
		{"no claim is left", `{"verified_claims":{"verification":{"trust_framework":null},"claims":{"cpf":null,"given_name":{"value":"Bob"}}}}`,
			`{"verified_claims":` + verified + `}`, `{}`},
		{"evidence", `{"verified_claims":{"verification":{"trust_framework":null,"evidence":[{"type":{"value":"document"}}]},"claims":{"over18":null}}}`,
			`{"verified_claims":` + verified + `}`,
			`{"verified_claims":{"verification":{"trust_framework":"au_connectid","evidence":[{"type":"document"}]},"claims":{"over18":true}}}`},
		{"no evidence that is accepted", `{"verified_claims":{"verification":{"trust_framework":null,"evidence":[{"type":{"value":"x"}}]},"claims":{"over18":null}}}`,
			`{"verified_claims":` + verified + `}`, `{}`},
		{"two elements", `{"verified_claims":[{"verification":{"trust_framework":{"value":"de_aml"}},"claims":{"given_name":null}},
			{"verification":{"trust_framework":null},"claims":{"over18":null}}]}`, `{"verified_claims":[` + verified + `,` + verified + `]}`,
			`{"verified_claims":[{"verification":{"trust_framework":"au_connectid"},"claims":{"over18":true}}]}`},
		{"a request without verification", `{"verified_claims":{"claims":{"over18":null}}}`, `{"verified_claims":` + verified + `}`, `{}`},
		{"a malformed condition", `{"verified_claims":{"verification":{"trust_framework":{"values":[]}},"claims":{"over18":null}}}`,
			`{"verified_claims":` + verified + `}`, `{}`},
		{"verified_claims that are null", `{"verified_claims":{"verification":null,"claims":{"over18":null}}}`, `{"verified_claims":null}`, `{}`},
		{"attack: all of verification", `{"verified_claims":[{"verification":null,"claims":{"over18":null}},{"verification":{},"claims":{"over18":null}},
			{"verification":{"essential":true},"claims":{"over18":null}}]}`, `{"verified_claims":` + verified + `}`, `{}`},
		{"attack: verified_claims with a language tag", `{"verified_claims":{"verification":{"trust_framework":null},"claims":{"over18":null}}}`,
			`{"verified_claims#en":` + verified + `}`,
			`{"verified_claims#en":{"verification":{"trust_framework":"au_connectid"},"claims":{"over18":true}}}`},
		{"verified_claims that are not JSON", `{"verified_claims":null}`, `{"verified_claims":"secret"}`, `{}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := claims.Parse(`{"id_token":` + tc.request + `}`)
			require.NoError(t, err)
			var response map[string]json.RawMessage
			require.NoError(t, json.Unmarshal([]byte(tc.response), &response))
			got, err := json.Marshal(c.IDToken.Limit(response))
			require.NoError(t, err)
			require.JSONEq(t, tc.want, string(got))
		})
	}
	c, err := claims.Parse(`{"id_token":{"verified_claims":null,"email":null}}`)
	require.NoError(t, err)
	require.Empty(t, c.IDToken.Limit(map[string]json.RawMessage{"verified_claims": json.RawMessage(`{`), "email": json.RawMessage(`{`)}))
	require.Empty(t, claims.Set(nil).Limit(map[string]json.RawMessage{"email": json.RawMessage(`1`)}))
}
