package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/store"
)

const (
	defaultTokenLifetime  = 400 * 24 * time.Hour // longer than the consents of a year that are usual in open banking
	shortestTokenLifetime = time.Hour
	// tokenGrace is the time for which the store keeps an entry after its end.
	// Versions start again when the store has removed an entry. No process
	// waits that long between reading an entry and replacing it.
	tokenGrace = 24 * time.Hour
	// storeTimeout bounds an operation of the store. A refresh has no other
	// deadline, because it outlives its callers.
	storeTimeout = 10 * time.Second
	// maxProofKeys bounds the keys of users that a client keeps in memory.
	maxProofKeys = 1 << 10
)

// ErrStoredToken means that the entry of a stored token cannot be read. The
// entry is damaged, encrypted with an unknown key, or of another user. The
// client neither uses nor replaces such an entry. [StoredToken.Delete] removes
// it.
var ErrStoredToken = errors.New("client: unreadable stored token")

// Tokens configures where a client stores tokens, see [Client.StoredToken]. All
// clients of an application can share one value, because an entry belongs to
// one user, client ID and issuer.
//
// With Tokens, and unless [Config.DPoPKey] is set, every login has a DPoP key
// of its own, which is stored with the token. APIs cannot link users by such
// keys, and a disclosed key affects one user.
type Tokens struct {
	// Store contains the tokens. All processes of the application share it.
	// Package sqlstore stores them in a SQL database. [store.NewMemory] loses
	// them with the process. Required.
	Store store.Store
	// Keys are one to eight secrets of 32 random bytes that encrypt the entries
	// (AES-256-GCM). All processes have the same keys. The first key encrypts,
	// every key decrypts. [SessionsConfig] may have the same secrets, because a
	// key for each use is derived. To rotate a key, append the new key in all
	// processes. Then move it to the front in all processes. Then remove the
	// old key, after Lifetime. An entry is encrypted again whenever its token
	// is refreshed. Required, unless KeySource or InsecureAllowPlaintext is
	// set.
	Keys [][]byte
	// KeySource returns the keys, in place of Keys. KeyRefresh is the maximum
	// age of the keys in use. Both are as in [SessionsConfig].
	KeySource  func(ctx context.Context) ([][]byte, error)
	KeyRefresh time.Duration
	// Lifetime is the time for which an entry is kept after the latest login or
	// refresh. When it has ended, the user must authorize again. It is at least
	// one hour. The default is 400 days.
	Lifetime time.Duration
	// InsecureAllowPlaintext accepts entries that are not encrypted. Without
	// Keys, the client writes such entries. A reader of the store can then use
	// the tokens, and a writer can give one user the token of another.
	InsecureAllowPlaintext bool
	// Report receives errors that no caller receives: those of KeySource, and
	// those of the store after a refresh whose token was not saved at once. It
	// must not block. If nil, nothing is reported.
	Report func(ctx context.Context, err error)
}

// String omits the keys.
func (t Tokens) String() string {
	return fmt.Sprintf("client.Tokens{Store: %T, %d keys, Lifetime: %v}", t.Store, len(t.Keys), t.Lifetime)
}

// GoString omits the keys.
func (t Tokens) GoString() string { return t.String() }

// LogValue omits the keys.
func (t Tokens) LogValue() slog.Value { return slog.StringValue(t.String()) }

// problems returns all problems of the configuration. severalInstances requires
// a shared store.
func (t *Tokens) problems(severalInstances bool) (problems []string) {
	if wire.IsNil(t.Store) {
		problems = append(problems, "missing Tokens.Store")
	} else if problem := wire.Unshared("Tokens.Store", t.Store); severalInstances && problem != "" {
		problems = append(problems, problem)
	}
	if t.Lifetime != 0 && t.Lifetime < shortestTokenLifetime {
		short := fmt.Sprintf("Tokens.Lifetime %v, want at least %v", t.Lifetime, shortestTokenLifetime)
		problems = append(problems, short)
	}
	if !t.encrypted() && !t.InsecureAllowPlaintext {
		problems = append(problems, "missing Tokens.Keys")
	}
	return problems
}

