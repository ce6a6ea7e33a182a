package authserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/syntax"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
)

// An AuthorizationResponse takes the outcome of an authorization to the client,
// through the browser. It comes from Approve, Deny and Complete of [Server] and
// is an http.Handler, to be served once. It never changes and is safe for
// concurrent use; printed or logged it shows nothing of what is in it.
type AuthorizationResponse struct {
	url               string // the redirect; "" for a page that posts
	redirectURI, post string // to where, and what
	authorization     string // of Approve alone
}

// AuthorizationID identifies the approved authorization with all of its tokens.
// The host stores it for its pages and for [Server.Withdraw]. It is not a
// secret. The events of package grants contain it as AuthorizationID. It is
// empty for a response of Deny or Complete.
func (r *AuthorizationResponse) AuthorizationID() string { return r.authorization }

// URL returns where a redirect sends the browser, for a host that does so
// itself, with status 303. It is empty for form_post.jwt, which is not a
// redirect.
func (r *AuthorizationResponse) URL() string { return r.url }

// ServeHTTP sends the browser to a registered redirect_uri of the client. It
// redirects with status 303, because with 307 the browser would post the user's
// password to the client. For form_post.jwt it writes a page that posts itself.
// ServeHTTP ignores the request.
func (r *AuthorizationResponse) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	// SP-5.3.2.2-10, SP-5.3.2.2-11 BCP-2.1-5, BCP-2.1-2 SP-5.3.2.1-7:
	// checkRedirectURI has compared it
	if r.url == "" { // JARM-2.3.3-1
		// only for the zero value, because it was checked before
		if err := jarm.ModeFormPostJWT.Write(w, r.redirectURI, r.post); err != nil {
			http.Error(w, "no response", http.StatusInternalServerError)
		}
		return
	}
	h := w.Header()
	h.Set("Location", r.url)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

// String leaves out the code.
func (r AuthorizationResponse) String() string { return "authorization response" }

// GoString is String.
func (r AuthorizationResponse) GoString() string { return r.String() }

// LogValue is String.
func (r AuthorizationResponse) LogValue() slog.Value { return slog.StringValue(r.String()) }

func (s *Server) checkLoaded(a *Authorization) error {
	if a == nil || a.client == nil || a.server != s {
		return errors.New("authserver: response to a request that was not loaded by this server")
	}
	return nil
}

// checkGood also rejects a request that can only be denied.
func (s *Server) checkGood(a *Authorization) error {
	if err := s.checkLoaded(a); err != nil || a.refused == nil {
		return err
	}
	return fmt.Errorf("authserver: approval of a rejected request: %w", a.refused)
}

// Complete ends the authorization with a code of the host. The host has bound
// the code to [Authorization.Binding] and stored it, because the client may
// redeem it at once. The code must be unguessable and valid for one use within
// 60 seconds. Complete consumes the request_uri, so it succeeds once. It passes
// a consent that the request names to [Config.Intent], as Approve does.
func (s *Server) Complete(ctx context.Context, a *Authorization, code string) (*AuthorizationResponse, error) {
	if err := s.checkGood(a); err != nil {
		return nil, err
	}
	if code == "" {
		return nil, errors.New("authserver: completion without a code")
	}
	if err := s.checkIntentAgain(ctx, a, a.intent.Expires); err != nil {
		return nil, err
	}
	return s.complete(ctx, a, code)
}

func (s *Server) complete(ctx context.Context, a *Authorization, code string) (*AuthorizationResponse, error) {
	return s.respond(ctx, a, url.Values{"code": {code}}) // PAR-4-2, SP-5.3.2.2-N3
}

// Deny ends the authorization with an error (RFC 6749 §4.1.2.1). The code is
// access_denied if the user has denied the request. It is login_required or
// another code of OpenID Connect Core §3.1.2.6 if the host could not ask the
// user. Deny consumes the request_uri as Approve does.
func (s *Server) Deny(ctx context.Context, a *Authorization, code, description string) (*AuthorizationResponse, error) {
	if err := s.checkLoaded(a); err != nil {
		return nil, err
	}
	if !syntax.IsScope(code) {
		return nil, fmt.Errorf("authserver: denial: invalid error code %q", code)
	}
	if e := eventOf(ctx); e != nil && e.Outcome == "" {
		e.Outcome, e.Code = wire.Rejected, code
	}
	response := url.Values{"error": {code}}
	if description != "" {
		response.Set("error_description", syntax.ErrorText(description))
	}
	return s.respond(ctx, a, response)
}

// respond consumes the request and returns the response. It makes the response
// first, so that a failure to sign keeps the request.
func (s *Server) respond(ctx context.Context, a *Authorization, params url.Values) (*AuthorizationResponse, error) {
	if state := a.request.Get("state"); state != "" { // an empty one is never stored
		params.Set("state", state)
	}
	response, err := s.newResponse(ctx, a, params)
	if err != nil {
		return nil, err
	}
	if err := s.consume(ctx, a); err != nil {
		return nil, err
	}
	return response, nil
}

