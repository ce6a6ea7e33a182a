package tokenbinding_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/tokenbinding"
)

func request(target string, authorization ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for _, a := range authorization {
		r.Header.Add("Authorization", a)
	}
	return r
}

func TestFromRequest(t *testing.T) {
	long := strings.Repeat("a", 16<<10)
	for _, row := range []struct {
		name          string
		target        string
		authorization []string
		want          tokenbinding.Presented
	}{
		{"SP-5.3.4-1 DPoP", "/", []string{"DPoP Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"}, tokenbinding.Presented{Scheme: "DPoP", Token: "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"}},
		{"SP-5.3.4-1 Bearer", "/", []string{"Bearer a+/=="}, tokenbinding.Presented{Scheme: "Bearer", Token: "a+/=="}},
		{"CS-18 dpop in lower case", "/", []string{"dpop a"}, tokenbinding.Presented{Scheme: "DPoP", Token: "a"}},
		{"CS-18 BEARER in upper case", "/", []string{"BEARER a"}, tokenbinding.Presented{Scheme: "Bearer", Token: "a"}},
		{"several spaces", "/", []string{"DPoP   a"}, tokenbinding.Presented{Scheme: "DPoP", Token: "a"}},
		{"16 KiB", "/", []string{"DPoP " + long}, tokenbinding.Presented{Scheme: "DPoP", Token: long}},
		{"another query", "/?access=token&token=x&Access_token=y", []string{"DPoP a"}, tokenbinding.Presented{Scheme: "DPoP", Token: "a"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, err := tokenbinding.FromRequest(request(row.target, row.authorization...))
			require.NoError(t, err)
			require.Equal(t, row.want, p)
			h := http.Header{"Authorization": {"Bearer old", "DPoP older"}}
			require.NoError(t, p.Set(h))
			require.Len(t, h.Values("Authorization"), 1, "SP-5.3.3.1-3: one token in one place")
			again, err := tokenbinding.FromRequest(&http.Request{Header: h})
			require.NoError(t, err)
			require.Equal(t, p, again)
		})
	}
}

