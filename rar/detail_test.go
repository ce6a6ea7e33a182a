package rar_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
)

// RAR-13-1: error texts and logs do not contain values of details.
func TestValuesAreNotPrinted(t *testing.T) {
	r := bankRegistry(t)
	const secret = "DE02100100109307118603"
	details := parse(t, r, payment)
	for _, text := range []string{
		fmt.Sprint(details), fmt.Sprintf("%v %+v %s", details[0], details, details[0]), details[0].LogValue().String(), details.LogValue().String(),
		slog.AnyValue(details).Resolve().String(),
	} {
		require.NotContains(t, text, secret, "RAR-13-1")
		require.Contains(t, text, "payment_initiation")
	}
	for _, change := range [][2]string{
		{secret, secret + "0"}, {secret, secret + "x"}, {`"iban":"` + secret, `"iban":["` + secret + `"],"bic":"` + secret}, {`"EUR"`, `"` + secret + `"`},
		{`"initiate"`, `"` + secret + `"`}, {`"123.50"`, `"` + secret + `"`}, {`"creditorName"`, `"creditorName":"` + secret + `","creditorName"`},
	} {
		_, err := r.Parse([]byte(strings.Replace(payment, change[0], change[1], 1)), r.Types())
		require.Error(t, err)
		require.NotContains(t, err.Error(), secret, "RAR-13-1")
		require.NotContains(t, requireWire(t, err, "invalid_authorization_details", 400), secret, "RAR-13-1")
	}
	other := parse(t, r, strings.Replace(payment, secret, "GB33BUKB20201555555555", 1))
	err := details.Covers(other)
	require.ErrorIs(t, err, rar.ErrNotCovered)
	require.NotContains(t, err.Error(), "GB33", "RAR-13-1")
	require.NotContains(t, err.Error(), secret, "RAR-13-1")
}

func TestGetAndEdit(t *testing.T) {
	r := bankRegistry(t)
	details := parse(t, r, payment)
	p, err := rar.Get[openbanking.Payment](details[0])
	require.NoError(t, err)
	require.Equal(t, openbanking.Text("Merchant A"), p.CreditorName)
	require.Equal(t, openbanking.Amount{Currency: "EUR", Amount: "123.50"}, p.InstructedAmount)
	p.Actions[0] = "spoilt"
	again, err := rar.Get[openbanking.Payment](details[0])
	require.NoError(t, err)
	require.Equal(t, openbanking.PaymentAction("initiate"), again.Actions[0], "a result is the caller's own")

	_, err = rar.Get[openbanking.FundsConfirmation](details[0])
	require.ErrorContains(t, err, "is made from")
	_, err = rar.Get[openbanking.Payment](rar.Detail{})
	require.Error(t, err)

	edited, err := rar.Edit(details[0], func(p *openbanking.Payment) { p.Actions = p.Actions[:1] })
	require.NoError(t, err)
	require.NoError(t, details.Covers(rar.Details{edited}))
	require.ErrorIs(t, rar.Details{edited}.Covers(details), rar.ErrNotCovered)
	_, err = rar.Edit(details[0], func(p *openbanking.Payment) { p.InstructedAmount.Amount = "12.345" })
	require.Equal(t, "[0].instructedAmount.amount", requireClass(t, err, "value").Path)
	_, err = rar.Edit(details[0], func(*openbanking.FundsConfirmation) {})
	require.Error(t, err)

	schema := parse(t, r, `[{"type":"c","actions":["read"],"identifier":"1"}]`)[0]
	m, err := rar.Get[map[string]any](schema)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"type": "c", "actions": []any{"read"}, "identifier": "1"}, m)
	require.Equal(t, rar.Common{Actions: []string{"read"}, Identifier: "1"}, schema.Common())
	_, err = rar.Get[struct {
		Actions string `json:"actions"`
	}](schema)
	require.Error(t, err)
	wider, err := rar.Edit(schema, func(m *map[string]any) { (*m)["actions"] = []string{"read", "write"} })
	require.NoError(t, err)
	require.Equal(t, []string{"read", "write"}, wider.Common().Actions)
	type view struct {
		Actions []string `json:"actions"`
	}
	some, err := rar.Get[view](schema)
	require.NoError(t, err)
	require.Equal(t, view{[]string{"read"}}, some)
	_, err = rar.Edit(schema, func(*view) {})
	require.ErrorContains(t, err, "does not hold all", "the identifier would be lost, which limits the permission")
	itself, err := rar.Get[rar.Detail](schema)
	require.NoError(t, err)
	require.True(t, itself.Equal(schema))
}

func TestZeroDetail(t *testing.T) {
	var d rar.Detail
	require.Empty(t, d.Type())
	require.Zero(t, d.Common())
	require.Zero(t, d.Describe())
	require.True(t, d.Equal(rar.Detail{}))
	_, err := json.Marshal(d)
	require.Error(t, err)
	_, err = json.Marshal(rar.Details{d})
	require.Error(t, err)
	require.Empty(t, rar.Details{d}.ForResource("x"))
	r := bankRegistry(t)
	one := parse(t, r, `[{"type":"c"}]`)
	require.ErrorIs(t, rar.Details{d}.Covers(one), rar.ErrNotCovered)
	require.ErrorIs(t, one.Covers(rar.Details{d}), rar.ErrNotCovered)
	require.False(t, one[0].Equal(d))
	for _, err := range []error{
		r.CheckGrant(one, rar.Details{d}),
		func() error { _, err := r.Merge(one, rar.Details{d}); return err }(),
		func() error { _, err := r.Merge(rar.Details{d}, one); return err }(),
		func() error { _, err := r.Enrich(t.Context(), rar.Details{d}); return err }(),
	} {
		require.ErrorIs(t, err, rar.ErrUnknownType)
	}
}
