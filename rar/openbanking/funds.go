package openbanking

import "github.com/gofapi/fapi2/rar"

// FundsConfirmation is the permission to ask whether an account has enough money for an amount, until a day. The answer is
// yes or no.
type FundsConfirmation struct {
	// Locations are the APIs that it is for.
	Locations []string `json:"locations,omitempty"`
	// Account is the account. A client may leave it out, and the user chooses.
	Account *Account `json:"account,omitempty"`
	// MaximumAmount is the most that may be asked for, nil is any amount.
	MaximumAmount *Amount `json:"maximumAmount,omitempty"`
	// ValidUntil is the last day.
	ValidUntil Date `json:"validUntil"`
}

// NewFundsConfirmation returns the type of [FundsConfirmation]. Its default name is
// [FundsConfirmationType].
//
// Covered is the same account, the same locations or some of them, a maximum that is not higher, and a day that is not
// later. An account that was left out may be filled in.
func NewFundsConfirmation(cfg Config) (*rar.Type, error) {
	return newType(FundsConfirmationType, cfg, rar.TypeConfig[FundsConfirmation]{
		Title: "Funds confirmation",
		Check: func(f FundsConfirmation) error {
			if f.Account != nil {
				if err := f.Account.check("account"); err != nil {
					return err
				}
			}
			if f.MaximumAmount != nil {
				if err := f.MaximumAmount.check("maximumAmount"); err != nil {
					return err
				}
			}
			return f.ValidUntil.check("validUntil")
		},
		Normalize: func(f FundsConfirmation) FundsConfirmation {
			f.MaximumAmount = normalAmount(f.MaximumAmount)
			return f
		},
		Covers: func(granted, requested FundsConfirmation) error {
			if !equalAccount(granted.Account, requested.Account) {
				return rar.FieldError("account", "not the one granted")
			}
			return granted.coversRest(requested)
		},
		Enriches: func(requested, granted FundsConfirmation) error {
			if requested.Account != nil || granted.Account == nil {
				return rar.FieldError("account", "only one that was left out is chosen")
			}
			return requested.coversRest(granted)
		},
		Describe: func(f FundsConfirmation, language string) rar.Description {
			d := describe(language, "Confirmation of funds", "Bestätigung der Deckung")
			if f.Account != nil {
				d.add("Account", "Konto", f.Account.show())
			} else {
				d.add("Account", "Konto", d.say("of your choice", "nach Ihrer Wahl"))
			}
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

// coversRest compares everything but the account.
func (granted FundsConfirmation) coversRest(requested FundsConfirmation) error {
	if err := coversLocations(granted.Locations, requested.Locations); err != nil {
		return err
	}
	if g, r := granted.MaximumAmount, requested.MaximumAmount; g != nil && (r == nil || !r.within(*g)) {
		return rar.FieldError("maximumAmount", "higher than granted")
	}
	if requested.ValidUntil > granted.ValidUntil {
		return rar.FieldError("validUntil", "later than granted")
	}
	return nil
}
