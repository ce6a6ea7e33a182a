package jwks

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
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
	maxBackoff         = 3 // doublings: the outage of a minute must not become one of an hour
)

// RemoteConfig configures a [Remote].
type RemoteConfig struct {
	// URL is where the set is: the jwks_uri of the other party's metadata. Required; https.
	URL string
	// HTTPClient makes the requests. Default: one that needs TLS 1.2. Its redirect policy is replaced and its cookie jar
	// left out; the client itself is not changed.
	HTTPClient *http.Client
	// Refresh is how long a fetched set is used before it is fetched again. A shorter max-age of the response (no-store
	// and no-cache count as 0) shortens it, down to MinInterval; a longer one does not lengthen it. So a key that its
	// owner withdraws is out of use after this time at the latest, unless fetching fails. Default 10 minutes, at most 24
	// hours.
	Refresh time.Duration
	// MinInterval is the least time between two requests, whether they succeed or not and whoever asks. It keeps a peer who
	// invents key ids from making us flood the other party. A key that is published and used at once can be unknown for
	// that long. Each failure in a row doubles it, up to eight times its value and no more than Refresh. Default 10 seconds.
	MinInterval time.Duration
	// MaxStale is for how long beyond its time a set is still used when it cannot be fetched again, so that an outage of
	// the other party's metadata does not stop ours. Default 1 hour; negative: not at all.
	MaxStale time.Duration
	// Timeout bounds one request, body included. Default 5 seconds.
	Timeout time.Duration
	// PublicOnly refuses to connect to loopback, private, link-local and other addresses that are not globally routable,
	// checked on the address that the name resolved to. Set it for a URL that a stranger chose: the jwks_uri of a client
	// that registers itself. It also disregards the environment's proxy. It needs HTTPClient to be nil.
	PublicOnly bool
	// AllowPrefixes are addresses that PublicOnly lets pass nevertheless: of partners on a private network, say, or
	// 64:ff9b::/96 where a translator is the only way out. Keep it small: whoever chooses the URL reaches all of it.
	AllowPrefixes []netip.Prefix
	// InsecureAllowHTTP permits an http URL, for tests on one machine: whoever can answer in place of the other party
	// chooses the keys that are believed.
	InsecureAllowHTTP bool
	// Now is the clock; nil means time.Now. It is called concurrently.
	Now func() time.Time
}

// A Remote is a JWK Set that another party publishes. It is safe for concurrent use.
//
// Nothing is fetched before the first call of Keys and nothing between calls. At any time at most one request is under
// way: those who need its outcome wait for it, each no longer than its own context, and the request goes on (until
// Timeout) when the caller who caused it has gone.
type Remote struct {
	url    *url.URL
	client *http.Client
	cfg    RemoteConfig

	mu          sync.Mutex
	set         *Set // nil before the first success
	freshUntil  time.Time
	staleUntil  time.Time
	attempted   bool
	lastAttempt time.Time
	lastErr     error         // of the latest attempt
	failures    int           // in a row
	flight      chan struct{} // closed at the end of the request under way; nil: there is none
}

// NewRemote returns a Remote for cfg.URL. It fetches nothing yet.
func NewRemote(cfg RemoteConfig) (*Remote, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, errors.New("jwks: URL is not an absolute URL without user and fragment")
	}
	// SP-5.4.2-1: keys that anyone on the path could replace prove nothing.
	if u.Scheme != "https" && !(u.Scheme == "http" && cfg.InsecureAllowHTTP) {
		return nil, fmt.Errorf("jwks: URL %q is not https", u.Redacted())
	}
	if cfg.PublicOnly && cfg.HTTPClient != nil {
		return nil, errors.New("jwks: PublicOnly cannot be kept with an HTTPClient of yours; see PublicClient")
	}
	if len(cfg.AllowPrefixes) > 0 && !cfg.PublicOnly {
		return nil, errors.New("jwks: AllowPrefixes are exceptions of PublicOnly, which is not set")
	}
	if cfg.AllowPrefixes, err = newGuard(cfg.AllowPrefixes); err != nil {
		return nil, err
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
		if *d.value == 0 {
			*d.value = d.zero
		}
		if *d.value < 0 || *d.value > maxRefresh {
			return nil, fmt.Errorf("jwks: %s is %v, not between 0 and %v", d.name, *d.value, maxRefresh)
		}
	}
	if cfg.MaxStale == 0 {
		cfg.MaxStale = defaultMaxStale
	}
	cfg.MaxStale = min(max(cfg.MaxStale, 0), maxRefresh)
	cfg.Refresh = max(cfg.Refresh, cfg.MinInterval)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	r := &Remote{url: u, cfg: cfg}
	r.client = r.newClient()
	return r, nil
}

