package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/gofapi/fapi2/examples/internal/records"
)

const (
	// cookieName differs from the names that the bank uses, because browsers
	// send the cookies of a host to all its ports.
	cookieName     = "__Host-fintech"
	userLifetime   = time.Hour
	userKept       = userLifetime + time.Minute // the data outlives the sessions
	maxCookie      = 64                         // bytes; longer cookies are not from this application
	maxConnections = 20                         // of one user; also the maximum number of payments
)

// A session is a browser that has returned from the bank. Its name in the store
// is the value of the cookie, of which the store has only a hash.
type session struct {
	User    string    `json:"user,omitempty"` // empty after the end
	Expires time.Time `json:"expires"`
}

// A user is the data of one or more sessions.
type user struct {
	ID          string       `json:"id"` // empty after the end
	Connections []connection `json:"connections"`
	Payments    []payment    `json:"payments"`
	// Subjects are the names of the user at the banks, by issuer.
	Subjects map[string]string `json:"subjects"`
}

// subject returns the name of the user at a bank, if it is known.
func (u *user) subject(issuer string) string {
	if u == nil {
		return ""
	}
	return u.Subjects[issuer]
}

// forget removes all data about a bank.
func (u *user) forget(issuer string) {
	delete(u.Subjects, issuer)
	u.Connections = slices.DeleteFunc(u.Connections, func(c connection) bool { return c.Issuer == issuer })
	u.Payments = slices.DeleteFunc(u.Payments, func(p payment) bool { return p.Issuer == issuer })
}

// A payment is a payment that the user has consented to.
type payment struct {
	ID     string          `json:"id"`
	Issuer string          `json:"issuer"` // of the bank
	Key    string          `json:"key"`    // identifies repeated attempts at the bank
	Detail json.RawMessage `json:"detail"`
	Status string          `json:"status,omitempty"` // reported by the bank; empty if the outcome is unknown
}

// A connection is a permission that a bank has granted to this application. Its
// ID is that of the stored token.
type connection struct {
	ID      string `json:"id"`                 // for forms
	Issuer  string `json:"issuer"`             // of the bank
	Subject string `json:"subject,omitempty"`  // the user at the bank; empty without an ID token
	Payment string `json:"payment,omitempty"`  // the ID of the payment; empty for a connection to the accounts
	Briefly bool   `json:"briefly,omitempty"`  // the user has not granted offline access
	GrantID string `json:"grant_id,omitempty"` // empty if the bank has no grant management
}

// add inserts a connection at the front and returns the connections above the
// bound. It drops connections for payments, the oldest first, before
// connections to accounts.
func (u *user) add(c connection, p *payment) (dropped []connection) {
	if u.Subjects == nil {
		u.Subjects = map[string]string{}
	}
	u.Subjects[c.Issuer] = c.Subject
	if p == nil || p.Status == "" { // a completed payment has no connection any more
		u.Connections = slices.Insert(u.Connections, 0, c)
	}
	for len(u.Connections) > maxConnections {
		i := len(u.Connections) - 1
		for j, other := range u.Connections[1:] {
			if other.Payment != "" {
				i = j + 1
			}
		}
		dropped = append(dropped, u.Connections[i])
		u.Connections = slices.Delete(u.Connections, i, i+1)
	}
	if p != nil {
		u.Payments = slices.Insert(u.Payments, 0, *p)
		u.Payments = u.Payments[:min(len(u.Payments), maxConnections)]
	}
	return dropped
}

// drop removes connections.
func (u *user) drop(all ...connection) {
	u.Connections = slices.DeleteFunc(u.Connections, func(other connection) bool {
		return slices.ContainsFunc(all, func(c connection) bool { return other.ID == c.ID })
	})
}

// payments returns the payments, the newest first. A nil user has none.
func (u *user) payments() []payment {
	if u == nil {
		return nil
	}
	return u.Payments
}

// payment returns a payment, or nil if the user has no such payment.
func (u *user) payment(id string) *payment {
	if i := slices.IndexFunc(u.payments(), func(p payment) bool { return p.ID == id }); i >= 0 {
		return &u.Payments[i]
	}
	return nil
}

// list returns the connections, the newest first. A nil user has none.
func (u *user) list() []connection {
	if u == nil {
		return nil
	}
	return u.Connections
}

// find returns the first connection that fits, or nil if there is none.
func (u *user) find(fits func(connection) bool) *connection {
	if i := slices.IndexFunc(u.list(), fits); i >= 0 {
		return &u.Connections[i]
	}
	return nil
}

// accounts returns the newest connection to the accounts at a bank.
func (u *user) accounts(issuer string) *connection {
	return u.find(func(c connection) bool { return c.Payment == "" && c.Issuer == issuer })
}

// users recognizes browsers by their cookies. The store keeps the users, so
// that all instances know them after a restart.
type users struct{ *records.Records }

