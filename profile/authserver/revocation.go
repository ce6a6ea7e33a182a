package authserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/profile/internal/wire"
)

// TokenOrigin returns the authorization and the grant of a token of a client.
// It is for a host that ends more than [Server.Revoke] ends, and changes
// nothing. The GrantID of an access token is known only with
// [Config.GrantIDInTokens]. It is empty for a refresh token that has expired,
// or that a merge or replacement has ended. For an unknown token the Origin is
// zero.
//
// If the revocation of a refresh token shall end its grant, the host serves the
// revocation endpoint with [Server.ClientEndpoint]. It calls TokenOrigin, then
// Revoke, then [grants.Manager.Revoke] of [Server.Grants]. The host can repeat
// all three after an error.
//
// The error is [ErrRevocation], [ErrStore] or [grants.ErrStore].
func (s *Server) TokenOrigin(ctx context.Context, clientID, token string) (grants.Origin, error) {
	found, err := s.originOf(ctx, clientID, token)
	origin := found.Origin
	if err != nil || origin.GrantID == "" {
		return origin, err
	}
	if s.grants == nil || found.expired {
		origin.GrantID = ""
		return origin, nil
	}
	if origin.Refresh {
		_, err = s.grants.CheckRefresh(ctx, origin.GrantID, origin.AuthorizationID)
	} else {
		_, err = s.grants.Query(ctx, clientID, origin.GrantID)
	}
	if errors.Is(err, grants.ErrInactive) || errors.Is(err, grants.ErrNotFound) {
		origin.GrantID, err = "", nil
	}
	if err != nil {
		return grants.Origin{}, err
	}
	return origin, nil
}

// Revoke revokes the authorization of a token of an authenticated client. It
// ends the refresh token and every access token of that authorization,
// including tokens that are being issued at this moment. RFC 7009 §2.1 requires
// that for a refresh token and permits it for an access token. A client that
// has no more use for one access token lets it expire. Other authorizations of
// the same user and client stay, and so does the grant of grant management; see
// [Server.TokenOrigin].
//
// Revoking a token that is unknown, expired or revoked already is not an error,
// since the client could do nothing about it. For a token of another client the
// error is [ErrRevocation], and the token stays as it is. A JWT stays valid
// until it expires at APIs that verify it by themselves and do not ask about
// revocation.
func (s *Server) Revoke(ctx context.Context, clientID, token string) error {
	found, err := s.originOf(ctx, clientID, token)
	if err != nil {
		return err
	}
	return s.revokeFound(ctx, clientID, found)
}

func (s *Server) revokeFound(ctx context.Context, clientID string, found foundToken) error {
	if found.AuthorizationID == "" { // REV-2.2-2
		return nil
	}
	// REV-2.1-4, REV-2.1-5, REV-2.1-6: all tokens of the authorization.
	until := s.cfg.Hooks.Now().Add(s.longestLife())
	if found.own { // it never has a refresh token
		until = found.expires.Add(codeMemory)
	} else if last := found.expires.Add(s.longestAccess() + codeMemory); last.After(until) {
		until = last // issued when tokens lived longer
	}
	// GM-6.5-4: not the grant that it may be one of
	return s.revokeFor(ctx, clientID, found.AuthorizationID, until)
}

// A foundToken is a token that a client wants to revoke.
type foundToken struct {
	grants.Origin
	expired bool // a refresh token
	expires time.Time
	own     bool // a token of a client that acts for itself
}

// originOf returns the authorization of a token. It ignores the hint and
// searches both kinds of tokens before it reports an unknown token. Neither
// search takes long.
func (s *Server) originOf(ctx context.Context, clientID, raw string) (foundToken, error) {
	// REV-2.1-3, REV-2.2-4: the hint is ignored. REV-2-1, REV-2-2: refresh
	// tokens and access tokens.
	var record refreshRecord
	err := s.loadRefresh(ctx, raw, &record)
	if err == nil {
		if err := checkOwner(clientID, record.Grant.ClientID); err != nil {
			return foundToken{}, err
		}
		return foundToken{
			Origin:  grants.Origin{AuthorizationID: record.Grant.ID, GrantID: record.Grant.Managed, Refresh: true},
			expired: s.cfg.Hooks.Now().Unix() >= record.Expires, expires: time.Unix(record.Expires, 0),
		}, nil
	}
	if !errors.Is(err, ErrRefreshToken) {
		return foundToken{}, err
	}
	token, err := s.accessToken(ctx, raw)
	if wire.Unavailable(err) {
		return foundToken{}, err
	}
	if err != nil {
		return foundToken{}, nil
	}
	if err := checkOwner(clientID, token.ClientID); err != nil {
		return foundToken{}, err
	}
	if !wire.HasGrant(token.ID) {
		return foundToken{}, errTokenType // REV-2.2.1-1
	}
	origin := grants.Origin{AuthorizationID: token.ID[:wire.GrantIDLength], GrantID: token.GrantID}
	if origin.GrantID == origin.AuthorizationID { // which is what a token without grant management names
		origin.GrantID = ""
	}
	return foundToken{Origin: origin, expires: token.ExpiresAt, own: token.Subject == token.ClientID}, nil
}

// checkOwner rejects a token of another client (REV-2.1-2).
func checkOwner(clientID, owner string) error {
	if !jose.EqualString(owner, clientID) {
		return ErrRevocation
	}
	return nil
}

// revocation returns the revocation endpoint (RFC 7009). The client
// authenticates as at the token endpoint. It needs no proof of possession,
// because a client may end each of its tokens.
func (s *Server) revocation() http.Handler {
	needsToken := func(params url.Values) error {
		if params.Get("token") == "" { // REV-2.1-1
			return fmt.Errorf("%w: no token", ErrParameter)
		}
		return nil
	}
	// REV-2.1-2
	return s.clientEndpoint("revocation", needsToken, func(r *http.Request, q *ClientRequest) (http.Handler, error) {
		found, err := s.originOf(r.Context(), q.ClientID(), q.Param("token"))
		if err != nil {
			return nil, err
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := s.revokeFound(r.Context(), q.ClientID(), found); err != nil {
				s.WriteError(w, r, err)
				return
			}
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusOK) // REV-2.2-1
		}), nil
	})
}
