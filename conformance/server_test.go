package conformance_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/conformance"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/profiletest"
)

var p256 = elliptic.P256()

const callback = "https://app.example/callback"

// newServer starts our authorization server with a fault, and returns the
// configuration of its test. If plant is nil, there is no fault.
func newServer(t testing.TB, plant func(x *exchange)) conformance.ServerConfig {
	mux := http.NewServeMux()
	socket := httptest.NewTLSServer(mux)
	t.Cleanup(socket.Close)
	server := profiletest.NewServer(t, profiletest.ServerConfig{
		Change: func(cfg *authserver.Config) { cfg.Issuer = socket.URL },
	})
	client := server.ClientConfig(t, callback)
	var handler http.Handler = server.AuthServer.Handler()
	if plant != nil {
		handler = faulty(handler, client.Key.Public().(*ecdsa.PublicKey), plant)
	}
	mux.Handle("/", handler)
	return configOf(socket, conformance.ServerConfig{
		ClientID: client.ClientID, Key: client.Key, KeyID: client.KeyID, RedirectURI: callback, Scope: "accounts",
		Approve: func(_ context.Context, target string) (*url.URL, error) { return server.Browse(t, target), nil },
	})
}

func configOf(socket *httptest.Server, cfg conformance.ServerConfig) conformance.ServerConfig {
	cfg.Issuer, cfg.RootCAs, cfg.Interval = socket.URL, x509.NewCertPool(), time.Nanosecond
	cfg.RootCAs.AddCert(socket.Certificate())
	return cfg
}

// Our server passes all cases.
func TestServer(t *testing.T) { conformance.Server(t, newServer(t, nil)) }

func TestOurServerPasses(t *testing.T) {
	report, err := conformance.CheckServer(t.Context(), newServer(t, nil))
	require.NoError(t, err)
	for _, r := range report.Results {
		require.Equal(t, conformance.Pass, r.Outcome, r)
	}
	require.Len(t, report.Results, len(conformance.ServerCases()))

	var table, lines bytes.Buffer
	require.NoError(t, report.WriteTable(&table))
	require.Contains(t, table.String(), fmt.Sprintf("%d passed, 0 failed, 0 warnings, 0 skipped", len(report.Results)))
	require.NoError(t, report.WriteJSON(&lines))
	for i, line := range strings.Split(strings.TrimSpace(lines.String()), "\n") {
		var r conformance.Result
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		require.Equal(t, report.Results[i], r)
	}
}

// Without a user, the cases that need one are skipped, and say why.
func TestCasesAreSkipped(t *testing.T) {
	cfg := newServer(t, nil)
	cfg.Approve = nil
	report, err := conformance.CheckServer(t.Context(), cfg)
	require.NoError(t, err)
	require.Zero(t, report.Count(conformance.Fail))
	require.NotZero(t, report.Count(conformance.Pass))
	require.NotZero(t, report.Count(conformance.Skip))
	for _, r := range report.Results {
		if r.ID == "response/code" {
			require.Equal(t, "ServerConfig.Approve is nil", r.Reason)
		}
		if r.ID == "token/accepted" {
			require.Equal(t, "response/code did not pass", r.Reason)
		}
	}
}

// A server that breaks off, floods or stalls ends in a failed case and skips,
// within the bounds.
func TestBrokenServers(t *testing.T) {
	valid := newServer(t, nil)
	write := func(kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write([]byte(body))
		}
	}
	for _, c := range []struct {
		name, reason string
		handler      http.HandlerFunc
	}{
		{"a server without metadata", "not a JSON document", http.NotFound},
		{"a page instead of metadata", "not a JSON document", write("text/html", "<html>")},
		{"metadata that are not JSON", "malformed", write("application/json", "{")},
		{"metadata of another issuer", "of the issuer", write("application/json", `{"issuer":"https://other.example"}`)},
		{"a redirect", "not a JSON document", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://other.example/", http.StatusFound)
		}},
		{"an endless body", "response of more than", func(w http.ResponseWriter, _ *http.Request) {
			for chunk := bytes.Repeat([]byte(" "), 1<<16); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}},
		{"an endless header", "exceeded", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
		}},
		{"no response", "exceeded", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"a slow body", "cannot be fetched", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			panic(http.ErrAbortHandler) // without it, the body could end before the client gives up
		}},
		{"a connection that breaks off", "EOF", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			socket := httptest.NewTLSServer(c.handler)
			t.Cleanup(socket.Close)
			cfg := configOf(socket, valid)
			cfg.Timeout = 300 * time.Millisecond
			report, err := conformance.CheckServer(t.Context(), cfg)
			require.NoError(t, err)
			require.Equal(t, conformance.Fail, report.Results[0].Outcome)
			require.Contains(t, report.Results[0].Reason, c.reason)
			require.Zero(t, report.Count(conformance.Pass))
			require.LessOrEqual(t, report.Requests, 4)
			for _, r := range report.Results[2:] {
				require.Equal(t, conformance.Skip, r.Outcome, r)
			}
		})
	}
}

// Metadata cannot direct requests to addresses that are not loopback.
func TestAddresses(t *testing.T) {
	cfg := newServer(t, document("jwks_uri", "https://192.0.2.1/jwks"))
	report, err := conformance.CheckServer(t.Context(), cfg)
	require.NoError(t, err)
	for _, r := range report.Results {
		if r.ID == "keys/served" {
			require.Equal(t, conformance.Fail, r.Outcome)
			require.Contains(t, r.Reason, "not a loopback address")
		}
	}
	cfg.Issuer = "https://192.0.2.1"
	report, err = conformance.CheckServer(t.Context(), cfg)
	require.NoError(t, err)
	require.Contains(t, report.Results[0].Reason, "not a loopback address")
}

