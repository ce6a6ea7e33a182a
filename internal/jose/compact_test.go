package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

func TestSplitRejects(t *testing.T) {
	good := sign(t, testkit.ECKey(t, "signer"), jose.SignerOptions{})
	parts := strings.Split(good, ".")
	for _, tc := range []struct{ name, token string }{
		{"empty", ""},
		{"one segment", parts[0]},
		{"two segments", parts[0] + "." + parts[1]},
		{"four segments", good + "." + parts[2]},
		{"five segments, a JWE", good + ".AA.AA"},
		{"no header", "." + parts[1] + "." + parts[2]},
		{"no payload, that is a detached one", parts[0] + ".." + parts[2]},
		{"SP-5.4.1-1.3 no signature", parts[0] + "." + parts[1] + "."},
		{"dots alone", ".."},
		{"JSON serialization, flattened", `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`},
		{"JSON serialization, general", `{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"}]}`},
		{"a newline at the end", good + "\n"},
		{"a newline inside a segment", good[:10] + "\n" + good[10:]},
		{"a carriage return inside a segment", good[:10] + "\r" + good[10:]},
		{"a space in front", " " + good},
		{"padding", good + "=="},
		{"padding of the header", parts[0] + "=." + parts[1] + "." + parts[2]},
		{"the other base64 alphabet, +", "+" + good[1:]},
		{"the other base64 alphabet, /", "/" + good[1:]},
		{"NUL", good + "\x00"},
		{"a letter outside ASCII", good + "é"},
		{"a byte more than allowed", good + strings.Repeat("A", 1<<16+1-len(good))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := jose.Split(tc.token, 1<<16)
			require.ErrorIs(t, err, jose.ErrMalformed)
			require.Zero(t, c)
		})
	}
	t.Run("every byte outside the alphabet, in every place of segments of any length", func(t *testing.T) {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		for _, n := range []int{1, 7, 8, 9, 17} {
			for i := range n * 256 {
				segment := []byte(strings.Repeat("A", n))
				segment[i/256] = byte(i)
				for _, token := range []string{string(segment) + ".A.A", "A." + string(segment) + ".A", "A.A." + string(segment)} {
					_, err := jose.Split(token, 1<<16)
					if ok := strings.IndexByte(alphabet, byte(i)) >= 0; ok != (err == nil) {
						t.Fatalf("%q: %v", token, err)
					}
				}
			}
		}
	})
	_, err := jose.Split(good, len(good))
	require.NoError(t, err)
	_, err = jose.Split(good, len(good)-1)
	require.ErrorIs(t, err, jose.ErrMalformed)
}

