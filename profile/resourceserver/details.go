package resourceserver

import (
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/rar"
)

// tokenDetails are the details of a request's access token that are for this
// API. They are parsed once, at the first use.
type tokenDetails struct {
	registry *rar.Registry
	resource string // of the API
	once     sync.Once
	details  rar.Details
	err      error
}

// errTokenDetails is for tokens that this API cannot read: those who run it and the server have types of one name that differ.
var errTokenDetails = oautherr.New("resourceserver: the authorization details of a token", oautherr.ServerError, http.StatusInternalServerError, "")

// Details returns the granted details that are for this API and whose types are
// in [Config.AuthorizationDetails]. It omits details of other
// types and details whose locations are at other APIs (RFC 9396 §12).
//
// It returns a server_error if a detail is not valid under its type, or if the
// resource server has no types. The client cannot correct that, and nothing is
// permitted.
func (t *Token) Details() (rar.Details, error) {
	d := t.details
	if d == nil || d.registry == nil {
		return nil, fmt.Errorf("%w: the resource server has no types of them", errTokenDetails)
	}
	d.once.Do(func() {
		all, err := wire.KnownDetails(d.registry, t.claims.AuthorizationDetails(), d.registry.Types())
		if err != nil {
			d.err = fmt.Errorf("%w: %w", errTokenDetails, err)
			return
		}
		d.details = all.ForResource(d.resource, t.claims.Audience()...) // RAR-12-4
	})
	return slices.Clone(d.details), d.err
}

// errMissingDetail is what an API answers that was asked for more than was granted (RFC 6750 §3.1).
var errMissingDetail = oautherr.New("resourceserver: authorization detail not granted", "insufficient_scope", http.StatusForbidden, "the token does not permit this")

// CheckDetails returns an insufficient_scope error for
// [Server.WriteError] unless the token permits all details in want. The
// API makes want with [rar.Registry.New] from the operation that it is about to
// perform. The error names the type of the first missing detail, or the missing
// scope.
//
// The token must have the details for this API ([Token.Details]) and the scopes
// that go with them (rar.TypeConfig.Scope). A detail in want with locations at
// other APIs is not permitted. An empty want is an error.
func (t *Token) CheckDetails(want rar.Details) error {
	granted, err := t.Details()
	if err != nil {
		return err
	}
	for _, scope := range want.Scopes() {
		if err := t.CheckScope(scope); err != nil {
			return oautherr.Describe(err, "the token lacks the scope "+scope)
		}
	}
	for i := range want {
		if len(want[i:i+1].ForResource(t.details.resource, t.Audience()...)) == 0 { // RAR-13-1: what a request says of locations widens nothing
			description := fmt.Sprintf("authorization_details[%d].locations (%s): not this resource server", i, want[i].Type())
			return oautherr.Describe(fmt.Errorf("%w: %s", errMissingDetail, description), description)
		}
	}
	err = granted.Covers(want)
	if err == nil {
		return nil
	}
	description := "the token does not permit this"
	if len(want) > 0 {
		if _, missing, _ := oautherr.From(err); missing != "" {
			description += ": " + missing
		}
	}
	return oautherr.Describe(fmt.Errorf("%w: %w", errMissingDetail, err), description)
}

// Allows answers a request that wants more than its token permits, with status 403 and insufficient_scope, and reports false;
// the API then does nothing more. It is [Token.CheckDetails] for a request that has passed [Server.Require].
func (s *Server) Allows(w http.ResponseWriter, r *http.Request, want rar.Details) bool {
	token, ok := TokenFromContext(r.Context())
	var err error
	if !ok {
		err = fmt.Errorf("resourceserver: Allows for a request that has not passed Require")
	} else {
		err = token.CheckDetails(want)
	}
	if err != nil {
		s.WriteError(w, r, err, want.Scopes()...)
	}
	return err == nil
}
