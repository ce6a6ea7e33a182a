package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/gofapi/fapi2/internal/form"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"golang.org/x/oauth2"
)

// OAuth2 serves hosts that continue to use package oauth2. It returns a
// configuration without scopes, and an http.Client for the context:
//
//	cfg, own := client.OAuth2()
//	ctx = context.WithValue(ctx, oauth2.HTTPClient, own)
//	token, err := cfg.Exchange(ctx, code, oauth2.VerifierOption(verifier))
//	api := cfg.Client(ctx, token)
//
// The http.Client authenticates POST requests to the server's token, pushed
// authorization request, introspection and revocation endpoints. It adds DPoP
// proofs or presents the certificate. It rejects a token response whose token
// is not bound like this client's. Requests with an access token have the
// restrictions of [Client.HTTPClient]. Other requests are sent unchanged. A
// par.Client and an introspection.Client can use it without Authenticate.
// Unless tokens are bound to a certificate, set [Config.DPoPKey]. Otherwise
// they are bound to a key that ends with the process, even with
// [Config.Tokens].
//
// The host itself is responsible for pushed requests, PKCE, iss, state and the
// ID token. [Client.Begin] and [Client.Finish] are the alternative. The
// configuration has no AuthURL. AuthCodeURL therefore returns the parameters to
// push, and not a URL for a browser.
func (c *Client) OAuth2() (*oauth2.Config, *http.Client) {
	c = c.last()
	cfg := &oauth2.Config{
		ClientID: c.cfg.ClientID, RedirectURL: c.cfg.RedirectURI,
		// Without an AuthStyle, oauth2 tries several and sends a code twice.
		Endpoint: oauth2.Endpoint{TokenURL: c.endpoints.TokenEndpoint, AuthStyle: oauth2.AuthStyleInParams},
	}
	return cfg, c.serverClient(&hostTransport{c})
}

// hostTransport is the RoundTripper of [Client.OAuth2].
type hostTransport struct{ *Client }

// RoundTrip implements http.RoundTripper.
func (t *hostTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.send(r)
	if err != nil && r.Body != nil {
		r.Body.Close() // required of a RoundTripper
	}
	return response, err
}

func (t *hostTransport) send(r *http.Request) (*http.Response, error) {
	if r.URL == nil {
		return nil, errors.New("client: request without URL")
	}
	switch target := r.URL.String(); target {
	case "":
	case t.endpoints.TokenEndpoint:
		return t.authenticatedTo(tokenEndpoint, r)
	case t.endpoints.PushedAuthorizationRequestEndpoint:
		return t.authenticatedTo(pushEndpoint, r)
	case t.endpoints.RevocationEndpoint:
		return t.authenticatedTo(revocationEndpoint, r)
	case t.endpoints.IntrospectionEndpoint:
		return t.authenticatedTo(introspectionEndpoint, r)
	}
	scheme, _, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok {
		return t.bare.RoundTrip(r) // metadata, keys
	}
	if !strings.EqualFold(scheme, string(t.tokenType())) { // DPOP-5-7
		return nil, fmt.Errorf("client: wrong Authorization scheme %.16s, want %s", scheme, t.tokenType())
	}
	if err := checkTarget(r); err != nil {
		return nil, err
	}
	return t.sendToAPI(nil, r)
}

// authenticatedTo sends the form of a request with client authentication. It
// checks a token response, because package oauth2 accepts every token.
func (t *hostTransport) authenticatedTo(endpoint string, r *http.Request) (*http.Response, error) {
	params, err := postedForm(r)
	if err != nil {
		return nil, err
	}
	ctx := t.interact(r.Context())
	own, err := t.endpointRequest(ctx, r.URL.String(), params)
	if err != nil {
		return nil, err
	}
	for name, values := range r.Header {
		switch name {
		case "Authorization", "Content-Length", "Dpop": // the client adds its own
		default:
			own.Header[name] = values
		}
	}
	by := t.http
	if endpoint == introspectionEndpoint { // DPOP-6.2-2: without a proof
		by = t.plain
	}
	o := t.observe(endpoint, params.Get("grant_type"))
	o.event.InteractionID = own.Header.Get(wire.InteractionHeader)
	response, err := by.Transport.RoundTrip(own)
	var reported error // package oauth2 reads it from the response
	switch {
	case err != nil:
	case response.StatusCode/100 != 2:
		reported = &oauth2.RetrieveError{Response: response}
	case endpoint == tokenEndpoint && response.StatusCode == http.StatusOK:
		reported, err = t.checkTokenResponse(response)
	}
	o.end(ctx, errors.Join(err, reported))
	if err != nil {
		return nil, err
	}
	return response, nil
}

// checkTokenResponse rejects a token that is not bound like this client's. It
// returns an error of the server apart.
func (t *hostTransport) checkTokenResponse(response *http.Response) (reported, err error) {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxTokenResponse+1))
	response.Body.Close()
	if err == nil && len(body) > maxTokenResponse {
		err = fmt.Errorf("longer than %d bytes", maxTokenResponse)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTokenResponse, err)
	}
	_, err = parseToken(response, body, t.tokenType(), t.cfg.Hooks.Now())
	var received *oauth2.RetrieveError
	if err != nil && !errors.As(err, &received) {
		return nil, err
	}
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return err, nil
}

// postedForm reads the form of a request.
func postedForm(r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost || r.Body == nil {
		return nil, errors.New("client: request without a form, want POST")
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, form.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if len(body) > form.MaxBytes {
		return nil, fmt.Errorf("client: form longer than %d bytes", form.MaxBytes)
	}
	params, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errors.New("client: malformed form")
	}
	return params, nil
}
