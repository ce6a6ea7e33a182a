package jose

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/gofapi/fapi2/internal/strictjson"
)

// A Key is a public JWK (RFC 7517) that FAPI 2.0 permits.
type Key struct {
	Public                crypto.PublicKey
	KeyID, Algorithm, Use string
	Thumbprint            string              // RFC 7638, SHA-256
	Certificates          []*x509.Certificate // x5c, leaf first

	// BadCertificates is the reason for which x5c was dropped, or nil.
	BadCertificates error

	ops []string // key_ops; nil if absent
}

// privateMembers are the members of private and symmetric keys (RFC 7518 §6,
// and priv of an ML-DSA key).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

// ParseKey parses a public JWK. It rejects every private or symmetric key,
// whatever its kty, and keys that no permitted algorithm can use. If x5c is
// malformed, it drops the certificates and keeps the key (Key.BadCertificates).
func ParseKey[T ~[]byte | ~string](raw T) (*Key, error) {
	o, err := strictjson.ParseObject(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: JWK: %w", ErrKey, err)
	}
	for _, name := range privateMembers { // JWT-3.5-1: k is the key of a MAC
		if o.Has(name) {
			return nil, fmt.Errorf("%w: private JWK member %q", ErrKey, name)
		}
	}
	text := func(name string) string {
		value, present, wrong := o.String(name)
		if present && wrong == nil && value == "" && name != "kid" { // would count as no restriction
			wrong = fmt.Errorf("empty member %q", name)
		}
		err = cmp.Or(err, wrong)
		return value
	}
	kty, crv := text("kty"), text("crv")
	k := &Key{KeyID: text("kid"), Algorithm: text("alg"), Use: text("use")}
	if err != nil {
		return nil, fmt.Errorf("%w: JWK: %w", ErrKey, err)
	}
	if k.ops, err = operations(o); err != nil {
		return nil, err
	}
	// The members are canonical, so the thumbprint is a hash of their texts.
	switch {
	case kty == "EC" && crv == "P-256":
		k.Public, k.Thumbprint, err = parseP256(o)
	case kty == "OKP" && crv == "Ed25519":
		k.Public, k.Thumbprint, err = parseEd25519(o)
	case kty == "RSA":
		k.Public, k.Thumbprint, err = parseRSA(o)
	default:
		err = fmt.Errorf("%w: unsupported JWK of kty %.16q, crv %.16q", ErrKey, kty, crv)
	}
	if err != nil {
		return nil, err
	}
	if err := k.readCertificates(o); err != nil {
		return nil, err
	}
	return k, nil
}

func operations(o strictjson.Object) ([]string, error) {
	ops, present, err := o.Strings("key_ops")
	if !present {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: JWK: %w", ErrKey, err)
	}
	sorted := slices.Sorted(slices.Values(ops))
	if len(slices.Compact(sorted)) != len(ops) { // RFC 7517 §4.3
		return nil, fmt.Errorf("%w: repeated value in JWK member key_ops", ErrKey)
	}
	return ops, nil
}

// octets appends the octets of a member to dst.
func octets(dst []byte, o strictjson.Object, name string) (raw []byte, text string, err error) {
	text, ok, err := o.String(name)
	if err != nil || !ok {
		return nil, "", fmt.Errorf("%w: missing JWK member %q, want a string", ErrKey, name)
	}
	if raw, err = decode(dst, text); err != nil {
		return nil, "", fmt.Errorf("%w: malformed JWK member %q, want base64url", ErrKey, name)
	}
	return raw, text, nil
}

