package testkit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// NewKey makes a P-256 key.
func NewKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

// NewRSAKey makes an RSA key of 2048 bits.
func NewRSAKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	return key
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// JWK returns a private key as a JWK for a peer.
func JWK(t testing.TB, key crypto.Signer, kid, alg string) map[string]string {
	t.Helper()
	jwk := map[string]string{"kid": kid, "alg": alg, "use": "sig"}
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		d, err := key.Bytes()
		check(t, err)
		point, err := key.PublicKey.Bytes() // 4, x, y
		check(t, err)
		half := (len(point) - 1) / 2
		jwk["kty"], jwk["crv"], jwk["d"] = "EC", "P-256", encode(d)
		jwk["x"], jwk["y"] = encode(point[1:1+half]), encode(point[1+half:])
	case *rsa.PrivateKey:
		key.Precompute()
		jwk["kty"], jwk["n"], jwk["e"], jwk["d"] = "RSA", encode(key.N.Bytes()), "AQAB", encode(key.D.Bytes())
		jwk["p"], jwk["q"] = encode(key.Primes[0].Bytes()), encode(key.Primes[1].Bytes())
		jwk["dp"], jwk["dq"] = encode(key.Precomputed.Dp.Bytes()), encode(key.Precomputed.Dq.Bytes())
		jwk["qi"] = encode(key.Precomputed.Qinv.Bytes())
	default:
		t.Fatalf("no JWK for a %T", key)
	}
	return jwk
}

// PublicJWK returns the public part of a key as a JWK.
func PublicJWK(t testing.TB, key crypto.Signer, kid, alg string) map[string]string {
	t.Helper()
	jwk := JWK(t, key, kid, alg)
	for _, member := range []string{"d", "p", "q", "dp", "dq", "qi"} {
		delete(jwk, member)
	}
	return jwk
}

// A JWT can be parsed, changed and signed again with any algorithm.
type JWT struct {
	Header, Claims map[string]any // as they are in JSON
}

// ParseJWT parses a JWT. It verifies nothing.
func ParseJWT(token string) (*JWT, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("malformed JWT with %d parts", len(parts))
	}
	j := new(JWT)
	for i, to := range []*map[string]any{&j.Header, &j.Claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, to); err != nil {
			return nil, err
		}
	}
	return j, nil
}

// Sign signs the JWT with the alg of its header: ES256, PS256, RS256, HS256,
// none, or nOnE with a signature. The secret for HS256 is the public key. A
// verifier that confuses the two algorithms would accept it.
func (j *JWT) Sign(key crypto.Signer) (string, error) {
	header, err := json.Marshal(j.Header)
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(j.Claims)
	if err != nil {
		return "", err
	}
	input := encode(header) + "." + encode(claims)
	alg, _ := j.Header["alg"].(string)
	signature, err := sign(alg, key, []byte(input))
	return input + "." + encode(signature), err
}

func sign(alg string, key crypto.Signer, input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	switch alg {
	case "none":
		return nil, nil
	case "nOnE": // for verifiers that compare with none in lower case
		return digest[:], nil
	case "ES256":
		ec, ok := key.(*ecdsa.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("ES256 with a %T", key)
		}
		r, s, err := ecdsa.Sign(rand.Reader, ec, digest[:])
		if err != nil {
			return nil, err
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), nil
	case "PS256":
		return key.Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash,
			Hash: crypto.SHA256})
	case "RS256":
		return key.Sign(rand.Reader, digest[:], crypto.SHA256)
	case "HS256":
		secret, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			return nil, err
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write(input)
		return mac.Sum(nil), nil
	}
	return nil, fmt.Errorf("unsupported alg %q", alg)
}
