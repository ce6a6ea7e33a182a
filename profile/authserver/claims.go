package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/gofapi/fapi2/claims"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/profile/internal/wire"
)

// kindClaims is the kind of the entries with the claims that an authorization
// requests for UserInfo responses.
const kindClaims = "claims"

// errSubject is an [ErrLogin].
var errSubject = fmt.Errorf("%w: %w", oautherr.New("authserver: another user than requested", "login_required",
	http.StatusBadRequest, "another user has to log in"), ErrLogin)

// Claims returns a copy of the claims that the client requests one by one, with
// the parameter claims (OpenID Connect Core §5.5). The host decides which of
// them the client receives. It passes those for the ID token in
// [Approval.IDTokenClaims], usually the result of [claims.Set.Select]. The
// function [Config.UserInfo] receives those for UserInfo responses.
//
// [Server.Approve] enforces what OpenID Connect requires of sub, acr and
// auth_time.
func (a *Authorization) Claims() claims.Request {
	c := a.claims
	c.IDToken, c.UserInfo, c.Other = maps.Clone(c.IDToken), maps.Clone(c.UserInfo), maps.Clone(c.Other)
	return c
}

// requestedClaims reads the parameter claims.
func requestedClaims(text string) (claims.Request, error) {
	request, err := claims.Parse(text) // CA-OIDC-5.5-1
	if err != nil {
		return request, oautherr.Describe(fmt.Errorf("%w: %w", ErrParameter, err), "malformed claims parameter")
	}
	return request, nil
}

// meetsACR reports whether a login of a class meets the request for acr. A
// request with values of other types than string is met by no class.
func meetsACR(requested claims.Request, class string) bool {
	acr := requested.IDToken["acr"]
	return !acr.Essential || class != "" && (acr.Values == nil || slices.Contains(acr.Strings(), class))
}

// checkClaimsPossible rejects a request for an essential acr that no login here
// meets.
func (s *Server) checkClaimsPossible(a *asked) error {
	acr := a.claims.IDToken["acr"]
	possible := func(class string) bool { return len(s.cfg.ACRValues) == 0 || slices.Contains(s.cfg.ACRValues, class) }
	if acr.Essential && acr.Values != nil && !slices.ContainsFunc(acr.Strings(), possible) {
		return fmt.Errorf("%w: logins here meet %q", unmetACR(a.rules), s.cfg.ACRValues) // CA-OIDC-5.5.1.1-1
	}
	return nil
}

// checkClaims holds an approval to the requested claims of the ID token.
func (a *Authorization) checkClaims(approval Approval) error {
	requested := a.claims
	subject, _ := json.Marshal(approval.sub)
	if sub, ok := requested.IDToken["sub"]; ok && !sub.Accepts(subject) {
		return fmt.Errorf("%w: the client requests claims about another one", errSubject) // CA-OIDC-3.1.2.2-1
	}
	if !meetsACR(requested, approval.ACR) { // CA-OIDC-5.5.1.1-1
		return fmt.Errorf("%w: acr is %.128q, and the client requires one of %.512q",
			unmetACR(a.rules), approval.ACR, requested.IDToken["acr"].Strings())
	}
	if requested.IDToken["auth_time"].Essential && approval.AuthTime.IsZero() {
		return errors.New("authserver: approval: AuthTime is required when the client requests auth_time as essential")
	}
	return nil
}

// keepClaims stores the claims that the client requests for UserInfo responses.
// They are the same for all tokens of the authorization.
func (s *Server) keepClaims(ctx context.Context, a *Authorization, g grant) error {
	if len(a.claims.UserInfo) == 0 || len(s.cfg.Claims) == 0 || !slices.Contains(g.Scopes, scopeOpenID) {
		return nil
	}
	return s.keep(ctx, kindClaims, g, []byte(a.request.Get("claims")))
}

// keep stores a value for as long as an authorization can have tokens.
func (s *Server) keep(ctx context.Context, kind string, g grant, value []byte) error {
	expires := s.cfg.Hooks.Now().Add(s.longestLife())
	if err := s.add(ctx, s.stores.refresh, g.ClientID, s.storeKey(kind, g.ID), value, expires); err != nil {
		return fmt.Errorf("%w: storing the %s of an authorization", err, kind)
	}
	return nil
}

// keptClaims returns the claims that were requested for UserInfo responses to
// an access token.
func (s *Server) keptClaims(ctx context.Context, tokenID string) (claims.Set, error) {
	if len(s.cfg.Claims) == 0 || !wire.HasGrant(tokenID) {
		return nil, nil
	}
	value, version, err := s.stores.refresh.Get(ctx, s.storeKey(kindClaims, tokenID[:wire.GrantIDLength]))
	if err != nil {
		return nil, fmt.Errorf("%w: requested claims: %w", ErrStore, err)
	}
	if version == 0 {
		return nil, nil
	}
	kept, err := claims.Parse(string(value))
	if err != nil {
		return nil, fmt.Errorf("%w: malformed requested claims", ErrStore)
	}
	return kept.UserInfo, nil
}
