package profile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/introspection"
)

const (
	// referenceBytes are those of an opaque access token: nothing but chance is in it (SP-5.4.1-4).
	referenceBytes = 32
	// maxReferenced bounds what is kept for an opaque token: the introspection response, which grows by a third when it is
	// signed, has to stay within the 64 KiB that resource servers read.
	maxReferenced = 46 << 10
	// commonHeader is what common proxies accept in one header field (nginx by
	// default, for example).
	commonHeader = 8 << 10
	// referenceVersion is that of the records that this package writes.
	referenceVersion = 1
)

// reference is what an opaque access token stands for, as it is kept in [AuthorizationServerConfig.AccessTokens]: the claims
// that a JWT would have, under their names. Members may be added; a reader ignores those it does not know. Version rises
// when one must not be ignored: then an older server, still running beside a newer one, refuses the token.
type reference struct {
	Version      int                   `json:"v"`
	Issuer       string                `json:"iss"`
	Subject      string                `json:"sub"`
	Audience     []string              `json:"aud"`
	ClientID     string                `json:"client_id"`
	IssuedAt     int64                 `json:"iat"`
	Expires      int64                 `json:"exp"`
	ID           string                `json:"jti"`
	Scope        string                `json:"scope,omitempty"`
	Confirmation referenceConfirmation `json:"cnf"`
	AuthTime     int64                 `json:"auth_time,omitempty"`
	ACR          string                `json:"acr,omitempty"`
	AMR          []string              `json:"amr,omitempty"`
	Details      json.RawMessage       `json:"authorization_details,omitempty"`
	GrantID      string                `json:"grant_id,omitempty"`
}

type referenceConfirmation struct {
	JKT     string `json:"jkt,omitempty"`
	X5TS256 string `json:"x5t#S256,omitempty"`
}

// newTokenReader makes what reads our own JWTs. Whether one is revoked is asked apart: there are those who have to know a
// token that is.
func (s *AuthorizationServer) newTokenReader() (err error) {
	if s.keys == nil { // which is an error of its own
		return nil
	}
	s.issued, err = accesstoken.NewVerifier(accesstoken.VerifierConfig{
		Issuer: s.cfg.Issuer, Audience: append(slices.Clone(s.cfg.Resources), s.ownResources()...), Keys: s.keys.Keys, Now: s.cfg.Now,
	})
	return err
}

// newAccessToken makes an access token of these claims: a JWT, or a reference to what has been stored when it returns.
func (s *AuthorizationServer) newAccessToken(ctx context.Context, c accesstoken.Claims) (string, error) {
	if s.cfg.AccessTokens == nil {
		token, err := s.tokens.Issue(c)
		if err != nil {
			return "", fmt.Errorf("%w: signing an access token: %w", ErrStore, err)
		}
		if len(token) > commonHeader {
			s.cfg.Logger.Warn("access token is longer than common proxies accept in a header", "client_id", c.ClientID, "bytes", len(token), "common_limit", commonHeader)
		}
		return token, nil
	}
	value, err := s.encodeReference(c)
	if err != nil {
		return "", err
	}
	token := jose.RandomString(referenceBytes) // SP-5.4.1-4
	owned := expiring.WithOwner(ctx, c.ClientID)
	if err := s.cfg.AccessTokens.Save(owned, s.storeKey("access", token), value, s.cfg.Now().Add(c.Lifetime)); err != nil {
		return "", saving("an access token", err)
	}
	return token, nil
}

// encodeReference returns the stored value of an opaque token. It contains
// nothing that an introspection response could not contain.
func (s *AuthorizationServer) encodeReference(c accesstoken.Claims) ([]byte, error) {
	if len(c.Extra) > 0 || c.JKT == "" && c.X5TS256 == "" { // SP-5.3.2.1-4: there is no token that is bound to nothing
		return nil, fmt.Errorf("%w: claims that an opaque token cannot have", ErrStore)
	}
	now := s.cfg.Now()
	r := reference{
		Version: referenceVersion, Issuer: s.cfg.Issuer, Subject: c.Subject, Audience: c.Audience, ClientID: c.ClientID,
		IssuedAt: now.Unix(), Expires: now.Add(c.Lifetime).Unix(), ID: c.ID, Scope: c.Scope, Confirmation: referenceConfirmation{c.JKT, c.X5TS256},
		ACR: c.ACR, AMR: c.AMR, Details: c.AuthorizationDetails, GrantID: c.GrantID,
	}
	if !c.AuthTime.IsZero() {
		r.AuthTime = c.AuthTime.Unix()
	}
	var value bytes.Buffer
	e := json.NewEncoder(&value)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return nil, fmt.Errorf("%w: access token: %w", ErrStore, err)
	}
	if value.Len() > maxReferenced {
		return nil, fmt.Errorf("%w: %w: its claims have %d bytes, more than %d", ErrStore, accesstoken.ErrTooLong, value.Len(), maxReferenced)
	}
	return value.Bytes(), nil
}

