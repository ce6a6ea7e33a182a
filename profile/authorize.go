package profile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/par"
)

// A Binding is what an authorization code is bound to. A host that makes its own codes takes it from
// [Authorization.Binding], keeps it with the code and hands it to [TokenRequest.CheckBinding]. It survives encoding/json.
type Binding struct {
	ClientID       string `json:"client_id"`          // the client that pushed the request
	RedirectURI    string `json:"redirect_uri"`       // as it was pushed, byte for byte
	CodeChallenge  string `json:"code_challenge"`     // of method S256
	DPoPThumbprint string `json:"dpop_jkt,omitempty"` // empty: any key of the client
}

// An Authorization is a pushed request that waits at the authorization endpoint for the user's decision. It comes from
// [AuthorizationServer.Authorization] alone and is safe for concurrent reading.
type Authorization struct {
	server  *AuthorizationServer
	client  *ClientMetadata
	request par.Request
	params  url.Values
	scopes  []string
	targets []string
	mode    jarm.Mode // of the response; empty: query, unsigned
}

// String names the client and nothing of the content.
func (a Authorization) String() string { return a.request.String() }

// LogValue is String.
func (a Authorization) LogValue() slog.Value { return slog.StringValue(a.String()) }

// Client returns the registration of the client that asks, for the consent page.
func (a *Authorization) Client() *ClientMetadata { return a.client }

// ClientID is, with RequestURI, what the browser brought, and what brings it back here.
func (a *Authorization) ClientID() string { return a.client.ClientID }

// RequestURI is the reference that was issued for the pushed request. Whoever has it can start the authorization.
func (a *Authorization) RequestURI() string { return a.request.RequestURI() }

// Params returns a copy of the parameters that the client pushed: prompt, max_age, login_hint and any that this package
// does not know. The front channel has added nothing to them.
func (a *Authorization) Params() url.Values { return cloneValues(a.params) }

// Scopes returns the scopes asked for, each of which this client may have.
func (a *Authorization) Scopes() []string { return slices.Clone(a.scopes) }

// Resources returns the resource servers that the token is to be for.
func (a *Authorization) Resources() []string { return slices.Clone(a.targets) }

// Binding returns what a code for this request is bound to.
func (a *Authorization) Binding() Binding {
	return Binding{
		ClientID: a.client.ClientID, RedirectURI: a.params.Get("redirect_uri"),
		CodeChallenge: a.params.Get("code_challenge"), DPoPThumbprint: a.request.DPoPThumbprint(),
	}
}

// Authorization finds the pushed request that a request to the authorization endpoint names. It uses up nothing and may be
// repeated: users reload pages, and link previews open them (SP-5.3.2.2-N3).
//
// Of the query only client_id and request_uri count; everything else in it is ignored. An error must not be sent to any
// redirect_uri, since none is known to be right: show it on a page.
func (s *AuthorizationServer) Authorization(ctx context.Context, query url.Values) (*Authorization, error) {
	// SP-5.3.2.2-3, PAR-4-5: without a request_uri of ours there is no request.
	clientID, requestURI, err := par.ParseAuthorizationRequest(query)
	if err != nil {
		return nil, err
	}
	request, err := s.requests.Load(ctx, clientID, requestURI)
	if err != nil {
		return nil, err
	}
	return s.authorization(ctx, request)
}

// Resume is Authorization for a browser that Authorization has let in before, with the values that the host has kept in
// its session: the user may take longer to log in than a request_uri has to arrive (SP-5.3.2.2-N2).
func (s *AuthorizationServer) Resume(ctx context.Context, clientID, requestURI string) (*Authorization, error) {
	request, err := s.requests.Resume(ctx, clientID, requestURI)
	if err != nil {
		return nil, err
	}
	return s.authorization(ctx, request)
}

func (s *AuthorizationServer) authorization(ctx context.Context, request par.Request) (*Authorization, error) {
	var data pushedData
	if err := json.Unmarshal(request.Data(), &data); err != nil || data.Issuer != s.cfg.Issuer {
		return nil, fmt.Errorf("%w: it was pushed to another issuer", par.ErrNotFound)
	}
	client, err := s.client(ctx, request.ClientID())
	if err != nil {
		return nil, err
	}
	if s.mustSign(client) && !data.Signed { // PAR-7.4-1: demanded since the push
		return nil, fmt.Errorf("%w: the client has to sign its requests", ErrParameter)
	}
	params := request.Params()
	a := &Authorization{server: s, client: client, request: request, params: params}
	if a.mode, err = s.responseMode(client, params.Get("response_mode")); err != nil {
		return nil, err
	}
	if a.scopes, err = s.scopes(client, params.Get("scope")); err != nil {
		return nil, err
	}
	if a.targets, err = s.targets(params["resource"], s.cfg.Resources); err != nil {
		return nil, err
	}
	return a, nil
}

