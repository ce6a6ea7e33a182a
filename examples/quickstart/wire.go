package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// maxBody bounds what is read of a message.
const maxBody = 1 << 20

// A wire takes note of every request that is sent, by whom and to whom, for the dialogue. It keeps the names of what is in
// a message and never the values, which are secrets.
type wire struct {
	mu        sync.Mutex
	names     map[string]string // of the servers, by host
	exchanges []*exchange
}

// An exchange is a request and its answer.
type exchange struct {
	from, to, method, path string
	with                   []string // what the request has
	status                 int
	gives                  string // what the answer has
}

func newWire() *wire { return &wire{names: map[string]string{}} }

func (w *wire) name(rawURL, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names[strings.TrimPrefix(rawURL, "https://")] = name
}

// begin is called when a request is sent, since others may follow before its answer comes.
func (w *wire) begin(e *exchange, host string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.to = w.names[host]
	w.exchanges = append(w.exchanges, e)
}

func (w *wire) end(e *exchange, response *http.Response, body []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.status, e.gives = response.StatusCode, w.summary(response, body)
}

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
	const most = 5
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
	"client_assertion", "grant_type", "code", "code_verifier", "refresh_token", "code_challenge", "request_uri",
	"redirect_uri", "scope", "nonce", "state", "iss", "error", "username", "password", "decision",
}

func interesting(values url.Values) (names []string) {
	for _, name := range worthSaying {
		switch value := values.Get(name); {
		case value == "":
		case name == "grant_type" || name == "decision" || name == "error":
			names = append(names, name+"="+value)
		default:
			names = append(names, name)
		}
	}
	return names
}

// A recorder is a http.RoundTripper for one party that tells the wire.
type recorder struct {
	wire  *wire
	party string
	base  http.RoundTripper
}

// RoundTrip implements http.RoundTripper. Bodies are small here and read at once.
func (t *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	e := &exchange{from: t.party, method: r.Method, path: r.URL.Path}
	if scheme, _, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
		e.with = append(e.with, "access token ("+scheme+")")
	}
	if r.Header.Get("DPoP") != "" {
		e.with = append(e.with, "DPoP proof")
	}
	e.with = append(e.with, interesting(r.URL.Query())...)
	if r.Body != nil {
		sent, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
		r.Body.Close()
		if err != nil {
			return nil, err
		}
		if form, err := url.ParseQuery(string(sent)); err == nil {
			e.with = append(e.with, interesting(form)...)
		}
		r = r.Clone(r.Context()) // a RoundTripper leaves the request alone
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	t.wire.begin(e, r.URL.Host)
	response, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	response.Body.Close()
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	t.wire.end(e, response, body)
	return response, nil
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
	challengeError = regexp.MustCompile(`(?i)^dpop .*\berror="([^"]*)"`)
	pageError      = regexp.MustCompile(`<code id="error">([^<]*)</code>`)
)

// errorCode finds the error code of an answer: in the challenge (RFC 6750 §3) and the JSON document of an API, in the JSON
// document of the token endpoint (RFC 6749 §5.2), or on a page. Where there are two that differ it returns both, which no
// expectation matches.
func errorCode(response *http.Response, body []byte) string {
	var code string
	var document struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &document) == nil {
		code = document.Error
	} else if m := pageError.FindSubmatch(body); m != nil {
		code = string(m[1])
	}
	if challenges := response.Header.Values("WWW-Authenticate"); len(challenges) > 0 {
		for _, challenge := range challenges {
			if m := challengeError.FindStringSubmatch(challenge); m != nil && m[1] == code {
				return code
			}
		}
		return code + " in the document, and in the challenge: " + strings.Join(challenges, "; ")
	}
	return code
}
