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
	"github.com/gofapi/fapi2/internal/strictjson"
)

// A Proof is a proof that a [Verifier] has checked. Nothing else makes one; the zero Proof is none, and Commit refuses it.
type Proof struct {
	thumbprint string
	issuedAt   time.Time
	replayKey  string
	expires    time.Time // of the replay entry
	resource   bool      // checked at a resource server
}

// Thumbprint returns the JWK SHA-256 thumbprint of the key that made the proof (RFC 7638), 43 characters. A token is bound
// to the key by having it as cnf.jkt.
func (p Proof) Thumbprint() string { return p.thumbprint }

// IssuedAt returns when the client says it made the proof.
func (p Proof) IssuedAt() time.Time { return p.issuedAt }

// presented is the access token that came with a request, and the key it is bound to.
type presented struct{ accessToken, thumbprint string }

// header is what there is to know about the JOSE header of a proof.
type header struct {
	algorithm  string
	key        crypto.PublicKey
	thumbprint string
}

// check does all but the replay check, the negative cases of CS-16 among them. The signature, which costs more than all the
// rest, is the last but one.
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
	// Only now, so that it takes a key and a signature to displace somebody else's header.
	if !known && len(jws.Header) <= maxHeaderSize {
		v.headers.Put(jws.Header, h)
	}
	if err := v.checkNonce(claims); err != nil {
		return Proof{}, err
	}
	p.resource = at != nil
	return p, nil
}

// split finds the proof of a request.
func (v *Verifier) split(r *http.Request) (jose.Compact, error) {
	fields := r.Header["Dpop"] // DPOP-4.1-1: the canonical form of the name, in whatever case it came
	switch {
	case len(fields) == 0:
		return jose.Compact{}, ErrMissing
	case len(fields) > 1: // DPOP-4.3-1: by count, as an empty one hides from Header.Get
		return jose.Compact{}, fmt.Errorf("%w: %d header fields", ErrMalformed, len(fields))
	}
	jws, err := jose.Split(fields[0], maxProof) // DPOP-4.3-2
	if err != nil {
		return jose.Compact{}, fromJOSE(err)
	}
	return jws, nil
}

func (v *Verifier) parseHeader(jws jose.Compact) (*header, error) {
	parsed, err := jws.ParseHeader() // DPOP-4.2-10: what it does not know it ignores
	if err != nil {
		return nil, fromJOSE(err)
	}
	// DPOP-4.3-4, DPOP-11.5-1: a JWT made for something else is no proof.
	if !parsed.IsType(proofType) {
		return nil, fmt.Errorf("%w: typ is %.32q, want %s", ErrMalformed, parsed.Type, proofType)
	}
	// DPOP-4.3-5, DPOP-11.6-1, CS-3: ParseHeader knows asymmetric algorithms only; this is the policy of the server.
	i := slices.IndexFunc(v.algorithms, func(alg string) bool { return jose.Same(alg, parsed.Algorithm) })
	if i < 0 {
		return nil, fmt.Errorf("%w: %s, want one of %v", ErrAlgorithm, parsed.Algorithm, v.algorithms)
	}
	if parsed.JWK == "" {
		return nil, fmt.Errorf("%w: no jwk in the header", ErrKey)
	}
	key, err := jose.ParseKey(parsed.JWK) // DPOP-4.3-7: refuses private members
	if err != nil {
		return nil, fromJOSE(err)
	}
	if !key.Fits("", parsed.Algorithm) {
		return nil, fmt.Errorf("%w: jwk is not one for signing with %s", ErrKey, parsed.Algorithm)
	}
	// Nothing that is kept is part of the text of the header.
	return &header{v.algorithms[i], key.Public, key.Thumbprint}, nil
}

