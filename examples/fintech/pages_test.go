package main

import (
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/stretchr/testify/require"
)

// A browser is one with cookies, in front of a person.
type browser struct {
	*testing.T
	http     *http.Client
	base     string
	language string // Accept-Language
}

// servePages starts the application.
func (w *world) servePages(more ...string) *browser {
	w.settings["scope"] = strings.Join(append([]string{"openid accounts payments"}, more...), " ")
	c, err := loadConfig(w.configFile())
	require.NoError(w.t, err)
	require.NoError(w.t, c.checkPages())
	w.pages = w.newInstance(c)
	return w.newBrowser()
}

// newInstance starts an instance of the application on its store.
func (w *world) newInstance(c *config) http.Handler {
	around := surroundings{log: slog.New(slog.NewTextHandler(&w.log, nil))}
	var err error
	w.kept, err = openStore(w.t.Context(), c, around)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { w.kept.Close() })
	c.tokens, c.shared = w.kept.tokens(around.log), w.kept.isShared()
	a, err := newApp(c, w.kept, around)
	require.NoError(w.t, err)
	require.NoError(w.t, a.discover(w.t.Context()))
	return a.handler()
}

func (w *world) newBrowser() *browser {
	own := *w.app.Client() // every server here has the certificate of httptest
	own.Jar, _ = cookiejar.New(nil)
	return &browser{T: w.t, http: &own, base: w.app.URL}
}

// A shown is a page.
type shown struct {
	status int
	path   string
	text   string
	header http.Header
}

func (b *browser) do(method, path string, form url.Values, site string) shown {
	r, err := http.NewRequestWithContext(b.Context(), method, b.base+path, strings.NewReader(form.Encode()))
	require.NoError(b, err)
	r.Header.Set("Accept-Language", b.language)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", site)
	}
	response, err := b.http.Do(r)
	require.NoError(b, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(b, err)
	require.NotContains(b, string(text), "<script")
	return shown{response.StatusCode, response.Request.URL.Path, string(text), response.Header}
}

func (b *browser) get(path string) shown { return b.do(http.MethodGet, path, nil, "") }

func (b *browser) post(path string, form url.Values) shown {
	return b.do(http.MethodPost, path, form, "same-origin")
}

func TestPagesShowTheAccounts(t *testing.T) {
	for _, c := range []combination{{auth: "private_key_jwt"}, {auth: "tls_client_auth", mtls: true, advanced: true}, {auth: "private_key_jwt", nonces: true}} {
		w := newWorld(t, c)
		b := w.servePages()
		page := b.get("/")
		require.Equal(t, http.StatusOK, page.status)
		require.Contains(t, page.text, "Connect your bank")
		require.Equal(t, "/", b.get("/accounts").path, "first the bank is connected")

		var asked []string
		w.interact = func(rw http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
			asked = a.Scopes()
			w.approve(rw, r, a)
		}
		page = b.post("/connect", nil)
		require.Equal(t, http.StatusOK, page.status, page.text)
		require.Equal(t, "/accounts", page.path)
		require.ElementsMatch(t, []string{"openid", "accounts"}, asked, "no more than is shown")
		require.Contains(t, page.text, "Checking &lt;&amp;&gt;")
		require.Contains(t, page.text, "alice")
		require.Contains(t, b.get("/").text, "Disconnect")
		require.Contains(t, w.newBrowser().get("/").text, "Connect your bank", "another browser sees nothing of it")

		page = b.post("/disconnect", nil)
		require.Equal(t, "/", page.path)
		require.Contains(t, page.text, "Connect your bank")
		require.Equal(t, "/", b.get("/accounts").path)
		require.NotRegexp(t, regexp.MustCompile(`eyJ|code=|state=|request_uri`), w.log.String(), "no secrets in the log")
	}
}

var order = url.Values{"payee": {"Blumen Meyer"}, "iban": {"de89 3704 0044 0532 0130 00"}, "amount": {"12,5"}, "reference": {"Roses"}}

