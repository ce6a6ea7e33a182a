package jarm

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gofapi/fapi2/internal/form"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/strictjson"
)

const (
	maxLeeway  = 5 * time.Minute
	futureSkew = 10 * time.Second // for nbf, always granted
)

// VerifierConfig configures a [Verifier].
type VerifierConfig struct {
	// Issuer is the identifier of the authorization server that the request went to. Required. A client of several servers
	// keeps a Verifier for each, remembers in the session, which the browser is bound to, whom it asked, and uses that
	// one's (JARM-2.4-0). Choosing it by what the response says would undo the check.
	Issuer string
	// ClientID is this client, as it is known to that server. Required.
	ClientID string
	// Keys returns the issuer's candidates for a response's kid and alg; see the package jwks. It is called concurrently, with
	// an algorithm that is allowed, and only for responses that are otherwise right. Required.
	Keys func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
	// Algorithms are those accepted: best the one that the client registered as authorization_signed_response_alg. Default:
	// ES256, PS256, EdDSA and Ed25519; others cannot be had.
	Algorithms []string
	// DecryptionKeys are this client's keys for encrypted responses. Default: none, and an encrypted response is refused.
	// With a key, a response that is not encrypted is refused, except with AllowUnencrypted.
	DecryptionKeys []DecryptionKey
	// AllowUnencrypted accepts signed responses that are not encrypted though there are DecryptionKeys: while the
	// registration is being changed. Default false.
	AllowUnencrypted bool
	// Leeway is for how long after its expiry a response is accepted. Default 0, at most 5 minutes.
	Leeway time.Duration
	// Now is the clock; nil means time.Now. It is called concurrently.
	Now func() time.Time
}

// A DecryptionKey is a private key of the client that responses are encrypted to. Do not sign with it. It prints redacted
// and is as safe for concurrent use as the key in it.
type DecryptionKey struct {
	// Key is an *ecdsa.PrivateKey of P-256, for ECDH-ES, or the crypto.Decrypter of an RSA key, for RSA-OAEP-256. Required.
	Key crypto.PrivateKey
	// KeyID is the kid under which the public key is published. Empty: tried whatever kid a response has.
	KeyID string
}

// String leaves out the key.
func (k DecryptionKey) String() string { return fmt.Sprintf("decryption key %.256q", k.KeyID) }

// GoString is String.
func (k DecryptionKey) GoString() string { return k.String() }

// LogValue is String for slog.
func (k DecryptionKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// A Verifier checks the authorization responses of one server for one client. It is safe for concurrent use.
type Verifier struct{ cfg VerifierConfig }

// NewVerifier validates and copies cfg.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	switch {
	case cfg.Issuer == "":
		return nil, errors.New("jarm: Issuer is empty")
	case cfg.ClientID == "":
		return nil, errors.New("jarm: ClientID is empty")
	case cfg.Keys == nil:
		return nil, errors.New("jarm: Keys is nil")
	case cfg.Leeway < 0 || cfg.Leeway > maxLeeway:
		return nil, fmt.Errorf("jarm: Leeway is %v, not between 0 and %v", cfg.Leeway, maxLeeway)
	case cfg.AllowUnencrypted && len(cfg.DecryptionKeys) == 0:
		return nil, errors.New("jarm: AllowUnencrypted without DecryptionKeys")
	}
	if cfg.Algorithms == nil {
		cfg.Algorithms = jose.Algorithms()
	}
	// An empty list allows nothing, and one with RS256 in it would promise what is not kept.
	notAllowed := func(alg string) bool { return !jose.Allowed(alg) }
	if len(cfg.Algorithms) == 0 || slices.ContainsFunc(cfg.Algorithms, notAllowed) {
		return nil, fmt.Errorf("jarm: Algorithms is %q, of which not all are among %q", cfg.Algorithms, jose.Algorithms())
	}
	for i, k := range cfg.DecryptionKeys {
		if !jose.DecryptionFits(k.Key, jose.RSAOAEP256) && !jose.DecryptionFits(k.Key, jose.ECDHES) {
			return nil, fmt.Errorf("jarm: DecryptionKeys[%d] is a %T, not a P-256 or RSA key for decryption", i, k.Key)
		}
	}
	cfg.Algorithms = slices.Clone(cfg.Algorithms)
	cfg.DecryptionKeys = slices.Clone(cfg.DecryptionKeys)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Verifier{cfg: cfg}, nil
}

