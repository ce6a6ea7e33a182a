package authserver

import (
	"context"
	"fmt"
	"strings"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/profile/rules"
	"github.com/gofapi/fapi2/tokenbinding"
)

const (
	// referenceBytes are those of an opaque access token: it contains only
	// random bits (SP-5.4.1-4).
	referenceBytes = 32
	// commonHeader is what common proxies accept in one header field (nginx by
	// default, for example).
	commonHeader = 8 << 10
)

// newAccessToken makes an access token of these claims: a JWT, or a reference
// to what has been stored when it returns.
func (s *Server) newAccessToken(ctx context.Context, set *rules.Set, c accesstoken.Claims) (string, error) {
	if !s.cfg.OpaqueAccessTokens {
		by, err := s.signatory(ctx, set.Algorithms.For(nil), "signing algorithm", "")
		if err != nil {
			return "", err
		}
		token, err := by.tokens.Issue(c)
		if err != nil {
			return "", fmt.Errorf("%w: signing an access token: %w", ErrStore, err)
		}
		if len(token) > commonHeader {
			s.cfg.Hooks.Logger.Warn("access token is longer than common proxies accept in a header",
				"client_id", c.ClientID, "bytes", len(token), "common_limit", commonHeader)
		}
		return token, nil
	}
	value, err := s.encodeReference(c)
	if err != nil {
		return "", err
	}
	token := jose.RandomString(referenceBytes) // SP-5.4.1-4
	key := s.storeKey(kindAccess, token)
	if err := s.add(ctx, s.stores.access, c.ClientID, key, value, s.cfg.Hooks.Now().Add(c.Lifetime)); err != nil {
		return "", fmt.Errorf("%w: storing an access token", err)
	}
	return token, nil
}

// accessToken reads an access token of this server, in either form: while a
// server changes from one to the other both are about. It may have been
// revoked. An error that is unavailable means that the server does not know.
// Any other error means that it is not a token of this server.
func (s *Server) accessToken(ctx context.Context, raw string) (resourceserver.Claims, error) {
	if !s.cfg.OpaqueAccessTokens || strings.Contains(raw, ".") { // a JWT has dots, a reference none
		ring, _ := s.keyring(ctx)
		token, err := ring.issued.Verify(ctx, raw)
		if err != nil {
			return resourceserver.Claims{}, err
		}
		return claimsOf(token), nil
	}
	value, version, err := s.stores.access.Get(ctx, s.storeKey(kindAccess, raw))
	if err != nil {
		return resourceserver.Claims{}, fmt.Errorf("%w: access token: %w", ErrStore, err)
	}
	if version == 0 {
		return resourceserver.Claims{}, fmt.Errorf("%w: unknown", introspection.ErrInactive)
	}
	return s.readReference(value)
}

// liveToken is accessToken for a token that has not been revoked.
func (s *Server) liveToken(ctx context.Context, raw string) (resourceserver.Claims, error) {
	token, err := s.accessToken(ctx, raw)
	if err != nil {
		return resourceserver.Claims{}, err
	}
	// INT-7662-2.2-2: the host has made it with the same key, and what became
	// of it we cannot know
	if !wire.HasGrant(token.ID) {
		return resourceserver.Claims{}, fmt.Errorf("%w: unknown token ID", accesstoken.ErrRevoked)
	}
	if err := s.checkRevoked(ctx, token.ID[:wire.GrantIDLength], accesstoken.ErrRevoked); err != nil {
		return resourceserver.Claims{}, err
	}
	return token, nil
}

// claimsOf returns the claims of a JWT.
func claimsOf(t *accesstoken.Token) resourceserver.Claims {
	return resourceserver.Claims{
		Subject: t.Subject(), ClientID: t.ClientID(), ID: t.ID(), Audience: t.Audience(), Scopes: t.Scopes(),
		Confirmation: tokenbinding.Confirmation{JKT: t.JKT(), X5TS256: t.X5TS256()},
		ExpiresAt:    t.ExpiresAt(), IssuedAt: t.IssuedAt(), AuthTime: t.AuthTime(), ACR: t.ACR(), AMR: t.AMR(),
		GrantID: t.GrantID(), AuthorizationDetails: t.AuthorizationDetails(), Claim: t.Claim,
	}
}
