package openbanking_test

import (
	"fmt"

	"github.com/gofapi/fapi2/rar/openbanking"
)

// An authorization server parses the details of a request and shows them to
// the user. An API then makes the detail of the operation that it is about to
// perform, and checks that the granted details cover it.
func Example() {
	registry, err := openbanking.NewRegistry(map[string]string{openbanking.PaymentType: "payments"})
	if err != nil {
		panic(err)
	}
	granted, err := registry.Parse([]byte(`[{
		"type": "payment_initiation", "creditorName": "Merchant A",
		"creditorAccount": {"iban": "DE02100100109307118603"},
		"instructedAmount": {"currency": "EUR", "amount": "123.50"}
	}]`), registry.Types())
	if err != nil {
		panic(err)
	}
	fmt.Println("scopes:", granted.Scopes())
	text := granted[0].Describe("en")
	fmt.Println(text.Title)
	for _, field := range text.Fields {
		fmt.Printf("  %s: %s\n", field.Label, field.Value)
	}

	for _, amount := range []openbanking.Decimal{"123.5", "500"} {
		ordered, err := registry.New(openbanking.PaymentType, openbanking.Payment{
			CreditorName:     "Merchant A",
			CreditorAccount:  openbanking.Account{IBAN: "DE02100100109307118603"},
			InstructedAmount: openbanking.Amount{Currency: "EUR", Amount: amount},
		})
		if err != nil {
			panic(err)
		}
		fmt.Println(amount, "permitted:", granted.Covers(ordered) == nil)
	}
	// Output:
	// scopes: [payments]
	// Payment
	//   Amount: 123.50 EUR
	//   To: Merchant A
	//   Account of the payee: DE02 1001 0010 9307 1186 03
	//   From your account: of your choice
	//   Permission: make the payment
	// 123.5 permitted: true
	// 500 permitted: false
}
