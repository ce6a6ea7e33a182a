package authserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/internal/syntax"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
)

// Scopes of tokens for the grant management endpoint (GM-6.1-2).
const (
	scopeGrantQuery  = "grant_management_query"
	scopeGrantRevoke = "grant_management_revoke"
)

// newGrants makes the manager and the endpoint of grant management.
func (s *Server) newGrants() error {
	if s.cfg.Grants == nil {
		return nil
	}
	cfg := *s.cfg.Grants
	cfg.Issuer, cfg.AccessTokenLifetime, cfg.Now = s.cfg.Issuer, s.longestAccess(), s.cfg.Hooks.Now
	if cfg.Store == nil && s.cfg.Store != nil {
		cfg.Store = s.cfg.Store
	}
	if cfg.ClaimTime == 0 {
		cfg.ClaimTime = s.longestCode() + codeMemory
	}
	if cfg.MergeDetails == nil && s.cfg.AuthorizationDetails != nil {
		cfg.MergeDetails = s.mergeDetails
	}
	cfg.EndAccess = func(ctx context.Context, authorizationIDs []string) error {
		for _, id := range authorizationIDs { // GM-6.5-3, GM-10-2
			if err := s.revoke(ctx, id); err != nil {
				return err
			}
		}
		return nil
	}
	if host := cfg.Events; host != nil {
		cfg.Events = func(ctx context.Context, e grants.Event) error {
			err := host(ctx, e)
			if err != nil { // a revocation succeeds nevertheless
				s.cfg.Hooks.Logger.WarnContext(ctx, "event of a grant remains pending",
					"kind", e.Kind, "grant_id", e.New.ID, "detail", err.Error())
			}
			return err
		}
	}
	var err error
	if s.grants, err = grants.NewManager(cfg); err != nil {
		return err
	}
	path := s.cfg.Endpoints.Grants
	guard, err := s.newGuard("grants", path, s.liveToken, s.urlsBelow(path)) // AT-4-7
	if err != nil {
		return err
	}
	s.grantAPI, err = grants.NewHandler(grants.HandlerConfig{
		Manager: s.grants, Path: "",
		WriteError: func(w http.ResponseWriter, r *http.Request, err error, scopes ...string) {
			noteError(r.Context(), err)
			guard.WriteError(w, r, err, scopes...)
		},
		Authorize: func(r *http.Request, scope string) (clientID, subject string, err error) {
			token, err := guard.Verify(r, scope) // GM-6.1-1, GM-8.3-1
			if err != nil {
				return "", "", err
			}
			return s.grantCaller(r, token, scope)
		},
	})
	return err
}

// grantCaller returns the client and the user of a token at the grant
// management API. The client must still be registered for the scope. The
// subject is empty if the client obtained the token for itself.
func (s *Server) grantCaller(
	r *http.Request, token *resourceserver.Token, scope string,
) (clientID, subject string, err error) {
	client, err := s.client(r.Context(), token.ClientID())
	switch {
	case errors.Is(err, clientauth.ErrUnknownClient):
		return "", "", fmt.Errorf("%w: its client is gone", accesstoken.ErrRevoked)
	case err != nil:
		return "", "", err
	case !s.hasScope(client, scope):
		return "", "", fmt.Errorf("%w: its client has lost %s", accesstoken.ErrInsufficientScope, scope)
	}
	if err := s.checkTokenSender(r, s.rulesOf(client), "grants"); err != nil {
		return "", "", err
	}
	if token.Subject() == client.ClientID { // no user has this subject, see checkApproval
		return client.ClientID, "", nil
	}
	subject, err = s.LocalSubject(r.Context(), token)
	return client.ClientID, subject, err
}

// mergeDetails merges details by the rules of their types (RAR-11.2-2). It
// keeps entries of types that the registry lacks unchanged. The host may
// register the type again, and the user's consent to them has not ended.
func (s *Server) mergeDetails(existing, added json.RawMessage) (json.RawMessage, error) {
	registry := s.cfg.AuthorizationDetails
	before, err := wire.KnownDetails(registry, existing, registry.Types())
	if err != nil {
		return nil, err
	}
	after, err := wire.KnownDetails(registry, added, registry.Types())
	if err != nil {
		return nil, err
	}
	merged, err := registry.Merge(before, after)
	if err != nil {
		return nil, err
	}
	kept, err := unknownDetails(registry, existing)
	if err != nil {
		return nil, err
	}
	return appendDetails(merged, kept)
}

// unknownDetails returns the entries of types that the registry lacks, as they
// are written.
func unknownDetails(registry *rar.Registry, raw json.RawMessage) ([]json.RawMessage, error) {
	var entries []json.RawMessage
	if err := strictjson.Decode(raw, &entries); err != nil {
		return nil, err
	}
	known := registry.Types()
	var unknown []json.RawMessage
	for _, entry := range entries {
		object, err := strictjson.ParseObject(entry)
		if err != nil {
			return nil, err
		}
		name, _, err := object.String("type")
		if err != nil {
			return nil, err
		}
		if !slices.Contains(known, name) {
			unknown = append(unknown, entry)
		}
	}
	return unknown, nil
}

// appendDetails returns a JSON array of details and further entries. It does
// not encode the entries with encoding/json, which would change their escapes.
func appendDetails(details rar.Details, entries []json.RawMessage) (json.RawMessage, error) {
	array, err := encodeDetails(details)
	if err != nil || len(entries) == 0 {
		return array, err
	}
	list := []byte{'['}
	if len(details) > 0 {
		list = append(slices.Clip(array[:len(array)-1]), ',')
	}
	for i, entry := range entries {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, entry...)
	}
	return append(list, ']'), nil
}

