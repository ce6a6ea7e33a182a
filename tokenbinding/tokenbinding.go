// Package tokenbinding implements what makes an access token worthless to a thief: the confirmation claim that names the
// key a token is bound to (RFC 7800, "cnf"), and the rules by which an API refuses a token that is presented in any other
// way. Tokens are bound by Demonstrating Proof of Possession (DPoP, RFC 9449 §6 and §7) or by a certificate of mutual TLS
// (RFC 8705 §3).
//
// An API calls, for each request: [FromRequest], which finds the one access token in it; what reads the token, and gives the
// [Confirmation]; [Confirmation.CheckScheme]; what checks the DPoP proof or the certificate; and with their outcome
// [Confirmation.Check]. The Confirmation is Confirmation{JKT: t.JKT(), X5TS256: t.X5TS256()} for the Token t of package
// accesstoken, and what [ParseConfirmation] makes of the cnf member for other readers. A [CertificateSource] finds the
// client's certificate, in TLS itself or in what a trusted proxy says of it; its thumbprint goes into [Proof].
// When something fails, [Challenge.WriteError] answers; [Challenge.InvalidToken] wraps the errors of other token libraries. An authorization server calls [Bind] when it
// issues a token and puts the [Confirmation] into the token, or into what introspection says of it; a client checks
// token_type with [Scheme.CheckTokenType].
//
// FAPI 2.0 knows no unbound tokens, and neither does this package: a token without a binding that can be checked is
// refused however it is presented. The package does not read tokens or check proofs: packages accesstoken and dpop do. A
// DPoP proof has to be tied to the access token as well (its ath claim), which is for the proof's verifier.
package tokenbinding

import (
	"fmt"
	"strings"

	"github.com/gofapi/fapi2/internal/jose"
)

// A Scheme is the name of an HTTP authentication scheme for access tokens, which is also the token_type of a token response.
type Scheme string

// The two schemes. In messages their case does not matter; in this package they are spelt like this.
const (
	DPoP   Scheme = "DPoP"   // RFC 9449 §7.1; tokens bound to a DPoP key
	Bearer Scheme = "Bearer" // RFC 6750 §2.1; in FAPI tokens bound to a certificate, as nothing in the request but TLS shows
)

// canonical returns the constant that equals name but for case, or "".
func canonical(name string) Scheme {
	for _, s := range []Scheme{DPoP, Bearer} {
		if strings.EqualFold(name, string(s)) { // CS-19, BASE-6749-5.1-2
			return s
		}
	}
	return ""
}

// CheckTokenType reports with [ErrTokenType] if the token_type of a token response is not s, whatever the case. The client
// must throw the token away then: it asked for a bound token and has been given one that a thief could use.
func (s Scheme) CheckTokenType(tokenType string) error {
	if want := canonical(string(s)); want == "" || canonical(tokenType) != want { // DPOP-5-7
		return fmt.Errorf("%w: %.32q, want %.32q", ErrTokenType, tokenType, string(s))
	}
	return nil
}

// Proof is what a requester has proved to have with this request. The caller fills it from checks that succeeded, never
// from what the request merely says.
type Proof struct {
	JKT     string // thumbprint of the key of a verified DPoP proof (RFC 7638, SHA-256, base64url), empty if there is none
	X5TS256 string // SHA-256 thumbprint of the client certificate of the TLS connection (base64url), empty if there is none
}

// Bind returns the confirmation for a token that is to be issued to who has proved p. The error is [ErrNotBound]: FAPI
// forbids a token that is bound to nothing.
//
// A DPoP key goes before a certificate: who uses both has the certificate to authenticate with, and expects to be free to
// renew it while the token lives.
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

// CheckScheme checks the part of [Confirmation.Check] for which no proof is needed: whether a token bound like this may be
// presented by the scheme at all.
func (c Confirmation) CheckScheme(scheme Scheme) error {
	s := canonical(string(scheme))
	switch {
	case c.IsZero(): // SP-5.3.4-5, BCP-2.2.1-1
		return ErrUnbound
	case s == "":
		return fmt.Errorf("%w: scheme %.32q", ErrNoToken, string(scheme))
	case s == Bearer && c.JKT != "":
		// DPOP-7.2-1: or else a stolen token could be used by leaving the proof away.
		return ErrBearer
	case s == DPoP && c.JKT == "":
		// A proof by any key would do.
		return fmt.Errorf("%w: presented by DPoP, bound to a certificate only", ErrMismatch)
	}
	return nil
}

// Check decides whether a token with this confirmation may be used by a request that presents it by scheme and proves p.
// Every member of the confirmation must be met. The schemes' case does not matter.
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
		case p.X5TS256 == "": // MTLS-3-3: no certificate is as bad as another one
			return ErrNoCertificate
		case !jose.EqualString(c.X5TS256, p.X5TS256):
			return fmt.Errorf("%w: certificate", ErrMismatch)
		}
	}
	return nil
}
