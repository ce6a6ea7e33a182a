package client_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

const metadataPath = "/.well-known/oauth-authorization-server"

// down makes a peer unavailable while it is true.
func (p *peer) down() *atomic.Bool {
	down, serve := new(atomic.Bool), p.as.Config.Handler
	p.as.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			p.note(r)
			http.Error(w, "maintenance", http.StatusServiceUnavailable)
			return
		}
		serve.ServeHTTP(w, r)
	})
	return down
}

// newSet returns a set of the peers.
func newSet(t testing.TB, set *client.Set, peers ...*peer) *client.Set {
	for _, p := range peers {
		require.NoError(t, set.Put(p.config()))
	}
	return set
}

// reportingSet returns a set whose metadata serve for 3 hours, and the errors
// that it reports.
func reportingSet(t testing.TB, p *peer) (*client.Set, <-chan error) {
	reports := make(chan error, 16)
	return newSet(t, &client.Set{
		Refresh: time.Hour, MaxStale: 3 * time.Hour,
		Report: func(_ context.Context, _ string, err error) { reports <- err },
	}, p), reports
}

// renewed calls Client until the metadata in use satisfy ok.
func renewed(t testing.TB, set *client.Set, p *peer, ok func(*profile.ServerMetadata) bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		c, err := set.Client(context.Background(), p.as.URL)
		return err == nil && ok(c.ServerMetadata())
	}, 10*time.Second, time.Millisecond)
}

func TestSetConfiguration(t *testing.T) {
	p, other := newPeer(t), newPeer(t)
	for name, set := range map[string]*client.Set{
		"Refresh of seconds":         {Refresh: time.Second},
		"MaxStale below Refresh":     {Refresh: time.Hour, MaxStale: time.Minute},
		"MaxStale of more than week": {MaxStale: 8 * 24 * time.Hour},
		"negative Refresh":           {Refresh: -time.Hour},
	} {
		require.ErrorContains(t, set.Put(p.config()), "client: set: Refresh", name)
		require.Empty(t, set.Issuers(), name)
	}
	set := newSet(t, &client.Set{}, p)
	bad := p.config()
	bad.ClientID, bad.Key = "", nil
	err := set.Put(bad)
	require.ErrorContains(t, err, "missing ClientID")
	require.ErrorContains(t, err, "Key is required")
	certificate := other.config()
	certificate.MutualTLS = &client.MutualTLS{Certificate: testkit.Certify(t, "c-1", nil), BindTokens: true}
	certificate.HTTPClient = &http.Client{Transport: roundTrip(nil)}
	require.ErrorContains(t, set.Put(certificate), "unsupported HTTPClient.Transport")
	require.Equal(t, []string{p.as.URL}, set.Issuers(), "a rejected configuration changes nothing")
	require.Empty(t, p.messages(metadataPath), "nothing is fetched before the first use")

	_, err = set.Client(t.Context(), other.as.URL)
	require.ErrorIs(t, err, client.ErrUnknownServer)
	require.Empty(t, other.messages(metadataPath))
	require.NoError(t, set.Put(other.config()))
	c, err := set.Client(t.Context(), other.as.URL)
	require.NoError(t, err)
	require.True(t, set.Remove(other.as.URL))
	require.False(t, set.Remove(other.as.URL))
	_, err = set.Client(t.Context(), other.as.URL)
	require.ErrorIs(t, err, client.ErrUnknownServer)
	_, err = c.ClientCredentials(t.Context(), client.Request{})
	require.NoError(t, err, "a client that the application has kept continues")

	replaced := p.config()
	replaced.ClientID = "c-2"
	before, err := set.Client(t.Context(), p.as.URL)
	require.NoError(t, err)
	require.NoError(t, set.Put(replaced))
	after, err := set.Client(t.Context(), p.as.URL)
	require.NoError(t, err)
	require.Contains(t, after.String(), "c-2")
	require.Contains(t, before.String(), "c-1")
}

