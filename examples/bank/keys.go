package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gofapi/fapi2/examples/internal/vault"
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

// uses returns the uses of keys. Tokens, flows and forms last minutes. Their
// keys are kept for a day nevertheless, for an instance that cannot read the
// store.
func (c *config) uses() []vault.Use {
	uses := []vault.Use{
		{Name: useFlows, Kept: vault.Planned}, {Name: useForms, Kept: vault.Planned},
		// without its key, a browser only has fewer attempts to log in
		{Name: useBrowsers, Kept: knownLifetime, DropsOldest: true},
		{Name: useServerNonces, Kept: time.Hour}, {Name: useAPINonces, Kept: time.Hour},
	}
	for _, algorithm := range c.algorithms {
		uses = append(uses, vault.Use{Name: algorithm, Algorithm: algorithm, Kept: vault.Planned})
	}
	return uses
}

// A shownKey is a key on the operator's page.
type shownKey struct {
	Use, State string
}

// shownKeys returns the signing keys and the other keys.
func (b *bank) shownKeys(ctx context.Context, language string) (shown []shownKey, err error) {
	all, err := b.vault.Load(ctx)
	if err != nil {
		return nil, err
	}
	now := b.now()
	for _, use := range b.vault.Uses {
		keys := all[use.Name]
		for i, key := range keys {
			state := texts.Get(language, "key.used", shownTime(key.From))
			switch {
			case key.From.After(now):
				state = texts.Get(language, "key.next", shownTime(key.From))
			case i+1 < len(keys) && !keys[i+1].From.After(now):
				state = texts.Get(language, "key.old", shownTime(keys[i+1].From.Add(use.Kept)))
			}
			shown = append(shown, shownKey{use.Name, state})
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
	change, done := b.vault.Replace, texts.Get(language, "key.soon")
	if r.PostForm.Has("stolen") {
		change, done = b.vault.Withdraw, texts.Get(language, "key.withdrawn")
	}
	err := change(r.Context())
	if err == nil {
		b.log.InfoContext(r.Context(), "keys changed by the operator", "stolen", r.PostForm.Has("stolen"))
		err = b.server.RefreshKeys(r.Context())
	}
	switch {
	case errors.Is(err, vault.ErrTooManyKeys):
		b.showOperator(w, r, http.StatusConflict, texts.Get(language, "key.too_many"))
	case err != nil:
		b.operatorFailed(w, r, err)
	default:
		b.showOperator(w, r, http.StatusOK, done)
	}
}
