package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"golang.org/x/oauth2"
)

// ErrCrossOrigin: a login that another site wanted to begin in the user's name, or of which the browser does not say who did.
var ErrCrossOrigin = errors.New("client: login begun by another site")

// LoginHandler begins a login and sends the browser to the authorization server: for the form of a page's login button, that
// POSTs to it. request says what to ask for; it may read the request, as who is in, or where to go afterwards, for
// [Request.Keep]. An error of it, and all others, go to Fail of sessions.
//
// SP-5.3.3.1-12: what another site has the browser send is refused with [ErrCrossOrigin] before request is called: a user who is
// logged in without having asked for it could be taken for the one who has.
//
// It panics if an argument is nil.
func (c *Client) LoginHandler(sessions *Sessions, request func(*http.Request) (Request, error)) http.Handler {
	if sessions == nil || request == nil {
		panic("client: LoginHandler without Sessions or request")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodPost && !(r.Method == http.MethodGet && sessions.cfg.AllowGET) {
			w.Header().Set("Allow", map[bool]string{false: "POST", true: "GET, POST"}[sessions.cfg.AllowGET])
			http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
			return
		}
		if rejectSpeculative(w, r) {
			return
		}
		to, err := c.login(w, r, sessions, request)
		if err != nil {
			sessions.cfg.Fail(w, r, err)
			return
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	})
}

func (c *Client) login(w http.ResponseWriter, r *http.Request, sessions *Sessions, request func(*http.Request) (Request, error)) (string, error) {
	if err := sessions.checkInitiation(r); err != nil {
		return "", err
	}
	wanted, err := request(r)
	if err != nil {
		return "", err
	}
	session, err := c.Begin(r.Context(), wanted)
	if err != nil {
		return "", err
	}
	return session.URL, sessions.Put(w, r, session)
}

// checkInitiation: SP-5.3.3.1-12.
func (s *Sessions) checkInitiation(r *http.Request) error {
	if r.Method != http.MethodGet {
		if err := s.cfg.CrossOrigin.Check(r); err != nil {
			return fmt.Errorf("%w: %w", ErrCrossOrigin, err)
		}
		return nil
	}
	// An image or a frame in a page of the same origin may come from another user of
	// the application. Each such login would push an earlier one out of the browser.
	if dest := r.Header.Get("Sec-Fetch-Dest"); dest != "" && dest != "document" {
		return fmt.Errorf("%w: GET with Sec-Fetch-Dest %.16q", ErrCrossOrigin, dest)
	}
	switch site := r.Header.Get("Sec-Fetch-Site"); site { // which CrossOriginProtection does not ask of a GET
	case "same-origin", "none":
		return nil
	default:
		return fmt.Errorf("%w: GET with Sec-Fetch-Site %.16q", ErrCrossOrigin, site)
	}
}

// CallbackHandler serves the redirect URI. It removes the session from the
// browser, finishes it ([Client.Finish]) and calls done with the token. done
// writes the response: it logs the user in with a cookie of the host, and
// redirects the browser away from the URL with the code. [IDToken] returns the
// identity of the user. Errors go to Fail of sessions. The session is then used
// up, and the user must start again.
//
// The code is redeemed even if the browser disconnects. The context of the
// request that done receives is not cancelled. If the browser repeats the
// callback during that time, or within a minute after it disconnected, done is
// called again with the same token. Each process keeps its own results. Behind
// a load balancer, another process answers the repetition with [ErrSession].
// Preload requests are rejected and do not use up the session.
//
// CallbackHandler panics if an argument is nil.
func (c *Client) CallbackHandler(
	sessions *Sessions, done func(w http.ResponseWriter, r *http.Request, session *Session, token *oauth2.Token),
) http.Handler {
	if sessions == nil || done == nil {
		panic("client: CallbackHandler without Sessions or done")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Referrer-Policy", "no-referrer") // the URL has the code in it
		if r.Method != http.MethodGet {                  // a HEAD by somebody who looks into links would use up the code
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
			return
		}
		if rejectSpeculative(w, r) {
			return
		}
		detached := r.WithContext(context.WithoutCancel(r.Context()))
		session, token, err := c.callbackOnce(w, r, detached, sessions)
		if err != nil {
			sessions.cfg.Fail(w, detached, err)
			return
		}
		done(w, detached, session, token)
	})
}

// callbackOnce finishes a login once, even if the browser repeats the request.
// detached is r with a context that outlives it.
func (c *Client) callbackOnce(w http.ResponseWriter, r, detached *http.Request, sessions *Sessions) (*Session, *oauth2.Token, error) {
	key, names := sessions.callbackKey(r)
	if len(names) == 0 { // nothing that would tell this browser from another one
		return c.callback(w, detached, sessions)
	}
	first := false
	session, token, err := c.callbacks.do(r.Context(), key, c.cfg.Now, func() (*Session, *oauth2.Token, error) {
		first = true
		return c.callback(w, detached, sessions)
	})
	if !first && session != nil {
		sessions.setCookie(w, sessions.cookieName(session.State), "", -1)
	}
	return session, token, err
}

func (c *Client) callback(w http.ResponseWriter, r *http.Request, sessions *Sessions) (*Session, *oauth2.Token, error) {
	callback, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: the query is malformed", ErrAuthorizationResponse)
	}
	session, err := c.takeSession(w, r, sessions, callback)
	if err != nil {
		return nil, nil, err
	}
	token, err := c.Finish(r.Context(), session, callback)
	return session, token, err
}

func (c *Client) takeSession(w http.ResponseWriter, r *http.Request, sessions *Sessions, callback url.Values) (*Session, error) {
	if c.responses == nil || !jose.IsEncrypted(callback.Get("response")) {
		return sessions.Take(w, r)
	}
	response, err := c.responses.VerifyValues(r.Context(), callback) // JARM-2.4-1: what it says nobody else can read
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAuthorizationResponse, err)
	}
	return sessions.takeOne(w, r, func(s *Session) bool { return response.CheckState(s.State) == nil })
}

// failLogin answers a user whose login has come to nothing.
func failLogin(w http.ResponseWriter, _ *http.Request, err error) {
	status, text := http.StatusBadGateway, "The login failed. Please try again."
	said := (*oauth2.RetrieveError)(nil)
	switch {
	case errors.Is(err, ErrCrossOrigin):
		status, text = http.StatusForbidden, "Please log in from a page of this site."
	case errors.Is(err, ErrSession):
		status, text = http.StatusBadRequest, "This login has expired, or was finished already. Please begin again."
	case errors.Is(err, ErrAuthorizationResponse):
		status, text = http.StatusBadRequest, "That was no answer to this login. Please begin again."
	case errors.Is(err, ErrStore), errors.Is(err, profile.ErrEvidence):
		status = http.StatusServiceUnavailable
	case errors.As(err, &said) && said.Response == nil: // the authorization response: it was the user, as a rule
		status, text = http.StatusForbidden, "The login was not granted ("+wire.Printable(said.ErrorCode)+")."
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	io.WriteString(w, text+"\n") //nolint:errcheck // the browser is gone
}
