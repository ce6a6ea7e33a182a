package openbanking

import (
	"cmp"

	"github.com/gofapi/fapi2/rar"
)

// FundsConfirmation is the permission to request, until a day, whether an
// account has enough money for an amount.
type FundsConfirmation struct {
	// Locations are the APIs that the detail is for.
	Locations []string `json:"locations,omitempty"`
	// Account is the account. If nil, the user chooses it.
	Account *Account `json:"account,omitempty"`
	// MaximumAmount is the maximum amount of a request. If nil, the amount is
	// unlimited.
	MaximumAmount *Amount `json:"maximumAmount,omitempty"`
	// ValidUntil is the last day.
	ValidUntil Date `json:"validUntil"`
}

// NewFundsConfirmation returns the type of [FundsConfirmation]. Its default
// name is [FundsConfirmationType].
//
// A detail covers the same account, a subset of the locations, a lower or equal
// maximum, and an earlier or equal day. An absent account may be filled in.
func NewFundsConfirmation(cfg Config) (*rar.Type, error) {
	return newType(FundsConfirmationType, cfg, rar.TypeConfig[FundsConfirmation]{
		Title: "Funds confirmation",
		Check: func(f FundsConfirmation) error {
			return cmp.Or(checkOptional("account", f.Account), checkOptional("maximumAmount", f.MaximumAmount),
				f.ValidUntil.check("validUntil"))
		},
		Normalize: func(f FundsConfirmation) FundsConfirmation {
			f.MaximumAmount = normalAmount(f.MaximumAmount)
			return f
		},
		Covers: func(granted, requested FundsConfirmation) error {
			return cmp.Or(sameAccount("account", granted.Account, requested.Account), granted.coversRest(requested))
		},
		Enriches: func(requested, granted FundsConfirmation) error {
			return cmp.Or(chosenAccount("account", requested.Account, granted.Account), requested.coversRest(granted))
		},
		Describe: func(f FundsConfirmation, language string) rar.Description {
			d := describe(language, "Confirmation of funds", "Bestätigung der Deckung")
			d.account("Account", "Konto", f.Account)
			if f.MaximumAmount != nil {
				d.add("For amounts up to", "Für Beträge bis", f.MaximumAmount.show(language))
			} else {
				d.add("For amounts up to", "Für Beträge bis", d.say("unlimited", "unbegrenzt"))
			}
			d.add("Until", "Bis", f.ValidUntil.show(language))
			d.locations(f.Locations)
			return d.Description
		},
		Languages: []string{english, german},
	})
}

// coversRest compares all members except the account.
func (granted FundsConfirmation) coversRest(requested FundsConfirmation) error {
	if err := coversLocations(granted.Locations, requested.Locations); err != nil {
		return err
	}
	if g, r := granted.MaximumAmount, requested.MaximumAmount; g != nil && (r == nil || !r.within(*g)) {
		return rar.FieldError("maximumAmount", "higher than the granted one")
	}
	if requested.ValidUntil > granted.ValidUntil {
		return rar.FieldError("validUntil", "later than the granted day")
	}
	return nil
}
