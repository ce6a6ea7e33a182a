package introspection

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/internal/syntax"
)

const (
	clientTimeout     = 10 * time.Second // the client waits for the resource
	defaultMaxAge     = time.Minute
	longestMaxAge     = 10 * time.Minute
	maxCacheFor       = 5 * time.Minute
	defaultCacheSize  = 4096
	defaultFutureSkew = 30 * time.Second
	maxFutureSkew     = time.Minute
)

// ClientConfig configures a [Client].
type ClientConfig struct {
	// Endpoint is the introspection_endpoint of the authorization server, an
	// https URL. With mutual TLS it is the one in mtls_endpoint_aliases.
	// Required.
	Endpoint string
	// HTTPClient sends the requests. If nil, a client with a timeout of 10
	// seconds is used. It is copied, and the copy follows no redirects.
	// Configure a client certificate here.
	HTTPClient *http.Client
	// Authenticate adds the authentication of this resource server to the form
	// of a request, for example a new client_assertion and its
	// client_assertion_type. If nil, client_id is added, for authentication by
	// a TLS certificate. It is called concurrently.
	Authenticate func(ctx context.Context, form url.Values) error
	// Issuer is the issuer identifier of the authorization server. Required.
	Issuer string
	// ClientID is the identifier of this resource server at the authorization
	// server. A signed response must have it as audience. If the server uses
	// another audience, set that here and add client_id in Authenticate.
	// Required.
	ClientID string
	// Keys returns the keys of the authorization server for the kid and alg of
	// a response: see package jwks. It is called concurrently, with an accepted
	// algorithm, and only for responses that have passed all checks that need
	// no key. Required, unless Unsigned is true.
	Keys func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
	// Algorithms contains the accepted algorithms. Use the one that this
	// resource server has registered as introspection_signed_response_alg. The
	// default is ES256, PS256, EdDSA and Ed25519. Other algorithms are not
	// supported.
	Algorithms []string
	// DecryptionKeys are the keys of this resource server, which has registered
	// introspection_encrypted_response_alg. With such keys, the client accepts
	// only responses that are signed and then encrypted. If empty, encrypted
	// responses are rejected.
	DecryptionKeys []DecryptionKey
	// MaxAge is the maximum age of a signed response. It includes the time by
	// which the clock of the authorization server is behind. The default is 1
	// minute, the maximum 10 minutes.
	MaxAge time.Duration
	// Unsigned requests plain JSON and accepts nothing else. Only TLS protects
	// such a response. That satisfies the FAPI 2.0 Security Profile, but not
	// Message Signing, and the response is not evidence.
	Unsigned bool
	// Audience contains the identifiers of this resource server. If it is not
	// nil, the token must have one of them as audience. If nil, the
	// authorization server ensures that tokens for others are inactive.
	Audience []string
	// CacheFor is the time for which the response for an active token is
	// cached. A token is accepted so long after its revocation. Responses for
	// inactive tokens and for tokens without expiry are not cached, and no
	// response is cached beyond the expiry of its token. The default is 0,
	// which means no cache. The maximum is 5 minutes.
	CacheFor time.Duration
	// CacheSize is the maximum number of cached responses. The default is 4096.
	CacheSize int
	// FutureSkew is how far ahead times of the authorization server may lie,
	// because its clock may be ahead. The default is 30 seconds, the maximum 1
	// minute.
	FutureSkew time.Duration
	// InsecureAllowBearer accepts tokens that are not bound to a key, which any
	// party that sees one can use. FAPI 2.0 forbids them.
	InsecureAllowBearer bool
	// Now is the clock. If nil, time.Now is used. It is called concurrently.
	Now func() time.Time
}

// A Client introspects tokens at one authorization server. It is safe for
// concurrent use.
type Client struct {
	cfg   ClientConfig
	rules jwt.Rules
	http  *http.Client
	cache *expiring.Cache[cached] // nil without CacheFor
}

type cached struct {
	token        *Token
	since, until time.Time
}

