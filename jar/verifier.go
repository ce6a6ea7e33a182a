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
	"github.com/gofapi/fapi2/internal/oautherr"
)

const (
	minFutureSkew = 10 * time.Second // SP-5.3.2.1-13a: this much has to be accepted
	maxFutureSkew = 60 * time.Second // SP-5.3.2.1-13b: more than this has to be refused
)

// VerifierConfig configures a [Verifier].
type VerifierConfig struct {
	// Issuer is the issuer identifier of this authorization server, as its metadata has it: the audience that an object
	// must have. Required.
	Issuer string
	// Algorithms are the accepted signature algorithms, of "ES256", "PS256", "EdDSA" and "Ed25519". Empty: all of them.
	Algorithms []string
	// FutureSkew is how far nbf and iat may lie in the future: 10 to 60 seconds, default 10.
	FutureSkew time.Duration
	// Replay remembers the jti of used request objects. If nil, the Verifier keeps
	// up to 8,388,608 of them in memory, at 40 to 81 bytes each. One client can fill
	// half of that. It is enough for a server of one process.
	Replay ReplayStore
	// JSONParameters names parameters, beyond claims, authorization_details and max_age, whose values in an object are JSON
	// (numbers, booleans, arrays, objects); Params has their compact text. All others are strings: one of OAuth or OpenID
	// Connect that is not is refused, one that is unknown is left out (RFC 6749 §3.1) and stays in Raw only.
	JSONParameters []string
	// Now is the clock, nil means time.Now. Called concurrently.
	Now func() time.Time
}

// A Verifier checks request objects for one authorization server. It is safe for concurrent use.
type Verifier struct {
	cfg VerifierConfig
}

// NewVerifier checks and copies the configuration.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	if err := checkIssuer(cfg.Issuer); err != nil {
		return nil, fmt.Errorf("jar: %w", err)
	}
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = jose.Algorithms()
	}
	cfg.Algorithms = slices.Clone(cfg.Algorithms)
	for _, alg := range cfg.Algorithms {
		if !jose.Allowed(alg) { // RS256 and none can't be had
			return nil, fmt.Errorf("jar: algorithm %q is not allowed", alg)
		}
	}
	if cfg.FutureSkew == 0 {
		cfg.FutureSkew = minFutureSkew
	}
	if cfg.FutureSkew < minFutureSkew || cfg.FutureSkew > maxFutureSkew {
		return nil, fmt.Errorf("jar: FutureSkew of %v, want %v to %v", cfg.FutureSkew, minFutureSkew, maxFutureSkew)
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
	return &Verifier{cfg: cfg}, nil
}

// Algorithms returns the accepted signature algorithms, for request_object_signing_alg_values_supported.
func (v *Verifier) Algorithms() []string { return slices.Clone(v.cfg.Algorithms) }

// A Client is what a verifier has to know of the client that has authenticated.
type Client struct {
	// ID is the client identifier. Required: a client that merely named itself has not authenticated.
	ID string
	// Algorithm is the client's request_object_signing_alg. If empty, any algorithm
	// that the verifier accepts may be used. EdDSA and Ed25519 are one algorithm
	// (RFC 9864 §2.2).
	Algorithm string
	// Keys returns the public keys of the client that may have made a signature with alg, an accepted algorithm. With a
	// kid, those that have it and no others; kid is empty when the object has none, and is otherwise whatever the sender
	// wrote, up to 1024 bytes. All keys returned are tried, at most eight. No key and no error means that the client has
	// none such and its object is refused; an error means that it cannot be known now, and becomes ErrUnavailable. nil is
	// no key.
	Keys func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
}

// Verify is Check followed by Commit.
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

// Check verifies the request object in the form of a pushed authorization request that client has sent, and writes nothing:
// as long as Commit is not called, the same form can be checked again. What it returns counts only once Commit has
// succeeded.
//
// form has the parameters of the request's body, those of client authentication among them, and is only read. A server that
// takes unsigned requests too looks for "request" in it first; one that demands signed ones does not, and gets ErrUnsigned.
//
// Its errors are those of this package but ErrReplayed. The checks that need no key come first, so that no key is looked
// for on behalf of a request that fails anyway.
func (v *Verifier) Check(ctx context.Context, client Client, form url.Values) (Request, error) {
	// JAR-10.2-1: who sends the object must be known before it is looked at.
	if err := checkClientID(client.ID); err != nil {
		return Request{}, fmt.Errorf("%w: nobody has authenticated: %w", ErrClient, err)
	}
	raw, err := fromForm(form, client.ID)
	if err != nil {
		return Request{}, err
	}
	d, err := v.read(raw, client.ID, v.cfg.Now())
	if err != nil {
		return Request{}, err
	}
	key, err := d.verify(ctx, client)
	if err != nil {
		return Request{}, err
	}
	r := Request{
		by: v, clientID: client.ID, params: d.params, raw: raw, algorithm: d.header.Algorithm, keyID: d.header.KeyID, key: key, expires: d.expires,
		dropped: d.dropped,
	}
	if d.id != "" {
		// A jti belongs to the client that chose it, or else one client could use up the identifiers of another. The parts
		// have no NUL in them but the last one. The first part keeps the keys of other packages apart.
		r.replayKey = jose.SHA256Base64("request object\x00" + v.cfg.Issuer + "\x00" + client.ID + "\x00" + d.id)
	}
	return r, nil
}

// fromForm returns the request object of a form that has nothing else in it but client authentication.
func fromForm(form url.Values, clientID string) (string, error) {
	for name, values := range form {
		if len(values) > 1 && name != "resource" { // which may be repeated, if not here: see below
			return "", fmt.Errorf("%w: %.64q is repeated", ErrForm, name)
		}
	}
	// JAR-5-1, CS-6: it would be open which of the two counts.
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
		case len(values) == 0 || len(values) == 1 && values[0] == "": // empty is the same as omitted
		case name != paramClientID:
			// PAR-3-1, JAR-5-3: it would not count, which its sender should hear.
			return "", fmt.Errorf("%w: %.64q", ErrForm, name)
		case values[0] != clientID: // JAR-5-2
			err := fmt.Errorf("%w: client_id %.128q, authenticated %.128q", ErrForm, values[0], clientID)
			return "", oautherr.Describe(err, "client_id is not the authenticated client")
		}
	}
	return raw, nil
}

// Commit records that the object has been used, if it has a jti. Of any number of concurrent calls for one jti of a client
// exactly one succeeds; the others get ErrReplayed. An object that expired since Check gets ErrExpired, and a store that
// fails ErrUnavailable: without its word nothing is accepted.
func (v *Verifier) Commit(ctx context.Context, r Request) error {
	if r.by == nil || r.by != v {
		return errors.New("jar: Commit of a request that this verifier has not checked")
	}
	if now := v.cfg.Now(); !now.Before(r.expires) {
		return expired(r.expires, now)
	}
	if r.replayKey == "" {
		return nil
	}
	// Kept until exp, the first instant at which the object would be refused anyway.
	first, err := v.cfg.Replay.Add(expiring.WithOwner(ctx, r.clientID), r.replayKey, nil, r.expires)
	if err != nil {
		return fmt.Errorf("%w: replay store: %w", ErrUnavailable, err)
	}
	if !first {
		return ErrReplayed
	}
	return nil
}
