package resourceserver

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/profile"
)

// An Issuer is an authorization server whose access tokens the API accepts.
// The API verifies JWT access tokens with the keys that the metadata of the
// server name, unless Keys, Introspection or Tokens is set. At most one of them
// may be set.
//
// A JWT access token belongs to the issuer that its claim iss names. The API
// rejects a JWT of another issuer before it calls any function or server. Other
// tokens, and JWTs without iss, belong to the only issuer that has
// Introspection or Tokens. If several issuers have one of them, the API rejects
// such tokens, because a lookup would disclose them to another issuer. Then
// each of these issuers must issue JWTs.
type Issuer struct {
	// ID is the issuer identifier of the authorization server. It is compared
	// exactly. Required.
	ID string
	// Keys returns the keys of the issuer for the kid and alg of a JWT access
	// token, for example the Keys method of a jwks.Remote. It is called with an
	// accepted algorithm, and only for tokens that have passed all checks that
	// need no key. If nil, the API discovers the keys: it fetches the metadata
	// of ID when the first token arrives, and then at most once an hour. It
	// fetches the JWK Set as a jwks.Remote does. While the metadata are not
	// available, requests fail with jwks.ErrUnavailable, and New does not.
	Keys func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
	// Revoked reports whether the JWT access token with this ID was revoked:
	// see [RevokedIn]. It is called for each request, and cannot be used with
	// Introspection or Tokens. If it returns an error, the request is rejected.
	// If nil, a token is valid until it expires, so its lifetime should be a
	// few minutes.
	Revoked func(ctx context.Context, tokenID string) (bool, error)
	// Introspection looks up each token at the authorization server. It suits
	// opaque tokens, and tokens whose revocation must take effect at once. The
	// Issuer of the client must be ID, and its Audience must contain the
	// Resource of the API.
	Introspection *introspection.Client
	// Tokens returns the claims of an active access token, for a host with
	// tokens of its own. The API checks issuer, expiry, audience, binding and
	// scopes of the claims. For an unknown token, Tokens returns
	// introspection.ErrInactive, and for a revoked one accesstoken.ErrRevoked.
	// Any error without a wire form is a server error.
	Tokens func(ctx context.Context, token string) (Claims, error)
	// HTTPClient fetches the metadata and the JWK Set of an issuer whose keys
	// are discovered: see [profile.Discover]. If nil, connections follow
	// [profile.TLSConfig].
	HTTPClient *http.Client
}

// An issuer reads the tokens of an [Issuer].
type issuer struct {
	Issuer
	cfg      *Config
	verifier *accesstoken.Verifier // nil without Keys
}

