package refresh_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofapi/fapi2/internal/refresh"
	"github.com/stretchr/testify/require"
)

// A vault is a secret store. The secrets are single letters.
type vault struct {
	mu      sync.Mutex
	letters string
	err     error
	reports []error
}

func (v *vault) set(letters string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.letters, v.err = letters, err
}

func (v *vault) source(context.Context) ([][]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return secrets(v.letters), v.err
}

func secrets(letters string) (list [][]byte) {
	for _, letter := range letters {
		list = append(list, []byte(string(letter)))
	}
	return list
}

func derive(secret []byte) (string, error) {
	if bytes.ContainsAny(secret, "!") {
		return "", errors.New("unsuitable")
	}
	return string(secret), nil
}

func (v *vault) secrets(t *testing.T) *refresh.Secrets[string] {
	s, err := refresh.NewSecrets(refresh.SecretsConfig[string]{
		Source: v.source, Max: 4, Derive: derive, Now: time.Now,
		Report: func(_ context.Context, err error) {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.reports = append(v.reports, err)
		},
	})
	require.NoError(t, err)
	return s
}

// look returns the keys of a process, and the key that makes.
func look(t *testing.T, s *refresh.Secrets[string]) (keys, maker string) {
	now := time.Now()
	ring := s.At(t.Context(), now)
	synctest.Wait()
	for _, key := range ring.Keys {
		keys += key
	}
	return keys, ring.Keys[ring.Maker(now)]
}

func TestSecretsAreRejected(t *testing.T) {
	source := func(letters string, err error) func(context.Context) ([][]byte, error) {
		return func(context.Context) ([][]byte, error) { return secrets(letters), err }
	}
	for name, tc := range map[string]struct {
		cfg  refresh.SecretsConfig[string]
		says string
	}{
		"no keys":           {refresh.SecretsConfig[string]{}, "0 keys, want 1 to 4"},
		"too many keys":     {refresh.SecretsConfig[string]{Keys: secrets("abcde")}, "5 keys, want 1 to 4"},
		"an unsuitable key": {refresh.SecretsConfig[string]{Keys: secrets("a!")}, "key 1: unsuitable"},
		"both":              {refresh.SecretsConfig[string]{Keys: secrets("a"), Source: source("a", nil)}, "both Keys and KeySource"},
		"a failing source":  {refresh.SecretsConfig[string]{Source: source("a", errSource)}, "KeySource: " + errSource.Error()},
		"an empty source":   {refresh.SecretsConfig[string]{Source: source("", nil)}, "0 keys"},
		"a short interval":  {refresh.SecretsConfig[string]{Source: source("a", nil), Every: time.Second}, "invalid KeyRefresh 1s, want 10s to 1h0m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.cfg.Max, tc.cfg.Derive, tc.cfg.Now = 4, derive, time.Now
			_, err := refresh.NewSecrets(tc.cfg)
			require.ErrorContains(t, err, tc.says)
		})
	}
}

func TestSecretsRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vault{letters: "a"}
		s := v.secrets(t)
		opened := time.Now()
		for _, tc := range []struct {
			name        string
			at          time.Duration
			set         string
			err         error
			keys, maker string
		}{
			{"one key", 0, "a", nil, "a", "a"},
			{"the source has a new first key", 30 * time.Second, "ba", nil, "a", "a"},
			{"which the other processes may not know", 31 * time.Second, "ba", nil, "ba", "a"},
			{"after the interval it makes", 90 * time.Second, "ba", nil, "ba", "b"},
			{"the source fails", 2 * time.Minute, "ba", errSource, "ba", "b"},
			{"the source returns an unsuitable key", 150 * time.Second, "!", nil, "ba", "b"},
			{"an emergency", 180 * time.Second, "c", nil, "ba", "b"},
			{"the only key makes at once", 181 * time.Second, "c", nil, "c", "c"},
			{"an idle process takes the order as it is", time.Hour, "dc", nil, "dc", "d"},
		} {
			time.Sleep(tc.at - time.Since(opened))
			v.set(tc.set, tc.err)
			keys, maker := look(t, s)
			require.Equal(t, tc.keys+" "+tc.maker, keys+" "+maker, tc.name)
		}
		require.NotEmpty(t, v.reports)
		for _, err := range v.reports {
			require.ErrorContains(t, err, "KeySource: ")
		}
	})
	fixed, err := refresh.NewSecrets(refresh.SecretsConfig[string]{Keys: secrets("ab"), Max: 4, Derive: derive, Now: time.Now})
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, fixed.Latest().Keys)
	require.Zero(t, fixed.At(t.Context(), time.Unix(1<<40, 0)).Maker(time.Now()))
}

// Processes refresh as they are used, and a key is added, moved to the front and removed in steps. Every process has the
// key with which any process has made something, until that has expired.
func TestSecretsOfRandomSchedules(t *testing.T) {
	const lifetime = 5 * time.Minute
	type made struct {
		key     string
		expires time.Time
	}
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 3))
			within := func(d time.Duration) time.Duration { return time.Duration(random.Int64N(int64(d))) }
			v := &vault{letters: "a"}
			processes := []*refresh.Secrets[string]{v.secrets(t), v.secrets(t), v.secrets(t)}
			letters := []string{"a", "ab", "ba", "b", "bc", "cb", "c", "cd", "dc", "d"}
			next := time.Now().Add(time.Minute)
			var live []made
			for range 600 {
				time.Sleep(within([]time.Duration{time.Second, 20 * time.Second, 3 * time.Minute}[random.IntN(3)]))
				now := time.Now()
				if len(letters) > 1 && now.After(next) {
					letters = letters[1:]
					next = now.Add(time.Minute + lifetime + within(5*time.Minute))
					v.set(letters[0], nil)
				}
				i := random.IntN(3)
				if random.IntN(20) == 0 {
					processes[i] = v.secrets(t)
				}
				_, maker := look(t, processes[i])
				live = append(live, made{maker, now.Add(lifetime)})
				live = slices.DeleteFunc(live, func(m made) bool { return !now.Before(m.expires) })
				keys, _ := look(t, processes[random.IntN(3)])
				for _, m := range live {
					require.Contains(t, keys, m.key, "seed %d", seed)
				}
			}
			require.Len(t, letters, 1)
		})
	}
}
