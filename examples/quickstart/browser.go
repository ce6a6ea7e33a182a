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

	"github.com/gofapi/fapi2/profile/client"
)

// A browser acts for a user. It keeps cookies. Only alice has a password.
type browser struct {
	world *world
	http  *http.Client
}

func (w *world) newBrowser() *browser {
	app := w.httpClient("browser", nil)
	app.Jar, _ = cookiejar.New(nil) // never fails
	return &browser{world: w, http: app}
}

// get opens a URL and follows no redirect, because the flow checks the target.
func (b *browser) get(ctx context.Context, target string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return answer{}, err
	}
	return exchangeWith(b.http, r)
}

// post sends a form with the Sec-Fetch-Site header of a browser: same-origin or
// cross-site.
func (b *browser) post(ctx context.Context, target, site string, form url.Values) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", site)
	return exchangeWith(b.http, r)
}

// startLogin clicks on "log in" at the client and returns the target of the
// redirect.
func (b *browser) startLogin(ctx context.Context) (pageURL string, err error) {
	return redirected(b.post(ctx, b.world.appURL+"/login", "same-origin", nil))
}

// open loads the page of the authorization server and checks that it shows the
// client's request.
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

// decide sends the user's decision and returns the target of the redirect.
func (b *browser) decide(ctx context.Context, pageURL, decision string) (answerURL string, err error) {
	return redirected(b.post(ctx, pageURL, "same-origin", url.Values{
		"username": {"alice"}, "password": {"correct horse"}, "account": {"DE89 3704 0044 0532 0130 00"},
		"decision": {decision},
	}))
}

var described = regexp.MustCompile(`<(?:h2|p id="before")>([^<]*)</|<dt>([^<]*)</dt><dd>([^<]*)</dd>`)

// read opens the page of the authorization server and returns the described
// details, line by line.
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

// approve lets alice approve and returns the authorization response.
func (b *browser) approve(ctx context.Context, session *client.Session) (url.Values, error) {
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
