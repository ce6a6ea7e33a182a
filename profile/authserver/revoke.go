package authserver

import (
	"context"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

// grantIDBytes is the number of random bytes in the ID of a grant.
const grantIDBytes = 16

// revokeTimeout is how long a revocation may take after its request has gone.
const revokeTimeout = 10 * time.Second

// Revoked reports whether the authorization of an access token was revoked. It
// receives the ID of the token (its jti) or of the authorization. It is
// [resourceserver.RevokedIn] for the server's own store.
func (s *Server) Revoked(ctx context.Context, id string) (bool, error) {
	return resourceserver.RevokedIn(s.cfg.Issuer, s.stores.revocations)(ctx, id)
}

// Withdraw ends an authorization, by its
// [AuthorizationResponse.AuthorizationID]: its code, its refresh token and its
// access tokens, as far as the APIs ask. To end what has ended is no error. A
// grant of grant management, which can have tokens of several authorizations,
// is withdrawn at [Server.Grants] instead.
//
// Who may do that is for the host to check. The error matches [ErrStore], or
// says that the ID is none.
func (s *Server) Withdraw(ctx context.Context, authorizationID string) error {
	if len(authorizationID) != wire.GrantIDLength {
		return fmt.Errorf("authserver: withdrawal of what is no authorization")
	}
	return s.revoke(ctx, authorizationID)
}

// revoke stops everything that was or is being issued for a grant. The
// revocation counts for no client: a client that has used its share up must not
// keep tokens that a user has withdrawn, or those of a replayed code.
func (s *Server) revoke(ctx context.Context, grantID string) error {
	return s.revokeFor(ctx, "", grantID, s.cfg.Now().Add(s.longestLife()))
}

// longestLife is how long something that is issued for a grant can be valid.
func (s *Server) longestLife() time.Duration {
	return s.cfg.RefreshTokenLifetime + s.cfg.AccessTokenLifetime + codeMemory
}

// revokeFor is revoke for a client, if it has asked for that. revokeFor goes on
// when the request is cancelled: the sender of a replayed code could otherwise
// keep its tokens by hanging up.
func (s *Server) revokeFor(ctx context.Context, clientID, grantID string, until time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTimeout)
	defer cancel()
	if err := storing(s.recordRevocation(expiring.WithOwner(ctx, clientID), grantID, until)); err != nil {
		return fmt.Errorf("%w: revoking a grant", err)
	}
	return nil
}

func (s *Server) checkRevoked(ctx context.Context, grantID string, refusal error) error {
	revoked, err := s.Revoked(ctx, grantID)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStore, err)
	}
	if revoked {
		return fmt.Errorf("%w: its grant is revoked", refusal)
	}
	return nil
}
