package cluster

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/interop/internal/testkit"
	"github.com/gofapi/fapi2/profile/client"
	"golang.org/x/oauth2"
)

const (
	maxPage  = 256 << 10
	maxSteps = 8 // of the browser in one authorization
)

// DriverConfig configures [Cluster.NewDriver]. All fields are optional.
type DriverConfig struct {
	// User is the number of the user, from 0.
	User int
	// Scopes are the requested scopes. The default is accounts and
	// offline_access.
	Scopes []string
	// Through is the instance that receives all requests. If nil, they go
	// through HAProxy.
	Through *Instance
	// Like is a driver whose user, browser session and DPoP key the new one
	// has. If nil, they are its own.
	Like *Driver
	// Wrap returns a transport that sends requests through base. It is called
	// once for the application and once for the browser. If nil, base is used.
	Wrap func(base http.RoundTripper) http.RoundTripper
}

// A Driver is an application with one user in a browser. It repeats nothing: a
// caller repeats a failed flow or a failed step. Use it in one goroutine.
type Driver struct {
	// Client is the client of the application.
	Client *client.Client

	cluster *Cluster
	browser *http.Client
	key     *ecdsa.PrivateKey // of DPoP
	user    string
	scopes  []string
}

// NewDriver returns a driver with its own connections.
func (c *Cluster) NewDriver(t testing.TB, cfg DriverConfig) *Driver {
	t.Helper()
	connections := func() *http.Client {
		if cfg.Through != nil {
			return cfg.Through.HTTPClient(t)
		}
		return c.HTTPClient(t)
	}
	d := &Driver{
		cluster: c, browser: connections(), key: testkit.NewKey(t), user: userName(cfg.User), scopes: cfg.Scopes,
	}
	if d.scopes == nil {
		d.scopes = []string{"accounts", "offline_access"}
	}
	d.browser.Jar, _ = cookiejar.New(nil) // never fails
	if cfg.Like != nil {
		d.browser.Jar, d.key, d.user = cfg.Like.browser.Jar, cfg.Like.key, cfg.Like.user
	}
	settings := client.Config{
		Issuer: c.Issuer, ClientID: clientID, RedirectURI: redirectURI, Key: c.key, KeyID: clientKeyID,
		DPoPKey: d.key, HTTPClient: connections(),
	}
	if cfg.Wrap != nil {
		d.browser.Transport = cfg.Wrap(d.browser.Transport)
		settings.Hooks.Transport = cfg.Wrap
	}
	var err error
	if d.Client, err = client.New(t.Context(), settings); err != nil {
		t.Fatalf("a driver cannot start: %v", err)
	}
	return d
}

// Flow runs a whole flow and returns the token of the refresh. The error names
// the step that failed.
func (d *Driver) Flow(ctx context.Context) (*oauth2.Token, error) {
	session, err := d.Push(ctx)
	if err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	callback, err := d.Authorize(ctx, session)
	if err != nil {
		return nil, fmt.Errorf("authorize: %w", err)
	}
	token, err := d.Client.Finish(ctx, session, callback)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	if err := d.Accounts(ctx, token); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	token, err = d.Refresh(ctx, token)
	if err != nil {
		return nil, fmt.Errorf("refresh: %w", err)
	}
	return token, nil
}

// Push pushes an authorization request.
func (d *Driver) Push(ctx context.Context) (*client.Session, error) {
	return d.Client.Begin(ctx, client.Request{Scopes: d.scopes})
}

// Refresh refreshes a token.
func (d *Driver) Refresh(ctx context.Context, token *oauth2.Token) (*oauth2.Token, error) {
	return d.Client.Refresh(ctx, token.RefreshToken, client.Request{})
}

// A StatusError is a response with an unexpected status, or without a redirect
// where one is necessary.
type StatusError struct {
	// Path is the path of the request.
	Path string
	// Status is the status of the response.
	Status int
	// Text is the body of the response.
	Text string
}

// Error returns the path, the status and the text.
func (e *StatusError) Error() string {
	return fmt.Sprintf("%s: unexpected status %d: %.300s", e.Path, e.Status, e.Text)
}