// read returns the user of a browser, or nil if it has none.
func (s users) read(r *http.Request) (*user, error) {
	cookie, err := r.Cookie(cookieName)
	if err != nil || cookie.Value == "" || len(cookie.Value) > maxCookie {
		return nil, nil
	}
	var its session
	_, err = s.Get(r.Context(), "session", cookie.Value, &its)
	if err != nil || its.User == "" || !its.Expires.After(s.Now()) {
		return nil, err
	}
	u := new(user)
	if _, err = s.Get(r.Context(), "user", its.User, u); err != nil || u.ID == "" {
		return nil, err
	}
	return u, nil
}

// userKey is the key of the user in the context of a request.
type userKey struct{}

// of returns the user that withUser has read. It returns nil if there is none.
func (s users) of(r *http.Request) *user {
	u, _ := r.Context().Value(userKey{}).(*user)
	return u
}

// withUser adds the user of the browser to the context of the request.
func (a *app) withUser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, err := a.users.read(r)
		if err != nil {
			a.fail(w, r, storeError{err})
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, u)))
	})
}

// edit changes a user in the store, and updates u. A user that has ended
// meanwhile stays as it is.
func (s users) edit(ctx context.Context, u *user, change func(*user)) error {
	err := records.Update(ctx, s.Records, "user", u.ID, userKept, func(v *user) (bool, error) {
		if v.ID == "" {
			return false, nil
		}
		change(v)
		*u = *v
		return true, nil
	})
	return asStoreError(err)
}

// enter starts or continues the session of a browser that returns from a bank.
// The browser gets a new cookie. An attacker who has planted the old cookie
// therefore gets no access. The browser keeps its connections to all banks,
// unless the bank reports another user than before. If the bank is new to the
// user, the data move to a new name. Other sessions of the old name therefore
// do not see that bank. The caller revokes the dropped connections, because no
// user can do that any more.
func (s users) enter(w http.ResponseWriter, r *http.Request, c connection, p *payment) (
	u *user, dropped []connection, err error) {
	ctx, old, cookie := r.Context(), s.of(r), rand.Text()
	var exists, known, same bool
	if u = old; u != nil {
		err = s.edit(ctx, u, func(u *user) { // another tab may have been faster
			exists = true
			subject, knows := u.Subjects[c.Issuer]
			if known, same = knows, knows && subject == c.Subject; same {
				dropped = u.add(c, p)
			}
		})
	}
	if err == nil && !same {
		u = &user{ID: rand.Text()}
		switch {
		case exists && known: // another user
			dropped = old.list()
		case exists:
			u.Subjects, u.Connections = maps.Clone(old.Subjects), slices.Clone(old.Connections)
			u.Payments = slices.Clone(old.Payments)
		}
		dropped = append(dropped, u.add(c, p)...)
		err = s.create(ctx, "user", u.ID, u, userKept)
	}
	if err == nil {
		err = s.create(ctx, "session", cookie, session{User: u.ID, Expires: s.Now().Add(userLifetime)}, userLifetime)
	}
	if err == nil {
		err = s.endSession(w, r)
	}
	if err != nil {
		return nil, nil, asStoreError(err)
	}
	if old != nil && old != u {
		err = s.end(ctx, old)
	}
	setCookie(w, cookie, userLifetime)
	return u, dropped, err
}

func (s users) create(ctx context.Context, kind, name string, value any, kept time.Duration) error {
	return records.Update(ctx, s.Records, kind, name, kept, func(v *any) (bool, error) {
		*v = value
		return true, nil
	})
}

// leave removes the user of a browser.
func (s users) leave(w http.ResponseWriter, r *http.Request) error {
	err := s.endSession(w, r)
	if u := s.of(r); u != nil && err == nil {
		err = s.end(r.Context(), u)
	}
	return asStoreError(err)
}

// end deletes the data of a user.
func (s users) end(ctx context.Context, u *user) error {
	return s.create(ctx, "user", u.ID, user{}, time.Minute)
}

// endSession ends the session of a browser.
func (s users) endSession(w http.ResponseWriter, r *http.Request) error {
	if s.of(r) == nil {
		return nil
	}
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	setCookie(w, "", -time.Second)
	return s.create(r.Context(), "session", cookie.Value, session{}, time.Minute)
}

// setCookie sets the session cookie. It is Lax, because the browser returns
// from the bank's site.
func setCookie(w http.ResponseWriter, id string, lifetime time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: id, Path: "/", MaxAge: int(lifetime / time.Second), Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	})
}

// A storeError means that the application's own store has failed.
type storeError struct{ err error }

func (e storeError) Error() string { return "the store has failed: " + e.err.Error() }
func (e storeError) Unwrap() error { return e.err }

func asStoreError(err error) error {
	if err == nil {
		return nil
	}
	return storeError{err}
}
