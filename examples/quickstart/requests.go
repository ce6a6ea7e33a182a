package main

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/pkce"
	"github.com/gofapi/fapi2/profile/client"
	"golang.org/x/oauth2"
)

// An attack is a valid request with one change. The types in this file are
// requests whose parts can be changed before they are sent. Unchanged requests
// succeed, and are tried first.

// A request is a request that an attack changes.
type request interface {
	send(ctx context.Context) (answer, error)
}

// A call is a request to the API.
type call struct {
	w             *world
	method, url   string
	scheme, token string
	certificate   *tls.Certificate // may be nil
	prover        *dpop.Prover     // if nil, the call has no proof
	// These replace the values in the proof if they are set.
	proofMethod, proofURL, proofToken string
	proofs                            []string    // sent instead of a new one
	header                            http.Header // further headers
	body                              string      // JSON, or empty
	grantID                           string      // the grant of the token or of the call
}

// newCall returns a call with a new token of the client for alice.
func newCall(ctx context.Context, w *world) (*call, error) {
	token, err := w.newToken(ctx)
	if err != nil {
		return nil, err
	}
	c := &call{w: w, method: http.MethodGet, url: w.api() + "/accounts", token: token.AccessToken}
	return c, c.as(w.ours)
}

// as presents the token as if it were bound to the keys of a client.
func (c *call) as(its *application) (err error) {
	if !c.w.byDPoP() {
		c.scheme, c.certificate = "Bearer", its.certificate
		return nil
	}
	c.scheme = "DPoP"
	c.prover, err = c.w.prover(its.dpop)
	return err
}

// proof returns a proof for the call in its present state.
func (c *call) proof() (string, error) {
	or := func(value, otherwise string) string {
		if value == "" {
			return otherwise
		}
		return value
	}
	return c.prover.Proof(or(c.proofMethod, c.method), or(c.proofURL, c.url),
		dpop.ProofOptions{AccessToken: or(c.proofToken, c.token)})
}

func (c *call) send(ctx context.Context) (answer, error) { return c.sendAs(ctx, "attacker") }

func (c *call) sendAs(ctx context.Context, party string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, c.method, c.url, strings.NewReader(c.body))
	if err != nil {
		return answer{}, err
	}
	proofs := c.proofs
	if proofs == nil && c.prover != nil {
		proof, err := c.proof()
		if err != nil {
			return answer{}, err
		}
		proofs = []string{proof}
	}
	maps.Copy(r.Header, c.header)
	if c.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header["Dpop"] = proofs
	r.Header.Set("Authorization", c.scheme+" "+c.token)
	return exchangeWith(c.w.httpClient(party, c.certificate), r)
}

// A post is a request to the token endpoint or to the endpoint for pushed
// requests.
type post struct {
	w           *world
	url         string
	form        url.Values
	signed      *requestObject            // contains form; if nil, form is sent as it is
	beside      url.Values                // sent outside of signed, or added to the form
	auth        *clientauth.PrivateKeyJWT // if nil, there is no assertion
	assertion   string                    // sent instead of a new one
	clientID    string                    // replaces the client ID of the assertion
	certificate *tls.Certificate          // may be nil
	prover      *dpop.Prover              // if nil, there is no proof
	proof       string                    // sent instead of a new one
	header      http.Header               // what else is sent
	party       string                    // the sender; if empty, the attacker
	grantID     string                    // the grant of the request
}

func (w *world) newPost(endpoint string, form url.Values) (*post, error) {
	p := &post{w: w, url: endpoint, form: form}
	return p, p.as(w.ours)
}

// authenticateAs sends the request in the name of a client.
func (p *post) authenticateAs(c *application) (err error) {
	if !p.w.byJWT() {
		p.clientID, p.certificate = c.id, c.certificate
		return nil
	}
	p.auth, err = p.w.assertions(c, nil)
	return err
}

// as sends the request in the name of a client and with the key or certificate
// that the client's tokens are bound to.
func (p *post) as(c *application) (err error) {
	if p.w.byDPoP() {
		if p.prover, err = p.w.prover(c.dpop); err != nil {
			return err
		}
	} else {
		p.certificate = c.certificate
	}
	return p.authenticateAs(c)
}

