package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

func unhex(t testing.TB, s string) string {
	t.Helper()
	raw, err := hex.DecodeString(s)
	require.NoError(t, err)
	return enc(string(raw))
}

func TestParseKeyRejectsEC(t *testing.T) {
	jwk := publicJWK(t, testkit.ECKey(t, "a").Public())
	x, y := jwk["x"].(string), jwk["y"].(string)
	p384 := generateEC(t, elliptic.P384())
	for _, tc := range []struct{ name, jwk string }{
		{"a private key", edit(t, jwk, "d", "AAAA")},
		{"an empty private member", edit(t, jwk, "d", "")},
		{"a null private member", `{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + y + `","d":null}`},
		{"JWT-3.5-1 a symmetric member", edit(t, jwk, "k", "AAAA")},
		{"a private member of RSA", edit(t, jwk, "qi", "AAAA")},
		{"more primes", edit(t, jwk, "oth", []any{})},
		{"JWT-3.4-1 a point off the curve", edit(t, jwk, "y", x)},
		{"JWT-3.4-1 the origin", edit(t, jwk, "x", enc(strings.Repeat("\x00", 32)), "y", enc(strings.Repeat("\x00", 32)))},
		{"JWT-3.4-1 coordinates not reduced", edit(t, jwk, "x", enc(strings.Repeat("\xff", 32)))},
		{"JWT-3.4-1 a P-384 point called P-256", edit(t, jwk, "x", enc(string(p384.X.Bytes())), "y", enc(string(p384.Y.Bytes())))},
		{"SP-5.4.1-3 crv P-192", edit(t, jwk, "crv", "P-192")},
		{"crv P-384", edit(t, jwk, "crv", "P-384")},
		{"crv secp256k1", edit(t, jwk, "crv", "secp256k1")},
		{"crv Ed25519", edit(t, jwk, "crv", "Ed25519")},
		{"no crv", edit(t, jwk, "crv", nil)},
		{"crv is a number", edit(t, jwk, "crv", 256)},
		{"no kty", edit(t, jwk, "kty", nil)},
		{"kty in lower case", edit(t, jwk, "kty", "ec")},
		{"kty OKP", edit(t, jwk, "kty", "OKP")},
		{"kty oct", edit(t, jwk, "kty", "oct")},
		{"no y", edit(t, jwk, "y", nil)},
		{"y is a number", edit(t, jwk, "y", 7)},
		{"y is empty", edit(t, jwk, "y", "")},
		{"a coordinate with a byte too many", edit(t, jwk, "x", enc("\x00")+x)},
		{"a coordinate of 33 bytes", edit(t, jwk, "x", enc(strings.Repeat("\x00", 33)))},
		{"a coordinate of 31 bytes", edit(t, jwk, "x", enc(strings.Repeat("\x01", 31)))},
		{"padding", edit(t, jwk, "x", x+"=")},
		{"a newline in a coordinate", edit(t, jwk, "x", x[:5]+"\n"+x[5:])},
		{"a last character with stray bits", edit(t, jwk, "x", stray(x))},
		{"a coordinate in the other alphabet", edit(t, jwk, "x", "+"+x[1:])},
		{"kid is a number", edit(t, jwk, "kid", 1)},
		{"alg is empty", edit(t, jwk, "alg", "")},
		{"alg is a list", edit(t, jwk, "alg", []string{"ES256"})},
		{"use is empty", edit(t, jwk, "use", "")},
		{"use is a list", edit(t, jwk, "use", []string{"sig"})},
		{"key_ops is a string", edit(t, jwk, "key_ops", "verify")},
		{"key_ops holds a number", edit(t, jwk, "key_ops", []any{"verify", 1})},
		{"key_ops repeats a value", edit(t, jwk, "key_ops", []any{"verify", "sign", "verify"})},
		{"a member twice", strings.Replace(edit(t, jwk), `{`, `{"kty":"RSA",`, 1)},
		{"a member in two cases", strings.Replace(edit(t, jwk), `{`, `{"KTY":"RSA",`, 1)},
		{"a nested member twice", strings.Replace(edit(t, jwk), `{`, `{"ext":{"a":1,"a":2},`, 1)},
		{"bytes after it", edit(t, jwk) + "x"},
		{"a list", "[" + edit(t, jwk) + "]"},
		{"null", "null"},
		{"nothing", ""},
	} {
		t.Run(tc.name, func(t *testing.T) { refused(t, tc.jwk) })
	}
}

func refused(t *testing.T, jwk string) {
	t.Helper()
	key, err := jose.ParseKey([]byte(jwk))
	require.ErrorIs(t, err, jose.ErrKey)
	require.Nil(t, key)
}

// stray adds one to the last character of 32 octets in base64url, which has four
// bits and two unused ones.
func stray(s string) string { return s[:len(s)-1] + string(s[len(s)-1]+1) }

func TestParseKeyRejectsEd25519(t *testing.T) {
	jwk := publicJWK(t, testkit.Ed25519Key(t, "a").Public())
	for _, tc := range []struct{ name, jwk string }{
		{"a private key", edit(t, jwk, "d", "AAAA")},
		{"crv X25519", edit(t, jwk, "crv", "X25519")},
		{"crv Ed448", edit(t, jwk, "crv", "Ed448")},
		{"31 octets", edit(t, jwk, "x", enc(strings.Repeat("\x05", 31)))},
		{"33 octets", edit(t, jwk, "x", enc(strings.Repeat("\x05", 33)))},
		{"a last character with stray bits", edit(t, jwk, "x", stray(jwk["x"].(string)))},
		{"JWT-3.4-1 y = 0, order 4", edit(t, jwk, "x", unhex(t, strings.Repeat("00", 32)))},
		{"JWT-3.4-1 y = 0 with a sign, order 4", edit(t, jwk, "x", unhex(t, strings.Repeat("00", 31)+"80"))},
		{"JWT-3.4-1 the neutral point", edit(t, jwk, "x", unhex(t, "01"+strings.Repeat("00", 31)))},
		{"JWT-3.4-1 the neutral point with a sign", edit(t, jwk, "x", unhex(t, "01"+strings.Repeat("00", 30)+"80"))},
		{"JWT-3.4-1 order 2", edit(t, jwk, "x", unhex(t, "ec"+strings.Repeat("ff", 30)+"7f"))},
		{"JWT-3.4-1 order 8", edit(t, jwk, "x", unhex(t, "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"))},
		{"JWT-3.4-1 order 8, with a sign", edit(t, jwk, "x", unhex(t, "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"))},
		{"JWT-3.4-1 order 8, the other", edit(t, jwk, "x", unhex(t, "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"))},
		{"JWT-3.4-1 y = p, not canonical", edit(t, jwk, "x", unhex(t, "ed"+strings.Repeat("ff", 30)+"7f"))},
		{"JWT-3.4-1 y = p + 1, not canonical", edit(t, jwk, "x", unhex(t, "ee"+strings.Repeat("ff", 30)+"7f"))},
		{"JWT-3.4-1 y = 2²⁵⁵ - 1, not canonical", edit(t, jwk, "x", unhex(t, strings.Repeat("ff", 31)+"7f"))},
		{"JWT-3.4-1 y = 2²⁵⁵ - 1 with a sign", edit(t, jwk, "x", unhex(t, strings.Repeat("ff", 32)))},
	} {
		t.Run(tc.name, func(t *testing.T) { refused(t, tc.jwk) })
	}
}

func TestParseKeyRejectsRSA(t *testing.T) {
	key := testkit.RSAKey(t, "a")
	jwk := publicJWK(t, key.Public())
	n := func(n *big.Int) string { return enc(string(n.Bytes())) }
	two := func(bits uint, less int64) *big.Int {
		return new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), bits), big.NewInt(less))
	}
	for _, tc := range []struct{ name, jwk string }{
		{"a private key", edit(t, jwk, "d", "AAAA")},
		{"only a prime", edit(t, jwk, "p", "AAAA")},
		{"SP-5.4.1-2 1024 bits", edit(t, jwk, "n", n(generateRSA(t, 1024).N))},
		{"SP-5.4.1-2 2047 bits", edit(t, jwk, "n", n(two(2047, 1)))},
		{"SP-5.4.1-2 1024 bits filled up with zeros", edit(t, jwk, "n", enc(strings.Repeat("\x00", 128)+string(two(1024, 1).Bytes())))},
		{"8193 bits", edit(t, jwk, "n", n(two(8193, 1)))},
		{"half a million bits", edit(t, jwk, "n", n(two(1<<19, 1)))},
		{"an even modulus", edit(t, jwk, "n", n(two(2048, 2)))},
		{"a zero in front of n", edit(t, jwk, "n", enc("\x00"+string(key.N.Bytes())))},
		{"n is empty", edit(t, jwk, "n", "")},
		{"n is a number", edit(t, jwk, "n", 5)},
		{"no e", edit(t, jwk, "e", nil)},
		{"e is empty", edit(t, jwk, "e", "")},
		{"exponent 0", edit(t, jwk, "e", "AA")},
		{"exponent 1", edit(t, jwk, "e", "AQ")},
		{"exponent 2", edit(t, jwk, "e", "Ag")},
		{"an even exponent", edit(t, jwk, "e", enc("\x01\x00\x00"))},
		{"a zero in front of e", edit(t, jwk, "e", enc("\x00\x01\x00\x01"))},
		{"exponent 2³¹ + 1", edit(t, jwk, "e", enc("\x80\x00\x00\x01"))},
		{"an exponent of five octets", edit(t, jwk, "e", enc("\x01\x00\x00\x00\x01"))},
		{"an exponent of the modulus' size", edit(t, jwk, "e", n(key.N))},
	} {
		t.Run(tc.name, func(t *testing.T) { refused(t, tc.jwk) })
	}
}

