package authserver_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

type archive struct {
	mu   sync.Mutex
	held []profile.Evidence
	down bool
}

func (a *archive) keep(_ context.Context, e profile.Evidence) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down {
		return errors.New("archive: disk full")
	}
	a.held = append(a.held, e)
	return nil
}

// kinds returns what is held of one side, and forgets it.
func (a *archive) take() (kinds []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.held {
		kinds = append(kinds, fmt.Sprint(e.Kind, " ", e.Issued))
	}
	a.held = nil
	return kinds
}

func TestEvidence(t *testing.T) {
	server, own := &archive{}, &archive{}
	w, ctx := newWorld(t, demanding(profile.Advanced), func(as *authserver.Config, _ *resourceserver.Config) {
		as.Hooks.Evidence = server.keep
	}), context.Background()
	app := w.client("client-1", using(profile.Advanced), func(c *client.Config) { c.Hooks.Evidence = own.keep })
	session, err := app.Begin(ctx, client.Request{Scopes: []string{"accounts"}})
	require.NoError(t, err)
	callback := w.browse(session.URL)
	held := slices.Clone(server.held)
	require.Equal(t, []string{"request object false", "authorization response true"}, server.take(), "MS-7-1")
	require.Equal(t, callback.Get("response"), held[1].JWT)
	for _, e := range held {
		require.NotNil(t, e.Key)
		require.Equal(t, "client-1", e.ClientID)
		require.NotContains(t, fmt.Sprintf("%v %+v %#v", e, e, e), e.JWT, "printed it shows nothing")
	}
	token, err := app.Finish(ctx, session, callback)
	require.NoError(t, err)
	require.Equal(t, []string{"request object true", "authorization response false"}, own.take())
	got := w.send(w.as.Metadata().IntrospectionEndpoint, w.authenticated("client-2", url.Values{"token": {token.AccessToken}}))
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, []string{"introspection response true"}, server.take())

	// A refused message is no evidence; one that cannot be archived has no effect.
	form := w.signed("client-1", w.pushForm("client-1"))
	require.Equal(t, http.StatusBadRequest, w.send(w.parURL(), form).status, "no response_mode")
	require.Empty(t, server.take())
	server.down = true
	form = w.pushForm("client-1")
	form.Set("response_mode", "jwt")
	refused := w.send(w.parURL(), w.signed("client-1", form))
	require.Equal(t, http.StatusServiceUnavailable, refused.status)
	require.Equal(t, "server_error", refused.code)
	server.down = false
	session, err = app.Begin(ctx, client.Request{Scopes: []string{"accounts"}})
	require.NoError(t, err)
	server.down = true
	require.Equal(t, http.StatusServiceUnavailable, w.visit(session.URL).StatusCode)
	server.down = false
	_, err = app.Finish(ctx, session, w.browse(session.URL))
	require.NoError(t, err, "the request was still there")
}
