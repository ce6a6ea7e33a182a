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
	"github.com/gofapi/fapi2/internal/oautherr"
)

const (
	limitMaxLifetime = time.Hour        // some client libraries use this lifetime
	minFutureSkew    = 10 * time.Second // SP-5.3.2.1-13a: must be accepted
	maxFutureSkew    = 60 * time.Second // SP-5.3.2.1-13b: more must be rejected
)

// VerifierConfig configures a [Verifier].
type VerifierConfig struct {
	// Issuer is the issuer identifier of this authorization server, as its metadata has it: the one audience that is
	// accepted. Required.
	Issuer string
	// Lookup finds a registered client by its identifier, of 1 to 1024 printable ASCII characters. It returns
	// ErrUnknownClient when there is none; any other error becomes ErrUnavailable. Called concurrently. Required.
	Lookup func(ctx context.Context, clientID string) (Client, error)
	// Replay remembers used assertions. If nil, the Verifier keeps up to 8,388,608
	// assertions in memory, at 40 to 81 bytes each. One client can fill half of
	// that. It is enough for a server of one process.
	Replay ReplayStore
	// Algorithms are the accepted signature algorithms, of "ES256", "PS256", "EdDSA" and "Ed25519". Empty: all of them.
	Algorithms []string
	// MaxLifetime bounds the time from now until exp, and the time from iat until
	// exp. It also bounds the time for which a replay store remembers an
	// assertion. The default and the maximum are 1 hour. An assertion can be used
	// once, independent of its lifetime.
	MaxLifetime time.Duration
	// ClientCAs are the trust anchors for the certificates of tls_client_auth: few, and with a policy by which nobody gets a
	// subject that is another's (MTLS-7.4-1). nil: Credentials.ChainVerified says whether a chain was verified. If set, that
	// is not looked at and chains are verified here: for a server that also has clients with self-signed certificates,
	// for which its TLS must ask for certificates without verifying any (tls.RequestClientCert). A chain with a weak key in it,
	// RSA of less than 2048 bits say, leads nowhere. Revocation is not checked.
	ClientCAs *x509.CertPool
	// FutureSkew is how far iat and nbf may lie in the future: 10 to 60 seconds, default 10.
	FutureSkew time.Duration
	// Now is the clock, nil means time.Now. Called concurrently.
	Now func() time.Time
}

// A Verifier authenticates clients at one authorization server. It is safe for concurrent use.
type Verifier struct {
	cfg      VerifierConfig
	names    *expiring.Cache[string]   // normal forms of registered distinguished names
	subjects *expiring.Cache[string]   // those of certificates' subjects, by their DER encoding
	chains   *expiring.Cache[validity] // of certificates that ClientCAs vouch for, by their hash
}

// NewVerifier checks and copies the configuration.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	if err := checkIssuer(cfg.Issuer); err != nil {
		return nil, fmt.Errorf("clientauth: %w", err)
	}
	if cfg.Lookup == nil {
		return nil, errors.New("clientauth: a verifier needs Lookup")
	}
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = jose.Algorithms()
	}
	cfg.Algorithms = slices.Clone(cfg.Algorithms)
	for _, alg := range cfg.Algorithms {
		if !jose.Allowed(alg) { // SP-5.4.1-1.2, SP-5.4.1-1.3
			return nil, fmt.Errorf("clientauth: algorithm %q is not allowed", alg)
		}
	}
	if cfg.MaxLifetime == 0 {
		cfg.MaxLifetime = limitMaxLifetime
	}
	if cfg.MaxLifetime < time.Second || cfg.MaxLifetime > limitMaxLifetime {
		return nil, fmt.Errorf("clientauth: MaxLifetime of %v, want 1s to %v", cfg.MaxLifetime, limitMaxLifetime)
	}
	if cfg.FutureSkew == 0 {
		cfg.FutureSkew = minFutureSkew
	}
	if cfg.FutureSkew < minFutureSkew || cfg.FutureSkew > maxFutureSkew {
		return nil, fmt.Errorf("clientauth: FutureSkew of %v, want %v to %v", cfg.FutureSkew, minFutureSkew, maxFutureSkew)
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
		cfg:      cfg,
		names:    expiring.NewCache[string](cachedNames),
		subjects: expiring.NewCache[string](cachedNames),
		chains:   expiring.NewCache[validity](cachedChains),
	}, nil
}

