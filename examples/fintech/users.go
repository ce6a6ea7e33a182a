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
	// cookieName is not one that the bank uses: browsers send the cookies of a host to all its ports.
	cookieName     = "__Host-fintech"
	userLifetime   = time.Hour
	maxUsers       = 10_000
	maxConnections = 20 // of one user, and payments
)

// A user is a browser that has come back from the bank. Everything is in memory, and gone with the program.
type user struct {
	expires time.Time
	subject string // who the bank says the user is

	mu          sync.Mutex
	connections []*connection
	payments    []*payment
}

// A payment is one that the user has agreed to.
type payment struct {
	id, key    string // the second is for the bank: it knows repeated attempts by it
	detail     rar.Detail
	connection *connection // with which it is made

	mu     sync.Mutex
	status string // reported by the bank; empty if the outcome is unknown
}

func (p *payment) finish(status string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

// said returns the status, empty as long as none is known.
func (p *payment) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

// A connection is something that the bank has let this application do. It never changes.
type connection struct {
	id      string   // for forms
	subject string   // who the bank says the user is; empty: it was not asked
	payment *payment // what it was for; nil: the accounts
	token   *oauth2.Token
	api     *http.Client // sends the token, with a proof or by a connection with the certificate
	grantID string       // empty: the bank manages no grants
}

// add puts a connection in front of the others, and returns those that are too many: the oldest ones for payments, which have
// been made, before those to accounts.
func (u *user) add(c *connection) (dropped []*connection) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if c.payment == nil || c.payment.said() == "" { // else it is done, and its permission given back
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

// drop forgets a connection.
func (u *user) drop(c *connection) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.connections = slices.DeleteFunc(u.connections, func(other *connection) bool { return other == c })
}

// list returns the connections, the newest first. nil is a user without any.
func (u *user) list() []*connection {
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.connections)
}

// find returns the first connection that fits, nil if there is none.
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

// users knows browsers again.
type users struct {
	mu   sync.Mutex
	byID map[[32]byte]*user // by the hash of the cookie: what is compared is not what the browser sends
}

// of returns the user of a browser, nil if it has none.
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

// enter takes a browser in that comes back from the bank, with a new cookie: whoever has planted the old one does not get in
// with it. What it had stays its own unless the bank says that this is somebody else now. What is returned is to be given back:
// nobody could do that any more.
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

// leave forgets the user of a browser.
func (s *users) leave(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(cookieName); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.byID, sha256.Sum256([]byte(cookie.Value)))
		setCookie(w, "", -time.Second)
	}
}

// makeRoom ends what is over, and one more in any case.
func (s *users) makeRoom() {
	var some [32]byte
	for id, u := range s.byID {
		if some = id; u.expires.Before(time.Now()) {
			delete(s.byID, id)
		}
	}
	delete(s.byID, some)
}

// setCookie. Lax, as the browser comes back from the bank's site.
func setCookie(w http.ResponseWriter, id string, lifetime time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: id, Path: "/", MaxAge: int(lifetime / time.Second), Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