// Keys returns the candidates for a token's kid and alg, like [Set.Keys]. It fetches the set if there is none, if it is
// too old, or if it has no such key; in the last case no more often than MinInterval, and no key is then no error.
//
// The error matches [ErrUnavailable]: ctx is done, or the set cannot be fetched and what is left from earlier does not
// have the key.
func (r *Remote) Keys(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error) {
	return find(ctx, r, func(set *Set) []crypto.PublicKey { return set.candidates(kid, alg) })
}

// EncryptionKeys returns the keys to encrypt to, like [Set.EncryptionKeys]. It fetches, and fails, as Keys does.
func (r *Remote) EncryptionKeys(ctx context.Context, alg string) ([]Key, error) {
	return find(ctx, r, func(set *Set) []Key { return set.encryptionKeys(alg) })
}

func find[K any](ctx context.Context, r *Remote, in func(*Set) []K) ([]K, error) {
	keys, flight, err := look(ctx, r, in, true)
	if flight == nil {
		return keys, err
	}
	select {
	case <-flight:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
	keys, _, err = look(ctx, r, in, false)
	return keys, err
}

// look returns the keys at hand, or the request to wait for. Without wait it makes do with what there is.
func look[K any](ctx context.Context, r *Remote, in func(*Set) []K, wait bool) (keys []K, flight chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Now()
	if r.set != nil && now.Before(r.staleUntil) {
		keys = in(r.set)
	}
	if len(keys) > 0 && now.Before(r.freshUntil) {
		return keys, nil, nil
	}
	if wait {
		if r.flight == nil && r.due(now) {
			r.start(ctx, now)
		}
		// After a failure those whom the old set can still serve do not wait for the next try: a server that does not
		// answer would hold up every request for Timeout.
		if r.flight != nil && (len(keys) == 0 || r.lastErr == nil) {
			return nil, r.flight, nil
		}
	}
	if len(keys) == 0 && r.lastErr != nil {
		return nil, nil, r.lastErr
	}
	return keys, nil, nil
}

// due says whether another request may be made. A clock that was set back does not stop us.
func (r *Remote) due(now time.Time) bool {
	wait := min(r.cfg.MinInterval<<max(0, min(r.failures-1, maxBackoff)), r.cfg.Refresh)
	return !r.attempted || now.Before(r.lastAttempt) || now.Sub(r.lastAttempt) >= wait
}

// start begins a request, with the lock held. It is not bound to the caller's context: a caller who goes away would take
// the answer from all who wait for it, or, if each of them asked again, they would be a flood. The goroutine ends with
// the request.
func (r *Remote) start(ctx context.Context, now time.Time) {
	flight := make(chan struct{})
	r.flight, r.attempted, r.lastAttempt = flight, true, now
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.Timeout)
	go func() {
		defer cancel()
		set, age, err := r.fetch(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		defer close(flight)
		r.flight, r.lastErr = nil, err
		r.failures++
		if err == nil {
			r.set, r.failures = set, 0
			r.freshUntil = now.Add(age) // from before the request, as the answer may be that old
			r.staleUntil = r.freshUntil.Add(r.cfg.MaxStale)
		}
	}()
}

func (r *Remote) fetch(ctx context.Context) (*Set, time.Duration, error) {
	fail := func(err error) (*Set, time.Duration, error) {
		return nil, 0, fmt.Errorf("%w: %s: %w", ErrUnavailable, r.url.Redacted(), err)
	}
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
	// One byte more than allowed tells a large set from one that just fits. The bound is on what comes out of gzip.
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxSetBytes+1))
	if err != nil {
		return fail(err)
	}
	set, err := Parse(body)
	if err != nil {
		return fail(err)
	}
	return set, min(max(freshness(resp.Header, r.cfg.Refresh), r.cfg.MinInterval), r.cfg.Refresh), nil
}

// freshness reads Cache-Control and Age (RFC 9111 §4.2); what they do not say, or say badly, is whole.
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
