package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/rar"
)

// A Binding is what an authorization code is bound to. A host with codes of its
// own stores the result of [Authorization.Binding] with the code. It passes it
// to [TokenRequest.CheckBinding]. A Binding survives encoding/json.
type Binding struct {
	ClientID       string `json:"client_id"`          // the client that pushed the request
	RedirectURI    string `json:"redirect_uri"`       // as it was pushed, byte for byte
	CodeChallenge  string `json:"code_challenge"`     // of method S256
	DPoPThumbprint string `json:"dpop_jkt,omitempty"` // if empty, any key of the client
}

// An Authorization is a pushed request that waits at the authorization endpoint
// for the user's decision. It comes from [Server.Authorization] and
// [Server.Resume] alone and is safe for concurrent reading. An Authorization
// that is returned together with an error cannot be approved.
type Authorization struct {
	server  *Server
	request par.Request
	asked
	details rar.Details // those requested, with what their types add

	attempt *atomic.Pointer[string] // of the consumption that failed

	pushed  int64 // when
	refused error // not nil: it can be answered by an error alone
}

// String names the client and nothing of the content.
func (a Authorization) String() string { return a.request.String() }

// LogValue is String.
func (a Authorization) LogValue() slog.Value { return slog.StringValue(a.String()) }

// Client returns the registration of the client that asks, for the consent
// page.
func (a *Authorization) Client() *profile.ClientMetadata { return a.client }

// ClientID returns the client_id of the request. With RequestURI it identifies
// the request for [Server.Resume].
func (a *Authorization) ClientID() string { return a.client.ClientID }

// RequestURI returns the reference of the pushed request. A browser that has it
// can start the authorization.
func (a *Authorization) RequestURI() string { return a.request.RequestURI() }

// Params returns a copy of the parameters that the client pushed: prompt,
// max_age, login_hint and any that this package does not know. The front
// channel has added nothing to them.
func (a *Authorization) Params() url.Values { return a.request.Params() }

// answeredHere are the parameters of an authorization request that this package
// answers itself, together with client authentication and request objects.
var answeredHere = []string{
	"client_assertion", "client_assertion_type", "client_secret", "request", "request_uri",
	"response_mode", "dpop_jkt", "grant_management_action", "grant_id",
}

// ForwardParams returns the parameters for another engine that issues the code,
// for [Server.Complete]. It returns Params without those that the server
// answers itself: client authentication, request, request_uri, response_mode,
// dpop_jkt and grant management. An engine that supports fewer of them would
// reject the request.
func (a *Authorization) ForwardParams() url.Values {
	params := a.Params()
	for _, name := range answeredHere {
		params.Del(name)
	}
	params.Set("client_id", a.client.ClientID)
	return params
}

// Scopes returns the scopes asked for, each of which this client may have.
func (a *Authorization) Scopes() []string { return slices.Clone(a.scopes) }

// Resources returns the resource servers of the token. They are the requested
// ones, or the default. A request for details alone has the resource servers
// that the details name.
func (a *Authorization) Resources() []string { return slices.Clone(a.targets) }

// Details returns the requested authorization details (RFC 9396 §3.1). It
// includes the additions of their types ([rar.Registry.Enrich]). The consent
// page shows them together with the scopes.
//
// Details can contain personal data. Show them only after the login, and only
// if the user is the person whom the details concern, as far as the host knows.
// An attacker could have opened the request of another user (RFC 9396 §13).
func (a *Authorization) Details() rar.Details {
	return slices.Clone(a.details) // RAR-3.1-1, RAR-3.1-2
}

// GrantRequest returns the grant management request. It is zero if there is
// none. For merge and replace, the consent page can show the existing grant.
// [grants.Manager.Existing] of [Server.Grants] returns it, and checks that it
// belongs to the user.
func (a *Authorization) GrantRequest() grants.Request { return a.grant }

// GrantEnds returns the end that the grant would have if the host approved the
// request now without [Approval.Expires]. The consent page shows it, and passes
// the user who has logged in. It is the zero Time if the request does not use
// grant management. A merge does not change the end of the grant. GrantEnds
// returns the errors of [grants.Manager.Existing].
func (a *Authorization) GrantEnds(ctx context.Context, subject string) (time.Time, error) {
	if a.grant.IsZero() {
		return time.Time{}, nil
	}
	existing, err := a.server.grants.Existing(ctx, a.grant, subject)
	if err != nil {
		return time.Time{}, err
	}
	return a.server.grants.Ends(a.grant, existing), nil
}

