package authserver

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/tokenbinding"
)

// endpointHost is the endpoint in the events of [Server.ClientEndpoint].
const endpointHost = "host"

// A ClientRequest is a request to an endpoint of the host, with an
// authenticated client. It comes from [Server.ClientEndpoint] alone and is safe
// for concurrent reading. Its String and LogValue do not contain the
// credentials.
type ClientRequest struct {
	from   sender
	params url.Values
}

// ClientID returns the authenticated client.
func (q *ClientRequest) ClientID() string { return q.from.client.ClientID }

// Client returns the registration of the authenticated client.
func (q *ClientRequest) Client() *profile.ClientMetadata { return q.from.client }

// Param returns a parameter of the form. It is empty if the parameter is
// absent.
func (q *ClientRequest) Param(name string) string { return q.params.Get(name) }

// Certificate returns the certificate that the client presented, whether or not
// it authenticated with it. It is zero without [Config.MutualTLS] and without a
// certificate. Its Thumbprint is the x5t#S256 that the client's tokens are
// bound to.
func (q *ClientRequest) Certificate() tokenbinding.ClientCertificate { return q.from.certificate }

// String returns a text with the client.
func (q ClientRequest) String() string {
	if q.from.client == nil {
		return "client request"
	}
	return fmt.Sprintf("client request of %q", q.from.client.ClientID)
}

// GoString returns the text of String.
func (q ClientRequest) GoString() string { return q.String() }

// LogValue returns the text of String.
func (q ClientRequest) LogValue() slog.Value { return slog.StringValue(q.String()) }

// ClientEndpoint returns the handler of an endpoint of the host at which
// clients authenticate as at the token endpoint, for example for the revocation
// of an arrangement. The host mounts the handler. An assertion must have the
// issuer as audience, and not the URL of the endpoint.
//
// The handler requires a form in the body of a POST, and authenticates the
// client. It then calls authorize, which decides whether the client may have
// what it requests. authorize must not write. If it returns an error, the
// client receives the code and the status of the error, as [Server.WriteError]
// defines them, and can repeat the request.
//
// Otherwise the handler consumes the client assertion, and then calls the
// http.Handler that authorize has returned. That handler changes the state of
// the host and writes the response. Of any number of concurrent requests with
// one assertion at most one reaches it. A host therefore cannot forget to
// consume an assertion. If the endpoint requires mutual TLS, authorize checks
// [ClientRequest.Certificate].
//
// The requests appear in [Hooks].Observe and follow [Config].InteractionIDs,
// like those to the endpoints of [Server.Handler].
func (s *Server) ClientEndpoint(authorize func(r *http.Request, q *ClientRequest) (http.Handler, error)) http.Handler {
	return s.clientEndpoint(endpointHost, func(url.Values) error { return nil }, authorize)
}

// clientEndpoint is [Server.ClientEndpoint] for an endpoint with checks that
// need no client.
func (s *Server) clientEndpoint(
	endpoint string, check func(params url.Values) error,
	authorize func(r *http.Request, q *ClientRequest) (http.Handler, error),
) http.Handler {
	return s.called(endpoint, func(w http.ResponseWriter, r *http.Request) {
		params, err := par.ParseForm(r)
		if err == nil {
			err = check(params)
		}
		if err != nil {
			s.WriteError(w, r, err)
			return
		}
		next, err := s.clientRequest(r, endpoint, params, authorize)
		if err != nil {
			s.WriteError(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// clientRequest returns the handler of the host for a request whose assertion
// is consumed.
func (s *Server) clientRequest(
	r *http.Request, endpoint string, params url.Values,
	authorize func(*http.Request, *ClientRequest) (http.Handler, error),
) (http.Handler, error) {
	from, err := s.authenticate(r.Context(), r, params, endpoint)
	if err != nil {
		return nil, err
	}
	next, err := authorize(r, &ClientRequest{from: from, params: params})
	if err != nil {
		return nil, err
	}
	if wire.IsNil(next) {
		return nil, errors.New("authserver: ClientEndpoint: authorize returned neither a handler nor an error")
	}
	ctx := expiring.WithClient(r.Context(), s.cfg.Issuer, from.client.ClientID)
	return next, s.clients.Commit(ctx, from.auth)
}
