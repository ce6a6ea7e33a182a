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

// maxBody bounds the size of a message.
const maxBody = 1 << 20

// A wire records every request to a server for the dialogue. It records the
// names of parameters and headers, never their values, which are secrets. It
// records messages at the receiver, so that the client's transport stays
// unchanged for mutual TLS.
type wire struct {
	mu        sync.Mutex
	names     map[string]string // of the servers, by host
	parties   map[string]string // the sender, by the address of the connection
	exchanges []*exchange
}

// An exchange is a request and its response.
type exchange struct {
	from, to, method, path string
	with                   []string // the parts of the request
	status                 int
	gives                  string // the parts of the response
}

func newWire() *wire { return &wire{names: map[string]string{}, parties: map[string]string{}} }

func (w *wire) name(rawURL, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names[strings.TrimPrefix(rawURL, "https://")] = name
}

// dial returns the dialer of a party. The wire records the owner of each
// connection.
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

// listen records the messages of a server. Messages are small here and are read
// at once. A response is recorded before it is sent, so its receiver can look
// it up.
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
		w.end(e, &http.Response{StatusCode: status, Header: rw.Header(),
			Request: &http.Request{URL: &url.URL{Host: r.Host}}}, held.body.Bytes())
		rw.WriteHeader(status)
		rw.Write(held.body.Bytes()) //nolint:errcheck // the sender is gone
	})
}

// grantPath matches the path of a grant. It is not a secret, but differs each
// time.
var grantPath = regexp.MustCompile(`^/grants/.+`)

// begin records a request when it arrives, since others may follow before its
// response.
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

// A heldResponse holds a response until it is complete.
type heldResponse struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader implements http.ResponseWriter.
func (h *heldResponse) WriteHeader(status int) { h.status = cmp.Or(h.status, status) }

// Write implements http.ResponseWriter.
func (h *heldResponse) Write(b []byte) (int, error) { return h.body.Write(b) }

// take returns the exchanges since the last call.
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

// summary describes a response in a few words.
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

// worthSaying contains the parameters that the dialogue names, in this order.
var worthSaying = []string{
	"client_id", "client_assertion", "request", "response", "token", "grant_type", "code", "code_verifier",
	"refresh_token", "code_challenge", "request_uri",
	"redirect_uri", "scope", "authorization_details", "grant_management_action", "grant_id", "nonce", "state", "iss",
	"error", "username", "password", "decision",
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

// exchangeWith sends a request and reads the response.
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

// errorCode returns the error code of a response. It is in the challenge (RFC
// 6750 §3) or the JSON document of an API, in the JSON document of the token
// endpoint (RFC 6749 §5.2), or on a page. If two codes differ, errorCode
// returns both, which no expectation matches. The challenge for a request
// without a token has no code (RFC 6750 §3.1).
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
	if challenges := response.Header.Values("WWW-Authenticate"); strings.Contains(strings.Join(challenges, " "),
		"error") || code != "" && len(challenges) > 0 {
		for _, challenge := range challenges {
			if m := challengeError.FindStringSubmatch(challenge); m != nil && m[1] == code {
				return code
			}
		}
		return code + " in the document, and in the challenge: " + strings.Join(challenges, "; ")
	}
	return code
}
