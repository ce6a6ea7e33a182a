package main

import (
	"context"
	"errors"
	"time"

	"github.com/gofapi/fapi2/examples/internal/ready"
)

// newProbe returns the probes for load balancers. The bank is ready if its
// stores respond. The keys were loaded at the start.
func (b *bank) newProbe() *ready.Probe {
	return &ready.Probe{
		Logger: b.log,
		Check:  func(ctx context.Context) error { return b.kept.check(ctx, b.vault.Records.Key("keys", "")) },
	}
}

func (c *config) drain() time.Duration { return time.Duration(c.drainSeconds) * time.Second }

// check reads one entry of each store.
func (k *kept) check(ctx context.Context, key string) error {
	_, version, err := k.main.Get(ctx, key)
	if err == nil && version == 0 {
		err = errors.New("missing keys of the bank")
	}
	if err == nil && k.second != nil {
		_, _, err = k.second.Get(ctx, key)
	}
	return err
}
