package main

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// newBanks returns banks of different kinds and the first one's application,
// which is a client of all. Its configuration lists them.
func newBanks(t *testing.T) []*world {
	var banks []*world
	var list []any
	for i, c := range []combination{
		{auth: "private_key_jwt", grants: true}, {auth: "tls_client_auth", mtls: true, advanced: true}, {auth: "private_key_jwt", nonces: true},
	} {
		if i == 0 {
			banks = append(banks, newWorld(t, c))
		} else {
			banks = append(banks, newBank(t, c, banks[0].app))
		}
		its := maps.Clone(banks[i].settings)
		its["name"] = fmt.Sprintf("Bank %d", i+1)
		delete(its, "redirect_uri")
		delete(its, "scope")
		for name, value := range its {
			if strings.HasSuffix(name, "_file") {
				its[name] = filepath.Join(banks[i].dir, value.(string))
			}
		}
		list = append(list, its)
	}
	banks[0].settings = map[string]any{"redirect_uri": banks[0].settings["redirect_uri"], "banks": list}
	return banks
}

// at returns a form for a bank.
func (w *world) at(form url.Values) url.Values {
	form = maps.Clone(form)
	if form == nil {
		form = url.Values{}
	}
	form.Set("bank", w.as.URL)
	return form
}

func (w *world) restart() {
	require.NoError(w.t, w.kept.Close())
	w.pages = w.again()
}

// requireAccounts requires that a page shows the accounts at these banks.
func requireAccounts(t *testing.T, page shown, numbers ...int) {
	t.Helper()
	require.Equal(t, "/accounts", page.path)
	require.Equal(t, http.StatusOK, page.status)
	for i := 1; i <= 3; i++ {
		heading := fmt.Sprintf("<h2>Bank %d</h2>", i)
		if strings.Contains(fmt.Sprint(numbers), fmt.Sprint(i)) {
			require.Contains(t, page.text, heading)
		} else {
			require.NotContains(t, page.text, heading)
		}
	}
	require.Equal(t, len(numbers), strings.Count(page.text, "<h3>Checking"), page.text)
}

func TestThreeBanks(t *testing.T) {
	banks := newBanks(t)
	one, two, three := banks[0], banks[1], banks[2]
	three.setDown(true)
	b := one.servePages("offline_access")
	requireAccounts(t, b.post("/connect", one.at(nil)), 1)
	requireAccounts(t, b.post("/connect", two.at(nil)), 1, 2)
	page := b.post("/connect", three.at(nil))
	require.Equal(t, http.StatusBadGateway, page.status)
	require.Contains(t, page.text, `<code id="stage">`+stageDiscovery+`</code>`)
	require.Contains(t, b.get("/payment").text, `<option value="`+two.as.URL+`">Bank 2</option>`)

	three.setDown(false)
	require.Eventually(t, func() bool { page = b.post("/connect", three.at(nil)); return page.status == http.StatusOK },
		20*time.Second, 100*time.Millisecond, "the bank is back")
	requireAccounts(t, page, 1, 2, 3)

	require.NoError(t, one.kept.Close())
	two.rotate()
	one.pages = one.again()
	before := two.count("/token")
	requireAccounts(t, b.get("/accounts"), 1, 2, 3)
	require.Equal(t, before+1, two.count("/token"), "the API rejects the old key")
	requireAccounts(t, b.post("/connect", two.at(nil)), 1, 2, 3)
	for i, bank := range banks {
		bank.rotate()
		page := b.post("/payment", bank.at(order))
		require.Contains(t, page.text, fmt.Sprintf("<h2>12.50 EUR to Blumen Meyer</h2>\n<p>Bank %d</p>", i+1))
		require.Equal(t, i+1, strings.Count(page.text, `<strong class="good">Paid</strong>`))
		one.restart()
	}
	require.Contains(t, b.get("/grants").text, "<p>Bank 1</p>\n\n<p>We may:</p>", "it manages grants")
	require.Equal(t, 3, strings.Count(b.get("/").text, "Disconnect the bank<span"))
}

func TestABankThatIsDownHidesNoOther(t *testing.T) {
	banks := newBanks(t)
	one, two := banks[0], banks[1]
	b := one.servePages("offline_access")
	for _, bank := range banks {
		b.post("/connect", bank.at(nil))
	}
	for _, restarted := range []bool{false, true} {
		two.setDown(true)
		if restarted {
			one.restart()
		}
		page := b.get("/accounts")
		require.Equal(t, http.StatusOK, page.status)
		require.Contains(t, page.text, "<h2>Bank 2</h2>\n<p class=\"problem\">The bank cannot show your accounts at the moment.")
		require.Equal(t, 2, strings.Count(page.text, "<h3>Checking"))
		require.Contains(t, b.get("/grants").text, "see your accounts")
		require.Equal(t, "/payments", b.post("/payment", banks[2].at(order)).path)
		two.setDown(false)
		require.Eventually(t, func() bool { return strings.Count(b.get("/accounts").text, "<h3>Checking") == 3 }, 20*time.Second, 100*time.Millisecond)
	}
	two.setDown(true)
	one.restart()
	require.Eventually(t, func() bool { return strings.Contains(b.get("/").text, "This bank does not respond") }, 20*time.Second, 100*time.Millisecond)
	require.NotRegexp(t, `eyJ|code=|state=|request_uri`, one.log.String(), "no secrets in the log")
}

