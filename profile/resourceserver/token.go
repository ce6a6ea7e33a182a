package resourceserver

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/tokenbinding"
)

// A Token is an access token of a request that a [Server] has verified: authentic, meant for this API, not revoked as
// far as the API can know, and sent by who it was issued to. It is a JWT or has been looked up by introspection, which makes
// no difference here. It is immutable and safe for concurrent use; printed or logged it shows no secret.
type Token struct {
	claims  tokenClaims
	now     func() time.Time
	details *tokenDetails
}

// tokenClaims are what both kinds have.
type tokenClaims interface {
	Subject() string
	ClientID() string
	ID() string
	Audience() []string
	Scopes() []string
	HasScope(value string) bool
	CheckScope(values ...string) error
	IssuedAt() time.Time
	ExpiresAt() time.Time
	AuthTime() time.Time
	ACR() string
	AMR() []string
	GrantID() string
	JKT() string
	X5TS256() string
	AuthorizationDetails() json.RawMessage
	Claim(name string) json.RawMessage
	String() string
}

// Subject returns the resource owner, or the client itself if it acts for nobody ("sub").
func (t *Token) Subject() string { return t.claims.Subject() }

// ClientID returns the client that the token was issued to.
func (t *Token) ClientID() string { return t.claims.ClientID() }

// ID returns the token's identifier ("jti"), which is no secret.
func (t *Token) ID() string { return t.claims.ID() }

// Audience returns the resource servers that the token is for, this one among them.
func (t *Token) Audience() []string { return t.claims.Audience() }

// Scopes returns the granted scope values, in a fresh slice.
func (t *Token) Scopes() []string { return t.claims.Scopes() }

// HasScope reports whether a scope value was granted.
func (t *Token) HasScope(value string) bool { return t.claims.HasScope(value) }

// CheckScope returns an insufficient_scope error for [Server.WriteError] unless all these values were granted.
func (t *Token) CheckScope(values ...string) error { return t.claims.CheckScope(values...) }

// IssuedAt returns when the token was issued; zero: unknown.
func (t *Token) IssuedAt() time.Time { return t.claims.IssuedAt() }

// ExpiresAt returns when the token expires; zero: the server did not say.
func (t *Token) ExpiresAt() time.Time { return t.claims.ExpiresAt() }

// AuthTime returns when the user authenticated; zero: unknown.
func (t *Token) AuthTime() time.Time { return t.claims.AuthTime() }

// ACR returns the authentication context class that was met, or "".
func (t *Token) ACR() string { return t.claims.ACR() }

// AMR returns the authentication methods that were used, in a fresh slice.
func (t *Token) AMR() []string { return t.claims.AMR() }

// GrantID returns the identifier of the consent that the token serves
// ("grant_id"). All tokens of one consent carry the same value, refreshed and
// narrowed tokens too. It is empty if the client acts for itself, or if the
// authorization server does not name consents; see
// [authserver.Config.GrantIDInTokens].
func (t *Token) GrantID() string { return t.claims.GrantID() }

// Confirmation returns what the token is bound to, which the sender has proved to have.
func (t *Token) Confirmation() tokenbinding.Confirmation {
	return tokenbinding.Confirmation{JKT: t.claims.JKT(), X5TS256: t.claims.X5TS256()}
}

// AuthorizationDetails returns the JSON array of what was granted in detail (RFC 9396 §9), nil if there is none.
func (t *Token) AuthorizationDetails() json.RawMessage { return t.claims.AuthorizationDetails() }

// Claim returns a claim by its name, as JSON, nil if there is none.
func (t *Token) Claim(name string) json.RawMessage { return t.claims.Claim(name) }

// JWT returns the token as package accesstoken knows it. false: it is from introspection, or opaque.
func (t *Token) JWT() (token *accesstoken.Token, ok bool) {
	token, ok = t.claims.(*accesstoken.Token)
	return token, ok
}

// String names the client and the token's ID.
func (t *Token) String() string { return t.claims.String() }

// LogValue is String.
func (t *Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// read returns the claims of a valid token that is meant for this resource
// server.
func (s *Server) read(ctx context.Context, raw string) (tokenClaims, error) {
	switch {
	case s.cfg.Tokens != nil:
		return s.lookUp(ctx, raw)
	case s.cfg.Introspection == nil:
		return s.tokens.Verify(ctx, raw)
	}
	token, err := s.cfg.Introspection.Introspect(ctx, raw)
	if err != nil {
		return nil, err
	}
	// Whatever the introspection client is configured for.
	if token.Issuer() != s.cfg.Issuer { // AT-4-2
		return nil, accesstoken.ErrIssuer
	}
	if !slices.Contains(token.Audience(), s.cfg.Resource) { // BCP-2.3-2
		return nil, accesstoken.ErrAudience
	}
	return token, nil
}

// archive hands the signed answer that a request was let through for to a host that wants it. It comes last: who has found
// a token without its key must not be able to fill the archive (MS-7-1).
func (s *Server) archive(ctx context.Context, claims tokenClaims) error {
	token, ok := claims.(*introspection.Token)
	if !ok || token.Signed() == "" {
		return nil
	}
	evidence := profile.Evidence{Kind: profile.EvidenceIntrospection, ClientID: token.ClientID(), JWT: token.Signed(), Time: s.cfg.Now()}
	return wire.Archive(ctx, s.cfg.Evidence, evidence)
}
