package client

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"golang.org/x/oauth2"
)

// A refreshGroup runs one refresh at a time for each refresh token (single
// flight). A server that rotates refresh tokens takes the second use of an old
// one for an attack and ends the grant.
type refreshGroup struct {
	refresh func(ctx context.Context, refreshToken string) (*oauth2.Token, error)

	mu    sync.Mutex
	calls map[string]*refreshCall // by refresh token
}

// A refreshCall is one refresh. Its result may be read when done is closed.
type refreshCall struct {
	// sources are the sources that take part, even if their callers have
	// stopped waiting, each with the token that the refresh replaces.
	sources  map[*tokenSource]*oauth2.Token
	done     chan struct{}
	token    *oauth2.Token
	err      error
	panicked any
}

// join returns the running refresh of a token, or starts it. If a refresh of
// the source has ended since the caller loaded the token, join starts none. It
// then returns the failure, or nil if the source has a new token.
func (g *refreshGroup) join(s *tokenSource, token *oauth2.Token) (*refreshCall, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if call := g.calls[token.RefreshToken]; call != nil {
		call.sources[s] = token
		return call, nil
	}
	if s.current.Load() != token {
		return nil, nil //nolint:nilnil // there is no refresh to wait for
	}
	if err := s.paused(); err != nil {
		return nil, err
	}
	call := &refreshCall{sources: map[*tokenSource]*oauth2.Token{s: token}, done: make(chan struct{})}
	if g.calls == nil {
		g.calls = make(map[string]*refreshCall)
	}
	g.calls[token.RefreshToken] = call
	go g.run(withProofKey(context.WithoutCancel(s.ctx), proofKeyOf(token)), call, token.RefreshToken)
	return call, nil
}

// run continues even if all callers stop waiting: the response may be the only
// one with the new refresh token.
func (g *refreshGroup) run(ctx context.Context, call *refreshCall, refreshToken string) {
	defer func() {
		call.panicked = recover()
		g.end(call, refreshToken)
	}()
	call.err = errors.New("client: refresh aborted") // by runtime.Goexit in a key or a transport
	call.token, call.err = g.refresh(ctx, refreshToken)
	if received := (*oauth2.RetrieveError)(nil); errors.As(call.err, &received) && received.Response != nil {
		received.Response.Body = http.NoBody // several callers receive it, and a body can be read once
	}
}

// end records the result in all sources before another refresh of the same
// token can start.
func (g *refreshGroup) end(call *refreshCall, refreshToken string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	defer close(call.done)
	delete(g.calls, refreshToken)
	if call.panicked != nil {
		return
	}
	for s, stale := range call.sources {
		s.refreshed(stale, call.token, call.err)
	}
}