func TestParseHeaderRejects(t *testing.T) {
	for _, tc := range []struct {
		name, header string
		want         error
	}{
		{"SP-5.4.1-1.3 JWT-3.2-1 none", `{"alg":"none"}`, jose.ErrAlgorithm},
		{"SP-5.4.1-1.3 none in other case", `{"alg":"nOnE"}`, jose.ErrAlgorithm},
		{"SP-5.4.1-1.2 RS256", `{"alg":"RS256"}`, jose.ErrAlgorithm},
		{"SP-5.4.1-1.2 PS384", `{"alg":"PS384"}`, jose.ErrAlgorithm},
		{"SP-5.4.1-1.2 ES384", `{"alg":"ES384"}`, jose.ErrAlgorithm},
		{"SP-5.4.1-1.2 ES256K", `{"alg":"ES256K"}`, jose.ErrAlgorithm},
		{"SP-5.4.1-1.2 Ed448", `{"alg":"Ed448"}`, jose.ErrAlgorithm},
		{"JWT-3.1-1 HS256", `{"alg":"HS256"}`, jose.ErrAlgorithm},
		{"JWT-3.1-1 es256 in lower case", `{"alg":"es256"}`, jose.ErrAlgorithm},
		{"JWT-3.1-1 a blank after the name", `{"alg":"ES256 "}`, jose.ErrAlgorithm},
		{"JWT-3.1-1 no alg", `{"typ":"JWT"}`, jose.ErrAlgorithm},
		{"JWT-3.1-1 alg under another name", `{"ALG":"ES256"}`, jose.ErrAlgorithm},
		{"alg is a number", `{"alg":256}`, jose.ErrMalformed},
		{"CASES C13: alg is null", `{"alg":null}`, jose.ErrAlgorithm},
		{"alg is a list", `{"alg":["ES256"]}`, jose.ErrMalformed},
		{"typ is a number", `{"alg":"ES256","typ":1}`, jose.ErrMalformed},
		{"typ is null", `{"alg":"ES256","typ":null}`, jose.ErrMalformed},
		{"typ is an object", `{"alg":"ES256","typ":{}}`, jose.ErrMalformed},
		{"kid is a number", `{"alg":"ES256","kid":1}`, jose.ErrMalformed},
		{"an unknown critical member", `{"alg":"ES256","crit":["x"],"x":1}`, jose.ErrMalformed},
		{"an empty crit", `{"alg":"ES256","crit":[]}`, jose.ErrMalformed},
		{"a null crit", `{"alg":"ES256","crit":null}`, jose.ErrMalformed},
		{"an unencoded payload", `{"alg":"ES256","crit":["b64"],"b64":false}`, jose.ErrMalformed},
		{"b64 without crit", `{"alg":"ES256","b64":false}`, jose.ErrMalformed},
		{"alg twice", `{"alg":"none","alg":"ES256"}`, jose.ErrMalformed},
		{"alg in two cases", `{"alg":"ES256","Alg":"none"}`, jose.ErrMalformed},
		{"typ in two cases", `{"alg":"ES256","typ":"a","TYP":"b"}`, jose.ErrMalformed},
		{"jwk twice", `{"alg":"ES256","jwk":{},"jwk":{}}`, jose.ErrMalformed},
		{"a member twice inside jwk", `{"alg":"ES256","jwk":{"kty":"EC","kty":"RSA"}}`, jose.ErrMalformed},
		{"a member in two cases inside jwk", `{"alg":"ES256","jwk":{"d":"x","D":"x"}}`, jose.ErrMalformed},
		{"alg twice, once behind an escape", `{"alg":"ES256","\u0061lg":"none"}`, jose.ErrMalformed},
		{"bytes after the object", `{"alg":"ES256"}{}`, jose.ErrMalformed},
		{"a list", `["ES256"]`, jose.ErrMalformed},
		{"null", `null`, jose.ErrMalformed},
		{"JWT-3.7-1 not UTF-8", "{\"alg\":\"ES256\",\"kid\":\"\xff\"}", jose.ErrMalformed},
		{"JWT-3.7-1 UTF-16", "\xfe\xff\x00{\x00}", jose.ErrMalformed},
		{"JWT-3.7-1 a byte order mark", "\xef\xbb\xbf{\"alg\":\"ES256\"}", jose.ErrMalformed},
		{"nested deep", `{"alg":"ES256","x":` + strings.Repeat(`[`, 40) + strings.Repeat(`]`, 40) + `}`, jose.ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, err := split(t, compact(tc.header, claims)).ParseHeader()
			require.ErrorIs(t, err, tc.want)
			require.Zero(t, h)
		})
	}
}

