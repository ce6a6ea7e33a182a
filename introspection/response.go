package introspection

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/jwt"
	"github.com/gofapi/fapi2/internal/strictjson"

	"github.com/gofapi/fapi2/internal/syntax"
)

// A ResourceServer is the authenticated caller of the introspection endpoint.
// The zero ResourceServer is not authenticated. It is safe for concurrent
// reading.
type ResourceServer struct {
	// ID is the identifier of the authentication, usually the client_id. A
	// signed response has it as audience. Required.
	ID string
	// Audience contains the identifiers of the resource server in the "aud" of
	// tokens. All other tokens are inactive to it. An ordinary client has no
	// Audience, so every token is inactive to it.
	Audience []string
	// Scopes contains the scope values that the resource server uses. Others
	// are omitted from responses. If nil, responses have all scope values.
	Scopes []string
	// RequireJWT reports that the resource server has registered a signing
	// algorithm (introspection_signed_response_alg). It receives signed
	// responses even if a request prefers plain JSON. An attacker could have
	// changed the request.
	RequireJWT bool
	// Encrypt encrypts a signed response to a Nested JWT, for a resource server
	// that has registered this (introspection_encrypted_response_alg). For
	// example, it is the method Seal of idtoken.Encryption. If it is not nil,
	// every response is signed. If nil, responses are not encrypted.
	Encrypt func(signed string) (encrypted string, err error)
}

// A Response describes a token. The zero Response describes an inactive token.
// The content may depend on the resource server. It is safe for concurrent
// reading.
type Response struct {
	// Active reports that this server issued the token, and that it is
	// authentic and not revoked. The [Responder] also checks expiry, NotBefore
	// and Audience. A response for an inactive token has no other members.
	Active bool
	// RefreshToken reports that the token is a refresh token, and that its own
	// client introspects it. Audience then contains that client. The response
	// has only the members active, exp and scope, and those of Extra. A
	// resource server rejects such a response, because it has no binding.
	RefreshToken bool
	// Audience contains the resource servers that the token is for ("aud"). To
	// a resource server that is not among them the token is inactive. If the
	// tokens of the server have no audience, decide whether the caller may
	// introspect the token, and set its identifier.
	Audience []string
	// Expires is when the token expires ("exp"). Required for an active token.
	Expires time.Time
	// JKT is the thumbprint of the client's DPoP key ("cnf"."jkt", RFC 9449
	// §6.2). JKT or X5TS256 is required. If both are set, the response has
	// both.
	JKT string
	// X5TS256 is the thumbprint of the client's certificate ("cnf"."x5t#S256",
	// RFC 8705 §3.2).
	X5TS256 string
	// TokenType is the token_type of the token response, "DPoP" or "Bearer".
	// The default is DPoP if JKT is set, and otherwise Bearer.
	TokenType string
	// Subject is the resource owner, or the client itself in a client
	// credentials grant ("sub").
	Subject string
	// ClientID is the client that the token was issued to ("client_id").
	ClientID string
	// Username is a human-readable name of the resource owner ("username").
	Username string
	// Scope is the granted scope, space-separated ("scope").
	Scope string
	// ID identifies the token ("jti").
	ID string
	// IssuedAt is when the token was issued ("iat"). If zero, the response has
	// no iat.
	IssuedAt time.Time
	// NotBefore is when the token becomes valid ("nbf"). If zero, the response
	// has no nbf.
	NotBefore time.Time
	// AuthTime is when the user authenticated ("auth_time", RFC 9470 §6.2). If
	// zero, the response has no auth_time.
	AuthTime time.Time
	// ACR is the authentication context class of the authentication ("acr").
	ACR string
	// AMR contains the authentication methods that were used ("amr").
	AMR []string
	// AuthorizationDetails is a JSON array with the objects that concern the
	// resource server (RFC 9396 §9.2). They may contain further members.
	AuthorizationDetails json.RawMessage
	// GrantID identifies the consent behind the token ("grant_id"): the ID of
	// the grant (Grant Management for OAuth 2.0) or of the authorization. All
	// tokens of one consent have the same value, including refreshed tokens. If
	// empty, the response has no grant_id.
	GrantID string
	// Extra contains further members by name. A name of another field is an
	// error.
	Extra map[string]any
}

// members has the members in the order in which they are written. reserved
// names are not permitted in Extra.
var reserved = []string{
	"active", "iss", "sub", "aud", "client_id", "username", "token_type", "iat", "nbf", "exp", "jti", "scope", "cnf",
	"auth_time", "acr", "amr", "authorization_details", "grant_id",
}

