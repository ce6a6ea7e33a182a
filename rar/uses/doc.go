// Package uses records that a permission was used, so that one consent to a payment
// is one payment, however often and in whatever spelling it is ordered
// (authorization details, RFC 9396).
//
// An API calls [Uses.Once] with the detail that was granted, before it does what the
// detail permits. One call wins, in all processes that share the [Store]. A retry of
// the same attempt gets the result of the first call. Every other call gets
// [ErrUsed] and the result of the first one.
//
// # A payment API
//
// A resource server that makes payments does five things, in this order:
//
//  1. It makes the detail that it needs by itself: initiate this payment, here. The
//     actions and locations of an order never decide. [rar.Details.Covering], or
//     Payment.PermittedBy of package openbanking, returns the granted detail.
//  2. It checks everything that may reject the order, for example the balance. A use
//     cannot be taken back.
//  3. It makes the ID of the payment and calls Once with the ID as the result and the
//     client's idempotency key as the attempt.
//  4. It makes the payment under the ID that Once returns, so that a second execution
//     under the same ID changes nothing: a unique key in its own database, for
//     example.
//  5. It responds with the ID: 201, or 409 if the error is ErrUsed.
//
// The process may end between the third step and the fourth. The client then retries
// with the same idempotency key, receives the same ID, and the payment is completed
// under it. After an error of the store the API does not know whether the use was
// recorded; the same retry resolves that too. The API makes no payment after an
// error, except that it may complete the payment whose ID comes with ErrUsed.
//
// # What one permission is
//
// The record belongs to the grant and to what of the detail can be used once
// ([rar.Detail.Single]). Therefore a token that was refreshed or narrowed is not a
// second permission, and neither is another spelling. A new consent is a new grant
// and a new permission. Two payments in one grant that are alike in all that
// matters are one permission; a client tells them apart by their end-to-end
// identifications.
//
// # Counting more
//
// Once counts to one, for a recurring payment as well. For standing orders and
// limits, n times or a sum within a period, an API counts in a transaction of its
// own database. It locks the row whose key [Uses.Key] returns and adds up the
// payments recorded under it. It compares the sum with the limits of the detail in
// the token, and inserts the payment. The key is the same for every narrower detail
// of the grant, so that a token with lower limits does not start from zero.
//
// The package does not know tokens: the host passes the grant's ID from a verified
// token. It does not know whether what was permitted was done.
package uses
