package client_test

import (
	"crypto/ecdh"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/internal/roletest"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// signedCallback returns a signed authorization response of a peer.
func (p *peer) signedCallback(kid string, s *client.Session, to ...jarm.Encryption) url.Values {
	issuer, err := jarm.NewIssuer(jarm.IssuerConfig{
		Issuer: p.as.URL, Key: testkit.ECKey(p.t, "peer"), KeyID: kid, Now: p.clock.Now,
	})
	require.NoError(p.t, err)
	params := url.Values{"code": {"code-1"}, "state": {s.State}}
	response, err := issuer.Response("c-1", params)
	if len(to) > 0 {
		response, err = issuer.EncryptedResponse("c-1", params, to[0])
	}
	require.NoError(p.t, err)
	return url.Values{"response": {response}}
}

// A setApp is a browser at an application with several servers and one redirect
// URI.
type setApp struct {
	*roletest.Application
	set      *client.Set
	sessions *client.Sessions
	failed   error
	finished []string // issuers
}

func newSetApp(t testing.TB, set *client.Set) *setApp {
	a := &setApp{set: set}
	a.sessions = roletest.NewSessions(t, func(c *client.SessionsConfig) {
		c.Fail = func(w http.ResponseWriter, _ *http.Request, err error) {
			a.failed = err
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	mux := http.NewServeMux()
	mux.Handle("/login", set.LoginHandler(a.sessions, func(r *http.Request) (string, client.Request, error) {
		return r.FormValue("bank"), client.Request{Scopes: []string{"a"}}, nil
	}))
	mux.Handle("/cb", set.CallbackHandler(a.sessions,
		func(w http.ResponseWriter, _ *http.Request, s *client.Session, token *oauth2.Token) {
			require.Equal(t, "at-1", token.AccessToken)
			a.finished = append(a.finished, s.Issuer)
		}))
	a.Application = roletest.NewBrowser(t, mux)
	return a
}

// login begins a login at a peer, and returns its session. The state is the one
// that the peer received.
func (a *setApp) login(t testing.TB, p *peer, bank string) *client.Session {
	response := a.Visit("POST", "/login?bank="+url.QueryEscape(bank), "Sec-Fetch-Site", "same-origin")
	require.Equal(t, http.StatusSeeOther, response.StatusCode, a.failed)
	pushed := p.messages("/par")
	return &client.Session{Issuer: p.as.URL, State: pushed[len(pushed)-1].form.Get("state")}
}

func (a *setApp) callback(query url.Values) error {
	a.failed = nil
	a.Visit("GET", "/cb?"+query.Encode())
	return a.failed
}

func TestSetHandlers(t *testing.T) {
	plain, signed, encrypted := newPeer(t), newPeer(t), newPeer(t)
	set := newSet(t, &client.Set{}, plain)
	to := jarm.Encryption{
		Key: testkit.ECKey(t, "enc").Public(), KeyID: "enc", Algorithm: "ECDH-ES", ContentEncryption: "A256GCM",
	}
	for _, p := range []*peer{signed, encrypted} {
		p.metadata = func(m map[string]any) { m["response_modes_supported"] = []string{"query", "jwt"} }
		cfg := p.config()
		cfg.Profile = profile.SignedResponses
		if p == encrypted {
			cfg.ResponseDecryptionKeys = []jarm.DecryptionKey{{Key: testkit.ECKey(t, "enc"), KeyID: "enc"}}
		}
		require.NoError(t, set.Put(cfg))
	}
	a := newSetApp(t, set)
	one := a.login(t, plain, plain.as.URL)
	two := a.login(t, signed, signed.as.URL)
	three := a.login(t, encrypted, encrypted.as.URL)
	require.Len(t, a.Cookies, 3)
	require.NoError(t, a.callback(encrypted.signedCallback("k1", three, to)))
	require.NoError(t, a.callback(signed.signedCallback("k1", two)), "no iss outside of the response")
	require.NoError(t, a.callback(callback(one)))
	require.Equal(t, []string{encrypted.as.URL, signed.as.URL, plain.as.URL}, a.finished)
	require.Empty(t, a.Cookies)
	require.ErrorIs(t, a.callback(callback(one)), client.ErrSession, "a session is used once")

	response := a.Visit("POST", "/login?bank=https://evil.example", "Sec-Fetch-Site", "same-origin")
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
	require.ErrorIs(t, a.failed, client.ErrUnknownServer)
	a.Visit("POST", "/login?bank="+plain.as.URL, "Sec-Fetch-Site", "cross-site")
	require.ErrorIs(t, a.failed, client.ErrCrossOrigin)
	require.ErrorIs(t, a.callback(url.Values{"state": {"unknown"}}), client.ErrSession)
	require.ErrorIs(t, a.callback(encrypted.signedCallback("k1", three, to)), client.ErrSession)
	one = a.login(t, plain, plain.as.URL)
	require.True(t, set.Remove(plain.as.URL))
	require.ErrorIs(t, a.callback(callback(one)), client.ErrUnknownServer)
	require.Len(t, plain.messages("/token"), 1)
}

// The application restarts during two logins. A server does not respond, and
// the browser returns from the other one.
func TestSetEncryptedCallbackDuringAnOutage(t *testing.T) {
	silent, p := newPeer(t), newPeer(t)
	to := jarm.Encryption{
		Key: testkit.ECKey(t, "enc").Public(), KeyID: "enc", Algorithm: "ECDH-ES", ContentEncryption: "A256GCM",
	}
	put := func(set *client.Set, p *peer) {
		cfg := p.config()
		cfg.Profile = profile.SignedResponses
		cfg.ResponseDecryptionKeys = []jarm.DecryptionKey{{Key: testkit.ECKey(t, "enc"), KeyID: "enc"}}
		require.NoError(t, set.Put(cfg))
	}
	a := newSetApp(t, &client.Set{})
	release := make(chan struct{})
	for _, p := range []*peer{silent, p} {
		p.metadata = func(m map[string]any) { m["response_modes_supported"] = []string{"jwt"} }
		put(a.set, p)
	}
	a.login(t, silent, silent.as.URL)
	session := a.login(t, p, p.as.URL)
	a.login(t, silent, silent.as.URL) // before and after, in any order of the cookies
	silent.metadata = func(map[string]any) { <-release }
	put(a.set, silent) // without metadata
	done := make(chan error, 1)
	go func() { done <- a.callback(p.signedCallback("k1", session, to)) }()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(10 * time.Second):
		t.Error("the user waits for another server")
	}
	close(release)
}

// A server that the attacker controls must not receive the code of another
// server, and its responses must not finish a login at another server.
func TestSetMixUp(t *testing.T) {
	honest, evil := newPeer(t), newPeer(t)
	evilSigned := newPeer(t)
	evilSigned.metadata = func(m map[string]any) { m["response_modes_supported"] = []string{"jwt"} }
	set := newSet(t, &client.Set{}, honest, evil)
	cfg := evilSigned.config()
	cfg.Profile = profile.SignedResponses
	require.NoError(t, set.Put(cfg))
	for name, attack := range map[string]func(a *setApp) url.Values{
		"ISS-2.4-1: the code of another server in the evil server's login": func(a *setApp) url.Values {
			s := a.login(t, evil, evil.as.URL)
			return url.Values{"iss": {honest.as.URL}, "state": {s.State}, "code": {"code-1"}}
		},
		"ISS-2.4-1: the response of the evil server in another login": func(a *setApp) url.Values {
			s := a.login(t, honest, honest.as.URL)
			return url.Values{"iss": {evil.as.URL}, "state": {s.State}, "code": {"code-1"}}
		},
		"no iss": func(a *setApp) url.Values {
			s := a.login(t, honest, honest.as.URL)
			return url.Values{"state": {s.State}, "code": {"code-1"}}
		},
		"a signed response of the evil server in the login of another": func(a *setApp) url.Values {
			s := a.login(t, honest, honest.as.URL)
			return evilSigned.signedCallback("k1", s)
		},
		"AM-5.4b: the state of one login outside and of another inside": func(a *setApp) url.Values {
			s := a.login(t, honest, honest.as.URL)
			both := evilSigned.signedCallback("k1", a.login(t, evilSigned, evilSigned.as.URL))
			both.Set("state", s.State)
			both.Set("iss", evil.as.URL)
			return both
		},
		"a plain response where a signed one is required": func(a *setApp) url.Values {
			s := a.login(t, evilSigned, evilSigned.as.URL)
			return url.Values{"iss": {evilSigned.as.URL}, "state": {s.State}, "code": {"code-1"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newSetApp(t, set)
			require.ErrorIs(t, a.callback(attack(a)), client.ErrAuthorizationResponse)
			require.Empty(t, a.finished)
		})
	}
	for _, p := range []*peer{honest, evil, evilSigned} {
		require.Empty(t, p.messages("/token"))
	}
}

// The application restarts during a login, and the server is down when the
// browser comes back.
func TestSetCallbackDuringAnOutage(t *testing.T) {
	p := newPeer(t)
	down := p.down()
	a := newSetApp(t, newSet(t, &client.Set{}, p))
	session := a.login(t, p, p.as.URL)
	a.set.Remove(p.as.URL)
	require.NoError(t, a.set.Put(p.config())) // without metadata
	down.Store(true)
	require.ErrorIs(t, a.callback(callback(session)), profile.ErrDiscovery)
	require.Len(t, a.Cookies, 1, "the session is not used up")
	down.Store(false)
	p.clock.Advance(2 * time.Second)
	require.NoError(t, a.callback(callback(session)))
	require.Equal(t, []string{p.as.URL}, a.finished)
}

// A countedKey counts the operations of a hardware module.
type countedKey struct {
	*ecdh.PrivateKey
	calls *atomic.Int32
}

func (k countedKey) ECDH(with *ecdh.PublicKey) ([]byte, error) {
	k.calls.Add(1)
	return k.PrivateKey.ECDH(with)
}

// A sender without a session does not use the private key.
func TestEncryptedCallbackWithoutASession(t *testing.T) {
	p := newPeer(t)
	p.metadata = func(m map[string]any) { m["response_modes_supported"] = []string{"jwt"} }
	private, err := testkit.ECKey(t, "enc").ECDH()
	require.NoError(t, err)
	key := countedKey{private, new(atomic.Int32)}
	app, err := p.try(func(c *client.Config) {
		c.Profile, c.ResponseDecryptionKeys = profile.SignedResponses, []jarm.DecryptionKey{{Key: key, KeyID: "enc"}}
	})
	require.NoError(t, err)
	var failed error
	sessions := roletest.NewSessions(t, func(c *client.SessionsConfig) {
		c.Fail = func(_ http.ResponseWriter, _ *http.Request, err error) { failed = err }
	})
	handler := app.CallbackHandler(sessions, func(http.ResponseWriter, *http.Request, *client.Session, *oauth2.Token) {})
	session, err := app.Begin(t.Context(), client.Request{Scopes: []string{"a"}})
	require.NoError(t, err)
	good := putIn(t, sessions, nil, session)
	target := "/cb?" + p.signedCallback("k1", session, jarm.Encryption{
		Key: testkit.ECKey(t, "enc").Public(), KeyID: "enc", Algorithm: "ECDH-ES", ContentEncryption: "A256GCM",
	}).Encode()
	for _, row := range []struct {
		name    string
		cookies []*http.Cookie
		want    error
	}{
		{"no cookie", nil, client.ErrSession},
		{"a forged cookie", []*http.Cookie{{Name: good[0].Name, Value: "AAAA"}}, client.ErrSession},
		{"the session", good, nil},
	} {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		for _, cookie := range row.cookies {
			r.AddCookie(cookie)
		}
		failed = nil
		handler.ServeHTTP(httptest.NewRecorder(), r)
		require.ErrorIs(t, failed, row.want, row.name)
		require.Equal(t, row.want == nil, key.calls.Load() > 0, row.name)
	}
}
