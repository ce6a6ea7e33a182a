package openbanking

import (
	"strconv"

	"github.com/gofapi/fapi2/rar"
)

// A Period is a period of the calendar: "day", "week" (from Monday), "month" or "year".
type Period string

// JSONSchema lists the periods.
func (Period) JSONSchema() string { return `{"type":"string","enum":["day","week","month","year"]}` }

// A PeriodLimit limits what is paid within each period.
type PeriodLimit struct {
	// Period is the period.
	Period Period `json:"period"`
	// Maximum is the most that is paid within one.
	Maximum Amount `json:"maximum"`
}

// A RecurringPayment is the permission to make payments to one payee, within limits.
type RecurringPayment struct {
	// Locations are the APIs that it is for.
	Locations []string `json:"locations,omitempty"`
	// CreditorName is who is paid.
	CreditorName Text `json:"creditorName"`
	// CreditorAccount is where the money goes.
	CreditorAccount Account `json:"creditorAccount"`
	// DebtorAccount is where the money comes from. A client may leave it out, and the user chooses.
	DebtorAccount *Account `json:"debtorAccount,omitempty"`
	// MaximumAmount is the most that one payment may be.
	MaximumAmount Amount `json:"maximumAmount"`
	// PeriodLimit limits the payments of a period, nil does not.
	PeriodLimit *PeriodLimit `json:"periodLimit,omitempty"`
	// MaximumCount is the most payments that there may be, 0 is any number.
	MaximumCount Count `json:"maximumCount,omitempty"`
	// ValidFrom is the first day, "" is from now on.
	ValidFrom Date `json:"validFrom,omitempty"`
	// ValidUntil is the last day.
	ValidUntil Date `json:"validUntil"`
}

// A Count is a number of payments.
type Count int

// JSONSchema describes the range.
func (Count) JSONSchema() string { return `{"type":"integer","minimum":1,"maximum":1000000}` }

// NewRecurringPayment returns the type of [RecurringPayment]. Its default name is
// [RecurringPaymentType].
//
// Covered is what has the same payee and accounts, the same locations or some of them, and limits of the same currency that
// are all as tight or tighter: an amount, a count or a day that is less, the first day not earlier. A period's limit covers
// a lower one for the same period. A limit that was not granted is covered by nothing less than none, and covers any. A
// debtor's account that was left out may be filled in.
//
// What narrowing leaves as it is are payee and accounts. An API counts the
// payments of these, whatever the limits of the token in its hands; see package
// uses.
//
// A single payment of 10 EUR on a day is asked for as a recurring one of at most 10 EUR, one payment, on that day.
func NewRecurringPayment(cfg Config) (*rar.Type, error) {
	return newType(RecurringPaymentType, cfg, rar.TypeConfig[RecurringPayment]{
		Title:     "Recurring payment",
		Check:     RecurringPayment.check,
		Normalize: RecurringPayment.normal,
		Covers: func(granted, requested RecurringPayment) error {
			if !equalAccount(granted.DebtorAccount, requested.DebtorAccount) {
				return rar.FieldError("debtorAccount", "not the one granted")
			}
			return granted.coversRest(requested)
		},
		Enriches: func(requested, granted RecurringPayment) error {
			if requested.DebtorAccount != nil || granted.DebtorAccount == nil {
				return rar.FieldError("debtorAccount", "only one that was left out is chosen")
			}
			return requested.coversRest(granted)
		},
		Single: func(p RecurringPayment) RecurringPayment {
			return RecurringPayment{CreditorName: p.CreditorName, CreditorAccount: p.CreditorAccount, DebtorAccount: p.DebtorAccount}
		},
		Describe:  RecurringPayment.describe,
		Languages: []string{english, german},
	})
}