func TestParseHeaderIgnores(t *testing.T) {
	for _, tc := range []struct{ name, header string }{
		{"SP-5.4.2-2 jku", `{"alg":"ES256","typ":"JWT","kid":"k","jku":"https://attacker.example/jwks"}`},
		{"SP-5.4.2-2 x5u", `{"alg":"ES256","typ":"JWT","kid":"k","x5u":"https://attacker.example/cert"}`},
		{"JWT-3.10-1 x5c", `{"alg":"ES256","typ":"JWT","kid":"k","x5c":["AAAA"]}`},
		{"unknown members", `{"alg":"ES256","typ":"JWT","kid":"k","cty":1,"urn:x":{"y":[null]}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, err := split(t, compact(tc.header, claims)).ParseHeader()
			require.NoError(t, err)
			require.Equal(t, jose.Header{Algorithm: "ES256", Type: "JWT", KeyID: "k"}, h)
		})
	}
	t.Run("CASES C2: a kid that is null counts as absent", func(t *testing.T) {
		h, err := split(t, compact(`{"alg":"ES256","kid":null}`, claims)).ParseHeader()
		require.NoError(t, err)
		require.Equal(t, jose.Header{Algorithm: "ES256"}, h)
	})
	t.Run("attack: JWT-3.10-1 a kid with SQL or a path is a string", func(t *testing.T) {
		const kid = `../../x' OR 1=1 --\n<script>`
		h, err := split(t, compact(`{"alg":"ES256","kid":"`+strings.ReplaceAll(kid, `\`, `\\`)+`"}`, claims)).ParseHeader()
		require.NoError(t, err)
		require.Equal(t, kid, h.KeyID)
		require.Empty(t, jose.Candidates([]*jose.Key{{Public: testkit.ECKey(t, "a").Public(), KeyID: "a"}}, h.KeyID, h.Algorithm))
	})
}

func TestBase64IsCanonical(t *testing.T) {
	key := testkit.Ed25519Key(t, "signer")
	for _, header := range []string{`{"alg":"EdDSA"}`, `{"alg":"EdDSA" }`} { // one and two spare characters
		signed := enc(header) + "." + enc(claims)
		token := signed + "." + enc(string(ed25519.Sign(key, []byte(signed))))
		require.NoError(t, split(t, token).Verify("EdDSA", key.Public()))
		for segment, what := range []string{"header", "claims", "signature"} {
			parts := strings.Split(token, ".")
			raw, err := base64.RawURLEncoding.DecodeString(parts[segment])
			require.NoError(t, err)
			if len(raw)%3 == 0 {
				continue // no spare bits
			}
			last := len(parts[segment]) - 1
			parts[segment] = parts[segment][:last] + string(parts[segment][last]+1)
			lax, err := base64.RawURLEncoding.DecodeString(parts[segment])
			require.NoError(t, err)
			require.Equal(t, raw, lax, "another spelling of the same bytes")
			c := split(t, strings.Join(parts, "."))
			switch segment {
			case 0:
				_, err = c.ParseHeader()
			case 1:
				_, err = c.Claims()
			case 2:
				err = c.Verify("EdDSA", key.Public())
			}
			require.ErrorIs(t, err, jose.ErrMalformed, what)
		}
		_, err := split(t, "A."+enc(claims)+".AA").ParseHeader()
		require.ErrorIs(t, err, jose.ErrMalformed, "a single character is no byte")
	}
}

func TestClaims(t *testing.T) {
	for _, tc := range []struct{ name, payload string }{
		{"JWT-3.7-1 not UTF-8", "{\"iss\":\"\xc3\x28\"}"},
		{"JWT-3.7-1 a lone surrogate", `{"iss":"\ud800"}`},
		{"htu twice", `{"htu":"https://a.example","htu":"https://b.example"}`},
		{"aud twice", `{"aud":"a","aud":"b"}`},
		{"aud in two cases", `{"aud":"a","Aud":"b"}`},
		{"a nested member twice", `{"cnf":{"jkt":"a","jkt":"b"}}`},
		{"bytes after the object", `{"iss":"a"}x`},
		{"a string", `"iss"`},
		{"a list", `[{"iss":"a"}]`},
		{"null", `null`},
		{"a token inside the token", sign(t, testkit.ECKey(t, "signer"), jose.SignerOptions{})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o, err := split(t, compact(`{"alg":"ES256"}`, tc.payload)).Claims()
			require.ErrorIs(t, err, jose.ErrMalformed)
			require.Empty(t, o.Names())
		})
	}
	t.Run("a claim of the wrong type", func(t *testing.T) {
		o, err := split(t, compact(`{"alg":"ES256"}`, `{"iss":5,"aud":{"a":1},"exp":"soon","unknown":[1]}`)).Claims()
		require.NoError(t, err)
		_, _, err = o.String("iss")
		require.Error(t, err)
		_, _, err = o.StringOrStrings("aud")
		require.Error(t, err)
		_, _, err = o.Time("exp")
		require.Error(t, err)
	})
}

func TestIsType(t *testing.T) {
	for _, tc := range []struct {
		name, typ, want string
		is              bool
	}{
		{"JWT-3.11-1 the same", "dpop+jwt", "dpop+jwt", true},
		{"JWT-3.11-1 in other case", "DPoP+JWT", "dpop+jwt", true},
		{"JWT-3.11-1 with application/", "application/at+jwt", "at+jwt", true},
		{"JWT-3.11-1 with Application/ in other case", "Application/AT+jwt", "at+jwt", true},
		{"another kind", "at+jwt", "dpop+jwt", false},
		{"a generic kind", "JWT", "at+jwt", false},
		{"none", "", "at+jwt", false},
		{"application/ alone", "application/", "at+jwt", false},
		{"application/ twice", "application/application/at+jwt", "at+jwt", false},
		{"another tree", "text/at+jwt", "at+jwt", false},
		{"a suffix", "at+jwt2", "at+jwt", false},
		{"a parameter", "at+jwt;v=1", "at+jwt", false},
		{"a blank", "at+jwt ", "at+jwt", false},
		{"the Kelvin sign", "to\u212aen-introspection+jwt", "token-introspection+jwt", false},
		{"the long s", "token-intro\u017fpection+jwt", "token-introspection+jwt", false},
		{"the long s, filled up to length", "application/token-intro\u017fpection+jw", "token-introspection+jwt", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.is, jose.Header{Type: tc.typ}.IsType(tc.want))
		})
	}
}

