// Package vault keeps keys in a store and rotates them without a restart.
package vault

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gofapi/fapi2/examples/internal/records"
	"github.com/gofapi/fapi2/profile"
)

const (
	// Planned is the time between the creation of a key and its first use in a
	// planned change. An instance that cannot read the store for a day uses the
	// old key, which is valid for as long.
	Planned = 24 * time.Hour
	// Soon is that time if the operator changes the keys. It is longer than two
	// refreshes of the instances, and the five minutes for which readers cache
	// the JWK Set.
	Soon = 10 * time.Minute
	// Refresh is the time between two reads of the keys.
	Refresh = time.Minute
	// MaxKeys bounds the keys of one use. A dpop.NonceSource accepts eight.
	MaxKeys = 6
)

// A Use is a purpose of keys.
type Use struct {
	// Name is the name of the use in the store.
	Name string
	// Algorithm is that of a signing key. If empty, the key is a secret of 32
	// bytes.
	Algorithm string
	// Kept is the time for which a key is kept after the next one has replaced
	// it. It is longer than the life of everything that the key has made.
	Kept time.Duration
	// DropsOldest drops the oldest key above MaxKeys. Otherwise the change of a
	// key fails then.
	DropsOldest bool
}

// A Key is a key in the store.
type Key struct {
	Key  []byte    `json:"key"` // of a signing key its PKCS #8 form
	Made time.Time `json:"made"`
	From time.Time `json:"from"` // the first use; until then, the other instances learn the key
}

// Keys are all keys by the name of their use, the earliest first.
type Keys map[string][]Key

// Config configures [New]. All fields except Period are required.
type Config struct {
	// Records contain the keys.
	Records *records.Records
	// Uses are the uses of this instance. Other instances can have more.
	Uses []Use
	// Period is the time between two keys of one use. If 0, only Replace
	// changes the keys.
	Period time.Duration
}

// A Vault keeps the keys of a program in its store. All instances have the same
// keys. A rotation has two steps: the vault adds the next key some time before
// its first use, and removes the old key when nothing that it made is valid any
// more. Any instance makes a step. A real program keeps its keys in a KMS or an
// HSM. A Vault is safe for concurrent use.
type Vault struct {
	Config
	known atomic.Pointer[Keys]
}

// New reads the keys. At the first start of the program it creates them.
func New(ctx context.Context, cfg Config) (*Vault, error) {
	v := &Vault{Config: cfg}
	return v, v.Rotate(ctx)
}

// Load reads the keys.
func (v *Vault) Load(ctx context.Context) (Keys, error) {
	all := Keys{}
	version, err := v.Records.Get(ctx, "keys", "", &all)
	if err == nil && version == 0 {
		err = errors.New("missing keys")
	}
	if err == nil {
		v.known.Store(&all)
	}
	return all, err
}

// Rotate makes the steps that are due.
func (v *Vault) Rotate(ctx context.Context) error { return v.change(ctx, v.due) }

// Replace changes all keys soon. It returns an error that matches
// ErrTooManyKeys if it was called too often.
func (v *Vault) Replace(ctx context.Context) error { return v.change(ctx, v.early) }

// Withdraw removes all keys that have been used, because they are stolen.
// Tokens, nonces and forms that they made are invalid at once.
func (v *Vault) Withdraw(ctx context.Context) error { return v.change(ctx, v.withdrawn) }

// change changes the keys of each use. If several instances do so at the same
// time, one of them succeeds and the others see its result.
func (v *Vault) change(ctx context.Context,
	step func(use Use, keys []Key, now time.Time) ([]Key, error)) error {
	err := records.Update(ctx, v.Records, "keys", "", records.Forever, func(all *Keys) (changed bool, err error) {
		if *all == nil {
			*all = Keys{}
		}
		for _, use := range v.Uses {
			before := (*all)[use.Name]
			after, err := step(use, slices.Clone(before), v.Records.Now().UTC())
			if err != nil {
				return false, err
			}
			if !slices.EqualFunc(before, after, func(a, b Key) bool { return a.From.Equal(b.From) }) {
				(*all)[use.Name], changed = after, true
			}
		}
		return changed, nil
	})
	if err == nil {
		_, err = v.Load(ctx)
	}
	return err
}

