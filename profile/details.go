package profile

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/rar"
)

// ErrAuthorizationDetails: RFC 9396 §5, authorization details where there can be none, or that were not granted. What is wrong
// with details themselves is an error of package rar.
var ErrAuthorizationDetails = oautherr.New("profile: authorization details refused", "invalid_authorization_details", http.StatusBadRequest, "authorization_details are not possible here")

// errGrantedDetails is what a host grants and cannot: its mistake, whatever it would be called in a request.
var errGrantedDetails = oautherr.New("profile: details that cannot be granted", oautherr.ServerError, http.StatusInternalServerError, "")

// checkGranted checks what the host grants against what was asked for (RAR-3-2, RAR-7.1-1).
func (s *AuthorizationServer) checkGranted(requested, granted rar.Details) error {
	if err := s.cfg.AuthorizationDetails.CheckGrant(requested, granted); err != nil {
		return fmt.Errorf("%w: %w", errGrantedDetails, err)
	}
	return nil
}

// details reads the parameter authorization_details (RAR-3-1). A server that knows none refuses it: to ignore what was meant
// to narrow a request would widen it.
func (s *AuthorizationServer) details(client *ClientMetadata, parameter string) (rar.Details, error) {
	if parameter == "" {
		return nil, nil
	}
	if s.cfg.AuthorizationDetails == nil {
		return nil, fmt.Errorf("%w: the server has no types of them", ErrAuthorizationDetails)
	}
	return s.cfg.AuthorizationDetails.Parse([]byte(parameter), client.AuthorizationDetailsTypes) // RAR-5-1, RAR-10-2
}

// storedDetails reads what was granted (RAR-11.2-1). BCP-2.3-1: types that the server or the client have lost since are not given out any
// more. What is left has to be valid still: nobody knows what it means otherwise.
func (s *AuthorizationServer) storedDetails(client *ClientMetadata, raw json.RawMessage) (rar.Details, error) {
	if len(raw) == 0 || s.cfg.AuthorizationDetails == nil {
		return nil, nil
	}
	details, err := knownDetails(s.cfg.AuthorizationDetails, raw, client.AuthorizationDetailsTypes)
	if err != nil {
		return nil, fmt.Errorf("%w: granted details are no longer valid under their types: %w", ErrStore, err)
	}
	return details, nil
}

// knownDetails parses those entries of an array of objects whose type is one of these.
func knownDetails(registry *rar.Registry, raw json.RawMessage, types []string) (rar.Details, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var entries []json.RawMessage
	if err := strictjson.Decode(raw, &entries); err != nil {
		return nil, err
	}
	known := registry.Types()
	kept := make([]json.RawMessage, 0, len(entries))
	for _, entry := range entries {
		object, err := strictjson.ParseObject(entry)
		if err != nil {
			return nil, err
		}
		name, _, err := object.String("type")
		if err != nil {
			return nil, err
		}
		if slices.Contains(known, name) && slices.Contains(types, name) {
			kept = append(kept, entry)
		}
	}
	if len(kept) == 0 {
		return nil, nil
	}
	kept = slices.Clip(kept)
	array, err := json.Marshal(kept)
	if err != nil {
		return nil, err
	}
	return registry.Parse(array, known)
}

// detailsFor returns what resource servers are told, nil for nothing (RAR-9.1-1, RAR-9.2-1, RAR-13-1): what is for one of them,
// and what names none that this server knows and so can be for any.
func (s *AuthorizationServer) detailsFor(details rar.Details, targets []string) rar.Details {
	var kept rar.Details
	for _, detail := range details {
		places := s.places(detail)
		if len(places) == 0 || slices.ContainsFunc(places, func(place string) bool { return slices.Contains(targets, place) }) {
			kept = append(kept, detail)
		}
	}
	return kept
}

// places returns the resource servers that details name: by their locations, which are there or below, or by their types.
func (s *AuthorizationServer) places(details ...rar.Detail) []string {
	var places []string
	for _, detail := range details {
		one, locations := rar.Details{detail}, detail.Common().Locations
		if len(one.ForResource("")) > 0 { // for whoever it is shown to
			continue
		}
		for _, resource := range s.cfg.Resources {
			if locations == nil && len(one.ForResource(resource)) > 0 {
				places = append(places, resource)
			}
		}
		for _, location := range locations {
			place := "" // the nearest one, as an API may be below another
			for _, resource := range s.cfg.Resources {
				if len(resource) > len(place) && (location == resource || strings.HasPrefix(location, strings.TrimSuffix(resource, "/")+"/")) {
					place = resource
				}
			}
			if place != "" {
				places = append(places, place)
			}
		}
	}
	slices.Sort(places)
	return slices.Compact(places)
}

