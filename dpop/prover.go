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

// proofType is the typ of a proof: DPOP-4.2-1.
const proofType = "dpop+jwt"

// identifierBytes: DPOP-4.2-4 wants at least 96 random bits.
const identifierBytes = 16

// ProverConfig configures a [Prover].
type ProverConfig struct {
	// Key signs the proofs: an ECDSA key on P-256, Ed25519, or RSA with 2048 bits or more. It may live in a hardware
	// module; only its public half gets into proofs. Required.
	Key crypto.Signer

	// Algorithm is ES256, EdDSA, Ed25519 (another name for the same, RFC 9864) or PS256. Empty means ES256, EdDSA or
	// PS256, as fits the key. See dpop_signing_alg_values_supported in the metadata of the server.
	Algorithm string

	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// A Prover makes the proofs of one key. It is safe for concurrent use if the key is, as those of the standard library are.
type Prover struct {
	signer *jose.Signer
	now    func() time.Time
}

// NewProver refuses keys and algorithms that FAPI 2.0 does. It computes header and thumbprint once.
func NewProver(cfg ProverConfig) (*Prover, error) {
	// DPOP-4.2-2: only asymmetric signatures exist in jose. DPOP-4.2-3: jwk is made from the public key.
	signer, err := jose.NewSigner(cfg.Key, jose.SignerOptions{Type: proofType, Algorithm: cfg.Algorithm, EmbedKey: true})
	if err != nil {
		return nil, fmt.Errorf("dpop: %w", err)
	}
	p := &Prover{signer: signer, now: cfg.Now}
	if p.now == nil {
		p.now = time.Now
	}
	return p, nil
}

// Thumbprint returns the JWK SHA-256 thumbprint of the key (RFC 7638), 43 characters: the value of jkt in tokens and of
// the parameter dpop_jkt (§10).
func (p *Prover) Thumbprint() string { return p.signer.Thumbprint() }

// Algorithm returns the algorithm of the proofs.
func (p *Prover) Algorithm() string { return p.signer.Algorithm() }

// String names the key by its thumbprint.
func (p *Prover) String() string {
	return fmt.Sprintf("dpop.Prover(%s, %s)", p.Algorithm(), p.Thumbprint())
}

// ProofOptions say what a proof is about besides the request.
type ProofOptions struct {
	// AccessToken is the token that the request is sent with, empty if none: at a token endpoint there is none.
	AccessToken string
	// Nonce is the latest DPoP-Nonce of the server, empty if it has sent none.
	Nonce string
}

// String keeps the token out of logs.
func (o ProofOptions) String() string {
	return fmt.Sprintf("dpop.ProofOptions(access token: %t, nonce: %t)", o.AccessToken != "", o.Nonce != "")
}

// LogValue keeps the token out of logs.
func (o ProofOptions) LogValue() slog.Value { return slog.StringValue(o.String()) }

// Proof returns a proof for one request, the value of the DPoP header field (§4.2). It may be sent once: make another for
// every request, repeated ones too. url is absolute; its query and fragment are left out, and it must not have userinfo.
// An error is about the arguments, or comes from the key.
//
// [Transport] does this for all requests of an http.Client.
func (p *Prover) Proof(method, url string, o ProofOptions) (string, error) {
	t, err := parseTarget(url)
	if err != nil {
		return "", fmt.Errorf("dpop: cannot make a proof for that URL: %w", err)
	}
	ath := ""
	if o.AccessToken != "" {
		ath = jose.SHA256Base64(o.AccessToken)
	}
	return p.prove(method, t, ath, o.Nonce)
}

func (p *Prover) prove(method string, t target, ath, nonce string) (string, error) {
	if !isToken(method) {
		return "", errors.New("dpop: cannot make a proof for that method")
	}
	if nonce != "" && !isNonce(nonce) {
		return "", errors.New("dpop: the nonce has characters that no nonce has")
	}
	// By hand, as encoding/json takes as long as the rest of it.
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
		return "", fmt.Errorf("dpop: signing a proof: %w", err)
	}
	return proof, nil
}

// appendString appends a JSON string of printable ASCII, which all that comes here has been checked to be.
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

// isToken reports whether s is a token of RFC 9110 §5.6.2, as a method is.
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
