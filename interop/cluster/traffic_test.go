package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/interop/cluster"
	"github.com/gofapi/fapi2/profile/client"
)

const (
	workers = 6
	round   = 5 // flows of different kinds, see work
	// maxTokens bounds the tokens of a worker that are used after the fault.
	// The bank withdraws the oldest of 200 permissions of a user.
	maxTokens = 50
	// pause is the time between two flows, and before a repetition.
	pause = 10 * time.Millisecond
	// flowTime bounds a flow with its repetitions. A longer one is lost.
	flowTime = time.Minute
	// stoppedTime is flowTime without a fault.
	stoppedTime = 20 * time.Second
)

// The kinds of messages that servers accept once.
const (
	assertionKind  = "assertion"
	proofKind      = "proof"
	codeKind       = "code"
	requestURIKind = "request_uri"
)

// An item is a message that servers accept once, with the number of times that
// they have accepted it.
type item struct {
	kind     string
	send     func(through int) (accepted bool) // to an instance
	accepted atomic.Int64
}

// traffic is a running load of whole flows.
type traffic struct {
	c       *cluster.Cluster
	direct  []http.RoundTripper // to each instance
	workers []*worker
	stop    atomic.Bool
	running sync.WaitGroup

	mu          sync.Mutex
	flows       map[*flow]bool // false after their end
	lastFailure time.Time
	outcomes    map[string]int // of requests that failed
	items       []*item
}

// A flow is one flow of a client, with its repetitions.
type flow struct {
	began, ended time.Time
	failures     int
	lost         string // the reason, or empty
}

// newTraffic creates the workers.
func newTraffic(t *testing.T, c *cluster.Cluster) *traffic {
	t.Helper()
	tr := &traffic{c: c, flows: map[*flow]bool{}, outcomes: map[string]int{}}
	for _, one := range c.Instances {
		tr.direct = append(tr.direct, one.HTTPClient(t).Transport)
	}
	for i := range workers {
		tr.workers = append(tr.workers, newWorker(t, tr, i))
	}
	return tr
}

// run starts the load with new records. The returned function stops them.
func (tr *traffic) run(ctx context.Context) (stop func()) {
	tr.mu.Lock()
	tr.flows, tr.outcomes, tr.items = map[*flow]bool{}, map[string]int{}, nil
	tr.lastFailure = time.Time{}
	tr.mu.Unlock()
	tr.stop.Store(false)
	for _, w := range tr.workers {
		w.tokens = nil
		w.rounds.Store(0)
		tr.running.Go(func() { w.work(ctx) })
	}
	return func() {
		tr.stop.Store(true)
		tr.running.Wait()
	}
}

func (tr *traffic) failed(outcome string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.outcomes[outcome]++
}

// awaitClean waits until each worker has finished a flow that began after a
// time and did not fail.
func (tr *traffic) awaitClean(t *testing.T, after time.Time) {
	t.Helper()
	clean := func() bool {
		for _, w := range tr.workers {
			if w.clean.Load() < after.UnixNano() {
				return false
			}
		}
		return true
	}
	require.Eventually(t, clean, flowTime, 10*time.Millisecond, "flows fail after the fault: %v", tr.problems())
}

func (tr *traffic) problems() map[string]int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return maps.Clone(tr.outcomes)
}

// awaitRounds waits until each worker has run each kind of flow.
func (tr *traffic) awaitRounds(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		return !slices.ContainsFunc(tr.workers, func(w *worker) bool { return w.rounds.Load() < round })
	}, flowTime, 10*time.Millisecond, "flows fail before the fault: %v", tr.problems())
}

// during returns the number of flows that were under way between two times, and
// the reasons of those that were lost.
func (tr *traffic) during(begin, end time.Time) (underWay int, lost []string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for f, running := range tr.flows {
		if f.began.Before(end) && (running || f.ended.After(begin)) {
			underWay++
		}
		if f.lost != "" {
			lost = append(lost, f.lost)
		}
	}
	return underWay, lost
}

// replay sends all items again to each instance at once.
func (tr *traffic) replay() {
	for _, one := range tr.items {
		var all sync.WaitGroup
		for i := range tr.direct {
			all.Go(func() {
				if one.send(i) {
					one.accepted.Add(1)
				}
			})
		}
		all.Wait()
	}
}

