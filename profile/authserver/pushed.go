package authserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/gofapi/fapi2/claims"
	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/syntax"
	"github.com/gofapi/fapi2/jar"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/pkce"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/profile/rules"
	"github.com/gofapi/fapi2/rar"
)

// Bounds of what is stored for a client and sent back through a browser.
// SP-5.3.2.2-N4: state is the application's own and may be long; SP-5.3.2.2-14:
// a nonce of 64 characters has to work. CS-21: longer values are rejected and
// not truncated.
const (
	maxState = 8 << 10
	maxNonce = 1 << 10
)

// A PushedRequest is a pushed authorization request that has passed every
// check. The client is authenticated, its proof is valid if it sent one, and
// FAPI 2.0 permits the request. It comes from [Server.PushedRequest] alone.
type PushedRequest struct {
	server *Server
	client *profile.ClientMetadata
	push   *par.CheckedRequest
	object jar.Request // zero if the request was not signed

	auth      clientauth.Authentication
	proof     dpop.Proof
	hasProof  bool
	committed *atomic.Bool // auth, proof and object are consumed
}

// ClientID returns the authenticated client.
func (p *PushedRequest) ClientID() string { return p.client.ClientID }

// Params returns a copy of the parameters, without those of client
// authentication.
func (p *PushedRequest) Params() url.Values { return p.push.Params() }

// String names the client and nothing of the content.
func (p PushedRequest) String() string { return p.push.String() }

// LogValue is String.
func (p PushedRequest) LogValue() slog.Value { return slog.StringValue(p.String()) }

// PushedRequest checks a request to the pushed authorization request endpoint
// (RFC 9126 §2.1). It writes nothing. A host with rules of its own applies them
// to the result before it calls [Server.Push].
func (s *Server) PushedRequest(r *http.Request) (*PushedRequest, error) {
	ctx := s.withRegistration(r.Context())
	params, err := par.ParseForm(r)
	if err != nil {
		return nil, err
	}
	// SP-5.3.2.2-4, PAR-2.1-4: no client, no request.
	from, err := s.authenticate(ctx, r, params, "pushed_authorization_request")
	if err != nil {
		return nil, err
	}
	// DPOP-10.1-1, SP-5.3.2.1-12: a proof is optional here. DPOP-10.1-2: a
	// proof is checked in full.
	var proof dpop.Proof
	hasProof := len(r.Header.Values("DPoP")) > 0
	if hasProof {
		if proof, err = s.pushProofs.Check(r); err != nil {
			return nil, err
		}
		if err := checkProof(from.rules, proof); err != nil {
			return nil, err
		}
	}
	if err := checkPushForm(from.rules, params); err != nil {
		return nil, err
	}
	object, params, err := s.openRequest(ctx, from, params)
	if err != nil {
		return nil, err
	}
	data := pushedData{Signed: object.Raw() != "", Time: s.cfg.Hooks.Now().Unix()}
	push, err := s.requests.Check(ctx, par.PushRequest{
		ClientID: from.client.ClientID, Params: params, DPoPThumbprint: proof.Thumbprint(), Data: data.encode(),
		Lifetime: from.rules.Lifetimes.RequestURI.Nearest(s.cfg.Lifetimes.Request),
	})
	if err != nil {
		return nil, err
	}
	return &PushedRequest{
		server: s, client: from.client, push: push, object: object,
		auth: from.auth, proof: proof, hasProof: hasProof, committed: new(atomic.Bool),
	}, nil
}

// commit consumes the assertion, the proof and the request object, once.
func (p *PushedRequest) commit(ctx context.Context) error {
	if p.committed.Load() {
		return nil
	}
	// The assertion is first: a request with a stolen, used one writes nothing.
	// Its proofs would count against the client that it was stolen from.
	if err := p.server.clients.Commit(ctx, p.auth); err != nil {
		return err
	}
	if p.hasProof {
		if err := p.server.pushProofs.Commit(ctx, p.proof); err != nil {
			return err
		}
	}
	if p.object.Raw() != "" {
		if err := p.server.objects.Commit(ctx, p.object); err != nil {
			return err
		}
	}
	p.committed.Store(true)
	return nil
}

// asked is what a pushed request asks for.
type asked struct {
	client    *profile.ClientMetadata
	rules     *rules.Set
	mode      jarm.Mode // of the response; "" is an unsigned query
	scopes    []string
	requested rar.Details // as they were pushed
	targets   []string
	grant     grants.Request
	claims    claims.Request

	intent      Intent
	intentScope string // that contains the ID of the intent, or ""
	requestURI  string // "" at the push
	sector      string // of pairwise subjects, or ""
}

// askedKey is the key of an *asked in a context. checkRequest stores its result
// there, because the Check of package par returns none.
type askedKey struct{}

