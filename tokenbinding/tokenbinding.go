// Package tokenbinding implements sender-constrained access tokens: the
// confirmation claim cnf (RFC 7800), and the rules by which an API accepts a
// token. A token is bound to a DPoP key (RFC 9449 §6 and §7) or to a client
// certificate of mutual TLS (RFC 8705 §3). A stolen token is useless without
// the key.
//
// An API takes these steps for each request:
//
//   - [FromRequest] returns the access token of the request.
//   - The host verifies the token and obtains its [Confirmation]. For package
//     accesstoken it is Confirmation{JKT: t.JKT(), X5TS256: t.X5TS256()}.
//     [ParseConfirmation] parses the cnf member of other tokens.
//   - [Confirmation.CheckScheme] checks the authentication scheme.
//   - The host verifies the DPoP proof (package dpop) or obtains the
//     certificate from a [CertificateSource].
//   - [Confirmation.Check] checks that the token is bound to that key or
//     certificate.
//   - [Challenge.WriteError] responds if a step fails. [Challenge.InvalidToken]
//     wraps the errors of other token libraries.
//
// An authorization server calls [Bind] when it issues a token, and writes the
// [Confirmation] into the token or into the introspection response. A client
// checks token_type with [Scheme.CheckTokenType].
//
// The package rejects every token without a binding, as FAPI 2.0 does. It does
// not verify tokens and proofs. The verifier of a proof also checks that the
// proof belongs to the access token (its claim ath).
package tokenbinding

import (
	"fmt"
	"strings"

	"github.com/gofapi/fapi2/internal/jose"
)

// A Scheme is an HTTP authentication scheme for access tokens. It is also the
// token_type of a token response.
type Scheme string

// The schemes of this package. Their case does not matter in messages.
const (
	DPoP   Scheme = "DPoP"   // RFC 9449 §7.1; tokens bound to a DPoP key
	Bearer Scheme = "Bearer" // RFC 6750 §2.1; tokens bound to a certificate
)

// canonical returns the constant that equals name except for its case, or an
// empty Scheme.
func canonical(name string) Scheme {
	for _, s := range []Scheme{DPoP, Bearer} {
		if strings.EqualFold(name, string(s)) { // CS-19, BASE-6749-5.1-2
			return s
		}
	}
	return ""
}

// CheckTokenType checks that the token_type of a token response is s. The case
// does not matter. If it is not s, the error is [ErrTokenType]. The client must
// then discard the token: it requested a bound token, and a thief could use
// this one.
func (s Scheme) CheckTokenType(tokenType string) error {
	if want := canonical(string(s)); want == "" || canonical(tokenType) != want { // DPOP-5-7
		return fmt.Errorf("%w: %.32q, want %.32q", ErrTokenType, tokenType, string(s))
	}
	return nil
}

// Proof has the keys that the sender of a request has proved to possess. The
// caller fills it from successful checks, never from unverified members of the
// request.
type Proof struct {
	// JKT is the thumbprint of the key of a verified DPoP proof (RFC 7638:
	// SHA-256 in base64url). It is empty without a proof.
	JKT string
	// X5TS256 is the thumbprint of the client certificate (SHA-256 in
	// base64url). It is empty without a certificate.
	X5TS256 string
}

// Bind returns the confirmation of a token for the sender that has proved p.
// FAPI 2.0 requires a binding: if p is empty, the error is [ErrNotBound].
//
// If p has both, the token is bound to the DPoP key. Such a client uses the
// certificate for authentication, and may renew it during the lifetime of the
// token.
func Bind(p Proof) (Confirmation, error) {
	c := Confirmation{JKT: p.JKT}
	if c.JKT == "" {
		c.X5TS256 = p.X5TS256
	}
	if c.IsZero() { // SP-5.3.2.1-4, SP-5.3.2.1-5, CS-14
		return Confirmation{}, ErrNotBound
	}
	if err := c.check(); err != nil {
		return Confirmation{}, err
	}
	return c, nil
}

// CheckScheme checks whether the scheme permits a token with this confirmation.
// It is the part of [Confirmation.Check] that needs no proof. The error is
// [ErrUnbound], [ErrNoToken], [ErrBearer] or [ErrMismatch].
func (c Confirmation) CheckScheme(scheme Scheme) error {
	s := canonical(string(scheme))
	switch {
	case c.IsZero(): // SP-5.3.4-5, BCP-2.2.1-1
		return ErrUnbound
	case s == "":
		return fmt.Errorf("%w: scheme %.32q", ErrNoToken, string(scheme))
	case s == Bearer && c.JKT != "":
		// DPOP-7.2-1: otherwise a stolen token could be used without a proof.
		return ErrBearer
	case s == DPoP && c.JKT == "":
		// A proof with any key would suffice.
		return fmt.Errorf("%w: scheme DPoP and no DPoP binding", ErrMismatch)
	}
	return nil
}

// Check decides whether a request that presents a token with scheme and proves
// p may use the token. Every member of the confirmation must match. The case of
// the scheme does not matter. The error is one of those of
// [Confirmation.CheckScheme], or [ErrNoProof], [ErrNoCertificate] or
// [ErrMismatch].
func (c Confirmation) Check(scheme Scheme, p Proof) error {
	if err := c.CheckScheme(scheme); err != nil {
		return err
	}
	if c.JKT != "" { // DPOP-6-1
		switch {
		case p.JKT == "": // DPOP-7.1-2
			return ErrNoProof
		case !jose.EqualString(c.JKT, p.JKT): // DPOP-4.3-12b
			return fmt.Errorf("%w: DPoP key", ErrMismatch)
		}
	}
	if c.X5TS256 != "" {
		switch {
		case p.X5TS256 == "": // MTLS-3-3
			return ErrNoCertificate
		case !jose.EqualString(c.X5TS256, p.X5TS256):
			return fmt.Errorf("%w: certificate", ErrMismatch)
		}
	}
	return nil
}
