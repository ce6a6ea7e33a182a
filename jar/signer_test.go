package jar_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jar"
)

// honest are the parameters of an authorization request that uses everything.
func honest() url.Values {
	return url.Values{
		"client_id": {clientID}, "response_type": {"code"}, "redirect_uri": {"https://client.example.com/cb?a=1&b=<2>"},
		"scope": {"openid accounts"}, "state": {"æ\u2028\"\\"}, "code_challenge": {"K2-ltc83acc4h0c9w6ESC_rEMTJ3bwwuCHaoeK1t8U_"},
		"code_challenge_method": {"S256"}, "max_age": {"86400"}, "resource": {"https://a.example", "https://b.example"},
		"authorization_details": {`[{"type":"payment","amount":"1.00 <EUR> & more","n":1.0}]`}, "claims": {`{"id_token":{"acr":null}}`},
	}
}

func segments(t testing.TB, token string) (header, claims strictjson.Object) {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	for i, to := range []*strictjson.Object{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		*to, err = strictjson.ParseObject(raw)
		require.NoError(t, err)
	}
	return header, claims
}

func raw(t testing.TB, o strictjson.Object, name string) string {
	t.Helper()
	value, ok := o.Get(name)
	require.True(t, ok, name)
	return string(value)
}

func TestSign(t *testing.T) {
	s := newServer(t)
	now := s.clock.Now().Unix()
	params := honest()
	token, err := newSigner(t, s).Sign(params)
	require.NoError(t, err)
	require.Equal(t, honest(), params, "only read")
	header, claims := segments(t, token)
	for name, want := range map[string]string{
		"MS-5.3.2-5 JAR-4-6 JAR-10.8-2 typ":           `"oauth-authz-req+jwt"`,
		"JAR-4-3 alg":                                 `"ES256"`,
		"JAR-6.2-1 kid":                               `"k1"`,
		"JAR-4-4 PAR-3-4 iss":                         `"` + clientID + `"`,
		"MS-5.3.2-2 JAR-4-4 aud":                      `"` + issuer + `"`,
		"MS-5.3.2-3 nbf":                              fmt.Sprint(now),
		"an issue date, as some servers want one iat": fmt.Sprint(now),
		"MS-5.3.2-4 exp":                              fmt.Sprint(now + 300),
		"JAR-5-2 PAR-3-3 client_id":                   `"` + clientID + `"`,
		"JAR-4-2 state":                               "\"æ\\u2028\\\"\\\\\"",
		"JAR-4-2 max_age":                             `86400`,
		"RI-2.1-1 resource":                           `["https://a.example","https://b.example"]`,
		"RAR-3-1 authorization_details":               params.Get("authorization_details"),
		"JAR-4-2 claims":                              params.Get("claims"),
	} {
		t.Run(name, func(t *testing.T) {
			member, o := name[strings.LastIndex(name, " ")+1:], claims
			if member == "typ" || member == "alg" || member == "kid" {
				o = header
			}
			require.Equal(t, want, raw(t, o, member))
		})
	}
	t.Run("MS-5.3.2-1 JAR-4-1 every parameter is inside", func(t *testing.T) {
		for name := range params {
			require.True(t, claims.Has(name), name)
		}
		require.Len(t, claims.Names(), len(params)+6)
	})
	t.Run("JAR-10.8-1 no sub", func(t *testing.T) { require.False(t, claims.Has("sub")) })
	t.Run("a new jti each time", func(t *testing.T) {
		again, err := newSigner(t, s).Sign(params)
		require.NoError(t, err)
		_, other := segments(t, again)
		require.NotEqual(t, raw(t, claims, "jti"), raw(t, other, "jti"))
	})
	t.Run("RI-2.1-1 one resource is a string", func(t *testing.T) {
		token, err := newSigner(t, s).Sign(url.Values{"resource": {"https://a.example"}})
		require.NoError(t, err)
		_, claims := segments(t, token)
		require.Equal(t, `"https://a.example"`, raw(t, claims, "resource"))
	})
}

func TestForm(t *testing.T) {
	s := newServer(t)
	f, err := newSigner(t, s).Form(honest())
	require.NoError(t, err)
	require.Len(t, f, 2, "PAR-3-1 JAR-5-1 nothing but the object and the client")
	require.Equal(t, clientID, f.Get("client_id"), "JAR-5-2")
	r, err := s.Verify(t.Context(), s.client, f)
	require.NoError(t, err)
	require.Equal(t, honest(), r.Params())
	f, err = newSigner(t, s).Form(url.Values{"request": {"a.b.c"}})
	require.Error(t, err)
	require.Nil(t, f)
}

func TestEveryKeySigns(t *testing.T) {
	s := newServer(t)
	for alg, key := range benchKeys(t) {
		f, err := newSigner(t, s, func(c *jar.SignerConfig) { c.Key = testkit.RemoteKey{Signer: key} }).Form(honest())
		require.NoError(t, err)
		r, err := s.Verify(t.Context(), s.client, f)
		require.NoError(t, err)
		require.Equal(t, alg, r.Algorithm())
		require.Equal(t, key.Public(), r.PublicKey())
	}
}

