package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"
)

// rotateAlways makes the steps of the rotation while the bank runs. A failure
// has no consequence for a day: the next key is made that long in advance.
func (b *bank) rotateAlways(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(keyRefresh/2 + rand.N(keyRefresh/2)): // the instances differ
		}
		if err := b.vault.rotate(ctx); err != nil && ctx.Err() == nil {
			b.log.WarnContext(ctx, "keys not rotated", "reason", err.Error())
		}
	}
}

// A shownKey is a key on the operator's page.
type shownKey struct {
	Use, State string
}

// shownKeys returns the signing keys and the other keys.
func (b *bank) shownKeys(ctx context.Context, language string) (shown []shownKey, err error) {
	all, err := b.vault.load(ctx)
	if err != nil {
		return nil, err
	}
	now := b.now()
	for _, use := range b.vault.uses() {
		keys := all[use]
		for i, key := range keys {
			state := texts.Get(language, "key.used", shownTime(key.From))
			switch {
			case key.From.After(now):
				state = texts.Get(language, "key.next", shownTime(key.From))
			case i+1 < len(keys) && !keys[i+1].From.After(now):
				state = texts.Get(language, "key.old", shownTime(keys[i+1].From.Add(keyLifetime(use))))
			}
			shown = append(shown, shownKey{use, state})
		}
	}
	return shown, nil
}

func shownTime(at time.Time) string { return at.UTC().Format("2006-01-02 15:04 UTC") }

// changeKeys processes the form of the operator.
func (b *bank) changeKeys(w http.ResponseWriter, r *http.Request) {
	if !b.readOperatorForm(w, r) {
		return
	}
	language := b.view(r, "operator.title", nil).Lang
	change, done := b.vault.replace, texts.Get(language, "key.soon")
	if r.PostForm.Has("stolen") {
		change, done = b.vault.withdraw, texts.Get(language, "key.withdrawn")
	}
	err := change(r.Context())
	if err == nil {
		b.log.InfoContext(r.Context(), "keys changed by the operator", "stolen", r.PostForm.Has("stolen"))
		err = b.server.RefreshKeys(r.Context())
	}
	switch {
	case errors.Is(err, errTooManyKeys):
		b.showOperator(w, r, http.StatusConflict, texts.Get(language, "key.too_many"))
	case err != nil:
		b.operatorFailed(w, r, err)
	default:
		b.showOperator(w, r, http.StatusOK, done)
	}
}
