package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/examples/internal/ready"
	"github.com/gofapi/fapi2/examples/internal/vault"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
	"golang.org/x/oauth2"
)

// An app is the web application. This file, banks.go, payment.go and grants.go
// contain its use of FAPI.
type app struct {
	surroundings
	config   *config
	set      *client.Set      // our clients at the banks
	sessions *client.Sessions // unfinished logins, stored in the browsers
	types    *rar.Registry
	users    users
	probe    *ready.Probe
}

func newApp(c *config, kept *kept, s surroundings) (a *app, err error) {
	a = &app{surroundings: s, config: c, users: users{kept.records}, probe: kept.probe(s.log)}
	if a.types, err = openbanking.NewRegistry(nil); err != nil {
		return nil, err
	}
	if a.set, err = newSet(c, s.log); err != nil {
		return nil, err
	}
	a.sessions, err = client.NewSessions(client.SessionsConfig{
		KeySource: kept.vault.Source(useLogins), KeyRefresh: vault.Refresh, Used: kept.used(),
		SeveralInstances: kept.isShared(), Cookie: "fintech", Fail: a.fail,
		Report: func(ctx context.Context, err error) {
			a.log.WarnContext(ctx, "keys of logins not read", "reason", err.Error())
		},
	})
	return a, err
}

// connect returns the request for the accounts.
func (a *app) connect(r *http.Request) (issuer string, wanted client.Request, err error) {
	r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	return a.ask(r, "payments")
}

// ask returns the request to the bank that the user has chosen: the configured
// one without the given scopes and without the scopes of the application
// itself. The user sees only what is needed now. If the bank has grant
// management, the request creates a grant, which both sides can query and end.
func (a *app) ask(r *http.Request, without ...string) (issuer string, wanted client.Request, err error) {
	b, ours, err := a.bank(r.Context(), a.chosen(r))
	if err != nil {
		return "", client.Request{}, err
	}
	server := ours.ServerMetadata()
	wanted = b.request(server)
	wanted.Scopes = slices.DeleteFunc(wanted.Scopes, func(s string) bool {
		return slices.Contains(without, s) || s == scopeQuery || s == scopeRevoke
	})
	if slices.Contains(server.GrantManagementActionsSupported, "create") {
		wanted.GrantManagementAction = "create"
	}
	return b.Issuer, wanted, nil
}

// pay returns the request for one payment. The user sees the payment at the
// bank before the consent. The browser keeps it, encrypted, until it returns.
func (a *app) pay(r *http.Request) (issuer string, wanted client.Request, err error) {
	order, err := a.readOrder(r)
	if err != nil {
		return "", client.Request{}, err
	}
	issuer, wanted, err = a.ask(r, "accounts", "offline_access")
	wanted.AuthorizationDetails = asJSON(order)
	wanted.Keep = string(wanted.AuthorizationDetails)
	return issuer, wanted, err
}