// checkRequest is the Check of package par. It runs at the push, and again when
// the user arrives, since the registration may have changed (PAR-7.4-1,
// PAR-4-4).
func (s *Server) checkRequest(ctx context.Context, clientID string, params url.Values) error {
	to, ok := ctx.Value(askedKey{}).(*asked)
	var requestURI string
	if ok {
		requestURI = to.requestURI
	}
	found, err := s.ask(ctx, clientID, requestURI, params)
	if ok {
		if err != nil { // a hook may have checked another request in this context
			found = asked{}
		}
		*to = found
	}
	return err
}

// ask makes all checks that are possible before the user arrives (RFC 9126 §2.1
// step 3).
func (s *Server) ask(ctx context.Context, clientID, requestURI string, params url.Values) (a asked, err error) {
	a.requestURI = requestURI
	if a.client, err = s.client(ctx, clientID); err != nil {
		return a, err
	}
	a.rules = s.rulesIn(ctx, a.client)
	if !a.client.HasGrantType("authorization_code") {
		return a, errGrantTypeNotRegistered
	}
	if err := s.checkRegistration(a.rules, a.client); err != nil {
		return a, err
	}
	if a.sector, err = s.sectorOf(a.rules, a.client); err != nil {
		return a, err
	}
	if a.mode, err = s.responseMode(ctx, &a, params.Get("response_mode")); err != nil {
		return a, err
	}
	if err := par.CheckRedirectURI(a.client.RedirectURIs, params.Get("redirect_uri")); err != nil {
		return a, err
	}
	if err := pkce.CheckRequest(params.Get("code_challenge"), params.Get("code_challenge_method")); err != nil {
		return a, err
	}
	if len(params.Get("state")) > maxState || len(params.Get("nonce")) > maxNonce {
		return a, fmt.Errorf("%w: state or nonce too long", ErrParameter)
	}
	if _, _, err := parseMaxAge(params.Get("max_age")); err != nil {
		return a, err
	}
	if err := checkAnswerable(a.mode, params); err != nil {
		return a, err
	}
	if a.claims, err = requestedClaims(params.Get("claims")); err != nil {
		return a, err
	}
	if err := checkRequestRules(a.rules, params); err != nil {
		return a, err
	}
	if err := checkClaimRules(a.rules, a.claims, params.Get("acr_values")); err != nil {
		return a, err
	}
	if err := s.checkPossible(&a, params); err != nil {
		return a, err
	}
	if a.scopes, err = s.scopes(a.client, params.Get("scope"), a.rules.Intent); err != nil {
		return a, err
	}
	if err := checkScopeRules(a.rules, a.scopes); err != nil {
		return a, err
	}
	if slices.Contains(a.scopes, "openid") {
		if err = s.checkOpenID(ctx, &a); err != nil {
			return a, err
		}
	}
	if resources := params["resource"]; len(resources) > 0 {
		if _, err = s.requestedTargets(resources, a.scopes); err != nil { // RAR-3.2-1: details are judged without it
			return a, err
		}
	}
	if err := s.askContent(ctx, &a, params); err != nil {
		return a, err
	}
	a.intent, err = s.checkIntent(ctx, &a, false)
	return a, err
}

// checkOpenID checks that the client can receive ID tokens and UserInfo
// responses as it has registered them.
func (s *Server) checkOpenID(ctx context.Context, a *asked) error {
	if _, err := s.idTokenIssuer(ctx, a.client, a.rules); err != nil || s.userInfo == nil {
		return err
	}
	return s.checkUserInfo(a.client, a.rules)
}

// checkPossible rejects a request that no login and no token can satisfy, even
// if the user consents to everything.
func (s *Server) checkPossible(a *asked, params url.Values) error {
	// MTLS-3-1: the server could not bind tokens to a certificate.
	if a.client.TLSClientCertificateBoundAccessTokens && s.cfg.MutualTLS == nil {
		return fmt.Errorf("%w: unsupported certificate-bound access tokens", ErrClientNotAllowed)
	}
	// SU-5-1
	wanted := strings.Fields(params.Get("acr_values"))
	possible := func(acr string) bool { return slices.Contains(s.cfg.ACRValues, acr) }
	if len(wanted) > 0 && len(s.cfg.ACRValues) > 0 && !slices.ContainsFunc(wanted, possible) {
		return fmt.Errorf("%w: logins here meet %q", unmetACR(a.rules), s.cfg.ACRValues)
	}
	return s.checkClaimsPossible(a)
}

// askContent reads the authorization details of a request. It checks that
// tokens can hold everything that the client requests.
func (s *Server) askContent(ctx context.Context, a *asked, params url.Values) (err error) {
	if a.requested, err = s.details(a.client, params.Get("authorization_details")); err != nil {
		return err
	}
	if err = checkDetailRules(a.rules, a.requested); err != nil {
		return err
	}
	if err = checkTogether(a.requested, a.scopes); err != nil {
		return err
	}
	if err = a.findIntent(); err != nil {
		return err
	}
	if a.grant, err = s.grantRequest(ctx, a.client.ClientID, params); err != nil {
		return err
	}
	if err = a.checkMerge(); err != nil {
		return err
	}
	if a.targets, err = s.targetsOf(params["resource"], a.scopes, a.requested); err != nil {
		return err
	}
	return s.checkRequestSize(ctx, a, a.requested)
}

