package openbanking_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/rar/openbanking"
	"github.com/gofapi/fapi2/rar/rartest"
)

func TestFundsConfirmation(t *testing.T) {
	typ, err := openbanking.NewFundsConfirmation(openbanking.Config{})
	require.NoError(t, err)
	few := `{"type":"funds_confirmation","validUntil":"2027-03-31"}`
	rartest.TestType(t, typ, rartest.Samples{
		Valid:    []string{funds, few},
		Invalid:  []string{with(t, funds, "validUntil", ""), with(t, funds, "account", `{}`), with(t, funds, "maximumAmount", `{"currency":"BHD","amount":"1.2345"}`), with(t, few, "validUntil", `"tomorrow"`)},
		Generate: generateFunds,
		Same:     [][2]string{{with(t, funds, "maximumAmount", `{"currency":"BHD","amount":"1.2"}`), with(t, funds, "maximumAmount", `{"currency":"BHD","amount":"1.200"}`)}},
		Narrower: [][2]string{
			{funds, with(t, funds, "maximumAmount", `{"currency":"BHD","amount":"1.23"}`)}, {funds, with(t, funds, "validUntil", `"2027-01-01"`)},
			{with(t, funds, "maximumAmount", ""), funds},
		},
		Apart: [][2]string{
			{funds, with(t, funds, "account", "")}, {funds, with(t, funds, "account", ibanB)},
			{funds, with(t, funds, "maximumAmount", `{"currency":"KWD","amount":"1"}`)}, {funds, with(t, funds, "locations", "")},
		},
		Languages: []string{"en", "de"},
	})
}