func TestParseKeyAccepts(t *testing.T) {
	for _, p := range pairs(t) {
		t.Run(p.alg, func(t *testing.T) {
			raw := edit(t, publicJWK(t, p.key.Public()), "kid", "k", "alg", p.alg, "use", "sig", "key_ops", []string{"verify"}, "ext", true, "x5u", 5)
			key, err := jose.ParseKey([]byte(raw))
			require.NoError(t, err)
			require.True(t, jose.Equal(key.Public, p.key.Public()))
			require.Equal(t, []string{"k", p.alg, "sig"}, []string{key.KeyID, key.Algorithm, key.Use})
			require.True(t, key.Fits("k", p.alg))
			require.True(t, key.Fits("", p.alg))
			require.False(t, key.Fits("K", p.alg))
			thumbprint, err := jose.Thumbprint(p.key.Public())
			require.NoError(t, err)
			require.Equal(t, thumbprint, key.Thumbprint)
		})
	}
	t.Run("coordinates that begin with zero keep their size", func(t *testing.T) {
		for found := 0; found < 2; {
			key := generateEC(t, elliptic.P256())
			if key.X.BitLen() > 248 && key.Y.BitLen() > 248 {
				continue
			}
			found++
			jwk := publicJWK(t, key.Public())
			require.Len(t, jwk["x"], 43)
			require.Len(t, jwk["y"], 43)
			parsed, err := jose.ParseKey([]byte(edit(t, jwk)))
			require.NoError(t, err)
			require.True(t, key.PublicKey.Equal(parsed.Public))
			minimal := edit(t, jwk, "x", enc(string(key.X.Bytes())), "y", enc(string(key.Y.Bytes())))
			refused(t, minimal)
		}
	})
	t.Run("Ed25519 keys of every shape", func(t *testing.T) {
		for i := range 200 {
			key := testkit.Ed25519Key(t, "shape"+string(rune('A'+i)))
			_, err := jose.ParseKey([]byte(edit(t, publicJWK(t, key.Public()))))
			require.NoError(t, err)
		}
	})
}

