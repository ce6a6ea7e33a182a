package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
)

// The library creates no invalid JWTs, so the attacks create their own.

type object = map[string]any

// A signature creates the last part of a JWT.
type signature func(signed string) ([]byte, error)

// forge creates a JWT (RFC 7515 §7.1).
func forge(header, claims object, sign signature) (string, error) {
	h, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	c, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed := encode(h) + "." + encode(c)
	s, err := sign(signed)
	return signed + "." + encode(s), err
}

func unsigned(string) ([]byte, error) { return nil, nil }

func es256(key *ecdsa.PrivateKey) signature {
	return func(signed string) ([]byte, error) {
		digest := sha256.Sum256([]byte(signed))
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			return nil, err
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), nil
	}
}

func rs256(key *rsa.PrivateKey) signature {
	return func(signed string) ([]byte, error) {
		digest := sha256.Sum256([]byte(signed))
		return rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	}
}

func hs256(secret []byte) signature {
	return func(signed string) ([]byte, error) {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(signed))
		return mac.Sum(nil), nil
	}
}

// reforge changes an existing JWT and signs it again.
func reforge(token string, sign signature, changes ...func(header, claims object)) (string, error) {
	header, claims, err := unseal(token)
	if err != nil {
		return "", err
	}
	for _, change := range changes {
		change(header, claims)
	}
	return forge(header, claims, sign)
}

// unseal reads a JWT without verification.
func unseal(token string) (header, claims object, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, nil, errors.New("not a JWT")
	}
	for i, o := range []*object{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil, nil, err
		}
		if err := json.Unmarshal(raw, o); err != nil {
			return nil, nil, err
		}
	}
	return header, claims, nil
}

// with sets members of the header and of the claims. A nil value removes a
// member.
func with(header, claims object) func(h, c object) {
	return func(h, c object) {
		set(h, header)
		set(c, claims)
	}
}

func set(o, members object) {
	maps.Copy(o, members)
	maps.DeleteFunc(o, func(_ string, value any) bool { return value == nil })
}

// keep leaves the signature of a token as it is.
func keep(token string) signature {
	return func(string) ([]byte, error) {
		return base64.RawURLEncoding.DecodeString(token[strings.LastIndexByte(token, '.')+1:])
	}
}

// privateJWK returns a key with its private part, which no message may contain.
func privateJWK(key *ecdsa.PrivateKey) (object, error) {
	public, err := key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, err
	}
	private, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	return object{"kty": "EC", "crv": "P-256", "x": encode(public[1:33]), "y": encode(public[33:]),
		"d": encode(private)}, nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
