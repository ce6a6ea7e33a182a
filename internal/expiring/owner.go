package expiring

import (
	"context"
	"errors"
	"strings"
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

// WithClient is WithOwner for a client of an issuer. Clients of two issuers may
// have the same identifier. If clientID is empty, the entry has no owner.
func WithClient(ctx context.Context, issuer, clientID string) context.Context {
	if clientID == "" {
		return WithOwner(ctx, "")
	}
	if rest, ok := strings.CutPrefix(Owner(ctx), issuer); ok && rest != "" && rest[0] == ' ' && rest[1:] == clientID {
		return ctx
	}
	return WithOwner(ctx, issuer+" "+clientID)
}

// Owner returns the owner in a context, or "".
func Owner(ctx context.Context) string {
	owner, _ := ctx.Value(ownerKey{}).(string)
	return owner
}
