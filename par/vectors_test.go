package par_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/par"
)

// published is an example of RFC 9126.
type published struct {
	ID       string            `json:"id"`
	Spec     string            `json:"spec"`
	Kind     string            `json:"kind"`
	Params   map[string]string `json:"params"`
	Status   int               `json:"status"`
	Headers  map[string]string `json:"headers"`
	Body     json.RawMessage   `json:"body"`
	Verified any               `json:"verified"`
}

func TestPublishedExamples(t *testing.T) {
	ran := map[string]bool{}
	for _, v := range testkit.LoadVectors[published](t, "testdata/rfc9126.json") {
		ran[v.ID] = true
		t.Run(v.ID, func(t *testing.T) {
			switch v.Kind {
			case "form":
				runForm(t, v)
			case "http-response":
				runResponse(t, v)
			default:
				t.Fatalf("unknown kind %q", v.Kind)
			}
		})
	}
	require.Len(t, ran, 3)
}

// runForm pushes a published form, by way of the wire.
func runForm(t *testing.T, v published) {
	params := url.Values{}
	for name, value := range v.Params {
		params.Set(name, value)
	}
	r := httptest.NewRequest("POST", "/as/par", strings.NewReader(params.Encode()))
	r.Header.Set("Content-Type", formType)
	form, err := par.ParseForm(r)
	require.NoError(t, err)
	require.Equal(t, params, form)
	s := newRig(t)
	pushed, err := s.Push(t.Context(), par.PushRequest{ClientID: v.Params["client_id"], Params: form})
	require.NoError(t, err)
	req, err := s.Load(t.Context(), v.Params["client_id"], pushed.RequestURI)
	require.NoError(t, err)
	params.Del("client_assertion_type")
	require.Equal(t, params, req.Params())
}

// runResponse reads a published response as a client and writes it as a server.
func runResponse(t *testing.T, v published) {
	c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range v.Headers {
			w.Header().Set(name, value)
		}
		w.WriteHeader(v.Status)
		_, _ = w.Write(v.Body)
	})
	w := httptest.NewRecorder()
	pushed, err := c.Push(t.Context(), honest())
	if v.Status == http.StatusCreated {
		require.NoError(t, err)
		require.Equal(t, par.Pushed{RequestURI: "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c", ExpiresIn: time.Minute}, pushed)
		pushed.ServeHTTP(w, nil)
	} else {
		var said *oauth2.RetrieveError
		require.ErrorAs(t, err, &said)
		require.Equal(t, "invalid_request", said.ErrorCode)
		require.Equal(t, "The redirect_uri is not valid for the given client", said.ErrorDescription)
		par.WriteError(w, oautherr.Describe(fmt.Errorf("%w: detail", par.ErrRedirectURI), said.ErrorDescription))
	}
	require.Equal(t, v.Status, w.Code, "PAR-2.2-1 PAR-2.3-1 the status")
	for name, value := range v.Headers {
		require.Equal(t, value, w.Header().Get(name), "PAR-2.2-5 nothing is cached")
	}
	require.JSONEq(t, string(v.Body), w.Body.String())
}

type odd struct{ code, description string }

func (o odd) Error() string                { return "odd" }
func (o odd) OAuthError() (string, string) { return o.code, o.description }
func (o odd) HTTPStatus() int              { return 200 }

func TestWriteError(t *testing.T) {
	for _, tc := range []struct {
		name   string
		err    error
		status int
		body   string
	}{
		{"PAR-2.3-1 an error of this package", fmt.Errorf("%w: detail", par.ErrResponseType), 400, `{"error":"unsupported_response_type","error_description":"response_type must be code"}`},
		{"PAR-2.1-4 no client", par.ErrUnauthenticated, 401, `{"error":"invalid_client","error_description":"client authentication is required"}`},
		{"an unknown error says nothing", errors.New("secret"), 500, `{"error":"server_error"}`},
		{"PAR-2.3-7 a rate limit of the host", oautherr.New("x", "temporarily_unavailable", 429, ""), 429, `{"error":"temporarily_unavailable"}`},
		{"characters that JSON allows and RFC 6749 does not, and a status that is no error", odd{"a\nb", "\"quoted\"\\ é"}, 500, `{"error":"a?b","error_description":"?quoted?? ?"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			par.WriteError(w, tc.err)
			require.Equal(t, tc.status, w.Code)
			require.JSONEq(t, tc.body, w.Body.String())
			require.Equal(t, "application/json", w.Header().Get("Content-Type"))
			require.Equal(t, "no-cache, no-store", w.Header().Get("Cache-Control"))
		})
	}
}
