package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/gofapi/fapi2/internal/strictjson"
)

// ParsePrivateKey reads one private JWK, from a configuration and not from a peer, and checks that its public half
// belongs to it. No error quotes the key.
func ParsePrivateKey(raw []byte) (crypto.Signer, *Key, error) {
	o, err := strictjson.ParseObject(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: JWK: %w", ErrKey, err)
	}
	if !o.Has("d") {
		return nil, nil, fmt.Errorf("%w: JWK is not a private key", ErrKey)
	}
	public := map[string]json.RawMessage{}
	for _, name := range o.Names() {
		public[name], _ = o.Get(name)
	}
	for _, name := range append([]string{"key_ops"}, privateMembers...) { // key_ops says "sign" here
		delete(public, name)
	}
	rawPublic, err := json.Marshal(public)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: JWK", ErrKey)
	}
	key, err := ParseKey(rawPublic)
	if err != nil {
		return nil, nil, err
	}
	signer, err := privateHalf(raw)
	if err != nil || !Equal(signer.Public(), key.Public) {
		return nil, nil, fmt.Errorf("%w: JWK whose private and public halves do not belong together", ErrKey)
	}
	return signer, key, nil
}

// privateHalf leaves the reading to the JOSE library and rebuilds the key from its secret alone, so that the public
// half is computed and not believed.
func privateHalf(raw []byte) (crypto.Signer, error) {
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
		if k.D.BitLen() > 8*ecdsaHalf {
			return nil, ErrKey
		}
		return ecdsa.ParseRawPrivateKey(elliptic.P256(), k.D.FillBytes(make([]byte, ecdsaHalf)))
	case ed25519.PrivateKey:
		return ed25519.NewKeyFromSeed(k.Seed()), nil
	case *rsa.PrivateKey:
		return k, k.Validate()
	}
	return nil, ErrKey
}
