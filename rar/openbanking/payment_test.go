package openbanking_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
	"github.com/gofapi/fapi2/rar/rartest"
)

func TestPayment(t *testing.T) {
	typ, err := openbanking.NewPayment(openbanking.Config{})
	require.NoError(t, err)
	full := with(t, payment, "debtorAccount", ibanB, "endToEndIdentification", `"42"`, "requestedExecutionDate", `"2027-02-28"`)
	byName := with(t, payment, "creditorAccount", "")
	euros := func(amount string) string {
		return with(t, payment, "instructedAmount", `{"currency":"EUR","amount":"`+amount+`"}`)
	}
	samples := rartest.Samples{
		Valid: []string{payment, full, smallPayment, euros("0.01"), euros("99999999999999.99"), with(t, payment, "locations", "", "actions", ""), byName},
		Invalid: []string{
			with(t, payment, "instructedAmount", ""),
			with(t, payment, "creditorName", `""`),
			with(t, payment, "creditorName", `"`+strings.Repeat("ä", 141)+`"`),
			with(t, payment, "creditorAccount", `{}`),
			with(t, payment, "creditorAccount", `{"iban":"DE03100100109307118603"}`),
			with(t, payment, "creditorAccount", `{"iban":"DE99100100109307118603"}`), // 99 is 2 modulo 97, and a second spelling
			with(t, payment, "creditorAccount", `{"iban":"DE02 1001 0010 9307 1186 03"}`),
			with(t, payment, "creditorAccount", `{"iban":"DE02100100109307118603\n"}`),
			with(t, payment, "creditorName", `"Merchant A\nAmount: 1.00 EUR"`),
			with(t, payment, "remittanceInformationUnstructured", `"a\u0085b"`),
			with(t, payment, "creditorAccount", `{"iban":"de02100100109307118603"}`),
			with(t, payment, "creditorAccount", `{"iban":"DE02100100109307118603","scheme":"x","identification":"y"}`),
			with(t, payment, "creditorAccount", `{"scheme":"x"}`),
			with(t, payment, "creditorAccount", `{"bic":"ABCIDEFFXXX","scheme":"x","identification":"y"}`),
			with(t, payment, "debtorAccount", `null`),
			with(t, payment, "actions", `[]`),
			with(t, payment, "actions", `["refund"]`),
			with(t, payment, "requestedExecutionDate", `"2027-02-29"`),
			with(t, payment, "requestedExecutionDate", `"2027-2-9"`),
			with(t, payment, "requestedExecutionDate", `""`),
			with(t, payment, "instructedAmount", `{"currency":"EUR","amount":123.5}`),
			with(t, payment, "instructedAmount", `{"currency":"eur","amount":"1"}`),
			with(t, payment, "instructedAmount", `{"currency":"XAU","amount":"1"}`),
			with(t, payment, "instructedAmount", `{"currency":"JPY","amount":"1.5"}`),
			euros("0"), euros("0.00"), euros("-1"), euros("+1"), euros("01"), euros("1."), euros(".5"), euros("1,50"), euros("1e2"), euros("12.345"),
			euros("123456789012345"), euros("１２"), euros(" 1"), euros(""),
		},
		Generate: generatePayment,
		Same: [][2]string{
			{euros("12.50"), euros("12.5")}, {euros("12"), euros("12.00")}, {euros("12.0"), euros("12.00")},
			{with(t, payment, "actions", `["initiate"]`), with(t, payment, "actions", "")},
			{with(t, payment, "actions", `["initiate"]`), with(t, payment, "actions", `["initiate","initiate"]`)},
			{payment, with(t, payment, "actions", `["cancel","status","cancel","initiate"]`)},
			{payment, with(t, payment, "locations", `["https://example.com/payments","https:\/\/example.com/payments"]`)},
		},
		Narrower: [][2]string{
			{payment, with(t, payment, "actions", `["status"]`)}, {payment, with(t, payment, "actions", "")},
			{with(t, payment, "locations", `["https://a.example","https://b.example"]`), with(t, payment, "locations", `["https://b.example"]`)},
		},
		Apart: [][2]string{
			{payment, euros("123.49")}, {payment, euros("123.51")}, {payment, euros("1")},
			{payment, with(t, payment, "instructedAmount", `{"currency":"CHF","amount":"123.50"}`)},
			{payment, with(t, payment, "creditorName", `"Merchant B"`)},
			{payment, with(t, payment, "creditorName", `"Merchant A "`)},
			{payment, with(t, payment, "creditorAccount", ibanB)}, {payment, byName},
			{payment, with(t, payment, "remittanceInformationUnstructured", "")},
			{payment, with(t, payment, "endToEndIdentification", `"1"`)},
			{payment, with(t, payment, "debtorAccount", ibanB)},
			{payment, with(t, payment, "requestedExecutionDate", `"2027-02-28"`)},
			{with(t, payment, "actions", `["status"]`), with(t, payment, "actions", "")},
			{payment, with(t, payment, "locations", "")},
		},
		Languages: []string{"en", "de"},
	}
	rartest.TestType(t, typ, samples)

	r := newRegistry(t)
	granted, err := r.Parse([]byte("["+payment+"]"), r.Types())
	require.NoError(t, err)
	same, err := r.Parse([]byte("["+euros("123.5")+"]"), r.Types())
	require.NoError(t, err)
	require.NoError(t, granted.Covers(same), "an amount with fewer zeros is the same amount")
}

