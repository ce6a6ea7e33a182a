package enginetest_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/store/sqlstore"
)

// A bank is an authorization server and an API. It may rotate refresh tokens.
// The second use of an old refresh token then ends the family.
type bank struct {
	*httptest.Server
	rotates bool

	mu              sync.Mutex
	count           int // refreshes
	access, refresh string
	jwk             string          // of the key that access is bound to
	killed          bool            // the family has ended
	hold            chan<- struct{} // the next refresh gets no response
}

func newBank(t *testing.T, rotates bool) *bank {
	b := &bank{rotates: rotates}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, map[string]any{
			"issuer": b.URL, "authorization_endpoint": b.URL + "/authorize", "token_endpoint": b.URL + "/token",
			"pushed_authorization_request_endpoint": b.URL + "/par",
			"response_types_supported":              []string{"code"}, "authorization_response_iss_parameter_supported": true,
			"token_endpoint_auth_methods_supported": []string{"private_key_jwt"},
			"dpop_signing_alg_values_supported":     []string{"ES256"},
		})
	})
	mux.HandleFunc("/token", b.token)
	mux.HandleFunc("/api", b.api)
	b.Server = httptest.NewUnstartedServer(mux)
	b.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // applications that are killed
	b.StartTLS()
	t.Cleanup(b.Close)
	return b
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the application is gone
}

// proofHeader identifies the key of a proof, which its header contains.
func proofHeader(r *http.Request) string {
	header, _, _ := strings.Cut(r.Header.Get("DPoP"), ".")
	return header
}

func (b *bank) token(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	if hold := b.hold; hold != nil {
		b.hold = nil
		b.mu.Unlock()
		io.Copy(io.Discard, r.Body) //nolint:errcheck // the server then notices the end of the application
		close(hold)
		<-r.Context().Done()
		return
	}
	defer b.mu.Unlock()
	b.count++
	if b.killed || r.FormValue("refresh_token") != b.refresh {
		b.killed = true
		answer(w, 400, map[string]any{"error": "invalid_grant"})
		return
	}
	b.jwk, b.access = proofHeader(r), rand.Text()
	if b.rotates {
		b.refresh = rand.Text()
	}
	answer(w, 200, map[string]any{
		"access_token": b.access, "token_type": "DPoP", "expires_in": 300, "refresh_token": b.refresh,
	})
}

