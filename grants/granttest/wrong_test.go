package granttest_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/grants/granttest"
	"github.com/gofapi/fapi2/internal/testkit"
)

// noTransaction looks, and then writes.
type noTransaction struct{ entries sync.Map }

func (n *noTransaction) Create(ctx context.Context, key string, value []byte, expires time.Time) error {
	if _, _, err := n.Get(ctx, key); !errors.Is(err, grants.ErrNotFound) {
		return errors.Join(grants.ErrExists, err)
	}
	n.entries.Store(key, plainEntry{bytes.Clone(value), 1, expires})
	return nil
}

func (n *noTransaction) Get(ctx context.Context, key string) ([]byte, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	found, ok := n.entries.Load(key)
	if !ok || !time.Now().Before(found.(plainEntry).expires) {
		return nil, 0, grants.ErrNotFound
	}
	e := found.(plainEntry)
	return bytes.Clone(e.value), e.version, nil
}

func (n *noTransaction) Update(ctx context.Context, key string, version int64, value []byte, expires time.Time) error {
	_, there, err := n.Get(ctx, key)
	switch {
	case errors.Is(err, grants.ErrNotFound) || err == nil && there != version:
		return grants.ErrConflict
	case err != nil:
		return err
	}
	n.entries.Store(key, plainEntry{bytes.Clone(value), version + 1, expires})
	return nil
}

// revives sweeps what has expired when it is read, and looks at no expiry when it is written.
type revives struct{ plain }

func (r *revives) Get(ctx context.Context, key string) ([]byte, int64, error) {
	value, version, err := r.plain.Get(ctx, key)
	if errors.Is(err, grants.ErrNotFound) {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.entries, key)
	}
	return value, version, err
}

func (r *revives) Update(ctx context.Context, key string, version int64, value []byte, expires time.Time) error {
	r.mu.Lock()
	e, ok := r.entries[key]
	if ok && !time.Now().Before(e.expires) {
		e.expires = expires
		r.entries[key] = e
	}
	r.mu.Unlock()
	return r.plain.Update(ctx, key, version, value, expires)
}

// changesExpiry writes another expiry than it was given.
type changesExpiry struct {
	plain
	change func(time.Time) time.Time
}

func (c *changesExpiry) Create(ctx context.Context, key string, value []byte, expires time.Time) error {
	return c.plain.Create(ctx, key, value, c.change(expires))
}

func (c *changesExpiry) Update(ctx context.Context, key string, version int64, value []byte, expires time.Time) error {
	return c.plain.Update(ctx, key, version, value, c.change(expires))
}

// cuts keeps 64 KiB of what is created.
type cuts struct{ plain }

func (c *cuts) Create(ctx context.Context, key string, value []byte, expires time.Time) error {
	return c.plain.Create(ctx, key, value[:min(len(value), 64<<10)], expires)
}

func TestTheKitFindsSubtleFaults(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		store grants.Store
		want  string
	}{
		{"an Update that brings back what has expired", new(revives), "an entry that has expired unseen takes no update"},
		{"an expiry in seconds, which is taken for an instant from 30 days on", &changesExpiry{change: func(at time.Time) time.Time {
			if left := time.Until(at); left > 30*24*time.Hour {
				return time.Unix(int64(left/time.Second), 0)
			}
			return at
		}}, "an expiry of twenty years hence, and one of another time zone"},
		{"an expiry written without its time zone", &changesExpiry{change: func(at time.Time) time.Time {
			return time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), time.UTC)
		}}, "an expiry of twenty years hence, and one of another time zone"},
		{"a Create that cuts", new(cuts), "512 KiB come back as they were"},
	}
	t.Run("a store without transactions, however fast", func(t *testing.T) { // most times at once; it is a matter of chance
		require.True(t, granttest.Fails(t.Context(), new(noTransaction), "one of 8 wins, whose values take time to write", 50))
	})
	failing := make([][]string, len(cases))
	testkit.Hammer(len(cases), func(i int) { failing[i] = granttest.Failing(t.Context(), cases[i].store) })
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) { require.Contains(t, failing[i], tc.want) })
	}
}
