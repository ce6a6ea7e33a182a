package jose_test

import (
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

// jwxName is the name of an algorithm in the other library, which does not support
// RFC 9864.
func jwxName(alg string) jwa.SignatureAlgorithm {
	if alg == jose.Ed25519 {
		return jwa.EdDSA
	}
	return jwa.SignatureAlgorithm(alg)
}

// eachSigner runs f 20 times with each key, also as an opaque signer.
func eachSigner(t *testing.T, f func(t *testing.T, alg string, key crypto.Signer)) {
	for _, p := range pairs(t) {
		if p.alg == jose.Ed25519 {
			continue
		}
		for name, key := range map[string]crypto.Signer{"plain key": p.key, "opaque signer": opaque{p.key}} {
			t.Run(p.alg+" "+name, func(t *testing.T) {
				for range 20 {
					f(t, p.alg, key)
				}
			})
		}
	}
}

func TestLibraryVerifiesOurSignatures(t *testing.T) {
	eachSigner(t, func(t *testing.T, alg string, key crypto.Signer) {
		token := sign(t, key, jose.SignerOptions{Algorithm: alg, Type: "x+jwt", KeyID: "k"})
		payload, err := jws.Verify([]byte(token), jws.WithKey(jwxName(alg), key.Public()))
		require.NoError(t, err)
		require.Equal(t, claims, string(payload))
	})
}

func TestVerifyAcceptsSignaturesOfTheLibrary(t *testing.T) {
	eachSigner(t, func(t *testing.T, alg string, key crypto.Signer) {
		headers := jws.NewHeaders()
		require.NoError(t, headers.Set(jws.TypeKey, "x+jwt"))
		token, err := jws.Sign([]byte(claims), jws.WithKey(jwxName(alg), key, jws.WithProtectedHeaders(headers)))
		require.NoError(t, err)
		c := split(t, string(token))
		h, err := c.ParseHeader()
		require.NoError(t, err)
		require.Equal(t, jose.Header{Algorithm: alg, Type: "x+jwt"}, h)
		require.NoError(t, c.Verify(h.Algorithm, key.Public()))
	})
}

func TestJWKsAgree(t *testing.T) {
	for _, p := range pairs(t) {
		t.Run(p.alg, func(t *testing.T) {
			ours, err := (&jose.Key{Public: p.key.Public(), KeyID: "k", Use: "sig", Algorithm: p.alg}).MarshalJSON()
			require.NoError(t, err)
			theirs, err := jwk.ParseKey(ours)
			require.NoError(t, err)
			require.Equal(t, "k", theirs.KeyID())
			var raw any
			require.NoError(t, theirs.Raw(&raw))
			require.True(t, jose.Equal(p.key.Public(), raw))
			sum, err := theirs.Thumbprint(crypto.SHA256)
			require.NoError(t, err)
			thumbprint, err := jose.Thumbprint(p.key.Public())
			require.NoError(t, err)
			require.Equal(t, base64.RawURLEncoding.EncodeToString(sum), thumbprint)

			fromRaw, err := jwk.FromRaw(p.key.Public())
			require.NoError(t, err)
			written, err := json.Marshal(fromRaw)
			require.NoError(t, err)
			key, err := jose.ParseKey(written)
			require.NoError(t, err)
			require.True(t, jose.Equal(p.key.Public(), key.Public))
			require.Equal(t, thumbprint, key.Thumbprint)
		})
	}
}

// The library accepts each of these inputs. That is the reason why it does not
// parse tokens here. Remove a row if it fails after an upgrade of the library.
func TestStricterThanTheLibrary(t *testing.T) {
	key := testkit.Ed25519Key(t, "signer")
	seal := func(header, payload string) string {
		signed := enc(header) + "." + enc(payload)
		return signed + "." + enc(string(ed25519.Sign(key, []byte(signed))))
	}
	good := seal(`{"alg":"EdDSA"}`, claims)
	parts := strings.Split(good, ".")
	bare := enc(`{"alg":"EdDSA","crit":["b64"],"b64":false}`) + "."
	private := edit(t, privateJWK(t, key))

	for _, tc := range []struct{ name, token string }{
		{"an unknown critical header", seal(`{"alg":"EdDSA","crit":["urn:x"],"urn:x":1}`, claims)},
		{"an unencoded payload", bare + "payload." + enc(string(ed25519.Sign(key, []byte(bare+"payload"))))},
		{"alg twice", seal(`{"alg":"none","alg":"EdDSA"}`, claims)},
		{"typ twice", seal(`{"alg":"EdDSA","typ":"at+jwt","typ":"dpop+jwt"}`, claims)},
		{"JSON serialization, flattened", `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`},
		{"JSON serialization, general", `{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"}]}`},
		{"a newline inside the signature", parts[0] + "." + parts[1] + "." + parts[2][:20] + "\n" + parts[2][20:]},
		{"a last character with stray bits", good[:len(good)-1] + string(good[len(good)-1]+1)},
		{"a newline at the end", good + "\n"},
		{"JWT-3.7-1 a header that is not UTF-8", seal("{\"alg\":\"EdDSA\",\"kid\":\"\xff\"}", claims)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := jws.Verify([]byte(tc.token), jws.WithKey(jwa.EdDSA, key.Public()))
			require.NoError(t, err, "the library takes it")
			require.Error(t, read(tc.token, key.Public()))
		})
	}
	for name, key := range map[string]string{"a private key": private, "a symmetric key": `{"kty":"oct","k":"AAAA"}`} {
		t.Run(name+" in the header", func(t *testing.T) {
			token := seal(`{"alg":"EdDSA","jwk":`+key+`}`, claims)
			message, err := jws.Parse([]byte(token))
			require.NoError(t, err)
			require.NotNil(t, message.Signatures()[0].ProtectedHeaders().JWK(), "the library takes it")
			h, err := split(t, token).ParseHeader()
			require.NoError(t, err)
			_, err = jose.ParseKey(h.JWK)
			require.ErrorIs(t, err, jose.ErrKey)
		})
	}
	for _, y := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	} {
		t.Run("JWT-3.4-1 an Ed25519 key of small order, and a forged signature, y="+y[:4], func(t *testing.T) {
			key, err := hex.DecodeString(y)
			require.NoError(t, err)
			forged := enc("\x01" + strings.Repeat("\x00", 63)) // R the neutral point, S zero
			_, err = jws.Verify(nil, jws.WithKey(jwa.EdDSA, ed25519.PublicKey(key)))
			for i := 0; err != nil && i < 500; i++ { // one message in eight, for a point of order 8
				_, err = jws.Verify([]byte(parts[0]+"."+enc(fmt.Sprint(i))+"."+forged), jws.WithKey(jwa.EdDSA, ed25519.PublicKey(key)))
			}
			require.NoError(t, err, "the library takes it")
			refused(t, `{"kty":"OKP","crv":"Ed25519","x":"`+enc(string(key))+`"}`)
		})
	}
}

// read verifies a token as the verifiers of this module do.
func read(token string, key crypto.PublicKey) error {
	c, err := jose.Split(token, 1<<16)
	if err != nil {
		return err
	}
	h, err := c.ParseHeader()
	if err != nil {
		return err
	}
	if _, err := c.Claims(); err != nil {
		return err
	}
	return c.Verify(h.Algorithm, key)
}
