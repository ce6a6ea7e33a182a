package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/profile"
	"golang.org/x/oauth2"
)

const (
	// leaseMargin is the part of a lease after the timeout of a refresh. It
	// suffices to save the token.
	leaseMargin = 15 * time.Second
	// claimLimit bounds the time of a claim, which is a part of the lease.
	claimLimit = 5 * time.Second
	// sendLimit bounds the time from the beginning of the claim until the
	// refresh is sent. A slow hardware module or a suspended process may exceed
	// it. Otherwise two processes could send one refresh token.
	sendLimit = 10 * time.Second
	// takeover is the time for which a process waits after the end of a lease
	// that was not released. The holder may have a refreshed token, and could
	// not save it. It retries once a second.
	takeover = 5 * time.Second
	// A process polls the entry while another process has the lease.
	firstPoll, longestPoll = 10 * time.Millisecond, 500 * time.Millisecond
	// maxSaving bounds the time for which a process retries to save a token.
	maxSaving = 10 * time.Minute
)

// leaseLife returns the life of a lease: the longest time of a refresh and of
// saving its result.
func (c *Client) leaseLife() time.Duration {
	return cmp.Or(c.cfg.HTTPClient.Timeout, clientTimeout) + leaseMargin
}

// A storedRefreshGroup runs one refresh at a time for each entry. A refresh
// outlives its callers, because its response may be the only one with the new
// refresh token.
type storedRefreshGroup struct {
	mu    sync.Mutex
	calls map[string]*storedRefresh // by the key of the entry
}

// A storedRefresh is one refresh. Its result may be read when done is closed.
type storedRefresh struct {
	once     sync.Once
	done     chan struct{}
	entry    *tokenEntry
	err      error
	panicked any
}

type storedRefreshFunc func(context.Context, *storedRefresh) (*tokenEntry, error)

// publish sets the result, and wakes the callers. Only the first call has an
// effect.
func (c *storedRefresh) publish(e *tokenEntry, err error, panicked any) {
	c.once.Do(func() {
		c.entry, c.err, c.panicked = e, err, panicked
		close(c.done)
	})
}

// published returns the entry of a refresh whose result is known and not saved
// yet, or nil.
func (g *storedRefreshGroup) published(id string) *tokenEntry {
	g.mu.Lock()
	defer g.mu.Unlock()
	if call := g.calls[id]; call != nil {
		select {
		case <-call.done:
			return call.entry
		default:
		}
	}
	return nil
}

// do joins the refresh of an entry, or starts one.
func (g *storedRefreshGroup) do(ctx context.Context, id string, renew storedRefreshFunc) (*tokenEntry, error) {
	g.mu.Lock()
	call := g.calls[id]
	if call == nil {
		call = &storedRefresh{done: make(chan struct{})}
		if g.calls == nil {
			g.calls = make(map[string]*storedRefresh)
		}
		g.calls[id] = call
		go g.run(context.WithoutCancel(ctx), id, call, renew)
	}
	g.mu.Unlock()
	select {
	case <-call.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("client: waiting for a refresh: %w", context.Cause(ctx))
	}
	if call.panicked != nil {
		panic(call.panicked) // a key, a transport or a store of the host has failed
	}
	return call.entry, call.err
}

func (g *storedRefreshGroup) run(ctx context.Context, id string, call *storedRefresh, renew storedRefreshFunc) {
	e, err := (*tokenEntry)(nil), errors.New("client: refresh aborted") // by runtime.Goexit in code of the host
	defer func() {
		panicked := recover()
		g.mu.Lock()
		delete(g.calls, id)
		g.mu.Unlock()
		call.publish(e, err, panicked)
	}()
	e, err = renew(ctx, call)
}

// renew returns the entry with the token that replaces an unusable or rejected
// one.
func (s *StoredToken) renew(ctx context.Context, e *tokenEntry, rejected string) (*tokenEntry, error) {
	for {
		var own bool
		run := func(ctx context.Context, call *storedRefresh) (*tokenEntry, error) {
			own = true
			return s.run(ctx, call, e, rejected)
		}
		refreshes := &s.client.shared.storedRefreshes
		renewed, err := refreshes.do(ctx, s.id, run)
		if err != nil || own {
			return renewed, err
		}
		unsaved := refreshes.published(s.id) == renewed
		switch useful := s.usableFor(renewed, s.client.cfg.Hooks.Now(), 0); {
		case unsaved && e.version > renewed.version: // a login or a deletion came first, which the refresh notices soon
			if err := waitFor(ctx, longestPoll); err != nil {
				return nil, err
			}
		case useful && (unsaved || renewed.AccessToken != rejected):
			return renewed, nil
		case unsaved: // another refresh must not begin before
			return nil, fmt.Errorf("%w: the refreshed token has expired before it was saved", ErrStore)
		default:
			e = renewed // the refresh was for another reason
		}
	}
}

