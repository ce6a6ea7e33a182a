package par

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gofapi/fapi2/internal/form"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
)

const (
	// urnPrefix is what the RFC suggests for references that a server issues (PAR-2.2-3).
	urnPrefix = "urn:ietf:params:oauth:request_uri:"
	// referenceBytes of randomness make a reference, twice what is asked for.
	referenceBytes = 32
	// maxParameters bounds what reading a stored request costs.
	maxParameters = 1024

	defaultLifetime  = 90 * time.Second
	minLifetime      = 5 * time.Second
	maxLifetime      = 599 * time.Second
	defaultLoginTime = 10 * time.Minute
	maxLoginTime     = time.Hour
)

// ServerConfig configures a [Server].
type ServerConfig struct {
	// Check decides whether the parameters make an authorization request that this server would accept from this client
	// (§2.1 step 3): registered redirect URI (see CheckRedirectURI), scope, PKCE, response mode and so on. Required.
	//
	// It runs before anything is stored, and again in Load and Resume, because the client may have been changed or blocked in
	// between; so it must have no effect of its own. Those return what it refuses beside its error. It sees what will be stored: client_id always present, authentication
	// parameters gone, no parameter but resource repeated. What it changes in params has no effect.
	//
	// An error with a wire form goes to the client as it is: wrap one of this package's errors, or give one's own type
	// OAuthError() (code, description string) and HTTPStatus() int. Any other error is a server_error. Called concurrently.
	Check func(ctx context.Context, clientID string, params url.Values) error

	// Issuer is the issuer identifier of the authorization server. It keeps the
	// requests of several servers that share Store apart. Optional.
	Issuer string

	// Store keeps the requests. If nil, they are kept in memory: at most 65,536
	// requests and 64 MiB. One client can fill half of that, and then receives an
	// [ErrStore] with status 429. This is enough for a server of one process.
	Store Store

	// Lifetime is the time in which the user's browser must arrive with the
	// request_uri. It is the expires_in of the response. It is 5 to 599 whole
	// seconds, and the default is 90 seconds. The login needs no part of it.
	Lifetime time.Duration

	// LoginTime is the additional time in which Resume and Consume accept a
	// request that Load has returned. It is at most one hour. The default is 10
	// minutes. A request expires after Lifetime if no browser arrives.
	LoginTime time.Duration

	// Now is the clock; nil means time.Now. Called concurrently.
	Now func() time.Time
}

// A Server accepts pushed authorization requests and gives them out again. Safe for concurrent use.
type Server struct {
	check               func(ctx context.Context, clientID string, params url.Values) error
	store               Store
	issuer              string
	lifetime, loginTime time.Duration
	now                 func() time.Time
}

// NewServer checks cfg and returns a Server.
func NewServer(cfg ServerConfig) (*Server, error) {
	s := &Server{
		check: cfg.Check, issuer: cfg.Issuer, store: cfg.Store,
		lifetime: cfg.Lifetime, loginTime: cfg.LoginTime, now: cfg.Now,
	}
	if s.check == nil {
		return nil, errors.New("par: ServerConfig.Check is required: without it every request would do")
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.store == nil {
		s.store = newMemory(s.now)
	}
	if v := reflect.ValueOf(s.store); v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, fmt.Errorf("par: Store is a nil %T", s.store)
	}
	if s.lifetime == 0 {
		s.lifetime = defaultLifetime // SP-5.3.2.2-N2: slow devices need more than half a minute
	}
	// SP-5.3.2.2-12: 600 is one second too many.
	if s.lifetime < minLifetime || s.lifetime > maxLifetime || s.lifetime%time.Second != 0 {
		return nil, fmt.Errorf("par: Lifetime is %v, not 5 to 599 whole seconds", s.lifetime)
	}
	if s.loginTime == 0 {
		s.loginTime = defaultLoginTime
	}
	if s.loginTime < 0 || s.loginTime > maxLoginTime {
		return nil, fmt.Errorf("par: LoginTime is %v, not 0 to %v", s.loginTime, maxLoginTime)
	}
	return s, nil
}

