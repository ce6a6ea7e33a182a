package testkit

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

// Browse opens a URL as a browser without a user. It keeps cookies and follows
// redirects, up to the redirect to redirectURI. It returns the parameters of
// that redirect.
func (a *Authority) Browse(t testing.TB, target, redirectURI string) url.Values {
	t.Helper()
	client := a.HTTPClient(t)
	client.Jar, _ = cookiejar.New(nil) // never fails
	for range 15 {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, target, nil)
		check(t, err)
		r.Header.Set("Accept", "text/html")
		response, err := client.Do(r)
		check(t, err)
		page, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
		check(t, err)
		response.Body.Close() //nolint:errcheck // it has been read
		to, err := response.Location()
		if err != nil {
			t.Fatalf("%s leads nowhere: %s\n%s", target, response.Status, page)
		}
		if target = to.String(); strings.HasPrefix(target, redirectURI) {
			return to.Query()
		}
	}
	t.Fatal("too many redirects")
	return nil
}
