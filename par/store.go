package par

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/memstore"
)

// A Store keeps pushed requests between the push and the end of the
// authorization. It has the methods of store.Store, which define the contract,
// and package storetest tests a store. Processes that serve the same issuer
// must share one.
//
// Keys are hashes of references, so a reader of the store cannot use the
// references. Values are at most 132 KiB. They contain personal data if the
// requests do.
type Store interface {
	// Add stores value under key until expires and returns true, unless key
	// exists. It sets version 1.
	Add(ctx context.Context, key string, value []byte, expires time.Time) (added bool, err error)
	// Get returns the value and its version. Version 0 means that key does not
	// exist, which is not an error.
	Get(ctx context.Context, key string) (value []byte, version int64, err error)
	// Swap replaces value and expires and increments the version, if the
	// current version is version. It returns false if the version differs or
	// key does not exist.
	Swap(ctx context.Context, key string, version int64, value []byte, expires time.Time) (swapped bool, err error)
}

const (
	memoryEntries = 1 << 16
	memoryBytes   = 64 << 20
	// repeatTime is the time in which an attempt to consume can be repeated,
	// for example after the database has moved to another machine. A consumed
	// request counts against its client for this time. Afterwards it does not
	// exist, so no attempt succeeds.
	repeatTime = 2 * time.Minute
	// races bounds how often Consume repeats a Swap. Only the first visit
	// changes a request before it is consumed, so two are enough.
	races = 3
)

func newMemory(now func() time.Time) Store {
	return memstore.New(memstore.Config{MaxEntries: memoryEntries, MaxBytes: memoryBytes, Now: now})
}

func storeError(err error) error { return fmt.Errorf("%w: %w", ErrStore, err) }

// visit keeps a request for the login time from its first visit on. Every other
// request expires when its browser is too late. Add sets version 1, and the
// first visit writes the same value as version 2.
func (s *Server) visit(ctx context.Context, req Request, value []byte) (Request, error) {
	if req.version > 1 {
		return req, nil
	}
	owned := expiring.WithClient(ctx, s.issuer, req.clientID)
	swapped, err := s.store.Swap(owned, req.key, req.version, value, s.closes(req))
	switch {
	case err != nil:
		return Request{}, storeError(err)
	case !swapped: // another visit was first, or the request is consumed
		again, now, err := s.fetch(ctx, req.clientID, req.requestURI)
		if err == nil && !bytes.Equal(now.value, value) { // Check has not seen it
			return Request{}, storeError(errors.New("a visit has changed the request"))
		}
		return again, err
	}
	req.version++
	return req, nil
}

// closes returns the end of the time in which a request can be consumed.
func (s *Server) closes(req Request) time.Time { return req.expires.Add(s.loginTime) }

// Consume uses up a request that Load or Resume returned. Call it when the user
// has decided, immediately before the authorization response. Issue a code only
// if it succeeds. It does not call ServerConfig.Check.
//
// The attempt is an identifier that the caller chooses, for example a random
// string for each decision of the user. Of any number of attempts exactly one
// succeeds, and all others return [ErrNotFound]. An attempt that succeeded can
// be repeated for two minutes and succeeds again. After an [ErrStore] the
// caller therefore repeats the call with the same attempt, whether or not the
// store recorded it.
//
// Consume returns ErrNotFound, [ErrExpired] after LoginTime, or ErrStore.
func (s *Server) Consume(ctx context.Context, req Request, attempt string) error {
	switch {
	case req.key == "":
		return fmt.Errorf("%w: the zero Request", ErrNotFound)
	case attempt == "":
		return errors.New("par: missing attempt")
	}
	if err := s.checkOpen(req); err != nil {
		return err
	}
	hash := jose.SHA256Base64(attempt)
	value := sealUsed(req.key, hash)
	version, expires := req.version, s.closes(req)
	if soon := s.now().Add(repeatTime); soon.Before(expires) {
		expires = soon
	}
	for range races {
		// PAR-4-2, PAR-7.3-1, CS-7: used up at the end, not at the first visit
		// (SP-5.3.2.2-N3).
		swapped, err := s.store.Swap(ctx, req.key, version, value, expires)
		if err != nil {
			return storeError(err)
		}
		if swapped {
			return nil
		}
		var current row
		if current, version, _, err = s.get(ctx, req.key); err != nil {
			return err
		}
		if current.Attempt != "" {
			if jose.EqualString(current.Attempt, hash) {
				return nil
			}
			return errConsumed
		}
	}
	return storeError(errors.New("the request changes all the time"))
}

// get returns the row of a request, which may be consumed, and its value.
func (s *Server) get(ctx context.Context, key string) (row, int64, []byte, error) {
	value, version, err := s.store.Get(ctx, key)
	switch {
	case err != nil:
		return row{}, 0, nil, storeError(err)
	case version == 0:
		return row{}, 0, nil, ErrNotFound
	}
	r, err := open(key, value)
	if err != nil {
		return row{}, 0, nil, storeError(err)
	}
	return r, version, value, nil
}
