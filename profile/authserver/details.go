package authserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/claims"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/rar"
)

// ErrAuthorizationDetails: RFC 9396 §5, authorization details where there can
// be none, or that were not granted. Package rar has the errors of invalid
// details.
var ErrAuthorizationDetails = oautherr.New("authserver: authorization details rejected",
	"invalid_authorization_details", http.StatusBadRequest, "authorization_details are not possible here")

// errGrantedDetails is what a host grants and cannot: its mistake, whatever it
// would be called in a request.
var errGrantedDetails = oautherr.New("authserver: details that cannot be granted", oautherr.ServerError,
	http.StatusInternalServerError, "")

// checkGranted checks what the host grants against what was asked for (RAR-3-2,
// RAR-7.1-1).
func (s *Server) checkGranted(requested, granted rar.Details) error {
	err := s.cfg.AuthorizationDetails.CheckGrant(requested, granted)
	if err == nil {
		err = s.checkPlaces(granted)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errGrantedDetails, err)
	}
	return nil
}

// details reads the parameter authorization_details (RAR-3-1). A server without
// types rejects it, because ignoring a restriction would widen the request.
func (s *Server) details(client *profile.ClientMetadata, parameter string) (rar.Details, error) {
	if parameter == "" {
		return nil, nil
	}
	if s.cfg.AuthorizationDetails == nil {
		return nil, fmt.Errorf("%w: the server has no types of them", ErrAuthorizationDetails)
	}
	// RAR-5-1, RAR-10-2
	details, err := s.cfg.AuthorizationDetails.Parse([]byte(parameter), client.AuthorizationDetailsTypes)
	if err != nil {
		return nil, err
	}
	return details, s.checkPlaces(details)
}

// storedDetails reads what was granted (RAR-11.2-1). BCP-2.3-1: types that the
// server or the client have lost since are not given out any more. The
// remaining details must still be valid, because otherwise their meaning is
// unknown.
func (s *Server) storedDetails(client *profile.ClientMetadata, raw json.RawMessage) (rar.Details, error) {
	if len(raw) == 0 || s.cfg.AuthorizationDetails == nil {
		return nil, nil
	}
	details, err := wire.KnownDetails(s.cfg.AuthorizationDetails, raw, client.AuthorizationDetailsTypes)
	if err != nil {
		return nil, fmt.Errorf("%w: granted details are no longer valid under their types: %w", ErrStore, err)
	}
	return details, nil
}

// detailsFor returns the details that are for one of these resource servers
// (RAR-9.1-1, RAR-9.2-1, RAR-13-1), nil for none. The guard of a resource
// server applies the same rule, [rar.Details.ForResource], but it knows the
// audience of the token alone. A detail can be for a resource server below one
// of the targets that is not in the audience itself. It is omitted if the
// target would apply it.
func (s *Server) detailsFor(details rar.Details, targets []string) rar.Details {
	var kept rar.Details
	for _, detail := range details {
		one, reached, misread := rar.Details{detail}, false, false
		for _, target := range targets {
			meant := len(one.ForResource(target, s.cfg.Resources...)) > 0
			reached = reached || meant
			misread = misread || !meant && len(one.ForResource(target, targets...)) > 0
		}
		if reached && !misread {
			kept = append(kept, detail)
		}
	}
	return kept
}

// places returns the resource servers that details name by their locations or
// their types. A detail for all resource servers names none.
func (s *Server) places(details ...rar.Detail) []string {
	var places []string
	for _, detail := range details {
		one := rar.Details{detail}
		if len(one.ForResource("")) > 0 {
			continue
		}
		for _, resource := range s.cfg.Resources {
			if len(one.ForResource(resource, s.cfg.Resources...)) > 0 {
				places = append(places, resource)
			}
		}
	}
	slices.Sort(places)
	return slices.Compact(places)
}

// checkPlaces rejects a detail for a resource server that this authorization
// server does not serve. No token could contain it, and the user would consent
// to a permission without meaning (RAR-5-4).
func (s *Server) checkPlaces(details rar.Details) error {
	for i, d := range details {
		for j, location := range d.Common().Locations {
			known := func(resource string) bool {
				return location == resource || strings.HasPrefix(location, strings.TrimSuffix(resource, "/")+"/")
			}
			if !slices.ContainsFunc(s.cfg.Resources, known) {
				member := fmt.Sprintf(".locations[%d]", j)
				return detailError(i, d, member, "not a resource server of this authorization server")
			}
		}
		if len(s.detailsFor(details[i:i+1], s.cfg.Resources)) == 0 {
			return detailError(i, d, "", "for no resource server of this authorization server")
		}
	}
	return nil
}