// checkClaims checks what a proof must say wherever it is sent. DPOP-4.3-3: each claim must be there.
// CS-4: exp and nbf are not claims of a proof and mean nothing, which above all means that exp does not extend its life.
func (v *Verifier) checkClaims(r *http.Request, claims strictjson.Object, thumbprint string) (Proof, error) {
	id, err := requiredString(claims, "jti")
	if err != nil {
		return Proof{}, err
	}
	if len(id) > maxIdentifier { // DPOP-11.1-3
		return Proof{}, fmt.Errorf("%w: jti has %d bytes, want at most %d", ErrMalformed, len(id), maxIdentifier)
	}
	method, err := requiredString(claims, "htm")
	if err != nil {
		return Proof{}, err
	}
	if method != r.Method { // DPOP-4.3-8: methods are case-sensitive (RFC 9110 §9.1)
		return Proof{}, fmt.Errorf("%w: htm is %.16q, this is %.16q", ErrMethod, method, r.Method)
	}
	htu, err := requiredString(claims, "htu")
	if err != nil {
		return Proof{}, err
	}
	if err := v.checkURL(r, htu); err != nil { // DPOP-4.3-9
		return Proof{}, err
	}
	issuedAt, ok, err := claims.Time("iat")
	if err != nil || !ok {
		return Proof{}, fmt.Errorf("%w: iat is missing or not a date", ErrMalformed)
	}
	// DPOP-4.3-11, DPOP-11.1-1, DPOP-11.1-4, SP-5.3.2.1-13a, SP-5.3.2.1-13b, CS-2
	now := v.now()
	if now.After(issuedAt.Add(v.maxAge)) || issuedAt.After(now.Add(v.futureSkew)) {
		return Proof{}, fmt.Errorf("%w: iat is %s, now is %s, want at most %v before and %v after",
			ErrIssuedAt, stamp(issuedAt), stamp(now), v.maxAge, v.futureSkew)
	}
	return Proof{
		thumbprint: thumbprint, issuedAt: issuedAt,
		// The last instant at which the proof passes the check above is issuedAt+maxAge. It is remembered for longer, since
		// the clocks of the store and of the other verifiers may be behind by as much as we forgive clients.
		expires: issuedAt.Add(v.maxAge + v.futureSkew),
		// An identifier is one of its key: nobody can use up that of another client. A thumbprint has a fixed length.
		// DPOP-11.1-2: nor does an identifier serve twice for two URLs. DPOP-11.1-3: a key of fixed size.
		replayKey: jose.SHA256Base64("dpop proof\x00", thumbprint, id),
	}, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func requiredString(claims strictjson.Object, name string) (string, error) {
	value, _, err := claims.String(name)
	if err != nil || value == "" {
		return "", fmt.Errorf("%w: %s is missing or not a string", ErrMalformed, name)
	}
	return value, nil
}

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
	err = fmt.Errorf("%w: unknown URL of the request", ErrURL)
	for _, u := range urls {
		if err = acceptsAt(u, htu); err == nil {
			return nil
		}
	}
	return err
}

func acceptsAt(u *url.URL, htu string) error {
	if u == nil {
		return fmt.Errorf("%w: unknown URL of the request", ErrURL)
	}
	base := u.Scheme + "://" + u.Host
	// Without a host, as in r.URL of a server, it would equal an htu without one.
	if _, err := parseTarget(base); err != nil {
		return fmt.Errorf("%w: the URL of the request is at %.256q: %w", ErrURL, base, err)
	}
	return expectation{base, requestPath(u)}.accepts(htu)
}

func requestPath(u *url.URL) string {
	path := u.EscapedPath()
	if !strings.HasPrefix(path, "/") {
		return "/" + path // DPOP-4.3-13: an empty path is "/"
	}
	return path
}

// check checks that a proof is for an access token and made with the key that this is bound to.
// DPOP-7.1-2: there is no way to have one without the other.
func (at *presented) check(claims strictjson.Object, h *header) error {
	if at == nil {
		return nil
	}
	if at.accessToken == "" {
		return fmt.Errorf("%w: there is no access token", ErrTokenHash)
	}
	ath, _, err := claims.String("ath")
	if err != nil || !jose.EqualString(ath, jose.SHA256Base64(at.accessToken)) { // DPOP-4.3-12a
		return ErrTokenHash
	}
	if !jose.EqualString(at.thumbprint, h.thumbprint) { // DPOP-4.3-12b
		return ErrBinding
	}
	return nil
}

// checkNonce is SP-5.3.2.1-10. DPOP-11.1-5: a nonce serves for several proofs, as each is used once.
//
// It comes after the signature: a client that is told to try again with another nonce can be sure that nothing else is
// wrong.
func (v *Verifier) checkNonce(claims strictjson.Object) error {
	if v.nonces == nil {
		return nil
	}
	nonce, ok, err := claims.String("nonce")
	switch {
	case err != nil:
		return fmt.Errorf("%w: nonce is not a string", ErrMalformed)
	case !ok: // DPOP-11.3-1: no proof without one, whoever the client is
		return fmt.Errorf("%w: there is none", ErrNonce)
	case !v.nonces.accepts(nonce): // DPOP-4.3-10, DPOP-8-4
		return fmt.Errorf("%w: it is stale or not ours", ErrNonce)
	}
	return nil
}
