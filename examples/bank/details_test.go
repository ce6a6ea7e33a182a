package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/rar/openbanking"
)

const (
	order = `{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"12.34"},"creditorName":"ACME","creditorAccount":{"iban":"DE02100100109307118603"}}`
	// These are the example of RFC 9396 §2 without its location, and the
	// shortest payment.
	exampleOrder = `{"type":"payment_initiation","actions":["initiate","status","cancel"],"instructedAmount":{"currency":"EUR","amount":"123.50"},
		"creditorName":"Merchant A","creditorAccount":{"bic":"ABCIDEFFXXX","iban":"DE02100100109307118603"},"remittanceInformationUnstructured":"Ref Number Merchant"}`
	shortOrder  = `{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"12.34"},"creditorName":"ACME"}`
	information = `{"type":"account_information","actions":["list_accounts","read_balances","read_transactions"]}`
)

// details adds authorization details to a request, and the scope that goes with
// payments.
func details(all ...string) func(*request) {
	return func(r *request) {
		r.with("authorization_details", "["+strings.Join(all, ",")+"]")
		if strings.Contains(r.form.Get("authorization_details"), `"payment_initiation"`) {
			r.with("scope", r.form.Get("scope")+" payments")
		}
	}
}

func (p *party) pay(token, body string) reply {
	p.w.t.Helper()
	r := p.call(http.MethodPost, "/payments", token)
	r.json = body
	return r.do()
}

func TestAPaymentIsMadeAsItWasGranted(t *testing.T) {
	for _, format := range []string{"jwt", "opaque"} {
		w := newWorld(t, with("access_token", format))
		for _, p := range w.all() {
			for _, order := range []string{order, exampleOrder, shortOrder} {
				tokens := p.tokens(details(order), param("scope", "payments"), param("nonce", ""))
				granted, err := json.Marshal(tokens["authorization_details"])
				require.NoError(t, err)
				require.JSONEq(t, "["+order+"]", string(granted))
				token := tokens["access_token"].(string)
				first := p.pay(token, order).ok(http.StatusCreated)
				again := p.pay(token, order).ok(http.StatusConflict)
				require.Equal(t, first.str("payment_id"), again.str("payment_id"), "whoever asks twice pays once")
				said := p.w.rs.post("/introspect", url.Values{"token": {token}}).do().json()
				require.NotEmpty(t, said["authorization_details"])
			}
		}
	}
}

func TestNoOtherPaymentIsMade(t *testing.T) {
	w := newWorld(t)
	token := w.one.accessToken(details(order))
	for name, body := range map[string]string{
		"more":            strings.Replace(order, "12.34", "12.35", 1),
		"less":            strings.Replace(order, "12.34", "1", 1),
		"another money":   strings.Replace(order, "EUR", "CHF", 1),
		"another payee":   strings.Replace(order, "ACME", "Mallory", 1),
		"another account": strings.Replace(order, "DE02100100109307118603", "GB33BUKB20201555555555", 1),
		"no account":      shortOrder,
	} {
		got := w.one.pay(token, body).ok(http.StatusForbidden)
		require.Contains(t, got.header.Get("WWW-Authenticate"), `error="insufficient_scope"`, name)
	}
	for name, body := range map[string]string{
		"nothing": "", "no JSON": "{", "two": "[" + order + "," + order + "]", "a number": strings.Replace(order, `"12.34"`, "12.34", 1),
		"a member twice": strings.Replace(order, `"creditorName"`, `"creditorName":"x","creditorName"`, 1), "another type": information,
		"a member that nobody knows": strings.Replace(order, `"creditorName"`, `"urgent":true,"creditorName"`, 1), "too much": `{"x":"` + strings.Repeat("a", 1<<16) + `"}`,
	} {
		got := w.one.pay(token, body)
		require.GreaterOrEqual(t, got.status, 400, name)
		require.Less(t, got.status, 500, name)
	}
	w.one.pay(w.one.accessToken(param("scope", "openid accounts payments")), order).ok(http.StatusForbidden) // no detail
	w.one.pay(token, strings.Replace(order, `"type":"payment_initiation",`, "", 1)).ok(http.StatusCreated)
	method := w.one.call(http.MethodGet, "/payments", token).do()
	require.Equal(t, http.StatusMethodNotAllowed, method.status)
}

