package openbanking

import (
	"cmp"
	"strconv"

	"github.com/gofapi/fapi2/rar"
)

// A Period is a calendar period: "day", "week" (from Monday), "month" or
// "year".
type Period string

// JSONSchema returns the list of periods.
func (Period) JSONSchema() string { return `{"type":"string","enum":["day","week","month","year"]}` }

// A PeriodLimit limits the payments within each period.
type PeriodLimit struct {
	// Period is the period.
	Period Period `json:"period"`
	// Maximum is the maximum sum of the payments within one period.
	Maximum Amount `json:"maximum"`
}

// A RecurringPayment is the permission to make payments to one payee within
// limits.
type RecurringPayment struct {
	// Locations are the APIs that the detail is for.
	Locations []string `json:"locations,omitempty"`
	// CreditorName is the payee.
	CreditorName Text `json:"creditorName"`
	// CreditorAccount is the account of the payee.
	CreditorAccount Account `json:"creditorAccount"`
	// DebtorAccount is the account of the payer. If nil, the user chooses it.
	DebtorAccount *Account `json:"debtorAccount,omitempty"`
	// MaximumAmount is the maximum amount of one payment.
	MaximumAmount Amount `json:"maximumAmount"`
	// PeriodLimit limits the payments within each period. If nil, they are
	// unlimited.
	PeriodLimit *PeriodLimit `json:"periodLimit,omitempty"`
	// MaximumCount is the maximum number of payments. If 0, the number is
	// unlimited.
	MaximumCount Count `json:"maximumCount,omitempty"`
	// ValidFrom is the first day. If empty, the permission is valid
	// immediately.
	ValidFrom Date `json:"validFrom,omitempty"`
	// ValidUntil is the last day.
	ValidUntil Date `json:"validUntil"`
}

// A Count is a number of payments.
type Count int

// JSONSchema returns the range of a Count.
func (Count) JSONSchema() string { return `{"type":"integer","minimum":1,"maximum":1000000}` }

// NewRecurringPayment returns the type of [RecurringPayment]. Its default name
// is [RecurringPaymentType].
//
// A detail covers the same payee and accounts, and a subset of the locations.
// Each limit covers an equal or tighter limit in the same currency. A lower
// amount, a lower count, a later first day and an earlier last day are tighter.
// The limit of a period covers a lower limit for the same period. An absent
// limit covers every limit, and is covered only by an absent limit. An absent
// debtor account may be filled in.
//
// Narrowing never changes payee and accounts. An API counts the payments
// between these, whatever the limits of the token (package uses).
//
// A single payment of 10 EUR corresponds to a recurring payment on one day with
// the maximum amount 10 EUR and the maximum count 1. An API requests coverage
// of such a detail.
func NewRecurringPayment(cfg Config) (*rar.Type, error) {
	return newType(RecurringPaymentType, cfg, rar.TypeConfig[RecurringPayment]{
		Title:     "Recurring payment",
		Check:     RecurringPayment.check,
		Normalize: RecurringPayment.normal,
		Covers: func(granted, requested RecurringPayment) error {
			return cmp.Or(sameAccount("debtorAccount", granted.DebtorAccount, requested.DebtorAccount),
				granted.coversRest(requested))
		},
		Enriches: func(requested, granted RecurringPayment) error {
			return cmp.Or(chosenAccount("debtorAccount", requested.DebtorAccount, granted.DebtorAccount),
				requested.coversRest(granted))
		},
		Single: func(p RecurringPayment) RecurringPayment {
			return RecurringPayment{
				CreditorName: p.CreditorName, CreditorAccount: p.CreditorAccount, DebtorAccount: p.DebtorAccount,
			}
		},
		Describe:  RecurringPayment.describe,
		Languages: []string{english, german},
	})
}

func (p RecurringPayment) check() error {
	err := cmp.Or(
		p.CreditorAccount.check("creditorAccount"),
		checkOptional("debtorAccount", p.DebtorAccount),
		p.MaximumAmount.check("maximumAmount"),
		p.ValidUntil.check("validUntil"))
	if l := p.PeriodLimit; err == nil && l != nil {
		if err = l.Maximum.check("periodLimit.maximum"); err == nil && !p.MaximumAmount.within(l.Maximum) {
			err = rar.FieldError("periodLimit.maximum", "lower than maximumAmount, or in another currency")
		}
	}
	if err == nil && p.ValidFrom != "" {
		if err = p.ValidFrom.check("validFrom"); err == nil && p.ValidFrom > p.ValidUntil {
			err = rar.FieldError("validFrom", "after validUntil")
		}
	}
	return err
}

func (p RecurringPayment) normal() RecurringPayment {
	p.MaximumAmount = p.MaximumAmount.normal()
	if p.PeriodLimit != nil {
		p.PeriodLimit = &PeriodLimit{p.PeriodLimit.Period, p.PeriodLimit.Maximum.normal()}
	}
	return p
}

// coversRest compares all members except the debtor account.
func (granted RecurringPayment) coversRest(requested RecurringPayment) error {
	if err := coversLocations(granted.Locations, requested.Locations); err != nil {
		return err
	}
	g, r := granted.PeriodLimit, requested.PeriodLimit
	most, count := granted.MaximumCount, requested.MaximumCount
	for _, m := range []struct {
		name   string
		within bool
	}{
		{"creditorName", granted.CreditorName == requested.CreditorName},
		{"creditorAccount", granted.CreditorAccount == requested.CreditorAccount},
		{"maximumAmount", requested.MaximumAmount.within(granted.MaximumAmount)},
		{"periodLimit", g == nil || r != nil && r.Period == g.Period && r.Maximum.within(g.Maximum)},
		{"maximumCount", most == 0 || count > 0 && count <= most},
		{"validFrom", requested.ValidFrom >= granted.ValidFrom}, // "" is before every day
		{"validUntil", requested.ValidUntil <= granted.ValidUntil},
	} {
		if !m.within {
			return rar.FieldError(m.name, "exceeds the granted one")
		}
	}
	return nil
}

func (p RecurringPayment) describe(language string) rar.Description {
	d := describe(language, "Recurring payments", "Wiederkehrende Zahlungen")
	d.add("To", "Empfänger", string(p.CreditorName))
	d.add("Account of the payee", "Konto des Empfängers", p.CreditorAccount.show())
	d.account("From your account", "Von Ihrem Konto", p.DebtorAccount)
	d.add("Each payment at most", "Je Zahlung höchstens", p.MaximumAmount.show(language))
	if l := p.PeriodLimit; l != nil {
		label := map[Period][2]string{
			"day": {"Each day at most", "Je Tag höchstens"}, "week": {"Each week at most", "Je Woche höchstens"},
			"month": {"Each month at most", "Je Monat höchstens"}, "year": {"Each year at most", "Je Jahr höchstens"},
		}[l.Period]
		d.add(label[0], label[1], l.Maximum.show(language))
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
