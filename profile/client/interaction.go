package client

import (
	"context"
	"net/http"

	"github.com/gofapi/fapi2/profile/internal/wire"
)

type interactionKey struct{}

// interact returns a context with the header fields for the requests of an
// operation.
func (c *Client) interact(ctx context.Context) context.Context {
	if len(interactionOf(ctx)) > 0 { // the operation is part of another one
		return ctx
	}
	var h http.Header
	if c.cfg.Requests.Header != nil {
		h = c.cfg.Requests.Header(ctx).Clone()
	}
	if c.cfg.Requests.InteractionID && h.Get(wire.InteractionHeader) == "" {
		if h == nil {
			h = make(http.Header, 1)
		}
		h.Set(wire.InteractionHeader, wire.NewUUID())
	}
	if len(h) == 0 {
		return ctx
	}
	return context.WithValue(ctx, interactionKey{}, h)
}

func interactionOf(ctx context.Context) http.Header {
	h, _ := ctx.Value(interactionKey{}).(http.Header)
	return h
}

// withInteraction returns a request with the header fields of its context. It
// does not change r, and keeps the fields of r.
func withInteraction(r *http.Request) *http.Request {
	h := interactionOf(r.Context())
	if len(h) == 0 {
		return r
	}
	replica := *r
	replica.Header = r.Header.Clone()
	if replica.Header == nil {
		replica.Header = make(http.Header, len(h))
	}
	for name, values := range h {
		if len(r.Header[name]) == 0 {
			replica.Header[name] = values
		}
	}
	return &replica
}

// An interactionTransport adds the header fields of the context to requests
// that another package makes.
type interactionTransport struct{ base http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t interactionTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return t.base.RoundTrip(withInteraction(r))
}
