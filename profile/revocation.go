package profile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/par"
)

// A RevocationRequest is a request to the revocation endpoint (RFC 7009 §2.1) whose client is authenticated. It comes from
// [AuthorizationServer.RevocationRequest] alone. The client assertion is not used up before [RevocationRequest.Commit].
// It is safe for concurrent reading; printed or logged it does not show the token.
type RevocationRequest struct {
	server *AuthorizationServer
	client *ClientMetadata
	params url.Values
	auth   clientauth.Authentication
}

// RevocationRequest checks a request to the revocation endpoint as far as it does not depend on the token in it. The client
// authenticates as at the token endpoint. No proof of possession is needed: whoever has found a token may as well end it, if
// it is its own client.
func (s *AuthorizationServer) RevocationRequest(r *http.Request) (*RevocationRequest, error) {
	params, err := par.ParseForm(r)
	if err != nil {
		return nil, err
	}
	if params.Get("token") == "" {
		return nil, fmt.Errorf("%w: no token", ErrParameter)
	}
	certificate, err := s.certificate(r)
	if err != nil {
		return nil, err
	}
	auth, client, err := s.authenticate(r, params, certificate)
	if err != nil {
		return nil, err
	}
	return &RevocationRequest{server: s, client: client, params: params, auth: auth}, nil
}

// ClientID returns the authenticated client.
func (q *RevocationRequest) ClientID() string { return q.client.ClientID }

// Client returns the registration of the authenticated client.
func (q *RevocationRequest) Client() *ClientMetadata { return q.client }

// Token returns the token to be revoked, which may be anybody's, or none at all.
func (q *RevocationRequest) Token() string { return q.params.Get("token") }

// TokenTypeHint returns where the client thinks that the token is to be found: access_token, refresh_token, anything else or
// nothing. It decides nothing (RFC 7009 §2.1).
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

// Commit uses up the client assertion. A host that revokes tokens of its own calls it once, before it does so;
// [AuthorizationServer.Revoke] does it by itself.
func (q *RevocationRequest) Commit(ctx context.Context) error {
	if q == nil || q.server == nil {
		return errors.New("profile: Commit of a request that was not checked")
	}
	return q.server.clients.Commit(ctx, q.auth)
}

// Revoke serves a checked request: it revokes the authorization that the token, an access token or a refresh token, comes
// from, and so the refresh token and every access token of that authorization, those being issued at this moment too. (RFC 7009
// §2.1 asks for that in the one direction and allows it in the other.) A client that wants to part with one access token
// alone lets it expire. Other authorizations of the same user and client stay.
//
// A token that is unknown, expired or revoked already is no error, since there is nothing left that the client could do. One
// of another client is [ErrForeignToken], and stays as it is. A JWT stays good at APIs that verify it by themselves and do not
// ask about revocation, until it expires.
func (s *AuthorizationServer) Revoke(ctx context.Context, q *RevocationRequest) error {
	if q == nil || q.server != s {
		return errors.New("profile: Revoke for a request that was not checked by this server")
	}
	grantID, err := s.grantOf(ctx, q)
	if err != nil {
		return err
	}
	if err := q.Commit(ctx); err != nil {
		return err
	}
	if grantID == "" {
		return nil
	}
	return s.revoke(ctx, grantID) // GM-6.5-4: the authorization, not the grant that it may be one of
}

// grantOf finds the authorization that a token comes from, "" if there is no such token. The hint is ignored: whatever it
// says, both kinds have to be searched before a token is unknown, and neither search is a long one.
func (s *AuthorizationServer) grantOf(ctx context.Context, q *RevocationRequest) (grantID string, err error) {
	var record refreshRecord
	err = s.load(ctx, s.cfg.RefreshTokens, s.storeKey("refresh", q.Token()), &record, ErrRefreshToken)
	if err == nil {
		return record.Grant.ID, q.checkOwner(record.Grant.ClientID)
	}
	if !errors.Is(err, ErrRefreshToken) {
		return "", err
	}
	token, err := s.accessToken(ctx, q.Token())
	if unavailable(err) {
		return "", err
	}
	if err != nil {
		return "", nil
	}
	if err := q.checkOwner(token.ClientID()); err != nil {
		return "", err
	}
	if !hasGrant(token.ID()) {
		return "", ErrTokenType
	}
	return token.ID()[:grantIDLength], nil
}

// checkOwner refuses to end what others have: RFC 7009 §2.1.
func (q *RevocationRequest) checkOwner(clientID string) error {
	if !jose.EqualString(clientID, q.client.ClientID) {
		return ErrForeignToken
	}
	return nil
}

func (s *AuthorizationServer) serveRevocation(w http.ResponseWriter, r *http.Request) {
	request, err := s.RevocationRequest(r)
	if err == nil {
		err = s.Revoke(r.Context(), request)
	}
	if err != nil {
		s.WriteError(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}
