package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/examples/internal/storage"
	"github.com/gofapi/fapi2/internal/testserver"
)

// A program is the built bank, which a test can kill and start again.
type program struct {
	*world
	binary, config string
	running        *exec.Cmd
	directory      string
}

// built returns the path of the built bank. TestMain removes it.
var built = sync.OnceValues(func() (string, error) {
	path := filepath.Join(os.TempDir(), "fapi2-bank-"+rand.Text())
	if said, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, said)
	}
	builtPath = path
	return path, nil
})

var builtPath string

func TestMain(m *testing.M) {
	status := m.Run()
	if builtPath != "" {
		os.Remove(builtPath)
	}
	os.Exit(status)
}

// newProgram builds and starts a bank that asks its users. With changes, the
// configuration can name another store than SQLite.
func newProgram(t *testing.T, changes ...func(cfg object)) *program {
	t.Helper()
	_, err := exec.LookPath("go")
	require.NoError(t, err)
	p := &program{world: &world{t: t, log: new(buffer)}, directory: t.TempDir()}
	p.config = filepath.Join(p.directory, "bank.json")
	p.binary, err = built()
	require.NoError(t, err)
	port, mtlsPort := freePort(t), freePort(t)
	p.issuer, p.mtls = "https://localhost:"+port, "https://localhost:"+mtlsPort
	ca := filepath.Join(p.directory, "ca.pem")
	changes = append([]func(object){with("auto_approve", nil), with("write_ca_file", ca),
		with("users", []object{{"username": "alice", "password": "correct horse"}})}, changes...)
	document := p.document("127.0.0.1:"+port, "127.0.0.1:"+mtlsPort, changes)
	require.NoError(t, os.WriteFile(p.config, document, 0o600))
	p.start(p.config)
	t.Cleanup(p.kill)
	pem, err := os.ReadFile(ca)
	require.NoError(t, err)
	p.roots = newPool(t, pem) // those of the first start, for all starts
	return p
}

// start starts the bank and waits until it is ready.
func (p *program) start(config string) {
	p.t.Helper()
	p.running = exec.Command(p.binary, "-config", config)
	p.running.Stderr = p.log
	stdout, err := p.running.StdoutPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, p.running.Start())
	ready := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		ready <- line
		io.Copy(io.Discard, stdout) //nolint:errcheck // until the end of the program
	}()
	select {
	case line := <-ready:
		require.Contains(p.t, line, `"ready":true`, "%s", p.log)
	case <-time.After(time.Minute):
		require.Fail(p.t, "the bank does not start", "%s", p.log)
	}
}

// kill ends the program without a warning.
func (p *program) kill() {
	p.running.Process.Kill() //nolint:errcheck // it may have ended
	p.running.Wait()         //nolint:errcheck // the status is that of the signal
}

func (p *program) restart() {
	p.t.Helper()
	p.kill()
	p.start(p.config)
}

// sometimes returns an interruption that restarts the program every third time.
func (p *program) sometimes() func() {
	n := 0
	return func() {
		if n++; n%3 == 0 {
			p.restart()
		}
	}
}