// accessToken reads an access token of this server, in either form: while a server changes from one to the other both are
// about. It may have been revoked. An error that is [unavailable] says that nobody knows, any other that it is none.
func (s *AuthorizationServer) accessToken(ctx context.Context, raw string) (tokenClaims, error) {
	if s.cfg.AccessTokens == nil || strings.Contains(raw, ".") { // a JWT has dots, a reference none
		return s.issued.Verify(ctx, raw)
	}
	value, err := s.cfg.AccessTokens.Load(ctx, s.storeKey("access", raw))
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("%w: unknown", introspection.ErrInactive)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: access token: %w", ErrStore, err)
	}
	return s.readReference(value)
}

func (s *AuthorizationServer) readReference(value []byte) (*referenced, error) {
	claims, err := strictjson.ParseObject(value)
	if err != nil {
		return nil, fmt.Errorf("%w: a stored access token is not ours", ErrStore)
	}
	t := &referenced{members: claims}
	if err := json.Unmarshal(value, &t.reference); err != nil || t.Version < 1 || t.Version > referenceVersion || t.Issuer != s.cfg.Issuer ||
		t.Confirmation == (referenceConfirmation{}) { // SP-5.3.4-5: bound to nothing that is known here, so good for nothing
		return nil, fmt.Errorf("%w: a stored access token is of another server or version", ErrStore)
	}
	if s.cfg.Now().Unix() >= t.Expires { // SP-5.3.4-3: whenever the store gets rid of it
		return nil, fmt.Errorf("%w: expired", introspection.ErrInactive)
	}
	return t, nil
}

// liveToken is accessToken for one that is good for something.
func (s *AuthorizationServer) liveToken(ctx context.Context, raw string) (tokenClaims, error) {
	token, err := s.accessToken(ctx, raw)
	if err != nil {
		return nil, err
	}
	if !hasGrant(token.ID()) { // INT-7662-2.2-2: the host has made it with the same key, and what became of it we cannot know
		return nil, fmt.Errorf("%w: its ID is none of ours", accesstoken.ErrRevoked)
	}
	if err := s.checkRevoked(ctx, token.ID()[:grantIDLength], accesstoken.ErrRevoked); err != nil {
		return nil, err
	}
	return token, nil
}

// referenced are the claims of an opaque token, where those of a JWT are an *accesstoken.Token.
type referenced struct {
	reference
	members strictjson.Object
}

func (t *referenced) Subject() string        { return t.reference.Subject }
func (t *referenced) ClientID() string       { return t.reference.ClientID }
func (t *referenced) ID() string             { return t.reference.ID }
func (t *referenced) Audience() []string     { return slices.Clone(t.reference.Audience) }
func (t *referenced) Scopes() []string       { return strings.Fields(t.Scope) }
func (t *referenced) IssuedAt() time.Time    { return time.Unix(t.reference.IssuedAt, 0) }
func (t *referenced) ExpiresAt() time.Time   { return time.Unix(t.Expires, 0) }
func (t *referenced) ACR() string            { return t.reference.ACR }
func (t *referenced) AMR() []string          { return slices.Clone(t.reference.AMR) }
func (t *referenced) JKT() string            { return t.Confirmation.JKT }
func (t *referenced) X5TS256() string        { return t.Confirmation.X5TS256 }
func (t *referenced) GrantID() string        { return t.reference.GrantID }
func (t *referenced) HasScope(v string) bool { return v != "" && slices.Contains(t.Scopes(), v) }
func (t *referenced) String() string {
	return fmt.Sprintf("access token %.64q of client %.256q", t.reference.ID, t.reference.ClientID)
}

func (t *referenced) AuthTime() time.Time {
	if t.reference.AuthTime == 0 {
		return time.Time{}
	}
	return time.Unix(t.reference.AuthTime, 0)
}

func (t *referenced) CheckScope(values ...string) error {
	for _, value := range values {
		if !t.HasScope(value) { // SP-5.3.4-4
			return fmt.Errorf("%w: client %.256q has no %q", accesstoken.ErrInsufficientScope, t.reference.ClientID, value)
		}
	}
	return nil
}

func (t *referenced) AuthorizationDetails() json.RawMessage { return slices.Clone(t.Details) }

func (t *referenced) Claim(name string) json.RawMessage {
	if name == "v" { // ours, and no claim
		return nil
	}
	raw, _ := t.members.Get(name)
	return slices.Clone(raw)
}
