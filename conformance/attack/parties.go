package attack

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"

	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"golang.org/x/oauth2"
)

// newBank returns an authorization server whose users log in with a form. Their
// passwords are secrets of their browsers, which this model does not attack.
// The name of the user therefore stands for its password.
func newBank(cfg authserver.Config) (*authserver.Server, error) {
	var server *authserver.Server
	cfg.Interact = func(w http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
		user := r.PostFormValue("user")
		if r.Method != http.MethodPost || user != Alice && user != Mallory {
			io.WriteString(w, "log in and approve")
			return
		}
		response, err := server.Approve(r.Context(), a, authserver.Approval{Subject: user, Scopes: a.Scopes()})
		if err != nil {
			server.WriteAuthorizationError(w, r, a, err)
			return
		}
		response.ServeHTTP(w, r)
	}
	var err error
	server, err = authserver.New(cfg)
	return server, err
}

// An app is the client: a web application that uses two authorization servers.
type app struct {
	http.Handler
	world *World
	set   client.Set

	mu     sync.Mutex
	logins map[string]login // by the cookie of the browser
}

// A login is a user that has logged in.
type login struct {
	issuer string
	token  *oauth2.Token
}

const userCookie = "__Host-user"

func (w *World) newApp(key *ecdsa.PrivateKey, change func(*client.SessionsConfig)) (*app, error) {
	a := &app{world: w, logins: map[string]login{}}
	for _, issuer := range []string{w.Issuer, w.RogueIssuer} {
		dpopKey, err := newKey()
		if err != nil {
			return nil, err
		}
		if err := a.set.Put(client.Config{
			Issuer: issuer, ClientID: clientID, RedirectURI: w.ClientURL + "/callback", Key: key, KeyID: "1",
			DPoPKey: dpopKey, HTTPClient: w.httpClient(Client),
		}); err != nil {
			return nil, err
		}
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	cfg := client.SessionsConfig{Keys: [][]byte{secret}}
	if change != nil {
		change(&cfg)
	}
	sessions, err := client.NewSessions(cfg)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("POST /login", a.set.LoginHandler(sessions, func(r *http.Request) (string, client.Request, error) {
		issuer := r.PostFormValue("issuer")
		w.record(Event{Kind: Began, Party: w.Party(r), Issuer: issuer})
		return issuer, client.Request{Scopes: []string{"openid", "accounts"}}, nil
	}))
	mux.Handle("GET /callback", a.set.CallbackHandler(sessions, a.finish))
	mux.HandleFunc("GET /me", a.me)
	mux.HandleFunc("GET /accounts", a.accounts)
	a.Handler = mux
	return a, nil
}

// finish logs the browser in.
func (a *app) finish(w http.ResponseWriter, r *http.Request, session *client.Session, token *oauth2.Token) {
	id := rand.Text()
	a.mu.Lock()
	a.logins[id] = login{session.Issuer, token}
	a.mu.Unlock()
	http.SetCookie(w, &http.Cookie{
		Name: userCookie, Value: id, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	http.Redirect(w, r, "/me", http.StatusSeeOther)
}

// current returns the login of the browser.
func (a *app) current(w http.ResponseWriter, r *http.Request) (current login, ok bool) {
	cookie, err := r.Cookie(userCookie)
	if err == nil {
		a.mu.Lock()
		current, ok = a.logins[cookie.Value]
		a.mu.Unlock()
	}
	if !ok {
		http.Error(w, "no login", http.StatusUnauthorized)
	}
	return current, ok
}

func (a *app) me(w http.ResponseWriter, r *http.Request) {
	if current, ok := a.current(w, r); ok {
		subject := client.Subject(current.token)
		a.world.record(Event{LoggedIn, a.world.Party(r), subject, current.issuer})
		fmt.Fprintf(w, "hello %s", html.EscapeString(subject))
	}
}

// accounts shows the resource of the user, which the honest API delivers to the
// client. The client does not call it for users of the other server.
func (a *app) accounts(w http.ResponseWriter, r *http.Request) {
	current, ok := a.current(w, r)
	if !ok {
		return
	}
	if current.issuer != a.world.Issuer {
		http.Error(w, "no API", http.StatusNotFound)
		return
	}
	text, err := a.fetch(r.Context(), current)
	if err != nil {
		http.Error(w, "the API does not respond", http.StatusBadGateway)
		return
	}
	a.world.Deliver(w, r, strings.TrimPrefix(text, "accounts of "))
}

func (a *app) fetch(ctx context.Context, user login) (string, error) {
	own, err := a.set.Client(ctx, user.issuer)
	if err != nil {
		return "", err
	}
	api, err := own.HTTPClient(oauth2.StaticTokenSource(user.token))
	if err != nil {
		return "", err
	}
	return page(ctx, api, http.MethodGet, a.world.APIURL+"/accounts", nil)
}

// A browser belongs to a party and acts for a subject. It has cookies, and
// completes the pages of the honest authorization server.
type browser struct {
	world   *World
	http    *http.Client
	party   Party
	subject string
}

func (w *World) newBrowser(party Party, subject string) *browser {
	own := w.httpClient(party)
	own.Jar, _ = cookiejar.New(nil) // never fails
	return &browser{w, own, party, subject}
}

// maxRedirects bounds the redirects after a click, as browsers do.
const maxRedirects = 20

// begin clicks on the login button of the client, and returns the authorization
// request.
func (b *browser) begin(ctx context.Context, issuer string) (string, error) {
	target, _, err := exchange(ctx, b.http, http.MethodPost, b.world.ClientURL+"/login", url.Values{"issuer": {issuer}})
	if err == nil && target == "" {
		err = errors.New("attack: the client begins no login")
	}
	return target, err
}

// load opens a URL and returns the target of the redirect, or an empty string.
func (b *browser) load(ctx context.Context, target string) (next string, err error) {
	if b.party == User && b.authorizes(target) {
		b.world.mu.Lock()
		b.world.visits = append(b.world.visits, target)
		b.world.mu.Unlock()
	}
	next, _, err = exchange(ctx, b.http, http.MethodGet, target, nil)
	return next, err
}

// authorizes reports whether a URL is an authorization request to the honest
// authorization server.
func (b *browser) authorizes(target string) bool {
	return strings.HasPrefix(target, b.world.Issuer+"/authorize?")
}

// step is load. At the honest authorization server it also logs in and
// approves.
func (b *browser) step(ctx context.Context, target string) (next string, err error) {
	next, err = b.load(ctx, target)
	if err == nil && next == "" && b.authorizes(target) {
		next, _, err = exchange(ctx, b.http, http.MethodPost, target, url.Values{"user": {b.subject}})
	}
	return next, err
}

// open opens a URL and follows all redirects.
func (b *browser) open(ctx context.Context, target string) error {
	for range maxRedirects {
		next, err := b.step(ctx, target)
		if err != nil || next == "" {
			return err
		}
		target = next
	}
	return errors.New("attack: too many redirects")
}

// maxPage bounds a page.
const maxPage = 1 << 20

// exchange sends a form, or nil, and returns the target of the redirect and the
// body. A response with an error status is an error.
func exchange(
	ctx context.Context, c *http.Client, method, target string, form url.Values,
) (next, body string, err error) {
	r, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(form.Encode()))
	if err != nil {
		return "", "", err
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return send(c, r)
}

func send(c *http.Client, r *http.Request) (next, body string, err error) {
	response, err := c.Do(r)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxPage))
	if err != nil {
		return "", "", err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return "", "", fmt.Errorf("attack: %s of %s: %.200s", response.Status, r.URL.Path, content)
	}
	if location, err := response.Location(); err == nil {
		next = location.String()
	}
	return next, string(content), nil
}

func page(ctx context.Context, c *http.Client, method, target string, form url.Values) (string, error) {
	_, body, err := exchange(ctx, c, method, target, form)
	return body, err
}
