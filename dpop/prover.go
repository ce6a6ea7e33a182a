package dpop

import (
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
)

// proofType is the typ of a proof (DPOP-4.2-1).
const proofType = "dpop+jwt"

const identifierBytes = 16 // DPOP-4.2-4: at least 96 random bits

// ProverConfig configures a [Prover].
type ProverConfig struct {
	// Key signs the proofs: an ECDSA key on P-256, Ed25519, or RSA of at least
	// 2048 bits. A key of a KMS or HSM is supported. Proofs contain the public
	// key. Required.
	Key crypto.Signer

	// Algorithm is ES256, PS256, EdDSA or Ed25519, another name of EdDSA (RFC
	// 9864). It must be among the dpop_signing_alg_values_supported of the
	// server. The default is the algorithm that fits the key, EdDSA for
	// Ed25519.
	Algorithm string

	// Now is the clock. If nil, time.Now is used. It is called concurrently.
	Now func() time.Time
}

// A Prover makes the proofs of one key. It is safe for concurrent use if the
// key is. The keys of the standard library are.
type Prover struct {
	signer *jose.Signer
	now    func() time.Time
}

// NewProver validates and copies cfg. It rejects keys and algorithms that FAPI
// 2.0 forbids.
func NewProver(cfg ProverConfig) (*Prover, error) {
	// DPOP-4.2-2, DPOP-4.2-3: an asymmetric signature, and the public key as
	// jwk.
	signer, err := jose.NewSigner(cfg.Key, jose.SignerOptions{
		Type: proofType, Algorithm: cfg.Algorithm, EmbedKey: true,
	})
	if err != nil {
		return nil, fmt.Errorf("dpop: %w", err)
	}
	p := &Prover{signer: signer, now: cfg.Now}
	if p.now == nil {
		p.now = time.Now
	}
	return p, nil
}

// Thumbprint returns the JWK SHA-256 thumbprint of the key (RFC 7638), 43
// characters. It is the value of jkt in tokens and of the parameter dpop_jkt
// (RFC 9449 §10).
func (p *Prover) Thumbprint() string { return p.signer.Thumbprint() }

// Algorithm returns the signature algorithm of the proofs.
func (p *Prover) Algorithm() string { return p.signer.Algorithm() }

// String returns a text with the algorithm and the thumbprint.
func (p *Prover) String() string {
	return fmt.Sprintf("dpop.Prover(%s, %s)", p.Algorithm(), p.Thumbprint())
}

// ProofOptions has the parts of a proof that do not come from the request.
type ProofOptions struct {
	// AccessToken is the access token of the request. If empty, the request has
	// none, as at a token endpoint.
	AccessToken string
	// Nonce is the latest DPoP-Nonce of the server. If empty, the proof has no
	// nonce.
	Nonce string
}

// String returns a text without the token and the nonce.
func (o ProofOptions) String() string {
	return fmt.Sprintf("dpop.ProofOptions(access token: %t, nonce: %t)", o.AccessToken != "", o.Nonce != "")
}

// LogValue returns the text of String.
func (o ProofOptions) LogValue() slog.Value { return slog.StringValue(o.String()) }

// Proof returns a proof for one request, the value of the DPoP header field
// (RFC 9449 §4.2). A proof can be sent once, so make a new one for every
// request, including repeated ones. The URL is absolute and must not have
// userinfo. Its query and fragment are ignored. An error is about the arguments
// or comes from the key.
//
// [Transport] calls Proof for all requests of an http.Client.
func (p *Prover) Proof(method, url string, o ProofOptions) (string, error) {
	t, err := parseTarget(url)
	if err != nil {
		return "", fmt.Errorf("dpop: invalid URL for a proof: %w", err)
	}
	ath := ""
	if o.AccessToken != "" {
		ath = jose.SHA256Base64(o.AccessToken)
	}
	return p.prove(method, t, ath, o.Nonce)
}

func (p *Prover) prove(method string, t target, ath, nonce string) (string, error) {
	if !isToken(method) {
		return "", errors.New("dpop: invalid method for a proof")
	}
	if nonce != "" && !isNonce(nonce) {
		return "", errors.New("dpop: malformed nonce")
	}
	// encoding/json would take as much time as all other steps together.
	claims := make([]byte, 0, 160+len(method)+len(t.origin)+len(t.path)+len(nonce))
	claims = append(claims, `{"jti":"`...)
	claims = append(claims, jose.RandomString(identifierBytes)...) // DPOP-4.2-4
	claims = append(claims, `","htm":`...)
	claims = appendString(claims, method) // DPOP-4.2-5
	claims = append(claims, `,"htu":`...)
	claims = appendString(claims, t.origin, t.path) // DPOP-4.2-6: no query, no fragment
	claims = append(claims, `,"iat":`...)
	claims = strconv.AppendInt(claims, p.now().Unix(), 10) // DPOP-4.2-7
	if ath != "" {
		claims = append(claims, `,"ath":"`...)
		claims = append(claims, ath...) // DPOP-4.2-8
		claims = append(claims, '"')
	}
	if nonce != "" {
		claims = append(claims, `,"nonce":`...)
		claims = appendString(claims, nonce) // DPOP-4.2-9
	}
	claims = append(claims, '}')
	proof, err := p.signer.Sign(claims)
	if err != nil {
		return "", fmt.Errorf("dpop: signing: %w", err)
	}
	return proof, nil
}

// appendString appends a JSON string. The caller has checked that the parts are
// printable ASCII.
func appendString(dst []byte, parts ...string) []byte {
	dst = append(dst, '"')
	for _, s := range parts {
		for {
			i := strings.IndexAny(s, `"\`)
			if i < 0 {
				break
			}
			dst = append(append(dst, s[:i]...), '\\', s[i])
			s = s[i+1:]
		}
		dst = append(dst, s...)
	}
	return append(dst, '"')
}

// isToken reports whether s is a token (RFC 9110 §5.6.2), as a method is.
func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenCharacter(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenCharacter(c byte) bool {
	switch {
	case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
