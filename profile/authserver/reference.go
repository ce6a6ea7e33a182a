package authserver

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/introspection"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/tokenbinding"
)

const (
	// maxReferenced bounds the stored claims of an opaque token. An
	// introspection response grows by a third when it is signed. Resource
	// servers read at most 64 KiB.
	maxReferenced = 46 << 10
	// referenceVersion is the version of the records that this package writes.
	// It rises when a reader must not ignore a new member. An older server that
	// runs together with a newer one then rejects the token.
	referenceVersion = 1
	memberVersion    = "v"
)

// A reference is the stored value of an opaque access token. Its members are
// the claims that a JWT would have, under their names. Readers ignore unknown
// members.
type reference struct {
	Version      int64
	Issuer       string
	Subject      string
	Audience     []string
	ClientID     string
	IssuedAt     int64
	Expires      int64
	ID           string
	Scope        string
	Confirmation tokenbinding.Confirmation
	AuthTime     int64
	ACR          string
	AMR          []string
	Details      json.RawMessage
	GrantID      string

	members *strictjson.Record // of a stored one
}

func (t *reference) encode() []byte {
	var w strictjson.Writer
	w.Int(memberVersion, t.Version)
	w.String("iss", t.Issuer)
	w.String("sub", t.Subject)
	w.Strings("aud", t.Audience)
	w.String("client_id", t.ClientID)
	w.Int("iat", t.IssuedAt)
	w.Int("exp", t.Expires)
	w.String("jti", t.ID)
	w.String("scope", t.Scope)
	w.Object("cnf", func(w *strictjson.Writer) {
		w.String("jkt", t.Confirmation.JKT)
		w.String("x5t#S256", t.Confirmation.X5TS256)
	})
	w.Int("auth_time", t.AuthTime)
	w.String("acr", t.ACR)
	w.Strings("amr", t.AMR)
	w.Raw(memberDetails, t.Details)
	w.String("grant_id", t.GrantID)
	return w.Bytes()
}

func (t *reference) decode(value []byte) error {
	r := strictjson.ReadRecord(value, memberDetails)
	*t = reference{
		Version:  r.Int(memberVersion),
		Issuer:   r.String("iss"),
		Subject:  r.String("sub"),
		Audience: r.Strings("aud"),
		ClientID: r.String("client_id"),
		IssuedAt: r.Int("iat"),
		Expires:  r.Int("exp"),
		ID:       r.String("jti"),
		Scope:    r.String("scope"),
		AuthTime: r.Int("auth_time"),
		ACR:      r.String("acr"),
		AMR:      r.Strings("amr"),
		Details:  r.Raw(memberDetails),
		GrantID:  r.String("grant_id"),
		members:  r,
	}
	cnf := r.Object("cnf")
	t.Confirmation = tokenbinding.Confirmation{JKT: cnf.String("jkt"), X5TS256: cnf.String("x5t#S256")}
	return r.Err()
}

// encodeReference returns the stored value of an opaque token. It contains
// nothing that an introspection response could not contain.
func (s *Server) encodeReference(c accesstoken.Claims) ([]byte, error) {
	if len(c.Extra) > 0 || c.JKT == "" && c.X5TS256 == "" { // SP-5.3.2.1-4: there is no token that is bound to nothing
		return nil, fmt.Errorf("%w: claims that an opaque token cannot have", ErrStore)
	}
	now := s.cfg.Hooks.Now()
	t := reference{
		Version: referenceVersion, Issuer: s.cfg.Issuer, Subject: c.Subject, Audience: c.Audience, ClientID: c.ClientID,
		IssuedAt: now.Unix(), Expires: now.Add(c.Lifetime).Unix(), ID: c.ID, Scope: c.Scope,
		Confirmation: tokenbinding.Confirmation{JKT: c.JKT, X5TS256: c.X5TS256},
		ACR:          c.ACR, AMR: c.AMR, Details: c.AuthorizationDetails, GrantID: c.GrantID,
	}
	if !c.AuthTime.IsZero() {
		t.AuthTime = c.AuthTime.Unix()
	}
	value := t.encode()
	if len(value) > maxReferenced {
		return nil, fmt.Errorf("%w: %w: %d bytes, more than %d",
			ErrStore, accesstoken.ErrTooLong, len(value), maxReferenced)
	}
	return value, nil
}

func (s *Server) readReference(value []byte) (resourceserver.Claims, error) {
	var t reference
	err := t.decode(value)
	ours := t.Issuer == s.cfg.Issuer && t.Version >= 1 && t.Version <= referenceVersion
	// SP-5.3.4-5: an unknown binding makes a token worthless.
	if err != nil || !ours || t.Confirmation == (tokenbinding.Confirmation{}) {
		return resourceserver.Claims{}, fmt.Errorf("%w: stored access token of another server or version", ErrStore)
	}
	if s.cfg.Hooks.Now().Unix() >= t.Expires { // SP-5.3.4-3: whenever the store gets rid of it
		return resourceserver.Claims{}, fmt.Errorf("%w: expired", introspection.ErrInactive)
	}
	return t.claims(), nil
}

// claims returns the claims that an opaque token stands for.
func (t *reference) claims() resourceserver.Claims {
	c := resourceserver.Claims{
		Subject: t.Subject, ClientID: t.ClientID, ID: t.ID, Audience: t.Audience, Scopes: strings.Fields(t.Scope),
		Confirmation: t.Confirmation,
		ExpiresAt:    time.Unix(t.Expires, 0), IssuedAt: time.Unix(t.IssuedAt, 0), ACR: t.ACR, AMR: t.AMR,
		GrantID: t.GrantID, AuthorizationDetails: t.Details,
		Claim: func(name string) json.RawMessage {
			if name == memberVersion { // it is not a claim
				return nil
			}
			return t.members.Raw(name)
		},
	}
	if t.AuthTime != 0 {
		c.AuthTime = time.Unix(t.AuthTime, 0)
	}
	return c
}
