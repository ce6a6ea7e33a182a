package main

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"

	"github.com/gofapi/fapi2/profile"
)

// A browser is one of a user who has no password but alice's. Cookies are all that it has of its own.
type browser struct {
	world *world
	http  *http.Client
}

func (w *world) newBrowser() *browser {
	client := w.httpClient("browser", nil)
	client.Jar, _ = cookiejar.New(nil) // never fails
	return &browser{world: w, http: client}
}

// get opens a URL and follows no redirect: the flow wants to see where it leads.
func (b *browser) get(ctx context.Context, target string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return answer{}, err
	}
	return exchangeWith(b.http, r)
}

// post sends a form, and says from what kind of site as browsers do: same-origin or cross-site.
func (b *browser) post(ctx context.Context, target, site string, form url.Values) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", site)
	return exchangeWith(b.http, r)
}

// startLogin clicks on "log in" at the client and returns where that leads.
func (b *browser) startLogin(ctx context.Context) (pageURL string, err error) {
	return redirected(b.post(ctx, b.world.appURL+"/login", "same-origin", nil))
}

// open loads the page at the authorization server and looks whether it shows what the client has asked for.
func (b *browser) open(ctx context.Context, pageURL string) error {
	a, err := b.get(ctx, pageURL)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK || !strings.Contains(string(a.body), `<b id="scopes">accounts openid </b>`) {
		return fmt.Errorf("the page: %v", a)
	}
	return nil
}

// decide answers the page and returns where that leads.
func (b *browser) decide(ctx context.Context, pageURL, decision string) (answerURL string, err error) {
	return redirected(b.post(ctx, pageURL, "same-origin", url.Values{
		"username": {"alice"}, "password": {"correct horse"}, "account": {"DE89 3704 0044 0532 0130 00"}, "decision": {decision},
	}))
}

var described = regexp.MustCompile(`<(?:h2|p id="before")>([^<]*)</|<dt>([^<]*)</dt><dd>([^<]*)</dd>`)

// read opens the page at the authorization server and returns what it says in detail, line by line, as the user reads it.
func (b *browser) read(ctx context.Context, pageURL string) (lines []string, err error) {
	a, err := b.get(ctx, pageURL)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("the page: %v", a)
	}
	for _, m := range described.FindAllStringSubmatch(string(a.body), -1) {
		line := m[1]
		if m[2] != "" {
			line = m[2] + ": " + m[3]
		}
		lines = append(lines, html.UnescapeString(line))
	}
	return lines, nil
}

// approve lets alice agree and returns what comes back for the client.
func (b *browser) approve(ctx context.Context, session *profile.Session) (url.Values, error) {
	target, err := b.decide(ctx, session.URL, "allow")
	if err != nil {
		return nil, err
	}
	return queryOf(target)
}

func queryOf(target string) (url.Values, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	return u.Query(), nil
}

func redirected(a answer, err error) (string, error) {
	if err != nil {
		return "", err
	}
	if a.status != http.StatusSeeOther || a.location == nil {
		return "", fmt.Errorf("no redirect: %v", a)
	}
	return a.location.String(), nil
}

// cookie returns the app's cookie.
func (b *browser) cookie(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return ""
	}
	for _, c := range b.http.Jar.Cookies(u) {
		if c.Name == cookieName {
			return c.Value
		}
	}
	return ""
}

func (w *world) get(ctx context.Context, party, target string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return answer{}, err
	}
	return exchangeWith(w.httpClient(party, nil), r)
}