// done completes either request with the token. The bank is that of the
// session. done makes a payment at once.
func (a *app) done(w http.ResponseWriter, r *http.Request, session *client.Session, token *oauth2.Token) {
	c := connection{ID: rand.Text(), Issuer: session.Issuer, Briefly: token.RefreshToken == ""}
	c.GrantID, _ = token.Extra("grant_id").(string)
	if who, ok := client.IDToken(token); ok { // already verified
		c.Subject = who.Subject()
	}
	_, ours, err := a.bank(r.Context(), c.Issuer)
	if err == nil {
		err = ours.StoredToken(c.ID).Save(r.Context(), token)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	var p *payment
	next := "/accounts"
	if session.Keep != "" {
		next = "/payments"
		p, err = a.newPayment(&c, token, json.RawMessage(session.Keep))
	} else if !a.seesAccounts(token) {
		err = errNoAccounts
	}
	var u *user
	var dropped []connection
	if err == nil {
		u, dropped, err = a.users.enter(w, r, c, p)
	}
	if err == nil && p != nil {
		err = a.makePayment(r.Context(), u, c, *p)
	}
	if err != nil { // revoke the unusable permission
		a.tryToEnd(r.Context(), c)
		a.fail(w, r, err)
		return
	}
	a.tryToEnd(r.Context(), dropped...)
	http.Redirect(w, r, next, http.StatusSeeOther) // removes the code from the address bar
}

// errNoAccounts means that the user has granted something other than the
// accounts.
var errNoAccounts = errors.New("the user has not allowed the accounts")

// seesAccounts reports whether a token permits to read accounts, by its scope
// or by its details.
func (a *app) seesAccounts(token *oauth2.Token) bool {
	scope, _ := token.Extra("scope").(string)
	return slices.Contains(strings.Fields(scope), "accounts") ||
		len(a.describe("", client.AuthorizationDetails(token))) > 0
}

// newPayment returns the payment that the user has agreed to, as the bank
// describes it. The store keeps the payment before the bank makes it. After a
// crash the user can therefore repeat the attempt under the same key.
func (a *app) newPayment(c *connection, token *oauth2.Token, ordered json.RawMessage) (*payment, error) {
	granted, err := a.granted(ordered, client.AuthorizationDetails(token))
	if err != nil {
		return nil, at(stageToken, err)
	}
	c.Payment = rand.Text()
	return &payment{ID: c.Payment, Issuer: c.Issuer, Key: rand.Text(), Detail: asJSON(granted[0])}, nil
}

// makePayment orders a payment. The key is the same at each attempt, so the
// bank recognises a retry. After the payment the permission is used up, and
// makePayment revokes it. An error means that the payment was not made. If the
// outcome is unknown, the connection stays, and the user can repeat the
// attempt.
func (a *app) makePayment(ctx context.Context, u *user, c connection, p payment) error {
	var answer struct {
		Status string `json:"status"`
	}
	err := a.call(ctx, c, http.MethodPost, "payments", p.Detail, &answer, "Idempotency-Key", p.Key)
	var said *apiError
	switch {
	case err == nil:
		err = a.users.edit(ctx, u, func(u *user) {
			u.drop(c)
			if p := u.payment(p.ID); p != nil {
				p.Status = cmp.Or(answer.Status, "accepted")
			}
		})
		a.tryToEnd(ctx, c)
		return err
	case errors.As(err, &said) && said.status < http.StatusInternalServerError: // the bank has rejected it
		return errors.Join(at(stageResource, err), a.users.edit(ctx, u, func(u *user) {
			u.drop(c)
			u.Payments = slices.DeleteFunc(u.Payments, func(other payment) bool { return other.ID == p.ID })
		}))
	default:
		a.log.WarnContext(ctx, "the bank has not said whether it has made a payment", "reason", explain(err))
	}
	return nil
}

// accounts is the response of the bank's API.
type accounts struct {
	Owner    string    `json:"owner"`
	Accounts []account `json:"accounts"`
	Briefly  bool      `json:"-"` // the user has not granted offline access
}

type account struct {
	IBAN     string `json:"iban"`
	Name     string `json:"name"`
	Currency string `json:"currency"`
}

// Grouped returns the IBAN in groups of four characters.
func (a account) Grouped() string {
	var groups []string
	for group := range slices.Chunk([]byte(a.IBAN), 4) {
		groups = append(groups, string(group))
	}
	return strings.Join(groups, " ")
}

func (a *app) readAccounts(ctx context.Context, c connection) (answer accounts, err error) {
	err = a.call(ctx, c, http.MethodGet, "", nil, &answer)
	answer.Briefly = c.Briefly
	return answer, err
}

// end revokes the permission at the bank: the grant or, without grant
// management, the token. At most banks this ends the access tokens too. Then it
// deletes the stored token. If the configuration has the bank no longer, the
// token expires by itself.
func (a *app) end(ctx context.Context, c connection) error {
	_, ours, err := a.bank(ctx, c.Issuer)
	if errors.Is(err, client.ErrUnknownServer) {
		return nil
	}
	if err != nil {
		return err
	}
	token := ours.StoredToken(c.ID)
	switch {
	case managed(ours, c):
		if err := revokeGrant(ctx, ours, c); err != nil {
			return err
		}
	case ours.ServerMetadata().RevocationEndpoint != "": // otherwise access tokens expire
		return token.Revoke(ctx)
	}
	return token.Delete(ctx)
}

// tryToEnd calls end and logs the errors, for requests without a page that
// could show them. It deletes the stored tokens in any case.
func (a *app) tryToEnd(ctx context.Context, all ...connection) {
	each(ctx, apiTimeout, all, func(ctx context.Context, c connection) error {
		err := a.end(ctx, c)
		if err == nil {
			return nil
		}
		a.log.WarnContext(ctx, "what the bank has granted could not be given back", "bank", c.Issuer,
			"reason", explain(err))
		_, ours, err := a.bank(ctx, c.Issuer)
		if err == nil {
			err = ours.StoredToken(c.ID).Delete(context.WithoutCancel(ctx))
		}
		if err != nil { // it expires
			a.log.WarnContext(ctx, "a token was not deleted", "bank", c.Issuer, "reason", explain(err))
		}
		return err
	})
}

// An apiError is an error response of an API.
type apiError struct {
	status int
	code   string // from its challenge; may be empty
}

func (e *apiError) Error() string {
	if e.code != "" {
		return fmt.Sprintf("%s (status %d)", e.code, e.status)
	}
	return fmt.Sprintf("status %d", e.status)
}

// isOver reports whether the bank has ended the permission behind a token or
// its refresh token.
func isOver(err error) bool {
	var api *apiError
	return errors.Is(err, client.ErrReauthorize) || errors.As(err, &api) && api.code == "invalid_token"
}

// maxAnswer bounds the response of an API, apiTimeout bounds the time of a
// request.
const (
	maxAnswer  = 1 << 20
	apiTimeout = 20 * time.Second
)

// challenge matches the error code in a WWW-Authenticate header.
var challenge = regexp.MustCompile(`\berror="([a-z_]{1,40})"`)

// do calls a FAPI API. The http.Client adds the token, the proof or the
// certificate, and nonces. A status other than 2xx is an error. headers
// alternates names and values.
func do(ctx context.Context, api *http.Client, method, target string, body json.RawMessage,
	headers ...string) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	var sent io.Reader
	if body != nil {
		sent = bytes.NewReader(body) // readable again, for a retry with a nonce
	}
	r, err := http.NewRequestWithContext(ctx, method, target, sent)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	response, err := api.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		e := &apiError{status: response.StatusCode}
		if said := challenge.FindStringSubmatch(response.Header.Get("WWW-Authenticate")); said != nil {
			e.code = said[1]
		}
		return response.StatusCode, nil, e
	}
	answer, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return response.StatusCode, answer, err
}

// call calls the API of a bank with the token of a connection. The path is
// relative to the accounts. The API responds with JSON.
func (a *app) call(ctx context.Context, c connection, method, path string, body json.RawMessage, into any,
	headers ...string) error {
	b, ours, err := a.bank(ctx, c.Issuer)
	if err != nil {
		return err
	}
	api, err := ours.HTTPClient(ours.StoredToken(c.ID))
	if err != nil {
		return err
	}
	_, answer, err := do(ctx, api, method, b.resource(path), body, headers...)
	if err == nil && json.Unmarshal(answer, into) != nil {
		err = errors.New("the API answered what is not the JSON that it should be")
	}
	return err
}