// An Approval is what the user has agreed to.
type Approval struct {
	// Subject identifies the user to this client: at most 255 ASCII characters. Required.
	Subject string
	// Scopes are the granted ones, all of them among [Authorization.Scopes]. Empty grants none.
	Scopes []string
	// AuthTime is when the user logged in. Required with scope openid if the client sent max_age.
	AuthTime time.Time
	// ACR and AMR say how (RFC 9068 §2.2.1); they may be empty and have at most 1 KiB together.
	ACR string
	AMR []string
	// IDTokenClaims are further claims for the ID token, as encoding/json writes them. They cannot replace its own.
	IDTokenClaims map[string]any
}

// maxContext bounds what a host says about the login, which goes into every token.
const maxContext = 1 << 10

// grant is what was approved, as it is kept with codes and refresh tokens.
type grant struct {
	ID       string   `json:"id"`
	ClientID string   `json:"client_id"`
	Subject  string   `json:"sub"`
	Scopes   []string `json:"scopes"`
	Targets  []string `json:"resources"`
	Nonce    string   `json:"nonce,omitempty"`
	AuthTime int64    `json:"auth_time,omitempty"`
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`
	// Each as it was encoded for the first time: a large number that went through a float64 would come back as another.
	Claims map[string]json.RawMessage `json:"claims,omitempty"`
}

// PKCE-4.4-1: the challenge stays here, with the code and not in it.
type codeRecord struct {
	Binding Binding `json:"binding"`
	Grant   grant   `json:"grant"`
	Expires int64   `json:"expires"` // of the code; the record itself stays longer
}

// Approve ends the authorization: the request_uri is used up and the returned URL, to be sent with status 303, carries
// code, state and iss to the client. Of any number of concurrent calls for one request exactly one succeeds.
func (s *AuthorizationServer) Approve(ctx context.Context, a *Authorization, approval Approval) (redirectURL string, err error) {
	if err := s.checkApproval(a, approval); err != nil {
		return "", err
	}
	now := s.cfg.Now()
	record := codeRecord{Binding: a.Binding(), Expires: now.Add(s.cfg.CodeLifetime).Unix()} // rounded down: never more than 60 s
	if record.Grant, err = s.newGrant(a, approval); err != nil {
		return "", err
	}
	value, err := json.Marshal(record)
	if err != nil {
		return "", fmt.Errorf("profile: approval: %w", err)
	}
	code := jose.RandomString(32) // SP-5.4.1-4
	// The code is stored first: nobody knows it before the request_uri has been used up, and if storing fails the request
	// is still there to be repeated.
	if err := s.cfg.Codes.Save(ctx, s.storeKey("code", code), value, now.Add(s.cfg.CodeLifetime+codeMemory)); err != nil {
		return "", fmt.Errorf("%w: saving a code: %w", ErrStore, err)
	}
	return s.Complete(ctx, a, code)
}

func (s *AuthorizationServer) newGrant(a *Authorization, approval Approval) (grant, error) {
	scopes := slices.Clone(approval.Scopes)
	slices.Sort(scopes)
	g := grant{
		ID: jose.RandomString(grantIDBytes), ClientID: a.client.ClientID, Subject: approval.Subject, Scopes: slices.Compact(scopes), Targets: a.targets,
		Nonce: a.params.Get("nonce"), ACR: approval.ACR, AMR: approval.AMR,
	}
	if !approval.AuthTime.IsZero() {
		g.AuthTime = approval.AuthTime.Unix()
	}
	if len(approval.IDTokenClaims) == 0 {
		return g, nil
	}
	g.Claims = make(map[string]json.RawMessage, len(approval.IDTokenClaims))
	for name, claim := range approval.IDTokenClaims {
		value, err := json.Marshal(claim)
		if err != nil {
			return grant{}, fmt.Errorf("profile: approval: IDTokenClaims: %w", err)
		}
		g.Claims[name] = value
	}
	// Tried now, since at the token endpoint it would be too late to tell the host.
	if _, err := s.issueIDToken(g); err != nil {
		return grant{}, fmt.Errorf("profile: approval: IDTokenClaims: %w", err)
	}
	return g, nil
}

func (s *AuthorizationServer) checkApproval(a *Authorization, approval Approval) error {
	if a == nil || a.client == nil || a.server != s {
		return errors.New("profile: approval of a request that was not loaded by this server")
	}
	if approval.Subject == "" || len(approval.Subject) > 255 || strings.ContainsFunc(approval.Subject, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
		return errors.New("profile: approval: Subject is not 1 to 255 ASCII characters")
	}
	for _, scope := range approval.Scopes {
		if !slices.Contains(a.scopes, scope) {
			return fmt.Errorf("profile: approval: scope %q was not asked for", scope)
		}
	}
	if a.params.Get("max_age") != "" && slices.Contains(approval.Scopes, "openid") && approval.AuthTime.IsZero() {
		return errors.New("profile: approval: AuthTime is required when the client sent max_age")
	}
	// What no token can say is refused here: at the token endpoint it would be too late to tell the host.
	if !approval.AuthTime.IsZero() && approval.AuthTime.Unix() <= 0 {
		return errors.New("profile: approval: AuthTime is before 1970")
	}
	how := append([]string{approval.ACR}, approval.AMR...)
	if len(strings.Join(how, " ")) > maxContext || slices.ContainsFunc(how, func(s string) bool { return !utf8.ValidString(s) }) {
		return fmt.Errorf("profile: approval: ACR and AMR are not UTF-8 of at most %d bytes", maxContext)
	}
	return nil
}

// Complete is Approve for a host that has made a code of its own, bound to [Authorization.Binding] and stored already, since
// the client may redeem it at once. The code must be unguessable and good for one use within 60 seconds.
//
// PAR-4-2, SP-5.3.2.2-N3: the request_uri is used up here, at the end, and once.
func (s *AuthorizationServer) Complete(ctx context.Context, a *Authorization, code string) (redirectURL string, err error) {
	if a == nil || a.client == nil || a.server != s {
		return "", errors.New("profile: completion of a request that was not loaded by this server")
	}
	if code == "" {
		return "", errors.New("profile: completion without a code")
	}
	return s.respond(ctx, a, url.Values{"code": {code}})
}

// Deny ends the authorization with an error (RFC 6749 §4.1.2.1): access_denied when the user said no, login_required and
// the like (OpenID Connect Core §3.1.2.6) when the host could not ask. The request_uri is used up as by Approve.
func (s *AuthorizationServer) Deny(ctx context.Context, a *Authorization, code, description string) (redirectURL string, err error) {
	if a == nil || a.client == nil || a.server != s {
		return "", errors.New("profile: denial of a request that was not loaded by this server")
	}
	if !validScope(code) {
		return "", fmt.Errorf("profile: denial: %q is no error code", code)
	}
	response := url.Values{"error": {code}}
	if description != "" {
		response.Set("error_description", printable(description))
	}
	return s.respond(ctx, a, response)
}

// respond uses up the request and returns the URL that takes the response to the client. The URL is made first: signing
// may fail, and then the request is still there.
func (s *AuthorizationServer) respond(ctx context.Context, a *Authorization, response url.Values) (redirectURL string, err error) {
	if state, ok := a.params["state"]; ok {
		response.Set("state", state[0])
	}
	if redirectURL, err = s.responseURL(ctx, a, response); err != nil {
		return "", err
	}
	if _, err := s.requests.Consume(ctx, a.client.ClientID, a.request.RequestURI()); err != nil {
		return "", err
	}
	return redirectURL, nil
}

// responseURL appends the response to the redirect_uri, which is left as it was compared, byte for byte: it has no
// fragment, and nothing in it can end a header field.
func (s *AuthorizationServer) responseURL(ctx context.Context, a *Authorization, response url.Values) (string, error) {
	redirect := a.params.Get("redirect_uri")
	if a.mode != "" { // MS-5.4.1-1, MS-5.4.1-N, JARM-2.1-3: all of it inside, iss too
		signed, err := s.responses.Response(a.client.ClientID, response)
		if err != nil {
			return "", fmt.Errorf("%w: signing an authorization response: %w", ErrStore, err)
		}
		target, err := jarm.RedirectURL(redirect, signed)
		if err != nil {
			return "", err
		}
		if s.cfg.Evidence != nil {
			// MS-7-1: a form that comes twice, or too late, makes no evidence of a response that nobody gets. Of two that come
			// at the same instant both may, and one is sent.
			if _, err := s.requests.Resume(ctx, a.client.ClientID, a.request.RequestURI()); err != nil {
				return "", err
			}
		}
		evidence := Evidence{
			Kind: evidenceResponse, Issued: true, ClientID: a.client.ClientID, JWT: signed, Key: s.cfg.Key.Public(), Time: s.cfg.Now(),
		}
		if err := evidence.hand(ctx, s.cfg.Evidence); err != nil {
			return "", err
		}
		return target, nil
	}
	// SP-5.3.2.2-7, ISS-2-1, ISS-2-2, ISS-2.3-1: with errors too, and the value that the metadata has.
	response.Set("iss", s.cfg.Issuer)
	switch {
	case !strings.Contains(redirect, "?"):
		redirect += "?"
	case !strings.HasSuffix(redirect, "?") && !strings.HasSuffix(redirect, "&"):
		redirect += "&"
	}
	return redirect + response.Encode(), nil
}

func (s *AuthorizationServer) serveAuthorization(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Strict-Transport-Security", "max-age=31536000")     // SP-5.2.3-1
	h.Set("Content-Security-Policy", "frame-ancestors 'none'") // BCP-4.16-1
	h.Set("X-Frame-Options", "DENY")
	// SP-5.2.3-3, BCP-2.6-4: no Access-Control-Allow-Origin here, ever.
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		h.Set("Allow", "GET, POST")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	authorization, err := s.Authorization(r.Context(), r.URL.Query())
	if err != nil {
		s.WriteErrorPage(w, r, err) // BASE-6749-4.1.2.1-1: a page, as no redirect_uri is known to be right
		return
	}
	s.cfg.Interact(w, r, authorization)
}

// storeKey makes keys of fixed size that show nothing of a secret to whoever reads the store, and keeps apart the kinds, and
// the issuers that share a store. Neither a kind nor an issuer has a space in it.
func (s *AuthorizationServer) storeKey(kind, secret string) string {
	return jose.SHA256Base64(kind + " " + s.cfg.Issuer + " " + secret)
}