func parseP256(o strictjson.Object) (key crypto.PublicKey, thumbprint string, err error) {
	var room [1 + ecdsaRawSize]byte
	half, xText, err := octets(append(room[:0], 4), o, "x")
	if err != nil {
		return nil, "", err
	}
	point, yText, err := octets(half, o, "y")
	if err != nil {
		return nil, "", err
	}
	if len(half) != 1+ecdsaHalf || len(point) != 1+ecdsaRawSize { // RFC 7518 §6.2.1.2: the full size
		return nil, "", fmt.Errorf("%w: JWK coordinates are not %d octets", ErrKey, ecdsaHalf)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil { // JWT-3.4-1: a point off the curve
		return nil, "", fmt.Errorf("%w: JWK coordinates are not a point of P-256", ErrKey)
	}
	return public, SHA256Base64(p256JWK(xText, yText)...), nil
}

func parseEd25519(o strictjson.Object) (key crypto.PublicKey, thumbprint string, err error) {
	x, xText, err := octets(nil, o, "x")
	if err != nil {
		return nil, "", err
	}
	if len(x) != ed25519.PublicKeySize {
		return nil, "", fmt.Errorf("%w: JWK member x is not %d octets", ErrKey, ed25519.PublicKeySize)
	}
	if !ed25519Usable(x) { // JWT-3.4-1
		return nil, "", fmt.Errorf("%w: JWK member x is not canonical or of small order", ErrKey)
	}
	return ed25519.PublicKey(x), SHA256Base64(ed25519JWK(xText)...), nil
}

func parseRSA(o strictjson.Object) (key crypto.PublicKey, thumbprint string, err error) {
	var room [maxRSABits/16 + 4]byte
	n, nText, err := octets(room[:0], o, "n")
	if err != nil {
		return nil, "", err
	}
	e, eText, err := octets(nil, o, "e")
	if err != nil {
		return nil, "", err
	}
	// RFC 7518 §6.3.1: minimal octets. With padding one key would have several
	// thumbprints.
	if len(n) == 0 || n[0] == 0 || len(e) == 0 || e[0] == 0 || len(e) > 4 {
		return nil, "", fmt.Errorf("%w: malformed JWK members n, e, want minimal integers", ErrKey)
	}
	exponent := new(big.Int).SetBytes(e).Int64()
	if exponent > 1<<31-1 {
		return nil, "", fmt.Errorf("%w: RSA exponent too large", ErrKey)
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent)}
	if !KeyFits(public, PS256) {
		return nil, "", fmt.Errorf("%w: RSA modulus of %d bits, exponent %d", ErrKey, public.N.BitLen(), public.E)
	}
	return public, SHA256Base64(rsaJWK(nText, eText)...), nil
}

const maxCertificates = 10

// readCertificates parses x5c. It drops malformed certificates, because the key
// does not depend on them. A certificate of another key is an error, because it
// is unclear which of the two keys the owner intended.
func (k *Key) readCertificates(o strictjson.Object) error {
	chain, ok, err := o.Strings("x5c")
	if err != nil || len(chain) > maxCertificates || ok && len(chain) == 0 {
		k.BadCertificates = fmt.Errorf("%w: malformed JWK member x5c, want 1 to %d certificates",
			ErrKey, maxCertificates)
		return nil
	}
	var certificates []*x509.Certificate
	for i, item := range chain {
		cert, err := parseCertificate(item)
		if err != nil {
			k.BadCertificates = fmt.Errorf("%w: JWK member x5c: certificate %d: %w", ErrKey, i, err)
			return nil
		}
		// MTLS-2.2.2-1, RFC 7517 §4.7: the first certificate is for the key of
		// the JWK.
		if i == 0 && !Equal(cert.PublicKey, k.Public) {
			return fmt.Errorf("%w: JWK member x5c is for another key", ErrKey)
		}
		certificates = append(certificates, cert)
	}
	k.Certificates = certificates
	return nil
}

func parseCertificate(text string) (*x509.Certificate, error) {
	der, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(text) != base64.StdEncoding.EncodedLen(len(der)) { // the decoder skips line breaks
		return nil, errors.New("not base64")
	}
	return x509.ParseCertificate(der)
}

