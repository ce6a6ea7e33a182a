package memstore_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/memstore"
)

// population is a full store in its steady state. Its clock runs such that each
// Add adds an entry and another one expires.
type population struct {
	*memstore.Store
	live, added int
	keys        []string // of the last live entries, in a ring
}

func (p *population) now() time.Time { return start.Add(time.Duration(p.added) * time.Millisecond) }

func (p *population) expires() time.Time {
	return p.now().Add(time.Duration(p.live) * time.Millisecond)
}

var owners = func() (names []string) {
	for i := range 1000 {
		names = append(names, "https://as.example.com client-"+strconv.Itoa(i))
	}
	return names
}()

func newPopulation(b *testing.B, live, size int) *population {
	p := &population{live: live, keys: make([]string, live)}
	p.Store = memstore.New(memstore.Config{MaxEntries: 2 * live, MaxBytes: 1 << 30, Now: p.now})
	p.fill(b, size)
	return p
}

// fill replaces all entries.
func (p *population) fill(b *testing.B, size int) {
	value := make([]byte, size)
	p.prepare(p.live)
	for range p.live {
		p.add(b, value)
	}
}

// prepare writes the next keys into the ring, in the places of the oldest.
func (p *population) prepare(n int) {
	var raw [32]byte
	for i := range n {
		rand.Read(raw[:])
		p.keys[(p.added+i)%p.live] = base64.RawURLEncoding.EncodeToString(raw[:])
	}
}

// add adds the entry of a prepared key.
func (p *population) add(b *testing.B, value []byte) {
	ctx := expiring.WithOwner(b.Context(), owners[p.added%len(owners)])
	added, err := p.Add(ctx, p.keys[p.added%p.live], value, p.expires())
	if !added || err != nil {
		b.Fatal(added, err)
	}
	p.added++
}

// sample returns keys that do not expire soon. The search for them in the ring
// is not a part of the measurement.
func (p *population) sample(from, n int) (keys []string) {
	for i := range n {
		keys = append(keys, strings.Clone(p.keys[(p.added+p.live/2+(from+i)*7919%(p.live/2))%p.live]))
	}
	return keys
}

func (p *population) get(b *testing.B, key string) int64 {
	_, version, err := p.Get(b.Context(), key)
	if version == 0 || err != nil {
		b.Fatal(version, err)
	}
	return version
}

func (p *population) swap(b *testing.B, key string, value []byte) {
	if swapped, err := p.Swap(b.Context(), key, p.get(b, key), value, p.expires()); !swapped || err != nil {
		b.Fatal(swapped, err)
	}
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// BenchmarkBytes reports the memory of a live entry in addition to its value,
// with 1,000 owners. The benchmark holds the keys, which do not count.
func BenchmarkBytes(b *testing.B) {
	const live = 200_000
	for _, size := range []int{0, 12, 100, 200, 440, 500, 1000} {
		b.Run(fmt.Sprintf("value=%d", size), func(b *testing.B) {
			for b.Loop() {
				p := newPopulation(b, live, size)
				for range 2 {
					p.fill(b, size)
				}
				with := heap()
				p.Store = nil
				bytes := float64(with-heap()) / live
				runtime.KeepAlive(p)
				b.ReportMetric(bytes, "B/entry")
				b.ReportMetric(bytes-float64(size), "B/entry-over-value")
			}
		})
	}
}

// BenchmarkCost reports the time of operations on stores of several sizes, as
// ratios to the smallest, and the accesses to entries, buckets and deadlines.
// Blocks of operations alternate between the stores. A swap includes a Get. The
// times grow more than the accesses, because the processor's caches hold only
// the smallest store.
func BenchmarkCost(b *testing.B) {
	const block = 1000
	sizes := []int{10_000, 100_000, 1_000_000}
	var stores []*population
	for _, live := range sizes {
		stores = append(stores, newPopulation(b, live, 440))
	}
	value := make([]byte, 440)
	for name, run := range map[string]func(p *population, key string){
		"Add":  func(p *population, _ string) { p.add(b, value) },
		"Get":  func(p *population, key string) { p.get(b, key) },
		"Swap": func(p *population, key string) { p.swap(b, key, value) },
	} {
		b.Run(name, func(b *testing.B) {
			total, touched, rounds := make([]time.Duration, len(sizes)), make([]int, len(sizes)), 0
			for ; b.Loop(); rounds++ {
				for s, p := range stores {
					if name == "Add" {
						p.prepare(block)
					}
					touched[s] -= p.Touched()
					keys, begin := p.sample(rounds*block, block), time.Now()
					for _, key := range keys {
						run(p, key)
					}
					total[s] += time.Since(begin)
					touched[s] += p.Touched()
				}
			}
			for s, live := range sizes {
				b.ReportMetric(float64(total[s])/float64(total[0]), fmt.Sprintf("x-at-%d", live))
				b.ReportMetric(float64(touched[s])/float64(rounds*block), fmt.Sprintf("accesses-at-%d", live))
			}
			b.ReportMetric(float64(total[0].Nanoseconds())/float64(rounds*block), "ns-at-first")
		})
	}
}

// BenchmarkCollection reports the time of a garbage collection with a million
// live entries, and without them.
func BenchmarkCollection(b *testing.B) {
	p := newPopulation(b, 1_000_000, 440)
	p.keys = nil
	for _, name := range []string{"with", "without"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				runtime.GC()
			}
		})
		p.Store = nil
	}
	runtime.KeepAlive(p)
}
