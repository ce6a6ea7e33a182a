package dpop

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/strictjson"
)

// TransportConfig configures a [Transport].
type TransportConfig struct {
	// Prover makes the proofs. Required.
	Prover *Prover

	// Base sends the requests. If nil, http.DefaultTransport is used.
	Base http.RoundTripper

	// Renew replaces the parts of a request that can be sent once. It is called
	// before a request is repeated, with a copy that has its own body. For
	// example, it replaces a client assertion, because many servers record the
	// assertion before they require a nonce. It sets Body, GetBody and
	// ContentLength, and does not change requests without such parts. An error
	// ends the request. If nil, requests are repeated unchanged. It is called
	// concurrently.
	Renew func(*http.Request) error
}

// A Transport is an http.RoundTripper that adds a new proof to each request. If
// the Authorization header has the scheme DPoP, the proof is for that access
// token. A Transport is safe for concurrent use.
//
// A Transport stores the nonces of each server. If a server rejects a request
// because of a missing or old nonce, the Transport repeats the request once. It
// does not repeat a request with a body whose GetBody is nil.
//
// To use it with golang.org/x/oauth2, put &http.Client{Transport: t} into the
// context as oauth2.HTTPClient, and set Endpoint.AuthStyle. Check after each
// exchange and refresh that token_type is DPoP: the Transport does not check
// it. The page docs/dpop.md explains client assertions, redirects and lost
// connections.
type Transport struct {
	prover *Prover
	base   http.RoundTripper
	renew  func(*http.Request) error
	nonces *expiring.Cache[string]

	// Place and token of the last request. Those of the next are usually the
	// same.
	place atomic.Pointer[place]
	bound atomic.Pointer[boundTo]
}

// A place is the origin of requests.
type place struct {
	scheme, host string
	origin       target
	as, rs       string // keys of nonces
}

// A boundTo is the ath of proofs for an access token.
type boundTo struct{ token, ath string }

const (
	// maxNonces bounds the servers whose nonces are stored. Redirects may lead
	// to any number of servers.
	maxNonces = 1 << 10
	// maxErrorBody bounds the part of a body that is read to find the error
	// code, or discarded so that the connection can be reused.
	maxErrorBody = 64 << 10
)

// NewTransport validates and copies cfg.
func NewTransport(cfg TransportConfig) (*Transport, error) {
	if cfg.Prover == nil {
		return nil, errors.New("dpop: missing Prover")
	}
	return &Transport{
		prover: cfg.Prover, base: cfg.Base, renew: cfg.Renew, nonces: expiring.NewCache[string](maxNonces),
	}, nil
}

// WithProver returns a Transport that makes the proofs with another key. The
// two share the nonces and the other fields of the configuration. An
// application with a key for each user has one Transport, and derives the
// Transports of the users from it. WithProver is cheap. It panics if prover is
// nil.
func (t *Transport) WithProver(prover *Prover) *Transport {
	if prover == nil {
		panic("dpop: WithProver without a Prover")
	}
	return &Transport{prover: prover, base: t.base, renew: t.renew, nonces: t.nonces}
}

// RoundTrip implements http.RoundTripper. It does not change the request. An
// error whose text starts with "dpop: " is about the request, its proof or
// Renew. Other errors come from Base.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) { // SP-5.3.3.1-8
	base := t.base
	if base == nil {
		base = http.DefaultTransport
	}
	first := *req
	first.Header = make(http.Header, len(req.Header)+1) // the values are shared and not changed
	maps.Copy(first.Header, req.Header)
	sent, err := t.sign(&first, attempt{})
	if err != nil {
		if req.Body != nil {
			req.Body.Close() // required of a RoundTripper
		}
		return nil, err
	}
	resp, err := base.RoundTrip(&first)
	if err != nil {
		return nil, err
	}
	nonce := t.learn(sent.slot, resp)
	// Once, and not with the nonce that the server has just rejected.
	if nonce == "" || nonce == sent.nonce || !repeatable(req) || !asksForNonce(resp) {
		return resp, nil
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody)
	resp.Body.Close()
	again, err := t.again(req)
	if err != nil {
		return nil, err
	}
	// DPOP-4-1, DPOP-7.3-1: a new proof with the nonce of the response, even if
	// other responses have had another nonce since.
	if sent, err = t.sign(again, attempt{sent.slot, nonce}); err != nil {
		if again.Body != nil {
			again.Body.Close()
		}
		return nil, err
	}
	if resp, err = base.RoundTrip(again); err != nil {
		return nil, err
	}
	t.learn(sent.slot, resp)
	return resp, nil
}

// An attempt has the nonce of a signed request and its key.
type attempt struct{ slot, nonce string }

