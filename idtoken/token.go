// Package idtoken implements ID tokens (OpenID Connect Core 1.0 §2 and §3.1.3.7): signed statements of an OpenID
// provider to a client about who has logged in, when, and how.
//
// An OpenID provider makes them with an [Issuer] for the token response of requests that had the scope value openid. A
// client checks each with a [Verifier] before it uses anything of that response. For most clients that is
// Verify(ctx, raw, Expected{Nonce: the nonce that was sent}), and then [Token.Subject]: the pair of issuer and subject
// is the user, nothing else is.
//
// The signature is always checked, also when the token comes straight from the token endpoint over TLS: FAPI 2.0 Message
// Signing takes away the exception that OpenID Connect makes there. The algorithms are ES256, PS256 and EdDSA. A provider
// that signs with RS256, the default of OpenID Connect, has to be told otherwise by the client metadata
// id_token_signed_response_alg.
//
// An optional claim that is null counts as absent. So does acr, amr or
// auth_time of the wrong type. If acr or auth_time was required, such a token
// is rejected. An at_hash that is not a string is an error if the response has
// an access token, because its check would be skipped; otherwise it counts as
// absent. [Token.Dropped] names the ignored claims.
//
// The package does not decrypt. It does not support the implicit flow, the
// hybrid flow, logout tokens or self-issued tokens. It does not store nonces:
// the caller ensures that each nonce is used once.
package idtoken

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/strictjson"
)

// A Token is what a verified ID token says. It comes from a [Verifier] only, never changes, and is safe for concurrent use.
// It does not hold the token itself; printed or logged it names the issuer and not the user.
type Token struct {
	issuer, subject, azp, nonce, acr string
	audience, amr                    []string
	issuedAt, expires, authTime      time.Time
	payload                          strictjson.Object
	dropped                          []string
}

// Issuer returns the OpenID provider ("iss").
func (t *Token) Issuer() string { return t.issuer }

// Subject returns the user, as the issuer knows her or him ("sub"): unique at this issuer only, never reassigned.
func (t *Token) Subject() string { return t.subject }

// Audience returns for whom the token is ("aud"), in a fresh slice.
func (t *Token) Audience() []string { return slices.Clone(t.audience) }

// Nonce returns the nonce of the request, or "".
func (t *Token) Nonce() string { return t.nonce }

// IssuedAt returns when the token was issued ("iat").
func (t *Token) IssuedAt() time.Time { return t.issuedAt }

// ExpiresAt returns when the token expires ("exp"). It says nothing about the session of the user.
func (t *Token) ExpiresAt() time.Time { return t.expires }

// AuthTime returns when the user authenticated ("auth_time"), or the zero Time.
func (t *Token) AuthTime() time.Time { return t.authTime }

// ACR returns the authentication context class that was met ("acr"), or "".
func (t *Token) ACR() string { return t.acr }

// AMR returns the authentication methods that were used ("amr"), in a fresh slice.
func (t *Token) AMR() []string { return slices.Clone(t.amr) }

// Claim returns a claim by its name, as JSON, in a fresh copy. It is nil if the token has no such claim.
func (t *Token) Claim(name string) json.RawMessage {
	raw, _ := t.payload.Get(name)
	return slices.Clone(raw)
}

// Dropped returns the optional claims that count as absent because they have
// another type than OpenID Connect gives them, in a fresh slice. [Token.Claim]
// still returns them.
func (t *Token) Dropped() []string { return slices.Clone(t.dropped) }

// Claims decodes all claims into v, a pointer to a struct, whose fields match claims by the exact name in their json tag. A
// claim without a field is ignored. The error matches [ErrClaims].
func (t *Token) Claims(v any) error {
	all := make(map[string]json.RawMessage)
	for _, name := range t.payload.Names() {
		all[name], _ = t.payload.Get(name)
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

// String names the issuer.
func (t *Token) String() string { return fmt.Sprintf("ID token of %.256q", t.issuer) }

// LogValue is String for slog, as a group with the times.
func (t *Token) LogValue() slog.Value {
	return slog.GroupValue(slog.String("iss", t.issuer), slog.Time("iat", t.issuedAt), slog.Time("exp", t.expires))
}

// read takes over the claims by their types. Whether they are right is for the Verifier to say.
func read(o strictjson.Object) (*Token, error) {
	t := &Token{payload: o}
	for _, c := range []struct {
		name     string
		to       *string
		required bool
	}{
		{"iss", &t.issuer, true}, {"sub", &t.subject, true},
		{"azp", &t.azp, false}, {"nonce", &t.nonce, false},
	} {
		value, present, err := o.String(c.name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrClaims, err)
		}
		if value == "" && (c.required || present) {
			return nil, fmt.Errorf("%w: no %s, or an empty one", ErrClaims, c.name)
		}
		*c.to = value
	}
	// JWT-3.8-1: §2 wants at most 255 ASCII characters.
	if !isSubject(t.subject) {
		return nil, fmt.Errorf("%w: sub is not 1 to %d ASCII characters", ErrClaims, maxSubject)
	}
	for _, c := range []struct {
		name string
		to   *time.Time
	}{{"iat", &t.issuedAt}, {"exp", &t.expires}} {
		value, present, err := o.Time(c.name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrClaims, err)
		}
		if !present {
			return nil, fmt.Errorf("%w: no %s", ErrClaims, c.name)
		}
		*c.to = value
	}
	var err error
	if t.audience, _, err = o.StringOrStrings("aud"); err != nil { // CS-20: an array of one is as good as a string
		return nil, fmt.Errorf("%w: %w", ErrClaims, err)
	}
	if len(t.audience) == 0 {
		return nil, fmt.Errorf("%w: no aud, or an empty one", ErrClaims)
	}
	// A check that needs one of these fails without it.
	optional := o.Lenient()
	t.acr, t.amr, t.authTime = optional.String("acr"), optional.Strings("amr"), optional.Time("auth_time")
	if _, _, err := o.String("at_hash"); err != nil {
		optional.Drop("at_hash") // checkAccessToken rejects it where an access token came along
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

// fail finds the sentinel for a failure of the JOSE layer.
func fail(err error) error {
	switch {
	case errors.Is(err, jose.ErrMalformed):
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	case errors.Is(err, jose.ErrAlgorithm):
		return fmt.Errorf("%w: %w", ErrAlgorithm, err)
	}
	return fmt.Errorf("%w: %w", ErrSignature, err)
}
