// Package ready reports to a load balancer whether a program can serve
// requests.
package ready

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

// checkTime limits the check of a request.
const checkTime = 5 * time.Second

// A Probe serves the probes of a load balancer. Check and Logger are required.
// A Probe is safe for concurrent use.
type Probe struct {
	// Check returns an error if the program cannot serve requests now.
	Check  func(ctx context.Context) error
	Logger *slog.Logger

	ending atomic.Bool
}

var errEnding = errors.New("the program ends")

// Live reports that the process serves requests. It does not ask the store: a
// restart of the process would not repair the store.
func (p *Probe) Live(w http.ResponseWriter, _ *http.Request) {
	writeStatus(w, http.StatusOK, "ok")
}

// Ready reports whether the program can serve its users now, and does not end
// soon.
func (p *Probe) Ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), checkTime)
	defer cancel()
	err := errEnding
	if !p.ending.Load() {
		err = p.Check(ctx)
	}
	if err != nil {
		p.Logger.WarnContext(ctx, "not ready", "reason", err.Error())
		w.Header().Set("Retry-After", "5")
		writeStatus(w, http.StatusServiceUnavailable, "unavailable")
		return
	}
	writeStatus(w, http.StatusOK, "ready")
}

// Drain returns a context that ends some time after ctx. Meanwhile the program
// serves requests, but reports that it is not ready. Load balancers thus send
// new requests elsewhere before the listeners close.
func (p *Probe) Drain(ctx context.Context, wait time.Duration) context.Context {
	drained, end := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		p.ending.Store(true)
		time.AfterFunc(wait, end)
	})
	return drained
}

func writeStatus(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintf(w, "{\"status\":%q}\n", text)
}
