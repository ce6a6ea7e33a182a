package testkit_test

import (
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

// A recorder is a testing.TB that records the outcome of a test.
type recorder struct {
	testing.TB
	failed, skipped string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Skipf(format string, args ...any) {
	r.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// record runs f as package testing does, on a goroutine that may exit early.
func record(t *testing.T, f func(testing.TB)) *recorder {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r
}

type vector struct {
	Name  string `json:"name"`
	Value int    `json:"value"`
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
}

func TestLoadVectorsReadsEveryMatchingFileInOrder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "b.json", `[{"name":"third","value":3}]`)
	write(t, dir, "a.json", `[{"name":"first","value":1},{"name":"second","value":2}]`)
	write(t, dir, "c.txt", `not read`)
	got := testkit.LoadVectors[vector](t, filepath.Join(dir, "*.json"))
	require.Equal(t, []vector{{"first", 1}, {"second", 2}, {"third", 3}}, got)
}

func TestLoadVectorsFails(t *testing.T) {
	for _, tc := range []struct{ name, file, text, want string }{
		{"when no file matches", "other.txt", `[{"name":"x"}]`, "no file matches"},
		{"when a file holds an empty array", "v.json", `[]`, "no vector"},
		{"when a file holds null", "v.json", `null`, "no vector"},
		{"when a vector has an unknown member", "v.json", `[{"name":"x","valeu":1}]`, "unknown field"},
		{"when a file is no array", "v.json", `{"name":"x"}`, "cannot unmarshal"},
		{"when bytes follow the array", "v.json", `[{"name":"x"}] []`, "bytes after"},
		{"when a file is cut off", "v.json", `[{"name":"x"}`, "unexpected EOF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, tc.file, tc.text)
			returned := false
			r := record(t, func(t testing.TB) {
				testkit.LoadVectors[vector](t, filepath.Join(dir, "*.json"))
				returned = true
			})
			require.False(t, returned)
			require.Contains(t, r.failed, tc.want)
		})
	}
	t.Run("when the pattern is malformed", func(t *testing.T) {
		r := record(t, func(t testing.TB) { testkit.LoadVectors[vector](t, "[") })
		require.Contains(t, r.failed, "syntax error in pattern")
	})
}

func TestKeysAreCachedByName(t *testing.T) {
	require.Same(t, testkit.ECKey(t, "a"), testkit.ECKey(t, "a"))
	require.False(t, testkit.ECKey(t, "a").Equal(testkit.ECKey(t, "b")))
	require.True(t, testkit.Ed25519Key(t, "a").Equal(testkit.Ed25519Key(t, "a")))
	require.False(t, testkit.Ed25519Key(t, "a").Equal(testkit.Ed25519Key(t, "b")))
	require.Same(t, testkit.RSAKey(t, "a"), testkit.RSAKey(t, "a"))
	require.False(t, testkit.RSAKey(t, "a").Equal(testkit.RSAKey(t, "b")))
	require.Equal(t, 2048, testkit.RSAKey(t, "a").N.BitLen())
	require.Equal(t, "P-256", testkit.ECKey(t, "a").Curve.Params().Name)

	const n = 16
	keys := make([]any, n)
	testkit.Hammer(n, func(i int) { keys[i] = testkit.ECKey(t, "raced for") })
	for _, key := range keys {
		require.Same(t, keys[0], key)
	}
}

func TestClockMovesOnlyByAdvance(t *testing.T) {
	t0 := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	clock := testkit.NewClock(t0)
	require.Equal(t, t0, clock.Now())
	require.Equal(t, t0, clock.Now())
	clock.Advance(time.Minute)
	require.Equal(t, t0.Add(time.Minute), clock.Now())
	clock.Advance(-2 * time.Minute)
	require.Equal(t, t0.Add(-time.Minute), clock.Now())

	testkit.Hammer(10, func(int) { clock.Advance(time.Second) })
	require.Equal(t, t0.Add(-50*time.Second), clock.Now())
}

func TestMutateJWSCoversEveryReplacementOnce(t *testing.T) {
	const token = "ab-_.Z9.x"
	const n = 7
	seen := make(map[string]bool)
	for i := range 63 * n {
		got := testkit.MutateJWS(token, i)
		require.Len(t, got, len(token))
		differing := 0
		for at := range len(token) {
			if got[at] != token[at] {
				differing++
				require.NotEqual(t, byte('.'), token[at])
				require.NotContains(t, ".=", string(got[at]))
			}
		}
		require.Equal(t, 1, differing)
		seen[got] = true
	}
	require.Len(t, seen, 63*n)
	require.Equal(t, testkit.MutateJWS(token, 0), testkit.MutateJWS(token, 63*n))
	require.NotEqual(t, token, testkit.MutateJWS(token, -1))
	require.NotEqual(t, "..", testkit.MutateJWS("..", 3))
	require.NotEqual(t, "", testkit.MutateJWS("", 0))
}

