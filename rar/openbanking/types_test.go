package openbanking_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
)

func newRegistry(t testing.TB) *rar.Registry {
	r, err := openbanking.NewRegistry(nil)
	require.NoError(t, err)
	return r
}

func TestNewRegistry(t *testing.T) {
	_, err := openbanking.NewRegistry(map[string]string{"payments": "payments"})
	require.ErrorContains(t, err, "payments", "a scope for an unknown type")
	_, err = openbanking.NewRegistry(map[string]string{openbanking.PaymentType: "two scopes"})
	require.Error(t, err)
	r, err := openbanking.NewRegistry(map[string]string{openbanking.PaymentType: "payments"})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{
		openbanking.AccountInformationType, openbanking.PaymentType,
		openbanking.RecurringPaymentType, openbanking.FundsConfirmationType,
	}, r.Types())
	details, err := r.Parse([]byte("["+payment+","+funds+"]"), r.Types())
	require.NoError(t, err)
	require.Equal(t, []string{"payments"}, details.Scopes())
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
