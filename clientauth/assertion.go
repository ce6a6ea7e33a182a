package clientauth

import (
	"context"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/internal/syntax"
)

// An assertion is a client assertion whose signature is not verified.
type assertion struct {
	token    jwt.Token
	clientID string
	id       string // jti
	expires  time.Time
	issued   time.Time // zero without iat
}

// read makes the checks that need only the assertion.
func (v *Verifier) read(raw string, now time.Time) (a assertion, err error) {
	if a.token, err = v.rules.Open(raw); err != nil {
		return assertion{}, err
	}
	claims, c := a.token.Claims, jwt.Read(a.token.Claims, ErrMalformed)
	if !a.token.Typed() {
		// JWT-3.12-1: a request object or a DPoP proof of the same client is
		// rejected, even without a typ.
		for _, name := range []string{"response_type", "htm"} {
			if claims.Has(name) {
				return assertion{}, fmt.Errorf("%w: it has the claim %s", errKind, name)
			}
		}
	}
	if a.clientID, err = readClient(&c); err != nil {
		return assertion{}, err
	}
	if err := v.checkAudience(claims); err != nil {
		return assertion{}, err
	}
	if err := v.checkTimes(&c, &a, now); err != nil {
		return assertion{}, err
	}
	// CA-OIDC-9-1: without a jti the assertion could be replayed until exp.
	if a.id = c.String("jti"); len(a.id) > maxJTI {
		c.Fail("jti of %d bytes, want at most %d", len(a.id), maxJTI)
	}
	if err := c.Err(); err != nil {
		return assertion{}, err
	}
	return a, nil
}

// readClient returns the client in iss and sub.
func readClient(c *jwt.Reader) (string, error) {
	iss, _ := c.OptionalString("iss")
	if err := syntax.CheckClientID(iss); err != nil { // CA-7523-3-1
		c.Fail("iss: %w", err)
	}
	// CA-7523-3-2, CA-OIDC-9-1: sub is the client too. A JWT about a user is
	// not a credential of a client.
	sub, ok := c.OptionalString("sub")
	if !ok {
		c.Fail("missing sub")
	}
	if err := c.Err(); err != nil {
		return "", err
	}
	if sub != iss {
		return "", fmt.Errorf("%w: iss %.128q, sub %.128q", ErrClient, iss, sub)
	}
	return iss, nil
}

// checkAudience accepts only the issuer identifier as a string.
//
// An array is rejected even if it has one element, and so is the URL of an
// endpoint (SP-5.3.2.1-8, CS-1). CA-BIS-4-3 permits the array and PAR-2-6 the
// URLs of two endpoints; FAPI permits neither at any endpoint.
func (v *Verifier) checkAudience(claims strictjson.Object) error {
	aud, ok, err := claims.String("aud")
	switch {
	case err != nil: // CA-BIS-5-1
		return fmt.Errorf("%w: aud is not a string, want %q", ErrAudience, v.cfg.Issuer)
	case !ok: // CA-7523-3-3
		return fmt.Errorf("%w: missing aud, want %q", ErrMalformed, v.cfg.Issuer)
	case aud != v.cfg.Issuer: // CA-BIS-4-8, CA-BIS-4-2: a trailing slash counts
		return fmt.Errorf("%w: %.256q, want %q", ErrAudience, aud, v.cfg.Issuer)
	}
	return nil
}

// checkTimes sets exp, the first instant at which the assertion is rejected,
// and iat. There is no leeway after exp: a client with a slow clock can choose
// a longer lifetime.
func (v *Verifier) checkTimes(c *jwt.Reader, a *assertion, now time.Time) error {
	exp := c.Time("exp") // CA-7523-3-4
	if err := c.Err(); err != nil {
		return err
	}
	if !now.Before(exp) {
		return expired(exp, now)
	}
	a.expires = exp
	a.issued, _ = c.OptionalTime("iat")
	nbf, _ := c.OptionalTime("nbf")
	if err := c.Err(); err != nil {
		return err
	}
	// SP-5.3.2.1-13a, SP-5.3.2.1-13b, CS-2 by the limits of FutureSkew;
	// CA-7523-3-5.
	if latest := now.Add(v.cfg.FutureSkew); a.issued.After(latest) || nbf.After(latest) {
		return fmt.Errorf("%w: iat %s, nbf %s, now %s, want at most %s", ErrNotYetValid,
			stamp(a.issued), stamp(nbf), stamp(now), stamp(latest))
	}
	return v.checkLifetime(*a, v.cfg.MaxLifetime, now)
}

// checkLifetime checks that an assertion lives for at most max.
func (v *Verifier) checkLifetime(a assertion, max time.Duration, now time.Time) error {
	// CA-7521-5.2-1: the clock of the client may be ahead, and exp with it.
	if latest := now.Add(max + v.cfg.FutureSkew); a.expires.After(latest) {
		return tooLong(fmt.Sprintf("exp %s, want at most %s", stamp(a.expires), stamp(latest)))
	}
	// CA-7523-3-6: an old assertion may have a long lifetime.
	if !a.issued.IsZero() && a.expires.Sub(a.issued) > max {
		return tooLong(fmt.Sprintf("iat %s, exp %s, want at most %v between them",
			stamp(a.issued), stamp(a.expires), max))
	}
	return nil
}

func expired(exp, now time.Time) error {
	return fmt.Errorf("%w: exp %s, now %s", ErrExpired, stamp(exp), stamp(now))
}

func tooLong(how string) error {
	return oautherr.Describe(fmt.Errorf("%w: %s", ErrExpired, how), "client assertion lifetime too long")
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "absent"
	}
	return t.UTC().Format("2006-01-02T15:04:05.999Z")
}

// verify checks the signature with the keys of the client. All its rejections
// have the same description.
func (a assertion) verify(ctx context.Context, client Client) error {
	alg := a.token.Header.Algorithm
	if client.Algorithm != "" && !jose.Same(client.Algorithm, alg) { // CA-OIDC-9-2
		err := fmt.Errorf("%w: %s, registered is %.32q", ErrAlgorithm, alg, client.Algorithm)
		return oautherr.Describe(err, failed)
	}
	if len(client.Algorithms) > 0 && !jose.Accepts(client.Algorithms, alg) {
		err := fmt.Errorf("%w: %s, want one of %q", ErrAlgorithm, alg, client.Algorithms)
		return oautherr.Describe(err, failed)
	}
	key, err := a.token.Verify(ctx, client.Keys) // CA-7523-3-9
	if err == nil && !jose.HasRSABits(key, client.MinRSABits) {
		err = fmt.Errorf("%w: RSA key of fewer than %d bits", ErrAlgorithm, client.MinRSABits)
		err = oautherr.Describe(err, failed)
	}
	return err
}
