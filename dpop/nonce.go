package dpop

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/refresh"
	"github.com/gofapi/fapi2/internal/syntax"
)

// NonceSourceConfig configures a [NonceSource].
type NonceSourceConfig struct {
	// Keys contains up to eight secrets of 32 to 64 random bytes. All processes
	// that serve the same URL share them. If empty, a random key is used, which
	// suits one process. Use different keys for an authorization server and a
	// resource server.
	//
	// The first key makes nonces, and nonces of all keys are accepted. To
	// rotate a key, add the new key at the end in all processes. Then move it
	// to the front in all processes, and then remove the old key.
	Keys [][]byte
	// KeySource returns the keys, in place of Keys, for example from a file or
	// a secret store. It is called once at the start. The keys rotate without a
	// restart, because later uses call it again when KeyRefresh requires it.
	// Uses do not wait for it, except after a time without uses. If it fails or
	// returns unsuitable keys, the old keys are used and it is called again. It
	// must return when ctx ends, because it is not called again before.
	//
	// A new first key makes nonces after KeyRefresh, when all processes know
	// it. Until then, the first of the other keys makes them.
	KeySource func(ctx context.Context) ([][]byte, error)
	// KeyRefresh is the maximum age of the keys in use while KeySource works:
	// 10 seconds to 1 hour. The default is 1 minute.
	KeyRefresh time.Duration
	// Report receives each error of KeySource after the start. It must not
	// block. If nil, nothing is reported.
	Report func(ctx context.Context, err error)

	// Step is the time after which the nonce changes. The default is 1 minute,
	// the minimum 1 second.
	Step time.Duration

	// Steps is the number of accepted nonces: the current one and earlier ones.
	// The minimum is 2 and the maximum 64 nonces. The default is 5: with the
	// default Step, a nonce is accepted for four to five minutes. With fewer
	// steps, proofs that were made in advance expire earlier, and clients need
	// a second round trip more often.
	Steps int

	// Now is the clock. If nil, time.Now is used. It is called concurrently.
	Now func() time.Time
}

// String returns a text without the keys.
func (c NonceSourceConfig) String() string {
	return fmt.Sprintf("dpop.NonceSourceConfig(%d keys, %d × %v)", len(c.Keys), c.Steps, c.Step)
}

// GoString is String.
func (c NonceSourceConfig) GoString() string { return c.String() }

// LogValue is String for package log/slog.
func (c NonceSourceConfig) LogValue() slog.Value { return slog.StringValue(c.String()) }

// A NonceSource makes and recognizes nonces without a store. A nonce is a
// message authentication code over the current time step. It is the same for
// all clients in that step, which RFC 9449 §11.1 permits because each proof has
// a jti. A NonceSource is safe for concurrent use.
type NonceSource struct {
	keys   *refresh.Secrets[[]byte]
	random bool // made here
	step   time.Duration
	steps  int
	now    func() time.Time

	window atomic.Pointer[nonceWindow]
}

// A nonceWindow has the nonces of a time step. It is computed once per step,
// and again when the keys change.
type nonceWindow struct {
	step     int64
	keys     *refresh.Ring[[]byte]
	maker    int // index of the key that makes nonces
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

// NewNonceSource validates and copies cfg.
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
		return nil, errors.New("dpop: Step is shorter than 1 second")
	case s.steps < 2 || s.steps > maxNonceSteps:
		// With one, a nonce from the end of its step would expire before the
		// request.
		return nil, fmt.Errorf("dpop: %d Steps, want 2 to %d", s.steps, maxNonceSteps)
	}
	if len(cfg.Keys) == 0 && cfg.KeySource == nil {
		key := make([]byte, minNonceKey)
		rand.Read(key) // never fails since Go 1.24
		cfg.Keys, s.random = [][]byte{key}, true
	}
	var err error
	s.keys, err = refresh.NewSecrets(refresh.SecretsConfig[[]byte]{
		Keys: cfg.Keys, Source: cfg.KeySource, Every: cfg.KeyRefresh, Report: cfg.Report, Now: s.now,
		Max: maxNonceKeys, Derive: nonceKey,
	})
	if err != nil {
		return nil, fmt.Errorf("dpop: %w", err)
	}
	return s, nil
}

func nonceKey(secret []byte) ([]byte, error) {
	if len(secret) < minNonceKey || len(secret) > maxNonceKey {
		return nil, fmt.Errorf("%d bytes, want %d to %d", len(secret), minNonceKey, maxNonceKey)
	}
	return slices.Clone(secret), nil
}

// Shared reports whether the keys are from the configuration, so that other
// processes can have them.
func (s *NonceSource) Shared() bool { return !s.random }

// Nonce returns the current nonce, 22 characters.
func (s *NonceSource) Nonce() string { return s.at(s.now()).current }

// String returns a text without the keys.
func (s *NonceSource) String() string {
	return fmt.Sprintf("dpop.NonceSource(%d keys, %d × %v)", len(s.keys.Latest().Keys), s.steps, s.step)
}

// accepts reports whether a nonce is one of the recent ones.
func (s *NonceSource) accepts(nonce string) bool {
	// DPOP-8-4, DPOP-8-5: an exact match with one of several, because requests
	// may be on their way when the nonce changes.
	ok := false
	for _, recent := range s.at(s.now()).accepted {
		ok = jose.EqualString(nonce, recent) || ok
	}
	return ok
}

func (s *NonceSource) at(now time.Time) *nonceWindow {
	step := now.UnixNano() / int64(s.step)
	keys := s.keys.At(context.Background(), now)
	maker := keys.Maker(now)
	if w := s.window.Load(); w != nil && w.step == step && w.keys == keys && w.maker == maker {
		return w
	}
	w := &nonceWindow{step: step, keys: keys, maker: maker, current: makeNonce(keys.Keys[maker], step)}
	// The next step is accepted too, because the clock of the process that made
	// the nonce may be ahead.
	for ago := range s.steps + 1 {
		for _, key := range keys.Keys {
			w.accepted = append(w.accepted, makeNonce(key, step+1-int64(ago)))
		}
	}
	s.window.Store(w)
	return w
}

// makeNonce returns the nonce of a key for a time step. An attacker cannot
// predict it without the key.
func makeNonce(key []byte, step int64) string {
	// DPOP-8-2, DPOP-8.1-1: the base64url alphabet is within NQCHAR.
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("dpop nonce\x00"))
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(step)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:nonceBytes])
}

// maxNonce bounds the nonces that a client stores and sends.
const maxNonce = 1024

// isNonce reports whether a string has the syntax of a nonce, 1*NQCHAR. Other
// values must not be written into claims.
func isNonce(s string) bool { // DPOP-8.1-1
	return len(s) <= maxNonce && syntax.IsScope(s)
}