// encodeDetails is json.Marshal; no details are no JSON.
func encodeDetails(details rar.Details) (json.RawMessage, error) {
	if len(details) == 0 {
		return nil, nil
	}
	return json.Marshal(details)
}

// noDetails are kept, and told the client, in the place of details that were asked for and of which none is left (RAR-7-1): to
// leave them out could mean that all were granted.
var noDetails = json.RawMessage("[]")

// narrowDetails applies the parameter authorization_details of a token request to what was granted, which it cannot widen
// (RAR-6-1, RAR-6-2). Without it, the token is for all of it (RAR-7-2).
func (s *AuthorizationServer) narrowDetails(t *TokenRequest, granted rar.Details) (rar.Details, error) {
	requested, err := s.details(t.client, t.Param("authorization_details")) // RAR-8-1
	if err != nil {
		return nil, err
	}
	if requested == nil {
		return granted, nil
	}
	return requested, granted.Covers(requested)
}

// clientDetails are those of a client that acts for nobody: what the host lets it have (RAR-6-2).
func (s *AuthorizationServer) clientDetails(ctx context.Context, t *TokenRequest) (rar.Details, error) {
	requested, err := s.details(t.client, t.Param("authorization_details"))
	if err != nil || requested == nil {
		return nil, err
	}
	if s.cfg.ClientDetails == nil {
		return nil, fmt.Errorf("%w: no user has agreed to them", ErrAuthorizationDetails)
	}
	granted, err := s.cfg.ClientDetails(ctx, t.client.ClientID, requested)
	if err != nil {
		return nil, err
	}
	return granted, s.checkGranted(requested, granted)
}

// tokenDetails are the details of a request's access token, read once and when somebody asks.
type tokenDetails struct {
	registry *rar.Registry
	once     sync.Once
	details  rar.Details
	err      error
}

// errTokenDetails is for tokens that this API cannot read: those who run it and the server have types of one name that differ.
var errTokenDetails = oautherr.New("profile: the authorization details of a token", oautherr.ServerError, http.StatusInternalServerError, "")

// Details returns what was granted in detail, as far as the API knows the types by [ResourceServerConfig.AuthorizationDetails];
// details of other types are left out, since they are for other APIs. An error says that a detail is not valid under its type
// as this API has it, or that it has no types at all: then nothing is permitted, and it is a server_error, since no client can
// mend it.
func (t *Token) Details() (rar.Details, error) {
	d := t.details
	if d == nil || d.registry == nil {
		return nil, fmt.Errorf("%w: the resource server has no types of them", errTokenDetails)
	}
	d.once.Do(func() {
		if d.details, d.err = knownDetails(d.registry, t.claims.AuthorizationDetails(), d.registry.Types()); d.err != nil {
			d.err = fmt.Errorf("%w: %w", errTokenDetails, d.err)
		}
	})
	return slices.Clone(d.details), d.err
}

// errMissingDetail is what an API answers that was asked for more than was granted (RFC 6750 §3.1).
var errMissingDetail = oautherr.New("profile: authorization detail not granted", "insufficient_scope", http.StatusForbidden, "the token does not permit this")

// CheckDetails returns an insufficient_scope error for [ResourceServer.WriteError], which names the first missing detail by its
// type, unless the token permits all that is wanted: what the API is about to do, made by [rar.Registry.New]. Nothing wanted is an error.
func (t *Token) CheckDetails(want rar.Details) error {
	granted, err := t.Details()
	if err != nil {
		return err
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
// the API then does nothing more. It is [Token.CheckDetails] for a request that has passed [ResourceServer.Require].
func (s *ResourceServer) Allows(w http.ResponseWriter, r *http.Request, want rar.Details) bool {
	token, ok := TokenFromContext(r.Context())
	var err error
	if !ok {
		err = fmt.Errorf("profile: Allows for a request that has not passed Require")
	} else {
		err = token.CheckDetails(want)
	}
	if err != nil {
		s.WriteError(w, r, err)
	}
	return err == nil
}
