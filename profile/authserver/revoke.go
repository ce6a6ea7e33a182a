package authserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
)

// A token ID is the ID of its grant, a dot, and an ID of its own: both random, of these sizes, in base64url.
const (
	grantIDBytes  = 16
	grantIDLength = 22
)

// revokeTimeout is how long a revocation may take after its request has gone.
const revokeTimeout = 10 * time.Second

// Revoked reports whether the access token with this ID (its jti) belongs to a grant that has been revoked: it is RevokedIn
// of the server's own store, for [resourceserver.Config.Revoked] of an API in the same process.
func (s *Server) Revoked(ctx context.Context, tokenID string) (bool, error) {
	return RevokedIn(s.cfg.Revocations)(ctx, tokenID)
}

// RevokedIn returns a function for [resourceserver.Config.Revoked] of an API that shares the server's [RevocationStore]. It
// takes the ID of an access token (its jti), and fails on one that does not have the form of this package's.
func RevokedIn(store RevocationStore) func(ctx context.Context, tokenID string) (bool, error) {
	return func(ctx context.Context, tokenID string) (bool, error) {
		if !hasGrant(tokenID) {
			return false, fmt.Errorf("authserver: token ID without a grant")
		}
		return store.Revoked(ctx, tokenID[:grantIDLength])
	}
}

// Withdraw ends an authorization, by its [AuthorizationResponse.AuthorizationID]: its code, its refresh token and its access
// tokens, as far as the APIs ask. To end what has ended is no error. A grant of grant management, which can have tokens of
// several authorizations, is withdrawn at [Server.Grants] instead.
//
// Who may do that is for the host to check. The error matches [ErrStore], or says that the ID is none.
func (s *Server) Withdraw(ctx context.Context, authorizationID string) error {
	if len(authorizationID) != grantIDLength {
		return fmt.Errorf("authserver: withdrawal of what is no authorization")
	}
	return s.revoke(ctx, authorizationID)
}

// hasGrant says whether a token ID has the form of this package's.
func hasGrant(tokenID string) bool {
	return len(tokenID) == 2*grantIDLength+1 && tokenID[grantIDLength] == '.'
}

// revoke stops everything that was or is being issued for a grant. The revocation
// counts for no client: a client that has used its share up must not keep tokens
// that a user has withdrawn, or those of a replayed code.
func (s *Server) revoke(ctx context.Context, grantID string) error {
	return s.revokeFor(ctx, "", grantID, s.cfg.Now().Add(s.longestLife()))
}

// longestLife is how long something that is issued for a grant can be valid.
func (s *Server) longestLife() time.Duration {
	return s.cfg.RefreshTokenLifetime + s.cfg.AccessTokenLifetime + codeMemory
}

// revokeFor is revoke for a client, if it has asked for that. revokeFor goes on when the request is cancelled: the
// sender of a replayed code could otherwise keep its tokens by hanging up.
func (s *Server) revokeFor(ctx context.Context, clientID, grantID string, until time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTimeout)
	defer cancel()
	err := s.cfg.Revocations.Revoke(expiring.WithOwner(ctx, clientID), grantID, until)
	if err != nil && !errors.Is(err, ErrTooMany) {
		return fmt.Errorf("%w: revoking a grant: %w", ErrStore, err)
	}
	return err
}

func (s *Server) checkRevoked(ctx context.Context, grantID string, refusal error) error {
	revoked, err := s.cfg.Revocations.Revoked(ctx, grantID)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStore, err)
	}
	if revoked {
		return fmt.Errorf("%w: its grant is revoked", refusal)
	}
	return nil
}