func TestPagesMakeAPayment(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt", nonces: true})
	b := w.servePages()
	require.Contains(t, b.get("/payment").text, `name="amount"`)
	page := b.post("/payment", order)
	require.Equal(t, http.StatusOK, page.status, page.text)
	require.Equal(t, "/payments", page.path)
	for _, want := range []string{
		"12.5", "Blumen Meyer", "DE89 3704 0044 0532 0130 00", "Roses", "GB33 BUKB 2020 1555 5555 55", // what the bank has put down
		"accepted: ", "&#34;type&#34;:&#34;payment_initiation&#34;", "&#34;debtorAccount&#34;", // what was sent to the API
	} {
		require.Contains(t, page.text, want)
	}
	paid := w.count("/payments")
	require.Equal(t, "/payments", b.get("/payments").path)
	require.Equal(t, paid+1, w.count("/payments"), "that is the page: a reload pays nothing")
	require.NotContains(t, w.log.String(), "DE89")
}

func TestPagesPayNothingElse(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt"})
	b := w.servePages()
	for name, change := range map[string]func(map[string]any){
		"another amount":      func(d map[string]any) { d["instructedAmount"].(map[string]any)["amount"] = "1250.00" },
		"another payee":       func(d map[string]any) { d["creditorAccount"].(map[string]any)["iban"] = "GB33BUKB20201555555555" },
		"an unknown type":     func(d map[string]any) { d["type"] = "gift" },
		"a member of its own": func(d map[string]any) { d["fee"] = "1.00" },
	} {
		w.tampers["/token"] = edit(func(m map[string]any) { change(m["authorization_details"].([]any)[0].(map[string]any)) })
		page := b.post("/payment", order)
		require.Equal(t, http.StatusBadGateway, page.status, name)
		require.Contains(t, page.text, "has not granted the payment")
	}
	for _, none := range []func(map[string]any){
		func(m map[string]any) { delete(m, "authorization_details") },
		func(m map[string]any) { m["authorization_details"] = []any{} },
	} {
		w.tampers["/token"] = edit(none)
		require.Equal(t, http.StatusForbidden, b.post("/payment", order).status, "the user has unticked it")
	}
	require.Equal(t, 6, w.count("/revoke"), "what cannot be used is given back")
	require.Zero(t, w.count("/payments"))
}

// narrowed approves a part of a request.
func (w *world) narrowed(scopes ...string) {
	w.interact = func(rw http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
		to, err := w.server.Approve(r.Context(), a, authserver.Approval{Subject: w.user, Scopes: scopes, AuthTime: time.Now()})
		require.NoError(w.t, err)
		to.ServeHTTP(rw, r)
	}
}

func TestAPartialConsentIsASentence(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt"})
	b := w.servePages("offline_access")
	w.narrowed("openid", "offline_access")
	page := b.post("/connect", nil)
	require.Equal(t, http.StatusForbidden, page.status)
	require.Equal(t, "/problem", page.path, "CASES A6")
	require.Contains(t, page.text, "You did not allow us to see your accounts", "CASES A6")
	require.NotContains(t, page.text, "insufficient_scope", "CASES A6")
	require.Equal(t, 1, w.count("/revoke"), "CASES A6: what is of no use is given back")
	require.Zero(t, w.count("/accounts"))

	w.narrowed("openid", "accounts")
	page = b.post("/connect", nil)
	require.Equal(t, "/accounts", page.path)
	require.Contains(t, page.text, "You allowed us to see your accounts for a few minutes", "CASES A6")
	w.interact = w.approve
	require.NotContains(t, b.post("/connect", nil).text, "for a few minutes")
}

