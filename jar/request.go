package jar

import (
	"crypto"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/gofapi/fapi2/internal/form"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/oautherr"
)

// A Request is an authorization request whose signature is verified. Only a
// [Verifier] returns one. [Verifier.Commit] rejects the zero Request. A Request
// is immutable and safe for concurrent use. Its String and LogValue contain the
// client and no parameters.
type Request struct {
	by                              *Verifier
	clientID, raw, algorithm, keyID string
	params                          url.Values
	key                             crypto.PublicKey
	replayKey                       string // empty if the object has no jti
	expires                         time.Time
	dropped                         []string
}

// ClientID returns the client that signed and sent the request.
func (r Request) ClientID() string { return r.clientID }

// Params returns a copy of the authorization parameters, as a plain form would
// contain them. client_id is among them. The claims of the JWT itself (iss,
// aud, exp, nbf, iat, jti, sub) and parameters without a value are not. claims
// and authorization_details are compact JSON, and resource has all its values.
func (r Request) Params() url.Values { return form.Clone(r.params) }

// Dropped returns the names of the members that are not in [Request.Params]
// because they are unknown and not strings, in a fresh slice.
// VerifierConfig.JSONParameters makes such members parameters.
func (r Request) Dropped() []string { return slices.Clone(r.dropped) }

// Raw returns the signed request object. It is evidence of the request and
// contains personal data.
func (r Request) Raw() string { return r.raw }

// PublicKey returns the key that verified the signature, for the archive: an
// *ecdsa.PublicKey, *rsa.PublicKey or ed25519.PublicKey. The caller must not
// change it.
func (r Request) PublicKey() crypto.PublicKey { return r.key }

// Algorithm returns the signature algorithm: "ES256", "PS256", "EdDSA" or
// "Ed25519".
func (r Request) Algorithm() string { return r.algorithm }

// KeyID returns the kid of the request object, or "".
func (r Request) KeyID() string { return r.keyID }

// String returns a text with the client.
func (r Request) String() string {
	return fmt.Sprintf("signed authorization request of %q", r.clientID)
}

// GoString returns the text of String.
func (r Request) GoString() string { return r.String() }

// LogValue returns the text of String.
func (r Request) LogValue() slog.Value { return slog.StringValue(r.String()) }

// A draft is a request object whose signature is not verified.
type draft struct {
	token   jwt.Token
	params  url.Values
	dropped []string
	id      string // jti, may be empty
	expires time.Time
}

// read makes the checks that need no key.
func (v *Verifier) read(raw string, client Client, now time.Time) (d draft, err error) {
	if len(raw) <= maxObject && jose.IsEncrypted(raw) { // JAR-6.1-1
		return draft{}, ErrEncrypted
	}
	if d.token, err = v.rules.Open(raw); err != nil { // JAR-6.2-1, JAR-4-3
		return draft{}, err
	}
	claims, c := d.token.Claims, jwt.Read(d.token.Claims, ErrClaims)
	if err := checkKind(d.token, &c, client.ID); err != nil {
		return draft{}, err
	}
	if err := checkClient(&c, client.ID); err != nil {
		return draft{}, err
	}
	aud := c.Audience()
	if c.Err() == nil && !slices.Contains(aud, v.cfg.Issuer) { // MS-5.3.1-2: a trailing slash counts
		return draft{}, fmt.Errorf("%w: %.256q, want %q", ErrAudience, aud[:min(len(aud), 4)], v.cfg.Issuer)
	}
	if d.expires, err = v.checkTimes(&c, client, now); err != nil {
		return draft{}, err
	}
	if d.id = c.NonEmpty("jti"); c.Err() != nil {
		return draft{}, c.Err()
	}
	// JAR-5-3, JAR-6.3-1: all parameters come from the object.
	if d.params, d.dropped, err = decode(claims, v.cfg.JSONParameters); err != nil {
		return draft{}, err
	}
	return d, nil
}

