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
// If the process ends between the third step and the fourth, or after an error
// of the store, the client retries with the same idempotency key and receives
// the same ID. After an error the API makes no payment, except that it may
// complete the payment whose ID comes with ErrUsed.
//
// # What one permission is
//
// A record identifies the grant and the part of the detail that can be used
// once ([rar.Detail.Single]). Another spelling is not a second permission, and
// neither is a refreshed or narrowed token.
// docs/rich-authorization-requests.md explains merged grants, new versions of a
// type, and how to count several uses.
//
// The package does not parse tokens: the host passes the grant's ID from a
// verified token. It does not know whether the API completed the operation.
package uses