func TestOneOfTwoBanksIsDisconnected(t *testing.T) {
	banks := newBanks(t)
	b := banks[0].servePages("offline_access")
	for _, bank := range banks {
		b.post("/connect", bank.at(nil))
	}
	b.post("/disconnect", banks[2].at(nil))
	require.Equal(t, 1, banks[2].count("/revoke"))
	requireAccounts(t, b.get("/accounts"), 1, 2)
	b.post("/disconnect", nil)
	require.Equal(t, "/", b.get("/accounts").path)
	require.Equal(t, 1, banks[1].count("/revoke"))
	require.Equal(t, 1, banks[2].count("/revoke"))
}

func TestAnotherUserAtOneBankBeginsAnew(t *testing.T) {
	banks := newBanks(t)
	b := banks[0].servePages("offline_access")
	banks[1].user = "alice at the second bank"
	b.post("/connect", banks[0].at(nil))
	requireAccounts(t, b.post("/connect", banks[1].at(nil)), 1, 2)
	banks[1].user = "bob"
	page := b.post("/connect", banks[1].at(nil))
	requireAccounts(t, page, 2)
	require.Contains(t, page.text, "bob")
	require.Contains(t, b.get("/").text, "</strong> for bob</p>")
}

func TestBanksAreNotMixedUp(t *testing.T) {
	banks := newBanks(t)
	one, two := banks[0], banks[1]
	b := one.servePages()
	for name, tc := range map[string]struct {
		at     *world
		change func(q url.Values)
	}{
		"attack: the response of another bank": {one, func(q url.Values) { q.Set("iss", banks[2].as.URL) }},
		"attack: an unsigned response in the name of a bank that signs": {two, func(q url.Values) {
			q.Del("response")
			q.Set("code", "c")
			q.Set("iss", one.as.URL)
		}},
		"attack: a state that no session has": {one, func(q url.Values) { q.Set("state", "s") }},
	} {
		tc.at.changeCallback(tc.change)
		require.Equal(t, http.StatusBadRequest, b.post("/connect", tc.at.at(nil)).status, name)
		tc.at.tamper("/authorize", nil)
	}
	for name, form := range map[string]url.Values{
		"attack: a bank that the configuration does not have": {"bank": {"https://evil.example"}}, "no bank": nil,
	} {
		page := b.post("/connect", form)
		require.Equal(t, http.StatusBadRequest, page.status, name)
		require.Contains(t, page.text, "We do not know this bank", name)
	}
	for _, bank := range banks {
		require.Zero(t, bank.count("/token"), "no bank receives a code")
	}
}

func TestFormsMayLeadToEachBank(t *testing.T) {
	banks := newBanks(t)
	banks[2].setDown(true)
	policy := banks[0].servePages().get("/").header.Get("Content-Security-Policy")
	for _, bank := range banks {
		require.Contains(t, policy, " "+bank.as.URL)
	}
}

func TestBadConfigurationOfSeveralBanks(t *testing.T) {
	banks := newBanks(t)
	w := banks[0]
	good := w.settings["banks"].([]any)
	changed := func(name string, value any) []any {
		second := maps.Clone(good[1].(map[string]any))
		second[name] = value
		return []any{good[0], second}
	}
	for name, tc := range map[string]struct {
		member string
		value  any
		want   string
	}{
		"no bank":                       {"banks", []any{}, "banks: empty"},
		"an object":                     {"banks", good[0], "banks is an object"},
		"an issuer beside them":         {"issuer", w.as.URL, "banks: beside name, issuer or resource_url"},
		"one issuer twice":              {"banks", []any{good[0], good[0]}, "banks[1].issuer: "},
		"an unknown member":             {"banks", changed("client_secret", "x"), "banks[1].client_secret is unknown"},
		"a member of all banks":         {"banks", changed("redirect_uri", "https://localhost/"), "banks[1].redirect_uri is unknown"},
		"a member of another type":      {"banks", changed("client_id", 7), "banks[1].client_id is a number"},
		"no issuer":                     {"banks", changed("issuer", ""), "banks[1].issuer: "},
		"an API by http":                {"banks", changed("resource_url", "http://localhost/"), "banks[1].resource_url: "},
		"a certificate that is missing": {"banks", changed("tls_cert_file", "no.pem"), "banks[1].tls_cert_file: "},
	} {
		t.Run(name, func(t *testing.T) {
			before := maps.Clone(w.settings)
			w.settings[tc.member] = tc.value
			_, err := loadConfig(w.configFile())
			require.ErrorContains(t, err, tc.want)
			w.settings = before
		})
	}
	var stdout, stderr bytes.Buffer
	require.Equal(t, 2, run(t.Context(), []string{"-once", "-config", w.configFile()}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "-once is for one bank")
}

func TestABankHasTheMembersOfTheFile(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt"})
	w.settings["authorization_details"] = []any{map[string]any{"type": "account_information"}}
	own := map[string]any{"issuer": "https://bank.example", "resource_url": "https://api.example/accounts", "client_id": "other", "openid": false, "authorization_details": []any{}}
	w.settings["banks"] = []any{map[string]any{"issuer": w.as.URL, "resource_url": w.settings["resource_url"]}, own}
	delete(w.settings, "issuer")
	delete(w.settings, "resource_url")
	c, err := loadConfig(w.configFile())
	require.NoError(t, err)
	first, second := c.banks[0], c.banks[1]
	require.Equal(t, []string{"fintech", "other"}, []string{first.ClientID, second.ClientID})
	require.Equal(t, []string{"openid", "accounts"}, first.scopes())
	require.Equal(t, []string{"accounts"}, second.scopes())
	require.JSONEq(t, `[{"type":"account_information"}]`, string(first.details))
	require.JSONEq(t, `[]`, string(second.details))
	require.Equal(t, first.key, second.key)
	require.Equal(t, "bank.example", second.Name)
	require.Equal(t, "https://api.example/payments", second.resource("payments"))
}
