package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofapi/fapi2/examples/internal/webtext"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
)

// maxApps bounds the permissions of one user. The bank withdraws the oldest
// ones above the bound, because the pages would not show them any more.
const maxApps = 200

// A permission is the result of one consent: an authorization, or a grant of
// grant management.
type permission struct {
	id, clientID string
	managed      bool
	scopes       []string    // this and the fields below are for authorizations without grant management
	details      rar.Details //
	since, until time.Time
}

// permissions stores the permissions of all users.
type permissions struct {
	nobody string // a user whose consents are automatic and unlimited; may be empty
	mu     sync.Mutex
	byUser map[string][]permission
}

// add stores a permission and returns the permissions above the bound.
func (p *permissions) add(user string, one permission) (dropped []permission) {
	if user == p.nobody {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.DeleteFunc(p.byUser[user], func(old permission) bool {
		return old.id == one.id || !old.managed && !old.until.After(one.since)
	})
	if all = append(all, one); len(all) > maxApps {
		dropped, all = slices.Clone(all[:len(all)-maxApps]), all[len(all)-maxApps:]
	}
	p.byUser[user] = all
	return dropped
}

func (p *permissions) remove(user, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.byUser[user] = slices.DeleteFunc(p.byUser[user], func(one permission) bool { return one.id == id })
}

func (p *permissions) of(user string) []permission {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.byUser[user])
}

// remember stores a permission that a user has just given. Grants are stored by
// their events instead: a grant exists only after the client has redeemed its
// code.
func (b *bank) remember(ctx context.Context, a *authserver.Authorization, response *authserver.AuthorizationResponse,
	approval authserver.Approval) {
	if !a.GrantRequest().IsZero() {
		return
	}
	b.drop(ctx, b.permissions.add(approval.Subject, permission{
		id: response.AuthorizationID(), clientID: a.ClientID(), scopes: approval.Scopes, details: approval.Details,
		since: b.now(), until: b.ends(a),
	}))
}

// grantChanged receives the event of each change of a grant.
func (b *bank) grantChanged(ctx context.Context, e grants.Event) error {
	b.log.InfoContext(ctx, "grant "+e.Kind, "client", e.New.ClientID, "subject", e.New.Subject, "by", e.By)
	if e.New.Status != "active" {
		b.permissions.remove(e.New.Subject, e.New.ID)
	} else if e.Kind == "created" {
		b.drop(ctx, b.permissions.add(e.New.Subject,
			permission{id: e.New.ID, clientID: e.New.ClientID, managed: true, since: e.Time}))
	}
	return nil
}

func (b *bank) drop(ctx context.Context, all []permission) {
	for _, one := range all {
		if err := b.withdraw(ctx, one); err != nil {
			b.log.ErrorContext(ctx, "permission not withdrawn", "reason", err.Error())
		}
	}
}

// withdraw ends a permission, with its tokens.
func (b *bank) withdraw(ctx context.Context, one permission) error {
	if one.managed {
		return b.server.Grants().Withdraw(ctx, one.id)
	}
	return b.server.Withdraw(ctx, one.id)
}

// current fills in the present state of a permission. If the permission has
// ended, ok is false.
func (b *bank) current(ctx context.Context, one permission) (_ permission, ok bool, err error) {
	if !one.managed {
		revoked, err := b.server.Revoked(ctx, one.id)
		return one, !revoked && one.until.After(b.now()), err
	}
	g, err := b.server.Grants().Get(ctx, one.id)
	if errors.Is(err, grants.ErrNotFound) {
		return one, false, nil
	}
	if err != nil || g.Status != "active" {
		return one, false, err
	}
	one.scopes, one.until = g.ScopeValues(), g.ExpiresAt
	one.details, err = b.parseGranted(g.AuthorizationDetails)
	return one, true, err
}

func (b *bank) parseGranted(raw json.RawMessage) (rar.Details, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	return b.details.Parse(raw, b.details.Types())
}

// A shownApp is a permission on a page.
type shownApp struct {
	ID, Client, Since, Until string
	Entries                  []entry
}

func (b *bank) showApp(language string, one permission) shownApp {
	s := shownApp{ID: one.id, Client: one.clientID, Since: webtext.Date(language, one.since),
		Until: webtext.Date(language, one.until)}
	if client, ok := b.cfg.registered[one.clientID]; ok {
		s.Client = clientName(client, language)
	}
	bound := one.details.Scopes()
	s.Entries = scopeEntries(language, slices.DeleteFunc(slices.Clone(one.scopes), func(scope string) bool {
		return slices.Contains(bound, scope)
	}))
	for _, detail := range one.details {
		described := untilThen(detail, one.until).Describe(language)
		s.Entries = append(s.Entries, entry{Title: described.Title, Fields: described.Fields})
	}
	return s
}

// A shownPayment is a payment that was made.
type shownPayment struct {
	Title, Done string
	Fields      []rar.Field
}

