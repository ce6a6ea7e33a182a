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
	"github.com/gofapi/fapi2/internal/strictjson"
)

const (
	clientTimeout     = 10 * time.Second // a caller waits for the resource
	defaultMaxAge     = time.Minute
	longestMaxAge     = 10 * time.Minute
	maxCacheFor       = 5 * time.Minute
	defaultCacheSize  = 4096
	defaultFutureSkew = 30 * time.Second
	maxFutureSkew     = time.Minute
)

// ClientConfig configures a [Client].
type ClientConfig struct {
	// Endpoint is the authorization server's introspection_endpoint (an mtls_endpoint_aliases entry with mutual TLS), an https
	// URL. Required.
	Endpoint string
	// HTTPClient sends the questions; nil means one with a timeout of 10 seconds. It is copied, and the copy follows no
	// redirects. A client certificate goes here.
	HTTPClient *http.Client
	// Authenticate adds the parameters of this resource server's authentication, freshly made, to the form of a question:
	// client_assertion_type and client_assertion, say. nil: it authenticates otherwise, by its TLS certificate; client_id is
	// added then. It is called concurrently.
	Authenticate func(ctx context.Context, form url.Values) error
	// Issuer is the authorization server's issuer identifier. Required.
	Issuer string
	// ClientID is the identifier by which this resource server authenticates; a signed answer must be made out to it.
	// Required. With a server that makes answers out to another name, put that here, and client_id into the form in
	// Authenticate.
	ClientID string
	// Keys returns the authorization server's candidates for an answer's kid and alg; see the package jwks. It is called
	// concurrently, with an algorithm that is allowed, and only for answers that are otherwise right. Required unless
	// Unsigned.
	Keys func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
	// Algorithms are those accepted. Default: ES256, PS256, EdDSA and Ed25519; others cannot be had. One is best: that which
	// this resource server has registered as introspection_signed_response_alg.
	Algorithms []string
	// MaxAge is how old a signed answer may be, which has to make up for a clock of the authorization server that is behind.
	// Default 1 minute, at most 10.
	MaxAge time.Duration
	// Unsigned asks for plain JSON and accepts nothing else. TLS alone vouches for it then, which is enough for the FAPI 2.0
	// Security Profile, but not for Message Signing, and proves nothing to others.
	Unsigned bool
	// Audience are the identifiers of this resource server; if there are any, the answer must say that the token is for one
	// of them. nil leaves that to the authorization server, for which such a token has to be inactive.
	Audience []string
	// CacheFor is for how long an answer about an active token is used again. It is also for how long a token is accepted
	// after it was revoked. Inactive tokens are asked about every time, and so are tokens for which the answer has no
	// expiry; an expiry is kept to the second. Default 0, no cache; at most 5 minutes.
	CacheFor time.Duration
	// CacheSize is how many answers are kept. Default 4096.
	CacheSize int
	// FutureSkew is how far ahead times of the authorization server may lie,
	// because its clock may be ahead. The default is 30 seconds, the maximum 1
	// minute.
	FutureSkew time.Duration
	// InsecureAllowBearer accepts tokens that are bound to no key, which anyone who sees one can use. FAPI 2.0 forbids them.
	InsecureAllowBearer bool
	// Now is the clock; nil means time.Now. It is called concurrently.
	Now func() time.Time
}

// A Client asks one authorization server about tokens. It is safe for concurrent use.
type Client struct {
	cfg   ClientConfig
	http  *http.Client
	cache *expiring.Cache[cached] // nil: none
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
	if cfg.Algorithms == nil {
		cfg.Algorithms = jose.Algorithms()
	}
	switch {
	case cfg.Issuer == "":
		return nil, errors.New("introspection: Issuer is empty")
	case cfg.ClientID == "":
		return nil, errors.New("introspection: ClientID is empty")
	case cfg.Keys == nil && !cfg.Unsigned: // MS-5.5.2-2: no key must not mean no check
		return nil, errors.New("introspection: Keys is nil")
	case slices.Contains(cfg.Audience, "") || cfg.Audience != nil && len(cfg.Audience) == 0:
		return nil, errors.New("introspection: Audience is empty")
	case cfg.MaxAge < time.Second || cfg.MaxAge > longestMaxAge:
		return nil, fmt.Errorf("introspection: MaxAge is %v, not between 1s and %v", cfg.MaxAge, longestMaxAge)
	case cfg.FutureSkew < 0 || cfg.FutureSkew > maxFutureSkew:
		return nil, fmt.Errorf("introspection: invalid FutureSkew %v, want 0 to %v", cfg.FutureSkew, maxFutureSkew)
	case cfg.CacheFor < 0 || cfg.CacheFor > maxCacheFor:
		return nil, fmt.Errorf("introspection: CacheFor is %v, not between 0 and %v", cfg.CacheFor, maxCacheFor)
	case cfg.CacheSize < 0:
		return nil, fmt.Errorf("introspection: CacheSize is %d", cfg.CacheSize)
	// An empty list allows nothing, and one with RS256 in it would promise what is not kept.
	case len(cfg.Algorithms) == 0 || !allAllowed(cfg.Algorithms):
		return nil, fmt.Errorf("introspection: Algorithms is %q, of which not all are among %q", cfg.Algorithms, jose.Algorithms())
	}
	cfg.Algorithms, cfg.Audience = slices.Clone(cfg.Algorithms), slices.Clone(cfg.Audience)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	hc := http.Client{Timeout: clientTimeout}
	if cfg.HTTPClient != nil {
		hc = *cfg.HTTPClient
	}
	// A redirect would carry the token and our credentials to wherever the answer says.
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c := &Client{cfg: cfg, http: &hc}
	if cfg.CacheSize == 0 {
		cfg.CacheSize = defaultCacheSize
	}
	if cfg.CacheFor > 0 {
		c.cache = expiring.NewCache[cached](cfg.CacheSize)
	}
	return c, nil
}

