package jwks

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	defaultRefresh     = 10 * time.Minute
	defaultMinInterval = 10 * time.Second
	defaultMaxStale    = time.Hour
	defaultTimeout     = 5 * time.Second
	maxRefresh         = 24 * time.Hour
	maxRedirects       = 3
	maxBackoff         = 3 // doublings, so that a short outage has no long effect

	// minFresh is the minimum time for which a fetched set is used. Some
	// servers (Keycloak) send no-cache with their keys. The client would then
	// send a request per MinInterval, although the keys change once in months.
	minFresh = 2 * time.Minute

	// The caller may vouch for the source of a kid (WithEarlyFetch). These
	// constants bound early requests to two at once and one a minute.
	maxEarly   = 2
	earlyEvery = time.Minute
)

// RemoteConfig configures a [Remote].
type RemoteConfig struct {
	// URL is the jwks_uri of the other party. Required. The scheme must be
	// https.
	URL string
	// HTTPClient sends the requests. If nil, a client that requires TLS 1.2 is
	// used. Otherwise a copy is used, without its cookie jar and with another
	// redirect policy.
	HTTPClient *http.Client
	// Refresh is the time for which a fetched set is used before it is fetched
	// again. The response can shorten it by max-age, no-store or no-cache to at
	// least two minutes, and cannot lengthen it. The default is 10 minutes, the
	// maximum 24 hours.
	//
	// The first use after this time starts a request. While that request runs,
	// the old keys serve for at most the same time again. A withdrawn key is
	// therefore out of use after twice this time, unless fetching fails.
	Refresh time.Duration
	// MinInterval is the minimum time between two requests, after success and
	// after failure. A peer that invents key IDs can therefore not flood the
	// key endpoint. A key that is used immediately after its publication can be
	// unknown for that long; see WithEarlyFetch. Each consecutive failure
	// doubles the time, up to eight times its value and at most Refresh. The
	// default is 10 seconds.
	MinInterval time.Duration
	// MaxStale is the time for which an expired set is still used if it cannot
	// be fetched again. It bridges an outage of the key endpoint. If negative,
	// an expired set is never used, and callers wait for each refresh. The
	// default is 1 hour, the maximum 24 hours.
	MaxStale time.Duration
	// Timeout bounds one request with its body. The default is 5 seconds.
	Timeout time.Duration
	// PublicOnly restricts connections to public addresses. It rejects
	// loopback, private, link-local and other addresses that are not globally
	// routable, after the name has been resolved. Set it for a URL that a
	// stranger chose, for example the jwks_uri of a client that registers
	// itself. It ignores the proxy of the environment, and requires that
	// HTTPClient is nil.
	PublicOnly bool
	// AllowPrefixes are exceptions from PublicOnly, for example for partners on
	// a private network, or 64:ff9b::/96 for a translator. Keep them small: the
	// party that chooses the URL can reach all their addresses.
	AllowPrefixes []netip.Prefix
	// InsecureAllowHTTP permits an http URL, for tests on one machine. An
	// attacker on the network can replace the keys.
	InsecureAllowHTTP bool
	// Report receives the entries of a fetched set that were dropped, whenever
	// they differ from those of the set before. A role of package profile logs
	// them. It is called outside locks and must not block. If nil, nothing is
	// reported.
	Report func(ctx context.Context, dropped []Dropped)
	// Observe is called after each request for the set, successful or not. It
	// is called outside locks and must not block. Panics of Report and Observe
	// are recovered. If nil, nothing is observed.
	Observe func(ctx context.Context, f Fetch)
	// Now returns the current time. It is called concurrently. If nil, time.Now
	// is used.
	Now func() time.Time
}

// A Fetch is the outcome of one request of a [Remote]. It is a plain value.
type Fetch struct {
	// URL is the URL of the set.
	URL string
	// Duration is the time from the start of the request to its outcome.
	Duration time.Duration
	// Keys and Dropped are the numbers of usable and of dropped entries in the
	// set that was received.
	Keys, Dropped int
	// Err is nil if the set is used. Otherwise it matches [ErrUnavailable].
	Err error
}

// A Remote is a JWK Set that another party publishes. It is safe for concurrent
// use.
//
// A Remote fetches nothing before the first call of Keys and nothing between
// calls. At most one request runs at any time. A caller does not wait for it if
// its key is at hand. Otherwise the caller waits until its own context is done.
// The request continues (until Timeout) when the caller that caused it is gone.
type Remote struct {
	url    *url.URL
	client *http.Client
	cfg    RemoteConfig

	mu          sync.Mutex
	set         *Set // nil before the first success
	freshUntil  time.Time
	graceUntil  time.Time // until then the set serves while a request runs
	staleUntil  time.Time // until then the set serves after a failed request
	attempted   bool
	lastAttempt time.Time
	lastErr     error         // of the latest attempt
	failures    int           // in a row
	flight      chan struct{} // closed at the end of the request that runs; nil if none runs
	early       int           // early requests that may still be made
	earlySince  time.Time     // when early was last increased
}

