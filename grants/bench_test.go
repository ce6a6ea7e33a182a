package grants_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/jose"
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

func BenchmarkQuery(b *testing.B) {
	bank, g, _ := usual(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bank.Query(context.Background(), fintech, g.ID); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckRefresh(b *testing.B) {
	bank, g, authorization := usual(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bank.CheckRefresh(context.Background(), g.ID, authorization); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBareGet is what a read costs in the store alone, hash of the key
// included.
func BenchmarkBareGet(b *testing.B) {
	bank, g, _ := usual(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := bank.store.Store.Get(context.Background(), jose.SHA256Base64("grant "+issuer+" "+g.ID)); err != nil {
			b.Fatal(err)
		}
	}
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