func TestFits(t *testing.T) {
	ec, rs, ed := publicJWK(t, testkit.ECKey(t, "a").Public()), publicJWK(t, testkit.RSAKey(t, "a").Public()), publicJWK(t, testkit.Ed25519Key(t, "a").Public())
	for _, tc := range []struct {
		name, jwk, alg string
		fits           bool
	}{
		{"a bare key", edit(t, ec), "ES256", true},
		{"JWT-3.1-2 a bare key of another type", edit(t, ec), "PS256", false},
		{"JWT-3.1-2 alg of another algorithm", edit(t, rs, "alg", "RS256"), "PS256", false},
		{"JWT-3.1-2 alg of a MAC", edit(t, rs, "alg", "HS256"), "PS256", false},
		{"JWT-3.1-2 alg of encryption", edit(t, rs, "alg", "RSA-OAEP-256"), "PS256", false},
		{"JWT-3.1-2 alg is none", edit(t, ec, "alg", "none"), "ES256", false},
		{"JWT-3.1-2 the key's alg, but not its type", edit(t, ec, "alg", "PS256"), "PS256", false},
		{"JWT-3.1-1 an algorithm that is not allowed", edit(t, rs, "alg", "RS256"), "RS256", false},
		{"EdDSA is Ed25519", edit(t, ed, "alg", "EdDSA"), "Ed25519", true},
		{"Ed25519 is EdDSA", edit(t, ed, "alg", "Ed25519"), "EdDSA", true},
		{"use enc", edit(t, ec, "use", "enc"), "ES256", false},
		{"use in other case", edit(t, ec, "use", "SIG"), "ES256", false},
		{"use sig", edit(t, ec, "use", "sig"), "ES256", true},
		{"key_ops without verify", edit(t, ec, "key_ops", []string{"sign"}), "ES256", false},
		{"key_ops with nothing", edit(t, ec, "key_ops", []string{}), "ES256", false},
		{"key_ops with verify", edit(t, ec, "key_ops", []string{"sign", "verify"}), "ES256", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key, err := jose.ParseKey([]byte(tc.jwk))
			require.NoError(t, err)
			require.Equal(t, tc.fits, key.Fits("", tc.alg))
			again, err := json.Marshal(key)
			require.NoError(t, err)
			key, err = jose.ParseKey(again)
			require.NoError(t, err)
			require.Equal(t, tc.fits, key.Fits("", tc.alg), "writing the key does not widen what it is for")
		})
	}
}