// consume uses up the request. If the store fails, it is not known whether the
// request was used up. The next call then repeats the same attempt, so the user
// can decide again. Only one of several calls can take that attempt.
func (s *Server) consume(ctx context.Context, a *Authorization) error {
	attempt := a.attempt.Swap(nil)
	if attempt == nil {
		id := jose.RandomString(grantIDBytes)
		attempt = &id
	}
	err := s.requests.Consume(ctx, a.request, *attempt)
	if errors.Is(err, par.ErrStore) {
		a.attempt.Store(attempt)
	}
	return err
}

// newResponse appends the parameters to the redirect_uri, and keeps its bytes
// as they were compared. The URI has no fragment, and no character that could
// end a header field.
func (s *Server) newResponse(ctx context.Context, a *Authorization, params url.Values) (*AuthorizationResponse, error) {
	redirect := a.request.Get("redirect_uri")
	if a.mode != "" { // MS-5.4.1-1, JARM-2.1-3: every parameter is inside
		return s.newSignedResponse(ctx, a, params)
	}
	// SP-5.3.2.2-7, ISS-2-1, ISS-2-2, ISS-2.3-1: with errors too, and the value
	// that the metadata has.
	params.Set("iss", s.cfg.Issuer)
	separator := ""
	switch {
	case !strings.Contains(redirect, "?"):
		separator = "?"
	case !strings.HasSuffix(redirect, "?") && !strings.HasSuffix(redirect, "&"):
		separator = "&"
	}
	return &AuthorizationResponse{url: redirect + separator + params.Encode()}, nil
}

func (s *Server) newSignedResponse(
	ctx context.Context, a *Authorization, params url.Values,
) (*AuthorizationResponse, error) {
	signatory, err := s.responseSignatory(ctx, &a.asked) // JARM-3-1
	if err != nil {
		return nil, err
	}
	signed, err := signatory.responses.Response(a.client.ClientID, params)
	if err != nil {
		return nil, fmt.Errorf("%w: signing an authorization response: %w", ErrStore, err)
	}
	response := &AuthorizationResponse{redirectURI: a.request.Get("redirect_uri"), post: signed}
	to, err := s.responseRecipient(ctx, a.client)
	if err != nil {
		return nil, err
	}
	if to != nil { // JARM-2.2-1
		if response.post, err = jarm.Encryption(*to).Seal(signed); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrStore, err)
		}
	}
	if a.mode != jarm.ModeFormPostJWT {
		if response.url, err = jarm.RedirectURL(response.redirectURI, response.post); err != nil {
			return nil, err
		}
	}
	if s.cfg.Hooks.Evidence != nil {
		// MS-7-1: a request that is used or expired produces no evidence,
		// because its response is never sent. Of two concurrent calls both may
		// archive, and one response is sent.
		if request, err := s.requests.Resume(ctx, a.client.ClientID, a.request.RequestURI()); request.ClientID() == "" {
			return nil, err
		}
	}
	evidence := profile.Evidence{
		Kind: profile.EvidenceAuthorizationResponse, Issued: true, ClientID: a.client.ClientID,
		JWT: signed, Key: signatory.public, Time: s.cfg.Hooks.Now(),
	}
	if err := wire.Archive(ctx, s.cfg.Hooks.Evidence, evidence); err != nil {
		return nil, err
	}
	return response, nil
}

// WriteAuthorizationError ends a failed request of a browser at the
// authorization endpoint. Pass both results of Authorization or Resume, or the
// Authorization for which Approve, Deny or Complete has failed.
//
// If a is not nil, the client receives an error response with the code and the
// description of err. Without a code it is server_error. The response has the
// response mode of the request, and is signed if the client or the server
// requires that. The request_uri is consumed as by Deny.
//
// In all other cases the browser receives Hooks.ErrorPage: if a is nil, if the
// request was consumed before, or if a store or a key failed. A failure
// consumes nothing.
func (s *Server) WriteAuthorizationError(w http.ResponseWriter, r *http.Request, a *Authorization, err error) {
	s.reportError(r, err)
	// BASE-6749-4.1.2.1-1: a page, as no redirect_uri is known to be right. A
	// 503 may be gone at the next attempt.
	if a != nil && !wire.Unavailable(err) {
		code, description, _ := oautherr.From(err)
		switch {
		case !syntax.IsScope(code):
			code = oautherr.ServerError
		case code == "invalid_client": // of endpoints at which clients authenticate
			code = "unauthorized_client"
		}
		var response *AuthorizationResponse
		if response, err = s.Deny(r.Context(), a, code, description); err == nil {
			response.ServeHTTP(w, r)
			return
		}
		s.reportError(r, err)
	}
	s.cfg.Hooks.ErrorPage(w, r, err)
}
