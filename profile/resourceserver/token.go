package resourceserver

import (
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/tokenbinding"
)

// A Token is the access token of a request that a [Server] has verified. It is
// authentic, meant for this API and not known to be revoked. The sender has
// proved possession of the key or certificate that it is bound to. A Token is
// immutable and safe for concurrent use. Its String and LogValue contain no
// secret.
type Token struct {
	claims tokenClaims
	issuer *issuer
	server *Server

	parseDetails sync.Once
	details      rar.Details
	detailsErr   error
}

// tokenClaims are the claims of a token of any kind.
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

// Issuer returns the authorization server that issued the token: the ID of one
// of [Config.Issuers].
func (t *Token) Issuer() string { return t.issuer.ID }

// Subject returns the resource owner ("sub"), or the client itself in a client
// credentials grant. Subjects of different issuers are different users, even if
// they are equal: see [Token.Issuer].
func (t *Token) Subject() string { return t.claims.Subject() }

// ClientID returns the client that the token was issued to ("client_id"). It is
// unique within one issuer only.
func (t *Token) ClientID() string { return t.claims.ClientID() }

// ID returns the identifier of the token ("jti"), which is not a secret. It is
// unique within one issuer only.
func (t *Token) ID() string { return t.claims.ID() }

// Audience returns the resource servers that the token is for ("aud"), in a
// fresh slice.
func (t *Token) Audience() []string { return t.claims.Audience() }

// Scopes returns the granted scope values, in a fresh slice.
func (t *Token) Scopes() []string { return t.claims.Scopes() }

// HasScope reports whether a scope value was granted. Values are compared
// exactly.
func (t *Token) HasScope(value string) bool { return t.claims.HasScope(value) }

// CheckScope returns an insufficient_scope error for [Server.WriteError] if one
// of the scope values was not granted.
func (t *Token) CheckScope(values ...string) error { return t.claims.CheckScope(values...) }

// IssuedAt returns when the token was issued ("iat"), or the zero Time.
func (t *Token) IssuedAt() time.Time { return t.claims.IssuedAt() }

// ExpiresAt returns when the token expires ("exp"), or the zero Time.
func (t *Token) ExpiresAt() time.Time { return t.claims.ExpiresAt() }

// AuthTime returns when the user authenticated ("auth_time"), or the zero Time.
func (t *Token) AuthTime() time.Time { return t.claims.AuthTime() }

// ACR returns the authentication context class ("acr"), or "".
func (t *Token) ACR() string { return t.claims.ACR() }

// AMR returns the authentication methods that were used ("amr"), in a fresh
// slice.
func (t *Token) AMR() []string { return t.claims.AMR() }

// GrantID returns the identifier of the consent behind the token ("grant_id").
// It is the same for all tokens of that consent, including refreshed and
// narrowed tokens. It is empty if the client acts for itself, or if the
// authorization server does not name consents in its tokens.
func (t *Token) GrantID() string { return t.claims.GrantID() }

// Confirmation returns the key or certificate that the token is bound to. The
// sender has proved possession of it.
func (t *Token) Confirmation() tokenbinding.Confirmation {
	return tokenbinding.Confirmation{JKT: t.claims.JKT(), X5TS256: t.claims.X5TS256()}
}

// AuthorizationDetails returns the JSON array of all granted authorization
// details (RFC 9396 §9), or nil. Most APIs use [Token.Details] instead.
func (t *Token) AuthorizationDetails() json.RawMessage { return t.claims.AuthorizationDetails() }

// Claim returns a claim by its name, as JSON. It is nil if the token has no
// such claim.
func (t *Token) Claim(name string) json.RawMessage { return t.claims.Claim(name) }

// String returns a text with the client and the ID of the token.
func (t *Token) String() string { return t.claims.String() }

// LogValue returns String for package log/slog.
func (t *Token) LogValue() slog.Value { return slog.StringValue(t.String()) }
