package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/gofapi/fapi2/internal/jose"
	"golang.org/x/oauth2"
)

// LoginHandler is [Client.LoginHandler] for all servers of a set. request
// returns the issuer as well, usually the one that the user has chosen. Fail of
// sessions receives the errors of [Set.Client] too.
//
// LoginHandler panics if an argument is nil.
func (s *Set) LoginHandler(
	sessions *Sessions, request func(*http.Request) (issuer string, wanted Request, err error),
) http.Handler {
	if sessions == nil || request == nil {
		panic("client: LoginHandler without Sessions or request")
	}
	return loginHandler(sessions, func(r *http.Request) (*Client, Request, error) {
		issuer, wanted, err := request(r)
		if err != nil {
			return nil, Request{}, err
		}
		c, err := s.Client(r.Context(), issuer)
		return c, wanted, err
	})
}

// CallbackHandler is [Client.CallbackHandler] for all servers of a set. One
// handler serves one redirect URI or several. The session of the browser
// decides which client finishes the login, and never the response. That client
// rejects the response of another server (RFC 9207). done finds the server by
// the Issuer of the session.
//
// If the metadata of the server are not available, the session is not used up,
// and the user may reload the page.
//
// CallbackHandler panics if an argument is nil.
func (s *Set) CallbackHandler(
	sessions *Sessions, done func(w http.ResponseWriter, r *http.Request, session *Session, token *oauth2.Token),
) http.Handler {
	if sessions == nil || done == nil {
		panic("client: CallbackHandler without Sessions or done")
	}
	return callbackHandler(sessions, func(r *http.Request) (*Client, error) {
		return s.clientOf(r, sessions)
	}, done)
}

// clientOf returns the client of the session that a callback belongs to. It
// does not use up the session.
func (s *Set) clientOf(r *http.Request, sessions *Sessions) (*Client, error) {
	callback, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%w: malformed query", ErrAuthorizationResponse)
	}
	if jose.IsEncrypted(callback.Get("response")) {
		return s.clientOfEncrypted(r, sessions, callback)
	}
	// A forged state leads to no cookie, or to a session that the response does
	// not match.
	for _, state := range unverifiedStates(callback) {
		cookies := r.CookiesNamed(sessions.cookies.name(state))
		if len(cookies) == 0 {
			continue
		}
		sealed, err := sessions.cookies.open(cookies[0])
		if err != nil {
			return nil, err
		}
		return s.Client(r.Context(), sealed.Session.Issuer)
	}
	return nil, fmt.Errorf("%w: missing cookie", ErrSession)
}

// clientOfEncrypted finds the client that can decrypt a response, and whose
// session in this browser the response matches. It tries the servers of open
// sessions only, of which a browser has at most six.
func (s *Set) clientOfEncrypted(r *http.Request, sessions *Sessions, callback url.Values) (*Client, error) {
	var known, others []*Session // the user does not wait for another server that is down
	for _, cookie := range sessions.cookies.all(r) {
		sealed, err := sessions.cookies.open(cookie)
		switch {
		case err != nil || !sealed.Session.SignedResponse:
		case s.known(r.Context(), sealed.Session.Issuer):
			known = append(known, sealed.Session)
		default:
			others = append(others, sealed.Session)
		}
	}
	var unavailable []error
	for _, session := range append(known, others...) {
		c, err := s.Client(r.Context(), session.Issuer)
		if err != nil {
			unavailable = append(unavailable, err)
			continue
		}
		if c.responses == nil {
			continue
		}
		response, err := c.responses.VerifyValues(r.Context(), callback)
		if err == nil && response.CheckState(session.State) == nil {
			return c, nil
		}
	}
	if err := errors.Join(unavailable...); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: no session for the encrypted response", ErrSession)
}
