package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"sync"
	"time"

	"github.com/gofapi/fapi2/profile"
)

// discoveryLimit bounds one discovery, which consists of up to two requests.
const discoveryLimit = 30 * time.Second

// A renewal keeps the metadata of one server of a [Set]. It fetches them when
// they are used, and at most once at a time.
type renewal struct {
	template          *Client // configured, without metadata
	refresh, maxStale time.Duration
	report            func(ctx context.Context, issuer string, err error)

	mu      sync.Mutex
	fetched time.Time     // when the latest successful discovery began
	due     time.Time     // of the next discovery
	failure error         // of the latest discovery
	changed error         // the latest document that could be fetched has another issuer
	pause   time.Duration // after a failure
	flight  chan struct{} // closed at the end of the running discovery; nil if none runs
}

// client returns the newest generation of the client.
func (n *renewal) client(ctx context.Context) (*Client, error) {
	for start := true; ; start = false {
		c, flight, err := n.look(ctx, start)
		if flight == nil {
			return c, err
		}
		select {
		case <-flight:
		case <-ctx.Done():
			cause := context.Cause(ctx)
			return nil, fmt.Errorf("client: waiting for the metadata of %q: %w", n.template.cfg.Issuer, cause)
		}
	}
}

// look returns the current client, or the discovery for which the caller must
// wait. If start is true, look starts a discovery that is due.
func (n *renewal) look(ctx context.Context, start bool) (c *Client, flight <-chan struct{}, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.template.cfg.Hooks.Now()
	// After the clock was turned back, the pause after a failure continues.
	turnedBack := now.Before(n.fetched) && n.due.Sub(now) > 2*longestPause
	if start && n.flight == nil && (!now.Before(n.due) || turnedBack) {
		n.start(ctx, now)
	}
	c = n.template.shared.newest.Load()
	switch {
	case c != nil && now.Sub(n.fetched) < n.maxStale:
		return c, nil, nil
	case n.flight != nil && start:
		return nil, n.flight, nil
	}
	return nil, nil, fmt.Errorf("client: no metadata of %q, next attempt in %v: %w",
		n.template.cfg.Issuer, max(n.due.Sub(now), 0).Round(time.Second), n.failure)
}

// start starts a discovery. The caller holds the lock. The discovery does not
// depend on the end of ctx, because other callers wait for it, too. The
// goroutine ends with the discovery.
func (n *renewal) start(ctx context.Context, now time.Time) {
	flight, previous := make(chan struct{}), n.template.shared.newest.Load()
	n.flight = flight
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discoveryLimit)
	go func() {
		var next *Client
		err := errors.New("client: discovery aborted") // by runtime.Goexit in a transport
		defer func() {
			n.finish(next, now, err)
			close(flight)
			cancel()
			if err != nil && n.report != nil {
				defer func() { _ = recover() }() // a panic of Report ends only that call
				n.report(ctx, n.template.cfg.Issuer, err)
			}
		}()
		next, err = n.discover(ctx, previous)
	}()
}

// discover returns the next generation of the client. It is the previous one if
// the metadata have not changed. A panic in a transport or a key of the host
// would end the process, because no server recovers it in this goroutine.
func (n *renewal) discover(ctx context.Context, previous *Client) (next *Client, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("client: panic in the discovery: %w", p)
		default: // the value may contain a secret
			err = fmt.Errorf("client: panic in the discovery: %T", p)
		}
	}()
	generation := *n.template
	next = &generation
	if err := next.discover(ctx); err != nil {
		return nil, err
	}
	if previous != nil {
		if reflect.DeepEqual(previous.server, next.server) {
			return previous, nil
		}
		if previous.server.JWKSURI == next.server.JWKSURI {
			next.keys = previous.keys
		}
	}
	return next, next.connect()
}

// finish records the outcome of a discovery that began at a time.
func (n *renewal) finish(next *Client, began time.Time, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.flight, n.failure = nil, err
	if errors.Is(err, profile.ErrIssuerMismatch) {
		n.changed = err // an outage afterwards does not permit logins again
	}
	if err != nil {
		// Several processes must not repeat the request at the same time.
		n.pause = min(max(2*n.pause, firstPause), longestPause)
		n.due = n.template.cfg.Hooks.Now().Add(n.pause + rand.N(n.pause/4))
		return
	}
	n.template.shared.newest.Store(next)
	n.fetched, n.changed, n.pause, n.due = began, nil, 0, began.Add(n.refresh-rand.N(n.refresh/5))
}

// changedIssuer returns the error of a discovery that found another issuer,
// unless a later discovery has succeeded.
func (n *renewal) changedIssuer() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changed
}

// latest returns the newest generation of a client of a [Set], and c otherwise.
func (c *Client) latest(ctx context.Context) (*Client, error) {
	if c.shared.renewal == nil {
		return c, nil
	}
	return c.shared.renewal.client(ctx)
}

// forLogin is latest for a new login. Metadata of another issuer prevent it:
// the browser must not be sent to a server that the issuer no longer confirms
// (FAPI 2.0 Security Profile §5.3.3.1).
func (c *Client) forLogin(ctx context.Context) (*Client, error) {
	newest, err := c.latest(ctx)
	if err != nil || c.shared.renewal == nil {
		return newest, err
	}
	if err := c.shared.renewal.changedIssuer(); err != nil {
		return nil, fmt.Errorf("client: no login at %q: %w", c.cfg.Issuer, err)
	}
	return newest, nil
}

// last returns the newest generation without a request.
func (c *Client) last() *Client {
	if newest := c.shared.newest.Load(); newest != nil {
		return newest
	}
	return c
}