// encodeDetails encodes details as JSON. It returns nil if there are none.
func encodeDetails(details rar.Details) (json.RawMessage, error) {
	if len(details) == 0 {
		return nil, nil
	}
	return json.Marshal(details)
}

// noDetails is stored and sent to the client if details were requested and none
// is left (RAR-7-1). An absent member could mean that all were granted.
var noDetails = json.RawMessage("[]")

// narrowDetails returns the details of the parameter authorization_details of a
// token request, which cannot widen what was granted (RAR-6-1, RAR-6-2). It
// returns nil without the parameter. The token is then for all granted details
// (RAR-7-2).
func (s *Server) narrowDetails(t *TokenRequest, granted rar.Details) (rar.Details, error) {
	requested, err := s.details(t.client, t.Param("authorization_details")) // RAR-8-1
	if err != nil || requested == nil {
		return nil, err
	}
	return requested, granted.Covers(requested)
}

// checkReached requires that the token contains every detail that a request
// names. The detail must be for one of the token's resource servers, and the
// token must have the scope of its type. Omitting the detail would surprise the
// client.
func (s *Server) checkReached(token grant, requested rar.Details) error {
	for i, d := range requested {
		if len(s.detailsFor(requested[i:i+1], token.Targets)) == 0 {
			return detailError(i, d, "", "not for the resource servers that the token is for")
		}
	}
	return checkTogether(requested, token.Scopes)
}

// detailsIn returns the granted details of a token whose request names none:
// those for its resource servers whose scopes the token has.
func (s *Server) detailsIn(token grant, granted rar.Details) rar.Details {
	return slices.DeleteFunc(s.detailsFor(granted, token.Targets), func(d rar.Detail) bool {
		return checkTogether(rar.Details{d}, token.Scopes) != nil
	})
}

// boundScopes returns the scopes that go with granted details. Details of types
// that the client has lost count too: their scope alone could permit more than
// the user has agreed to.
func (s *Server) boundScopes(granted json.RawMessage) []string {
	if len(granted) == 0 || s.cfg.AuthorizationDetails == nil {
		return nil
	}
	var entries []struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(granted, &entries) != nil {
		return nil
	}
	var bound []string
	for _, entry := range entries {
		if t := s.cfg.AuthorizationDetails.Type(entry.Type); t != nil && t.Scope() != "" {
			bound = append(bound, t.Scope())
		}
	}
	return bound
}

// withoutUnused leaves out the bound scopes, which go with details, if a token
// holds no detail that they go with.
func withoutUnused(scopes, bound []string, held rar.Details) []string {
	used := held.Scopes()
	return slices.DeleteFunc(scopes, func(scope string) bool {
		return slices.Contains(bound, scope) && !slices.Contains(used, scope)
	})
}

// clientTargets returns the resource servers of a token for a client itself.
// They are the resources of the request, or those that the details name (RFC
// 9396 §6.1) together with the default for further scopes.
func (s *Server) clientTargets(t *TokenRequest, scopes []string, details rar.Details) ([]string, error) {
	targets, err := s.targetsOf(t.params["resource"], scopes, details)
	if err != nil || len(t.params["resource"]) > 0 {
		return targets, err
	}
	targets = slices.Concat(targets, s.places(details...))
	slices.Sort(targets)
	return slices.Compact(targets), nil
}

// clientDetails returns the details that a client requests for itself, and
// those that the host grants (RAR-6-2).
func (s *Server) clientDetails(ctx context.Context, t *TokenRequest) (requested, granted rar.Details, err error) {
	requested, err = s.details(t.client, t.Param("authorization_details"))
	if err != nil || requested == nil {
		return nil, nil, err
	}
	if err := checkDetailTypes(t.rules, requested); err != nil {
		return nil, nil, err
	}
	// Only the user of a consent can grant it.
	if place := t.rules.Intent; place != nil && len(place.IDs(nil, claims.Request{}, rawDetails(requested))) > 0 {
		return nil, nil, intentError(place, "a consent requires the authorization of its user")
	}
	if s.cfg.ClientDetails == nil {
		return nil, nil, fmt.Errorf("%w: no user has agreed to them", ErrAuthorizationDetails)
	}
	granted, err = s.cfg.ClientDetails(ctx, t.client.ClientID, requested)
	if err != nil {
		return nil, nil, err
	}
	return requested, granted, s.checkGranted(requested, granted)
}
