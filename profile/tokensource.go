package profile

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
)

const (
	// refreshEarly is the time before its expiry from which a token is no longer
	// used, as in package oauth2. It is at most one refreshPart of the lifetime.
	// Otherwise a token with a lifetime of seconds would be refreshed for every
	// request.
	refreshEarly = 10 * time.Second
	refreshPart  = 4
	// A source whose refresh has failed asks again after a pause, which doubles with each failure.
	firstPause, longestPause = time.Second, time.Minute
	// longestRetryAfter bounds what a server can ask for: it may be wrong about its own clock.
	longestRetryAfter = 10 * time.Minute
)

// TokenSource returns a source that refreshes token when it has expired or is
// about to expire: 10 seconds before its expiry, or a quarter of its lifetime
// before if that is less. The lifetime is the token's ExpiresIn. If that is 0,
// the lifetime counts as long.
//
// Make one source for each token and keep it. Store the returned token whenever
// it differs from the previous one, because the server may send new refresh
// tokens. All callers that need the new token wait for the same refresh. This
// includes callers of other sources with the same refresh token. Callers whose
// token is still valid do not wait.
//
// After a failure the source returns the same error without a request. It does
// so for one second, and for twice as long after each further failure, up to
// one minute. A Retry-After of the server replaces these times. Two errors are
// final. [ErrReauthorize]: the server has rejected the refresh token, and the
// source sends no further requests. [ErrNoRefreshToken]: the source has no
// refresh token.
//
// The source ends with ctx. A running refresh continues, because its response
// may be the only one with the new refresh token. A source is safe for
// concurrent use.
func (c *Client) TokenSource(ctx context.Context, token *oauth2.Token) oauth2.TokenSource {
	s := &tokenSource{ctx: ctx, client: c}
	if token == nil {
		token = &oauth2.Token{}
	}
	s.current.Store(token)
	return s
}

// tokenSource is the oauth2.TokenSource behind [Client.TokenSource].
type tokenSource struct {
	ctx     context.Context //nolint:containedctx // oauth2.TokenSource has no other place for it
	client  *Client
	current atomic.Pointer[oauth2.Token] // never nil

	mu     sync.Mutex // for what follows; nothing is waited for under it
	last   *refreshing
	failed error // of last; nil: the way is free
	until  time.Time
	pause  time.Duration
	// replacement is the access token that replaced a token rejected by an API.
	replacement string
}

// Token implements oauth2.TokenSource.
func (s *tokenSource) Token() (*oauth2.Token, error) { return s.tokenFor(s.ctx) }

// tokenFor is Token for a caller that may stop waiting before the refresh ends.
func (s *tokenSource) tokenFor(ctx context.Context) (*oauth2.Token, error) {
	token := s.current.Load()
	if token.AccessToken != "" && (token.Expiry.IsZero() || s.client.cfg.Now().Add(margin(token)).Before(token.Expiry)) {
		return token, nil
	}
	return s.refreshed(ctx, token)
}

// refreshed returns what replaces a token.
func (s *tokenSource) refreshed(ctx context.Context, token *oauth2.Token) (*oauth2.Token, error) {
	if err := s.resting(); err != nil {
		return nil, err
	}
	if token.RefreshToken == "" {
		return nil, ErrNoRefreshToken
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("profile: client: %w", context.Cause(ctx))
	}
	call := s.client.refresh(s, token)
	select {
	case <-call.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("profile: client: waiting for a refresh: %w", context.Cause(ctx))
	}
	switch {
	case call.panicked != nil:
		panic(call.panicked) // the host's key or transport: the host is to see it
	case call.err == nil:
		s.current.CompareAndSwap(token, call.token) // unless another caller that waited has done it
		s.succeeded(call)
		return call.token, nil
	}
	s.rest(call)
	return nil, call.err
}

// replace returns a new token for one that an API rejected before its expiry.
// The rejected token was revoked, or bound to a key that the client no longer
// has. replace refreshes once. If the API rejects the new token too, replace
// returns nil, because the fault is elsewhere.
func (s *tokenSource) replace(ctx context.Context, rejected string) *oauth2.Token {
	token := s.current.Load()
	if token.AccessToken != rejected {
		return token // another request has replaced it
	}
	s.mu.Lock()
	again := s.replacement == rejected
	s.mu.Unlock()
	if again {
		return nil
	}
	fresh, err := s.refreshed(ctx, token)
	if err != nil || fresh.AccessToken == rejected {
		return nil
	}
	s.mu.Lock()
	s.replacement = fresh.AccessToken
	s.mu.Unlock()
	return fresh
}

