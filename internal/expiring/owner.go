package expiring

import (
	"context"
	"errors"
)

// ErrShare reports that one owner has used its share. Nothing was recorded.
// Other owners can still add entries.
var ErrShare = errors.New("expiring: the share of one owner is full")

type ownerKey struct{}

// WithOwner returns a context that names the owner of an entry to a store. The
// context also passes through stores that wrap another store.
func WithOwner(ctx context.Context, owner string) context.Context {
	return context.WithValue(ctx, ownerKey{}, owner)
}

// Owner returns the owner in a context, or "".
func Owner(ctx context.Context) string {
	owner, _ := ctx.Value(ownerKey{}).(string)
	return owner
}