func TestAPaymentOfUnknownOutcomeIsRepeatedUnderItsKey(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt"})
	b := w.servePages()
	var keys []string
	works := false
	w.tampers["/payments"] = func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("Authorization") == "" { // the page, not the API
			next.ServeHTTP(rw, r)
			return
		}
		if keys = append(keys, r.Header.Get("Idempotency-Key")); works {
			next.ServeHTTP(rw, r)
			return
		}
		rw.WriteHeader(http.StatusServiceUnavailable)
	}
	page := b.post("/payment", order)
	require.Equal(t, "/payments", page.path)
	require.Contains(t, page.text, "We do not know whether the payment was made")
	require.Zero(t, w.count("/revoke"))
	id := regexp.MustCompile(`name="id" value="([A-Z0-9]+)"`).FindStringSubmatch(page.text)[1]
	require.Contains(t, b.post("/payments/retry", url.Values{"id": {id}}).text, "We do not know whether the payment was made")
	works = true
	page = b.post("/payments/retry", url.Values{"id": {id}})
	require.Contains(t, page.text, `<strong class="good">Paid</strong>`)
	require.Contains(t, page.text, "12.50 EUR to Blumen Meyer")
	require.Equal(t, 1, w.count("/revoke"), "CASES E9: the permission is used up and given back")
	require.Len(t, keys, 3)
	require.NotEmpty(t, keys[0])
	require.Equal(t, []string{keys[0], keys[0]}, keys[1:], "one payment, one key")
	b.post("/payments/retry", url.Values{"id": {id}})
	require.Len(t, keys, 3, "it is done")
	b.post("/payment", order)
	require.NotEqual(t, keys[0], keys[3], "another payment")
}

func TestAllPagesInGerman(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt", grants: true})
	b := w.servePages()
	b.language = "de-DE,de;q=0.9"
	german := func(page shown, texts ...string) {
		t.Helper()
		require.Contains(t, page.text, `<html lang="de">`, "CASES E7")
		require.Equal(t, "Accept-Language", page.header.Get("Vary"))
		for _, text := range texts {
			require.Contains(t, page.text, text, "CASES E7")
		}
	}
	german(b.get("/"), "Bank verbinden", "Seiten")
	german(b.get("/payment"), "Jemanden bezahlen", "Betrag in Euro")
	german(b.post("/payment", url.Values{"amount": {"x"}}), "Es wurde nichts bezahlt.")
	german(b.get("/payments"), "Es gibt noch keine Zahlungen.")
	german(b.post("/connect", nil), "Ihre Konten")
	german(b.post("/payment", order), "12,50 EUR an Blumen Meyer", "Bezahlt", "Empfänger")
	german(b.get("/grants"), "Ihre Konten sehen", "Erlaubnis beenden")
	german(b.get("/nothing"), "Diese Seite gibt es nicht.")
	w.interact = w.deny
	german(b.post("/connect", nil), "nicht zugestimmt", "Für Entwickler")
}

func TestTextsAreComplete(t *testing.T) {
	used := map[string]bool{}
	files, err := filepath.Glob("pages/*.html")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	sources, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range append(files, sources...) {
		raw, err := os.ReadFile(name)
		require.NoError(t, err)
		if name == "texts.go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, match := range regexp.MustCompile(`"([a-z_]+(?:\.[a-z_]*[a-z])?)"`).FindAllStringSubmatch(string(raw), -1) {
			used[match[1]] = true
		}
		for _, match := range regexp.MustCompile(`\.T "([a-z_.]+)"`).FindAllStringSubmatch(string(raw), -1) {
			require.Contains(t, texts, match[1], "CASES E7")
		}
	}
	for key, both := range texts {
		require.NotEmpty(t, both[0], "CASES E7: %s", key)
		require.NotEmpty(t, both[1], "CASES E7: %s", key)
		require.Equal(t, strings.Count(both[0], "%s"), strings.Count(both[1], "%s"), "CASES E7: %s", key)
		require.True(t, used[key] || strings.HasPrefix(key, "scope."), "%s is not used", key)
	}
}

