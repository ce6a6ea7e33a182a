package client

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

const (
	// A token source waits firstPause after a failed refresh. The pause doubles
	// with each further failure, up to longestPause.
	firstPause, longestPause = time.Second, time.Minute
	// longestRetryAfter bounds the Retry-After of a server, whose clock may be
	// wrong.
	longestRetryAfter = 10 * time.Minute
)

// A backoff is an exponential back-off after failures. Its zero value permits
// the operation.
type backoff struct {
	failure error // of the last attempt
	pause   time.Duration
	until   time.Time
}

// check returns the last failure during a pause, and always after a permanent
// failure.
func (b *backoff) check(now time.Time) error {
	switch wait := b.until.Sub(now); {
	case errors.Is(b.failure, ErrReauthorize):
		return b.failure
	case b.failure != nil && wait > 0:
		return fmt.Errorf("client: no refresh for %v, after: %w", wait.Round(time.Second), b.failure)
	}
	return nil
}

// failed starts a pause of at least retryAfter.
func (b *backoff) failed(failure error, now time.Time, retryAfter time.Duration) {
	b.failure = failure
	b.pause = min(max(2*b.pause, firstPause), longestPause)
	b.until = now.Add(max(b.pause, retryAfter))
}

// RetryAfter returns the Retry-After of the server in an error of this client.
// Servers usually send it with status 503 or 429. RetryAfter returns at most 10
// minutes, and 0 if the server sent none. The client does not repeat requests
// because of it; a [Client.TokenSource] waits for that long.
func (c *Client) RetryAfter(err error) time.Duration {
	var received *oauth2.RetrieveError
	if !errors.As(err, &received) || received.Response == nil {
		return 0
	}
	value := strings.TrimSpace(received.Response.Header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, longestRetryAfter)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(c.cfg.Hooks.Now()), 0), longestRetryAfter)
	}
	return 0
}
