package expiring

import (
	"context"
	"errors"
)

// ErrShare reports that one owner has used its share. Nothing was recorded.
// Other owners can still add entries.
var ErrShare = errors.New("expiring: the share of one owner is full")

type ownerKey struct{}

// owned is a context that names an owner. It makes the name only for a store
// that reads it.
type owned struct {
	context.Context
	issuer, client string
}

func (o *owned) Value(key any) any {
	if key == (ownerKey{}) {
		return o
	}
	return o.Context.Value(key)
}

// WithOwner returns a context that names the owner of an entry to a store. The
// context also passes through stores that wrap another store.
func WithOwner(ctx context.Context, owner string) context.Context {
	return &owned{Context: ctx, client: owner}
}

// WithClient is WithOwner for a client of an issuer. Clients of two issuers may
// have the same identifier. If clientID is empty, the entry has no owner.
func WithClient(ctx context.Context, issuer, clientID string) context.Context {
	if clientID == "" {
		return WithOwner(ctx, "")
	}
	if o, ok := ctx.Value(ownerKey{}).(*owned); ok && o.issuer == issuer && o.client == clientID {
		return ctx
	}
	return &owned{ctx, issuer, clientID}
}

// Owner returns the owner in a context, or "".
func Owner(ctx context.Context) string {
	o, ok := ctx.Value(ownerKey{}).(*owned)
	switch {
	case !ok:
		return ""
	case o.issuer == "":
		return o.client
	}
	return o.issuer + " " + o.client
}