// run renews a token unless another process does so.
func (s *StoredToken) run(
	ctx context.Context, call *storedRefresh, e *tokenEntry, rejected string,
) (*tokenEntry, error) {
	w := newLeaseWait(e)
	for {
		now := s.client.cfg.Hooks.Now()
		useful := s.usable(e, now)
		if useful && (e.AccessToken != rejected || e.Replaced) {
			return e, nil
		}
		if err := s.hopeless(e, now); err != nil {
			return nil, err
		}
		claimed, err := s.claim(ctx, e, w)
		switch {
		case err != nil:
			return nil, err
		case claimed != nil:
			renewed, err := s.refresh(ctx, call, claimed, rejected)
			if renewed != nil || err != nil {
				return renewed, err
			}
		}
		if e, err = s.await(ctx, w); err != nil {
			return nil, err
		}
	}
}

// hopeless returns an error if no request may be sent now.
func (s *StoredToken) hopeless(e *tokenEntry, now time.Time) error {
	if s.request == nil {
		if err := e.final(now); err != nil {
			return err
		}
		if e.RefreshToken == "" {
			return fmt.Errorf("%w: %w", ErrReauthorize, ErrNoRefreshToken)
		}
	}
	return e.paused(now)
}

// A leaseWait is the wait of a process for the lease of another process.
type leaseWait struct {
	poll    time.Duration
	version int64     // of the entry
	since   time.Time // when this process has first seen that version
}

func newLeaseWait(e *tokenEntry) *leaseWait { return &leaseWait{firstPoll, e.version, time.Now()} }

// await reads the entry again after a while.
func (s *StoredToken) await(ctx context.Context, w *leaseWait) (*tokenEntry, error) {
	if err := waitFor(ctx, w.poll); err != nil {
		return nil, err
	}
	w.poll = min(2*w.poll, longestPoll)
	e, err := s.load(ctx)
	if err == nil && e.version != w.version {
		w.version, w.since = e.version, time.Now()
	}
	return e, err
}

func waitFor(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("client: waiting for a refresh: %w", context.Cause(ctx))
	}
}

func (e *tokenEntry) leased(now time.Time) bool { return e.Lease > now.UnixMilli() }

// paused returns an error during the pause after a failed refresh.
func (e *tokenEntry) paused(now time.Time) error {
	// A longer pause was written by a process whose clock was wrong.
	if wait := time.UnixMilli(e.Pause).Sub(now); e.Failure != "" && wait > 0 && wait <= longestRetryAfter+time.Minute {
		return fmt.Errorf("client: no refresh for %v, after: %s", wait.Round(time.Second), e.Failure)
	}
	return nil
}

// claim writes a lease into the entry, unless another process has one. It
// returns nil if the entry has changed or is leased. A lease that this process
// has seen for its whole life has ended, even if the clocks differ. A lease
// that was not released ends after takeover.
func (s *StoredToken) claim(ctx context.Context, e *tokenEntry, w *leaseWait) (*tokenEntry, error) {
	// A client of a Set may have to discover its server, which takes a part of
	// the lease otherwise.
	if _, err := s.client.latest(ctx); err != nil {
		return nil, err
	}
	now := s.client.cfg.Hooks.Now()
	wait := takeover
	if e.leased(now) {
		wait = s.client.leaseLife()
	}
	if e.Lease != 0 && time.Since(w.since) <= wait {
		return nil, nil //nolint:nilnil // no lease
	}
	record := e.tokenRecord
	record.Holder, record.Lease = jose.RandomString(16), now.Add(s.client.leaseLife()).UnixMilli()
	record.deleted = record.deleted && s.request == nil
	asked := time.Now()
	claimed, err := s.client.shared.vault.replace(ctx, s.id, e, record, e.key)
	if err != nil && errors.Is(err, ErrStore) { // the lease may have been written
		again, failed := s.load(ctx)
		if failed != nil || again.Holder != record.Holder {
			return nil, err
		}
		claimed, err = again, nil
	}
	if err != nil || claimed == nil || time.Since(asked) > claimLimit { // too little of the lease may remain
		return nil, err
	}
	claimed.asked = asked
	return claimed, nil
}

type claimedContext struct{}

// checkLease returns an error if the lease for which a request is made has
// nearly ended. It compares the times of the wall clock too, because the other
// clock stops while a computer sleeps.
func checkLease(ctx context.Context) error {
	asked, ok := ctx.Value(claimedContext{}).(time.Time)
	if !ok {
		return nil
	}
	now := time.Now()
	if took := max(now.Sub(asked), now.Round(0).Sub(asked.Round(0))); took > sendLimit {
		return fmt.Errorf("client: refresh not sent, prepared for %v, want at most %v", took, sendLimit)
	}
	return nil
}