func TestCandidates(t *testing.T) {
	ec, rs, ed := testkit.ECKey(t, "a"), testkit.RSAKey(t, "a"), testkit.Ed25519Key(t, "a")
	next := testkit.ECKey(t, "b")
	set := `{"keys":[` + strings.Join([]string{
		edit(t, publicJWK(t, rs.Public()), "kid", "k"),
		edit(t, publicJWK(t, ed.Public()), "kid", "k"),
		edit(t, publicJWK(t, testkit.ECKey(t, "enc").Public()), "kid", "k", "use", "enc"),
		edit(t, publicJWK(t, testkit.ECKey(t, "ops").Public()), "kid", "k", "key_ops", []string{"deriveKey"}),
		edit(t, publicJWK(t, testkit.ECKey(t, "alg").Public()), "kid", "k", "alg", "ECDH-ES"),
		edit(t, publicJWK(t, ec.Public()), "kid", "k"),
		edit(t, publicJWK(t, next.Public()), "kid", "k", "alg", "ES256", "use", "sig"),
		edit(t, publicJWK(t, testkit.ECKey(t, "other kid").Public()), "kid", "K"),
		edit(t, publicJWK(t, testkit.ECKey(t, "no kid").Public())),
	}, ",") + `]}`
	keys, _, err := jose.ParseKeySet([]byte(set))
	require.NoError(t, err)
	t.Run("SP-5.4.3-1 kty, crv, use, key_ops and alg choose among keys of one kid", func(t *testing.T) {
		got := jose.Candidates(keys, "k", "ES256")
		require.Len(t, got, 2)
		require.True(t, jose.Equal(got[0], ec.Public()))
		require.True(t, jose.Equal(got[1], next.Public()))
		require.Len(t, jose.Candidates(keys, "k", "PS256"), 1)
		require.Len(t, jose.Candidates(keys, "k", "EdDSA"), 1)
	})
	t.Run("SP-5.4.3-1 the second key of the kid verifies", func(t *testing.T) {
		c := split(t, sign(t, next, jose.SignerOptions{KeyID: "k"}))
		_, err := c.VerifyAny("ES256", jose.Candidates(keys, "k", "ES256"))
		require.NoError(t, err)
	})
	t.Run("JWT-3.10-1 a kid that is not in the set finds nothing", func(t *testing.T) {
		require.Empty(t, jose.Candidates(keys, "../k", "ES256"))
	})
	t.Run("JWT-3.1-1 an algorithm that is not allowed finds nothing", func(t *testing.T) {
		for _, alg := range []string{"none", "", "HS256", "RS256", "ECDH-ES"} {
			require.Empty(t, jose.Candidates(keys, "k", alg))
		}
	})
	require.Len(t, jose.Candidates(keys, "", "ES256"), 4, "no kid, every key that fits")
}

