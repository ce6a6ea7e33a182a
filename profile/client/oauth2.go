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
	"golang.org/x/oauth2"
)

// OAuth2 returns what a host needs that goes on with its own use of package
// oauth2 and wants the connections alone: the configuration, to which it adds
// scopes, and an http.Client for the context:
//
//	cfg, own := client.OAuth2()
//	ctx = context.WithValue(ctx, oauth2.HTTPClient, own)
//	token, err := cfg.Exchange(ctx, code, oauth2.VerifierOption(verifier))
//	api := cfg.Client(ctx, token)
//
// The http.Client authenticates the client, anew for each request, in the POSTs
// to the server's token, pushed authorization request, introspection and
// revocation endpoints, adds the proofs that tokens are bound by, or connects
// with the certificate; and lets no token response through whose token is not
// bound as this client's are. What has an access token goes out as by
// [Client.HTTPClient], with the same refusals. All else goes out as it is. So
// it serves a par.Client and an introspection.Client, too, without their
// Authenticate.
//
// Everything else is left to the host: pushed requests, PKCE, iss, state, the
// ID token. The configuration has no AuthURL, so that AuthCodeURL is good for
// parameters to push and not for a browser. [Client.Begin] and [Client.Finish]
// do all of that.
func (c *Client) OAuth2() (*oauth2.Config, *http.Client) {
	cfg := &oauth2.Config{
		ClientID: c.cfg.ClientID, RedirectURL: c.cfg.RedirectURI,
		// In the form, where our parameters go. oauth2 would find out by
		// trying, and send a code twice.
		Endpoint: oauth2.Endpoint{TokenURL: c.endpoints.TokenEndpoint, AuthStyle: oauth2.AuthStyleInParams},
	}
	return cfg, c.serverClient(&hostTransport{c})
}

// hostTransport is the RoundTripper of a host that makes its requests itself.
type hostTransport struct{ *Client }

// RoundTrip implements http.RoundTripper.
func (t *hostTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.send(r)
	if err != nil && r.Body != nil {
		r.Body.Close() // a RoundTripper has to
	}
	return response, err
}

func (t *hostTransport) send(r *http.Request) (*http.Response, error) {
	if r.URL == nil {
		return nil, errors.New("client: a request without URL")
	}
	switch target := r.URL.String(); target {
	case "":
	case t.endpoints.TokenEndpoint:
		return t.exchange(r)
	case t.endpoints.PushedAuthorizationRequestEndpoint, t.endpoints.RevocationEndpoint:
		return t.authenticatedTo(t.http, r)
	case t.endpoints.IntrospectionEndpoint: // DPOP-6.2-2: without a proof
		return t.authenticatedTo(t.plain, r)
	}
	scheme, _, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok {
		return t.bare.RoundTrip(r) // metadata, keys
	}
	if !strings.EqualFold(scheme, string(t.tokenType())) { // DPOP-5-7
		return nil, fmt.Errorf("client: Authorization is %.16s, and tokens of this client are %s", scheme, t.tokenType())
	}
	if err := mayHaveToken(r); err != nil {
		return nil, err
	}
	return sendToAPI(t.api, r)
}

// exchange is a token request. Package oauth2 takes whatever token comes.
func (t *hostTransport) exchange(r *http.Request) (*http.Response, error) {
	response, err := t.authenticatedTo(t.http, r)
	if err != nil || response.StatusCode != http.StatusOK {
		return response, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxTokenResponse+1))
	response.Body.Close()
	if err == nil && len(body) > maxTokenResponse {
		err = fmt.Errorf("longer than %d bytes", maxTokenResponse)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTokenResponse, err)
	}
	said := (*oauth2.RetrieveError)(nil)
	if _, err := parseToken(response, body, t.tokenType(), t.cfg.Now()); err != nil && !errors.As(err, &said) { // what the server says oauth2 reads itself
		return nil, err
	}
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return response, nil
}

// authenticatedTo sends the form of a request with client authentication.
func (t *hostTransport) authenticatedTo(by *http.Client, r *http.Request) (*http.Response, error) {
	params, err := postedForm(r)
	if err != nil {
		return nil, err
	}
	own, err := t.endpointRequest(r.Context(), r.URL.String(), params)
	if err != nil {
		return nil, err
	}
	for name, values := range r.Header {
		if name != "Authorization" && name != "Content-Length" && name != "Dpop" { // one kind of client authentication, and it is ours
			own.Header[name] = values
		}
	}
	return by.Transport.RoundTrip(own)
}

// postedForm reads the form of a request that is to be authenticated.
func postedForm(r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost || r.Body == nil {
		return nil, errors.New("client: this endpoint takes forms by POST")
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, form.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if len(body) > form.MaxBytes {
		return nil, fmt.Errorf("client: a form of more than %d bytes", form.MaxBytes)
	}
	params, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errors.New("client: the body is not a form")
	}
	return params, nil
}
