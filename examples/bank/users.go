package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"runtime"
	"sync"
	"time"
)

const (
	// OWASP recommends this number for PBKDF2 with HMAC-SHA-256. The
	// configuration contains passwords in the clear for demonstrations. A bank
	// stores only hashes.
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

// users checks passwords.
type users struct {
	hashes map[string]hashed
	nobody hashed // stands in for an unknown name, so that the response takes the same time

	// slots bounds the number of concurrent hashes. Each takes a processor for
	// a large part of a second.
	slots      chan struct{}
	iterations int
	now        func() time.Time

	mu      sync.Mutex
	buckets map[string]bucket
}

type hashed struct{ salt, hash []byte }

// A bucket contains the remaining failures at a time.
type bucket struct {
	left float64
	at   time.Time
}

func newUsers(all []user, iterations int, now func() time.Time) (*users, error) {
	u := &users{
		hashes: make(map[string]hashed, len(all)), slots: make(chan struct{}, runtime.GOMAXPROCS(0)),
		iterations: iterations, now: now, buckets: make(map[string]bucket),
	}
	for _, one := range append([]user{{"", rand.Text()}}, all...) {
		salt := make([]byte, 16)
		rand.Read(salt) // never fails
		hash, err := u.hash(one.Password, salt)
		if err != nil {
			return nil, err
		}
		u.hashes[one.Username] = hashed{salt, hash}
	}
	u.nobody = u.hashes[""]
	delete(u.hashes, "")
	return u, nil
}

func (u *users) hash(password string, salt []byte) ([]byte, error) {
	return pbkdf2.Key(sha256.New, password, salt, u.iterations, sha256.Size)
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
	known, ok := u.hashes[name]
	if !ok {
		known = u.nobody
	}
	hash, err := u.hash(password, known.salt)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(hash, known.hash) != 1 || !ok {
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

func (u *users) exists(name string) bool {
	_, ok := u.hashes[name]
	return ok
}