func (b *bank) showPayments(language, user string) (all []shownPayment) {
	for _, made := range b.payments.of(user) {
		p, err := rar.Get[openbanking.Payment](made.detail)
		if err != nil {
			continue
		}
		client := made.clientID
		if known, ok := b.cfg.registered[client]; ok {
			client = clientName(known, language)
		}
		all = append(all, shownPayment{
			Title: texts.Get(language, "apps.payment", p.InstructedAmount.Text(language),
				rar.EscapeText(string(p.CreditorName), language)),
			Done:   texts.Get(language, "apps.made", client, webtext.Date(language, made.at)),
			Fields: made.detail.Describe(language).Fields,
		})
	}
	return all
}

// isDone reports whether a permission was for payments alone, and all of them
// were made. Nothing can be done with it any more.
func (b *bank) isDone(user string, one permission) bool {
	made := b.payments.of(user)
	bound := one.details.Scopes()
	return len(one.details) > 0 && !slices.ContainsFunc(one.scopes, func(scope string) bool {
		return scope != "openid" && !slices.Contains(bound, scope)
	}) &&
		!slices.ContainsFunc(one.details, func(d rar.Detail) bool {
			return !slices.ContainsFunc(made, func(p payment) bool { return p.grantID == one.id && p.detail.Equal(d) })
		})
}

// apps shows the permissions of the user.
func (b *bank) apps(w http.ResponseWriter, r *http.Request) {
	in := b.sessions.of(r)
	if in == nil {
		f, err := b.sessions.begin(w, r, "", "")
		if err != nil {
			b.fail(w, r, errInternal, err)
			return
		}
		redirect(w, b.cfg.path("/login?flow="+f.ID))
		return
	}
	data := struct {
		view
		Apps     []shownApp
		Payments []shownPayment
		Ended    string // the client whose access has just ended
	}{view: b.view(r, "apps.title", in, "revoke", in.id)}
	for _, one := range slices.Backward(b.permissions.of(in.user)) {
		one, ok, err := b.current(r.Context(), one)
		if err != nil {
			b.fail(w, r, errInternal, err)
			return
		}
		if !ok {
			b.permissions.remove(in.user, one.id)
			continue
		}
		if !b.isDone(in.user, one) {
			data.Apps = append(data.Apps, b.showApp(data.Lang, one))
		}
	}
	data.Payments = b.showPayments(data.Lang, in.user)
	if client, ok := b.cfg.registered[r.URL.Query().Get("ended")]; ok {
		data.Ended = clientName(client, data.Lang)
	}
	b.show(w, r, appsPage, http.StatusOK, staysHere, data)
}

// revoke ends the access of an application, after the user has confirmed it.
func (b *bank) revoke(w http.ResponseWriter, r *http.Request) {
	in := b.sessions.of(r)
	if in == nil {
		redirect(w, b.cfg.path("/apps"))
		return
	}
	if !b.readForm(w, r, "revoke", in.id) {
		return
	}
	id := r.PostForm.Get("id")
	all := b.permissions.of(in.user)
	i := slices.IndexFunc(all, func(one permission) bool { return one.id == id })
	if i < 0 { // another user's, or a second click
		redirect(w, b.cfg.path("/apps"))
		return
	}
	if !r.PostForm.Has("confirm") {
		b.confirmRevoke(w, r, in, all[i])
		return
	}
	if err := b.withdraw(r.Context(), all[i]); err != nil {
		b.fail(w, r, errInternal, err)
		return
	}
	b.permissions.remove(in.user, id)
	b.log.InfoContext(r.Context(), "access withdrawn", "client", all[i].clientID, "subject", in.user)
	redirect(w, b.cfg.path("/apps?ended="+url.QueryEscape(all[i].clientID)))
}

func (b *bank) confirmRevoke(w http.ResponseWriter, r *http.Request, in *session, one permission) {
	one, ok, err := b.current(r.Context(), one)
	if err != nil {
		b.fail(w, r, errInternal, err)
		return
	}
	if !ok {
		redirect(w, b.cfg.path("/apps"))
		return
	}
	data := struct {
		view
		App shownApp
	}{view: b.view(r, "revoke.title", in, "revoke", in.id)}
	data.App = b.showApp(data.Lang, one)
	data.Title = data.T("revoke.title", data.App.Client)
	b.show(w, r, revokePage, http.StatusOK, staysHere, data)
}

// before returns the permission that a merge extends or a replacement replaces.
func (b *bank) before(ctx context.Context, a *authserver.Authorization,
	user, language string) (kind string, entries []entry, err error) {
	request := a.GrantRequest()
	if request.GrantID() == "" {
		return "", nil, nil
	}
	g, err := b.server.Grants().Existing(ctx, request, user)
	if err != nil {
		return "", nil, err
	}
	entries = scopeEntries(language, strings.Fields(strings.Join(g.ScopeValues(), " ")))
	details, err := b.parseGranted(g.AuthorizationDetails)
	for _, detail := range details {
		described := detail.Describe(language)
		entries = append(entries, entry{Title: described.Title, Fields: described.Fields})
	}
	return request.Action(), entries, err
}