func TestSignRefuses(t *testing.T) {
	s := newServer(t)
	for name, params := range map[string]url.Values{
		"JAR-4-1 request":          {"request": {"a.b.c"}},
		"JAR-4-1 request_uri":      {"request_uri": {"urn:x"}},
		"a client assertion":       {"client_assertion": {"a.b.c"}},
		"its type":                 {"client_assertion_type": {"x"}},
		"a secret":                 {"client_secret": {"x"}},
		"JAR-10.8-1 sub":           {"sub": {clientID}},
		"MS-5.3.2-2 aud":           {"aud": {"https://other.example"}},
		"MS-5.3.2-4 exp":           {"exp": {"1"}},
		"jti":                      {"jti": {"1"}},
		"JAR-6.3-1 another client": {"client_id": {"client-2"}},
		"a repeated parameter":     {"scope": {"a", "b"}},
		"two clients":              {"client_id": {clientID, "client-2"}},
		"JAR-4-2 max_age in words": {"max_age": {"a day"}},
		"JAR-4-2 max_age as no encoder writes it":   {"max_age": {"007"}},
		"JAR-4-2 a negative max_age":                {"max_age": {"-1"}},
		"JAR-4-2 a max_age that JSON cannot hold":   {"max_age": {"9007199254740992"}},
		"RAR-3-1 authorization_details not JSON":    {"authorization_details": {"[{"}},
		"RAR-3-1 authorization_details no array":    {"authorization_details": {`{"type":"a"}`}},
		"RAR-3-1 authorization_details that repeat": {"authorization_details": {`[{"type":"a","type":"b"}]`}},
		"claims no object":                          {"claims": {"[]"}},
		"JSON by configuration, a string":           {"registration": {`"x"`}},
		"JSON by configuration, null":               {"registration": {`null`}},
		"JAR-4-2 not UTF-8":                         {"state": {"\xff"}},
		"JAR-4-2 a name that is not UTF-8":          {"\xff": {"x"}},
		"two spellings of a name":                   {"state": {"a"}, "State": {"b"}},
		"nesting that a reader refuses":             {"claims": {strings.Repeat(`{"a":`, 31) + `{}` + strings.Repeat(`}`, 31)}},
		"too large":                                 {"state": {strings.Repeat("a", 64<<10)}},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := newSigner(t, s, func(c *jar.SignerConfig) { c.JSONParameters = []string{"registration"} }).Sign(params)
			require.Error(t, err)
			require.Empty(t, token)
			var onTheWire interface{ HTTPStatus() int }
			require.False(t, errors.As(err, &onTheWire), "a mistake of the client's own is nobody's answer")
		})
	}
	t.Run("more parameters than a server reads", func(t *testing.T) {
		params := url.Values{}
		for i := range 250 {
			params.Set(fmt.Sprint("p", i), "1")
		}
		_, err := newSigner(t, s).Sign(params)
		require.Error(t, err)
	})
	t.Run("the key fails", func(t *testing.T) {
		errHSM := errors.New("module unplugged")
		f, err := newSigner(t, s, func(c *jar.SignerConfig) {
			c.Key = testkit.RemoteKey{Signer: testkit.ECKey(t, clientID), Err: errHSM}
		}).Form(honest())
		require.ErrorIs(t, err, errHSM)
		require.Nil(t, f)
	})
}

func TestNewSigner(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	testkit.RejectChanges(t, jar.NewSigner, jar.SignerConfig{ClientID: clientID, Audience: issuer, Key: testkit.ECKey(t, clientID)}, map[string]func(*jar.SignerConfig){
		"no client":                          func(c *jar.SignerConfig) { c.ClientID = "" },
		"a client with a line break":         func(c *jar.SignerConfig) { c.ClientID = "a\n" },
		"no audience":                        func(c *jar.SignerConfig) { c.Audience = "" },
		"no key":                             func(c *jar.SignerConfig) { c.Key = nil },
		"a key on another curve":             func(c *jar.SignerConfig) { c.Key = p384 },
		"CS-3 RS256":                         func(c *jar.SignerConfig) { c.Key, c.Algorithm = testkit.RSAKey(t, clientID), "RS256" },
		"an algorithm of other keys":         func(c *jar.SignerConfig) { c.Algorithm = "PS256" },
		"MS-5.3.2-4 more than 60 minutes":    func(c *jar.SignerConfig) { c.Lifetime = time.Hour + time.Second },
		"MS-5.3.2-4 a negative lifetime":     func(c *jar.SignerConfig) { c.Lifetime = -time.Second },
		"MS-5.3.2-4 half a second":           func(c *jar.SignerConfig) { c.Lifetime = time.Second / 2 },
		"JAR-4-2 max_age as a string":        func(c *jar.SignerConfig) { c.JSONParameters = []string{"max_age"} },
		"a claim of the JWT as a parameter":  func(c *jar.SignerConfig) { c.JSONParameters = []string{"exp"} },
		"a JSON parameter without any name ": func(c *jar.SignerConfig) { c.JSONParameters = []string{""} },
	})
	t.Run("MS-5.3.2-4 an hour is accepted by the other side", func(t *testing.T) {
		s := newServer(t)
		f, err := newSigner(t, s, func(c *jar.SignerConfig) { c.Lifetime = time.Hour }).Form(honest())
		require.NoError(t, err)
		s.clock.Advance(time.Hour - time.Second)
		_, err = s.Check(t.Context(), s.client, f)
		require.NoError(t, err)
	})
	t.Run("a configuration keeps its key to itself", func(t *testing.T) {
		cfg := jar.SignerConfig{ClientID: clientID, Key: testkit.ECKey(t, clientID)}
		var log strings.Builder
		slog.New(slog.NewJSONHandler(&log, nil)).Info("start", "config", cfg)
		for _, printed := range []string{fmt.Sprint(cfg), fmt.Sprintf("%+v %#v", cfg, cfg), log.String()} {
			require.Contains(t, printed, clientID)
			require.NotContains(t, printed, testkit.ECKey(t, clientID).D.String())
		}
	})
}