func TestParseKeySet(t *testing.T) {
	ec := publicJWK(t, testkit.ECKey(t, "a").Public())
	good := edit(t, ec, "kid", "good")
	for _, tc := range []struct {
		name, set string
		kids      []string
	}{
		{"one key", `{"keys":[` + good + `],"other":1}`, []string{"good"}},
		{"no key", `{"keys":[]}`, []string{}},
		{"an unknown kty", `{"keys":[{"kty":"AKP"},` + good + `]}`, []string{"good"}},
		{"no kty", `{"keys":[{},` + good + `]}`, []string{"good"}},
		{"an unknown crv", `{"keys":[` + edit(t, ec, "crv", "P-521") + `,` + good + `]}`, []string{"good"}},
		{"SP-5.4.1-2 a weak key", `{"keys":[` + edit(t, publicJWK(t, testkit.RSAKey(t, "a").Public()), "n", enc(strings.Repeat("\xff", 128))) + `,` + good + `]}`, []string{"good"}},
		{"JWT-3.4-1 a point off the curve", `{"keys":[` + edit(t, ec, "x", ec["y"]) + `,` + good + `]}`, []string{"good"}},
		{"a key for encryption", `{"keys":[` + edit(t, ec, "use", "enc", "kid", "e") + `,` + good + `]}`, []string{"e", "good"}},
		{"JWT-3.1-2 a key for encryption in another way", `{"keys":[` + edit(t, ec, "use", "enc", "alg", "ECDH-ES+A192KW") + `,` + good + `]}`, []string{"good"}},
		{"a key for signatures by an algorithm of encryption", `{"keys":[` + edit(t, ec, "use", "sig", "alg", "ECDH-ES") + `,` + good + `]}`, []string{"good"}},
		{"an Ed25519 key for encryption", `{"keys":[` + edit(t, publicJWK(t, testkit.Ed25519Key(t, "a").Public()), "use", "enc") + `,` + good + `]}`, []string{"good"}},
		{"JWT-3.1-2 a key for RS256", `{"keys":[` + edit(t, publicJWK(t, testkit.RSAKey(t, "a").Public()), "alg", "RS256") + `,` + good + `]}`, []string{"good"}},
		{"CASES C6: a private key", `{"keys":[` + good + `,` + edit(t, ec, "d", "AAAA") + `]}`, []string{"good"}},
		{"CASES C6: JWT-3.5-1 a symmetric key", `{"keys":[` + good + `,{"kty":"oct","k":"AAAA"}]}`, []string{"good"}},
		{"CASES C6: a private key of an unknown kind", `{"keys":[` + good + `,{"kty":"AKP","d":"AAAA"}]}`, []string{"good"}},
		{"CASES C6: a string", `{"keys":["x",` + good + `]}`, []string{"good"}},
		{"CASES C6: a null", `{"keys":[null,` + good + `]}`, []string{"good"}},
		{"CASES C6: a member twice in a key", `{"keys":[{"kty":"X","kty":"X"},` + good + `]}`, []string{"good"}},
		{"CASES C5: x5c without a certificate", `{"keys":[` + edit(t, ec, "kid", "bare", "x5c", []string{}) + `,` + good + `]}`, []string{"bare", "good"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			keys, dropped, err := jose.ParseKeySet([]byte(tc.set))
			require.NoError(t, err)
			for _, d := range dropped {
				require.ErrorIs(t, d.Reason, jose.ErrKey)
			}
			kids := []string{}
			for _, k := range keys {
				kids = append(kids, k.KeyID)
			}
			require.Equal(t, tc.kids, kids)
		})
	}
	for _, tc := range []struct{ name, set string }{
		{"keys is null", `{"keys":null}`},
		{"keys is an object", `{"keys":{}}`},
		{"keys in other case", `{"KEYS":[` + good + `]}`},
		{"keys twice", `{"keys":[],"keys":[` + good + `]}`},
		{"a member twice beside keys", `{"a":1,"a":2,"keys":[]}`},
		{"a member twice in a member beside keys", `{"a":{"b":1,"b":2},"keys":[]}`},
		{"a key and no set", good},
		{"a list", `[` + good + `]`},
		{"101 keys", `{"keys":[` + strings.Repeat(good+",", 100) + good + `]}`},
		{"bytes after it", `{"keys":[]}{}`},
		{"nothing", ``},
	} {
		t.Run(tc.name, func(t *testing.T) {
			keys, dropped, err := jose.ParseKeySet([]byte(tc.set))
			require.ErrorIs(t, err, jose.ErrKey)
			require.Nil(t, keys)
			require.Nil(t, dropped)
		})
	}
}

