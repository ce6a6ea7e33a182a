package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/rar/openbanking"
)

// This file has attacks on rich authorization requests: changes of a payment
// that the user has consented to.

func onOrder(name, clause string, status int, code string, spoil change[*call]) attack {
	return against(newOrder, http.StatusCreated, name, clause, status, code, spoil)
}

// payments are attacks on the API with a valid token and a payment that it does
// not permit.
func payments(c combination) []attack {
	return slices.Concat(otherPayments(), misusedPayments(), either(c.advanced(), []attack{
		onOrder("an introspection of a larger payment, old signature", "MS-5.5.2-2", 401,
			"invalid_token", func(_ context.Context, c *call) error {
				err := c.edit(func(p *openbanking.Payment) { p.InstructedAmount.Amount = "123.40" })
				c.w.meddler.meddle(func(body string) (string, string, error) {
					changed, err := reforge(body, keep(body), func(_, claims object) {
						set(claims["token_introspection"].(object), c.asGranted())
					})
					return signedAnswer, changed, err
				})
				return err
			}),
	}, nil))
}

// otherPayments are orders of a payment that differs from the granted one.
func otherPayments() []attack {
	other := func(name, says string, change func(p *openbanking.Payment)) attack {
		return onOrder(name, "SP-5.3.4-4", 403, "insufficient_scope", func(_ context.Context, c *call) error {
			return c.edit(change)
		}).
			saying("authorization_details[0]." + says + " (payment_initiation)")
	}
	return []attack{
		other("a payment of ten times as much", "instructedAmount", func(p *openbanking.Payment) {
			p.InstructedAmount.Amount = "123.40"
		}),
		other("a payment of a cent less", "instructedAmount", func(p *openbanking.Payment) {
			p.InstructedAmount.Amount = "12.33"
		}),
		other("a payment of as many dollars", "instructedAmount", func(p *openbanking.Payment) {
			p.InstructedAmount.Currency = "USD"
		}),
		other("a payment to another creditor", "creditorName", func(p *openbanking.Payment) {
			p.CreditorName = "ACME Holding"
		}),
		other("a payment to another account", "creditorAccount", func(p *openbanking.Payment) {
			p.CreditorAccount.IBAN = "DE75512108001245126199"
		}),
		onOrder("a payment to a creditor that looks alike", "RAR-12-2", 403, "insufficient_scope",
			func(_ context.Context, c *call) error {
				return c.edit(func(p *openbanking.Payment) {
					p.CreditorName = "\u0410\u0421\u041c\u0415" // in Cyrillic
				})
			}).saying("creditorName"),
		other("a payment from another account", "debtorAccount", func(p *openbanking.Payment) {
			p.DebtorAccount.IBAN = "DE75512108001245126199"
		}),
		other("a payment for another order", "endToEndIdentification", func(p *openbanking.Payment) {
			p.EndToEndIdentification = "order-0"
		}),
	}
}

// misusedPayments are orders that repeat a payment or use the wrong permission.
func misusedPayments() []attack {
	return []attack{
		onOrder("the same payment a second time", "SP-5.3.4-4", 409, codeAlreadyMade,
			func(ctx context.Context, c *call) error {
				_, err := succeed(ctx, c)
				return err
			}),
		onOrder("the same payment, spelled differently", "SP-5.3.4-4", 409, codeAlreadyMade,
			func(ctx context.Context, c *call) error {
				_, err := succeed(ctx, c)
				c.body = strings.Replace(c.body, `["initiate"]`, `["initiate","initiate"]`, 1)
				return err
			}),
		onOrder("a payment with permission for status only", "SP-5.3.4-4", 403, "insufficient_scope",
			grantedInstead(func(w *world, p *openbanking.Payment) {
				p.Actions = []openbanking.PaymentAction{"status"}
			})).saying("actions"),
		onOrder("a payment with a detail for another API", "RAR-13-1", 403, "insufficient_scope",
			grantedInstead(func(w *world, p *openbanking.Payment) {
				p.Locations = []string{otherAPI}
			}, "accounts")),
		onOrder("a payment with two amounts", "SP-5.3.4-4", 400, codeBadOrder, one(func(c *call) {
			c.body = strings.Replace(c.body, `"amount":`, `"amount":"1234.00","amount":`, 1)
		})),
		onOrder("a payment with a token that has no details", "SP-5.3.4-4", 403, "insufficient_scope",
			func(ctx context.Context, c *call) error {
				token, err := c.w.newToken(ctx)
				if err == nil {
					c.token = token.AccessToken
				}
				return err
			}),
		onOrder("the accounts with a token for a payment", "SP-5.3.4-4", 403, "insufficient_scope", one(func(c *call) {
			c.method, c.url, c.body = http.MethodGet, c.w.api()+"/accounts", ""
		})),
		onOrder("a payment written into the token, old signature", "SP-5.3.4-3", 401, "invalid_token",
			func(_ context.Context, c *call) (err error) {
				if err = c.edit(func(p *openbanking.Payment) { p.InstructedAmount.Amount = "123.40" }); err == nil {
					c.token, err = reforge(c.token, keep(c.token), with(object{}, c.asGranted()))
				}
				return err
			}),
	}
}

