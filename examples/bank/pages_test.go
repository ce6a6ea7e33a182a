package main

import (
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A browser follows redirects as long as they stay at the bank, keeps cookies,
// and knows no script.
type browser struct {
	w        *world
	http     *http.Client
	at       string // where it is
	language string // Accept-Language
	site     string // Sec-Fetch-Site of what it posts
}

func (w *world) newBrowser() *browser {
	client := w.http(nil)
	jar, err := cookiejar.New(nil)
	require.NoError(w.t, err)
	client.Jar = jar
	return &browser{w: w, http: client, site: "same-origin"}
}

func (b *browser) open(target string) reply {
	b.w.t.Helper()
	r, err := http.NewRequest(http.MethodGet, target, nil)
	require.NoError(b.w.t, err)
	r.Header.Set("Accept-Language", b.language)
	return b.follow(target, b.w.send(b.http, r))
}

// openIn opens a page of a bank that has this issuer.
func (b *browser) openIn(issuer, path string) reply {
	b.w.issuer = issuer
	return b.open(issuer + path)
}

func (b *browser) follow(target string, got reply) reply {
	b.w.t.Helper()
	for range 10 {
		b.at = target
		if got.status != http.StatusSeeOther {
			return got
		}
		to, err := url.Parse(target)
		require.NoError(b.w.t, err)
		to, err = to.Parse(got.header.Get("Location"))
		require.NoError(b.w.t, err)
		if target = to.String(); !strings.HasPrefix(target, b.w.issuer) {
			return got
		}
		r, err := http.NewRequest(http.MethodGet, target, nil)
		require.NoError(b.w.t, err)
		r.Header.Set("Accept-Language", b.language)
		got = b.w.send(b.http, r)
	}
	require.Fail(b.w.t, "a loop of redirects")
	return got
}

var (
	formTag  = regexp.MustCompile(`<form method="post" action="([^"]*)">`)
	inputTag = regexp.MustCompile(`<input[^>]*>`)
	choice   = regexp.MustCompile(`<select [^>]*name="([^"]*)"[^>]*><option value="([^"]*)"`)
	attr     = regexp.MustCompile(`(\w+)="([^"]*)"`)
)

// form reads the form of a page that has a button, as it is filled in.
func (r reply) form(button string) (action string, fields url.Values) {
	r.t.Helper()
	for _, part := range strings.Split(string(r.body), "</form>") {
		start := formTag.FindStringSubmatchIndex(part)
		if start == nil || !strings.Contains(part, `<button`) || !strings.Contains(part, `id="`+button+`"`) {
			continue
		}
		fields = url.Values{}
		for _, tag := range inputTag.FindAllString(part, -1) {
			a := map[string]string{}
			for _, m := range attr.FindAllStringSubmatch(tag, -1) {
				a[m[1]] = html.UnescapeString(m[2])
			}
			if a["type"] != "checkbox" || strings.Contains(tag, " checked") {
				fields.Add(a["name"], a["value"])
			}
		}
		for _, m := range choice.FindAllStringSubmatch(part, -1) { // the first option
			fields.Set(m[1], m[2])
		}
		fields.Set(button, "1")
		return html.UnescapeString(part[start[2]:start[3]]), fields
	}
	require.Fail(r.t, "no form with the button", "%s in %d %s", button, r.status, r.body)
	return "", nil
}

// press sends the form with a button, after it was filled in.
func (b *browser) press(page reply, button string, fill url.Values) reply {
	b.w.t.Helper()
	action, fields := page.form(button)
	for name, values := range fill {
		fields[name] = values
	}
	return b.post(action, fields)
}

func (b *browser) post(action string, fields url.Values) reply {
	b.w.t.Helper()
	at, err := url.Parse(b.at)
	require.NoError(b.w.t, err)
	to, err := at.Parse(action)
	require.NoError(b.w.t, err)
	r, err := http.NewRequest(http.MethodPost, to.String(), strings.NewReader(fields.Encode()))
	require.NoError(b.w.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept-Language", b.language)
	if b.site != "" {
		r.Header.Set("Sec-Fetch-Site", b.site)
	}
	return b.follow(to.String(), b.w.send(b.http, r))
}

func (b *browser) logIn(page reply, name, password string) reply {
	b.w.t.Helper()
	return b.press(page, "login", url.Values{"username": {name}, "password": {password}})
}

// approve agrees to everything and returns where that leads.
func (b *browser) approve(page reply) *url.URL {
	b.w.t.Helper()
	return b.press(page, "approve", nil).location()
}

func people(t *testing.T) *world { return newWorld(t, with("auto_approve", nil)) }

func TestAPersonAgrees(t *testing.T) {
	w := people(t)
	b := w.newBrowser()
	login := b.open(w.one.front(w.one.pushed())).ok(http.StatusOK)
	for _, id := range []string{"username", "password", "login"} {
		require.Contains(t, string(login.body), `id="`+id+`"`)
	}
	require.Contains(t, string(login.body), "Application one")
	consent := b.logIn(login, "alice", "correct horse").ok(http.StatusOK)
	for _, text := range []string{"Application one", "See your accounts", "The application learns who you are at this bank", `id="approve"`, `id="deny"`, "https://app.example", "alice"} {
		require.Contains(t, string(consent.body), text)
	}
	to := b.approve(consent)
	tokens := w.one.redeem(to.Query().Get("code")).do().ok(http.StatusOK).json()
	_, claims := unseal(t, tokens["id_token"].(string))
	require.Equal(t, "alice", claims["sub"])
}

func TestEveryPageKeepsItsHeaders(t *testing.T) {
	w := people(t)
	b := w.newBrowser()
	login := b.open(w.one.front(w.one.pushed()))
	consent := b.logIn(login, "alice", "correct horse")
	for _, page := range []reply{login, consent, b.open(w.issuer + "/apps"), b.open(w.issuer + "/login?flow=none")} {
		h := page.header
		require.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'")
		require.Contains(t, h.Get("Content-Security-Policy"), "frame-ancestors 'none'")
		require.Equal(t, "DENY", h.Get("X-Frame-Options"))
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
		require.Equal(t, "no-store", h.Get("Cache-Control"))
		require.Contains(t, h.Get("Strict-Transport-Security"), "max-age=")
		require.Empty(t, h.Values("Access-Control-Allow-Origin"))
		for _, text := range []string{"javascript:", " onclick", " style="} {
			require.NotContains(t, string(page.body), text)
		}
		require.Equal(t, 1, strings.Count(string(page.body), "<script"))
		require.Contains(t, string(page.body), `<script src="/once.js" defer></script>`)
		for _, text := range []string{`<html lang="en">`, `name="viewport"`, "<title>", "<h1>", "<main>"} {
			require.Contains(t, string(page.body), text)
		}
	}
	style := b.open(w.issuer + "/style.css").ok(http.StatusOK)
	require.Contains(t, style.header.Get("Content-Type"), "text/css")
}

func TestAClientIsCalledWhatItIsCalled(t *testing.T) {
	w := newWorld(t, with("auto_approve", nil), registration(object{"client_name": "<b>\u202eknaB & Söhne"}, "one"), registration(object{"client_name": nil}, "two"))
	b := w.newBrowser()
	login := b.open(w.one.front(w.one.pushed()))
	for _, page := range []reply{login, b.logIn(login, "alice", "correct horse")} {
		require.Contains(t, string(page.body), `&lt;b&gt;\u{202e}knaB &amp; Söhne`)
	}
	require.Contains(t, string(b.open(w.two.front(w.two.pushed())).body), "two asks for your permission")
}

func TestCookies(t *testing.T) {
	w := people(t)
	client := w.http(nil)
	r, err := http.NewRequest(http.MethodGet, w.one.front(w.one.pushed()), nil)
	require.NoError(t, err)
	cookies := w.send(client, r).header.Values("Set-Cookie")
	require.Len(t, cookies, 1)
	for _, cookie := range cookies {
		require.True(t, strings.HasPrefix(cookie, "__Host-"))
		for _, attribute := range []string{"; Path=/;", "; Secure", "; HttpOnly", "; SameSite=Lax"} {
			require.Contains(t, cookie, attribute)
		}
	}
}

func TestAWrongPassword(t *testing.T) {
	w := people(t)
	b := w.newBrowser()
	page := b.open(w.one.front(w.one.pushed()))
	var pages []string
	for _, name := range []string{"alice", "nobody"} {
		got := b.logIn(page, name, "wrong").ok(http.StatusOK)
		require.Contains(t, string(got.body), `role="alert"`)
		pages = append(pages, strings.ReplaceAll(string(got.body), name, "NAME"))
	}
	require.Equal(t, pages[0], pages[1], "nobody learns who is a user")
	t.Run("is throttled, for a name that does not exist too", func(t *testing.T) {
		for _, name := range []string{"alice", "nobody"} {
			var got reply
			for range failuresOfPair {
				got = b.logIn(page, name, "wrong")
			}
			require.Equal(t, http.StatusTooManyRequests, got.status)
			require.NotEmpty(t, got.header.Get("Retry-After"))
			require.Equal(t, http.StatusTooManyRequests, b.logIn(page, name, "correct horse").status, "the right one as well")
		}
		b.logIn(page, "bob", "battery staple").ok(http.StatusOK)
		w.advance(time.Minute)
		page := b.open(w.one.front(w.one.pushed(param("prompt", "login"))))
		b.approve(b.logIn(page, "alice", "correct horse"))
	})
	require.NotContains(t, w.log.String(), "correct horse")
	require.Contains(t, w.log.String(), `"reason":"wrong_password"`)
	require.Contains(t, w.log.String(), `"reason":"login_throttled"`)
}

func TestAKnownBrowserGetsThrough(t *testing.T) {
	w := people(t)
	known := w.newBrowser()
	known.approve(known.logIn(known.open(w.one.front(w.one.pushed())), "alice", "correct horse"))
	stranger := w.newBrowser() // at the same address
	page := stranger.open(w.one.front(w.one.pushed()))
	for range failuresOfPair + 1 {
		stranger.logIn(page, "alice", "wrong")
	}
	require.Equal(t, http.StatusTooManyRequests, stranger.logIn(page, "alice", "correct horse").status)
	page = known.open(w.one.front(w.one.pushed(param("prompt", "login"))))
	known.approve(known.logIn(page, "alice", "correct horse").ok(http.StatusOK))
}

func TestFormsThatAreNotFromHere(t *testing.T) {
	w := people(t)
	b := w.newBrowser()
	login := b.open(w.one.front(w.one.pushed()))
	consent := b.logIn(login, "alice", "correct horse")
	action, fields := consent.form("approve")
	t.Run("another site's form", func(t *testing.T) {
		b.site = "cross-site"
		b.post(action, fields).refusedPage("form_not_from_here")
		b.site = "same-origin"
	})
	t.Run("without the token, by a browser that says nothing of sites", func(t *testing.T) {
		b.site = ""
		for _, token := range []string{"", "AAAA", fields.Get("form") + "A"} {
			b.post(action, url.Values{"form": {token}, "approve": {"1"}, "scope": {"openid"}}).refusedPage("form_not_from_here")
		}
		b.site = "same-origin"
	})
	t.Run("with the token of another browser", func(t *testing.T) {
		other := w.newBrowser()
		of := other.logIn(other.open(w.one.front(w.one.pushed())), "bob", "battery staple")
		_, foreign := of.form("approve")
		b.post(action, foreign).refusedPage("form_not_from_here")
	})
	t.Run("a flow of another browser", func(t *testing.T) {
		other := w.newBrowser()
		other.at = b.at
		other.post(action, fields).refusedPage("no_login_in_progress")
	})
	t.Run("a login into somebody else's account", func(t *testing.T) {
		loginAction, _ := login.form("login")
		_, attackers := w.newBrowser().open(w.one.front(w.one.pushed())).form("login")
		attackers.Set("username", "bob")
		attackers.Set("password", "battery staple")
		b.post(loginAction, attackers).refusedPage("form_not_from_here")
	})
	require.NotEmpty(t, b.post(action, fields).location().Query().Get("code"), "and the person's own is taken")
}

func TestWhatIsUntickedIsNotGranted(t *testing.T) {
	w := people(t)
	b := w.newBrowser()
	consent := b.logIn(b.open(w.one.front(w.one.pushed(param("scope", "openid accounts payments")))), "alice", "correct horse")
	to := b.press(consent, "approve", url.Values{"scope": {"accounts", "admin"}}).location()
	tokens := w.one.redeem(to.Query().Get("code")).do().ok(http.StatusOK).json()
	require.Equal(t, "accounts openid", tokens["scope"], "A6 openid is not a choice")
	require.Contains(t, tokens, "id_token")
}

func TestBackAndReload(t *testing.T) {
	w := people(t)
	b := w.newBrowser()
	front := w.one.front(w.one.pushed())
	login := b.open(front)
	again := b.open(b.at).ok(http.StatusOK)
	require.Equal(t, login.body, again.body, "a reload shows the same page")
	b.open(front).ok(http.StatusOK)
	b.logIn(login, "alice", "correct horse").ok(http.StatusOK)
	consentAt := b.at
	b.logIn(login, "alice", "correct horse").ok(http.StatusOK) // back to the login page, and once more
	consent := b.open(consentAt).ok(http.StatusOK)
	first := b.approve(consent)
	b.at = consentAt
	require.Equal(t, first, b.approve(consent), "CASES A8: the button twice")
	b.open(consentAt).refusedPage("no_login_in_progress")
	w.advance(answerKept + time.Second)
	b.at = consentAt
	b.press(consent, "approve", nil).refusedPage("no_login_in_progress", "invalid_request", "invalid_request_uri")
}

func TestADoubleClickGetsOneAnswer(t *testing.T) {
	w := people(t)
	for _, button := range []string{"approve", "deny"} {
		b := w.newBrowser()
		consent := b.logIn(b.open(w.one.front(w.one.pushed())), "alice", "correct horse").ok(http.StatusOK)
		action, fields := consent.form(button)
		target := w.issuer + action
		locations := make([]string, 8)
		var all sync.WaitGroup
		for i := range locations {
			all.Go(func() {
				r, err := http.NewRequest(http.MethodPost, target, strings.NewReader(fields.Encode()))
				if err != nil {
					return
				}
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				r.Header.Set("Sec-Fetch-Site", "same-origin")
				response, err := b.http.Do(r)
				if err != nil {
					return
				}
				response.Body.Close()
				locations[i] = response.Header.Get("Location")
			})
		}
		all.Wait()
		for _, location := range locations {
			require.Equal(t, locations[0], location, "CASES A8")
			require.True(t, strings.HasPrefix(location, "https://app.example/callback"), location)
		}
		t.Run("and another browser gets none of it", func(t *testing.T) {
			other := w.newBrowser()
			other.logIn(other.open(w.one.front(w.one.pushed())), "alice", "correct horse")
			other.post(target, fields).refusedPage("no_login_in_progress")
		})
	}
}

func TestAllowWithNothingTickedIsADenial(t *testing.T) {
	w := people(t)
	b := w.newBrowser()
	consent := b.logIn(b.open(w.one.front(w.one.pushed(param("scope", "openid accounts profile")))), "alice", "correct horse")
	require.NotContains(t, string(consent.body), `value="openid"`, "CASES A6: openid is not a choice")
	to := b.press(consent, "approve", url.Values{"scope": nil}).location()
	require.Equal(t, "access_denied", to.Query().Get("error"), "CASES A6")
	consent = b.open(w.one.front(w.one.pushed(param("scope", "openid accounts profile"))))
	to = b.press(consent, "approve", url.Values{"scope": {"profile"}}).location()
	tokens := w.one.redeem(to.Query().Get("code")).do().ok(http.StatusOK).json()
	require.Equal(t, "openid profile", tokens["scope"], "CASES A6: accounts unticked")
	require.Contains(t, tokens, "id_token")
	consent = b.open(w.one.front(w.one.pushed(param("scope", "openid"))))
	require.Contains(t, string(consent.body), "<h1>Log in at Application one</h1>")
	require.NotEmpty(t, b.approve(consent).Query().Get("code"), "a login alone has nothing to tick")
}

func TestTheConsentPageSaysWhatItIsAbout(t *testing.T) {
	const other = "https://other.example/api"
	w := newWorld(t, with("auto_approve", nil), func(cfg object) { cfg["resources"] = []string{cfg["issuer"].(string), other} })
	b := w.newBrowser()
	b.logIn(b.open(w.issuer+"/apps"), "alice", "correct horse")
	page := func(changes ...func(*request)) string {
		return string(b.open(w.one.front(w.one.pushed(changes...))).ok(http.StatusOK).body)
	}
	contains := func(page, caseID string, texts ...string) {
		t.Helper()
		for _, text := range texts {
			require.Contains(t, page, text, caseID)
		}
	}
	payment := page(param("scope", "openid"), details(order))
	contains(payment, "CASES E4", "<h1>Pay 12.34 EUR to ACME</h1>", ">Pay 12.34 EUR</button>", "Application one wants to make this payment")
	require.NotContains(t, payment, `type="checkbox"`, "CASES A5: nothing to untick")
	contains(page(), "CASES E4", "<h1>Allow access to your accounts</h1>")
	contains(page(param("scope", "openid"), details(information)), "CASES E4", "<h1>Allow access to your accounts</h1>")
	contains(page(param("scope", "openid"), details(paymentOf("12.34", "status"))), "CASES A2", "<h1>Allow payments</h1>", "ask for its status")
	contains(page(param("scope", "openid"), details(order, paymentOf("99"))), "CASES E4", "<h1>Allow payments</h1>")
	mixed := page(details(order))
	contains(mixed, "CASES E4", "<h1>Allow access</h1>", `name="detail"`, `value="accounts"`)
	require.NotContains(t, mixed, `name="scope" value="payments"`, "CASES A5: a payment and its scope are one choice")
	lookalike := page(param("scope", "openid"), details(strings.Replace(order, "ACME", "\u0410\u0421\u041c\u0415", 1)))
	contains(lookalike, "CASES G9", `<h1>Pay 12.34 EUR to \u{410}\u{421}\u{41c}\u{415}</h1>`)

	contains(page(param("resource", other)), "CASES G8", "For use at", other)
	require.NotContains(t, page(param("resource", w.issuer)), "For use at", "CASES G8: the default one is not named")

	year, quarter := w.now().Add(grantLifetime).Format("2 January 2006"), w.now().Add(refreshTokenLifetime).Format("2 January 2006")
	contains(page(details(information), param("grant_management_action", "create")), "CASES G15", "Your permission ends on "+year, "<dd>"+year+"</dd>")
	contains(page(details(information)), "CASES G15", "Your permission ends on "+quarter, "<dd>"+quarter+"</dd>")
}

func TestAllPagesInGerman(t *testing.T) {
	w := people(t)
	b := w.newBrowser()
	b.language = "de-AT,de;q=0.9,en;q=0.5"
	german := func(page reply, texts ...string) reply {
		t.Helper()
		require.Contains(t, string(page.body), `<html lang="de">`, "CASES E7")
		require.Contains(t, page.header.Get("Vary"), "Accept-Language")
		for _, text := range texts {
			require.Contains(t, string(page.body), text, "CASES E7")
		}
		return page
	}
	login := german(b.open(w.one.front(w.one.pushed(param("scope", "openid"), details(order)))), "<h1>Anmelden</h1>", "Passwort")
	german(b.logIn(login, "alice", "wrong"), "Benutzername oder Passwort ist falsch")
	consent := german(b.logIn(login, "alice", "correct horse"), "<h1>12,34 EUR an ACME zahlen</h1>", "Empfänger", "Ablehnen", "12,34 EUR zahlen")
	tokens := w.one.redeem(b.approve(consent).Query().Get("code")).do().ok(http.StatusOK).json()
	apps := german(b.open(w.issuer+"/apps"), "Verbundene Anwendungen", "Zahlung")
	w.one.pay(tokens["access_token"].(string), order).ok(http.StatusCreated)
	german(b.open(w.issuer+"/apps"), "Ausgeführte Zahlungen", "12,34 EUR an ACME", "Erledigt")
	german(b.press(apps, "revoke-0", nil), "Zugriff von Application one beenden?")
	german(b.open(w.issuer+"/login?flow=none"), "Das hat nicht geklappt", "Für Entwickler")
	german(b.open(w.issuer+"/authorize?client_id=one&request_uri=x"), "Das hat nicht geklappt")
}

func TestTextsAreComplete(t *testing.T) {
	used := map[string]bool{}
	files, err := filepath.Glob("pages/*.html")
	require.NoError(t, err)
	sources, err := filepath.Glob("*.go")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range append(files, sources...) {
		raw, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, match := range regexp.MustCompile(`(?:\.T |\.T\(|b\.view\(r, |texts\.Get\(\w+, |text(?:: +| = ))"([a-z_.]*[a-z])"`).FindAllStringSubmatch(string(raw), -1) {
			used[match[1]] = true
		}
	}
	require.Greater(t, len(used), 40)
	for key := range used {
		require.Contains(t, texts, key, "CASES E7")
	}
	for _, use := range new(config).uses() {
		require.Contains(t, texts, "use."+use.Name)
	}
	for key, both := range texts {
		require.NotEmpty(t, both[0], "CASES E7: %s", key)
		require.NotEmpty(t, both[1], "CASES E7: %s", key)
		require.Equal(t, strings.Count(both[0], "%s"), strings.Count(both[1], "%s"), "CASES E7: %s", key)
		require.True(t, used[key] || strings.HasPrefix(key, "scope.") || strings.HasPrefix(key, "use."), "%s is not used", key)
	}
}

func TestTwoTabs(t *testing.T) {
	w := people(t)
	b := w.newBrowser()
	first := b.open(w.one.front(w.one.pushed(param("state", "first"))))
	second := b.open(w.two.front(w.two.pushed(param("state", "second"))))
	secondConsent := b.logIn(second, "alice", "correct horse").ok(http.StatusOK)
	require.Contains(t, string(secondConsent.body), "Application two")
	firstConsent := b.logIn(first, "alice", "correct horse").ok(http.StatusOK)
	require.Contains(t, string(firstConsent.body), "Application one")
	require.Equal(t, "first", b.approve(firstConsent).Query().Get("state"))
	require.Equal(t, "second", b.approve(secondConsent).Query().Get("state"))
	t.Run("of two people", func(t *testing.T) {
		first, second := b.open(w.one.front(w.one.pushed())), b.open(w.two.front(w.two.pushed(param("prompt", "login"))))
		b.press(second, "login", url.Values{"username": {"bob"}, "password": {"battery staple"}}).ok(http.StatusOK)
		b.press(first, "approve", nil).refusedPage("form_not_from_here")
	})
}

func TestALoginMayOutlastTheRequestURI(t *testing.T) {
	w := newWorld(t, with("auto_approve", nil), with("request_uri_seconds", 5))
	b := w.newBrowser()
	page := b.open(w.one.front(w.one.pushed()))
	w.advance(5 * time.Minute)
	require.NotEmpty(t, b.approve(b.logIn(page, "alice", "correct horse")).Query().Get("code"))
	page = b.open(w.one.front(w.one.pushed()))
	w.advance(time.Hour)
	b.press(page, "approve", nil).refusedPage("no_login_in_progress")
}

func TestLogOut(t *testing.T) {
	w := people(t)
	b := w.newBrowser()
	apps := b.logIn(b.open(w.issuer+"/"), "alice", "correct horse").ok(http.StatusOK)
	require.Contains(t, string(apps.body), "alice")
	require.Contains(t, string(b.press(apps, "logout", nil).body), `id="password"`)
	require.Contains(t, string(b.open(w.issuer+"/apps").body), `id="password"`)
}

func TestPathsAreKnownAsTheyAreWritten(t *testing.T) {
	w := people(t)
	for _, path := range []string{"//login", "/login/", "/./login", "/%6cogin", "/nothing"} {
		require.Equal(t, http.StatusNotFound, w.get(w.issuer+path).status, path)
	}
	require.Equal(t, http.StatusNotFound, w.get(w.mtls+"/login").status, "no pages where certificates are asked for")
	require.Equal(t, http.StatusNotFound, w.get(w.mtls+"/authorize").status)
}
