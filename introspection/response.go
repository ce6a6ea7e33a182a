package introspection

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gofapi/fapi2/internal/strictjson"
)

// A ResourceServer is one that asks and has been authenticated. The zero ResourceServer is nobody.
type ResourceServer struct {
	// ID is the identifier by which it authenticated, its client_id as a rule. A signed answer names it as its audience.
	// Required.
	ID string
	// Audience are the identifiers by which tokens name it in their own "aud". It is told of those tokens only; all others
	// are inactive. An ordinary client has none of these, and learns nothing even if it can authenticate here.
	Audience []string
	// Scopes are the scope values that mean something to it; others are left out of what it is told. nil: it is told all.
	Scopes []string
	// RequireJWT says that it has registered a signing algorithm (introspection_signed_response_alg). It gets signed answers
	// then, whatever it asks for, so that nobody on the way can have it ask for less.
	RequireJWT bool
}

// Response is what there is to say about a token. The zero Response says that it is inactive. What is to be said may
// depend on who asks.
type Response struct {
	// Active says that the token was issued here, and is authentic and not revoked; that it has not expired, is already
	// valid and is for the one who asks is checked here once more. Of an inactive token nothing else is said, whatever
	// the other fields hold.
	Active bool
	// Audience are the resource servers that the token is for ("aud"). One of them must be the one who asks, or the token is
	// inactive to it. If tokens here have no audience, decide whether this resource server may know of this token, and
	// put its identifier here.
	Audience []string
	// Expires is when the token expires ("exp"). Required of an active one.
	Expires time.Time
	// JKT is the thumbprint of the client's DPoP key ("cnf"."jkt", RFC 9449 §6.2). This or X5TS256 is required, and both are
	// said if there are both.
	JKT string
	// X5TS256 is the thumbprint of the client's certificate ("cnf"."x5t#S256", RFC 8705 §3.2).
	X5TS256 string
	// TokenType is "DPoP" or "Bearer", as the token endpoint said ("token_type"). Default: DPoP with JKT, else Bearer.
	TokenType string
	// Subject is the resource owner, or the client itself in a client credentials grant ("sub").
	Subject string
	// ClientID is the client that the token was issued to ("client_id").
	ClientID string
	// Username is a name of the resource owner for people to read ("username").
	Username string
	// Scope is the granted scope, space-separated ("scope").
	Scope string
	// ID identifies the token ("jti").
	ID string
	// IssuedAt is when the token was issued ("iat"); zero: not said.
	IssuedAt time.Time
	// NotBefore is when the token becomes valid ("nbf"); zero: not said.
	NotBefore time.Time
	// AuthTime is when the user authenticated ("auth_time", RFC 9470 §6.2); zero: not said.
	AuthTime time.Time
	// ACR is the authentication context class that was met ("acr").
	ACR string
	// AMR are the authentication methods that were used ("amr").
	AMR []string
	// AuthorizationDetails is a JSON array of objects (RFC 9396 §9.2): those that concern the one who asks, with whatever it
	// needs to know besides.
	AuthorizationDetails json.RawMessage
	// GrantID identifies the consent behind the token ("grant_id"): the ID of the
	// grant (Grant Management for OAuth 2.0) or of the authorization. All tokens
	// of one consent have the same value, including refreshed tokens. If empty,
	// the response has no grant_id.
	GrantID string
	// Extra are further members by name. Those that are named above cannot come from here.
	Extra map[string]any
}

// members has the members in the order in which they are written.
type members struct {
	Active               bool            `json:"active"` // INT-7662-2.2-1
	Issuer               string          `json:"iss"`
	Subject              string          `json:"sub,omitempty"`
	Audience             any             `json:"aud"`
	ClientID             string          `json:"client_id,omitempty"`
	Username             string          `json:"username,omitempty"`
	TokenType            string          `json:"token_type"`
	IssuedAt             int64           `json:"iat,omitempty"`
	NotBefore            int64           `json:"nbf,omitempty"`
	Expires              int64           `json:"exp"`
	ID                   string          `json:"jti,omitempty"`
	Scope                string          `json:"scope,omitempty"`
	Confirmation         *confirmation   `json:"cnf,omitempty"`
	AuthTime             int64           `json:"auth_time,omitempty"`
	ACR                  string          `json:"acr,omitempty"`
	AMR                  []string        `json:"amr,omitempty"`
	AuthorizationDetails json.RawMessage `json:"authorization_details,omitempty"`
	GrantID              string          `json:"grant_id,omitempty"`
}

type confirmation struct {
	JKT     string `json:"jkt,omitempty"`
	X5TS256 string `json:"x5t#S256,omitempty"`
}

// ownMembers may not come from Extra.
var ownMembers = []string{
	"active", "iss", "sub", "aud", "client_id", "username", "token_type", "iat", "nbf", "exp", "jti", "scope", "cnf", "auth_time",
	"acr", "amr", "authorization_details", "grant_id",
}

// inactive is all that may be said of an inactive token. INT-7662-2.2-2b, INT-9701-5-3
const inactive = `{"active":false}`