func TestDetailsThatAreRefused(t *testing.T) {
	w := newWorld(t, registration(object{"authorization_details_types": []string{"account_information"}}, "two"))
	for name, value := range map[string]string{
		"no array": order, "no object": `["x"]`, "null": "null", "an unknown type": `[{"type":"admin"}]`, "no type": `[{}]`, "Type": `[{"Type":"payment_initiation"}]`,
		"a member twice": "[" + strings.Replace(order, `"amount"`, `"amount":"1","amount"`, 1) + "]", "a second array": "[" + order + "][]",
		"an unknown member": "[" + strings.Replace(order, `"creditorName"`, `"urgent":true,"creditorName"`, 1) + "]",
	} {
		got := w.one.push().with("authorization_details", value).do()
		require.Equal(t, http.StatusBadRequest, got.status, name)
		got.refused(http.StatusBadRequest, "invalid_authorization_details")
	}
	w.two.push().with("authorization_details", "["+order+"]").do().refused(http.StatusBadRequest, "invalid_authorization_details")
	refresh := w.one.tokens(details(order))["refresh_token"].(string)
	wider := strings.Replace(order, "12.34", "99", 1)
	w.one.refresh(refresh).with("authorization_details", "["+wider+"]").do().refused(http.StatusBadRequest, "invalid_authorization_details")
	w.one.refresh(refresh).with("authorization_details", "["+order+"]").do().ok(http.StatusOK)
}

func TestAPersonSeesWhatIsAskedFor(t *testing.T) {
	w := people(t)
	consent := func(all ...string) (*browser, reply) {
		b := w.newBrowser()
		return b, b.logIn(b.open(w.one.front(w.one.pushed(details(all...), param("scope", "payments")))), "alice", "correct horse").ok(http.StatusOK)
	}
	granted := func(to *url.URL) []any {
		if to.Query().Get("error") == "access_denied" {
			return nil
		}
		all, _ := w.one.redeem(to.Query().Get("code")).do().ok(http.StatusOK).json()["authorization_details"].([]any)
		return all
	}
	second := strings.Replace(strings.Replace(order, "12.34", "99.00", 1), "ACME", "Other", 1)
	t.Run("in words, each with a choice", func(t *testing.T) {
		b, page := consent(order, second)
		for _, text := range []string{"Payment", "12.34", "EUR", "ACME", "DE02 1001 0010 9307 1186 03", "99.00", "Other", "Current account"} {
			require.Contains(t, string(page.body), text)
		}
		_, fields := page.form("approve")
		require.Equal(t, []string{"0", "1"}, fields["detail"])
		all := granted(b.press(page, "approve", url.Values{"detail": {"1"}}).location())
		require.Len(t, all, 1)
		require.Equal(t, "Other", all[0].(object)["creditorName"])
	})
	t.Run("with an account of the user's choice", func(t *testing.T) {
		b, page := consent(order)
		savings := string(accountsOf("alice")[1].IBAN)
		to := b.press(page, "approve", url.Values{"account-0": {savings}}).location()
		tokens := w.one.redeem(to.Query().Get("code")).do().ok(http.StatusOK).json()
		detail := tokens["authorization_details"].([]any)[0].(object)
		require.Equal(t, savings, detail["debtorAccount"].(object)["iban"])
		w.one.pay(tokens["access_token"].(string), order).ok(http.StatusCreated) // the client need not repeat what the user has chosen
	})
	t.Run("but not somebody else's", func(t *testing.T) {
		b, page := consent(order)
		require.Empty(t, granted(b.press(page, "approve", url.Values{"account-0": {string(accountsOf("bob")[0].IBAN)}}).location()))
		foreign := strings.Replace(order, `"creditorName"`, `"debtorAccount":{"iban":"`+string(accountsOf("bob")[0].IBAN)+`"},"creditorName"`, 1)
		b, page = consent(foreign)
		require.Contains(t, string(page.body), "not yours")
		require.Empty(t, granted(b.press(page, "approve", url.Values{"detail": {"0"}}).location()))
	})
	t.Run("of account information", func(t *testing.T) {
		b, page := consent(information)
		_, fields := page.form("approve")
		require.Len(t, fields["account-0"], 2)
		to := b.press(page, "approve", url.Values{"account-0": {fields["account-0"][1]}, "scope": nil}).location()
		token := w.one.redeem(to.Query().Get("code")).do().ok(http.StatusOK).str("access_token")
		accounts := w.one.call(http.MethodGet, "/accounts", token).do().ok(http.StatusOK).json()["accounts"].([]any)
		require.Len(t, accounts, 1)
		require.Equal(t, fields["account-0"][1], accounts[0].(object)["iban"])
	})
	t.Run("escaped", func(t *testing.T) {
		_, page := consent(strings.Replace(order, "ACME", "<script>alert(1)</script>", 1))
		require.NotContains(t, string(page.body), "<script>")
	})
}

func TestAccountNumbersAreValid(t *testing.T) {
	r, err := newRegistry(nil)
	require.NoError(t, err)
	for _, user := range []string{"alice", "bob", "x"} {
		for _, a := range accountsOf(user) {
			_, err := r.New(openbanking.AccountInformationType, openbanking.AccountInformation{
				Actions: []openbanking.Permission{openbanking.ListAccounts}, Accounts: []openbanking.Account{{IBAN: a.IBAN}},
			})
			require.NoError(t, err)
		}
	}
}