// anonymous removes the client authentication.
func (p *post) anonymous() {
	if p.w.byJWT() {
		p.auth = nil
	} else {
		p.certificate = nil
	}
}

func (p *post) send(ctx context.Context) (answer, error) {
	form, err := p.content()
	if err != nil {
		return answer{}, err
	}
	if p.auth != nil {
		if err := p.auth.Authenticate(ctx, form); err != nil {
			return answer{}, err
		}
		if p.assertion != "" {
			form.Set("client_assertion", p.assertion)
		}
	}
	if p.clientID != "" {
		form.Set("client_id", p.clientID)
	}
	for name, values := range p.beside {
		form[name] = append(form[name], values...)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	maps.Copy(r.Header, p.header)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	proof := p.proof
	if proof == "" && p.prover != nil {
		if proof, err = p.prover.Proof(http.MethodPost, p.url, dpop.ProofOptions{}); err != nil {
			return answer{}, err
		}
	}
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	return exchangeWith(p.w.httpClient(cmp.Or(p.party, "attacker"), p.certificate), r)
}

// succeed sends a request that must succeed, as a part of an attack.
func succeed(ctx context.Context, r request) (answer, error) {
	a, err := r.send(ctx)
	if err == nil && a.status >= http.StatusBadRequest {
		err = fmt.Errorf("before the attack: %v", a)
	}
	return a, err
}

// newRedemption returns a token request with a new code of alice.
func newRedemption(ctx context.Context, w *world) (*post, error) {
	session, err := w.app.Begin(ctx, client.Request{Scopes: []string{"openid", "accounts"}})
	if err != nil {
		return nil, err
	}
	response, err := w.newBrowser().approve(ctx, session)
	if err != nil {
		return nil, err
	}
	if response, err = w.opened(response); err != nil {
		return nil, err
	}
	return w.newPost(w.endpoints().TokenEndpoint, url.Values{
		"grant_type": {"authorization_code"}, "code": {response.Get("code")}, "redirect_uri": {w.ours.redirectURI},
		"code_verifier": {session.CodeVerifier},
	})
}

// newRefresh returns a token request with a refresh token of alice.
func newRefresh(ctx context.Context, w *world) (*post, error) {
	token, err := w.newToken(ctx)
	if err != nil {
		return nil, err
	}
	return w.newTokenRequest(token.RefreshToken)
}

// newOwnToken returns a token request of a client for itself. It is the
// shortest request that requires client authentication.
func newOwnToken(_ context.Context, w *world) (*post, error) {
	return w.newPost(w.endpoints().TokenEndpoint, url.Values{"grant_type": {"client_credentials"},
		"scope": {"accounts"}})
}

// newPush returns a pushed authorization request.
func newPush(_ context.Context, w *world) (*post, error) {
	challenge, err := pkce.Challenge(pkce.NewVerifier())
	if err != nil {
		return nil, err
	}
	p, err := w.newPost(w.endpoints().PushedAuthorizationRequestEndpoint, url.Values{
		"response_type": {"code"}, "redirect_uri": {w.ours.redirectURI}, "scope": {"accounts"}, "state": {rand.Text()},
		"code_challenge": {challenge}, "code_challenge_method": {pkce.MethodS256},
	})
	if err == nil && w.advanced() {
		p.form.Set("response_mode", "jwt")
		p.signed, err = w.newRequestObject(w.ours, nil)
	}
	return p, err
}

// A visit is a browser that opens a URL.
type visit struct {
	w       *world
	browser *browser
	session *client.Session // pushed by the client
	url     string
	// quiet means that the client must reject the response without a token
	// request.
	quiet bool
}

// newVisit returns a browser that the client has sent to the authorization
// server.
func newVisit(ctx context.Context, w *world) (*visit, error) {
	session, err := w.app.Begin(ctx, client.Request{Scopes: []string{"openid", "accounts"}})
	if err != nil {
		return nil, err
	}
	return &visit{w: w, browser: w.newBrowser(), session: session, url: session.URL}, nil
}

// A start is a browser that begins a login at our client, from a page of this
// site.
type start struct {
	browser *browser
	site    string // same-origin or cross-site
}

func newStart(_ context.Context, w *world) (*start, error) {
	return &start{w.newBrowser(), "same-origin"}, nil
}

func (s *start) send(ctx context.Context) (answer, error) {
	return s.browser.post(ctx, s.browser.world.appURL+"/login", s.site, nil)
}

// newCallback returns a browser that the authorization server has sent back to
// the client.
func newCallback(ctx context.Context, w *world) (*visit, error) {
	b := w.newBrowser()
	page, err := b.startLogin(ctx)
	if err != nil {
		return nil, err
	}
	target, err := b.decide(ctx, page, "allow")
	return &visit{w: w, browser: b, url: target}, err
}

func (v *visit) send(ctx context.Context) (answer, error) {
	endpoints := []string{v.w.app.ServerMetadata().TokenEndpoint, v.w.app.ServerMetadata().ForMTLS().TokenEndpoint}
	before := v.w.tally.of(endpoints...)
	a, err := v.browser.get(ctx, v.url)
	if after := v.w.tally.of(endpoints...); err == nil && v.quiet && after != before {
		return a, fmt.Errorf("%v, but only after %d requests to the token endpoint", a, after-before)
	}
	return a, err
}

// query changes the parameters of the URL. An empty value removes a parameter.
func (v *visit) query(changes map[string]string) error {
	u, err := url.Parse(v.url)
	if err != nil {
		return err
	}
	q := u.Query()
	for name, value := range changes {
		if q.Set(name, value); value == "" {
			q.Del(name)
		}
	}
	u.RawQuery = q.Encode()
	v.url = u.String()
	return nil
}

// newToken lets alice log in and returns the tokens of the client.
func (w *world) newToken(ctx context.Context) (*oauth2.Token, error) {
	return w.ask(ctx, client.Request{Scopes: []string{"openid", "accounts"}})
}

// tokenFor returns a token of the client itself for an API.
func (w *world) tokenFor(ctx context.Context, resource string) (string, error) {
	token, err := w.app.ClientCredentials(ctx, client.Request{Scopes: []string{"accounts"},
		Resources: []string{resource}})
	if err != nil {
		return "", err
	}
	return token.AccessToken, nil
}

func (w *world) prover(key crypto.Signer) (*dpop.Prover, error) {
	return dpop.NewProver(dpop.ProverConfig{Key: key, Now: w.clock.Now})
}

// assertions returns an issuer of valid assertions of a client, with a change.
func (w *world) assertions(c *application,
	change func(*clientauth.PrivateKeyJWTConfig)) (*clientauth.PrivateKeyJWT, error) {
	cfg := clientauth.PrivateKeyJWTConfig{ClientID: c.id, Audience: w.asURL, Key: c.auth, KeyID: authKeyID,
		Now: w.clock.Now}
	if change != nil {
		change(&cfg)
	}
	return clientauth.NewPrivateKeyJWT(cfg)
}

// assertWith changes how a request authenticates its client.
func (p *post) assertWith(change func(*clientauth.PrivateKeyJWTConfig)) (err error) {
	p.auth, err = p.w.assertions(p.w.ours, change)
	return err
}

// forgeAssertion changes the assertion of p and signs it again.
func (p *post) forgeAssertion(sign signature, change func(header, claims object)) error {
	good, err := p.auth.Assertion()
	if err != nil {
		return err
	}
	p.assertion, err = reforge(good, sign, change)
	return err
}

// publishedKey returns the public key of the authorization server from its
// jwks_uri.
func (w *world) publishedKey(ctx context.Context) (crypto.PublicKey, error) {
	a, err := w.get(ctx, "attacker", w.app.ServerMetadata().JWKSURI)
	if err != nil {
		return nil, err
	}
	set, err := jwks.Parse(a.body)
	if err != nil {
		return nil, err
	}
	keys, err := set.Keys(ctx, "", "ES256")
	if err != nil || len(keys) == 0 {
		return nil, fmt.Errorf("no key is published: %w", err)
	}
	return keys[0], nil
}
