package tokenbinding_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
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

func TestFromRequestRejects(t *testing.T) {
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
			code, _, status := testkit.Wire(t, err)
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

func TestFromRequestToken68(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
	for _, n := range []int{1, 3, 4, 5, 9} {
		for i := range n * 256 {
			token := bytes.Repeat([]byte("A"), n)
			if c := byte(i); c != ' ' && c != '=' { // these have a meaning before and after a token
				token[i/256] = c
			}
			p, err := tokenbinding.FromRequest(&http.Request{Header: http.Header{"Authorization": {"DPoP " + string(token)}}})
			if strings.Trim(string(token), alphabet) == "" {
				require.NoError(t, err)
				require.Equal(t, string(token), p.Token)
				continue
			}
			require.ErrorIs(t, err, tokenbinding.ErrMalformed)
			require.ErrorContains(t, err, fmt.Sprintf("character %#02x at %d of the token", byte(i), i/256))
		}
	}
}

func TestSetRejects(t *testing.T) {
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
