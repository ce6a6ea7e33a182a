package authserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/profile/internal/wire"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/tokenbinding"
)

const (
	// referenceBytes are those of an opaque access token: it contains only
	// random bits (SP-5.4.1-4).
	referenceBytes = 32
	// maxReferenced bounds the stored claims of an opaque token. An
	// introspection response grows by a third when it is signed. Resource
	// servers read at most 64 KiB.
	maxReferenced = 46 << 10
	// commonHeader is what common proxies accept in one header field (nginx by
	// default, for example).
	commonHeader = 8 << 10
	// referenceVersion is that of the records that this package writes.
	referenceVersion = 1
)

// reference is what an opaque access token stands for, as it is kept in
// [Config.Store]: the claims that a JWT would have, under their names. Members
// may be added; a reader ignores those it does not know. Version rises when a
// reader must not ignore a new member. An older server that runs together with
// a newer one then rejects the token.
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

// newTokenReader makes what reads our own JWTs. It accepts revoked tokens; the
// caller checks the revocation.
func (s *Server) newTokenReader() (err error) {
	if s.keys == nil { // which is an error of its own
		return nil
	}
	s.issued, err = accesstoken.NewVerifier(accesstoken.VerifierConfig{
		Issuer: s.cfg.Issuer, Audience: append(slices.Clone(s.cfg.Resources), s.ownResources()...),
		Keys: s.keys.Keys, Now: s.cfg.Hooks.Now,
	})
	return err
}

// newAccessToken makes an access token of these claims: a JWT, or a reference
// to what has been stored when it returns.
func (s *Server) newAccessToken(ctx context.Context, c accesstoken.Claims) (string, error) {
	if !s.cfg.OpaqueAccessTokens {
		token, err := s.tokens.Issue(c)
		if err != nil {
			return "", fmt.Errorf("%w: signing an access token: %w", ErrStore, err)
		}
		if len(token) > commonHeader {
			s.cfg.Hooks.Logger.Warn("access token is longer than common proxies accept in a header",
				"client_id", c.ClientID, "bytes", len(token), "common_limit", commonHeader)
		}
		return token, nil
	}
	value, err := s.encodeReference(c)
	if err != nil {
		return "", err
	}
	token := jose.RandomString(referenceBytes) // SP-5.4.1-4
	key := s.storeKey(kindAccess, token)
	if err := s.add(ctx, s.stores.access, c.ClientID, key, value, s.cfg.Hooks.Now().Add(c.Lifetime)); err != nil {
		return "", fmt.Errorf("%w: storing an access token", err)
	}
	return token, nil
}

// encodeReference returns the stored value of an opaque token. It contains
// nothing that an introspection response could not contain.
func (s *Server) encodeReference(c accesstoken.Claims) ([]byte, error) {
	if len(c.Extra) > 0 || c.JKT == "" && c.X5TS256 == "" { // SP-5.3.2.1-4: there is no token that is bound to nothing
		return nil, fmt.Errorf("%w: claims that an opaque token cannot have", ErrStore)
	}
	now := s.cfg.Hooks.Now()
	r := reference{
		Version: referenceVersion, Issuer: s.cfg.Issuer, Subject: c.Subject, Audience: c.Audience, ClientID: c.ClientID,
		IssuedAt: now.Unix(), Expires: now.Add(c.Lifetime).Unix(), ID: c.ID,
		Scope: c.Scope, Confirmation: referenceConfirmation{c.JKT, c.X5TS256},
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
		return nil, fmt.Errorf("%w: %w: %d bytes, more than %d",
			ErrStore, accesstoken.ErrTooLong, value.Len(), maxReferenced)
	}
	return value.Bytes(), nil
}

