package client

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
)

const (
	// refreshEarly is the time before its expiry from which a token is no
	// longer used, as in package oauth2. It is at most one refreshPart of the
	// lifetime. Otherwise a token with a lifetime of seconds would be refreshed
	// for every request.
	refreshEarly = 10 * time.Second
	refreshPart  = 4
)

// TokenSource returns a source that refreshes token shortly before it expires.
// This is 10 seconds before the expiry, or a quarter of the token's lifetime if
// that is less. The lifetime is the token's ExpiresIn. If that is 0, the
// lifetime counts as long.
//
// Make one source for each token and keep it. Store the returned token whenever
// it differs from the previous one, because the server may send new refresh
// tokens. All callers that need the new token wait for the same refresh. This
// includes callers of other sources with the same refresh token. Callers whose
// token is still valid do not wait.
//
// After a failure the source returns the same error without a request. It does
// so for one second, and for twice as long after each further failure, up to
// one minute. A longer Retry-After of the server replaces these times. Two
// errors are final. [ErrReauthorize]: the server has rejected the refresh
// token, and the source sends no further requests. [ErrNoRefreshToken]: the
// source has no refresh token.
//
// The source ends with ctx. A running refresh continues, because its response
// may be the only one with the new refresh token. A source is safe for
// concurrent use.
func (c *Client) TokenSource(ctx context.Context, token *oauth2.Token) oauth2.TokenSource {
	if token == nil {
		token = &oauth2.Token{}
	}
	return c.newTokenSource(ctx, token)
}

func (c *Client) newTokenSource(ctx context.Context, token *oauth2.Token) *tokenSource {
	s := &tokenSource{ctx: ctx, now: c.cfg.Hooks.Now, retryAfter: c.RetryAfter, group: &c.shared.refreshes}
	s.current.Store(token)
	return s
}

// tokenSource is the oauth2.TokenSource of [Client.TokenSource] and, without
// [Config.Tokens], of [Client.ClientCredentialsSource].
type tokenSource struct {
	ctx        context.Context //nolint:containedctx // oauth2.TokenSource has no other place for it
	now        func() time.Time
	retryAfter func(error) time.Duration
	group      *refreshGroup
	own        bool                         // the client's own tokens, which need no refresh token
	current    atomic.Pointer[oauth2.Token] // never nil

	mu      sync.Mutex // for the following fields; it is not held while a caller waits
	backoff backoff
	// replacement is the access token that replaced a token rejected by an API.
	replacement string
}

// Token implements oauth2.TokenSource.
func (s *tokenSource) Token() (*oauth2.Token, error) { return s.tokenFor(s.ctx) }

// tokenFor is Token for a caller that may stop waiting before the refresh ends.
func (s *tokenSource) tokenFor(ctx context.Context) (*oauth2.Token, error) {
	token := s.current.Load()
	if token.AccessToken != "" && (token.Expiry.IsZero() || s.now().Add(margin(token)).Before(token.Expiry)) {
		return token, nil
	}
	return s.refresh(ctx, token)
}

// margin returns how long before its expiry a token is no longer used.
func margin(token *oauth2.Token) time.Duration {
	if part := time.Duration(token.ExpiresIn) * time.Second / refreshPart; part > 0 {
		return min(part, refreshEarly)
	}
	return refreshEarly
}

// refresh returns the token that replaces a token.
func (s *tokenSource) refresh(ctx context.Context, token *oauth2.Token) (*oauth2.Token, error) {
	if err := s.paused(); err != nil {
		return nil, err
	}
	if token.RefreshToken == "" && !s.own {
		return nil, ErrNoRefreshToken
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("client: %w", context.Cause(ctx))
	}
	call, err := s.group.join(s, token)
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
		panic(call.panicked) // a key or a transport of the host has failed
	}
	return call.token, call.err
}

// replace obtains a new token for one that an API rejected before its expiry.
// The rejected token was revoked, or bound to a key that the client no longer
// has. replace refreshes once. If the API rejects the new token too, replace
// returns false, because the fault is elsewhere.
func (s *tokenSource) replace(ctx context.Context, rejected string) bool {
	token := s.current.Load()
	if token.AccessToken != rejected {
		return true // another request has replaced it
	}
	s.mu.Lock()
	again := s.replacement == rejected
	s.mu.Unlock()
	if again {
		return false
	}
	fresh, err := s.refresh(ctx, token)
	if err != nil || fresh.AccessToken == rejected {
		return false
	}
	s.mu.Lock()
	s.replacement = fresh.AccessToken
	s.mu.Unlock()
	return true
}

// paused returns the last failure while the source must not send requests.
func (s *tokenSource) paused() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.backoff.check(s.now())
}

// refreshed records the result of a refresh: the token that replaces stale, or
// a failure.
func (s *tokenSource) refreshed(stale, token *oauth2.Token, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.backoff.failed(err, s.now(), s.retryAfter(err))
		return
	}
	s.current.CompareAndSwap(stale, token)
	s.backoff = backoff{}
}