// flow plays a whole flow and calls interrupt between all steps.
func (p *world) flow(interrupt func()) {
	t := p.t
	b := p.newBrowser()
	requestURI := p.one.pushed(details(order))
	interrupt()
	login := b.open(p.one.front(requestURI)).ok(http.StatusOK)
	interrupt()
	consent := b.logIn(login, "alice", "correct horse").ok(http.StatusOK)
	interrupt()
	code := b.approve(consent).Query().Get("code")
	interrupt()
	redeem := p.one.redeem(code)
	tokens := redeem.do().ok(http.StatusOK)
	interrupt()
	token := tokens.str("access_token")
	proof := p.proof(p.one.dpop, http.MethodGet, p.one.at("/accounts"), claim("ath", hash(token)))
	call := p.one.call(http.MethodGet, "/accounts", token)
	call.dpop, call.header = nil, http.Header{"Dpop": {proof}}
	require.Equal(t, "alice", call.do().ok(http.StatusOK).str("owner"))
	made := p.one.attempt(token, "key-1", order).ok(http.StatusCreated)
	interrupt()
	// attack: what was used is used after a restart
	require.Equal(t, http.StatusUnauthorized, call.do().status, "a proof")
	p.get(p.one.front(requestURI)).refusedPage("invalid_request", "invalid_request_uri")
	require.Equal(t, string(made.body), string(p.one.attempt(token, "key-1", order).ok(http.StatusCreated).body))
	again := p.one.attempt(token, "key-2", order).ok(http.StatusConflict)
	require.Equal(t, made.str("payment_id"), again.str("payment_id"), "a payment")
	refreshed := p.one.refresh(tokens.str("refresh_token")).do().ok(http.StatusOK).str("access_token")
	interrupt()
	p.one.pay(refreshed, order).ok(http.StatusConflict)
	require.Equal(t, "alice", p.one.call(http.MethodGet, "/accounts", refreshed).do().ok(http.StatusOK).str("owner"))
	apps := string(b.open(p.issuer + "/apps").ok(http.StatusOK).body)
	require.Contains(t, apps, "Application one", "the session and the permissions last")
	require.Contains(t, apps, `id="payments"`)
	p.one.redeem(code).do().refused(http.StatusBadRequest, "invalid_grant")
	interrupt()
	require.Equal(t, http.StatusUnauthorized, p.one.call(http.MethodGet, "/accounts", refreshed).do().status,
		"the replay of the code has ended the tokens")
}

// managed plays a flow with a grant, which the user ends, and calls interrupt
// between all steps. The page of applications is exact after each.
func (p *program) managed(interrupt func()) {
	t := p.t
	b := p.newBrowser()
	b.logInAt(p.issuer, "correct horse")
	before := strings.Count(string(b.open(p.issuer+"/apps").ok(http.StatusOK).body), `id="revoke-`)
	shown := func(want int) reply {
		t.Helper()
		interrupt()
		page := b.open(p.issuer + "/apps").ok(http.StatusOK)
		require.Equal(t, before+want, strings.Count(string(page.body), `id="revoke-`))
		return page
	}
	requestURI := p.one.pushed(details(information), param("grant_management_action", "create"))
	interrupt()
	consent := b.open(p.one.front(requestURI)).ok(http.StatusOK)
	interrupt()
	code := b.approve(consent).Query().Get("code")
	shown(0)
	tokens := p.one.redeem(code).do().ok(http.StatusOK)
	shown(1)
	merge := p.one.pushed(details(order), param("grant_management_action", "merge"), param("grant_id", tokens.str("grant_id")))
	merged := p.one.redeem(b.approve(b.open(p.one.front(merge)).ok(http.StatusOK)).Query().Get("code")).do().ok(http.StatusOK)
	require.Equal(t, tokens.str("grant_id"), merged.str("grant_id"))
	page := shown(1)
	require.Contains(t, string(page.body), "ACME", "the grant as it is now")
	confirm := b.press(page, "revoke-0", nil).ok(http.StatusOK)
	interrupt()
	b.press(confirm, "confirm", nil).ok(http.StatusOK)
	shown(0)
	for _, token := range []string{tokens.str("access_token"), merged.str("access_token")} {
		require.Equal(t, http.StatusUnauthorized, p.one.call(http.MethodGet, "/accounts", token).do().status)
	}
	p.one.refresh(merged.str("refresh_token")).do().refused(http.StatusBadRequest, "invalid_grant")
}