// scopes reads a scope parameter and checks that server and client have each
// value. A scope that contains the identifier of a consent needs no
// registration. The host knows the client of the consent.
func (s *Server) scopes(client *profile.ClientMetadata, scope string, intent *rules.Intent) ([]string, error) {
	scopes, err := splitScope(scope)
	if err != nil {
		return nil, err
	}
	for _, name := range scopes {
		if !isIntentScope(intent, name) && !s.hasScope(client, name) {
			return nil, fmt.Errorf("%w: %.64q", ErrScope, name)
		}
	}
	return scopes, nil
}

func (s *Server) hasScope(client *profile.ClientMetadata, name string) bool {
	return slices.Contains(s.cfg.Scopes, name) && client.AllowsScope(name)
}

// splitScope reads the syntax of RFC 6749 §3.3: values with one space between
// each two, and no other whitespace.
func splitScope(scope string) ([]string, error) {
	if scope == "" {
		return nil, nil
	}
	scopes := strings.Split(scope, " ")
	for _, name := range scopes {
		if !syntax.IsScope(name) {
			return nil, fmt.Errorf("%w: malformed", ErrScope)
		}
	}
	slices.Sort(scopes) // the order means nothing, nor does repetition
	return slices.Compact(scopes), nil
}

// targets checks resource parameters against what may be asked for. Without any
// it is allowed[0] (RI-2.1-2).
func (s *Server) targets(requested, allowed []string) ([]string, error) {
	if len(requested) == 0 {
		return allowed[:1], nil
	}
	targets := slices.Clone(requested)
	for _, target := range targets {
		// RI-2-1, RI-2.1-3: compared as strings, so that what is not absolute
		// or has a fragment is in no list.
		if !slices.Contains(allowed, target) {
			return nil, fmt.Errorf("%w: %.128q", ErrTarget, target)
		}
	}
	slices.Sort(targets)
	return slices.Compact(targets), nil
}

// targetsOf returns the resource servers of a request. If the client names
// resources, it returns those. Otherwise scopes are for the default resource
// server, and details are for the resource servers that they name. The scopes
// of grant management are for the grant management endpoint. The default is
// omitted if nothing is for it.
func (s *Server) targetsOf(resources, scopes []string, details rar.Details) ([]string, error) {
	if len(resources) > 0 {
		return s.requestedTargets(resources, scopes)
	}
	bound := details.Scopes()
	elsewhere := func(scope string) bool {
		return scope != scopeOpenID && !isGrantScope(scope) && !slices.Contains(bound, scope)
	}
	managing := slices.ContainsFunc(scopes, isGrantScope)
	targets := s.cfg.Resources[:1]
	if !slices.ContainsFunc(scopes, elsewhere) {
		if places := s.places(details...); len(places) > 0 || managing && len(details) == 0 {
			targets = places
		}
	}
	if managing {
		targets = append(slices.Clone(targets), s.grantsResource())
	}
	return targets, nil
}

// Push consumes the client assertion, the proof and the request object of a
// checked request. It stores the request, and returns the response with the
// request_uri (RFC 9126 §2.2). If Hooks.Evidence or storing the request fails,
// the host can call Push again.
func (s *Server) Push(ctx context.Context, p *PushedRequest) (par.Pushed, error) {
	if p == nil || p.client == nil || p.server != s {
		return par.Pushed{}, errors.New("authserver: Push of a request that was not checked by this server")
	}
	ctx = expiring.WithClient(ctx, s.cfg.Issuer, p.client.ClientID)
	if err := p.commit(ctx); err != nil {
		return par.Pushed{}, err
	}
	if p.object.Raw() != "" { // here, as it is evidence of what was accepted, by the host's own rules too
		evidence := profile.Evidence{
			Kind: profile.EvidenceRequestObject, ClientID: p.client.ClientID,
			JWT: p.object.Raw(), Key: p.object.PublicKey(), Time: s.cfg.Hooks.Now(),
		}
		if err := wire.Archive(ctx, s.cfg.Hooks.Evidence, evidence); err != nil {
			return par.Pushed{}, err
		}
	}
	return s.requests.Store(ctx, p.push)
}

func (s *Server) servePush(w http.ResponseWriter, r *http.Request) {
	request, err := s.PushedRequest(r)
	if err != nil {
		s.WriteError(w, r, err)
		return
	}
	pushed, err := s.Push(r.Context(), request)
	if err != nil {
		s.WriteError(w, r, err)
		return
	}
	s.pushProofs.SetNonce(w.Header())
	pushed.ServeHTTP(w, r)
}
