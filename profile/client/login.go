package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/gofapi/fapi2/internal/syntax"
	"github.com/gofapi/fapi2/profile"
	"golang.org/x/oauth2"
)

// ErrCrossOrigin means that another site may have sent the login request in the
// name of the user. [Client.LoginHandler] returns it.
var ErrCrossOrigin = errors.New("client: login request from another origin")

// LoginHandler begins a login and redirects the browser to the authorization
// server. The login button of the application POSTs to it. A link sends GET,
// which only [SessionsConfig].AllowGET permits. request returns the parameters
// of the authorization request. It may read the HTTP request, for example to
// store the next page in [Request.Keep]. If request returns an error, the login
// fails. Fail of sessions receives all errors.
//
// LoginHandler rejects requests from other sites with [ErrCrossOrigin] before
// it calls request (FAPI 2.0 Security Profile §5.3.3.1). Otherwise another site
// could log the user in without the user's intention.
//
// LoginHandler panics if an argument is nil.
func (c *Client) LoginHandler(sessions *Sessions, request func(*http.Request) (Request, error)) http.Handler {
	if sessions == nil || request == nil {
		panic("client: LoginHandler without Sessions or request")
	}
	return loginHandler(sessions, func(r *http.Request) (*Client, Request, error) {
		wanted, err := request(r)
		return c, wanted, err
	})
}

// loginHandler begins logins at the client that choose returns.
func loginHandler(sessions *Sessions, choose func(*http.Request) (*Client, Request, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		switch {
		case r.Method == http.MethodPost:
		case r.Method == http.MethodGet && sessions.cfg.AllowGET:
		case sessions.cfg.AllowGET:
			rejectMethod(w, "GET, POST")
			return
		default:
			rejectMethod(w, "POST")
			return
		}
		if rejectSpeculative(w, r) {
			return
		}
		target, err := sessions.login(w, r, choose)
		if err != nil {
			sessions.cfg.Fail(w, r, err)
			return
		}
		http.Redirect(w, r, target, http.StatusSeeOther)
	})
}

// login returns the URL of the authorization request.
func (s *Sessions) login(
	w http.ResponseWriter, r *http.Request, choose func(*http.Request) (*Client, Request, error),
) (string, error) {
	if err := s.checkOrigin(r); err != nil {
		return "", err
	}
	c, wanted, err := choose(r)
	if err != nil {
		return "", err
	}
	session, err := c.Begin(r.Context(), wanted)
	if err != nil {
		return "", err
	}
	return session.URL, s.Put(w, r, session)
}

// checkOrigin rejects a login that the user did not start (SP-5.3.3.1-12).
func (s *Sessions) checkOrigin(r *http.Request) error {
	if r.Method != http.MethodGet {
		if err := s.cfg.CrossOrigin.Check(r); err != nil {
			return fmt.Errorf("%w: %w", ErrCrossOrigin, err)
		}
		return nil
	}
	// An image or a frame in a page of the same origin may come from another
	// user of the application. Each such login would push an earlier one out of
	// the browser.
	if dest := r.Header.Get("Sec-Fetch-Dest"); dest != "" && dest != "document" {
		return fmt.Errorf("%w: GET with Sec-Fetch-Dest %.16q", ErrCrossOrigin, dest)
	}
	switch site := r.Header.Get("Sec-Fetch-Site"); site { // CrossOriginProtection accepts every GET
	case "same-origin", "none":
		return nil
	default:
		return fmt.Errorf("%w: GET with Sec-Fetch-Site %.16q", ErrCrossOrigin, site)
	}
}

func rejectMethod(w http.ResponseWriter, allowed string) {
	w.Header().Set("Allow", allowed)
	http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
}

// rejectSpeculative rejects a preload: a request for a page that the user has
// not opened. The browser repeats the request when the user opens the page.
func rejectSpeculative(w http.ResponseWriter, r *http.Request) bool {
	// The Fetch standard defines the first header, the others are its
	// predecessors.
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		purpose := strings.ToLower(strings.Join(r.Header.Values(name), ","))
		for _, word := range []string{"prefetch", "prerender", "preview"} {
			if strings.Contains(purpose, word) {
				w.Header().Set("Vary", "Sec-Purpose, Purpose")
				http.Error(w, "not loaded in advance", http.StatusServiceUnavailable)
				return true
			}
		}
	}
	return false
}

// failLogin is the default of [SessionsConfig.Fail].
func failLogin(w http.ResponseWriter, _ *http.Request, err error) {
	status, text := http.StatusBadGateway, "The login failed. Please try again."
	var received *oauth2.RetrieveError
	switch {
	case errors.Is(err, ErrCrossOrigin):
		status, text = http.StatusForbidden, "Please log in from a page of this site."
	case errors.Is(err, ErrUnknownServer):
		status, text = http.StatusNotFound, "There is no such login here."
	case errors.Is(err, ErrSession):
		status, text = http.StatusBadRequest, "This login has expired, or was finished already. Please begin again."
	case errors.Is(err, ErrAuthorizationResponse):
		status, text = http.StatusBadRequest, "This response does not belong to your login. Please begin again."
	case errors.Is(err, ErrStore), errors.Is(err, profile.ErrEvidence):
		status = http.StatusServiceUnavailable
	case errors.As(err, &received) && received.Response == nil: // usually a decision of the user
		status, text = http.StatusForbidden, "The login was not granted ("+syntax.ErrorText(received.ErrorCode)+")."
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	io.WriteString(w, text+"\n") //nolint:errcheck // the browser has disconnected
}
