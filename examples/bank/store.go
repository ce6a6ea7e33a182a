package main

import (
	"context"
	"errors"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/examples/internal/configfile"
	"github.com/gofapi/fapi2/examples/internal/storage"
	"github.com/gofapi/fapi2/store"
)

// A kept is the store of the bank. The server, the uses of consents and the
// bank's own records share it. If the configuration has replay, used proofs and
// assertions are in another one.
type kept struct {
	names  storeNames
	main   *storage.Storage
	second *storage.Storage // if nil, main
	replay dpop.ReplayStore // nil without second
}

// storeNames are the parsed members store and replay.
type storeNames struct {
	main   storage.Name
	replay *storage.Name // if nil, main
}

// checkStore checks the members store and replay.
func (c *config) checkStore(p *configfile.Problems) {
	var err error
	c.stores.main, err = storage.Parse(c.store)
	p.Require(err == nil, "store", "%w", err)
	if c.replay == "" {
		return
	}
	replay, problem := storage.Parse(c.replay)
	p.Require(problem == nil, "replay", "%w", problem)
	p.Require(problem != nil || !replay.InMemory(), "replay",
		"memory: forgets used proofs at a restart, want a database or no member replay")
	p.Require(err != nil || !c.stores.main.InMemory(), "replay", "needs a store other than memory:")
	c.stores.replay = &replay
}

// openStores opens the stores of the configuration.
func openStores(ctx context.Context, names storeNames, s surroundings) (*kept, error) {
	settings := storage.Config{Logger: s.log, Now: s.now}
	main, err := names.main.Open(ctx, settings)
	if err != nil {
		return nil, errors.Join(errors.New("the store cannot be opened"), err)
	}
	main.Store = s.telemetry.Store(main.Store, main.Kind)
	k := &kept{names: names, main: main}
	if names.replay == nil {
		return k, nil
	}
	if k.second, err = names.replay.Open(ctx, settings); err != nil {
		return nil, errors.Join(errors.New("the store of replay cannot be opened"), err, main.Close())
	}
	k.second.Store = s.telemetry.Store(k.second.Store, k.second.Kind)
	k.replay = k.second
	return k, nil
}

// isShared reports whether the store outlives the process. Then several
// instances can use it.
func (k *kept) isShared() bool { return !k.names.main.InMemory() }

// server returns the store of the authorization server. It is nil in memory:
// the server then keeps each kind of entry within bounds of its own.
func (k *kept) server() store.Store {
	if k.isShared() {
		return k.main
	}
	return nil
}

// index returns the index of a shared store, or nil if the store has none. In
// memory the server has an index of its own.
func (k *kept) index() store.Index {
	index, ok := k.main.Store.(store.Index)
	if !ok || !k.isShared() {
		return nil
	}
	return index
}

// proofs returns the store of used proofs. It is nil in memory.
func (k *kept) proofs() dpop.ReplayStore {
	if k.replay == nil && k.isShared() {
		return k.main
	}
	return k.replay
}

func (k *kept) close() error {
	if k.second == nil {
		return k.main.Close()
	}
	return errors.Join(k.main.Close(), k.second.Close())
}