func newIssuer(i Issuer, cfg *Config) (*issuer, error) {
	problems := []error{profile.CheckIssuer(i.ID)}
	var ways int
	for _, set := range []bool{i.Keys != nil, i.Introspection != nil, i.Tokens != nil} {
		if set {
			ways++
		}
	}
	switch {
	case ways > 1:
		problems = append(problems, errors.New("Keys, Introspection and Tokens are exclusive"))
	case ways == 1 && i.HTTPClient != nil:
		problems = append(problems, errors.New("HTTPClient and Keys, Introspection or Tokens are exclusive"))
	case ways == 1 && i.Keys == nil && i.Revoked != nil:
		problems = append(problems, errors.New("Revoked and Introspection or Tokens are exclusive"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if ways == 0 {
		i.Keys = newDiscovery(i, cfg).keys
	}
	checked := &issuer{Issuer: i, cfg: cfg}
	if i.Keys == nil {
		return checked, nil
	}
	var err error
	checked.verifier, err = accesstoken.NewVerifier(accesstoken.VerifierConfig{
		Issuer: i.ID, Audience: []string{cfg.Resource}, Keys: i.Keys, Revoked: i.Revoked,
		FutureSkew: cfg.FutureSkew, Now: cfg.Hooks.Now,
	})
	return checked, err
}

// issuerOf returns the issuer that a token belongs to. It calls no function of
// the host.
func (s *Server) issuerOf(token string) (*issuer, error) {
	// The verifier rejects the tokens of other issuers before it calls Keys.
	if len(s.issuers) == 1 && s.issuers[0].verifier != nil {
		return s.issuers[0], nil
	}
	id, err := statedIssuer(token)
	if err != nil {
		return nil, err
	}
	if id == "" {
		if s.lookup == nil {
			return nil, fmt.Errorf("%w: not stated by the token", accesstoken.ErrIssuer)
		}
		return s.lookup, nil
	}
	for _, i := range s.issuers {
		if i.ID == id { // AT-4-2, JWT-3.8-1: compared without normalisation
			return i, nil
		}
	}
	return nil, fmt.Errorf("%w: got %.256q", accesstoken.ErrIssuer, id)
}

// statedIssuer returns the claim iss of a JWT whose signature is not verified.
// It is empty for a JWT without iss and for a token that is not a JWT. A
// payload that two parsers may read differently is an error.
func statedIssuer(token string) (string, error) {
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(signature, ".") {
		return "", nil
	}
	var room [1024]byte
	raw, err := decodeSegment(room[:0], header)
	if err != nil || !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) {
		return "", nil
	}
	// A lenient parser must not see a JWT where this one does not. The strict
	// one is faster, and accepts nothing else than a lenient one.
	if strictjson.Valid(raw) != nil && !json.Valid(raw) {
		return "", nil
	}
	if raw, err = decodeSegment(room[:0], payload); err != nil {
		return "", fmt.Errorf("%w: %w", accesstoken.ErrMalformed, err)
	}
	claims, err := strictjson.ParseClaims(raw)
	if err != nil {
		return "", fmt.Errorf("%w: %w", accesstoken.ErrMalformed, err)
	}
	id, _, err := claims.String("iss")
	if err != nil {
		return "", fmt.Errorf("%w: %w", accesstoken.ErrClaims, err)
	}
	return id, nil
}

// base64url has no padding and one encoding of each value. It skips line
// breaks, which the syntax of the Authorization header excludes.
var base64url = base64.RawURLEncoding.Strict()

// decodeSegment appends a decoded segment of a JWT to dst.
func decodeSegment(dst []byte, segment string) ([]byte, error) {
	return base64url.AppendDecode(dst, []byte(segment))
}

// read returns the claims of a valid token that is meant for this API.
func (i *issuer) read(ctx context.Context, raw string) (tokenClaims, error) {
	switch {
	case i.verifier != nil:
		return i.verifier.Verify(ctx, raw)
	case i.Tokens != nil:
		return i.lookUp(ctx, raw)
	}
	token, err := i.Introspection.Introspect(ctx, raw)
	if err != nil {
		return nil, err
	}
	// The client may be configured for another issuer or audience.
	if token.Issuer() != i.ID { // AT-4-2
		return nil, accesstoken.ErrIssuer
	}
	if !slices.Contains(token.Audience(), i.cfg.Resource) { // BCP-2.3-2
		return nil, accesstoken.ErrAudience
	}
	return token, nil
}

// lookUp returns the claims that Tokens returns, if the token is valid here.
func (i *issuer) lookUp(ctx context.Context, raw string) (tokenClaims, error) {
	claims, err := i.Tokens(ctx, raw)
	switch {
	case err != nil:
		return nil, err
	case claims.Issuer != "" && claims.Issuer != i.ID: // AT-4-2
		return nil, fmt.Errorf("%w: got %.256q, want %q", accesstoken.ErrIssuer, claims.Issuer, i.ID)
	case !claims.ExpiresAt.IsZero() && !i.cfg.Hooks.Now().Before(claims.ExpiresAt): // SP-5.3.4-3
		return nil, accesstoken.ErrExpired
	case !slices.Contains(claims.Audience, i.cfg.Resource): // AT-4-3, BCP-2.3-2
		return nil, accesstoken.ErrAudience
	case claims.Confirmation.IsZero(): // SP-5.3.4-5
		return nil, accesstoken.ErrConfirmation
	}
	return hostClaims{claims}, nil
}
