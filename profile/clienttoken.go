package profile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/form"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/strictjson"
)

// maxTokenResponse bounds what is read from a token endpoint.
const maxTokenResponse = 1 << 20

// Finish checks the parameters that came back to the redirect URI and redeems the code in them. The session must be the
// one that this browser began; use it once.
//
// The token's Extra holds what else the server sent (id_token, scope, …). A *oauth2.RetrieveError always comes from the
// server: from the authorization response when its Response is nil, else from the token endpoint.
func (c *Client) Finish(ctx context.Context, session *Session, callback url.Values) (*oauth2.Token, error) {
	code, err := c.checkCallback(session, callback)
	if err != nil {
		return nil, err
	}
	token, err := c.requestToken(ctx, url.Values{
		"grant_type": {grantAuthorizationCode}, "code": {code}, "redirect_uri": {session.RedirectURI}, "code_verifier": {session.CodeVerifier},
	})
	if err != nil || session.Nonce == "" {
		return token, err
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return nil, fmt.Errorf("%w: no id_token though openid was asked for", ErrTokenResponse)
	}
	// MS-5.6.2-1: signature included, though it came over TLS.
	if _, err := c.idTokens.Verify(ctx, raw, idtoken.Expected{Nonce: session.Nonce}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTokenResponse, err)
	}
	return token, nil
}

// checkCallback believes nothing before iss and state are right: SP-5.3.3.2-5, ISS-2.4-1, ISS-2.4-2.
func (c *Client) checkCallback(session *Session, callback url.Values) (code string, err error) {
	if session == nil || session.Issuer != c.cfg.Issuer || session.ClientID != c.cfg.ClientID || session.State == "" {
		return "", fmt.Errorf("%w: the session was not begun by this client", ErrAuthorizationResponse)
	}
	values := cloneValues(callback)
	if err := form.Check(values); err != nil || len(values["resource"]) > 0 {
		return "", fmt.Errorf("%w: repeated or malformed parameters", ErrAuthorizationResponse)
	}
	if iss := values.Get("iss"); iss != c.cfg.Issuer { // ISS-2.4-3: a missing one too
		return "", fmt.Errorf("%w: iss is %.256q, the request went to %q", ErrAuthorizationResponse, iss, c.cfg.Issuer)
	}
	if !jose.EqualString(values.Get("state"), session.State) {
		return "", fmt.Errorf("%w: state is not this session's", ErrAuthorizationResponse)
	}
	code, failure := values.Get("code"), values.Get("error")
	switch {
	case code != "" && failure != "":
		return "", fmt.Errorf("%w: both code and error", ErrAuthorizationResponse)
	case failure != "":
		return "", &oauth2.RetrieveError{ErrorCode: failure, ErrorDescription: values.Get("error_description"), ErrorURI: values.Get("error_uri")}
	case code == "":
		return "", fmt.Errorf("%w: neither code nor error", ErrAuthorizationResponse)
	}
	return code, nil
}

// Refresh obtains a new access token. The returned token keeps the refresh token unless the server sent a new one
// (SP-5.3.3.1-6).
func (c *Client) Refresh(ctx context.Context, refreshToken string, request Request) (*oauth2.Token, error) {
	if refreshToken == "" {
		return nil, errors.New("profile: client: no refresh token")
	}
	params := request.tokenParams(grantRefreshToken)
	params.Set("refresh_token", refreshToken)
	token, err := c.requestToken(ctx, params)
	if err == nil && token.RefreshToken == "" {
		token.RefreshToken = refreshToken
	}
	return token, err
}

// ClientCredentials obtains a token about the client itself.
func (c *Client) ClientCredentials(ctx context.Context, request Request) (*oauth2.Token, error) {
	return c.requestToken(ctx, request.tokenParams(grantClientCredentials))
}

func (r Request) tokenParams(grantType string) url.Values {
	params := cloneValues(r.Params)
	params.Set("grant_type", grantType)
	if len(r.Scopes) > 0 {
		params.Set("scope", strings.Join(r.Scopes, " "))
	}
	if len(r.Resources) > 0 {
		params["resource"] = r.Resources
	}
	return params
}