func TestThePaymentFormIsShownAgain(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt"})
	b := w.servePages()
	for _, tc := range []struct{ field, value string }{
		{"amount", "-1"}, {"amount", "0"}, {"amount", "1.234"}, {"amount", "1e3"}, {"amount", ""}, {"amount", "٣"}, {"amount", "1,000.00"},
		{"payee", ""}, {"payee", strings.Repeat("x", 141)}, {"iban", "DE88370400440532013000"}, {"iban", "DE89"}, {"iban", ""},
		{"reference", strings.Repeat("x", 141)},
	} {
		form := url.Values{}
		for name, values := range order {
			form[name] = values
		}
		form.Set(tc.field, tc.value)
		page := b.post("/payment", form)
		require.Equal(t, http.StatusUnprocessableEntity, page.status, "%v", tc)
		require.Regexp(t, `name="`+tc.field+`"[^>]* aria-invalid="true" aria-describedby="problem"`, page.text, "%v", tc)
		require.Equal(t, 1, strings.Count(page.text, "aria-invalid"))
		require.Contains(t, page.text, "Nothing was paid")
		require.Contains(t, page.text, `value="`+html.EscapeString(form.Get("amount"))+`"`, "what was typed is kept")
	}
	for name, form := range map[string]url.Values{
		"a form that is too long":       {"payee": {strings.Repeat("x", maxForm)}},
		"more text than can be carried": {"payee": {strings.Repeat("<", 140)}, "reference": {strings.Repeat("<", 140)}, "amount": {"1"}, "iban": order["iban"]},
	} {
		require.Equal(t, http.StatusUnprocessableEntity, b.post("/payment", form).status, name)
	}
	require.Zero(t, w.count("/par"))
}

func TestPagesShowWhatWasRefused(t *testing.T) {
	for _, tc := range []struct {
		name   string
		fault  func(w *world)
		status int
		stage  string
	}{
		{"the push", func(w *world) { w.tampers["/par"] = status(400, `{"error":"invalid_request"}`) }, 502, stagePAR},
		{"the user says no", func(w *world) { w.interact = w.deny }, 403, stageResponse},
		{"another iss", func(w *world) { w.changeCallback(func(q url.Values) { q.Set("iss", "https://evil.example") }) }, 400, stageResponse},
		{"the code", func(w *world) { w.tampers["/token"] = status(400, `{"error":"invalid_grant"}`) }, 502, stageToken},
		{"the ID token", func(w *world) { w.tampers["/token"] = edit(func(m map[string]any) { delete(m, "id_token") }) }, 502, stageIDToken},
		{"the API", func(w *world) { w.tampers["/accounts"] = tamperAPI }, 502, stageResource},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, combination{auth: "private_key_jwt"})
			b := w.servePages()
			tc.fault(w)
			page := b.post("/connect", nil)
			require.Equal(t, tc.status, page.status, page.text)
			require.NotEqual(t, "/callback", page.path, "CASES A6: no code stays in the address bar")
			require.Contains(t, page.text, `<code id="stage">`+tc.stage+`</code>`)
			require.Contains(t, w.log.String(), "stage="+tc.stage)
			require.NotRegexp(t, regexp.MustCompile(`eyJ|code=|state=|request_uri=`), w.log.String())
		})
	}
}

// tamperAPI lets the page of the same path through.
func tamperAPI(rw http.ResponseWriter, r *http.Request, next http.Handler) {
	if r.Header.Get("Authorization") == "" {
		next.ServeHTTP(rw, r)
		return
	}
	rw.WriteHeader(http.StatusServiceUnavailable)
}