// sign adds a proof to a copy of a request. For a repeated request, asked has
// the nonce of the rejection.
func (t *Transport) sign(req *http.Request, asked attempt) (attempt, error) {
	if req.URL == nil || req.URL.Opaque != "" { // the path of an opaque URL is unknown
		return attempt{}, errors.New("dpop: request without URL or with an opaque one")
	}
	at, err := t.placeOf(req) // DPOP-5-1, DPOP-7-1: every request has a proof
	if err != nil {
		return attempt{}, err
	}
	to := at.origin
	if path := req.URL.EscapedPath(); strings.HasPrefix(path, "/") {
		to.path = path
	} else {
		to.path += path
	}
	a, ath := attempt{slot: at.as}, "" // DPOP-9-2
	if token := accessToken(req.Header); token != "" {
		if leavesOrigin(req) {
			return attempt{}, errors.New("dpop: a redirect to another origin gets no access token")
		}
		a.slot, ath = at.rs, t.athOf(token)
	}
	if a.nonce = asked.nonce; a.slot != asked.slot {
		a.nonce, _ = t.nonces.Get(a.slot)
	}
	method := req.Method
	if method == "" {
		method = http.MethodGet
	}
	proof, err := t.prover.prove(method, to, ath, a.nonce)
	if err != nil {
		return attempt{}, err
	}
	if req.Header == nil {
		req.Header = make(http.Header)
	}
	req.Header["Dpop"] = []string{proof} // DPOP-4.1-1: replaces one that http.Client has copied for a redirect
	return a, nil
}

func (t *Transport) placeOf(req *http.Request) (*place, error) {
	host := req.Host // the name of the server in the request
	if host == "" {
		host = req.URL.Host
	}
	if p := t.place.Load(); p != nil && p.scheme == req.URL.Scheme && p.host == host {
		return p, nil
	}
	origin, err := parseTarget(req.URL.Scheme + "://" + host + "/")
	if err != nil {
		return nil, fmt.Errorf("dpop: invalid host %.64q for a proof: %w", host, err)
	}
	p := &place{
		scheme: req.URL.Scheme, host: host, origin: origin, as: "as " + origin.origin, rs: "rs " + origin.origin,
	}
	t.place.Store(p)
	return p, nil
}

func (t *Transport) athOf(token string) string {
	if b := t.bound.Load(); b != nil && b.token == token {
		return b.ath
	}
	b := &boundTo{token, jose.SHA256Base64(token)}
	t.bound.Store(b)
	return b.ath
}

// leavesOrigin reports whether a request follows a redirect to another origin.
// http.Client removes an access token that its caller has set, but not for
// another scheme or port. oauth2.Transport adds its token again.
func leavesOrigin(req *http.Request) bool {
	if req.Response == nil {
		return false
	}
	from := req.Response.Request
	if from == nil || from.URL == nil {
		return true
	}
	old, err := parseTarget(from.URL.Scheme + "://" + from.URL.Host)
	if err != nil {
		return true
	}
	now, err := parseTarget(req.URL.Scheme + "://" + req.URL.Host)
	return err != nil || now.origin != old.origin
}

// accessToken returns the token of an Authorization header with the scheme
// DPoP.
func accessToken(h http.Header) string { // DPOP-7.1-7: not of Proxy-Authorization
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "DPoP") {
		return ""
	}
	return strings.TrimSpace(token)
}

// learn stores the nonce of a response and returns it.
func (t *Transport) learn(slot string, resp *http.Response) string {
	if resp.Body == nil {
		resp.Body = http.NoBody // as http.Client does, because asksForNonce reads it before
	}
	values := resp.Header["Dpop-Nonce"]
	// DPOP-8-3, DPOP-8.1-1: several nonces and malformed ones are ignored.
	if len(values) != 1 || !isNonce(values[0]) {
		return ""
	}
	// DPOP-8.2-1: of responses with any status. The last response decides.
	if old, _ := t.nonces.Get(slot); old != values[0] {
		t.nonces.Put(slot, values[0])
	}
	return values[0]
}

func repeatable(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
}

// again returns a copy of a request for its repetition.
func (t *Transport) again(req *http.Request) (*http.Request, error) {
	again := req.Clone(req.Context())
	if req.GetBody != nil && req.Body != nil && req.Body != http.NoBody {
		body, err := req.GetBody()
		if err != nil {
			return nil, fmt.Errorf("dpop: repeated request: %w", err)
		}
		again.Body = body
	}
	if t.renew == nil {
		return again, nil
	}
	if err := t.renew(again); err != nil {
		if again.Body != nil {
			again.Body.Close()
		}
		return nil, fmt.Errorf("dpop: Renew: %w", err)
	}
	return again, nil
}

// asksForNonce reports whether a response rejects its request because of the
// nonce. It restores a body that it reads.
func asksForNonce(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		if challengesNonce(resp.Header.Values("WWW-Authenticate")) {
			return true
		}
	case http.StatusBadRequest:
	default:
		return false
	}
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return false
	}
	head, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody+1))
	rest := io.Reader(resp.Body)
	if err != nil {
		rest = failed{err}
	}
	resp.Body = &restored{io.MultiReader(bytes.NewReader(head), rest), resp.Body}
	if err != nil || len(head) > maxErrorBody {
		return false
	}
	o, err := strictjson.ParseObject(head)
	if err != nil {
		return false
	}
	code, _, err := o.String("error")
	return err == nil && code == codeNonce
}

// A restored body starts with the part that has been read.
type restored struct {
	io.Reader
	io.Closer
}

// failed returns the error of a body after the part that was read.
type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }
