package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/profile"
)

// A RequestConfig adapts the requests of a client to the rules of an ecosystem.
// The zero value changes nothing.
type RequestConfig struct {
	// OmitClientID omits client_id from the forms of pushed requests. The
	// request object and the client assertion then name the client. ConnectID
	// requires that. OmitClientID requires SignedRequests and private_key_jwt.
	// If false, client_id is sent (RFC 9126 §2.1).
	OmitClientID bool
	// AssertionLifetime is the time from iat to exp of client assertions: 1
	// second to 10 minutes. The default is 1 minute.
	AssertionLifetime time.Duration
	// AssertionClaims returns further claims for client assertions. It receives
	// the context of the operation, for example of [Client.ClientCredentials].
	// See [clientauth.PrivateKeyJWTConfig]. If nil, there are no further
	// claims.
	AssertionClaims func(ctx context.Context) (map[string]any, error)
	// Header returns header fields for the requests of an operation, for
	// example x-fapi-auth-date and x-fapi-customer-ip-address. They are sent to
	// APIs and to the authorization server, but not in requests for metadata
	// and keys. Header receives the context of the operation or of the request
	// to an API, in which the application may have stored the values. The
	// handlers of logins use the context of the browser's request. A refresh
	// uses the context of a request that needs it. A field that a request
	// already has is not changed. If nil, there are no further fields.
	Header func(ctx context.Context) http.Header
	// InteractionID sends a new random UUID as x-fapi-interaction-id with each
	// operation and each request to an API, unless Header or the request has
	// one. [profile.Event] contains it. The UUID of the response is not
	// compared.
	InteractionID bool
}

// problems returns what a client cannot use.
func (r *RequestConfig) problems(cfg *Config) (problems []error) {
	assertions := cfg.mutualTLS().AuthMethod == clientauth.MethodPrivateKeyJWT
	reject := func(text string) { problems = append(problems, errors.New("client: Requests: "+text)) }
	if r.OmitClientID && !(assertions && cfg.Profile.Has(profile.SignedRequests)) {
		reject("OmitClientID without SignedRequests and private_key_jwt")
	}
	if !assertions && (r.AssertionLifetime != 0 || r.AssertionClaims != nil) {
		reject("settings for assertions without private_key_jwt")
	}
	return problems
}

// pushAuthentication returns the client authentication of pushed requests.
func (c *Client) pushAuthentication() func(ctx context.Context, form url.Values) error {
	if !c.cfg.Requests.OmitClientID {
		return c.authenticate
	}
	return func(ctx context.Context, form url.Values) error {
		if err := c.authenticate(ctx, form); err != nil {
			return err
		}
		form.Del("client_id")
		return nil
	}
}
