package clientauth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
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
	limitMaxLifetime = time.Hour        // some client libraries use this lifetime
	minFutureSkew    = 10 * time.Second // SP-5.3.2.1-13a: must be accepted
	maxFutureSkew    = 60 * time.Second // SP-5.3.2.1-13b: more must be rejected
)

// VerifierConfig configures a [Verifier].
type VerifierConfig struct {
	// Issuer is the issuer identifier of this authorization server, exactly as
	// in its metadata. It is the only accepted audience. Required.
	Issuer string
	// Lookup returns a registered client by its identifier of 1 to 1024
	// printable ASCII characters. It returns ErrUnknownClient if the client is
	// not registered. Any other error becomes ErrUnavailable. It is called
	// concurrently. Required.
	Lookup func(ctx context.Context, clientID string) (Client, error)
	// Replay remembers used assertions. If nil, the Verifier keeps up to
	// 8,388,608 assertions in memory, at 40 to 81 bytes each. One client can
	// fill half of that. It is enough for a server of one process.
	Replay ReplayStore
	// Algorithms contains the accepted signature algorithms. The default is
	// "ES256", "PS256", "EdDSA" and "Ed25519". Other algorithms are not
	// supported.
	Algorithms []string
	// MaxLifetime bounds the time from now until exp, and the time from iat
	// until exp. It also bounds the time for which a replay store remembers an
	// assertion. The default and the maximum are 1 hour. An assertion can be
	// used once, independent of its lifetime.
	MaxLifetime time.Duration
	// ClientCAs contains the trust anchors for the certificates of
	// tls_client_auth. Use few anchors. Their policies must ensure that no
	// party receives a certificate with the subject of another client. If nil,
	// Credentials.ChainVerified reports whether the chain was verified.
	// Otherwise the Verifier verifies chains and ignores ChainVerified.
	//
	// A server that also has clients with self-signed certificates needs
	// ClientCAs, because its TLS must not verify certificates
	// (tls.RequestClientCert). A chain with a weak key, for example RSA of less
	// than 2048 bits, is rejected. Revocation is not checked.
	ClientCAs *x509.CertPool
	// FutureSkew is how far iat and nbf may lie in the future: 10 to 60
	// seconds. The default is 10 seconds.
	FutureSkew time.Duration
	// Now is the clock. If nil, time.Now is used. It is called concurrently.
	Now func() time.Time
}

// A Verifier authenticates clients at one authorization server. It is safe for
// concurrent use.
type Verifier struct {
	cfg      VerifierConfig
	rules    jwt.Rules
	names    *expiring.Cache[string]   // normal forms of registered distinguished names
	subjects *expiring.Cache[string]   // normal forms of subjects of certificates, by their DER
	chains   *expiring.Cache[validity] // of certificates under ClientCAs, by their hash
}

// NewVerifier validates and copies cfg.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	if err := syntax.CheckIssuer(cfg.Issuer); err != nil {
		return nil, fmt.Errorf("clientauth: %w", err)
	}
	if cfg.Lookup == nil {
		return nil, errors.New("clientauth: missing Lookup")
	}
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = nil
	}
	algorithms, err := jwt.Algorithms(cfg.Algorithms)
	if err != nil {
		return nil, fmt.Errorf("clientauth: %w", err)
	}
	if cfg.MaxLifetime == 0 {
		cfg.MaxLifetime = limitMaxLifetime
	}
	if cfg.MaxLifetime < time.Second || cfg.MaxLifetime > limitMaxLifetime {
		return nil, fmt.Errorf("clientauth: invalid MaxLifetime %v, want 1s to %v", cfg.MaxLifetime, limitMaxLifetime)
	}
	if cfg.FutureSkew == 0 {
		cfg.FutureSkew = minFutureSkew
	}
	if cfg.FutureSkew < minFutureSkew || cfg.FutureSkew > maxFutureSkew {
		return nil, fmt.Errorf("clientauth: invalid FutureSkew %v, want %v to %v", cfg.FutureSkew,
			minFutureSkew, maxFutureSkew)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Replay == nil {
		cfg.Replay = expiring.NewSet(expiring.SetConfig{Now: cfg.Now})
	}
	if v := reflect.ValueOf(cfg.Replay); v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, fmt.Errorf("clientauth: Replay is a nil %T", cfg.Replay)
	}
	if cfg.ClientCAs != nil {
		cfg.ClientCAs = cfg.ClientCAs.Clone()
	}
	return &Verifier{
		cfg: cfg,
		// CA-BIS-4-6: no typ and the generic one are accepted, another typ is
		// not.
		rules: jwt.Rules{
			MaxBytes: maxAssertion, MaxKeyID: maxKeyID, Algorithms: algorithms, Type: assertionTyp, Untyped: true,
			Headers: jwt.NewHeaders(),
			Errors: jwt.Errors{
				Malformed: ErrMalformed, Algorithm: ErrAlgorithm, Type: errKind, Signature: ErrSignature,
				Unavailable: ErrUnavailable,
			},
		},
		names:    expiring.NewCache[string](cachedNames),
		subjects: expiring.NewCache[string](cachedNames),
		chains:   expiring.NewCache[validity](cachedChains),
	}, nil
}

