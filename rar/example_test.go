package rar_test

import (
	"fmt"

	"github.com/gofapi/fapi2/rar"
)

type Transfer struct {
	rar.Common
	Payee  string `json:"payee"`
	Amount string `json:"amount" jsonschema:"euros and cents"`
}

// A type, a request, the consent page, and an API that asks whether it may.
func Example() {
	transfer, err := rar.TypeOf("https://bank.example/transfer", rar.TypeConfig[Transfer]{
		Title: "Transfer",
		Check: func(t Transfer) error {
			if t.Amount == "" || t.Payee == "" {
				return rar.FieldError("payee", "empty")
			}
			return nil
		},
		Covers: func(granted, requested Transfer) error {
			if granted.Amount != requested.Amount || granted.Payee != requested.Payee {
				return rar.FieldError("amount", "not the transfer that was agreed to")
			}
			return granted.CoversCommon(requested.Common)
		},
	})
	if err != nil {
		panic(err)
	}
	registry, _ := rar.NewRegistry(rar.RegistryConfig{Types: []*rar.Type{transfer}})

	granted, err := registry.Parse([]byte(`[{"type":"https://bank.example/transfer","payee":"ACME","amount":"12.34"}]`), registry.Types())
	fmt.Println(err, granted[0].Describe("en"))

	same, _ := registry.New(transfer.Name(), Transfer{Payee: "ACME", Amount: "12.34"})
	more, _ := registry.New(transfer.Name(), Transfer{Payee: "ACME", Amount: "99.99"})
	fmt.Println(granted.Covers(same))
	fmt.Println(granted.Covers(more))

	_, err = registry.Parse([]byte(`[{"type":"https://bank.example/transfer","payee":"ACME","Amount":"12.34"}]`), registry.Types())
	fmt.Println(err)
	// Output:
	// <nil> { Transfer [{payee ACME} {amount 12.34}]}
	// <nil>
	// rar: more than was granted at [0].amount (https://bank.example/transfer): not the transfer that was agreed to
	// rar: unknown field at [0].Amount (https://bank.example/transfer)
}
