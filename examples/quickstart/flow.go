package main

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
)

// A step is something that has to succeed.
type step struct {
	name, clause string
	do           func(ctx context.Context, f *flow) error
}

// A flow is how far the user and the client have come.
type flow struct {
	*world
	user      *browser
	pageURL   string // where the client sends the user
	answerURL string // where the authorization server sends the user
	token     *oauth2.Token
	renewed   *profile.Client   // our client after a restart
	newKey    *ecdsa.PrivateKey // its new DPoP key
}

// play does a step. Its status is that of the last message.
func (s step) play(ctx context.Context, f *flow) result {
	r := result{Kind: "step", Name: s.name, Clause: s.clause, OK: true}
	f.wire.take()
	if err := s.do(ctx, f); err != nil {
		r.OK, r.Reason = false, err.Error()
	}
	r.exchanges = f.wire.take()
	if n := len(r.exchanges); n > 0 {
		r.Status = r.exchanges[n-1].status
	}
	return r
}

// flowSteps is the whole flow, in order.
func flowSteps() []step {
	return []step{
		{"the client discovers the authorization server", "SP-5.3.3.1-9", discover},
		{"both metadata documents say the same", "MD-9068-1", compareMetadata},
		{"the user logs in at the client, which pushes its request", "SP-5.3.2.2-2", begin},
		{"the browser opens the page, twice: a preview uses up nothing", "SP-5.3.2.2-N3", openTwice},
		{"what is added in the browser's URL counts for nothing", "SP-5.3.2.2-3", openWithMore},
		{"the user agrees, and the answer names its issuer", "SP-5.3.2.2-7", agree},
		{"the client redeems the code and verifies the ID token", "MS-5.6.2-1", finish},
		{"the client calls the API with token and proof", "DPOP-7.1-2", useAPI},
		{"after a restart it refreshes with a new key", "DPOP-5-5", refresh},
		{"the new token works, bound to the new key", "DPOP-6.1-1", useRenewed},
		{"the client gets a token about itself", "SP-5.3.2.1-N2", clientCredentials},
		{"another time the user says no", "ISS-2-1", deny},
	}
}

func discover(ctx context.Context, f *flow) (err error) {
	f.app, err = newApp(ctx, f.clientConfig(f.ours.dpop), f.apiURL)
	return err
}

func compareMetadata(ctx context.Context, f *flow) error {
	oauth, openid, err := profile.WellKnownURLs(f.asURL)
	if err != nil {
		return err
	}
	var documents []string
	for _, u := range []string{oauth, openid} {
		a, err := f.get(ctx, "client", u)
		if err != nil {
			return err
		}
		if a.status != http.StatusOK {
			return fmt.Errorf("%s: %v", u, a)
		}
		documents = append(documents, string(a.body))
	}
	if documents[0] != documents[1] {
		return errors.New("they differ")
	}
	return nil
}

func begin(ctx context.Context, f *flow) (err error) {
	f.user = f.newBrowser()
	f.pageURL, err = f.user.startLogin(ctx)
	return err
}

func openTwice(ctx context.Context, f *flow) error {
	for range 2 {
		if err := f.user.open(ctx, f.pageURL); err != nil {
			return err
		}
	}
	return nil
}

// openWithMore goes on with a URL that somebody has tampered with. The steps that follow show that it did not matter.
func openWithMore(ctx context.Context, f *flow) error {
	more := url.Values{
		"redirect_uri": {"https://evil.example/callback"}, "scope": {"payments"}, "state": {"of the attacker"}, "response_type": {"token"},
	}
	f.pageURL += "&" + more.Encode()
	return f.user.open(ctx, f.pageURL)
}

func agree(ctx context.Context, f *flow) (err error) {
	if f.answerURL, err = f.user.decide(ctx, f.pageURL, "allow"); err != nil {
		return err
	}
	u, err := url.Parse(f.answerURL)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(f.answerURL, f.ours.redirectURI+"?") || u.Query().Get("iss") != f.asURL || u.Query().Get("code") == "" {
		return fmt.Errorf("the answer goes to %s%s with %s", u.Host, u.Path, strings.Join(interesting(u.Query()), ", "))
	}
	return nil
}

func finish(ctx context.Context, f *flow) error {
	a, err := f.user.get(ctx, f.answerURL)
	if err != nil {
		return err
	}
	if a.status != http.StatusSeeOther {
		return fmt.Errorf("the client's callback: %v", a)
	}
	entered := f.app.user(f.user.cookie(f.appURL))
	if entered == nil || entered.subject != "alice" {
		return errors.New("the client does not know who has logged in")
	}
	f.token = entered.token
	if scope := f.token.Extra("scope"); scope != "accounts openid" {
		return fmt.Errorf("the scope is %q", scope)
	}
	return nil
}

func useAPI(ctx context.Context, f *flow) error {
	a, err := f.user.get(ctx, f.appURL+"/accounts")
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return fmt.Errorf("the client's page: %v", a)
	}
	reply := new(accounts)
	if err := json.Unmarshal(a.body, reply); err != nil {
		return err
	}
	return reply.check("alice", f.ours.dpop.Public())
}