// twice returns the number of items of each kind that were accepted more than
// once, and the number of all items of each kind.
func (tr *traffic) twice() (twice, all map[string]int) {
	twice, all = map[string]int{}, map[string]int{}
	for _, one := range tr.items {
		all[one.kind]++
		if one.accepted.Load() > 1 {
			twice[one.kind]++
		}
	}
	return twice, all
}

// lostTokens refreshes the token of each finished flow and uses the new token.
// It returns the number of tokens and the errors.
func (tr *traffic) lostTokens(ctx context.Context) (tokens int, lost []string) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, w := range tr.workers {
		held := w.tokens
		tokens += len(held)
		all.Go(func() {
			for _, token := range held {
				f := w.begin()
				w.use(ctx, f, token)
				w.end(f)
				if f.lost != "" {
					mu.Lock()
					lost = append(lost, f.lost)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return tokens, lost
}

// A worker is one application with a user.
type worker struct {
	*traffic
	driver  *cluster.Driver
	through []*cluster.Driver // each to one instance
	probes  atomic.Bool       // sends each request to all instances at once
	clean   atomic.Int64      // the beginning of the last flow without a failure
	rounds  atomic.Int64      // that this worker has run
	tokens  []*oauth2.Token   // of finished flows
}

func newWorker(t *testing.T, tr *traffic, i int) *worker {
	t.Helper()
	w := &worker{traffic: tr}
	wrap := func(base http.RoundTripper) http.RoundTripper { return &observer{w, base} }
	w.driver = tr.c.NewDriver(t, cluster.DriverConfig{User: i % users, Wrap: wrap})
	for _, one := range tr.c.Instances {
		w.through = append(w.through, tr.c.NewDriver(t, cluster.DriverConfig{Through: one, Like: w.driver}))
	}
	return w
}

// work runs flows until the traffic stops. Some of them test that messages are
// accepted once.
func (w *worker) work(ctx context.Context) {
	for n := 0; !w.stop.Load(); n++ {
		w.rounds.Store(int64(n))
		switch n % round {
		case 1:
			w.raceCode(ctx)
		case 3:
			w.raceConsent(ctx)
		default:
			w.probes.Store(n%round == 2)
			w.flow(ctx)
			w.probes.Store(false)
		}
		time.Sleep(pause)
	}
}

func (w *worker) begin() *flow {
	f := &flow{began: time.Now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flows[f] = true
	return f
}

func (w *worker) end(f *flow) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f.ended, w.flows[f] = time.Now(), false
	if f.failures == 0 && f.lost == "" {
		w.clean.Store(f.began.UnixNano())
	}
}

// again records the failure of a step and reports whether to repeat it.
func (w *worker) again(f *flow, step string, err error) bool {
	w.mu.Lock()
	f.failures++
	w.lastFailure = time.Now()
	if took := time.Since(f.began); took > flowTime || w.stop.Load() && took > stoppedTime {
		f.lost = fmt.Sprintf("%s: %v", step, err)
	}
	w.mu.Unlock()
	time.Sleep(pause)
	return f.lost == ""
}

// flow runs a flow until it succeeds. A client repeats it from the beginning
// until it has a token.
func (w *worker) flow(ctx context.Context) {
	f := w.begin()
	defer w.end(f)
	for {
		token, err := w.authorize(ctx)
		if err == nil {
			w.use(ctx, f, token)
			return
		}
		if !w.again(f, "authorization", err) {
			return
		}
	}
}

func (w *worker) authorize(ctx context.Context) (*oauth2.Token, error) {
	session, err := w.driver.Push(ctx)
	if err != nil {
		return nil, err
	}
	callback, err := w.driver.Authorize(ctx, session)
	if err != nil {
		return nil, err
	}
	return w.driver.Client.Finish(ctx, session, callback)
}

// use calls the API, refreshes the token and calls the API again. Each request
// is repeated until it succeeds.
func (w *worker) use(ctx context.Context, f *flow, token *oauth2.Token) {
	for _, step := range []string{"API", "refresh", "API after the refresh"} {
		for {
			var err error
			if step == "refresh" {
				var refreshed *oauth2.Token
				if refreshed, err = w.driver.Refresh(ctx, token); err == nil {
					token = refreshed
				}
			} else {
				err = w.driver.Accounts(ctx, token)
			}
			if err == nil {
				break
			}
			if errors.Is(err, client.ErrReauthorize) {
				f.lost = step + ": " + err.Error()
				return
			}
			if !w.again(f, step, err) {
				return
			}
		}
	}
	w.tokens = append(w.tokens, token)
	w.tokens = w.tokens[max(0, len(w.tokens)-maxTokens):]
}

// race records an item and sends it to all instances at once.
func (w *worker) race(kind string, send func(through int) bool) {
	one := &item{kind: kind, send: send}
	var all sync.WaitGroup
	for i := range w.direct {
		all.Go(func() {
			if send(i) {
				one.accepted.Add(1)
			}
		})
	}
	all.Wait()
	w.keep(one)
}

func (w *worker) keep(one *item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.items = append(w.items, one)
}

// raceCode redeems a code at each instance at once.
func (w *worker) raceCode(ctx context.Context) {
	session, err := w.driver.Push(ctx)
	if err != nil {
		return
	}
	callback, err := w.driver.Authorize(ctx, session)
	if err != nil || callback.Get("code") == "" {
		return
	}
	w.race(codeKind, func(through int) bool {
		_, err := w.through[through].Client.Finish(ctx, session, callback)
		return err == nil
	})
}

// raceConsent sends the form of the consent page to each instance at once. A
// request_uri is accepted for each code that differs.
func (w *worker) raceConsent(ctx context.Context) {
	session, err := w.driver.Push(ctx)
	if err != nil {
		return
	}
	consent, _, err := w.driver.Consent(ctx, session)
	if err != nil || consent == nil {
		return
	}
	var mu sync.Mutex
	codes := map[string]bool{"": true}
	w.race(requestURIKind, func(through int) bool {
		callback, err := w.through[through].Approve(consent)
		if err != nil {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		isNew := !codes[callback.Get("code")]
		codes[callback.Get("code")] = true
		return isNew
	})
}

// An observer is a transport that records failures. If its worker probes, it
// sends each request with an assertion or a proof to all instances at once.
type observer struct {
	*worker
	base http.RoundTripper
}

// kinds are the paths of the requests with messages that are accepted once.
var kinds = map[string]string{"/par": assertionKind, "/token": assertionKind, "/accounts": proofKind}

func (o *observer) RoundTrip(r *http.Request) (*http.Response, error) {
	kind := kinds[r.URL.Path]
	var response *http.Response
	var err error
	if kind != "" && o.probes.Load() {
		response, err = o.probe(kind, r)
	} else {
		response, err = o.base.RoundTrip(r)
	}
	if outcome := outcomeOf(r.URL, response, err); outcome != "" {
		o.failed(outcome)
	}
	return response, err
}

// outcomeOf describes a response other than success. Status 503 needs a
// Retry-After.
func outcomeOf(u *url.URL, response *http.Response, err error) string {
	switch {
	case err != nil:
		return "connection"
	case response.StatusCode < http.StatusBadRequest:
		return ""
	case response.StatusCode == http.StatusServiceUnavailable && response.Header.Get("Retry-After") != "":
		return "503"
	}
	return strconv.Itoa(response.StatusCode) + " " + u.Path
}

// probe sends a request to all instances at once. It returns a success if there
// is one, or else a failure that the client may repeat.
func (o *observer) probe(kind string, r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body.Close()
	}
	send := func(through int) (*http.Response, error) {
		again := r.Clone(context.WithoutCancel(r.Context()))
		again.Body = io.NopCloser(bytes.NewReader(body))
		return o.direct[through].RoundTrip(again)
	}
	one := &item{kind: kind, send: func(through int) bool {
		response, err := send(through)
		if err != nil {
			return false
		}
		response.Body.Close()
		return isSuccess(response)
	}}
	responses, errs := make([]*http.Response, len(o.direct)), make([]error, len(o.direct))
	var all sync.WaitGroup
	for i := range o.direct {
		all.Go(func() { responses[i], errs[i] = send(i) })
	}
	all.Wait()
	best := -1
	for i, response := range responses {
		if response == nil {
			continue
		}
		if isSuccess(response) {
			one.accepted.Add(1)
			best = i
		} else if best < 0 && response.StatusCode >= http.StatusInternalServerError {
			best = i
		}
	}
	// An instance that was killed may have used the message.
	if best < 0 {
		best = slices.IndexFunc(errs, func(err error) bool { return err != nil })
	}
	best = max(best, 0)
	for i, response := range responses {
		if i != best && response != nil {
			response.Body.Close()
		}
	}
	o.keep(one)
	return responses[best], errs[best]
}

func isSuccess(response *http.Response) bool { return response.StatusCode < http.StatusMultipleChoices }
