package idtoken

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"mime"
	"slices"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/strictjson"
)

// maxUserInfo bounds a UserInfo response. An encrypted response is almost twice
// as long as its claims.
const maxUserInfo = 256 << 10

// UserInfoConfig configures [Verifier.VerifyUserInfo] by the registration of
// the client. The zero value accepts JSON and signed responses.
type UserInfoConfig struct {
	// Signed means that the client has registered userinfo_signed_response_alg.
	// A response that is not signed is then rejected.
	Signed bool
	// Algorithms contains the accepted algorithms of signed responses. The
	// default is Algorithms of [VerifierConfig].
	Algorithms []string
	// DecryptionKeys contains the keys of this client for encrypted responses.
	// Their algorithms are userinfo_encrypted_response_alg and
	// userinfo_encrypted_response_enc. If empty, an encrypted response is
	// rejected. Otherwise only a response that is signed and then encrypted is
	// accepted.
	DecryptionKeys []DecryptionKey
}

// UserInfo contains the claims of a verified UserInfo response. Only a
// [Verifier] returns one. It is immutable and safe for concurrent use. Its
// String and LogValue do not contain the user.
type UserInfo struct {
	issuer, subject string
	claims          strictjson.Object
}

// Subject returns the user ("sub").
func (u *UserInfo) Subject() string { return u.subject }

// Claim returns a copy of a claim by its name, as JSON. It is nil if the
// response has no such claim.
func (u *UserInfo) Claim(name string) json.RawMessage {
	raw, _ := u.claims.Get(name)
	return slices.Clone(raw)
}

// Claims decodes all claims into v, like [Token.Claims].
func (u *UserInfo) Claims(v any) error { return decode(u.claims, v) }

// String returns a text with the issuer.
func (u *UserInfo) String() string { return fmt.Sprintf("UserInfo of %.256q", u.issuer) }

// GoString returns the text of String.
func (u *UserInfo) GoString() string { return u.String() }

// LogValue returns the text of String.
func (u *UserInfo) LogValue() slog.Value { return slog.StringValue(u.String()) }

// userInfoRules returns the rules for signed responses.
func userInfoRules(cfg UserInfoConfig, algorithms []string) (rules jwt.Rules, err error) {
	if len(cfg.Algorithms) > 0 {
		if algorithms, err = jwt.Algorithms(cfg.Algorithms); err != nil {
			return jwt.Rules{}, fmt.Errorf("UserInfo: %w", err)
		}
	}
	rules = jwt.Rules{
		MaxBytes: maxUserInfo, Algorithms: algorithms, Untyped: true, Peer: true,
		Errors: sentinels(),
	}
	if rules.Decrypter, err = jose.NewDecrypter(cfg.DecryptionKeys); err != nil { // CA-OIDC-5.3.4-1
		return jwt.Rules{}, fmt.Errorf("UserInfo: %w", err)
	}
	return rules, nil
}

// VerifyUserInfo checks a UserInfo response (OpenID Connect Core 1.0 §5.3.2 and
// §5.3.4) and returns its claims. contentType is application/json or, for a
// signed response, application/jwt. The caller received the response over TLS
// from the UserInfo endpoint of the issuer. subject is the sub of the verified
// ID token, and the response must be about the same user. Otherwise the error
// matches [ErrSubject]. A signed response must have iss and aud.
func (v *Verifier) VerifyUserInfo(
	ctx context.Context, contentType string, body []byte, subject string,
) (*UserInfo, error) {
	if subject == "" {
		return nil, fmt.Errorf("%w: missing subject of the ID token", ErrSubject)
	}
	if len(body) > maxUserInfo {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrMalformed, maxUserInfo)
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, fmt.Errorf("%w: malformed Content-Type %.64q", ErrMalformed, contentType)
	}
	switch mediaType {
	case "application/json":
		return v.plainUserInfo(body, subject)
	case "application/jwt":
		return v.signedUserInfo(ctx, string(body), subject)
	}
	return nil, fmt.Errorf("%w: Content-Type %.64q, want application/json or application/jwt", ErrMalformed, mediaType)
}

// plainUserInfo reads a response that only TLS protects.
func (v *Verifier) plainUserInfo(body []byte, subject string) (*UserInfo, error) {
	switch { // CA-OIDC-5.3.4-1, CA-OIDC-5.3.4-2: an attacker cannot remove the protection
	case v.userInfo.Decrypter != nil:
		return nil, fmt.Errorf("%w: JSON response, this client requires encryption", ErrEncryption)
	case v.cfg.UserInfo.Signed:
		return nil, fmt.Errorf("%w: JSON response, this client requires a signature", ErrSignature)
	}
	claims, err := strictjson.ParseObject(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return v.about(claims, subject)
}

// foreign claims mark other kinds of JWT of an OpenID provider that may lack a
// typ: ID tokens, logout tokens, access tokens and introspection responses.
var foreign = []string{"nonce", "at_hash", "events", "cnf", "token_introspection"}

// signedUserInfo verifies a signed response, which may be encrypted.
func (v *Verifier) signedUserInfo(ctx context.Context, raw, subject string) (*UserInfo, error) {
	opened, err := v.userInfo.Open(raw)
	if err != nil {
		return nil, err
	}
	for _, name := range foreign { // JWT-3.12-1
		if opened.Claims.Has(name) {
			return nil, fmt.Errorf("%w: it has the claim %s", ErrType, name)
		}
	}
	c := jwt.Read(opened.Claims, ErrClaims)
	t := &Token{issuer: c.String("iss"), audience: c.Audience()}
	exp, expires := c.OptionalTime("exp")
	if err := c.Err(); err != nil {
		return nil, err
	}
	if err := v.checkParties(t); err != nil { // CA-OIDC-5.3.2-2
		return nil, err
	}
	if now := v.cfg.Now(); expires && !now.Before(exp.Add(v.cfg.Leeway)) {
		return nil, fmt.Errorf("%w: exp %s, now %s, leeway %v", ErrExpired, stamp(exp), stamp(now), v.cfg.Leeway)
	}
	u, err := v.about(opened.Claims, subject)
	if err != nil {
		return nil, err
	}
	if _, err := opened.Verify(ctx, v.cfg.Keys); err != nil { // CA-OIDC-5.3.4-2
		return nil, err
	}
	return u, nil
}

// about returns the claims if they are about the expected user.
func (v *Verifier) about(claims strictjson.Object, subject string) (*UserInfo, error) {
	c := jwt.Read(claims, ErrClaims)
	sub := c.String("sub")
	if err := c.Err(); err != nil {
		return nil, err
	}
	// CA-OIDC-5.3.2-1: claims about another user would change the account of
	// this one.
	if sub != subject {
		return nil, fmt.Errorf("%w: not the user of the ID token", ErrSubject)
	}
	return &UserInfo{issuer: v.cfg.Issuer, subject: sub, claims: claims}, nil
}