// NewClient validates and copies cfg.
func NewClient(cfg ClientConfig) (*Client, error) {
	if err := checkEndpoint(cfg.Endpoint); err != nil {
		return nil, err
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = defaultMaxAge
	}
	if cfg.FutureSkew == 0 {
		cfg.FutureSkew = defaultFutureSkew
	}
	algorithms, err := jwt.Algorithms(cfg.Algorithms)
	decrypter, bad := jose.NewDecrypter(cfg.DecryptionKeys)
	switch {
	case err != nil || bad != nil:
		return nil, fmt.Errorf("introspection: %w", errors.Join(err, bad))
	case cfg.Unsigned && decrypter != nil:
		return nil, errors.New("introspection: both Unsigned and DecryptionKeys")
	case cfg.Issuer == "":
		return nil, errors.New("introspection: missing Issuer")
	case cfg.ClientID == "":
		return nil, errors.New("introspection: missing ClientID")
	case cfg.Keys == nil && !cfg.Unsigned: // MS-5.5.2-2: without keys there is no check
		return nil, errors.New("introspection: missing Keys")
	case slices.Contains(cfg.Audience, "") || cfg.Audience != nil && len(cfg.Audience) == 0:
		return nil, errors.New("introspection: empty Audience")
	case cfg.MaxAge < time.Second || cfg.MaxAge > longestMaxAge:
		return nil, fmt.Errorf("introspection: invalid MaxAge %v, want 1s to %v", cfg.MaxAge, longestMaxAge)
	case cfg.FutureSkew < 0 || cfg.FutureSkew > maxFutureSkew:
		return nil, fmt.Errorf("introspection: invalid FutureSkew %v, want 0 to %v", cfg.FutureSkew, maxFutureSkew)
	case cfg.CacheFor < 0 || cfg.CacheFor > maxCacheFor:
		return nil, fmt.Errorf("introspection: invalid CacheFor %v, want 0 to %v", cfg.CacheFor, maxCacheFor)
	case cfg.CacheSize < 0:
		return nil, fmt.Errorf("introspection: negative CacheSize %d", cfg.CacheSize)
	}
	cfg.Audience = slices.Clone(cfg.Audience)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	hc := http.Client{Timeout: clientTimeout}
	if cfg.HTTPClient != nil {
		hc = *cfg.HTTPClient
	}
	// A redirect would send the token and the credentials to another server.
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c := &Client{cfg: cfg, http: &hc, rules: jwt.Rules{
		MaxBytes: maxResponse, Algorithms: algorithms, Type: typ, Decrypter: decrypter,
		Errors: jwt.Errors{
			Malformed: ErrMalformed, Algorithm: ErrAlgorithm, Type: ErrType, Signature: ErrSignature,
			Unavailable: ErrUnavailable, Encryption: ErrUnprotected,
		},
	}}
	if cfg.CacheSize == 0 {
		cfg.CacheSize = defaultCacheSize
	}
	if cfg.CacheFor > 0 {
		c.cache = expiring.NewCache[cached](cfg.CacheSize)
	}
	return c, nil
}

// checkEndpoint requires https. Over http an attacker on the path could read
// the token and send the response.
func checkEndpoint(endpoint string) error { // INT-9701-8.2-1, INT-7662-2-1
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return errors.New("introspection: malformed Endpoint")
	case u.Scheme != "https" || u.Hostname() == "":
		return errors.New("introspection: Endpoint is not an https URL")
	case u.User != nil || strings.Contains(endpoint, "#"):
		return errors.New("introspection: Endpoint with user information or fragment")
	}
	return nil
}

// Introspect introspects a token, without its scheme, and returns its members
// if it is active. After an error, for example [ErrInactive], the caller
// rejects the token. Introspect does not check that the sender has the key that
// the token is bound to. The caller compares [Token.JKT] and [Token.X5TS256],
// if they are not empty, with the proof and the certificate of the request.
//
// Several uses of one token may return the same *Token.
func (c *Client) Introspect(ctx context.Context, token string) (*Token, error) {
	if !isToken(token) {
		return nil, fmt.Errorf("%w: malformed token", ErrInactive)
	}
	// The age of a cached response counts from before its request.
	now := c.cfg.Now()
	var key string
	if c.cache != nil {
		// The hash keeps usable tokens out of memory.
		sum := sha256.Sum256([]byte(token))
		key = string(sum[:])
		// A clock that was set back must not extend the time in the cache.
		if hit, ok := c.cache.Get(key); ok && !now.Before(hit.since) && now.Before(hit.until) {
			return hit.token, nil
		}
	}
	t, err := c.request(ctx, token)
	if err != nil {
		return nil, err
	}
	if c.cache != nil && !t.expires.IsZero() {
		until := now.Add(c.cfg.CacheFor)
		if t.expires.Before(until) { // INT-7662-4-2: never beyond exp
			until = t.expires
		}
		c.cache.Put(key, cached{t, now, until})
	}
	return t, nil
}

