package authserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/profile/rules"
)

// newUserInfo makes the guard of the UserInfo endpoint. It accepts tokens for
// any of the resource servers, and proofs for this endpoint. The audience of a
// token protects APIs from each other. Here it comes back to who has issued it,
// bound to its client, and what it may do is said by the scope openid.
func (s *Server) newUserInfo() (err error) {
	if s.cfg.UserInfo == nil {
		return nil
	}
	endpoint := s.endpoint(s.cfg.Endpoints.UserInfo)
	token := func(ctx context.Context, raw string) (resourceserver.Claims, error) {
		claims, err := s.liveToken(ctx, raw) // SP-5.3.4-3
		claims.Audience = append(claims.Audience, endpoint)
		return claims, err
	}
	s.userInfo, err = s.newGuard("userinfo", s.cfg.Endpoints.UserInfo, token, s.urlsOf(s.cfg.Endpoints.UserInfo))
	return err
}

// UserInfo is the UserInfo endpoint (OpenID Connect Core §5.3), which
// [Server.Handler] serves: for a host that mounts its own. It requires an
// access token with scope openid in the Authorization header, for any resource,
// and proof of possession. It makes the checks of a [resourceserver.Server].
// The response is JSON, or a JWT if the client is registered for one
// (userinfo_signed_response_alg). The JWT is encrypted if the client is
// registered for that as well (userinfo_encrypted_response_alg). Without
// [Config.UserInfo] the response is 404.
func (s *Server) UserInfo() http.Handler {
	if s.userInfo == nil {
		return http.NotFoundHandler()
	}
	const scope = "openid"
	guarded := s.userInfo.Require(scope)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := resourceserver.TokenFromContext(r.Context())
		mediaType, body, err := s.claimsAbout(r, token)
		if err != nil {
			noteError(r.Context(), err)
			s.userInfo.WriteError(w, r, err, scope)
			return
		}
		h := w.Header()
		h.Set("Content-Type", mediaType)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		w.Write(body) //nolint:errcheck // the peer is gone
	}))
	return s.observed("userinfo", func(w http.ResponseWriter, r *http.Request) {
		// OpenID Connect Core §5.3.1: GET and POST. A token in the body of a
		// POST is ignored (SP-5.3.4-1).
		if r.Method != http.MethodGet && r.Method != http.MethodPost {
			w.Header().Set("Allow", "GET, POST")
			noteError(r.Context(), errMethod)
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// claimsAbout returns the response: the host's claims, and the subject of the
// token in any case.
func (s *Server) claimsAbout(r *http.Request, token *resourceserver.Token) (mediaType string, body []byte, err error) {
	client, err := s.client(r.Context(), token.ClientID())
	switch {
	case errors.Is(err, clientauth.ErrUnknownClient):
		return "", nil, fmt.Errorf("%w: its client is gone", accesstoken.ErrRevoked)
	case err != nil:
		return "", nil, err
	}
	// OpenID Connect Core §5.3.2: it would not take what is not signed or
	// encrypted, or otherwise.
	set := s.rulesOf(client)
	if err := s.checkTokenSender(r, set, "userinfo"); err != nil {
		return "", nil, err
	}
	if err := s.checkUserInfo(client, set); err != nil {
		return "", nil, err
	}
	by, err := s.signatory(r.Context(), set.Algorithms.For(set.Algorithms.UserInfo), memberUserInfoAlg,
		client.UserInfoSignedResponseAlg)
	if err != nil {
		return "", nil, err
	}
	to, err := s.userInfoRecipient(r.Context(), client)
	if err != nil {
		return "", nil, err
	}
	requested, err := s.keptClaims(r.Context(), token.ID())
	if err != nil {
		return "", nil, err
	}
	host, err := s.cfg.UserInfo(r.Context(), token, requested)
	if err != nil {
		return "", nil, fmt.Errorf("authserver: UserInfo: %w", err)
	}
	if set.Claims.OnlyRequested {
		if host, err = limitUserInfo(requested, token.Scopes(), host); err != nil {
			return "", nil, err
		}
	}
	claims := make(map[string]any, len(host)+3)
	for name, value := range host {
		claims[name] = value
	}
	// OpenID Connect Core §5.3.2: the client compares sub with that of the ID
	// token. Claims with another subject belong to another user, and none of
	// them is sent.
	if sub, ok := claims["sub"]; ok {
		if same, err := s.isAbout(r.Context(), token, sub); err != nil {
			return "", nil, err
		} else if !same {
			return "", nil, errors.New("authserver: UserInfo: the claims are about another subject than the token")
		}
	}
	claims["sub"] = token.Subject()
	if client.UserInfoSignedResponseAlg == "" {
		body, err = encodeClaims(claims)
		return "application/json", body, err
	}
	for name := range host { // JWT-3.12-1: by these an ID token or another JWT of ours is known
		if slices.ContainsFunc(ofOtherJWTs, func(of string) bool { return strings.EqualFold(of, name) }) {
			return "", nil, fmt.Errorf("authserver: UserInfo: %.64q is not for a signed response to say", name)
		}
	}
	claims["iss"], claims["aud"] = s.cfg.Issuer, client.ClientID // OpenID Connect Core §5.3.2
	body, err = signUserInfo(by, to, claims)
	return "application/jwt", body, err
}

// signUserInfo signs claims and, if to is not nil, encrypts the result.
func signUserInfo(by *signatory, to *jose.Encryption, claims map[string]any) ([]byte, error) {
	body, err := encodeClaims(claims)
	if err != nil {
		return nil, err
	}
	signed, err := by.userInfo.Sign(body)
	if err != nil {
		return nil, fmt.Errorf("%w: signing a UserInfo response: %w", ErrStore, err)
	}
	if to != nil { // CA-OIDC-5.3.2-3, CA-OIDC-10.2-1
		if signed, err = to.Seal(signed, maxUserInfo); err != nil {
			return nil, fmt.Errorf("authserver: UserInfo: %w", err)
		}
	}
	return []byte(signed), nil
}

// maxUserInfo bounds an encrypted response, like the client of this module.
const maxUserInfo = 256 << 10

// checkUserInfo checks that the rules permit UserInfo responses as the client
// has registered them.
func (s *Server) checkUserInfo(client *profile.ClientMetadata, set *rules.Set) error {
	permitted := set.Algorithms.For(set.Algorithms.UserInfo)
	ruled := len(set.Algorithms.UserInfo)+len(set.Algorithms.Signing) > 0
	if alg := client.UserInfoSignedResponseAlg; ruled && alg != "" && !jose.Accepts(permitted, alg) {
		return violation(ErrClientNotAllowed, set, memberUserInfoAlg, alg, permitted)
	}
	return checkEncrypted(set, set.Encryption.UserInfo, userInfoWanted(client))
}

// ofOtherJWTs are claims that the host cannot add to a signed UserInfo
// response. Without them, above all exp, it cannot pass for another JWT that
// the same key signs.
var ofOtherJWTs = []string{
	"iss", "aud", "azp", "exp", "nbf", "iat", "jti", "nonce", "at_hash", "c_hash",
	"client_id", "cnf", "code", "error", "events", "token_introspection",
}

func encodeClaims(claims map[string]any) ([]byte, error) {
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	if err := e.Encode(claims); err != nil {
		return nil, fmt.Errorf("authserver: UserInfo: %w", err)
	}
	// Clients would reject names that differ only by case, or read one of them
	// as sub.
	encoded := bytes.TrimSpace(body.Bytes())
	if err := strictjson.Valid(encoded); err != nil {
		return nil, fmt.Errorf("authserver: UserInfo: %w", err)
	}
	return encoded, nil
}
