package introspection

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/strictjson"
)

// A Token contains the members of the response for an active token. Only a
// [Client] returns one. It is immutable and safe for concurrent use. It does
// not contain the token itself. Its String and LogValue contain the client and
// the ID. [Token.ID], [Token.Subject], [Token.ClientID] and the times may be
// absent from a response.
type Token struct {
	issuer, subject, clientID, id string
	scope, acr, grant             string
	cnf                           jwt.Confirmation
	audience, amr                 []string
	issuedAt, notBefore, expires  time.Time
	authTime                      time.Time
	details                       json.RawMessage
	claims                        strictjson.Object
	signed                        string
	dropped                       []string
}

// Issuer returns the authorization server that issued the token and sent the
// response.
func (t *Token) Issuer() string { return t.issuer }

// Subject returns the resource owner ("sub"), or the client itself in a client
// credentials grant.
func (t *Token) Subject() string { return t.subject }

// ClientID returns the client that the token was issued to ("client_id").
func (t *Token) ClientID() string { return t.clientID }

// ID returns the identifier of the token ("jti"), which is not a secret.
func (t *Token) ID() string { return t.id }

// Audience returns the resource servers that the token is for ("aud"), in a
// fresh slice.
func (t *Token) Audience() []string { return slices.Clone(t.audience) }

// IssuedAt returns when the token was issued ("iat"), or the zero Time.
func (t *Token) IssuedAt() time.Time { return t.issuedAt }

// ExpiresAt returns when the token expires ("exp"), or the zero Time.
func (t *Token) ExpiresAt() time.Time { return t.expires }

// JKT returns the thumbprint of the DPoP key that the token is bound to. It is
// empty if the token is not bound by DPoP.
func (t *Token) JKT() string { return t.cnf.JKT }

// X5TS256 returns the thumbprint of the certificate that the token is bound to.
// It is empty if the token is not bound by mutual TLS.
func (t *Token) X5TS256() string { return t.cnf.X5TS256 }

// AuthTime returns when the user authenticated ("auth_time"), or the zero Time.
func (t *Token) AuthTime() time.Time { return t.authTime }

// ACR returns the authentication context class ("acr"), or "".
func (t *Token) ACR() string { return t.acr }

// AMR returns the authentication methods that were used ("amr"), in a fresh
// slice.
func (t *Token) AMR() []string { return slices.Clone(t.amr) }

// AuthorizationDetails returns a copy of the JSON array of the granted
// authorization details (RFC 9396), or nil.
func (t *Token) AuthorizationDetails() json.RawMessage { return slices.Clone(t.details) }

// GrantID returns the identifier of the consent behind the token ("grant_id").
// It is the same for all tokens of that consent, including refreshed tokens. It
// is empty if the response has no grant_id.
func (t *Token) GrantID() string { return t.grant }

// Claim returns a copy of a member of the response by its name, for example
// "username", as JSON. It is nil if there is no such member.
func (t *Token) Claim(name string) json.RawMessage {
	raw, _ := t.claims.Get(name)
	return slices.Clone(raw)
}

// Dropped returns the optional members that count as absent because they have
// another type than RFC 7662 gives them, in a fresh slice. [Token.Claim] still
// returns them.
func (t *Token) Dropped() []string { return slices.Clone(t.dropped) }

// Signed returns the signed response, to be archived as evidence. It is empty
// if the response was not signed. It does not permit access, but it contains
// personal data.
func (t *Token) Signed() string { return t.signed }

// Scopes returns the granted scope values, in a fresh slice.
func (t *Token) Scopes() []string { return strings.Fields(t.scope) }

// HasScope reports whether a scope value was granted. Values are compared
// exactly.
func (t *Token) HasScope(value string) bool {
	for s := range strings.SplitSeq(t.scope, " ") {
		if s == value && s != "" {
			return true
		}
	}
	return false
}

// CheckScope returns [ErrInsufficientScope] if one of the scope values was not
// granted.
func (t *Token) CheckScope(values ...string) error {
	for _, value := range values {
		if !t.HasScope(value) {
			return fmt.Errorf("%w: client %.256q lacks %q", ErrInsufficientScope, t.clientID, value)
		}
	}
	return nil
}

// String returns a text with the client and the ID of the token.
func (t *Token) String() string {
	return fmt.Sprintf("access token %.64q of client %.256q", t.id, t.clientID)
}

// GoString returns the text of String.
func (t *Token) GoString() string { return t.String() }

// LogValue returns a group with ID, client, issuer and expiry.
func (t *Token) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("jti", t.id), slog.String("client_id", t.clientID), slog.String("iss", t.issuer),
		slog.Time("exp", t.expires),
	)
}
