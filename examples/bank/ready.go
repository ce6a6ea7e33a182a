package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/examples/internal/ready"
	"github.com/gofapi/fapi2/store"
)

// maxClockDifference is the difference that servers accept in the times of
// tokens, proofs and assertions (FAPI 2.0 Security Profile §5.3.2.1).
const maxClockDifference = 10 * time.Second

// newProbe returns the probes for load balancers. The bank is ready if its
// stores respond and its clock is right. The keys were loaded at the start.
func (b *bank) newProbe() *ready.Probe {
	return &ready.Probe{Logger: b.log, Check: func(ctx context.Context) error {
		key := b.vault.Records.Key
		if err := b.kept.check(ctx, key("keys", "")); err != nil {
			return err
		}
		// An entry with a key that exists would not be added either.
		return b.kept.checkClock(ctx, b.now(), key("clock", ""), key("clock", rand.Text()))
	}}
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

// checkClock compares the clock with that of the store. Other instances would
// reject the tokens of an instance whose clock is ahead, and it would reject
// the proofs and assertions of all clients. A store of SQL compares expiries
// with its own clock: it adds no entry that has expired. A store in memory has
// the clock of the bank. newKey must not have been used before.
func (k *kept) checkClock(ctx context.Context, now time.Time, key, newKey string) error {
	ahead, err := k.main.Add(ctx, newKey, nil, now.Add(-maxClockDifference))
	if ahead {
		return fmt.Errorf("the clock is more than %v ahead of the clock of the store", maxClockDifference)
	}
	if err != nil && !errors.Is(err, store.ErrInvalid) {
		return err
	}
	_, err = k.main.Add(ctx, key, nil, now.Add(maxClockDifference))
	if errors.Is(err, store.ErrInvalid) {
		return fmt.Errorf("the clock is more than %v behind the clock of the store", maxClockDifference)
	}
	return err
}
