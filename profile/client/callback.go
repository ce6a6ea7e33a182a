package client

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/jarm"
	"golang.org/x/oauth2"
)

// maxSignedResponse bounds a signed authorization response, which comes in a
// URL.
const maxSignedResponse = 64 << 10

// CallbackHandler serves the redirect URI. It removes the session from the
// browser, finishes it ([Client.Finish]) and calls done with the token. done
// writes the response. It logs the user in with a cookie of the host, and
// redirects the browser away from the URL with the code. [Subject] and
// [IDToken] identify the user. Errors go to Fail of sessions. The session is
// then used up, and the user must start again.
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
	return callbackHandler(sessions, func(*http.Request) (*Client, error) { return c, nil }, done)
}

// callbackHandler finishes logins at the client that find returns.
func callbackHandler(
	sessions *Sessions, find func(*http.Request) (*Client, error),
	done func(w http.ResponseWriter, r *http.Request, session *Session, token *oauth2.Token),
) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Referrer-Policy", "no-referrer") // the URL contains the code
		if r.Method != http.MethodGet {                  // a HEAD of a link checker would use up the code
			rejectMethod(w, http.MethodGet)
			return
		}
		if rejectSpeculative(w, r) {
			return
		}
		detached := r.WithContext(context.WithoutCancel(r.Context()))
		c, err := find(r)
		if err != nil {
			sessions.cfg.Fail(w, detached, err)
			return
		}
		login, err := c.callbackOnce(w, r, detached, sessions)
		if err != nil {
			sessions.cfg.Fail(w, detached, err)
			return
		}
		done(w, detached, login.session, login.token)
	})
}

// A login is the result of a callback. The session is not nil if the callback
// used one up, even if the login failed.
type login struct {
	session *Session
	token   *oauth2.Token
}

// callbackOnce finishes a login once, even if the browser repeats the request.
// detached is r with a context that outlives it.
func (c *Client) callbackOnce(w http.ResponseWriter, r, detached *http.Request, sessions *Sessions) (login, error) {
	key, ok := sessions.callbackKey(r)
	if !ok { // without a cookie, all browsers would share the result
		return c.callback(w, detached, sessions)
	}
	first := false
	result, err := c.shared.logins.do(r.Context(), key, c.cfg.Hooks.Now, func() (login, error) {
		first = true
		return c.callback(w, detached, sessions)
	})
	if !first && result.session != nil {
		sessions.cookies.remove(w, sessions.cookies.name(result.session.State))
	}
	return result, err
}

func (c *Client) callback(w http.ResponseWriter, r *http.Request, sessions *Sessions) (login, error) {
	callback, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return login{}, fmt.Errorf("%w: malformed query", ErrAuthorizationResponse)
	}
	session, err := c.takeSession(w, r, sessions, callback)
	if err != nil {
		return login{}, err
	}
	token, err := c.Finish(r.Context(), session, callback)
	return login{session, token}, err
}

func (c *Client) takeSession(
	w http.ResponseWriter, r *http.Request, sessions *Sessions, callback url.Values,
) (*Session, error) {
	if c.responses == nil || !jose.IsEncrypted(callback.Get("response")) {
		return sessions.Take(w, r)
	}
	return sessions.takeMatching(w, r, func() (*jarm.Response, error) {
		response, err := c.responses.VerifyValues(r.Context(), callback) // JARM-2.4-1: only this client can decrypt it
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAuthorizationResponse, err)
		}
		return response, nil
	})
}

// callbackKey identifies a callback by its URL and by the session cookies that
// it may use. It returns false if the browser sent no such cookie.
func (s *Sessions) callbackKey(r *http.Request) (key [sha256.Size]byte, ok bool) {
	callback := r.URL.Query()
	var names []string
	for _, state := range unverifiedStates(callback) {
		names = append(names, s.cookies.name(state))
	}
	encrypted := jose.IsEncrypted(callback.Get("response")) // it does not show its state
	hash := sha256.New()
	for _, cookie := range s.cookies.all(r) {
		if encrypted || slices.Contains(names, cookie.Name) {
			ok = true
			io.WriteString(hash, cookie.Name+"\x00"+cookie.Value+"\x00") //nolint:errcheck // a hash does not fail
		}
	}
	io.WriteString(hash, r.URL.RawQuery) //nolint:errcheck // a hash does not fail
	return [sha256.Size]byte(hash.Sum(nil)), ok
}

// unverifiedStates returns the state parameter of a callback and the state in
// its signed response. A forged state leads to no cookie, or to a session that
// the response does not match.
func unverifiedStates(callback url.Values) (states []string) {
	if state := callback.Get("state"); state != "" {
		states = append(states, state)
	}
	response, err := jose.Split(callback.Get("response"), maxSignedResponse)
	if err != nil {
		return states
	}
	claims, err := response.PeerClaims()
	if err != nil {
		return states
	}
	if state, _, err := claims.String("state"); err == nil && state != "" {
		states = append(states, state)
	}
	return states
}
