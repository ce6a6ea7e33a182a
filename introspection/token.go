package introspection

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/strictjson"
)

// A Token is what the authorization server says about a token that is active. It comes from a [Client] only, never changes,
// and is safe for concurrent use. It does not hold the token itself; printed or logged it names the client and the token's
// ID. An authorization server may leave out what [Token.ID], [Token.Subject] and [Token.ClientID] return, and the times.
type Token struct {
	issuer, subject, clientID, id string
	scope, acr, grant, jkt, x5t   string
	audience, amr                 []string
	issuedAt, notBefore, expires  time.Time
	authTime                      time.Time
	details                       json.RawMessage
	claims                        strictjson.Object
	signed                        string
	dropped                       []string
}

// Issuer returns the authorization server that issued the token and answered for it.
func (t *Token) Issuer() string { return t.issuer }

// Subject returns the resource owner, or the client in a client credentials grant ("sub").
func (t *Token) Subject() string { return t.subject }

// ClientID returns the client that the token was issued to ("client_id").
func (t *Token) ClientID() string { return t.clientID }

// ID returns the identifier of the token ("jti"), which is not a secret.
func (t *Token) ID() string { return t.id }

// Audience returns the resource servers that the token is for ("aud"), in a fresh slice.
func (t *Token) Audience() []string { return slices.Clone(t.audience) }

// IssuedAt returns when the token was issued ("iat"), or the zero Time.
func (t *Token) IssuedAt() time.Time { return t.issuedAt }

// ExpiresAt returns when the token expires ("exp"), or the zero Time if the authorization server does not say so.
func (t *Token) ExpiresAt() time.Time { return t.expires }

// JKT returns the thumbprint of the DPoP key that the token is bound to, empty if it is not bound by DPoP.
func (t *Token) JKT() string { return t.jkt }

// X5TS256 returns the thumbprint of the certificate that the token is bound to, empty if it is not bound by mutual TLS.
func (t *Token) X5TS256() string { return t.x5t }

// AuthTime returns when the user authenticated ("auth_time"), or the zero Time.
func (t *Token) AuthTime() time.Time { return t.authTime }

// ACR returns the authentication context class that was met ("acr"), or "".
func (t *Token) ACR() string { return t.acr }

// AMR returns the authentication methods that were used ("amr"), in a fresh slice.
func (t *Token) AMR() []string { return slices.Clone(t.amr) }

// AuthorizationDetails returns the JSON array of what was granted in detail (RFC 9396), a fresh copy, or nil.
func (t *Token) AuthorizationDetails() json.RawMessage { return slices.Clone(t.details) }

// GrantID returns the identifier of the consent behind the token ("grant_id").
// It is the same for all tokens of that consent, including refreshed tokens. It
// is empty if the response has no grant_id.
func (t *Token) GrantID() string { return t.grant }

// Claim returns a member of the answer by its name, "username" for one, as JSON, in a fresh copy. It is nil if there is no
// such member.
func (t *Token) Claim(name string) json.RawMessage {
	raw, _ := t.claims.Get(name)
	return slices.Clone(raw)
}

// Dropped returns the optional members that count as absent because they have
// another type than RFC 7662 gives them, in a fresh slice. [Token.Claim] still
// returns them.
func (t *Token) Dropped() []string { return slices.Clone(t.dropped) }

// Signed returns the JWT that says all this, as the authorization server signed it, to be archived as evidence. It is
// empty if the answer was not signed. It is good for no access, but tells its reader about the resource owner.
func (t *Token) Signed() string { return t.signed }

// Scopes returns the granted scope values, in a fresh slice.
func (t *Token) Scopes() []string { return strings.Fields(t.scope) }

// HasScope reports whether a scope value was granted. Values are compared exactly.
func (t *Token) HasScope(value string) bool {
	for s := range strings.SplitSeq(t.scope, " ") {
		if s == value && s != "" {
			return true
		}
	}
	return false
}

// CheckScope returns [ErrInsufficientScope] unless all these scope values were granted.
func (t *Token) CheckScope(values ...string) error {
	for _, value := range values {
		if !t.HasScope(value) {
			return fmt.Errorf("%w: client %.256q has no %q", ErrInsufficientScope, t.clientID, value)
		}
	}
	return nil
}

// String names the client and the token's ID.
func (t *Token) String() string {
	return fmt.Sprintf("access token %.64q of client %.256q", t.id, t.clientID)
}

// GoString is String, as the answer tells about the resource owner.
func (t *Token) GoString() string { return t.String() }

// LogValue is String for slog, as a group with the expiry.
func (t *Token) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("jti", t.id), slog.String("client_id", t.clientID), slog.String("iss", t.issuer), slog.Time("exp", t.expires),
	)
}
