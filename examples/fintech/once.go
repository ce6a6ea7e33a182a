package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"time"

	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"golang.org/x/oauth2"
)

// An outcome is the output of -once. All members are present. Stage, Error and
// Description are empty after a success.
type outcome struct {
	OK             bool   `json:"ok"`
	Stage          string `json:"stage"`
	Error          string `json:"error"`
	Description    string `json:"error_description"` // of the server, if it sent one
	TokenType      string `json:"token_type"`
	ResourceStatus int    `json:"resource_status"` // 0 without a request to the resource
}

const onceTimeout = time.Minute

// once performs one authorization at a server that asks its user nothing, and
// reads the resource.
func once(ctx context.Context, c *config, out io.Writer) (exit int) {
	ctx, cancel := context.WithTimeout(ctx, onceTimeout)
	defer cancel()
	var o outcome
	err := o.authorize(ctx, c)
	if o.OK = err == nil; !o.OK {
		o.Stage, o.Error = stageOf(err)
		o.Description = description(err)
		exit = 1
	}
	if json.NewEncoder(out).Encode(o) != nil {
		exit = 1
	}
	return exit
}

// authorize performs the authorization. It stops at the first stage that fails,
// and sends nothing after a rejected response.
func (o *outcome) authorize(ctx context.Context, c *config) error {
	b := c.banks[0] // the only one
	app, err := client.New(ctx, c.client(b))
	if err == nil {
		err = c.checkKeys(ctx, b, app)
	}
	if err != nil {
		return at(stageDiscovery, err)
	}
	session, err := app.Begin(ctx, b.request(app.ServerMetadata()))
	if err != nil {
		return at(stagePAR, err)
	}
	callback, err := browse(ctx, c, session.URL)
	if err != nil {
		return at(stageResponse, err)
	}
	token, err := app.Finish(ctx, session, callback)
	if err != nil {
		return at(finishStage(err), err)
	}
	o.TokenType = token.TokenType
	api, err := app.HTTPClient(oauth2.StaticTokenSource(token)) // no refresh in this mode
	if err != nil {
		return at(stageResource, err)
	}
	o.ResourceStatus, _, err = do(ctx, api, http.MethodGet, b.ResourceURL, nil)
	return at(stageResource, err)
}

// checkKeys fetches the keys of a bank if its client needs them. A wrong
// configuration is therefore known at the start, and not when a user waits.
func (c *config) checkKeys(ctx context.Context, b *bank, app *client.Client) error {
	if !b.wantsIDToken() && b.signing&profile.SignedResponses == 0 {
		return nil
	}
	keys, err := jwks.NewRemote(jwks.RemoteConfig{
		URL: app.ServerMetadata().JWKSURI, HTTPClient: b.httpClient(), Observe: c.telemetry.ObserveKeys(),
	})
	if err != nil {
		return err
	}
	for _, alg := range []string{"PS256", "ES256", "EdDSA"} {
		usable, err := keys.Keys(ctx, "", alg)
		if err != nil {
			return err
		}
		if len(usable) > 0 {
			return nil
		}
	}
	return errors.New("the server publishes no key for PS256, ES256 or EdDSA")
}

// maxHops bounds the redirects from the authorization endpoint to the callback.
const maxHops = 10

// browse acts as a browser without a user. It has cookies and follows
// redirects. It stops at the redirect to the client and returns its parameters,
// which never go over the network.
func browse(ctx context.Context, c *config, target string) (callback url.Values, err error) {
	browser := c.banks[0].httpClient()
	browser.Jar, _ = cookiejar.New(nil) // never fails
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for range maxHops {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err != nil || r.URL.Scheme != "https" {
			return nil, errors.New("redirect to a URL that is not https")
		}
		r.Header.Set("Accept", "text/html")
		response, err := browser.Do(r)
		if err != nil {
			return nil, err
		}
		response.Body.Close()
		location, err := response.Location()
		if err != nil || response.StatusCode/100 != 3 {
			return nil, fmt.Errorf("a page (status %d) in place of a redirect: this server wants a person",
				response.StatusCode)
		}
		if c.isCallback(location) {
			values, err := url.ParseQuery(location.RawQuery)
			if err != nil {
				return nil, errors.New("the parameters of the callback are malformed")
			}
			return values, nil
		}
		target = location.String()
	}
	return nil, fmt.Errorf("more than %d redirects", maxHops)
}

// isCallback reports whether a URL without its query is the redirect URI.
func (c *config) isCallback(u *url.URL) bool {
	own, err := url.Parse(c.RedirectURI)
	return err == nil && u.Scheme == own.Scheme && u.Host == own.Host && u.EscapedPath() == own.EscapedPath() &&
		u.User == nil
}
