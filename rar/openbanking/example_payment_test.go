package openbanking_test

import (
	"fmt"

	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
)

// A bank uses the type of payments under a name and a scope of its own. The
// type knows that the yen has no decimals.
func ExampleNewPayment() {
	payment, err := openbanking.NewPayment(openbanking.Config{Name: "https://bank.example/payment", Scope: "payments"})
	if err != nil {
		panic(err)
	}
	registry, err := rar.NewRegistry(rar.RegistryConfig{Types: []*rar.Type{payment}})
	if err != nil {
		panic(err)
	}
	_, err = registry.Parse([]byte(`[{
		"type": "https://bank.example/payment", "creditorName": "Merchant A",
		"instructedAmount": {"currency": "JPY", "amount": "123.50"}
	}]`), registry.Types())
	fmt.Println(err)
	// Output:
	// rar: invalid value at [0].instructedAmount.amount (https://bank.example/payment): too many decimals for the currency
}