// Equal reports whether two public keys are equal.
func Equal(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// Fits reports whether the key named kid may verify a signature of alg. If kid
// is empty, every name fits.
func (k *Key) Fits(kid, alg string) bool {
	switch {
	case kid != "" && k.KeyID != kid:
	case k.Algorithm != "" && k.Algorithm != alg && !(sameEd25519(k.Algorithm) && sameEd25519(alg)): // JWT-3.1-2
	case k.Use != "" && k.Use != "sig":
	case k.ops != nil && !slices.Contains(k.ops, "verify"):
	default:
		return KeyFits(k.Public, alg)
	}
	return false
}

// Encrypts reports whether alg may encrypt to the key. Its use must be enc,
// because a key without use could also verify signatures.
func (k *Key) Encrypts(alg string) bool {
	encrypts := func(op string) bool {
		return op == "encrypt" || op == "wrapKey" || op == "deriveKey" || op == "deriveBits"
	}
	return k.Use == "enc" && (k.Algorithm == "" || k.Algorithm == alg) &&
		(k.ops == nil || slices.ContainsFunc(k.ops, encrypts)) && EncryptionFits(k.Public, alg, A256GCM)
}

func (k *Key) fitsAny() bool {
	return slices.ContainsFunc(Algorithms(), func(alg string) bool { return k.Fits("", alg) })
}

// sameEd25519 reports whether alg is one of the two names of Ed25519.
func sameEd25519(alg string) bool { return alg == EdDSA || alg == Ed25519 }

// Candidates returns the keys that may have signed a token with this kid and
// alg.
func Candidates(keys []*Key, kid, alg string) []crypto.PublicKey {
	// SP-5.4.3-1: several keys may have one kid. kty, crv, use, key_ops and alg
	// narrow the choice.
	var fit []crypto.PublicKey
	for _, k := range keys {
		if k.Fits(kid, alg) {
			fit = append(fit, k.Public)
		}
	}
	return fit
}

// maxKeys bounds a JWK Set.
const maxKeys = 100

// A Dropped is a key that ParseKeySet dropped, or whose certificates it
// dropped.
type Dropped struct {
	Index        int    // in the list of keys
	KeyID        string // empty if it is malformed
	Certificates bool   // only the certificates were dropped
	Secret       bool   // it has a private or symmetric member
	Reason       error
}

// ParseKeySet parses a JWK Set. It drops malformed keys, and keys that no
// permitted algorithm can use. The other keys stay valid (RFC 7517 §5). It also
// drops private and symmetric keys, because their owner has disclosed them.
func ParseKeySet(raw []byte) ([]*Key, []Dropped, error) {
	list, _, err := strictjson.Cut(raw, "keys")
	if err != nil {
		return nil, nil, fmt.Errorf("%w: JWK Set: %w", ErrKey, err)
	}
	items, err := strictjson.Elements(list)
	if err != nil || len(items) > maxKeys {
		return nil, nil, fmt.Errorf("%w: JWK Set without a list of at most %d keys", ErrKey, maxKeys)
	}
	keys := make([]*Key, 0, len(items))
	var dropped []Dropped
	for i, item := range items {
		key, err := ParseKey(item)
		if err == nil && !key.fitsAny() && !slices.ContainsFunc(EncryptionAlgorithms(), key.Encrypts) {
			err = fmt.Errorf("%w: alg, use or key_ops of JWK exclude all permitted algorithms", ErrKey)
		}
		switch {
		case err != nil:
			dropped = append(dropped, drop(i, item, err))
			continue
		case key.BadCertificates != nil:
			dropped = append(dropped, Dropped{
				Index: i, KeyID: key.KeyID, Certificates: true, Reason: key.BadCertificates,
			})
		}
		keys = append(keys, key)
	}
	return keys, dropped, nil
}

func drop(i int, item []byte, reason error) Dropped {
	d := Dropped{Index: i, Reason: reason}
	if o, err := strictjson.ParseObject(item); err == nil {
		d.KeyID, _, _ = o.String("kid")
		d.Secret = slices.ContainsFunc(privateMembers, o.Has)
	}
	return d
}
