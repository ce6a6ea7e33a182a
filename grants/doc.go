// Package grants implements Grant Management for OAuth 2.0 (draft 03, which is the first Implementer's Draft, with the names
// of draft 04), for both sides.
//
// A grant is what one user has permitted one client. It gets an identifier of its own, outlives the tokens issued for it, and
// can be added to, replaced, looked at and revoked: what open banking laws call a consent, an arrangement or a mandate. A
// server whose clients ask once and then refresh until the user logs in again has no need of it.
//
// # Authorization servers
//
// A [Manager] keeps the grants. It meets an authorization server's own code at five places:
//
//   - when a request is pushed, and again when the browser comes with it: [Manager.Check] on its parameters;
//   - when the user has logged in: [Manager.Existing], which says whether the grant is this user's, and what it has now;
//   - when the user has consented: [Manager.Prepare], whose [Change] is kept with the code;
//   - when the code is redeemed, before it is marked so: [Manager.Claim]. The grant it returns says what the tokens can be for,
//     and its ID goes into the token response as grant_id;
//   - at each refresh, as late as possible: [Manager.CheckRefresh].
//
// [NewHandler] answers the clients' queries and revocations. Package profile does all of this when it is given a Manager.
// [ManagerConfig].Events is where access tokens get revoked, audit rows written and other parties told.
//
// One server process needs no [Store] if it may forget its grants; package granttest tells whether a store keeps the contract.
//
// # Clients
//
// A client asks with grant_management_action and grant_id in its authorization request, finds grant_id in the token response,
// and has to keep it, as there is no list to be had. [Client] queries and revokes. New tokens for a grant whose refresh token
// was lost come from a request with the action merge (§3.7).
//
// # Where the specification leaves a choice
//
// A change is claimed, not approved. The draft has a grant changed when the user consents; here it happens when the code is
// redeemed. Merge and replace end the refresh tokens that the client has, so a client that loses the authorization response
// would otherwise stand without any; and nobody can tell the difference, since a grant's identifier is first seen in the
// token response. An approval that nobody claims times out (§5.6.1) by being forgotten with its code.
//
// A claim is made once for each authorization. Repeated, because the answer was lost or the code replayed, it returns the
// grant and changes nothing; after a later merge or replace it is refused. That a code was replayed is a reason to revoke the
// tokens of that authorization and not the grant: the thief never had more than a code.
//
// Changes are one after the other, in the order of their claims. A merge that comes after a replace adds to what has been
// replaced; a replace after a merge leaves what it has itself. The user has consented to each, and no consent is lost or
// half made. After a revocation or the expiry no claim succeeds, whatever was approved before: a grant does not come back.
//
// Merge is a union: of scope values for each resource, of claims, and of authorization details by the host's rules
// ([ManagerConfig].MergeDetails). It keeps the expiry unless the approval sets one. Replace takes everything from the approval,
// expiry included.
//
// The access tokens of earlier authorizations live on after a merge, which has taken nothing from them; after a replacement
// they are in [Event].EndedAccess.
//
// A missing grant_id with merge or replace is an invalid_request. A grant_id that is unknown, another client's, another user's
// or over is an invalid_grant_id in each case, so that nobody learns which. That it is another user's is known after the
// login only: the client is told by an error response then, not the user by an error page.
//
// At the API the grant of another client or user is not found (404), as if it did not exist: 403 would say that it does. A
// token that stands for a user reaches that user's grants alone; one that the client has got for itself reaches all of the
// client's. A grant that was revoked or has expired is not found either: the draft's answer has no member for a status, and
// with 200 it would pass for a live grant. So DELETE repeated after its 204 gives 404, which means success to a client.
//
// Revocation comes first, then the telling. A revocation is in the store before [ManagerConfig].Events hears of it; if that
// fails the answer is 503, the grant is dead all the same, and DELETE repeated delivers what is missing and gives 204. The
// same holds for claims. A code being redeemed or a token being refreshed at that moment either comes too late, or
// its authorization is among EndedAccess, so that the token is dead before it has been seen. See [Event] for what is promised.
//
// Where several people have to agree (a joint account), the grant has at each time what all of them have agreed to so far:
// the first approval creates it, perhaps with little or nothing in it, and [Manager.Update] adds to it with each further one,
// or takes away. Refresh tokens stay good, and what they bring follows the grant.
//
// Expiry needs no event to take effect and no job to be run. A host that wants one calls [Manager.Expire].
//
// # Consents elsewhere
//
// Some ecosystems store a consent in another system, with its own identifier. A
// host that knows this identifier at the approval stores it in [Approval].Data.
// [Manager.Update] follows changes of that consent, and [Manager.Withdraw]
// follows its end. The package does not define a parameter or a scope that
// carries such an identifier in an authorization request.
//
// # What it does not do
//
// It issues no tokens and knows none: it knows authorizations, by identifiers that the host chooses. It does not authenticate
// clients or users, shows no pages, and understands no type of authorization details. Revoking a token (RFC 7009) leaves its
// grant as it is. A host that wants otherwise calls [Manager.Revoke] as well.
package grants