func TestFromRequestRefuses(t *testing.T) {
	for _, row := range []struct {
		name          string
		target        string
		authorization []string
		want          error
	}{
		{"BASE-6750-3.1-2 nothing", "/", nil, tokenbinding.ErrNoToken},
		{"BASE-6750-3.1-2 an empty header", "/", []string{""}, tokenbinding.ErrNoToken},
		{"BASE-6750-3.1-2 another scheme", "/", []string{"Basic YTpi"}, tokenbinding.ErrNoToken},
		{"BASE-6750-3.1-2 a scheme that begins like one of ours", "/", []string{"DPoPx a"}, tokenbinding.ErrNoToken},
		{"DPOP-7.2-3 two schemes", "/", []string{"Bearer a", "DPoP a"}, tokenbinding.ErrMultipleMethods},
		{"DPOP-7.2-3 one scheme twice", "/", []string{"DPoP a", "DPoP a"}, tokenbinding.ErrMultipleMethods},
		{"DPOP-7.2-3 an empty header first", "/", []string{"", "Bearer a"}, tokenbinding.ErrMultipleMethods},
		{"DPOP-7.2-3 two in one header", "/", []string{"Bearer a, DPoP b"}, tokenbinding.ErrMalformed},
		{"SP-5.3.4-2 in the query", "/?access_token=a", nil, tokenbinding.ErrTokenInQuery},
		{"SP-5.3.4-2 in the query and the header", "/?x=y&access_token=a", []string{"DPoP a"}, tokenbinding.ErrTokenInQuery},
		{"SP-5.3.4-2 in the query, empty", "/?access_token", []string{"DPoP a"}, tokenbinding.ErrTokenInQuery},
		{"SP-5.3.4-2 in the query, encoded", "/?%61ccess_token=a", nil, tokenbinding.ErrTokenInQuery},
		{"SP-5.3.4-2 in the query, after a semicolon", "/?x;access_token=a", nil, tokenbinding.ErrTokenInQuery},
		{"SP-5.3.4-2 in the query, badly encoded value", "/?access_token=%zz", nil, tokenbinding.ErrTokenInQuery},
		{"a scheme alone", "/", []string{"DPoP"}, tokenbinding.ErrMalformed},
		{"a scheme and a space", "/", []string{"DPoP "}, tokenbinding.ErrMalformed},
		{"padding alone", "/", []string{"DPoP =="}, tokenbinding.ErrMalformed},
		{"a space in the token", "/", []string{"DPoP a b"}, tokenbinding.ErrMalformed},
		{"a quotation mark in the token", "/", []string{`DPoP "a"`}, tokenbinding.ErrMalformed},
		{"padding inside", "/", []string{"DPoP a=b"}, tokenbinding.ErrMalformed},
		{"not ASCII", "/", []string{"DPoP ä"}, tokenbinding.ErrMalformed},
		{"a tab", "/", []string{"DPoP\ta"}, tokenbinding.ErrNoToken},
		{"more than 16 KiB", "/", []string{"DPoP " + strings.Repeat("a", 16<<10+1)}, tokenbinding.ErrMalformed},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, err := tokenbinding.FromRequest(request(row.target, row.authorization...))
			require.ErrorIs(t, err, row.want)
			require.Zero(t, p)
			code, _, status := wire(t, err)
			if errors.Is(err, tokenbinding.ErrNoToken) {
				require.Empty(t, code)
				require.Equal(t, 401, status)
			} else {
				require.Equal(t, "invalid_request", code, "BASE-6750-3.1-1")
				require.Equal(t, 400, status, "BASE-6750-3.1-1")
			}
		})
	}
	t.Run("BASE-6750-2-1 in a parsed form", func(t *testing.T) {
		r := request("/", "DPoP a")
		r.PostForm = url.Values{"access_token": {"b"}}
		_, err := tokenbinding.FromRequest(r)
		require.ErrorIs(t, err, tokenbinding.ErrMultipleMethods)
	})
}

func TestSetRefuses(t *testing.T) {
	for _, p := range []tokenbinding.Presented{{}, {Scheme: "Basic", Token: "a"}, {Scheme: "DPoP"}, {Scheme: "DPoP", Token: "a\r\nX: y"}, {Scheme: "Bearer", Token: "a b"}} {
		h := http.Header{}
		require.Error(t, p.Set(h))
		require.Empty(t, h)
	}
}

func TestTokensAreNotPrinted(t *testing.T) {
	p := tokenbinding.Presented{Scheme: tokenbinding.DPoP, Token: "hunter2"}
	for _, text := range []string{fmt.Sprint(p), fmt.Sprintf("%+v %#v", p, p), slog.AnyValue(p).Resolve().String()} {
		require.NotContains(t, text, "hunter2")
	}
}

func FuzzFromRequest(f *testing.F) {
	f.Add("DPoP abc", "")
	f.Add("bearer  a==", "x=y")
	f.Add("Basic x", "access_token=y")
	f.Fuzz(func(t *testing.T, header, query string) {
		p, err := tokenbinding.FromRequest(&http.Request{URL: &url.URL{RawQuery: query}, Header: http.Header{"Authorization": {header}}})
		if err != nil {
			if p != (tokenbinding.Presented{}) {
				t.Fatal("an error and a token")
			}
			return
		}
		if values, _ := url.ParseQuery(query); values.Has("access_token") {
			t.Fatal("a token in the query")
		}
		h := http.Header{}
		if err := p.Set(h); err != nil {
			t.Fatal(err)
		}
		if again, err := tokenbinding.FromRequest(&http.Request{Header: h}); err != nil || again != p {
			t.Fatalf("another token, %v", err)
		}
	})
}

// failure is an error of another package.
type failure struct {
	code, description string
	status            int
}

func (f failure) Error() string                { return "local detail" }
func (f failure) OAuthError() (string, string) { return f.code, f.description }
func (f failure) HTTPStatus() int              { return f.status }

