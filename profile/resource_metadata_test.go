package profile_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/stretchr/testify/require"
)

const resourcePath = "/.well-known/oauth-protected-resource"

func resourceAt(base string) *profile.ResourceMetadata {
	m := lintableResource()
	m.Resource, m.JWKSURI = base, ""
	m.ResourceSigningAlgValuesSupported = nil
	return m
}

func TestResourceMetadataURL(t *testing.T) {
	type vector struct{ Name, Resource, URL string }
	for _, v := range testkit.LoadVectors[vector](t, "testdata/rfc9728-wellknown.json") {
		t.Run("PRM-3-1 "+v.Name, func(t *testing.T) {
			m := resourceAt(v.Resource)
			url, err := m.URL()
			require.NoError(t, err)
			require.Equal(t, v.URL, url)
			require.NoError(t, m.Validate(v.Resource))
			require.NoError(t, m.CheckPublished())
			target := v.URL[strings.Index(v.URL, "/.well-known"):]
			require.Equal(t, 200, get(t, m.Handler(), "GET", target).Code)
			path, _, hasQuery := strings.Cut(target, "?")
			if hasQuery {
				require.Equal(t, 404, get(t, m.Handler(), "GET", path).Code)
				require.Equal(t, 404, get(t, m.Handler(), "GET", target+"&x=y").Code)
			}
		})
	}
	for _, tc := range []struct{ name, resource string }{
		{"PRM-2-1 none", ""},
		{"PRM-2-1 http", "http://api.example"},
		{"PRM-2-1 http on the loopback interface", "http://127.0.0.1"},
		{"PRM-2-1 no URL", "urn:example:api"},
		{"PRM-2-1 a fragment", "https://api.example/#a"},
		{"PRM-2-1 an empty fragment", "https://api.example/#"},
		{"PRM-2-1 user information", "https://a@api.example"},
		{"PRM-2-1 no host", "https:///a"},
		{"PRM-2-1 a line break", "https://api.example/\r\nX: y"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := resourceAt(tc.resource)
			_, err := m.URL()
			require.ErrorIs(t, err, profile.ErrResourceMetadata)
			require.ErrorIs(t, m.Validate(tc.resource), profile.ErrResourceMetadata)
			require.ErrorIs(t, m.CheckPublished(), profile.ErrResourceMetadata)
			require.Equal(t, 500, get(t, m.Handler(), "GET", resourcePath).Code)
			_, err = profile.DiscoverResource(t.Context(), nil, tc.resource)
			require.ErrorIs(t, err, profile.ErrResourceMetadata)
		})
	}
}

func TestResourceMetadataValidate(t *testing.T) {
	const resource = "https://api.example/v1"
	require.NoError(t, resourceAt(resource).Validate(resource))
	for _, tc := range []struct{ name, document string }{
		{"PRM-3.3-1 another one", "https://evil.example/v1"},
		{"PRM-3.3-1 a slash more", resource + "/"},
		{"PRM-3.3-1 a port more", "https://api.example:443/v1"},
		{"PRM-3.3-1 another case", "https://API.example/v1"},
		{"PRM-3.3-2 the URL that was requested is longer", "https://api.example"},
		{"PRM-3.3-1 none", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := resourceAt(tc.document).Validate(resource)
			require.ErrorIs(t, err, profile.ErrResourceMetadata)
			require.ErrorContains(t, err, "another resource")
		})
	}
	for _, tc := range []struct {
		name string
		edit func(*profile.ResourceMetadata)
		want int
	}{
		{"PRM-2-2 what cannot be an issuer", func(m *profile.ResourceMetadata) {
			m.AuthorizationServers = []string{"http://as.example", "https://as.example?x", issuer}
		}, 2},
		{"PRM-2-3, SP-5.4.2-1 keys over http", func(m *profile.ResourceMetadata) { m.JWKSURI = "http://api.example/jwks" }, 1},
		{"PRM-2-5 none", func(m *profile.ResourceMetadata) { m.ResourceSigningAlgValuesSupported = []string{"none"} }, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := resourceAt(resource)
			tc.edit(m)
			err := m.Validate(resource)
			require.ErrorIs(t, err, profile.ErrResourceMetadata)
			require.Len(t, causes(err), tc.want)
			require.ErrorIs(t, m.CheckPublished(), profile.ErrResourceMetadata)
		})
	}
	t.Run("a client may use what an API should not have published", func(t *testing.T) {
		m := resourceAt(resource)
		m.BearerMethodsSupported, m.DPoPSigningAlgValuesSupported = []string{"header", "query"}, []string{"RS256", "PS256"}
		require.NoError(t, m.Validate(resource))
		require.Len(t, causes(m.CheckPublished()), 2)
	})
}

