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

	// Base sends the requests. nil means http.DefaultTransport, as it is when a request is sent.
	Base http.RoundTripper

	// Renew is called before a request is repeated, with the request that is going to be sent, a copy with a body of its
	// own; it has to put in place what may be sent only once. A client assertion (private_key_jwt) is such a thing: many
	// servers take note of it before they ask for a nonce. Then set Body, GetBody and ContentLength. Leave requests alone
	// that have nothing of the kind, as those to an API. An error ends the request. nil means that there is nothing.
	// It is called concurrently if requests are sent concurrently.
	Renew func(*http.Request) error
}

// A Transport is an http.RoundTripper that sends a fresh proof with every request, for the access token in the
// Authorization header if its scheme is DPoP. It is safe for concurrent use.
//
// It keeps the nonce that a server sends with any response, for each origin, and there for requests with an access token
// and without apart, since an authorization server and an API may share an origin. If a server refuses a request for want
// of a nonce and sends one, the request is repeated once. A request whose body cannot be had again (GetBody is nil) is
// not: the caller gets the refusal, and the nonce is there for the next request.
//
// With golang.org/x/oauth2, put &http.Client{Transport: t} into the context as oauth2.HTTPClient: cfg.Exchange(ctx, code)
// and cfg.Client(ctx, token) then use it, for token requests (refreshes too) and for requests to the API. Set
// Endpoint.AuthStyle, as oauth2 tries out both styles otherwise. See the example. Two things remain to be done:
//
// A Transport does not look at token_type. Check that it is DPoP after each exchange and refresh; Bearer means that the
// server has not bound the token to the key, and oauth2 would go on to send it as such.
//
// An assertion (private_key_jwt) that was given to Exchange, by oauth2.SetAuthURLParam, is good for one request: set Renew,
// which makes another for the repetition. In refreshes oauth2 has no place for one: let Base add an assertion to each
// request that goes to the token endpoint. It sees repetitions too, so that then nothing is left for Renew to do.
//
// Redirects of an http.Client get a proof for where they go. One that would take an access token to another origin ends the
// request: oauth2 puts its token into whatever it sends, wherever that goes. What Base does by itself gets none: http.Transport sends a
// request once more, with the same proof, when a connection that was idle turns out to be closed. If the server had the
// first one after all, the answer is invalid_dpop_proof for a replay; the request has been received then, so whether to
// send it again (which makes a new proof) is for the caller to decide.
//
// A proof shows everybody who sees it a public key, by which a client can be recognised: send through a Transport what is
// for servers that want proofs.
type Transport struct {
	prover *Prover
	base   http.RoundTripper
	renew  func(*http.Request) error
	nonces *expiring.Cache[string]

	// What the last request was about: the next is about the same, as a rule.
	place atomic.Pointer[place]
	bound atomic.Pointer[boundTo]
}

// place is where requests go.
type place struct {
	scheme, host string
	origin       target
	as, rs       string // slots of nonces
}

// boundTo is the ath of proofs for an access token.
type boundTo struct{ token, ath string }

const (
	// maxNonces bounds the servers whose nonce is kept. Which ones a client talks to may be up to others (redirects).
	maxNonces = 1 << 10
	// maxErrorBody bounds what is read ahead of a response, or thrown away to have its connection used again.
	maxErrorBody = 64 << 10
)

// NewTransport refuses a configuration without Prover.
func NewTransport(cfg TransportConfig) (*Transport, error) {
	if cfg.Prover == nil {
		return nil, errors.New("dpop: want a Prover")
	}
	return &Transport{prover: cfg.Prover, base: cfg.Base, renew: cfg.Renew, nonces: expiring.NewCache[string](maxNonces)}, nil
}

