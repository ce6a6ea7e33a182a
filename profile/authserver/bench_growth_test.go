package authserver_test

import (
	"context"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/store"
)

// A recorder keeps the first value of each kind of entry.
type recorder struct {
	store.Store
	prefix string // of the kinds
	values map[string][]byte
	kinds  map[string]string
}

func (r *recorder) Add(ctx context.Context, key string, value []byte, expires time.Time) (bool, error) {
	r.kinds[key] = r.prefix + kindOf(value)
	r.keep(r.kinds[key], value)
	return r.Store.Add(ctx, key, value, expires)
}

func (r *recorder) Swap(
	ctx context.Context, key string, version int64, value []byte, expires time.Time,
) (bool, error) {
	r.keep(r.kinds[key]+" "+strconv.FormatInt(version+1, 10), value)
	return r.Store.Swap(ctx, key, version, value, expires)
}

func (r *recorder) keep(kind string, value []byte) {
	if _, known := r.values[kind]; !known {
		r.values[kind] = slices.Clone(value)
	}
}

// record runs a flow with DPoP and opaque access tokens, and another one with
// grant management. The pushed requests have eight and ten parameters. The
// number after a kind is the version of an entry that was swapped.
func record(b *testing.B) map[string][]byte {
	r := &recorder{values: map[string][]byte{}, kinds: map[string]string{}}
	w := newRichWorld(b, opaque, func(as *authserver.Config, _ *resourceserver.Config) {
		r.Store = memstore.New(memstore.Config{Now: as.Hooks.Now})
		as.Store = r
	})
	flow := func(fields ...string) answer {
		form := w.pushForm("client-1")
		with(append(fields, "state", jose.RandomString(32), "nonce", jose.RandomString(32))...)(form)
		proof := w.proof("d", http.MethodPost, w.parURL(), dpop.ProofOptions{})
		tokens := w.spend(w.browse(w.authorizationURL("client-1", form, proof)).Get("code"))
		require.Equal(b, http.StatusOK, tokens.status, "%v", tokens.body)
		return tokens
	}
	w.revoke("client-1", flow().body["refresh_token"].(string))
	r.prefix = "managed "
	flow("acr_values", "urn:bank:sca", "grant_management_action", "create")
	return r.values
}

// BenchmarkBytesOfEntries reports the memory of a live entry of each kind in the
// memory store, with 100 clients, and the size of its value.
func BenchmarkBytesOfEntries(b *testing.B) {
	values := record(b)
	for _, kind := range slices.Sorted(maps.Keys(values)) {
		b.Run(strings.ReplaceAll(kind, " ", "_"), func(b *testing.B) {
			value, later := values[kind], time.Now().Add(time.Hour)
			s := memstore.New(memstore.Config{MaxEntries: 1 << 20, MaxBytes: 1 << 30})
			perEntry(b, func(i int, key string) (bool, error) {
				ctx := expiring.WithClient(b.Context(), benchIssuer, "client-"+strconv.Itoa(i%100))
				return s.Add(ctx, key, value, later)
			})
			b.ReportMetric(float64(len(value)), "B-of-value")
			runtime.KeepAlive(s)
		})
	}
	b.Run("replay_in_a_set", func(b *testing.B) {
		s := expiring.NewSet(expiring.SetConfig{})
		perEntry(b, func(i int, key string) (bool, error) {
			return s.UseBy("client-"+strconv.Itoa(i%100), key, time.Now().Add(time.Minute))
		})
		runtime.KeepAlive(s)
	})
}

// perEntry reports the memory of an entry.
func perEntry(b *testing.B, add func(i int, key string) (bool, error)) {
	const entries = 100_000
	before := heapAlloc()
	for i := range entries {
		if added, err := add(i, jose.RandomString(32)); !added || err != nil {
			b.Fatal(added, err)
		}
	}
	b.ReportMetric(float64(heapAlloc()-before)/entries, "B/entry")
	b.ReportMetric(0, "ns/op")
}

func heapAlloc() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
