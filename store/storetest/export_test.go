package storetest

import (
	"context"
	"time"

	"github.com/gofapi/fapi2/store"
)

// Lives is the check of a store's expiry with one call. Real time is too short
// for it to fail.
func Lives(ctx context.Context, s store.Store, look func(context.Context, store.Store, string) error) error {
	return untilLooked(func() (looked bool, err error) { return livesUntil(ctx, s, time.Now().Add(short), look) })
}

// The calls of the check.
var (
	GetLooks = getLooks
	AddLooks = addLooks
)

// TooSlow is the error of a check that did not look.
const TooSlow = tooSlow
