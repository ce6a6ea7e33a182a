package uses_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
	"github.com/gofapi/fapi2/rar/uses"
)

// A payment API: one consent is one payment, in whatever spelling it is
// ordered.
func Example() {
	registry, err := openbanking.NewRegistry(nil)
	if err != nil {
		panic(err)
	}
	payments, err := uses.New(uses.Config{
		Store:  &shared{records: make(map[string]record), now: time.Now}, // in production one that processes share
		Issuer: "https://as.example",
		Keep:   90 * 24 * time.Hour, // no grant of this authorization server lives longer
	})
	if err != nil {
		panic(err)
	}
	made := make(map[string]bool) // payments by ID, in a table with a unique key

	// pay serves POST /payments. granted are the details of the verified token
	// that are for this API, grant is the ID of the consent, attempt is the
	// header Idempotency-Key.
	pay := func(grant string, granted rar.Details, attempt, newID, body string) string {
		parsed, err := registry.New(openbanking.PaymentType, json.RawMessage(body))
		if err != nil {
			return "400"
		}
		order, _ := rar.Get[openbanking.Payment](parsed[0])
		permission, err := order.PermittedBy(granted) // the detail that the API needs, not the actions of the order
		if err != nil {
			return "403"
		}
		id, err := payments.Once(context.Background(), uses.Use{Grant: grant, Detail: permission, Attempt: attempt, Result: newID})
		switch {
		case errors.Is(err, uses.ErrUsed):
			return "409, see " + id
		case err != nil:
			return "503"
		}
		made[id] = true // of the amount, payee and account in permission
		return "201 " + id
	}

	const agreed = `"instructedAmount":{"currency":"EUR","amount":"12.50"},"creditorName":"ACME","creditorAccount":{"iban":"DE02100100109307118603"}`
	granted, _ := registry.Parse([]byte(`[{"type":"payment_initiation","actions":["initiate"],`+agreed+`}]`), registry.Types())
	fmt.Println(pay("consent-1", granted, "a", "payment-1", `{`+agreed+`}`))
	fmt.Println(pay("consent-1", granted, "a", "payment-2", `{`+agreed+`}`)) // the client did not receive the response
	fmt.Println(pay("consent-1", granted, "b", "payment-3", `{"actions":["initiate","initiate"],`+agreed+`}`))
	fmt.Println(pay("consent-2", granted, "b", "payment-4", `{`+agreed+`}`)) // the user has agreed to another one

	status, _ := registry.Parse([]byte(`[{"type":"payment_initiation","actions":["status"],`+agreed+`}]`), registry.Types())
	fmt.Println(pay("consent-3", status, "c", "payment-5", `{"actions":["status"],`+agreed+`}`))
	fmt.Println(len(made), "payments")
	// Output:
	// 201 payment-1
	// 201 payment-1
	// 409, see payment-1
	// 201 payment-4
	// 403
	// 2 payments
}
