package par

import (
	"cmp"
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
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/form"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/internal/oautherr"
)

const (
	// urnPrefix is the prefix that RFC 9126 §2.2 suggests (PAR-2.2-3).
	urnPrefix = "urn:ietf:params:oauth:request_uri:"
	// referenceBytes is twice the required number of random bytes.
	referenceBytes = 32
	// maxParameters bounds the work to read a stored request.
	maxParameters = 1024

	defaultLifetime  = 90 * time.Second
	minLifetime      = 5 * time.Second
	maxLifetime      = 599 * time.Second
	defaultLoginTime = 10 * time.Minute
	maxLoginTime     = time.Hour
)

// ServerConfig configures a [Server].
type ServerConfig struct {
	// Check checks a pushed request: for example the registered redirect URI
	// (see CheckRedirectURI), the scope, PKCE and the response mode (RFC 9126
	// §2.1). Required.
	//
	// Check runs before the request is stored. It runs again in Load and
	// Resume, because the registration of the client may have changed. It must
	// have no effect. It receives the parameters as they are stored: with
	// client_id, without authentication parameters, and only resource may
	// repeat. Changes to params have no effect.
	//
	// The client receives an error that has a wire form. Wrap an error of this
	// package, or use a type with OAuthError() (code, description string) and
	// HTTPStatus() int. Any other error is a server_error. Check is called
	// concurrently.
	Check func(ctx context.Context, clientID string, params url.Values) error

	// Issuer is the issuer identifier of the authorization server. It keeps the
	// requests of several servers that share Store apart. Optional.
	Issuer string

	// Store keeps the requests. If nil, they are kept in memory: at most 65,536
	// requests and 64 MiB. One client can fill half of that, and then receives
	// an [ErrStore] with status 429. This is enough for a server of one
	// process.
	Store Store

	// Lifetime is the time in which the user's browser must arrive with the
	// request_uri. It is the expires_in of the response. It is 5 to 599 whole
	// seconds, and the default is 90 seconds. The login needs no part of it.
	Lifetime time.Duration

	// LoginTime is the additional time in which Resume and Consume accept a
	// request that Load has returned. It is at most one hour. The default is 10
	// minutes. A request expires after Lifetime if no browser arrives.
	LoginTime time.Duration

	// Now returns the current time. If nil, time.Now is used. It is called
	// concurrently.
	Now func() time.Time
}

// A Server stores pushed authorization requests and returns them at the
// authorization endpoint. It is safe for concurrent use.
type Server struct {
	check               func(ctx context.Context, clientID string, params url.Values) error
	store               Store
	issuer              string
	lifetime, loginTime time.Duration
	now                 func() time.Time
}