// RoundTrip implements http.RoundTripper. It does not change the request. Errors that start with "dpop: " are about the
// request, its proof or Renew, all others come from Base.
//
// SP-5.3.3.1-8: nonces of authorization servers and resource servers, without the caller's doing.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	base := t.base
	if base == nil {
		base = http.DefaultTransport
	}
	first := *req
	first.Header = make(http.Header, len(req.Header)+1) // of which nobody changes the values
	maps.Copy(first.Header, req.Header)
	sent, err := t.sign(&first, attempt{})
	if err != nil {
		if req.Body != nil {
			req.Body.Close() // a RoundTripper has to
		}
		return nil, err
	}
	resp, err := base.RoundTrip(&first)
	if err != nil {
		return nil, err
	}
	nonce := t.learn(sent.slot, resp)
	// Once, and not with the nonce that has just been refused.
	if nonce == "" || nonce == sent.nonce || !repeatable(req) || !asksForNonce(resp) {
		return resp, nil
	}
	_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody)
	resp.Body.Close()
	again, err := t.again(req)
	if err != nil {
		return nil, err
	}
	// DPOP-4-1, DPOP-7.3-1: a proof of its own. With the nonce of the refusal, whatever other responses have brought since.
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

// attempt is what a request was signed with.
type attempt struct{ slot, nonce string }

// sign puts a proof into a request of ours, with the nonce that was asked for in its place if it is a repetition.
// DPOP-5-1, DPOP-7-1: whatever the request is.
func (t *Transport) sign(req *http.Request, asked attempt) (attempt, error) {
	if req.URL == nil || req.URL.Opaque != "" { // an opaque URL goes out as it is, so nobody knows its path
		return attempt{}, errors.New("dpop: cannot make a proof for a request with no URL, or with an opaque one")
	}
	at, err := t.placeOf(req)
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
	req.Header["Dpop"] = []string{proof} // DPOP-4.1-1; in place of one that http.Client has copied for a redirect
	return a, nil
}

func (t *Transport) placeOf(req *http.Request) (*place, error) {
	host := req.Host // what the server takes for its name
	if host == "" {
		host = req.URL.Host
	}
	if p := t.place.Load(); p != nil && p.scheme == req.URL.Scheme && p.host == host {
		return p, nil
	}
	origin, err := parseTarget(req.URL.Scheme + "://" + host + "/")
	if err != nil {
		return nil, fmt.Errorf("dpop: cannot make a proof for a request to %.64q: %w", host, err)
	}
	p := &place{scheme: req.URL.Scheme, host: host, origin: origin, as: "as " + origin.origin, rs: "rs " + origin.origin}
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

// leavesOrigin reports whether a request follows a redirect to another origin. http.Client, which says so, takes an access
// token away that its caller has set (though not from http in place of https, nor from another port); oauth2.Transport and
// its like put theirs back.
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

// accessToken returns the token of Authorization: DPoP. DPOP-7.1-7: there is nothing like it for proxies.
func accessToken(h http.Header) string {
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "DPoP") {
		return ""
	}
	return strings.TrimSpace(token)
}

// learn keeps the nonce of a response and returns it.
func (t *Transport) learn(slot string, resp *http.Response) string {
	if resp.Body == nil {
		resp.Body = http.NoBody // which http.Client would do, had we not to look into it first
	}
	values := resp.Header["Dpop-Nonce"]
	// DPOP-8-3, DPOP-8.1-1: a server that sends two, or one that is none, sends nothing that could be repeated to it.
	if len(values) != 1 || !isNonce(values[0]) {
		return ""
	}
	// DPOP-8.2-1: whatever the status, and in place of what other responses have brought since this one's request.
	if old, _ := t.nonces.Get(slot); old != values[0] {
		t.nonces.Put(slot, values[0])
	}
	return values[0]
}

func repeatable(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
}

// again returns a copy of a request, to be sent in its place.
func (t *Transport) again(req *http.Request) (*http.Request, error) {
	again := req.Clone(req.Context())
	if req.GetBody != nil && req.Body != nil && req.Body != http.NoBody {
		body, err := req.GetBody()
		if err != nil {
			return nil, fmt.Errorf("dpop: repeating a request: %w", err)
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
		return nil, fmt.Errorf("dpop: renewing a request: %w", err)
	}
	return again, nil
}

// asksForNonce reports whether a response refuses its request for want of a nonce. If it has to look into the body it
// leaves it as it was.
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

// restored is a body of which a part has been read.
type restored struct {
	io.Reader
	io.Closer
}

// failed is what is left of a body whose reading has failed.
type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }
