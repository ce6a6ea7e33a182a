package grants

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/internal/strictjson"
)

const (
	maxResponse   = 1 << 20
	maxUnparsed   = 1 << 10 // of a body that is no OAuth error, in an error's text
	maxID         = 1 << 10
	maxBackOff    = time.Hour
	clientTimeout = 30 * time.Second
)

// ClientConfig configures a [Client].
type ClientConfig struct {
	// Endpoint is the server's grant_management_endpoint (an mtls_endpoint_aliases entry with mutual TLS), an https URL.
	// Required.
	Endpoint string
	// HTTPClient sends the requests and adds the access token to them, with its proof or over a connection with its
	// certificate. The token needs the scopes grant_management_query and grant_management_revoke, for what is to be done, and
	// is one that the client has got for itself as a rule. It is copied, and the copy follows no redirects. Required.
	HTTPClient *http.Client
	// Now is the clock; nil means time.Now. Called concurrently.
	Now func() time.Time
}

// A Client asks one authorization server about grants, and revokes them. Safe for concurrent use.
type Client struct {
	endpoint string
	http     *http.Client
	now      func() time.Time
	notUntil atomic.Int64 // when the server wants to be asked again, in Unix nanoseconds
}

// NewClient checks cfg and returns a Client.
func NewClient(cfg ClientConfig) (*Client, error) {
	u, err := url.Parse(cfg.Endpoint)
	switch {
	case err != nil || u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("grants: Endpoint is not an https URL")
	case u.User != nil || strings.ContainsAny(cfg.Endpoint, "?#"):
		return nil, errors.New("grants: Endpoint has user information, a query or a fragment")
	case cfg.HTTPClient == nil: // GM-6.1-1
		return nil, errors.New("grants: HTTPClient is required: it has the access token")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	hc := *cfg.HTTPClient
	if hc.Timeout == 0 {
		hc.Timeout = clientTimeout
	}
	// A redirect would carry the access token to wherever the answer says.
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{endpoint: strings.TrimSuffix(cfg.Endpoint, "/"), http: &hc, now: cfg.Now}, nil
}

// A RetryError says that the server is overloaded or under repair, and when it wants to be asked again.
type RetryError struct {
	// After is when, an hour from the answer at the latest.
	After time.Time
	// Err is the *oauth2.RetrieveError with the answer, nil if the server was not asked because it is too early.
	Err error
}

// Error implements error.
func (e *RetryError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("grants: the server is not to be asked before %v", e.After.UTC())
	}
	return fmt.Sprintf("grants: to be repeated after %v: %v", e.After.UTC(), e.Err)
}

// Unwrap returns Err.
func (e *RetryError) Unwrap() error { return e.Err }

// Query returns what a grant permits now. Of the [Grant] those fields are filled that its documentation names, if the server
// has sent the members; the rest of the answer is in Extra.
//
// Errors: [ErrNotFound] if there is no such grant, or none any more; a *oauth2.RetrieveError, which always comes from the
// authorization server (from its token endpoint if HTTPClient could not get a token), also behind ErrNotFound; a [RetryError] around it if the server has asked for patience, and without
// one while that lasts; [ErrResponse] if the answer was none.
func (c *Client) Query(ctx context.Context, grantID string) (Grant, error) {
	if after := time.Unix(0, c.notUntil.Load()); c.now().Before(after) { // GM-6.4-9
		return Grant{}, &RetryError{After: after}
	}
	resp, body, err := c.send(ctx, http.MethodGet, grantID)
	if err != nil {
		return Grant{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return Grant{}, c.refused(resp, body)
	}
	if mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); mediaType != "application/json" || len(body) > maxResponse {
		return Grant{}, fmt.Errorf("%w: %d bytes of media type %.64q", ErrResponse, len(body), mediaType)
	}
	g, err := parseAnswer(body)
	if err != nil {
		return Grant{}, fmt.Errorf("%w: %w", ErrResponse, err)
	}
	g.ID, g.Status = grantID, active
	return g, nil
}

// Revoke ends a grant and its tokens. It is sent even while Query holds back: the user's will does not wait. Errors are those
// of Query; after any of them but ErrNotFound the grant may be alive, and Revoke can be repeated.
func (c *Client) Revoke(ctx context.Context, grantID string) error {
	resp, body, err := c.send(ctx, http.MethodDelete, grantID)
	if err != nil {
		return err
	}
	switch {
	case resp.StatusCode == http.StatusNoContent: // GM-6.5-1
		return nil
	case resp.StatusCode < 300: // a login page, or a proxy
		return fmt.Errorf("%w: status %d after DELETE", ErrResponse, resp.StatusCode)
	}
	return c.refused(resp, body)
}

