package resourceserver

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/tokenbinding"
)

// Require returns middleware that lets only verified requests pass whose token
// has all the scopes. The next handler reads the token with [TokenFromContext].
func (s *Server) Require(scopes ...string) func(http.Handler) http.Handler {
	scopes = slices.Clone(scopes)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r, ok := s.Authorize(w, r, scopes...); ok {
				next.ServeHTTP(w, r)
			}
		})
	}
}

// Authorize verifies a request, whose token must have all the scopes. It is for
// handlers and for the middleware of other frameworks.
//
// If the request passes, Authorize returns it with the token in its context:
// see [TokenFromContext]. It also sets headers of the response. DPoP-Nonce is
// the next nonce. X-Fapi-Interaction-Id follows [Config].InteractionIDs.
//
// Otherwise Authorize writes the response, and returns nil and false. The
// caller returns.
func (s *Server) Authorize(w http.ResponseWriter, r *http.Request, scopes ...string) (verified *http.Request, ok bool) {
	r, token, err := s.verifyInteraction(r, scopes)
	if err != nil {
		s.WriteError(w, r, err, scopes...)
		return nil, false
	}
	s.setHeaders(w.Header(), r)
	return r.WithContext(ContextWithToken(r.Context(), token)), true
}

// A Decision is the result of [Server.Decide].
type Decision struct {
	// Token is the token of a request that passes. It is nil for a rejected
	// request.
	Token *Token
	// Err is the reason for a rejection. The host can log it, and must not send
	// its text.
	Err error
	// Status is the HTTP status of a rejection, or 200.
	Status int
	// Header has headers for the response, even if the request passes:
	// DPoP-Nonce and X-Fapi-Interaction-Id. A rejection also has
	// WWW-Authenticate, Cache-Control and, for a temporary failure,
	// Retry-After.
	Header http.Header
}

// Decide verifies a request without writing a response. It is for gRPC services
// and for the authorization requests of a proxy. The host sets Method, the path
// of URL, and Header of r, the header names in any case. For certificate-bound
// tokens it also sets TLS, or RemoteAddr if a proxy forwards the certificate in
// a header. Keys, Tokens, Revoked and Observe receive the context of r. Use
// [ContextWithToken] to pass the token on.
//
// The host describes the original request of the client: method and URL of the
// proxy's own request would match no proof. For gRPC, the method is POST and
// the path is the full name of the method. The path is appended to the
// BaseURLs, as it is for other requests.
func (s *Server) Decide(r *http.Request, scopes ...string) Decision {
	r = withCanonicalHeader(r)
	r, token, err := s.verifyInteraction(r, scopes)
	if err != nil {
		return s.Reject(r, err, scopes...)
	}
	d := Decision{Token: token, Status: http.StatusOK, Header: http.Header{}}
	s.setHeaders(d.Header, r)
	return d
}

// Reject returns the decision about a request that failed with err. If err is
// nil, the decision is a server_error. It is [Server.WriteError] for a host of
// [Server.Decide], for example after an error of [Token.CheckDetails].
func (s *Server) Reject(r *http.Request, err error, scopes ...string) Decision {
	if err == nil {
		err = errNoReason
	}
	d := Decision{Err: err, Header: http.Header{}}
	d.Status = s.reject(d.Header, r, err, scopes).SetHeader(d.Header, r, err)
	return d
}

// withCanonicalHeader returns a request whose header names have the case that
// net/http uses. Names that differ only by case become one name with several
// values, so that a second token or proof is not hidden.
func withCanonicalHeader(r *http.Request) *http.Request {
	canonical := make(http.Header, len(r.Header))
	for name, values := range r.Header {
		name = http.CanonicalHeaderKey(name)
		canonical[name] = append(canonical[name], values...)
	}
	copied := *r
	if copied.Header = canonical; r.URL == nil {
		copied.URL = new(url.URL)
	}
	return &copied
}

// WriteError responds to a request that failed with err. An error without a
// wire form is server_error with status 500, and its text is not sent. The
// scopes are those that the request needs, for WWW-Authenticate.
func (s *Server) WriteError(w http.ResponseWriter, r *http.Request, err error, scopes ...string) {
	s.reject(w.Header(), r, err, scopes).WriteError(w, r, err)
}

// reject logs a rejection, sets the headers that are not part of the challenge,
// and returns the challenge.
func (s *Server) reject(h http.Header, r *http.Request, err error, scopes []string) tokenbinding.Challenge {
	wire.LogRejection(s.cfg.Hooks.Logger, r, err)
	s.setHeaders(h, r)
	wire.SetRetryAfter(h, err)
	challenge := s.challenge
	challenge.Parameters = stepUpParameters(err)
	challenge.Scope = strings.Join(scopes, " ")
	return challenge
}

// verifyInteraction is Verify for a request to which it first applies
// Config.InteractionIDs.
func (s *Server) verifyInteraction(r *http.Request, scopes []string) (*http.Request, *Token, error) {
	r, err := wire.Interact(r, s.cfg.InteractionIDs)
	if err != nil {
		s.observe(r, s.cfg.Hooks.Now(), nil, err)
		return r, nil, err
	}
	token, err := s.Verify(r, scopes...)
	return r, token, err
}

// setHeaders sets the headers that every response needs.
func (s *Server) setHeaders(h http.Header, r *http.Request) {
	wire.SetInteractionID(h, r)
	s.proofs.SetNonce(h) // DPOP-8.2-1, DPOP-9-1: saves clients a second round trip
}

// errNoReason is an error of the host, and therefore a server_error.
var errNoReason = errors.New("resourceserver: rejection without an error")

type tokenKey struct{}

// ContextWithToken returns a context from which [TokenFromContext] returns the
// token. It is for hosts of [Server.Verify] and [Server.Decide].
func ContextWithToken(ctx context.Context, token *Token) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

// TokenFromContext returns the token of a request that [Server.Require] or
// [Server.Authorize] let pass, or that [ContextWithToken] was called with.
func TokenFromContext(ctx context.Context) (token *Token, ok bool) {
	token, ok = ctx.Value(tokenKey{}).(*Token)
	return token, ok
}