// A server that stops, a limit and a cancelled context end the run.
func TestBounds(t *testing.T) {
	t.Run("the maximum number of requests", func(t *testing.T) {
		cfg := newServer(t, nil)
		cfg.MaxRequests = 7
		report, err := conformance.CheckServer(t.Context(), cfg)
		require.NoError(t, err)
		require.Equal(t, 7, report.Requests)
		require.Zero(t, report.Count(conformance.Fail))
		last := report.Results[len(report.Results)-1]
		require.Equal(t, conformance.Skip, last.Outcome)
	})
	t.Run("a cancelled context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		report, err := conformance.CheckServer(ctx, newServer(t, nil))
		require.NoError(t, err)
		require.Equal(t, len(report.Results), report.Count(conformance.Skip))
	})
	t.Run("a server that stops", func(t *testing.T) {
		report, err := conformance.CheckServer(t.Context(), newServer(t, func(x *exchange) {
			if x.at("/par") {
				panic(http.ErrAbortHandler)
			}
		}))
		require.NoError(t, err)
		require.Less(t, report.Requests, 8)
	})
	t.Run("the interval", func(t *testing.T) {
		cfg := newServer(t, nil)
		cfg.MaxRequests, cfg.Interval = 4, 50*time.Millisecond
		start := time.Now()
		_, err := conformance.CheckServer(t.Context(), cfg)
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(start), 150*time.Millisecond)
	})
	t.Run("a user who does not decide", func(t *testing.T) {
		cfg := newServer(t, nil)
		cfg.ApproveTimeout = time.Millisecond
		cfg.Approve = func(ctx context.Context, _ string) (*url.URL, error) { <-ctx.Done(); return nil, ctx.Err() }
		report, err := conformance.CheckServer(t.Context(), cfg)
		require.NoError(t, err)
		require.Equal(t, 1, report.Count(conformance.Fail))
	})
}

// Results contain no codes, assertions, verifiers or request URIs.
func TestResultsHaveNoSecrets(t *testing.T) {
	var mu sync.Mutex
	var secrets []string
	cfg := newServer(t, func(x *exchange) {
		mu.Lock()
		defer mu.Unlock()
		for _, name := range []string{"code", "code_verifier", "client_assertion"} {
			if value := x.form.Get(name); len(value) > 20 {
				secrets = append(secrets, value)
			}
		}
		if x.at("/token") { // every response is another than expected
			x.status = 418
		}
	})
	report, err := conformance.CheckServer(t.Context(), cfg)
	require.NoError(t, err)
	require.NotZero(t, report.Count(conformance.Fail))
	require.NotEmpty(t, secrets)
	var text bytes.Buffer
	require.NoError(t, report.WriteTable(&text))
	require.NoError(t, report.WriteJSON(&text))
	for _, secret := range secrets {
		require.NotContains(t, text.String(), secret)
	}
}

func TestServerConfigIsChecked(t *testing.T) {
	_, err := conformance.CheckServer(t.Context(), conformance.ServerConfig{Issuer: "http://as.example", Timeout: -1})
	for _, problem := range []string{"http://as.example", "ClientID", "RedirectURI", "Key", "Timeout"} {
		require.ErrorContains(t, err, problem)
	}
}

func TestCases(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range conformance.ServerCases() {
		require.False(t, seen[c.ID], c.ID)
		seen[c.ID] = true
		require.NotEmpty(t, c.Title)
		require.NotEmpty(t, c.Clauses)
		require.NotEmpty(t, c.Remedy)
	}
}

func TestJUnit(t *testing.T) {
	result := func(id string, o conformance.Outcome, reason string) conformance.Result {
		return conformance.Result{Case: conformance.Case{ID: id, Title: "title of " + id}, Outcome: o, Reason: reason}
	}
	report := &conformance.Report{Issuer: "https://as.example", Results: []conformance.Result{
		result("push/a", conformance.Pass, ""), result("push/b", conformance.Fail, "a <b> & \x00"),
		result("token/c", conformance.Skip, "push/b did not pass"), result("token/d", conformance.Warn, "tolerated"),
	}}
	var text bytes.Buffer
	require.NoError(t, report.WriteJUnit(&text))
	type detail struct {
		Message string `xml:"message,attr"`
	}
	var suite struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Skipped  int `xml:"skipped,attr"`
		Cases    []struct {
			Class   string  `xml:"classname,attr"`
			Failure *detail `xml:"failure"`
			Skipped *detail `xml:"skipped"`
			Output  string  `xml:"system-out"`
		} `xml:"testcase"`
	}
	require.NoError(t, xml.Unmarshal(text.Bytes(), &suite))
	require.Equal(t, []int{4, 1, 1}, []int{suite.Tests, suite.Failures, suite.Skipped})
	require.Nil(t, suite.Cases[0].Failure)
	require.Equal(t, "a <b> & \uFFFD", suite.Cases[1].Failure.Message)
	require.Equal(t, "push/b did not pass", suite.Cases[2].Skipped.Message)
	require.Contains(t, suite.Cases[3].Output, "tolerated")
	require.Equal(t, "conformance.token", suite.Cases[3].Class)
}

// A failedWriter is a full disk.
type failedWriter struct{}

func (failedWriter) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

func TestWriteErrors(t *testing.T) {
	report := &conformance.Report{Results: []conformance.Result{{Outcome: conformance.Fail}}}
	require.ErrorIs(t, report.WriteTable(failedWriter{}), errors.ErrUnsupported)
	require.ErrorIs(t, report.WriteJSON(failedWriter{}), errors.ErrUnsupported)
	require.ErrorIs(t, report.WriteJUnit(failedWriter{}), errors.ErrUnsupported)
}