func write(c tokenbinding.Challenge, r *http.Request, err error) *http.Response {
	w := httptest.NewRecorder()
	c.WriteError(w, r, err)
	return w.Result()
}

var (
	schemeForm = regexp.MustCompile(`(?:^|, )(Bearer|DPoP)\b`)
	paramForm  = regexp.MustCompile(`([a-z_]+)="([^"]*)"`)
)

// challenges takes a list of challenges apart: scheme, then name, then value.
func challenges(text string) map[string]map[string]string {
	out := map[string]map[string]string{}
	at := schemeForm.FindAllStringSubmatchIndex(text, -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		params := map[string]string{}
		for _, p := range paramForm.FindAllStringSubmatch(text[m[3]:end], -1) {
			params[p[1]] = p[2]
		}
		out[text[m[2]:m[3]]] = params
	}
	return out
}

type challengeVector struct {
	Name          string                `json:"name"`
	Status        int                   `json:"status"`
	Challenge     string                `json:"challenge"`
	Schemes       []tokenbinding.Scheme `json:"schemes"`
	Algorithms    []string              `json:"algorithms"`
	Authorization []string              `json:"authorization"`
	Code          string                `json:"code"`
	Description   string                `json:"description"`
	Parameters    map[string]string     `json:"parameters"`
}

func TestPublishedChallenges(t *testing.T) {
	for _, v := range testkit.LoadVectors[challengeVector](t, "testdata/challenges-rfc.json") {
		t.Run(v.Name, func(t *testing.T) {
			c := tokenbinding.Challenge{Schemes: v.Schemes, Algorithms: v.Algorithms, Parameters: v.Parameters}
			r := request("/", v.Authorization...)
			errs := []error{failure{v.Code, v.Description, v.Status}}
			if _, err := tokenbinding.FromRequest(r); err != nil {
				errs = append(errs, err) // what really happens with such a request
			}
			for _, err := range errs {
				resp := write(c, r, err)
				require.Equal(t, v.Status, resp.StatusCode, "BASE-6750-3.1-1")
				got := resp.Header.Values("WWW-Authenticate")
				require.Len(t, got, len(v.Schemes))
				want := challenges(v.Challenge)
				require.Len(t, want, len(v.Schemes))
				require.Equal(t, want, challenges(strings.Join(got, ", ")), "DPOP-7.2-2 DPOP-7.2-3")
			}
		})
	}
}