// Twenty banks, of which one is down. Many users come at once.
func TestSetOfTwentyServers(t *testing.T) {
	var peers []*peer
	for range 20 {
		peers = append(peers, newPeer(t))
	}
	lost := peers[7]
	down := lost.down()
	down.Store(true)
	var reports atomic.Int64
	set := newSet(t, &client.Set{Report: func(_ context.Context, issuer string, err error) {
		if issuer == lost.as.URL && errors.Is(err, profile.ErrDiscovery) {
			reports.Add(1)
		}
	}}, peers...)
	require.Len(t, set.Issuers(), 20)
	var all sync.WaitGroup
	for _, p := range peers {
		for range 8 {
			all.Go(func() {
				c, err := set.Client(context.Background(), p.as.URL)
				if p == lost {
					require.ErrorIs(t, err, profile.ErrDiscovery)
					return
				}
				require.NoError(t, err)
				_, err = c.ClientCredentials(context.Background(), client.Request{})
				require.NoError(t, err)
			})
		}
	}
	all.Wait()
	for _, p := range peers {
		require.Len(t, p.messages(metadataPath), 1, "single flight")
	}

	attempts := func() int { return len(lost.messages(metadataPath)) }
	for range 50 { // the pause lasts a second, and the clock stands still
		_, err := set.Client(t.Context(), lost.as.URL)
		require.ErrorIs(t, err, profile.ErrDiscovery)
		require.ErrorContains(t, err, "next attempt in 1s")
	}
	require.Equal(t, 1, attempts(), "back-off")
	for range 600 { // ten minutes
		lost.clock.Advance(time.Second)
		_, err := set.Client(t.Context(), lost.as.URL)
		require.Error(t, err)
	}
	require.Less(t, attempts(), 20, "at most about one attempt a minute")
	require.Greater(t, attempts(), 10)
	require.Eventually(t, func() bool { return int(reports.Load()) == attempts() }, 10*time.Second, time.Millisecond)

	down.Store(false)
	lost.clock.Advance(75 * time.Second)
	c, err := set.Client(t.Context(), lost.as.URL)
	require.NoError(t, err, "the server is back")
	_, err = c.Begin(t.Context(), client.Request{Scopes: []string{"a"}})
	require.NoError(t, err)
}

func TestSetCallersStopWaiting(t *testing.T) {
	p := newPeer(t)
	release := make(chan struct{})
	p.metadata = func(map[string]any) { <-release }
	set := newSet(t, &client.Set{}, p)
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error)
	go func() {
		_, err := set.Client(ctx, p.as.URL)
		waiting <- err
	}()
	require.Eventually(t, func() bool { return len(p.messages(metadataPath)) == 1 }, 10*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-waiting, context.Canceled, "a caller stops waiting when its context ends")
	close(release)
	_, err := set.Client(t.Context(), p.as.URL)
	require.NoError(t, err, "the discovery continues for the next caller")
	require.Len(t, p.messages(metadataPath), 1)
}

// The host's transport panics in the goroutine of a discovery.
func TestSetSurvivesPanics(t *testing.T) {
	p := newPeer(t)
	set := newSet(t, &client.Set{})
	cfg := p.config()
	cfg.HTTPClient.Transport = roundTrip(func(*http.Request) (*http.Response, error) { panic("secret-1") })
	require.NoError(t, set.Put(cfg))
	_, err := set.Client(t.Context(), p.as.URL)
	require.ErrorContains(t, err, "panic in the discovery: string")
	require.NotContains(t, err.Error(), "secret-1")

	reported := make(chan struct{})
	noisy := newSet(t, &client.Set{Report: func(context.Context, string, error) {
		defer close(reported)
		panic("a bug of the host")
	}})
	require.NoError(t, noisy.Put(cfg))
	_, err = noisy.Client(t.Context(), p.as.URL)
	require.ErrorContains(t, err, "panic in the discovery")
	<-reported
}

// The clock is turned back during an outage.
func TestSetPausesAfterAClockChange(t *testing.T) {
	p := newPeer(t)
	down := p.down()
	set, reports := reportingSet(t, p)
	_, err := set.Client(t.Context(), p.as.URL)
	require.NoError(t, err)
	down.Store(true)
	p.clock.Advance(-10 * time.Hour)
	_, err = set.Client(t.Context(), p.as.URL)
	require.NoError(t, err)
	require.Error(t, <-reports)
	for range 20 { // the clock stands still
		_, err = set.Client(t.Context(), p.as.URL)
		require.NoError(t, err)
		time.Sleep(5 * time.Millisecond)
	}
	require.Len(t, p.messages(metadataPath), 2, "back-off")
	down.Store(false)
	p.clock.Advance(2 * time.Second)
	renewed(t, set, p, func(*profile.ServerMetadata) bool { return len(p.messages(metadataPath)) == 3 })
}

