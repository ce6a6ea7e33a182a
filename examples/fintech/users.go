package main

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/rar"
)

const (
	// cookieName differs from the names that the bank uses, because browsers
	// send the cookies of a host to all its ports.
	cookieName     = "__Host-fintech"
	userLifetime   = time.Hour
	maxUsers       = 10_000
	maxConnections = 20 // of one user; also the maximum number of payments
)

// A user is a browser that has returned from the bank. The data is in memory
// only.
type user struct {
	expires time.Time
	subject string // the user at the bank

	mu          sync.Mutex
	connections []*connection
	payments    []*payment
}

// A payment is a payment that the user has consented to.
type payment struct {
	id, key    string // key identifies repeated attempts at the bank
	detail     rar.Detail
	connection *connection // the connection that makes the payment

	mu     sync.Mutex
	status string // reported by the bank; empty if the outcome is unknown
}

func (p *payment) finish(status string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

// said returns the status. It is empty if the outcome is unknown.
func (p *payment) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

// A connection is a permission that the bank has granted to this application.
// It never changes.
type connection struct {
	id      string   // for forms
	subject string   // the user at the bank; empty without an ID token
	payment *payment // nil for a connection to the accounts
	token   *oauth2.Token
	api     *http.Client // adds the token, and a proof or the certificate
	grantID string       // empty if the bank has no grant management
}

// add inserts a connection at the front and returns the connections above the
// bound. It drops connections for payments, the oldest first, before
// connections to accounts.
func (u *user) add(c *connection) (dropped []*connection) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if c.payment == nil || c.payment.said() == "" { // a completed payment has no connection any more
		u.connections = slices.Insert(u.connections, 0, c)
	}
	for len(u.connections) > maxConnections {
		i := len(u.connections) - 1
		for j, other := range u.connections[1:] {
			if other.payment != nil {
				i = j + 1
			}
		}
		dropped = append(dropped, u.connections[i])
		u.connections = slices.Delete(u.connections, i, i+1)
	}
	if c.payment != nil {
		u.payments = slices.Insert(u.payments, 0, c.payment)
		u.payments = u.payments[:min(len(u.payments), maxConnections)]
	}
	return dropped
}

// paid returns the payments, the newest first.
func (u *user) paid() []*payment {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.payments)
}

// drop removes a connection.
func (u *user) drop(c *connection) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.connections = slices.DeleteFunc(u.connections, func(other *connection) bool { return other == c })
}

// list returns the connections, the newest first. A nil user has none.
func (u *user) list() []*connection {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.connections)
}

// find returns the first connection that fits, or nil if there is none.
func (u *user) find(fits func(*connection) bool) *connection {
	if all := u.list(); slices.ContainsFunc(all, fits) {
		return all[slices.IndexFunc(all, fits)]
	}
	return nil
}

// accounts returns the newest connection to accounts.
func (u *user) accounts() *connection {
	return u.find(func(c *connection) bool { return c.payment == nil })
}

// users recognizes browsers by their cookies.
type users struct {
	mu   sync.Mutex
	byID map[[32]byte]*user // by the hash of the cookie, so that the comparison does not depend on the secret
}

// of returns the user of a browser, or nil if it has none.
func (s *users) of(r *http.Request) *user {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.byID[sha256.Sum256([]byte(cookie.Value))]
	if u == nil || u.expires.Before(time.Now()) {
		return nil
	}
	return u
}

// enter starts or continues the session of a browser that returns from the
// bank. The browser gets a new cookie. An attacker who has planted the old
// cookie therefore gets no access. The browser keeps its connections unless the
// bank reports another user. The caller revokes the dropped connections,
// because no user can do that any more.
func (s *users) enter(w http.ResponseWriter, r *http.Request, c *connection) (dropped []*connection) {
	u, id := s.of(r), rand.Text()
	if u == nil || u.subject != c.subject {
		dropped, u = u.list(), &user{subject: c.subject}
	}
	s.leave(w, r)
	dropped = append(dropped, u.add(c)...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.byID) >= maxUsers {
		s.makeRoom()
	}
	u.expires = time.Now().Add(userLifetime)
	s.byID[sha256.Sum256([]byte(id))] = u
	setCookie(w, id, userLifetime)
	return dropped
}

// leave removes the user of a browser.
func (s *users) leave(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(cookieName); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.byID, sha256.Sum256([]byte(cookie.Value)))
		setCookie(w, "", -time.Second)
	}
}

// makeRoom ends expired sessions, and at least one session.
func (s *users) makeRoom() {
	var some [32]byte
	for id, u := range s.byID {
		if some = id; u.expires.Before(time.Now()) {
			delete(s.byID, id)
		}
	}
	delete(s.byID, some)
}

// setCookie sets the session cookie. It is Lax, because the browser returns
// from the bank's site.
func setCookie(w http.ResponseWriter, id string, lifetime time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: id, Path: "/", MaxAge: int(lifetime / time.Second), Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	})
}
