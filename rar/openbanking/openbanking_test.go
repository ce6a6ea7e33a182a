package openbanking_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
	"github.com/gofapi/fapi2/rar/rartest"
)

func newRegistry(t testing.TB) *rar.Registry {
	types, err := openbanking.Types(nil)
	require.NoError(t, err)
	r, err := rar.NewRegistry(rar.RegistryConfig{Types: types})
	require.NoError(t, err)
	return r
}

// with returns a JSON object with the given members. It omits members whose
// value is "".
func with(t testing.TB, object string, pairs ...string) string {
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(object), &members))
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			delete(members, pairs[i])
			continue
		}
		members[pairs[i]] = json.RawMessage(pairs[i+1])
	}
	made, err := json.Marshal(members)
	require.NoError(t, err)
	return string(made)
}

const (
	ibanA = `{"iban":"DE02100100109307118603"}`
	ibanB = `{"iban":"GB33BUKB20201555555555"}`
	local = `{"scheme":"sortcode","identification":"202015 55555555"}`

	payment = `{"type":"payment_initiation","locations":["https://example.com/payments"],"actions":["initiate","status","cancel"],
		"instructedAmount":{"currency":"EUR","amount":"123.50"},"creditorName":"Merchant A","creditorAccount":` + ibanA + `,
		"remittanceInformationUnstructured":"Ref Number Merchant"}`
	smallPayment = `{"type":"payment_initiation","instructedAmount":{"currency":"JPY","amount":"1200"},"creditorName":"店","creditorAccount":` + local + `}`

	information = `{"type":"account_information","locations":["https://a.example","https://b.example"],"actions":["list_accounts","read_balances"],
		"accounts":[` + ibanA + `,` + ibanB + `],"validUntil":"2027-03-31"}`

	recurring = `{"type":"recurring_payment","creditorName":"Gym","creditorAccount":` + ibanA + `,"debtorAccount":` + ibanB + `,
		"maximumAmount":{"currency":"EUR","amount":"30"},"periodLimit":{"period":"month","maximum":{"currency":"EUR","amount":"60.00"}},
		"maximumCount":12,"validFrom":"2027-01-01","validUntil":"2027-12-31"}`

	funds = `{"type":"funds_confirmation","locations":["https://a.example"],"account":` + ibanA + `,"maximumAmount":{"currency":"BHD","amount":"1.234"},"validUntil":"2027-03-31"}`
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

func TestAccountInformation(t *testing.T) {
	typ, err := openbanking.NewAccountInformation(openbanking.Config{})
	require.NoError(t, err)
	open := with(t, information, "accounts", "", "locations", "")
	forEver := with(t, information, "validUntil", "") // as in the RFC's own example
	rartest.TestType(t, typ, rartest.Samples{
		Valid: []string{information, open, forEver, with(t, information, "accounts", "["+ibanB+"]")},
		Invalid: []string{
			with(t, information, "validUntil", `""`), with(t, information, "validUntil", `"2027-13-01"`), with(t, information, "validUntil", `"9999-99-99"`),
			with(t, information, "actions", `[]`), with(t, information, "actions", ""), with(t, information, "actions", `["pay"]`),
			with(t, information, "accounts", `[]`), with(t, information, "accounts", `null`), with(t, information, "accounts", "["+ibanA+","+ibanA+"]"),
		},
		Generate: generateInformation,
		Same: [][2]string{
			{information, with(t, information, "accounts", "["+ibanB+","+ibanA+"]")},
			{information, with(t, information, "actions", `["read_balances","list_accounts","read_balances"]`)},
		},
		Narrower: [][2]string{
			{information, with(t, information, "validUntil", `"2027-03-30"`)},
			{information, with(t, information, "actions", `["read_balances"]`)},
			{information, with(t, information, "accounts", "["+ibanB+"]")},
			{information, with(t, information, "locations", `["https://a.example"]`, "validUntil", `"2026-12-31"`)},
			{open, with(t, open, "validUntil", `"2027-01-01"`)},
			{forEver, information},
		},
		Apart: [][2]string{
			{information, with(t, information, "actions", `["read_transactions"]`)},
			{information, with(t, information, "accounts", "")},
			{with(t, information, "accounts", "["+ibanA+"]"), with(t, information, "accounts", "["+ibanB+"]")},
		},
		Languages: []string{"en", "de"},
	})
}

func TestRecurringPayment(t *testing.T) {
	typ, err := openbanking.NewRecurringPayment(openbanking.Config{})
	require.NoError(t, err)
	few := with(t, recurring, "debtorAccount", "", "periodLimit", "", "maximumCount", "", "validFrom", "")
	limit := func(amount string) string {
		return with(t, recurring, "maximumAmount", `{"currency":"EUR","amount":"`+amount+`"}`)
	}
	period := func(period, amount string) string {
		return with(t, recurring, "periodLimit", `{"period":"`+period+`","maximum":{"currency":"EUR","amount":"`+amount+`"}}`)
	}
	rartest.TestType(t, typ, rartest.Samples{
		Valid: []string{recurring, few, limit("30.00"), period("day", "30"), period("week", "30"), period("year", "300")},
		Invalid: []string{
			limit("60.01"), limit("0"), period("fortnight", "60"), period("month", "29.99"), with(t, recurring, "maximumCount", "0"), with(t, recurring, "maximumCount", "1.5"),
			with(t, recurring, "maximumCount", "1000001"), with(t, recurring, "validFrom", `"2028-01-01"`), with(t, recurring, "validUntil", ""),
			with(t, recurring, "maximumAmount", `{"currency":"CHF","amount":"1"}`), with(t, recurring, "validFrom", `"x"`), with(t, recurring, "debtorAccount", `{}`),
		},
		Generate: generateRecurring,
		Same:     [][2]string{{limit("30"), limit("30.00")}, {period("month", "60"), period("month", "60.0")}},
		Narrower: [][2]string{
			{recurring, limit("29.99")}, {recurring, period("month", "59")}, {recurring, with(t, recurring, "maximumCount", "1")},
			{recurring, with(t, recurring, "validFrom", `"2027-02-01"`, "validUntil", `"2027-02-01"`, "maximumCount", "1")},
			{few, with(t, few, "maximumCount", "5")}, {few, with(t, few, "validFrom", `"2027-02-01"`)},
			{few, with(t, few, "periodLimit", `{"period":"month","maximum":{"currency":"EUR","amount":"60"}}`)},
		},
		Apart: [][2]string{
			{recurring, period("day", "60")}, {recurring, with(t, recurring, "creditorAccount", ibanB)}, {recurring, with(t, recurring, "creditorName", `"Gymn"`)},
			{recurring, with(t, recurring, "debtorAccount", "")},
		},
		Languages: []string{"en", "de"},
	})
}

func TestFundsConfirmation(t *testing.T) {
	typ, err := openbanking.NewFundsConfirmation(openbanking.Config{})
	require.NoError(t, err)
	few := `{"type":"funds_confirmation","validUntil":"2027-03-31"}`
	rartest.TestType(t, typ, rartest.Samples{
		Valid:    []string{funds, few},
		Invalid:  []string{with(t, funds, "validUntil", ""), with(t, funds, "account", `{}`), with(t, funds, "maximumAmount", `{"currency":"BHD","amount":"1.2345"}`), with(t, few, "validUntil", `"tomorrow"`)},
		Generate: generateFunds,
		Same:     [][2]string{{with(t, funds, "maximumAmount", `{"currency":"BHD","amount":"1.2"}`), with(t, funds, "maximumAmount", `{"currency":"BHD","amount":"1.200"}`)}},
		Narrower: [][2]string{
			{funds, with(t, funds, "maximumAmount", `{"currency":"BHD","amount":"1.23"}`)}, {funds, with(t, funds, "validUntil", `"2027-01-01"`)},
			{with(t, funds, "maximumAmount", ""), funds},
		},
		Apart: [][2]string{
			{funds, with(t, funds, "account", "")}, {funds, with(t, funds, "account", ibanB)},
			{funds, with(t, funds, "maximumAmount", `{"currency":"KWD","amount":"1"}`)}, {funds, with(t, funds, "locations", "")},
		},
		Languages: []string{"en", "de"},
	})
}

// The user chooses only an absent account.
func TestEnrichment(t *testing.T) {
	r := newRegistry(t)
	parse := func(text string) rar.Details {
		d, err := r.Parse([]byte("["+text+"]"), r.Types())
		require.NoError(t, err)
		return d
	}
	openRecurring := with(t, recurring, "debtorAccount", "")
	openInformation := with(t, information, "accounts", "")
	openFunds := with(t, funds, "account", "")
	for _, tc := range []struct {
		name, requested, granted string
		ok                       bool
	}{
		{"RAR-7.1-1 the debtor's account", payment, with(t, payment, "debtorAccount", ibanB), true},
		{"RAR-7.1-1 the debtor's account, and less to do", payment, with(t, payment, "debtorAccount", ibanB, "actions", `["status"]`), true},
		{"the debtor's account, and another amount", payment, with(t, payment, "debtorAccount", ibanB, "instructedAmount", `{"currency":"EUR","amount":"999"}`), false},
		{"another debtor's account", with(t, payment, "debtorAccount", ibanA), with(t, payment, "debtorAccount", ibanB), false},
		{"RAR-7.1-1 accounts", openInformation, with(t, information, "accounts", "["+ibanB+"]"), true},
		{"accounts, and more permissions", openInformation, with(t, information, "actions", `["read_transactions"]`), false},
		{"more accounts", with(t, information, "accounts", "["+ibanA+"]"), information, false},
		{"all accounts instead of some", information, openInformation, false},
		{"RAR-7.1-1 the account of recurring payments", openRecurring, recurring, true},
		{"the account of recurring payments, and a later day", openRecurring, with(t, recurring, "validUntil", `"2028-01-01"`), false},
		{"another account of recurring payments", recurring, with(t, recurring, "debtorAccount", ibanA), false},
		{"RAR-7.1-1 the account to ask about", openFunds, funds, true},
		{"the account to ask about, and no maximum", openFunds, with(t, funds, "maximumAmount", ""), false},
		{"another account to ask about", funds, with(t, funds, "account", ibanB), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := r.CheckGrant(parse(tc.requested), parse(tc.granted))
			if tc.ok {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, rar.ErrNotRequested)
		})
	}
}