func TestVerifyRejects(t *testing.T) {
	ec, ed, rs := testkit.ECKey(t, "signer"), testkit.Ed25519Key(t, "signer"), testkit.RSAKey(t, "signer")
	es256 := sign(t, ec, jose.SignerOptions{})
	eddsa := sign(t, ed, jose.SignerOptions{})
	ps256 := sign(t, rs, jose.SignerOptions{})
	signed := enc(`{"alg":"PS256"}`) + "." + enc(claims)
	digest := sha256.Sum256([]byte(signed))
	pss := func(salt int) string {
		sig, err := rsa.SignPSS(rand.Reader, rs, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: salt})
		require.NoError(t, err)
		return signed + "." + enc(string(sig))
	}
	v15, err := rsa.SignPKCS1v15(rand.Reader, rs, crypto.SHA256, digest[:])
	require.NoError(t, err)
	der, err := ecdsa.SignASN1(rand.Reader, ec, digest[:])
	require.NoError(t, err)
	even := &rsa.PublicKey{N: new(big.Int).Sub(rs.N, big.NewInt(1)), E: rs.E}
	p384 := generateEC(t, elliptic.P384())
	liar := &ecdsa.PublicKey{Curve: elliptic.P256(), X: p384.X, Y: p384.Y}
	withSig := func(token, sig string) string { return token[:strings.LastIndexByte(token, '.')+1] + enc(sig) }

	for _, tc := range []struct {
		name, token, alg string
		key              crypto.PublicKey
	}{
		{"another P-256 key", es256, "ES256", testkit.ECKey(t, "other").Public()},
		{"another RSA key", ps256, "PS256", testkit.RSAKey(t, "other").Public()},
		{"another Ed25519 key", eddsa, "EdDSA", testkit.Ed25519Key(t, "other").Public()},
		{"JWT-3.1-2 ES256 with an RSA key", es256, "ES256", rs.Public()},
		{"JWT-3.1-2 PS256 with a P-256 key", ps256, "PS256", ec.Public()},
		{"JWT-3.1-2 the key's signature under another algorithm", es256, "EdDSA", ec.Public()},
		{"JWT-3.1-2 RS256 with the RSA key that signed", signed + "." + enc(string(v15)), "RS256", rs.Public()},
		{"JWT-3.1-1 no algorithm", es256, "", ec.Public()},
		{"JWT-3.2-1 none", es256, "none", ec.Public()},
		{"JWT-3.2-1 none, without a key", es256, "none", nil},
		{"no key", es256, "ES256", nil},
		{"a nil P-256 key", es256, "ES256", (*ecdsa.PublicKey)(nil)},
		{"a P-256 key without coordinates", es256, "ES256", &ecdsa.PublicKey{Curve: elliptic.P256()}},
		{"JWT-3.4-1 a point off the curve", es256, "ES256", liar},
		{"JWT-3.4-1 the point at infinity", es256, "ES256", &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int), Y: new(big.Int)}},
		{"JWT-3.4-1 a negative coordinate", es256, "ES256", &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).Neg(ec.X), Y: ec.Y}},
		{"SP-5.4.1-2 an RSA key without modulus", ps256, "PS256", &rsa.PublicKey{E: 65537}},
		{"SP-5.4.1-2 an even modulus", ps256, "PS256", even},
		{"SP-5.4.1-2 a negative modulus", ps256, "PS256", &rsa.PublicKey{N: new(big.Int).Neg(rs.N), E: rs.E}},
		{"SP-5.4.1-2 exponent 1", ps256, "PS256", &rsa.PublicKey{N: rs.N, E: 1}},
		{"an even exponent", ps256, "PS256", &rsa.PublicKey{N: rs.N, E: 65536}},
		{"JWT-3.4-1 an Ed25519 key that is no point", eddsa, "EdDSA", append(ed25519.PublicKey{2}, make([]byte, 31)...)},
		{"a short Ed25519 key", eddsa, "EdDSA", ed25519.PublicKey(ed[:31])},
		{"a private key", es256, "ES256", ec},
		{"a secret", es256, "ES256", []byte("secret")},
		{"SP-5.4.1-1.2 PKCS #1 v1.5 under the name PS256", signed + "." + enc(string(v15)), "PS256", rs.Public()},
		{"SP-5.4.1-1.2 PSS without salt", pss(0), "PS256", rs.Public()},
		{"SP-5.4.1-1.2 PSS with a short salt", pss(20), "PS256", rs.Public()},
		{"SP-5.4.1-1.2 PSS with the longest salt", pss(rsa.PSSSaltLengthAuto), "PS256", rs.Public()},
		{"a DER signature", signed + "." + enc(string(der)), "ES256", ec.Public()},
		{"r and s of zero", withSig(es256, strings.Repeat("\x00", 64)), "ES256", ec.Public()},
		{"r and s too large", withSig(es256, strings.Repeat("\xff", 64)), "ES256", ec.Public()},
		{"a short ES256 signature", withSig(es256, strings.Repeat("s", 63)), "ES256", ec.Public()},
		{"a long ES256 signature", withSig(es256, strings.Repeat("s", 65)), "ES256", ec.Public()},
		{"a short EdDSA signature", withSig(eddsa, strings.Repeat("s", 63)), "EdDSA", ed.Public()},
		{"a signature of 32 KiB", withSig(ps256, strings.Repeat("s", 32<<10)), "PS256", rs.Public()},
		{"another header", "x" + es256[1:], "ES256", ec.Public()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := split(t, tc.token)
			require.ErrorIs(t, c.Verify(tc.alg, tc.key), jose.ErrSignature)
			_, err := c.VerifyAny(tc.alg, []crypto.PublicKey{tc.key})
			require.ErrorIs(t, err, jose.ErrSignature)
		})
	}
	require.NoError(t, split(t, pss(32)).Verify("PS256", rs.Public()))
	require.ErrorIs(t, jose.Compact{}.Verify("EdDSA", ed.Public()), jose.ErrSignature)
}

