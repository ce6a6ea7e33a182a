package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/examples/internal/records"
	"github.com/gofapi/fapi2/examples/internal/webtext"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
)

// maxApps bounds the authorizations of one user, and the grants. The bank
// withdraws the oldest ones above the bound, because the pages would not show
// them any more.
const maxApps = 200

// A permission is the result of one consent: an authorization, or a grant of
// grant management.
type permission struct {
	ID       string    `json:"id"`
	ClientID string    `json:"client_id"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until,omitzero"`
	Consent  string    `json:"consent,omitempty"` // that the client has created before

	managed bool // a grant
	granted
}

// granted is what a permission permits. It is in a record of its own for an
// authorization, and in the grant otherwise.
type granted struct {
	scopes  []string
	raw     json.RawMessage // of details, as stored
	details rar.Details
}

// A storedGranted is the record of what an authorization permits.
type storedGranted struct {
	Scopes  []string        `json:"scopes,omitempty"`
	Details json.RawMessage `json:"details,omitempty"`
}

// permissions stores the authorizations of all users, those of a user in one
// record. The server lists the grants of a user itself.
type permissions struct {
	records *records.Records
	nobody  string // a user whose consents are automatic and unlimited; may be empty
}

// A permissionList is the record of the permissions of a user.
type permissionList struct {
	Deleted bool         `json:"deleted,omitempty"` // the user, who can have no permissions
	All     []permission `json:"all,omitempty"`
}

// updateList changes the list of the permissions of a user.
func (p *permissions) updateList(ctx context.Context, user string, edit func(*permissionList) (bool, error)) error {
	return records.Update(ctx, p.records, "permissions", user, records.Forever, edit)
}

// add stores an authorization and returns those above the bound. For a deleted
// user it returns the authorization itself.
func (p *permissions) add(ctx context.Context, user string, one permission) (dropped []permission, err error) {
	if user == p.nobody {
		return nil, nil
	}
	if err := p.addGranted(ctx, one); err != nil {
		return nil, err
	}
	return dropped, p.updateList(ctx, user, func(v *permissionList) (bool, error) {
		if dropped = nil; v.Deleted {
			dropped = []permission{one}
			return false, nil
		}
		v.All = slices.DeleteFunc(v.All, func(old permission) bool {
			return old.ID == one.ID || !old.Until.After(one.Since)
		})
		if v.All = append(v.All, one); len(v.All) > maxApps {
			dropped, v.All = slices.Clone(v.All[:len(v.All)-maxApps]), v.All[len(v.All)-maxApps:]
		}
		return true, nil
	})
}

func (p *permissions) addGranted(ctx context.Context, one permission) error {
	stored := storedGranted{Scopes: one.scopes}
	if len(one.details) > 0 {
		var err error
		if stored.Details, err = json.Marshal(one.details); err != nil {
			return err
		}
	}
	keep := max(one.Until.Sub(p.records.Now()), time.Minute)
	return records.Update(ctx, p.records, "permission", one.ID, keep, func(v *storedGranted) (bool, error) {
		*v = stored
		return true, nil
	})
}

func (p *permissions) remove(ctx context.Context, user string, one permission) error {
	err := p.updateList(ctx, user, func(v *permissionList) (bool, error) {
		before := len(v.All)
		v.All = slices.DeleteFunc(v.All, func(old permission) bool { return old.ID == one.ID })
		return len(v.All) < before, nil
	})
	if err != nil {
		return err
	}
	return records.Update(ctx, p.records, "permission", one.ID, time.Minute, func(v *storedGranted) (bool, error) {
		write := v.Scopes != nil || v.Details != nil
		*v = storedGranted{}
		return write, nil
	})
}

// close prevents new permissions of a deleted user. It returns the
// authorizations that exist.
func (p *permissions) close(ctx context.Context, user string) (all []permission, err error) {
	return all, p.updateList(ctx, user, func(v *permissionList) (bool, error) {
		all = v.All
		write := !v.Deleted
		v.Deleted = true
		return write, nil
	})
}

// of returns the record of a user, with the authorizations, oldest first,
// without what they permit.
func (p *permissions) of(ctx context.Context, user string) (v permissionList, err error) {
	_, err = p.records.Get(ctx, "permissions", user, &v)
	return v, err
}

// remember stores an authorization that a user has just given. The server
// stores grants itself: a grant exists only after the client has redeemed its
// code.
func (b *bank) remember(ctx context.Context, a *authserver.Authorization, response *authserver.AuthorizationResponse,
	approval authserver.Approval) error {
	if !a.GrantRequest().IsZero() {
		return nil
	}
	dropped, err := b.permissions.add(ctx, approval.Subject, permission{
		ID: response.AuthorizationID(), ClientID: a.ClientID(), Since: b.now(), Until: b.ends(a),
		Consent: a.Intent().ID, granted: granted{scopes: approval.Scopes, details: approval.Details},
	})
	b.drop(ctx, dropped)
	return err
}

// errDeleted fails the event of a new grant of a deleted user, until the grant
// has ended. The client therefore receives no tokens.
var errDeleted = errors.New("the user was deleted")

// grantChanged receives the event of each change of a grant. It ends the grants
// above the bound, and a new grant of a deleted user.
func (b *bank) grantChanged(ctx context.Context, e grants.Event) error {
	user := e.New.Subject
	b.log.InfoContext(ctx, "grant "+e.Kind, "client", e.New.ClientID, "subject", user, "by", e.By)
	if e.Kind != "created" || user == b.permissions.nobody {
		return nil
	}
	stored, err := b.permissions.of(ctx, user)
	if err != nil {
		return err
	}
	if stored.Deleted {
		return b.endOfDeleted(ctx, e.New.ID)
	}
	all, err := b.grantsOf(ctx, user)
	if err != nil {
		return err
	}
	b.drop(ctx, all[min(len(all), maxApps):])
	return nil
}

// endOfDeleted ends a grant. The operation that delivers its event locks the
// grant, so the withdrawal waits in the background. If the process dies before,
// the event is still pending, and the next sweep repeats it.
func (b *bank) endOfDeleted(ctx context.Context, id string) error {
	g, err := b.server.Grants().Get(ctx, id)
	if err != nil || g.Status != "active" {
		return err
	}
	go b.drop(context.WithoutCancel(ctx), []permission{ofGrant(g)})
	return errDeleted
}

// grantsOf returns the active grants of a user, newest first.
func (b *bank) grantsOf(ctx context.Context, user string) (all []permission, err error) {
	for after := ""; ; {
		page, next, err := b.server.Grants().List(ctx, user, after, maxApps)
		if err != nil {
			return nil, err
		}
		for _, g := range page {
			if g.Status == "active" {
				all = append(all, ofGrant(g))
			}
		}
		if next == "" {
			return all, nil
		}
		after = next
	}
}

// ofGrant returns a grant as a permission, without its details.
func ofGrant(g grants.Grant) permission {
	return permission{
		ID: g.ID, ClientID: g.ClientID, Since: g.CreatedAt, Until: g.ExpiresAt, managed: true,
		granted: granted{scopes: g.ScopeValues(), raw: g.AuthorizationDetails},
	}
}

// deliverEvery is the interval of deliver.
const deliverEvery = time.Minute

// deliver repeats events of grants that failed or whose process crashed.
func (b *bank) deliver(ctx context.Context) {
	if _, err := b.server.Grants().DeliverPending(ctx, maxApps); err != nil && ctx.Err() == nil {
		b.log.WarnContext(ctx, "events of grants not delivered", "reason", err.Error())
	}
}

// deliverAlways calls deliver at an interval until ctx ends.
func (b *bank) deliverAlways(ctx context.Context) {
	ticker := time.NewTicker(deliverEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			b.deliver(ctx)
		}
	}
}

func (b *bank) drop(ctx context.Context, all []permission) {
	for _, one := range all {
		if err := b.withdraw(ctx, one); err != nil {
			b.log.ErrorContext(ctx, "permission not withdrawn", "reason", err.Error())
		}
	}
}

// withdraw ends a permission, with its tokens and its consent.
func (b *bank) withdraw(ctx context.Context, one permission) error {
	if one.Consent != "" {
		_, err := b.consents.revoke(ctx, one.ClientID, one.Consent)
		if err != nil && !errors.Is(err, errNoConsent) {
			return err
		}
	}
	if one.managed {
		err := b.server.Grants().Withdraw(ctx, one.ID)
		if errors.Is(err, grants.ErrNotFound) { // it has ended
			return nil
		}
		return err
	}
	return b.server.Withdraw(ctx, one.ID)
}

// end withdraws a permission of a user and removes an authorization from the
// list. If the second step fails, the page removes it later.
func (b *bank) end(ctx context.Context, user string, one permission) error {
	if err := b.withdraw(ctx, one); err != nil || one.managed {
		return err
	}
	return b.permissions.remove(ctx, user, one)
}

// current fills in the present state of an authorization. If it has ended, ok
// is false.
func (b *bank) current(ctx context.Context, one permission) (_ permission, ok bool, err error) {
	revoked, err := b.server.Revoked(ctx, one.ID)
	if err != nil || revoked || !one.Until.After(b.now()) {
		return one, false, err
	}
	var stored storedGranted
	if _, err := b.permissions.records.Get(ctx, "permission", one.ID, &stored); err != nil {
		return one, false, err
	}
	one.scopes, one.raw = stored.Scopes, stored.Details
	return one, true, nil
}

