package clientauth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/strictjson"
)

// An assertion is a client assertion that is what it should be in all but its signature.
type assertion struct {
	jws      jose.Compact
	header   jose.Header
	clientID string
	id       string // jti
	expires  time.Time
}

// read makes every check that needs nothing but the assertion.
func (v *Verifier) read(raw string, now time.Time) (a assertion, err error) {
	if a.jws, err = jose.Split(raw, maxAssertion); err == nil {
		a.header, err = a.jws.ParseHeader()
	}
	switch {
	case errors.Is(err, jose.ErrAlgorithm): // CS-3: RS256, HS256 and none are not there to be chosen
		return assertion{}, fmt.Errorf("%w: %w", ErrAlgorithm, err)
	case err != nil:
		return assertion{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	case !jose.Accepts(v.cfg.Algorithms, a.header.Algorithm):
		return assertion{}, fmt.Errorf("%w: %s", ErrAlgorithm, a.header.Algorithm)
	case len(a.header.KeyID) > maxKeyID:
		return assertion{}, fmt.Errorf("%w: kid of %d bytes, at most %d", ErrMalformed, len(a.header.KeyID), maxKeyID)
	case a.header.Type != "" && !a.header.IsType(assertionTyp) && !a.header.IsType("JWT"):
		// CA-BIS-4-6: no typ and the generic one pass, an explicit type of another kind does not.
		return assertion{}, anotherKind(fmt.Sprintf("typ %.64q", a.header.Type))
	}
	claims, err := a.jws.Claims()
	if err != nil {
		return assertion{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !a.header.IsType(assertionTyp) {
		if err := checkKind(claims); err != nil {
			return assertion{}, err
		}
	}
	if a.clientID, err = readClient(claims); err != nil {
		return assertion{}, err
	}
	if err := v.checkAudience(claims); err != nil {
		return assertion{}, err
	}
	if a.expires, err = v.checkTimes(claims, now); err != nil {
		return assertion{}, err
	}
	// CA-OIDC-9-1: without a jti the assertion could be replayed until exp.
	a.id, _, err = claims.String("jti")
	if err != nil || a.id == "" || len(a.id) > maxJTI {
		return assertion{}, fmt.Errorf("%w: jti must be a string of 1 to %d bytes", ErrMalformed, maxJTI)
	}
	return a, nil
}

// checkKind refuses two other kinds of JWT that the same client signs for the same server, should they come without the
// typ of their own. JWT-3.12-1: what makes each of them valid must rule out the other.
func checkKind(claims strictjson.Object) error {
	for _, name := range []string{"response_type", "htm"} { // a request object's, a DPoP proof's
		if claims.Has(name) {
			return anotherKind("it has the claim " + name)
		}
	}
	return nil
}

func anotherKind(why string) error {
	return oautherr.Describe(fmt.Errorf("%w: a JWT of another kind: %s", ErrMalformed, why), "the JWT is not a client assertion")
}

// readClient returns the client that the assertion names.
func readClient(claims strictjson.Object) (string, error) {
	iss, _, err := claims.String("iss")
	if err == nil {
		err = checkClientID(iss) // CA-7523-3-1
	}
	if err != nil {
		return "", fmt.Errorf("%w: iss: %w", ErrMalformed, err)
	}
	// CA-7523-3-2, CA-OIDC-9-1: sub is the client too. A JWT about a user is not a client's credential.
	sub, ok, err := claims.String("sub")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !ok {
		return "", fmt.Errorf("%w: no sub", ErrMalformed)
	}
	if sub != iss {
		return "", fmt.Errorf("%w: iss %.128q, sub %.128q", ErrClient, iss, sub)
	}
	return iss, nil
}

// checkAudience accepts the issuer identifier and nothing besides.
//
// SP-5.3.2.1-8, CS-1: not an array either, be it of one element, and no endpoint's URL. CA-BIS-4-3 would let the array of
// one element pass, and PAR-2-6 (RFC 9126 §2) the URLs of two endpoints; FAPI does not, at no endpoint (CA-BIS-5-1).
func (v *Verifier) checkAudience(claims strictjson.Object) error {
	aud, ok, err := claims.String("aud")
	switch {
	case err != nil:
		return fmt.Errorf("%w: aud is not a string, want %q", ErrAudience, v.cfg.Issuer)
	case !ok: // CA-7523-3-3
		return fmt.Errorf("%w: no aud, want %q", ErrMalformed, v.cfg.Issuer)
	case aud != v.cfg.Issuer: // CA-BIS-4-8, CA-BIS-4-2: compared as it is, a trailing slash counts
		return fmt.Errorf("%w: %.256q, want %q", ErrAudience, aud, v.cfg.Issuer)
	}
	return nil
}

// checkTimes returns exp, the first instant at which the assertion is refused. There is no grace after exp: a client whose
// clock is slow makes its assertions live longer.
func (v *Verifier) checkTimes(claims strictjson.Object, now time.Time) (time.Time, error) {
	exp, ok, err := claims.Time("exp")
	if err != nil || !ok { // CA-7523-3-4
		return time.Time{}, fmt.Errorf("%w: exp must be there and a date", ErrMalformed)
	}
	if !now.Before(exp) {
		return time.Time{}, expired(exp, now)
	}
	// CA-7521-5.2-1: the clock of the client may be ahead, and exp with it.
	if latest := now.Add(v.cfg.MaxLifetime + v.cfg.FutureSkew); exp.After(latest) {
		return time.Time{}, tooLong(fmt.Sprintf("exp %s, at most %s", stamp(exp), stamp(latest)))
	}
	for _, name := range []string{"iat", "nbf"} {
		t, ok, err := claims.Time(name)
		if err != nil {
			return time.Time{}, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		// SP-5.3.2.1-13a, SP-5.3.2.1-13b, CS-2 by the limits of FutureSkew; CA-7523-3-5.
		if latest := now.Add(v.cfg.FutureSkew); ok && t.After(latest) {
			return time.Time{}, fmt.Errorf("%w: %s %s, now %s, at most %s", ErrNotYetValid, name, stamp(t), stamp(now), stamp(latest))
		}
		// CA-7523-3-6: made long ago, to be used for long.
		if ok && name == "iat" && exp.Sub(t) > v.cfg.MaxLifetime {
			return time.Time{}, tooLong(fmt.Sprintf("iat %s, exp %s, at most %v apart", stamp(t), stamp(exp), v.cfg.MaxLifetime))
		}
	}
	return exp, nil
}

func expired(exp, now time.Time) error {
	return fmt.Errorf("%w: exp %s, now %s", ErrExpired, stamp(exp), stamp(now))
}

func tooLong(how string) error {
	return oautherr.Describe(fmt.Errorf("%w: %s", ErrExpired, how), "client assertion lifetime too long")
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999Z") }

// verify checks the signature with the client's keys. All that goes wrong looks the same from outside.
func (a assertion) verify(ctx context.Context, client Client) error {
	alg := a.header.Algorithm
	if client.Algorithm != "" && !jose.Same(client.Algorithm, alg) { // CA-OIDC-9-2
		return oautherr.Describe(fmt.Errorf("%w: %s, the client is registered for %.32q", ErrAlgorithm, alg, client.Algorithm), failed)
	}
	if client.Keys == nil {
		return fmt.Errorf("%w: the client has no keys", ErrSignature)
	}
	keys, err := client.Keys(ctx, a.header.KeyID, alg)
	if err != nil {
		// Neither the client's fault nor a reason to let it in.
		return fmt.Errorf("%w: the client's keys: %w", ErrUnavailable, err)
	}
	if _, err := a.jws.VerifyAny(alg, keys); err != nil { // CA-7523-3-9
		return fmt.Errorf("%w: kid %.64q, %d keys: %w", ErrSignature, a.header.KeyID, len(keys), err)
	}
	return nil
}
