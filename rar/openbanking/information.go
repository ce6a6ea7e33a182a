package openbanking

import (
	"slices"

	"github.com/gofapi/fapi2/rar"
)

// A Permission is something that account information may be used for.
type Permission string

// The permissions. Each stands for itself: reading balances does not include the list of accounts.
const (
	ListAccounts     Permission = "list_accounts"
	ReadBalances     Permission = "read_balances"
	ReadTransactions Permission = "read_transactions"
)

// permissions are all of them in the order in which they are shown.
var permissions = [...]Permission{ListAccounts, ReadBalances, ReadTransactions}

// JSONSchema lists the permissions.
func (Permission) JSONSchema() string {
	return `{"type":"string","enum":["list_accounts","read_balances","read_transactions"]}`
}

// AccountInformation is the permission to read accounts, until a day or until it is withdrawn.
type AccountInformation struct {
	// Locations are the APIs that it is for.
	Locations []string `json:"locations,omitempty"`
	// Actions are what may be read. At least one.
	Actions []Permission `json:"actions"`
	// Accounts are the accounts. A client may leave them out, and gets those that the user chooses.
	Accounts []Account `json:"accounts,omitempty"`
	// ValidUntil is the last day; "" is until the user withdraws it.
	ValidUntil Date `json:"validUntil,omitempty"`
}

// NewAccountInformation returns the type of [AccountInformation]. Its default name is
// [AccountInformationType].
//
// Covered is: the same locations or some of them, actions and accounts that are among those granted, and a day that is not
// later. Accounts that were left out may be filled in.
func NewAccountInformation(cfg Config) (*rar.Type, error) {
	return newType(AccountInformationType, cfg, rar.TypeConfig[AccountInformation]{
		Title: "Account information",
		Check: func(a AccountInformation) error {
			if len(a.Actions) == 0 {
				return rar.FieldError("actions", "an empty list")
			}
			if err := checkAccounts("accounts", a.Accounts); err != nil {
				return err
			}
			if a.ValidUntil == "" {
				return nil
			}
			return a.ValidUntil.check("validUntil")
		},
		Normalize: func(a AccountInformation) AccountInformation {
			a.Actions, a.Accounts = inOrder(permissions[:], a.Actions), sortedAccounts(a.Accounts)
			return a
		},
		Covers: func(granted, requested AccountInformation) error {
			if !accountsWithin(granted.Accounts, requested.Accounts) {
				return rar.FieldError("accounts", "not among those granted")
			}
			return granted.coversRest(requested)
		},
		Enriches: func(requested, granted AccountInformation) error {
			if requested.Accounts != nil || granted.Accounts == nil {
				return rar.FieldError("accounts", "only those that were left out are chosen")
			}
			return requested.coversRest(granted)
		},
		Merge: mergeInformation,
		Describe: func(a AccountInformation, language string) rar.Description {
			d := describe(language, "Account information", "Kontoinformation")
			for _, action := range a.Actions {
				d.add("Permission", "Berechtigung", permissionText(action, language))
			}
			for _, account := range a.Accounts {
				d.add("Account", "Konto", account.show())
			}
			if a.Accounts == nil {
				d.add("Account", "Konto", d.say("of your choice", "nach Ihrer Wahl"))
			}
			if a.ValidUntil != "" {
				d.add("Until", "Bis", a.ValidUntil.show(language))
			} else {
				d.add("Until", "Bis", d.say("you withdraw it", "Sie es widerrufen"))
			}
			d.locations(a.Locations)
			return d.Description
		},
		Languages: []string{english, german},
	})
}

// coversRest compares everything but the accounts.
func (granted AccountInformation) coversRest(requested AccountInformation) error {
	if err := coversLocations(granted.Locations, requested.Locations); err != nil {
		return err
	}
	if !within(granted.Actions, requested.Actions) {
		return rar.FieldError("actions", "not among those granted")
	}
	later := requested.ValidUntil == "" || requested.ValidUntil > granted.ValidUntil // as text: years have four digits
	if granted.ValidUntil != "" && later {
		return rar.FieldError("validUntil", "later than granted")
	}
	return nil
}

// mergeInformation makes one detail of two that differ in one respect only, so that the product of the values has nothing
// that was in neither. Both are normal forms.
func mergeInformation(a, b AccountInformation) (AccountInformation, bool) {
	merged := a
	differ := 0
	if !slices.Equal(a.Actions, b.Actions) {
		merged.Actions = union(a.Actions, b.Actions)
		differ++
	}
	if !slices.Equal(a.Accounts, b.Accounts) {
		merged.Accounts = union(a.Accounts, b.Accounts)
		differ++
	}
	if a.ValidUntil != b.ValidUntil {
		if merged.ValidUntil = max(a.ValidUntil, b.ValidUntil); a.ValidUntil == "" || b.ValidUntil == "" {
			merged.ValidUntil = ""
		}
		differ++
	}
	alike := (a.Accounts == nil) == (b.Accounts == nil) && slices.Equal(a.Locations, b.Locations)
	return merged, alike && differ == 1
}

func union[E comparable](a, b []E) []E {
	all := slices.Clone(a)
	for _, e := range b {
		if !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	return all
}

func permissionText(p Permission, language string) string {
	switch p {
	case ListAccounts:
		return say(language, "see which accounts you have", "sehen, welche Konten Sie haben")
	case ReadBalances:
		return say(language, "read balances", "Salden lesen")
	case ReadTransactions:
		return say(language, "read transactions", "Umsätze lesen")
	}
	return string(p)
}