// isActive. INT-7662-4-1: what can be known here is not left to the host alone. INT-9701-3-1, MS-6.2-1: a token for
// others does not exist for this resource server.
func (r Response) isActive(rs ResourceServer, now time.Time) bool {
	return r.Active &&
		slices.ContainsFunc(rs.Audience, func(id string) bool { return id != "" && slices.Contains(r.Audience, id) }) &&
		(r.Expires.IsZero() || r.Expires.Unix() > now.Unix()) && // zero is a mistake, which check finds
		!r.NotBefore.After(now)
}

func (r Response) check(allowBearer bool) error {
	switch {
	case r.Expires.IsZero():
		return errors.New("no Expires")
	case slices.Contains(r.Audience, ""):
		return errors.New("an empty Audience")
	case r.JKT == "" && r.X5TS256 == "" && !allowBearer:
		return errors.New("neither JKT nor X5TS256: the token would be bound to no key")
	case r.JKT != "" && !isThumbprint(r.JKT):
		return errors.New("JKT is no SHA-256 thumbprint in base64url")
	case r.X5TS256 != "" && !isThumbprint(r.X5TS256):
		return errors.New("X5TS256 is no SHA-256 thumbprint in base64url")
	case r.TokenType != "" && !strings.EqualFold(r.TokenType, r.tokenType()): // DPOP-6.2-1
		return fmt.Errorf("TokenType is %q, but the token is bound as one of type %s", r.TokenType, r.tokenType())
	// JSON would make one character of all bytes that are invalid. Each by itself: two halves of a character make a whole.
	case slices.ContainsFunc([]string{r.Subject, r.ClientID, r.Username, r.ID, r.ACR, r.GrantID}, isNotUTF8):
		return errors.New("Subject, ClientID, Username, ID, ACR or GrantID is not UTF-8")
	case slices.ContainsFunc(r.Audience, isNotUTF8) || slices.ContainsFunc(r.AMR, isNotUTF8):
		return errors.New("Audience or AMR is not UTF-8")
	case !isScope(r.Scope):
		return errors.New("Scope is not a list of scope tokens with a space between each two")
	case r.AuthorizationDetails != nil && !isObjectArray(r.AuthorizationDetails):
		return errors.New("AuthorizationDetails is no JSON array of objects")
	}
	for _, t := range []time.Time{r.IssuedAt, r.NotBefore, r.AuthTime} {
		if !t.IsZero() && t.Unix() <= 0 {
			return errors.New("IssuedAt, NotBefore or AuthTime is before 1970")
		}
	}
	for name := range r.Extra {
		if slices.ContainsFunc(ownMembers, func(own string) bool { return strings.EqualFold(own, name) }) {
			return fmt.Errorf("Extra has %q, which is not for Extra to say", name)
		}
	}
	return nil
}

func isNotUTF8(s string) bool { return !utf8.ValidString(s) }

// tokenType. DPOP-6.2-1: a token that is bound to a DPoP key is of type DPoP. One that is bound to a certificate alone is
// used as Bearer (RFC 8705 §3).
func (r Response) tokenType() string {
	if r.JKT != "" {
		return "DPoP"
	}
	return "Bearer"
}

// encode writes the members for one resource server.
func (r Response) encode(issuer string, rs ResourceServer) ([]byte, error) {
	m := members{
		Active: true, Issuer: issuer, Subject: r.Subject, Audience: r.Audience, ClientID: r.ClientID, Username: r.Username,
		TokenType: r.tokenType(), IssuedAt: unix(r.IssuedAt), NotBefore: unix(r.NotBefore), Expires: r.Expires.Unix(), ID: r.ID,
		Scope:    narrow(r.Scope, rs.Scopes),
		AuthTime: unix(r.AuthTime), ACR: r.ACR, AMR: r.AMR, // SU-6.2-1
		AuthorizationDetails: r.AuthorizationDetails, // RAR-9.2-1
		GrantID:              r.GrantID,
	}
	if len(r.Audience) == 1 {
		m.Audience = r.Audience[0]
	}
	if r.JKT != "" || r.X5TS256 != "" {
		m.Confirmation = &confirmation{r.JKT, r.X5TS256} // DPOP-6.2-1, MTLS-3.2-1
	}
	body, err := marshal(m)
	if err != nil || len(r.Extra) == 0 {
		return body, err
	}
	more, err := marshal(r.Extra)
	if err != nil {
		return nil, fmt.Errorf("Extra: %w", err)
	}
	body = append(append(body[:len(body)-1], ','), more[1:]...)
	// Names that differ only by case would be refused by whoever reads the answer.
	return body, strictjson.Valid(body)
}

// narrow. INT-9701-5-5, INT-7662-2.2-3: other values are none of this resource server's business.
func narrow(scope string, known []string) string {
	if known == nil {
		return scope
	}
	return strings.Join(slices.DeleteFunc(strings.Fields(scope), func(v string) bool { return !slices.Contains(known, v) }), " ")
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// marshal keeps "&" in URLs as it is: answers go into no HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
