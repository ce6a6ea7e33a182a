package testkit

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
)

// A Forgetful is a replay store that takes the time of a real one and accepts a
// key any number of times. It is for benchmarks of one goroutine.
type Forgetful struct {
	set *expiring.Set
	n   uint64
}

// NewForgetful returns an empty store.
func NewForgetful() *Forgetful {
	return &Forgetful{set: expiring.NewSet(expiring.SetConfig{})}
}

// Add adds another key.
func (f *Forgetful) Add(ctx context.Context, key string, value []byte, expires time.Time) (bool, error) {
	var other [43]byte
	copy(other[:], key)
	f.n++
	binary.LittleEndian.PutUint64(other[:], f.n)
	return f.set.Add(ctx, string(other[:]), value, expires)
}
