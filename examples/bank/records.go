package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/gofapi/fapi2/store"
)

// records keeps the bank's own data as JSON values in the store of the server.
// Each value has a kind and a name. The store contains a hash of both only.
type records struct {
	store  store.Store
	issuer string // several banks can share a store
	now    func() time.Time
}

// keptForever is the lifetime of records that no program removes.
const keptForever = 100 * 365 * 24 * time.Hour

func (r *records) key(kind, name string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{"fapi2/examples/bank", r.issuer, kind, name}, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// get reads a record into v. If the record does not exist, v is unchanged and
// the version is 0.
func (r *records) get(ctx context.Context, kind, name string, v any) (version int64, err error) {
	value, version, err := r.store.Get(ctx, r.key(kind, name))
	if err != nil || version == 0 {
		return 0, err
	}
	if err := json.Unmarshal(value, v); err != nil {
		return 0, fmt.Errorf("malformed %s record: %w", kind, err)
	}
	return version, nil
}

// maxUpdates bounds the attempts to change a record. One attempt of all
// concurrent ones succeeds, so only a very busy record needs many.
const maxUpdates = 200

// update changes a record, or creates it. If edit returns false, the record
// stays as it is. edit is called again if another request or another instance
// has changed the record at the same time.
func update[T any](ctx context.Context, r *records, kind, name string, keep time.Duration,
	edit func(v *T) (write bool, err error)) error {
	for range maxUpdates {
		v := new(T)
		version, err := r.get(ctx, kind, name, v)
		if err != nil {
			return err
		}
		if write, err := edit(v); err != nil || !write {
			return err
		}
		value, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if len(value) > store.MaxValue {
			return fmt.Errorf("%s record of %d bytes, want at most %d", kind, len(value), store.MaxValue)
		}
		key, expires := r.key(kind, name), r.now().Add(keep)
		written := false
		if version == 0 {
			written, err = r.store.Add(ctx, key, value, expires)
		} else {
			written, err = r.store.Swap(ctx, key, version, value, expires)
		}
		if err != nil || written {
			return err
		}
		select {
		case <-time.After(rand.N(10 * time.Millisecond)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errors.New("busy " + kind + " record")
}