// find returns a permission of a user that lasts. If there is none, ok is
// false: it is another user's, or has ended.
func (b *bank) find(ctx context.Context, user, id string) (one permission, ok bool, err error) {
	stored, err := b.permissions.of(ctx, user)
	if err != nil {
		return one, false, err
	}
	if i := slices.IndexFunc(stored.All, func(one permission) bool { return one.ID == id }); i >= 0 {
		return b.current(ctx, stored.All[i])
	}
	g, err := b.server.Grants().Get(ctx, id)
	if errors.Is(err, grants.ErrNotFound) {
		return one, false, nil
	}
	return ofGrant(g), err == nil && g.Subject == user && g.Status == "active", err
}

// parseDetails reads the details of a permission. If the configuration no
// longer has their type, there are none, and the user can still end the access.
func (b *bank) parseDetails(ctx context.Context, one *permission) {
	var err error
	if one.details, err = b.parseGranted(one.raw); err != nil {
		b.log.WarnContext(ctx, "details not shown", "client", one.ClientID, "reason", err.Error())
	}
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
	s := shownApp{ID: one.ID, Client: one.ClientID, Since: webtext.Date(language, one.Since),
		Until: webtext.Date(language, one.Until)}
	if client, ok := b.cfg.registered[one.ClientID]; ok {
		s.Client = clientName(client, language)
	}
	bound := one.details.Scopes()
	s.Entries = scopeEntries(language, slices.DeleteFunc(slices.Clone(one.scopes), func(scope string) bool {
		return slices.Contains(bound, scope)
	}))
	for _, detail := range one.details {
		described := untilThen(detail, one.Until).Describe(language)
		s.Entries = append(s.Entries, entry{Title: described.Title, Fields: described.Fields})
	}
	return s
}

// A shownPayment is a payment that was made.
type shownPayment struct {
	Title, Done string
	Fields      []rar.Field
}

func (b *bank) showPayments(language string, payments []payment) (all []shownPayment) {
	for _, made := range payments {
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
func isDone(made []payment, one permission) bool {
	bound := one.details.Scopes()
	return len(one.details) > 0 && !slices.ContainsFunc(one.scopes, func(scope string) bool {
		return scope != "openid" && !slices.Contains(bound, scope)
	}) &&
		!slices.ContainsFunc(one.details, func(d rar.Detail) bool {
			return !slices.ContainsFunc(made, func(p payment) bool { return p.grantID == one.ID && p.detail.Equal(d) })
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
	all, made, err := b.ownData(r.Context(), in.user)
	if err != nil {
		b.fail(w, r, errStore, err)
		return
	}
	for _, one := range all {
		if !isDone(made, one) {
			data.Apps = append(data.Apps, b.showApp(data.Lang, one))
		}
	}
	data.Payments = b.showPayments(data.Lang, made)
	if client, ok := b.cfg.registered[r.URL.Query().Get("ended")]; ok {
		data.Ended = clientName(client, data.Lang)
	}
	b.show(w, r, appsPage, http.StatusOK, staysHere, data)
}

// ownData returns the permissions and the payments of a user, newest first.
func (b *bank) ownData(ctx context.Context, user string) (all []permission, made []payment, err error) {
	if all, err = b.permissionsOf(ctx, user); err != nil {
		return nil, nil, err
	}
	for i := range all {
		b.parseDetails(ctx, &all[i])
	}
	made, err = b.payments.of(ctx, user)
	return all, made, err
}

// permissionsOf returns the permissions of a user that last, newest first. It
// removes authorizations that have ended from the list.
func (b *bank) permissionsOf(ctx context.Context, user string) ([]permission, error) {
	all, err := b.grantsOf(ctx, user)
	if err != nil {
		return nil, err
	}
	stored, err := b.permissions.of(ctx, user)
	if err != nil {
		return nil, err
	}
	for _, one := range slices.Backward(stored.All) {
		one, ok, err := b.current(ctx, one)
		if err == nil && !ok {
			err = b.permissions.remove(ctx, user, one)
		}
		if err != nil {
			return nil, err
		}
		if ok {
			all = append(all, one)
		}
	}
	// A grant has whole seconds.
	slices.SortStableFunc(all, func(a, b permission) int {
		return b.Since.Truncate(time.Second).Compare(a.Since.Truncate(time.Second))
	})
	return all, nil
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
	one, ok, err := b.find(r.Context(), in.user, r.PostForm.Get("id"))
	if err != nil {
		b.fail(w, r, errStore, err)
		return
	}
	if !ok { // another user's, or a second click
		redirect(w, b.cfg.path("/apps"))
		return
	}
	if !r.PostForm.Has("confirm") {
		b.confirmRevoke(w, r, in, one)
		return
	}
	if err := b.end(r.Context(), in.user, one); err != nil {
		b.fail(w, r, errStore, err)
		return
	}
	b.log.InfoContext(r.Context(), "access withdrawn", "client", one.ClientID, "subject", in.user)
	redirect(w, b.cfg.path("/apps?ended="+url.QueryEscape(one.ClientID)))
}

func (b *bank) confirmRevoke(w http.ResponseWriter, r *http.Request, in *session, one permission) {
	b.parseDetails(r.Context(), &one)
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
