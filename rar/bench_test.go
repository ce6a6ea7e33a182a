package rar_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
)

const payment = `[{"type":"payment_initiation","locations":["https://example.com/payments"],"actions":["initiate","status","cancel"],` +
	`"instructedAmount":{"currency":"EUR","amount":"123.50"},"creditorName":"Merchant A","creditorAccount":{"iban":"DE02100100109307118603"},` +
	`"remittanceInformationUnstructured":"Ref Number Merchant"}]`

// Parsing and comparing should take at most a fifth of a bare signature check.
func BenchmarkPayment(b *testing.B) {
	types, err := openbanking.Types(nil)
	require.NoError(b, err)
	r, err := rar.NewRegistry(rar.RegistryConfig{Types: types})
	require.NoError(b, err)
	allowed := r.Types()
	granted, err := r.Parse([]byte(payment), allowed)
	require.NoError(b, err)

	key := testkit.ECKey(b, "bench")
	signer, err := jose.NewSigner(key, jose.SignerOptions{Type: "JWT", KeyID: "1"})
	require.NoError(b, err)
	token, err := signer.Sign([]byte(payment))
	require.NoError(b, err)
	compact, err := jose.Split(token, 4096)
	require.NoError(b, err)
	b.Run("BareES256Verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := compact.Verify("ES256", key.Public()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ParseAndCovers", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			requested, err := r.Parse([]byte(payment), allowed)
			if err != nil {
				b.Fatal(err)
			}
			if err := granted.Covers(requested); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Covers", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := granted.Covers(granted); err != nil {
				b.Fatal(err)
			}
		}
	})
	want, err := rar.Get[openbanking.Payment](granted[0])
	require.NoError(b, err)
	b.Run("NewAndCovers", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			requested, err := r.New(openbanking.PaymentType, want)
			if err != nil {
				b.Fatal(err)
			}
			if err := granted.Covers(requested); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Describe", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = granted[0].Describe("de")
		}
	})
}
