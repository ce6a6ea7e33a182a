package jwt

import (
	"errors"
	"fmt"

	"github.com/gofapi/fapi2/internal/strictjson"

	"github.com/gofapi/fapi2/internal/syntax"
)

// A Confirmation is the cnf claim: the keys that a token is bound to (RFC 9449
// §6.1, RFC 8705 §3.1).
type Confirmation struct{ JKT, X5TS256 string }

// ReadConfirmation returns the cnf of a token. Its errors wrap sentinel. If
// bearer is true, cnf may be absent.
//
// A cnf without a member that can be checked binds the token to something else.
// It is rejected even if bearer is true (SP-5.3.4-5, DPOP-6-1).
func ReadConfirmation(claims strictjson.Object, sentinel error, bearer bool) (c Confirmation, err error) {
	cnf, present, err := claims.Object("cnf")
	switch {
	case err != nil:
		return Confirmation{}, fmt.Errorf("%w: %w", sentinel, err)
	// A null does not count as absent, because the issuer may have intended to
	// bind the token.
	case !present && bearer && !claims.Null("cnf"):
		return Confirmation{}, nil
	case !present:
		return Confirmation{}, fmt.Errorf("%w: missing cnf", sentinel)
	}
	if c.JKT, err = thumbprint(cnf, "jkt", sentinel); err != nil {
		return Confirmation{}, err
	}
	if c.X5TS256, err = thumbprint(cnf, "x5t#S256", sentinel); err != nil {
		return Confirmation{}, err
	}
	if c == (Confirmation{}) {
		return Confirmation{}, fmt.Errorf("%w: cnf with neither jkt nor x5t#S256", sentinel)
	}
	return c, nil
}

func thumbprint(cnf strictjson.Object, name string, sentinel error) (string, error) {
	value, present, err := cnf.String(name)
	if err != nil || present && !syntax.IsThumbprint(value) || cnf.Null(name) {
		return "", fmt.Errorf("%w: %s is not a SHA-256 thumbprint in base64url", sentinel, name)
	}
	return value, nil
}

// Write writes the cnf claim, unless c is zero.
func (c Confirmation) Write(w *strictjson.Writer) {
	if c == (Confirmation{}) {
		return
	}
	w.Object("cnf", func(w *strictjson.Writer) {
		w.String("jkt", c.JKT)
		w.String("x5t#S256", c.X5TS256)
	})
}

// Check returns an error if an issuer must not put c into a token. If bearer is
// true, c may be zero.
func (c Confirmation) Check(bearer bool) error {
	switch {
	case c == (Confirmation{}) && !bearer:
		return errors.New("missing JKT or X5TS256, one of which binds the token to a key")
	case c.JKT != "" && !syntax.IsThumbprint(c.JKT):
		return errors.New("JKT is not a SHA-256 thumbprint in base64url")
	case c.X5TS256 != "" && !syntax.IsThumbprint(c.X5TS256):
		return errors.New("X5TS256 is not a SHA-256 thumbprint in base64url")
	}
	return nil
}
