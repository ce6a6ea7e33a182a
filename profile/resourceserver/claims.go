package resourceserver

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/tokenbinding"
)

// Claims are those of an active access token, as [Issuer].Tokens returns them.
type Claims struct {
	// Issuer is the issuer identifier of the authorization server. If empty,
	// the ID of the [Issuer] is used. A token with another value is rejected.
	Issuer string
	// Subject is the user, or the client if it acts for itself.
	Subject string
	// ClientID is the client that the token was issued to.
	ClientID string
	// ID identifies the token. It is not a secret.
	ID string
	// Audience are the resource servers that the token is for. A token is
	// rejected unless the Resource of the configuration is one of them.
	Audience []string
	// Scopes are the granted scope values.
	Scopes []string
	// Confirmation is the key or certificate that the token is bound to. A
	// token without it is rejected.
	Confirmation tokenbinding.Confirmation
	// ExpiresAt is when the token expires. An expired token is rejected. The
	// zero Time means that the expiry is unknown.
	ExpiresAt time.Time
	// IssuedAt is when the token was issued, or the zero Time.
	IssuedAt time.Time
	// AuthTime is when the user authenticated, or the zero Time.
	AuthTime time.Time
	// ACR is the authentication context class.
	ACR string
	// AMR are the authentication methods.
	AMR []string
	// GrantID identifies the consent that the token serves.
	GrantID string
	// AuthorizationDetails is a JSON array (RFC 9396 §9), or nil.
	AuthorizationDetails json.RawMessage
	// Claim returns another claim as JSON, or nil. If Claim is nil, the token
	// has no other claims.
	Claim func(name string) json.RawMessage
}

// hostClaims are the claims of a token that the host has looked up.
type hostClaims struct{ c Claims }

func (t hostClaims) Subject() string        { return t.c.Subject }
func (t hostClaims) ClientID() string       { return t.c.ClientID }
func (t hostClaims) ID() string             { return t.c.ID }
func (t hostClaims) Audience() []string     { return slices.Clone(t.c.Audience) }
func (t hostClaims) Scopes() []string       { return slices.Clone(t.c.Scopes) }
func (t hostClaims) IssuedAt() time.Time    { return t.c.IssuedAt }
func (t hostClaims) ExpiresAt() time.Time   { return t.c.ExpiresAt }
func (t hostClaims) AuthTime() time.Time    { return t.c.AuthTime }
func (t hostClaims) ACR() string            { return t.c.ACR }
func (t hostClaims) AMR() []string          { return slices.Clone(t.c.AMR) }
func (t hostClaims) GrantID() string        { return t.c.GrantID }
func (t hostClaims) JKT() string            { return t.c.Confirmation.JKT }
func (t hostClaims) X5TS256() string        { return t.c.Confirmation.X5TS256 }
func (t hostClaims) HasScope(v string) bool { return v != "" && slices.Contains(t.c.Scopes, v) }

func (t hostClaims) String() string {
	return fmt.Sprintf("access token %.64q of client %.256q", t.c.ID, t.c.ClientID)
}

func (t hostClaims) CheckScope(values ...string) error {
	for _, value := range values {
		if !t.HasScope(value) { // SP-5.3.4-4
			return fmt.Errorf("%w: client %.256q lacks %q", accesstoken.ErrInsufficientScope, t.c.ClientID, value)
		}
	}
	return nil
}

func (t hostClaims) AuthorizationDetails() json.RawMessage {
	return slices.Clone(t.c.AuthorizationDetails)
}

func (t hostClaims) Claim(name string) json.RawMessage {
	if t.c.Claim == nil {
		return nil
	}
	return t.c.Claim(name)
}