// requestToken sends a form to the token endpoint with client authentication and a proof.
func (c *Client) requestToken(ctx context.Context, params url.Values) (*oauth2.Token, error) {
	body, err := c.authenticated(ctx, params)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server.TokenEndpoint, strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("profile: client: %w", err)
	}
	// Whoever sends the request again, for a nonce or on a lost connection, gets a new assertion: the server may have used
	// up the first one's jti.
	r.GetBody = func() (io.ReadCloser, error) {
		again, err := c.authenticated(ctx, params)
		if err == nil && len(again) != len(body) { // the header says how long it is
			err = errors.New("profile: client: a new assertion of another length")
		}
		return io.NopCloser(strings.NewReader(again)), err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	response, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("profile: client: token endpoint: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxTokenResponse+1))
	if err != nil || len(answer) > maxTokenResponse {
		return nil, fmt.Errorf("%w: unreadable or longer than %d bytes", ErrTokenResponse, maxTokenResponse)
	}
	if response.StatusCode != http.StatusOK {
		return nil, retrieveError(response, answer)
	}
	return parseToken(answer, c.cfg.Now())
}

func (c *Client) authenticated(ctx context.Context, params url.Values) (string, error) {
	form := cloneValues(params)
	if err := c.auth.Authenticate(ctx, form); err != nil {
		return "", err
	}
	return form.Encode(), nil
}

func retrieveError(response *http.Response, body []byte) error {
	e := &oauth2.RetrieveError{Response: response, Body: body[:min(len(body), 4<<10)]} // Error prints it
	if o, err := strictjson.ParseObject(body); err == nil {
		e.ErrorCode, _, _ = o.String("error")
		e.ErrorDescription, _, _ = o.String("error_description")
		e.ErrorURI, _, _ = o.String("error_uri")
	}
	return e
}

// parseToken reads a token response. DPOP-5-7, BASE-6749-5.1-2: a token of another type than DPoP is thrown away, since
// the server has then not bound it.
func parseToken(body []byte, now time.Time) (*oauth2.Token, error) {
	o, err := strictjson.ParseObject(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTokenResponse, err)
	}
	token := &oauth2.Token{}
	for _, field := range []struct {
		name string
		to   *string
	}{{"access_token", &token.AccessToken}, {"token_type", &token.TokenType}, {"refresh_token", &token.RefreshToken}} {
		if *field.to, _, err = o.String(field.name); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrTokenResponse, err)
		}
	}
	if token.AccessToken == "" {
		return nil, fmt.Errorf("%w: no access_token", ErrTokenResponse)
	}
	if !strings.EqualFold(token.TokenType, "DPoP") {
		return nil, fmt.Errorf("%w: token_type is %.32q, not DPoP", ErrTokenResponse, token.TokenType)
	}
	token.TokenType = "DPoP"
	if seconds := expiresIn(o); seconds > 0 {
		token.ExpiresIn, token.Expiry = seconds, now.Add(time.Duration(seconds)*time.Second)
	}
	extra := map[string]any{}
	if err := json.Unmarshal(body, &extra); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTokenResponse, err)
	}
	return token.WithExtra(extra), nil
}

// expiresIn is the lifetime in seconds, 0 if there is none to go by. Some servers send a string; a year is enough.
func expiresIn(o strictjson.Object) int64 {
	raw, _ := o.Get("expires_in")
	var n json.Number
	if json.Unmarshal(raw, &n) != nil {
		return 0
	}
	f, err := n.Float64()
	if err != nil || !(f > 0) {
		return 0
	}
	const year = 365 * 24 * 60 * 60
	return int64(min(f, year))
}

// refresher is the oauth2.TokenSource behind [Client.TokenSource]. oauth2.ReuseTokenSource serialises its calls.
type refresher struct {
	ctx    context.Context //nolint:containedctx // oauth2.TokenSource has no other place for it
	client *Client

	mu           sync.Mutex
	refreshToken string
}

func (r *refresher) Token() (*oauth2.Token, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	token, err := r.client.Refresh(r.ctx, r.refreshToken, Request{})
	if err == nil {
		r.refreshToken = token.RefreshToken
	}
	return token, err
}

// HTTPClient returns a client whose requests carry an access token from source and a proof of its own for each request
// (SP-5.3.3.1-3). It never sends the token to another origin than base's, follow redirects or not.
func (c *Client) HTTPClient(source oauth2.TokenSource) (*http.Client, error) {
	proofs, err := dpop.NewTransport(dpop.TransportConfig{Prover: c.prover, Base: c.cfg.HTTPClient.Transport})
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Transport: &oauth2.Transport{Source: source, Base: proofs}, Timeout: c.cfg.HTTPClient.Timeout,
		// A redirect would carry the token to wherever the answer says.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