// The token endpoint of a bank moves. Clients and token sources that the
// application has kept follow.
func TestSetFollowsMovedEndpoints(t *testing.T) {
	p, moved := newPeer(t), newPeer(t)
	p.http.Transport.(*http.Transport).TLSClientConfig.RootCAs.AddCert(moved.as.Certificate())
	set := newSet(t, &client.Set{Refresh: time.Hour, MaxStale: 6 * time.Hour}, p)
	kept, err := set.Client(t.Context(), p.as.URL)
	require.NoError(t, err)
	source := kept.TokenSource(t.Context(), &oauth2.Token{RefreshToken: "rt-1"})
	session, err := kept.Begin(t.Context(), client.Request{Scopes: []string{"a"}})
	require.NoError(t, err)
	_, err = source.Token()
	require.NoError(t, err)
	require.Len(t, p.messages("/token"), 1)

	release := make(chan struct{})
	p.metadata = func(m map[string]any) {
		<-release
		m["token_endpoint"] = moved.as.URL + "/token"
	}
	p.clock.Advance(45 * time.Minute)
	_, err = source.Token()
	require.NoError(t, err)
	require.Len(t, p.messages(metadataPath), 1, "the metadata are not old")
	p.clock.Advance(15 * time.Minute)
	_, err = source.Token()
	require.NoError(t, err, "the old metadata serve while the fetch runs")
	require.Len(t, p.messages("/token"), 3)
	close(release)
	renewed(t, set, p, func(m *profile.ServerMetadata) bool { return m.TokenEndpoint == moved.as.URL+"/token" })
	require.Len(t, p.messages(metadataPath), 2)

	p.clock.Advance(10 * time.Minute)
	_, err = source.Token()
	require.NoError(t, err)
	_, err = kept.Finish(t.Context(), session, callback(session))
	require.NoError(t, err)
	require.Len(t, p.messages("/token"), 3)
	require.Len(t, moved.messages("/token"), 2)
	require.Equal(t, moved.as.URL+"/token", kept.ServerMetadata().TokenEndpoint)
	cfg, _ := kept.OAuth2()
	require.Equal(t, moved.as.URL+"/token", cfg.Endpoint.TokenURL)
}

func TestSetSurvivesOutages(t *testing.T) {
	p := newPeer(t)
	down := p.down()
	set, reports := reportingSet(t, p)
	c, err := set.Client(t.Context(), p.as.URL)
	require.NoError(t, err)
	p.metadata = func(m map[string]any) { m["issuer"] = 7 } // a document that cannot be used is an outage, too
	for range 2 {
		p.clock.Advance(80 * time.Minute)
		_, err = c.ClientCredentials(t.Context(), client.Request{})
		require.NoError(t, err, "the old metadata serve")
		_, err = c.Begin(t.Context(), client.Request{Scopes: []string{"a"}})
		require.NoError(t, err)
		require.ErrorIs(t, <-reports, profile.ErrServerMetadata)
	}
	down.Store(true)
	p.clock.Advance(20 * time.Minute)
	for name, use := range map[string]func() error{
		"Client": func() error { _, err := set.Client(t.Context(), p.as.URL); return err },
		"Begin":  func() error { _, err := c.Begin(t.Context(), client.Request{}); return err },
		"Refresh": func() error {
			_, err := c.Refresh(t.Context(), "rt-1", client.Request{})
			return err
		},
		"ClientCredentials": func() error { _, err := c.ClientCredentials(t.Context(), client.Request{}); return err },
		"Revoke":            func() error { return c.Revoke(t.Context(), "rt-1", "") },
	} {
		err := use()
		require.ErrorIs(t, err, profile.ErrDiscovery, name)
		require.ErrorContains(t, err, "no metadata of", name)
	}
	down.Store(false)
	p.metadata = nil
	p.clock.Advance(2 * time.Minute)
	_, err = c.ClientCredentials(t.Context(), client.Request{})
	require.NoError(t, err)
}

