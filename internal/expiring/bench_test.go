package expiring_test

import (
	"encoding/hex"
	"fmt"
	"math/bits"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/gofapi/fapi2/internal/expiring"
)

const (
	benchLive = 5_000_000
	benchLife = 100 * time.Second
)

// fill is a Set in its steady state: the clock is driven by the number of uses
// such that 5 million entries are live at any moment, each use adds one and one
// falls due.
type fill struct {
	set  *expiring.Set
	uses atomic.Int64
}

func (f *fill) Now() time.Time {
	return start.Add(time.Duration(f.uses.Load()) * (benchLife / benchLive))
}

// use records a fresh key of 43 characters. The buffer is used again for the
// next key; a Set does not hold on to it.
func (f *fill) use(buf *[43]byte) {
	n := f.uses.Add(1)
	var raw [8]byte
	for i := range raw {
		raw[i] = byte(n >> (8 * i))
	}
	hex.Encode(buf[:16], raw[:])
	if f.set == nil {
		sink = f.Now().Add(benchLife)
		return
	}
	first, err := f.set.Use(unsafe.String(&buf[0], len(buf)), f.Now().Add(benchLife))
	if !first || err != nil {
		panic(fmt.Sprint("use ", n, first, err))
	}
}

var sink time.Time

func newFill() (f *fill, bytesPerEntry float64) {
	before := heapInUse()
	f = &fill{}
	f.set = expiring.NewSet(expiring.SetConfig{Now: f.Now})
	var buf [43]byte
	copy(buf[:], strings.Repeat("k", len(buf)))
	for range benchLive {
		f.use(&buf)
	}
	return f, float64(heapInUse()-before) / benchLive
}

func (f *fill) run(b *testing.B, goroutines int, each func(func())) {
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for g := range goroutines {
		n := b.N / goroutines
		if g == 0 {
			n += b.N % goroutines
		}
		wg.Go(func() {
			var buf [43]byte
			copy(buf[:], strings.Repeat("k", len(buf)))
			use := func() { f.use(&buf) }
			for range n {
				each(use)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
}

func BenchmarkSetUse(b *testing.B) {
	f, filled := newFill()
	for _, goroutines := range []int{1, 2, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) {
			f.run(b, goroutines, func(use func()) { use() })
			b.ReportMetric(filled, "B/entry-filled")
		})
	}
	b.Run("harness-alone", func(b *testing.B) { // key, clock, calls: to be subtracted
		now, set := f.uses.Load(), f.set
		f.set = nil
		f.run(b, 1, func(use func()) { use() })
		f.set = set
		f.uses.Store(now)
	})
	b.Run("latency", func(b *testing.B) {
		var h histogram
		f.run(b, 1, func(use func()) {
			t0 := time.Now()
			use()
			h.add(time.Since(t0))
		})
		h.report(b)
	})
	b.Run("latency-bare-clock", func(b *testing.B) { // what the machine alone does
		var h histogram
		f.run(b, 1, func(func()) {
			t0 := time.Now()
			h.add(time.Since(t0))
		})
		h.report(b)
	})
	b.Run("bytes-after-churn", func(b *testing.B) {
		var buf [43]byte
		for b.Loop() {
			f.use(&buf)
		}
		with := heapInUse()
		f.set = nil
		b.ReportMetric(float64(with-heapInUse())/benchLive, "B/entry")
	})
	runtime.KeepAlive(f)
}

// BenchmarkSetFill measures the slowest single Use while a Set grows from
// nothing to 5 million live entries, which is where all growing happens.
func BenchmarkSetFill(b *testing.B) {
	var h histogram
	for b.Loop() {
		f := &fill{}
		f.set = expiring.NewSet(expiring.SetConfig{Now: f.Now})
		var buf [43]byte
		for range benchLive {
			t0 := time.Now()
			f.use(&buf)
			h.add(time.Since(t0))
		}
	}
	h.report(b)
}

// histogram counts durations in classes of an eighth of a power of two.
type histogram struct {
	classes [64 * 8]int
	n       int
	longest time.Duration
	over1ms int
}

func (h *histogram) add(d time.Duration) {
	h.n++
	h.longest = max(h.longest, d)
	if d > time.Millisecond {
		h.over1ms++
	}
	d = max(d, 8)
	shift := bits.Len64(uint64(d)) - 4
	h.classes[shift*8+int(d>>shift)&7]++
}

func (h *histogram) report(b *testing.B) {
	rest := h.n / 1000
	for i := len(h.classes) - 1; i >= 0; i-- {
		if rest -= h.classes[i]; rest < 0 {
			b.ReportMetric(float64(uint64(8+i%8+1)<<(i/8)), "p99.9-ns")
			break
		}
	}
	b.ReportMetric(float64(h.longest.Microseconds()), "max-us")
	b.ReportMetric(float64(h.over1ms), "over-1ms")
}

func BenchmarkCacheGet(b *testing.B) {
	for _, size := range []int{64, 500, 8 << 10} {
		c := expiring.NewCache[*int](10_000)
		keys := make([]string, 1000)
		for i := range keys {
			keys[i] = fmt.Sprintf("%0*d", size, i)
			c.Put(keys[i], new(int))
		}
		b.Run(fmt.Sprintf("key=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c.Get(keys[i%len(keys)])
			}
		})
		b.Run(fmt.Sprintf("key=%d/parallel-one-key", size), func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					c.Get(keys[0])
				}
			})
		})
	}
}
