package client

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// loginMemory is the time for which the result of a login is kept after the
	// browser disconnected without the response. A user who reloads usually
	// does so at once.
	loginMemory = time.Minute
	// maxLogins bounds the results that are kept.
	maxLogins = 1024
)

// A loginGroup finishes each login once (single flight). For a while it keeps
// the results of logins whose browser disconnected. A browser that repeats the
// callback receives the same result, because the code can be redeemed only
// once.
type loginGroup struct {
	mu    sync.Mutex
	calls map[[sha256.Size]byte]*loginCall
}

// A loginCall is one login. Its result may be read when done is closed.
type loginCall struct {
	done    chan struct{}
	expires time.Time // zero until the login is finished
	result  login
	err     error
}

// do finishes a login once for all requests with the same key. finish must not
// depend on the browser's connection. A request that waits for another request
// returns the error of its context if its browser disconnects.
func (g *loginGroup) do(
	ctx context.Context, key [sha256.Size]byte, now func() time.Time, finish func() (login, error),
) (login, error) {
	call, first := g.join(key, now())
	if first {
		defer g.end(ctx, key, call, now) // also if a key or a transport of the host panics
		call.err = ErrSession
		call.result, call.err = finish()
		return call.result.clone(), call.err
	}
	select {
	case <-call.done:
		g.received(ctx, key, call)
		return call.result.clone(), call.err
	case <-ctx.Done():
		return login{}, context.Cause(ctx)
	}
}

// join returns the call of a key. It creates the call for the first request.
func (g *loginGroup) join(key [sha256.Size]byte, now time.Time) (call *loginCall, first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for k, old := range g.calls {
		if !old.expires.IsZero() && !now.Before(old.expires) {
			delete(g.calls, k)
		}
	}
	if call = g.calls[key]; call != nil {
		return call, false
	}
	if g.calls == nil {
		g.calls = make(map[[sha256.Size]byte]*loginCall)
	}
	call = &loginCall{done: make(chan struct{})}
	g.calls[key] = call
	return call, true
}

// received forgets a result that a connected browser has received. A copy of
// the URL and the cookie is then worthless (FAPI 2.0 Attacker Model §5.4).
func (g *loginGroup) received(ctx context.Context, key [sha256.Size]byte, call *loginCall) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ctx.Err() == nil && g.calls[key] == call {
		delete(g.calls, key)
	}
}

// end releases the requests that wait for a login. It keeps the result if the
// browser has disconnected. It keeps no result without a session, because
// requests with forged cookies must not fill the memory.
func (g *loginGroup) end(ctx context.Context, key [sha256.Size]byte, call *loginCall, now func() time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(call.done)
	if ctx.Err() == nil || call.result.session == nil || len(g.calls) > maxLogins {
		delete(g.calls, key)
		return
	}
	call.expires = now().Add(loginMemory)
}

// clone returns copies, because the host may change what it receives.
func (l login) clone() (out login) {
	if l.session != nil {
		session := *l.session
		out.session = &session
	}
	if l.token != nil {
		token := *l.token
		out.token = &token
	}
	return out
}
