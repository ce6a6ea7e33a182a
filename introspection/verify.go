package introspection

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/strictjson"
)

// verify checks a signed response and returns its member token_introspection,
// and the response without encryption. It makes the checks that need no key of
// the server first, so that no key is fetched for a response that is rejected
// anyway.
func (c *Client) verify(
	ctx context.Context, raw string, now time.Time,
) (o strictjson.Object, signed string, err error) {
	// INT-9701-5-1, JWT-3.12-1: an access token or a userinfo response of this
	// issuer is not an introspection response, even if it has all members of
	// one.
	opened, err := c.rules.Open(raw)
	if err != nil {
		return o, "", err
	}
	introspection, err := c.checkClaims(opened.Claims, now)
	if err != nil {
		return o, "", err
	}
	// JWT-3.8-1, MS-5.5.2-2: the keys are those of the issuer that the response
	// names.
	if _, err := opened.Verify(ctx, c.cfg.Keys); err != nil {
		return o, "", err
	}
	return introspection, opened.Signed, nil
}

// checkClaims checks the claims of a signed response.
func (c *Client) checkClaims(claims strictjson.Object, now time.Time) (none strictjson.Object, err error) {
	r := jwt.Read(claims, ErrClaims)
	issuer := r.String("iss") // INT-9701-5-2: all claims are required
	// JWT-3.8-1: identifiers are compared without normalisation.
	if r.Err() == nil && issuer != c.cfg.Issuer {
		return none, fmt.Errorf("%w: got %.256q, want %q", ErrIssuer, issuer, c.cfg.Issuer)
	}
	audience := r.Audience()
	// JWT-3.9-1: a response for several resource servers may not be narrowed to
	// the scope values of one.
	if r.Err() == nil && (len(audience) != 1 || audience[0] != c.cfg.ClientID) {
		return none, fmt.Errorf("%w: got %.256q, want %q", ErrAudience, audience, c.cfg.ClientID)
	}
	if err := c.checkAge(&r, now); err != nil {
		return none, err
	}
	introspection := r.Object("token_introspection")
	return introspection, r.Err()
}

// checkAge rejects an old response. It may be about a token that has been
// revoked since, or about another token. exp and nbf should be absent
// (INT-9701-5-4). If they are present, they are checked.
func (c *Client) checkAge(r *jwt.Reader, now time.Time) error {
	issuedAt := r.Time("iat")
	expires, expiring := r.OptionalTime("exp")
	notBefore, _ := r.OptionalTime("nbf")
	r.RejectNull("exp")
	latest := now.Add(c.cfg.FutureSkew)
	switch {
	case r.Err() != nil:
		return r.Err()
	case now.Sub(issuedAt) > c.cfg.MaxAge || issuedAt.After(latest):
		return fmt.Errorf("%w: iat %d, now %d, MaxAge %v", ErrStale, issuedAt.Unix(), now.Unix(), c.cfg.MaxAge)
	case expiring && !now.Before(expires) || notBefore.After(latest):
		return fmt.Errorf("%w: exp %d, nbf %d, now %d", ErrStale, expires.Unix(), notBefore.Unix(), now.Unix())
	}
	return nil
}

// read checks the members about the token, signed or not.
func (c *Client) read(o strictjson.Object, now time.Time) (*Token, error) {
	r := jwt.Read(o, ErrClaims)
	// INT-7662-2.2-1: "true" and 1 are not true, and active is required.
	if active := r.Bool("active"); r.Err() == nil && !active {
		return nil, ErrInactive
	}
	t := &Token{claims: o, issuer: c.cfg.Issuer}
	if issuer, present := r.OptionalString("iss"); present {
		t.issuer = issuer
	}
	t.subject, _ = r.OptionalString("sub")
	t.clientID, _ = r.OptionalString("client_id")
	t.id, _ = r.OptionalString("jti")
	t.scope, _ = r.OptionalString("scope")
	t.grant, _ = r.OptionalString("grant_id")
	tokenType, _ := r.OptionalString("token_type")
	if r.Err() == nil && t.issuer != c.cfg.Issuer {
		return nil, fmt.Errorf("%w: issuer of the token is %.256q, want %q", ErrIssuer, t.issuer, c.cfg.Issuer)
	}
	t.audience = r.OptionalAudience()
	ours := func(id string) bool { return slices.Contains(t.audience, id) }
	if r.Err() == nil && c.cfg.Audience != nil && !slices.ContainsFunc(c.cfg.Audience, ours) {
		return nil, fmt.Errorf("%w: got %.256q, want one of %q", ErrResource, t.audience, c.cfg.Audience)
	}
	if err := t.readTimes(&r, now, now.Add(c.cfg.FutureSkew)); err != nil {
		return nil, err
	}
	// A check that needs one of these fails without it.
	optional := o.Lenient()
	t.acr, t.amr, t.authTime = optional.String("acr"), optional.Strings("amr"), optional.Time("auth_time")
	_ = optional.String("username") // for Dropped, because Claim returns it
	t.dropped = optional.Dropped()
	t.details = r.ObjectArray("authorization_details") // RAR-9.2-1
	if err := r.Err(); err != nil {
		return nil, err
	}
	var err error
	// DPOP-6.2-2, MTLS-3.2-1: a token whose binding is unknown is rejected. The
	// caller compares the binding.
	if t.cnf, err = jwt.ReadConfirmation(o, ErrConfirmation, c.cfg.InsecureAllowBearer); err != nil {
		return nil, err
	}
	if err := t.checkType(tokenType); err != nil {
		return nil, err
	}
	return t, nil
}

// readTimes reads and checks the times of the token. The clock or the cache of
// the authorization server may be slow.
func (t *Token) readTimes(r *jwt.Reader, now, latest time.Time) (err error) {
	t.issuedAt, _ = r.OptionalTime("iat")
	t.notBefore, _ = r.OptionalTime("nbf")
	var expiring bool
	t.expires, expiring = r.OptionalTime("exp")
	r.RejectNull("exp") // a null must not mean that the token never expires
	switch {
	case r.Err() != nil:
		return r.Err()
	case expiring && !now.Before(t.expires):
		return fmt.Errorf("%w: exp %d, now %d", ErrExpired, t.expires.Unix(), now.Unix())
	case t.issuedAt.After(latest) || t.notBefore.After(latest):
		return fmt.Errorf("%w: iat %d, nbf %d, now %d", ErrNotYetValid,
			t.issuedAt.Unix(), t.notBefore.Unix(), now.Unix())
	}
	return nil
}

// checkType checks token_type, which is optional, against the binding
// (DPOP-6.2-1). Some servers set it to the type of a refresh token, which must
// not permit access.
func (t *Token) checkType(tokenType string) error {
	want := "Bearer"
	if t.cnf.JKT != "" {
		want = "DPoP"
	}
	if tokenType != "" && !strings.EqualFold(tokenType, want) {
		return fmt.Errorf("%w: token_type is %.32q, want %s", ErrConfirmation, tokenType, want)
	}
	return nil
}
