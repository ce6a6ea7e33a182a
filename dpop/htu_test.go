package dpop_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/testkit"
)

// compare says what a verifier of requests to actual makes of a proof for htu.
func compare(t testing.TB, actual, htu string) error {
	t.Helper()
	u, err := url.Parse(actual)
	require.NoError(t, err)
	before := *u
	v, _ := newVerifier(t, func(c *dpop.VerifierConfig) {
		c.BaseURLs, c.URLs = nil, func(*http.Request) ([]*url.URL, error) { return []*url.URL{u}, nil }
	})
	_, err = v.Check(request(sign(t, testkit.ECKey(t, "client"), nil, with(map[string]any{"htu": htu}))))
	require.Equal(t, before, *u, "the caller's URL is left alone")
	return err
}

func TestEquivalentURLs(t *testing.T) {
	for _, tc := range []struct{ name, actual, htu string }{
		{"DPOP-4.3-9 query of the proof", "https://a.example/x", "https://a.example/x?y=1"},
		{"DPOP-4.3-9 query of the request", "https://a.example/x?y=1", "https://a.example/x"},
		{"DPOP-4.3-9 both have a query, another one", "https://a.example/x?y=1", "https://a.example/x?z=2"},
		{"DPOP-4.3-9 fragment of the proof", "https://a.example/x", "https://a.example/x#f?g"},
		{"DPOP-4.3-9 a question mark alone", "https://a.example/x", "https://a.example/x?"},
		{"DPOP-4.3-9 a query after the host", "https://a.example/", "https://a.example?x=/y"},
		{"CS-17 DPOP-4.3-13 scheme in capitals", "https://a.example/x", "HTTPS://a.example/x"},
		{"CS-17 DPOP-4.3-13 host in capitals", "https://a.example/x", "https://A.EXAMPLE/x"},
		{"CS-17 DPOP-4.3-13 host of the request in capitals", "https://A.Example/x", "https://a.example/x"},
		{"CS-17 DPOP-4.3-13 default port of https", "https://a.example/x", "https://a.example:443/x"},
		{"CS-17 DPOP-4.3-13 default port of the request", "https://a.example:443/x", "https://a.example/x"},
		{"DPOP-4.3-13 default port of http", "http://a.example/x", "http://a.example:80/x"},
		{"DPOP-4.3-13 an empty port", "https://a.example/x", "https://a.example:/x"},
		{"DPOP-4.3-13 a port with zeros", "https://a.example:8443/x", "https://a.example:08443/x"},
		{"DPOP-4.3-13 IPv6", "https://[2001:db8::1]/x", "https://[2001:DB8:0:0:0:0:0:1]/x"},
		{"DPOP-4.3-13 IPv6 with the default port", "https://[::1]/x", "https://[::1]:443/x"},
		{"DPOP-4.3-13 IPv6 with another port", "https://[::1]:8443/x", "https://[0::1]:8443/x"},
		{"DPOP-4.3-13 an empty path", "https://a.example/", "https://a.example"},
		{"DPOP-4.3-13 an empty path of the request", "https://a.example", "https://a.example/"},
		{"DPOP-4.3-13 an escaped tilde", "https://a.example/~x", "https://a.example/%7ex"},
		{"DPOP-4.3-13 escaped letters", "https://a.example/abc", "https://a.example/%61%62%63"},
		{"DPOP-4.3-13 the case of an escape", "https://a.example/a%2Fb", "https://a.example/a%2fb"},
		{"DPOP-4.3-13 the case of an escape of the request", "https://a.example/a%c3%bc", "https://a.example/a%C3%BC"},
		{"DPOP-4.3-13 a dot segment", "https://a.example/x/y", "https://a.example/x/./y"},
		{"DPOP-4.3-13 a double dot segment", "https://a.example/y", "https://a.example/x/../y"},
		{"DPOP-4.3-13 an escaped double dot segment", "https://a.example/y", "https://a.example/x/%2e%2E/y"},
		{"DPOP-4.3-13 dots at the end", "https://a.example/", "https://a.example/x/.."},
		{"DPOP-4.3-13 more dots than segments", "https://a.example/x", "https://a.example/../../x"},
		{"DPOP-4.3-13 a path that starts with two slashes", "https://a.example//x", "https://a.example//x"},
	} {
		t.Run(tc.name, func(t *testing.T) { require.NoError(t, compare(t, tc.actual, tc.htu)) })
	}
}

