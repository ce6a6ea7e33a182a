// Package introspection implements OAuth 2.0 Token Introspection (RFC 7662), by which a resource server asks the
// authorization server what an access token is worth, and the answers in the form of a signed JSON Web Token (JWT) that
// FAPI 2.0 Message Signing builds on (RFC 9701).
//
// A resource server asks with a [Client] and gets a [Token], which says what one of the package accesstoken says. Prefer
// JWT access tokens where a life of minutes is short enough. Introspection is for tokens that must end the moment they are
// revoked, that say more than a client may read or a header line can carry, and for interfaces that must be able to prove
// later what they were told: [Token.Signed] is that proof. Keep it with the public key that verifies it, for as long as
// the transaction can be disputed.
//
// An authorization server reads the question with [ParseRequest], authenticates who asks, looks the token up, and answers
// with a [Responder], which tells each [ResourceServer] only of tokens that are meant for it. Authentication is the
// caller's, by the package clientauth for one, from [Request.Form] and the connection's certificate.
//
// A Client checks all of an answer but cannot check that the sender of the token holds the key which the token is bound
// to. The caller compares what [Token.JKT] and [Token.X5TS256] say with the proof and the certificate of the request. The
// question to the authorization server carries no proof: it would have to be made with the key of the client.
//
// An answer names no question. It is bound to the token by the connection alone, so that a signed answer must be young,
// see [ClientConfig.MaxAge], and the connection is one with TLS in any case.
//
// The package does not encrypt answers, does not decrypt any, and accepts no RS256, which RFC 9701 takes for granted where
// nothing else is registered and FAPI 2.0 forbids.
package introspection

import (
	"encoding/json"
	"slices"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/strictjson"
)

const (
	typ       = "token-introspection+jwt"
	mediaJWT  = "application/" + typ // INT-9701-5-1
	mediaJSON = "application/json"

	// maxResponse bounds an answer. Authorization details are what makes it long.
	maxResponse = 64 << 10
	// maxTokenBytes bounds the token that is asked about: a longer one fits into no header line.
	maxTokenBytes = 16 << 10
)

// isScope checks RFC 6749 §3.3: scope-token *( SP scope-token ), or nothing.
func isScope(s string) bool {
	last := byte(' ')
	for i := range len(s) {
		c := s[i]
		if c == ' ' && last == ' ' || c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
		last = c
	}
	return s == "" || last != ' '
}

// isThumbprint checks the form only. The last character may carry stray bits, as it does in the example of RFC 8705 §3.1:
// thumbprints are compared as strings, and a wrong one fits nothing.
func isThumbprint(s string) bool {
	if len(s) != 43 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

func isObjectArray(raw json.RawMessage) bool {
	if strictjson.Valid(raw) != nil {
		return false
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil || items == nil {
		return false
	}
	return !slices.ContainsFunc(items, func(item json.RawMessage) bool { return item[0] != '{' })
}

func allAllowed(algs []string) bool {
	return !slices.ContainsFunc(algs, func(alg string) bool { return !jose.Allowed(alg) })
}