// due makes the planned steps of one use.
func (v *Vault) due(use Use, keys []Key, now time.Time) (_ []Key, err error) {
	if len(keys) == 0 {
		return add(use, nil, now, now)
	}
	next := keys[len(keys)-1].From.Add(v.Period)
	if v.Period > 0 && !now.Add(Planned).Before(next) {
		if keys, err = add(use, keys, now, later(next, now.Add(Planned))); err != nil {
			return nil, err
		}
	}
	for len(keys) > 1 && !now.Before(keys[1].From.Add(use.Kept)) {
		keys = keys[1:]
	}
	if len(keys) > MaxKeys && use.DropsOldest {
		keys = keys[len(keys)-MaxKeys:]
	}
	return keys, nil
}

// ErrTooManyKeys means that the earlier keys are still necessary.
var ErrTooManyKeys = errors.New("vault: too many keys, which are still necessary")

// early changes a key soon: the one that waits, or a new one.
func (v *Vault) early(use Use, keys []Key, now time.Time) ([]Key, error) {
	if last := len(keys) - 1; last >= 0 && keys[last].From.After(now) {
		if from := later(now, keys[last].Made.Add(Soon)); from.Before(keys[last].From) {
			keys[last].From = from
		}
		return keys, nil
	}
	if len(keys) >= MaxKeys && !use.DropsOldest {
		return nil, ErrTooManyKeys
	}
	return add(use, keys, now, now.Add(Soon))
}

func (v *Vault) withdrawn(use Use, keys []Key, now time.Time) ([]Key, error) {
	keys = slices.DeleteFunc(keys, func(k Key) bool { return !k.From.After(now) })
	if len(keys) == 0 {
		return add(use, nil, now, now)
	}
	keys[0].From = now // all instances know it
	return keys, nil
}

func add(use Use, keys []Key, made, from time.Time) ([]Key, error) {
	key, err := NewKey(use.Algorithm)
	return append(keys, Key{Key: key, Made: made, From: from}), err
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// NewKey returns a new key for an algorithm in PKCS #8, or a secret of 32
// bytes.
func NewKey(algorithm string) ([]byte, error) {
	var key crypto.Signer
	var err error
	switch algorithm {
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "PS256":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "EdDSA", "Ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "":
		secret := make([]byte, 32)
		rand.Read(secret) // never fails
		return secret, nil
	default:
		err = fmt.Errorf("unsupported algorithm %q, want ES256, PS256, EdDSA or Ed25519", algorithm)
	}
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

// SigningKeys returns the keys of the uses with an algorithm. It is a source of
// package authserver.
func (v *Vault) SigningKeys(ctx context.Context) (keys []profile.SigningKey, err error) {
	all, err := v.Load(ctx)
	if err != nil {
		return nil, err
	}
	for _, use := range v.Uses {
		if use.Algorithm == "" {
			continue
		}
		for _, stored := range all[use.Name] {
			parsed, err := x509.ParsePKCS8PrivateKey(stored.Key)
			signer, ok := parsed.(crypto.Signer)
			if err != nil || !ok {
				return nil, fmt.Errorf("malformed key of %s in the store", use.Algorithm)
			}
			keys = append(keys, profile.SigningKey{Key: signer, Algorithm: use.Algorithm, SignsFrom: stored.From})
		}
	}
	return keys, nil
}

// Secrets returns the keys of a use as they were read last. The first one makes
// new values, and those of all are accepted.
func (v *Vault) Secrets(use string) (secrets [][]byte) {
	keys, now := (*v.known.Load())[use], v.Records.Now()
	for i, key := range keys {
		if i == 0 || !key.From.After(now) {
			secrets = slices.Insert(secrets, 0, key.Key)
		} else {
			secrets = append(secrets, key.Key)
		}
	}
	return secrets
}

// Source returns a function that reads the keys of a use. It is a source of
// packages dpop and client.
func (v *Vault) Source(use string) func(ctx context.Context) ([][]byte, error) {
	return func(ctx context.Context) ([][]byte, error) {
		_, err := v.Load(ctx)
		return v.Secrets(use), err
	}
}

// RotateAlways makes the steps that are due until ctx ends. A failure has no
// consequence for a day, because the next key is made that long in advance.
func (v *Vault) RotateAlways(ctx context.Context, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(Refresh/2 + mathrand.N(Refresh/2)): // the instances differ
		}
		if err := v.Rotate(ctx); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "keys not rotated", "reason", err.Error())
		}
	}
}
