package openbanking

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"

	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/rar"
)

// A PaymentAction is one permitted action: "initiate", "status" or "cancel".
// None includes another.
type PaymentAction string

// paymentActions are the actions in the order in which they are shown.
var paymentActions = [...]PaymentAction{initiate, "status", "cancel"}

const initiate PaymentAction = "initiate"

// JSONSchema returns the list of actions.
func (PaymentAction) JSONSchema() string {
	return `{"type":"string","enum":["initiate","status","cancel"]}`
}

// A Payment is the permission to make one payment.
type Payment struct {
	// Locations are the APIs that the detail is for.
	Locations []string `json:"locations,omitempty"`
	// Actions are the permitted actions. If nil, only the initiation of the
	// payment is permitted.
	Actions []PaymentAction `json:"actions,omitempty" jsonschema:"permitted actions; if absent, only initiate"`
	// InstructedAmount is the amount.
	InstructedAmount Amount `json:"instructedAmount"`
	// CreditorName is the payee.
	CreditorName Text `json:"creditorName"`
	// CreditorAccount is the account of the payee. It may be absent if the bank
	// knows the account by the name.
	CreditorAccount Account `json:"creditorAccount,omitzero"`
	// DebtorAccount is the account of the payer. If nil, the user chooses it.
	DebtorAccount *Account `json:"debtorAccount,omitempty"`
	// RemittanceInformationUnstructured is the reference that the payee reads.
	RemittanceInformationUnstructured Text `json:"remittanceInformationUnstructured,omitempty"`
	// EndToEndIdentification identifies the payment to the payee. Two otherwise
	// equal payments are one payment without it.
	EndToEndIdentification Text `json:"endToEndIdentification,omitempty"`
	// RequestedExecutionDate is the day of the payment. If empty, the bank
	// makes the payment as soon as possible.
	RequestedExecutionDate Date `json:"requestedExecutionDate,omitempty"`
}

// NewPayment returns the type of [Payment]. Its default name is [PaymentType].
//
// A payment covers only the same payment: amount, payee, accounts, texts and
// day are equal. Its locations and actions cover subsets. An absent debtor
// account may be filled in. "12.5" and "12.50" are one amount. A payment
// without actions has only the action "initiate".
//
// A payment can be used once, whatever its actions and locations. Two otherwise
// equal payments need different end-to-end identifications.
func NewPayment(cfg Config) (*rar.Type, error) {
	return newType(PaymentType, cfg, rar.TypeConfig[Payment]{
		Title:     "Payment",
		Check:     Payment.check,
		Normalize: Payment.normal,
		Covers: func(granted, requested Payment) error {
			return cmp.Or(sameAccount("debtorAccount", granted.DebtorAccount, requested.DebtorAccount),
				granted.coversRest(requested))
		},
		Enriches: func(requested, granted Payment) error {
			return cmp.Or(chosenAccount("debtorAccount", requested.DebtorAccount, granted.DebtorAccount),
				requested.coversRest(granted))
		},
		Single: func(p Payment) Payment {
			p.Locations, p.Actions = nil, nil
			return p
		},
		Describe:  Payment.describe,
		Languages: []string{english, german},
	})
}

func (p Payment) check() error {
	if p.Actions != nil && len(p.Actions) == 0 {
		return rar.FieldError("actions", "empty list")
	}
	err := cmp.Or(p.InstructedAmount.check("instructedAmount"), checkOptional("debtorAccount", p.DebtorAccount))
	if err == nil && p.CreditorAccount != (Account{}) {
		err = p.CreditorAccount.check("creditorAccount")
	}
	if err == nil && p.RequestedExecutionDate != "" {
		err = p.RequestedExecutionDate.check("requestedExecutionDate")
	}
	return err
}

func (p Payment) normal() Payment {
	if p.Actions == nil {
		p.Actions = []PaymentAction{initiate}
	}
	p.Actions = inOrder(paymentActions[:], p.Actions)
	p.InstructedAmount = p.InstructedAmount.normal()
	return p
}

// errNotPermitted is the error of an API (RFC 6750 §3.1).
var errNotPermitted = oautherr.New("openbanking: payment not permitted", "insufficient_scope",
	http.StatusForbidden, "the token does not permit this payment")