// Algorithms returns a copy of the accepted signature algorithms, for
// token_endpoint_auth_signing_alg_values_supported.
func (v *Verifier) Algorithms() []string { return slices.Clone(v.rules.Algorithms) }

// Credentials are the parts of a request that authenticate a client. A
// [Verifier] does not change them. They are safe for concurrent reading.
type Credentials struct {
	// Form has the parameters of the body, an application/x-www-form-urlencoded
	// POST. It must not have parameters of the URL.
	Form url.Values
	// Authorization has all values of the Authorization header,
	// r.Header.Values("Authorization"). It must be empty, because no supported
	// method uses the header.
	Authorization []string
	// Certificates has the certificates that the client presented in mutual
	// TLS, its own first. They are the PeerCertificates of the connection or
	// come from a trusted proxy. TLS has verified that the client has the
	// private key. If nil, the client presented no certificate. They are
	// ignored if there is an assertion.
	Certificates []*x509.Certificate
	// ChainVerified reports that TLS or the proxy has verified the chain of
	// Certificates up to a trust anchor for clients. VerifiedChains of the
	// connection shows that. It is required for tls_client_auth, unless the
	// Verifier has ClientCAs.
	ChainVerified bool
}

// String returns a constant text, because the credentials contain an assertion.
func (c Credentials) String() string { return "clientauth.Credentials{redacted}" }

// GoString returns the text of String.
func (c Credentials) GoString() string { return c.String() }

// LogValue returns the text of String.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// assertion returns the assertion of a request and its client_id, which may be
// empty. If the request has a certificate and no assertion, the assertion is
// empty and client_id is not.
func (c Credentials) assertion() (assertion, clientID string, err error) {
	for _, name := range []string{paramAssertion, paramAssertionType, paramClientID, paramClientSecret} {
		if len(c.Form[name]) > 1 {
			return "", "", fmt.Errorf("%w: repeated %s", ErrMultipleMethods, name)
		}
	}
	secret := c.Form.Get(paramClientSecret) != "" || len(c.Authorization) > 0
	assertion = c.Form.Get(paramAssertion)
	switch {
	case secret && assertion != "":
		// CA-7521-4.2-2: one method in a request.
		return "", "", fmt.Errorf("%w: assertion together with secret or Authorization header", ErrMultipleMethods)
	case secret:
		// SP-5.3.2.1-6, BCP-2.5-1: a server could use a secret to impersonate
		// the client.
		return "", "", fmt.Errorf("%w: secret or Authorization header", ErrMethod)
	case assertion == "" && len(c.Certificates) > 0 && c.Form.Get(paramAssertionType) == "":
		if c.Form.Get(paramClientID) == "" {
			// MTLS-2-2: the subject of a certificate does not identify a
			// client. It may be registered for several.
			err := fmt.Errorf("%w: certificate without client_id", ErrNoCredentials)
			return "", "", oautherr.Describe(err, "client_id is required")
		}
	case assertion == "":
		// SP-5.3.2.1-3, CS-12: a public client sends only client_id. MTLS-2-1,
		// MTLS-2-3: the certificate of a client may be missing.
		return "", "", ErrNoCredentials
	case c.Form.Get(paramAssertionType) != assertionType:
		// CA-7523-2.2-1, CA-BIS-S-1: SAML assertions have another type.
		return "", "", fmt.Errorf("%w: %s %.80q", ErrMethod, paramAssertionType, c.Form.Get(paramAssertionType))
	}
	return assertion, c.Form.Get(paramClientID), nil
}

// An Authentication is the result of a successful authentication. Only a
// [Verifier] returns one. [Verifier.Commit] rejects the zero value. It contains
// no secret and is safe for concurrent use.
type Authentication struct {
	clientID, method string
	by               *Verifier
	replayKey        string // empty for a certificate
	expires          time.Time
}

// ClientID returns the identifier of the client. It is empty in the zero value
// only.
func (a Authentication) ClientID() string { return a.clientID }