// NewRemote returns a Remote for cfg.URL. It fetches nothing yet. The error has
// every problem of cfg.
func NewRemote(cfg RemoteConfig) (*Remote, error) {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf("jwks: "+format, args...)) }
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		bad("malformed URL, want an absolute URL without user and fragment")
	} else if u.Scheme != "https" && !(u.Scheme == "http" && cfg.InsecureAllowHTTP) {
		// SP-5.4.2-1: without TLS an attacker on the network could replace the
		// keys.
		bad("URL %q is not https", u.Redacted())
	}
	if cfg.PublicOnly && cfg.HTTPClient != nil {
		bad("PublicOnly with HTTPClient; see PublicClient")
	}
	if len(cfg.AllowPrefixes) > 0 && !cfg.PublicOnly {
		bad("AllowPrefixes without PublicOnly")
	}
	if cfg.AllowPrefixes, err = newGuard(cfg.AllowPrefixes); err != nil {
		problems = append(problems, err)
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		zero  time.Duration
	}{
		{"Refresh", &cfg.Refresh, defaultRefresh},
		{"MinInterval", &cfg.MinInterval, defaultMinInterval},
		{"Timeout", &cfg.Timeout, defaultTimeout},
	} {
		*d.value = cmp.Or(*d.value, d.zero)
		if *d.value < 0 || *d.value > maxRefresh {
			bad("invalid %s %v, want 0 to %v", d.name, *d.value, maxRefresh)
		}
	}
	if problems != nil {
		return nil, errors.Join(problems...)
	}
	cfg.MaxStale = min(max(cmp.Or(cfg.MaxStale, defaultMaxStale), 0), maxRefresh)
	cfg.Refresh = max(cfg.Refresh, cfg.MinInterval)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	r := &Remote{url: u, cfg: cfg, early: maxEarly}
	r.client = r.newClient()
	return r, nil
}

// Keys returns the candidates for a token's kid and alg, like [Set.Keys]. It
// fetches the set if there is none, if it is too old, or if it does not have
// such a key. In the last case it fetches at most once per MinInterval, and a
// missing key is not an error.
//
// The error matches [ErrUnavailable] if ctx is done, or if no entry of the set
// is usable. It also matches if the set cannot be fetched and the old set does
// not have the key.
func (r *Remote) Keys(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	return find(ctx, r, func(set *Set) []crypto.PublicKey { return set.candidates(kid, alg) })
}

// EncryptionKeys returns the keys to which a sender may encrypt, like
// [Set.EncryptionKeys]. It fetches and fails as Keys does.
func (r *Remote) EncryptionKeys(ctx context.Context, alg string) ([]Key, error) {
	return find(ctx, r, func(set *Set) []Key { return set.encryptionKeys(alg) })
}

type earlyFetch struct{}

// WithEarlyFetch returns a context in which [Remote.Keys] may fetch a missing
// key before MinInterval is over. The caller vouches that the owner of the keys
// named the kid, for example in an ID token from the token endpoint. Do not use
// it for a token from a browser or from a client, because a stranger can invent
// a kid. Early requests are bounded to two at once and one a minute.
func WithEarlyFetch(ctx context.Context) context.Context {
	return context.WithValue(ctx, earlyFetch{}, true)
}

func find[K any](ctx context.Context, r *Remote, in func(*Set) []K) ([]K, error) {
	started := false
	for {
		keys, wait, err := look(ctx, r, in, !started)
		if wait == nil {
			return keys, err
		}
		// A request that ran before this call can have been answered before the
		// key was published. One more is then due, if the rules permit it.
		started = started || wait.own || ctx.Value(earlyFetch{}) == nil
		select {
		case <-wait.done:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
		}
	}
}

// A pending request is a request for which a caller waits.
type pending struct {
	done chan struct{} // closed at its end
	own  bool          // the caller started it
}

// look returns the keys at hand, or the request for which the caller must wait.
// It starts that request if start is true and the rules permit it.
func look[K any](ctx context.Context, r *Remote, in func(*Set) []K, start bool) (keys []K, wait *pending, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Now()
	if r.set != nil && now.Before(r.staleUntil) {
		keys = in(r.set)
	}
	if len(keys) > 0 && now.Before(r.freshUntil) {
		return keys, nil, nil
	}
	if start {
		own := false
		if r.flight == nil && (r.due(now) || len(keys) == 0 && r.mayBeEarly(ctx, now)) {
			own = true
			r.start(ctx, now)
		}
		// Keys at hand serve while the request runs: a slow server would
		// otherwise hold up every caller. Once it has failed they serve until
		// staleUntil.
		if r.flight != nil && (len(keys) == 0 || r.lastErr == nil && !now.Before(r.graceUntil)) {
			return nil, &pending{r.flight, own}, nil
		}
	}
	if len(keys) == 0 && r.lastErr != nil {
		return nil, nil, r.lastErr
	}
	return keys, nil, nil
}

