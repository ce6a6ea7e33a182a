// Package idtoken implements ID tokens (OpenID Connect Core 1.0 §2 and
// §3.1.3.7): signed statements of an OpenID provider to a client about the
// login of a user. It also verifies UserInfo responses (§5.3), which have
// further claims about the same user.
//
// An OpenID provider issues ID tokens with an [Issuer], in the token response
// to requests with the scope value openid. A client checks each with a
// [Verifier] before it uses another part of that response. Most clients call
// Verify(ctx, raw, Expected{Nonce: nonce}) with the nonce of the request, and
// then [Token.Subject]. Only the pair of issuer and subject identifies the
// user.
//
// The signature is always checked. FAPI 2.0 Message Signing removes the
// exception of OpenID Connect for tokens that come over TLS from the token
// endpoint. The algorithms are ES256, PS256 and EdDSA. A provider that signs
// with RS256, the default of OpenID Connect, uses another algorithm if the
// client registers it as id_token_signed_response_alg.
//
// An optional claim counts as absent if it is null, and so does an acr, amr or
// auth_time of the wrong type. If acr or auth_time was required, such a token
// is rejected. An at_hash that is not a string is an error if the response has
// an access token, because its check would be skipped. [Token.Dropped] names
// the ignored claims.
//
// A client with a [DecryptionKey] accepts only tokens that are signed and then
// encrypted. A provider encrypts them with an [Encryption]. Both use the
// algorithms that the client has registered, and never those that a token
// chooses.
//
// The package does not support the implicit flow, the hybrid flow, logout
// tokens or self-issued tokens. It does not store nonces: the caller ensures
// that each nonce is used once.
package idtoken

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/strictjson"
)

// A Token contains the claims of a verified ID token. Only a [Verifier] returns
// one. It is immutable and safe for concurrent use. It does not contain the
// token itself. Its String and LogValue contain the issuer and not the user.
type Token struct {
	issuer, subject, azp, nonce, acr string
	audience, amr                    []string
	issuedAt, expires, authTime      time.Time
	payload                          strictjson.Object
	dropped                          []string
}

// Issuer returns the OpenID provider ("iss").
func (t *Token) Issuer() string { return t.issuer }

// Subject returns the user ("sub"). The identifier is unique at this issuer
// only and is never reassigned.
func (t *Token) Subject() string { return t.subject }

// Audience returns a copy of the recipients of the token ("aud").
func (t *Token) Audience() []string { return slices.Clone(t.audience) }

// Nonce returns the nonce of the request, or "".
func (t *Token) Nonce() string { return t.nonce }

// IssuedAt returns when the token was issued ("iat").
func (t *Token) IssuedAt() time.Time { return t.issuedAt }

// ExpiresAt returns when the token expires ("exp"). The session of the user may
// end at another time.
func (t *Token) ExpiresAt() time.Time { return t.expires }

// AuthTime returns when the user authenticated ("auth_time"), or the zero Time.
func (t *Token) AuthTime() time.Time { return t.authTime }

// ACR returns the authentication context class ("acr"), or "".
func (t *Token) ACR() string { return t.acr }

// AMR returns a copy of the authentication methods that were used ("amr").
func (t *Token) AMR() []string { return slices.Clone(t.amr) }

// Claim returns a copy of a claim by its name, as JSON. It is nil if the token
// has no such claim.
func (t *Token) Claim(name string) json.RawMessage {
	raw, _ := t.payload.Get(name)
	return slices.Clone(raw)
}

// Dropped returns the optional claims that count as absent because they have
// another type than OpenID Connect gives them, in a fresh slice. [Token.Claim]
// still returns them.
func (t *Token) Dropped() []string { return slices.Clone(t.dropped) }

// Claims decodes all claims into v, a pointer to a struct. A field matches the
// claim whose exact name is in its json tag. A claim without a field is
// ignored. The error matches [ErrClaims].
func (t *Token) Claims(v any) error { return decode(t.payload, v) }

func decode(claims strictjson.Object, v any) error {
	all := make(map[string]json.RawMessage)
	for _, name := range claims.Names() {
		all[name], _ = claims.Get(name)
	}
	raw, err := json.Marshal(all)
	if err == nil {
		err = strictjson.Decode(raw, v)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrClaims, err)
	}
	return nil
}

// String returns a text with the issuer.
func (t *Token) String() string { return fmt.Sprintf("ID token of %.256q", t.issuer) }

// LogValue returns a group with issuer, iat and exp.
func (t *Token) LogValue() slog.Value {
	return slog.GroupValue(slog.String("iss", t.issuer), slog.Time("iat", t.issuedAt), slog.Time("exp", t.expires))
}

// read returns the claims by their types. The Verifier checks their values.
func read(o strictjson.Object) (*Token, error) {
	t, c := &Token{payload: o}, jwt.Read(o, ErrClaims)
	t.issuer, t.subject = c.String("iss"), c.String("sub")
	t.azp, t.nonce = c.NonEmpty("azp"), c.NonEmpty("nonce")
	if !isSubject(t.subject) { // JWT-3.8-1
		c.Fail("sub is not 1 to %d ASCII characters", maxSubject)
	}
	t.issuedAt, t.expires = c.Time("iat"), c.Time("exp")
	t.audience = c.Audience() // CS-20: an array of one element is equal to a string
	if err := c.Err(); err != nil {
		return nil, err
	}
	// A check that needs one of these fails without it.
	optional := o.Lenient()
	t.acr, t.amr, t.authTime = optional.String("acr"), optional.Strings("amr"), optional.Time("auth_time")
	if _, _, err := o.String("at_hash"); err != nil {
		optional.Drop("at_hash") // checkAccessToken rejects it if there is an access token
	}
	t.dropped = optional.Dropped()
	return t, nil
}

const maxSubject = 255

func isSubject(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return s != "" && len(s) <= maxSubject
}
