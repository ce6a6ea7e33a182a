package store_test

import (
	"context"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/store"
)

// A code is redeemed once, in whatever process that shares the store.
func Example() {
	ctx, expires := context.Background(), time.Now().Add(time.Minute)
	s, err := store.NewMemory(store.MemoryConfig{})
	if err != nil {
		panic(err)
	}
	code := "LkPx_a8r9fK1m3tC0yZ2bV6nQ4wE7uI5oR1sT8dG-hA" // a hash of the code

	added, err := s.Add(ctx, code, []byte("what the code is for"), expires)
	fmt.Println(added, err)

	for range 2 {
		value, version, err := s.Get(ctx, code)
		if string(value) == "redeemed" {
			fmt.Println("the code was replayed")
			continue
		}
		swapped, err2 := s.Swap(ctx, code, version, []byte("redeemed"), expires)
		fmt.Println(string(value), swapped, err, err2)
	}
	// Output:
	// true <nil>
	// what the code is for true <nil> <nil>
	// the code was replayed
}