// Binding returns what a code for this request is bound to.
func (a *Authorization) Binding() Binding {
	return Binding{
		ClientID: a.client.ClientID, RedirectURI: a.request.Get("redirect_uri"),
		CodeChallenge: a.request.Get("code_challenge"), DPoPThumbprint: a.request.DPoPThumbprint(),
	}
}

// Authorization finds the pushed request that a request to the authorization
// endpoint names. It consumes nothing and can be repeated, because users reload
// pages and link previews open them.
//
// It reads client_id and request_uri, and ignores other parameters of the
// query, except that [Config].Rules can forbid them. If Authorization fails,
// pass both results to [Server.WriteAuthorizationError]. The Authorization is
// not nil if the request belongs to this client, is unused and not expired, and
// its redirect_uri is still registered. The client then receives the error, for
// example if it has lost a scope since the push. Such an Authorization can be
// denied and not approved.
func (s *Server) Authorization(ctx context.Context, query url.Values) (*Authorization, error) {
	// SP-5.3.2.2-3, PAR-4-5: without a request_uri of ours there is no request.
	// RAR-12-1: nor anything of it in the browser's hands.
	clientID, requestURI, err := par.ParseAuthorizationRequest(query)
	if err != nil {
		return nil, err
	}
	if s.cfg.ClientRules != nil {
		ctx = s.withRegistration(ctx)
	}
	if err := s.checkFrontChannel(ctx, clientID, query); err != nil {
		return nil, err
	}
	found := asked{requestURI: requestURI}
	request, err := s.requests.Load(context.WithValue(ctx, askedKey{}, &found), clientID, requestURI)
	return s.authorization(ctx, request, found, err)
}

// Resume returns the Authorization of a browser that has been at the
// authorization endpoint before. The host passes the values from its session. A
// user may take longer to log in than the lifetime of a request_uri.
func (s *Server) Resume(ctx context.Context, clientID, requestURI string) (*Authorization, error) {
	found := asked{requestURI: requestURI}
	request, err := s.requests.Resume(context.WithValue(ctx, askedKey{}, &found), clientID, requestURI)
	return s.authorization(ctx, request, found, err)
}

// authorization returns the Authorization of a request, in which checkRequest
// has found what it asks for. It also does so for a request that checkRequest
// now rejects.
func (s *Server) authorization(
	ctx context.Context, request par.Request, found asked, refused error,
) (*Authorization, error) {
	// Either the client has no such request, or the server cannot check it now.
	if request.ClientID() == "" || wire.Unavailable(refused) {
		return nil, refused
	}
	if e := eventOf(ctx); e != nil {
		e.ClientID = request.ClientID()
	}
	var data pushedData
	if err := data.decode(request.Data()); err != nil {
		return nil, fmt.Errorf("%w: a stored request without the data of this server", ErrStore)
	}
	a := &Authorization{
		server: s, request: request, asked: found, pushed: data.Time, refused: refused,
		attempt: new(atomic.Pointer[string]),
	}
	if a.refused == nil {
		a.refused = s.admit(ctx, a, data)
	}
	if a.refused != nil {
		if err := s.prepareRefusal(ctx, a); err != nil {
			return nil, err
		}
	}
	return a, a.refused
}

// prepareRefusal finds how the client can receive an error.
func (s *Server) prepareRefusal(ctx context.Context, a *Authorization) (err error) {
	if a.client == nil { // checkRequest has rejected the request
		if a.client, err = s.client(ctx, a.request.ClientID()); err != nil {
			return err
		}
		a.rules = s.rulesOf(a.client)
	}
	// BASE-6749-4.1.2.1-1, BCP-2.1-2: the browser is never sent to a URI that
	// is not registered any more.
	if err := par.CheckRedirectURI(a.client.RedirectURIs, a.request.Get("redirect_uri")); err != nil {
		return err
	}
	if a.mode, err = s.errorMode(ctx, &a.asked, a.request.Params()); err != nil {
		return fmt.Errorf("%w (the client cannot receive it: %w)", a.refused, err)
	}
	return nil
}

// admit completes what is asked for, and checks whether it can be had.
func (s *Server) admit(ctx context.Context, a *Authorization, data pushedData) (err error) {
	if s.mustSign(a.client, a.rules) && !data.Signed { // PAR-7.4-1: demanded since the push
		return fmt.Errorf("%w: the client has to sign its requests", ErrParameter)
	}
	if a.requested == nil {
		return nil
	}
	if a.details, err = s.cfg.AuthorizationDetails.Enrich(ctx, a.requested); err != nil { // RAR-7.1-1
		return err
	}
	resources := a.request.Params()["resource"]
	if a.targets, err = s.targetsOf(resources, a.scopes, a.details); err != nil {
		return err
	}
	return s.checkRequestSize(ctx, &a.asked, a.details)
}

