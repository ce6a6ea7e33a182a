// Package uses records that a permission was used (authorization details, RFC
// 9396). One consent to a payment permits one payment, even if the client
// orders it several times or in another spelling.
//
// An API calls [Uses.Once] with the granted detail before it performs the
// operation that the detail permits. One call wins across all processes that
// share the [Store]. A retry of the same attempt receives the result of the
// first call. Every other call receives [ErrUsed] and that result.
//
// # A payment API
//
// A resource server that makes payments does five things, in this order:
//
//  1. It reads the order: [rar.Registry.New] accepts the request's body as a
//     json.RawMessage, and [rar.Get] returns the Go struct. It makes the detail
//     that it needs by itself: initiate this payment, here. The actions and
//     locations of an order never decide. [rar.Details.Covering], or
//     Payment.PermittedBy of package openbanking, returns the granted detail.
//  2. It checks everything that may reject the order, for example the balance.
//     A use cannot be taken back.
//  3. It makes the ID of the payment and calls Once with the ID as the result
//     and the client's idempotency key as the attempt.
//  4. It makes the payment under the ID that Once returns. The ID is a unique
//     key in its own database, for example, so that a second execution changes
//     nothing.
//  5. It responds with the ID: 201, or 409 if the error is ErrUsed.
//
// The process may end between the third step and the fourth. The client then
// retries with the same idempotency key and receives the same ID, and the API
// completes the payment under that ID. After an error of the store the API does
// not know whether the use was recorded. The same retry resolves that too. The
// API makes no payment after an error, with one exception: it may complete the
// payment whose ID comes with ErrUsed.
//
// # What one permission is
//
// A record identifies the grant and the part of the detail that can be used
// once ([rar.Detail.Single]). A refreshed or narrowed token is therefore not a
// second permission, and neither is another spelling. A consent in a new grant
// is a new permission. A consent that is merged into an existing grant is not,
// if the payment was there already. Two payments in one grant are one
// permission if they differ only in members that can be narrowed. Different
// end-to-end identifications make them two permissions.
//
// A new version of a type with another Normalize or Single makes new keys. Used
// permissions can be used again under these keys. Deploy such a version under a
// new type name.
//
// # Counting more
//
// Once permits one use, for a recurring payment as well. For standing orders
// and limits (n times, or a sum within a period) an API counts in a transaction
// of its own database. The API locks the row with the key of [Uses.Key] and
// adds up the payments recorded there. It compares the sum with the limits of
// the detail in the token, and inserts the payment. All narrower details of the
// grant have the same key, so a token with lower limits does not start from
// zero.
//
// The package does not parse tokens: the host passes the grant's ID from a
// verified token. In package profile these are Token.Details and Token.GrantID.
// Authorization servers write the ID if GrantIDInTokens is on. The package does
// not know whether the API completed the operation.
package uses