func certificate(t testing.TB, key *ecdsa.PrivateKey) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(der)
}

func TestCertificates(t *testing.T) {
	key := testkit.ECKey(t, "a")
	jwk := publicJWK(t, key.Public())
	own, other := certificate(t, key), certificate(t, testkit.ECKey(t, "other"))
	der, err := base64.StdEncoding.DecodeString(own)
	require.NoError(t, err)
	t.Run("MTLS-2.2.2-1 the first certificate has the key", func(t *testing.T) {
		k, err := jose.ParseKey([]byte(edit(t, jwk, "x5c", []string{own, other})))
		require.NoError(t, err)
		require.Len(t, k.Certificates, 2)
		require.Equal(t, der, k.Certificates[0].Raw)
		raw, err := json.Marshal(k)
		require.NoError(t, err)
		again, err := jose.ParseKey(raw)
		require.NoError(t, err)
		require.Equal(t, k, again)
	})
	for _, tc := range []struct {
		name string
		x5c  any
	}{
		{"MTLS-2.2.2-1 the first certificate is for another key", []string{other}},
		{"MTLS-2.2.2-1 the second certificate has the key", []string{other, own}},
	} {
		t.Run(tc.name, func(t *testing.T) { refused(t, edit(t, jwk, "x5c", tc.x5c)) })
	}
	for _, tc := range []struct {
		name string
		x5c  any
	}{
		{"no certificate", []string{}},
		{"a string", own},
		{"base64url", []string{base64.RawURLEncoding.EncodeToString(der)}},
		{"a newline", []string{own[:8] + "\n" + own[8:]}},
		{"no certificate at all", []string{"AAAA"}},
		{"bytes after the certificate", []string{base64.StdEncoding.EncodeToString(append(slices.Clone(der), 0))}},
		{"a second one that is malformed", []string{own, "AAAA"}},
		{"eleven certificates", slices.Repeat([]string{own}, 11)},
	} {
		t.Run("CASES C5: "+tc.name+" drops the certificates", func(t *testing.T) {
			k, err := jose.ParseKey([]byte(edit(t, jwk, "x5c", tc.x5c)))
			require.NoError(t, err)
			require.Nil(t, k.Certificates)
			require.ErrorIs(t, k.BadCertificates, jose.ErrKey)
			require.True(t, jose.Equal(k.Public, key.Public()))
		})
	}
	t.Run("MTLS-2.2.2-1 a certificate does not replace the members", func(t *testing.T) {
		refused(t, edit(t, jwk, "x5c", []string{own}, "x", nil, "y", nil))
	})
}

func TestEqual(t *testing.T) {
	a, b := testkit.ECKey(t, "a").Public(), testkit.ECKey(t, "b").Public()
	require.True(t, jose.Equal(a, a))
	for _, other := range []crypto.PublicKey{b, testkit.RSAKey(t, "a").Public(), testkit.Ed25519Key(t, "a").Public(), nil, "a"} {
		require.False(t, jose.Equal(a, other))
		require.False(t, jose.Equal(other, a))
	}
}
