package authserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/profile/rules"
	"github.com/gofapi/fapi2/rar"
)

// A TokenResponse is a success response of the token endpoint (RFC 6749 §5.1).
// It contains secrets, and its String and LogValue omit them.
type TokenResponse struct {
	AccessToken  string `json:"access_token"`            // a JWT (RFC 9068) or opaque, bound to a key or certificate
	TokenType    string `json:"token_type"`              // DPoP, or Bearer for a token bound to a certificate
	ExpiresIn    int64  `json:"expires_in"`              // seconds
	RefreshToken string `json:"refresh_token,omitempty"` // with a code only, because it is not rotated
	// Scope is the granted scope. Without it, the client would assume that all
	// requested scopes were granted.
	Scope   string `json:"scope"`
	IDToken string `json:"id_token,omitempty"` // with a code and scope openid only
	// AuthorizationDetails are the details of the token, a JSON array (RFC 9396
	// §7). They can differ from the requested ones. An empty array means that
	// none was granted.
	AuthorizationDetails json.RawMessage `json:"authorization_details,omitempty"`
	// GrantID is the grant that was created or changed.
	GrantID string `json:"grant_id,omitempty"`
	// Members are the [Approval].TokenMembers. They follow the other members.
	Members map[string]json.RawMessage `json:"-"`
}

// String leaves the tokens out.
func (t TokenResponse) String() string { return "token response (" + t.TokenType + ")" }

// GoString is String.
func (t TokenResponse) GoString() string { return t.String() }

// LogValue is String.
func (t TokenResponse) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Token serves a checked token request. It redeems the code or reads the
// refresh token, and issues tokens that are bound to the key of the proof.
// After an [ErrStore], the client can repeat its request with a new assertion
// and proof.
func (s *Server) Token(ctx context.Context, t *TokenRequest) (*TokenResponse, error) {
	if t == nil || t.server != s {
		return nil, errors.New("authserver: Token for a request that was not checked by this server")
	}
	switch t.Param("grant_type") {
	case wire.GrantAuthorizationCode:
		return s.redeem(ctx, t)
	case wire.GrantRefreshToken:
		return s.refresh(ctx, t)
	default:
		return s.clientCredentials(ctx, t)
	}
}

// refresh serves the refresh token grant. The refresh token is not rotated, and
// nothing is written for it. A client that did not receive the response repeats
// its request (SP-5.3.2.1-9, SP-5.3.2.1-9N).
//
// A refresh token is bound to the client and not to a DPoP key. The new access
// token is bound to the key of this request (DPOP-5-5, CS-22).
func (s *Server) refresh(ctx context.Context, t *TokenRequest) (*TokenResponse, error) {
	record, issue, err := s.refreshable(ctx, t, t.Param("refresh_token"))
	if err != nil {
		return nil, err
	}
	claims, err := s.claims(t, issue)
	if err != nil {
		return nil, err
	}
	if _, err := t.Commit(ctx); err != nil {
		return nil, err
	}
	// As late as possible, since a revocation may be under way.
	if err := s.checkRevoked(ctx, record.Grant.ID, ErrRefreshToken); err != nil {
		return nil, err
	}
	return s.issue(ctx, t, issue, claims)
}

// refreshable returns the record of a refresh token of the client, and the
// grant of an access token for it. It writes nothing.
func (s *Server) refreshable(
	ctx context.Context, t *TokenRequest, token string,
) (record refreshRecord, issue grant, err error) {
	if err := s.loadRefresh(ctx, token, &record); err != nil {
		return record, issue, err
	}
	if !jose.EqualString(record.Grant.ClientID, t.client.ClientID) { // BASE-6749-6-1
		return record, issue, fmt.Errorf("%w: it is another client's", ErrRefreshToken)
	}
	if s.cfg.Hooks.Now().Unix() >= record.Expires {
		return record, issue, fmt.Errorf("%w: expired", ErrRefreshToken)
	}
	permitted, err := s.managed(ctx, t, record.Grant)
	if err != nil {
		return record, issue, err
	}
	issue, err = s.narrow(t, permitted)
	return record, issue, err
}

