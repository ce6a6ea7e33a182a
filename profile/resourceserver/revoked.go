package resourceserver

import (
	"context"
	"errors"

	"github.com/gofapi/fapi2/profile/internal/wire"
)

// Revocations is the part of an authorization server's store that [RevokedIn]
// reads. Every store.Store is one.
type Revocations interface {
	// Get returns the value and its version. Version 0 means that key does not
	// exist, which is not an error. It is safe for concurrent use.
	Get(ctx context.Context, key string) (value []byte, version int64, err error)
}

// RevokedIn returns a function for [Issuer].Revoked of an API that can read the
// store of the authorization server with this issuer identifier. It receives
// the ID of an access token (its jti) or of an authorization. It returns an
// error if the store fails, or if the ID is not of that server.
func RevokedIn(issuer string, store Revocations) func(ctx context.Context, id string) (bool, error) {
	return func(ctx context.Context, id string) (bool, error) {
		if !wire.HasGrant(id) && len(id) != wire.GrantIDLength {
			return false, errors.New("resourceserver: malformed token ID")
		}
		_, version, err := store.Get(ctx, wire.RevocationKey(issuer, id[:wire.GrantIDLength]))
		return version > 0 && err == nil, err
	}
}
