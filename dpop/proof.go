package dpop

import (
	"crypto"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/strictjson"
)

// A Proof is a checked proof. Only a [Verifier] returns one. [Verifier.Commit]
// rejects the zero Proof. A Proof is immutable and safe for concurrent use.
type Proof struct {
	thumbprint string
	issuedAt   time.Time
	replayKey  string
	expires    time.Time // of the replay entry
	resource   bool      // checked at a resource server
	by         *header
}

// Thumbprint returns the JWK SHA-256 thumbprint of the key of the proof (RFC
// 7638), 43 characters. The cnf.jkt of a bound token has this value.
func (p Proof) Thumbprint() string { return p.thumbprint }

// Algorithm returns the signature algorithm of the proof. EdDSA and Ed25519 are
// one algorithm, which has the name that the verifier accepts.
func (p Proof) Algorithm() string {
	if p.by == nil {
		return ""
	}
	return p.by.algorithm
}

// PublicKey returns the key of the proof: an *ecdsa.PublicKey, *rsa.PublicKey
// or ed25519.PublicKey, and nil for the zero Proof. The caller must not change
// it.
func (p Proof) PublicKey() crypto.PublicKey {
	if p.by == nil {
		return nil
	}
	return p.by.key
}

// IssuedAt returns when the client made the proof ("iat").
func (p Proof) IssuedAt() time.Time { return p.issuedAt }

// presented is the access token of a request, its hash, and the thumbprint in
// it. If the hash is empty, check computes it.
type presented struct{ accessToken, hash, thumbprint string }

// A header is the checked JOSE header of a proof.
type header struct {
	algorithm  string
	key        crypto.PublicKey
	thumbprint string
}

// check makes all checks except that of replay (CS-16). The signature, the most
// expensive check, is the last but one.
func (v *Verifier) check(r *http.Request, at *presented) (Proof, error) {
	jws, err := v.split(r)
	if err != nil {
		return Proof{}, err
	}
	h, known := v.headers.Get(jws.Header)
	if !known {
		if h, err = v.parseHeader(jws); err != nil {
			return Proof{}, err
		}
	}
	claims, err := jws.Claims()
	if err != nil {
		return Proof{}, fromJOSE(err)
	}
	p, err := v.checkClaims(r, claims, h.thumbprint)
	if err != nil {
		return Proof{}, err
	}
	if err := at.check(claims, h); err != nil {
		return Proof{}, err
	}
	if err := jws.Verify(h.algorithm, h.key); err != nil { // DPOP-4.3-6
		return Proof{}, fromJOSE(err)
	}
	// After the signature, so that only a sender with a key can displace other
	// headers.
	if !known && len(jws.Header) <= maxHeaderSize {
		v.headers.Put(jws.Header, h)
	}
	if err := v.checkNonce(claims); err != nil {
		return Proof{}, err
	}
	p.resource, p.by = at != nil, h
	return p, nil
}

// split returns the proof of a request.
func (v *Verifier) split(r *http.Request) (jose.Compact, error) {
	fields := r.Header["Dpop"] // DPOP-4.1-1: the name in its canonical form
	switch {
	case len(fields) == 0:
		return jose.Compact{}, ErrMissing
	case len(fields) > 1: // DPOP-4.3-1: by count, because Header.Get ignores the second
		return jose.Compact{}, fmt.Errorf("%w: %d header fields", ErrMalformed, len(fields))
	}
	jws, err := jose.Split(fields[0], maxProof) // DPOP-4.3-2
	if err != nil {
		return jose.Compact{}, fromJOSE(err)
	}
	return jws, nil
}

func (v *Verifier) parseHeader(jws jose.Compact) (*header, error) {
	parsed, err := jws.ParseHeader() // DPOP-4.2-10: unknown members are ignored
	if err != nil {
		return nil, fromJOSE(err)
	}
	// DPOP-4.3-4, DPOP-11.5-1: a JWT of another kind is not a proof.
	if !parsed.IsType(proofType) {
		return nil, fmt.Errorf("%w: typ is %.32q, want %s", ErrMalformed, parsed.Type, proofType)
	}
	// DPOP-4.3-5, CS-3: ParseHeader accepts only asymmetric algorithms, of
	// which the server may accept fewer.
	i := slices.IndexFunc(v.algorithms, func(alg string) bool { return jose.Same(alg, parsed.Algorithm) })
	if i < 0 {
		return nil, fmt.Errorf("%w: %s, want one of %v", ErrAlgorithm, parsed.Algorithm, v.algorithms)
	}
	if parsed.JWK == "" {
		return nil, fmt.Errorf("%w: missing jwk", ErrKey)
	}
	key, err := jose.ParseKey(parsed.JWK) // DPOP-4.3-7: rejects private members
	if err != nil {
		return nil, fromJOSE(err)
	}
	if !key.Fits("", parsed.Algorithm) {
		return nil, fmt.Errorf("%w: jwk is not for signatures with %s", ErrKey, parsed.Algorithm)
	}
	// The result does not refer to the text of the header.
	return &header{v.algorithms[i], key.Public, key.Thumbprint}, nil
}