// grantedInstead lets the user grant another permission for the same payment.
// The scopes are requested for both APIs, so the token is valid at both.
func grantedInstead(change func(w *world, p *openbanking.Payment), scopes ...string) change[*call] {
	return func(ctx context.Context, c *call) error {
		payment := c.w.newPayment()
		order, err := c.w.inJSON(payment)
		if err != nil {
			return err
		}
		change(c.w, &payment)
		asked, err := c.w.inJSON(payment)
		if err != nil {
			return err
		}
		token, err := c.w.ask(ctx, client.Request{Scopes: scopes, AuthorizationDetails: asked,
			Resources: []string{c.w.apiURL, otherAPI}})
		if err != nil {
			return err
		}
		c.token, c.body = token.AccessToken, strings.Trim(string(order), "[]")
		return nil
	}
}

// asGranted returns a claim that would grant the order.
func (c *call) asGranted() object {
	return object{"authorization_details": json.RawMessage("[" + c.body + "]")}
}

// rewrite changes the details of a request as text. A client of this library
// sends only valid JSON, an attacker may send anything.
func rewrite(old, replacement string) change[*post] {
	return func(_ context.Context, p *post) error {
		before := p.form.Get("authorization_details")
		if !strings.Contains(before, old) {
			return errors.New("the request does not have what is to be changed")
		}
		p.setDetails(strings.Replace(before, old, replacement, 1))
		return nil
	}
}

// details replaces the details.
func details(raw string) change[*post] { return one(func(p *post) { p.setDetails(raw) }) }

// setDetails sets the details unchanged, in the request object if there is one.
func (p *post) setDetails(raw string) {
	if p.signed == nil {
		p.form.Set("authorization_details", raw)
		return
	}
	p.signed.forged = func(good string) (string, error) {
		return reforge(good, es256(p.w.ours.auth),
			with(object{}, object{"authorization_details": json.RawMessage(raw)}))
	}
}

// addDetails adds a new payment to a request without payments.
func addDetails(_ context.Context, p *post) error {
	raw, err := p.w.inJSON(p.w.newPayment())
	p.setDetails(string(raw))
	return err
}

// widenings are attacks on the token endpoint. A token request can only narrow
// the grant.
func widenings() []attack {
	const code = "invalid_authorization_details"
	wider := func(name, old, replacement string) attack {
		return against(newPaymentRefresh, http.StatusOK, name, "RAR-6-2", 400, code, rewrite(old, replacement))
	}
	return []attack{
		onCode("a code with a payment added to it", "RAR-6-2", 400, code, addDetails),
		onRefresh("a refresh token with a payment added to it", "RAR-6-2", 400, code, addDetails),
		onClient("a payment that no user has agreed to", "RAR-6-2", 400, code, addDetails),
		wider("a refresh token for a larger payment", `"12.34"`, `"123.40"`),
		wider("a refresh token for a payment to another creditor", `"ACME"`, `"ACME Holding"`),
		wider("a refresh token for a payment from any account",
			`,"debtorAccount":{"iban":"DE89370400440532013000"}`, ""),
		wider("a refresh token for the payment and another one", "[",
			`[{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"1"},"creditorName":"ACME"},`),
		against(newPaymentRefresh, http.StatusOK, "a refresh token for details that are none", "RAR-8-1", 400, code,
			details(`{"type":"payment_initiation"}`)),
	}
}

// badDetails are attacks on the pushed authorization request endpoint. A text
// that two parsers could read differently is not JSON here. In a request object
// it invalidates the object.
func badDetails(c combination) []attack {
	on := func(name, clause string, spoil change[*post]) attack {
		return against(newPaymentPush, http.StatusCreated, name, clause, 400, "invalid_authorization_details", spoil)
	}
	ambiguous := func(name, clause string, spoil change[*post]) attack {
		return against(newPaymentPush, http.StatusCreated, name, clause, 400,
			either(c.advanced(), "invalid_request_object", "invalid_authorization_details"), spoil)
	}
	return []attack{
		ambiguous("details with two amounts", "RAR-2-1", rewrite(`"amount":`, `"amount":"1234.00","amount":`)),
		ambiguous("details with amount and Amount", "RAR-2-1", rewrite(`"amount":`, `"Amount":"1234.00","amount":`)),
		ambiguous("details that are no array", "RAR-2-1", details(`{"type":"payment_initiation"}`)),
		on("details with Type in place of type", "RAR-2-2", rewrite(`"type":`, `"Type":`)),
		on("details of a type that the client may not use", "RAR-10-2",
			details(`[{"type":"account_information","actions":["list_accounts"]}]`)).
			saying("type not allowed"),
		on("details of a type that does not exist", "RAR-5-1",
			rewrite(`"payment_initiation"`, `"payment_refund"`)).saying("unknown type"),
		on("details with an unknown member", "RAR-5-2",
			rewrite(`"creditorName":`, `"urgent":true,"creditorName":`)).saying("authorization_details[0].urgent"),
		on("details with an amount that is a number", "RAR-5-3",
			rewrite(`"12.34"`, `12.34`)).saying("instructedAmount.amount"),
		on("details with a tenth of a cent", "RAR-5-4",
			rewrite(`"12.34"`, `"12.345"`)).saying("instructedAmount.amount"),
		on("details with a wrong digit in an IBAN", "RAR-5-4",
			rewrite(`"DE02`, `"DE03`)).saying("creditorAccount.iban"),
		on("details without a creditor", "RAR-5-5", rewrite(`"creditorName":"ACME",`, "")).saying("creditorName"),
		on("details for an unknown location", "RAR-2.2-1",
			rewrite(`"creditorName":`, `"locations":["https://unknown.example/api"],"creditorName":`)).
			saying("locations"),
		on("an array of 10,000 details", "RAR-5-4", details("["+strings.Repeat("{},", 9999)+"{}]")).saying("too large"),
	}
}
