package jar

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/syntax"
)

const (
	minFutureSkew = 10 * time.Second // SP-5.3.2.1-13a: must be accepted
	maxFutureSkew = 60 * time.Second // SP-5.3.2.1-13b: more must be rejected
)

// VerifierConfig configures a [Verifier].
type VerifierConfig struct {
	// Issuer is the issuer identifier of this authorization server, exactly as
	// in its metadata. An object must have it as audience. Required.
	Issuer string
	// Algorithms contains the accepted signature algorithms. The default is
	// "ES256", "PS256", "EdDSA" and "Ed25519". Other algorithms are not
	// supported.
	Algorithms []string
	// MaxLifetime is the longest time from nbf to exp, and MaxAge the longest
	// time since nbf. Each is 1 second to 60 minutes, which FAPI 2.0 permits.
	// The default is 60 minutes.
	MaxLifetime, MaxAge time.Duration
	// FutureSkew is how far nbf and iat may lie in the future: 10 to 60
	// seconds. The default is 10 seconds.
	FutureSkew time.Duration
	// Replay remembers the jti of used request objects. If nil, the Verifier
	// keeps up to 8,388,608 of them in memory, at 40 to 81 bytes each. One
	// client can fill half of that. It is enough for a server of one process.
	Replay ReplayStore
	// JSONParameters names further parameters whose values are JSON (numbers,
	// booleans, arrays, objects), in addition to claims, authorization_details
	// and max_age. Params returns their compact text. All other parameters are
	// strings. A parameter of OAuth or OpenID Connect of another type is an
	// error. An unknown one is omitted from Params (RFC 6749 §3.1).
	JSONParameters []string
	// Now is the clock. If nil, time.Now is used. It is called concurrently.
	Now func() time.Time
}

// A Verifier checks request objects for one authorization server. It is safe
// for concurrent use.
type Verifier struct {
	cfg   VerifierConfig
	rules jwt.Rules
}

// NewVerifier validates and copies cfg.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	if err := syntax.CheckIssuer(cfg.Issuer); err != nil {
		return nil, fmt.Errorf("jar: %w", err)
	}
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = nil
	}
	algorithms, err := jwt.Algorithms(cfg.Algorithms)
	if err != nil {
		return nil, fmt.Errorf("jar: %w", err)
	}
	if cfg.FutureSkew == 0 {
		cfg.FutureSkew = minFutureSkew
	}
	if cfg.FutureSkew < minFutureSkew || cfg.FutureSkew > maxFutureSkew {
		return nil, fmt.Errorf("jar: invalid FutureSkew %v, want %v to %v", cfg.FutureSkew,
			minFutureSkew, maxFutureSkew)
	}
	for _, limit := range []struct {
		name  string
		value *time.Duration
		max   time.Duration
	}{{"MaxLifetime", &cfg.MaxLifetime, maxLifetime}, {"MaxAge", &cfg.MaxAge, maxAge}} {
		if *limit.value == 0 {
			*limit.value = limit.max
		}
		if *limit.value < time.Second || *limit.value > limit.max {
			return nil, fmt.Errorf("jar: invalid %s %v, want 1s to %v", limit.name, *limit.value, limit.max)
		}
	}
	if err := checkExtra(cfg.JSONParameters); err != nil {
		return nil, fmt.Errorf("jar: %w", err)
	}
	cfg.JSONParameters = slices.Clone(cfg.JSONParameters)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Replay == nil {
		cfg.Replay = expiring.NewSet(expiring.SetConfig{Now: cfg.Now})
	}
	if v := reflect.ValueOf(cfg.Replay); v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, fmt.Errorf("jar: Replay is a nil %T", cfg.Replay)
	}
	// JWT-3.12-1, JAR-10.8-2: a typ of another kind is rejected.
	return &Verifier{cfg: cfg, rules: jwt.Rules{
		MaxBytes: maxObject, MaxKeyID: maxKeyID, Algorithms: algorithms, Type: objectTyp, Untyped: true,
		Errors: jwt.Errors{
			Malformed: ErrMalformed, Algorithm: ErrAlgorithm, Type: ErrType, Signature: ErrSignature,
			Unavailable: ErrUnavailable,
		},
	}}, nil
}

// Algorithms returns a copy of the accepted signature algorithms, for
// request_object_signing_alg_values_supported.
func (v *Verifier) Algorithms() []string { return slices.Clone(v.rules.Algorithms) }

// A Client describes the authenticated client to a [Verifier]. It is safe for
// concurrent use if Keys is.
type Client struct {
	// ID is the client identifier. Required. The caller has authenticated the
	// client: a client_id in a form does not suffice.
	ID string
	// Algorithm is the client's request_object_signing_alg. If empty, any
	// algorithm that the verifier accepts may be used. EdDSA and Ed25519 are
	// one algorithm (RFC 9864 §2.2).
	Algorithm string
	// Algorithms are the only algorithms that the client may use. If empty, it
	// may use all that the verifier accepts.
	Algorithms []string
	// MaxLifetime and MaxAge replace those of the verifier if they are shorter.
	// If 0, those of the verifier apply.
	MaxLifetime, MaxAge time.Duration
	// MinRSABits is the least size of RSA keys, in bits. The minimum of FAPI
	// 2.0 is 2048, also if MinRSABits is 0.
	MinRSABits int
	// Keys returns the public keys of the client for a kid and an accepted
	// algorithm. If kid is empty, the object has no kid. Otherwise kid is a
	// value of up to 1024 bytes from the sender, and Keys returns only keys
	// with it. At most eight keys are tried. Without a key the object is
	// rejected. An error becomes ErrUnavailable. If Keys is nil, the client has
	// no keys.
	Keys func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
}

