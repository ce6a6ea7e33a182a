package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
)

// A payment, from the order to the ledger.

func paymentSteps() []step {
	return []step{
		{"the client pushes a payment of 12.34 EUR to ACME", "RAR-2-1", orderPayment},
		{"the user reads what she is asked for", "RAR-3.1-2", readPayment},
		{"a payee whose name would read as another is shown for what it is", "RAR-12-3", readLookalike},
		{"another payment in the browser's URL counts for nothing", "RAR-12-1", readWithMore},
		{"she agrees, and chooses one of her accounts", "RAR-7.1-1", agreeToPayment},
		{"the token response says what was granted, account and all", "RAR-7-1", finishPayment},
		{"the client makes the payment, and the API compares", "RAR-9-1", makePayment},
		{"a refreshed token permits the same payment, which is made once", "RAR-7-2", payAgain},
	}
}

// newPayment returns a payment of 12.34 EUR to ACME. No two payments are equal.
func (w *world) newPayment() openbanking.Payment {
	return openbanking.Payment{
		Actions:                           []openbanking.PaymentAction{"initiate"},
		InstructedAmount:                  openbanking.Amount{Currency: "EUR", Amount: "12.34"},
		CreditorName:                      "ACME",
		CreditorAccount:                   openbanking.Account{IBAN: "DE02100100109307118603"},
		RemittanceInformationUnstructured: "Invoice 4711",
		EndToEndIdentification:            openbanking.Text(fmt.Sprintf("order-%d", w.orders.Add(1))),
	}
}

// inJSON returns payments as a JSON array of details.
func (w *world) inJSON(payments ...any) (json.RawMessage, error) {
	details, err := w.app.types.New(openbanking.PaymentType, payments...)
	if err != nil {
		return nil, err
	}
	return json.Marshal(details)
}

func orderPayment(ctx context.Context, f *flow) (err error) {
	f.ordered = f.newPayment()
	if f.session, err = f.app.order(ctx, f.ordered); err != nil {
		return err
	}
	text, err := f.inJSON(f.ordered) // as it was sent
	f.notes = wrap(strings.ReplaceAll(string(text), `,"`, `, "`), width-5)
	return err
}

// wanted contains the lines that the page must show about the payment.
var wanted = []string{
	"Payment", "Amount: 12.34 EUR", "To: ACME", "Account of the payee: DE02 1001 0010 9307 1186 03",
	"From your account: of your choice",
	"Reference: Invoice 4711", "Order number: order-1", "Permission: make the payment",
}

func readPayment(ctx context.Context, f *flow) (err error) {
	f.user, f.pageURL = f.newBrowser(), f.session.URL
	if f.notes, err = f.user.read(ctx, f.pageURL); err == nil && !slices.Equal(f.notes, wanted) {
		err = errors.New("the page says something else")
	}
	return err
}

// readLookalike reads the page for a payee whose name is ACME in Cyrillic
// letters, followed by an invisible character.
func readLookalike(ctx context.Context, f *flow) error {
	payment := f.newPayment()
	payment.CreditorName = "\u0410\u0421\u041c\u0415\u200b"
	session, err := f.app.order(ctx, payment)
	if err != nil {
		return err
	}
	said, err := f.newBrowser().read(ctx, session.URL)
	if err != nil {
		return err
	}
	f.notes = slices.DeleteFunc(said, func(line string) bool { return !strings.HasPrefix(line, "To: ") })
	if !slices.Equal(f.notes, []string{`To: \u{410}\u{421}\u{41c}\u{415}\u{200b}`}) {
		return errors.New("the page does not say so")
	}
	return nil
}

func readWithMore(ctx context.Context, f *flow) error {
	f.pageURL += "&" + url.Values{"authorization_details": {`[{"type":"payment_initiation","creditorName":"Mallory"}]`},
		"scope": {"payments"}}.Encode()
	said, err := f.user.read(ctx, f.pageURL)
	if err == nil && !slices.Equal(said, wanted) {
		err = errors.New("the page says something else")
	}
	return err
}

func agreeToPayment(ctx context.Context, f *flow) (err error) {
	if f.answerURL, err = f.user.decide(ctx, f.pageURL, "allow"); err != nil {
		return err
	}
	said, err := f.answerIn(f.answerURL)
	if err == nil && said.Get("code") == "" {
		err = fmt.Errorf("the answer says %s", strings.Join(interesting(said), ", "))
	}
	return err
}

// finishAnswer passes the authorization response to the client.
func (f *flow) finishAnswer(ctx context.Context) (err error) {
	response, err := queryOf(f.answerURL)
	if err != nil {
		return err
	}
	f.token, err = f.app.Finish(ctx, f.session, response)
	return err
}

func finishPayment(ctx context.Context, f *flow) (err error) {
	if err := f.finishAnswer(ctx); err != nil {
		return err
	}
	if f.payment, err = f.app.granted(f.token, f.ordered); err != nil {
		return err
	}
	said, err := rar.Get[openbanking.Payment](f.payment)
	if err != nil || said.DebtorAccount == nil || said.DebtorAccount.IBAN != "DE89370400440532013000" ||
		f.token.Extra("scope") != "" {
		return errors.Join(errors.New("the token is for something else"), err)
	}
	f.notes = wrap(f.summary(rar.Details{f.payment}), width-5)
	return nil
}

func makePayment(ctx context.Context, f *flow) error { return f.app.pay(ctx, f.token, f.payment) }

func payAgain(ctx context.Context, f *flow) (err error) {
	if f.token, err = f.app.Refresh(ctx, f.token.RefreshToken, client.Request{}); err != nil {
		return err
	}
	again, err := f.app.granted(f.token, f.ordered)
	if err != nil || !again.Equal(f.payment) {
		return errors.Join(errors.New("the token is for something else"), err)
	}
	if err = f.app.pay(ctx, f.token, f.payment); err == nil || !strings.Contains(err.Error(), codeAlreadyMade) {
		return fmt.Errorf("the API answers %v", err)
	}
	return nil
}

// summary describes details in one line.
func (f *flow) summary(details rar.Details) string {
	var parts []string
	for _, d := range describe(details) {
		text := []string{d.Title}
		for _, field := range d.Fields {
			text = append(text, field.Label+": "+field.Value)
		}
		parts = append(parts, strings.Join(text, ", "))
	}
	return strings.Join(parts, "; ")
}
