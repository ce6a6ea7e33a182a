package authserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/profile/resourceserver"
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
	return s.cfg.Lifetimes.RefreshToken + s.cfg.Lifetimes.AccessToken + codeMemory
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
