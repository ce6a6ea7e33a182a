package refresh

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// SecretsConfig configures [Secrets].
type SecretsConfig[K any] struct {
	// Keys are the secrets. Source returns them, in place of Keys.
	Keys   [][]byte
	Source func(ctx context.Context) ([][]byte, error)
	// Every is the longest age of the secrets in use. The default is
	// DefaultEvery.
	Every time.Duration
	// Max is the maximum number of secrets. At least one is required.
	Max int
	// Derive returns the key of a secret, or an error that does not quote it.
	Derive func(secret []byte) (K, error)
	// Report receives each error of Source. If nil, nothing is reported.
	Report func(ctx context.Context, err error)
	// Now is the clock. Required.
	Now func() time.Time
}

// Secrets are keys that several processes share. Every key opens. The first key
// that all processes know makes. They are safe for concurrent use.
type Secrets[K any] struct {
	value *Value[*Ring[K]]
}

// A Ring has the keys of a moment. It is not changed.
type Ring[K any] struct {
	// Keys are the keys in their order.
	Keys    []K
	asked   time.Time // when the call began that returned the secrets
	digests [][sha256.Size]byte
	known   []time.Time // when each process knows the key
}

// NewSecrets validates and copies cfg. If Source is set, it is called once.
func NewSecrets[K any](cfg SecretsConfig[K]) (*Secrets[K], error) {
	cfg.Every = cmp.Or(cfg.Every, DefaultEvery)
	if err := CheckEvery(cfg.Every); err != nil {
		return nil, err
	}
	if cfg.Source == nil {
		ring, err := newRing(&cfg, cfg.Keys, time.Time{}, nil)
		return &Secrets[K]{New(Config[*Ring[K]]{}, ring, time.Time{})}, err
	}
	if cfg.Keys != nil {
		return nil, errors.New("both Keys and KeySource")
	}
	asked := cfg.Now()
	secrets, err := First(cfg.Source)
	if err != nil {
		return nil, fmt.Errorf("KeySource: %w", err)
	}
	ring, err := newRing(&cfg, secrets, asked, nil)
	load := func(ctx context.Context, old *Ring[K]) (*Ring[K], error) {
		asked := cfg.Now()
		secrets, err := cfg.Source(ctx)
		if err != nil {
			return nil, err
		}
		return newRing(&cfg, secrets, asked, old)
	}
	observe := func(ctx context.Context, _ time.Duration, err error) {
		if err != nil && cfg.Report != nil {
			cfg.Report(ctx, fmt.Errorf("KeySource: %w", err))
		}
	}
	rotation := Config[*Ring[K]]{Load: load, Every: cfg.Every, Observe: observe, Now: cfg.Now}
	return &Secrets[K]{New(rotation, ring, asked)}, err
}

// newRing returns the keys of secrets, which were asked for at a time. All
// processes know a key that is not in old after Every. A process that starts,
// or that was idle or cut off from the source, does not know how old a key is.
// It assumes that the other processes know the key.
func newRing[K any](cfg *SecretsConfig[K], secrets [][]byte, asked time.Time, old *Ring[K]) (*Ring[K], error) {
	if n := len(secrets); n == 0 || n > cfg.Max {
		return nil, fmt.Errorf("%d keys, want 1 to %d", n, cfg.Max)
	}
	var known time.Time
	if now := cfg.Now(); old != nil && now.Sub(old.asked) <= cfg.Every {
		known = now.Add(cfg.Every)
	}
	r := &Ring[K]{asked: asked}
	for i, secret := range secrets {
		key, err := cfg.Derive(secret)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i, err)
		}
		digest, from := sha256.Sum256(secret), known
		if old != nil {
			for j := range old.digests {
				if old.digests[j] == digest {
					from = old.known[j]
				}
			}
		}
		r.Keys, r.digests, r.known = append(r.Keys, key), append(r.digests, digest), append(r.known, from)
	}
	return r, nil
}

// At returns the keys at a time. See [Value.At].
func (s *Secrets[K]) At(ctx context.Context, now time.Time) *Ring[K] { return s.value.At(ctx, now) }

// Latest returns the keys of the latest call. It starts no call.
func (s *Secrets[K]) Latest() *Ring[K] { return s.value.Latest() }

// Maker returns the index of the key that makes at a time. It is the first key
// that all processes know, or else the key that they will know first.
func (r *Ring[K]) Maker(now time.Time) int {
	best := 0
	for i, known := range r.known {
		if !known.After(now) {
			return i
		}
		if known.Before(r.known[best]) {
			best = i
		}
	}
	return best
}