// Method returns the method of the authentication: [MethodPrivateKeyJWT],
// [MethodTLSClientAuth] or [MethodSelfSignedTLSClientAuth].
func (a Authentication) Method() string { return a.method }

// Verify calls [Verifier.Check] and [Verifier.Commit].
func (v *Verifier) Verify(ctx context.Context, c Credentials) (Authentication, error) {
	a, err := v.Check(ctx, c)
	if err != nil {
		return Authentication{}, err
	}
	if err := v.Commit(ctx, a); err != nil {
		return Authentication{}, err
	}
	return a, nil
}

// Check authenticates the client of a request. It writes nothing: the same
// request can be checked again until Commit is called. The caller acts on the
// result only after Commit has succeeded. The rules are the same at every
// endpoint (RFC 9126 §2).
//
// Check returns the errors of this package except ErrReplayed. It makes the
// checks that need no key first, so that no key is looked up for a request that
// is rejected anyway.
func (v *Verifier) Check(ctx context.Context, c Credentials) (Authentication, error) {
	raw, clientID, err := c.assertion() // PAR-2-4
	if err != nil {
		return Authentication{}, err
	}
	now := v.cfg.Now()
	if raw == "" {
		return v.checkCertificate(ctx, c, clientID, now)
	}
	a, err := v.read(raw, now)
	if err != nil {
		return Authentication{}, err
	}
	if clientID != "" && clientID != a.clientID { // CS-13, CA-7521-4.2-1
		return Authentication{}, fmt.Errorf("%w: client_id %.128q with an assertion of %.128q", ErrClient,
			clientID, a.clientID)
	}
	client, err := v.lookup(ctx, a.clientID)
	if err != nil {
		return Authentication{}, err
	}
	if client.Method != "" && client.Method != MethodPrivateKeyJWT {
		return Authentication{}, client.wrongMethod("assertion")
	}
	if err := a.verify(ctx, client); err != nil {
		return Authentication{}, err
	}
	if client.MaxLifetime > 0 {
		if err := v.checkLifetime(a, client.MaxLifetime, now); err != nil {
			return Authentication{}, err
		}
	}
	return Authentication{
		clientID: client.ID, method: MethodPrivateKeyJWT, by: v, replayKey: v.replayKey(a), expires: a.expires,
	}, nil
}

// lookup returns a registered client.
func (v *Verifier) lookup(ctx context.Context, id string) (Client, error) {
	client, err := v.cfg.Lookup(ctx, id)
	switch {
	case errors.Is(err, ErrUnknownClient):
		return Client{}, ErrUnknownClient // without details of the host, which may have a wire form
	case err != nil:
		return Client{}, fmt.Errorf("%w: lookup: %w", ErrUnavailable, err)
	case client.ID != id:
		// A database that ignores case may return another client.
		return Client{}, fmt.Errorf("%w: %.128q, Lookup returned %.128q", ErrUnknownClient, id, client.ID)
	}
	return client, nil
}

// Commit records the use of the assertion. Of any number of concurrent calls
// with one assertion, exactly one succeeds. The others return ErrReplayed.
// Commit returns ErrExpired if the assertion has expired since Check, and
// ErrUnavailable if the store fails. After an error the client is not
// authenticated.
//
// After authentication by a certificate, Commit records nothing. It only checks
// that this Verifier returned the Authentication and that it has not expired.
func (v *Verifier) Commit(ctx context.Context, a Authentication) error {
	if a.clientID == "" || a.by != v {
		return fmt.Errorf("%w: authentication of another verifier", ErrNoCredentials)
	}
	if now := v.cfg.Now(); !now.Before(a.expires) {
		return expired(a.expires, now)
	}
	if a.replayKey == "" {
		return nil
	}
	// CA-7523-3-7: from exp on the assertion is rejected without the store.
	first, err := v.cfg.Replay.Add(expiring.WithClient(ctx, v.cfg.Issuer, a.clientID), a.replayKey, nil, a.expires)
	if err != nil {
		return fmt.Errorf("%w: replay store: %w", ErrUnavailable, err)
	}
	if !first {
		return ErrReplayed
	}
	return nil
}

// replayKey returns the same key for all assertions of a client with one jti. A
// jti belongs to the client that chose it. Otherwise one client could use up
// the jti of another. Only the last part can contain a NUL. The first part
// separates the keys of different packages.
func (v *Verifier) replayKey(a assertion) string {
	return jose.SHA256Base64("client assertion\x00", v.cfg.Issuer, "\x00", a.clientID, "\x00", a.id)
}
