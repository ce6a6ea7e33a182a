package profile_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/stretchr/testify/require"
)

const (
	oauthPath  = "/.well-known/oauth-authorization-server"
	openidPath = "/.well-known/openid-configuration"
)

// site is an authorization server's web site over TLS, with paths that a test fills in, and a list of what was asked for.
type site struct {
	*httptest.Server
	pages map[string]http.HandlerFunc
	asked []string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{pages: make(map[string]http.HandlerFunc)}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked = append(s.asked, r.URL.Path)
		if page := s.pages[r.URL.Path]; page != nil {
			page(w, r)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func document(m *profile.ServerMetadata) http.HandlerFunc {
	body, err := json.Marshal(m)
	return page(200, "application/json", string(body), err)
}

func page(status int, contentType, body string, errs ...error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := errors.Join(errs...); err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		w.Write([]byte(body))
	}
}

func TestDiscover(t *testing.T) {
	t.Run("SP-5.3.3.1-9 the endpoints are those of the document, found at the RFC 8414 URL", func(t *testing.T) {
		s := newSite(t)
		published := publishable(s.URL)
		published.UserInfoEndpoint = s.URL + "/userinfo" // else the second document might have it
		s.pages[oauthPath] = published.Handler().ServeHTTP
		m, err := profile.Discover(t.Context(), s.Client(), s.URL)
		require.NoError(t, err)
		require.Equal(t, published, m)
		require.NoError(t, m.CheckBaseline())
		require.Equal(t, []string{oauthPath}, s.asked)
	})
	t.Run("MD-3-1 an issuer with a path: inserted first, appended second", func(t *testing.T) {
		s := newSite(t)
		tenant := s.URL + "/t/1"
		s.pages["/t/1"+openidPath] = document(publishable(tenant))
		m, err := profile.Discover(t.Context(), s.Client(), tenant)
		require.NoError(t, err)
		require.Equal(t, tenant, m.Issuer)
		require.Equal(t, []string{oauthPath + "/t/1", "/t/1" + openidPath}, s.asked)
	})
	t.Run("any status of the 400 class means that the other form is tried", func(t *testing.T) {
		for _, status := range []int{400, 401, 403, 405, 410} {
			s := newSite(t)
			s.pages[oauthPath] = page(status, "text/html", "no")
			s.pages[openidPath] = document(publishable(s.URL))
			_, err := profile.Discover(t.Context(), s.Client(), s.URL)
			require.NoError(t, err)
		}
	})
	t.Run("CASES B10: what is not a JSON document means that the other form is tried", func(t *testing.T) {
		body, err := json.Marshal(publishable("https://evil.example"))
		require.NoError(t, err)
		for name, first := range map[string]http.HandlerFunc{
			"a page":                       page(200, "text/html; charset=utf-8", "<html>"),
			"MD-3.2-1 another media type":  page(200, "text/plain", string(body)),
			"no media type":                page(200, "application/", string(body)),
			"a page that claims to be one": page(200, "application/json", "<html>"),
			"an empty body":                page(200, "application/json", ""),
			"two documents":                page(200, "application/json", "{}{}"),
			"404":                          page(404, "application/json", string(body)),
			"another status":               page(201, "application/json", string(body)),
			"no content":                   page(204, "application/json", ""),
			"a page after a redirect":      http.RedirectHandler("/login", 302).ServeHTTP,
			"a redirect to another origin": http.RedirectHandler("https://login.example/", 302).ServeHTTP,
			"a redirect without end":       http.RedirectHandler(oauthPath, 302).ServeHTTP,
		} {
			s := newSite(t)
			s.pages["/login"] = page(200, "text/html", "<form>")
			s.pages[oauthPath] = first
			s.pages[openidPath] = document(publishable(s.URL))
			m, err := profile.Discover(t.Context(), s.Client(), s.URL)
			require.NoError(t, err, name)
			require.Equal(t, publishable(s.URL), m)

			s.pages[openidPath] = first
			_, err = profile.Discover(t.Context(), s.Client(), s.URL)
			require.ErrorIs(t, err, profile.ErrDiscovery, name)
			require.ErrorContains(t, err, oauthPath)
			require.ErrorContains(t, err, openidPath)
		}
	})
	t.Run("MTLS-5-1 an alias of another type is not an absent one: the certificate would go elsewhere", func(t *testing.T) {
		for _, odd := range []string{`7`, `["x"]`, `{}`} {
			err := new(profile.ServerMetadata).UnmarshalJSON([]byte(`{"issuer":"https://as.example","mtls_endpoint_aliases":{"token_endpoint":` + odd + `}}`))
			require.ErrorIs(t, err, profile.ErrServerMetadata)
			require.ErrorContains(t, err, "mtls_endpoint_aliases.token_endpoint")
		}
	})
	t.Run("CASES B11: a member of another type counts as absent", func(t *testing.T) {
		full := publishable("")
		raw, err := json.Marshal(full)
		require.NoError(t, err)
		var names map[string]any
		require.NoError(t, json.Unmarshal(raw, &names))
		for name := range names {
			for _, odd := range []string{`"x"`, `7`, `true`, `["x",7]`, `["x",null]`, `{"x":1}`, `null`} {
				s := newSite(t)
				whole, absent := publishable(s.URL), make(map[string]json.RawMessage)
				raw, err := json.Marshal(whole)
				require.NoError(t, err)
				require.NoError(t, json.Unmarshal(raw, &absent))
				is := absent[name]
				delete(absent, name)
				without, err := json.Marshal(absent)
				require.NoError(t, err)
				if sameKind(is, odd) || name == "issuer" || name == "protected_resources" || name == "mtls_endpoint_aliases" && odd != "null" { // strict
					continue
				}
				absent[name] = json.RawMessage(odd)
				with, err := json.Marshal(absent)
				require.NoError(t, err)
				got, want := new(profile.ServerMetadata), new(profile.ServerMetadata)
				require.NoError(t, got.UnmarshalJSON(with))
				require.NoError(t, want.UnmarshalJSON(without))
				if odd == "null" {
					require.Empty(t, got.Dropped())
				} else {
					require.Equal(t, []string{name}, got.Dropped(), odd)
					require.NotEmpty(t, got.Lint(profile.Baseline))
				}
				asked, err := json.Marshal(got)
				require.NoError(t, err)
				expected, err := json.Marshal(want)
				require.NoError(t, err)
				require.JSONEq(t, string(expected), string(asked), "%s: %s", name, odd)
				require.Equal(t, want.Validate(s.URL) == nil, got.Validate(s.URL) == nil, "%s: %s", name, odd)
				require.Equal(t, want.CheckBaseline() == nil, got.CheckBaseline() == nil, "%s: %s", name, odd)
			}
		}
		s := newSite(t)
		m := publishable(s.URL)
		raw, err = json.Marshal(m)
		require.NoError(t, err)
		text := strings.Replace(string(raw), `"token_endpoint":"`, `"claim_types_supported":"normal","x_token":"`, 1)
		s.pages[oauthPath] = page(200, "application/json", text)
		_, err = profile.Discover(t.Context(), s.Client(), s.URL)
		require.ErrorContains(t, err, "token_endpoint")
		require.ErrorContains(t, err, "claim_types_supported", "the error names what was dropped")
	})
	t.Run("CASES F7: members of OpenID Connect that only the second document has", func(t *testing.T) {
		s := newSite(t)
		whole := publishable(s.URL)
		whole.UserInfoEndpoint, whole.ClaimsSupported = s.URL+"/userinfo", []string{"sub"}
		first := *whole
		first.UserInfoEndpoint, first.SubjectTypesSupported, first.ClaimsSupported = "", nil, nil
		second := *whole
		whole.IDTokenSigningAlgValuesSupported, first.IDTokenSigningAlgValuesSupported = nil, nil
		second.IDTokenSigningAlgValuesSupported = []string{"RS256"}
		second.TokenEndpoint, second.JWKSURI = s.URL+"/other", s.URL+"/other-keys"
		whole.MTLSEndpointAliases = &profile.MTLSEndpointAliases{TokenEndpoint: s.URL + "/mtls/token", UserInfoEndpoint: s.URL + "/mtls/userinfo"}
		first.MTLSEndpointAliases = &profile.MTLSEndpointAliases{TokenEndpoint: s.URL + "/mtls/token"}
		second.MTLSEndpointAliases = &profile.MTLSEndpointAliases{TokenEndpoint: s.URL + "/mtls/other", UserInfoEndpoint: s.URL + "/mtls/userinfo"}
		s.pages[oauthPath], s.pages[openidPath] = document(&first), document(&second)
		m, err := profile.Discover(t.Context(), s.Client(), s.URL)
		require.NoError(t, err)
		require.Equal(t, whole, m, "and nothing else of it")
		for name, other := range map[string]http.HandlerFunc{
			"of another issuer": document(publishable("https://evil.example")), "a page": page(200, "text/html", ""),
			"no document": page(404, "text/plain", ""), "a failure": page(500, "text/plain", ""), "malformed": page(200, "application/json", "[]"),
		} {
			s.pages[openidPath] = other
			m, err := profile.Discover(t.Context(), s.Client(), s.URL)
			require.NoError(t, err, name)
			require.Equal(t, &first, m, name)
		}
	})
	t.Run("a media type with a parameter", func(t *testing.T) {
		s := newSite(t)
		body, err := json.Marshal(publishable(s.URL))
		require.NoError(t, err)
		s.pages[oauthPath] = page(200, "Application/JSON; charset=utf-8", string(body))
		_, err = profile.Discover(t.Context(), s.Client(), s.URL)
		require.NoError(t, err)
	})
	t.Run("a redirect within the origin", func(t *testing.T) {
		s := newSite(t)
		s.pages[oauthPath] = http.RedirectHandler("/there", 302).ServeHTTP
		s.pages["/there"] = document(publishable(s.URL))
		_, err := profile.Discover(t.Context(), s.Client(), s.URL)
		require.NoError(t, err)
	})
	t.Run("the caller's client is not changed and sends no cookies", func(t *testing.T) {
		s := newSite(t)
		s.pages[oauthPath] = func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b", Path: "/"})
			http.Redirect(w, r, "/there", http.StatusFound)
		}
		cookies := ""
		s.pages["/there"] = func(w http.ResponseWriter, r *http.Request) {
			cookies = r.Header.Get("Cookie")
			document(publishable(s.URL))(w, r)
		}
		client := s.Client()
		var err error
		client.Jar, err = cookiejar.New(nil)
		require.NoError(t, err)
		before := *client
		_, err = profile.Discover(t.Context(), client, s.URL)
		require.NoError(t, err)
		require.Empty(t, cookies)
		require.Nil(t, client.CheckRedirect)
		require.Equal(t, before, *client)
	})
}