// A PushRequest is what a client pushed.
type PushRequest struct {
	// ClientID is the client that has authenticated, which is the caller's business. Required. A public client that
	// merely named itself is not authenticated.
	ClientID string
	// Params are the parameters of the form, as ParseForm returns them. With a signed request object: the parameters of
	// the verified object, in the place of the form's.
	Params url.Values
	// DPoPThumbprint is the JWK thumbprint (RFC 7638, SHA-256, base64url) of the key of the DPoP proof that came with the
	// request, fully verified; empty if none came (RFC 9449 §10.1).
	DPoPThumbprint string
	// Data is a JSON value that the server wants back with the request, for instance how it was signed; nil for nothing. It
	// must not repeat a member, nor have members that differ in case only, nor nest deeper than 31 levels.
	Data json.RawMessage
}

// String names the client and nothing of the content, which may hold secrets.
func (p PushRequest) String() string { return fmt.Sprintf("authorization request of %q", p.ClientID) }

// GoString is String.
func (p PushRequest) GoString() string { return p.String() }

// LogValue is String for slog.
func (p PushRequest) LogValue() slog.Value { return slog.StringValue(p.String()) }

// ParseForm reads the form of a pushed authorization request, or of a token request, strictly: POST only, the media type of
// forms only, at most 256 KiB, valid UTF-8, no parameter but resource repeated, those without a value left out. Parameters in
// the URL do not count.
//
// Its errors wrap [ErrInvalidRequest] and have status 405, 413 or 400. The request's body is used up; r.PostForm and r.Form
// are then the same parameters in maps of their own, so that client authentication which calls r.PostFormValue finds them.
// Call it first: if something has parsed the form or read the body before, that is an error with status 400.
func ParseForm(r *http.Request) (url.Values, error) {
	// PAR-2-1, PAR-2.3-5, PAR-2.3-6, CS-6: method, media type and size.
	// BASE-6749-3.1-1, RI-2-2: repeated and empty parameters.
	params, err := form.Read(r)
	if err != nil {
		return nil, invalid(err)
	}
	return params, nil
}

// invalid makes an error of package form ours and keeps its status and description.
func invalid(err error) error {
	_, description, status := oautherr.From(err)
	return oautherr.WithStatus(oautherr.Describe(fmt.Errorf("%w: %w", ErrInvalidRequest, err), description), status)
}

// Push checks a request as [Server.Check] does and stores it. The client must have been authenticated before, as at the token
// endpoint; a DPoP proof that came along must have been verified.
//
// It returns the errors declared in this package and those of ServerConfig.Check.
// After an ErrStore the client pushes again. If the store had recorded the
// request, that request expires without a browser.
func (s *Server) Push(ctx context.Context, push PushRequest) (Pushed, error) {
	req, value, err := s.prepare(ctx, push)
	if err != nil {
		return Pushed{}, err
	}
	if err := s.add(ctx, req, value); err != nil {
		return Pushed{}, err
	}
	return Pushed{RequestURI: req.requestURI, ExpiresIn: s.lifetime}, nil
}

// Check makes all checks of [Server.Push] and stores nothing. It returns the request as Push would store it: Params without
// authentication parameters and with client_id, DPoPThumbprint from dpop_jkt where only that was given.
//
// A server that writes something for client authentication or for a proof of possession (an assertion is good for one use)
// calls Check first, writes, and then calls Push, so that a request refused for its content uses up nothing.
func (s *Server) Check(ctx context.Context, push PushRequest) (PushRequest, error) {
	req, _, err := s.prepare(ctx, push)
	if err != nil {
		return PushRequest{}, err
	}
	return PushRequest{ClientID: req.clientID, Params: req.params, DPoPThumbprint: req.thumbprint, Data: req.Data()}, nil
}

