package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/gofapi/fapi2/tokenbinding"
	"golang.org/x/oauth2"
)

// HTTPClient returns a client whose requests carry an access token from source,
// and what it is bound to: a proof of its own for each request, or the client's
// certificate (SP-5.3.3.1-3). Use it for the APIs that the token is for, and no
// others: they get the token.
//
// The client rejects requests that are not https, tokens that are not bound
// like this client's, and redirects to another origin. It follows no redirect
// unless its CheckRedirect is replaced.
//
// If an API demands a nonce, the client repeats the request once with that
// nonce. If the body cannot be read again because GetBody is missing, the error
// matches [ErrNotRepeatable]. If an API rejects the access token as
// invalid_token and source is a [Client.TokenSource], the client refreshes the
// token and repeats the request once. The token may have been revoked, or bound
// to a key that the client no longer has.
//
// HTTP clients of one Client share the nonces of the APIs. A request that waits
// for a refresh ends with its context.
func (c *Client) HTTPClient(source oauth2.TokenSource) (*http.Client, error) {
	if source == nil {
		return nil, errors.New("client: no token source")
	}
	return &http.Client{
		Transport: &apiTransport{source: source, scheme: c.tokenType(), base: c.api}, Timeout: c.cfg.HTTPClient.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// apiTransport is an oauth2.Transport that knows where a token must not go.
type apiTransport struct {
	source oauth2.TokenSource
	scheme tokenbinding.Scheme
	base   http.RoundTripper
	last   atomic.Pointer[authorization]
}

// RoundTrip implements http.RoundTripper.
func (t *apiTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	header, err := t.authorization(r)
	if err != nil {
		if r.Body != nil {
			r.Body.Close() // a RoundTripper has to
		}
		return nil, err
	}
	response, err := sendToAPI(t.base, withAuthorization(r, header))
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		return response, err
	}
	return t.again(r, response, header), nil
}

// withAuthorization returns a request like r with the header Authorization.
func withAuthorization(r *http.Request, header string) *http.Request {
	signed := *r
	signed.Header = make(http.Header, len(r.Header)+2)
	maps.Copy(signed.Header, r.Header)
	signed.Header["Authorization"] = []string{header} // DPOP-7.1-1
	return &signed
}

// again repeats a request once with another token if an API has rejected the
// first token as invalid_token. It returns the final response of the API.
func (t *apiTransport) again(r *http.Request, rejected *http.Response, header string) *http.Response {
	source, ours := t.source.(*tokenSource)
	if !ours || !strings.Contains(strings.Join(rejected.Header.Values("WWW-Authenticate"), ","), `error="invalid_token"`) {
		return rejected
	}
	token := source.replace(r.Context(), strings.TrimPrefix(header, string(t.scheme)+" "))
	if token == nil || r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
		return rejected // the next request has the new token
	}
	second := r.Clone(r.Context())
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return rejected
		}
		second.Body = body
	}
	if header, err := t.authorization(second); err == nil {
		if response, err := sendToAPI(t.base, withAuthorization(second, header)); err == nil {
			rejected.Body.Close()
			return response
		}
	}
	return rejected
}

// sendToAPI sends a request with an access token.
func sendToAPI(by http.RoundTripper, r *http.Request) (*http.Response, error) {
	response, err := by.RoundTrip(r)
	if err == nil && response.StatusCode == http.StatusUnauthorized && r.GetBody == nil && r.Body != nil && r.Body != http.NoBody &&
		strings.Contains(strings.ToLower(response.Header.Get("WWW-Authenticate")), "use_dpop_nonce") {
		response.Body.Close()
		return nil, ErrNotRepeatable
	}
	return response, err
}

// ErrNotRepeatable: the API wants a nonce, which it has sent, in the proof of a
// request whose body has been used up. It was not accepted. Send it again from
// the start, or give such a request a GetBody.
var ErrNotRepeatable = errors.New("client: the API wants a nonce, and the body of the request cannot be sent again")

// authorization returns the header for a request.
func (t *apiTransport) authorization(r *http.Request) (string, error) {
	if err := mayHaveToken(r); err != nil {
		return "", err
	}
	token, err := tokenFor(r.Context(), t.source)
	if err != nil {
		return "", err
	}
	if token == nil || t.scheme.CheckTokenType(token.TokenType) != nil {
		return "", fmt.Errorf("client: the token source has no %s token", t.scheme) // DPOP-5-7
	}
	if last := t.last.Load(); last != nil && last.token == token.AccessToken {
		return last.header, nil
	}
	if !headerSafe(token.AccessToken) {
		return "", errors.New("client: the token source has no token that could be sent")
	}
	a := &authorization{token.AccessToken, string(t.scheme) + " " + token.AccessToken}
	t.last.Store(a)
	return a.header, nil
}

// authorization is a header that has been made: the next request has the same,
// as a rule.
type authorization struct{ token, header string }

func tokenFor(ctx context.Context, source oauth2.TokenSource) (*oauth2.Token, error) {
	if ours, ok := source.(*tokenSource); ok {
		return ours.tokenFor(ctx)
	}
	return source.Token()
}

// mayHaveToken says why a request must not be sent with an access token.
func mayHaveToken(r *http.Request) error {
	if r.URL == nil || r.URL.Scheme != "https" { // SP-5.2.1-1
		return errors.New("client: an access token is sent by https only")
	}
	// http.Client says which response a request follows. It would take care of
	// an Authorization header of the caller's, not of one that comes from here.
	if from := r.Response; from != nil && (from.Request == nil || from.Request.URL == nil || from.Request.URL.Host != r.URL.Host) {
		return errors.New("client: a redirect to another origin gets no access token")
	}
	return nil
}