func TestDifferentURLs(t *testing.T) {
	for _, tc := range []struct{ name, actual, htu string }{
		{"DPOP-4.3-9 path case", "https://a.example/x", "https://a.example/X"},
		{"DPOP-4.3-9 trailing slash", "https://a.example/x", "https://a.example/x/"},
		{"DPOP-4.3-9 scheme", "https://a.example/x", "http://a.example/x"},
		{"DPOP-4.3-9 default port of the other scheme", "https://a.example/x", "https://a.example:80/x"},
		{"DPOP-4.3-9 another port", "https://a.example:8443/x", "https://a.example/x"},
		{"DPOP-4.3-9 userinfo", "https://a.example/x", "https://a@a.example/x"},
		{"DPOP-4.3-9 host as userinfo", "https://a.example/x", "https://a.example@evil.example/x"},
		{"DPOP-4.3-9 a trailing dot of the host", "https://a.example/x", "https://a.example./x"},
		{"DPOP-4.3-9 a longer host", "https://a.example/x", "https://a.example.evil/x"},
		{"DPOP-4.3-9 a slash and an escaped one", "https://a.example/a/b", "https://a.example/a%2Fb"},
		{"DPOP-4.3-9 an escaped percent sign", "https://a.example/%41", "https://a.example/%2541"},
		{"DPOP-4.3-9 a doubled slash", "https://a.example/x", "https://a.example//x"},
		{"DPOP-4.3-9 IPv6 and the IPv4 address in it", "https://127.0.0.1/", "https://[::ffff:127.0.0.1]/"},
		{"DPOP-4.3-9 an IPv6 zone", "https://[fe80::1]/", "https://[fe80::1%25eth0]/"},
		{"DPOP-4.3-9 an escape in the host", "https://a.example/", "https://%61.example/"},
		{"DPOP-4.3-9 letters that only look alike", "https://a.example/", "https://а.example/"},
		{"DPOP-4.3-9 no host", "https://a.example/x", "https:///a.example/x"},
		{"DPOP-4.3-9 no scheme", "https://a.example/x", "//a.example/x"},
	} {
		t.Run(tc.name, func(t *testing.T) { require.ErrorIs(t, compare(t, tc.actual, tc.htu), dpop.ErrURL) })
	}
	t.Run("the text shows both, bounded and printable", func(t *testing.T) {
		err := compare(t, "https://a.example/internal/x", "https://a.example/x?token=secret")
		require.EqualError(t, err, `dpop: proof is for another URL: htu is "https://a.example/x", this is "https://a.example/internal/x"`)
		err = compare(t, "https://a.example/", "https://a.example/\x1b[0m\n?token=secret")
		require.NotContains(t, err.Error(), "\x1b")
		require.NotContains(t, err.Error(), "secret")
		err = compare(t, "https://a.example/", "https://a.example/"+strings.Repeat("y", 5000))
		require.Less(t, len(err.Error()), 800)
	})
}