func refresh(ctx context.Context, f *flow) (err error) {
	if f.newKey, err = newKey(); err != nil {
		return err
	}
	if f.renewed, err = profile.NewClient(ctx, f.clientConfig(f.newKey)); err != nil {
		return err
	}
	before := f.token
	if f.token, err = f.renewed.Refresh(ctx, before.RefreshToken, profile.Request{}); err != nil {
		return err
	}
	if f.token.AccessToken == before.AccessToken || f.token.RefreshToken != before.RefreshToken {
		return errors.New("a new access token and the same refresh token were to come") // SP-5.3.2.1-9
	}
	return nil
}

func useRenewed(ctx context.Context, f *flow) error {
	api, err := f.renewed.HTTPClient(oauth2.StaticTokenSource(f.token))
	if err != nil {
		return err
	}
	reply, err := getAccounts(ctx, api, f.apiURL)
	if err != nil {
		return err
	}
	return reply.check("alice", f.newKey.Public())
}

func clientCredentials(ctx context.Context, f *flow) error {
	token, err := f.renewed.ClientCredentials(ctx, profile.Request{Scopes: []string{"accounts"}})
	if err != nil {
		return err
	}
	if token.RefreshToken != "" || token.Extra("id_token") != nil {
		return errors.New("a token without a user came with a refresh token or an ID token")
	}
	api, err := f.renewed.HTTPClient(oauth2.StaticTokenSource(token))
	if err != nil {
		return err
	}
	reply, err := getAccounts(ctx, api, f.apiURL)
	if err != nil {
		return err
	}
	return reply.check(f.ours.id, f.newKey.Public())
}

func deny(ctx context.Context, f *flow) error {
	user := f.newBrowser()
	page, err := user.startLogin(ctx)
	if err != nil {
		return err
	}
	target, err := user.decide(ctx, page, "deny")
	if err != nil {
		return err
	}
	if u, err := url.Parse(target); err != nil || u.Query().Get("iss") != f.asURL {
		return errors.New("the refusal does not name its issuer")
	}
	a, err := user.get(ctx, target)
	if err == nil && (a.status != http.StatusBadRequest || a.code != "access_denied") {
		err = fmt.Errorf("the client's callback: %v", a)
	}
	return err
}

// check compares an answer of the API with what it has to be.
func (a *accounts) check(owner string, key any) error {
	thumbprint, err := jwks.Thumbprint(key)
	if err != nil {
		return err
	}
	if a.Owner != owner || a.BoundTo != thumbprint || !slices.Equal(a.Accounts, []string{"checking", "savings"}) {
		return errors.New("the API answers for another user or key")
	}
	return nil
}

// A browser is one of a user who has no password but alice's. Cookies are all that it has of its own.
type browser struct {
	world *world
	http  *http.Client
}

func (w *world) newBrowser() *browser {
	client := w.httpClient("browser")
	client.Jar, _ = cookiejar.New(nil) // never fails
	return &browser{world: w, http: client}
}

// get opens a URL and follows no redirect: the flow wants to see where it leads.
func (b *browser) get(ctx context.Context, target string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return answer{}, err
	}
	return exchangeWith(b.http, r)
}

// post sends a form, and says from what kind of site as browsers do: same-origin or cross-site.
func (b *browser) post(ctx context.Context, target, site string, form url.Values) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", site)
	return exchangeWith(b.http, r)
}

// startLogin clicks on "log in" at the client and returns where that leads.
func (b *browser) startLogin(ctx context.Context) (pageURL string, err error) {
	return redirected(b.post(ctx, b.world.appURL+"/login", "same-origin", nil))
}

// open loads the page at the authorization server and looks whether it shows what the client has asked for.
func (b *browser) open(ctx context.Context, pageURL string) error {
	a, err := b.get(ctx, pageURL)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK || !strings.Contains(string(a.body), `<b id="scopes">accounts openid </b>`) {
		return fmt.Errorf("the page: %v", a)
	}
	return nil
}

// decide answers the page and returns where that leads.
func (b *browser) decide(ctx context.Context, pageURL, decision string) (answerURL string, err error) {
	return redirected(b.post(ctx, pageURL, "same-origin", url.Values{"username": {"alice"}, "password": {"correct horse"}, "decision": {decision}}))
}

func redirected(a answer, err error) (string, error) {
	if err != nil {
		return "", err
	}
	if a.status != http.StatusSeeOther || a.location == nil {
		return "", fmt.Errorf("no redirect: %v", a)
	}
	return a.location.String(), nil
}

// cookie returns the app's cookie.
func (b *browser) cookie(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return ""
	}
	for _, c := range b.http.Jar.Cookies(u) {
		if c.Name == cookieName {
			return c.Value
		}
	}
	return ""
}

func (w *world) get(ctx context.Context, party, target string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return answer{}, err
	}
	return exchangeWith(w.httpClient(party), r)
}