// VerifyRequest is [Verifier.VerifyValues] for a callback: a GET with the response in the query (query.jwt), or a POST
// with it in a form (form_post.jwt), whose body it uses up. As everywhere in OAuth no parameter may be repeated.
func (v *Verifier) VerifyRequest(ctx context.Context, r *http.Request) (*Response, error) {
	var values url.Values
	var err error
	switch r.Method {
	case http.MethodGet:
		values, err = form.Parse(r.URL.RawQuery)
	case http.MethodPost:
		values, err = form.Read(r)
	default:
		err = fmt.Errorf("method %.16q", r.Method)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoResponse, err)
	}
	return v.VerifyValues(ctx, values)
}

// VerifyValues is [Verifier.Verify] for the parameters of a callback. There must be exactly one parameter "response". A
// parameter "iss" beside it need not be there, and must agree if it is. All others are ignored: they are not signed.
func (v *Verifier) VerifyValues(ctx context.Context, values url.Values) (*Response, error) {
	responses := values[paramResponse]
	if len(responses) != 1 || responses[0] == "" { // MS-5.4.2-2: unsigned parameters do not stand in for it
		return nil, fmt.Errorf("%w: %d parameters %q", ErrNoResponse, len(responses), paramResponse)
	}
	for _, iss := range values["iss"] { // ISS-4-2: the issuer inside is compared with the same one; ISS-4-3: it may be missing
		if iss != v.cfg.Issuer {
			return nil, fmt.Errorf("%w: %.256q beside the response, want %q", ErrIssuer, iss, v.cfg.Issuer)
		}
	}
	return v.Verify(ctx, responses[0])
}