// An Approval is what the user has agreed to.
type Approval struct {
	// Subject identifies the user: at most 255 ASCII characters. Tokens contain
	// it, unless the client is registered for pairwise subjects: see
	// [Config.Pairwise]. Grants and their events contain it in both cases.
	// Required.
	Subject string
	// Scopes are the granted scopes, a subset of [Authorization.Scopes]. Use
	// [Authorization.ScopesFor] to compute them from the user's choices.
	// Approve adds openid and the scope of an [Intent] if they were requested.
	// If a scope goes with requested details (rar.TypeConfig.Scope) and none of
	// these is granted, Approve omits the scope. If neither Scopes nor Details
	// grant anything, Approve returns [ErrNothingGranted].
	Scopes []string
	// Details are the granted authorization details: all or some of
	// [Authorization.Details]. The host may change them with [rar.Edit] as far
	// as their types allow. Empty grants none. The scope that goes with a
	// detail has to be among Scopes. If a detail names the [Intent] and is not
	// among Details, Approve returns [ErrNothingGranted].
	Details rar.Details
	// NoRefreshToken prevents a refresh token. If false, the client receives a
	// refresh token if it is registered for that grant type. A client that
	// requested the scope offline_access receives one only if Scopes include
	// that scope.
	NoRefreshToken bool
	// Expires is the end of the authorization. No access token and no refresh
	// token outlives it. With grant management it is also the end of the grant.
	// It cannot be after [Intent.Expires], which is the default. If both are
	// zero, tokens have their configured lifetimes, and a grant has its
	// Lifetime. Rules can require an end if the client receives a refresh
	// token.
	Expires time.Time
	// GrantData is a JSON value of the host that is stored with the managed
	// grant, for example the identifier of a consent in another system.
	GrantData json.RawMessage
	// GrantExtra are further members that a query of the grant returns to the
	// client, as defined by an ecosystem ([grants.Grant].Extra). If nil, an
	// existing grant keeps its own.
	GrantExtra map[string]json.RawMessage
	// GrantClaims are the names of the OpenID Connect claims that the client
	// requested and the user consented to. A query of the grant lists them. The
	// host decides whether they include the claims of a scope such as profile.
	// [Approval.IDTokenClaims] does not affect the list.
	GrantClaims []string
	// AuthTime is when the user logged in. Required if the client sent max_age.
	// If the login is older than max_age and older than the request, Approve
	// returns [ErrLogin].
	AuthTime time.Time
	// ACR and AMR say how (RFC 9068 §2.2.1); they may be empty and have at most
	// 1 KiB together as JSON. With [Config.ACRValues], ACR has to be one of
	// those that the client asked for, or it is an [ErrLogin]. Rules can
	// require ACR for each ID token.
	ACR string
	AMR []string
	// IDTokenClaims are further claims for the ID token, as encoding/json
	// writes them. If the rules permit requested claims only
	// (rules.Claims.OnlyRequested), the others are omitted. They cannot replace
	// its own. A sub is omitted, and must be Subject.
	IDTokenClaims map[string]any
	// TokenMembers are JSON values of the host in the token response for the
	// code and for each refresh, for example the ID of an arrangement. The
	// client reads them with the method Extra of its token. The names have 1 to
	// 64 letters, digits, '-', '.' and '_', and are not those of members of the
	// server. Names and values have at most 4 KiB together, and values have at
	// most 8 levels. With [Introspection].TokenMembers, introspection responses
	// contain them too. Rules can require members. If nil, nothing is added or
	// stored.
	TokenMembers map[string]json.RawMessage

	sub string // of the tokens
}

const (
	maxSubject = 255
	// maxContext bounds the host's login data, which is written into every
	// token, as JSON.
	maxContext = 1 << 10
)