func TestExpectedURL(t *testing.T) {
	key := testkit.ECKey(t, "client")
	for _, tc := range []struct{ name, base, request, htu string }{
		{"an origin", "https://a.example", "/v1/x", "https://a.example/v1/x"},
		{"an origin with a slash", "https://a.example/", "/v1/x", "https://a.example/v1/x"},
		{"an origin in capitals with default port", "HTTPS://A.EXAMPLE:443", "/v1/x", "https://a.example/v1/x"},
		{"a prefix", "https://a.example/bank", "/v1/x?q", "https://a.example/bank/v1/x"},
		{"a prefix with a slash", "https://a.example/bank/", "/v1/x", "https://a.example/bank/v1/x"},
		{"an escaped slash", "https://a.example", "/a%2Fb", "https://a.example/a%2Fb"},
		{"a request in absolute form", "https://a.example", "http://internal:8080/v1/x", "https://a.example/v1/x"},
	} {
		t.Run("DPOP-4.3-9 "+tc.name, func(t *testing.T) {
			v, _ := newVerifier(t, func(c *dpop.VerifierConfig) { c.BaseURLs = []string{tc.base} })
			_, err := v.Check(requestTo("POST", tc.request, sign(t, key, nil, with(map[string]any{"htu": tc.htu}))))
			require.NoError(t, err)
		})
	}
	t.Run("DPOP-4.3-9 header fields of the request do not count", func(t *testing.T) {
		v, _ := newVerifier(t, nil)
		r := request(sign(t, key, nil, with(map[string]any{"htu": "https://evil.example/token"})))
		r.Host = "evil.example"
		for name, value := range map[string]string{
			"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example", "X-Original-Url": "/",
		} {
			r.Header.Set(name, value)
		}
		_, err := v.Check(r)
		require.ErrorIs(t, err, dpop.ErrURL)
	})
	t.Run("an unknown URL refuses the request", func(t *testing.T) {
		cause := errors.New("no such tenant")
		for _, f := range []func(*http.Request) ([]*url.URL, error){
			func(*http.Request) ([]*url.URL, error) { return nil, cause },
			func(*http.Request) ([]*url.URL, error) { return nil, nil },
			func(*http.Request) ([]*url.URL, error) { return []*url.URL{nil}, nil },
			func(*http.Request) ([]*url.URL, error) { return []*url.URL{{Path: "/token"}}, nil },
			func(*http.Request) ([]*url.URL, error) { return []*url.URL{{}}, nil },
		} {
			v, _ := newVerifier(t, func(c *dpop.VerifierConfig) { c.BaseURLs, c.URLs = nil, f })
			p, err := v.Check(request(sign(t, key, nil, claimsNow())))
			require.ErrorIs(t, err, dpop.ErrURL)
			require.Zero(t, p)
			code, _, status := testkit.Wire(t, err)
			require.Equal(t, "invalid_dpop_proof", code)
			require.Equal(t, 400, status)
		}
	})
	t.Run("DPOP-4.3-9 a proof names any of several URLs", func(t *testing.T) {
		bases := []string{"https://a.example", "https://mtls.a.example/bank"}
		v, _ := newVerifier(t, func(c *dpop.VerifierConfig) { c.BaseURLs = bases })
		check := func(htu string) error {
			_, err := v.Check(requestTo("POST", "/token", sign(t, key, nil, with(map[string]any{"htu": htu}))))
			return err
		}
		for _, base := range bases {
			require.NoError(t, check(base+"/token"))
		}
		require.ErrorIs(t, check("https://a.example/bank/token"), dpop.ErrURL)
		require.ErrorIs(t, check("https://mtls.a.example/token"), dpop.ErrURL)
	})
	t.Run("DPOP-4.3-9 a URL without a host is not equal to an htu without one", func(t *testing.T) {
		for _, u := range []url.URL{{Path: "/token"}, {Scheme: "https", Path: "/token"}, {Host: "a.example", Path: "/token"}, {Scheme: "ftp", Host: "a.example", Path: "/token"}} {
			v, _ := newVerifier(t, func(c *dpop.VerifierConfig) {
				c.BaseURLs, c.URLs = nil, func(*http.Request) ([]*url.URL, error) { return []*url.URL{&u}, nil }
			})
			for _, htu := range []string{u.String(), u.Scheme + "://" + u.Host + u.Path} {
				_, err := v.Check(request(sign(t, key, nil, with(map[string]any{"htu": htu}))))
				require.ErrorIs(t, err, dpop.ErrURL, htu)
			}
		}
	})
	t.Run("a request without a server", func(t *testing.T) {
		v, _ := newVerifier(t, nil)
		r := &http.Request{
			Method: "POST", URL: &url.URL{Path: "/token"},
			Header: http.Header{"Dpop": {sign(t, key, nil, claimsNow())}},
		}
		_, err := v.Check(r)
		require.NoError(t, err)
		_, err = v.Check(&http.Request{})
		require.ErrorIs(t, err, dpop.ErrMissing)
	})
}

func FuzzHTU(f *testing.F) {
	for _, s := range []string{
		"https://a.example/x/../%7e%2f?q#f", "HTTP://[::1]:80", "https://A:443/./", "http://a:0/%zz", "https://u@h/", "https://a//..//.",
		"https://a/[x]|y", "https://[::ffff:1.2.3.4]:1/",
	} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		normal, err := dpop.NormalURL(a)
		if err != nil {
			require.Empty(t, normal)
			return
		}
		again, err := dpop.NormalURL(normal)
		require.NoError(t, err)
		require.Equal(t, normal, again, "normalising is idempotent")
		if !strings.ContainsAny(a, "?#") {
			same, err := dpop.NormalURL(a + "?" + b + "#" + b)
			if err == nil { // b may have characters that no URL has
				require.Equal(t, normal, same, "query and fragment do not count")
			}
		}
		// What net/url makes of it is the same before and after, save what was normalised.
		u, err := url.Parse(a)
		if err != nil {
			return // escapes in a query, for one, are nothing to us
		}
		n, err := url.Parse(normal)
		require.NoError(t, err)
		require.Nil(t, u.User)
		require.Equal(t, strings.ToLower(u.Scheme), n.Scheme)
		if !strings.Contains(u.Host, "[") {
			require.Equal(t, strings.ToLower(u.Hostname()), n.Hostname())
		}
		require.Equal(t, isDefault(u), n.Port() == "")
		if u.Path != "" && !strings.Contains(u.Path, "/.") {
			require.Equal(t, u.Path, n.Path)
		}
		require.Empty(t, n.RawQuery+n.Fragment)
	})
}

func isDefault(u *url.URL) bool {
	p := strings.TrimLeft(u.Port(), "0")
	return u.Port() == "" || strings.EqualFold(u.Scheme, "https") && p == "443" || strings.EqualFold(u.Scheme, "http") && p == "80"
}
