package openbanking_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/rar/openbanking"
	"github.com/gofapi/fapi2/rar/rartest"
)

func TestRecurringPayment(t *testing.T) {
	typ, err := openbanking.NewRecurringPayment(openbanking.Config{})
	require.NoError(t, err)
	few := with(t, recurring, "debtorAccount", "", "periodLimit", "", "maximumCount", "", "validFrom", "")
	limit := func(amount string) string {
		return with(t, recurring, "maximumAmount", `{"currency":"EUR","amount":"`+amount+`"}`)
	}
	period := func(period, amount string) string {
		return with(t, recurring, "periodLimit", `{"period":"`+period+`","maximum":{"currency":"EUR","amount":"`+amount+`"}}`)
	}
	rartest.TestType(t, typ, rartest.Samples{
		Valid: []string{recurring, few, limit("30.00"), period("day", "30"), period("week", "30"), period("year", "300")},
		Invalid: []string{
			limit("60.01"), limit("0"), period("fortnight", "60"), period("month", "29.99"), with(t, recurring, "maximumCount", "0"), with(t, recurring, "maximumCount", "1.5"),
			with(t, recurring, "maximumCount", "1000001"), with(t, recurring, "validFrom", `"2028-01-01"`), with(t, recurring, "validUntil", ""),
			with(t, recurring, "maximumAmount", `{"currency":"CHF","amount":"1"}`), with(t, recurring, "validFrom", `"x"`), with(t, recurring, "debtorAccount", `{}`),
		},
		Generate: generateRecurring,
		Same:     [][2]string{{limit("30"), limit("30.00")}, {period("month", "60"), period("month", "60.0")}},
		Narrower: [][2]string{
			{recurring, limit("29.99")}, {recurring, period("month", "59")}, {recurring, with(t, recurring, "maximumCount", "1")},
			{recurring, with(t, recurring, "validFrom", `"2027-02-01"`, "validUntil", `"2027-02-01"`, "maximumCount", "1")},
			{few, with(t, few, "maximumCount", "5")}, {few, with(t, few, "validFrom", `"2027-02-01"`)},
			{few, with(t, few, "periodLimit", `{"period":"month","maximum":{"currency":"EUR","amount":"60"}}`)},
		},
		Apart: [][2]string{
			{recurring, period("day", "60")}, {recurring, with(t, recurring, "creditorAccount", ibanB)}, {recurring, with(t, recurring, "creditorName", `"Gymn"`)},
			{recurring, with(t, recurring, "debtorAccount", "")},
		},
		Languages: []string{"en", "de"},
	})
}
