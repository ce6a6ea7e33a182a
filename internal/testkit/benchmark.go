package testkit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"slices"
	"testing"
	"time"
)

// Bare returns functions that sign and verify a message by only the
// cryptographic operation, for comparison in benchmarks.
func Bare(b testing.TB, key crypto.Signer, message []byte) (sign, verify func() bool) {
	b.Helper()
	input, opts := message, crypto.SignerOpts(crypto.Hash(0))
	digest := sha256.Sum256(message)
	switch key.(type) {
	case *ecdsa.PrivateKey:
		input, opts = digest[:], crypto.SHA256
	case *rsa.PrivateKey:
		input, opts = digest[:], pss
	}
	sig, err := key.Sign(rand.Reader, input, opts)
	if err != nil {
		b.Fatalf("testkit: %v", err)
	}
	sign = func() bool { _, err := key.Sign(rand.Reader, input, opts); return err == nil }
	switch k := key.Public().(type) {
	case *ecdsa.PublicKey:
		verify = func() bool { return ecdsa.VerifyASN1(k, digest[:], sig) }
	case *rsa.PublicKey:
		verify = func() bool { return rsa.VerifyPSS(k, crypto.SHA256, digest[:], sig, pss) == nil }
	case ed25519.PublicKey:
		verify = func() bool { return ed25519.Verify(k, message, sig) }
	}
	return sign, verify
}

// Benchmark runs f as a benchmark that reports allocations and fails if f does.
func Benchmark(b *testing.B, name string, f func() bool) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !f() {
				b.Fatal("failed")
			}
		}
	})
}

// A Measured is a function that [Ratios] compares with a base.
type Measured struct {
	// Before prepares a block of runs. It is not measured. If nil, a block
	// needs no preparation.
	Before func()
	// Run is measured. It reports success.
	Run func() bool
}

// Block is the number of runs between two calls of Before.
const Block = 20

// Ratios measures functions in alternating blocks with a base, so that other
// load on the machine affects both. It reports the median of each ratio under
// its name, and fails if a run fails.
func Ratios(b *testing.B, base func() bool, others map[string]Measured) {
	b.Helper()
	seen := map[string][]float64{}
	for b.Loop() {
		for name, m := range others {
			alone := timed(b, base)
			if m.Before != nil {
				m.Before()
			}
			seen[name] = append(seen[name], timed(b, m.Run)/alone)
		}
	}
	ReportMedians(b, seen)
}

// Ratio measures two functions in alternating blocks for a time. It returns the
// median of the ratios and of the nanoseconds that base takes. The test fails
// if a run fails.
func Ratio(t testing.TB, d time.Duration, base, other func() bool) (ratio, nanoseconds float64) {
	t.Helper()
	var ratios, all []float64
	for end := time.Now().Add(d); len(all) == 0 || time.Now().Before(end); {
		alone := timed(t, base)
		ratios, all = append(ratios, timed(t, other)/alone), append(all, alone)
	}
	return Percentile(ratios, 50), Percentile(all, 50) / Block
}

// timed returns the nanoseconds of a block.
func timed(t testing.TB, f func() bool) float64 {
	t.Helper()
	start := time.Now()
	for range Block {
		if !f() {
			t.Fatalf("failed")
		}
	}
	return float64(time.Since(start))
}

// Percentile sorts a list and returns a percentile of it. The percentile 100 is
// the maximum.
func Percentile(all []float64, p int) float64 {
	slices.Sort(all)
	return all[(len(all)-1)*p/100]
}

// ReportMedians reports the median of each list under its name, and no time of
// an iteration.
func ReportMedians(b *testing.B, seen map[string][]float64) {
	for name, all := range seen {
		b.ReportMetric(Percentile(all, 50), name)
	}
	b.ReportMetric(0, "ns/op")
}
