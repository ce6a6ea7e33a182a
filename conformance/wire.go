package conformance

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

const (
	maxBody   = 1 << 20  // of a response; no metadata document or key set needs more
	maxHeader = 64 << 10 // of a response
	maxLosses = 3        // requests in a row without a response, before the server counts as gone
)

var (
	errNotLoopback = errors.New("not a loopback address, and Remote is not set")
	errTooLarge    = fmt.Errorf("response of more than %d bytes", maxBody)
	errMany        = errors.New("the maximum number of requests was sent")
	errGone        = fmt.Errorf("the server did not respond to %d requests in a row", maxLosses)
)

// An answer is a response.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// isJSON reports whether the response has the media type of JSON.
func (a *answer) isJSON() bool {
	kind, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// failure returns the error code of the response, or an empty string.
func (a *answer) failure() string {
	var body struct {
		Error string `json:"error"`
	}
	if !a.isJSON() || json.Unmarshal(a.body, &body) != nil {
		return ""
	}
	return body.Error
}

// String returns the response without its values, because they can be secret.
func (a *answer) String() string {
	text := fmt.Sprintf("status %d", a.status)
	if code := a.failure(); code != "" {
		return text + fmt.Sprintf(", error %.60q", code)
	}
	if kind := a.header.Get("Content-Type"); kind != "" {
		text += fmt.Sprintf(", %.60q", kind)
	}
	return text + fmt.Sprintf(", %d bytes", len(a.body))
}

// A wire sends requests within bounds. It is not safe for concurrent use.
type wire struct {
	client   *http.Client
	interval time.Duration
	max      int
	sent     int // requests
	lost     int // requests in a row without a response
	last     time.Time
}

func newWire(cfg *ServerConfig) *wire {
	dialer := &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || !cfg.Remote && !to.Addr().Unmap().IsLoopback() {
			return errNotLoopback
		}
		return nil
	}}
	return &wire{interval: cfg.Interval, max: cfg.MaxRequests, client: &http.Client{
		Timeout:       cfg.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            dialer.DialContext, // and no proxy, which would hide the address
			TLSClientConfig:        &tls.Config{RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true,
		},
	}}
}

// do sends a request and reads the response.
func (w *wire) do(r *http.Request) (*answer, error) {
	switch {
	case w.lost >= maxLosses:
		return nil, errGone
	case w.sent >= w.max:
		return nil, errMany
	}
	if err := w.wait(r.Context()); err != nil {
		return nil, err
	}
	w.sent++
	w.lost++
	response, err := w.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = errTooLarge
	}
	if err != nil {
		return nil, err
	}
	w.lost = 0
	return &answer{response.StatusCode, response.Header, body}, nil
}

// wait keeps the interval between two requests.
func (w *wire) wait(ctx context.Context) error {
	timer := time.NewTimer(time.Until(w.last.Add(w.interval)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		w.last = time.Now()
		return nil
	}
}