func TestResourceAndServerNameEachOther(t *testing.T) {
	const resource = "https://api.example/v1"
	for _, tc := range []struct {
		name               string
		servers, resources []string
		ok                 bool
	}{
		{"PRM-4-2 both", []string{"https://other.example", issuer}, []string{resource, "https://x.example"}, true},
		{"PRM-4-2 neither has a list", nil, nil, true},
		{"PRM-4-2 the resource alone", []string{issuer}, nil, true},
		{"PRM-4-2 the server alone", nil, []string{resource}, true},
		{"PRM-4-2 the resource has another server", []string{"https://evil.example"}, []string{resource}, false},
		{"PRM-4-2 the server has another resource", []string{issuer}, []string{"https://x.example"}, false},
		{"PRM-4-2 the server has it with a slash more", []string{issuer}, []string{resource + "/"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, server := resourceAt(resource), publishable(issuer)
			m.AuthorizationServers, server.ProtectedResources = tc.servers, tc.resources
			if err := m.CheckServer(server); tc.ok {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, profile.ErrResourceMetadata)
			}
		})
	}
}

func TestResourceMetadataHandler(t *testing.T) {
	m := resourceAt("https://api.example/v1")
	h := m.Handler()
	m.ResourceName = "changed later"
	answer := get(t, h, "GET", resourcePath+"/v1")
	require.Equal(t, 200, answer.Code, "PRM-3.2-1")
	require.Equal(t, "application/json", answer.Header().Get("Content-Type"), "PRM-3.2-1")
	require.JSONEq(t, `{"resource":"https://api.example/v1","authorization_servers":["https://as.example"],"scopes_supported":["accounts"],
		"bearer_methods_supported":["header"],"dpop_signing_alg_values_supported":["ES256","PS256"],"dpop_bound_access_tokens_required":true,
		"resource_name":"Accounts","resource_documentation":"https://api.example/docs#v1"}`, answer.Body.String(), "PRM-3.2-1 nothing without an element")
	require.Empty(t, get(t, h, "HEAD", resourcePath+"/v1").Body.String())
	require.Equal(t, 200, get(t, h, "GET", resourcePath+"/v1?cache=buster").Code)
	require.Equal(t, 405, get(t, h, "POST", resourcePath+"/v1").Code)
	for _, path := range []string{"/", resourcePath, resourcePath + "/v1/", resourcePath + "/v2", "/v1" + resourcePath} {
		require.Equal(t, 404, get(t, h, "GET", path).Code, "PRM-3-1 %s", path)
	}
}

func TestDiscoverResource(t *testing.T) {
	t.Run("PRM-3-1, PRM-3.3-1 the document at the well-known URL of the resource", func(t *testing.T) {
		s := newSite(t)
		want := resourceAt(s.URL + "/v1")
		s.pages[resourcePath+"/v1"] = want.Handler().ServeHTTP
		m, err := profile.DiscoverResource(t.Context(), s.Client(), s.URL+"/v1")
		require.NoError(t, err)
		require.Equal(t, want, m)
		require.Equal(t, []string{resourcePath + "/v1"}, s.asked)
	})
	evil := newSite(t)
	for _, tc := range []struct {
		name string
		page func(s *site) http.HandlerFunc
		want error
	}{
		{"PRM-3.3-1 the document of another resource", func(s *site) http.HandlerFunc { return resourceAt("https://evil.example").Handler().ServeHTTP }, profile.ErrResourceMetadata},
		{"PRM-3.2-1 another media type", func(s *site) http.HandlerFunc { return page(200, "text/html", `{"resource":"`+s.URL+`"}`) }, profile.ErrDiscovery},
		{"PRM-3.2-1 two media types", func(s *site) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.Header().Add("Content-Type", "application/json")
				w.Header().Add("Content-Type", "application/json")
			}
		}, profile.ErrDiscovery},
		{"PRM-3.2-1 another status", func(s *site) http.HandlerFunc { return page(201, "application/json", `{"resource":"`+s.URL+`"}`) }, profile.ErrDiscovery},
		{"nothing there", func(s *site) http.HandlerFunc { return http.NotFound }, profile.ErrDiscovery},
		{"a rate limit", func(s *site) http.HandlerFunc { return page(429, "text/plain", "") }, profile.ErrDiscovery},
		{"a failure", func(s *site) http.HandlerFunc { return page(500, "text/plain", "") }, profile.ErrDiscovery},
		{"two members of one name", func(s *site) http.HandlerFunc {
			return page(200, "application/json", `{"resource":"`+s.URL+`","resource":"`+s.URL+`"}`)
		}, profile.ErrResourceMetadata},
		{"more than 1 MiB", func(s *site) http.HandlerFunc {
			return page(200, "application/json", `{"x":"`+strings.Repeat("x", 1<<20)+`"}`)
		}, profile.ErrResourceMetadata},
		{"PRM-2-2 a server over http", func(s *site) http.HandlerFunc {
			return page(200, "application/json", `{"resource":"`+s.URL+`","authorization_servers":["http://as.example"]}`)
		}, profile.ErrResourceMetadata},
		{"PRM-7-1 a redirect to another origin", func(s *site) http.HandlerFunc {
			return http.RedirectHandler(evil.URL+resourcePath, 302).ServeHTTP
		}, profile.ErrDiscovery},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSite(t)
			s.pages[resourcePath] = tc.page(s)
			m, err := profile.DiscoverResource(t.Context(), s.Client(), s.URL)
			require.ErrorIs(t, err, tc.want)
			require.Nil(t, m)
			require.Empty(t, evil.asked)
		})
	}
	t.Run("SP-5.2.1-1 a resource over http is not even asked", func(t *testing.T) {
		s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") }))
		defer s.Close()
		_, err := profile.DiscoverResource(t.Context(), s.Client(), s.URL)
		require.ErrorIs(t, err, profile.ErrResourceMetadata)
	})
	t.Run("SP-5.2.1-5 a certificate that nobody vouches for", func(t *testing.T) {
		s := newSite(t)
		_, err := profile.DiscoverResource(t.Context(), nil, s.URL)
		require.ErrorIs(t, err, profile.ErrDiscovery)
		require.Empty(t, s.asked)
	})
}

