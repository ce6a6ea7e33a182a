// Package refresh keeps values that a function of the host loads, such as keys
// in a file or in a secret store. A value is loaded again while it is in use.
//
// A [Value] starts no goroutine that outlives a call of the function. While the
// function works, no value in use is older than [Config].Every. Callers wait
// for the function only if the value was unused for that long. While the
// function fails, the old value serves and nothing waits.
package refresh

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultEvery is the default of Every.
const DefaultEvery = time.Minute

const (
	minEvery = 10 * time.Second
	maxEvery = time.Hour
	// longestCall bounds one call of Load.
	longestCall             = 10 * time.Second
	firstPause, longestWait = time.Second, time.Minute
)

// errOverdue means that Load did not return in time.
var errOverdue = errors.New("no answer in time")

// Config configures a [Value].
type Config[T any] struct {
	// Load returns the next value. It receives the current value. At most one
	// call runs at any time. If nil, the value does not change.
	Load func(ctx context.Context, old T) (T, error)
	// Every is the longest age of a value in use while Load works.
	Every time.Duration
	// Observe receives the outcome of each call of Load. It is called outside
	// locks. A panic of Observe ends only that call. If nil, nothing is
	// observed.
	Observe func(ctx context.Context, took time.Duration, err error)
	// Now is the clock. Required.
	Now func() time.Time
}

// CheckEvery returns an error for an interval that is too short or too long.
func CheckEvery(d time.Duration) error {
	if d < minEvery || d > maxEvery {
		return fmt.Errorf("invalid KeyRefresh %v, want %v to %v", d, minEvery, maxEvery)
	}
	return nil
}

// First calls load for the first value, with the time limit of later calls.
func First[T any](load func(ctx context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(context.Background(), longestCall)
	defer cancel()
	return load(ctx)
}

// A Value is a value that is loaded again while it is used. It is safe for
// concurrent use.
type Value[T any] struct {
	cfg   Config[T]
	state atomic.Pointer[state[T]]

	mu       sync.Mutex
	call     *call // the running call, or nil
	failures int   // in a row
	failed   time.Time
}

// A state is never changed. From from until next, it serves without a lock.
type state[T any] struct {
	value      T
	asked      time.Time // when the call began that returned the value
	from, next time.Time
}

func (s *state[T]) serves(now time.Time) bool { return now.Before(s.next) && !now.Before(s.from) }

// A call is one call of Load. Its context is done when the call has ended or is
// overdue.
type call struct {
	ctx   context.Context
	began time.Time
	ended bool
	late  bool  // reported as overdue
	err   error // once ended
}

// New returns a Value that begins with value, which was asked for at a time.
func New[T any](cfg Config[T], value T, asked time.Time) *Value[T] {
	v := &Value[T]{cfg: cfg}
	first := &state[T]{value: value, asked: asked, from: asked.Add(-cfg.Every), next: asked.Add(cfg.Every / 2)}
	if cfg.Load == nil {
		first.from, first.next = time.Time{}, time.Unix(1<<60, 0)
	}
	v.state.Store(first)
	return v
}

// At returns the current value. It may wait for Load: see the package comment.
// It then waits at most until ctx is done.
func (v *Value[T]) At(ctx context.Context, now time.Time) T {
	if s := v.state.Load(); s.serves(now) {
		return s.value
	}
	return v.renew(ctx, now)
}

// Latest returns the value of the latest call. It never waits and starts no
// call.
func (v *Value[T]) Latest() T { return v.state.Load().value }

// renew starts a call if one is due, and waits for it if the value is too old.
func (v *Value[T]) renew(ctx context.Context, now time.Time) T {
	v.mu.Lock()
	s := v.state.Load()
	if !s.serves(now) && v.call == nil {
		v.start(ctx, now)
	}
	running := v.call
	tooOld := now.Sub(s.asked) >= v.cfg.Every && !v.failing(now)
	v.mu.Unlock()
	if running != nil && tooOld {
		running.wait(ctx)
	}
	return v.state.Load().value
}

// failing reports whether a recent call has failed. The next call would
// probably fail too, so nothing waits for it.
func (v *Value[T]) failing(now time.Time) bool {
	return v.failures > 0 && now.Sub(v.failed) < v.cfg.Every
}

func (c *call) wait(ctx context.Context) {
	select {
	case <-c.ctx.Done():
	case <-ctx.Done():
	}
}

// Refresh calls Load now and returns its error. The call begins after the call
// of Refresh, and may be shared with other callers.
func (v *Value[T]) Refresh(ctx context.Context) error {
	if v.cfg.Load == nil {
		return nil
	}
	for later := false; ; later = true { // a call that ran before may have read an older value
		v.mu.Lock()
		running := v.call
		if running == nil {
			running, later = v.start(ctx, v.cfg.Now()), true
		}
		v.mu.Unlock()
		running.wait(ctx)
		v.mu.Lock()
		ended, err := running.ended, running.err
		v.mu.Unlock()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !ended:
			return errOverdue
		case later:
			return err
		}
	}
}