// Verify calls [Verifier.Check] and [Verifier.Commit].
func (v *Verifier) Verify(ctx context.Context, client Client, form url.Values) (Request, error) {
	r, err := v.Check(ctx, client, form)
	if err != nil {
		return Request{}, err
	}
	if err := v.Commit(ctx, r); err != nil {
		return Request{}, err
	}
	return r, nil
}

// Check verifies the request object in the form of a pushed authorization
// request of the client. It writes nothing: the same form can be checked again
// until Commit is called. The caller acts on the result only after Commit has
// succeeded.
//
// form contains the parameters of the body, with those of client
// authentication. Check does not change it. A server that accepts unsigned
// requests too calls Check only if the form has "request". Otherwise Check
// returns ErrUnsigned.
//
// Check returns the errors of this package except ErrReplayed. It makes the
// checks that need no key first, so that no key is looked up for a request that
// is rejected anyway.
func (v *Verifier) Check(ctx context.Context, client Client, form url.Values) (Request, error) {
	// JAR-10.2-1: the client is authenticated before the object is parsed.
	if err := syntax.CheckClientID(client.ID); err != nil {
		return Request{}, fmt.Errorf("%w: unauthenticated client: %w", ErrClient, err)
	}
	raw, err := fromForm(form, client.ID)
	if err != nil {
		return Request{}, err
	}
	d, err := v.read(raw, client, v.cfg.Now())
	if err != nil {
		return Request{}, err
	}
	header := d.token.Header
	if client.Algorithm != "" && !jose.Same(client.Algorithm, header.Algorithm) { // JAR-6.2-1
		return Request{}, fmt.Errorf("%w: %s, registered is %.32q", ErrAlgorithm, header.Algorithm, client.Algorithm)
	}
	if len(client.Algorithms) > 0 && !jose.Accepts(client.Algorithms, header.Algorithm) {
		return Request{}, fmt.Errorf("%w: %s, want one of %q", ErrAlgorithm, header.Algorithm, client.Algorithms)
	}
	key, err := d.token.Verify(ctx, client.Keys) // PAR-3-2, MS-5.3.1-1, JAR-6.2-1, JAR-10.2-1
	if err != nil {
		return Request{}, err
	}
	if !jose.HasRSABits(key, client.MinRSABits) {
		err := fmt.Errorf("%w: RSA key of fewer than %d bits", ErrAlgorithm, client.MinRSABits)
		return Request{}, oautherr.Describe(err, "the key of the request object is too small")
	}
	r := Request{
		by: v, clientID: client.ID, params: d.params, raw: raw, algorithm: header.Algorithm, keyID: header.KeyID,
		key: key, expires: d.expires, dropped: d.dropped,
	}
	if d.id != "" {
		// A jti belongs to the client that chose it. Otherwise one client could
		// use up the jti of another. Only the last part can contain a NUL. The
		// first part separates the keys of different packages.
		r.replayKey = jose.SHA256Base64("request object\x00", v.cfg.Issuer, "\x00", client.ID, "\x00", d.id)
	}
	return r, nil
}

// fromForm returns the request object of a form that contains only the object
// and client authentication.
func fromForm(form url.Values, clientID string) (string, error) {
	for name, values := range form {
		if len(values) > 1 && name != "resource" { // reported below
			return "", fmt.Errorf("%w: repeated %.64q", ErrForm, name)
		}
	}
	// JAR-5-1, CS-6: request and request_uri exclude each other.
	if form.Get(paramRequestURI) != "" {
		return "", fmt.Errorf("%w: request_uri", ErrForm)
	}
	raw := form.Get(paramRequest)
	if raw == "" { // MS-5.3.1-1, PAR-2.3-4
		return "", ErrUnsigned
	}
	for name, values := range form {
		switch {
		case name == paramRequest, kindOf(name, nil) == credential:
		case len(values) == 0 || len(values) == 1 && values[0] == "": // an empty parameter counts as omitted
		case name != paramClientID:
			// PAR-3-1, JAR-5-3: the parameter would be ignored, so the client
			// gets an error.
			return "", fmt.Errorf("%w: %.64q", ErrForm, name)
		case values[0] != clientID: // JAR-5-2
			err := fmt.Errorf("%w: client_id %.128q, authenticated %.128q", ErrForm, values[0], clientID)
			return "", oautherr.Describe(err, "client_id is not the authenticated client")
		}
	}
	return raw, nil
}

// Commit records the use of the object if it has a jti. Of any number of
// concurrent calls with one jti of a client, exactly one succeeds. The others
// return ErrReplayed. Commit returns ErrExpired if the object has expired since
// Check, and ErrUnavailable if the store fails. After an error the caller
// rejects the request.
func (v *Verifier) Commit(ctx context.Context, r Request) error {
	if r.by == nil || r.by != v {
		return errors.New("jar: request of another verifier")
	}
	if now := v.cfg.Now(); !now.Before(r.expires) {
		return expired(r.expires, now)
	}
	if r.replayKey == "" {
		return nil
	}
	// From exp on the object is rejected without the store.
	first, err := v.cfg.Replay.Add(expiring.WithClient(ctx, v.cfg.Issuer, r.clientID), r.replayKey, nil, r.expires)
	if err != nil {
		return fmt.Errorf("%w: replay store: %w", ErrUnavailable, err)
	}
	if !first {
		return ErrReplayed
	}
	return nil
}
