// Package openbanking has types of rich authorization requests (RAR, RFC 9396)
// for banks. They are account information with an expiry, a single payment,
// recurring payments within limits, and confirmation of funds.
//
// [NewRegistry] returns a registry with all four types under their default
// names.
// [NewAccountInformation], [NewPayment], [NewRecurringPayment] and
// [NewFundsConfirmation] each make one type, under any name. The types for
// payments and account information accept the examples of RFC 9396. Each type
// describes its details in English and German.
//
// An [Amount] is a decimal number in a JSON string, for example "12.34".
// Amounts are compared exactly and only within one currency: "12.3" and "12.30"
// are one amount. An [IBAN] has no spaces and correct check digits. Other forms
// are rejected and not corrected, so that one account has one spelling.
//
// A payment covers only itself and not a smaller payment. A limit covers a
// lower limit, an expiry covers an earlier expiry, and a list covers its
// subsets. If a request has no account, the user chooses one. The types permit
// no other enrichment (RFC 9396 §7.1).
//
// The package does not count uses. Package uses records that a payment was
// made, and an API counts how much of a limit is left. The package does not
// compare dates with today's date. An API requests coverage of a detail whose
// validUntil is today.
package openbanking
