package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
)

const (
	maxForm = 8 << 10
	maxKept = 1 << 10 // bytes of an order, while the user is at the bank
)

// A form contains the input of the payment page.
type form struct {
	Bank, Amount, Payee, IBAN, Reference string
	Problem                              string // a key of texts, or empty
	Wrong                                string // the field with the problem
}

// A formError is a form with a problem that the user has to correct.
type formError struct{ form form }

func (e *formError) Error() string { return "the form has been filled in wrongly" }

// fields maps the members of an order to the fields of the form.
var fields = map[string]struct{ name, problem string }{
	"[0].instructedAmount":                  {"amount", "problem.amount"},
	"[0].creditorName":                      {"payee", "problem.payee"},
	"[0].creditorAccount":                   {"iban", "problem.iban"},
	"[0].remittanceInformationUnstructured": {"reference", "problem.reference"},
}

// readOrder parses the form of the payment page. The result is an order of one
// payment that is valid under the types of the bank.
func (a *app) readOrder(r *http.Request) (rar.Details, error) {
	r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, &formError{form{Problem: "problem.form"}}
	}
	field := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	f := form{
		Bank: field("bank"), Amount: field("amount"), Payee: field("payee"), IBAN: field("iban"),
		Reference: field("reference"),
	}
	order, err := a.types.New(openbanking.PaymentType, openbanking.Payment{
		Actions: []openbanking.PaymentAction{"initiate"},
		InstructedAmount: openbanking.Amount{Currency: "EUR",
			Amount: openbanking.Decimal(strings.ReplaceAll(f.Amount, ",", "."))},
		CreditorName: openbanking.Text(f.Payee),
		CreditorAccount: openbanking.Account{
			IBAN: openbanking.IBAN(strings.ToUpper(strings.Join(strings.Fields(f.IBAN), ""))),
		},
		RemittanceInformationUnstructured: openbanking.Text(f.Reference),
		EndToEndIdentification:            openbanking.Text(rand.Text()), // distinguishes two equal payments
	})
	var wrong *rar.Error
	switch {
	case errors.As(err, &wrong):
		f.Problem = "problem.other"
		for path, its := range fields {
			if strings.HasPrefix(wrong.Path, path) {
				f.Wrong, f.Problem = its.name, its.problem
			}
		}
	case err == nil && f.IBAN == "": // the bank has accounts without one; this form does not
		f.Wrong, f.Problem = "iban", "problem.no_iban"
	case err == nil && len(asJSON(order)) > maxKept:
		f.Problem = "problem.too_much"
	default:
		return order, err
	}
	return nil, &formError{f}
}

func asJSON(details any) json.RawMessage {
	text, err := json.Marshal(details)
	if err != nil {
		return nil // cannot happen: the order has been parsed before
	}
	return text
}

// errNotGranted means that the token does not contain the payment that was
// requested.
var errNotGranted = errors.New("the bank has not granted the payment that was ordered, but a token without details")

// granted returns the payment as the bank has granted it. The bank may have
// added the debtor account. The caller compares it with the order once more
// before it makes the payment.
func (a *app) granted(ordered, said json.RawMessage) (rar.Details, error) {
	order, err := a.types.Parse(ordered, a.types.Types())
	if err != nil {
		return nil, err
	}
	if said == nil {
		return nil, errNotGranted
	}
	granted, err := a.types.Parse(said, a.types.Types())
	if err == nil && len(granted) == 0 {
		return nil, errNotGranted
	}
	if err == nil && len(granted) != 1 {
		err = errors.New("not one detail")
	}
	if err == nil {
		err = a.types.CheckGrant(order, granted)
	}
	if err != nil {
		return nil, fmt.Errorf("the bank has not granted the payment that was ordered: %w", err)
	}
	return granted, nil
}

// describe returns descriptions of details. A detail of an unknown type is
// shown as it is.
func (a *app) describe(language string, details json.RawMessage) (all []rar.Description) {
	var list []json.RawMessage
	if json.Unmarshal(details, &list) != nil {
		return nil
	}
	for _, raw := range list {
		if known, err := a.types.Parse(asJSON([]json.RawMessage{raw}), a.types.Types()); err == nil {
			all = append(all, known[0].Describe(language))
		} else {
			all = append(all, rar.Description{
				Title:  texts.Get(language, "grants.unexplained"),
				Fields: []rar.Field{{Label: texts.Get(language, "grants.it_says"), Value: string(raw)}},
			})
		}
	}
	return all
}