// GM-8.2-1: two permissions are merged only if one of them permits everything
// that the result permits.
func TestMergeInformation(t *testing.T) {
	r := newRegistry(t)
	one := func(pairs ...string) string { return with(t, information, pairs...) }
	for _, tc := range []struct {
		name, a, b, want string // want: "", or what the two become
	}{
		{"GM-8.2-1 other permissions for the same accounts", one("actions", `["list_accounts"]`), one("actions", `["read_balances"]`), one("actions", `["list_accounts","read_balances"]`)},
		{"GM-8.2-1 other accounts for the same permissions", one("accounts", "["+ibanA+"]"), one("accounts", "["+ibanB+"]"), one()},
		{"GM-8.2-1 a later day", one(), one("validUntil", `"2028-01-01"`), one("validUntil", `"2028-01-01"`)},
		{"RAR-2.2-2 other permissions for other accounts stay apart", one("accounts", "["+ibanA+"]", "actions", `["list_accounts"]`), one("accounts", "["+ibanB+"]", "actions", `["read_balances"]`), ""},
		{"RAR-2.2-2 other permissions until another day stay apart", one("actions", `["list_accounts"]`), one("actions", `["read_balances"]`, "validUntil", `"2028-01-01"`), ""},
		{"all accounts and some stay apart", one("accounts", ""), one(), ""},
		{"other APIs stay apart", one("locations", `["https://a.example"]`), one("locations", `["https://c.example"]`), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			parse := func(text string) rar.Details {
				d, err := r.Parse([]byte("["+text+"]"), r.Types())
				require.NoError(t, err)
				return d
			}
			merged, err := r.Merge(parse(tc.a), parse(tc.b))
			require.NoError(t, err)
			if tc.want == "" {
				require.Len(t, merged, 2)
				return
			}
			require.Len(t, merged, 1)
			require.NoError(t, merged.Covers(parse(tc.want)))
			require.NoError(t, parse(tc.want).Covers(merged))
		})
	}
}