func (b *bank) api(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.Header.Get("Authorization") != "DPoP "+b.access || proofHeader(r) != b.jwk {
		w.Header().Set("WWW-Authenticate", `DPoP error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// authorize returns the token of a new login.
func (b *bank) authorize() *oauth2.Token {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.killed, b.refresh = false, rand.Text()
	return &oauth2.Token{RefreshToken: b.refresh}
}

func (b *bank) refreshes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count
}

// An appTask configures an application, which runs in a process of its own.
type appTask struct {
	task
	Issuer      string
	Certificate []byte // of the bank
	Secret      []byte
}

const appVariable = "ENGINETEST_APP"

// The callers of an application call the API at the same time. Half of them
// keep their source, as a worker does, the others make one for each request.
const callers = 16

// newApp returns the client of an application at a time that the test sets.
func (a appTask) newApp(ctx context.Context, now func() time.Time) (*client.Client, func(), error) {
	db, err := openDB(a.Driver, a.DSN)
	if err != nil {
		return nil, nil, err
	}
	shared, err := sqlstore.New(ctx, sqlstore.Config{DB: db, Dialect: a.Dialect, Table: a.Table, SweepInterval: -1})
	if err != nil {
		return nil, nil, err
	}
	certificate, err := x509.ParseCertificate(a.Certificate)
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	app, err := client.New(ctx, client.Config{
		Issuer: a.Issuer, ClientID: "app", Key: key, SeveralInstances: true,
		Tokens:     &client.Tokens{Store: shared, Keys: [][]byte{a.Secret}},
		HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}},
		Hooks:      client.Hooks{Now: now},
	})
	return app, func() {
		shared.Close() //nolint:errcheck // it returns nil
		db.Close()     //nolint:errcheck // the process or the test ends
	}, err
}

// runApp is the main function of an application. For each line of the input, a
// time in Unix seconds, all callers call the API. The application prints their
// results.
func runApp(text string) error {
	var a appTask
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return err
	}
	var now atomic.Int64
	app, _, err := a.newApp(context.Background(), func() time.Time { return time.Unix(now.Load(), 0) })
	if err != nil {
		return err
	}
	kept := app.StoredToken("alice")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var seconds int64
		if _, err := fmt.Sscan(in.Text(), &seconds); err != nil {
			return err
		}
		now.Store(seconds)
		results := make([]string, callers)
		testkit.Hammer(callers, func(i int) {
			source := kept
			if i%2 == 0 {
				source = app.StoredToken("alice")
			}
			results[i] = call(app, source, a.Issuer+"/api")
		})
		slices.Sort(results)
		fmt.Println(strings.Join(slices.Compact(results), "; "))
	}
	return nil
}

// call returns the status of the API, or the class of an error.
func call(app *client.Client, source *client.StoredToken, url string) string {
	api, err := app.HTTPClient(source)
	if err != nil {
		return err.Error()
	}
	response, err := api.Get(url)
	switch {
	case errors.Is(err, client.ErrReauthorize):
		return "connect again"
	case err != nil:
		return err.Error()
	}
	response.Body.Close()
	return response.Status
}

// An application is a process.
type application struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	errs strings.Builder
}

func startApp(t *testing.T, a appTask) *application {
	self, err := os.Executable()
	require.NoError(t, err)
	text, err := json.Marshal(a)
	require.NoError(t, err)
	p := &application{t: t, cmd: exec.CommandContext(t.Context(), self)}
	p.cmd.Env = append(os.Environ(), appVariable+"="+string(text))
	p.cmd.Stderr = &p.errs
	p.in, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.out = bufio.NewScanner(out)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.kill)
	return p
}

func (p *application) kill() {
	p.cmd.Process.Kill() //nolint:errcheck // it has ended
	p.cmd.Wait()         //nolint:errcheck // it was killed
}

// at lets the callers call the API at a time.
func (p *application) at(now time.Time) { fmt.Fprintln(p.in, now.Unix()) }

// result returns the different results of the callers.
func (p *application) result() string {
	require.True(p.t, p.out.Scan(), "the application has ended: %s", &p.errs)
	return p.out.Text()
}

// testTokens plays an hour in which two processes of an application use the
// token of one user.
func testTokens(t *testing.T, e engine) {
	for name, rotates := range map[string]bool{"at a server that rotates": true, "at a server that does not rotate": false} {
		t.Run(name, func(t *testing.T) {
			b, cfg := newBank(t, rotates), e.config(t)
			a := appTask{
				task:   task{Driver: e.driver, DSN: e.dsn(), Dialect: e.dialect, Table: cfg.Table},
				Issuer: b.URL, Certificate: b.Certificate().Raw, Secret: []byte(rand.Text() + "123456"),
			}
			now := time.Now()
			web, end, err := a.newApp(t.Context(), func() time.Time { return now }) // where the user logs in
			require.NoError(t, err)
			defer end()
			login := func() { require.NoError(t, web.StoredToken("alice").Save(t.Context(), b.authorize())) }
			apps := []*application{startApp(t, a), startApp(t, a)}
			// all requires the result of all callers, and the number of refreshes.
			all := func(result string, refreshes int) {
				t.Helper()
				before := b.refreshes()
				for _, p := range apps {
					p.at(now)
				}
				for _, p := range apps {
					require.Equal(t, result, p.result())
				}
				require.Equal(t, refreshes, b.refreshes()-before)
			}
			const ok, ended = "200 OK", "connect again"
			all(ended, 0)
			login()
			all(ok, 1)
			all(ok, 0)
			for round := range 12 {
				now = now.Add(5 * time.Minute)
				switch round {
				case 3: // a restart
					apps[0].kill()
					apps[0] = startApp(t, a)
				case 5: // the API rejects the token before it expires
					all(ok, 1)
					b.mu.Lock()
					b.access = "revoked"
					b.mu.Unlock()
				case 7: // the user withdraws the consent at the bank, and connects again
					b.mu.Lock()
					b.killed = true
					b.mu.Unlock()
					all(ended, 1)
					all(ended, 0)
					login()
				case 9: // a process is killed before the bank has read its refresh
					held := make(chan struct{})
					b.mu.Lock()
					b.hold = held
					b.mu.Unlock()
					apps[1].at(now)
					<-held
					apps[1].kill()
					apps[1] = startApp(t, a)
					now = now.Add(46 * time.Second) // the end of its lease
				}
				all(ok, 1)
				require.False(t, b.killed)
			}
		})
	}
}