// prepare checks a request and gives it a reference.
func (s *Server) prepare(ctx context.Context, push PushRequest) (Request, []byte, error) {
	// SP-5.3.2.2-4, PAR-2.1-4: no client, no request. SP-5.3.2.2-2: the client is whoever authenticated, and nobody else.
	if push.ClientID == "" || !utf8.ValidString(push.ClientID) || strings.ContainsRune(push.ClientID, 0) {
		return Request{}, nil, ErrUnauthenticated
	}
	params, err := normalise(push)
	if err != nil {
		return Request{}, nil, err
	}
	thumbprint, err := dpopKey(params.Get("dpop_jkt"), push.DPoPThumbprint)
	if err != nil {
		return Request{}, nil, err
	}
	req := Request{
		clientID: push.ClientID, params: params, expires: s.now().Add(s.lifetime).Truncate(time.Millisecond),
		thumbprint: thumbprint, data: push.Data,
		// PAR-2.2-2, PAR-7.1-1, JAR-5.2.1-1, JAR-10.2-2, SP-5.4.1-4: nobody can guess it within its life, or ever.
		requestURI: urnPrefix + jose.RandomString(referenceBytes),
	}
	req.key, _ = s.storeKey(req.requestURI)
	value, err := req.seal()
	if err != nil {
		return Request{}, nil, err
	}
	if err := s.check(ctx, push.ClientID, cloneValues(params)); err != nil { // PAR-2.1-6
		return Request{}, nil, notInteraction(err)
	}
	return req, value, nil
}

// normalise returns the authorization parameters of a push, in a map of its own.
func normalise(push PushRequest) (url.Values, error) {
	if len(push.Params) > maxParameters { // a form has fewer; a request object may have more
		return nil, fmt.Errorf("%w: %d parameters, at most %d", ErrInvalidRequest, len(push.Params), maxParameters)
	}
	params := cloneValues(push.Params) // PAR-2-3: names that we do not know are kept
	maps.DeleteFunc(params, func(_ string, values []string) bool { return len(values) == 0 })
	if err := form.Check(params); err != nil { // BASE-6749-3.1-1, RI-2-2: also for parameters that ParseForm has not seen
		return nil, invalid(err)
	}
	switch {
	case params.Has("request_uri"): // PAR-2.1-5, CS-6: a request must not refer to another one
		return nil, oautherr.Describe(fmt.Errorf("%w: request_uri", ErrInvalidRequest), "request_uri must not be pushed")
	case params.Has("request"): // JAR-7-1
		return nil, ErrRequestNotSupported
	}
	// PAR-2.1-2: a client that authenticates with an assertion has said who it is; naming somebody else is an error.
	if id := params.Get("client_id"); id != "" && id != push.ClientID {
		return nil, ErrClientID
	}
	params.Set("client_id", push.ClientID)
	// PAR-2.1-3: they have served their purpose, and secrets do not belong into a store.
	for _, name := range []string{"client_assertion", "client_assertion_type", "client_secret"} {
		params.Del(name)
	}
	switch params.Get("response_type") {
	case "":
		return nil, oautherr.Describe(fmt.Errorf("%w: no response_type", ErrInvalidRequest), "response_type is missing")
	case "code": // SP-5.3.2.2-1
	default:
		return nil, ErrResponseType
	}
	// PAR-2.3-2, PAR-7.2-1: the client is authenticated here, so a redirect URI of its own is a matter of policy
	// (PAR-2.1-7), but one must be there and be safe.
	if err := checkRedirectSyntax(params.Get("redirect_uri")); err != nil {
		return nil, err
	}
	return params, nil
}

