package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/examples/internal/configfile"
	"github.com/gofapi/fapi2/examples/internal/ready"
	"github.com/gofapi/fapi2/examples/internal/records"
	"github.com/gofapi/fapi2/examples/internal/storage"
	"github.com/gofapi/fapi2/examples/internal/telemetry"
	"github.com/gofapi/fapi2/examples/internal/vault"
)

// surroundings are what the program gives to its parts.
type surroundings struct {
	log       *slog.Logger
	telemetry *telemetry.Telemetry // nil if it is off
}

// A kept is the store of the application: the users with their tokens and
// payments, and the keys. Several instances can share it.
type kept struct {
	*storage.Storage
	name    storage.Name
	records *records.Records
	vault   *vault.Vault
}

// These are uses of keys.
const (
	useLogins = "logins" // encrypts unfinished logins in the browsers
	keyPeriod = 90 * 24 * time.Hour
)

// openStore opens the store of the configuration. The first start creates the
// keys.
func openStore(ctx context.Context, c *config, s surroundings) (*kept, error) {
	opened, err := c.store.Open(ctx, storage.Config{Logger: s.log})
	if err != nil {
		return nil, errors.Join(errors.New("the store cannot be opened"), err)
	}
	opened.Store = s.telemetry.Store(opened.Store, opened.Kind)
	k := &kept{Storage: opened, name: c.store}
	k.records = &records.Records{
		Store: opened, Owner: "fapi2/examples/fintech\x00" + c.Issuer + "\x00" + c.ClientID, Now: time.Now,
	}
	k.vault, err = vault.New(ctx, vault.Config{
		Records: k.records, Uses: []vault.Use{{Name: useLogins, Kept: vault.Planned}}, Period: keyPeriod,
	})
	if err == nil {
		err = k.loadDPoPKey(ctx, c)
	}
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return k, nil
}

// loadDPoPKey gives the configuration the key that the tokens are bound to. It
// does not rotate, because the tokens of the users would end.
func (k *kept) loadDPoPKey(ctx context.Context, c *config) error {
	if c.certificateBound() {
		return nil
	}
	type storedKey struct {
		Key []byte `json:"key"` // PKCS #8
	}
	edit := func(v *storedKey) (created bool, err error) {
		if len(v.Key) == 0 {
			if v.Key, err = vault.NewKey("ES256"); err != nil {
				return false, err
			}
			created = true
		}
		parsed, err := x509.ParsePKCS8PrivateKey(v.Key)
		if err != nil {
			return false, fmt.Errorf("malformed DPoP key in the store: %w", err)
		}
		signer, ok := parsed.(crypto.Signer)
		if !ok {
			return false, errors.New("malformed DPoP key in the store")
		}
		c.dpopKey = signer
		return created, nil
	}
	return records.Update(ctx, k.records, "DPoP key", "", records.Forever, edit)
}

// isShared reports whether the store outlives the process. Then several
// instances can use it.
func (k *kept) isShared() bool { return !k.name.InMemory() }

// used returns the store of used logins. In memory package client has one of
// its own.
func (k *kept) used() dpop.ReplayStore {
	if k.isShared() {
		return k.Storage
	}
	return nil
}

// probe returns the probes for load balancers. The application is ready if its
// store responds.
func (k *kept) probe(log *slog.Logger) *ready.Probe {
	return &ready.Probe{Logger: log, Check: func(ctx context.Context) error {
		_, _, err := k.Get(ctx, k.records.Key("keys", ""))
		return err
	}}
}

// checkStore checks the member store. The path of a file is relative to the
// configuration, as all paths are.
func (c *config) checkStore(path string, p *configfile.Problems) {
	name := c.Store
	if name == "" {
		name = "sqlite:" + filepath.Join(strings.TrimSuffix(path, filepath.Ext(path))+".data", "fintech.db")
	} else if file, ok := strings.CutPrefix(name, "sqlite:"); ok && file != "" && !filepath.IsAbs(file) {
		name = "sqlite:" + filepath.Join(filepath.Dir(path), file)
	}
	var err error
	c.store, err = storage.Parse(name)
	p.Require(err == nil, "store", "%w", err)
}
