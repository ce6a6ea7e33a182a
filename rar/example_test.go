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

// The example has a type, a request, the consent page, and an API that describes
// the operation that it is about to perform. The actions and locations of an order
// decide nothing.
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

	const agreed = `"locations":["https://api.bank.example"],"actions":["execute","status"],"payee":"ACME","amount":"12.34"}]`
	granted, err := registry.Parse([]byte(`[{"type":"https://bank.example/transfer",`+agreed), registry.Types())
	fmt.Println(err, granted[0].Describe("en").Fields[3:])

	// The API executes the transfer of an order, at its own location.
	execute := func(granted rar.Details, order Transfer) error {
		order.Actions, order.Locations = []string{"execute"}, []string{"https://api.bank.example"}
		wanted, err := registry.New(transfer.Name(), order)
		if err != nil {
			return err
		}
		return granted.ForResource("https://api.bank.example").Covers(wanted)
	}
	status, _ := rar.Edit(granted[0], func(t *Transfer) { t.Actions = []string{"status"} })
	foreign, _ := rar.Edit(granted[0], func(t *Transfer) { t.Locations = []string{"https://other.example"} })

	order := Transfer{Payee: "ACME", Amount: "12.34"}
	fmt.Println(execute(granted, order))
	fmt.Println(execute(granted, Transfer{Payee: "ACME", Amount: "99.99"}))
	order.Actions = []string{"status"} // granted, but not the operation of the API
	fmt.Println(execute(rar.Details{status}, order))
	order.Locations = []string{"https://other.example"} // granted, but not the location of the API
	fmt.Println(execute(rar.Details{foreign}, order))

	_, err = registry.Parse([]byte(`[{"type":"https://bank.example/transfer","payee":"ACME","Amount":"12.34"}]`), registry.Types())
	fmt.Println(err)
	// Output:
	// <nil> [{payee ACME} {amount 12.34}]
	// <nil>
	// rar: more than was granted at [0].amount (https://bank.example/transfer): not the transfer that was agreed to
	// rar: more than was granted at [0].actions (https://bank.example/transfer): exceeds the granted list
	// rar: more than was granted at [0] (https://bank.example/transfer): no granted detail of this type
	// rar: unknown field at [0].Amount (https://bank.example/transfer)
}
