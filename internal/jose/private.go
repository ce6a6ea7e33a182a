package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/gofapi/fapi2/internal/strictjson"
)

// ParsePrivateKey parses a private JWK for signing from a configuration, not
// from a peer. It checks that the public half belongs to the private half. An
// RSA key needs its primes. No error quotes the key.
func ParsePrivateKey(raw []byte) (crypto.Signer, *Key, error) {
	o, err := strictjson.ParseObject(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: JWK: %w", ErrKey, err)
	}
	if !o.Has("d") {
		return nil, nil, fmt.Errorf("%w: JWK is not a private key", ErrKey)
	}
	ops, err := operations(o)
	if err != nil {
		return nil, nil, err
	}
	public := map[string]json.RawMessage{}
	for _, name := range o.Names() {
		if name != "key_ops" && !slices.Contains(privateMembers, name) { // key_ops is for the private half
			public[name], _ = o.Get(name)
		}
	}
	rawPublic, err := json.Marshal(public)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: JWK", ErrKey)
	}
	key, err := ParseKey(rawPublic)
	if err != nil {
		return nil, nil, err
	}
	if key.BadCertificates != nil { // an error in a configuration is not dropped
		return nil, nil, key.BadCertificates
	}
	// JWT-3.1-2: a key for decryption or for another algorithm must not sign.
	if !key.fitsAny() || ops != nil && !slices.Contains(ops, "sign") {
		return nil, nil, fmt.Errorf("%w: alg, use or key_ops of JWK exclude signing", ErrKey)
	}
	signer, err := privateHalf(o, key.Public)
	if err != nil || !Equal(signer.Public(), key.Public) {
		return nil, nil, fmt.Errorf("%w: mismatching private and public halves of JWK", ErrKey)
	}
	return signer, key, nil
}

// MarshalPrivateKey returns the private JWK of a signing key. key is the public
// half with its members. The signer must be a key of the standard library, and
// an RSA key has two primes.
func MarshalPrivateKey(signer crypto.Signer, key *Key) ([]byte, error) {
	secret := map[string][]byte{}
	switch k := signer.(type) {
	case *ecdsa.PrivateKey:
		d, err := k.Bytes()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		secret["d"] = d
	case ed25519.PrivateKey:
		if len(k) != ed25519.PrivateKeySize {
			return nil, fmt.Errorf("%w: %d bytes of an Ed25519 key", ErrKey, len(k))
		}
		secret["d"] = k.Seed()
	case *rsa.PrivateKey:
		if len(k.Primes) != 2 || k.Precomputed.Dp == nil {
			return nil, fmt.Errorf("%w: RSA without two primes and precomputed values", ErrKey)
		}
		for name, value := range map[string]*big.Int{
			"d": k.D, "p": k.Primes[0], "q": k.Primes[1],
			"dp": k.Precomputed.Dp, "dq": k.Precomputed.Dq, "qi": k.Precomputed.Qinv,
		} {
			secret[name] = value.Bytes()
		}
	default:
		return nil, fmt.Errorf("%w: %T does not reveal its private key", ErrKey, signer)
	}
	public, err := key.MarshalJSON()
	if err != nil {
		return nil, err
	}
	private := map[string]string{}
	for name, value := range secret {
		private[name] = base64.RawURLEncoding.EncodeToString(value)
	}
	members, err := json.Marshal(private)
	if err != nil {
		return nil, err
	}
	raw := append(append(public[:len(public)-1:len(public)-1], ','), members[1:]...)
	if _, _, err = ParsePrivateKey(raw); err != nil { // the halves do not belong together
		return nil, err
	}
	return raw, nil
}

// privateHalf parses the private key with the JOSE library, which receives only
// checked members of the key. It rebuilds the key from its secret, and computes
// the public half and the CRT values of RSA. A signature with wrong CRT values
// would reveal the primes.
func privateHalf(o strictjson.Object, public crypto.PublicKey) (crypto.Signer, error) {
	names := []string{"d"}
	if _, ok := public.(*rsa.PublicKey); ok {
		names = []string{"d", "p", "q"}
	}
	if o.Has("oth") {
		return nil, fmt.Errorf("%w: RSA with more than two primes", ErrKey)
	}
	members := map[string]json.RawMessage{}
	for _, name := range names {
		secret, _, err := octets(nil, o, name)
		// RFC 7518 §6.2.2.1, RFC 8037 §2: the full size
		if err != nil || len(secret) > maxRSABits/8 || len(names) == 1 && len(secret) != ecdsaHalf {
			return nil, fmt.Errorf("%w: malformed JWK member %q", ErrKey, name)
		}
	}
	for _, name := range append(names, "kty", "crv", "x", "y", "n", "e") {
		if value, ok := o.Get(name); ok {
			members[name] = value
		}
	}
	raw, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	parsed, err := jwk.ParseKey(raw)
	if err != nil {
		return nil, err
	}
	var key any
	if err := parsed.Raw(&key); err != nil {
		return nil, err
	}
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		return fromScalar(k.D)
	case ed25519.PrivateKey:
		return ed25519.NewKeyFromSeed(k.Seed()), nil
	case *rsa.PrivateKey:
		own := &rsa.PrivateKey{PublicKey: k.PublicKey, D: k.D, Primes: k.Primes}
		own.Precompute()
		return own, own.Validate()
	}
	return nil, ErrKey
}

// fromScalar returns the P-256 key of a secret.
func fromScalar(d *big.Int) (*ecdsa.PrivateKey, error) {
	if d.Sign() <= 0 || d.BitLen() > 8*ecdsaHalf {
		return nil, ErrKey
	}
	return ecdsa.ParseRawPrivateKey(elliptic.P256(), d.FillBytes(make([]byte, ecdsaHalf)))
}
