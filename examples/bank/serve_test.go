package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/profile"
)

func TestHealth(t *testing.T) {
	w := newWorld(t)
	for _, base := range []string{w.issuer, w.mtls} {
		require.Equal(t, "ok", w.get(base+"/healthz").ok(http.StatusOK).str("status"))
	}
}

// freePort is one that was free a moment ago.
func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

func TestTheProgram(t *testing.T) {
	dir := t.TempDir()
	o := settings()
	o["issuer"] = "https://localhost:" + freePort(t) + "/bank"
	o["listen"], o["mtls_listen"], o["write_ca_file"] = nil, "localhost:"+freePort(t), filepath.Join(dir, "ca.pem")
	delete(o, "listen")
	raw, err := json.Marshal(o)
	require.NoError(t, err)
	path := filepath.Join(dir, "bank.json")
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	ctx, cancel := context.WithCancel(context.Background())
	stdout, in := io.Pipe()
	status := make(chan int)
	go func() { status <- run(ctx, []string{"-config", path}, in, io.Discard) }()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.JSONEq(t, fmt.Sprintf(`{"ready":true,"issuer":%q}`, o["issuer"]), line)
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	require.NoError(t, err)
	keeping := profile.TLSConfig()
	w := &world{t: t, roots: newPool(t, ca)}
	keeping.RootCAs = w.roots
	m, err := profile.Discover(ctx, w.http(nil), o["issuer"].(string))
	require.NoError(t, err, "the issuer may have a path")
	require.Equal(t, o["issuer"].(string)+"/token", m.TokenEndpoint)
	require.Contains(t, string(w.newBrowser().openIn(o["issuer"].(string), "/apps").body), `id="password"`)
	cancel()
	require.Zero(t, <-status)
}

// slow is a handler that responds after a signal.
type slow struct{ began, goOn chan struct{} }

func (s slow) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	close(s.began)
	<-s.goOn
	fmt.Fprint(w, "finished")
}

func TestRequestsUnderWayAreFinished(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &config{issuer: "https://localhost"}
	certificate, made, err := c.serverCertificate()
	require.NoError(t, err)
	w := &world{t: t, roots: newPool(t, made.pem())}
	s := slow{make(chan struct{}), make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- serve(ctx, slog.New(slog.DiscardHandler), newServed(certificate), socket{listener: listener, handler: s})
	}()
	answered := make(chan string)
	go func() { answered <- string(w.get("https://" + listener.Addr().String()).body) }()
	<-s.began
	cancel()
	for { // until nobody is let in any more
		c, err := net.DialTimeout("tcp", listener.Addr().String(), time.Second)
		if err != nil {
			break
		}
		c.Close()
	}
	require.Empty(t, served)
	close(s.goOn)
	require.Equal(t, "finished", <-answered)
	require.NoError(t, <-served)
}

func TestBounds(t *testing.T) {
	w := newWorld(t, with("auto_approve", nil))
	big := strings.Repeat("a", 1<<20)
	t.Run("of headers", func(t *testing.T) {
		r, err := http.NewRequest(http.MethodGet, w.issuer+"/healthz", nil)
		require.NoError(t, err)
		r.Header.Set("X-Big", big)
		response, err := w.http(nil).Do(r)
		if err == nil { // HTTP/2 may end the stream instead
			response.Body.Close()
			require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, response.StatusCode)
		}
	})
	t.Run("of bodies", func(t *testing.T) {
		require.GreaterOrEqual(t, w.one.push().with("state", big).do().status, 400)
		b := w.newBrowser()
		page := b.open(w.one.front(w.one.pushed()))
		b.logIn(page, big, big).refusedPage("form_unreadable")
	})
	t.Run("of flows in a browser", func(t *testing.T) {
		b := w.newBrowser()
		for range maxFlows + 3 {
			b.open(w.one.front(w.one.pushed())).ok(http.StatusOK)
		}
		r := httptest.NewRequest(http.MethodGet, w.issuer, nil)
		require.LessOrEqual(t, len(b.http.Jar.Cookies(r.URL)), maxFlows)
	})
}

func TestTheLogHasNoSecrets(t *testing.T) {
	w := newWorld(t, with("auto_approve", nil))
	b := w.newBrowser()
	reference := w.one.pushed()
	to := b.approve(b.logIn(b.open(w.one.front(reference)), "alice", "correct horse"))
	tokens := w.one.redeem(to.Query().Get("code")).do().ok(http.StatusOK).json()
	w.one.redeem(to.Query().Get("code")).do()
	w.one.call(http.MethodGet, "/accounts", tokens["access_token"].(string)).do()
	assertion := w.one.assertion(nil)
	w.one.push().with("client_assertion", assertion).do()
	log := w.log.String()
	secrets := []string{reference, to.Query().Get("code"), tokens["refresh_token"].(string), "correct horse", assertion, verifier, challenge}
	for _, name := range []string{"access_token", "id_token"} {
		secrets = append(secrets, tokens[name].(string), split(tokens[name].(string))[2])
	}
	for _, secret := range secrets {
		require.NotContains(t, log, secret)
	}
	for line := range strings.Lines(log) {
		var o object
		require.NoError(t, json.Unmarshal([]byte(line), &o))
		require.NotEmpty(t, o["msg"])
	}
	require.Contains(t, log, `"msg":"access granted"`)
	require.Contains(t, log, `"error":"invalid_grant"`)
}

