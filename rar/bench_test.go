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
	r, err := openbanking.NewRegistry(nil)
	require.NoError(b, err)
	allowed := r.Types()
	granted, err := r.Parse([]byte(payment), allowed)
	require.NoError(b, err)

	key := testkit.ECKey(b, "bench")
	token := testkit.SignPayload(b, payment, jose.SignerOptions{Type: "JWT", KeyID: "1"}, key)
	compact, err := jose.Split(token, 4096)
	require.NoError(b, err)
	testkit.Benchmark(b, "BareES256Verify", func() bool { return compact.Verify("ES256", key.Public()) == nil })
	testkit.Benchmark(b, "ParseAndCovers", func() bool {
		requested, err := r.Parse([]byte(payment), allowed)
		return err == nil && granted.Covers(requested) == nil
	})
	testkit.Benchmark(b, "Covers", func() bool { return granted.Covers(granted) == nil })
	want, err := rar.Get[openbanking.Payment](granted[0])
	require.NoError(b, err)
	testkit.Benchmark(b, "NewAndCovers", func() bool {
		requested, err := r.New(openbanking.PaymentType, want)
		return err == nil && granted.Covers(requested) == nil
	})
	testkit.Benchmark(b, "Describe", func() bool { _ = granted[0].Describe("de"); return true })
}
