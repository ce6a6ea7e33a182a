// Package openbanking has types of rich authorization requests (RAR, RFC 9396) for
// banks: account information with an expiry, a single payment, recurring payments
// within limits, and confirmation of funds.
//
// [Types] returns all four under the names [AccountInformationType], [PaymentType],
// [RecurringPaymentType] and [FundsConfirmationType]. [NewAccountInformation],
// [NewPayment], [NewRecurringPayment] and [NewFundsConfirmation] make one type
// each, under any name. The types for payments and account information accept the
// RFC's own examples. Each type describes its details in English and German.
//
// # Amounts
//
// An [Amount] is a decimal number in a JSON string, "12.34", with at most as many
// decimals as the currency has minor units (ISO 4217). It has no sign, exponent,
// leading zero or separator. Amounts are compared exactly and only within one
// currency: "12.3" and "12.30" are one amount.
//
// # Accounts
//
// An IBAN is accepted in its electronic form alone: upper case, no spaces, right
// check digits. Other forms are rejected and not repaired, so that one account has
// one spelling. Descriptions show an IBAN in groups of four. Accounts without IBAN
// have a scheme and an identification of that scheme, compared as strings.
//
// # What is within what
//
// A payment covers only itself and not a smaller payment: a user who agreed to
// 12.34 EUR has not agreed to 10. A limit of a recurring payment covers a lower
// limit, an expiry covers an earlier expiry, and a list of permissions or
// accounts covers its subsets. If a request names no account, the user chooses
// one. These types permit that enrichment and no other (RFC 9396 §7.1). The
// order of actions, accounts and locations does not matter.
//
// A payment without actions permits only the initiation of the payment.
// Descriptions show this.
//
// # What it does not do
//
// The package does not count uses. Package uses records that a payment was
// made. An API counts how much of a recurring payment's limits is used up. The
// package does not compare dates with today's date. An API requests coverage of
// a detail whose validUntil is today.
package openbanking
