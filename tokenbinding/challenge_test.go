package tokenbinding_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/tokenbinding"
)

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
			h := http.Header{"Dpop-Nonce": {"n"}, "Www-Authenticate": {"old"}}
			require.Equal(t, row.status, row.challenge.SetHeader(h, r, row.err))
			w.Header().Del("Content-Type") // of the body
			require.Equal(t, w.Header(), h, "SetHeader sets the same headers")
			require.NotContains(t, w.Body.String(), "secret")
			if errors.Is(row.err, tokenbinding.ErrNoToken) {
				require.Empty(t, w.Body.String())
			} else {
				require.Contains(t, w.Body.String(), `"error":`)
			}
		})
	}
}

func TestWriteErrorRemovesHeadersOfAnotherBody(t *testing.T) {
	for _, err := range []error{tokenbinding.ErrNoToken, tokenbinding.ErrMismatch} {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Length", "3")
		w.Header().Set("Content-Encoding", "gzip")
		tokenbinding.Challenge{}.WriteError(w, request("/"), err)
		require.Empty(t, w.Header().Get("Content-Length"))
		require.Empty(t, w.Header().Get("Content-Encoding"))
	}
}

// A response with status 401 has a challenge in every configuration (RFC 9110
// §15.5.2).
func TestWriteErrorHasAChallenge(t *testing.T) {
	for _, schemes := range [][]tokenbinding.Scheme{nil, {}, {"Basic"}, {"dpop", "DPoP"}} {
		w := httptest.NewRecorder()
		tokenbinding.Challenge{Schemes: schemes}.WriteError(w, request("/"), tokenbinding.ErrNoToken)
		require.Equal(t, []string{"DPoP"}, w.Header().Values("WWW-Authenticate"), "BASE-6750-3.1-2 %v", schemes)
	}
}