// clientCredentials issues a token about the client itself, without a refresh
// token.
func (s *Server) clientCredentials(ctx context.Context, t *TokenRequest) (*TokenResponse, error) {
	scopes, err := s.scopes(t.client, t.Param("scope"), nil)
	if err != nil {
		return nil, err
	}
	if slices.Contains(scopes, "openid") {
		return nil, fmt.Errorf("%w: openid without a user", ErrScope)
	}
	// AT-2.2-2: sub is the client
	id := t.client.ClientID
	g := grant{ID: jose.RandomString(grantIDBytes), ClientID: id, Subject: id, Scopes: scopes}
	requested, details, err := s.clientDetails(ctx, t)
	if err != nil {
		return nil, err
	}
	if t.Param("authorization_details") != "" {
		g.Details = noDetails
	}
	if g.Targets, err = s.clientTargets(t, scopes, details); err != nil {
		return nil, err
	}
	if err := s.checkReached(g, details); err != nil {
		return nil, err
	}
	if g, err = g.with(details); err != nil {
		return nil, err
	}
	g.Scopes = withoutUnused(s.scopesAt(g.Scopes, g.Targets), requested.Scopes(), details)
	claims, err := s.claims(t, g)
	if err != nil {
		return nil, err
	}
	if _, err := t.Commit(ctx); err != nil {
		return nil, err
	}
	return s.issue(ctx, t, g, claims)
}

// A permission bounds the tokens of one authorization.
type permission struct {
	grant
	// details are those that the user has granted, also of types that the
	// client has lost since.
	details json.RawMessage
	// allowed are the resource servers for which a token request may ask.
	allowed []string
	// scopesAt returns the scopes that are granted at a resource server.
	scopesAt func(resource string) []string
}

// permission returns the permission of an authorization without grant
// management: its scopes at its resource servers.
func (g grant) permission() permission {
	scopes, targets := g.Scopes, g.Targets
	return permission{grant: g, details: g.Details, allowed: targets, scopesAt: func(resource string) []string {
		if slices.Contains(targets, resource) {
			return scopes
		}
		return nil
	}}
}

// narrow applies the scope, resource and authorization_details parameters of a
// token request to what is permitted, which they cannot widen. The grant itself
// stays what it is (RI-2.2-1).
//
// BCP-2.3-1: the token has nothing that the server or the client has lost since
// the approval.
func (s *Server) narrow(t *TokenRequest, p permission) (grant, error) {
	g := p.grant
	gone := func(target string) bool { return !s.isResource(target) }
	g.Targets = slices.DeleteFunc(slices.Clone(g.Targets), gone)
	p.allowed = slices.DeleteFunc(slices.Clone(p.allowed), gone)
	if len(g.Targets) == 0 {
		return grant{}, fmt.Errorf("%w: none of those granted is left", ErrTarget)
	}
	granted, err := s.storedDetails(t.client, g.Details)
	if err != nil {
		return grant{}, err
	}
	requested, err := s.narrowDetails(t, granted) // RAR-6.1-2: in this token, not in the grant
	if err != nil {
		return grant{}, err
	}
	// RAR-3.2-1: a client can request a token for the places that details name.
	if resources := t.params["resource"]; len(resources) > 0 {
		g.Targets, err = s.targets(resources, append(s.places(granted...), p.allowed...)) // RI-2.2-2
	} else if places := s.places(requested...); len(places) > 0 { // RAR-6.1-3
		g.Targets = places
	}
	if err != nil {
		return grant{}, err
	}
	if g.Scopes, err = s.narrowScopes(t, p, g.Targets, granted); err != nil {
		return grant{}, err
	}
	details := requested
	if requested == nil {
		details = s.detailsIn(g, granted)
	} else if err := s.checkReached(g, requested); err != nil {
		return grant{}, err
	}
	g.Scopes = withoutUnused(g.Scopes, s.boundScopes(p.details), details)
	return g.with(details)
}