func TestAccountInformationThatHasEnded(t *testing.T) {
	w := newWorld(t)
	until := func(day time.Time) string {
		return strings.Replace(information, `"actions"`, `"validUntil":"`+day.Format("2006-01-02")+`","actions"`, 1)
	}
	get := func(detail string) int {
		token := w.one.accessToken(details(detail), param("scope", "openid"))
		return w.one.call(http.MethodGet, "/accounts", token).do().status
	}
	require.Equal(t, http.StatusOK, get(until(w.now())))
	require.Equal(t, http.StatusForbidden, get(until(w.now().AddDate(0, 0, -2))))
	require.Equal(t, http.StatusForbidden, get(strings.Replace(information, `"list_accounts",`, "", 1)))
}

func TestGrants(t *testing.T) {
	for _, format := range []string{"jwt", "opaque"} {
		w := newWorld(t, with("access_token", format))
		for _, p := range []*party{w.one, w.tlsOne} {
			tokens := p.tokens(param("grant_management_action", "create"), param("scope", "accounts"), details(order), param("nonce", ""))
			id := tokens["grant_id"].(string)
			answer := p.grant(http.MethodGet, id).do().ok(http.StatusOK).json()
			require.Equal(t, "accounts payments", answer["scopes"].([]any)[0].(object)["scope"])
			require.Len(t, answer["authorization_details"], 1)
			require.Contains(t, []int{http.StatusForbidden, http.StatusNotFound}, w.two.grant(http.MethodGet, id).do().status)
			merged := p.tokens(param("grant_management_action", "merge"), param("grant_id", id), param("scope", "payments"), param("nonce", ""))
			require.Equal(t, id, merged["grant_id"])
			require.ElementsMatch(t, []string{"accounts", "payments"}, strings.Fields(merged["scope"].(string)))
			p.refresh(tokens["refresh_token"].(string)).do().refused(http.StatusBadRequest, "invalid_grant")
			p.grant(http.MethodDelete, id).do().ok(http.StatusNoContent)
			p.refresh(merged["refresh_token"].(string)).do().refused(http.StatusBadRequest, "invalid_grant")
			require.Equal(t, http.StatusUnauthorized, p.call(http.MethodGet, "/accounts", merged["access_token"].(string)).do().status)
			require.Equal(t, http.StatusNotFound, p.grant(http.MethodGet, id).do().status)
		}
		w.one.push().with("grant_id", "x").do().refused(http.StatusBadRequest, "invalid_request")
		w.one.push().with("grant_management_action", "merge").with("grant_id", strings.Repeat("A", 43)).do().refused(http.StatusBadRequest, "invalid_grant_id")
	}
}

