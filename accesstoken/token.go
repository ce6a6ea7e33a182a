// Package accesstoken implements access tokens in the format of JSON Web Tokens
// (JWT, RFC 9068).
//
// An authorization server issues them with an [Issuer]. A resource server
// checks them with a [Verifier], without a request to the authorization server.
// They suit most resource servers if their lifetime is a few minutes. Use
// opaque tokens (package introspection) if the client must not read the claims,
// or if the token would not fit into a header field.
//
// FAPI 2.0 binds each access token to a key of its client, by DPoP (RFC 9449)
// or by mutual TLS (RFC 8705). Issuer and Verifier reject tokens without such a
// binding. A Verifier does not see the request, so the caller compares
// [Token.JKT] and [Token.X5TS256] with the proof and the certificate of the
// request. [Token.CheckScope] and [Token.CheckStepUp] (RFC 9470) come next. The
// directory examples/embedding has an API with all calls in the right order.
//
// A Verifier caches verified tokens, so that a repeated token needs a hash
// instead of a signature check. It checks expiry and revocation on each use,
// and the signature again after five minutes. A Verifier accepts one issuer. A
// resource server with several issuers has a Verifier for each. It selects the
// Verifier by the path or host of the request, before it reads the token.
//
// The scope of a token is one string (RFC 9068 §2.2.3): an array, the default
// of some servers, is rejected. An optional claim of the wrong type counts as
// absent if no check depends on it. [Token.Dropped] names such claims. The
// package does not decrypt. It does not accept RS256, which RFC 9068 requires
// and FAPI 2.0 forbids.
package accesstoken

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

// A Token contains the claims of a verified access token. Only a [Verifier]
// returns one. It is immutable and safe for concurrent use. It does not contain
// the token itself. Its String and LogValue contain the client and the ID.
type Token struct {
	hash                          string
	issuer, subject, clientID, id string
	scope, acr, grant             string
	cnf                           jwt.Confirmation
	audience, amr                 []string
	issuedAt, notBefore, expires  time.Time
	authTime                      time.Time
	details                       json.RawMessage
	claims                        strictjson.Object
	now                           func() time.Time
	dropped                       []string
}

// Issuer returns the authorization server that issued the token ("iss").
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

// IssuedAt returns when the token was issued ("iat").
func (t *Token) IssuedAt() time.Time { return t.issuedAt }

// ExpiresAt returns when the token expires ("exp").
func (t *Token) ExpiresAt() time.Time { return t.expires }

// Hash returns the SHA-256 hash of the token in base64url. A DPoP proof for the
// token has this value as "ath" (RFC 9449 §4.2).
func (t *Token) Hash() string { return t.hash }

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
// is empty if the token has no grant_id.
func (t *Token) GrantID() string { return t.grant }

// Dropped returns the optional claims that count as absent because they have
// another type than RFC 9068 gives them, in a fresh slice. [Token.Claim] still
// returns them.
func (t *Token) Dropped() []string { return slices.Clone(t.dropped) }

// Claim returns a copy of a claim by its name, as JSON. It is nil if the token
// has no such claim.
func (t *Token) Claim(name string) json.RawMessage {
	raw, _ := t.claims.Get(name)
	return slices.Clone(raw)
}

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
		if !t.HasScope(value) { // SP-5.3.4-4
			return fmt.Errorf("%w: client %.256q lacks %q", ErrInsufficientScope, t.clientID, value)
		}
	}
	return nil
}

// String returns a text with the client and the ID of the token.
func (t *Token) String() string {
	return fmt.Sprintf("access token %.64q of client %.256q", t.id, t.clientID)
}

// LogValue returns a group with ID, client, issuer and expiry.
func (t *Token) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("jti", t.id), slog.String("client_id", t.clientID), slog.String("iss", t.issuer),
		slog.Time("exp", t.expires),
	)
}
