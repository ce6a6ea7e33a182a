package conformance

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/pkce"
	"github.com/gofapi/fapi2/profile"
)

// A skipped error is the reason of a case that cannot be run.
type skipped string

func (s skipped) Error() string { return string(s) }

// A warning is the reason of an outcome that is tolerated.
type warning string

func (w warning) Error() string { return string(w) }

// A prober is a client whose requests can be changed before they are sent. It
// keeps what earlier cases have learnt about the server.
type prober struct {
	cfg      ServerConfig
	wire     *wire
	cases    map[string]serverCase
	results  map[string]Result
	metadata *profile.ServerMetadata // of the case metadata/oauth
	keys     []object                // of the case keys/served
	proofKey *ecdsa.PrivateKey
	nonce    string // the latest DPoP-Nonce of the server
}

func newProber(cfg ServerConfig) (*prober, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	p := &prober{cfg: cfg, wire: newWire(&cfg), cases: map[string]serverCase{}, results: map[string]Result{},
		proofKey: key}
	for _, c := range serverCases() {
		p.cases[c.ID] = c
	}
	return p, nil
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// result runs a case, after the cases that it needs. Each case runs once.
func (p *prober) result(ctx context.Context, id string) Result {
	if r, ok := p.results[id]; ok {
		return r
	}
	c := p.cases[id]
	r := Result{Case: c.Case, Outcome: Pass}
	err := error(nil)
	if c.needs != "" {
		if before := p.result(ctx, c.needs); before.Outcome == Fail || before.Outcome == Skip {
			err = skipped(c.needs + " did not pass")
		}
	}
	if err == nil {
		err = c.run(ctx, p, &r)
	}
	var skip skipped
	var warn warning
	switch {
	case err == nil:
	case errors.As(err, &skip), errors.Is(err, errGone), errors.Is(err, errMany), ctx.Err() != nil:
		r.Outcome, r.Reason = Skip, err.Error()
	case errors.As(err, &warn):
		r.Outcome, r.Reason = Warn, err.Error()
	default:
		r.Outcome, r.Reason = Fail, err.Error()
	}
	p.results[id] = r
	return r
}

// get fetches a document.
func (p *prober) get(ctx context.Context, url string, r *Result) (*answer, error) {
	q := &request{method: http.MethodGet, url: url}
	return p.send(ctx, q, r)
}

// A request is a request that a case changes.
type request struct {
	method, url string
	form        url.Values
	body        string // sent instead of the form
	contentType string // of the body
	assertion   *jwt   // if nil, the client is not authenticated
	proofs      []*jwt
}

// push returns a valid pushed authorization request and its code verifier.
func (p *prober) push() (q *request, verifier string, err error) {
	verifier = pkce.NewVerifier()
	challenge, err := pkce.Challenge(verifier)
	if err != nil {
		return nil, "", err
	}
	form := url.Values{"response_type": {"code"}, "redirect_uri": {p.cfg.RedirectURI}, "state": {rand.Text()},
		"code_challenge": {challenge}, "code_challenge_method": {pkce.MethodS256}}
	if p.cfg.Scope != "" {
		form.Set("scope", p.cfg.Scope)
	}
	q = &request{method: http.MethodPost, url: p.metadata.PushedAuthorizationRequestEndpoint, form: form}
	q.assertion, err = p.assert()
	return q, verifier, err
}

// redemption lets the user approve a new request, and returns a valid token
// request with the code.
func (p *prober) redemption(ctx context.Context, r *Result, changes ...func(*request)) (*request, error) {
	callback, verifier, err := p.approve(ctx, r, changes...)
	if err != nil {
		return nil, err
	}
	q := &request{method: http.MethodPost, url: p.metadata.TokenEndpoint, form: url.Values{
		"grant_type": {"authorization_code"}, "code": {callback.Get("code")}, "redirect_uri": {p.cfg.RedirectURI},
		"code_verifier": {verifier}}}
	if q.assertion, err = p.assert(); err != nil {
		return nil, err
	}
	proof, err := p.prove(p.proofKey, q.url)
	q.proofs = []*jwt{proof}
	return q, err
}

// approve pushes a request with changes, lets the user approve it, and returns
// the parameters of the authorization response.
func (p *prober) approve(ctx context.Context, r *Result,
	changes ...func(*request)) (response url.Values, verifier string, err error) {
	if p.cfg.Approve == nil {
		return nil, "", skipped("ServerConfig.Approve is nil")
	}
	q, verifier, err := p.push()
	if err != nil {
		return nil, "", err
	}
	for _, change := range changes {
		change(q)
	}
	a, err := p.send(ctx, q, r)
	if err != nil {
		return nil, "", err
	}
	pushed, err := readPushed(a)
	if err != nil {
		return nil, "", err
	}
	target, err := url.Parse(p.metadata.AuthorizationEndpoint)
	if err != nil {
		return nil, "", err
	}
	query := target.Query()
	query.Set("client_id", p.cfg.ClientID)
	query.Set("request_uri", pushed.RequestURI)
	target.RawQuery = query.Encode()
	ctx, cancel := context.WithTimeout(ctx, p.cfg.ApproveTimeout)
	defer cancel()
	callback, err := p.cfg.Approve(ctx, target.String())
	if err == nil && callback == nil {
		err = errors.New("no callback")
	}
	if err != nil {
		return nil, "", fmt.Errorf("the user's approval failed: %w", err)
	}
	if response = callback.Query(); response.Get("state") != q.form.Get("state") {
		return response, "", errors.New("the authorization response has another state")
	}
	return response, verifier, nil
}

// assert returns a valid client assertion.
func (p *prober) assert() (*jwt, error) {
	alg, err := algorithmOf(p.cfg.Key)
	if err != nil {
		return nil, err
	}
	j := &jwt{object{"alg": alg}, object{"iss": p.cfg.ClientID, "sub": p.cfg.ClientID, "aud": p.cfg.Issuer,
		"jti": rand.Text()}, signer(p.cfg.Key)}
	if p.cfg.KeyID != "" {
		j.header["kid"] = p.cfg.KeyID
	}
	j.after("iat", 0)
	j.after("exp", time.Minute)
	return j, nil
}

// prove returns a valid DPoP proof.
func (p *prober) prove(key *ecdsa.PrivateKey, url string) (*jwt, error) {
	public, err := publicJWK(key)
	if err != nil {
		return nil, err
	}
	j := &jwt{object{"typ": "dpop+jwt", "alg": "ES256", "jwk": public},
		object{"htm": http.MethodPost, "htu": url, "jti": rand.Text()}, signer(key)}
	j.after("iat", 0)
	return j, nil
}

// send sends a request. If the server requires a nonce, the request is sent
// once more with new proofs and a new assertion.
func (p *prober) send(ctx context.Context, q *request, r *Result) (*answer, error) {
	r.Sent = q.String()
	a, err := p.sendOnce(ctx, q)
	if err == nil && a.failure() == "use_dpop_nonce" && p.nonce != "" && len(q.proofs) > 0 {
		for _, proof := range q.proofs {
			proof.renew()
		}
		if q.assertion != nil {
			q.assertion.renew()
		}
		a, err = p.sendOnce(ctx, q)
	}
	if err == nil {
		r.Received = a.String()
	}
	return a, err
}

func (p *prober) sendOnce(ctx context.Context, q *request) (*answer, error) {
	form := maps.Clone(q.form)
	if q.assertion != nil {
		assertion, err := q.assertion.compact()
		if err != nil {
			return nil, err
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	}
	body := q.body
	if body == "" {
		body = form.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, q.method, q.url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	if q.method != http.MethodGet {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if q.contentType != "" {
		r.Header.Set("Content-Type", q.contentType)
	}
	for _, proof := range q.proofs {
		if p.nonce != "" {
			proof.claims["nonce"] = p.nonce
		}
		text, err := proof.compact()
		if err != nil {
			return nil, err
		}
		r.Header.Add("DPoP", text)
	}
	a, err := p.wire.do(r)
	if err == nil {
		if nonce := a.header.Get("DPoP-Nonce"); nonce != "" {
			p.nonce = nonce
		}
	}
	return a, err
}

// shown are the parameters whose values are not secret.
var shown = []string{"client_id", "code_challenge_method", "grant_type", "redirect_uri", "response_mode",
	"response_type", "scope"}

// String returns the request without secrets.
func (q *request) String() string {
	parts := []string{q.method + " " + q.url}
	for _, name := range slices.Sorted(maps.Keys(q.form)) {
		if slices.Contains(shown, name) {
			name += "=" + strings.Join(q.form[name], ",")
		}
		parts = append(parts, name)
	}
	if q.assertion != nil {
		parts = append(parts, "client_assertion")
	}
	return strings.Join(append(parts, slices.Repeat([]string{"DPoP proof"}, len(q.proofs))...), " ")
}