// INT-7662-2.2-2b, INT-9701-5-3: no other members for an inactive token.
const inactive = `{"active":false}`

// isActive reports whether a token is active to a resource server.
func (r Response) isActive(rs ResourceServer, now time.Time) bool {
	// INT-7662-4-1: times and audience are checked here too. INT-9701-3-1,
	// MS-6.2-1: a token for another resource server is inactive.
	return r.Active &&
		slices.ContainsFunc(rs.Audience, func(id string) bool { return id != "" && slices.Contains(r.Audience, id) }) &&
		(r.Expires.IsZero() || r.Expires.Unix() > now.Unix()) && // check rejects zero
		!r.NotBefore.After(now)
}

func (r Response) check(allowBearer bool) error {
	switch {
	case r.Expires.IsZero():
		return errors.New("missing Expires")
	case slices.Contains(r.Audience, ""):
		return errors.New("empty element of Audience")
	case r.TokenType != "" && !strings.EqualFold(r.TokenType, r.tokenType()): // DPOP-6.2-1
		return fmt.Errorf("TokenType %q, the binding requires %s", r.TokenType, r.tokenType())
	case !jwt.UTF8(r.Subject, r.ClientID, r.Username, r.ID, r.ACR, r.GrantID):
		return errors.New("Subject, ClientID, Username, ID, ACR or GrantID is not UTF-8")
	case !jwt.UTF8(r.Audience...) || !jwt.UTF8(r.AMR...):
		return errors.New("Audience or AMR is not UTF-8")
	case !syntax.IsScopeList(r.Scope):
		return errors.New("malformed Scope, want scope tokens with one space between each two")
	case r.AuthorizationDetails != nil && !jwt.IsObjectArray(r.AuthorizationDetails):
		return errors.New("AuthorizationDetails is not a JSON array of objects")
	}
	for _, t := range []time.Time{r.IssuedAt, r.NotBefore, r.AuthTime} {
		if !t.IsZero() && t.Unix() <= 0 {
			return errors.New("IssuedAt, NotBefore or AuthTime is before 1970")
		}
	}
	if r.RefreshToken {
		return nil
	}
	return r.confirmation().Check(allowBearer)
}

func (r Response) confirmation() jwt.Confirmation {
	return jwt.Confirmation{JKT: r.JKT, X5TS256: r.X5TS256}
}

// tokenType returns the token_type for a binding. DPOP-6.2-1: a token that is
// bound to a DPoP key has the type DPoP. A token that is bound only to a
// certificate has the type Bearer (RFC 8705 §3).
func (r Response) tokenType() string {
	if r.JKT != "" {
		return "DPoP"
	}
	return "Bearer"
}

// encode returns the members for one resource server.
func (r Response) encode(issuer string, rs ResourceServer) ([]byte, error) {
	var w strictjson.Writer
	w.Bool("active", true) // INT-7662-2.2-1
	if r.RefreshToken {
		w.Int("exp", r.Expires.Unix())
		w.String("scope", narrow(r.Scope, rs.Scopes))
		return jwt.Encode(&w, r.Extra, reserved)
	}
	w.String("iss", issuer)
	w.String("sub", r.Subject)
	jwt.WriteAudience(&w, r.Audience)
	w.String("client_id", r.ClientID)
	w.String("username", r.Username)
	w.String("token_type", r.tokenType())
	jwt.WriteTime(&w, "iat", r.IssuedAt)
	jwt.WriteTime(&w, "nbf", r.NotBefore)
	w.Int("exp", r.Expires.Unix())
	w.String("jti", r.ID)
	w.String("scope", narrow(r.Scope, rs.Scopes))
	r.confirmation().Write(&w) // DPOP-6.2-1, MTLS-3.2-1
	jwt.WriteTime(&w, "auth_time", r.AuthTime)
	w.String("acr", r.ACR) // SU-6.2-1
	w.Strings("amr", r.AMR)
	jwt.WriteArray(&w, "authorization_details", r.AuthorizationDetails) // RAR-9.2-1
	w.String("grant_id", r.GrantID)
	return jwt.Encode(&w, r.Extra, reserved)
}

// narrow returns the scope values that a resource server uses.
func narrow(scope string, known []string) string {
	if known == nil { // INT-9701-5-5, INT-7662-2.2-3
		return scope
	}
	unknown := func(value string) bool { return !slices.Contains(known, value) }
	return strings.Join(slices.DeleteFunc(strings.Fields(scope), unknown), " ")
}