// accessToken reads an access token of this server, in either form: while a
// server changes from one to the other both are about. It may have been
// revoked. An error that is unavailable means that the server does not know.
// Any other error means that it is not a token of this server.
func (s *Server) accessToken(ctx context.Context, raw string) (resourceserver.Claims, error) {
	if !s.cfg.OpaqueAccessTokens || strings.Contains(raw, ".") { // a JWT has dots, a reference none
		token, err := s.issued.Verify(ctx, raw)
		if err != nil {
			return resourceserver.Claims{}, err
		}
		return claimsOf(token), nil
	}
	value, version, err := s.stores.access.Get(ctx, s.storeKey(kindAccess, raw))
	if err != nil {
		return resourceserver.Claims{}, fmt.Errorf("%w: access token: %w", ErrStore, err)
	}
	if version == 0 {
		return resourceserver.Claims{}, fmt.Errorf("%w: unknown", introspection.ErrInactive)
	}
	return s.readReference(value)
}

func (s *Server) readReference(value []byte) (resourceserver.Claims, error) {
	members, err := strictjson.ParseObject(value)
	if err != nil {
		return resourceserver.Claims{}, fmt.Errorf("%w: a stored access token is not ours", ErrStore)
	}
	var r reference
	err = json.Unmarshal(value, &r)
	ours := r.Issuer == s.cfg.Issuer && r.Version >= 1 && r.Version <= referenceVersion
	// SP-5.3.4-5: an unknown binding makes a token worthless.
	if err != nil || !ours || r.Confirmation == (referenceConfirmation{}) {
		return resourceserver.Claims{}, fmt.Errorf("%w: stored access token of another server or version", ErrStore)
	}
	if s.cfg.Hooks.Now().Unix() >= r.Expires { // SP-5.3.4-3: whenever the store gets rid of it
		return resourceserver.Claims{}, fmt.Errorf("%w: expired", introspection.ErrInactive)
	}
	return r.claims(members), nil
}

// liveToken is accessToken for a token that has not been revoked.
func (s *Server) liveToken(ctx context.Context, raw string) (resourceserver.Claims, error) {
	token, err := s.accessToken(ctx, raw)
	if err != nil {
		return resourceserver.Claims{}, err
	}
	// INT-7662-2.2-2: the host has made it with the same key, and what became
	// of it we cannot know
	if !wire.HasGrant(token.ID) {
		return resourceserver.Claims{}, fmt.Errorf("%w: unknown token ID", accesstoken.ErrRevoked)
	}
	if err := s.checkRevoked(ctx, token.ID[:wire.GrantIDLength], accesstoken.ErrRevoked); err != nil {
		return resourceserver.Claims{}, err
	}
	return token, nil
}

// claimsOf returns the claims of a JWT.
func claimsOf(t *accesstoken.Token) resourceserver.Claims {
	return resourceserver.Claims{
		Subject: t.Subject(), ClientID: t.ClientID(), ID: t.ID(), Audience: t.Audience(), Scopes: t.Scopes(),
		Confirmation: tokenbinding.Confirmation{JKT: t.JKT(), X5TS256: t.X5TS256()},
		ExpiresAt:    t.ExpiresAt(), IssuedAt: t.IssuedAt(), AuthTime: t.AuthTime(), ACR: t.ACR(), AMR: t.AMR(),
		GrantID: t.GrantID(), AuthorizationDetails: t.AuthorizationDetails(), Claim: t.Claim,
	}
}

// claims returns the claims that an opaque token stands for.
func (r *reference) claims(members strictjson.Object) resourceserver.Claims {
	c := resourceserver.Claims{
		Subject: r.Subject, ClientID: r.ClientID, ID: r.ID, Audience: r.Audience, Scopes: strings.Fields(r.Scope),
		Confirmation: tokenbinding.Confirmation{JKT: r.Confirmation.JKT, X5TS256: r.Confirmation.X5TS256},
		ExpiresAt:    time.Unix(r.Expires, 0), IssuedAt: time.Unix(r.IssuedAt, 0), ACR: r.ACR, AMR: r.AMR,
		GrantID: r.GrantID, AuthorizationDetails: r.Details,
		Claim: func(name string) json.RawMessage {
			if name == "v" { // ours, and no claim
				return nil
			}
			raw, _ := members.Get(name)
			return slices.Clone(raw)
		},
	}
	if r.AuthTime != 0 {
		c.AuthTime = time.Unix(r.AuthTime, 0)
	}
	return c
}