func TestARestartLosesNothing(t *testing.T) {
	p := newProgram(t)
	keys := p.get(p.issuer + "/jwks").ok(http.StatusOK).body
	p.flow(p.restart)
	p.managed(p.restart)
	require.Equal(t, string(keys), string(p.get(p.issuer+"/jwks").body))
	data := filepath.Join(p.directory, "bank.data")
	for path, mode := range map[string]os.FileMode{data: 0o700, filepath.Join(data, "bank.db"): 0o600} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), path)
	}
	t.Run("a user whom the configuration no longer lists stays", func(t *testing.T) {
		p.kill()
		var document object
		raw, err := os.ReadFile(p.config)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(raw, &document))
		delete(document, "users")
		raw, err = json.Marshal(document)
		require.NoError(t, err)
		require.NotContains(t, string(raw), "correct horse")
		require.NoError(t, os.WriteFile(p.config, raw, 0o600))
		p.start(p.config)
		require.NotContains(t, string(p.newBrowser().logInAt(p.issuer, "correct horse").body), `id="password"`)
		require.Contains(t, string(p.newBrowser().logInAt(p.issuer, "wrong").body), `id="password"`)
	})
}

// logInAt logs alice in at the page of applications.
func (b *browser) logInAt(issuer, password string) reply {
	b.w.t.Helper()
	return b.logIn(b.openIn(issuer, "/apps"), "alice", password)
}

// Two instances have one issuer and one store. The browser uses the second one,
// and the client the first one.
func TestTwoInstancesShareAFile(t *testing.T) {
	p := newProgram(t)
	second := *p
	var document object
	raw, err := os.ReadFile(p.config)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &document))
	port, mtlsPort := freePort(t), freePort(t)
	document["listen"], document["mtls_listen"] = "127.0.0.1:"+port, "127.0.0.1:"+mtlsPort
	document["store"] = "sqlite:" + filepath.Join(p.directory, "bank.data", "bank.db")
	raw, err = json.Marshal(document)
	require.NoError(t, err)
	second.config = filepath.Join(p.directory, "second.json")
	require.NoError(t, os.WriteFile(second.config, raw, 0o600))
	second.start(second.config)
	t.Cleanup(second.kill)
	other := "https://localhost:" + port
	require.Equal(t, string(p.get(p.issuer+"/jwks").ok(http.StatusOK).body), string(p.get(other+"/jwks").ok(http.StatusOK).body))
	b := p.newBrowser()
	requestURI := p.one.pushed()
	front := url.Values{"client_id": {p.one.id}, "request_uri": {requestURI}}.Encode()
	b.w = &world{t: t, issuer: other, roots: p.roots}
	login := b.open(other + "/authorize?" + front).ok(http.StatusOK)
	code := b.approve(b.logIn(login, "alice", "correct horse").ok(http.StatusOK)).Query().Get("code")
	token := p.one.redeem(code).do().ok(http.StatusOK).str("access_token")
	p.one.call(http.MethodGet, "/accounts", token).do().ok(http.StatusOK)
	p.one.redeem(code).do().refused(http.StatusBadRequest, "invalid_grant")
}

func TestConcurrentFirstStartsShareTheirKeys(t *testing.T) {
	w := newWorld(t, with("store", "sqlite:"+filepath.Join(t.TempDir(), "data", "other.db")))
	names := w.cfg.stores
	var err error
	names.main, err = storage.Parse("sqlite:" + filepath.Join(t.TempDir(), "data", "bank.db"))
	require.NoError(t, err)
	const instances = 8
	sets, cas := make([]string, instances), make([]string, instances)
	var all sync.WaitGroup
	for i := range instances {
		all.Go(func() {
			cfg := *w.cfg
			kept, err := openStores(t.Context(), names, w.bank.surroundings)
			if !assert.NoError(t, err) {
				return
			}
			defer kept.close()
			b, err := newBank(t.Context(), &cfg, kept, w.bank.surroundings)
			if !assert.NoError(t, err) {
				return
			}
			recorder := httptest.NewRecorder()
			b.protocol.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, w.issuer+"/jwks", nil))
			sets[i] = recorder.Body.String()
			_, made, err := b.certificate(t.Context())
			if assert.NoError(t, err) {
				cas[i] = string(made.pem())
			}
		})
	}
	all.Wait()
	require.Contains(t, sets[0], `"keys"`)
	for i := range instances {
		require.Equal(t, sets[0], sets[i])
		require.Equal(t, cas[0], cas[i])
	}
}

