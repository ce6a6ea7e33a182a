package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
)

// The library makes no bad JWTs, so the tests make their own.

// A change alters the header or the claims of a JWT before it is signed; a nil
// value leaves a member out.
type change func(header, claims object)

func header(name string, value any) change {
	return func(h, _ object) { set(h, object{name: value}) }
}

func claim(name string, value any) change {
	return func(_, c object) { set(c, object{name: value}) }
}

func set(o, members object) {
	maps.Copy(o, members)
	maps.DeleteFunc(o, func(_ string, value any) bool { return value == nil })
}

// forge makes a JWT (RFC 7515 §7.1) by the algorithm that its header names, as
// far as key can.
func forge(t testing.TB, key crypto.Signer, h, c object, changes ...change) string {
	t.Helper()
	h, c = maps.Clone(h), maps.Clone(c)
	for _, change := range changes {
		change(h, c)
	}
	encoded := func(v any) string {
		raw, err := json.Marshal(v)
		require.NoError(t, err)
		return encode(raw)
	}
	signed := encoded(h) + "." + encoded(c)
	return signed + "." + encode(signature(t, key, h["alg"], signed))
}

func signature(t testing.TB, key crypto.Signer, alg any, signed string) []byte {
	t.Helper()
	digest := sha256.Sum256([]byte(signed))
	var made []byte
	var err error
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		if alg == "none" {
			return nil
		}
		r, s, signing := ecdsa.Sign(rand.Reader, k, digest[:])
		require.NoError(t, signing)
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case *rsa.PrivateKey:
		if alg == "RS256" {
			made, err = rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, digest[:])
		} else {
			made, err = rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
	case ed25519.PrivateKey:
		made, err = k.Sign(rand.Reader, []byte(signed), crypto.Hash(0))
	default:
		require.Fail(t, "no such key", "%T", key)
	}
	require.NoError(t, err)
	return made
}

// unseal reads a JWT and believes it.
func unseal(t testing.TB, token string) (h, c object) {
	t.Helper()
	parts := split(token)
	require.Len(t, parts, 3, "%q is no JWT", token)
	for i, o := range []*object{&h, &c} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(raw, o))
	}
	return h, c
}

func split(token string) (parts []string) {
	start := 0
	for i, c := range []byte(token) {
		if c == '.' {
			parts, start = append(parts, token[start:i]), i+1
		}
	}
	return append(parts, token[start:])
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func newEC(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// alg is the algorithm of the client's signatures.
func (p *party) alg() string {
	if _, ok := p.key.(*rsa.PrivateKey); ok {
		return "PS256"
	}
	return "ES256"
}

// publicJWK is the public part of a P-256, RSA or Ed25519 key.
func publicJWK(t testing.TB, key crypto.PublicKey) object {
	t.Helper()
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		raw, err := k.Bytes()
		require.NoError(t, err)
		return object{"kty": "EC", "crv": "P-256", "x": encode(raw[1:33]), "y": encode(raw[33:])}
	case *rsa.PublicKey:
		return object{"kty": "RSA", "n": encode(k.N.Bytes()), "e": "AQAB"}
	case ed25519.PublicKey:
		return object{"kty": "OKP", "crv": "Ed25519", "x": encode(k)}
	}
	require.Fail(t, "no such key", "%T", key)
	return nil
}

// thumbprint is RFC 7638 for a P-256 key.
func thumbprint(t testing.TB, key *ecdsa.PrivateKey) string {
	t.Helper()
	raw, err := json.Marshal(publicJWK(t, key.Public())) // encoding/json sorts, and there are no other members
	require.NoError(t, err)
	sum := sha256.Sum256(raw)
	return encode(sum[:])
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return encode(sum[:])
}
