package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/gofapi/fapi2/internal/form"
	"github.com/gofapi/fapi2/internal/strictjson"
	"golang.org/x/oauth2"
)

// maxTokenResponse and maxErrorResponse bound the bodies of responses with
// status 200 and with another status.
const (
	maxTokenResponse = 1 << 20
	maxErrorResponse = 64 << 10
)

// post sends a form to an endpoint of the authorization server, with client
// authentication and, if the client uses DPoP, a proof. Some servers demand a
// proof at every endpoint, the others ignore it. post returns at most one byte
// more than the bound of the body. If both the error and the response are not
// nil, the body is incomplete.
func (c *Client) post(ctx context.Context, endpoint string, params url.Values) (*http.Response, []byte, error) {
	r, err := c.endpointRequest(ctx, endpoint, params)
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Accept", "application/json")
	if err := checkLease(ctx); err != nil {
		return nil, nil, err
	}
	response, err := c.http.Do(r)
	if err != nil {
		return nil, nil, fmt.Errorf("client: %w", err)
	}
	defer response.Body.Close()
	limit := maxErrorResponse
	if response.StatusCode == http.StatusOK {
		limit = maxTokenResponse
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, int64(limit)+1))
	if err != nil {
		return response, nil, fmt.Errorf("client: %w", err)
	}
	return response, body, nil
}

// endpointRequest returns a request with client authentication.
func (c *Client) endpointRequest(ctx context.Context, endpoint string, params url.Values) (*http.Request, error) {
	form, err := c.authenticated(ctx, params)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form))
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	// The request may be repeated with a nonce or on a new connection. The
	// repetition has a new assertion, because the server may have recorded the
	// first jti.
	r.GetBody = func() (io.ReadCloser, error) {
		again, err := c.authenticated(ctx, params)
		if err != nil {
			return nil, err
		}
		if len(again) != len(form) { // Content-Length is already set
			return nil, errors.New("client: new assertion of another length")
		}
		return io.NopCloser(strings.NewReader(again)), nil
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return withInteraction(r), nil
}

// authenticated returns an encoded form with client authentication.
func (c *Client) authenticated(ctx context.Context, params url.Values) (string, error) {
	form := form.Clone(params)
	if err := c.authenticate(ctx, form); err != nil {
		return "", fmt.Errorf("client: %w", err)
	}
	return form.Encode(), nil
}

// retrieveError returns the error response of a server. Its Body, which is part
// of the error text, is empty unless the response is an OAuth error. Another
// body could be a page that quotes the request, or a token with an unusual
// status. The body of Response can still be read.
func retrieveError(response *http.Response, body []byte) *oauth2.RetrieveError {
	response.Body = io.NopCloser(bytes.NewReader(body)) // the original has been read
	received := &oauth2.RetrieveError{Response: response}
	if len(body) > maxErrorResponse {
		return received
	}
	if o, err := strictjson.ParseObject(body); err == nil {
		received.ErrorCode, _, _ = o.String("error")
		received.ErrorDescription, _, _ = o.String("error_description")
		received.ErrorURI, _, _ = o.String("error_uri")
	}
	if received.ErrorCode != "" {
		received.Body = body
	}
	return received
}

// withoutPage removes a body that is not an OAuth error from the text of an
// error, as retrieveError does.
func withoutPage(err error) error {
	var received *oauth2.RetrieveError
	if errors.As(err, &received) && received.ErrorCode == "" && received.Response != nil {
		received.Response.Body, received.Body = io.NopCloser(bytes.NewReader(received.Body)), nil
	}
	return err
}
