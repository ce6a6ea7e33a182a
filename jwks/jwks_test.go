package jwks_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
)

type setVector struct {
	Name    string `json:"name"`
	Set     string `json:"set"`
	KeyID   string `json:"kid"`
	Alg     string `json:"alg"`
	Keys    int    `json:"keys"`
	Invalid bool   `json:"invalid"`
	// Unusable sets have entries, none of which can be used.
	Unusable bool `json:"unusable"`
	// Dropped is how many entries are dropped. A vector may leave it 0.
	Dropped int `json:"dropped"`
}

// Each vector is parsed by Parse and fetched by a Remote.
// A Current follows its function in every method.
func TestCurrent(t *testing.T) {
	now := "old"
	sets := map[string]*jwks.Set{}
	for _, kid := range []string{"old", "new"} {
		sets[kid] = testkit.Must(jwks.NewSet(jwks.Key{Public: testkit.ECKey(t, kid).Public(), KeyID: kid}))
	}
	current := jwks.Current(func(context.Context) *jwks.Set { return sets[now] })
	for _, now = range []string{"old", "new"} {
		keys, err := current.Keys(t.Context(), "", "ES256")
		require.NoError(t, err)
		require.Equal(t, []crypto.PublicKey{testkit.ECKey(t, now).Public()}, keys)
		document, err := json.Marshal(current)
		require.NoError(t, err)
		require.Contains(t, string(document), `"kid":"`+now+`"`)
		w := httptest.NewRecorder()
		current.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/jwks", nil))
		require.Equal(t, string(document), w.Body.String())
		w = httptest.NewRecorder()
		current.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/jwks", nil))
		require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	}
}

func TestSets(t *testing.T) {
	for _, v := range testkit.LoadVectors[setVector](t, "testdata/sets.json") {
		t.Run(v.Name, func(t *testing.T) {
			set, err := jwks.Parse([]byte(v.Set))
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(v.Set)) }))
			defer server.Close()
			remote, remoteErr := jwks.NewRemote(jwks.RemoteConfig{URL: server.URL, HTTPClient: server.Client()})
			require.NoError(t, remoteErr)
			fetched, fetchErr := remote.Keys(context.Background(), v.KeyID, v.Alg)
			if v.Invalid {
				require.ErrorIs(t, err, jwks.ErrInvalid)
				require.Nil(t, set)
				code, _, status := testkit.Wire(t, err)
				require.Equal(t, "invalid_client_metadata", code)
				require.Equal(t, http.StatusBadRequest, status)
				require.ErrorIs(t, fetchErr, jwks.ErrUnavailable)
				require.Nil(t, fetched)
				code, _, status = testkit.Wire(t, fetchErr)
				require.Equal(t, "server_error", code)
				require.Equal(t, http.StatusServiceUnavailable, status)
				return
			}
			require.NoError(t, err)
			if v.Dropped > 0 {
				require.Len(t, set.Dropped(), v.Dropped)
			}
			keys, err := set.Keys(context.Background(), v.KeyID, v.Alg)
			if v.Unusable {
				require.ErrorIs(t, err, jwks.ErrInvalid)
				require.ErrorIs(t, fetchErr, jwks.ErrUnavailable)
				require.ErrorContains(t, fetchErr, set.Dropped()[0].Reason.Error(), "it says why")
				require.Empty(t, keys)
				require.Empty(t, fetched)
				return
			}
			require.NoError(t, fetchErr)
			require.NoError(t, err)
			require.Len(t, keys, v.Keys, "SP-5.4.3-1 the candidates are those that fit, all of them")
			require.Equal(t, keys, fetched)

			// A parsed set can be published, and is then parsed to the same set.
			doc, err := json.Marshal(set)
			require.NoError(t, err)
			again, err := jwks.Parse(doc)
			require.NoError(t, err)
			doc2, err := json.Marshal(again)
			require.NoError(t, err)
			require.JSONEq(t, string(doc), string(doc2))
		})
	}
}

type thumbprintVector struct {
	ID         string          `json:"id"`
	Spec       string          `json:"spec"`
	JWK        json.RawMessage `json:"jwk"`
	Thumbprint string          `json:"thumbprint"`
	Private    bool            `json:"private"`
}

