// Package records keeps the data of a program as JSON values in a store. Each
// value has a kind and a name.
package records

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

// Records are the values of one program. The store contains only a hash of
// their kinds and names. All fields are required. Records are safe for
// concurrent use.
type Records struct {
	// Store contains the values, and may contain other entries.
	Store store.Store
	// Owner distinguishes the programs that share the store.
	Owner string
	// Now is the clock.
	Now func() time.Time
}

// Forever is the lifetime of values that no program removes.
const Forever = 100 * 365 * 24 * time.Hour

// Key returns the key of a value in the store.
func (r *Records) Key(kind, name string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{r.Owner, kind, name}, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Get reads a value into v. If the value does not exist, v is unchanged and the
// version is 0.
func (r *Records) Get(ctx context.Context, kind, name string, v any) (version int64, err error) {
	value, version, err := r.Store.Get(ctx, r.Key(kind, name))
	if err != nil || version == 0 {
		return 0, err
	}
	if err := json.Unmarshal(value, v); err != nil {
		return 0, fmt.Errorf("malformed %s record: %w", kind, err)
	}
	return version, nil
}

// maxUpdates bounds the attempts to change a value. One attempt of all
// concurrent ones succeeds, so only a very busy value needs many.
const maxUpdates = 200

// Update changes a value, or creates it. If edit returns false, the value stays
// as it is. edit is called again if another request or another instance has
// changed the value at the same time.
func Update[T any](ctx context.Context, r *Records, kind, name string, keep time.Duration,
	edit func(v *T) (write bool, err error)) error {
	for range maxUpdates {
		v := new(T)
		version, err := r.Get(ctx, kind, name, v)
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
		key, expires := r.Key(kind, name), r.Now().Add(keep)
		written := false
		if version == 0 {
			written, err = r.Store.Add(ctx, key, value, expires)
		} else {
			written, err = r.Store.Swap(ctx, key, version, value, expires)
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
