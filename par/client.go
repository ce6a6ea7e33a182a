package par

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/internal/form"
	"github.com/gofapi/fapi2/internal/strictjson"
)

const (
	maxResponse = 64 << 10
	// maxUnparsed bounds the part of an unknown body in the text of an error.
	maxUnparsed = 1 << 10

	clientTimeout = 30 * time.Second
)

// ClientConfig configures a [Client].
type ClientConfig struct {
	// Endpoint is the pushed_authorization_request_endpoint of the server, an
	// https URL. With mutual TLS it is the entry of mtls_endpoint_aliases.
	// Required.
	Endpoint string
	// HTTPClient sends the requests. If nil, a client with a timeout of 30
	// seconds is used. The Client uses a copy that does not follow redirects.
	// Its transport can add DPoP proofs or a client certificate.
	HTTPClient *http.Client
	// Authenticate adds the parameters of client authentication to a copy of
	// the form, for example client_assertion_type and client_assertion. It is
	// called for every attempt, because an assertion can be used once. It is
	// nil for a client that authenticates by its TLS certificate. It is called
	// concurrently.
	Authenticate func(ctx context.Context, form url.Values) error
}

// A Client pushes authorization requests to one authorization server. It is
// safe for concurrent use.
type Client struct {
	endpoint     string
	http         *http.Client
	authenticate func(ctx context.Context, form url.Values) error
}

// NewClient returns a Client. It returns an error if Endpoint is invalid.
func NewClient(cfg ClientConfig) (*Client, error) {
	if _, err := parseEndpoint(cfg.Endpoint); err != nil {
		return nil, err
	}
	hc := http.Client{Timeout: clientTimeout}
	if cfg.HTTPClient != nil {
		hc = *cfg.HTTPClient
	}
	// A redirect would send the request and the client's credentials elsewhere.
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{endpoint: cfg.Endpoint, http: &hc, authenticate: cfg.Authenticate}, nil
}

// Push sends the parameters of an authorization request, including client_id.
// The result is for one call of [AuthorizationURL] (RFC 9126 §4).
//
// If the server requires a DPoP nonce (use_dpop_nonce), Push sends the request
// once more with new client authentication. The transport has received the
// nonce by then. A transport that repeats requests by itself uses GetBody of
// the request.
//
// An error of the authorization server is a *oauth2.RetrieveError.
// [ErrResponse] reports any other response. After an error, do not send the
// parameters through the browser.
func (c *Client) Push(ctx context.Context, params url.Values) (Pushed, error) {
	if err := checkPush(params); err != nil {
		return Pushed{}, err
	}
	pushed, repeated, err := c.attempt(ctx, params)
	if said := (*oauth2.RetrieveError)(nil); errors.As(err, &said) && said.ErrorCode == "use_dpop_nonce" && !repeated {
		pushed, _, err = c.attempt(ctx, params)
	}
	return pushed, err
}

// checkPush rejects requests that every server must reject.
func checkPush(params url.Values) error {
	if params.Has("request_uri") { // PAR-2.1-1
		return errors.New("par: request_uri must not be pushed")
	}
	for name, values := range params {
		if len(values) > 1 && name != "resource" { // RI-2-2
			return fmt.Errorf("par: %q is repeated", name)
		}
	}
	if params.Get("client_id") == "" { // PAR-2.1-2: an assertion does not replace it
		return errors.New("par: no client_id")
	}
	return nil
}

// attempt sends one request, which the transport may repeat.
func (c *Client) attempt(ctx context.Context, params url.Values) (pushed Pushed, repeated bool, err error) {
	body, err := c.form(ctx, params)
	if err != nil {
		return Pushed{}, false, err
	}
	// SP-5.3.3.2-2, PAR-2-1
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, strings.NewReader(body))
	if err != nil {
		return Pushed{}, false, fmt.Errorf("par: %w", err)
	}
	var copies atomic.Int32
	req.GetBody = func() (io.ReadCloser, error) {
		copies.Add(1)
		again, err := c.form(ctx, params)
		if err != nil {
			return nil, err
		}
		if len(again) != len(body) { // Content-Length was sent
			return nil, errors.New("par: the request cannot be repeated with a new assertion")
		}
		return io.NopCloser(strings.NewReader(again)), nil
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return Pushed{}, false, fmt.Errorf("par: push: %w", err)
	}
	sent := resp.Body
	defer func() { _ = sent.Close() }()
	answer, err := io.ReadAll(io.LimitReader(sent, maxResponse+1))
	if err != nil {
		return Pushed{}, false, fmt.Errorf("%w: status %d: %w", ErrResponse, resp.StatusCode, err)
	}
	pushed, err = parseResponse(resp, answer)
	return pushed, copies.Load() > 0, err
}

// form returns the encoded form with fresh authentication.
func (c *Client) form(ctx context.Context, params url.Values) (string, error) {
	values := form.Clone(params)
	if c.authenticate != nil {
		if err := c.authenticate(ctx, values); err != nil {
			return "", fmt.Errorf("par: client authentication: %w", err)
		}
	}
	encoded := values.Encode()
	if len(encoded) > form.MaxBytes {
		return "", fmt.Errorf("par: the request has %d bytes, more than %d", len(encoded), form.MaxBytes)
	}
	return encoded, nil
}

// parseResponse reads the response of a server.
func parseResponse(resp *http.Response, body []byte) (Pushed, error) {
	tooLarge := len(body) > maxResponse
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	isJSON := !tooLarge && mediaType == "application/json"
	// PAR-2.2-1: exactly 201. A login page or a proxy sends 200.
	if resp.StatusCode != http.StatusCreated {
		return Pushed{}, retrieveError(resp, body, isJSON)
	}
	if !isJSON {
		return Pushed{}, fmt.Errorf("%w: %d bytes of media type %.64q", ErrResponse, len(body), mediaType)
	}
	o, err := strictjson.ParseObject(body)
	if err != nil {
		return Pushed{}, fmt.Errorf("%w: %w", ErrResponse, err)
	}
	uri, _, err := o.String("request_uri")
	if err == nil {
		err = checkRequestURI(uri)
	}
	if err != nil {
		return Pushed{}, fmt.Errorf("%w: %w", ErrResponse, err)
	}
	raw, _ := o.Get("expires_in")
	seconds, err := strconv.ParseFloat(string(raw), 64) // some encoders write 60.0 or 6e1
	if err != nil || seconds < 1 || seconds > math.MaxInt32 || seconds != math.Trunc(seconds) {
		return Pushed{}, fmt.Errorf("%w: expires_in is not a positive integer", ErrResponse)
	}
	return Pushed{RequestURI: uri, ExpiresIn: time.Duration(seconds) * time.Second}, nil
}

// retrieveError reads an error response, which may have any body.
func retrieveError(resp *http.Response, body []byte, isJSON bool) error {
	resp.Body = http.NoBody // it has been read
	said := &oauth2.RetrieveError{Response: resp, Body: body}
	if isJSON {
		if o, err := strictjson.ParseObject(body); err == nil {
			said.ErrorCode, _, _ = o.String("error") // PAR-2.3-1
			said.ErrorDescription, _, _ = o.String("error_description")
			said.ErrorURI, _, _ = o.String("error_uri")
		}
	}
	if said.ErrorCode == "" {
		said.Body = body[:min(len(body), maxUnparsed)] // Error prints it
	} else {
		said.Body = body[:min(len(body), maxResponse)]
	}
	return said
}
