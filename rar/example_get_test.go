package rar_test

import (
	"fmt"

	"github.com/gofapi/fapi2/rar"
)

// transferDetail parses the authorization details of a request for a transfer.
func transferDetail() rar.Detail {
	transfer, err := rar.TypeOf("transfer", rar.TypeConfig[Transfer]{})
	if err != nil {
		panic(err)
	}
	registry, err := rar.NewRegistry(rar.RegistryConfig{Types: []*rar.Type{transfer}})
	if err != nil {
		panic(err)
	}
	const requested = `[{"type":"transfer","payee":"ACME","amount":"12.34","actions":["execute","status"]}]`
	details, err := registry.Parse([]byte(requested), registry.Types())
	if err != nil {
		panic(err)
	}
	return details[0]
}

// A handler reads a detail as the struct of its type.
func ExampleGet() {
	detail := transferDetail()
	order, err := rar.Get[Transfer](detail)
	if err != nil {
		panic(err)
	}
	fmt.Println(order.Amount, "to", order.Payee)
	// Output: 12.34 to ACME
}

// The user permits one of two actions on the consent page. The change makes
// another detail, and the requested one remains as it is.
func ExampleEdit() {
	requested := transferDetail()
	granted, err := rar.Edit(requested, func(t *Transfer) { t.Actions = []string{"status"} })
	if err != nil {
		panic(err)
	}
	fmt.Println(requested.Common().Actions, granted.Common().Actions)
	// Output: [execute status] [status]
}

// A Detail prints only its type, because its members may be personal data. Its
// JSON is the object as it was sent.
func ExampleDetail() {
	detail := transferDetail()
	fmt.Println(detail)
	object, err := detail.MarshalJSON()
	fmt.Println(string(object), err)
	// Output:
	// rar.Detail(transfer)
	// {"type":"transfer","payee":"ACME","amount":"12.34","actions":["execute","status"]} <nil>
}