// Approve ends the authorization: the request_uri is used up, and the response
// to be served carries code, state and iss to the client. Of any number of
// concurrent calls for one request exactly one succeeds. Give an error, with a,
// to [Server.WriteAuthorizationError].
func (s *Server) Approve(ctx context.Context, a *Authorization, approval Approval) (*AuthorizationResponse, error) {
	if err := s.checkGood(a); err != nil {
		return nil, err
	}
	approval, err := a.withIntent(approval)
	if err != nil {
		return nil, err
	}
	if approval, err = s.withSubject(ctx, a, approval); err != nil {
		return nil, err
	}
	if err := s.checkApproval(a, approval); err != nil {
		return nil, err
	}
	if approval.Scopes, err = a.grantedScopes(approval); err != nil {
		return nil, err
	}
	now := s.cfg.Hooks.Now()
	lifetime := a.rules.Lifetimes.Code.Nearest(s.cfg.Lifetimes.Code)
	// rounded down: never more than 60 s
	record := codeRecord{Binding: a.Binding(), Expires: now.Add(lifetime).Unix()}
	if record.Grant, err = s.newGrant(ctx, a, approval); err != nil {
		return nil, err
	}
	if record.Change, err = s.prepareGrant(ctx, a, approval, record.Grant); err != nil {
		return nil, err
	}
	if err := s.checkApprovalSize(ctx, a, record); err != nil {
		return nil, fmt.Errorf("authserver: approval: %w", err)
	}
	if err := s.checkIntentAgain(ctx, a, approval.Expires); err != nil { // last: the host may reserve it
		return nil, err
	}
	if err := s.keepClaims(ctx, a, record.Grant); err != nil {
		return nil, err
	}
	if err := s.keepSubject(ctx, record.Grant, approval); err != nil {
		return nil, err
	}
	if err := s.keepMembers(ctx, record.Grant); err != nil {
		return nil, err
	}
	code := jose.RandomString(32) // SP-5.4.1-4
	// The code is stored first. No client knows it before the request_uri is
	// consumed, and if storing fails, the request can be repeated.
	key := s.storeKey(kindCode, code)
	if err := s.add(ctx, s.stores.codes, a.client.ClientID, key, record.encode(), record.kept()); err != nil {
		return nil, fmt.Errorf("%w: storing a code", err)
	}
	response, err := s.complete(ctx, a, code)
	if err != nil {
		return nil, err
	}
	response.authorization = record.Grant.ID
	return response, nil
}

func (s *Server) newGrant(ctx context.Context, a *Authorization, approval Approval) (grant, error) {
	g := grant{
		ID: jose.RandomString(grantIDBytes), ClientID: a.client.ClientID, Subject: approval.sub,
		Scopes: approval.Scopes, Targets: a.targets,
		Nonce: a.request.Get("nonce"), ACR: approval.ACR, AMR: approval.AMR, NoRefresh: a.noRefreshToken(approval),
		Members: approval.TokenMembers,
	}
	if a.grant.IsZero() {
		g.Ends = approval.Expires.UTC()
	}
	if !approval.AuthTime.IsZero() {
		g.AuthTime = approval.AuthTime.Unix()
	}
	// Without a scope for it, the grant management endpoint is not in the
	// audience.
	if _, others := s.split(g.Targets); len(others) > 0 && !slices.ContainsFunc(g.Scopes, isGrantScope) {
		g.Targets = others
	}
	var err error
	if g.Details, err = encodeDetails(approval.Details); err != nil {
		return grant{}, fmt.Errorf("authserver: approval: Details: %w", err)
	}
	if g.Details == nil && len(a.requested) > 0 {
		g.Details = noDetails
	}
	if len(approval.IDTokenClaims) == 0 {
		return g, nil
	}
	g.Claims = make(map[string]json.RawMessage, len(approval.IDTokenClaims))
	for name, claim := range approval.IDTokenClaims {
		// The client may request it by name.
		if name == "sub" && (claim == approval.Subject || claim == approval.sub) {
			continue
		}
		value, err := json.Marshal(claim)
		if err != nil {
			return grant{}, fmt.Errorf("authserver: approval: IDTokenClaims: %w", err)
		}
		g.Claims[name] = value
	}
	if a.rules.Claims.OnlyRequested {
		g.Claims = a.claims.IDToken.Limit(g.Claims)
	}
	// Tried now, since at the token endpoint it would be too late to tell the
	// host. The registration decides how long it is.
	trial := idTokenIssuer{by: s.first()}
	if slices.Contains(g.Scopes, scopeOpenID) {
		if trial, err = s.idTokenIssuer(ctx, a.client, a.rules); err != nil {
			return grant{}, err
		}
	}
	if _, err := trial.issue(g); err != nil {
		return grant{}, fmt.Errorf("authserver: approval: IDTokenClaims: %w", err)
	}
	return g, nil
}

