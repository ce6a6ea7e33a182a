package attack

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// An Adversary is an attacker in a [World]. Each method returns [ErrCapability]
// if the attacker does not have the capability that the method names. Use an
// Adversary in a single goroutine.
type Adversary struct {
	// World has the addresses of the parties.
	World *World

	attacker Attacker
	browser  *browser
}

// NewAdversary adds an attacker to a world. Attackers of one world have
// different browsers and the same account.
func NewAdversary(w *World, attacker Attacker) *Adversary {
	return &Adversary{World: w, attacker: attacker, browser: w.newBrowser(Foe, Mallory)}
}

func (a *Adversary) need(c Capability) error {
	if !a.attacker.Can(c) {
		return fmt.Errorf("%w: %s cannot %s", ErrCapability, a.attacker, c)
	}
	return nil
}

// Send sends a request and returns the body of the response. A response with an
// error status is an error. It requires SendMessages.
func (a *Adversary) Send(r *http.Request) (body string, err error) {
	if err := a.need(SendMessages); err != nil {
		return "", err
	}
	tool := *a.browser.http
	tool.Jar = nil
	_, body, err = send(&tool, r)
	return body, err
}

// Post sends a form: see Send.
func (a *Adversary) Post(ctx context.Context, target string, form url.Values) (body string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return a.Send(r)
}

// Begin begins a login in the attacker's browser, and returns the URL of the
// authorization request. It requires TakePart.
func (a *Adversary) Begin(ctx context.Context, issuer string) (string, error) {
	if err := a.need(TakePart); err != nil {
		return "", err
	}
	return a.browser.begin(ctx, issuer)
}

// Step opens a URL in the attacker's browser, and returns the target of the
// redirect, or an empty string. At the honest authorization server, the
// attacker logs in with its own account. It requires TakePart.
func (a *Adversary) Step(ctx context.Context, target string) (next string, err error) {
	if err := a.need(TakePart); err != nil {
		return "", err
	}
	return a.browser.step(ctx, target)
}

// Lure makes the user's browser open a URL and follow all redirects. The user
// logs in and approves. It requires SendLinks.
func (a *Adversary) Lure(ctx context.Context, target string) error {
	if err := a.need(SendLinks); err != nil {
		return err
	}
	return a.World.user.open(ctx, target)
}

// Serve answers the requests to the attacker's authorization server. It
// requires RunAuthServer.
func (a *Adversary) Serve(handler http.Handler) error {
	if err := a.need(RunAuthServer); err != nil {
		return err
	}
	a.World.rogue.open(handler)
	return nil
}

// AuthorizationRequests returns the URLs that the user's browser has sent to
// the honest authorization server. It requires ReadAuthorizationRequests.
func (a *Adversary) AuthorizationRequests() ([]string, error) {
	if err := a.need(ReadAuthorizationRequests); err != nil {
		return nil, err
	}
	a.World.mu.Lock()
	defer a.World.mu.Unlock()
	return slices.Clone(a.World.visits), nil
}

// ResourceRequests returns the requests of honest parties that the API has
// processed. It requires ReadResourceRequests.
func (a *Adversary) ResourceRequests() ([]*http.Request, error) {
	if err := a.need(ReadResourceRequests); err != nil {
		return nil, err
	}
	a.World.mu.Lock()
	defer a.World.mu.Unlock()
	requests := make([]*http.Request, len(a.World.requests))
	for i, r := range a.World.requests {
		requests[i] = r.Clone(context.Background())
	}
	return requests, nil
}

// UserLogsIn makes the honest user log in at the client with an authorization
// server that the user trusts. Every attacker can wait until a user does that.
func (a *Adversary) UserLogsIn(ctx context.Context, issuer string) error {
	target, err := a.World.user.begin(ctx, issuer)
	if err != nil {
		return err
	}
	return a.World.user.open(ctx, target)
}

// UserHesitates makes the honest user begin a login at the honest authorization
// server, and leave its page open. Every attacker can wait until a user does
// that.
func (a *Adversary) UserHesitates(ctx context.Context) error {
	target, err := a.World.user.begin(ctx, a.World.Issuer)
	if err != nil {
		return err
	}
	_, err = a.World.user.load(ctx, target)
	return err
}

// UserReads makes the honest user look at the accounts at the client. Every
// attacker can wait until a user does that.
func (a *Adversary) UserReads(ctx context.Context) error {
	return a.World.user.open(ctx, a.World.ClientURL+"/accounts")
}