func (t *Tokens) encrypted() bool { return t.Keys != nil || t.KeySource != nil }

// A tokenVault reads and writes the entries of one client.
type tokenVault struct {
	Tokens
	client *Client
	sealer *tokenSealer
	keys   *expiring.Cache[*proofKey] // by PKCS #8, whose parsing takes as long as a signature
}

// newTokenVault completes the configuration of c.
func newTokenVault(c *Client) (*tokenVault, error) {
	v := &tokenVault{Tokens: *c.cfg.Tokens, client: c, keys: expiring.NewCache[*proofKey](maxProofKeys)}
	if v.Lifetime == 0 {
		v.Lifetime = defaultTokenLifetime
	}
	var err error
	if v.sealer, err = newTokenSealer(&v.Tokens, c.cfg.Hooks.Now); err != nil {
		return nil, fmt.Errorf("client: Tokens: %w", err)
	}
	v.Keys = nil
	return v, nil
}

// key returns the key of an entry. Each part has its length, so that no other
// parts have the same key.
func (v *tokenVault) key(kind string, parts ...string) string {
	name := []byte("client token " + kind + "\x00")
	for _, part := range append([]string{v.client.cfg.Issuer, v.client.cfg.ClientID}, parts...) {
		name = append(binary.AppendUvarint(name, uint64(len(part))), part...)
	}
	return jose.SHA256Base64(string(name))
}

// A tokenEntry is an entry of the store. It is not changed.
type tokenEntry struct {
	tokenRecord
	version int64     // 0 if the store has no entry
	key     *proofKey // nil if the token is bound to DPoPKey or a certificate
	read    time.Time
	asked   time.Time // when this process began to claim the entry; zero without a claim
}

// load returns the entry of a key.
func (v *tokenVault) load(ctx context.Context, key string) (*tokenEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	value, version, err := v.Store.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStore, err)
	}
	e := &tokenEntry{version: version, read: v.client.cfg.Hooks.Now()}
	if version == 0 {
		return e, nil
	}
	if e.tokenRecord, err = v.sealer.open(value, key); err != nil {
		return e, err
	}
	if e.ProofKey != nil {
		if e.key, err = v.proofKey(e.ProofKey); err != nil {
			return e, fmt.Errorf("%w: %w", ErrStoredToken, err)
		}
	}
	return e, nil
}

func (v *tokenVault) proofKey(pkcs8 []byte) (*proofKey, error) {
	if key, ok := v.keys.Get(string(pkcs8)); ok {
		return key, nil
	}
	key, err := v.client.parseProofKey(pkcs8)
	if err == nil {
		v.keys.Put(string(pkcs8), key)
	}
	return key, err
}

// replace writes a record in place of an entry, and returns the new entry. It
// returns nil if another process has changed the entry.
func (v *tokenVault) replace(
	ctx context.Context, key string, old *tokenEntry, record tokenRecord, proofs *proofKey,
) (*tokenEntry, error) {
	now := v.client.cfg.Hooks.Now()
	if record.Ends = now.Add(v.Lifetime).Unix(); record.deleted {
		record.Ends = now.Unix()
	}
	value, err := v.sealer.seal(ctx, record, key)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	expires, written := time.Unix(record.Ends, 0).Add(tokenGrace), false
	if old.version == 0 {
		written, err = v.Store.Add(ctx, key, value, expires)
	} else {
		written, err = v.Store.Swap(ctx, key, old.version, value, expires)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrStore, err)
	case !written:
		return nil, nil //nolint:nilnil // no entry was written
	}
	return &tokenEntry{tokenRecord: record, version: old.version + 1, key: proofs, read: now}, nil
}
