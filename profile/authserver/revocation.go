package authserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
)

// A RevocationRequest is a request to the revocation endpoint (RFC 7009 §2.1)
// whose client is authenticated. It comes from [Server.RevocationRequest]
// alone. The client assertion is not used up before [RevocationRequest.Commit].
// It is safe for concurrent reading; printed or logged it does not show the
// token.
type RevocationRequest struct {
	server *Server
	client *profile.ClientMetadata
	params url.Values
	auth   clientauth.Authentication
}

// RevocationRequest checks a request to the revocation endpoint as far as it
// does not depend on the token in it. The client authenticates as at the token
// endpoint. It requires no proof of possession, because a client may end each
// of its tokens.
func (s *Server) RevocationRequest(r *http.Request) (*RevocationRequest, error) {
	params, err := par.ParseForm(r)
	if err != nil {
		return nil, err
	}
	if params.Get("token") == "" { // REV-2.1-1
		return nil, fmt.Errorf("%w: no token", ErrParameter)
	}
	from, err := s.authenticate(r.Context(), r, params, "revocation") // REV-2.1-2
	if err != nil {
		return nil, err
	}
	return &RevocationRequest{server: s, client: from.client, params: params, auth: from.auth}, nil
}

// ClientID returns the authenticated client.
func (q *RevocationRequest) ClientID() string { return q.client.ClientID }

// Client returns the registration of the authenticated client.
func (q *RevocationRequest) Client() *profile.ClientMetadata { return q.client }

// token returns the token to be revoked.
func (q *RevocationRequest) token() string { return q.params.Get("token") }

// TokenTypeHint returns where the client thinks that the token is to be found:
// access_token, refresh_token, anything else or nothing. It decides nothing
// (RFC 7009 §2.1).
func (q *RevocationRequest) TokenTypeHint() string { return q.params.Get("token_type_hint") }

// String names the client.
func (q RevocationRequest) String() string {
	if q.client == nil {
		return "revocation request"
	}
	return fmt.Sprintf("revocation request of %q", q.client.ClientID)
}

// GoString is String.
func (q RevocationRequest) GoString() string { return q.String() }

// LogValue is String.
func (q RevocationRequest) LogValue() slog.Value { return slog.StringValue(q.String()) }

// Commit consumes the client assertion and returns the token to be revoked. The
// token can be unknown, or belong to any client. A host that revokes tokens of
// its own calls Commit once, and revokes the token if it belongs to ClientID.
// [Server.Revoke] calls it itself.
func (q *RevocationRequest) Commit(ctx context.Context) (token string, err error) {
	if q == nil || q.server == nil {
		return "", errors.New("authserver: Commit of an unchecked request")
	}
	if err := q.server.clients.Commit(ctx, q.auth); err != nil {
		return "", err
	}
	return q.token(), nil
}

// Origin returns the authorization and the grant of the token. The GrantID of
// an access token is known only with [Config.GrantIDInTokens]. It is empty for
// a refresh token that has expired, or that a merge or replacement has ended. A
// host calls Origin to end more than [Server.Revoke] ends. Origin changes
// nothing. If the revocation of a refresh token shall end its grant, the host
// calls Origin, then Server.Revoke, then [grants.Manager.Revoke] of
// [Server.Grants]. The host can repeat all three after an error.
//
// Origin returns [ErrForeignToken] for a token of another client. It returns
// [ErrTokenType] for a token of the host that this server cannot revoke. The
// failure of a store is [ErrStore] or [grants.ErrStore].
func (q *RevocationRequest) Origin(ctx context.Context) (grants.Origin, error) {
	if q == nil || q.server == nil {
		return grants.Origin{}, errors.New("authserver: Origin called for an unchecked request")
	}
	found, err := q.server.originOf(ctx, q)
	origin := found.Origin
	if err != nil || origin.GrantID == "" {
		return origin, err
	}
	if q.server.grants == nil || found.expired {
		origin.GrantID = ""
		return origin, nil
	}
	if origin.Refresh {
		_, err = q.server.grants.CheckRefresh(ctx, origin.GrantID, origin.AuthorizationID)
	} else {
		_, err = q.server.grants.Query(ctx, q.client.ClientID, origin.GrantID)
	}
	if errors.Is(err, grants.ErrInactive) || errors.Is(err, grants.ErrNotFound) {
		origin.GrantID, err = "", nil
	}
	if err != nil {
		return grants.Origin{}, err
	}
	return origin, nil
}

