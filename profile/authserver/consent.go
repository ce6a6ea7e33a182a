package authserver

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/rar"
)

// ErrNothingGranted reports an [Approval] that grants nothing of the request.
// [Server.WriteAuthorizationError] responds with a denial.
var ErrNothingGranted = oautherr.New("authserver: approval that grants nothing", "access_denied",
	http.StatusForbidden, "nothing was granted")

const (
	scopeOpenID        = "openid"
	scopeOfflineAccess = "offline_access"
)

// Choices returns the scopes that a consent page offers one by one. Three kinds
// of requested scopes are not among them. They are openid and a scope that
// contains the identifier of a consent ([Authorization.Intent]), which every
// approval includes, and scopes that go with requested details
// (rar.TypeConfig.Scope). The user decides about such a scope together with the
// details.
func (a *Authorization) Choices() []string {
	bound := a.details.Scopes()
	return slices.DeleteFunc(slices.Clone(a.scopes), func(scope string) bool {
		return a.isImplied(scope) || slices.Contains(bound, scope)
	})
}

// isImplied reports whether every approval includes a requested scope.
func (a *Authorization) isImplied(scope string) bool {
	return scope == scopeOpenID || scope == a.intentScope
}

// ScopesFor returns the value of [Approval.Scopes] for the user's choices. It
// contains the chosen scopes, the scopes that go with the granted details, and
// the requested scopes that every approval includes: see
// [Authorization.Choices]. It is empty if the user has granted nothing.
//
// The choices can be the values of a form. ScopesFor ignores those that the
// client did not request, because a user can send any form.
func (a *Authorization) ScopesFor(choices []string, details rar.Details) []string {
	scopes := details.Scopes()
	for _, scope := range choices {
		if slices.Contains(a.scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	if len(scopes) > 0 || len(details) > 0 || !a.asks() {
		scopes = a.withImplied(scopes)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// withImplied appends the requested scopes that every approval includes.
func (a *Authorization) withImplied(scopes []string) []string {
	for _, scope := range a.scopes {
		if a.isImplied(scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// asks reports whether the user has to decide anything besides the login.
func (a *Authorization) asks() bool {
	return len(a.details) > 0 || slices.ContainsFunc(a.scopes, func(scope string) bool { return !a.isImplied(scope) })
}

// NamedResources returns the resource servers that a consent page shows:
// [Authorization.Resources], or nothing if they are only the default. One scope
// can mean other data at another resource server. The grant management endpoint
// is not included, because its scopes mean nothing elsewhere.
func (a *Authorization) NamedResources() []string {
	_, named := a.server.split(a.targets)
	if slices.Equal(named, a.server.cfg.Resources[:1]) {
		return nil
	}
	return slices.Clone(named)
}

// checkTogether requires that the client requests the scope of each detail as
// well. Otherwise the user could not grant the two together, and the detail
// alone permits nothing.
func checkTogether(details rar.Details, scopes []string) error {
	for i, d := range details {
		for _, scope := range (rar.Details{d}).Scopes() {
			if !slices.Contains(scopes, scope) {
				return detailError(i, d, "", fmt.Sprintf("goes with the scope %s, which is missing", scope))
			}
		}
	}
	return nil
}

// detailError is an [ErrAuthorizationDetails] that names the detail and the
// member in it, and no value that a peer has sent.
func detailError(index int, d rar.Detail, member, problem string) error {
	text := fmt.Sprintf("authorization_details[%d]%s (%s): %s", index, member, d.Type(), problem)
	return oautherr.Describe(fmt.Errorf("%w: %s", ErrAuthorizationDetails, text), text)
}

// grantedScopes returns the scopes that an approval grants, in their normal
// form. It adds the requested scopes that every approval includes. It omits a
// scope that goes with requested details if the user granted none of them.
func (a *Authorization) grantedScopes(approval Approval) ([]string, error) {
	for _, scope := range approval.Scopes {
		if !slices.Contains(a.scopes, scope) {
			return nil, fmt.Errorf("authserver: approval: unrequested scope %q", scope)
		}
	}
	if err := checkTogether(approval.Details, approval.Scopes); err != nil {
		return nil, fmt.Errorf("authserver: approval: Details without their scope, see ScopesFor: %w", hostError(err))
	}
	bound, granted := a.details.Scopes(), approval.Details.Scopes()
	scopes := slices.DeleteFunc(slices.Clone(approval.Scopes), func(scope string) bool {
		return slices.Contains(bound, scope) && !slices.Contains(granted, scope)
	})
	if len(scopes) == 0 && len(approval.Details) == 0 && a.asks() {
		return nil, ErrNothingGranted
	}
	scopes = a.withImplied(scopes)
	slices.Sort(scopes)
	return slices.Compact(scopes), nil
}

// hostError keeps the text of an error and removes its wire form. A mistake of
// the host is a server_error, even if the same fault in a request has another
// code.
func hostError(err error) error { return errors.New(err.Error()) }

// noRefreshToken reports whether an approval prevents a refresh token. The
// scope offline_access requests a refresh token (OpenID Connect Core §11). A
// client that requested this scope receives a refresh token only if the user
// grants it.
func (a *Authorization) noRefreshToken(approval Approval) bool {
	return approval.NoRefreshToken ||
		slices.Contains(a.scopes, scopeOfflineAccess) && !slices.Contains(approval.Scopes, scopeOfflineAccess)
}
