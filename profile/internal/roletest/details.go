package roletest

import (
	"slices"
	"testing"

	"github.com/gofapi/fapi2/rar"
)

// OtherAPI is the resource of the type audit.
const OtherAPI = "https://other-api.example"

// An Account is a detail that covers fewer actions and accounts. The user can
// add the accounts.
type Account struct {
	rar.Common
	Accounts []string `json:"accounts,omitempty"`
}

// A Payment is a detail that covers an equal detail only.
type Payment struct {
	rar.Common
	Payee  string `json:"payee"`
	Amount string `json:"amount"`
}

// Types returns a registry of the types account, payment and audit. Details of
// audit are for OtherAPI only.
func Types(t testing.TB) *rar.Registry {
	return registry(t, rar.TypeConfig[Payment]{
		Check: func(p Payment) error {
			if p.Amount == "" {
				return rar.FieldError("amount", "empty")
			}
			return nil
		},
	}, "")
}

// ScopedTypes returns [Types] with the scope payments for payment and the scope
// audits for audit. It does not check payments.
func ScopedTypes(t testing.TB) *rar.Registry {
	return registry(t, rar.TypeConfig[Payment]{Scope: "payments"}, "audits")
}

func registry(t testing.TB, payments rar.TypeConfig[Payment], auditScope string) *rar.Registry {
	account, err := rar.TypeOf("account", rar.TypeConfig[Account]{
		Covers: func(granted, requested Account) error {
			more := func(a string) bool { return !slices.Contains(granted.Accounts, a) }
			chosen := (granted.Accounts == nil) != (requested.Accounts == nil)
			if chosen || slices.ContainsFunc(requested.Accounts, more) {
				return rar.FieldError("accounts", "more than was granted")
			}
			return granted.CoversCommon(requested.Common)
		},
		Enriches: func(requested, granted Account) error {
			if requested.Accounts != nil || len(granted.Accounts) == 0 {
				return rar.FieldError("accounts", "not to be chosen")
			}
			return requested.CoversCommon(granted.Common)
		},
	})
	fatal(t, err)
	payment, err := rar.TypeOf("payment", payments)
	fatal(t, err)
	audits := rar.TypeConfig[struct{ rar.Common }]{Resources: []string{OtherAPI}, Scope: auditScope}
	audit, err := rar.TypeOf("audit", audits)
	fatal(t, err)
	r, err := rar.NewRegistry(rar.RegistryConfig{Types: []*rar.Type{account, payment, audit}})
	fatal(t, err)
	return r
}

// Details parses a list of details.
func Details(t testing.TB, registry *rar.Registry, list string) rar.Details {
	d, err := registry.Parse([]byte(list), registry.Types())
	fatal(t, err)
	return d
}

func fatal(t testing.TB, err error) {
	if t.Helper(); err != nil {
		t.Fatalf("roletest: %v", err)
	}
}