// Revoke revokes the authorization of the token in a checked request. It ends
// the refresh token and every access token of that authorization, including
// tokens that are being issued at this moment. RFC 7009 §2.1 requires that for
// a refresh token and permits it for an access token. A client that has no more
// use for one access token lets it expire. Other authorizations of the same
// user and client stay, and so does the grant of grant management; see
// [RevocationRequest.Origin].
//
// Revoking a token that is unknown, expired or revoked already is not an error,
// since the client could do nothing about it. A token of another client is
// [ErrForeignToken], and stays as it is. A JWT stays good until it expires at
// APIs that verify it by themselves and do not ask about revocation.
func (s *Server) Revoke(ctx context.Context, q *RevocationRequest) error {
	if q == nil || q.server != s {
		return errors.New("authserver: Revoke for a request that was not checked by this server")
	}
	origin, err := s.originOf(ctx, q)
	if err != nil {
		return err
	}
	if _, err := q.Commit(ctx); err != nil {
		return err
	}
	if origin.AuthorizationID == "" { // REV-2.2-2
		return nil
	}
	// REV-2.1-4, REV-2.1-5, REV-2.1-6: all tokens of the authorization.
	until := s.cfg.Hooks.Now().Add(s.longestLife())
	if origin.own { // it never has a refresh token
		until = origin.expires.Add(codeMemory)
	} else if last := origin.expires.Add(s.longestAccess() + codeMemory); last.After(until) {
		until = last // issued when tokens lived longer
	}
	// GM-6.5-4: not the grant that it may be one of
	return s.revokeFor(ctx, q.client.ClientID, origin.AuthorizationID, until)
}

// A foundToken is the token of a revocation request, for its revocation.
type foundToken struct {
	grants.Origin
	expired bool // a refresh token
	expires time.Time
	own     bool // a token of a client that acts for itself
}

// originOf returns the authorization of a token. It ignores the hint and
// searches both kinds of tokens before it reports an unknown token. Neither
// search takes long.
func (s *Server) originOf(ctx context.Context, q *RevocationRequest) (foundToken, error) {
	// REV-2.1-3, REV-2.2-4: the hint is ignored. REV-2-1, REV-2-2: refresh
	// tokens and access tokens.
	var record refreshRecord
	err := s.loadRefresh(ctx, q.token(), &record)
	if err == nil {
		if err := q.checkOwner(record.Grant.ClientID); err != nil {
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
	token, err := s.accessToken(ctx, q.token())
	if wire.Unavailable(err) {
		return foundToken{}, err
	}
	if err != nil {
		return foundToken{}, nil
	}
	if err := q.checkOwner(token.ClientID); err != nil {
		return foundToken{}, err
	}
	if !wire.HasGrant(token.ID) {
		return foundToken{}, ErrTokenType // REV-2.2.1-1
	}
	origin := grants.Origin{AuthorizationID: token.ID[:wire.GrantIDLength], GrantID: token.GrantID}
	if origin.GrantID == origin.AuthorizationID { // which is what a token without grant management names
		origin.GrantID = ""
	}
	return foundToken{Origin: origin, expires: token.ExpiresAt, own: token.Subject == token.ClientID}, nil
}

// checkOwner rejects a token of another client (REV-2.1-2).
func (q *RevocationRequest) checkOwner(clientID string) error {
	if !jose.EqualString(clientID, q.client.ClientID) {
		return ErrForeignToken
	}
	return nil
}

func (s *Server) serveRevocation(w http.ResponseWriter, r *http.Request) {
	request, err := s.RevocationRequest(r)
	if err == nil {
		err = s.Revoke(r.Context(), request)
	}
	if err != nil {
		s.WriteError(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK) // REV-2.2-1
}
