package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
)

const headerInteractionID = "X-Fapi-Interaction-Id"

type interactionKey struct{}

// interact returns a context with the header fields for the requests of an
// operation.
func (c *Client) interact(ctx context.Context) context.Context {
	var h http.Header
	if c.cfg.Requests.Header != nil {
		h = c.cfg.Requests.Header(ctx).Clone()
	}
	if c.cfg.Requests.InteractionID && h.Get(headerInteractionID) == "" {
		if h == nil {
			h = make(http.Header, 1)
		}
		h.Set(headerInteractionID, newUUID())
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

// newUUID returns a random UUID (RFC 9562 §5.4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