func (s *Server) checkApproval(a *Authorization, approval Approval) error {
	if !approval.Expires.IsZero() && !approval.Expires.After(s.cfg.Hooks.Now()) {
		return errors.New("authserver: approval: Expires is in the past")
	}
	if err := a.checkEnd(approval); err != nil {
		return err
	}
	if err := checkTokenMembers(a.rules, approval); err != nil {
		return err
	}
	// RFC 9700 §4.15: a token of the user would pass for one of the client
	// itself
	if approval.Subject == a.client.ClientID || approval.sub == a.client.ClientID {
		return errors.New("authserver: approval: Subject is the client's client_id")
	}
	if len(approval.Details) > 0 {
		if s.cfg.AuthorizationDetails == nil {
			return errors.New("authserver: approval: Details without AuthorizationDetails in the configuration")
		}
		if err := s.checkGranted(a.requested, approval.Details); err != nil {
			return fmt.Errorf("authserver: approval: Details: %w", err)
		}
	}
	if err := s.checkLogin(a, approval); err != nil {
		return err
	}
	if !fitsContext(approval.ACR, approval.AMR) {
		return fmt.Errorf("authserver: approval: ACR and AMR are not UTF-8 of at most %d bytes", maxContext)
	}
	if err := checkMembers(approval.TokenMembers); err != nil {
		return fmt.Errorf("authserver: approval: TokenMembers: %w", err)
	}
	return nil
}

// checkEnd requires an end of an authorization whose client receives a refresh
// token, if the rules do. A managed grant always has an end.
func (a *Authorization) checkEnd(approval Approval) error {
	if a.rules.RefreshTokens.EndWithConsent && approval.Expires.IsZero() && a.grant.IsZero() &&
		a.client.HasGrantType(wire.GrantRefreshToken) && !a.noRefreshToken(approval) {
		return fmt.Errorf("authserver: approval: missing Expires, which the rules %.64s require with a refresh token",
			a.rules.Name)
	}
	return nil
}

// fitsContext reports whether the login data of an approval is UTF-8 and has at
// most maxContext bytes as JSON.
func fitsContext(acr string, amr []string) bool {
	size, valid := len(`[]`), true
	for i := range 1 + len(amr) {
		text := acr
		if i > 0 {
			text = amr[i-1]
		}
		size, valid = size+len(`"",`)+6*len(text), valid && utf8.ValidString(text) // an escape has six bytes
	}
	if !valid || size <= maxContext {
		return valid
	}
	text, err := json.Marshal(append([]string{acr}, amr...))
	return err == nil && len(text) <= maxContext
}

func (s *Server) serveAuthorization(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")                    // RAR-13-2
	h.Set("Strict-Transport-Security", "max-age=31536000")     // SP-5.2.3-1
	h.Set("Content-Security-Policy", "frame-ancestors 'none'") // BCP-4.16-1
	h.Set("X-Frame-Options", "DENY")
	// SP-5.2.3-3, BCP-2.6-4: no Access-Control-Allow-Origin here, ever.
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		h.Set("Allow", "GET, POST")
		noteError(r.Context(), errMethod)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if params := postedRequest(r); params != nil {
		s.redirectPosted(w, r, params)
		return
	}
	authorization, err := s.Authorization(r.Context(), r.URL.Query())
	if err != nil {
		s.WriteAuthorizationError(w, r, authorization, err)
		return
	}
	s.cfg.Interact(w, r, authorization)
}

// postedRequest returns the form of an authorization request by POST (OpenID
// Connect Core §3.1.2.1), and nil for any other request. If the URL has
// client_id or request_uri, the body is a form of the host, and postedRequest
// does not read it.
func postedRequest(r *http.Request) url.Values {
	if r.Method != http.MethodPost {
		return nil
	}
	if query := r.URL.Query(); query.Has("client_id") || query.Has("request_uri") {
		return nil
	}
	params, err := par.ParseForm(r)
	if err != nil { // not a form, or a parameter twice: without a request as before
		return nil
	}
	return params
}

// redirectPosted redirects the browser to the same endpoint by GET, with the
// request_uri in the URL. The host then receives one kind of request, and every
// POST is its own form. On the redirect the browser sends the host's cookies
// with SameSite=Lax, which it withholds from a POST of another site.
func (s *Server) redirectPosted(w http.ResponseWriter, r *http.Request, params url.Values) {
	clientID, requestURI, err := par.ParseAuthorizationRequest(params)
	if err == nil {
		err = s.checkFrontChannel(r.Context(), clientID, params)
	}
	if err != nil {
		s.WriteAuthorizationError(w, r, nil, err)
		return
	}
	query := r.URL.RawQuery
	if query != "" {
		query += "&"
	}
	query += url.Values{"client_id": {clientID}, "request_uri": {requestURI}}.Encode()
	w.Header().Set("Location", "?"+query) // relative, because a proxy may have changed the path
	w.WriteHeader(http.StatusSeeOther)    // SP-5.3.2.2-10, SP-5.3.2.2-11
}
