package dpop_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/testkit"
)

// decode returns header and claims of a proof.
func decode(t testing.TB, proof string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(proof, ".")
	require.Len(t, parts, 3)
	for i, to := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(raw, to))
	}
	return header, claims
}

func TestProof(t *testing.T) {
	p := newProver(t, testkit.ECKey(t, "client"))
	proof, err := p.Proof("POST", "https://Server.example.com:443/a?b#c", dpop.ProofOptions{AccessToken: aToken, Nonce: "eyJ7S_zG.eyJH0-Z.HX4w-7v"})
	require.NoError(t, err)
	header, claims := decode(t, proof)
	require.Equal(t, "dpop+jwt", header["typ"], "DPOP-4.2-1")
	require.Equal(t, "ES256", header["alg"], "DPOP-4.2-2")
	jwk := header["jwk"].(map[string]any)
	require.Len(t, jwk, 4, "DPOP-4.2-3: the public key and nothing else: %v", jwk)
	require.NotContains(t, jwk, "d")
	require.Len(t, header, 3)
	require.GreaterOrEqual(t, len(claims["jti"].(string)), 16, "DPOP-4.2-4: 96 bits are 16 characters of base64url")
	require.Equal(t, "POST", claims["htm"], "DPOP-4.2-5")
	require.Equal(t, "https://server.example.com/a", claims["htu"], "DPOP-4.2-6")
	require.EqualValues(t, start.Unix(), claims["iat"], "DPOP-4.2-7")
	require.Equal(t, "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo", claims["ath"], "DPOP-4.2-8")
	require.Equal(t, "eyJ7S_zG.eyJH0-Z.HX4w-7v", claims["nonce"], "DPOP-4.2-9")
	require.Len(t, claims, 6)
	require.Regexp(t, `^[A-Za-z0-9._-]+$`, proof, "DPOP-4.1-1: token68")

	seen := map[any]bool{}
	for range 1000 {
		proof, err := p.Proof("GET", origin, dpop.ProofOptions{})
		require.NoError(t, err)
		_, claims := decode(t, proof)
		require.False(t, seen[claims["jti"]], "DPOP-4.2-4 DPOP-4-1")
		seen[claims["jti"]] = true
		require.Len(t, claims, 4, "neither hash nor nonce without token and nonce")
	}
}

func TestProofEscapes(t *testing.T) {
	p := newProver(t, testkit.ECKey(t, "client"))
	for _, url := range []string{`https://a.example/"\x`, `https://a.example/"`, `https://a.example/\\`, "https://a.example/%22'<>&"} {
		proof, err := p.Proof("M-SEARCH", url, dpop.ProofOptions{Nonce: "!#$%&'()[]~"})
		require.NoError(t, err)
		_, claims := decode(t, proof)
		require.Equal(t, url, claims["htu"])
		require.Equal(t, "!#$%&'()[]~", claims["nonce"])
	}
}

func TestProofRefuses(t *testing.T) {
	p := newProver(t, testkit.ECKey(t, "client"))
	for _, tc := range []struct{ name, method, url, nonce string }{
		{"no method", "", origin, ""},
		{"DPOP-4.2-5 a method with a quote", `GET"`, origin, ""},
		{"DPOP-4.2-5 a method with a space", "GET /", origin, ""},
		{"DPOP-4.2-6 a relative URL", "GET", "/x", ""},
		{"DPOP-4.2-6 a URL of another scheme", "GET", "ftp://a.example/", ""},
		{"DPOP-4.2-6 userinfo", "GET", "https://u:secret@a.example/", ""},
		{"DPOP-4.2-6 a line break", "GET", "https://a.example/\n", ""},
		{"DPOP-4.2-6 no URL", "GET", "", ""},
		{"DPOP-8.1-1 a nonce with a quote", "GET", origin, `a","x":"`},
		{"DPOP-8.1-1 a nonce with a line break", "GET", origin, "a\n"},
		{"DPOP-8.1-1 a nonce that is too long", "GET", origin, strings.Repeat("n", 1025)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			proof, err := p.Proof(tc.method, tc.url, dpop.ProofOptions{Nonce: tc.nonce})
			require.Error(t, err)
			require.Empty(t, proof)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestNewProverRefuses(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	testkit.Reject(t, dpop.NewProver, map[string]dpop.ProverConfig{
		"no key":                       {},
		"DPOP-4.2-2 RS256":             {Key: testkit.RSAKey(t, "client"), Algorithm: "RS256"},
		"DPOP-4.2-2 none":              {Key: testkit.ECKey(t, "client"), Algorithm: "none"},
		"DPOP-4.2-2 HS256":             {Key: testkit.ECKey(t, "client"), Algorithm: "HS256"},
		"an algorithm for another key": {Key: testkit.ECKey(t, "client"), Algorithm: "PS256"},
		"RSA with 1024 bits":           {Key: weak},
		"P-384":                        {Key: p384},
	})
}

func TestProverWithRemoteKey(t *testing.T) {
	for _, key := range []crypto.Signer{testkit.ECKey(t, "client"), testkit.RSAKey(t, "client"), testkit.Ed25519Key(t, "client")} {
		p := newProver(t, testkit.RemoteKey{Signer: key})
		proof, err := p.Proof("POST", tokenEP, dpop.ProofOptions{})
		require.NoError(t, err)
		v, _ := newVerifier(t, nil)
		_, err = v.Verify(t.Context(), request(proof))
		require.NoError(t, err)
		require.Equal(t, thumbprintOf(t, key), p.Thumbprint())

		cause := errors.New("out of reach")
		_, err = newProver(t, testkit.RemoteKey{Signer: key, Err: cause}).Proof("POST", tokenEP, dpop.ProofOptions{})
		require.ErrorIs(t, err, cause)
	}
}

func TestSecretsStayOutOfLogs(t *testing.T) {
	key := testkit.Ed25519Key(t, "client")
	secret := []byte(strings.Repeat("nonce-secret", 4))
	nonces, err := dpop.NewNonceSource(dpop.NonceSourceConfig{Keys: [][]byte{secret}})
	require.NoError(t, err)
	var b strings.Builder
	log := slog.New(slog.NewTextHandler(&b, nil))
	for _, v := range []any{newProver(t, key), dpop.ProofOptions{AccessToken: aToken}, nonces} {
		fmt.Fprintf(&b, "%v %+v\n", v, v)
		log.Info("x", "v", v)
	}
	for _, hidden := range []string{aToken, string(secret), fmt.Sprint(secret)[1:40], fmt.Sprint([]byte(key))[1:40]} {
		require.NotContains(t, b.String(), hidden)
	}
	require.Contains(t, b.String(), thumbprintOf(t, key))
}

func TestProverIsConcurrent(t *testing.T) {
	p, err := dpop.NewProver(dpop.ProverConfig{Key: testkit.RSAKey(t, "client"), Now: time.Now})
	require.NoError(t, err)
	v, err := dpop.NewVerifier(dpop.VerifierConfig{BaseURLs: []string{origin}})
	require.NoError(t, err)
	errs := make([]error, 64)
	testkit.Hammer(len(errs), func(i int) {
		proof, err := p.Proof("POST", tokenEP, dpop.ProofOptions{})
		if err == nil {
			_, err = v.Verify(t.Context(), request(proof))
		}
		errs[i] = err
	})
	require.NoError(t, errors.Join(errs...))
}
