// Package accesstoken implements JSON Web Token (JWT) access tokens (RFC 9068): an authorization server makes them with
// an [Issuer], a resource server learns from them with a [Verifier] what it may do for whom, without asking anyone.
//
// JWT access tokens with a life of a few minutes suit most resource servers. Use opaque tokens instead where what they
// allow must not be readable by the client that carries them, or would make them longer than a header line may be.
//
// A token of FAPI 2.0 is bound to a key of its client, by DPoP ("jkt", RFC 9449) or by mutual TLS ("x5t#S256", RFC 8705).
// Issuer and Verifier refuse tokens without such a binding. A Verifier cannot check the binding, as it sees only the
// token: the caller compares what [Token.JKT] and [Token.X5TS256] say with the proof and the certificate of the request.
// [Token.CheckScope] and [Token.CheckStepUp] (RFC 9470) help with what follows. An API made of this package, jwks, tokenbinding
// and dpop, with the calls in the order that matters, is in the directory examples/embedding.
//
// A Verifier remembers the tokens that it has verified, so that a token in steady use costs one hash instead of a
// signature check. Expiry and revocation are looked at every time; a signature is checked again after five minutes.
//
// A Verifier trusts one issuer. A resource server that trusts several has one Verifier for each and must know which to
// ask before it has read the token: by the path or host of the request, or by configuration of the client.
//
// The scope of a token is one string (RFC 9068 §2.2.3). A Verifier rejects an
// array, which some servers write by default. If an optional claim has another
// type and no check depends on it, it counts as absent. [Token.Dropped] names
// it.
//
// The package does not read the HTTP request and does not encrypt. It does not
// accept RS256, which RFC 9068 requires and FAPI 2.0 forbids.
package accesstoken

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/strictjson"
)

// A Token is what a verified access token says. It comes from a [Verifier] only, never changes, and is safe for concurrent
// use. It does not hold the token itself; printed or logged it names the client and the token's ID.
type Token struct {
	issuer, subject, clientID, id string
	scope, acr, grant, jkt, x5t   string
	audience, amr                 []string
	issuedAt, notBefore, expires  time.Time
	authTime                      time.Time
	details                       json.RawMessage
	claims                        strictjson.Object
	now                           func() time.Time
	dropped                       []string
}

func (t *Token) readTimes() error {
	for _, c := range []struct {
		name     string
		to       *time.Time
		required bool
	}{
		{"iat", &t.issuedAt, true}, {"exp", &t.expires, true}, // AT-2.2-1
		{"nbf", &t.notBefore, false},
	} {
		value, present, err := t.claims.Time(c.name)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrClaims, err)
		}
		if !present && c.required {
			return fmt.Errorf("%w: no %s", ErrClaims, c.name)
		}
		*c.to = value
	}
	return nil
}

// Issuer returns the authorization server that issued the token ("iss").
func (t *Token) Issuer() string { return t.issuer }

// Subject returns the resource owner, or the client in a client credentials grant ("sub").
func (t *Token) Subject() string { return t.subject }

// ClientID returns the client that the token was issued to ("client_id").
func (t *Token) ClientID() string { return t.clientID }

// ID returns the identifier of the token ("jti"), which is not a secret.
func (t *Token) ID() string { return t.id }

// Audience returns the resource servers that the token is for ("aud"), in a fresh slice.
func (t *Token) Audience() []string { return slices.Clone(t.audience) }

// IssuedAt returns when the token was issued ("iat").
func (t *Token) IssuedAt() time.Time { return t.issuedAt }

// ExpiresAt returns when the token expires ("exp").
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
// is empty if the token has no grant_id.
func (t *Token) GrantID() string { return t.grant }

// Dropped returns the optional claims that count as absent because they have
// another type than RFC 9068 gives them, in a fresh slice. [Token.Claim] still
// returns them.
func (t *Token) Dropped() []string { return slices.Clone(t.dropped) }

// Claim returns a claim by its name, as JSON, in a fresh copy. It is nil if the token has no such claim.
func (t *Token) Claim(name string) json.RawMessage {
	raw, _ := t.claims.Get(name)
	return slices.Clone(raw)
}

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
		if !t.HasScope(value) { // SP-5.3.4-4
			return fmt.Errorf("%w: client %.256q has no %q", ErrInsufficientScope, t.clientID, value)
		}
	}
	return nil
}

// String names the client and the token's ID.
func (t *Token) String() string {
	return fmt.Sprintf("access token %.64q of client %.256q", t.id, t.clientID)
}

// LogValue is String for slog, as a group with the expiry.
func (t *Token) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("jti", t.id), slog.String("client_id", t.clientID), slog.String("iss", t.issuer), slog.Time("exp", t.expires),
	)
}
