package interop_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/interop/internal/testkit"
)

// These are the addresses of the two examples without a configuration.
const (
	bankURL    = "https://localhost:9443"
	fintechURL = "https://localhost:9445"
)

// screenshots is the directory for pictures of the pages. It is not part of the
// repository.
const screenshots = "screenshots"

// TestAPersonPaysInABrowser runs the bank and the fintech as documented. A real
// browser goes through login, consent, payment, denial and revocation. It does
// so on a desktop and on a phone, in English and German, in both colour schemes
// (CASES E4 to E9, A5, A6, A8).
func TestAPersonPaysInABrowser(t *testing.T) {
	testkit.RequirePeers(t, "playwright-core", "axe-core")
	browser := chromium()
	testkit.Require(t, "Chromium", browser != "")
	requireAddresses(t)
	demo := filepath.Join(t.TempDir(), "demo")
	bank := startExample(t, demo, "bank")
	waitFor(t, bankURL+"/healthz")
	startExample(t, demo, "fintech")
	waitFor(t, fintechURL+"/")

	pictures, err := filepath.Abs(screenshots)
	require.NoError(t, err)
	var said struct {
		OK    bool   `json:"ok"`
		Steps int    `json:"steps"`
		Step  string `json:"step"`
		Error string `json:"error"`
	}
	testkit.Run(t, "browser.mjs", map[string]string{
		"bank": bankURL, "fintech": fintechURL, "user": bank.after("user"), "password": bank.after("password"),
		"browser": browser, "screenshots": pictures,
	}, &said)
	require.True(t, said.OK, "%s: %s", said.Step, said.Error)
	require.Equal(t, 4*11+1, said.Steps, "all of them, on two sizes of screen, in two languages, and by keyboard")
}

// TestTheBankRestarts has a fintech that runs on talk to a bank that was
// started again.
func TestTheBankRestarts(t *testing.T) {
	requireAddresses(t)
	demo := filepath.Join(t.TempDir(), "demo")
	bank := startExample(t, demo, "bank")
	waitFor(t, bankURL+"/healthz")
	fintech := startExample(t, demo, "fintech")
	waitFor(t, fintechURL+"/readyz")
	browser := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, // the browser is not under test
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer browser.CloseIdleConnections()
	login := func() string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fintechURL+"/connect", strings.NewReader("scope=accounts"))
		require.NoError(t, err)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response, err := browser.Do(r)
		require.NoError(t, err)
		response.Body.Close() //nolint:errcheck // nothing was read
		return response.Header.Get("Location")
	}
	require.Contains(t, login(), bankURL+"/authorize?")
	alice := newConnected(t, bank)
	bank.stop()
	require.NotContains(t, login(), bankURL+"/authorize?", "the bank is away")
	startExample(t, demo, "bank")
	waitFor(t, bankURL+"/healthz")
	require.Contains(t, login(), bankURL+"/authorize?", "CASES E3: the bank has the keys that it had")
	require.Regexp(t, anIBAN, alice.open(http.MethodGet, fintechURL+"/accounts", nil), "the access that alice has given lasts")
	require.Contains(t, alice.open(http.MethodGet, bankURL+"/apps", nil), "The Fintech", "and so does the session")
	fintech.stop()
	startExample(t, demo, "fintech")
	waitFor(t, fintechURL+"/readyz")
	require.Regexp(t, anIBAN, alice.open(http.MethodGet, fintechURL+"/accounts", nil), "the session and the tokens at the fintech last, too")
}

// A connected is a browser whose user has connected the bank.
type connected struct {
	t    *testing.T
	http *http.Client
}

// newConnected logs in at the bank and consents to the accounts.
func newConnected(t *testing.T, bank *example) connected {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true} // the browser is not under test
	c := connected{t, &http.Client{Transport: transport, Jar: jar}}
	page := c.open(http.MethodPost, fintechURL+"/connect", url.Values{"scope": {"accounts"}})
	page = c.submit(page, url.Values{"username": {bank.after("user")}, "password": {bank.after("password")}, "login": {"1"}})
	page = c.submit(page, url.Values{"scope": {"accounts"}, "approve": {"1"}})
	require.Regexp(t, anIBAN, page, "the accounts")
	return c
}

// open returns the page at the end of all redirects.
func (c connected) open(method, target string, form url.Values) string {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, target, strings.NewReader(form.Encode()))
	require.NoError(c.t, err)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	response, err := c.http.Do(r)
	require.NoError(c.t, err)
	defer response.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(response.Body)
	require.NoError(c.t, err)
	require.Equal(c.t, http.StatusOK, response.StatusCode, "%s", body)
	return string(body)
}

var anIBAN = regexp.MustCompile(`DE[0-9]{2} ?[0-9]{4}`)

var bankForm = regexp.MustCompile(`<form method="post" action="(/(?:login|consent)[^"]*)">\s*<input type="hidden" name="form" value="([^"]*)"`)

// submit sends the form of a page of the bank.
func (c connected) submit(page string, fields url.Values) string {
	c.t.Helper()
	form := bankForm.FindStringSubmatch(page)
	require.NotNil(c.t, form, "%s", page)
	fields.Set("form", form[2])
	return c.open(http.MethodPost, bankURL+form[1], fields)
}

// requireAddresses requires that no other program listens where the examples
// do.
func requireAddresses(t *testing.T) {
	t.Helper()
	for _, address := range []string{"localhost:9443", "localhost:9444", "localhost:9445"} {
		socket, err := net.Listen("tcp", address)
		testkit.Require(t, address+", where the examples are, for itself", err == nil)
		require.NoError(t, socket.Close())
	}
}

func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	return ""
}

// An example is a running program of examples/ together with its output. It
// ends with the test.
type example struct {
	stop func() // and wait for its end
	mu   sync.Mutex
	said strings.Builder
}

// Write collects what the program writes.
func (e *example) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.said.Write(p)
}

// after returns the program's output behind a word at the beginning of a line.
func (e *example) after(word string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	for line := range strings.Lines(e.said.String()) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), word+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// startExample builds and starts a program. The test's directory holds the
// files that the two programs share.
func startExample(t *testing.T, state, name string) *example {
	t.Helper()
	binary := filepath.Join(t.TempDir(), name)
	build := exec.Command("go", "build", "-o", binary, "./"+name)
	build.Dir = filepath.Join("..", "examples")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)

	started := new(example)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary, "-state", state)
	cmd.Stdout, cmd.Stderr = started, started
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	require.NoError(t, cmd.Start())
	started.stop = sync.OnceFunc(func() {
		cancel()
		cmd.Wait() //nolint:errcheck // it was interrupted
	})
	t.Cleanup(func() {
		started.stop()
		if t.Failed() {
			t.Logf("%s wrote:\n%.20000s", name, started.said.String())
		}
	})
	return started
}

// waitFor waits until a URL answers.
func waitFor(t *testing.T, url string) {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // whether it is there is all that is asked
	}}
	defer client.CloseIdleConnections()
	require.Eventually(t, func() bool {
		response, err := client.Get(url)
		if err != nil {
			return false
		}
		response.Body.Close() //nolint:errcheck // nothing was read
		return response.StatusCode == http.StatusOK
	}, 30*time.Second, 100*time.Millisecond, url)
}
