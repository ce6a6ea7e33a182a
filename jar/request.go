package jar

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/strictjson"
)

// A Request is an authorization request whose signature has been verified. It comes from a [Verifier] only; the zero Request
// says nothing and is refused by [Verifier.Commit]. Printed or logged it names the client and nothing of the content. It
// never changes and is safe for concurrent use.
type Request struct {
	by                              *Verifier
	clientID, raw, algorithm, keyID string
	params                          url.Values
	key                             crypto.PublicKey
	replayKey                       string // empty: nothing to commit
	expires                         time.Time
	dropped                         []string
}

// ClientID returns the client that has signed and sent the request.
func (r Request) ClientID() string { return r.clientID }

// Params returns a copy of the authorization parameters, as a plain form would have carried them: client_id among them, the
// claims of the JWT itself (iss, aud, exp, nbf, iat, jti, sub) not, claims and authorization_details as compact JSON,
// resource once for each value, and none without a value.
func (r Request) Params() url.Values { return cloneValues(r.params) }

// Dropped returns the names of the members that are not in [Request.Params]
// because they are unknown and not strings, in a fresh slice.
// VerifierConfig.JSONParameters makes such members parameters.
func (r Request) Dropped() []string { return slices.Clone(r.dropped) }

// Raw returns the request object as it was signed: the evidence of what the client has asked for. It holds personal data.
func (r Request) Raw() string { return r.raw }

// PublicKey returns the key that has verified the signature, for the archive: an *ecdsa.PublicKey, *rsa.PublicKey or
// ed25519.PublicKey. It must not be changed.
func (r Request) PublicKey() crypto.PublicKey { return r.key }

// Algorithm returns the signature algorithm: "ES256", "PS256", "EdDSA" or "Ed25519".
func (r Request) Algorithm() string { return r.algorithm }

// KeyID returns the kid of the object's header, or "".
func (r Request) KeyID() string { return r.keyID }

// String names the client.
func (r Request) String() string {
	return fmt.Sprintf("signed authorization request of %q", r.clientID)
}

// GoString is String.
func (r Request) GoString() string { return r.String() }

// LogValue is String for slog.
func (r Request) LogValue() slog.Value { return slog.StringValue(r.String()) }

// A draft is a request object that is what it should be in all but its signature.
type draft struct {
	jws     jose.Compact
	header  jose.Header
	params  url.Values
	dropped []string
	id      string // jti, may be empty
	expires time.Time
}

// read makes every check that needs no key.
func (v *Verifier) read(raw, clientID string, now time.Time) (d draft, err error) {
	if len(raw) <= maxObject && jose.IsEncrypted(raw) { // JAR-6.1-1
		return draft{}, ErrEncrypted
	}
	if d.jws, err = jose.Split(raw, maxObject); err == nil {
		d.header, err = d.jws.ParseHeader()
	}
	switch {
	case errors.Is(err, jose.ErrAlgorithm): // CS-3, JAR-4-3: RS256, HS256 and none are not there to be chosen
		return draft{}, fmt.Errorf("%w: %w", ErrAlgorithm, err)
	case err != nil:
		return draft{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	case !jose.Accepts(v.cfg.Algorithms, d.header.Algorithm): // JAR-6.2-1
		return draft{}, fmt.Errorf("%w: %s", ErrAlgorithm, d.header.Algorithm)
	case len(d.header.KeyID) > maxKeyID:
		return draft{}, fmt.Errorf("%w: kid of %d bytes, at most %d", ErrMalformed, len(d.header.KeyID), maxKeyID)
	}
	claims, err := d.jws.Claims()
	if err != nil {
		return draft{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := checkKind(d.header, claims, clientID); err != nil {
		return draft{}, err
	}
	if err := checkClient(claims, clientID); err != nil {
		return draft{}, err
	}
	if err := v.checkAudience(claims); err != nil {
		return draft{}, err
	}
	if d.expires, err = v.checkTimes(claims, now); err != nil {
		return draft{}, err
	}
	id, present, err := claims.String("jti")
	if err != nil || present && id == "" {
		return draft{}, fmt.Errorf("%w: jti is no string, or an empty one", ErrClaims)
	}
	d.id = id
	// JAR-5-3, JAR-6.3-1: all parameters come from here.
	if d.params, d.dropped, err = decode(claims, v.cfg.JSONParameters); err != nil {
		return draft{}, err
	}
	return d, nil
}

// checkKind refuses every other kind of JWT that the same client signs for the same server.
func checkKind(header jose.Header, claims strictjson.Object, clientID string) error {
	own := header.IsType(objectTyp) // MS-5.3.1-5, JAR-4-6
	// JAR-10.8-2: no typ and the generic one pass, an explicit type of another kind does not.
	if !own && header.Type != "" && !header.IsType("JWT") {
		return fmt.Errorf("%w: typ %.64q", ErrType, header.Type)
	}
	if !own && claims.Has("htm") { // a DPoP proof's
		return fmt.Errorf("%w: it has the claim htm", ErrType)
	}
	sub, _, err := claims.String("sub")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrClaims, err)
	}
	if sub == clientID { // JAR-10.8-1: whoever gets hold of it could authenticate as the client
		return fmt.Errorf("%w: sub is the client", ErrType)
	}
	return nil
}

// checkClient: the object is the authenticated client's own.
func checkClient(claims strictjson.Object, clientID string) error {
	// PAR-3-3, JAR-6.3-1: required, as every parameter has to be inside.
	id, ok, err := claims.String(paramClientID)
	if err != nil || !ok {
		return fmt.Errorf("%w: client_id must be there and a string", ErrClaims)
	}
	if id != clientID {
		return fmt.Errorf("%w: client_id %.128q, authenticated %.128q", ErrClient, id, clientID)
	}
	iss, ok, err := claims.String("iss")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrClaims, err)
	}
	if ok && iss != clientID { // JAR-4-4, PAR-3-4: it need not be there
		return fmt.Errorf("%w: iss %.128q, authenticated %.128q", ErrClient, iss, clientID)
	}
	return nil
}

