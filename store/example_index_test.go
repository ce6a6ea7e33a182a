package store_test

import (
	"context"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/store"
)

// The pages of a set have each member once, in the order of their bytes.
func ExampleIndex() {
	ctx, expires := context.Background(), time.Now().Add(time.Minute)
	var index store.Index
	index, err := store.NewMemory(store.MemoryConfig{})
	if err != nil {
		panic(err)
	}
	set := "LkPx_a8r9fK1m3tC0yZ2bV6nQ4wE7uI5oR1sT8dG-hA" // a hash of the subject
	for _, member := range []string{"C", "A", "b", "A"} {
		if err := index.Put(ctx, set, member, expires); err != nil {
			panic(err)
		}
	}
	for after := ""; ; {
		page, err := index.List(ctx, set, after, 2)
		if err != nil {
			panic(err)
		}
		fmt.Println(page)
		if len(page) < 2 {
			break
		}
		after = page[1]
	}
	// Output:
	// [A C]
	// [b]
}
