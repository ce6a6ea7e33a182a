package profile

import (
	"context"
	"fmt"
	"strings"
)

// Revoked reports whether the access token with this ID (its jti) belongs to a grant that has been revoked. Give it to
// [ResourceServerConfig.Revoked] of an API that shares the [RevocationStore]. An ID that this server did not make is an
// error.
func (s *AuthorizationServer) Revoked(ctx context.Context, tokenID string) (bool, error) {
	grantID, _, ok := strings.Cut(tokenID, ".")
	if !ok || grantID == "" {
		return false, fmt.Errorf("profile: token ID without a grant")
	}
	return s.cfg.Revocations.Revoked(ctx, grantID)
}

// revoke stops everything that was or is being issued for a grant.
func (s *AuthorizationServer) revoke(ctx context.Context, grantID string) error {
	until := s.cfg.Now().Add(s.cfg.RefreshTokenLifetime + s.cfg.AccessTokenLifetime + codeMemory)
	if err := s.cfg.Revocations.Revoke(ctx, grantID, until); err != nil {
		return fmt.Errorf("%w: revoking a grant: %w", ErrStore, err)
	}
	return nil
}

func (s *AuthorizationServer) checkRevoked(ctx context.Context, grantID string, refusal error) error {
	revoked, err := s.cfg.Revocations.Revoked(ctx, grantID)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStore, err)
	}
	if revoked {
		return fmt.Errorf("%w: its grant is revoked", refusal)
	}
	return nil
}
