package conformance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// An object is a JSON object.
type object = map[string]any

// A jwt is a JWT before it is signed, so that each part can be changed. The
// library creates no invalid JWTs, so this package has its own.
type jwt struct {
	header, claims object
	sign           func(signed []byte) ([]byte, error)
}

// compact signs the JWT (RFC 7515 §7.1).
func (j *jwt) compact() (string, error) {
	header, err := json.Marshal(j.header)
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(j.claims)
	if err != nil {
		return "", err
	}
	signed := encode(header) + "." + encode(claims)
	signature, err := j.sign([]byte(signed))
	return signed + "." + encode(signature), err
}

// renew makes the JWT usable for a second attempt.
func (j *jwt) renew() {
	if _, ok := j.claims["jti"]; ok {
		j.claims["jti"] = rand.Text()
	}
}

// after moves a claim to a time relative to now.
func (j *jwt) after(claim string, d time.Duration) { j.claims[claim] = time.Now().Add(d).Unix() }

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// algorithmOf returns the algorithm that FAPI 2.0 permits for a key.
func algorithmOf(key crypto.Signer) (string, error) {
	switch public := key.Public().(type) {
	case *ecdsa.PublicKey:
		if public.Curve.Params().BitSize == 256 {
			return "ES256", nil
		}
	case ed25519.PublicKey:
		return "EdDSA", nil
	case *rsa.PublicKey:
		if public.Size() >= 256 {
			return "PS256", nil
		}
	}
	return "", errors.New("key is not P-256, Ed25519 or RSA of at least 2048 bits")
}

// signer returns the signature function of a key.
func signer(key crypto.Signer) func([]byte) ([]byte, error) {
	return func(signed []byte) ([]byte, error) {
		digest := sha256.Sum256(signed)
		switch key.Public().(type) {
		case ed25519.PublicKey:
			return key.Sign(rand.Reader, signed, crypto.Hash(0))
		case *rsa.PublicKey:
			return key.Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256})
		}
		der, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			return nil, err
		}
		var s struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(der, &s); err != nil {
			return nil, fmt.Errorf("signature of the key: %w", err)
		}
		return append(s.R.FillBytes(make([]byte, 32)), s.S.FillBytes(make([]byte, 32))...), nil
	}
}

// unsigned is the signature of the algorithm none.
func unsigned([]byte) ([]byte, error) { return nil, nil }

// damaged returns a signature of a key for other content.
func damaged(sign func([]byte) ([]byte, error)) func([]byte) ([]byte, error) {
	return func(signed []byte) ([]byte, error) { return sign(append([]byte("x"), signed...)) }
}

// publicJWK returns the public part of a P-256 key.
func publicJWK(key *ecdsa.PrivateKey) (object, error) {
	point, err := key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, err
	}
	return object{"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])}, nil
}