// refresh refreshes a token whose entry this process has claimed, and saves the
// result. It returns nil if another process has changed the entry in the
// meantime, because the token of that process is newer.
func (s *StoredToken) refresh(
	ctx context.Context, call *storedRefresh, claimed *tokenEntry, rejected string,
) (*tokenEntry, error) {
	c := s.client
	record, key, err := claimed.tokenRecord, claimed.key, error(nil)
	if key == nil && c.keyPerLogin { // the first token, or one that was bound to an earlier DPoPKey or a certificate
		key, err = c.newProofKey()
	}
	var token *oauth2.Token
	if err == nil {
		token, err = s.obtain(withProofKey(ctx, key), claimed)
	}
	switch {
	case err == nil:
		record.set(token)
		record.Replaced = rejected != "" && claimed.AccessToken == rejected
		record.bind(key, c.prover)
		return s.save(ctx, call, claimed, record, key)
	case errors.Is(err, ErrReauthorize):
		record.Dead, record.AccessToken, record.RefreshToken, record.Lease = true, "", "", 0
	default:
		record.fail(err, c.cfg.Hooks.Now(), c.RetryAfter(err))
	}
	if received := (*oauth2.RetrieveError)(nil); errors.As(err, &received) && received.Response != nil {
		received.Response.Body = http.NoBody // several callers receive it, and a body can be read once
	}
	failed, unsaved := c.shared.vault.replace(ctx, s.id, claimed, record, claimed.key)
	switch {
	case unsaved != nil:
		return nil, errors.Join(err, unsaved)
	case failed == nil:
		return nil, nil //nolint:nilnil // a login or a deletion came first
	}
	return nil, err
}

// obtain sends the token request.
func (s *StoredToken) obtain(ctx context.Context, claimed *tokenEntry) (*oauth2.Token, error) {
	ctx = context.WithValue(ctx, claimedContext{}, claimed.asked)
	if s.request != nil {
		return s.client.ClientCredentials(ctx, *s.request)
	}
	return s.client.Refresh(ctx, claimed.RefreshToken, Request{})
}

// fail records a failed refresh and its pause.
func (r *tokenRecord) fail(err error, now time.Time, retryAfter time.Duration) {
	b := backoff{pause: firstPause / 2}
	for range min(r.Failures, 8) {
		b.pause *= 2
	}
	b.failed(err, now, retryAfter)
	r.Lease, r.Failures, r.Pause, r.Failure = 0, r.Failures+1, b.until.UnixMilli(), "no response from the server"
	if received := (*oauth2.RetrieveError)(nil); errors.As(err, &received) {
		var e profile.Event
		setReceived(&e, received)
		r.Failure = "error " + cmp.Or(e.Code, "response") + " of the server"
	} else if errors.Is(err, ErrTokenResponse) {
		r.Failure = ErrTokenResponse.Error()
	}
}

// save writes a refreshed token. If the store fails, the callers receive the
// token, and save retries: the old refresh token may be used up.
func (s *StoredToken) save(
	ctx context.Context, call *storedRefresh, claimed *tokenEntry, record tokenRecord, key *proofKey,
) (*tokenEntry, error) {
	vault, now := s.client.shared.vault, s.client.cfg.Hooks.Now()
	unsaved := &tokenEntry{tokenRecord: record, version: claimed.version, key: key, read: now}
	unsaved.Ends = now.Add(vault.Lifetime).Unix()
	for began, pause := time.Now(), firstPoll; ; pause = min(2*pause, firstPause) {
		saved, err := s.saveOnce(ctx, claimed, record, key)
		if err == nil {
			return saved, nil
		}
		call.publish(unsaved, nil, nil)
		vault.report(ctx, fmt.Errorf("client: saving a refreshed token: %w", err))
		if time.Since(began) > maxSaving {
			return unsaved, nil
		}
		time.Sleep(pause)
	}
}

// saveOnce returns the entry with a refreshed token, or nil if a login or a
// deletion came first. A panic of the store is an error, so that the new
// refresh token is not lost.
func (s *StoredToken) saveOnce(
	ctx context.Context, claimed *tokenEntry, record tokenRecord, key *proofKey,
) (saved *tokenEntry, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: panic: %T", ErrStore, p) // the value may contain a secret
		}
	}()
	saved, err = s.client.shared.vault.replace(ctx, s.id, claimed, record, key)
	if saved != nil {
		return saved, nil
	}
	current, failed := s.load(ctx)
	switch {
	case failed == nil && current.Holder == claimed.Holder && current.Lease == 0: // the failed attempt took effect
		return current, nil
	case failed == nil && current.version != claimed.version: // a login or a deletion came first
		return nil, nil //nolint:nilnil // the caller reads the entry again
	case err == nil: // unreadable
		err = cmp.Or(failed, errors.New("no entry was written"))
	}
	return nil, err
}

// report calls Report. A panic of Report ends only that call.
func (v *tokenVault) report(ctx context.Context, err error) {
	defer func() { _ = recover() }()
	if v.Report != nil {
		v.Report(ctx, err)
	}
}