// Verify checks a response, that is the JWT, and returns what it says: success or, by [Response.Err], refusal. The
// steps are those of §2.4, in its order: issuer, audience, expiry, signature, and only then the parameters. The state
// remains to be compared, by [Response.CheckState].
func (v *Verifier) Verify(ctx context.Context, raw string) (*Response, error) {
	raw, err := v.decrypt(raw)
	if err != nil {
		return nil, err
	}
	jws, err := jose.Split(raw, maxResponse)
	if err != nil {
		return nil, fail(err)
	}
	header, err := jws.ParseHeader() // JARM-2.4-5: none and RS256 end here
	if err != nil {
		return nil, fail(err)
	}
	// JWT-3.1-1: the response does not choose beyond what we allow.
	if !jose.Accepts(v.cfg.Algorithms, header.Algorithm) {
		return nil, fmt.Errorf("%w: %.32q", ErrAlgorithm, header.Algorithm)
	}
	// JWT-3.12-1: a response has no type of its own, every other kind of JWT that has one says what it is.
	if header.Type != "" && !header.IsType("JWT") {
		return nil, fmt.Errorf("%w: typ is %.64q", ErrType, header.Type)
	}
	claims, err := jws.PeerClaims()
	if err != nil {
		return nil, fail(err)
	}
	r, err := v.checkEnvelope(claims)
	if err != nil {
		return nil, err
	}
	// JARM-5.1-1: no key has been looked for until now, so nobody can make us fetch from where we have no business.
	keys, err := v.cfg.Keys(ctx, header.KeyID, header.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if _, err := jws.VerifyAny(header.Algorithm, keys); err != nil { // JARM-2.4-5
		return nil, fail(err)
	}
	// JARM-2.4-6, MS-5.4.2-2: from here on the parameters are the server's.
	if r.params, r.dropped, err = readParams(claims); err != nil {
		return nil, err
	}
	return r, nil
}

// decrypt takes off the encryption, or finds that there is none and need not be.
func (v *Verifier) decrypt(raw string) (string, error) {
	if !jose.IsEncrypted(raw) {
		if len(v.cfg.DecryptionKeys) > 0 && !v.cfg.AllowUnencrypted {
			return "", fmt.Errorf("%w: it is not encrypted, and this client demands it", ErrEncryption)
		}
		return raw, nil
	}
	if len(v.cfg.DecryptionKeys) == 0 {
		return "", fmt.Errorf("%w: it is encrypted, and this client has no decryption key", ErrEncryption)
	}
	// JARM-2.4-1
	signed, err := jose.Decrypt(raw, maxResponse, func(kid, _ string) (keys []crypto.PrivateKey) {
		for _, k := range v.cfg.DecryptionKeys {
			if kid == "" || k.KeyID == "" || k.KeyID == kid {
				keys = append(keys, k.Key)
			}
		}
		return keys
	})
	if err != nil {
		return "", fail(err)
	}
	return signed, nil
}

// foreign are claims by which other kinds of JWT of an authorization server are known that need have no typ: ID tokens and
// signed userinfo, logout tokens, introspection responses.
var foreign = []string{"sub", "events", "token_introspection"}

// checkEnvelope is steps 2 to 4 of §2.4.
func (v *Verifier) checkEnvelope(claims strictjson.Object) (*Response, error) {
	iss, ok, err := claims.String("iss")
	switch {
	case err != nil || !ok || iss == "":
		return nil, fmt.Errorf("%w: iss must be there and a string", ErrClaims)
	case iss != v.cfg.Issuer: // JARM-2.4-2, JARM-2.4-0: as it is, without normalisation
		return nil, fmt.Errorf("%w: got %.256q, want %q", ErrIssuer, iss, v.cfg.Issuer)
	}
	aud, ok, err := claims.StringOrStrings("aud")
	switch {
	case err != nil || !ok || len(aud) == 0:
		return nil, fmt.Errorf("%w: aud must be there and a string", ErrClaims)
	case len(aud) != 1 || aud[0] != v.cfg.ClientID: // JARM-2.4-3: an array of this client alone is as good as a string
		return nil, fmt.Errorf("%w: got %.256q, want %q", ErrAudience, aud, v.cfg.ClientID)
	}
	exp, ok, err := claims.Time("exp")
	if err != nil || !ok {
		return nil, fmt.Errorf("%w: exp must be there and a date", ErrClaims)
	}
	now := v.cfg.Now()
	if !now.Before(exp.Add(v.cfg.Leeway)) { // JARM-2.4-4
		return nil, fmt.Errorf("%w: exp %d, now %d, leeway %v", ErrExpired, exp.Unix(), now.Unix(), v.cfg.Leeway)
	}
	nbf, ok, err := claims.Time("nbf")
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: nbf is no date", ErrClaims)
	case ok && nbf.After(now.Add(max(futureSkew, v.cfg.Leeway))): // RFC 7519 §4.1.5
		return nil, fmt.Errorf("%w: nbf %d, now %d", ErrExpired, nbf.Unix(), now.Unix())
	}
	for _, name := range foreign { // JWT-3.12-1: the claims of each kind rule out the others
		if claims.Has(name) {
			return nil, fmt.Errorf("%w: it has the claim %s", ErrType, name)
		}
	}
	return &Response{issuer: iss, expires: exp}, nil
}

// fail finds the sentinel for a failure of the JOSE layer.
func fail(err error) error {
	switch {
	case errors.Is(err, jose.ErrMalformed):
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	case errors.Is(err, jose.ErrAlgorithm):
		return fmt.Errorf("%w: %w", ErrAlgorithm, err)
	case errors.Is(err, jose.ErrDecryption), errors.Is(err, jose.ErrKey):
		return fmt.Errorf("%w: %w", ErrEncryption, err)
	}
	return fmt.Errorf("%w: %w", ErrSignature, err)
}