// Algorithms returns the accepted signature algorithms, for token_endpoint_auth_signing_alg_values_supported.
func (v *Verifier) Algorithms() []string { return slices.Clone(v.cfg.Algorithms) }

// Credentials are the parts of a request by which a client may authenticate. They are only read.
type Credentials struct {
	// Form has the parameters of the request's body, as an application/x-www-form-urlencoded POST has them. Never those
	// of the URL.
	Form url.Values
	// Authorization has all values of the request's Authorization header, r.Header.Values("Authorization"). There must be
	// none: no method accepted here uses it.
	Authorization []string
	// Certificates has what the client presented in the handshake of mutual TLS, its own certificate first: PeerCertificates
	// of the connection's state, or what a trusted proxy says. Of the client's own it must be certain that the client has
	// the private key, which TLS sees to. nil: it presented none. Not looked at when there is an assertion.
	Certificates []*x509.Certificate
	// ChainVerified says that whoever ended TLS has verified the chain of Certificates up to a trust anchor for clients, as
	// VerifiedChains of the connection's state shows. It is a must for tls_client_auth.
	ChainVerified bool
}

// String says nothing but the type, as there is an assertion inside.
func (c Credentials) String() string { return "clientauth.Credentials{redacted}" }

// GoString is String.
func (c Credentials) GoString() string { return c.String() }

// LogValue is String.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// assertion returns the one assertion of a request and its client_id, which may be empty. With no assertion but a
// certificate the assertion is empty and client_id is not.
func (c Credentials) assertion() (assertion, clientID string, err error) {
	for _, name := range []string{paramAssertion, paramAssertionType, paramClientID, paramClientSecret} {
		if len(c.Form[name]) > 1 {
			return "", "", fmt.Errorf("%w: %s is repeated", ErrMultipleMethods, name)
		}
	}
	secret := c.Form.Get(paramClientSecret) != "" || len(c.Authorization) > 0
	assertion = c.Form.Get(paramAssertion)
	switch {
	case secret && assertion != "":
		// CA-7521-4.2-2: it would be open which of the two counts.
		return "", "", fmt.Errorf("%w: an assertion beside a secret or an Authorization header", ErrMultipleMethods)
	case secret:
		// SP-5.3.2.1-6, BCP-2.5-1: nothing that the server could use in the place of the client.
		return "", "", fmt.Errorf("%w: a secret or an Authorization header", ErrMethod)
	case assertion == "" && len(c.Certificates) > 0 && c.Form.Get(paramAssertionType) == "":
		if c.Form.Get(paramClientID) == "" {
			// MTLS-2-2: the subject of a certificate is no client identifier, and may be registered for several clients.
			return "", "", oautherr.Describe(fmt.Errorf("%w: a certificate without client_id", ErrNoCredentials), "client_id is required")
		}
	case assertion == "":
		// SP-5.3.2.1-3, CS-12: a client_id alone is what a public client would send. MTLS-2-1, MTLS-2-3: it is also what a
		// client sends that should have presented a certificate.
		return "", "", ErrNoCredentials
	case c.Form.Get(paramAssertionType) != assertionType:
		// CA-7523-2.2-1; CA-BIS-S-1: SAML assertions have a type of their own.
		return "", "", fmt.Errorf("%w: %s of %.80q", ErrMethod, paramAssertionType, c.Form.Get(paramAssertionType))
	}
	return assertion, c.Form.Get(paramClientID), nil
}

