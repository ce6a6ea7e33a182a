package rar_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
)

func seeds(f *testing.F) (texts []string) {
	for _, v := range testkit.LoadVectors[refusedVector](f, "testdata/refused.json") {
		texts = append(texts, v.JSON)
	}
	for _, v := range testkit.LoadVectors[publishedVector](f, "testdata/published.json") {
		texts = append(texts, string(v.Details))
	}
	return append(texts, payment, `[{"type":"c","actions":["a","b"],"locations":["https://a.example"]},{"type":"n","n":1.50e1}]`,
		`[{"type":"account_information","actions":["list_accounts"],"accounts":[{"iban":"GB33BUKB20201555555555"}],"validUntil":"2027-01-01"},
		{"type":"recurring_payment","creditorName":"Gym","creditorAccount":{"scheme":"a","identification":"b"},"maximumAmount":{"currency":"EUR","amount":"30"},"maximumCount":12,"validUntil":"2027-12-31"}]`)
}

// What is accepted comes back as it was, covers itself and is described; what
// is refused leaves nothing and says where.
func FuzzParse(f *testing.F) {
	for _, text := range seeds(f) {
		f.Add(text)
	}
	r := bankRegistry(f)
	f.Fuzz(func(t *testing.T, text string) {
		details, err := r.Parse([]byte(text), r.Types())
		if err != nil {
			require.Nil(t, details)
			var at *rar.Error
			require.ErrorAs(t, err, &at)
			require.True(t, at.Index < 0 == !strings.HasPrefix(at.Path, "["), "%d %q", at.Index, at.Path)
			require.NotEmpty(t, requireWire(t, err, "invalid_authorization_details", 400))
			return
		}
		once, err := json.Marshal(details)
		require.NoError(t, err)
		again, err := r.Parse(once, r.Types())
		require.NoError(t, err, "%s", once)
		require.True(t, slices.EqualFunc(details, again, rar.Detail.Equal))
		twice, err := json.Marshal(again)
		require.NoError(t, err)
		require.Equal(t, string(once), string(twice))
		if len(details) > 0 {
			require.NoError(t, details.Covers(again))
			require.NoError(t, r.CheckGrant(details, again))
		}
		for _, d := range details {
			require.NotEmpty(t, d.Describe("de").Title)
		}
		// encoding/json sees the same values as this package does.
		var objects []map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &objects))
		require.Len(t, objects, len(details))
		for i, d := range details {
			require.Equal(t, objects[i]["type"], d.Type())
		}
	})
}

// The laws of comparison, for any three lists of details.
func FuzzLaws(f *testing.F) {
	for _, text := range seeds(f) {
		f.Add(text, payment, text)
		f.Add(text, strings.Replace(text, `"initiate",`, "", 1), strings.Replace(text, `"initiate","status",`, "", 1))
	}
	f.Add(`[{"type":"c","actions":["a","b"]}]`, `[{"type":"c","actions":["a"]}]`, `[{"type":"c","actions":["b"]}]`)
	f.Add(`[{"type":"limit","amount":3}]`, `[{"type":"limit","amount":2}]`, `[{"type":"limit","amount":1}]`)
	types, err := openbanking.Types(nil)
	require.NoError(f, err)
	r, err := rar.NewRegistry(rar.RegistryConfig{Types: append(types, limitType(f), fromSchema(f, "c", commonSchema), fromSchema(f, "n", `{"additionalProperties":true}`)), MaxBytes: 1 << 20, MaxEntries: 1000})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text1, text2, text3 string) {
		var lists [3]rar.Details
		for i, text := range []string{text1, text2, text3} {
			var err error
			if lists[i], err = r.Parse([]byte(text), r.Types()); err != nil || len(lists[i]) == 0 {
				return
			}
		}
		for _, a := range lists {
			require.NoError(t, a.Covers(a), "reflexive")
			for _, b := range lists {
				for _, c := range lists {
					if a.Covers(b) == nil && b.Covers(c) == nil {
						require.NoError(t, a.Covers(c), "transitive")
					}
				}
				merged, err := r.Merge(a, b)
				require.NoError(t, err)
				require.NoError(t, merged.Covers(a), "a merge does not narrow")
				require.NoError(t, merged.Covers(b), "a merge has all of both")
				for _, d := range []rar.Details{a, b} {
					again, err := r.Merge(merged, d)
					require.NoError(t, err)
					require.True(t, slices.EqualFunc(merged, again, rar.Detail.Equal), "a merge is idempotent")
				}
				for _, d := range merged { // and nothing that is in neither
					if d.Type() == "c" || d.Type() == "n" || d.Type() == "limit" {
						require.True(t, a.Covers(rar.Details{d}) == nil || b.Covers(rar.Details{d}) == nil)
					}
				}
			}
		}
	})
}