// send returns the response with at most one byte more of its body than may be read.
func (c *Client) send(ctx context.Context, method, grantID string) (*http.Response, []byte, error) {
	if err := checkID(grantID); err != nil {
		return nil, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, c.endpoint+"/"+grantID, nil) // GM-6.3-1
	if err != nil {
		return nil, nil, fmt.Errorf("grants: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("grants: %w", err)
	}
	sent := resp.Body
	defer func() { _ = sent.Close() }()
	body, err := io.ReadAll(io.LimitReader(sent, maxResponse+1))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: status %d: %w", ErrResponse, resp.StatusCode, err)
	}
	return resp, body, nil
}

// checkID. GM-6.3-2: with anything but unreserved characters (RFC 3986 §2.3) the request would go somewhere else, and take the
// access token there.
func checkID(id string) error {
	if id == "" || len(id) > maxID || id == "." || id == ".." {
		return fmt.Errorf("grants: a grant_id of %d bytes that is no path segment", len(id))
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~':
		default:
			return errors.New("grants: a grant_id with characters that are not URL-safe")
		}
	}
	return nil
}

// refused reads an error response, whose body may be anything.
func (c *Client) refused(resp *http.Response, body []byte) error {
	resp.Body, resp.Request = http.NoBody, nil // the one has been read, the other holds the token
	said := &oauth2.RetrieveError{Response: resp, Body: body[:min(len(body), maxUnparsed)]}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if mediaType == "application/json" && len(body) <= maxResponse {
		if o, err := strictjson.ParseObject(body); err == nil {
			said.ErrorCode, _, _ = o.String("error")
			said.ErrorDescription, _, _ = o.String("error_description")
			said.ErrorURI, _, _ = o.String("error_uri")
		}
	}
	switch resp.StatusCode {
	case http.StatusNotFound:
		return fmt.Errorf("%w: %w", ErrNotFound, said)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		if after, ok := c.after(resp.Header.Get("Retry-After")); ok {
			c.notUntil.Store(after.UnixNano())
			return &RetryError{After: after, Err: said}
		}
	}
	return said
}

// after reads Retry-After (RFC 9110 §10.2.3), seconds or a date. GM-6.4-9: it is believed up to an hour, so that one wrong
// header does not silence a client for good.
func (c *Client) after(value string) (time.Time, bool) {
	now := c.now()
	at, err := http.ParseTime(value)
	if seconds, numeric := strconv.ParseUint(value, 10, 31); numeric == nil {
		at, err = now.Add(time.Duration(seconds)*time.Second), nil
	}
	if err != nil {
		return time.Time{}, false
	}
	if last := now.Add(maxBackOff); at.After(last) {
		at = last
	}
	return at, true
}

// parseAnswer parses the response to a query (§6.4). A permission or an expiry
// of the wrong type is an error, because a client must not act on an incomplete
// grant. An informative member of the wrong type counts as absent. Any member
// that is null counts as absent.
func parseAnswer(body []byte) (Grant, error) {
	o, err := strictjson.ParseObject(body)
	if err != nil {
		return Grant{}, err
	}
	var g Grant
	if raw, ok := o.Get("scopes"); ok && !o.Null("scopes") {
		if g.Scopes, err = parseScopes(raw); err != nil {
			return Grant{}, err
		}
	}
	if g.Claims, _, err = o.Strings("claims"); err != nil {
		return Grant{}, err
	}
	if raw, ok := o.Get("authorization_details"); ok && !o.Null("authorization_details") {
		if _, err := objects(raw); err != nil {
			return Grant{}, fmt.Errorf("authorization_details: %w", err)
		}
		g.AuthorizationDetails = raw
	}
	if g.ExpiresAt, _, err = o.Time("expires_at"); err != nil {
		return Grant{}, err
	}
	informs := o.Lenient()
	g.CreatedAt, g.UpdatedBy = informs.Time("created_at"), informs.String("updated_by")
	// GM-6.4-5: draft 03 says last_updated in its text and last_updated_at in its example.
	g.UpdatedAt = informs.Time(updatedName(o))
	for _, name := range o.Names() { // GM-6.4-7
		if raw, _ := o.Get(name); !slices.Contains(own, name) {
			if g.Extra == nil {
				g.Extra = make(map[string]json.RawMessage)
			}
			g.Extra[name] = raw
		}
	}
	return g, nil
}

func updatedName(o strictjson.Object) string {
	if o.Has("last_updated_at") && !o.Null("last_updated_at") {
		return "last_updated_at"
	}
	return "last_updated"
}

// parseScopes reads the entries (GM-6.4-2), whose resource may be a single URI instead of an array.
func parseScopes(raw json.RawMessage) ([]Scope, error) {
	entries, err := objects(raw)
	if err != nil {
		return nil, fmt.Errorf("scopes: %w", err)
	}
	scopes := make([]Scope, len(entries))
	for i, entry := range entries {
		o, err := strictjson.ParseObject(entry)
		if err == nil {
			scopes[i].Scope, _, err = o.String("scope")
		}
		if err == nil {
			scopes[i].Resource, _, err = o.StringOrStrings("resource")
		}
		if err != nil {
			return nil, fmt.Errorf("scopes[%d]: %w", i, err)
		}
	}
	return scopes, nil
}