// narrowScopes returns the scopes of a token for these resource servers. They
// are the requested scopes, or all permitted ones. A scope is permitted if it
// is granted at every one of the resource servers where it has a meaning. A
// scope that goes with a detail is granted wherever the detail is for. A scope
// that contains the identifier of a consent always remains, because a token
// without it would permit more.
func (s *Server) narrowScopes(t *TokenRequest, p permission, targets []string, details rar.Details) ([]string, error) {
	intent := t.rules.Intent
	scopes := slices.DeleteFunc(slices.Clone(p.Scopes), func(name string) bool {
		places := s.targetsOfScope(name, targets)
		missing := func(target string) bool {
			return !slices.Contains(p.scopesAt(target), name) &&
				!slices.Contains(s.detailsFor(details, []string{target}).Scopes(), name)
		}
		permitted := s.hasScope(t.client, name) || isIntentScope(intent, name)
		return !permitted || len(places) == 0 || slices.ContainsFunc(places, missing)
	})
	scope := t.Param("scope")
	if scope == "" {
		return scopes, nil
	}
	requested, err := splitScope(scope)
	if err != nil {
		return nil, err
	}
	for _, name := range requested {
		if !slices.Contains(scopes, name) { // BASE-6749-6-1, BCP-4.14-1
			return nil, fmt.Errorf("%w: %.64q was not granted", ErrScope, name)
		}
	}
	for _, name := range scopes {
		if isIntentScope(intent, name) && !slices.Contains(requested, name) {
			requested = append(requested, name)
		}
	}
	slices.Sort(requested)
	return requested, nil
}

// with replaces the details of a grant. If the grant had details and now has
// none, the result records that.
func (g grant) with(details rar.Details) (grant, error) {
	raw, err := encodeDetails(details)
	if raw == nil && g.Details != nil {
		raw = noDetails
	}
	g.Details = raw
	return g, err
}

// claims returns the claims of an access token. They fit into a token.
func (s *Server) claims(t *TokenRequest, g grant) (accesstoken.Claims, error) {
	claims := accesstoken.Claims{
		// see Revoked
		ID: g.ID + "." + jose.RandomString(grantIDBytes),
		// AT-3-1, RI-2-3
		Subject: g.Subject, ClientID: g.ClientID, Audience: g.Targets, Scope: strings.Join(g.Scopes, " "),
		ACR: g.ACR, AMR: g.AMR, // AT-2.2.1-1: those of the authorization, after a refresh too
		JKT: t.bound.JKT, X5TS256: t.bound.X5TS256,
		Lifetime: t.rules.Lifetimes.AccessToken.Nearest(s.cfg.Lifetimes.AccessToken),
	}
	if s.cfg.GrantIDInTokens {
		claims.GrantID = g.consent()
	}
	if g.AuthTime != 0 {
		claims.AuthTime = time.Unix(g.AuthTime, 0)
	}
	if !g.Ends.IsZero() {
		claims.Lifetime = min(claims.Lifetime, g.Ends.Sub(s.cfg.Hooks.Now()).Truncate(time.Second))
	}
	if claims.Lifetime < time.Second {
		return claims, fmt.Errorf("%w: the grant is about to end", grants.ErrInactive)
	}
	if !bytes.Equal(g.Details, noDetails) {
		claims.AuthorizationDetails = g.Details // RAR-9-1
	}
	return claims, s.checkSize(t.rules, claims)
}

func (s *Server) issue(
	ctx context.Context, t *TokenRequest, g grant, claims accesstoken.Claims,
) (*TokenResponse, error) {
	token, err := s.newAccessToken(ctx, t.rules, claims)
	if err != nil {
		return nil, err
	}
	return &TokenResponse{
		// DPOP-5-3: the type tells the client how the token is bound
		AccessToken: token, TokenType: string(t.bound.TokenType()),
		ExpiresIn: int64(claims.Lifetime / time.Second), Scope: claims.Scope, AuthorizationDetails: g.Details,
		GrantID: g.Managed, Members: g.Members, // GM-5.5-3
	}, nil
}

// An idTokenIssuer issues the ID tokens of a client as it has registered them.
type idTokenIssuer struct {
	by *signatory
	to *jose.Encryption // nil if they are not encrypted
}

// idTokenIssuer returns the issuer of a client's ID tokens. It fails if no ID
// token can be issued for the registration.
func (s *Server) idTokenIssuer(
	ctx context.Context, client *profile.ClientMetadata, set *rules.Set,
) (i idTokenIssuer, err error) {
	permitted := set.Algorithms.For(set.Algorithms.IDToken)
	if i.by, err = s.signatory(ctx, permitted, memberIDTokenAlg, client.IDTokenSignedResponseAlg); err != nil {
		return i, err
	}
	if err = checkEncrypted(set, set.Encryption.IDToken, idTokenWanted(client)); err != nil {
		return i, err
	}
	i.to, err = s.idTokenRecipient(ctx, client)
	return i, err
}

