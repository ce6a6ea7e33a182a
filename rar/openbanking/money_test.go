package openbanking_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/rar"
)

func TestCurrencies(t *testing.T) {
	r := newRegistry(t)
	for code, decimals := range map[string]int{"EUR": 2, "USD": 2, "JPY": 0, "CLP": 0, "BHD": 3, "TND": 3, "XCG": 2, "SLE": 2, "XXX": -1, "XTS": -1, "XAU": -1, "HRK": -1, "AAA": -1} {
		for n, amount := range []string{"1", "1.5", "1.55", "1.555"} {
			_, err := r.Parse([]byte("["+with(t, payment, "instructedAmount", fmt.Sprintf(`{"currency":%q,"amount":%q}`, code, amount))+"]"), r.Types())
			if n <= decimals {
				require.NoError(t, err, "%s %s", amount, code)
				continue
			}
			require.ErrorIs(t, err, rar.ErrFieldValue, "%s %s", amount, code)
		}
	}
}
