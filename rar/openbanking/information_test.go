package openbanking_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
	"github.com/gofapi/fapi2/rar/rartest"
)

func TestAccountInformation(t *testing.T) {
	typ, err := openbanking.NewAccountInformation(openbanking.Config{})
	require.NoError(t, err)
	open := with(t, information, "accounts", "", "locations", "")
	forEver := with(t, information, "validUntil", "") // as in the RFC's own example
	rartest.TestType(t, typ, rartest.Samples{
		Valid: []string{information, open, forEver, with(t, information, "accounts", "["+ibanB+"]")},
		Invalid: []string{
			with(t, information, "validUntil", `""`), with(t, information, "validUntil", `"2027-13-01"`), with(t, information, "validUntil", `"9999-99-99"`),
			with(t, information, "actions", `[]`), with(t, information, "actions", ""), with(t, information, "actions", `["pay"]`),
			with(t, information, "accounts", `[]`), with(t, information, "accounts", `null`), with(t, information, "accounts", "["+ibanA+","+ibanA+"]"),
		},
		Generate: generateInformation,
		Same: [][2]string{
			{information, with(t, information, "accounts", "["+ibanB+","+ibanA+"]")},
			{information, with(t, information, "actions", `["read_balances","list_accounts","read_balances"]`)},
		},
		Narrower: [][2]string{
			{information, with(t, information, "validUntil", `"2027-03-30"`)},
			{information, with(t, information, "actions", `["read_balances"]`)},
			{information, with(t, information, "accounts", "["+ibanB+"]")},
			{information, with(t, information, "locations", `["https://a.example"]`, "validUntil", `"2026-12-31"`)},
			{open, with(t, open, "validUntil", `"2027-01-01"`)},
			{forEver, information},
		},
		Apart: [][2]string{
			{information, with(t, information, "actions", `["read_transactions"]`)},
			{information, with(t, information, "accounts", "")},
			{with(t, information, "accounts", "["+ibanA+"]"), with(t, information, "accounts", "["+ibanB+"]")},
		},
		Languages: []string{"en", "de"},
	})
}

// GM-8.2-1: two permissions are merged only if one of them permits everything
// that the result permits.
func TestMergeInformation(t *testing.T) {
	r := newRegistry(t)
	one := func(pairs ...string) string { return with(t, information, pairs...) }
	for _, tc := range []struct {
		name, a, b, want string // want: "", or what the two become
	}{
		{"GM-8.2-1 other permissions for the same accounts", one("actions", `["list_accounts"]`), one("actions", `["read_balances"]`), one("actions", `["list_accounts","read_balances"]`)},
		{"GM-8.2-1 other accounts for the same permissions", one("accounts", "["+ibanA+"]"), one("accounts", "["+ibanB+"]"), one()},
		{"GM-8.2-1 a later day", one(), one("validUntil", `"2028-01-01"`), one("validUntil", `"2028-01-01"`)},
		{"RAR-2.2-2 other permissions for other accounts stay apart", one("accounts", "["+ibanA+"]", "actions", `["list_accounts"]`), one("accounts", "["+ibanB+"]", "actions", `["read_balances"]`), ""},
		{"RAR-2.2-2 other permissions until another day stay apart", one("actions", `["list_accounts"]`), one("actions", `["read_balances"]`, "validUntil", `"2028-01-01"`), ""},
		{"all accounts and some stay apart", one("accounts", ""), one(), ""},
		{"other APIs stay apart", one("locations", `["https://a.example"]`), one("locations", `["https://c.example"]`), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			parse := func(text string) rar.Details {
				d, err := r.Parse([]byte("["+text+"]"), r.Types())
				require.NoError(t, err)
				return d
			}
			merged, err := r.Merge(parse(tc.a), parse(tc.b))
			require.NoError(t, err)
			if tc.want == "" {
				require.Len(t, merged, 2)
				return
			}
			require.Len(t, merged, 1)
			require.NoError(t, merged.Covers(parse(tc.want)))
			require.NoError(t, parse(tc.want).Covers(merged))
		})
	}
}
