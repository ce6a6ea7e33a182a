// Package fosite puts PAR, DPoP and rich authorization requests before a server
// that makes its codes and tokens with github.com/ory/fosite.
package fosite

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/tokenbinding"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/oauth2"
)

// Pages show login and consent, and respond unless the user approves.
type Pages func(http.ResponseWriter, *http.Request, *authserver.Authorization) (user string, d rar.Details, ok bool)

// A Server checks requests with package authserver and passes them to fosite.
type Server struct {
	http.Handler
	checks *authserver.Server
	cfg    authserver.Config
	engine fosite.OAuth2Provider

	codes     oauth2.AuthorizeCodeStorage
	signature func(ctx context.Context, code string) string // under which codes has it
	pages     Pages
}

// A Session is that of fosite with what FAPI 2.0 adds.
type Session struct {
	fosite.DefaultSession
	Code    authserver.Binding        // the request of the code
	Details json.RawMessage           // what the user has granted
	Bound   tokenbinding.Confirmation `json:",omitzero"` // the key of the token
}

// New returns a server. cfg has a Store, one resource and no Interact, and its
// Endpoints are the paths. storage has the same clients. CheckBinding checks
// PKCE, because the handler of fosite consumes the challenge even if the
// verifier is wrong.
func New(cfg authserver.Config, storage fosite.Storage, secret []byte, pages Pages) (s *Server, err error) {
	config := &fosite.Config{GlobalSecret: secret,
		AccessTokenLifespan: 5 * time.Minute, AuthorizeCodeLifespan: time.Minute,
		DisableRefreshTokenValidation: true, // a refresh token is not an access token
		ClientAuthenticationStrategy: func(ctx context.Context, _ *http.Request, _ url.Values) (fosite.Client, error) {
			id, _ := ctx.Value(fosite.ContextKey("client")).(string)
			return storage.GetClient(ctx, id)
		},
	}
	strategy := compose.NewOAuth2HMACStrategy(config)
	s = &Server{cfg: cfg, pages: pages, signature: strategy.AuthorizeCodeSignature,
		codes: storage.(oauth2.AuthorizeCodeStorage), engine: compose.Compose(config, storage, strategy,
			compose.OAuth2AuthorizeExplicitFactory, compose.OAuth2TokenIntrospectionFactory)}
	cfg.Interact = s.interact
	if s.checks, err = authserver.New(cfg); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", s.checks.Handler())
	metadata := s.checks.Metadata() // has the paths of cfg.Endpoints
	for endpoint, handler := range map[string]http.Handler{
		metadata.TokenEndpoint:      http.HandlerFunc(s.token),
		metadata.RevocationEndpoint: http.NotFoundHandler(), // tokens are valid until they expire
	} {
		address, err := url.Parse(endpoint)
		if err != nil {
			return nil, err
		}
		mux.Handle(address.Path, handler)
	}
	s.Handler = mux
	return s, nil
}

// interact lets fosite make a code for the request that the user has approved.
func (s *Server) interact(w http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
	user, granted, ok := s.pages(w, r, a)
	if !ok {
		return
	}
	details, detailsErr := json.Marshal(granted)
	session := &Session{DefaultSession: fosite.DefaultSession{Subject: user}, Code: a.Binding(), Details: details}
	forward := &http.Request{Method: http.MethodGet, Form: a.ForwardParams()}
	request, err := s.engine.NewAuthorizeRequest(r.Context(), forward)
	var made fosite.AuthorizeResponder
	if err = errors.Join(detailsErr, err); err == nil {
		for _, scope := range a.Scopes() {
			request.GrantScope(scope)
		}
		made, err = s.engine.NewAuthorizeResponse(r.Context(), request, session)
	}
	var response *authserver.AuthorizationResponse
	if err == nil {
		response, err = s.checks.Complete(r.Context(), a, made.GetCode())
	}
	if err != nil {
		s.checks.WriteAuthorizationError(w, r, a, err)
		return
	}
	response.ServeHTTP(w, r)
}

