package profile

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/rar"
)

// ErrNothingGranted reports an [Approval] that grants none of what was requested.
// [AuthorizationServer.WriteAuthorizationError] makes a denial of it.
var ErrNothingGranted = oautherr.New("profile: approval that grants nothing", "access_denied", http.StatusForbidden, "nothing was granted")

const (
	scopeOpenID        = "openid"
	scopeOfflineAccess = "offline_access"
)

// Choices returns the scopes that a consent page offers one by one. Two kinds of
// requested scopes are not among them: openid, which every approval includes,
// and scopes that go with requested details (rar.TypeConfig.Scope). The user
// decides about such a scope together with the details.
func (a *Authorization) Choices() []string {
	bound := a.details.Scopes()
	return slices.DeleteFunc(slices.Clone(a.scopes), func(scope string) bool {
		return scope == scopeOpenID || slices.Contains(bound, scope)
	})
}

// ScopesFor returns the value of [Approval.Scopes] for what the user has agreed
// to: the choices, the scopes that go with the granted details, and openid if it
// was requested. The result is empty if the user has agreed to nothing.
func (a *Authorization) ScopesFor(choices []string, details rar.Details) []string {
	scopes := slices.Concat(choices, details.Scopes())
	if slices.Contains(a.scopes, scopeOpenID) && (len(scopes) > 0 || len(details) > 0 || !a.asks()) {
		scopes = append(scopes, scopeOpenID)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

// asks reports whether the user has something to decide beside the login.
func (a *Authorization) asks() bool {
	return len(a.details) > 0 || slices.ContainsFunc(a.scopes, func(scope string) bool { return scope != scopeOpenID })
}

// NamedResources returns the resource servers that a consent page names: those of
// [Authorization.Resources], unless they are the default alone. The same scope
// can mean other data at another resource server. The grant management endpoint
// is not among them, since its scopes mean nothing elsewhere.
func (a *Authorization) NamedResources() []string {
	_, named := a.server.split(a.targets)
	if slices.Equal(named, a.server.cfg.Resources[:1]) {
		return nil
	}
	return slices.Clone(named)
}

// checkTogether requires that the scope of each detail is requested as well.
// Otherwise the user could not grant the two together, and the detail alone
// permits nothing.
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

// grantedScopes returns the scopes that an approval grants, in their normal form:
// with openid where it was requested, and without scopes that go with requested
// details of which the user has granted none.
func (a *Authorization) grantedScopes(approval Approval) ([]string, error) {
	for _, scope := range approval.Scopes {
		if !slices.Contains(a.scopes, scope) {
			return nil, fmt.Errorf("profile: approval: scope %q was not asked for", scope)
		}
	}
	if err := checkTogether(approval.Details, approval.Scopes); err != nil {
		return nil, fmt.Errorf("profile: approval: Details without their scope, see ScopesFor: %w", hostError(err))
	}
	bound, granted := a.details.Scopes(), approval.Details.Scopes()
	scopes := slices.DeleteFunc(slices.Clone(approval.Scopes), func(scope string) bool {
		return slices.Contains(bound, scope) && !slices.Contains(granted, scope)
	})
	if len(scopes) == 0 && len(approval.Details) == 0 && a.asks() {
		return nil, ErrNothingGranted
	}
	if slices.Contains(a.scopes, scopeOpenID) {
		scopes = append(scopes, scopeOpenID)
	}
	slices.Sort(scopes)
	return slices.Compact(scopes), nil
}

// hostError keeps the text of an error and drops its wire form: a mistake of the
// host is a server_error, whatever it would be called in a request.
func hostError(err error) error { return errors.New(err.Error()) }

// noRefreshToken reports whether an approval rules out a refresh token. The scope
// offline_access stands for one (OpenID Connect Core §11): a client that has
// requested it receives none unless the user grants it.
func (a *Authorization) noRefreshToken(approval Approval) bool {
	return approval.NoRefreshToken ||
		slices.Contains(a.scopes, scopeOfflineAccess) && !slices.Contains(approval.Scopes, scopeOfflineAccess)
}