// An Authentication says that a client has been authenticated. Only a [Verifier] makes one; the zero value says nothing and
// is refused by [Verifier.Commit]. It holds no secret. Safe for concurrent use.
type Authentication struct {
	clientID, method string
	by               *Verifier
	replayKey        string // empty: nothing to record
	expires          time.Time
}

// ClientID returns the identifier of the client. It is empty in the zero value only.
func (a Authentication) ClientID() string { return a.clientID }

// Method returns how the client was authenticated: [MethodPrivateKeyJWT], [MethodTLSClientAuth] or
// [MethodSelfSignedTLSClientAuth].
func (a Authentication) Method() string { return a.method }

// Verify is Check followed by Commit.
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

// Check authenticates the client of a request and writes nothing: as long as Commit is not called, the same request can be
// checked again. What it returns counts only once Commit has succeeded. The same rules hold at every endpoint (PAR-2-4).
//
// Its errors are those of this package but ErrReplayed. The checks that need no key come first, so that no key is looked
// for on behalf of a request that fails anyway.
func (v *Verifier) Check(ctx context.Context, c Credentials) (Authentication, error) {
	raw, clientID, err := c.assertion()
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
		return Authentication{}, fmt.Errorf("%w: client_id %.128q beside an assertion by %.128q", ErrClient, clientID, a.clientID)
	}
	client, err := v.lookup(ctx, a.clientID)
	if err != nil {
		return Authentication{}, err
	}
	if client.Method != "" && client.Method != MethodPrivateKeyJWT {
		return Authentication{}, client.refuseMethod("an assertion")
	}
	if err := a.verify(ctx, client); err != nil {
		return Authentication{}, err
	}
	return Authentication{clientID: client.ID, method: MethodPrivateKeyJWT, by: v, replayKey: v.replayKey(a), expires: a.expires}, nil
}

// lookup finds a client.
func (v *Verifier) lookup(ctx context.Context, id string) (Client, error) {
	client, err := v.cfg.Lookup(ctx, id)
	switch {
	case errors.Is(err, ErrUnknownClient):
		return Client{}, ErrUnknownClient // and no detail that the caller has wrapped, be it a wire form of its own
	case err != nil:
		return Client{}, fmt.Errorf("%w: looking up the client: %w", ErrUnavailable, err)
	case client.ID != id:
		// A data base that ignores case finds another client than the one that was asked for.
		return Client{}, fmt.Errorf("%w: asked for %.128q, found %.128q", ErrUnknownClient, id, client.ID)
	}
	return client, nil
}

// Commit records that the client's assertion has been used. Of any number of concurrent calls for one assertion exactly
// one succeeds; the others get ErrReplayed. An assertion that expired since Check gets ErrExpired, and a store that fails
// ErrUnavailable: without its word nobody is authenticated. After a certificate there
// is nothing to record, and Commit only makes sure that the Authentication is one of this verifier's and still holds.
func (v *Verifier) Commit(ctx context.Context, a Authentication) error {
	if a.clientID == "" || a.by != v {
		return fmt.Errorf("%w: not checked by this verifier", ErrNoCredentials)
	}
	if now := v.cfg.Now(); !now.Before(a.expires) {
		return expired(a.expires, now)
	}
	if a.replayKey == "" {
		return nil
	}
	// CA-7523-3-7: kept until exp, the first instant at which the assertion would be refused anyway.
	first, err := v.cfg.Replay.Add(expiring.WithOwner(ctx, a.clientID), a.replayKey, nil, a.expires)
	if err != nil {
		return fmt.Errorf("%w: replay store: %w", ErrUnavailable, err)
	}
	if !first {
		return ErrReplayed
	}
	return nil
}

// replayKey is the same for all assertions that count as one: a client's with one jti. A jti belongs to the client that
// chose it, or else one client could use up the identifiers of another.
//
// The parts have no NUL in them but the last one. The first part keeps the keys of other packages apart.
func (v *Verifier) replayKey(a assertion) string {
	return jose.SHA256Base64("client assertion\x00" + v.cfg.Issuer + "\x00" + a.clientID + "\x00" + a.id)
}
