package introspection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/strictjson"
)

// verify checks a signed answer and returns the token_introspection object in it. MS-5.5.2-2: nothing in that object is
// looked at before. What costs nothing comes first: no key is fetched for an answer that could not be accepted anyway.
func (c *Client) verify(ctx context.Context, jwt string, now time.Time) (strictjson.Object, error) {
	var none strictjson.Object
	jws, err := jose.Split(jwt, maxResponse)
	if err != nil {
		return none, fail(err)
	}
	header, err := jws.ParseHeader()
	if err != nil {
		return none, fail(err)
	}
	// JWT-3.1-1: the answer does not choose beyond what we allow.
	if !jose.Accepts(c.cfg.Algorithms, header.Algorithm) {
		return none, fmt.Errorf("%w: %.32q", ErrAlgorithm, header.Algorithm)
	}
	// INT-9701-5-1, JWT-3.12-1: an access token or a userinfo response of this issuer is no answer to this question,
	// whatever members it has.
	if !header.IsType(typ) {
		return none, fmt.Errorf("%w: typ is %.64q", ErrType, header.Type)
	}
	claims, err := jws.Claims()
	if err != nil {
		return none, fail(err)
	}
	introspection, err := c.checkClaims(claims, now)
	if err != nil {
		return none, err
	}
	// JWT-3.8-1: the keys are those of the issuer that the answer names.
	keys, err := c.cfg.Keys(ctx, header.KeyID, header.Algorithm)
	if err != nil {
		return none, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if _, err := jws.VerifyAny(header.Algorithm, keys); err != nil {
		return none, fail(err)
	}
	return introspection, nil
}

// checkClaims checks the top-level claims. INT-9701-5-2: all of them are required.
func (c *Client) checkClaims(claims strictjson.Object, now time.Time) (strictjson.Object, error) {
	var none strictjson.Object
	issuer, _, err := claims.String("iss")
	if err != nil {
		return none, fmt.Errorf("%w: %w", ErrClaims, err)
	}
	if issuer == "" {
		return none, fmt.Errorf("%w: no iss, or an empty one", ErrClaims)
	}
	// JWT-3.8-1: identifiers are compared as they are, without normalisation.
	if issuer != c.cfg.Issuer {
		return none, fmt.Errorf("%w: got %.256q, want %q", ErrIssuer, issuer, c.cfg.Issuer)
	}
	audience, _, err := claims.StringOrStrings("aud")
	if err != nil {
		return none, fmt.Errorf("%w: %w", ErrClaims, err)
	}
	if len(audience) == 0 {
		return none, fmt.Errorf("%w: no aud, or an empty one", ErrClaims)
	}
	// JWT-3.9-1: an answer for several resource servers may be narrowed for none of them.
	if len(audience) != 1 || audience[0] != c.cfg.ClientID {
		return none, fmt.Errorf("%w: got %.256q, want %q", ErrAudience, audience, c.cfg.ClientID)
	}
	if err := c.checkAge(claims, now); err != nil {
		return none, err
	}
	introspection, present, err := claims.Object("token_introspection")
	if err != nil {
		return none, fmt.Errorf("%w: %w", ErrClaims, err)
	}
	if !present {
		return none, fmt.Errorf("%w: no token_introspection", ErrClaims)
	}
	return introspection, nil
}

// checkAge. An old answer may be about a token that has been revoked since, or about another token. exp and nbf should
// not be there (INT-9701-5-4), but mean what they always do if they are.
func (c *Client) checkAge(claims strictjson.Object, now time.Time) error {
	var issuedAt, expires, notBefore time.Time
	var dated, expiring bool
	for _, claim := range []struct {
		name    string
		to      *time.Time
		present *bool
	}{{"iat", &issuedAt, &dated}, {"exp", &expires, &expiring}, {"nbf", &notBefore, new(bool)}} {
		var err error
		if *claim.to, *claim.present, err = claims.Time(claim.name); err != nil {
			return fmt.Errorf("%w: %w", ErrClaims, err)
		}
	}
	latest := now.Add(c.cfg.FutureSkew)
	switch {
	case claims.Null("exp"):
		return fmt.Errorf("%w: exp is null", ErrClaims)
	case !dated:
		return fmt.Errorf("%w: no iat", ErrClaims)
	case now.Sub(issuedAt) > c.cfg.MaxAge || issuedAt.After(latest):
		return fmt.Errorf("%w: iat %d, now %d, MaxAge %v", ErrStale, issuedAt.Unix(), now.Unix(), c.cfg.MaxAge)
	case expiring && !now.Before(expires) || notBefore.After(latest):
		return fmt.Errorf("%w: exp %d, nbf %d, now %d", ErrStale, expires.Unix(), notBefore.Unix(), now.Unix())
	}
	return nil
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

// read checks what is said about the token, signed or not.
func (c *Client) read(o strictjson.Object, now time.Time) (*Token, error) {
	// INT-7662-2.2-1: "true" and 1 are not true, and nothing is not either.
	active, present, err := o.Bool("active")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrClaims, err)
	}
	if !present {
		return nil, fmt.Errorf("%w: no active", ErrClaims)
	}
	if !active {
		return nil, ErrInactive
	}
	t := &Token{claims: o, issuer: c.cfg.Issuer}
	tokenType, err := t.readStrings()
	if err != nil {
		return nil, err
	}
	if t.issuer != c.cfg.Issuer {
		return nil, fmt.Errorf("%w: the token's is %.256q, want %q", ErrIssuer, t.issuer, c.cfg.Issuer)
	}
	if t.audience, _, err = o.StringOrStrings("aud"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrClaims, err)
	}
	ours := func(id string) bool { return slices.Contains(t.audience, id) }
	if c.cfg.Audience != nil && !slices.ContainsFunc(c.cfg.Audience, ours) {
		return nil, fmt.Errorf("%w: got %.256q, want one of %q", ErrResource, t.audience, c.cfg.Audience)
	}
	if err := t.readTimes(now, now.Add(c.cfg.FutureSkew)); err != nil {
		return nil, err
	}
	// A check that needs one of these fails without it.
	optional := o.Lenient()
	t.acr, t.amr, t.authTime = optional.String("acr"), optional.Strings("amr"), optional.Time("auth_time")
	_ = optional.String("username") // only reported, as Claim returns it
	t.dropped = optional.Dropped()
	if details, ok := o.Get("authorization_details"); ok && !o.Null("authorization_details") { // RAR-9.2-1
		if !isObjectArray(details) {
			return nil, fmt.Errorf("%w: authorization_details is no array of objects", ErrClaims)
		}
		t.details = details
	}
	if err := c.readConfirmation(t); err != nil {
		return nil, err
	}
	if err := t.checkType(tokenType); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Token) readStrings() (tokenType string, err error) {
	for _, c := range []struct {
		name string
		to   *string
	}{
		{"iss", &t.issuer}, {"sub", &t.subject}, {"client_id", &t.clientID}, {"jti", &t.id}, {"scope", &t.scope}, {"grant_id", &t.grant},
		{"token_type", &tokenType},
	} {
		value, present, err := t.claims.String(c.name)
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrClaims, err)
		}
		if present {
			*c.to = value
		}
	}
	return tokenType, nil
}

