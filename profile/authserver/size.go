package authserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/profile/rules"
	"github.com/gofapi/fapi2/rar"
)

// surelySmall is a size in bytes of details, scopes and audience that always
// fits into an access token. Smaller requests are not encoded as a trial.
const surelySmall = 4 << 10

// managedIDLength is the length of the grant IDs of package grants.
const managedIDLength = 43

// The longest values that a grant can have.
var (
	longestID        = strings.Repeat("x", wire.GrantIDLength)
	longestManagedID = strings.Repeat("x", managedIDLength)
	longestSubject   = strings.Repeat(`"`, maxSubject) // two bytes a character in JSON
	longestContext   = strings.Repeat("a", maxContext+len(`"amr":[]`))
)

// checkSize requires that an access token can hold these claims. It encodes
// them like a token and signs nothing.
func (s *Server) checkSize(set *rules.Set, c accesstoken.Claims) error {
	size := len(c.AuthorizationDetails) + len(c.Scope)
	for _, audience := range c.Audience {
		size += len(audience)
	}
	if size <= surelySmall {
		return nil
	}
	var err error
	if !s.cfg.OpaqueAccessTokens {
		by := s.keys.Latest().signatory(s.cfg.Hooks.Now(), set.Algorithms.For(nil), "")
		if by == nil {
			by = s.first()
		}
		_, err = by.tokens.Size(c)
	} else {
		_, err = s.encodeReference(c)
	}
	tooLong := errors.Is(err, accesstoken.ErrTooLong) // a retry would not help
	switch {
	case tooLong && len(c.AuthorizationDetails) > 0:
		return oautherr.Describe(fmt.Errorf("%w: %w", ErrAuthorizationDetails, err),
			"too long for an access token: request fewer with authorization_details or resource")
	case tooLong && c.Scope != "":
		return oautherr.Describe(fmt.Errorf("%w: %w", ErrScope, err), "too many scopes for an access token")
	case err != nil:
		return fmt.Errorf("%w: access token: %w", ErrStore, err)
	}
	return nil
}

// worstCase returns a grant with the longest tokens that any approval of the
// request can lead to, for any user and any login.
func (s *Server) worstCase(clientID string, scopes, targets []string, details rar.Details) (grant, error) {
	g := grant{
		ID: longestID, ClientID: clientID, Scopes: scopes, Targets: targets,
		AuthTime: s.cfg.Hooks.Now().Unix(),
		Subject:  longestSubject,
		ACR:      longestContext,
	}
	if s.grants != nil {
		g.Managed = longestManagedID
	}
	return g.with(details)
}

// checkRequestSize requires that access tokens can hold everything that the
// client requests, with these details. Otherwise the user's consent would be
// lost.
func (s *Server) checkRequestSize(ctx context.Context, a *asked, details rar.Details) error {
	merging := a.grant.Action() == "merge"
	if !merging && len(details) == 0 && s.surelyFits(a.scopes, nil) {
		return nil
	}
	g, err := s.worstCase(a.client.ClientID, a.scopes, a.targets, details)
	if err != nil {
		return err
	}
	if !merging {
		return s.checkFits(a.client, g.permission())
	}
	// GM-5.2-5: tokens are for what there was and what is new.
	current, err := s.grants.Get(ctx, a.grant.GrantID())
	if err != nil {
		return err
	}
	merge := s.cfg.Grants.MergeDetails
	if merge == nil && s.cfg.AuthorizationDetails != nil {
		merge = s.mergeDetails
	}
	if merge != nil && len(current.AuthorizationDetails)+len(g.Details) > 0 {
		list := func(raw []byte) []byte {
			if len(raw) == 0 {
				return noDetails
			}
			return slices.Clone(raw)
		}
		current.AuthorizationDetails, err = merge(list(current.AuthorizationDetails), list(g.Details))
		if errors.Is(err, rar.ErrTooLarge) {
			return oautherr.Describe(fmt.Errorf("%w: merging: %w", ErrAuthorizationDetails, err),
				"authorization_details: too long together with those of the grant")
		}
		if err != nil {
			return fmt.Errorf("%w: merging authorization details: %w", ErrStore, err)
		}
	}
	added := grants.Scope{Scope: strings.Join(g.Scopes, " "), Resource: g.Targets}
	current.Scopes = append(slices.Clone(current.Scopes), added)
	return s.checkManagedSize(a.client, g, current)
}

// checkManagedSize is checkFits for tokens of a managed grant. It ignores the
// end of the grant.
func (s *Server) checkManagedSize(client *profile.ClientMetadata, g grant, current grants.Grant) error {
	t := &TokenRequest{server: s, client: client, rules: s.rulesOf(client), params: url.Values{}}
	p, err := s.permitted(t, g, current)
	if err != nil {
		return err
	}
	return s.checkFits(client, p)
}

// checkApprovalSize encodes the access tokens of an approval as a trial. The
// grant that a merge extends may have grown since the push.
func (s *Server) checkApprovalSize(ctx context.Context, a *Authorization, record codeRecord) error {
	if g := &record.Grant; record.Change == nil {
		if s.surelyFits(g.Scopes, g.Details) {
			return nil
		}
		return s.checkFits(a.client, g.permission())
	}
	current, err := s.grants.Plan(ctx, record.Change)
	if err != nil {
		return err
	}
	return s.checkManagedSize(a.client, record.Grant, current)
}

// surelyFits reports whether these scopes and details are so small that a trial
// is not needed.
func (s *Server) surelyFits(scopes []string, details []byte) bool {
	size := len(details)
	for _, text := range scopes {
		size += len(text) + 1
	}
	for _, text := range s.cfg.Resources {
		size += len(text)
	}
	return size <= surelySmall
}

// checkFits encodes as a trial the access tokens that a client can request with
// the resource parameter. They are one for the default, and one for each other
// resource.
func (s *Server) checkFits(client *profile.ClientMetadata, p permission) error {
	if s.surelyFits(p.Scopes, p.Details) {
		return nil
	}
	granted, err := s.storedDetails(client, p.Details)
	if err != nil {
		return err
	}
	requests := []url.Values{{}}
	for _, place := range s.places(granted...) {
		if !slices.Equal(p.Targets, []string{place}) {
			requests = append(requests, url.Values{"resource": {place}})
		}
	}
	t := &TokenRequest{server: s, client: client, rules: s.rulesOf(client)}
	t.bound.JKT = strings.Repeat("A", 43)
	if client.TLSClientCertificateBoundAccessTokens {
		t.bound.X5TS256 = t.bound.JKT
	}
	for _, t.params = range requests {
		token, err := s.narrow(t, p)
		if err != nil {
			return err
		}
		token.Ends = time.Time{}
		if _, err := s.claims(t, token); err != nil {
			return s.nameLargest(err, t, token, granted)
		}
	}
	return nil
}

// nameLargest adds the reason to the error of a token that is too long. Either
// one detail is too long, or all details together are.
func (s *Server) nameLargest(err error, t *TokenRequest, token grant, details rar.Details) error {
	if !errors.Is(err, accesstoken.ErrTooLong) || !errors.Is(err, ErrAuthorizationDetails) {
		return err
	}
	for i, d := range details {
		alone, withErr := token.with(details[i : i+1])
		if withErr != nil {
			return withErr
		}
		if _, aloneErr := s.claims(t, alone); errors.Is(aloneErr, accesstoken.ErrTooLong) {
			return detailError(i, d, "", "too long for an access token")
		}
	}
	return oautherr.Describe(err, "authorization_details: too long together for an access token")
}