// checkClaims makes the checks that are the same at every server.
func (v *Verifier) checkClaims(r *http.Request, claims strictjson.Object, thumbprint string) (Proof, error) {
	// DPOP-4.3-3: each claim is required. CS-4: exp and nbf are ignored, so exp
	// does not extend the lifetime.
	c := jwt.Read(claims, ErrMalformed)
	id := c.String("jti")
	if len(id) > maxIdentifier { // DPOP-11.1-3
		c.Fail("jti has %d bytes, want at most %d", len(id), maxIdentifier)
	}
	method := c.String("htm")
	if c.Err() == nil && method != r.Method { // DPOP-4.3-8: methods are case-sensitive (RFC 9110 §9.1)
		return Proof{}, fmt.Errorf("%w: htm is %.16q, this is %.16q", ErrMethod, method, r.Method)
	}
	htu := c.String("htu")
	if err := c.Err(); err != nil {
		return Proof{}, err
	}
	if err := v.checkURL(r, htu); err != nil { // DPOP-4.3-9
		return Proof{}, err
	}
	issuedAt := c.Time("iat")
	if err := c.Err(); err != nil {
		return Proof{}, err
	}
	// DPOP-4.3-11, DPOP-11.1-1, DPOP-11.1-4, SP-5.3.2.1-13a, SP-5.3.2.1-13b,
	// CS-2
	now := v.now()
	if now.After(issuedAt.Add(v.maxAge)) || issuedAt.After(now.Add(v.futureSkew)) {
		return Proof{}, fmt.Errorf("%w: iat is %s, now is %s, want at most %v before and %v after",
			ErrIssuedAt, stamp(issuedAt), stamp(now), v.maxAge, v.futureSkew)
	}
	return Proof{
		thumbprint: thumbprint, issuedAt: issuedAt,
		// The check above accepts the proof until issuedAt+maxAge. The replay
		// entry lives longer, because the clocks of the store and of other
		// verifiers may be behind by as much as those of clients.
		expires: issuedAt.Add(v.maxAge + v.futureSkew),
		// DPOP-11.1-2, DPOP-11.1-3: a jti counts for all URLs and belongs to
		// its key, so a client cannot use up the jti of another. A thumbprint
		// has a fixed length.
		replayKey: jose.SHA256Base64("dpop proof\x00", thumbprint, id),
	}, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// checkURL checks that htu names one of the URLs of a request. A client that
// uses an alias of the service signs the URL of the alias.
func (v *Verifier) checkURL(r *http.Request, htu string) (err error) {
	if v.urls == nil {
		if r.URL == nil {
			return fmt.Errorf("%w: unknown URL of the request", ErrURL)
		}
		path := requestPath(r.URL)
		for _, base := range v.bases {
			if err = (expectation{base, path}).accepts(htu); err == nil {
				return nil
			}
		}
		return err
	}
	urls, err := v.urls(r)
	if err != nil {
		return fmt.Errorf("%w: unknown URL of the request: %w", ErrURL, err)
	}
	for _, u := range urls {
		if err = v.acceptsAt(u, htu); err == nil {
			return nil
		}
	}
	if err == nil {
		err = fmt.Errorf("%w: unknown URL of the request", ErrURL)
	}
	return err
}

// An origin is the beginning of a URL that [VerifierConfig].URLs returned.
type origin struct{ scheme, host, base string }

func (v *Verifier) acceptsAt(u *url.URL, htu string) error {
	if u == nil {
		return fmt.Errorf("%w: unknown URL of the request", ErrURL)
	}
	known := v.origin.Load() // of an earlier request, usually the same
	if known == nil || known.scheme != u.Scheme || known.host != u.Host {
		base := u.Scheme + "://" + u.Host
		// Without a host, as in r.URL of a server, it would equal an htu
		// without one.
		if _, err := parseTarget(base); err != nil {
			return fmt.Errorf("%w: the URL of the request is at %.256q: %w", ErrURL, base, err)
		}
		known = &origin{u.Scheme, u.Host, base}
		v.origin.Store(known)
	}
	return expectation{known.base, requestPath(u)}.accepts(htu)
}

func requestPath(u *url.URL) string {
	path := u.EscapedPath()
	if !strings.HasPrefix(path, "/") {
		return "/" + path // DPOP-4.3-13: an empty path is "/"
	}
	return path
}

// check checks that a proof is for an access token, and that its key is the one
// that the token is bound to (DPOP-7.1-2).
func (at *presented) check(claims strictjson.Object, h *header) error {
	if at == nil {
		return nil
	}
	hash := at.hash
	if hash == "" {
		if at.accessToken == "" {
			return fmt.Errorf("%w: missing access token", ErrTokenHash)
		}
		hash = jose.SHA256Base64(at.accessToken)
	}
	ath, _, err := claims.String("ath")
	if err != nil || !jose.EqualString(ath, hash) { // DPOP-4.3-12a
		return ErrTokenHash
	}
	if !jose.EqualString(at.thumbprint, h.thumbprint) { // DPOP-4.3-12b
		return ErrBinding
	}
	return nil
}

// checkNonce checks the nonce after the signature. A client that has to repeat
// a request with another nonce then knows that all other checks succeeded. A
// nonce may be used for several proofs.
func (v *Verifier) checkNonce(claims strictjson.Object) error { // SP-5.3.2.1-10, DPOP-11.1-5
	if v.nonces == nil {
		return nil
	}
	nonce, ok, err := claims.String("nonce")
	switch {
	case err != nil:
		return fmt.Errorf("%w: nonce is not a string", ErrMalformed)
	case !ok: // DPOP-11.3-1: required for all clients
		return fmt.Errorf("%w: missing nonce", ErrNonce)
	case !v.nonces.accepts(nonce): // DPOP-4.3-10, DPOP-8-4
		return fmt.Errorf("%w: unknown or old nonce", ErrNonce)
	}
	return nil
}