func TestConnectedApplications(t *testing.T) {
	w := people(t)
	b := w.newBrowser()
	grant := func(p *party, changes ...func(*request)) object {
		page := b.open(p.front(p.pushed(changes...)))
		if strings.Contains(string(page.body), `id="password"`) {
			page = b.logIn(page, "alice", "correct horse")
		}
		return p.redeem(b.approve(page).Query().Get("code")).do().ok(http.StatusOK).json()
	}
	plain := grant(w.one, param("scope", "openid accounts"))
	managed := grant(w.tlsOne, param("grant_management_action", "create"), details(order))
	list := func() string { return string(b.open(w.issuer + "/apps").ok(http.StatusOK).body) }
	for _, text := range []string{"Application one", "Application tls-one", "See your accounts", "12.34", "ACME"} {
		require.Contains(t, list(), text)
	}
	t.Run("a merge shows what there is", func(t *testing.T) {
		page := b.open(w.tlsOne.front(w.tlsOne.pushed(param("grant_management_action", "merge"), param("grant_id", managed["grant_id"].(string)), param("scope", "payments"))))
		require.Contains(t, string(page.body), "This adds to what you have already allowed")
		require.Contains(t, string(page.body), "ACME")
		managed = w.tlsOne.redeem(b.approve(page).Query().Get("code")).do().ok(http.StatusOK).json()
		require.Equal(t, 1, strings.Count(list(), "ACME"), "the payment and its scope are one permission")
	})
	t.Run("another user's grant cannot be changed", func(t *testing.T) {
		other := w.newBrowser()
		page := other.open(w.tlsOne.front(w.tlsOne.pushed(param("grant_management_action", "merge"), param("grant_id", managed["grant_id"].(string)))))
		require.Equal(t, "invalid_grant_id", other.logIn(page, "bob", "battery staple").location().Query().Get("error"))
		require.Contains(t, string(other.open(w.issuer+"/apps").body), "No application")
	})
	t.Run("end when the user says so", func(t *testing.T) {
		works := func(p *party, tokens object) bool {
			return p.refresh(tokens["refresh_token"].(string)).do().status == http.StatusOK
		}
		require.True(t, works(w.one, plain) && works(w.tlsOne, managed))
		page := b.open(w.issuer + "/apps")
		b.site = "cross-site"
		b.press(page, "revoke-0", nil).refusedPage("form_not_from_here")
		b.site = "same-origin"
		confirm := b.press(page, "revoke-0", nil).ok(http.StatusOK) // the latest first
		require.Contains(t, string(confirm.body), "<h1>End the access of Application tls-one?</h1>", "CASES E9")
		require.True(t, works(w.tlsOne, managed), "CASES E9: nothing ends before it is confirmed")
		page = b.press(confirm, "confirm", nil).ok(http.StatusOK)
		require.Contains(t, string(page.body), `role="status" id="ended">The access of Application tls-one has ended.`, "CASES E9")
		require.NotContains(t, string(page.body), "<h2>Application tls-one")
		require.True(t, works(w.one, plain) && !works(w.tlsOne, managed))
		require.Equal(t, http.StatusUnauthorized, w.tlsOne.call(http.MethodGet, "/accounts", managed["access_token"].(string)).do().status)
		b.press(b.press(page, "revoke-0", nil), "confirm", nil)
		require.False(t, works(w.one, plain))
		require.Equal(t, http.StatusUnauthorized, w.one.call(http.MethodGet, "/accounts", plain["access_token"].(string)).do().status)
		require.Contains(t, list(), "No application")
	})
	t.Run("are gone when the client gives them back", func(t *testing.T) {
		plain := grant(w.one)
		require.Contains(t, list(), "Application one")
		w.one.post("/revoke", url.Values{"token": {plain["refresh_token"].(string)}}).do().ok(http.StatusOK)
		require.NotContains(t, list(), "Application one")
		managed := grant(w.tlsOne, param("grant_management_action", "create"))
		w.tlsOne.grant(http.MethodDelete, managed["grant_id"].(string)).do().ok(http.StatusNoContent)
		require.NotContains(t, list(), "tls-one")
	})
	t.Run("CASES E9: a payment that was made is done", func(t *testing.T) {
		paying := grant(w.one, param("scope", "openid"), details(order))
		require.Contains(t, list(), "<h2>Application one</h2>")
		w.one.pay(paying["access_token"].(string), order).ok(http.StatusCreated)
		require.Contains(t, list(), "No application")
		for _, text := range []string{"<h3>12.34 EUR to ACME</h3>", "Done. Made by Application one on "} {
			require.Contains(t, list(), text)
		}
	})
	t.Run("cannot be ended by somebody else", func(t *testing.T) {
		plain := grant(w.one)
		_, fields := b.open(w.issuer + "/apps").form("revoke-0")
		other := w.newBrowser()
		other.logIn(other.open(w.issuer+"/apps"), "bob", "battery staple")
		other.post("/apps/revoke", fields).refusedPage("form_not_from_here")
		w.one.refresh(plain["refresh_token"].(string)).do().ok(http.StatusOK)
	})
}

func TestDetailsThatMeanNothingToTheBank(t *testing.T) {
	const detail = `{"type":"urn:example:tax","actions":["file"],"years":[2025,{"quarter":1}],"note":"<b>x</b>"}`
	types := registration(object{"authorization_details_types": []string{"urn:example:tax", "payment_initiation"}}, "one")
	w := newWorld(t, types)
	tokens := w.one.tokens(details(detail))
	granted, err := json.Marshal(tokens["authorization_details"])
	require.NoError(t, err)
	require.JSONEq(t, "["+detail+"]", string(granted))
	w.one.pay(tokens["access_token"].(string), order).ok(http.StatusForbidden)
	w.two.push().with("authorization_details", "["+detail+"]").do().refused(http.StatusBadRequest, "invalid_authorization_details")

	w = newWorld(t, types, with("auto_approve", nil))
	b := w.newBrowser()
	page := b.logIn(b.open(w.one.front(w.one.pushed(details(detail)))), "alice", "correct horse").ok(http.StatusOK)
	for _, text := range []string{"urn:example:tax", "file", "2025", "quarter", "&lt;b&gt;x&lt;/b&gt;"} {
		require.Contains(t, string(page.body), text)
	}
	require.NotContains(t, string(page.body), "account-0", "there is no account to choose")
	tokens = w.one.redeem(b.approve(page).Query().Get("code")).do().ok(http.StatusOK).json()
	require.Len(t, tokens["authorization_details"], 1)
}