// PermittedBy returns the granted detail that permits the API to initiate the
// payment of an order. An API passes the details of a verified token that are
// for it ([rar.Details.ForResource]). It makes the payment that the returned
// detail describes, and records its use (package uses).
//
// PermittedBy ignores the order's own actions and locations, because the API
// initiates the payment at its own location. An order without DebtorAccount is
// paid from the granted account. All other members must equal the granted ones.
//
// If the details do not permit the payment, the error matches
// [rar.ErrNotCovered]. Its wire form is insufficient_scope with status 403, and
// names the member that differs.
func (order Payment) PermittedBy(granted rar.Details) (rar.Detail, error) {
	err := error(rar.ErrNotCovered)
	for _, g := range granted {
		if _, other := rar.Get[Payment](g); other != nil {
			continue
		}
		want, invalid := rar.Edit(g, func(p *Payment) {
			wanted := order
			wanted.Actions, wanted.Locations = []PaymentAction{initiate}, p.Locations
			if wanted.DebtorAccount == nil {
				wanted.DebtorAccount = p.DebtorAccount
			}
			*p = wanted
		})
		if invalid != nil {
			err = fmt.Errorf("%w: %w", rar.ErrNotCovered, invalid)
			continue
		}
		one := rar.Details{g}
		if err = one.Covers(rar.Details{want}); err == nil {
			return g, nil
		}
	}
	description := "the token does not permit this payment"
	if _, missing, _ := oautherr.From(err); strings.Contains(missing, "[") { // it names a member
		description += ": " + missing
	}
	return rar.Detail{}, oautherr.Describe(fmt.Errorf("%w: %w", errNotPermitted, err), description)
}

// coversRest compares all members except the debtor account.
func (granted Payment) coversRest(requested Payment) error {
	if err := coversLocations(granted.Locations, requested.Locations); err != nil {
		return err
	}
	if !within(granted.Actions, requested.Actions) {
		return rar.FieldError("actions", "exceeds the granted list")
	}
	for _, m := range []struct {
		name string
		same bool
	}{
		{"instructedAmount", granted.InstructedAmount == requested.InstructedAmount},
		{"creditorName", granted.CreditorName == requested.CreditorName},
		{"creditorAccount", granted.CreditorAccount == requested.CreditorAccount},
		{"remittanceInformationUnstructured",
			granted.RemittanceInformationUnstructured == requested.RemittanceInformationUnstructured},
		{"endToEndIdentification", granted.EndToEndIdentification == requested.EndToEndIdentification},
		{"requestedExecutionDate", granted.RequestedExecutionDate == requested.RequestedExecutionDate},
	} {
		if !m.same {
			return rar.FieldError(m.name, "differs from the granted one")
		}
	}
	return nil
}

func (p Payment) describe(language string) rar.Description {
	d := describe(language, "Payment", "Zahlung")
	d.add("Amount", "Betrag", p.InstructedAmount.show(language))
	d.add("To", "Empfänger", string(p.CreditorName))
	creditor := d.say("the one that the bank knows", "das der Bank bekannte")
	if p.CreditorAccount != (Account{}) {
		creditor = p.CreditorAccount.show()
	}
	d.add("Account of the payee", "Konto des Empfängers", creditor)
	d.account("From your account", "Von Ihrem Konto", p.DebtorAccount)
	d.optional("Reference", "Verwendungszweck", string(p.RemittanceInformationUnstructured))
	d.optional("Order number", "Auftragsnummer", string(p.EndToEndIdentification))
	if p.RequestedExecutionDate != "" {
		d.add("On", "Am", p.RequestedExecutionDate.show(language))
	}
	for _, action := range p.Actions {
		switch action {
		case initiate:
			d.add("Permission", "Berechtigung", d.say("make the payment", "die Zahlung auslösen"))
		case "status":
			d.add("Permission", "Berechtigung", d.say("ask for its status", "ihren Status abfragen"))
		case "cancel":
			d.add("Permission", "Berechtigung", d.say("cancel it", "sie widerrufen"))
		}
	}
	d.locations(p.Locations)
	return d.Description
}