// NewServer returns a Server. It returns an error if cfg is invalid.
func NewServer(cfg ServerConfig) (*Server, error) {
	s := &Server{
		check: cfg.Check, issuer: cfg.Issuer, store: cfg.Store,
		lifetime: cfg.Lifetime, loginTime: cfg.LoginTime, now: cfg.Now,
	}
	if s.check == nil {
		return nil, errors.New("par: missing ServerConfig.Check: every request would be accepted")
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
	if err := checkLifetime(s.lifetime); err != nil {
		return nil, err
	}
	if s.loginTime == 0 {
		s.loginTime = defaultLoginTime
	}
	if s.loginTime < 0 || s.loginTime > maxLoginTime {
		return nil, fmt.Errorf("par: LoginTime is %v, not 0 to %v", s.loginTime, maxLoginTime)
	}
	return s, nil
}

// checkLifetime: SP-5.3.2.2-12, 600 is one second too many.
func checkLifetime(lifetime time.Duration) error {
	if lifetime < minLifetime || lifetime > maxLifetime || lifetime%time.Second != 0 {
		return fmt.Errorf("par: Lifetime is %v, not 5 to 599 whole seconds", lifetime)
	}
	return nil
}

// A PushRequest is a pushed authorization request of an authenticated client.
type PushRequest struct {
	// ClientID is the client that the caller authenticated. Required. A public
	// client that sends only its client_id is not authenticated.
	ClientID string
	// Params are the parameters of the form, as ParseForm returns them. With a
	// signed request object they are the parameters of the verified object.
	Params url.Values
	// DPoPThumbprint is the JWK SHA-256 thumbprint (RFC 7638) of the verified
	// DPoP proof of the request, or "" without a proof (RFC 9449 §10.1).
	DPoPThumbprint string
	// Lifetime is the lifetime of the request_uri, 5 to 599 whole seconds. If
	// 0, ServerConfig.Lifetime applies.
	Lifetime time.Duration
	// Data is a JSON value that the server stores with the request, for example
	// how the request was signed. It is optional. It must not repeat a member,
	// have members that differ only by case, or nest deeper than 32 levels.
	Data json.RawMessage
}

// String returns only the client ID, because the request may contain secrets.
func (p PushRequest) String() string { return fmt.Sprintf("authorization request of %q", p.ClientID) }

// GoString is String.
func (p PushRequest) GoString() string { return p.String() }

// LogValue is String for package log/slog.
func (p PushRequest) LogValue() slog.Value { return slog.StringValue(p.String()) }

// ParseForm reads the form of a pushed authorization request or of a token
// request. It accepts POST, the media type of forms, at most 256 KiB and valid
// UTF-8. It ignores parameters in the URL, omits parameters without a value,
// and rejects repeated parameters other than resource.
//
// Its errors wrap [ErrInvalidRequest] and have status 405, 413 or 400. It reads
// the body and sets r.PostForm and r.Form to one copy of the result, for client
// authentication that calls r.PostFormValue. Call it first: if the form was
// parsed or the body was read before, it returns an error with status 400.
func ParseForm(r *http.Request) (url.Values, error) {
	// PAR-2-1, PAR-2.3-5, PAR-2.3-6, CS-6: method, media type and size.
	// BASE-6749-3.1-1, RI-2-2: repeated and empty parameters.
	params, err := form.Read(r)
	if err != nil {
		return nil, invalid(err)
	}
	return params, nil
}

// invalid wraps an error of package form and keeps its status and description.
func invalid(err error) error {
	_, description, status := oautherr.From(err)
	return oautherr.WithStatus(oautherr.Describe(fmt.Errorf("%w: %w", ErrInvalidRequest, err), description), status)
}

// Push checks a request as [Server.Check] does, and stores it. The caller has
// authenticated the client and verified the DPoP proof of the request, if any.
//
// Push returns the errors of this package and of ServerConfig.Check. After an
// ErrStore the client pushes again. If the store recorded the first request, it
// expires without a browser.
func (s *Server) Push(ctx context.Context, push PushRequest) (Pushed, error) {
	checked, err := s.Check(ctx, push)
	if err != nil {
		return Pushed{}, err
	}
	return s.Store(ctx, checked)
}

// Check makes all checks of [Server.Push] and stores nothing. It calls
// ServerConfig.Check once.
//
// A server that consumes an assertion or a proof calls Check, then consumes
// them, and then calls [Server.Store]. A request that Check rejects then
// consumes nothing.
func (s *Server) Check(ctx context.Context, push PushRequest) (*CheckedRequest, error) {
	// SP-5.3.2.2-4, PAR-2.1-4: a client is required. SP-5.3.2.2-2: only the
	// authenticated client counts.
	if push.ClientID == "" || !utf8.ValidString(push.ClientID) || strings.ContainsRune(push.ClientID, 0) {
		return nil, ErrUnauthenticated
	}
	lifetime := cmp.Or(push.Lifetime, s.lifetime)
	if err := checkLifetime(lifetime); err != nil {
		return nil, err
	}
	values, err := normalise(push)
	if err != nil {
		return nil, err
	}
	thumbprint, err := dpopKey(values.Get("dpop_jkt"), push.DPoPThumbprint)
	if err != nil {
		return nil, err
	}
	req := Request{
		clientID: push.ClientID, params: listed(values), thumbprint: thumbprint, data: slices.Clone(push.Data),
	}
	content, err := req.seal()
	if err != nil {
		return nil, err
	}
	if err := s.check(ctx, push.ClientID, values); err != nil { // PAR-2.1-6
		return nil, notInteraction(err)
	}
	return &CheckedRequest{server: s, request: req, content: content, lifetime: lifetime}, nil
}

// Store stores a request that [Server.Check] has accepted. It does not check
// the request again. Each call stores it under a new request_uri. The time that
// ExpiresIn announces starts with the call.
//
// Store returns an ErrStore as [Server.Push] does.
func (s *Server) Store(ctx context.Context, checked *CheckedRequest) (Pushed, error) {
	if checked == nil || checked.server != s {
		return Pushed{}, errors.New("par: request that this Server has not checked")
	}
	// PAR-2.2-2, PAR-7.1-1: a reference cannot be guessed. JAR-5.2.1-1,
	// JAR-10.2-2, SP-5.4.1-4: the same.
	requestURI := urnPrefix + jose.RandomString(referenceBytes)
	key, _ := s.storeKey(requestURI)
	expires := s.now().Add(checked.lifetime).Truncate(time.Millisecond)
	value := seal(key, expires, checked.content)
	added, err := s.store.Add(expiring.WithClient(ctx, s.issuer, checked.request.clientID), key, value, expires)
	switch {
	case errors.Is(err, memstore.ErrShare):
		return Pushed{}, fmt.Errorf("%w: %w", errTooMany, err)
	case err != nil:
		return Pushed{}, storeError(err)
	case !added: // 256 random bits do not repeat
		return Pushed{}, storeError(errors.New("the key of a new request exists"))
	}
	return Pushed{RequestURI: requestURI, ExpiresIn: checked.lifetime}, nil
}

// credentials are the parameters of client authentication.
var credentials = []string{"client_assertion", "client_assertion_type", "client_secret"}

// normalise returns the authorization parameters of a push, in a map of its
// own.
func normalise(push PushRequest) (url.Values, error) {
	if len(push.Params) > maxParameters { // a form has fewer; a request object may have more
		return nil, fmt.Errorf("%w: %d parameters, at most %d", ErrInvalidRequest, len(push.Params), maxParameters)
	}
	size := 0
	for name, values := range push.Params {
		if slices.Contains(credentials, name) {
			continue
		}
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	if size > maxStored { // before they are copied and encoded
		return nil, tooLarge(size)
	}
	params := form.Clone(push.Params) // PAR-2-3: names that we do not know are kept
	maps.DeleteFunc(params, func(_ string, values []string) bool { return len(values) == 0 })
	if err := form.Check(params); err != nil { // BASE-6749-3.1-1, RI-2-2: the caller may not use ParseForm
		return nil, invalid(err)
	}
	switch {
	case params.Has("request_uri"): // PAR-2.1-5, CS-6: a request must not refer to another
		err := fmt.Errorf("%w: request_uri", ErrInvalidRequest)
		return nil, oautherr.Describe(err, "request_uri must not be pushed")
	case params.Has("request"): // JAR-7-1
		return nil, ErrRequestNotSupported
	}
	// PAR-2.1-2: the assertion names the client, and another client_id is an
	// error.
	if id := params.Get("client_id"); id != "" && id != push.ClientID {
		return nil, ErrClientID
	}
	params.Set("client_id", push.ClientID)
	// PAR-2.1-3: credentials are not stored.
	for _, name := range credentials {
		params.Del(name)
	}
	switch params.Get("response_type") {
	case "":
		return nil, oautherr.Describe(fmt.Errorf("%w: no response_type", ErrInvalidRequest), "response_type is missing")
	case "code": // SP-5.3.2.2-1
	default:
		return nil, ErrResponseType
	}
	// PAR-2.3-2, PAR-7.2-1: a safe redirect URI is required. PAR-2.1-7: whether
	// it must be registered is the policy of Check.
	if err := checkRedirectSyntax(params.Get("redirect_uri")); err != nil {
		return nil, err
	}
	return params, nil
}

// dpopKey returns the thumbprint of the key that the code will be bound to, or
// "".
func dpopKey(parameter, header string) (string, error) {
	// DPOP-10.1-1: a client may use either way, or both.
	for _, thumbprint := range []string{parameter, header} {
		if thumbprint == "" {
			continue
		}
		raw, err := base64.RawURLEncoding.Strict().DecodeString(thumbprint)
		if err != nil || len(raw) != 32 || len(thumbprint) != 43 {
			return "", fmt.Errorf("%w: not a SHA-256 thumbprint", ErrDPoPKey)
		}
	}
	switch {
	case parameter == "": // DPOP-10.1-2: the key of the header counts like dpop_jkt
		return header, nil
	case header == "" || jose.EqualString(parameter, header):
		return parameter, nil
	}
	return "", fmt.Errorf("%w: dpop_jkt is not the key of the proof", ErrDPoPKey) // DPOP-10.1-3
}

var errInteraction = oautherr.New("par: Check requires user interaction",
	oautherr.ServerError, http.StatusInternalServerError, "")

// notInteraction replaces errors that only an authorization endpoint may
// return.
func notInteraction(err error) error {
	switch code, _, _ := oautherr.From(err); code {
	// PAR-2.3-3
	case "login_required", "consent_required", "interaction_required", "account_selection_required":
		return fmt.Errorf("%w: %w", errInteraction, err)
	}
	return err
}

// Load returns the request behind request_uri, for the client that the
// authorization request names. Call it when a browser arrives. It can be called
// often, because it does not consume the request.
//
// Load returns [ErrExpired] after the time announced in expires_in,
// [ErrNotFound], [ErrWrongClient], [ErrStore], or an error of
// ServerConfig.Check, which runs again. Only with an error of Check, Load
// returns the Request too. The caller can then send the client an error
// response (RFC 6749 §4.1.2.1) after Consume, if the redirect URI is still
// valid. With any other error the Request is zero, and its ClientID is empty.
func (s *Server) Load(ctx context.Context, clientID, requestURI string) (Request, error) {
	req, stored, err := s.fetch(ctx, clientID, requestURI)
	if err != nil {
		return Request{}, err
	}
	if now := s.now(); !now.Before(req.expires) { // PAR-4-3
		return Request{}, fmt.Errorf("%w: at %v, it is %v", ErrExpired, req.expires.UTC(), now.UTC())
	}
	// The client may have lost a permission since the push. It receives that
	// error, which needs the request.
	rejected := s.check(ctx, req.clientID, stored.params) // PAR-4-4, PAR-7.4-1
	if req, err = s.visit(ctx, req, stored.value); err != nil {
		return Request{}, err
	}
	return req, rejected
}

// Resume is [Server.Load] for a browser whose request Load has returned before,
// as the server's own login session must prove. LoginTime applies instead of
// expires_in. Use it for the pages between arrival and decision.
func (s *Server) Resume(ctx context.Context, clientID, requestURI string) (Request, error) {
	req, stored, err := s.fetch(ctx, clientID, requestURI)
	if err != nil {
		return Request{}, err
	}
	if err := s.checkOpen(req); err != nil {
		return Request{}, err
	}
	return req, s.check(ctx, req.clientID, stored.params) // PAR-4-4, PAR-7.4-1
}

// checkOpen checks that an authorization may still be completed.
func (s *Server) checkOpen(req Request) error {
	if now, last := s.now(), s.closes(req); !now.Before(last) {
		return fmt.Errorf("%w: login was open until %v, it is %v", ErrExpired, last.UTC(), now.UTC())
	}
	return nil
}

// fetched is what a request was made of. No one else has the map.
type fetched struct {
	value  []byte
	params url.Values
}

// fetch gets a request from the store and checks that it is clientID's.
func (s *Server) fetch(ctx context.Context, clientID, requestURI string) (req Request, stored fetched, err error) {
	key, ok := s.storeKey(requestURI)
	if !ok {
		return Request{}, stored, fmt.Errorf("%w: not a reference of this server", ErrNotFound)
	}
	r, version, value, err := s.get(ctx, key)
	switch {
	case err != nil:
		return Request{}, stored, err
	case r.Attempt != "":
		return Request{}, stored, errConsumed
	}
	req, stored.params, err = r.request()
	if err != nil {
		return Request{}, stored, storeError(err)
	}
	if req.clientID != clientID { // PAR-2.2-4, CS-5
		return Request{}, stored, ErrWrongClient
	}
	stored.value = value
	req.requestURI, req.key, req.version = requestURI, key, version
	return req, stored, nil
}
