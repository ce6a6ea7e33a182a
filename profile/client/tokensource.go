package client

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
	failed error      // of the last refresh; if nil, a refresh may start
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
		return nil, fmt.Errorf("client: %w", context.Cause(ctx))
	}
	call, err := s.client.refresh(s, token)
	if err != nil {
		return nil, err
	}
	if call == nil {
		return s.current.Load(), nil
	}
	select {
	case <-call.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("client: waiting for a refresh: %w", context.Cause(ctx))
	}
	if call.panicked != nil {
		panic(call.panicked) // the host's key or transport: the host is to see it
	}
	return call.token, call.err
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
		return fmt.Errorf("client: no refresh for %v, after: %w", wait.Round(time.Second), s.failed)
	}
	return nil
}

// ended records the result of a refresh: the token that replaces stale, or a
// failure.
func (s *tokenSource) ended(stale, token *oauth2.Token, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.current.CompareAndSwap(stale, token)
		s.failed, s.pause = nil, 0
		return
	}
	s.pause = min(max(2*s.pause, firstPause), longestPause)
	s.failed = err
	s.until = s.client.cfg.Now().Add(max(s.pause, s.client.RetryAfter(err)))
}

// refreshing is a refresh under way. Its result may be read when done is closed.
type refreshing struct {
	ctx context.Context //nolint:containedctx // of the source that began it; the refresh outlives it
	// sources are the sources that wait for the refresh or have stopped waiting,
	// each with the token that the refresh replaces.
	sources  map[*tokenSource]*oauth2.Token
	done     chan struct{}
	token    *oauth2.Token
	err      error
	panicked any
}

// refreshes holds the running refreshes by refresh token. A server that sends new
// refresh tokens takes the second use of an old one for an attack and ends the
// grant.
type refreshes struct {
	mu    sync.Mutex
	calls map[string]*refreshing
}

// refresh returns the running refresh of this token, or begins it for a source. If
// a refresh of the source has ended since the caller loaded the token, refresh
// begins none. It then returns the failure, or nil if the source has a new token.
func (c *Client) refresh(s *tokenSource, token *oauth2.Token) (*refreshing, error) {
	c.refreshes.mu.Lock()
	defer c.refreshes.mu.Unlock()
	if call := c.refreshes.calls[token.RefreshToken]; call != nil {
		call.sources[s] = token
		return call, nil
	}
	if s.current.Load() != token {
		return nil, nil //nolint:nilnil // there is nothing to wait for
	}
	if err := s.resting(); err != nil {
		return nil, err
	}
	call := &refreshing{ctx: s.ctx, sources: map[*tokenSource]*oauth2.Token{s: token}, done: make(chan struct{})}
	if c.refreshes.calls == nil {
		c.refreshes.calls = make(map[string]*refreshing)
	}
	c.refreshes.calls[token.RefreshToken] = call
	go c.run(call, token.RefreshToken)
	return call, nil
}

func (c *Client) run(call *refreshing, refreshToken string) {
	defer func() {
		call.panicked = recover()
		c.end(call, refreshToken)
	}()
	call.err = errors.New("client: a refresh did not end") // runtime.Goexit in a key or a transport
	call.token, call.err = c.Refresh(context.WithoutCancel(call.ctx), refreshToken, Request{})
	if said := (*oauth2.RetrieveError)(nil); errors.As(call.err, &said) && said.Response != nil {
		said.Response.Body = http.NoBody // which two could not read at once
	}
}

// end records the result of a refresh in all its sources, even if all callers have
// stopped waiting. No further refresh of the same token can begin before that.
func (c *Client) end(call *refreshing, refreshToken string) {
	c.refreshes.mu.Lock()
	defer c.refreshes.mu.Unlock()
	defer close(call.done)
	delete(c.refreshes.calls, refreshToken)
	if call.panicked != nil {
		return
	}
	for s, stale := range call.sources {
		s.ended(stale, call.token, call.err)
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
