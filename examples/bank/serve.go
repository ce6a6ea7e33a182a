package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/gofapi/fapi2/profile"
)

// These are bounds for the peers of this program.
const (
	maxHeader      = 48 << 10 // a proof and an access token, and a dozen cookies
	maxConnections = 1000     // on each listener
	maxStreams     = 100      // of one connection
	maxRequests    = 2000     // at a time, on all connections
	headerTimeout  = 5 * time.Second
	readTimeout    = 15 * time.Second
	writeTimeout   = 30 * time.Second
	requestTime    = 20 * time.Second // less than writeTimeout, so that the peer receives a response
	idleTimeout    = 60 * time.Second
	shutdownTime   = 10 * time.Second
)

// A socket is a listener and its handler.
type socket struct {
	listener net.Listener
	handler  http.Handler
	asks     bool // asks for a certificate of any kind; package profile checks it and returns OAuth errors
}

// serve serves all sockets until ctx ends, and then lets the running requests
// finish.
func serve(ctx context.Context, log *slog.Logger, certificate *served, sockets ...socket) error {
	failed := make(chan error, len(sockets))
	servers := make([]*http.Server, 0, len(sockets))
	for _, s := range sockets {
		keeping := profile.TLSConfig() // SP-5.2.1-2, SP-5.2.2-1
		keeping.GetCertificate = certificate.get
		if s.asks {
			keeping.ClientAuth = tls.RequestClientCert
		}
		server := &http.Server{
			Handler: s.handler, TLSConfig: keeping, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
			ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
			IdleTimeout:    idleTimeout,
			MaxHeaderBytes: maxHeader, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		}
		servers = append(servers, server)
		limited := limit(s.listener, maxConnections)
		server.ConnState = limited.follow
		go func() { failed <- server.ServeTLS(limited, "", "") }()
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	for _, server := range servers {
		if closing := server.Shutdown(ending); closing != nil {
			err = errors.Join(err, closing, server.Close())
		}
	}
	return err
}

// observe bounds the number of running requests and writes a log line for each.
// The line contains the path, but neither the query nor the headers, which
// contain secrets.
func (b *bank) observe(next http.Handler) http.Handler {
	slots := make(chan struct{}, maxRequests)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			w.Header().Set("Retry-After", "5")
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), requestTime)
		defer cancel()
		r = r.WithContext(ctx)
		start := time.Now()
		noted := &notedResponse{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			if failed := recover(); failed != nil {
				b.log.ErrorContext(r.Context(), "panic", "reason", fmt.Sprint(failed), "stack", string(debug.Stack()))
				panic(http.ErrAbortHandler) // net/http closes the connection without a response
			}
			attrs := []slog.Attr{
				slog.String("method", r.Method), slog.String("path", r.URL.Path[:min(len(r.URL.Path), 100)]),
				slog.Int("status", noted.status),
				slog.Float64("ms", float64(time.Since(start).Microseconds())/1000),
			}
			if id := w.Header().Get("X-Fapi-Interaction-Id"); id != "" { // set by this server, and a UUID
				attrs = append(attrs, slog.String("interaction_id", id))
			}
			b.log.LogAttrs(r.Context(), slog.LevelInfo, "request", attrs...)
		}()
		next.ServeHTTP(noted, r)
	})
}

type notedResponse struct {
	http.ResponseWriter
	status int
}

// WriteHeader records the status.
func (n *notedResponse) WriteHeader(status int) {
	n.status = status
	n.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (n *notedResponse) Unwrap() http.ResponseWriter { return n.ResponseWriter }

func slogLevel(status int) slog.Level {
	if status >= http.StatusInternalServerError {
		return slog.LevelError
	}
	return slog.LevelInfo
}

// printReady prints a line when the bank accepts requests.
func printReady(out io.Writer, issuer string) error {
	return json.NewEncoder(out).Encode(struct {
		Ready  bool   `json:"ready"`
		Issuer string `json:"issuer"`
	}{true, issuer})
}
