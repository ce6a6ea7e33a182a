// Package loopback implements logins of command-line and desktop programs with
// a browser on the same computer. The program receives the authorization
// response at an http URL of the loopback interface (RFC 8252 §7.3). FAPI 2.0
// permits http only for such programs.
//
// [Listen] chooses a free port. The program passes the redirect URI to a
// client, and calls [Listener.Login]. Register the redirect URI without a port,
// for example http://127.0.0.1/callback: the server must accept every port.
//
// To use a token in later runs of the program, set [client.Config].Tokens and
// save the token in a [client.StoredToken]. Its DPoP key is saved with it. A
// program that stores tokens elsewhere sets [client.Config].DPoPKey.
//
// All installations of a distributed program have the same files, so a key in
// these files is not a secret. Register a client for each installation, or let
// a server of yours be the client.
package loopback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/gofapi/fapi2/profile/client"
	"golang.org/x/oauth2"
)

const (
	defaultPath     = "/callback"
	readTimeout     = 10 * time.Second
	shutdownTimeout = time.Second
)

// Config configures [Listen]. The zero value has the defaults.
type Config struct {
	// Path is the path of the registered redirect URI. The default is
	// /callback.
	Path string
	// Open shows an https URL to the user, for example as text in the terminal.
	// If Open returns an error, the login fails. If nil, the default browser of
	// the system is opened.
	Open func(url string) error
	// Page writes the response that the browser shows at the end. If the login
	// failed, err is not nil. If Page is nil, the response is a short text
	// without details of err.
	Page func(w http.ResponseWriter, r *http.Request, err error)
}

// A Listener receives the authorization response of one login. Login can be
// called once. A Listener is safe for concurrent use.
type Listener struct {
	cfg      Config
	listener net.Listener
	logins   chan struct{} // has one entry until Login is called
}

// Listen listens on 127.0.0.1, at a port that the system chooses. The caller
// calls [Listener.Login] or [Listener.Close].
func Listen(cfg Config) (*Listener, error) {
	if cfg.Path == "" {
		cfg.Path = defaultPath
	}
	// A browser encodes a path that is not in its encoded form.
	if u, err := url.Parse(cfg.Path); err != nil || !strings.HasPrefix(cfg.Path, "/") || u.EscapedPath() != cfg.Path {
		return nil, errors.New("loopback: invalid Path, want an encoded absolute path without query")
	}
	if cfg.Open == nil {
		cfg.Open = openBrowser
	}
	if cfg.Page == nil {
		cfg.Page = showResult
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("loopback: %w", err)
	}
	l := &Listener{cfg: cfg, listener: listener, logins: make(chan struct{}, 1)}
	l.logins <- struct{}{}
	return l, nil
}

// RedirectURI returns the redirect URI with the port, for
// [client.Config].RedirectURI.
func (l *Listener) RedirectURI() string { return "http://" + l.listener.Addr().String() + l.cfg.Path }

// Close stops listening, and ends a Login that waits. Closing twice is not an
// error.
func (l *Listener) Close() error {
	if err := l.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("loopback: %w", err)
	}
	return nil
}

// Login begins an authorization, opens the browser and waits for its result. It
// returns the token of [client.Client.Finish], and closes the listener. app has
// the RedirectURI of the Listener. Login rejects callbacks that do not belong
// to the login, and continues to wait. Any page in the browser can send
// requests to the loopback interface. Login ends with ctx, so give ctx a
// deadline of some minutes.
func (l *Listener) Login(ctx context.Context, app *client.Client, request client.Request) (*oauth2.Token, error) {
	select {
	case <-l.logins:
	default:
		return nil, errors.New("loopback: Login called twice")
	}
	defer l.Close()
	session, err := app.Begin(ctx, request)
	if err != nil {
		return nil, err
	}
	if session.RedirectURI != l.RedirectURI() {
		return nil, errors.New("loopback: the client has another RedirectURI")
	}
	results := make(chan result, 1)
	one := make(chan struct{}, 1) // the callback that is being finished
	server := &http.Server{
		ReadTimeout: readTimeout, MaxHeaderBytes: 128 << 10,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			l.callback(w, r, one, results, func(callback url.Values) (*oauth2.Token, error) {
				return app.Finish(ctx, session, callback)
			})
		}),
	}
	closed := make(chan error, 1)
	go func() { closed <- server.Serve(l.listener) }()
	defer func() { // the browser receives the page
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if server.Shutdown(stop) != nil {
			server.Close()
		}
	}()
	if err := l.cfg.Open(session.URL); err != nil {
		return nil, fmt.Errorf("loopback: opening the browser: %w", err)
	}
	select {
	case r := <-results:
		return r.token, r.err
	case err := <-closed:
		return nil, fmt.Errorf("loopback: %w", err)
	case <-ctx.Done():
	}
	// A code that was sent is not lost: Finish ends soon.
	select {
	case r := <-results:
		return r.token, r.err
	case one <- struct{}{}: // no callback is being finished
		return nil, fmt.Errorf("loopback: waiting for the browser: %w", context.Cause(ctx))
	}
}

type result struct {
	token *oauth2.Token
	err   error
}

// callback serves one request of a browser.
func (l *Listener) callback(
	w http.ResponseWriter, r *http.Request, one chan struct{}, results chan<- result,
	finish func(url.Values) (*oauth2.Token, error),
) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // the URL contains the code
	h.Set("X-Content-Type-Options", "nosniff")
	switch {
	case r.Host != l.listener.Addr().String(): // DNS rebinding
		http.Error(w, "unknown host", http.StatusForbidden)
		return
	case r.URL.EscapedPath() != l.cfg.Path:
		http.NotFound(w, r)
		return
	case r.Method != http.MethodGet:
		h.Set("Allow", http.MethodGet)
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	callback, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		http.Error(w, "malformed query", http.StatusBadRequest)
		return
	}
	select {
	case one <- struct{}{}:
	case <-r.Context().Done():
		return
	}
	// Login does not wait for the page, which a client may read slowly.
	l.cfg.Page(w, r, deliver(one, results, func() (*oauth2.Token, error) { return finish(callback) }))
}

// deliver gives the result of a callback to Login, even if finish panics.
func deliver(one <-chan struct{}, results chan<- result, finish func() (*oauth2.Token, error)) error {
	r := result{nil, errors.New("loopback: login aborted")} // by a panic in a key or a transport of the host
	defer func() {
		// Finish has sent nothing. The response belongs to another login, or
		// comes from an attacker.
		if errors.Is(r.err, client.ErrAuthorizationResponse) {
			<-one
			return
		}
		results <- r // later callbacks wait until the server ends
	}()
	r.token, r.err = finish()
	return r.err
}

// showResult is the default of Config.Page.
func showResult(w http.ResponseWriter, _ *http.Request, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	switch {
	case err == nil:
		io.WriteString(w, "You are logged in. You can close this window.\n")
	case errors.Is(err, client.ErrAuthorizationResponse):
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, "This response does not belong to your login.\n")
	default:
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, "The login failed. You can close this window.\n")
	}
}

// openBrowser opens a URL in the default browser of the system.
func openBrowser(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" { // other schemes can start programs
		return errors.New("the address is not an https URL")
	}
	name, args := "xdg-open", []string{u.String()}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", append([]string{"url.dll,FileProtocolHandler"}, args...)
	}
	cmd := exec.Command(name, args...) //nolint:noctx // the browser may outlive the login
	if err := cmd.Start(); err != nil {
		return err
	}
	go cmd.Wait() //nolint:errcheck // the user sees whether the browser has opened
	return nil
}
