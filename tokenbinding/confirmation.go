package tokenbinding

import (
	"encoding/json"
	"fmt"

	"github.com/gofapi/fapi2/internal/strictjson"
)

// A Confirmation says what an access token is bound to. In JSON it is the cnf member of a JWT access token or of an
// introspection response. In a struct to be marshalled, tag it `json:"cnf,omitzero"`.
//
// It is a plain value; it says nothing about where it comes from.
type Confirmation struct {
	// JKT ("jkt") is the RFC 7638 SHA-256 thumbprint of the client's DPoP key in base64url, 43 characters (RFC 9449 §6.1).
	JKT string
	// X5TS256 ("x5t#S256") is the SHA-256 hash of the client's certificate in DER, in base64url, 43 characters (RFC 8705 §3.1).
	X5TS256 string
}

const (
	memberJKT     = "jkt"
	memberX5TS256 = "x5t#S256"
	maxCNF        = 16 << 10 // bytes; RFC 7800 allows a whole JWK beside our members
)

// IsZero reports whether c names no binding.
func (c Confirmation) IsZero() bool { return c == Confirmation{} }

// TokenType returns the token_type of a token with this confirmation: DPoP or Bearer, empty for the zero Confirmation.
func (c Confirmation) TokenType() Scheme {
	switch {
	case c.JKT != "": // DPOP-5-3
		return DPoP
	case c.X5TS256 != "":
		return Bearer
	}
	return ""
}

// ParseConfirmation reads a cnf member, exactly as it stands in a verified token or a trusted introspection response. An
// absent one (nil), and one with none of our members, is [ErrUnbound]; anything not well-formed is [ErrConfirmation].
// Members for other kinds of binding are ignored, as RFC 7800 §3.1 demands.
func ParseConfirmation(raw json.RawMessage) (Confirmation, error) {
	if len(raw) == 0 {
		return Confirmation{}, fmt.Errorf("%w: no cnf", ErrUnbound)
	}
	if len(raw) > maxCNF {
		return Confirmation{}, fmt.Errorf("%w: %d bytes, at most %d", ErrConfirmation, len(raw), maxCNF)
	}
	o, err := strictjson.ParseObject(raw)
	if err != nil {
		return Confirmation{}, fmt.Errorf("%w: %w", ErrConfirmation, err)
	}
	var c Confirmation
	for _, m := range []struct {
		name string
		to   *string
	}{{memberJKT, &c.JKT}, {memberX5TS256, &c.X5TS256}} { // DPOP-6.1-1, DPOP-6.2-1, MTLS-3.1-2
		value, ok, err := o.String(m.name)
		if err != nil {
			return Confirmation{}, fmt.Errorf("%w: %w", ErrConfirmation, err)
		}
		// Neither an empty string nor a null must pass for an absent member.
		if ok && !thumbprint(value) || o.Null(m.name) {
			return Confirmation{}, notThumbprint(m.name)
		}
		*m.to = value
	}
	if c.IsZero() {
		return Confirmation{}, fmt.Errorf("%w: cnf with neither %s nor %s", ErrUnbound, memberJKT, memberX5TS256)
	}
	return c, nil
}

// UnmarshalJSON is [ParseConfirmation].
func (c *Confirmation) UnmarshalJSON(data []byte) (err error) {
	*c, err = ParseConfirmation(data)
	return err
}

// MarshalJSON writes a cnf member. It fails with [ErrUnbound] if c is zero and with [ErrConfirmation] if a member is not a
// thumbprint, so that no token comes into being whose binding nobody could check.
func (c Confirmation) MarshalJSON() ([]byte, error) {
	if c.IsZero() {
		return nil, ErrUnbound
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		JKT     string `json:"jkt,omitempty"`
		X5TS256 string `json:"x5t#S256,omitempty"`
	}(c))
}

// check demands that the members which are there are thumbprints.
func (c Confirmation) check() error {
	if c.JKT != "" && !thumbprint(c.JKT) {
		return notThumbprint(memberJKT)
	}
	if c.X5TS256 != "" && !thumbprint(c.X5TS256) {
		return notThumbprint(memberX5TS256)
	}
	return nil
}

func notThumbprint(member string) error {
	return fmt.Errorf("%w: %s is not a SHA-256 hash in base64url", ErrConfirmation, member)
}

// thumbprint reports whether s has the form of 32 bytes in base64url. Stray bits in the last character are let pass, as the
// example of RFC 8705 §3.1 has them: thumbprints are compared as strings, so that such a one equals none that is computed.
func thumbprint(s string) bool {
	if len(s) != 43 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}
