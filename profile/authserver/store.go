package authserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/profile/internal/wire"
)

// ErrNotFound is what a store returns for a key that it does not hold, or holds no longer.
var ErrNotFound = errors.New("authserver: not found")

// A CodeStore keeps authorization codes. Keys are hashes in 43 characters of base64url, compared with their case; a key is
// never saved twice. Values are opaque bytes with an expiry, which caller and store do not share; after the expiry, as for
// a key that was never saved, Load and Redeem return an error that matches [ErrNotFound], with which the code is refused.
//
// All methods must be safe for concurrent use. Any other error, that of a cancelled context included, makes the request fail
// with a server_error, and must leave the store as it was. Test a store of your own with profiletest.TestCodeStore.
type CodeStore interface {
	// Save keeps a value under a new key until expires.
	Save(ctx context.Context, key string, value []byte, expires time.Time) error
	// Load returns the value, redeemed or not. It changes nothing, so that a wrong client's attempt cannot burn a code.
	Load(ctx context.Context, key string) (value []byte, err error)
	// Redeem marks the key as redeemed. Of any number of calls with one key, concurrent ones too, exactly one reports
	// first; the value stays for Load, so that a later attempt is recognised as a replay.
	Redeem(ctx context.Context, key string) (first bool, err error)
}

// A RefreshStore keeps refresh tokens, or opaque access tokens, under the same rules as a [CodeStore]. Neither is rotated,
// so a value never changes, nor is one deleted before its expiry: what is revoked stands in the [RevocationStore]. Test one
// with profiletest.TestRefreshStore.
type RefreshStore interface {
	// Save keeps a value under a new key until expires.
	Save(ctx context.Context, key string, value []byte, expires time.Time) error
	// Load returns the value as often as it is asked.
	Load(ctx context.Context, key string) (value []byte, err error)
}

// A RevocationStore remembers which grants were revoked. Everything issued for a grant carries its ID, so that one entry
// stops all of it, whatever was issued before or is being issued at that moment. IDs are 22 characters of base64url,
// compared with their case. An error refuses the request that asked. It must be safe for concurrent use. Test one with
// profiletest.TestRevocationStore.
type RevocationStore interface {
	// Revoke remembers the grant until a time after which nothing issued for it can be valid any more, or later. To revoke
	// again is no error and never shortens what is remembered.
	Revoke(ctx context.Context, grantID string, until time.Time) error
	// Revoked reports whether the grant has been revoked. A grant that was never heard of has not been.
	Revoked(ctx context.Context, grantID string) (bool, error)
}

// A MemoryStore is a bounded [CodeStore], [RefreshStore] and [RevocationStore]
// in memory. It is the default for a server of one process. When it is full,
// Save and Revoke fail. Live entries are never evicted. A client can use as
// much room as is still free. A single client therefore fills half of the store
// and then receives [ErrTooMany]; other clients are not affected. A revocation
// counts for a client if the client requested it at the revocation endpoint. A
// MemoryStore is safe for concurrent use.
type MemoryStore struct {
	values  *expiring.Shared[storedValue]
	revoked *expiring.Shared[struct{}]
}

type storedValue struct {
	value    []byte
	redeemed bool
}

const (
	defaultEntries = 1 << 20
	minBytes       = 4 << 20
	bytesPerEntry  = 512
)

// NewMemoryStore returns a store for at most maxEntries values and as many
// revocations. It has room for 512 bytes for each value, and for at least 4
// MiB. The default is 1,048,576 values and 512 MiB. The store allocates memory
// when entries arrive. If now is nil, time.Now is used.
func NewMemoryStore(maxEntries int, now func() time.Time) *MemoryStore {
	if maxEntries <= 0 {
		maxEntries = defaultEntries
	}
	return &MemoryStore{
		values: expiring.NewShared[storedValue](expiring.SharedConfig{
			MaxEntries: maxEntries, MaxBytes: max(minBytes, maxEntries*bytesPerEntry), Now: now,
		}),
		revoked: expiring.NewShared[struct{}](expiring.SharedConfig{MaxEntries: maxEntries, MaxBytes: maxEntries * bytesPerEntry, Now: now}),
	}
}

// Save implements [CodeStore] and [RefreshStore]. It returns [ErrTooMany] when the
// server saves for a client that keeps as much as it may.
func (s *MemoryStore) Save(ctx context.Context, key string, value []byte, expires time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.values.Add(expiring.Owner(ctx), key, storedValue{value: append([]byte(nil), value...)}, len(value), expires)
	if errors.Is(err, expiring.ErrShare) {
		return fmt.Errorf("%w: %w", ErrTooMany, err)
	}
	return err
}

// saving returns the error of a Save for a client.
func saving(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrTooMany):
		return err
	}
	return fmt.Errorf("%w: saving %s: %w", ErrStore, what, err)
}

// Load implements [CodeStore] and [RefreshStore].
func (s *MemoryStore) Load(ctx context.Context, key string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v, ok := s.values.Get(key)
	if !ok {
		return nil, ErrNotFound
	}
	return append([]byte(nil), v.value...), nil
}

// Redeem implements [CodeStore].
func (s *MemoryStore) Redeem(ctx context.Context, key string) (first bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	found := s.values.Update(key, func(v storedValue, expires time.Time) (storedValue, time.Time) {
		first = !v.redeemed
		v.redeemed = true
		return v, expires
	})
	if !found {
		return false, ErrNotFound
	}
	return first, nil
}

// Revoke implements [RevocationStore]. It returns [ErrTooMany] when a client
// revokes its own tokens and keeps as many revocations as it may.
func (s *MemoryStore) Revoke(ctx context.Context, grantID string, until time.Time) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.revoked.Update(grantID, func(v struct{}, known time.Time) (struct{}, time.Time) {
			if known.After(until) {
				return v, known
			}
			return v, until
		}) {
			return nil
		}
		switch err := s.revoked.Add(expiring.Owner(ctx), grantID, struct{}{}, 0, until); {
		case errors.Is(err, expiring.ErrShare):
			return fmt.Errorf("%w: %w", ErrTooMany, err)
		case !errors.Is(err, expiring.ErrExists): // another call has added it: once more
			return err
		}
	}
}

// Revoked implements [RevocationStore].
func (s *MemoryStore) Revoked(ctx context.Context, grantID string) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	_, ok := s.revoked.Get(grantID)
	return ok, nil
}

// checkStores finds the nil pointer that a constructor returned beside an error nobody looked at.
func (cfg *Config) checkStores(bad func(format string, args ...any)) {
	for name, store := range map[string]any{
		"Requests": cfg.Requests, "Codes": cfg.Codes, "RefreshTokens": cfg.RefreshTokens, "AccessTokens": cfg.AccessTokens,
		"Revocations": cfg.Revocations, "Assertions": cfg.Assertions, "Proofs": cfg.Proofs,
	} {
		if store != nil && wire.IsNil(store) {
			bad("%s is a nil %T", name, store)
		}
	}
}