// checkBinding checks that a code belongs to a request, even if it was used.
// fosite would first end the tokens of a used code, for any client that has it.
func (s *Server) checkBinding(ctx context.Context, checked *authserver.TokenRequest) error {
	stored, err := s.codes.GetAuthorizeCodeSession(ctx, s.signature(ctx, checked.Param("code")), new(Session))
	switch {
	case errors.Is(err, fosite.ErrNotFound):
		return authserver.ErrCode
	case err != nil && !errors.Is(err, fosite.ErrInvalidatedAuthorizeCode):
		return err
	}
	return checked.CheckBinding(stored.GetSession().(*Session).Code)
}

// token lets fosite make a token for a code. Before Commit, nothing changes.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	checked, err := s.checks.TokenRequest(r)
	if err != nil {
		s.checks.WriteError(w, r, err)
		return
	}
	ctx := context.WithValue(r.Context(), fosite.ContextKey("client"), checked.ClientID())
	form := url.Values{"grant_type": {checked.Param("grant_type")}, "code": {checked.Param("code")},
		"redirect_uri": {checked.Param("redirect_uri")}}
	forward := &http.Request{Method: http.MethodPost, Form: form, PostForm: form}
	if err := s.checkBinding(ctx, checked); err != nil {
		s.checks.WriteError(w, r, err)
		return
	}
	request, err := s.engine.NewAccessRequest(ctx, forward, new(Session))
	if err != nil { // after a second use of a code, fosite has ended its tokens
		s.engine.WriteAccessError(ctx, w, request, err)
		return
	}
	session := *request.GetSession().(*Session) // fosite may share it with other requests
	session.Bound, err = checked.Commit(ctx)
	first, id := false, sha256.Sum256([]byte(checked.Param("code")))
	if err == nil { // not every storage of fosite is atomic
		first, err = s.cfg.Store.Add(ctx, base64.RawURLEncoding.EncodeToString(id[:]), nil, time.Now().Add(time.Minute))
	}
	if err == nil && !first {
		err = authserver.ErrCodeReplayed
	}
	request.SetSession(&session)
	var made fosite.AccessResponder
	if err == nil {
		made, err = s.engine.NewAccessResponse(ctx, request)
	}
	if err != nil {
		s.checks.WriteError(w, r, err)
		return
	}
	s.checks.WriteTokenResponse(w, &authserver.TokenResponse{AccessToken: made.GetAccessToken(), ExpiresIn: 300,
		TokenType: string(session.Bound.TokenType()), Scope: strings.Join(request.GetGrantedScopes(), " "),
		AuthorizationDetails: session.Details})
}

// Errors of fosite about a token. Other errors are those of the storage.
var invalid = []error{fosite.ErrNotFound, fosite.ErrInactiveToken, fosite.ErrTokenExpired, fosite.ErrInvalidTokenFormat,
	fosite.ErrTokenSignatureMismatch}

// Claims is the field Tokens of a resourceserver.Issuer.
func (s *Server) Claims(ctx context.Context, token string) (resourceserver.Claims, error) {
	_, request, err := s.engine.IntrospectToken(ctx, token, fosite.AccessToken, new(Session))
	if slices.ContainsFunc(invalid, func(reason error) bool { return errors.Is(err, reason) }) {
		return resourceserver.Claims{}, introspection.ErrInactive
	}
	if err != nil {
		return resourceserver.Claims{}, err
	}
	session := request.GetSession().(*Session)
	return resourceserver.Claims{Subject: session.Subject, ClientID: request.GetClient().GetID(),
		Audience: s.cfg.Resources, Scopes: request.GetGrantedScopes(), AuthorizationDetails: session.Details,
		Confirmation: session.Bound, ExpiresAt: session.GetExpiresAt(fosite.AccessToken)}, nil
}
