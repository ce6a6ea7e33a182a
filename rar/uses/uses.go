package uses

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/rar"
)

// MaxResult is the size of the largest result in bytes.
const MaxResult = 64 << 10

// Errors of [Uses]. Their wire form is server_error unless another one is
// named.
var (
	// ErrUsed reports that another attempt has used the permission:
	// insufficient_scope, status 409.
	ErrUsed = oautherr.New("uses: permission already used", "insufficient_scope", http.StatusConflict,
		"the permission was already used")
	// ErrUse reports invalid arguments of the host: an empty grant, the zero
	// Detail, or a result that is too large. It also reports a detail whose
	// type does not define a part that can be used once. Status 500.
	ErrUse = oautherr.New("uses: invalid use", oautherr.ServerError, http.StatusInternalServerError, "")
	// ErrStore reports that the store failed or returned a malformed record.
	// The use may have been recorded. The client should retry the same attempt.
	// Status 503.
	ErrStore = oautherr.New("uses: store failed", oautherr.ServerError, http.StatusServiceUnavailable,
		"try again later")
)

// A Store keeps the records. It is part of the contract of package store, which
// documents the methods. Processes that serve one API share one Store.
type Store interface {
	// Add stores value under key until expires and returns true, unless key
	// exists. An expiry that is not in the future must be an error. If the
	// store dropped the entry and returned true, the permission could be used
	// again.
	Add(ctx context.Context, key string, value []byte, expires time.Time) (added bool, err error)
	// Get returns the value of key and its version. Version 0 means that key
	// does not exist.
	Get(ctx context.Context, key string) (value []byte, version int64, err error)
}

// Config configures [Uses].
type Config struct {
	// Store keeps the records. Required. A store in the memory of one process
	// forgets with the process, and a payment could be made again after a
	// restart.
	Store Store
	// Issuer is the issuer of the authorization server whose grants are used.
	// Required. Grants of two issuers may have one ID.
	Issuer string
	// Keep is the lifetime of a record. Required. It must be at least the
	// lifetime of a grant, including its refresh tokens and its last access
	// token. After that time the permission could be used again. Add the
	// largest difference between the clocks of the API, the store and the
	// authorization server. A store needs about 200 bytes for each use, in
	// addition to the result.
	Keep time.Duration
	// Now returns the current time. If nil, time.Now is used.
	Now func() time.Time
}

// Uses records the use of permissions. It is safe for concurrent use.
type Uses struct {
	cfg Config
}

// New checks cfg and returns a Uses. It reports all problems at once.
func New(cfg Config) (*Uses, error) {
	var problems []error
	if cfg.Store == nil {
		problems = append(problems, errors.New("uses: missing Store"))
	}
	if cfg.Issuer == "" {
		problems = append(problems, errors.New("uses: missing Issuer"))
	}
	if cfg.Keep <= 0 {
		problems = append(problems, fmt.Errorf("uses: invalid Keep %v, want the lifetime of a grant", cfg.Keep))
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return &Uses{cfg: cfg}, nil
}

// A Use is one use of a permission that an API is about to make.
type Use struct {
	// Grant is the ID of the consent that the verified token serves, the same
	// for all tokens of one consent. Required. It is never the ID of a token: a
	// refreshed token would be a new permission.
	Grant string
	// Detail is the granted detail that permits it, not the order. Required.
	Detail rar.Detail
	// Attempt is the client's idempotency key, by which a retry is recognised.
	// It may be of any form; only a hash is stored. If empty, every further use
	// is rejected.
	Attempt string
	// Result is what a retry receives, for example the ID of the payment. At
	// most [MaxResult] bytes. The holder of any token of the grant may receive
	// it.
	Result string
}

// Once records the use and returns the result of the first call for the
// permission. The first call receives a nil error and use.Result. A call with
// the same non-empty Attempt receives a nil error and that result. One call
// wins, even among many goroutines and processes.
//
// If another attempt has used the permission, Once returns the result of that
// attempt together with [ErrUsed]. With every other error the result is empty.
// [ErrUse] reports a use that cannot be recorded. After [ErrStore] the client
// should retry the same attempt.
func (u *Uses) Once(ctx context.Context, use Use) (result string, err error) {
	key, err := u.Key(use.Grant, use.Detail)
	if err != nil {
		return "", err
	}
	if len(use.Result) > MaxResult {
		return "", fmt.Errorf("%w: result of %d bytes, more than %d", ErrUse, len(use.Result), MaxResult)
	}
	attempt := digest("attempt", key, use.Attempt)
	record := append(append([]byte{recordVersion}, attempt[:]...), use.Result...)
	if use.Attempt == "" {
		record[0] = recordOfNoAttempt
	}
	added, err := u.cfg.Store.Add(ctx, key, record, u.cfg.Now().Add(u.cfg.Keep))
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: Add: %w", ErrStore, err)
	case added:
		return use.Result, nil
	}
	record, version, err := u.cfg.Store.Get(ctx, key)
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: Get: %w", ErrStore, err)
	case version == 0: // the store may have lost the first use
		return "", fmt.Errorf("%w: a record exists for Add and not for Get", ErrStore)
	case len(record) <= sha256.Size || record[0] != recordVersion && record[0] != recordOfNoAttempt:
		return "", fmt.Errorf("%w: malformed record of %d bytes", ErrStore, len(record))
	}
	result = string(record[1+sha256.Size:])
	same := subtle.ConstantTimeCompare(record[1:1+sha256.Size], attempt[:]) == 1
	if use.Attempt == "" || record[0] == recordOfNoAttempt || !same {
		return result, ErrUsed
	}
	return result, nil
}

// First bytes of records.
const (
	recordVersion     = 1
	recordOfNoAttempt = 2
)

// Key returns the key under which the use of a granted detail is recorded: 43
// characters of base64url. All details that a grant's detail covers have the
// same key. An API that counts several uses, or sums, keeps its own table under
// this key. The key discloses neither the grant nor the detail.
//
// Key returns [ErrUse] for an empty grant and for the zero Detail. It also
// returns ErrUse for a detail whose type does not define a part that can be
// used once.
func (u *Uses) Key(grant string, detail rar.Detail) (string, error) {
	if grant == "" { // fail closed: all such calls would share one key
		return "", fmt.Errorf("%w: missing grant", ErrUse)
	}
	single, err := detail.Single()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUse, err)
	}
	sum := digest("use", u.cfg.Issuer, grant, detail.Type(), single)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// digest hashes strings, each with its length, so that no two lists are one
// text.
func digest(parts ...string) [sha256.Size]byte {
	var b []byte
	for _, part := range append([]string{"fapi2 rar uses"}, parts...) {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	return sha256.Sum256(b)
}
