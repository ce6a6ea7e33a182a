package openbanking

import (
	"slices"

	"github.com/gofapi/fapi2/rar"
)

// A Permission is one use of account information.
type Permission string

// The permissions. None includes another: reading balances does not include the
// list of accounts.
const (
	ListAccounts     Permission = "list_accounts"
	ReadBalances     Permission = "read_balances"
	ReadTransactions Permission = "read_transactions"
)

// permissions are all permissions in the order in which they are shown.
var permissions = [...]Permission{ListAccounts, ReadBalances, ReadTransactions}

// JSONSchema returns the list of permissions.
func (Permission) JSONSchema() string {
	return `{"type":"string","enum":["list_accounts","read_balances","read_transactions"]}`
}

// AccountInformation is the permission to read accounts, until a day or until
// the user withdraws it.
type AccountInformation struct {
	// Locations are the APIs that the detail is for.
	Locations []string `json:"locations,omitempty"`
	// Actions are the permitted uses, at least one.
	Actions []Permission `json:"actions"`
	// Accounts are the accounts. If nil, the user chooses them.
	Accounts []Account `json:"accounts,omitempty"`
	// ValidUntil is the last day. If empty, the permission is valid until the
	// user withdraws it.
	ValidUntil Date `json:"validUntil,omitempty"`
}

// NewAccountInformation returns the type of [AccountInformation]. Its default
// name is [AccountInformationType].
//
// A detail covers subsets of its locations, actions and accounts, and an
// earlier or equal day. Absent accounts may be filled in.
func NewAccountInformation(cfg Config) (*rar.Type, error) {
	return newType(AccountInformationType, cfg, rar.TypeConfig[AccountInformation]{
		Title: "Account information",
		Check: func(a AccountInformation) error {
			if len(a.Actions) == 0 {
				return rar.FieldError("actions", "empty list")
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
				return rar.FieldError("accounts", "exceeds the granted list")
			}
			return granted.coversRest(requested)
		},
		Enriches: func(requested, granted AccountInformation) error {
			if requested.Accounts != nil || granted.Accounts == nil {
				return rar.FieldError("accounts", "the user chooses only absent accounts")
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

// coversRest compares all members except the accounts.
func (granted AccountInformation) coversRest(requested AccountInformation) error {
	if err := coversLocations(granted.Locations, requested.Locations); err != nil {
		return err
	}
	if !within(granted.Actions, requested.Actions) {
		return rar.FieldError("actions", "exceeds the granted list")
	}
	later := requested.ValidUntil == "" || requested.ValidUntil > granted.ValidUntil // years have four digits
	if granted.ValidUntil != "" && later {
		return rar.FieldError("validUntil", "later than the granted day")
	}
	return nil
}

// mergeInformation merges two details that differ in one member only. The
// combinations of the result are then all permitted by one of the two. Both are
// normal forms.
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