// isToken checks the syntax of RFC 6749 Appendix A.12 (VSCHAR).
func isToken(token string) bool {
	return token != "" && len(token) <= maxTokenBytes && syntax.IsVisible(token)
}

// request sends the request and reads the response.
func (c *Client) request(ctx context.Context, token string) (*Token, error) {
	form, err := c.form(ctx, token)
	if err != nil {
		return nil, err
	}
	resp, body, err := c.send(ctx, form.Encode())
	if err != nil {
		return nil, err
	}
	mediaType := mediaTypeOf(resp)
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, retrieveError(resp, body, mediaType, form))
	}
	now := c.cfg.Now()
	if c.cfg.Unsigned {
		if mediaType != mediaJSON {
			return nil, fmt.Errorf("%w: media type %.64q", ErrMalformed, mediaType)
		}
		if len(body) > maxResponse {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrMalformed, maxResponse)
		}
		o, err := strictjson.ParseObject(body)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		return c.read(o, now)
	}
	// MS-5.5.2-2, INT-9701-5-1: an attacker without the key could send plain
	// JSON.
	if mediaType != mediaJWT {
		return nil, fmt.Errorf("%w: media type %.64q", ErrUnprotected, mediaType)
	}
	o, signed, err := c.verify(ctx, string(body), now)
	if err != nil {
		return nil, err
	}
	t, err := c.read(o, now)
	if err != nil {
		return nil, err
	}
	t.signed = signed
	return t, nil
}

// form returns the form to send. DPOP-6.2-2: the request has no proof.
func (c *Client) form(ctx context.Context, token string) (url.Values, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	if c.cfg.Authenticate == nil {
		form.Set("client_id", c.cfg.ClientID)
	} else if err := c.cfg.Authenticate(ctx, form); err != nil {
		return nil, fmt.Errorf("%w: authentication: %w", ErrUnavailable, err)
	}
	return form, nil
}

// send returns the response and its body, of which it reads one byte more than
// the maximum.
func (c *Client) send(ctx context.Context, form string) (*http.Response, []byte, error) {
	// INT-7662-2-1
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.Endpoint, strings.NewReader(form))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.cfg.Unsigned {
		req.Header.Set("Accept", mediaJSON)
	} else {
		req.Header.Set("Accept", mediaJWT) // MS-5.5.2-1, INT-9701-4-1
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	sent := resp.Body
	defer func() { _ = sent.Close() }()
	body, err := io.ReadAll(io.LimitReader(sent, maxResponse+1))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: status %d: %w", ErrUnavailable, resp.StatusCode, err)
	}
	return resp, body, nil
}

// mediaTypeOf returns "" if there is no Content-Type, or more than one.
func mediaTypeOf(resp *http.Response) string {
	values := resp.Header.Values("Content-Type")
	if len(values) != 1 {
		return ""
	}
	mediaType, _, _ := mime.ParseMediaType(values[0])
	return mediaType
}

// retrieveError parses an error response. The body may contain the request.
// Errors are logged, so the result contains only the members of an OAuth error,
// and only if they contain no secret.
func retrieveError(resp *http.Response, body []byte, mediaType string, form url.Values) *oauth2.RetrieveError {
	resp.Body, resp.Request = http.NoBody, nil // Request contains the token
	failure := &oauth2.RetrieveError{Response: resp}
	if mediaType != mediaJSON || len(body) > maxResponse {
		return failure
	}
	o, err := strictjson.ParseObject(body)
	if err != nil {
		return failure
	}
	failure.ErrorCode, _, _ = o.String("error")
	failure.ErrorDescription, _, _ = o.String("error_description")
	failure.ErrorURI, _, _ = o.String("error_uri")
	text := failure.ErrorCode + "\n" + failure.ErrorDescription + "\n" + failure.ErrorURI
	for _, secret := range []string{"token", "client_assertion", "client_secret"} {
		if value := form.Get(secret); value != "" && strings.Contains(text, value) {
			return &oauth2.RetrieveError{Response: resp}
		}
	}
	return failure
}