// The document at the address of the bank names another issuer.
func TestSetRejectsAnotherIssuer(t *testing.T) {
	p := newPeer(t)
	down := p.down()
	set, reports := reportingSet(t, p)
	c, err := set.Client(t.Context(), p.as.URL)
	require.NoError(t, err)
	session, err := c.Begin(t.Context(), client.Request{Scopes: []string{"a"}})
	require.NoError(t, err)
	p.metadata = func(m map[string]any) {
		m["issuer"], m["token_endpoint"] = "https://evil.example", "https://evil.example/token"
	}
	begin := func() error {
		_, err := c.Begin(t.Context(), client.Request{Scopes: []string{"a"}})
		return err
	}
	p.clock.Advance(time.Hour)
	_, err = set.Client(t.Context(), p.as.URL)
	require.NoError(t, err, "the old metadata serve while the fetch runs")
	require.ErrorIs(t, <-reports, profile.ErrIssuerMismatch)
	require.ErrorIs(t, begin(), profile.ErrIssuerMismatch, "SP-5.3.3.1-11")
	_, err = c.Finish(t.Context(), session, callback(session))
	require.NoError(t, err, "an unfinished login continues with the old metadata")
	_, err = c.Refresh(t.Context(), "rt-1", client.Request{})
	require.NoError(t, err)
	require.Len(t, p.messages("/token"), 2)

	down.Store(true)
	p.clock.Advance(2 * time.Minute)
	require.ErrorIs(t, begin(), profile.ErrIssuerMismatch)
	require.ErrorIs(t, <-reports, profile.ErrDiscovery)
	require.ErrorIs(t, begin(), profile.ErrIssuerMismatch, "attack: an outage does not permit logins again")

	down.Store(false)
	p.clock.Advance(2 * time.Hour)
	_, err = c.Refresh(t.Context(), "rt-1", client.Request{})
	require.ErrorIs(t, err, profile.ErrIssuerMismatch, "the old metadata end after MaxStale")

	p.metadata = nil
	p.clock.Advance(2 * time.Minute)
	_, err = c.Refresh(t.Context(), "rt-1", client.Request{})
	require.NoError(t, err)
	require.NoError(t, begin(), "the bank has repaired its metadata")
}

// A bank moves its key set, and another change leaves the set as it is.
func TestSetKeepsKeys(t *testing.T) {
	p := newPeer(t)
	p.metadata = func(m map[string]any) { m["response_modes_supported"] = []string{"jwt"} }
	set := newSet(t, &client.Set{Refresh: time.Minute, MaxStale: time.Hour})
	cfg := p.config()
	cfg.Profile = profile.SignedResponses
	cfg.ServerKeys = &jwks.RemoteConfig{Refresh: 24 * time.Hour}
	require.NoError(t, set.Put(cfg))
	c, err := set.Client(t.Context(), p.as.URL)
	require.NoError(t, err)
	login := func() error {
		session, err := c.Begin(t.Context(), client.Request{Scopes: []string{"a"}})
		require.NoError(t, err)
		_, err = c.Finish(t.Context(), session, p.signedCallback("k1", session))
		return err
	}
	require.NoError(t, login())
	require.Len(t, p.messages("/jwks"), 1)

	change := func(name string, value any) {
		p.metadata = func(m map[string]any) { m["response_modes_supported"], m[name] = []string{"jwt"}, value }
		p.clock.Advance(time.Minute)
	}
	change("service_documentation", "https://bank.example/docs")
	renewed(t, set, p, func(*profile.ServerMetadata) bool { return len(p.messages(metadataPath)) == 2 })
	require.NoError(t, login())
	require.Len(t, p.messages("/jwks"), 1, "the keys at the same address are kept")

	other := newPeer(t)
	p.http.Transport.(*http.Transport).TLSClientConfig.RootCAs.AddCert(other.as.Certificate())
	other.keys = []jwks.Key{{Public: testkit.ECKey(t, "peer").Public(), KeyID: "k1"}}
	change("jwks_uri", other.as.URL+"/jwks")
	renewed(t, set, p, func(m *profile.ServerMetadata) bool { return m.JWKSURI == other.as.URL+"/jwks" })
	require.NoError(t, login())
	require.Len(t, other.messages("/jwks"), 1)
}
