package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/gofapi/fapi2/examples/internal/records"
)

const (
	// OWASP recommends this number for PBKDF2 with HMAC-SHA-256. The
	// configuration contains passwords in the clear for demonstrations. The
	// store contains only hashes.
	iterations  = 600_000
	maxPassword = 1 << 10
	maxUsername = 255

	// A bucket permits this number of failures in a row, and then one for each
	// refill. A stranger uses up the failures of the own address for a name,
	// and not those of the user. The bound of a name is for an attacker with
	// many addresses. During such an attack, the user can log in from a browser
	// that has logged in before.
	failuresOfPair    = 5 // one name from one address, or from one known browser
	failuresOfAddress = 30
	failuresOfName    = 100
	refill            = 20 * time.Second
	maxBuckets        = 1 << 16
)

// users checks passwords. The store keeps the users.
type users struct {
	records *records.Records
	nobody  login // stands in for an unknown name, so that the response takes the same time

	// slots bounds the number of concurrent hashes. Each takes a processor for
	// a large part of a second.
	slots      chan struct{}
	iterations int
	now        func() time.Time

	mu      sync.Mutex
	buckets map[string]bucket
}

// A login is the record of a user. The record stays after the deletion of the
// user, because another person must not become the same subject (OpenID Connect
// Core §2).
type login struct {
	Salt       []byte `json:"salt,omitempty"`
	Hash       []byte `json:"hash,omitempty"`
	Iterations int    `json:"iterations,omitempty"`
	Deleted    bool   `json:"deleted,omitempty"`
}

func (l login) exists() bool { return len(l.Hash) > 0 && !l.Deleted }

// userNames is the record of all names.
type userNames []string

// A bucket contains the remaining failures at a time.
type bucket struct {
	left float64
	at   time.Time
}

// newUsers adds the users of the configuration to those of the store. A changed
// password replaces the stored one. A deleted user stays deleted.
func newUsers(ctx context.Context, r *records.Records, all []user, iterations int, now func() time.Time) (
	*users, error) {
	u := &users{
		records: r, slots: make(chan struct{}, runtime.GOMAXPROCS(0)),
		iterations: iterations, now: now, buckets: make(map[string]bucket),
	}
	var err error
	if u.nobody, err = newLogin(rand.Text(), iterations); err != nil {
		return nil, err
	}
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = one.Username
		err := records.Update(ctx, r, "user", one.Username, records.Forever, func(v *login) (bool, error) {
			if v.Deleted {
				return false, nil
			}
			if ok, err := v.matches(one.Password); ok || err != nil {
				return false, err
			}
			var err error
			*v, err = newLogin(one.Password, iterations)
			return true, err
		})
		if err != nil {
			return nil, err
		}
	}
	return u, records.Update(ctx, r, "users", "", records.Forever, func(v *userNames) (bool, error) {
		before := len(*v)
		*v = append(*v, names...)
		slices.Sort(*v)
		*v = slices.Compact(*v)
		return len(*v) > before, nil
	})
}

func newLogin(password string, iterations int) (login, error) {
	l := login{Salt: make([]byte, 16), Iterations: iterations}
	rand.Read(l.Salt) // never fails
	var err error
	l.Hash, err = l.hash(password)
	return l, err
}

func (l login) hash(password string) ([]byte, error) {
	return pbkdf2.Key(sha256.New, password, l.Salt, l.Iterations, sha256.Size)
}

// matches reports whether the password is that of the login.
func (l login) matches(password string) (bool, error) {
	if !l.exists() {
		return false, nil
	}
	hash, err := l.hash(password)
	return err == nil && subtle.ConstantTimeCompare(hash, l.Hash) == 1, err
}

// names returns the names of all users, including those of deleted ones.
func (u *users) names(ctx context.Context) (names userNames, err error) {
	_, err = u.records.Get(ctx, "users", "", &names)
	return names, err
}

var (
	errWrongPassword = errors.New("wrong_password")
	errThrottled     = errors.New("login_throttled")
)

// A peer is the origin of a login attempt.
type peer struct {
	address string
	browser string // the ID of a browser in which that user has logged in before
}

// limits returns the buckets of a failure, in this order. The pair and the
// address come before the name. One address therefore cannot use up the
// failures of a name, or fill the table with invented names.
func (from peer) limits(name string) []limited {
	if from.browser != "" {
		return []limited{{"browser " + from.browser, failuresOfPair}}
	}
	return []limited{
		{"address " + from.address, failuresOfAddress},
		{"pair " + from.address + " " + name, failuresOfPair},
		{"name " + name, failuresOfName},
	}
}

type limited struct {
	key  string
	full float64
}

// check returns nil if the password is correct, otherwise errWrongPassword or
// errThrottled. For an unknown user it returns the same error after the same
// time.
func (u *users) check(ctx context.Context, name, password string, from peer) error {
	if len(name) > maxUsername || len(password) > maxPassword {
		return errWrongPassword
	}
	// The failure is counted first and forgiven later. Otherwise any number of
	// guesses could be made at the same time.
	limits := from.limits(name)
	for _, l := range limits {
		if !u.take(l.key, l.full) {
			return errThrottled
		}
	}
	select {
	case u.slots <- struct{}{}:
		defer func() { <-u.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	var known login
	if _, err := u.records.Get(ctx, "user", name, &known); err != nil {
		return err
	}
	ok := known.exists()
	if !ok {
		known = u.nobody
	}
	matches, err := known.matches(password)
	if err != nil {
		return err
	}
	if !matches || !ok {
		return errWrongPassword
	}
	u.forgive(limits)
	return nil
}

// take takes one failure from a bucket that is full at first.
func (u *users) take(key string, full float64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.now()
	b, ok := u.buckets[key]
	if !ok {
		u.makeRoom(now)
		b = bucket{left: full, at: now}
	}
	b.left = min(full, b.left+float64(now.Sub(b.at))/float64(refill))
	b.at = now
	allowed := b.left >= 1
	if allowed {
		b.left--
	}
	u.buckets[key] = b
	return allowed
}

// makeRoom drops refilled buckets, and others if the table is still full. An
// attacker who fills the table gains a few guesses.
func (u *users) makeRoom(now time.Time) {
	if len(u.buckets) < maxBuckets {
		return
	}
	for key, b := range u.buckets {
		if now.Sub(b.at) > failuresOfName*refill || len(u.buckets) >= maxBuckets {
			delete(u.buckets, key)
		}
	}
}

// forgive restores the one failure that a correct password has cost. It
// restores nothing else, so that the owner of one account gains no guesses for
// others.
func (u *users) forgive(limits []limited) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, l := range limits {
		if b, ok := u.buckets[l.key]; ok {
			b.left = min(l.full, b.left+1)
			u.buckets[l.key] = b
		}
	}
}

// exists reports whether a user exists and is not deleted.
func (u *users) exists(ctx context.Context, name string) (bool, error) {
	var known login
	_, err := u.records.Get(ctx, "user", name, &known)
	return known.exists(), err
}

// remove deletes the password of a user. The user can then not log in any more,
// and all sessions end.
func (u *users) remove(ctx context.Context, name string) error {
	return records.Update(ctx, u.records, "user", name, records.Forever, func(v *login) (bool, error) {
		*v = login{Deleted: true}
		return true, nil
	})
}