// start starts a call. The caller holds the lock. The call does not depend on
// the end of ctx, because other callers wait for it, too. The goroutine ends
// with the call.
func (v *Value[T]) start(ctx context.Context, now time.Time) *call {
	limit := min(longestCall, v.cfg.Every/4)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	c := &call{ctx: ctx, began: now}
	v.call = c
	old := *v.state.Load()
	serving := old
	serving.from, serving.next = now.Add(-v.cfg.Every), old.asked.Add(v.cfg.Every)
	if v.failing(now) {
		serving.next = now.Add(limit)
	}
	v.state.Store(&serving)
	context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) && v.overdue(c) {
			v.observe(c, errOverdue)
		}
	})
	go func() {
		defer cancel()
		value, err := v.load(ctx, old.value)
		if v.finish(c, value, err) {
			v.observe(c, err)
		}
	}()
	return c
}

// load calls Load. A panic would end the process, because no server recovers it
// in this goroutine. Its value is reported if it cannot contain a secret.
func (v *Value[T]) load(ctx context.Context, old T) (value T, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("panic in the source: %w", p)
		default:
			err = fmt.Errorf("panic in the source: %T", p)
		}
	}()
	return v.cfg.Load(ctx, old)
}

// overdue records that a call did not end in time. It reports whether the call
// still runs. No other call starts before its end.
func (v *Value[T]) overdue(c *call) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c.ended {
		return false
	}
	c.late = true
	v.pause()
	return true
}

// finish records the outcome of a call. It returns false if the call has been
// reported before.
func (v *Value[T]) finish(c *call, value T, err error) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.call, c.ended, c.err = nil, true, err
	if err != nil {
		if !c.late {
			v.pause()
		}
		return !c.late
	}
	v.failures = 0
	v.state.Store(&state[T]{
		value: value, asked: c.began, from: c.began.Add(-v.cfg.Every), next: c.began.Add(v.cfg.Every / 2),
	})
	return true
}

// pause keeps the value and backs off. The pause and a call together are
// shorter than Every, so that failing stays true during an outage.
func (v *Value[T]) pause() {
	now := v.cfg.Now()
	v.failures, v.failed = min(v.failures+1, 10), now
	kept := *v.state.Load()
	kept.from = now.Add(-v.cfg.Every)
	kept.next = now.Add(min(firstPause<<(v.failures-1), v.cfg.Every/4, longestWait))
	v.state.Store(&kept)
}

// observe calls Observe. Like a panic of Load, a panic would end the process,
// for example at the first outage of the source.
func (v *Value[T]) observe(c *call, err error) {
	defer func() { _ = recover() }()
	if v.cfg.Observe != nil {
		v.cfg.Observe(context.WithoutCancel(c.ctx), v.cfg.Now().Sub(c.began), err)
	}
}
