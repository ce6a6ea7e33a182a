package main

import (
	"context"
	"errors"
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
	"github.com/gofapi/fapi2/profile/client"
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
	useTokens = "tokens" // encrypts tokens in the store
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
		Store: opened, Owner: "fapi2/examples/fintech\x00" + c.RedirectURI, Now: time.Now, // banks come and go
	}
	k.vault, err = vault.New(ctx, vault.Config{
		Records: k.records, Period: keyPeriod,
		Uses: []vault.Use{{Name: useLogins, Kept: vault.Planned}, {Name: useTokens, Kept: vault.Planned}},
	})
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return k, nil
}

// tokens returns the configuration of the stored tokens. Each has a DPoP key of
// its own.
func (k *kept) tokens(log *slog.Logger) *client.Tokens {
	return &client.Tokens{
		Store: k.Storage, KeySource: k.vault.Source(useTokens), KeyRefresh: vault.Refresh, Lifetime: userKept,
		Report: func(ctx context.Context, err error) {
			log.WarnContext(ctx, "stored tokens or their keys have failed", "reason", err.Error())
		},
	}
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