func TestVerifyAny(t *testing.T) {
	key := testkit.ECKey(t, "signer")
	c := split(t, sign(t, key, jose.SignerOptions{}))
	verify := func(keys ...crypto.PublicKey) error {
		got, err := c.VerifyAny("ES256", keys)
		require.Equal(t, err == nil, got != nil && jose.Equal(got, key.Public()), "the key that verifies is returned")
		return err
	}
	other := testkit.ECKey(t, "other").Public()
	t.Run("SP-5.4.3-1 each key that fits is tried", func(t *testing.T) {
		unfit := []crypto.PublicKey{nil, testkit.RSAKey(t, "signer").Public(), testkit.Ed25519Key(t, "signer").Public()}
		for range 5 {
			unfit = append(unfit, unfit...) // keys that do not fit cost nothing and do not count
		}
		require.NoError(t, verify(append(unfit, other, other, key.Public())...))
	})
	t.Run("attack: at most eight keys are tried", func(t *testing.T) {
		keys := []crypto.PublicKey{other, other, other, other, other, other, other, key.Public()}
		require.NoError(t, verify(keys...))
		require.ErrorIs(t, verify(append([]crypto.PublicKey{other}, keys...)...), jose.ErrSignature)
	})
	t.Run("no key, no signature", func(t *testing.T) {
		require.ErrorIs(t, verify(), jose.ErrSignature)
		require.ErrorIs(t, verify(other), jose.ErrSignature)
	})
}

func TestAlgorithms(t *testing.T) {
	t.Run("SP-5.4.1-1.2 only PS256, ES256, and EdDSA with Ed25519", func(t *testing.T) {
		require.ElementsMatch(t, []string{"PS256", "ES256", "EdDSA", "Ed25519"}, jose.Algorithms())
		for _, alg := range jose.Algorithms() {
			require.True(t, jose.Allowed(alg))
		}
		jose.Algorithms()[0] = "none"
		require.NotContains(t, jose.Algorithms(), "none", "a fresh slice")
	})
	for _, tc := range []struct {
		name string
		key  crypto.PublicKey
	}{
		{"SP-5.4.1-2 RSA of 1024 bits", generateRSA(t, 1024).Public()},
		{"SP-5.4.1-2 RSA of 2047 bits", &rsa.PublicKey{N: new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 2047), big.NewInt(1)), E: 65537}},
		{"RSA of 8193 bits", &rsa.PublicKey{N: new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 8192), big.NewInt(1)), E: 65537}},
		{"SP-5.4.1-3 P-224", generateEC(t, elliptic.P224()).Public()},
		{"P-384, for which there is no algorithm", generateEC(t, elliptic.P384()).Public()},
		{"a MAC's key", []byte("a secret of more than thirty-two bytes")},
		{"nothing", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := jose.AlgorithmFor(tc.key)
			require.ErrorIs(t, err, jose.ErrKey)
			_, err = jose.Thumbprint(tc.key)
			require.ErrorIs(t, err, jose.ErrKey)
			for _, alg := range jose.Algorithms() {
				require.False(t, jose.KeyFits(tc.key, alg))
			}
		})
	}
}