// Grants returns the manager of the server's grants, or nil without
// [Config.Grants]. Pages on which users see and withdraw their grants use it,
// and so does a host that changes grants. Ending a grant ends its tokens.
func (s *Server) Grants() *grants.Manager { return s.grants }

// grantRequest reads the grant management parameters of an authorization
// request. Without grant management, a request with such parameters is
// rejected, because its client expects a grant_id in the response (GM-5.4-4).
func (s *Server) grantRequest(ctx context.Context, clientID string, params url.Values) (grants.Request, error) {
	if s.grants != nil {
		return s.grants.Check(ctx, clientID, params) // GM-5.2-1
	}
	if params.Has("grant_management_action") || params.Has("grant_id") {
		return grants.Request{}, fmt.Errorf("%w: the server has no grant management", grants.ErrRequest)
	}
	return grants.Request{}, nil
}

// prepareGrant returns the change of a grant that takes effect with the
// redemption of the code. It returns nil if none was requested.
func (s *Server) prepareGrant(
	ctx context.Context, a *Authorization, approval Approval, g grant,
) (*grants.Change, error) {
	if a.grant.IsZero() {
		if approval.GrantData != nil || approval.GrantExtra != nil || approval.GrantClaims != nil {
			return nil, errors.New("authserver: approval: unexpected GrantData, GrantExtra or GrantClaims")
		}
		return nil, nil
	}
	consent := grants.Approval{
		// GM-6.4-3
		AuthorizationID: g.ID, Subject: approval.Subject, Claims: approval.GrantClaims, AuthorizationDetails: g.Details,
		Expires: approval.Expires, Data: approval.GrantData, Extra: approval.GrantExtra,
		Scopes: s.grantScopes(g),
	}
	change, err := s.grants.Prepare(ctx, a.grant, consent) // GM-5.4-1: the user is known now
	if err != nil {
		return nil, fmt.Errorf("authserver: approval: %w", err)
	}
	return change, nil
}

// claimGrant applies the grant change of a code (GM-5.6.1-1). If the grant has
// changed since the plan, it makes another access token for response. It
// returns [grants.ErrInactive] if the change is no longer possible.
func (s *Server) claimGrant(ctx context.Context, t *TokenRequest, plan *redemption, response *TokenResponse) error {
	record := plan.code.record
	current, err := s.grants.Claim(ctx, record.Change)
	if err != nil {
		return err
	}
	if samePermissions(current, plan.current) {
		return nil
	}
	permitted, err := s.permitted(t, record.Grant, current)
	if err != nil {
		return err
	}
	if plan.token, err = s.narrow(t, permitted); err != nil {
		return err
	}
	if plan.claims, err = s.claims(t, plan.token); err != nil {
		return err
	}
	again, err := s.issue(ctx, t, plan.token, plan.claims)
	if err != nil {
		return err
	}
	again.IDToken, again.RefreshToken = response.IDToken, response.RefreshToken
	*response = *again
	return nil
}

// samePermissions reports whether two states of a grant lead to the same token
// permissions.
func samePermissions(a, b grants.Grant) bool {
	return reflect.DeepEqual(a.Scopes, b.Scopes) &&
		bytes.Equal(a.AuthorizationDetails, b.AuthorizationDetails) &&
		a.ExpiresAt.Equal(b.ExpiresAt)
}

// managed returns the current permission of a refresh token. With grant
// management it is the permission of the grant (GM-5.2-6, GM-6.5-2).
func (s *Server) managed(ctx context.Context, t *TokenRequest, g grant) (permission, error) {
	if g.Managed == "" {
		return g.permission(), nil
	}
	if s.grants == nil {
		return permission{}, fmt.Errorf("%w: grant management has been turned off", ErrRefreshToken)
	}
	current, err := s.grants.CheckRefresh(ctx, g.Managed, g.ID)
	if err != nil {
		return permission{}, err
	}
	return s.permitted(t, g, current)
}

// permitted puts what a grant permits now in the place of what one
// authorization has added to it. A token for several resources has the scopes
// that are permitted at each of them. A merge does not permit a scope of one
// resource at another (GM-8.3-1).
func (s *Server) permitted(t *TokenRequest, g grant, current grants.Grant) (permission, error) {
	details, err := s.storedDetails(t.client, current.AuthorizationDetails)
	if err != nil {
		return permission{}, err
	}
	if g, err = g.with(details); err != nil {
		return permission{}, err
	}
	g.Managed, g.Ends, g.Scopes = current.ID, current.ExpiresAt, current.ScopeValues()
	return permission{
		// RI-2.2-2
		grant: g, details: current.AuthorizationDetails, allowed: slices.Concat(current.Resources(), g.Targets),
		scopesAt: func(resource string) []string { return current.ScopeValues(resource) },
	}, nil
}

// grantPaths are those below which the grants are, the longest first, as the
// alias may be below the other one.
func (s *Server) grantPaths(m *profile.ServerMetadata) []string {
	if s.grants == nil {
		return nil
	}
	paths := []string{syntax.URLPath(m.GrantManagementEndpoint)}
	if m.MTLSEndpointAliases != nil {
		paths = append(paths, syntax.URLPath(m.MTLSEndpointAliases.GrantManagementEndpoint))
	}
	slices.SortFunc(paths, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(paths)
}

// serveGrants is the grant management API. The path of the request begins after
// that of the endpoint.
func (s *Server) serveGrants(w http.ResponseWriter, r *http.Request) {
	s.tokenProofs.SetNonce(w.Header()) // DPOP-8.2-1: also with a success, so that the next request has it
	s.grantAPI.ServeHTTP(w, r)
	if w.Header().Get("Allow") != "" { // only with status 405
		noteError(r.Context(), errMethod)
	}
}