func TestHammerRunsAllAtTheSameTime(t *testing.T) {
	const n = 32
	var arrived atomic.Int32
	all := make(chan struct{})
	var calls [n]atomic.Int32
	// Each call waits for all others: this returns only if all n are running at
	// once.
	testkit.Hammer(n, func(i int) {
		calls[i].Add(1)
		if arrived.Add(1) == n {
			close(all)
		}
		<-all
	})
	for i := range calls {
		require.EqualValues(t, 1, calls[i].Load())
	}
	testkit.Hammer(0, func(int) { t.Error("called") })
}

func TestRequire(t *testing.T) {
	t.Run("passes if ok is true", func(t *testing.T) {
		t.Setenv(testkit.RequireAll, "1")
		t.Setenv(testkit.BareMachine, "")
		passed := false
		record(t, func(t testing.TB) { testkit.Require(t, "a database", true); passed = true })
		require.True(t, passed)
	})
	t.Run("skips with a reason if ok is false", func(t *testing.T) {
		t.Setenv(testkit.RequireAll, "")
		r := record(t, func(t testing.TB) { testkit.Require(t, "a database", false) })
		require.Empty(t, r.failed)
		require.True(t, strings.HasPrefix(r.skipped, "this test needs a database"), r.skipped)
	})
	t.Run("skips on a bare machine", func(t *testing.T) {
		t.Setenv(testkit.RequireAll, "")
		t.Setenv(testkit.BareMachine, "1")
		r := record(t, func(t testing.TB) { testkit.Require(t, "a database", true) })
		require.True(t, strings.HasPrefix(r.skipped, "this test needs a database"), r.skipped)
	})
	t.Run("fails on a bare machine if everything is required", func(t *testing.T) {
		t.Setenv(testkit.RequireAll, "1")
		t.Setenv(testkit.BareMachine, "1")
		r := record(t, func(t testing.TB) { testkit.Require(t, "a database", true) })
		require.Contains(t, r.failed, "this test needs a database")
	})
	t.Run("fails if everything is required", func(t *testing.T) {
		t.Setenv(testkit.RequireAll, "1")
		r := record(t, func(t testing.TB) { testkit.Require(t, "a database", false) })
		require.Empty(t, r.skipped)
		require.Contains(t, r.failed, "this test needs a database")
	})
}

func TestCertify(t *testing.T) {
	ca := testkit.Authority(t, "ca")
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)
	options := x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	_, err := testkit.Certify(t, "a", ca).Leaf.Verify(options)
	require.NoError(t, err)
	_, err = testkit.Certify(t, "a", nil).Leaf.Verify(options)
	require.Error(t, err)
	invalid := func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA256WithRSA }
	require.Panics(t, func() { testkit.Certify(t, "a", ca, invalid) })
}

func TestMust(t *testing.T) {
	require.Equal(t, 1, testkit.Must(1, nil))
	require.Panics(t, func() { testkit.Must(1, io.EOF) })
}

func TestRoundTripper(t *testing.T) {
	client := &http.Client{Transport: testkit.RoundTripper(func(*http.Request) (*http.Response, error) { return nil, io.EOF })}
	_, err := client.Get("https://example.org")
	require.ErrorIs(t, err, io.EOF)
}

func TestOneWinner(t *testing.T) {
	var used atomic.Bool
	testkit.OneWinner(t, io.EOF, func() error {
		if used.Swap(true) {
			return io.EOF
		}
		return nil
	})
}

func TestRemoteKey(t *testing.T) {
	token := testkit.SignPayload(t, `{}`, jose.SignerOptions{}, testkit.RemoteKey{Signer: testkit.ECKey(t, "a")})
	c, err := jose.Split(token, 1<<10)
	require.NoError(t, err)
	require.NoError(t, c.Verify("ES256", testkit.ECKey(t, "a").Public()))
	_, err = testkit.RemoteKey{Signer: testkit.ECKey(t, "a"), Err: io.EOF}.Sign(nil, nil, nil)
	require.ErrorIs(t, err, io.EOF)
}

func TestRatio(t *testing.T) {
	var base, other int
	ratio, nanoseconds := testkit.Ratio(t, 0, func() bool { base++; return true }, func() bool { other++; return true })
	require.Positive(t, ratio)
	require.Positive(t, nanoseconds)
	require.Equal(t, []int{testkit.Block, testkit.Block}, []int{base, other}, "at least one block of each")
	failed := record(t, func(t testing.TB) { testkit.Ratio(t, 0, func() bool { return false }, nil) })
	require.Equal(t, "failed", failed.failed)
}

func TestPercentile(t *testing.T) {
	all := []float64{3, 1, 2}
	require.Equal(t, []float64{1, 2, 3}, []float64{
		testkit.Percentile(all, 0), testkit.Percentile(all, 50), testkit.Percentile(all, 100),
	})
}
