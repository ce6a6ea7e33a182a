package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/client/loopback"
	"github.com/gofapi/fapi2/profile/profiletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

// A world is a bank at which the installation in the current directory is
// registered.
type world struct {
	t        *testing.T
	bank     *profiletest.Server
	cfg      client.Config
	denied   bool           // by the user
	long     bool           // the response of the API
	opened   int            // pages in the browser
	callback func(*url.URL) // what an attacker sends first, or nil
	statuses map[int]int    // of the callbacks
}

func newWorld(t *testing.T) *world {
	t.Chdir(t.TempDir())
	w := &world{t: t, statuses: map[int]int{}}
	w.bank = profiletest.NewServer(t, profiletest.ServerConfig{
		API: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			token, _ := resourceserver.TokenFromContext(r.Context())
			io.WriteString(rw, token.Subject())
			if w.long {
				rw.Write(make([]byte, 1<<20))
			}
		}),
		Decide: func(a *authserver.Authorization) (authserver.Approval, error) {
			if w.denied {
				return authserver.Approval{}, errors.New("denied")
			}
			return authserver.Approval{Subject: "alice", Scopes: a.Scopes()}, nil
		},
	})
	w.cfg = w.bank.ClientConfig(t, "http://127.0.0.1/callback")
	private, err := jwks.MarshalPrivateKey(w.cfg.Key, jwks.Key{KeyID: w.cfg.KeyID})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile("client.jwk", private, 0o600))
	w.cfg.Key, w.cfg.KeyID = nil, "" // the program reads its file
	return w
}

// run runs the program once, with a browser.
func (w *world) run() (string, error) {
	var out bytes.Buffer
	err := run(w.cfg, loopback.Config{Open: func(target string) error {
		w.opened++
		good := w.bank.Browse(w.t, target)
		if w.callback != nil {
			forged := *good
			w.callback(&forged)
			w.visit(&forged)
		}
		w.visit(good)
		return nil
	}}, w.bank.Resource, &out)
	return out.String(), err
}

// visit opens a callback.
func (w *world) visit(target *url.URL) {
	response, err := http.Get(target.String())
	require.NoError(w.t, err)
	require.NoError(w.t, response.Body.Close())
	w.statuses[response.StatusCode]++
}

func TestCLI(t *testing.T) {
	t.Run("one login for two runs", func(t *testing.T) {
		w := newWorld(t)
		for range 2 {
			out, err := w.run()
			require.NoError(t, err)
			require.Equal(t, "alice", out)
		}
		require.Equal(t, 1, w.opened)
	})
	t.Run("the key encrypts the token", func(t *testing.T) {
		w := newWorld(t)
		_, err := w.run()
		require.NoError(t, err)
		other, err := jwks.MarshalPrivateKey(w.bank.ClientConfig(t, "").Key, jwks.Key{KeyID: "1"})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile("client.jwk", other, 0o600))
		out, err := w.run()
		require.Error(t, err)
		require.Empty(t, out)
	})
	t.Run("attack: a callback of another login", func(t *testing.T) {
		w := newWorld(t)
		w.callback = func(forged *url.URL) {
			query := forged.Query()
			query.Set("state", "of the attacker")
			forged.RawQuery = query.Encode()
		}
		out, err := w.run()
		require.NoError(t, err)
		require.Equal(t, "alice", out)
		require.Equal(t, map[int]int{http.StatusBadRequest: 1, http.StatusOK: 1}, w.statuses)
	})
	t.Run("a user who denies", func(t *testing.T) {
		w := newWorld(t)
		w.denied = true
		_, err := w.run()
		require.ErrorContains(t, err, "access_denied")
		w.denied = false
		_, err = w.run()
		require.NoError(t, err, "the next run asks again")
	})
	t.Run("a response that is too long is not cut off without an error", func(t *testing.T) {
		w := newWorld(t)
		w.long = true
		_, err := w.run()
		require.ErrorContains(t, err, "too large")
	})
	t.Run("no key", func(t *testing.T) {
		w := newWorld(t)
		require.NoError(t, os.Remove("client.jwk"))
		_, err := w.run()
		require.ErrorIs(t, err, os.ErrNotExist)
	})
}
