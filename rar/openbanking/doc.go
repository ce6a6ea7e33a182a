// Package openbanking has types of rich authorization requests (RAR, RFC 9396) for banks: account information with an
// expiry, a single payment, recurring payments within limits, and confirmation of funds.
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
// An IBAN is taken in its electronic form alone: upper case, no spaces, right check digits. What is printed differently is
// refused and not repaired, so that one account has one spelling and strings are compared as they are (§12). Descriptions
// show it in groups of four. Accounts without IBAN have a scheme and an identification of that scheme, compared as strings.
//
// # What is within what
//
// A payment covers itself alone, not a smaller one: who agreed to 12.34 EUR has not agreed to 10. A limit of a recurring
// payment covers a lower one, an expiry covers an earlier one, a list of permissions or accounts covers its parts. An account
// that is left out of a request is chosen by the user, which is the enrichment that these types permit (§7.1).
//
// A payment without actions is the permission to initiate it, and nothing else.
// Descriptions say so.
//
// # What it does not do
//
// It counts nothing. Package uses records that a payment was made; how much of a
// recurring payment's limits is used up is for the API to count. It compares no
// date with today's: an API asks for a detail whose validUntil is today.
package openbanking