func TestPublishedThumbprints(t *testing.T) {
	for _, v := range testkit.LoadVectors[thumbprintVector](t, "testdata/thumbprints.json") {
		t.Run(v.ID, func(t *testing.T) {
			var public crypto.PublicKey
			if v.Private {
				signer, key, err := jwks.ParsePrivateKey(v.JWK)
				require.NoError(t, err)
				require.Equal(t, signer.Public(), key.Public)
				public = key.Public
			} else {
				var members map[string]any
				require.NoError(t, json.Unmarshal(v.JWK, &members))
				delete(members, "alg") // one vector is of an RS256 key
				jwk, err := json.Marshal(members)
				require.NoError(t, err)
				set, err := jwks.Parse([]byte(`{"keys":[` + string(jwk) + `]}`))
				require.NoError(t, err)
				for _, alg := range []string{"ES256", "PS256", "EdDSA"} {
					keys, err := set.Keys(context.Background(), "", alg)
					require.NoError(t, err)
					for _, key := range keys {
						public = key
					}
				}
			}
			got, err := jwks.Thumbprint(public)
			require.NoError(t, err)
			require.Equal(t, v.Thumbprint, got)

			set, err := jwks.NewSet(jwks.Key{Public: public})
			require.NoError(t, err)
			doc, err := set.MarshalJSON()
			require.NoError(t, err)
			require.Contains(t, string(doc), `"kid":"`+v.Thumbprint+`"`)
		})
	}
}

type privateVector struct {
	ID   string          `json:"id"`
	Spec string          `json:"spec"`
	JWK  json.RawMessage `json:"jwk"`
}

func TestPrivateKeys(t *testing.T) {
	for _, v := range testkit.LoadVectors[privateVector](t, "testdata/private.json") {
		t.Run(v.ID, func(t *testing.T) {
			signer, key, err := jwks.ParsePrivateKey(v.JWK)
			require.NoError(t, err)
			require.Equal(t, signer.Public(), key.Public)

			// A private key is neither published nor read from a set.
			set, err := jwks.NewSet(key)
			require.NoError(t, err)
			doc, err := json.Marshal(set)
			require.NoError(t, err)
			for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
				require.NotContains(t, string(doc), `"`+member+`":`)
			}
			read, err := jwks.Parse([]byte(`{"keys":[` + string(v.JWK) + `]}`))
			require.NoError(t, err)
			require.True(t, read.Dropped()[0].Private)
			_, err = read.Keys(context.Background(), "", "ES256")
			require.ErrorIs(t, err, jwks.ErrInvalid)
			_, err = jwks.NewSet(jwks.Key{Public: signer})
			require.ErrorIs(t, err, jwks.ErrInvalid)

			var members map[string]any
			require.NoError(t, json.Unmarshal(v.JWK, &members))
			secret := members["d"].(string)
			members["d"] = secret[:len(secret)-2] + "AA"
			if members["kty"] == "OKP" {
				members["x"] = "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs"
			}
			wrong, err := json.Marshal(members)
			require.NoError(t, err)
			_, _, err = jwks.ParsePrivateKey(wrong)
			require.ErrorIs(t, err, jwks.ErrInvalid, "the halves do not belong together")
			require.NotContains(t, err.Error(), secret[:8])
		})
	}
	_, _, err := jwks.ParsePrivateKey([]byte(`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`))
	require.ErrorIs(t, err, jwks.ErrInvalid)
	_, _, err = jwks.ParsePrivateKey(make([]byte, 1<<20+1))
	require.ErrorIs(t, err, jwks.ErrInvalid)
}

func TestMarshalPrivateKey(t *testing.T) {
	for name, key := range map[string]crypto.Signer{
		"ES256": testkit.ECKey(t, "a"), "EdDSA": testkit.Ed25519Key(t, "a"), "PS256": testkit.RSAKey(t, "a"),
	} {
		t.Run(name, func(t *testing.T) {
			data, err := jwks.MarshalPrivateKey(key, jwks.Key{KeyID: "k"})
			require.NoError(t, err)
			signer, public, err := jwks.ParsePrivateKey(data)
			require.NoError(t, err)
			require.True(t, signer.(interface{ Equal(crypto.PrivateKey) bool }).Equal(key))
			require.Equal(t, []string{"k", name, "sig"}, []string{public.KeyID, public.Algorithm, public.Use})
			again, err := jwks.MarshalPrivateKey(signer, public)
			require.NoError(t, err)
			require.JSONEq(t, string(data), string(again))
		})
	}
	key := testkit.ECKey(t, "a")
	wrongCurve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		key    crypto.Signer
		public jwks.Key
	}{
		"no key":                   {nil, jwks.Key{}},
		"a key in a module":        {testkit.RemoteKey{Signer: key}, jwks.Key{}},
		"the public half of other": {key, jwks.Key{Public: testkit.ECKey(t, "b").Public()}},
		"an unsuitable algorithm":  {key, jwks.Key{Algorithm: "PS256"}},
		"a key for encryption":     {key, jwks.Key{Use: "enc", Algorithm: "ECDH-ES"}},
		"another curve":            {wrongCurve, jwks.Key{}},
		"a truncated key":          {testkit.Ed25519Key(t, "a")[:40], jwks.Key{Public: testkit.Ed25519Key(t, "a").Public()}},
		"a nil P-256 key":          {(*ecdsa.PrivateKey)(nil), jwks.Key{}},
		"a nil RSA key":            {(*rsa.PrivateKey)(nil), jwks.Key{}},
		"RSA without its primes":   {&rsa.PrivateKey{PublicKey: testkit.RSAKey(t, "a").PublicKey}, jwks.Key{}},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := jwks.MarshalPrivateKey(c.key, c.public)
			require.ErrorIs(t, err, jwks.ErrInvalid)
			require.Empty(t, data)
		})
	}
}

func certificate(t *testing.T, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{}, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return cert
}

func TestNewSetRejects(t *testing.T) {
	ec, other := testkit.ECKey(t, "ec"), testkit.ECKey(t, "other")
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	weak := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
	for _, tc := range []struct {
		name string
		keys []jwks.Key
	}{
		{"no keys", nil},
		{"no public key", []jwks.Key{{KeyID: "a"}}},
		{"a private key", []jwks.Key{{Public: ec}}},
		{"a symmetric key", []jwks.Key{{Public: []byte("secret")}}},
		{"SP-5.4.1-2 an RSA key of 1024 bits", []jwks.Key{{Public: weak}}},
		{"P-384", []jwks.Key{{Public: p384.Public()}}},
		{"an algorithm of another key", []jwks.Key{{Public: ec.Public(), Algorithm: "PS256"}}},
		{"SP-5.4.1-1.2 RS256", []jwks.Key{{Public: testkit.RSAKey(t, "rsa").Public(), Algorithm: "RS256"}}},
		{"an unknown use", []jwks.Key{{Public: ec.Public(), Use: "tls"}}},
		{"SP-5.4.2-3 a kid twice", []jwks.Key{{Public: ec.Public(), KeyID: "a"}, {Public: other.Public(), KeyID: "a"}}},
		{"SP-5.4.2-3 a key twice, under its thumbprint", []jwks.Key{{Public: ec.Public()}, {Public: ec.Public()}}},
		{"the certificate of another key", []jwks.Key{{Public: ec.Public(), Certificates: []*x509.Certificate{certificate(t, other)}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set, err := jwks.NewSet(tc.keys...)
			require.ErrorIs(t, err, jwks.ErrInvalid)
			require.Nil(t, set)
		})
	}
}

func TestServeHTTP(t *testing.T) {
	ec, ed, rsaKey := testkit.ECKey(t, "ec"), testkit.Ed25519Key(t, "ed"), testkit.RSAKey(t, "rsa")
	set, err := jwks.NewSet(
		jwks.Key{Public: ec.Public(), KeyID: "sig-1", Certificates: []*x509.Certificate{certificate(t, ec)}},
		jwks.Key{Public: ed.Public()}, jwks.Key{Public: rsaKey.Public(), Use: "enc"},
	)
	require.NoError(t, err)
	serve := func(method string) *http.Response {
		w := httptest.NewRecorder()
		set.ServeHTTP(w, httptest.NewRequest(method, "/jwks", nil))
		return w.Result()
	}
	get := serve(http.MethodGet)
	require.Equal(t, http.StatusOK, get.StatusCode)
	require.Equal(t, "application/json", get.Header.Get("Content-Type"))
	require.Equal(t, "public, max-age=300", get.Header.Get("Cache-Control"))
	var doc struct {
		Keys []map[string]any `json:"keys"`
	}
	require.NoError(t, json.NewDecoder(get.Body).Decode(&doc))
	require.Len(t, doc.Keys, 3)
	require.Equal(t, "sig-1", doc.Keys[0]["kid"])
	require.Equal(t, "ES256", doc.Keys[0]["alg"])
	require.Len(t, doc.Keys[0]["x5c"], 1)
	require.Equal(t, "EdDSA", doc.Keys[1]["alg"])
	require.Equal(t, "enc", doc.Keys[2]["use"])
	require.NotContains(t, doc.Keys[2], "alg")
	for _, key := range doc.Keys {
		require.NotEmpty(t, key["kid"])
		require.NotContains(t, key, "d")
	}

	head := serve(http.MethodHead)
	require.Equal(t, http.StatusOK, head.StatusCode)
	require.Equal(t, get.Header, head.Header)
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		resp := serve(method)
		require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
		require.Equal(t, "GET, HEAD", resp.Header.Get("Allow"))
	}

	w := httptest.NewRecorder()
	new(jwks.Set).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/jwks", nil))
	require.Equal(t, `{"keys":[]}`, w.Body.String())
}

func TestParseBounds(t *testing.T) {
	fits := `{"keys":[]` + strings.Repeat(" ", 1<<20-len(`{"keys":[]}`)) + `}`
	_, err := jwks.Parse([]byte(fits))
	require.NoError(t, err)
	_, err = jwks.Parse([]byte(fits + " "))
	require.ErrorIs(t, err, jwks.ErrInvalid)
}

func TestDropped(t *testing.T) {
	good := testkit.ECKey(t, "good")
	own, err := jwks.NewSet(jwks.Key{Public: good.Public(), KeyID: "good"})
	require.NoError(t, err)
	require.Empty(t, own.Dropped())
	doc, err := own.MarshalJSON()
	require.NoError(t, err)
	entry := strings.TrimSuffix(strings.TrimPrefix(string(doc), `{"keys":[`), `]}`)
	badChain := strings.TrimSuffix(entry, "}") + `,"x5c":["AAAA"]}`
	secret := "c2VjcmV0LXNlY3JldC1zZWNyZXQ"
	set, err := jwks.Parse([]byte(`{"keys":[null,` + badChain + `,{"kty":"oct","kid":"` + strings.Repeat("m", 200) + `","k":"` + secret + `"}]}`))
	require.NoError(t, err)
	dropped := set.Dropped()
	require.Len(t, dropped, 3)
	t.Run("CASES C6: a null entry", func(t *testing.T) {
		require.Equal(t, 0, dropped[0].Index)
		require.False(t, dropped[0].Certificates || dropped[0].Private)
		require.Error(t, dropped[0].Reason)
	})
	t.Run("CASES C5: only the certificates", func(t *testing.T) {
		require.Equal(t, 1, dropped[1].Index)
		require.Equal(t, "good", dropped[1].KeyID)
		require.True(t, dropped[1].Certificates)
		keys, err := set.Keys(t.Context(), "good", "ES256")
		require.NoError(t, err)
		require.Equal(t, []crypto.PublicKey{good.Public()}, keys)
	})
	t.Run("CASES C6: a published secret is reported and not quoted", func(t *testing.T) {
		require.True(t, dropped[2].Private)
		require.Len(t, dropped[2].KeyID, 128)
		require.Contains(t, dropped[2].String(), "published secret")
		require.NotContains(t, dropped[2].String(), secret)
	})
	t.Run("the caller owns the list", func(t *testing.T) {
		dropped[0].Index = 9
		require.Equal(t, 0, set.Dropped()[0].Index)
	})
}

func TestThumbprintRejects(t *testing.T) {
	_, err := jwks.Thumbprint("key")
	require.ErrorIs(t, err, jwks.ErrInvalid)
}