// checkAudience accepts the issuer identifier and an array with it.
func (v *Verifier) checkAudience(claims strictjson.Object) error {
	aud, ok, err := claims.StringOrStrings("aud")
	if err != nil || !ok || len(aud) == 0 {
		return fmt.Errorf("%w: aud must be there, a string or an array of strings", ErrClaims)
	}
	if !slices.Contains(aud, v.cfg.Issuer) { // MS-5.3.1-2: compared as it is, a trailing slash counts
		return fmt.Errorf("%w: %.256q, want %q", ErrAudience, aud[:min(len(aud), 4)], v.cfg.Issuer)
	}
	return nil
}

// checkTimes returns exp, the first instant at which the object is refused. There is no grace after exp: a client whose
// clock is slow makes its objects live longer.
func (v *Verifier) checkTimes(claims strictjson.Object, now time.Time) (time.Time, error) {
	nbf, ok, err := claims.Time("nbf")
	if err != nil || !ok { // MS-5.3.1-3
		return time.Time{}, fmt.Errorf("%w: nbf must be there and a date", ErrClaims)
	}
	exp, ok, err := claims.Time("exp")
	if err != nil || !ok { // MS-5.3.1-4
		return time.Time{}, fmt.Errorf("%w: exp must be there and a date", ErrClaims)
	}
	iat, ok, err := claims.Time("iat")
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %w", ErrClaims, err)
	}
	// SP-5.3.2.1-13a, SP-5.3.2.1-13b, CS-2 by the limits of FutureSkew.
	latest := now.Add(v.cfg.FutureSkew)
	if nbf.After(latest) || ok && iat.After(latest) {
		return time.Time{}, fmt.Errorf("%w: nbf %s, iat %s, now %s, at most %s", ErrNotYetValid, stamp(nbf), stamp(iat), stamp(now), stamp(latest))
	}
	if earliest := now.Add(-maxAge); nbf.Before(earliest) { // MS-5.3.1-3
		return time.Time{}, fmt.Errorf("%w: nbf %s, at least %s", ErrTooOld, stamp(nbf), stamp(earliest))
	}
	if life := exp.Sub(nbf); life <= 0 || life > maxLifetime { // MS-5.3.1-4
		return time.Time{}, fmt.Errorf("%w: nbf %s, exp %s, at most %v apart", ErrLifetime, stamp(nbf), stamp(exp), maxLifetime)
	}
	if !now.Before(exp) {
		return time.Time{}, expired(exp, now)
	}
	return exp, nil
}

func expired(exp, now time.Time) error {
	return fmt.Errorf("%w: exp %s, now %s", ErrExpired, stamp(exp), stamp(now))
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999Z") }

// verify checks the signature and returns the client's key that fits it.
func (d draft) verify(ctx context.Context, client Client) (crypto.PublicKey, error) {
	alg := d.header.Algorithm
	if client.Algorithm != "" && !jose.Same(client.Algorithm, alg) { // JAR-6.2-1
		return nil, fmt.Errorf("%w: %s, the client is registered for %.32q", ErrAlgorithm, alg, client.Algorithm)
	}
	if client.Keys == nil {
		return nil, fmt.Errorf("%w: the client has no keys", ErrSignature)
	}
	keys, err := client.Keys(ctx, d.header.KeyID, alg)
	if err != nil {
		// Neither the client's fault nor a reason to believe it.
		return nil, fmt.Errorf("%w: the client's keys: %w", ErrUnavailable, err)
	}
	tried := 0
	for _, key := range keys {
		if !jose.KeyFits(key, alg) {
			continue
		}
		if tried++; tried > maxKeys {
			break
		}
		if d.jws.Verify(alg, key) == nil { // PAR-3-2, MS-5.3.1-1, JAR-6.2-1, JAR-10.2-1
			return key, nil
		}
	}
	return nil, fmt.Errorf("%w: kid %.64q, %d keys", ErrSignature, d.header.KeyID, len(keys))
}
