package authserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/profile/rules"
)

// grantIDBytes is the number of random bytes in the ID of a grant.
const grantIDBytes = 16

// revokeTimeout bounds a write that continues after its request was cancelled.
const revokeTimeout = 10 * time.Second

// Revoked reports whether the authorization of an access token was revoked. It
// receives the ID of the token (its jti) or of the authorization. It is
// [resourceserver.RevokedIn] for the server's own store.
func (s *Server) Revoked(ctx context.Context, id string) (bool, error) {
	return resourceserver.RevokedIn(s.cfg.Issuer, s.stores.revocations)(ctx, id)
}

// Withdraw ends an authorization with this
// [AuthorizationResponse.AuthorizationID]: its code, its refresh token, and its
// access tokens at all APIs that check revocations. Withdrawing an
// authorization twice is not an error. A managed grant can have tokens of
// several authorizations, and is withdrawn at [Server.Grants] instead.
//
// The host checks who may withdraw. The error matches [ErrStore], or reports a
// malformed ID.
func (s *Server) Withdraw(ctx context.Context, authorizationID string) error {
	if len(authorizationID) != wire.GrantIDLength {
		return errors.New("authserver: malformed authorization ID")
	}
	return s.revoke(ctx, authorizationID)
}

// revoke ends all tokens of an authorization, including tokens that are being
// issued. The entry has no owner. A client that has used its share must not
// keep tokens that a user has withdrawn, or tokens of a replayed code.
func (s *Server) revoke(ctx context.Context, grantID string) error {
	return s.revokeFor(ctx, "", grantID, s.cfg.Hooks.Now().Add(s.longestLife()))
}

// longestLife is the longest lifetime of a token of an authorization.
func (s *Server) longestLife() time.Duration {
	return s.longestRefresh() + s.longestAccess() + codeMemory
}

// longestAccess is the longest lifetime of an access token. The rules of single
// clients are unknown, so theirs can have any.
func (s *Server) longestAccess() time.Duration {
	if s.cfg.ClientRules != nil {
		return maxAccessLifetime
	}
	return s.cfg.rules().Lifetimes.AccessToken.Nearest(s.cfg.Lifetimes.AccessToken)
}

// longestCode is the longest lifetime of a code.
func (s *Server) longestCode() time.Duration {
	if s.cfg.ClientRules != nil {
		return maxCodeLifetime
	}
	return s.cfg.rules().Lifetimes.Code.Nearest(s.cfg.Lifetimes.Code)
}

// longestRefresh is the longest lifetime of a refresh token. Revocations are
// remembered for as long, which is too long for the maximum.
func (s *Server) longestRefresh() time.Duration {
	configured := s.cfg.Lifetimes.RefreshToken
	if s.cfg.ClientRules != nil {
		return max(configured, s.cfg.rules().RefreshTokens.Lifetime.Min)
	}
	return s.cfg.rules().RefreshTokens.Lifetime.Nearest(configured)
}

// checkRefreshRules checks the refresh tokens of a client.
func (s *Server) checkRefreshRules(set *rules.Set, client *profile.ClientMetadata) error {
	if set.RefreshTokens.Required && !client.HasGrantType(wire.GrantRefreshToken) {
		err := fmt.Errorf("%w: grant_types without refresh_token (rules %.64s)", ErrClientNotAllowed, set.Name)
		return oautherr.Describe(err, "the client must be registered for the grant type refresh_token")
	}
	if life := set.RefreshTokens.Lifetime.Nearest(s.cfg.Lifetimes.RefreshToken); life > s.longestRefresh() {
		// A revocation would be forgotten before the token expires.
		return fmt.Errorf("authserver: ClientRules: refresh tokens of %v, want at most Lifetimes.RefreshToken %v",
			life, s.cfg.Lifetimes.RefreshToken)
	}
	return nil
}

// revokeFor is revoke for a client that requests it. It continues if the
// request is cancelled. Otherwise the sender of a replayed code could close the
// connection and keep the tokens.
func (s *Server) revokeFor(ctx context.Context, clientID, grantID string, until time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTimeout)
	defer cancel()
	ctx = expiring.WithClient(ctx, s.cfg.Issuer, clientID)
	if err := storing(s.recordRevocation(ctx, grantID, until)); err != nil {
		return fmt.Errorf("%w: revoking a grant", err)
	}
	return nil
}

// checkRevoked returns rejection if an authorization was revoked.
func (s *Server) checkRevoked(ctx context.Context, grantID string, rejection error) error {
	revoked, err := s.Revoked(ctx, grantID)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStore, err)
	}
	if revoked {
		return fmt.Errorf("%w: its grant is revoked", rejection)
	}
	return nil
}