// due reports whether another request is permitted. A clock that was set back
// does not prevent it.
func (r *Remote) due(now time.Time) bool {
	wait := min(r.cfg.MinInterval<<max(0, min(r.failures-1, maxBackoff)), r.cfg.Refresh)
	return !r.attempted || now.Before(r.lastAttempt) || now.Sub(r.lastAttempt) >= wait
}

// mayBeEarly consumes one early request, if ctx permits it and one is left.
func (r *Remote) mayBeEarly(ctx context.Context, now time.Time) bool {
	if ctx.Value(earlyFetch{}) == nil {
		return false
	}
	if n := now.Sub(r.earlySince) / earlyEvery; n > 0 || r.early == maxEarly {
		r.early = int(min(int64(r.early)+int64(n), maxEarly))
		r.earlySince = now
	}
	if now.Before(r.earlySince) { // the clock was set back
		r.earlySince = now
	}
	if r.early == 0 {
		return false
	}
	r.early--
	return true
}

// start starts a request. The caller holds the lock. The request does not
// depend on the context of the caller, because other callers wait for it, too.
// The goroutine ends with the request.
func (r *Remote) start(ctx context.Context, now time.Time) {
	flight := make(chan struct{})
	r.flight, r.attempted, r.lastAttempt = flight, true, now
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.Timeout)
	go func() {
		defer cancel()
		set, age, err := r.fetch(ctx)
		news, err := r.finish(flight, set, now, age, err)
		r.report(ctx, news, set, now, err)
	}()
}

// report calls the functions of the host after a request that started at now. A
// panic would end the process, because no server recovers it in the goroutine
// of the request.
func (r *Remote) report(ctx context.Context, news []Dropped, set *Set, now time.Time, err error) {
	defer func() { _ = recover() }()
	if len(news) > 0 && r.cfg.Report != nil {
		r.cfg.Report(ctx, news)
	}
	if r.cfg.Observe != nil {
		f := Fetch{URL: r.url.Redacted(), Duration: r.cfg.Now().Sub(now), Err: err}
		if set != nil {
			f.Keys, f.Dropped = len(set.keys), len(set.dropped)
		}
		r.cfg.Observe(ctx, f)
	}
}

// finish records the outcome of a request that started at now. It returns the
// dropped entries if they differ from those of the set before, and the error
// for callers whose key is missing.
func (r *Remote) finish(
	flight chan struct{}, set *Set, now time.Time, age time.Duration, err error,
) ([]Dropped, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer close(flight)
	r.flight, r.lastErr = nil, err
	r.failures++
	if err != nil {
		return nil, err
	}
	var news []Dropped
	same := func(a, b Dropped) bool { return a.String() == b.String() }
	if r.set == nil || !slices.EqualFunc(r.set.dropped, set.dropped, same) {
		news = set.Dropped()
	}
	r.set, r.failures = set, 0
	// The owner has withdrawn all usable keys. The old set must not serve, and
	// callers receive the reason.
	if err := set.unusable(); err != nil {
		r.lastErr = r.failure(err)
	}
	r.freshUntil = now.Add(age) // from before the request, as the response may be that old
	r.graceUntil = r.freshUntil.Add(min(age, r.cfg.MaxStale))
	r.staleUntil = r.freshUntil.Add(r.cfg.MaxStale)
	return news, r.lastErr
}

func (r *Remote) failure(err error) error {
	return fmt.Errorf("%w: %s: %w", ErrUnavailable, r.url.Redacted(), err)
}

func (r *Remote) fetch(ctx context.Context) (*Set, time.Duration, error) {
	fail := func(err error) (*Set, time.Duration, error) { return nil, 0, r.failure(err) }
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url.String(), nil)
	if err != nil {
		return fail(err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return fail(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fail(fmt.Errorf("status %d", resp.StatusCode))
	}
	// One byte more than the limit reveals a larger set. The limit applies to
	// the decompressed body.
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxSetBytes+1))
	if err != nil {
		return fail(err)
	}
	set, err := Parse(body)
	if err != nil {
		return fail(err)
	}
	return set, min(max(freshness(resp.Header, r.cfg.Refresh), r.cfg.MinInterval, minFresh), r.cfg.Refresh), nil
}

// freshness evaluates Cache-Control and Age (RFC 9111 §4.2). The result is at
// most whole.
func freshness(h http.Header, whole time.Duration) time.Duration {
	for _, directive := range strings.Split(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			sec, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err != nil {
				return 0
			}
			if age, err := strconv.ParseUint(h.Get("Age"), 10, 31); err == nil {
				sec -= min(age, sec)
			}
			whole = min(whole, time.Duration(sec)*time.Second)
		}
	}
	return whole
}
