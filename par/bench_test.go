package par_test

import (
	"crypto/rand"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/par"
)

func BenchmarkServer(b *testing.B) {
	s, err := par.NewServer(par.ServerConfig{Check: anything, Lifetime: 10 * time.Second, LoginTime: time.Second})
	require.NoError(b, err)
	params, ctx := honest(), b.Context()
	push := func() string {
		p, err := s.Push(ctx, par.PushRequest{ClientID: "app", Params: params})
		if err != nil {
			b.Fatal(err)
		}
		return p.RequestURI
	}
	b.Run("BareRandomAndHash", func(b *testing.B) { // the cryptography in a push
		b.ReportAllocs()
		var reference [32]byte
		for b.Loop() {
			_, _ = rand.Read(reference[:])
			_ = sha256.Sum256(reference[:])
		}
	})
	testkit.Benchmark(b, "PushAndConsume", func() bool { _, err := consume(ctx, s, "app", push()); return err == nil })
	testkit.Benchmark(b, "Check", func() bool {
		_, err := s.Check(ctx, par.PushRequest{ClientID: "app", Params: params})
		return err == nil
	})
	forever, err := par.NewServer(par.ServerConfig{Check: anything})
	require.NoError(b, err)
	p, err := forever.Push(ctx, par.PushRequest{ClientID: "app", Params: params})
	require.NoError(b, err)
	testkit.Benchmark(b, "Load", func() bool { _, err := forever.Load(ctx, "app", p.RequestURI); return err == nil })
}
