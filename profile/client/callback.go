package client

import (
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"golang.org/x/oauth2"
)

const (
	// callbackMemory is the time for which the result of a login is kept after the
	// browser disconnected without the response. A user who reloads usually does
	// so at once.
	callbackMemory = time.Minute
	// maxCallbacks bounds the results that are kept.
	maxCallbacks = 1024
)

// callbacks holds the logins in progress and, for a while, the results of
// logins whose browser disconnected. A browser that repeats the callback
// request receives the same result, because the code can be redeemed only once.
type callbacks struct {
	mu   sync.Mutex
	runs map[[sha256.Size]byte]*callbackRun
}

// A callbackRun is one login. Its result may be read when done is closed.
type callbackRun struct {
	done    chan struct{}
	expires time.Time // zero while the login is being finished
	session *Session
	token   *oauth2.Token
	err     error
}

// do finishes a login once for all requests with the same key. finish must not
// depend on the browser's connection. A request that waits for another request
// returns the error of its context if its browser disconnects.
func (c *callbacks) do(
	ctx context.Context, key [sha256.Size]byte, now func() time.Time, finish func() (*Session, *oauth2.Token, error),
) (*Session, *oauth2.Token, error) {
	c.mu.Lock()
	c.sweep(now())
	run := c.runs[key]
	if run == nil {
		run = &callbackRun{done: make(chan struct{})}
		if c.runs == nil {
			c.runs = make(map[[sha256.Size]byte]*callbackRun)
		}
		c.runs[key] = run
		c.mu.Unlock()
		defer c.end(ctx, key, run, now) // also if a key or a transport of the host panics
		run.err = ErrSession
		run.session, run.token, run.err = finish()
		return run.result()
	}
	c.mu.Unlock()
	select {
	case <-run.done:
		c.received(ctx, key, run)
		return run.result()
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
}

// result returns copies, because the host may change what it receives.
func (run *callbackRun) result() (session *Session, token *oauth2.Token, err error) {
	if run.session != nil {
		session = new(Session)
		*session = *run.session
	}
	if run.token != nil {
		token = new(oauth2.Token)
		*token = *run.token
	}
	return session, token, run.err
}

// received forgets a result that a connected browser has received. A
// copy of the URL and the cookie is then worthless (FAPI 2.0 Attacker Model §5.4).
func (c *callbacks) received(ctx context.Context, key [sha256.Size]byte, run *callbackRun) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() == nil && c.runs[key] == run {
		delete(c.runs, key)
	}
}

// end releases the requests that wait for a login. It keeps the result if the
// browser has disconnected. It keeps no result without a session, because requests
// with forged cookies must not fill the memory.
func (c *callbacks) end(ctx context.Context, key [sha256.Size]byte, run *callbackRun, now func() time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(run.done)
	if ctx.Err() == nil || run.session == nil || len(c.runs) > maxCallbacks {
		delete(c.runs, key)
		return
	}
	run.expires = now().Add(callbackMemory)
}

func (c *callbacks) sweep(now time.Time) {
	for key, run := range c.runs {
		if !run.expires.IsZero() && !now.Before(run.expires) {
			delete(c.runs, key)
		}
	}
}

// callbackKey identifies a callback by its URL and by the sealed session
// cookies of the browser. names are the names of those cookies, and are empty
// if the browser sent none.
func (s *Sessions) callbackKey(r *http.Request) (key [sha256.Size]byte, names []string) {
	callback := r.URL.Query()
	wanted := make(map[string]bool)
	for _, state := range states(callback) {
		wanted[s.cookieName(state)] = true
	}
	all := jose.IsEncrypted(callback.Get("response")) // which does not show its state
	hash := sha256.New()
	for _, cookie := range r.Cookies() {
		if wanted[cookie.Name] || all && strings.HasPrefix(cookie.Name, s.prefix) {
			names = append(names, cookie.Name)
			io.WriteString(hash, cookie.Name+"\x00"+cookie.Value+"\x00") //nolint:errcheck // a hash takes everything
		}
	}
	io.WriteString(hash, r.URL.RawQuery) //nolint:errcheck // a hash takes everything
	return [sha256.Size]byte(hash.Sum(nil)), names
}

// isSpeculative reports whether the browser preloads a page that the user has
// not opened yet (Sec-Purpose of the Fetch standard, and its predecessors).
func isSpeculative(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		for _, value := range r.Header.Values(name) {
			value = strings.ToLower(value)
			if strings.Contains(value, "prefetch") || strings.Contains(value, "preview") || strings.Contains(value, "prerender") {
				return true
			}
		}
	}
	return false
}

// rejectSpeculative rejects a preload. The browser then loads the page when the
// user opens it.
func rejectSpeculative(w http.ResponseWriter, r *http.Request) bool {
	if !isSpeculative(r) {
		return false
	}
	w.Header().Set("Vary", "Sec-Purpose, Purpose")
	http.Error(w, "not loaded in advance", http.StatusServiceUnavailable)
	return true
}