func TestOtherSitesBeginNothing(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt"})
	b := w.servePages()
	require.Equal(t, "/accounts", b.post("/connect", nil).path)
	for _, path := range []string{"/connect", "/payment", "/disconnect", "/grants/revoke"} {
		require.Equal(t, http.StatusForbidden, b.do(http.MethodPost, path, order, "cross-site").status, path)
		require.Equal(t, http.StatusForbidden, b.do(http.MethodPost, path, order, "same-site").status, path)
	}
	require.Equal(t, 1, w.count("/par"))
	require.Equal(t, "/accounts", b.get("/accounts").path, "nobody was logged out")

	page := b.get("/callback?code=c&state=s&iss=" + url.QueryEscape(w.as.URL))
	require.Equal(t, http.StatusBadRequest, page.status, "an answer that this browser does not wait for")
	require.Equal(t, 1, w.count("/token"))
}

func TestHeadersOfPages(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt"})
	b := w.servePages()
	for _, path := range []string{"/", "/payment", "/style.css", "/grants", "/nothing", "/callback"} {
		h := b.get(path).header
		require.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'", path)
		require.Contains(t, h.Get("Content-Security-Policy"), "form-action 'self' "+w.as.URL)
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
		require.Equal(t, "no-store", h.Get("Cache-Control"))
		require.Equal(t, "no-referrer", h.Get("Referrer-Policy"))
	}
	require.Equal(t, "text/css; charset=utf-8", b.get("/style.css").header.Get("Content-Type"))
	require.Equal(t, http.StatusNotFound, b.get("/nothing").status)
	b.post("/connect", nil)
	at, err := url.Parse(w.app.URL)
	require.NoError(t, err)
	before := b.http.Jar.Cookies(at)
	require.Len(t, before, 1, "the session of the login is gone")
	require.Equal(t, cookieName, before[0].Name)
	b.post("/connect", nil)
	require.NotEqual(t, before[0].Value, b.http.Jar.Cookies(at)[0].Value, "each login has a cookie of its own")
	b.http.Jar.SetCookies(at, []*http.Cookie{{Name: cookieName, Value: before[0].Value, Path: "/", Secure: true}})
	require.Equal(t, "/", b.get("/accounts").path, "the old one is worth nothing")
}

// Another user in the same browser does not see what the first one had.
func TestAnotherUserBeginsAnew(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt"})
	b := w.servePages()
	b.post("/connect", nil)
	w.user = "bob"
	require.Contains(t, b.post("/connect", nil).text, "bob")
	require.Equal(t, 1, strings.Count(b.get("/grants").text, "<h2>Your accounts</h2>"))
}

func TestPagesManageGrants(t *testing.T) {
	for _, c := range []combination{{auth: "private_key_jwt", grants: true}, {auth: "tls_client_auth", mtls: true, grants: true}} {
		w := newWorld(t, c)
		w.settings["authorization_details"] = []any{map[string]any{"type": "account_information", "actions": []string{"list_accounts"}, "validUntil": "2031-01-31"}}
		b := w.servePages()
		require.Contains(t, b.get("/grants").text, "nothing yet")
		b.post("/connect", nil)
		require.Equal(t, "/payments", b.post("/payment", order).path)
		page := b.get("/grants")
		require.NotContains(t, page.text, "cannot show")
		require.Contains(t, page.text, "<li>see your accounts</li><li>know who you are at the bank</li>")
		require.Contains(t, page.text, "31 January 2031")
		require.NotContains(t, page.text, "Blumen Meyer", "CASES E9: a payment that was made is not a permission any more")
		ids := regexp.MustCompile(`name="id" value="([A-Z0-9]+)"`).FindAllStringSubmatch(page.text, -1)
		require.Len(t, ids, 1)
		accounts := ids[0][1]

		require.Contains(t, b.post("/grants/revoke", url.Values{"id": {"another"}, "confirm": {"1"}}).text, "31 January 2031")
		stranger := w.newBrowser()
		stranger.post("/connect", nil)
		stranger.post("/grants/revoke", url.Values{"id": {accounts}, "confirm": {"1"}})
		require.Contains(t, b.get("/accounts").text, "Checking", "nobody ends what another browser has")
		page = b.post("/grants/revoke", url.Values{"id": {accounts}})
		require.Contains(t, page.text, "<h1>End this permission?</h1>", "CASES E9")
		require.Contains(t, b.get("/grants").text, "31 January 2031", "CASES E9: nothing ends before it is confirmed")
		page = b.post("/grants/revoke", url.Values{"id": {accounts}, "confirm": {"1"}})
		require.Equal(t, "/grants", page.path)
		require.Contains(t, page.text, "You have ended the permission", "CASES E9")
		require.Contains(t, page.text, "nothing yet")
		require.Contains(t, b.get("/payments").text, "Blumen Meyer", "it was made all the same")
		require.Equal(t, "/", b.get("/accounts").path, "its token is forgotten")
	}
}