func TestWriteError(t *testing.T) {
	both := tokenbinding.Challenge{Schemes: []tokenbinding.Scheme{"DPoP", "Bearer"}, Algorithms: []string{"ES256"}, Realm: "accounts", Scope: "read write", ResourceMetadata: "https://rs.example/.well-known/oauth-protected-resource"}
	for _, row := range []struct {
		name          string
		challenge     tokenbinding.Challenge
		authorization string
		err           error
		status        int
		want          []string
	}{
		{"BASE-6750-3.1-2 DPOP-7.2-2 no credentials, no error", both, "", tokenbinding.ErrNoToken, 401, []string{
			`DPoP realm="accounts", scope="read write", resource_metadata="https://rs.example/.well-known/oauth-protected-resource", algs="ES256"`,
			`Bearer realm="accounts", scope="read write", resource_metadata="https://rs.example/.well-known/oauth-protected-resource"`}},
		{"BASE-6750-3.1-1 invalid_token", tokenbinding.Challenge{}, "DPoP a", fmt.Errorf("%w: secret", tokenbinding.ErrMismatch), 401,
			[]string{`DPoP error="invalid_token", error_description="Invalid key binding"`}},
		{"BASE-6750-3.1-1 invalid_token with another status", tokenbinding.Challenge{}, "DPoP a", failure{"invalid_token", "", 400}, 401, []string{`DPoP error="invalid_token"`}},
		{"BASE-6750-3.1-1 insufficient_scope", tokenbinding.Challenge{Scope: "pay"}, "dpop a", failure{"insufficient_scope", "more", 403}, 403,
			[]string{`DPoP error="insufficient_scope", error_description="more", scope="pay"`}},
		{"BASE-6750-3.1-1 invalid_request", tokenbinding.Challenge{}, "DPoP", tokenbinding.ErrMalformed, 400,
			[]string{`DPoP error="invalid_request", error_description="Malformed Authorization header"`}},
		{"a proof's error with the status of an authorization server", tokenbinding.Challenge{}, "DPoP a", failure{"use_dpop_nonce", "", 400}, 401, []string{`DPoP error="use_dpop_nonce"`}},
		{"DPOP-7.2-3 the error is with the scheme that was used", tokenbinding.Challenge{Schemes: []tokenbinding.Scheme{"DPoP", "Bearer"}}, "Bearer a", tokenbinding.ErrBearer, 401,
			[]string{`DPoP`, `Bearer error="invalid_token", error_description="The access token is bound to a DPoP key"`}},
		{"DPOP-7.2-1 Bearer at an API that has DPoP only", tokenbinding.Challenge{}, "Bearer a", tokenbinding.ErrBearer, 401,
			[]string{`DPoP error="invalid_token", error_description="The access token is bound to a DPoP key"`}},
		{"CASES C14: a foreign error about the token", tokenbinding.Challenge{}, "DPoP a", tokenbinding.Challenge{}.InvalidToken(errors.New("secret")), 401,
			[]string{`DPoP error="invalid_token", error_description="The access token is not valid"`}},
		{"CASES C14: a foreign error with a wire form of its own", tokenbinding.Challenge{}, "DPoP a", tokenbinding.Challenge{}.InvalidToken(failure{"server_error", "secret", 503}), 401,
			[]string{`DPoP error="invalid_token", error_description="The access token is not valid"`}},
		{"CASES C14: no error at all", tokenbinding.Challenge{}, "DPoP a", tokenbinding.Challenge{}.InvalidToken(nil), 401,
			[]string{`DPoP error="invalid_token", error_description="The access token is not valid"`}},
		{"our own failure", both, "DPoP a", failure{"server_error", "later", 503}, 503, nil},
		{"a foreign error", both, "DPoP a", errors.New("secret"), 500, nil},
		{"a foreign status", both, "DPoP a", failure{"x", "", 0}, 500, nil},
		{"an unknown scheme is not offered", tokenbinding.Challenge{Schemes: []tokenbinding.Scheme{"X\r\nY: z", "dpop"}}, "", tokenbinding.ErrNoToken, 401, []string{"DPoP"}},
		{"injection", tokenbinding.Challenge{Realm: "a\", x=\"b\\", Scope: "s\r\nSet-Cookie: a=b", Algorithms: []string{"ES256\n"}}, "DPoP a", failure{"e\"\r\n", "d\nä\"", 400}, 400,
			[]string{`DPoP realm="a?, x=?b?", error="e???", error_description="d???", scope="s??Set-Cookie: a=b", algs="ES256?"`}},
		{"further parameters", tokenbinding.Challenge{Parameters: map[string]string{"max_age": "5", "acr_values": "a\"b", "error": "x", "Realm": "y", "a b": "z", "": "w"}}, "DPoP a",
			failure{"insufficient_user_authentication", "", 401}, 401, []string{`DPoP error="insufficient_user_authentication", acr_values="a?b", max_age="5"`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := request("/")
			if row.authorization != "" {
				r = request("/", row.authorization)
			}
			w := httptest.NewRecorder()
			w.Header().Set("DPoP-Nonce", "n")
			w.Header().Set("WWW-Authenticate", "old")
			row.challenge.WriteError(w, r, row.err)
			require.Equal(t, row.status, w.Code)
			require.Equal(t, row.want, w.Header().Values("WWW-Authenticate"))
			require.Equal(t, "n", w.Header().Get("DPoP-Nonce"))
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			require.NotContains(t, w.Body.String(), "secret")
			if errors.Is(row.err, tokenbinding.ErrNoToken) {
				require.Empty(t, w.Body.String())
			} else {
				require.Contains(t, w.Body.String(), `"error":`)
			}
		})
	}
}
