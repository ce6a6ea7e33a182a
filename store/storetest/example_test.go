package storetest_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/gofapi/fapi2/store"
	"github.com/gofapi/fapi2/store/storetest"
)

// The test of a store. Each call of open returns a connection of its own to
// the same database. Here it returns the store in memory.
func ExampleTestIndex() {
	memory, err := store.NewMemory(store.MemoryConfig{})
	if err != nil {
		panic(err)
	}
	test := func(t *testing.T) {
		storetest.TestIndex(t, func(*testing.T) store.Index { return memory })
	}
	fmt.Println("passed:", run("TestIndex", test))
	// Output: passed: true
}

// The test of a store. In the _test.go file of the store, the function literal
// is TestStore. Each call of open returns a connection to the same database.
func ExampleTest() {
	memory, err := store.NewMemory(store.MemoryConfig{}) // here the test opens its own store
	if err != nil {
		panic(err)
	}
	_ = func(t *testing.T) {
		storetest.Test(t, func(*testing.T) store.Store { return memory })
	}
}

// run runs a test inside an example, as go test does without -v.
func run(name string, test func(t *testing.T)) (passed bool) {
	verbose := flag.Lookup("test.v").Value.String()
	flag.Set("test.v", "false")
	defer flag.Set("test.v", verbose)
	all := func(_, _ string) (bool, error) { return true, nil }
	return testing.RunTests(all, []testing.InternalTest{{Name: name, F: test}})
}