// The API describes its operation, the initiation of the payment. The actions
// and locations of an order do not matter.
func TestPermittedBy(t *testing.T) {
	r := newRegistry(t)
	parse := func(texts ...string) rar.Details {
		d, err := r.Parse([]byte("["+strings.Join(texts, ",")+"]"), r.Types())
		require.NoError(t, err)
		return d
	}
	here := with(t, payment, "actions", `["initiate"]`, "debtorAccount", ibanB)
	for _, tc := range []struct {
		name     string
		granted  []string
		order    string
		position int // of the granted detail; -1: not permitted
	}{
		{"the payment as it was granted", []string{here}, here, 0},
		{"an order without account, actions and locations", []string{here}, with(t, here, "debtorAccount", "", "actions", "", "locations", ""), 0},
		{"A3 the amount in another spelling", []string{here}, with(t, here, "instructedAmount", `{"currency":"EUR","amount":"123.5"}`), 0},
		{"A1 an action twice", []string{here}, with(t, here, "actions", `["initiate","initiate"]`), 0},
		{"the second of two", []string{with(t, here, "creditorName", `"Merchant B"`), here, information}, here, 1},
		{"without actions, which is to initiate", []string{with(t, here, "actions", "")}, here, 0},
		{"A2 permission for the status alone, and the order says so too", []string{with(t, here, "actions", `["status"]`)}, with(t, here, "actions", `["status"]`), -1},
		{"A2 permission to cancel alone", []string{with(t, here, "actions", `["cancel"]`)}, with(t, here, "actions", `["cancel"]`), -1},
		{"A2 permission for the status, and the order wants more", []string{with(t, here, "actions", `["status"]`)}, here, -1},
		{"another amount", []string{here}, with(t, here, "instructedAmount", `{"currency":"EUR","amount":"123.51"}`), -1},
		{"another payee", []string{here}, with(t, here, "creditorName", `"Merchant B"`), -1},
		{"another account", []string{here}, with(t, here, "debtorAccount", ibanA), -1},
		{"another text", []string{here}, with(t, here, "remittanceInformationUnstructured", ""), -1},
		{"a detail of another type", []string{information, recurring}, here, -1},
		{"nothing", nil, here, -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			granted := append(parse(tc.granted...), rar.Detail{})
			order, err := rar.Get[openbanking.Payment](parse(tc.order)[0])
			require.NoError(t, err)
			permission, err := order.PermittedBy(granted)
			if tc.position >= 0 {
				require.NoError(t, err)
				require.Equal(t, granted[tc.position], permission)
				return
			}
			require.Equal(t, rar.Detail{}, permission)
			require.ErrorIs(t, err, rar.ErrNotCovered)
			code, description, status := oautherr.From(err)
			require.Equal(t, []any{"insufficient_scope", 403}, []any{code, status})
			require.Regexp(t, `^the token does not permit this payment(: authorization_details\[0\]\.\w+ \(payment_initiation\).*)?$`, description)
		})
	}
	elsewhere := parse(with(t, here, "locations", `["https://other.example"]`)).ForResource("https://example.com/payments")
	order, err := rar.Get[openbanking.Payment](parse(with(t, here, "locations", `["https://other.example"]`))[0])
	require.NoError(t, err)
	_, err = order.PermittedBy(elsewhere)
	require.ErrorIs(t, err, rar.ErrNotCovered, "G2 the order repeats the location of another API")
	order.InstructedAmount.Amount = "01"
	_, err = order.PermittedBy(parse(here))
	require.ErrorIs(t, err, rar.ErrNotCovered, "an order that was not parsed")
}