// checkEndpoint. INT-9701-8.2-1, INT-7662-2-1: over http anybody on the way could read the token, and answer.
func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return errors.New("introspection: Endpoint is not a URL")
	case u.Scheme != "https" || u.Hostname() == "":
		return errors.New("introspection: Endpoint is not an https URL")
	case u.User != nil || strings.Contains(endpoint, "#"):
		return errors.New("introspection: Endpoint has user information or a fragment")
	}
	return nil
}

// Introspect asks about a token, given without its scheme, and returns what the authorization server says of it if it is
// active. Every error means that the token must not be accepted, see [ErrInactive] and the others. It does not check that
// the sender holds the key that the token is bound to: compare [Token.JKT] and [Token.X5TS256] with the proof and the
// certificate of the request, each that is not empty.
//
// The same *Token may be returned for several uses of one token.
func (c *Client) Introspect(ctx context.Context, token string) (*Token, error) {
	if !isToken(token) {
		return nil, fmt.Errorf("%w: it is not of a token's form", ErrInactive)
	}
	// The time before the question, so that what is kept is never older than it seems.
	now := c.cfg.Now()
	var key string
	if c.cache != nil {
		// Hashing keeps usable tokens out of our memory.
		sum := sha256.Sum256([]byte(token))
		key = string(sum[:])
		// A clock that was set back must not lengthen a stay in the cache.
		if hit, ok := c.cache.Get(key); ok && !now.Before(hit.since) && now.Before(hit.until) {
			return hit.token, nil
		}
	}
	t, err := c.ask(ctx, token)
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

// isToken checks RFC 6749 Appendix A.12 (VSCHAR).
func isToken(token string) bool {
	if token == "" || len(token) > maxTokenBytes {
		return false
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return false
		}
	}
	return true
}

// ask sends the question and reads the answer.
func (c *Client) ask(ctx context.Context, token string) (*Token, error) {
	question, err := c.question(ctx, token)
	if err != nil {
		return nil, err
	}
	resp, body, err := c.send(ctx, question.Encode())
	if err != nil {
		return nil, err
	}
	mediaType := mediaTypeOf(resp)
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, retrieveError(resp, body, mediaType, question))
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
	// MS-5.5.2-2, INT-9701-5-1: plain JSON above all is what somebody who cannot sign would send.
	if mediaType != mediaJWT {
		return nil, fmt.Errorf("%w: media type %.64q", ErrUnsigned, mediaType)
	}
	o, err := c.verify(ctx, string(body), now)
	if err != nil {
		return nil, err
	}
	t, err := c.read(o, now)
	if err != nil {
		return nil, err
	}
	t.signed = string(body)
	return t, nil
}

// question returns the form to send. DPOP-6.2-2: there is no proof to go with it.
func (c *Client) question(ctx context.Context, token string) (url.Values, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	if c.cfg.Authenticate == nil {
		form.Set("client_id", c.cfg.ClientID)
	} else if err := c.cfg.Authenticate(ctx, form); err != nil {
		return nil, fmt.Errorf("%w: authentication: %w", ErrUnavailable, err)
	}
	return form, nil
}

// send returns the response with at most one byte more of its body than may be read.
func (c *Client) send(ctx context.Context, form string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.Endpoint, strings.NewReader(form)) // INT-7662-2-1
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

// mediaTypeOf returns "" for none, and for more than one.
func mediaTypeOf(resp *http.Response) string {
	values := resp.Header.Values("Content-Type")
	if len(values) != 1 {
		return ""
	}
	mediaType, _, _ := mime.ParseMediaType(values[0])
	return mediaType
}

// retrieveError reads an error response, whose body may be anything, an echo of the question included: only what has the
// form of an OAuth error and repeats no secret is kept, since errors get logged.
func retrieveError(resp *http.Response, body []byte, mediaType string, question url.Values) *oauth2.RetrieveError {
	resp.Body, resp.Request = http.NoBody, nil // the one has been read, the other holds the token
	said := &oauth2.RetrieveError{Response: resp}
	if mediaType != mediaJSON || len(body) > maxResponse {
		return said
	}
	o, err := strictjson.ParseObject(body)
	if err != nil {
		return said
	}
	said.ErrorCode, _, _ = o.String("error")
	said.ErrorDescription, _, _ = o.String("error_description")
	said.ErrorURI, _, _ = o.String("error_uri")
	text := said.ErrorCode + "\n" + said.ErrorDescription + "\n" + said.ErrorURI
	for _, secret := range []string{"token", "client_assertion", "client_secret"} {
		if value := question.Get(secret); value != "" && strings.Contains(text, value) {
			return &oauth2.RetrieveError{Response: resp}
		}
	}
	return said
}