func (p RecurringPayment) check() error {
	if err := p.CreditorAccount.check("creditorAccount"); err != nil {
		return err
	}
	if p.DebtorAccount != nil {
		if err := p.DebtorAccount.check("debtorAccount"); err != nil {
			return err
		}
	}
	if err := p.MaximumAmount.check("maximumAmount"); err != nil {
		return err
	}
	if l := p.PeriodLimit; l != nil {
		if err := l.Maximum.check("periodLimit.maximum"); err != nil {
			return err
		}
		if !p.MaximumAmount.within(l.Maximum) {
			return rar.FieldError("periodLimit.maximum", "less than one payment may be, or of another currency")
		}
	}
	if p.ValidFrom != "" {
		if err := p.ValidFrom.check("validFrom"); err != nil {
			return err
		}
		if p.ValidFrom > p.ValidUntil {
			return rar.FieldError("validFrom", "after the last day")
		}
	}
	return p.ValidUntil.check("validUntil")
}

func (p RecurringPayment) normal() RecurringPayment {
	p.MaximumAmount = p.MaximumAmount.normal()
	if p.PeriodLimit != nil {
		p.PeriodLimit = &PeriodLimit{p.PeriodLimit.Period, p.PeriodLimit.Maximum.normal()}
	}
	return p
}

// coversRest compares everything but the debtor's account.
func (granted RecurringPayment) coversRest(requested RecurringPayment) error {
	if err := coversLocations(granted.Locations, requested.Locations); err != nil {
		return err
	}
	g, r := granted.PeriodLimit, requested.PeriodLimit
	for _, m := range []struct {
		name   string
		within bool
	}{
		{"creditorName", granted.CreditorName == requested.CreditorName},
		{"creditorAccount", granted.CreditorAccount == requested.CreditorAccount},
		{"maximumAmount", requested.MaximumAmount.within(granted.MaximumAmount)},
		{"periodLimit", g == nil || r != nil && r.Period == g.Period && r.Maximum.within(g.Maximum)},
		{"maximumCount", granted.MaximumCount == 0 || requested.MaximumCount > 0 && requested.MaximumCount <= granted.MaximumCount},
		{"validFrom", requested.ValidFrom >= granted.ValidFrom}, // "" is before every day
		{"validUntil", requested.ValidUntil <= granted.ValidUntil},
	} {
		if !m.within {
			return rar.FieldError(m.name, "not within what was granted")
		}
	}
	return nil
}

func (p RecurringPayment) describe(language string) rar.Description {
	d := describe(language, "Recurring payments", "Wiederkehrende Zahlungen")
	d.add("To", "Empfänger", string(p.CreditorName))
	d.add("Account of the payee", "Konto des Empfängers", p.CreditorAccount.show())
	if p.DebtorAccount != nil {
		d.add("From your account", "Von Ihrem Konto", p.DebtorAccount.show())
	} else {
		d.add("From your account", "Von Ihrem Konto", d.say("of your choice", "nach Ihrer Wahl"))
	}
	d.add("Each payment at most", "Je Zahlung höchstens", p.MaximumAmount.show(language))
	if l := p.PeriodLimit; l != nil {
		var english, german string
		switch l.Period {
		case "day":
			english, german = "Each day at most", "Je Tag höchstens"
		case "week":
			english, german = "Each week at most", "Je Woche höchstens"
		case "month":
			english, german = "Each month at most", "Je Monat höchstens"
		case "year":
			english, german = "Each year at most", "Je Jahr höchstens"
		}
		d.add(english, german, l.Maximum.show(language))
	}
	if p.MaximumCount > 0 {
		d.add("Number of payments at most", "Anzahl der Zahlungen höchstens", strconv.Itoa(int(p.MaximumCount)))
	} else {
		d.add("Number of payments", "Anzahl der Zahlungen", d.say("unlimited", "unbegrenzt"))
	}
	if p.ValidFrom != "" {
		d.add("From", "Ab", p.ValidFrom.show(language))
	}
	d.add("Until", "Bis", p.ValidUntil.show(language))
	d.locations(p.Locations)
	return d.Description
}
