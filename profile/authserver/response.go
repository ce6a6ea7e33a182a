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
	url               string // where the browser is sent; empty: by a page that posts
	redirectURI, post string // to where, and what
	authorization     string // of Approve alone
}

// AuthorizationID identifies what [Server.Approve] has approved, with all
// tokens that will be issued for it: the host keeps it to show users what they
// have permitted, and for [Server.Withdraw]. It is no secret, and stands as
// AuthorizationID in the events of package grants. It is empty for the outcome
// of Deny and Complete.
func (r *AuthorizationResponse) AuthorizationID() string { return r.authorization }

// URL returns where a redirect sends the browser, for a host that does so
// itself, with status 303. It is empty for form_post.jwt, which is no redirect.
func (r *AuthorizationResponse) URL() string { return r.url }

// ServeHTTP sends the browser to the client: by a redirect or, for
// form_post.jwt, by a page that posts itself. It sets the headers that the
// response needs and leaves all others alone; the request is not looked at.
//
// SP-5.3.2.2-10, SP-5.3.2.2-11, BCP-2.1-5: with status 303, so that the browser
// does not post the user's password again, to the client. SP-5.3.2.1-7,
// BCP-2.1-2: to a URL that was made from a registered redirect_uri, and to no
// other.
func (r *AuthorizationResponse) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if r.url == "" { // JARM-2.3.3-1
		if err := jarm.ModeFormPostJWT.Write(w, r.redirectURI, r.post); err != nil { // tried before: it is one that nobody has made
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

// checkGood keeps out what was loaded and refused as well.
func (s *Server) checkGood(a *Authorization) error {
	if err := s.checkLoaded(a); err != nil || a.refused == nil {
		return err
	}
	return fmt.Errorf("authserver: approval of a request that was refused: %w", a.refused)
}

// Complete is Approve for a host that has made a code of its own, bound to
// [Authorization.Binding] and stored already, since the client may redeem it at
// once. The code must be unguessable and good for one use within 60 seconds.
//
// PAR-4-2, SP-5.3.2.2-N3: the request_uri is used up here, at the end, and
// once.
func (s *Server) Complete(ctx context.Context, a *Authorization, code string) (*AuthorizationResponse, error) {
	if err := s.checkGood(a); err != nil {
		return nil, err
	}
	if code == "" {
		return nil, errors.New("authserver: completion without a code")
	}
	return s.respond(ctx, a, url.Values{"code": {code}})
}

// Deny ends the authorization with an error (RFC 6749 §4.1.2.1): access_denied
// when the user said no, login_required and the like (OpenID Connect Core
// §3.1.2.6) when the host could not ask. The request_uri is used up as by
// Approve.
func (s *Server) Deny(ctx context.Context, a *Authorization, code, description string) (*AuthorizationResponse, error) {
	if err := s.checkLoaded(a); err != nil {
		return nil, err
	}
	if !syntax.IsScope(code) {
		return nil, fmt.Errorf("authserver: denial: %q is no error code", code)
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

// respond uses up the request and returns the response. That is made first:
// signing may fail, and then the request is still there.
func (s *Server) respond(ctx context.Context, a *Authorization, params url.Values) (*AuthorizationResponse, error) {
	if state, ok := a.params["state"]; ok {
		params.Set("state", state[0])
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

// newResponse appends the parameters to the redirect_uri, which is left as it
// was compared, byte for byte: it has no fragment, and nothing in it can end a
// header field.
func (s *Server) newResponse(ctx context.Context, a *Authorization, params url.Values) (*AuthorizationResponse, error) {
	redirect := a.params.Get("redirect_uri")
	if a.mode != "" { // MS-5.4.1-1, MS-5.4.1-N, JARM-2.1-3: all of it inside, iss too
		return s.newSignedResponse(ctx, a, params)
	}
	// SP-5.3.2.2-7, ISS-2-1, ISS-2-2, ISS-2.3-1: with errors too, and the value
	// that the metadata has.
	params.Set("iss", s.cfg.Issuer)
	switch {
	case !strings.Contains(redirect, "?"):
		redirect += "?"
	case !strings.HasSuffix(redirect, "?") && !strings.HasSuffix(redirect, "&"):
		redirect += "&"
	}
	return &AuthorizationResponse{url: redirect + params.Encode()}, nil
}

func (s *Server) newSignedResponse(ctx context.Context, a *Authorization, params url.Values) (*AuthorizationResponse, error) {
	signatory, err := s.signatory(memberResponseAlg, a.client.AuthorizationSignedResponseAlg) // JARM-3-1
	if err != nil {
		return nil, err
	}
	signed, err := signatory.responses.Response(a.client.ClientID, params)
	if err != nil {
		return nil, fmt.Errorf("%w: signing an authorization response: %w", ErrStore, err)
	}
	response := &AuthorizationResponse{redirectURI: a.params.Get("redirect_uri"), post: signed}
	to, err := s.encryption(ctx, a.client)
	if err != nil {
		return nil, err
	}
	if to != nil { // JARM-2.2-1
		if response.post, err = to.Seal(signed); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrStore, err)
		}
	}
	if a.mode != jarm.ModeFormPostJWT {
		if response.url, err = jarm.RedirectURL(response.redirectURI, response.post); err != nil {
			return nil, err
		}
	}
	if s.cfg.Hooks.Evidence != nil {
		// MS-7-1: a form that comes twice, or too late, makes no evidence of a
		// response that nobody gets. Of two that come at the same instant both
		// may, and one is sent. A request that is refused by now is there, and
		// gets an error.
		if request, err := s.requests.Resume(ctx, a.client.ClientID, a.request.RequestURI()); request.ClientID() == "" {
			return nil, err
		}
	}
	evidence := profile.Evidence{
		Kind: profile.EvidenceAuthorizationResponse, Issued: true, ClientID: a.client.ClientID, JWT: signed, Key: signatory.key, Time: s.cfg.Hooks.Now(),
	}
	if err := wire.Archive(ctx, s.cfg.Hooks.Evidence, evidence); err != nil {
		return nil, err
	}
	return response, nil
}

// WriteAuthorizationError answers a browser at the authorization endpoint whose
// request has come to nothing: a and err are those that Authorization or Resume
// returned, or a is the one that Approve, Deny or Complete failed for.
//
// Where a is not nil the client is told, by an error response with the code and
// description that err carries, a server_error if there is none, in the
// response mode of the request and signed wherever the client or the server
// demands that. The request_uri is used up as by Deny. Otherwise the browser
// gets [Config.ErrorPage]: a is nil, the request was used up before, a form
// that was sent twice for one, or a store or a key failed, which uses up
// nothing.
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
