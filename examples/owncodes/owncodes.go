// Package owncodes puts FAPI 2.0 before an authorization server that has pages,
// codes and tokens of its own. Package authserver makes the checks.
package owncodes

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/tokenbinding"
)

// Pages show login and consent. Unless the user approves, they write a
// response.
type Pages func(w http.ResponseWriter, r *http.Request, a *authserver.Authorization) (user string, approved bool)

// A Server has pages, codes and tokens of its own.
type Server struct {
	checks *authserver.Server
	cfg    authserver.Config
	pages  Pages
}

// A grant is what a user has approved. The store has hashes of code and token.
type grant struct {
	User    string
	Scopes  []string
	Code    authserver.Binding        // the request of the code
	Token   string                    // the hash of the token, once the code is used
	Bound   tokenbinding.Confirmation `json:",omitzero"` // the key of the token
	Expires time.Time                 // the token
}

// New returns a server. cfg has a Store, one resource and no Interact.
func New(cfg authserver.Config, pages Pages) (s *Server, err error) {
	s = &Server{cfg: cfg, pages: pages}
	cfg.Interact = s.interact
	s.checks, err = authserver.New(cfg)
	return s, err
}

// ServeHTTP serves the token endpoint itself. Its tokens cannot be revoked.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/token":
		if err := s.token(w, r); err != nil {
			s.checks.WriteError(w, r, err)
		}
	case "/revoke":
		http.NotFound(w, r)
	default:
		s.checks.Handler().ServeHTTP(w, r)
	}
}

// interact makes a code for the request that the user has approved.
func (s *Server) interact(w http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
	user, approved := s.pages(w, r, a)
	if !approved {
		return
	}
	code := rand.Text()
	document, err := json.Marshal(grant{User: user, Scopes: a.Scopes(), Code: a.Binding()})
	if err == nil {
		_, err = s.cfg.Store.Add(r.Context(), hash(hash(code)), document, time.Now().Add(time.Minute))
	}
	var response *authserver.AuthorizationResponse
	if err == nil {
		response, err = s.checks.Complete(r.Context(), a, code)
	}
	if err != nil {
		s.checks.WriteAuthorizationError(w, r, a, err)
		return
	}
	response.ServeHTTP(w, r)
}

// token makes a token for a code. It changes nothing before Commit, so that an
// attacker who has only the code cannot use it up. A second use ends the token.
func (s *Server) token(w http.ResponseWriter, r *http.Request) error {
	request, err := s.checks.TokenRequest(r)
	if err != nil {
		return err
	}
	id := hash(request.Param("code"))
	g, version, err := s.find(r.Context(), id)
	if err == nil {
		err = request.CheckBinding(g.Code)
	}
	if err == nil {
		g.Bound, err = request.Commit(r.Context())
	}
	if err != nil {
		return err
	}
	token, first := id+"."+rand.Text(), g.Token == ""
	if first {
		g.Token, g.Expires = hash(token), time.Now().Add(5*time.Minute)
		var document []byte
		if document, err = json.Marshal(g); err == nil {
			first, err = s.cfg.Store.Swap(r.Context(), hash(id), version, document, g.Expires)
		}
	}
	if err == nil && !first {
		_, err = s.cfg.Store.Add(r.Context(), hash("ended "+id), nil, time.Now().Add(10*time.Minute))
		err = cmp.Or(err, authserver.ErrCodeReplayed)
	}
	if err != nil {
		return err
	}
	s.checks.WriteTokenResponse(w, &authserver.TokenResponse{AccessToken: token, TokenType: string(g.Bound.TokenType()),
		ExpiresIn: 300, Scope: strings.Join(g.Scopes, " ")})
	return nil
}

// Claims is the field Tokens of a resourceserver.Issuer.
func (s *Server) Claims(ctx context.Context, token string) (resourceserver.Claims, error) {
	g, _, err := s.find(ctx, strings.SplitN(token, ".", 2)[0])
	if errors.Is(err, authserver.ErrCode) || err == nil && g.Token != hash(token) {
		err = introspection.ErrInactive
	}
	return resourceserver.Claims{ClientID: g.Code.ClientID, Subject: g.User, Audience: s.cfg.Resources,
		Scopes: g.Scopes, Confirmation: g.Bound, ExpiresAt: g.Expires}, err
}

// find returns a grant that has neither ended nor expired.
func (s *Server) find(ctx context.Context, id string) (g grant, version int64, err error) {
	_, ended, endedErr := s.cfg.Store.Get(ctx, hash("ended "+id))
	value, version, err := s.cfg.Store.Get(ctx, hash(id))
	if err = cmp.Or(endedErr, err); err == nil && (ended != 0 || version == 0) {
		err = authserver.ErrCode
	}
	err = cmp.Or(err, json.Unmarshal(value, &g))
	return g, version, err
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
