package main

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
	"slices"
	"sync/atomic"
	"time"

	"github.com/gofapi/fapi2/profile"
)

// These are the uses of the symmetric keys. A signing key has its algorithm as
// its use.
const (
	useFlows        = "flows"    // seals flows in the browser
	useForms        = "forms"    // form tokens
	useBrowsers     = "browsers" // cookies of known browsers
	useServerNonces = "server nonces"
	useAPINonces    = "API nonces"
)

const (
	// planned is the time between the creation of a key and its first use in a
	// planned change. An instance that cannot read the store for a day uses the
	// old key, which is valid for as long.
	planned = 24 * time.Hour
	// soon is that time if the operator changes the keys. It is longer than two
	// refreshes of the instances, and the five minutes for which readers cache
	// the JWK Set.
	soon = 10 * time.Minute
	// keyRefresh is the time between two reads of the keys.
	keyRefresh = time.Minute
	// maxKeys bounds the keys of one use. A dpop.NonceSource accepts eight.
	maxKeys = 6
)

// keyLifetime returns how long a key is kept after the next one has replaced
// it: longer than the life of everything that it has made.
func keyLifetime(use string) time.Duration {
	switch use {
	case useBrowsers:
		return knownLifetime
	case useServerNonces, useAPINonces:
		return time.Hour
	default: // tokens and flows last minutes
		return planned
	}
}

// A storedKey is a key in the store.
type storedKey struct {
	Key  []byte    `json:"key"` // of a signing key its PKCS #8 form
	Made time.Time `json:"made"`
	From time.Time `json:"from"` // the first use; until then, the other instances learn the key
}

// storedKeys are all keys by their use, the earliest first.
type storedKeys map[string][]storedKey

// A vault keeps the keys of the bank in the store. All instances have the same
// keys. A rotation has two steps: the vault adds the next key some time before
// its first use, and removes the old key when nothing that it made is valid any
// more. Any instance makes a step. The keys of a real bank are in a KMS or an
// HSM.
type vault struct {
	records    *records
	algorithms []string
	period     time.Duration // between two keys; if 0, only the operator changes them
	known      atomic.Pointer[storedKeys]
}

func (v *vault) uses() []string {
	return append([]string{useFlows, useForms, useBrowsers, useServerNonces, useAPINonces}, v.algorithms...)
}

// load reads the keys.
func (v *vault) load(ctx context.Context) (storedKeys, error) {
	all := storedKeys{}
	version, err := v.records.get(ctx, "keys", "", &all)
	if err == nil && version == 0 {
		err = errors.New("missing keys of the bank")
	}
	if err == nil {
		v.known.Store(&all)
	}
	return all, err
}

// rotate makes the steps that are due. At the first start it creates the keys.
func (v *vault) rotate(ctx context.Context) error { return v.change(ctx, v.due) }

// replace changes all keys soon.
func (v *vault) replace(ctx context.Context) error { return v.change(ctx, v.early) }

// withdraw removes all keys that have been used, because they are stolen.
// Tokens, nonces and forms that they made are invalid at once.
func (v *vault) withdraw(ctx context.Context) error { return v.change(ctx, v.withdrawn) }

// change changes the keys of each use. If several instances do so at the same
// time, one of them succeeds and the others see its result.
func (v *vault) change(ctx context.Context,
	step func(use string, keys []storedKey, now time.Time) ([]storedKey, error)) error {
	err := update(ctx, v.records, "keys", "", keptForever, func(all *storedKeys) (changed bool, err error) {
		if *all == nil {
			*all = storedKeys{}
		}
		for _, use := range v.uses() {
			before := (*all)[use]
			after, err := step(use, slices.Clone(before), v.records.now().UTC())
			if err != nil {
				return false, err
			}
			if !slices.EqualFunc(before, after, func(a, b storedKey) bool { return a.From.Equal(b.From) }) {
				(*all)[use], changed = after, true
			}
		}
		return changed, nil
	})
	if err == nil {
		_, err = v.load(ctx)
	}
	return err
}

// due makes the planned steps of one use.
func (v *vault) due(use string, keys []storedKey, now time.Time) (_ []storedKey, err error) {
	if len(keys) == 0 {
		return add(use, nil, now, now)
	}
	next := keys[len(keys)-1].From.Add(v.period)
	if v.period > 0 && !now.Add(planned).Before(next) {
		if keys, err = add(use, keys, now, later(next, now.Add(planned))); err != nil {
			return nil, err
		}
	}
	for len(keys) > 1 && !now.Before(keys[1].From.Add(keyLifetime(use))) {
		keys = keys[1:]
	}
	if len(keys) > maxKeys && use == useBrowsers { // another browser only has fewer attempts to log in
		keys = keys[len(keys)-maxKeys:]
	}
	return keys, nil
}

var errTooManyKeys = errors.New("too many keys, which are still necessary")

// early changes a key soon: the one that waits, or a new one.
func (v *vault) early(use string, keys []storedKey, now time.Time) ([]storedKey, error) {
	if last := len(keys) - 1; last >= 0 && keys[last].From.After(now) {
		if from := later(now, keys[last].Made.Add(soon)); from.Before(keys[last].From) {
			keys[last].From = from
		}
		return keys, nil
	}
	if len(keys) >= maxKeys && use != useBrowsers {
		return nil, errTooManyKeys
	}
	return add(use, keys, now, now.Add(soon))
}

func (v *vault) withdrawn(use string, keys []storedKey, now time.Time) ([]storedKey, error) {
	keys = slices.DeleteFunc(keys, func(k storedKey) bool { return !k.From.After(now) })
	if len(keys) == 0 {
		return add(use, nil, now, now)
	}
	keys[0].From = now // all instances know it
	return keys, nil
}

func add(use string, keys []storedKey, made, from time.Time) ([]storedKey, error) {
	key, err := newKey(use)
	return append(keys, storedKey{Key: key, Made: made, From: from}), err
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// newKey returns a new key for a use.
func newKey(use string) ([]byte, error) {
	var key crypto.Signer
	var err error
	switch use {
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "PS256":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "EdDSA", "Ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		secret := make([]byte, 32)
		rand.Read(secret) // never fails
		return secret, nil
	}
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

// signingKeys returns the signing keys. The server calls it again at intervals.
func (v *vault) signingKeys(ctx context.Context) (keys []profile.SigningKey, err error) {
	all, err := v.load(ctx)
	if err != nil {
		return nil, err
	}
	for _, algorithm := range v.algorithms {
		for _, stored := range all[algorithm] {
			parsed, err := x509.ParsePKCS8PrivateKey(stored.Key)
			signer, ok := parsed.(crypto.Signer)
			if err != nil || !ok {
				return nil, fmt.Errorf("malformed key of %s in the store", algorithm)
			}
			keys = append(keys, profile.SigningKey{Key: signer, Algorithm: algorithm, SignsFrom: stored.From})
		}
	}
	return keys, nil
}

// secrets returns the keys of a use. The first one makes new values, and those
// of all are accepted.
func (v *vault) secrets(use string) (secrets [][]byte) {
	keys, now := (*v.known.Load())[use], v.records.now()
	for i, key := range keys {
		if i == 0 || !key.From.After(now) {
			secrets = slices.Insert(secrets, 0, key.Key)
		} else {
			secrets = append(secrets, key.Key)
		}
	}
	return secrets
}

// source returns a source of the keys of a use for package dpop.
func (v *vault) source(use string) func(ctx context.Context) ([][]byte, error) {
	return func(ctx context.Context) ([][]byte, error) {
		_, err := v.load(ctx)
		return v.secrets(use), err
	}
}