func TestDescribe(t *testing.T) {
	r := newRegistry(t)
	for _, tc := range []struct {
		name, detail, language, want string
	}{
		{"a payment in English", with(t, payment, "instructedAmount", `{"currency":"EUR","amount":"1234567.5"}`, "actions", "", "locations", ""), "en-GB",
			"Payment; Amount: 1,234,567.50 EUR; To: Merchant A; Account of the payee: DE02 1001 0010 9307 1186 03; From your account: of your choice; Reference: Ref Number Merchant; Permission: make the payment"},
		{"a payment in German", with(t, payment, "actions", `["initiate","status","cancel"]`, "locations", "", "requestedExecutionDate", `"2027-02-28"`, "debtorAccount", local), "de-CH",
			"Zahlung; Betrag: 123,50 EUR; Empfänger: Merchant A; Konto des Empfängers: DE02 1001 0010 9307 1186 03; Von Ihrem Konto: sortcode: 202015 55555555; Verwendungszweck: Ref Number Merchant; " +
				"Am: 28.02.2027; Berechtigung: die Zahlung auslösen; Berechtigung: ihren Status abfragen; Berechtigung: sie widerrufen"},
		{"an unknown language is English", smallPayment, "fr",
			"Payment; Amount: 1,200 JPY; To: 店; Account of the payee: sortcode: 202015 55555555; From your account: of your choice; Permission: make the payment"},
		{"RAR-12-3 a payee in disguise", with(t, payment, "actions", "", "locations", "", "creditorName", `"Аmazon\u202e"`, "remittanceInformationUnstructured", ""), "en",
			`Payment; Amount: 123.50 EUR; To: \u{410}mazon\u{202e}; Account of the payee: DE02 1001 0010 9307 1186 03; From your account: of your choice; Permission: make the payment`},
		{"account information", with(t, information, "actions", `["list_accounts","read_balances","read_transactions"]`, "accounts", ""), "de",
			"Kontoinformation; Berechtigung: sehen, welche Konten Sie haben; Berechtigung: Salden lesen; Berechtigung: Umsätze lesen; Konto: nach Ihrer Wahl; Bis: 31.03.2027; Bei: https://a.example; Bei: https://b.example"},
		{"recurring payments", recurring, "en",
			"Recurring payments; To: Gym; Account of the payee: DE02 1001 0010 9307 1186 03; From your account: GB33 BUKB 2020 1555 5555 55; Each payment at most: 30.00 EUR; Each month at most: 60.00 EUR; " +
				"Number of payments at most: 12; From: 1 January 2027; Until: 31 December 2027"},
		{"funds", with(t, funds, "locations", ""), "en", "Confirmation of funds; Account: DE02 1001 0010 9307 1186 03; For amounts up to: 1.234 BHD; Until: 31 March 2027"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			details, err := r.Parse([]byte("["+tc.detail+"]"), r.Types())
			require.NoError(t, err)
			d := details[0].Describe(tc.language)
			lines := []string{d.Title}
			for _, f := range d.Fields {
				lines = append(lines, f.Label+": "+f.Value)
			}
			require.Equal(t, tc.want, strings.Join(lines, "; "))
		})
	}
}

func TestCurrencies(t *testing.T) {
	r := newRegistry(t)
	for code, decimals := range map[string]int{"EUR": 2, "USD": 2, "JPY": 0, "CLP": 0, "BHD": 3, "TND": 3, "XCG": 2, "SLE": 2, "XXX": -1, "XTS": -1, "XAU": -1, "HRK": -1, "AAA": -1} {
		for n, amount := range []string{"1", "1.5", "1.55", "1.555"} {
			_, err := r.Parse([]byte("["+with(t, payment, "instructedAmount", fmt.Sprintf(`{"currency":%q,"amount":%q}`, code, amount))+"]"), r.Types())
			if n <= decimals {
				require.NoError(t, err, "%s %s", amount, code)
				continue
			}
			require.ErrorIs(t, err, rar.ErrFieldValue, "%s %s", amount, code)
		}
	}
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
