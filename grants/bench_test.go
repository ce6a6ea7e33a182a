package grants_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

// usual is what a grant has as a rule.
func usual(b *testing.B) (*bank, grants.Grant, string) {
	bank := newBank(b, nil)
	g, authorization := bank.claimed("create", "", grants.Approval{
		Subject: alice, Scopes: []grants.Scope{{Scope: "accounts balances", Resource: []string{"https://rs.example/"}}, {Scope: "openid"}},
		Claims:               []string{"name"},
		AuthorizationDetails: json.RawMessage(`[{"type":"account_information","actions":["list","balances"],"locations":["https://rs.example/"]}]`),
	})
	return bank, g, authorization
}

func BenchmarkRead(b *testing.B) {
	bank, g, authorization := usual(b)
	testkit.Benchmark(b, "Query", func() bool { _, err := bank.Query(b.Context(), fintech, g.ID); return err == nil })
	testkit.Benchmark(b, "CheckRefresh", func() bool {
		_, err := bank.CheckRefresh(b.Context(), g.ID, authorization)
		return err == nil
	})
	testkit.Benchmark(b, "bare", func() bool { // the store and the hash of the key
		_, _, err := bank.store.Store.Get(b.Context(), jose.SHA256Base64("grant "+issuer+" "+g.ID))
		return err == nil
	})
}

// BenchmarkReplace has three reads and two writes, and an event.
func BenchmarkReplace(b *testing.B) {
	bank := newBank(b, func(c *grants.ManagerConfig) {
		c.Events = func(context.Context, grants.Event) error { return nil }
		c.ClaimTime, c.AccessTokenLifetime = 1e9, 1e9
	})
	g, _ := bank.claimed("create", "", scopes("accounts"))
	b.ReportAllocs()
	for b.Loop() {
		bank.clock.Advance(2e9)
		change, err := bank.prepare(fintech, "replace", g.ID, scopes("payments"))
		require.NoError(b, err)
		if _, err := bank.Claim(context.Background(), change); err != nil {
			b.Fatal(err)
		}
	}
}
