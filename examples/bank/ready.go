package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// readyTime limits the checks of readiness.
const readyTime = 5 * time.Second

// healthy reports that the process serves requests. It does not ask the store:
// a restart of the process would not repair the store.
func healthy(w http.ResponseWriter, _ *http.Request) {
	writeStatus(w, http.StatusOK, "ok")
}

// readiness reports whether the bank can serve its clients now: whether its
// stores respond and the program does not end soon. A load balancer asks it.
// The keys were loaded at the start.
func (b *bank) readiness(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTime)
	defer cancel()
	err := b.kept.check(ctx, b.users.records)
	if b.ending.Load() {
		err = errors.New("the program ends")
	}
	if err != nil {
		b.log.WarnContext(ctx, "not ready", "reason", err.Error())
		w.Header().Set("Retry-After", "5")
		writeStatus(w, http.StatusServiceUnavailable, "unavailable")
		return
	}
	writeStatus(w, http.StatusOK, "ready")
}

// untilDrained returns a context that ends some time after ctx. Meanwhile the
// bank serves requests, but reports that it is not ready. Load balancers thus
// send new requests elsewhere before the listeners close.
func (b *bank) untilDrained(ctx context.Context) context.Context {
	drained, end := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		b.ending.Store(true)
		time.AfterFunc(time.Duration(b.cfg.drainSeconds)*time.Second, end)
	})
	return drained
}

// check reads one entry of each store.
func (k *kept) check(ctx context.Context, r *records) error {
	key := r.key("keys", "")
	_, version, err := k.main.Get(ctx, key)
	if err == nil && version == 0 {
		err = errors.New("missing keys of the bank")
	}
	if err == nil && k.second != nil {
		_, _, err = k.second.Get(ctx, key)
	}
	return err
}

func writeStatus(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintf(w, "{\"status\":%q}\n", text)
}