// margin returns how long before its expiry a token is no longer used.
func margin(token *oauth2.Token) time.Duration {
	if part := time.Duration(token.ExpiresIn) * time.Second / refreshPart; part > 0 {
		return min(part, refreshEarly)
	}
	return refreshEarly
}

// resting returns the last failure while the source must not send requests:
// during a pause, or permanently after a final error.
func (s *tokenSource) resting() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.failed, ErrReauthorize) {
		return s.failed
	}
	if wait := s.until.Sub(s.client.cfg.Now()); s.failed != nil && wait > 0 {
		return fmt.Errorf("profile: client: no refresh for %v, after: %w", wait.Round(time.Second), s.failed)
	}
	return nil
}

// rest notes a failure, once for all that waited for it.
func (s *tokenSource) rest(call *refreshing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == call || s.ctx.Err() != nil {
		return
	}
	s.pause = min(max(2*s.pause, firstPause), longestPause)
	s.last, s.failed = call, call.err
	s.until = s.client.cfg.Now().Add(max(s.pause, s.client.RetryAfter(call.err)))
}

func (s *tokenSource) succeeded(call *refreshing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.failed, s.pause = call, nil, 0
}

// refreshing is a refresh under way, or, when done is closed, what came of it.
type refreshing struct {
	ctx      context.Context //nolint:containedctx // of the source that began it; the refresh outlives it
	source   *tokenSource    // that one
	stale    *oauth2.Token   // what it had then
	done     chan struct{}
	token    *oauth2.Token
	err      error
	panicked any
}

// refreshes are those under way, by refresh token: where the server sends new ones, the second use of an old one would look
// like a thief's.
type refreshes struct {
	mu    sync.Mutex
	calls map[string]*refreshing
}

// refresh returns the refresh of this token that is under way, or begins it for a source.
func (c *Client) refresh(s *tokenSource, token *oauth2.Token) *refreshing {
	refreshToken := token.RefreshToken
	c.refreshes.mu.Lock()
	defer c.refreshes.mu.Unlock()
	if call := c.refreshes.calls[refreshToken]; call != nil {
		return call
	}
	call := &refreshing{ctx: s.ctx, source: s, stale: token, done: make(chan struct{})}
	if c.refreshes.calls == nil {
		c.refreshes.calls = make(map[string]*refreshing)
	}
	c.refreshes.calls[refreshToken] = call
	go c.run(call, refreshToken)
	return call
}

func (c *Client) run(call *refreshing, refreshToken string) {
	defer func() {
		call.panicked = recover()
		c.refreshes.mu.Lock()
		if c.refreshes.calls[refreshToken] == call {
			delete(c.refreshes.calls, refreshToken)
		}
		c.refreshes.mu.Unlock()
		close(call.done)
	}()
	call.err = errors.New("profile: client: a refresh did not end") // runtime.Goexit in a key or a transport
	call.token, call.err = c.Refresh(context.WithoutCancel(call.ctx), refreshToken, Request{})
	if call.err == nil { // though everybody has given up waiting: the server may know the old refresh token no longer
		call.source.current.CompareAndSwap(call.stale, call.token)
	}
	if said := (*oauth2.RetrieveError)(nil); errors.As(call.err, &said) && said.Response != nil {
		said.Response.Body = http.NoBody // which two could not read at once
	}
}

// RetryAfter returns for how long the server has asked to be left alone, in an error of this client's: by Retry-After, as a
// rule with status 503 or 429. At most 10 minutes, 0 if it has not asked. Requests are not repeated for it.
func (c *Client) RetryAfter(err error) time.Duration {
	said := (*oauth2.RetrieveError)(nil)
	if !errors.As(err, &said) || said.Response == nil {
		return 0
	}
	value := strings.TrimSpace(said.Response.Header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, longestRetryAfter)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(c.cfg.Now()), 0), longestRetryAfter)
	}
	return 0
}
