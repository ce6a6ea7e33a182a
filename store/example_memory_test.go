package store_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/store"
)

// A full Memory rejects new entries and never evicts a live one. A used code or
// proof is therefore not accepted again.
func ExampleMemory() {
	memory, err := store.NewMemory(store.MemoryConfig{MaxEntries: 2})
	if err != nil {
		panic(err)
	}
	ctx, expires := context.Background(), time.Now().Add(time.Minute)
	for _, key := range []string{
		"LkPx_a8r9fK1m3tC0yZ2bV6nQ4wE7uI5oR1sT8dG-hA",
		"LkPx_a8r9fK1m3tC0yZ2bV6nQ4wE7uI5oR1sT8dG-hA", // the same again
		"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
		"fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo",
	} {
		added, err := memory.Add(ctx, key, nil, expires)
		fmt.Println(added, errors.Is(err, store.ErrFull))
	}
	// Output:
	// true false
	// false false
	// true false
	// false true
}
