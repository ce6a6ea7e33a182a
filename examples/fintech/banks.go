package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gofapi/fapi2/profile/client"
)

// newSet returns the clients at the banks. The set discovers a bank when it is
// used, and repeats that with pauses while the bank is down.
func newSet(c *config, log *slog.Logger) (*client.Set, error) {
	set := &client.Set{Report: func(ctx context.Context, issuer string, err error) {
		log.WarnContext(ctx, "a bank was not discovered", "bank", issuer, "reason", explain(err))
	}}
	for _, b := range c.banks {
		if err := set.Put(c.client(b)); err != nil {
			return nil, fmt.Errorf("%s: %w", b.Issuer, err)
		}
	}
	return set, nil
}

// discover discovers all banks at the same time, and returns as soon as one
// bank has responded. A bank that is down delays nothing. If no bank responds,
// the configuration or the own network is probably wrong.
func (a *app) discover(ctx context.Context) error {
	outcomes := make(chan error, len(a.config.banks))
	for _, b := range a.config.banks {
		go func() {
			_, ours, err := a.bank(ctx, b.Issuer)
			if err == nil {
				if err = at(stageDiscovery, a.config.checkKeys(ctx, b, ours)); err != nil {
					a.log.WarnContext(ctx, "a bank publishes no usable keys", "bank", b.Issuer, "reason", explain(err))
				}
			}
			outcomes <- err
		}()
	}
	var failed []error
	for range a.config.banks {
		err := <-outcomes
		if err == nil {
			return nil
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// bank returns a bank and our client there. The error matches
// client.ErrUnknownServer if the configuration does not have the bank.
func (a *app) bank(ctx context.Context, issuer string) (*bank, *client.Client, error) {
	ours, err := a.set.Client(ctx, issuer)
	if err != nil {
		return nil, nil, at(stageDiscovery, err)
	}
	return a.find(issuer), ours, nil
}

// known returns our client at a bank without waiting for the bank. If it has
// not been discovered, a discovery starts in the background.
func (a *app) known(ctx context.Context, issuer string) (*client.Client, error) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return a.set.Client(ctx, issuer)
}

// find returns the configuration of a bank, or nil.
func (a *app) find(issuer string) *bank {
	if i := slices.IndexFunc(a.config.banks, func(b *bank) bool { return b.Issuer == issuer }); i >= 0 {
		return a.config.banks[i]
	}
	return nil
}

// several reports whether the user has a choice.
func (a *app) several() bool { return len(a.config.banks) > 1 }

// chosen returns the issuer of the bank that the user has chosen in a form. It
// comes from the browser.
func (a *app) chosen(r *http.Request) string {
	if issuer := r.PostFormValue("bank"); issuer != "" || a.several() {
		return issuer
	}
	return a.config.banks[0].Issuer
}

// bankName returns the name of a bank if the user has a choice.
func (a *app) bankName(issuer string) string {
	if b := a.find(issuer); b != nil && a.several() {
		return b.Name
	}
	return ""
}

// A shownBank is a bank on a page.
type shownBank struct {
	Issuer, Name string
	Subject      string // the user at the bank; empty if unknown
	Connected    bool   // the accounts are connected
	Away         bool   // the latest attempt to discover it has failed
}

// shownBanks returns all banks for a user.
func (a *app) shownBanks(ctx context.Context, u *user) (all []shownBank) {
	for _, b := range a.config.banks {
		_, err := a.known(ctx, b.Issuer)
		all = append(all, shownBank{
			Issuer: b.Issuer, Name: b.Name, Subject: u.subject(b.Issuer), Connected: u.accounts(b.Issuer) != nil,
			Away: err != nil && !errors.Is(err, context.Canceled), // which means that the outcome is not known yet
		})
	}
	return all
}

// patience bounds the requests of a page to several banks, so that a bank that
// is slow does not hide the others.
const patience = 5 * time.Second

// each calls f for all connections at the same time. The limit applies if there
// are several.
func each[T any](ctx context.Context, limit time.Duration, all []connection,
	f func(context.Context, connection) T) []T {
	if len(all) > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	results := make([]T, len(all))
	var running sync.WaitGroup
	for i, c := range all {
		running.Go(func() { results[i] = f(ctx, c) })
	}
	running.Wait()
	return results
}