func TestResourceMetadataJSON(t *testing.T) {
	for _, tc := range []struct{ name, document string }{
		{"a duplicate member", `{"resource":"https://a.example","resource":"https://b.example"}`},
		{"a member in two cases", `{"resource":"https://a.example","Resource":"https://b.example"}`},
		{"a string for the list that is trusted", `{"authorization_servers":"https://as.example"}`},
		{"a number for a string", `{"resource":1}`},
		{"a list", `[]`},
		{"nothing", ``},
		{"bytes behind", `{}{}`},
		{"too long", `{"x":"` + strings.Repeat("x", 1<<20) + `"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := profile.ResourceMetadata{Resource: "before"}
			require.ErrorIs(t, m.UnmarshalJSON([]byte(tc.document)), profile.ErrResourceMetadata)
			require.Equal(t, profile.ResourceMetadata{Resource: "before"}, m, "unchanged")
		})
	}
	t.Run("CASES B11: a member of another type counts as absent", func(t *testing.T) {
		m := new(profile.ResourceMetadata)
		require.NoError(t, m.UnmarshalJSON([]byte(`{"resource":"https://a.example","scopes_supported":"a","dpop_bound_access_tokens_required":"true","jwks_uri":null}`)))
		require.Equal(t, []string{"dpop_bound_access_tokens_required", "scopes_supported"}, m.Dropped())
		require.Empty(t, m.ScopesSupported)
		require.Error(t, m.CheckPublished())
	})
	t.Run("PRM-3.2-1, PRM-2-7 unknown members and other languages are ignored, nothing is left over", func(t *testing.T) {
		m := profile.ResourceMetadata{ResourceName: "before"}
		require.NoError(t, json.Unmarshal([]byte(`{"RESOURCE":"x","resource_name#de":"Konten","signed_metadata":{"a":[1]},"scopes_supported":null}`), &m))
		require.Equal(t, profile.ResourceMetadata{}, m)
	})
	t.Run("PRM-2-6, PRM-2-7 every member has a name of its own and comes back", func(t *testing.T) {
		checkEveryMember(t, profile.ResourceMetadata{})
	})
	t.Run("PRM-3.2-1 what has no element is left out", func(t *testing.T) {
		data, err := json.Marshal(&profile.ResourceMetadata{Resource: "https://a.example", ScopesSupported: []string{}})
		require.NoError(t, err)
		require.JSONEq(t, `{"resource":"https://a.example"}`, string(data))
	})
}

func FuzzResourceMetadata(f *testing.F) {
	full, err := json.Marshal(lintableResource())
	require.NoError(f, err)
	f.Add(full)
	f.Add([]byte(`{"resource":"https://a.example/?x","authorization_servers":[null],"x":{"x":[]}}`))
	f.Add([]byte(`{"resource":"https://a.example#"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		first := new(profile.ResourceMetadata)
		if err := first.UnmarshalJSON(data); err != nil {
			require.ErrorIs(t, err, profile.ErrResourceMetadata)
			require.Equal(t, new(profile.ResourceMetadata), first)
			return
		}
		once, err := json.Marshal(first)
		require.NoError(t, err)
		second := new(profile.ResourceMetadata)
		require.NoError(t, second.UnmarshalJSON(once))
		again, err := json.Marshal(second)
		require.NoError(t, err)
		require.Equal(t, string(once), string(again))
		require.Len(t, causes(first.CheckPublished()), errorsIn(first.Lint(profile.Baseline)))
		if url, err := first.URL(); err == nil {
			require.Contains(t, url, resourcePath)
			require.Equal(t, first.Resource[:strings.Index(url, "/.well-known")], url[:strings.Index(url, "/.well-known")], "the same host")
		} else {
			require.Error(t, first.Validate(first.Resource))
		}
	})
}