// dpopKey returns the thumbprint of the key that the code will be bound to, if any.
func dpopKey(parameter, header string) (string, error) {
	// DPOP-10.1-1: a client may use either way, or both.
	for _, thumbprint := range []string{parameter, header} {
		if raw, err := base64.RawURLEncoding.Strict().DecodeString(thumbprint); thumbprint != "" && (err != nil || len(raw) != 32 || len(thumbprint) != 43) {
			return "", fmt.Errorf("%w: not a SHA-256 thumbprint", ErrDPoPKey)
		}
	}
	switch {
	case parameter == "": // DPOP-10.1-2: the header's key counts as if it were in dpop_jkt
		return header, nil
	case header == "" || jose.EqualString(parameter, header):
		return parameter, nil
	}
	return "", fmt.Errorf("%w: dpop_jkt is not the key of the proof", ErrDPoPKey) // DPOP-10.1-3
}

var errInteraction = oautherr.New("par: Check asks for user interaction", oautherr.ServerError, http.StatusInternalServerError, "")

// notInteraction keeps errors that only an authorization endpoint can return out of the push response.
func notInteraction(err error) error {
	switch code, _, _ := oautherr.From(err); code {
	case "login_required", "consent_required", "interaction_required", "account_selection_required": // PAR-2.3-3
		return fmt.Errorf("%w: %w", errInteraction, err)
	}
	return err
}

// Load returns the request behind request_uri, for the client that the
// authorization request names. Call it when a browser arrives. It can be called
// often, because it does not consume the request.
//
// Load returns [ErrExpired] after the time announced in expires_in, [ErrNotFound],
// [ErrWrongClient], [ErrStore], or an error of ServerConfig.Check, which runs
// again. Only with an error of Check, Load returns the Request too. The caller can
// then send the client an error response (RFC 6749 §4.1.2.1) after Consume, if
// the redirect URI is still valid. With any other error the Request is zero, and
// its ClientID is empty.
func (s *Server) Load(ctx context.Context, clientID, requestURI string) (Request, error) {
	req, err := s.fetch(ctx, clientID, requestURI)
	if err != nil {
		return Request{}, err
	}
	if now := s.now(); !now.Before(req.expires) { // PAR-4-3
		return Request{}, fmt.Errorf("%w: at %v, it is %v", ErrExpired, req.expires.UTC(), now.UTC())
	}
	rejected := s.recheck(ctx, req)
	if req, err = s.visit(ctx, req); err != nil {
		return Request{}, err
	}
	return req, rejected
}

// Resume is [Server.Load] for a browser whose request Load has returned before,
// as the server's own login session must prove. LoginTime applies instead of
// expires_in. Use it for the pages between arrival and decision.
func (s *Server) Resume(ctx context.Context, clientID, requestURI string) (Request, error) {
	req, err := s.fetch(ctx, clientID, requestURI)
	if err != nil {
		return Request{}, err
	}
	if err := s.checkOpen(req); err != nil {
		return Request{}, err
	}
	return req, s.recheck(ctx, req)
}

// recheck checks a request again. The client may have lost a permission since
// the push. It receives that error, which needs the request.
func (s *Server) recheck(ctx context.Context, req Request) error {
	return s.check(ctx, req.clientID, cloneValues(req.params)) // PAR-4-4, PAR-7.4-1
}

// checkOpen checks that an authorization may still be completed.
func (s *Server) checkOpen(req Request) error {
	if now, last := s.now(), s.closes(req); !now.Before(last) {
		return fmt.Errorf("%w: login was open until %v, it is %v", ErrExpired, last.UTC(), now.UTC())
	}
	return nil
}

// fetch gets a request from the store and checks that it is clientID's.
func (s *Server) fetch(ctx context.Context, clientID, requestURI string) (Request, error) {
	key, ok := s.storeKey(requestURI)
	if !ok {
		return Request{}, fmt.Errorf("%w: not a reference of this server", ErrNotFound)
	}
	row, version, err := s.get(ctx, key)
	switch {
	case err != nil:
		return Request{}, err
	case row.Attempt != "":
		return Request{}, errConsumed
	}
	req, err := row.request()
	if err != nil {
		return Request{}, storeError(err)
	}
	if req.clientID != clientID { // PAR-2.2-4, CS-5
		return Request{}, ErrWrongClient
	}
	req.requestURI, req.version = requestURI, version
	return req, nil
}
