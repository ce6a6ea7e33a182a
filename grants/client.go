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
	maxUnparsed   = 1 << 10 // of a body in the text of an error
	maxID         = 1 << 10
	maxBackOff    = time.Hour
	clientTimeout = 30 * time.Second
)

// ClientConfig configures a [Client].
type ClientConfig struct {
	// Endpoint is the server's grant_management_endpoint, an https URL. With
	// mutual TLS it may be an entry of mtls_endpoint_aliases. Required.
	Endpoint string
	// HTTPClient sends the requests and adds the access token with its proof,
	// or connects with its certificate. The token requires the scope
	// grant_management_query or grant_management_revoke. Usually the client
	// obtains the token for itself. The Client uses a copy that does not follow
	// redirects. Required.
	HTTPClient *http.Client
	// Now returns the current time. If nil, time.Now is used. It is called
	// concurrently.
	Now func() time.Time
}

// A Client queries and revokes grants at one authorization server. It is safe
// for concurrent use.
type Client struct {
	endpoint string
	http     *http.Client
	now      func() time.Time
	notUntil atomic.Int64 // the end of the back-off, in Unix nanoseconds
}

// NewClient checks cfg and returns a Client.
func NewClient(cfg ClientConfig) (*Client, error) {
	var problems []error
	u, err := url.Parse(cfg.Endpoint)
	switch {
	case err != nil || u.Scheme != "https" || u.Hostname() == "":
		problems = append(problems, errors.New("grants: malformed Endpoint, want an https URL"))
	case u.User != nil || strings.ContainsAny(cfg.Endpoint, "?#"):
		problems = append(problems, errors.New("grants: Endpoint with user information, a query or a fragment"))
	}
	if cfg.HTTPClient == nil { // GM-6.1-1: it has the access token
		problems = append(problems, errors.New("grants: missing HTTPClient"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	hc := *cfg.HTTPClient
	if hc.Timeout == 0 {
		hc.Timeout = clientTimeout
	}
	// A redirect would send the access token to another URL.
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{endpoint: strings.TrimSuffix(cfg.Endpoint, "/"), http: &hc, now: cfg.Now}, nil
}

// A RetryError reports that the server is overloaded or in maintenance and asks
// clients to retry later.
type RetryError struct {
	// After is the time from which a retry is allowed, at most an hour after
	// the response.
	After time.Time
	// Err is the *oauth2.RetrieveError of the response. It is nil if no request
	// was sent because it is too early.
	Err error
}

// Error implements error.
func (e *RetryError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("grants: request not sent, retry after %v", e.After.UTC())
	}
	return fmt.Sprintf("grants: retry after %v: %v", e.After.UTC(), e.Err)
}

// Unwrap returns Err.
func (e *RetryError) Unwrap() error { return e.Err }

// Query returns the permissions of a grant. The [Grant] has the fields that the
// response contains. Other members are in Extra.
//
// If the grant does not exist or has ended, Query returns [ErrNotFound]. For
// other errors of the authorization server it returns a *oauth2.RetrieveError,
// which ErrNotFound also wraps. The token endpoint may be its origin if
// HTTPClient could not obtain a token. If the server asks for a later retry,
// Query returns a [RetryError], and until then it sends no request. For a
// malformed response it returns [ErrResponse].
func (c *Client) Query(ctx context.Context, grantID string) (Grant, error) {
	if after := time.Unix(0, c.notUntil.Load()); c.now().Before(after) { // GM-6.4-9
		return Grant{}, &RetryError{After: after}
	}
	resp, body, err := c.send(ctx, http.MethodGet, grantID)
	if err != nil {
		return Grant{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return Grant{}, c.parseError(resp, body)
	}
	if !isJSON(resp, body) {
		mediaType := resp.Header.Get("Content-Type")
		return Grant{}, fmt.Errorf("%w: %d bytes of media type %.64q", ErrResponse, len(body), mediaType)
	}
	g, err := parseGrant(body)
	if err != nil {
		return Grant{}, fmt.Errorf("%w: %w", ErrResponse, err)
	}
	g.ID, g.Status = grantID, active
	return g, nil
}

// Revoke ends a grant and its tokens. It sends the request even while Query
// backs off, because a revocation is urgent. Its errors are those of Query.
// After any error except ErrNotFound the grant may be alive, and Revoke can be
// retried.
func (c *Client) Revoke(ctx context.Context, grantID string) error {
	resp, body, err := c.send(ctx, http.MethodDelete, grantID)
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusNoContent: // GM-6.5-1
		return nil
	case resp.StatusCode < 300: // from a login page or a proxy
		return fmt.Errorf("%w: status %d after DELETE", ErrResponse, resp.StatusCode)
	}
	return c.parseError(resp, body)
}

// send returns the response with at most maxResponse+1 bytes of its body.
func (c *Client) send(ctx context.Context, method, grantID string) (*http.Response, []byte, error) {
	// GM-6.3-2: other characters could send the access token to another URL
	// (RFC 3986 §2.3).
	if grantID == "" || grantID == "." || grantID == ".." || len(grantID) > maxID ||
		strings.Trim(grantID, base64url+".~") != "" {
		return nil, nil, fmt.Errorf("grants: malformed grant_id of %d bytes, want URL-safe characters", len(grantID))
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
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: status %d: %w", ErrResponse, resp.StatusCode, err)
	}
	return resp, body, nil
}

func isJSON(resp *http.Response, body []byte) bool {
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return mediaType == "application/json" && len(body) <= maxResponse
}

// parseError reads an error response. Its body may have any form.
func (c *Client) parseError(resp *http.Response, body []byte) error {
	resp.Body, resp.Request = http.NoBody, nil // the request has the access token
	retrieve := &oauth2.RetrieveError{Response: resp, Body: body[:min(len(body), maxUnparsed)]}
	if isJSON(resp, body) {
		if o, err := strictjson.ParseObject(body); err == nil {
			retrieve.ErrorCode, _, _ = o.String("error")
			retrieve.ErrorDescription, _, _ = o.String("error_description")
			retrieve.ErrorURI, _, _ = o.String("error_uri")
		}
	}
	switch resp.StatusCode {
	case http.StatusNotFound:
		return fmt.Errorf("%w: %w", ErrNotFound, retrieve)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		if after, ok := c.after(resp.Header.Get("Retry-After")); ok {
			c.notUntil.Store(after.UnixNano())
			return &RetryError{After: after, Err: retrieve}
		}
	}
	return retrieve
}

// after parses Retry-After (RFC 9110 §10.2.3), a number of seconds or a date.
// GM-6.4-9: the back-off is at most an hour, so that one wrong header does not
// stop a client for good.
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

// parseGrant parses the response to a query (§6.4). A permission or an expiry
// of the wrong type is an error, because a client must not act on an incomplete
// grant. An informative member of the wrong type counts as absent. Any member
// that is null counts as absent.
func parseGrant(body []byte) (Grant, error) {
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
	// GM-6.4-5: draft 03 has last_updated in its text and last_updated_at in
	// its example.
	updated := "last_updated_at"
	if !o.Has(updated) || o.Null(updated) {
		updated = "last_updated"
	}
	g.UpdatedAt = informs.Time(updated)
	for _, name := range o.Names() { // GM-6.4-7
		if raw, _ := o.Get(name); !slices.Contains(reserved, name) {
			if g.Extra == nil {
				g.Extra = make(map[string]json.RawMessage)
			}
			g.Extra[name] = raw
		}
	}
	return g, nil
}

// parseScopes parses the entries of scopes (GM-6.4-2). The resource may be a
// single URI instead of an array.
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
