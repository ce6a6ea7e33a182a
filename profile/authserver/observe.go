package authserver

import (
	"context"
	"net/http"

	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/tokenbinding"
)

// errMethod is the reason of a response with status 405.
var errMethod = oautherr.New("authserver: method not allowed", "invalid_request", http.StatusMethodNotAllowed, "")

// eventKey is the key of the event of a request in its context.
type eventKey struct{}

// eventOf returns the event that [Hooks.Observe] receives for a request, or
// nil.
func eventOf(ctx context.Context) *profile.Event {
	e, _ := ctx.Value(eventKey{}).(*profile.Event)
	return e
}

// observed reports the requests of an endpoint to [Hooks.Observe]. Without that
// hook it returns the handler itself, so that requests cost nothing more.
func (s *Server) observed(endpoint string, h http.HandlerFunc) http.Handler {
	observe := s.cfg.Hooks.Observe
	if observe == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.cfg.Hooks.Now()
		e := &profile.Event{Endpoint: endpoint}
		h(w, r.WithContext(context.WithValue(r.Context(), eventKey{}, e)))
		if e.Outcome == "" {
			e.Outcome = wire.Success
		}
		e.Duration = s.cfg.Hooks.Now().Sub(start)
		observe(r.Context(), *e)
	})
}

// called is observed for an endpoint that clients call. It applies
// [Config.InteractionIDs].
func (s *Server) called(endpoint string, h http.HandlerFunc) http.Handler {
	return s.observed(endpoint, func(w http.ResponseWriter, r *http.Request) {
		r, err := wire.Interact(r, s.cfg.InteractionIDs)
		wire.SetInteractionID(w.Header(), r)
		if e := eventOf(r.Context()); e != nil {
			e.InteractionID = wire.InteractionID(r)
		}
		if err != nil {
			s.WriteError(w, r, err)
			return
		}
		h(w, r)
	})
}

// noteError records why a request was rejected.
func noteError(ctx context.Context, err error) {
	if e := eventOf(ctx); e != nil {
		wire.SetResult(e, err)
	}
}

// noteBinding records what a token is bound to.
func noteBinding(ctx context.Context, c tokenbinding.Confirmation) {
	e := eventOf(ctx)
	switch {
	case e == nil || c.IsZero():
	case c.JKT != "":
		e.Binding = "DPoP"
	default:
		e.Binding = "mTLS"
	}
}

// guardObserver returns the Observe function of the guard of an endpoint, or
// nil without [Hooks.Observe]. It adds what the guard knows to the event.
func (s *Server) guardObserver() func(context.Context, profile.Event) {
	if s.cfg.Hooks.Observe == nil {
		return nil
	}
	return func(ctx context.Context, guarded profile.Event) {
		if e := eventOf(ctx); e != nil {
			guarded.Endpoint, guarded.Issuer = e.Endpoint, ""
			*e = guarded
		}
	}
}
