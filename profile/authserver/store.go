package authserver

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/store"
)

// Kinds of entries. A kind has no space in it.
const (
	kindCode    = "code"
	kindRefresh = "refresh"
	kindAccess  = "access"
)

const (
	memoryEntries = 1 << 20
	memoryBytes   = 512 << 20
	// races bounds how often a Swap is repeated. Each repetition means that
	// another call has changed the same entry.
	races = 4
)

// stores holds the store of each kind of entry. They are one store, or memory
// stores apart, so that a flood of one kind does not affect another.
type stores struct {
	codes, refresh, access, revocations store.Store
}

func newStores(shared store.Store, now func() time.Time) stores {
	if shared != nil {
		return stores{shared, shared, shared, shared}
	}
	memory := func() store.Store {
		return memstore.New(memstore.Config{MaxEntries: memoryEntries, MaxBytes: memoryBytes, Now: now})
	}
	return stores{memory(), memory(), memory(), memory()}
}

// checkStores finds the nil pointer of a constructor whose error was ignored,
// and state that several instances would not share.
func (cfg *Config) checkStores(bad func(format string, args ...any)) {
	for name, store := range map[string]any{"Store": cfg.Store, "Replay": cfg.Replay} {
		if store != nil && wire.IsNil(store) {
			bad("%s is a nil %T", name, store)
		}
	}
	if !cfg.SeveralInstances {
		return
	}
	problems := []string{wire.Unshared("Store", cfg.Store), wire.UnsharedNonces(cfg.Nonces)}
	if cfg.Replay != nil { // by default it is Store
		problems = append(problems, wire.Unshared("Replay", cfg.Replay))
	}
	if cfg.Grants != nil && cfg.Grants.Store != nil { // by default it is Store
		problems = append(problems, wire.Unshared("Grants.Store", cfg.Grants.Store))
	}
	if cfg.Grants != nil && cfg.Grants.Index != nil { // by default it is the store of the grants
		problems = append(problems, wire.Unshared("Grants.Index", cfg.Grants.Index))
	}
	for _, problem := range problems {
		if problem != "" {
			bad("%s", problem)
		}
	}
}

// storeKey returns the key of a secret of a kind. A reader of the store cannot
// find the secret. Issuers that share a store have different keys. Neither a
// kind nor an issuer has a space in it.
func (s *Server) storeKey(kind, secret string) string {
	return jose.SHA256Base64(kind, " ", s.cfg.Issuer, " ", secret)
}

// add stores the value of a new random secret for a client. After an error the
// secret is unused, and its entry expires if the store has recorded it.
func (s *Server) add(ctx context.Context, to store.Store, clientID, key string, value []byte, expires time.Time) error {
	added, err := to.Add(expiring.WithClient(ctx, s.cfg.Issuer, clientID), key, value, expires)
	if err == nil && !added {
		err = errors.New("the key of a new secret exists")
	}
	return storing(err)
}

// storing returns the error of a write for a client.
func storing(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, memstore.ErrShare):
		return fmt.Errorf("%w: %w", errTooMany, err)
	}
	return fmt.Errorf("%w: %w", ErrStore, err)
}

// load reads an entry and returns its value and version. If the entry does not
// exist, the error is notFound.
func load(ctx context.Context, from store.Store, key string, notFound error) ([]byte, int64, error) {
	value, version, err := from.Get(ctx, key)
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("%w: %w", ErrStore, err)
	case version == 0:
		return nil, 0, fmt.Errorf("%w: unknown", notFound)
	}
	return value, version, nil
}

// loadCode reads the record of a code, and returns its value and version.
func (s *Server) loadCode(ctx context.Context, key string, record *codeRecord) ([]byte, int64, error) {
	value, version, err := load(ctx, s.stores.codes, key, ErrCode)
	if err == nil && record.decode(value) != nil {
		err = errMalformedRecord
	}
	return value, version, err
}

// loadRefresh reads the record of a refresh token.
func (s *Server) loadRefresh(ctx context.Context, token string, record *refreshRecord) error {
	value, _, err := load(ctx, s.stores.refresh, s.storeKey(kindRefresh, token), ErrRefreshToken)
	if err == nil && record.decode(value) != nil {
		err = errMalformedRecord
	}
	return err
}

var errMalformedRecord = fmt.Errorf("%w: malformed record", ErrStore)

// recordRevocation remembers the revocation of a grant until a time, or longer.
// The value of the entry is that time, so a later call never shortens it. The
// whole is idempotent: after an error the caller repeats it.
func (s *Server) recordRevocation(ctx context.Context, grantID string, until time.Time) error {
	key, to := wire.RevocationKey(s.cfg.Issuer, grantID), s.stores.revocations
	end := until.Unix() + 1
	value, until := strconv.AppendInt(nil, end, 10), time.Unix(end, 0)
	for range races {
		if added, err := to.Add(ctx, key, value, until); added || err != nil {
			return err
		}
		known, version, err := to.Get(ctx, key)
		if err != nil {
			return err
		}
		if version == 0 { // it has expired in between
			continue
		}
		if before, err := strconv.ParseInt(string(known), 10, 64); err == nil && before >= end {
			return nil
		}
		if swapped, err := to.Swap(ctx, key, version, value, until); swapped || err != nil {
			return err
		}
	}
	return errors.New("the revocation changes all the time")
}
