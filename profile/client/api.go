package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/gofapi/fapi2/profile/internal/wire"
	"golang.org/x/oauth2"
)

// ErrNotRepeatable means that an API demands a nonce, and that the client
// cannot repeat the request, because its body has no GetBody. The API has not
// accepted the request. Send it again: the client has stored the nonce.
var ErrNotRepeatable = errors.New("client: nonce required for a request without GetBody")

// HTTPClient returns a client for APIs. Its requests carry an access token from
// source, and a DPoP proof or the client's certificate (FAPI 2.0 Security
// Profile §5.3.3.1). Every server that it calls receives the token. Use it only
// for the APIs that the token is for.
//
// The client rejects requests that are not https, tokens that are not bound
// like this client's, and redirects to another origin. It follows no redirect
// unless its CheckRedirect is replaced.
//
// If an API demands a nonce, the client repeats the request once with that
// nonce. If the body cannot be read again because GetBody is missing, the error
// matches [ErrNotRepeatable]. If an API rejects the access token as
// invalid_token and source is one of this package, the client replaces the
// token. It repeats the request once. The token may have been revoked, or bound
// to a key that the client no longer has.
//
// HTTPClient sends no request, and returns an error only if source is nil.
// Errors of source, for example [ErrReauthorize], are those of the requests.
// HTTP clients of one Client share the nonces of the APIs. A request that waits
// for a refresh ends with its context.
func (c *Client) HTTPClient(source oauth2.TokenSource) (*http.Client, error) {
	if source == nil {
		return nil, errors.New("client: missing token source")
	}
	return &http.Client{
		Transport: &apiTransport{client: c, source: source}, Timeout: c.cfg.HTTPClient.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// apiTransport adds access tokens, like oauth2.Transport, but only to requests
// that may have one.
type apiTransport struct {
	client *Client
	source oauth2.TokenSource
	base   http.RoundTripper // nil for the transport for APIs of the newest generation
	last   atomic.Pointer[authorization]
}

// An authorization is an Authorization header. Consecutive requests usually
// have the same. proofs sends requests with a key of the token.
type authorization struct {
	token, header string
	proofs        http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *apiTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	a, err := t.authorization(r)
	if err != nil {
		if r.Body != nil {
			r.Body.Close() // required of a RoundTripper
		}
		return nil, err
	}
	response, err := t.send(a, r)
	if err != nil || !rejectsToken(response) {
		return response, err
	}
	return t.repeat(r, response, a.token), nil
}

// repeat repeats a request once with another token after an API has rejected
// the first token. It returns the final response of the API.
func (t *apiTransport) repeat(r *http.Request, rejected *http.Response, token string) *http.Response {
	source, ok := t.source.(ownSource)
	if !ok {
		return rejected
	}
	if !source.replace(r.Context(), token) || hasBody(r) && r.GetBody == nil {
		return rejected // the next request has the new token
	}
	a, err := t.authorization(r)
	if err != nil {
		return rejected
	}
	second := r.Clone(r.Context())
	if r.GetBody != nil {
		if second.Body, err = r.GetBody(); err != nil {
			return rejected
		}
	}
	response, err := t.send(a, second)
	if err != nil {
		return rejected
	}
	rejected.Body.Close()
	return response
}

func (t *apiTransport) transport() http.RoundTripper {
	if t.base != nil {
		return t.base
	}
	return t.client.last().api
}

func (t *apiTransport) send(a *authorization, r *http.Request) (*http.Response, error) {
	r = withAuthorization(r, a.header)
	switch {
	case t.base == nil:
		return t.client.sendToAPI(a.proofs, r)
	case a.proofs != nil:
		return a.proofs.RoundTrip(r)
	}
	return t.base.RoundTrip(r)
}

// authorization returns the Authorization header for a request.
func (t *apiTransport) authorization(r *http.Request) (*authorization, error) {
	if err := checkTarget(r); err != nil {
		return nil, err
	}
	token, err := tokenFor(r.Context(), t.source)
	if err != nil {
		return nil, err
	}
	scheme := t.client.tokenType()
	if token == nil || scheme.CheckTokenType(token.TokenType) != nil {
		return nil, fmt.Errorf("client: wrong token_type of the token source, want %s", scheme) // DPOP-5-7
	}
	if last := t.last.Load(); last != nil && last.token == token.AccessToken {
		return last, nil
	}
	if !headerSafe(token.AccessToken) {
		return nil, errors.New("client: missing or malformed access token of the token source")
	}
	a := &authorization{
		token: token.AccessToken, header: string(scheme) + " " + token.AccessToken,
		proofs: withKeyOf(token, t.transport()),
	}
	t.last.Store(a)
	return a, nil
}

// An ownSource is a token source of this package.
type ownSource interface {
	// tokenFor is Token for a caller that may stop waiting before the refresh
	// ends.
	tokenFor(ctx context.Context) (*oauth2.Token, error)
	// replace reports whether the source has a new token in place of one that
	// an API rejected before its expiry.
	replace(ctx context.Context, rejected string) bool
}

func tokenFor(ctx context.Context, source oauth2.TokenSource) (*oauth2.Token, error) {
	if own, ok := source.(ownSource); ok {
		return own.tokenFor(ctx)
	}
	return source.Token()
}

// checkTarget returns an error if a request must not carry an access token.
func checkTarget(r *http.Request) error {
	if r.URL == nil || r.URL.Scheme != "https" { // SP-5.2.1-1
		return errors.New("client: access tokens are sent by https only")
	}
	// After a redirect, http.Client sets Response. It removes an Authorization
	// header of the caller, but not the one that a transport adds.
	from := r.Response
	if from != nil && (from.Request == nil || from.Request.URL == nil || from.Request.URL.Host != r.URL.Host) {
		return errors.New("client: redirect to another origin with an access token")
	}
	return nil
}

// withAuthorization returns a copy of r with the header Authorization.
func withAuthorization(r *http.Request, header string) *http.Request {
	signed := *r
	signed.Header = make(http.Header, len(r.Header)+2)
	maps.Copy(signed.Header, r.Header)
	signed.Header["Authorization"] = []string{header} // DPOP-7.1-1
	return &signed
}

// sendToAPI sends a request with an access token. If by is nil, the transport
// of the client sends it. It reports a request whose token is rejected.
func (c *Client) sendToAPI(by http.RoundTripper, r *http.Request) (*http.Response, error) {
	if c.cfg.Requests.InteractionID || c.cfg.Requests.Header != nil {
		r = withInteraction(r.WithContext(c.interact(r.Context())))
	}
	o := c.observe(resourceEndpoint, "")
	o.event.InteractionID = r.Header.Get(wire.InteractionHeader)
	if by == nil {
		by = c.last().api
	}
	response, err := by.RoundTrip(r)
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		return response, err
	}
	nonce := strings.Contains(strings.ToLower(response.Header.Get("WWW-Authenticate")), "use_dpop_nonce")
	if nonce && hasBody(r) && r.GetBody == nil {
		response.Body.Close()
		response, err = nil, ErrNotRepeatable
	}
	if o.client != nil {
		o.event.Outcome, o.event.Reason = wire.Rejected, reason(err)
		switch {
		case nonce:
			o.event.Outcome, o.event.Code = wire.NonceChallenge, "use_dpop_nonce"
		case rejectsToken(response):
			o.event.Code = "invalid_token"
		}
		o.report(r.Context())
	}
	return response, err
}

func rejectsToken(response *http.Response) bool {
	return response.StatusCode == http.StatusUnauthorized &&
		strings.Contains(strings.Join(response.Header.Values("WWW-Authenticate"), ","), `error="invalid_token"`)
}

func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }
