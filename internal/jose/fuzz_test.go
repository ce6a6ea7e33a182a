package jose_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

// An error has the zero value, and an accepted token has one spelling.
func FuzzSplitHeaderClaims(f *testing.F) {
	for _, p := range pairs(f) {
		f.Add(sign(f, p.key, jose.SignerOptions{Algorithm: p.alg, EmbedKey: true, Type: "dpop+jwt"}))
	}
	for _, header := range []string{`{"alg":"none"}`, `{"alg":"ES256","crit":["b64"],"b64":false}`, `{"alg":1}`, `{"typ":"a","TYP":"b"}`, `null`, `{"alg":"ES256","jwk":null}`} {
		f.Add(compact(header, claims))
	}
	f.Add("..")
	f.Add(`{"payload":"","signatures":[]}`)
	key := testkit.ECKey(f, "signer").Public()
	f.Fuzz(func(t *testing.T, token string) {
		c, err := jose.Split(token, 4096)
		if err != nil {
			require.ErrorIs(t, err, jose.ErrMalformed)
			require.Zero(t, c)
			return
		}
		require.Equal(t, token, c.Header+"."+c.Payload+"."+c.Signature)
		h, err := c.ParseHeader()
		if err != nil {
			require.Zero(t, h)
		} else {
			require.True(t, jose.Allowed(h.Algorithm))
			raw, err := base64.RawURLEncoding.DecodeString(c.Header)
			require.NoError(t, err)
			require.Equal(t, c.Header, base64.RawURLEncoding.EncodeToString(raw))
			_, _ = jose.ParseKey(h.JWK)
		}
		if o, err := c.Claims(); err != nil {
			require.ErrorIs(t, err, jose.ErrMalformed)
			require.Empty(t, o.Names())
		}
		_ = c.Verify(h.Algorithm, key)
	})
}

// An accepted key is marshalled and parsed to the same key.
func FuzzParseKey(f *testing.F) {
	for _, p := range pairs(f) {
		jwk := publicJWK(f, p.key.Public())
		f.Add([]byte(edit(f, jwk)))
		f.Add([]byte(edit(f, jwk, "kid", "k", "alg", p.alg, "use", "sig", "key_ops", []string{"verify"})))
		f.Add([]byte(edit(f, jwk, "key_ops", []string{})))
		f.Add([]byte(edit(f, privateJWK(f, p.key))))
		f.Add([]byte(`{"keys":[` + edit(f, jwk) + `,{"kty":"oct"}]}`))
	}
	key := testkit.ECKey(f, "signer")
	f.Add([]byte(edit(f, publicJWK(f, key.Public()), "x5c", []string{certificate(f, key)})))
	f.Fuzz(func(t *testing.T, raw []byte) {
		k, err := jose.ParseKey(raw)
		if err != nil {
			require.ErrorIs(t, err, jose.ErrKey)
			require.Nil(t, k)
		} else {
			written, err := k.MarshalJSON()
			require.NoError(t, err)
			again, err := jose.ParseKey(written)
			require.NoError(t, err)
			k.BadCertificates = nil // they are not written
			require.Equal(t, k, again)
			require.True(t, jose.Equal(k.Public, again.Public))
			_, err = jose.AlgorithmFor(k.Public)
			require.NoError(t, err)
		}
		signer, k, err := jose.ParsePrivateKey(raw)
		if err != nil {
			require.ErrorIs(t, err, jose.ErrKey)
			require.Nil(t, signer)
			require.Nil(t, k)
		} else {
			c := split(t, sign(t, signer, jose.SignerOptions{}))
			alg, err := jose.AlgorithmFor(k.Public)
			require.NoError(t, err)
			require.NoError(t, c.Verify(alg, k.Public))
		}
		if keys, dropped, err := jose.ParseKeySet(raw); err != nil {
			require.ErrorIs(t, err, jose.ErrKey)
			require.Nil(t, keys)
			require.Nil(t, dropped)
		}
	})
}

// The DER of a device is accepted exactly if it is the DER of two positive
// integers of at most 256 bits. Verify and crypto/ecdsa agree about it.
func FuzzDER(f *testing.F) {
	key := testkit.ECKey(f, "signer")
	type signature struct{ R, S *big.Int }
	for _, size := range [][2]uint{{0, 0}, {1, 8}, {7, 255}, {8, 256}, {247, 248}, {256, 249}, {257, 1}, {600, 600}} {
		n := func(bits uint) *big.Int { return new(big.Int).Rsh(new(big.Int).Lsh(big.NewInt(3), bits), 2) }
		der, err := asn1.Marshal(signature{n(size[0]), n(size[1])})
		require.NoError(f, err)
		f.Add(der)
	}
	digest := sha256.Sum256([]byte(enc(`{"alg":"ES256"}`) + "." + enc(claims)))
	for range 8 {
		r, s, err := ecdsa.Sign(zeros{}, key, digest[:])
		require.NoError(f, err)
		der, err := asn1.Marshal(signature{r, s})
		require.NoError(f, err)
		f.Add(der)
	}
	f.Add([]byte{0x30, 6, 2, 1, 0x80, 2, 1, 1})
	f.Add([]byte{0x30, 7, 2, 2, 0, 1, 2, 1, 1})
	f.Add([]byte{0x30, 0x81, 6, 2, 1, 1, 2, 1, 1})
	f.Add([]byte{0x30, 9, 2, 1, 1, 2, 1, 1, 2, 1, 1})
	f.Add([]byte{0x30, 4, 2, 0, 2, 0})
	f.Fuzz(func(t *testing.T, der []byte) {
		var want signature
		rest, err := asn1.Unmarshal(der, &want)
		good := err == nil && len(rest) == 0 && want.R.Sign() > 0 && want.S.Sign() > 0 && want.R.BitLen() <= 256 && want.S.BitLen() <= 256
		if good {
			canonical, err := asn1.Marshal(want)
			good = err == nil && bytes.Equal(canonical, der)
		}
		signer, err := jose.NewSigner(device{public: key.Public(), signature: der}, jose.SignerOptions{})
		require.NoError(t, err)
		token, err := signer.Sign([]byte(claims))
		if !good {
			require.ErrorIs(t, err, jose.ErrKey)
			require.Empty(t, token)
			return
		}
		require.NoError(t, err)
		c := split(t, token)
		raw, err := base64.RawURLEncoding.DecodeString(c.Signature)
		require.NoError(t, err)
		require.Equal(t, append(want.R.FillBytes(make([]byte, 32)), want.S.FillBytes(make([]byte, 32))...), raw)
		digest := sha256.Sum256([]byte(c.Header + "." + c.Payload))
		require.Equal(t, ecdsa.Verify(&key.PublicKey, digest[:], want.R, want.S), c.Verify("ES256", key.Public()) == nil)
	})
}

// zeros is a source without randomness. crypto/ecdsa adds its own.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A changed token does not verify.
func FuzzVerify(f *testing.F) {
	all := pairs(f)
	tokens := make([]string, len(all))
	for i, p := range all {
		tokens[i] = sign(f, p.key, jose.SignerOptions{Algorithm: p.alg})
	}
	for i := range 300 {
		f.Add(uint8(i), i*7919, "", uint16(i))
	}
	f.Add(uint8(0), 0, ".", uint16(10))
	f.Add(uint8(0), 0, "=", uint16(10))
	f.Add(uint8(2), 0, "\n", uint16(9999))
	f.Add(uint8(1), 1, "A", uint16(9999))
	f.Fuzz(func(t *testing.T, which uint8, at int, insert string, place uint16) {
		p, token := all[int(which)%len(all)], tokens[int(which)%len(all)]
		require.NoError(t, read(token, p.key.Public()))
		require.Error(t, read(testkit.MutateJWS(token, at), p.key.Public()))
		if insert != "" {
			i := int(place) % (len(token) + 1)
			require.Error(t, read(token[:i]+insert+token[i:], p.key.Public()))
		}
		cut := int(place) % len(token)
		require.Error(t, read(token[:cut], p.key.Public()))
		require.Error(t, read(token[cut+1:], p.key.Public()))
		for i, other := range all {
			if !strings.HasPrefix(other.alg, "Ed") || !strings.HasPrefix(p.alg, "Ed") {
				if i != int(which)%len(all) {
					require.Error(t, read(token, other.key.Public()))
				}
			}
		}
	})
}