func TestTheDemonstration(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "cache", "demo")
	cfg, d, err := newDemo(directory)
	require.NoError(t, err)
	require.NoError(t, d.write())
	require.NoError(t, d.write(), "again")
	info, err := os.Stat(d.path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	entries, err := os.ReadDir(d.path)
	require.NoError(t, err)
	for _, entry := range entries {
		info, err := entry.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	raw, err := os.ReadFile(filepath.Join(d.path, "fintech.json"))
	require.NoError(t, err)
	var o object
	require.NoError(t, json.Unmarshal(raw, &o))
	require.Equal(t, demoIssuer, o["issuer"])
	require.Equal(t, "https://localhost:9445/callback", o["redirect_uri"])
	var explained bytes.Buffer
	d.explain(&explained)
	for _, text := range []string{demoIssuer, demoUser, demoPassword, "go run ./examples/fintech"} {
		require.Contains(t, explained.String(), text)
	}
	t.Run("CASES E3: a restart changes neither the CA nor the client's key", func(t *testing.T) {
		ca, err := os.ReadFile(filepath.Join(d.path, "ca.pem"))
		require.NoError(t, err)
		again, second, err := newDemo(directory)
		require.NoError(t, err)
		require.NoError(t, second.write())
		require.Equal(t, cfg.registered[demoClient].JWKS, again.registered[demoClient].JWKS)
		certificate, _, err := again.serverCertificate()
		require.NoError(t, err)
		_, err = certificate.Leaf.Verify(x509.VerifyOptions{Roots: newPool(t, ca), DNSName: "localhost"})
		require.NoError(t, err, "a fintech that has read the old file trusts the new certificate")
	})
	t.Run("CASES E3: what cannot be read is made anew", func(t *testing.T) {
		require.NoError(t, os.WriteFile(filepath.Join(d.path, "ca.key"), []byte("x"), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(d.path, "fintech.jwk"), []byte("{}"), 0o600))
		again, second, err := newDemo(directory)
		require.NoError(t, err)
		require.NotEqual(t, d.authority.pem(), second.authority.pem())
		require.NotEqual(t, cfg.registered[demoClient].JWKS, again.registered[demoClient].JWKS)
	})
	t.Run("a directory that is not ours alone", func(t *testing.T) {
		require.NoError(t, os.Chmod(d.path, 0o755))
		_, _, err := newDemo(directory)
		require.ErrorContains(t, err, "only you can use")
	})
	t.Run("a link to a directory", func(t *testing.T) {
		elsewhere := t.TempDir()
		require.NoError(t, os.Chmod(elsewhere, 0o700))
		require.NoError(t, os.RemoveAll(d.path))
		require.NoError(t, os.Symlink(elsewhere, d.path))
		_, _, err := newDemo(directory)
		require.ErrorContains(t, err, "only you can use")
	})
	t.Run("a file", func(t *testing.T) {
		require.NoError(t, os.Remove(d.path))
		require.NoError(t, os.WriteFile(d.path, nil, 0o600))
		_, _, err := newDemo(directory)
		require.Error(t, err)
	})
}

func TestAPanicEndsOneRequestAlone(t *testing.T) {
	w := newWorld(t)
	failing := w.bank.observe(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a mistake") }))
	require.PanicsWithValue(t, http.ErrAbortHandler, func() {
		failing.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	})
	require.Contains(t, w.log.String(), `"reason":"a mistake"`)
}

func TestTooManyRequestsAtATime(t *testing.T) {
	w := newWorld(t)
	goOn, began := make(chan struct{}), make(chan struct{}, maxRequests)
	busy := w.bank.observe(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { began <- struct{}{}; <-goOn }))
	serve := func() int {
		recorder := httptest.NewRecorder()
		busy.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
		return recorder.Code
	}
	done := make(chan int)
	for range maxRequests {
		go func() { done <- serve() }()
	}
	for range maxRequests {
		<-began
	}
	require.Equal(t, http.StatusServiceUnavailable, serve())
	close(goOn)
	for range maxRequests {
		require.Equal(t, http.StatusOK, <-done)
	}
}
