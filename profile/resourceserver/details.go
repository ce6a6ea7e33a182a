package resourceserver

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/rar"
)

// errTokenDetails means that the API and the authorization server have
// different types of the same name.
var errTokenDetails = oautherr.New("resourceserver: malformed authorization details of a token",
	oautherr.ServerError, http.StatusInternalServerError, "")

// errMissingDetail means that the token does not permit the operation (RFC 6750
// §3.1).
var errMissingDetail = oautherr.New("resourceserver: authorization detail not granted",
	"insufficient_scope", http.StatusForbidden, "the token does not permit this")

// Details returns the granted details that are for this API and whose types are
// in [Config.AuthorizationDetails]. It omits details of other types and details
// whose locations are at other APIs (RFC 9396 §12).
//
// It returns a server_error if a detail is not valid under its type, or if the
// resource server has no types. The client cannot correct that, and nothing is
// permitted.
func (t *Token) Details() (rar.Details, error) {
	if t.server == nil || t.server.cfg.AuthorizationDetails == nil {
		return nil, fmt.Errorf("%w: missing Config.AuthorizationDetails", errTokenDetails)
	}
	t.parseDetails.Do(func() {
		registry := t.server.cfg.AuthorizationDetails
		all, err := wire.KnownDetails(registry, t.claims.AuthorizationDetails(), registry.Types())
		if err != nil {
			t.detailsErr = fmt.Errorf("%w: %w", errTokenDetails, err)
			return
		}
		t.details = all.ForResource(t.server.cfg.Resource, t.claims.Audience()...) // RAR-12-4
	})
	return slices.Clone(t.details), t.detailsErr
}

// CheckDetails returns an insufficient_scope error for [Server.WriteError]
// unless the token permits all details in want. The API makes want with
// [rar.Registry.New] from the operation that it is about to perform. The error
// names the type of the first missing detail, or the missing scope.
//
// The token must have the details for this API ([Token.Details]) and the scopes
// of their types ([rar.TypeConfig]). A detail in want with locations at other
// APIs is not permitted. An empty want is an error.
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
		// RAR-13-1: the locations in a request do not extend the token.
		if len(want[i:i+1].ForResource(t.server.cfg.Resource, t.Audience()...)) == 0 {
			const format = "authorization_details[%d].locations (%s): not this resource server"
			description := fmt.Sprintf(format, i, want[i].Type())
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

// Allows reports whether the token of a request permits all details in want:
// see [Token.CheckDetails]. The request has passed [Server.Require] or
// [Server.Authorize]. If the token does not permit them, Allows writes the
// response, insufficient_scope with status 403, and the caller returns.
func (s *Server) Allows(w http.ResponseWriter, r *http.Request, want rar.Details) bool {
	token, ok := TokenFromContext(r.Context())
	err := errors.New("resourceserver: Allows for a request that is not verified")
	if ok {
		err = token.CheckDetails(want)
	}
	if err != nil {
		s.WriteError(w, r, err, want.Scopes()...)
	}
	return err == nil
}