// Accounts calls the API with a token, which it does not refresh.
func (d *Driver) Accounts(ctx context.Context, token *oauth2.Token) error {
	api, err := d.Client.HTTPClient(oauth2.StaticTokenSource(token))
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.cluster.Issuer+"/accounts", nil)
	if err != nil {
		return err
	}
	page, err := send(api, request)
	if err != nil {
		return err
	}
	if page.status != http.StatusOK {
		return page.unexpected()
	}
	return nil
}

// Authorize opens the URL of a session in the browser and returns the
// parameters of the callback. The user logs in if necessary, and approves.
func (d *Driver) Authorize(ctx context.Context, session *client.Session) (url.Values, error) {
	consent, callback, err := d.Consent(ctx, session)
	if err != nil || callback != nil {
		return callback, err
	}
	return d.Approve(consent)
}

// Approve sends a request of [Driver.Consent] and returns the parameters of the
// callback. The request can be sent several times.
func (d *Driver) Approve(consent *http.Request) (url.Values, error) {
	request := consent.Clone(consent.Context())
	var err error
	if request.Body, err = consent.GetBody(); err != nil {
		return nil, err
	}
	page, err := send(d.browser, request)
	if err != nil {
		return nil, err
	}
	callback := page.callback()
	if callback == nil {
		return nil, page.unexpected()
	}
	return callback, nil
}

// Consent opens the URL of a session in the browser and returns the request
// that approves it: the consent form of the bank. If the bank has approved the
// request without the user, it returns the parameters of the callback instead.
func (d *Driver) Consent(ctx context.Context, session *client.Session) (consent *http.Request, _ url.Values, _ error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, session.URL, nil)
	for range maxSteps {
		if err != nil {
			return nil, nil, err
		}
		page, err1 := send(d.browser, request)
		if err1 != nil {
			return nil, nil, err1
		}
		if callback := page.callback(); callback != nil {
			return nil, callback, nil
		}
		switch {
		case page.to != nil:
			request, err = http.NewRequestWithContext(ctx, http.MethodGet, page.to.String(), nil)
		case page.status == http.StatusOK && page.from.Path == "/login":
			request, err = page.post(ctx, url.Values{"username": {d.user}, "password": {password}, "login": {"1"}})
		case page.status == http.StatusOK && page.from.Path == "/consent":
			request, err = page.post(ctx, url.Values{"approve": {"1"}})
			return request, nil, err
		default:
			return nil, nil, page.unexpected()
		}
	}
	return nil, nil, errors.New("too many pages")
}

// A page is a response that the browser has read.
type page struct {
	from   *url.URL
	status int
	to     *url.URL // if nil, no redirect
	text   string
}

func send(client *http.Client, request *http.Request) (*page, error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // it has been read
	text, err := io.ReadAll(io.LimitReader(response.Body, maxPage))
	if err != nil {
		return nil, err
	}
	p := &page{from: request.URL, status: response.StatusCode, text: string(text)}
	p.to, _ = response.Location() // without one, there is no redirect
	return p, nil
}

// callback returns the parameters of a redirect to the application, or nil.
func (p *page) callback() url.Values {
	if p.to == nil || !strings.HasPrefix(p.to.String(), redirectURI) {
		return nil
	}
	return p.to.Query()
}

func (p *page) unexpected() error { return &StatusError{p.from.Path, p.status, p.text} }

var (
	forms      = regexp.MustCompile(`(?s)<form method="post" action="([^"]*)">(.*?)</form>`)
	formFields = regexp.MustCompile(`<input type="(?:hidden|checkbox)" name="([^"]*)" value="([^"]*)"`)
)

// post returns the request that submits the form of a page to its own path,
// with all boxes ticked and further values.
func (p *page) post(ctx context.Context, values url.Values) (*http.Request, error) {
	var to *url.URL
	for _, form := range forms.FindAllStringSubmatch(p.text, -1) {
		action, err := p.from.Parse(html.UnescapeString(form[1]))
		if err != nil || action.Path != p.from.Path {
			continue
		}
		to = action
		for _, field := range formFields.FindAllStringSubmatch(form[2], -1) {
			values.Add(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
		}
	}
	if to == nil {
		return nil, p.unexpected()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), strings.NewReader(values.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Origin", p.from.Scheme+"://"+p.from.Host)
	return request, nil
}