func FuzzParse(f *testing.F) {
	for _, v := range testkit.LoadVectors[setVector](f, "testdata/sets.json") {
		f.Add([]byte(v.Set))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := jwks.Parse(data)
		if err != nil {
			require.Nil(t, set)
			require.True(t, errors.Is(err, jwks.ErrInvalid))
			return
		}
		doc, err := set.MarshalJSON()
		require.NoError(t, err)
		again, err := jwks.Parse(doc)
		require.NoError(t, err)
		doc2, err := again.MarshalJSON()
		require.NoError(t, err)
		require.Equal(t, doc, doc2, "parse and format are each other's reverse")
		for _, alg := range []string{"ES256", "PS256", "EdDSA"} {
			keys, err := set.Keys(context.Background(), "", alg)
			if err != nil {
				require.ErrorIs(t, err, jwks.ErrInvalid)
				require.Empty(t, keys)
				require.NotEmpty(t, set.Dropped())
			}
			keys2, err := again.Keys(context.Background(), "", alg)
			require.NoError(t, err)
			require.LessOrEqual(t, len(keys), len(keys2)) // key_ops is not published
		}
		for _, alg := range []string{"", "none", "RS256", "HS256"} {
			keys, _ := set.Keys(context.Background(), "", alg)
			require.Empty(t, keys)
		}
	})
}

func BenchmarkRemoteKeysWarm(b *testing.B) {
	key := testkit.ECKey(b, "ec")
	set, err := jwks.NewSet(jwks.Key{Public: key.Public(), KeyID: "a"})
	require.NoError(b, err)
	server := httptest.NewTLSServer(set)
	defer server.Close()
	remote, err := jwks.NewRemote(jwks.RemoteConfig{URL: server.URL, HTTPClient: server.Client(), Refresh: time.Hour})
	require.NoError(b, err)
	testkit.Benchmark(b, "Keys", func() bool {
		keys, err := remote.Keys(b.Context(), "a", "ES256")
		return err == nil && len(keys) == 1
	})
}

// EncryptionKeys finds keys for encryption, and Keys does not, in a parsed set and
// in a set of NewSet.
func TestEncryptionKeys(t *testing.T) {
	ctx := context.Background()
	own, err := jwks.NewSet(
		jwks.Key{Public: testkit.ECKey(t, "sig").Public(), KeyID: "sig"},
		jwks.Key{Public: testkit.ECKey(t, "enc").Public(), KeyID: "ec", Use: "enc", Algorithm: "ECDH-ES"},
		jwks.Key{Public: testkit.RSAKey(t, "enc").Public(), KeyID: "rsa", Use: "enc"},
		jwks.Key{Public: testkit.Ed25519Key(t, "enc").Public(), KeyID: "ed", Use: "enc"},
	)
	require.NoError(t, err)
	doc, err := own.MarshalJSON()
	require.NoError(t, err)
	read, err := jwks.Parse(doc)
	require.NoError(t, err)
	again, err := read.MarshalJSON()
	require.NoError(t, err)
	require.Contains(t, string(again), `"kid":"ec"`, "a registration that is kept loses no key")
	p := newPublisher(t, own.ServeHTTP)
	remote, err := jwks.NewRemote(jwks.RemoteConfig{URL: p.URL, HTTPClient: p.Client()})
	require.NoError(t, err)
	for name, set := range map[string]interface {
		EncryptionKeys(ctx context.Context, alg string) ([]jwks.Key, error)
		Keys(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)
	}{"own": own, "read": read, "remote": remote} {
		for alg, kid := range map[string]string{"ECDH-ES": "ec", "RSA-OAEP-256": "rsa"} {
			keys, err := set.EncryptionKeys(ctx, alg)
			require.NoError(t, err)
			require.Len(t, keys, 1, name)
			require.Equal(t, kid, keys[0].KeyID)
			require.Equal(t, "enc", keys[0].Use)
		}
		for _, alg := range []string{"RSA1_5", "dir", "ES256", "ECDH-ES+A256KW", ""} {
			keys, err := set.EncryptionKeys(ctx, alg)
			require.NoError(t, err)
			require.Empty(t, keys, name+" "+alg)
		}
		for _, alg := range []string{"ES256", "PS256", "EdDSA", "ECDH-ES", "RSA-OAEP-256"} {
			keys, err := set.Keys(ctx, "", alg)
			require.NoError(t, err)
			require.LessOrEqual(t, len(keys), 1, name)
			for _, key := range keys {
				require.Equal(t, testkit.ECKey(t, "sig").Public(), key, "SP-5.4.3-1 JWT-3.10-1 no signature verifies with the others")
			}
		}
	}
	p.answer(status(500))
	remote, err = jwks.NewRemote(jwks.RemoteConfig{URL: p.URL, HTTPClient: p.Client()})
	require.NoError(t, err)
	_, err = remote.EncryptionKeys(ctx, "ECDH-ES")
	require.ErrorIs(t, err, jwks.ErrUnavailable)
}