func TestTheAuthorityLastsWhileItsHostsDo(t *testing.T) {
	r := newRecords(t, time.Now)
	load := func(hosts ...string) string {
		a, err := loadAuthority(t.Context(), r, append(hosts, localhosts...))
		require.NoError(t, err)
		return string(a.pem())
	}
	first := load("bank.example")
	require.Equal(t, first, load("bank.example"))
	second := load("other.example")
	require.NotEqual(t, first, second)
	require.NotEqual(t, second, load("192.0.2.1"))
	require.Equal(t, load("2001:db8::1"), load("2001:db8::1"))
}

// A store that cannot be opened ends the program with a reason and without the
// password.
func TestAStoreThatCannotBeOpened(t *testing.T) {
	o := settings()
	path := filepath.Join(t.TempDir(), "bank.json")
	for _, name := range []string{"postgres://bank:hunter2@127.0.0.1:1/bank", "sqlite:" + filepath.Join(path, "bank.db")} {
		o["store"] = name
		raw, err := json.Marshal(o)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, raw, 0o600))
		var stdout, stderr bytes.Buffer
		require.Equal(t, statusFailed, run(t.Context(), []string{"-config", path}, &stdout, &stderr))
		require.Contains(t, stderr.String(), "the store cannot be opened")
		require.NotContains(t, stderr.String(), "hunter2")
		require.Empty(t, stdout.String())
	}
}

func TestDetailsOfATypeThatIsGone(t *testing.T) {
	p := newProgram(t, registration(object{"authorization_details_types": []string{"payment_initiation", "account_information", "other"}}, "one"))
	b := p.newBrowser()
	b.approve(b.logIn(b.open(p.one.front(p.one.pushed(details(`{"type":"other"}`)))), "alice", "correct horse"))
	p.kill()
	raw, err := os.ReadFile(p.config)
	require.NoError(t, err)
	changed := strings.ReplaceAll(string(raw), `,"other"`, "")
	require.NotEqual(t, string(raw), changed)
	require.NoError(t, os.WriteFile(p.config, []byte(changed), 0o600))
	p.start(p.config)
	apps := b.open(p.issuer + "/apps").ok(http.StatusOK)
	require.Contains(t, string(apps.body), "Application one")
	ended := b.press(b.press(apps, "revoke-0", nil), "confirm", nil).ok(http.StatusOK)
	require.NotContains(t, string(ended.body), `id="revoke-0"`)
}

func TestServersKeepWhatTheBankHas(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) string{
		"PostgreSQL": func(t *testing.T) string { return testserver.PostgreSQL(t).PostgreSQLURL("postgres", "") },
		"MariaDB": func(t *testing.T) string {
			return "mysql://root@" + testserver.MariaDB(t, "innodb-flush-log-at-trx-commit=1").Addr + "/test"
		},
		"Redis": func(t *testing.T) string { return "redis://" + testserver.Redis(t).Addr },
	} {
		t.Run(name, func(t *testing.T) {
			p := newProgram(t, with("store", start(t)))
			p.flow(p.sometimes())
			p.managed(p.sometimes())
		})
	}
	t.Run("SQLite, with Redis for replays", func(t *testing.T) {
		p := newProgram(t, with("replay", "redis://"+testserver.Redis(t).Addr))
		p.flow(p.sometimes())
		p.managed(p.sometimes())
		db, err := sql.Open("sqlite", filepath.Join(p.directory, "bank.data", "bank.db"))
		require.NoError(t, err)
		defer db.Close()
		var entries int
		require.NoError(t, db.QueryRow("SELECT count(*) FROM fapi2_entries").Scan(&entries))
		require.NotZero(t, entries, fmt.Sprint(p.log))
	})
}
