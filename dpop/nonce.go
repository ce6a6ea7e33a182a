package dpop

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
)

// NonceSourceConfig configures a [NonceSource].
type NonceSourceConfig struct {
	// Keys are secrets of 32 to 64 random bytes, at most eight, shared by all processes that answer for the same URL. The
	// first makes nonces, all of them are accepted, so that one can be rotated: add a new key at the end everywhere, then
	// move it to the front everywhere, then drop the old one. None means a random key, good for one process.
	//
	// An authorization server and a resource server should have different keys.
	Keys [][]byte

	// Step is how long one nonce is given out. 0 means one minute; at least a second.
	Step time.Duration

	// Steps is how many nonces are accepted: the one given out now and those before it. 0 means five, so that with the
	// default Step a nonce is good for four to five minutes; 2 to 64. Fewer steps make proofs made in advance expire
	// earlier, and more of the clients' requests need a second round trip.
	Steps int

	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// A NonceSource makes nonces and knows them again, without a store: a nonce is a message authentication code over the
// current time step, the same for all clients in that step. RFC 9449 allows that, since proofs have an identifier of
// their own (§11.1). It is safe for concurrent use.
type NonceSource struct {
	keys  [][]byte
	step  time.Duration
	steps int
	now   func() time.Time

	window atomic.Pointer[nonceWindow]
}

// nonceWindow is what follows from the keys and a time step, computed once per step.
type nonceWindow struct {
	step     int64
	current  string
	accepted []string
}

const (
	minNonceKey   = 32
	maxNonceKey   = 64
	maxNonceKeys  = 8
	maxNonceSteps = 64
	nonceBytes    = 16
)

// NewNonceSource refuses keys and times out of the ranges that [NonceSourceConfig] names.
func NewNonceSource(cfg NonceSourceConfig) (*NonceSource, error) {
	s := &NonceSource{step: cfg.Step, steps: cfg.Steps, now: cfg.Now}
	if s.step == 0 {
		s.step = time.Minute
	}
	if s.steps == 0 {
		s.steps = 5
	}
	if s.now == nil {
		s.now = time.Now
	}
	switch {
	case s.step < time.Second:
		return nil, errors.New("dpop: nonce step is shorter than a second")
	case s.steps < 2 || s.steps > maxNonceSteps:
		// With one, a nonce given out at the end of its step would be refused on arrival.
		return nil, fmt.Errorf("dpop: %d nonce steps, want 2 to %d", s.steps, maxNonceSteps)
	case len(cfg.Keys) > maxNonceKeys:
		return nil, fmt.Errorf("dpop: %d nonce keys, want at most %d", len(cfg.Keys), maxNonceKeys)
	}
	for i, key := range cfg.Keys {
		if len(key) < minNonceKey || len(key) > maxNonceKey {
			return nil, fmt.Errorf("dpop: nonce key %d has %d bytes, want %d to %d", i, len(key), minNonceKey, maxNonceKey)
		}
		s.keys = append(s.keys, slices.Clone(key))
	}
	if len(s.keys) == 0 {
		key := make([]byte, minNonceKey)
		rand.Read(key) // never fails since Go 1.24
		s.keys = [][]byte{key}
	}
	return s, nil
}

// Nonce returns the nonce to give out now, 22 characters.
func (s *NonceSource) Nonce() string { return s.at(s.now()).current }

// String keeps the keys out of logs.
func (s *NonceSource) String() string {
	return fmt.Sprintf("dpop.NonceSource(%d keys, %d × %v)", len(s.keys), s.steps, s.step)
}

// accepts reports whether a nonce has been given out recently.
//
// DPOP-8-4: an exact match with one of the recent nonces; DPOP-8-5: of several, as requests are under way when the nonce
// changes.
func (s *NonceSource) accepts(nonce string) bool {
	ok := false
	for _, recent := range s.at(s.now()).accepted {
		ok = jose.EqualString(nonce, recent) || ok
	}
	return ok
}

func (s *NonceSource) at(now time.Time) *nonceWindow {
	step := now.UnixNano() / int64(s.step)
	if w := s.window.Load(); w != nil && w.step == step {
		return w
	}
	w := &nonceWindow{step: step, current: makeNonce(s.keys[0], step)}
	// The step that comes next is accepted too: the clock of the process that gave it out may be ahead of ours.
	for ago := range s.steps + 1 {
		for _, key := range s.keys {
			w.accepted = append(w.accepted, makeNonce(key, step+1-int64(ago)))
		}
	}
	s.window.Store(w)
	return w
}

// makeNonce returns a nonce for a time step.
//
// DPOP-8-2: nobody without the key can tell it in advance. DPOP-8.1-1: the base64url alphabet is within NQCHAR.
func makeNonce(key []byte, step int64) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("dpop nonce\x00"))
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:nonceBytes])
}

// maxNonce bounds the nonces that a client keeps and repeats.
const maxNonce = 1024

// isNonce reports whether a string has the syntax of a nonce.
//
// DPOP-8.1-1: 1*NQCHAR. A nonce of a server goes into claims; one of another syntax must not.
func isNonce(s string) bool {
	if s == "" || len(s) > maxNonce {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < 0x21 || c > 0x7E || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
