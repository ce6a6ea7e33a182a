package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// maxBody bounds what is read of a message.
const maxBody = 1 << 20

// A wire takes note of every request that comes to a server, for the dialogue. It keeps the names of what is in a message
// and never the values, which are secrets. It listens where the messages arrive: the client's own transport stays the plain
// one that mutual TLS needs.
type wire struct {
	mu        sync.Mutex
	names     map[string]string // of the servers, by host
	parties   map[string]string // who sends, by the address of the connection's other end
	exchanges []*exchange
}

// An exchange is a request and its answer.
type exchange struct {
	from, to, method, path string
	with                   []string // what the request has
	status                 int
	gives                  string // what the answer has
}

func newWire() *wire { return &wire{names: map[string]string{}, parties: map[string]string{}} }

func (w *wire) name(rawURL, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names[strings.TrimPrefix(rawURL, "https://")] = name
}

// dial returns how a party connects: the wire remembers whose connection it is.
func (w *wire) dial(party string) func(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := new(net.Dialer)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.parties[connection.LocalAddr().String()] = party
		return connection, nil
	}
}

// listen puts the wire's ear before a server. Messages are small here: they are read at once, and an answer is noted before
// it is sent, so that whoever has it can look it up.
func (w *wire) listen(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		sent, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxBody))
		if err != nil {
			http.Error(rw, "a request as large is not expected here", http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(sent))
		e := w.begin(r, sent)
		held := &heldResponse{ResponseWriter: rw}
		next.ServeHTTP(held, r)
		status := cmp.Or(held.status, http.StatusOK)
		w.end(e, &http.Response{StatusCode: status, Header: rw.Header(), Request: &http.Request{URL: &url.URL{Host: r.Host}}}, held.body.Bytes())
		rw.WriteHeader(status)
		rw.Write(held.body.Bytes()) //nolint:errcheck // nobody to tell
	})
}

// grantPath is that of a grant: no secret, and another one each time.
var grantPath = regexp.MustCompile(`^/grants/.+`)

// begin is called when a request arrives, since others may follow before its answer is there.
func (w *wire) begin(r *http.Request, body []byte) *exchange {
	e := &exchange{method: r.Method, path: grantPath.ReplaceAllString(r.URL.Path, "/grants/…")}
	if len(r.TLS.PeerCertificates) > 0 {
		e.with = append(e.with, "certificate")
	}
	if scheme, _, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
		e.with = append(e.with, "access token ("+scheme+")")
	}
	if r.Header.Get("DPoP") != "" {
		e.with = append(e.with, "DPoP proof")
	}
	e.with = append(e.with, interesting(r.URL.Query())...)
	if form, err := url.ParseQuery(string(body)); err == nil {
		e.with = append(e.with, interesting(form)...)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	e.from, e.to = w.parties[r.RemoteAddr], w.names[r.Host]
	w.exchanges = append(w.exchanges, e)
	return e
}

func (w *wire) end(e *exchange, response *http.Response, body []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.status, e.gives = response.StatusCode, w.summary(response, body)
}

// A heldResponse keeps an answer back until it is complete.
type heldResponse struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader implements http.ResponseWriter.
func (h *heldResponse) WriteHeader(status int) { h.status = cmp.Or(h.status, status) }

// Write implements http.ResponseWriter.
func (h *heldResponse) Write(b []byte) (int, error) { return h.body.Write(b) }

// take returns what was said since it was called last.
func (w *wire) take() []exchange {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := make([]exchange, 0, len(w.exchanges))
	for _, e := range w.exchanges {
		taken = append(taken, *e)
	}
	w.exchanges = nil
	return taken
}

// summary says in a few words what an answer is.
func (w *wire) summary(response *http.Response, body []byte) string {
	if location, err := response.Location(); err == nil {
		text := "to " + w.names[location.Host] + " " + location.Path
		if names := interesting(location.Query()); len(names) > 0 {
			text += " (" + strings.Join(names, ", ") + ")"
		}
		return text
	}
	if code := errorCode(response, body); code != "" {
		return code
	}
	mediaType, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return strings.TrimPrefix(mediaType, "text/")
	}
	const most = 8
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	if slices.Sort(names); len(names) > most {
		return fmt.Sprintf("JSON with %d members", len(names))
	}
	return strings.Join(names, ", ")
}

// worthSaying are the parameters that the dialogue names, in its order.
var worthSaying = []string{
	"client_id", "client_assertion", "request", "response", "token", "grant_type", "code", "code_verifier", "refresh_token", "code_challenge", "request_uri",
	"redirect_uri", "scope", "authorization_details", "grant_management_action", "grant_id", "nonce", "state", "iss", "error", "username", "password", "decision",
}

func interesting(values url.Values) (names []string) {
	for _, name := range worthSaying {
		switch value := values.Get(name); {
		case value == "":
		case name == "grant_type" || name == "grant_management_action" || name == "decision" || name == "error":
			names = append(names, name+"="+value)
		default:
			names = append(names, name)
		}
	}
	return names
}

// An answer is a response that has been read.
type answer struct {
	status   int
	code     string // the error code, empty if there is none
	location *url.URL
	body     []byte
}

func (a answer) String() string {
	if a.code == "" {
		return fmt.Sprintf("%d without an error code", a.status)
	}
	return fmt.Sprintf("%d %s", a.status, a.code)
}

// exchangeWith sends a request and reads the answer.
func exchangeWith(client *http.Client, r *http.Request) (answer, error) {
	response, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return answer{}, err
	}
	a := answer{status: response.StatusCode, code: errorCode(response, body), body: body}
	if location, err := response.Location(); err == nil {
		a.location = location
	}
	return a, nil
}

var (
	challengeError = regexp.MustCompile(`(?i)^(?:dpop|bearer) .*\berror="([^"]*)"`)
	pageError      = regexp.MustCompile(`<code id="error">([^<]*)</code>`)
)

// errorCode finds the error code of an answer: in the challenge (RFC 6750 §3) and the JSON document of an API, in the JSON
// document of the token endpoint (RFC 6749 §5.2), or on a page. Where there are two that differ it returns both, which no
// expectation matches. Who has sent no token is told none (RFC 6750 §3.1).
func errorCode(response *http.Response, body []byte) string {
	if saysInactive(response, body) {
		return codeInactive
	}
	var code string
	var document struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &document) == nil {
		code = document.Error
	} else if m := pageError.FindSubmatch(body); m != nil {
		code = string(m[1])
	}
	if challenges := response.Header.Values("WWW-Authenticate"); strings.Contains(strings.Join(challenges, " "), "error") || code != "" && len(challenges) > 0 {
		for _, challenge := range challenges {
			if m := challengeError.FindStringSubmatch(challenge); m != nil && m[1] == code {
				return code
			}
		}
		return code + " in the document, and in the challenge: " + strings.Join(challenges, "; ")
	}
	return code
}