// sameKind reports whether two JSON texts have the type that a member wants.
func sameKind(is json.RawMessage, odd string) bool {
	switch is[0] {
	case '"':
		return odd[0] == '"'
	case 't', 'f':
		return odd == "true"
	}
	return false
}

func TestDiscoverRefuses(t *testing.T) {
	evil := newSite(t)
	for _, tc := range []struct {
		name string
		page func(s *site) http.HandlerFunc
		want error
	}{
		{"MD-3.3-1, SP-5.3.3.1-11 the document of another issuer", func(s *site) http.HandlerFunc {
			return document(publishable("https://evil.example"))
		}, profile.ErrIssuerMismatch},
		{"MD-3.3-1 a slash more", func(s *site) http.HandlerFunc { return document(publishable(s.URL + "/")) }, profile.ErrIssuerMismatch},
		{"SP-5.2.1-1 an endpoint over http", func(s *site) http.HandlerFunc {
			m := publishable(s.URL)
			m.TokenEndpoint = "http://as.example/token"
			return document(m)
		}, profile.ErrServerMetadata},
		{"MD-3.2-1 two media types", func(s *site) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.Header().Add("Content-Type", "text/html")
				w.Header().Add("Content-Type", "application/json")
				json.NewEncoder(w).Encode(publishable(s.URL))
			}
		}, profile.ErrDiscovery},
		{"CASES B11: aliases of another type", func(s *site) http.HandlerFunc {
			return page(200, "application/json", `{"issuer":"`+s.URL+`","mtls_endpoint_aliases":[]}`)
		}, profile.ErrServerMetadata},
		{"a failure is not absence", func(s *site) http.HandlerFunc { return page(500, "text/plain", "") }, profile.ErrDiscovery},
		{"a rate limit is not absence", func(s *site) http.HandlerFunc { return page(429, "text/plain", "") }, profile.ErrDiscovery},
		{"two members of one name", func(s *site) http.HandlerFunc {
			return page(200, "application/json", `{"issuer":"`+s.URL+`","issuer":"`+s.URL+`"}`)
		}, profile.ErrServerMetadata},
		{"an array", func(s *site) http.HandlerFunc { return page(200, "application/json", "[]") }, profile.ErrServerMetadata},
		{"CASES B11: an issuer of another type", func(s *site) http.HandlerFunc {
			return page(200, "application/json", `{"issuer":["`+s.URL+`"]}`)
		}, profile.ErrServerMetadata},
		{"more than 1 MiB", func(s *site) http.HandlerFunc {
			return page(200, "application/json", `{"x":"`+strings.Repeat("x", 1<<20)+`"}`)
		}, profile.ErrServerMetadata},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSite(t)
			s.pages[oauthPath] = tc.page(s)
			s.pages[openidPath] = document(publishable(s.URL)) // must not be asked for
			evil.asked = nil
			m, err := profile.Discover(t.Context(), s.Client(), s.URL)
			require.ErrorIs(t, err, tc.want)
			require.Nil(t, m)
			require.NotContains(t, s.asked, openidPath)
			require.Empty(t, evil.asked)
		})
	}
	for name, elsewhere := range map[string]func(s *site) string{
		"SP-5.3.3.1-10 a redirect to another origin": func(*site) string { return evil.URL + "/there" },
		"SP-5.2.1-1 a redirect to http":              func(s *site) string { return strings.Replace(s.URL, "https:", "http:", 1) + "/there" },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			evil.asked, evil.pages["/there"] = nil, document(publishable(s.URL))
			s.pages[oauthPath] = http.RedirectHandler(elsewhere(s), 302).ServeHTTP
			s.pages[openidPath] = s.pages[oauthPath]
			_, err := profile.Discover(t.Context(), s.Client(), s.URL)
			require.ErrorIs(t, err, profile.ErrDiscovery)
			require.Empty(t, evil.asked, "it is not followed")
		})
	}
	t.Run("neither form is there", func(t *testing.T) {
		s := newSite(t)
		_, err := profile.Discover(t.Context(), s.Client(), s.URL)
		require.ErrorIs(t, err, profile.ErrDiscovery)
		require.Equal(t, []string{oauthPath, openidPath}, s.asked)
	})
	t.Run("the caller's own redirect policy still holds", func(t *testing.T) {
		s := newSite(t)
		s.pages[oauthPath] = http.RedirectHandler("/there", 302).ServeHTTP
		client, mine := s.Client(), errors.New("not me")
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return mine }
		_, err := profile.Discover(t.Context(), client, s.URL)
		require.ErrorIs(t, err, profile.ErrDiscovery)
		require.ErrorIs(t, err, mine)
	})
	t.Run("a cancelled context", func(t *testing.T) {
		s := newSite(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := profile.Discover(ctx, s.Client(), s.URL)
		require.ErrorIs(t, err, profile.ErrDiscovery)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("SP-5.2.1-1, MD-2-1 an issuer over http is not even asked", func(t *testing.T) {
		s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") }))
		defer s.Close()
		_, err := profile.Discover(t.Context(), s.Client(), s.URL)
		require.ErrorIs(t, err, profile.ErrIssuer)
	})
}

func TestDiscoverChecksTheServer(t *testing.T) {
	s := newSite(t)
	s.Config.ErrorLog = discardLog()
	s.pages[oauthPath] = document(publishable(s.URL))
	t.Run("MD-6.1-1, SP-5.2.1-5 a certificate of an unknown CA", func(t *testing.T) {
		_, err := profile.Discover(t.Context(), nil, s.URL)
		require.ErrorIs(t, err, profile.ErrDiscovery)
		var unverified *tls.CertificateVerificationError
		require.ErrorAs(t, err, &unverified)
	})
	t.Run("MD-6.1-1, SP-5.2.1-5 a client that does not check certificates", func(t *testing.T) {
		config := profile.TLSConfig()
		config.InsecureSkipVerify = true
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
		m, err := profile.Discover(t.Context(), client, s.URL)
		require.ErrorIs(t, err, profile.ErrDiscovery)
		require.ErrorContains(t, err, "not verified")
		require.Nil(t, m)
	})
	t.Run("SP-5.2.1-2 a client that allows TLS 1.1, and a server that has no more", func(t *testing.T) {
		old := httptest.NewUnstartedServer(document(publishable(issuer)))
		old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
		old.StartTLS()
		defer old.Close()
		client := old.Client()
		client.Transport.(*http.Transport).TLSClientConfig.MinVersion = tls.VersionTLS10
		_, err := profile.Discover(t.Context(), client, old.URL)
		require.ErrorIs(t, err, profile.ErrDiscovery)
		require.ErrorContains(t, err, "before 1.2")
	})
	t.Run("a transport without connections", func(t *testing.T) {
		h := publishable(issuer).Handler()
		client := &http.Client{Transport: testkit.RoundTripper(func(r *http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Result(), nil
		})}
		m, err := profile.Discover(t.Context(), client, issuer)
		require.NoError(t, err)
		require.Equal(t, issuer, m.Issuer)
	})
}