// issue: SP-5.3.2.3-1.
func (i idTokenIssuer) issue(g grant) (string, error) {
	claims := idtoken.Claims{
		Subject: g.Subject, ClientID: g.ClientID, Nonce: g.Nonce, ACR: g.ACR, AMR: g.AMR,
	}
	if len(g.Claims) > 0 {
		claims.Extra = make(map[string]any, len(g.Claims))
	}
	for name, value := range g.Claims {
		claims.Extra[name] = value
	}
	if g.AuthTime != 0 {
		claims.AuthTime = time.Unix(g.AuthTime, 0)
	}
	token, err := i.by.idTokens.Issue(claims)
	if err != nil {
		return "", fmt.Errorf("%w: signing an ID token: %w", ErrStore, err)
	}
	if i.to == nil {
		return token, nil
	}
	if token, err = idtoken.Encryption(*i.to).Seal(token); err != nil { // CA-OIDC-10.2-1
		return "", fmt.Errorf("%w: %w", ErrStore, err)
	}
	return token, nil
}

func (s *Server) newRefreshToken(ctx context.Context, set *rules.Set, g grant) (string, error) {
	expires := s.cfg.Hooks.Now().Add(set.RefreshTokens.Lifetime.Nearest(s.cfg.Lifetimes.RefreshToken))
	if !g.Ends.IsZero() && g.Ends.Before(expires) {
		expires = g.Ends
	}
	record := refreshRecord{Grant: g, Expires: expires.Unix()}
	token := jose.RandomString(32) // SP-5.4.1-4
	key := s.storeKey(kindRefresh, token)
	if err := s.add(ctx, s.stores.refresh, g.ClientID, key, record.encode(), expires); err != nil {
		return "", fmt.Errorf("%w: storing a refresh token", err)
	}
	return token, nil
}

func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	request, err := s.TokenRequest(r)
	if err != nil {
		s.WriteError(w, r, err)
		return
	}
	noteBinding(r.Context(), request.bound)
	response, err := s.Token(r.Context(), request)
	if err != nil {
		s.WriteError(w, r, err)
		return
	}
	s.WriteTokenResponse(w, response)
}

// WriteTokenResponse writes a success response of the token endpoint, with
// Cache-Control: no-store and, if [Config.Nonces] is set, the next DPoP-Nonce.
// If AuthorizationDetails or Members are invalid, it writes a server_error
// instead.
func (s *Server) WriteTokenResponse(w http.ResponseWriter, response *TokenResponse) {
	s.tokenProofs.SetNonce(w.Header())
	body, err := response.MarshalJSON()
	if err != nil { // of a host
		writeJSON(w, http.StatusInternalServerError, errorResponse{Code: oautherr.ServerError})
		return
	}
	writeBody(w, http.StatusOK, body)
}

// MarshalJSON returns the body of the response. It returns an error if
// AuthorizationDetails is not JSON, or if Members do not satisfy the rules of
// [Approval].TokenMembers.
func (t TokenResponse) MarshalJSON() ([]byte, error) {
	if details := t.AuthorizationDetails; len(details) > 0 && !json.Valid(details) {
		return nil, errors.New("authserver: token response: malformed AuthorizationDetails")
	}
	if err := checkMembers(t.Members); err != nil {
		return nil, fmt.Errorf("authserver: token response: Members: %w", err)
	}
	var body strictjson.Writer
	body.String("access_token", t.AccessToken)
	body.String("token_type", t.TokenType)
	body.Raw("expires_in", strconv.AppendInt(nil, t.ExpiresIn, 10)) // 0 too
	body.String("refresh_token", t.RefreshToken)
	if t.Scope == "" {
		body.Raw("scope", []byte(`""`))
	}
	body.String("scope", t.Scope)
	body.String("id_token", t.IDToken)
	body.Raw("authorization_details", t.AuthorizationDetails)
	body.String("grant_id", t.GrantID)
	writeMembers(&body, t.Members)
	return body.Bytes(), nil
}
