package wire

import (
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/store"
)

// Unshared returns the problem of a store that several processes must share, or
// an empty string. It recognizes nil and the memory stores of this module.
func Unshared(name string, s any) string {
	switch s.(type) {
	case nil:
		return "SeveralInstances: missing " + name + ", want a store that all instances share"
	case *store.Memory, *memstore.Store, *memstore.Index, *expiring.Set:
		return "SeveralInstances: " + name + " is in memory, want a store that all instances share"
	}
	return ""
}

// UnsharedNonces is Unshared for the keys of nonces, which are optional.
func UnsharedNonces(n *dpop.NonceSource) string {
	if n == nil || n.Shared() {
		return ""
	}
	return "SeveralInstances: Nonces has a random key, want Keys or KeySource with keys that all instances share"
}
