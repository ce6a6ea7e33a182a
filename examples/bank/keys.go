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
	useServerNonces = "server_nonces"
	useAPINonces    = "api_nonces"
)

// uses returns the uses of keys. Tokens, flows and forms last minutes. Their
// keys are kept for a day nevertheless, for an instance that cannot read the
// store.
func (c *config) uses() (uses []vault.Use) {
	for _, algorithm := range c.algorithms {
		uses = append(uses, vault.Use{Name: algorithm, Algorithm: algorithm, Kept: vault.Planned})
	}
	return append(uses,
		vault.Use{Name: useServerNonces, Kept: time.Hour}, vault.Use{Name: useAPINonces, Kept: time.Hour},
		vault.Use{Name: useFlows, Kept: vault.Planned}, vault.Use{Name: useForms, Kept: vault.Planned},
		// without its key, a browser only has fewer attempts to log in
		vault.Use{Name: useBrowsers, Kept: knownLifetime, DropsOldest: true},
	)
}

// shownKeys are the keys of one use on the operator's page.
type shownKeys struct {
	Use    string
	States []string
}

// shownKeys returns the signing keys and the other keys.
func (b *bank) shownKeys(ctx context.Context, language string) (shown []shownKeys, err error) {
	all, err := b.vault.Load(ctx)
	if err != nil {
		return nil, err
	}
	now := b.now()
	for _, use := range b.vault.Uses {
		keys, its := all[use.Name], shownKeys{Use: texts.Get(language, "key.signing", use.Algorithm)}
		if use.Algorithm == "" {
			its.Use = texts.Get(language, "use."+use.Name)
		}
		for i, key := range keys {
			state := texts.Get(language, "key.used", shownTime(key.From))
			switch {
			case key.From.After(now):
				state = texts.Get(language, "key.next", shownTime(key.From))
			case i+1 < len(keys) && !keys[i+1].From.After(now):
				state = texts.Get(language, "key.old", shownTime(keys[i+1].From.Add(use.Kept)))
			}
			its.States = append(its.States, state)
		}
		shown = append(shown, its)
	}
	return shown, nil
}

func shownTime(at time.Time) string { return at.UTC().Format("2006-01-02 15:04") + "\u00a0UTC" }

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
