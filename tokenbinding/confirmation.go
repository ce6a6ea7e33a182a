package tokenbinding

import (
	"encoding/json"
	"fmt"

	"github.com/gofapi/fapi2/internal/strictjson"

	"github.com/gofapi/fapi2/internal/syntax"
)

// A Confirmation names the keys to which an access token is bound. In JSON it
// is the member cnf of a JWT access token or of an introspection response. Tag
// it `json:"cnf,omitzero"` in a struct. It is a plain value and does not prove
// its origin.
type Confirmation struct {
	// JKT is the member jkt: the SHA-256 thumbprint of the client's DPoP key
	// (RFC 7638), 43 characters of base64url (RFC 9449 §6.1).
	JKT string
	// X5TS256 is the member x5t#S256: the SHA-256 hash of the client's
	// certificate in DER, 43 characters of base64url (RFC 8705 §3.1).
	X5TS256 string
}

const (
	memberJKT     = "jkt"
	memberX5TS256 = "x5t#S256"
	maxCNF        = 16 << 10 // bytes; RFC 7800 permits a whole JWK in cnf
)

// IsZero reports whether c has no binding.
func (c Confirmation) IsZero() bool { return c == Confirmation{} }

// TokenType returns the token_type of a token with this confirmation: DPoP or
// Bearer. It is empty for the zero Confirmation.
func (c Confirmation) TokenType() Scheme {
	switch {
	case c.JKT != "": // DPOP-5-3
		return DPoP
	case c.X5TS256 != "":
		return Bearer
	}
	return ""
}

// ParseConfirmation parses the member cnf of a verified token or of a trusted
// introspection response. If cnf is absent (nil), or has neither member of
// [Confirmation], the error is [ErrUnbound]. If it is malformed, the error is
// [ErrConfirmation]. Members for other kinds of binding are ignored (RFC 7800
// §3.1).
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
		// An empty string and a null must not count as absent.
		if ok && !syntax.IsThumbprint(value) || o.Null(m.name) {
			return Confirmation{}, notThumbprint(m.name)
		}
		*m.to = value
	}
	if c.IsZero() {
		return Confirmation{}, fmt.Errorf("%w: cnf with neither %s nor %s", ErrUnbound, memberJKT, memberX5TS256)
	}
	return c, nil
}

// UnmarshalJSON calls [ParseConfirmation].
func (c *Confirmation) UnmarshalJSON(data []byte) (err error) {
	*c, err = ParseConfirmation(data)
	return err
}

// MarshalJSON returns the member cnf. The error is [ErrUnbound] if c is zero,
// and [ErrConfirmation] if a member is not a thumbprint. A server can therefore
// not issue a token whose binding no API can check.
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

// check checks that the present members are thumbprints.
func (c Confirmation) check() error {
	if c.JKT != "" && !syntax.IsThumbprint(c.JKT) {
		return notThumbprint(memberJKT)
	}
	if c.X5TS256 != "" && !syntax.IsThumbprint(c.X5TS256) {
		return notThumbprint(memberX5TS256)
	}
	return nil
}

func notThumbprint(member string) error {
	return fmt.Errorf("%w: %s is not a SHA-256 hash in base64url", ErrConfirmation, member)
}