// The application drops permissions that have ended at the bank.
func TestAGrantThatHasEndedAtTheBank(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt", grants: true})
	w.tampers["/token"] = func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		edit(func(m map[string]any) {
			if m["grant_id"] != nil {
				m["grant_id"] = strings.Repeat("A", 43)
			}
		})(rw, r, next)
	}
	b := w.servePages()
	b.post("/connect", nil)
	require.Contains(t, b.get("/grants").text, "nothing yet")
	require.Equal(t, "/", b.get("/accounts").path)
}

func TestAccountsThatTheBankHasClosed(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt"})
	b := w.servePages()
	b.post("/connect", nil)
	w.tampers["/accounts"] = func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("Authorization") == "" { // the page, not the API
			next.ServeHTTP(rw, r)
			return
		}
		rw.Header().Set("WWW-Authenticate", `DPoP error="invalid_token", algs="ES256"`)
		rw.WriteHeader(http.StatusUnauthorized)
	}
	page := b.get("/accounts")
	require.Equal(t, http.StatusForbidden, page.status)
	require.Contains(t, page.text, "no longer")
	require.Equal(t, "/", b.get("/accounts").path, "its token is forgotten")
}

func TestDisconnectRevokesTheRefreshToken(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt"})
	b := w.servePages()
	var hint string
	w.tampers["/revoke"] = func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		form, err := url.ParseQuery(string(body))
		require.NoError(t, err)
		hint = form.Get("token_type_hint")
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		next.ServeHTTP(rw, r)
	}
	b.post("/connect", nil)
	b.post("/disconnect", nil)
	require.Equal(t, "refresh_token", hint)
	require.NotContains(t, w.log.String(), "given back")

	w.tampers["/revoke"] = status(http.StatusServiceUnavailable, "")
	b.post("/connect", nil)
	require.Contains(t, b.post("/disconnect", nil).text, "Connect your bank", "a bank that does not answer keeps nobody in")
	require.Contains(t, w.log.String(), "could not be given back")
}

func TestWhatIsTooMuchIsGivenBack(t *testing.T) {
	u := &user{}
	accounts := connection{ID: "accounts"}
	require.Empty(t, u.add(accounts, nil))
	var paid []connection
	for i := range maxConnections + 1 {
		id := strconv.Itoa(i)
		paid = append(paid, connection{ID: id, Payment: id})
		if dropped := u.add(paid[i], &payment{ID: id}); len(paid) >= maxConnections {
			require.Equal(t, []connection{paid[len(paid)-maxConnections]}, dropped, "the oldest payment")
		}
	}
	require.Equal(t, accounts, *u.accounts(""), "payments leave the accounts where they are")
	require.Len(t, u.payments(), maxConnections)

	w := newWorld(t, combination{auth: "private_key_jwt"})
	b := w.servePages()
	revoked := 0
	w.tampers["/revoke"] = func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		revoked++
		next.ServeHTTP(rw, r)
	}
	b.post("/connect", nil)
	require.Zero(t, revoked)
	w.user = "bob" // who could not end what alice has allowed
	b.post("/connect", nil)
	require.Equal(t, 1, revoked)
}