// checkKind rejects other kinds of JWT that the client signs for this server.
// MS-5.3.1-5, JAR-10.8-2: no typ and the generic one are accepted.
func checkKind(token jwt.Token, c *jwt.Reader, clientID string) error {
	if !token.Typed() && token.Claims.Has("htm") { // a DPoP proof
		return fmt.Errorf("%w: it has the claim htm", ErrType)
	}
	// JAR-10.8-1: the object could be used to authenticate as the client.
	if sub, _ := c.OptionalString("sub"); sub == clientID {
		return fmt.Errorf("%w: sub is the client", ErrType)
	}
	return c.Err()
}

// checkClient requires that the object is that of the authenticated client.
func checkClient(c *jwt.Reader, clientID string) error {
	// PAR-3-3, JAR-6.3-1: required, because the object contains all parameters.
	id, ok := c.OptionalString(paramClientID)
	if !ok {
		c.Fail("missing %s", paramClientID)
		return c.Err()
	}
	if id != clientID {
		return fmt.Errorf("%w: client_id %.128q, authenticated %.128q", ErrClient, id, clientID)
	}
	if iss, ok := c.OptionalString("iss"); ok && iss != clientID { // JAR-4-4, PAR-3-4: optional
		return fmt.Errorf("%w: iss %.128q, authenticated %.128q", ErrClient, iss, clientID)
	}
	return c.Err()
}

// checkTimes returns exp, the first instant at which the object is rejected.
// There is no leeway after exp: a client with a slow clock can choose a longer
// lifetime.
func (v *Verifier) checkTimes(c *jwt.Reader, client Client, now time.Time) (time.Time, error) {
	nbf, exp := c.Time("nbf"), c.Time("exp") // MS-5.3.1-3, MS-5.3.1-4
	iat, _ := c.OptionalTime("iat")
	if err := c.Err(); err != nil {
		return time.Time{}, err
	}
	// SP-5.3.2.1-13a, SP-5.3.2.1-13b, CS-2 by the limits of FutureSkew.
	latest := now.Add(v.cfg.FutureSkew)
	if nbf.After(latest) || iat.After(latest) {
		return time.Time{}, fmt.Errorf("%w: nbf %s, iat %s, now %s, want at most %s", ErrNotYetValid,
			stamp(nbf), stamp(iat), stamp(now), stamp(latest))
	}
	oldest := shorter(v.cfg.MaxAge, client.MaxAge)
	if earliest := now.Add(-oldest); nbf.Before(earliest) { // MS-5.3.1-3
		err := fmt.Errorf("%w: nbf %s, want at least %s", ErrTooOld, stamp(nbf), stamp(earliest))
		return time.Time{}, oautherr.Describe(err, fmt.Sprintf("nbf is more than %s ago", inWords(oldest)))
	}
	longest := shorter(v.cfg.MaxLifetime, client.MaxLifetime)
	if life := exp.Sub(nbf); life <= 0 || life > longest { // MS-5.3.1-4
		err := fmt.Errorf("%w: nbf %s, exp %s, want at most %v between them", ErrLifetime,
			stamp(nbf), stamp(exp), longest)
		return time.Time{}, oautherr.Describe(err, fmt.Sprintf("exp must be after nbf by at most %s", inWords(longest)))
	}
	if !now.Before(exp) {
		return time.Time{}, expired(exp, now)
	}
	return exp, nil
}

// shorter returns the limit of a client if it is shorter than that of the
// verifier.
func shorter(limit, client time.Duration) time.Duration {
	if client > 0 {
		return min(limit, client)
	}
	return limit
}

func inWords(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return fmt.Sprintf("%.0f seconds", d.Seconds())
}

func expired(exp, now time.Time) error {
	return fmt.Errorf("%w: exp %s, now %s", ErrExpired, stamp(exp), stamp(now))
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "absent"
	}
	return t.UTC().Format("2006-01-02T15:04:05.999Z")
}