// readTimes also checks them: the authorization server should have, but its clock or its cache may be slow.
func (t *Token) readTimes(now, latest time.Time) error {
	var expiring bool
	for _, c := range []struct {
		name    string
		to      *time.Time
		present *bool
	}{
		{"iat", &t.issuedAt, new(bool)}, {"nbf", &t.notBefore, new(bool)}, {"exp", &t.expires, &expiring},
	} {
		var err error
		if *c.to, *c.present, err = t.claims.Time(c.name); err != nil {
			return fmt.Errorf("%w: %w", ErrClaims, err)
		}
	}
	if t.claims.Null("exp") { // a token that never expires is not meant by a null
		return fmt.Errorf("%w: exp is null", ErrClaims)
	}
	if expiring && !now.Before(t.expires) {
		return fmt.Errorf("%w: exp %d, now %d", ErrExpired, t.expires.Unix(), now.Unix())
	}
	if t.issuedAt.After(latest) || t.notBefore.After(latest) {
		return fmt.Errorf("%w: iat %d, nbf %d, now %d", ErrNotYetValid, t.issuedAt.Unix(), t.notBefore.Unix(), now.Unix())
	}
	return nil
}

// readConfirmation. DPOP-6.2-1, DPOP-6.2-2, MTLS-3.2-1: what the token is bound to must be known before it is worth anything; the
// comparison itself is the caller's. A cnf with nothing in it that we can check binds the token to something else, so
// it is refused even where a bare token is not.
func (c *Client) readConfirmation(t *Token) error {
	cnf, ok, err := t.claims.Object("cnf")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfirmation, err)
	}
	if !ok {
		// A null does not count as absent, because the server may have intended to
		// bind the token.
		if c.cfg.InsecureAllowBearer && !t.claims.Null("cnf") {
			return nil
		}
		return fmt.Errorf("%w: no cnf", ErrConfirmation)
	}
	found := false
	for _, m := range []struct {
		name string
		to   *string
	}{{"jkt", &t.jkt}, {"x5t#S256", &t.x5t}} {
		value, present, err := cnf.String(m.name)
		if err != nil || present && !isThumbprint(value) || cnf.Null(m.name) {
			return fmt.Errorf("%w: %s is no SHA-256 thumbprint in base64url", ErrConfirmation, m.name)
		}
		*m.to, found = value, found || present
	}
	if !found {
		return fmt.Errorf("%w: cnf with neither jkt nor x5t#S256", ErrConfirmation)
	}
	return nil
}

// checkType. DPOP-6.2-1: a token_type that is there must be the one that goes with the binding. Some servers say there
// that the token is a refresh token, which must not open anything here.
func (t *Token) checkType(tokenType string) error {
	want := "Bearer"
	if t.jkt != "" {
		want = "DPoP"
	}
	if tokenType != "" && !strings.EqualFold(tokenType, want) {
		return fmt.Errorf("%w: token_type is %.32q, want %s", ErrConfirmation, tokenType, want)
	}
	return nil
}
