// Package grants implements Grant Management for OAuth 2.0, for authorization
// servers and for clients. It implements draft 03, which is the first
// Implementer's Draft, with the member names of draft 04.
//
// A grant is the set of permissions that one user has given to one client. It
// has an identifier and outlives its tokens. The client can add to it, replace
// it, query it and revoke it. Open banking laws call it a consent, an
// arrangement or a mandate.
//
// An authorization server calls a [Manager] at five points:
//
//   - [Manager.Check], when a request is pushed and when the browser sends it;
//   - [Manager.Existing], when the user has logged in;
//   - [Manager.Prepare], when the user has consented. The host stores the
//     [Change] with the code;
//   - [Manager.Claim], when the code is redeemed and before it is consumed. The
//     change takes effect here, and merge and replace end older refresh tokens;
//   - [Manager.CheckRefresh], at each refresh, as late as possible.
//
// [NewHandler] serves queries and revocations. [ManagerConfig].Events revokes
// access tokens. Package profile does all of this.
//
// A client sends grant_management_action and grant_id in its authorization
// request and stores the grant_id of the token response. [Client] queries and
// revokes.
//
// The package issues no tokens, authenticates neither clients nor users and
// does not interpret authorization details. Sections without a name, such as
// §5.4, are those of the draft. docs/grant-management.md explains the semantics
// and the decisions.
package grants
