package accesstoken_test

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

const (
	issuer = "https://as.example.com"
	rs     = "https://api.example.com/accounts"
	jkt    = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	x5t    = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
)

var t0 = time.Unix(1_800_000_000, 0)

func newVerifier(t testing.TB, change func(*accesstoken.VerifierConfig)) *accesstoken.Verifier {
	t.Helper()
	cfg := accesstoken.VerifierConfig{
		Issuer: issuer, Audience: []string{rs}, Now: func() time.Time { return t0 },
		Keys: testkit.KeySource(testkit.ECKey(t, "as").Public(), testkit.Ed25519Key(t, "as").Public(), testkit.RSAKey(t, "as").Public()),
	}
	if change != nil {
		change(&cfg)
	}
	v, err := accesstoken.NewVerifier(cfg)
	require.NoError(t, err)
	return v
}

type obj = map[string]any

func good() obj {
	return obj{
		"iss": issuer, "sub": "alice", "aud": rs, "client_id": "fintech", "iat": t0.Unix(), "exp": t0.Unix() + 300, "jti": "id-1",
		"scope": "accounts payments", "cnf": obj{"jkt": jkt},
	}
}

func sign(t testing.TB, claims obj) string { return signTyped(t, claims, "at+jwt") }

func signTyped(t testing.TB, claims obj, typ string) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	return testkit.SignPayload(t, string(payload), jose.SignerOptions{Type: typ, KeyID: "k"}, testkit.ECKey(t, "as"))
}

// set returns good claims with changes; nil removes.
func set(changes ...any) obj {
	return testkit.Change(good(), changes...)
}

// requireRefused verifies twice with and once without a cache: a refused token is not remembered.
func requireRefused(t *testing.T, token string, want error, change func(*accesstoken.VerifierConfig)) {
	t.Helper()
	for _, size := range []int{0, -1} {
		v := newVerifier(t, func(c *accesstoken.VerifierConfig) {
			c.CacheSize = size
			if change != nil {
				change(c)
			}
		})
		for range 2 {
			got, err := v.Verify(context.Background(), token)
			require.ErrorIs(t, err, want)
			require.Nil(t, got)
			parts := strings.Split(err.Error(), ": ")
			for i, part := range parts {
				require.NotContains(t, parts[:i], part, "a reason is given once: %s", err)
			}
			if code, _, status := testkit.Wire(t, err); !errors.Is(err, accesstoken.ErrUnavailable) {
				require.Equal(t, "invalid_token", code)
				require.Equal(t, http.StatusUnauthorized, status)
			}
			if len(token) > 40 {
				require.NotContains(t, err.Error(), token[len(token)-20:])
			}
		}
	}
}

func TestVerifyRefusesClaims(t *testing.T) {
	now := t0.Unix()
	for _, tc := range []struct {
		name   string
		claims obj
		want   error
	}{
		{"AT-2.2-1 no iss", set("iss", nil), accesstoken.ErrClaims},
		{"AT-2.2-1 no sub", set("sub", nil), accesstoken.ErrClaims},
		{"AT-2.2-1 an empty sub", set("sub", ""), accesstoken.ErrClaims},
		{"AT-2.2-1 no client_id", set("client_id", nil), accesstoken.ErrClaims},
		{"AT-2.2-1 no jti", set("jti", nil), accesstoken.ErrClaims},
		{"AT-2.2-1 no iat", set("iat", nil), accesstoken.ErrClaims},
		{"AT-2.2-1 no exp", set("exp", nil), accesstoken.ErrClaims},
		{"CASES C13: AT-4-3 no aud", set("aud", nil), accesstoken.ErrClaims},
		{"AT-4-3 the audience of another", set("aud", "https://api.example.com/payments"), accesstoken.ErrAudience},
		{"CASES C13: AT-4-3 JWT-3.9-1 an empty list", set("aud", []string{}), accesstoken.ErrClaims},
		{"AT-4-3 a prefix", set("aud", rs+"/"), accesstoken.ErrAudience},
		{"AT-4-3 a number", set("aud", 1), accesstoken.ErrClaims},
		{"AT-4-3 a list with a number", set("aud", []any{rs, 1}), accesstoken.ErrClaims},
		{"AT-4-2 another issuer", set("iss", "https://evil.example.com"), accesstoken.ErrIssuer},
		{"AT-4-2 a trailing slash", set("iss", issuer+"/"), accesstoken.ErrIssuer},
		{"AT-4-2 another case", set("iss", "https://AS.example.com"), accesstoken.ErrIssuer},
		{"AT-4-2 an issuer that is a list", set("iss", []string{issuer}), accesstoken.ErrClaims},
		{"AT-4-5 SP-5.3.4-3 expired", set("exp", now-1), accesstoken.ErrExpired},
		{"AT-4-5 SP-5.3.4-3 expired this instant", set("exp", now), accesstoken.ErrExpired},
		{"AT-4-5 exp as a string", set("exp", fmt.Sprint(now+300)), accesstoken.ErrClaims},
		{"AT-4-5 exp beyond all time", set("exp", 1e300), accesstoken.ErrClaims},
		{"iat 31 s ahead", set("iat", now+31), accesstoken.ErrNotYetValid},
		{"nbf 31 s ahead", set("nbf", now+31), accesstoken.ErrNotYetValid},
		{"nbf as a string", set("nbf", "1"), accesstoken.ErrClaims},
		{"SP-5.3.4-5 no cnf", set("cnf", nil), accesstoken.ErrConfirmation},
		{"SP-5.3.4-5 an empty cnf", set("cnf", obj{}), accesstoken.ErrConfirmation},
		{"SP-5.3.4-5 a cnf of another method", set("cnf", obj{"jwk": obj{}}), accesstoken.ErrConfirmation},
		{"SP-5.3.4-5 cnf is null", set("cnf", json.RawMessage("null")), accesstoken.ErrConfirmation},
		{"SP-5.3.4-5 cnf is a list", set("cnf", []any{obj{"jkt": jkt}}), accesstoken.ErrConfirmation},
		{"DPOP-6-1 jkt is null", set("cnf", obj{"jkt": json.RawMessage("null")}), accesstoken.ErrConfirmation},
		{"DPOP-6-1 jkt is empty", set("cnf", obj{"jkt": ""}), accesstoken.ErrConfirmation},
		{"DPOP-6-1 jkt is too short", set("cnf", obj{"jkt": jkt[1:]}), accesstoken.ErrConfirmation},
		{"DPOP-6-1 jkt with a line break", set("cnf", obj{"jkt": jkt[1:] + "\n"}), accesstoken.ErrConfirmation},
		{"SP-5.3.4-5 a bad x5t#S256 beside a good jkt", set("cnf", obj{"jkt": jkt, "x5t#S256": "x"}), accesstoken.ErrConfirmation},
		{"SP-5.3.4-5 X5T#S256", set("cnf", obj{"X5T#S256": x5t}), accesstoken.ErrConfirmation},
		{"CASES C2: a scope that is a list", set("scope", []string{"accounts"}), accesstoken.ErrClaims},
		{"a grant_id that is a number", set("grant_id", 3), accesstoken.ErrClaims},
		{"a grant_id that is an array", set("grant_id", []string{"a"}), accesstoken.ErrClaims},
		{"authorization_details that are an object", set("authorization_details", obj{"type": "x"}), accesstoken.ErrClaims},
		{"authorization_details that hold a string", set("authorization_details", []any{"x"}), accesstoken.ErrClaims},
	} {
		t.Run(tc.name, func(t *testing.T) { requireRefused(t, sign(t, tc.claims), tc.want, nil) })
	}
}

func TestVerifyRefusesTokens(t *testing.T) {
	token := sign(t, good())
	body, err := json.Marshal(good())
	require.NoError(t, err)
	payload := string(body)
	typed := func(typ string) string { return signTyped(t, good(), typ) }
	at := jose.SignerOptions{Type: "at+jwt"}
	_, rest, _ := strings.Cut(token, ".")
	part, sig, _ := strings.Cut(rest, ".")
	for _, tc := range []struct {
		name, token string
		want        error
	}{
		{"AT-4-1 JWT-3.12-1 an ID token", typed("JWT"), accesstoken.ErrType},
		{"AT-4-1 JWT-3.12-1 no typ", typed(""), accesstoken.ErrType},
		{"AT-4-1 JWT-3.12-1 an introspection response", typed("token-introspection+jwt"), accesstoken.ErrType},
		{"AT-4-1 JWT-3.12-1 a request object", typed("oauth-authz-req+jwt"), accesstoken.ErrType},
		{"AT-4-1 JWT-3.12-1 a client assertion", typed("client-authentication+jwt"), accesstoken.ErrType},
		{"AT-4-1 JWT-3.12-1 a DPoP proof", typed("dpop+jwt"), accesstoken.ErrType},
		{"AT-4-1 a prefix twice", typed("application/application/at+jwt"), accesstoken.ErrType},
		{"AT-4-1 a parameter", typed("at+jwt; a=b"), accesstoken.ErrType},
		{"AT-4-1 typ is no string", testkit.WithHeader(token, `{"alg":"ES256","typ":["at+jwt"]}`), accesstoken.ErrMalformed},
		{"AT-4-4 SP-5.4.1-1.3 none", testkit.WithHeader(token, `{"alg":"none","typ":"at+jwt"}`), accesstoken.ErrAlgorithm},
		{"AT-2.1-2 RS256", testkit.WithHeader(token, `{"alg":"RS256","typ":"at+jwt"}`), accesstoken.ErrAlgorithm},
		{"AT-4-4 HS256", testkit.WithHeader(token, `{"alg":"HS256","typ":"at+jwt"}`), accesstoken.ErrAlgorithm},
		{"AT-4-4 alg is no string", testkit.WithHeader(token, `{"alg":1,"typ":"at+jwt"}`), accesstoken.ErrMalformed},
		{"JWT-3.1-2 an algorithm swap", testkit.WithHeader(token, `{"alg":"PS256","typ":"at+jwt"}`), accesstoken.ErrSignature},
		{"AT-4-4 the key of another", testkit.SignPayload(t, payload, at, testkit.ECKey(t, "evil")), accesstoken.ErrSignature},
		{"AT-4-4 its own key in the header", testkit.SignPayload(t, payload, jose.SignerOptions{Type: "at+jwt", EmbedKey: true}, testkit.ECKey(t, "evil")), accesstoken.ErrSignature},
		{"AT-4-4 SP-5.3.4-3 other claims under the signature", strings.Replace(token, part, base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(payload, "alice", "mallo", 1))), 1), accesstoken.ErrSignature},
		{"AT-4-4 no signature", token[:len(token)-len(sig)], accesstoken.ErrMalformed},
		{"an unknown crit", testkit.WithHeader(token, `{"alg":"ES256","typ":"at+jwt","crit":["x"],"x":1}`), accesstoken.ErrMalformed},
		{"b64", testkit.WithHeader(token, `{"alg":"ES256","typ":"at+jwt","b64":false}`), accesstoken.ErrMalformed},
		{"typ twice", testkit.WithHeader(token, `{"alg":"ES256","typ":"at+jwt","TYP":"JWT"}`), accesstoken.ErrMalformed},
		{"CASES F1: aud twice, differently", testkit.SignPayload(t, payload[:len(payload)-1]+`,"aud":"https://other.example"}`, at, testkit.ECKey(t, "as")), accesstoken.ErrMalformed},
		{"CASES F1: aud twice but for its case", testkit.SignPayload(t, payload[:len(payload)-1]+`,"AUD":"`+rs+`"}`, at, testkit.ECKey(t, "as")), accesstoken.ErrMalformed},
		{"CASES F1: cnf twice, differently", testkit.SignPayload(t, payload[:len(payload)-1]+`,"cnf":{"jkt":"x"}}`, at, testkit.ECKey(t, "as")), accesstoken.ErrMalformed},
		{"jkt twice", testkit.SignPayload(t, strings.Replace(payload, `{"jkt"`, `{"JKT":"x","jkt"`, 1), at, testkit.ECKey(t, "as")), accesstoken.ErrMalformed},
		{"JWT-3.7-1 bytes that are no UTF-8", testkit.SignPayload(t, payload[:len(payload)-1]+",\"a\":\"\xff\"}", at, testkit.ECKey(t, "as")), accesstoken.ErrMalformed},
		{"claims that are a list", testkit.SignPayload(t, "["+payload+"]", at, testkit.ECKey(t, "as")), accesstoken.ErrMalformed},
		{"bytes after the claims", testkit.SignPayload(t, payload+"x", at, testkit.ECKey(t, "as")), accesstoken.ErrMalformed},
		{"nothing", "", accesstoken.ErrMalformed},
		{"an opaque token", "2YotnFZFEjr1zCsicMWpAA", accesstoken.ErrMalformed},
		{"a line break", token + "\n", accesstoken.ErrMalformed},
		{"padding", token + "=", accesstoken.ErrMalformed},
		{"a scheme", "DPoP " + token, accesstoken.ErrMalformed},
		{"JSON serialization", `{"payload":"` + part + `"}`, accesstoken.ErrMalformed},
		{"a JWE", "a.b.c.d.e", accesstoken.ErrMalformed},
		{"more than 16 KiB", sign(t, set("pad", strings.Repeat("x", 16<<10))), accesstoken.ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) { requireRefused(t, tc.token, tc.want, nil) })
	}
	t.Run("JWT-3.1-1 an algorithm that this server does not allow", func(t *testing.T) {
		requireRefused(t, token, accesstoken.ErrAlgorithm, func(c *accesstoken.VerifierConfig) { c.Algorithms = []string{"PS256"} })
	})
	t.Run("AT-4-4 no keys", func(t *testing.T) {
		requireRefused(t, token, accesstoken.ErrSignature, func(c *accesstoken.VerifierConfig) { c.Keys = testkit.KeySource() })
	})
	t.Run("AT-4-4 keys that cannot be fetched", func(t *testing.T) {
		cause := errors.New("no route")
		down := func(c *accesstoken.VerifierConfig) { c.Keys = testkit.KeyError(cause) }
		requireRefused(t, token, accesstoken.ErrUnavailable, down)
		requireRefused(t, token, cause, down)
	})
	t.Run("SP-5.3.4-5 a cnf of another method even where bare tokens pass", func(t *testing.T) {
		requireRefused(t, sign(t, set("cnf", obj{"kid": "x"})), accesstoken.ErrConfirmation,
			func(c *accesstoken.VerifierConfig) { c.InsecureAllowBearer = true })
	})
}

func TestVerifyAccepts(t *testing.T) {
	now := t0.Unix()
	for _, tc := range []struct {
		name   string
		claims obj
	}{
		{"a plain token", good()},
		{"AT-4-3 a list of audiences", set("aud", []string{"https://other.example.com", rs})},
		{"iat 30 s ahead", set("iat", now+30)},
		{"nbf 30 s ahead", set("nbf", now+30)},
		{"fractions of a second", set("iat", float64(now)+0.5, "exp", float64(now)+0.5)},
		{"both confirmations", set("cnf", obj{"jkt": jkt, "x5t#S256": x5t})},
		{"unknown members of cnf beside a known one", set("cnf", obj{"jkt": jkt, "kid": 7})},
		{"unknown claims, nested", set("foo", obj{"bar": []any{1, obj{"iss": "x"}}})},
		{"no scope", set("scope", nil)},
		{"empty authorization_details", set("authorization_details", []any{})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := newVerifier(t, nil).Verify(context.Background(), sign(t, tc.claims))
			require.NoError(t, err)
			require.Equal(t, "alice", got.Subject())
		})
	}
	for _, typ := range []string{"at+jwt", "AT+JWT", "at+JWT", "application/at+jwt", "Application/AT+jwt"} {
		t.Run("AT-4-1 typ "+typ, func(t *testing.T) {
			_, err := newVerifier(t, nil).Verify(t.Context(), signTyped(t, good(), typ))
			require.NoError(t, err)
		})
	}
	t.Run("a bare token if told so", func(t *testing.T) {
		v := newVerifier(t, func(c *accesstoken.VerifierConfig) { c.InsecureAllowBearer = true })
		got, err := v.Verify(context.Background(), sign(t, set("cnf", nil)))
		require.NoError(t, err)
		require.Empty(t, got.JKT()+got.X5TS256())
	})
	t.Run("B12 a clock that is behind the issuer's", func(t *testing.T) {
		for skew, most := range map[time.Duration]int64{0: 30, 5 * time.Second: 5, time.Minute: 60} {
			v := newVerifier(t, func(c *accesstoken.VerifierConfig) { c.FutureSkew = skew })
			for _, name := range []string{"iat", "nbf"} {
				_, err := v.Verify(context.Background(), sign(t, set(name, now+most)))
				require.NoError(t, err, "%v %s", skew, name)
				_, err = v.Verify(context.Background(), sign(t, set(name, now+most+1)))
				require.ErrorIs(t, err, accesstoken.ErrNotYetValid, "%v %s", skew, name)
			}
			_, err := v.Verify(context.Background(), sign(t, set("exp", now)))
			require.ErrorIs(t, err, accesstoken.ErrExpired, "the end has no leeway")
		}
	})
	t.Run("AT-4-5 leeway", func(t *testing.T) {
		v := newVerifier(t, func(c *accesstoken.VerifierConfig) { c.Leeway = 30 * time.Second })
		_, err := v.Verify(context.Background(), sign(t, set("exp", now-29, "iat", now+30)))
		require.NoError(t, err)
		_, err = v.Verify(context.Background(), sign(t, set("exp", now-30)))
		require.ErrorIs(t, err, accesstoken.ErrExpired)
		require.ErrorContains(t, err, "exp 2027-01-15T07:59:30Z, now 2027-01-15T08:00:00Z, leeway 30s")
		_, err = v.Verify(context.Background(), sign(t, set("iat", now+31)))
		require.ErrorIs(t, err, accesstoken.ErrNotYetValid)
	})
}

// TestNoKeyIsFetchedInVain: a token that cannot be accepted anyway causes no work elsewhere.
func TestRepeatedClaims(t *testing.T) {
	payload, err := json.Marshal(set())
	require.NoError(t, err)
	for _, name := range []string{"iss", "aud", "exp", "sub"} {
		t.Run("CASES F1: one claim: "+name+" twice with the same value", func(t *testing.T) {
			value, err := json.Marshal(set()[name])
			require.NoError(t, err)
			token := testkit.SignPayload(t, string(payload[:len(payload)-1])+`,"`+name+`":`+string(value)+`}`,
				jose.SignerOptions{KeyID: "k", Type: "at+jwt"}, testkit.ECKey(t, "as"))
			_, err = newVerifier(t, nil).Verify(t.Context(), token)
			require.NoError(t, err)
		})
	}
}

func TestNoKeyIsFetchedInVain(t *testing.T) {
	var fetched atomic.Int32
	v := newVerifier(t, func(c *accesstoken.VerifierConfig) {
		c.Keys = func(context.Context, string, string) ([]crypto.PublicKey, error) { fetched.Add(1); return nil, nil }
	})
	for _, claims := range []obj{set("iss", "https://evil.example.com"), set("aud", "x"), set("exp", 1), set("cnf", nil), set("jti", nil)} {
		_, err := v.Verify(context.Background(), sign(t, claims))
		require.Error(t, err)
	}
	require.Zero(t, fetched.Load(), "JWT-3.8-1")
	_, err := v.Verify(context.Background(), sign(t, good()))
	require.ErrorIs(t, err, accesstoken.ErrSignature)
	require.EqualValues(t, 1, fetched.Load())
}

func TestCache(t *testing.T) {
	clock := testkit.NewClock(t0)
	var fetched, asked atomic.Int32
	revoked, down := false, error(nil)
	keys := []crypto.PublicKey{testkit.ECKey(t, "as").Public()}
	v := newVerifier(t, func(c *accesstoken.VerifierConfig) {
		c.Now = clock.Now
		c.Keys = func(context.Context, string, string) ([]crypto.PublicKey, error) { fetched.Add(1); return keys, nil }
		c.Revoked = func(_ context.Context, id string) (bool, error) { asked.Add(1); return revoked && id == "id-1", down }
	})
	token := sign(t, set("exp", t0.Unix()+600))
	verify := func() error { _, err := v.Verify(context.Background(), token); return err }
	for i := range 5 {
		require.NoError(t, verify())
		require.EqualValues(t, 1, fetched.Load(), "a hot token costs no signature check")
		require.EqualValues(t, i+1, asked.Load(), "SP-5.3.4-3 revocation is asked on every use")
	}
	for i := range 200 { // nothing but the very token hits
		_, err := v.Verify(context.Background(), testkit.MutateJWS(token, i*7))
		require.Error(t, err)
	}
	require.EqualValues(t, 5, asked.Load(), "nobody is asked about tokens that are forged")

	revoked = true
	require.ErrorIs(t, verify(), accesstoken.ErrRevoked)
	revoked, down = false, errors.New("database down")
	require.ErrorIs(t, verify(), accesstoken.ErrUnavailable, "SP-5.3.4-3 not knowing is no reason to accept")
	require.ErrorIs(t, verify(), down)
	down = nil

	withdrawn := keys
	keys = nil
	clock.Advance(5*time.Minute - 1)
	require.NoError(t, verify())
	clock.Advance(1)
	require.ErrorIs(t, verify(), accesstoken.ErrSignature, "a withdrawn key is out of use after five minutes")
	keys = withdrawn
	require.NoError(t, verify())
	clock.Advance(-time.Minute)
	before := fetched.Load()
	require.NoError(t, verify())
	require.Equal(t, before+1, fetched.Load(), "a clock that was set back does not lengthen the stay")
	clock.Advance(-time.Hour)
	require.ErrorIs(t, verify(), accesstoken.ErrNotYetValid)
	clock.Advance(time.Hour + time.Minute)
	require.NoError(t, verify())
	clock.Advance(5*time.Minute - time.Second)
	require.NoError(t, verify())
	clock.Advance(time.Second)
	require.ErrorIs(t, verify(), accesstoken.ErrExpired, "AT-4-5 expiry counts for hot tokens too")
}

func TestConcurrentUse(t *testing.T) {
	v := newVerifier(t, func(c *accesstoken.VerifierConfig) { c.CacheSize = 4 })
	tokens := make([]string, 16)
	for i := range tokens {
		tokens[i] = sign(t, set("jti", fmt.Sprint(i)))
	}
	var wrong atomic.Int32
	testkit.Hammer(64, func(i int) {
		for j := range 32 {
			n := (i + j) % len(tokens)
			got, err := v.Verify(context.Background(), tokens[n])
			if err != nil || got.ID() != fmt.Sprint(n) {
				wrong.Add(1)
			}
		}
	})
	require.Zero(t, wrong.Load())
}

func TestNewVerifierRefuses(t *testing.T) {
	ok := accesstoken.VerifierConfig{Issuer: issuer, Audience: []string{rs}, Keys: testkit.KeySource()}
	testkit.RejectChanges(t, accesstoken.NewVerifier, ok, map[string]func(*accesstoken.VerifierConfig){
		"AT-4-2 no issuer":                  func(c *accesstoken.VerifierConfig) { c.Issuer = "" },
		"AT-4-3 no audience":                func(c *accesstoken.VerifierConfig) { c.Audience = nil },
		"AT-4-3 an empty audience":          func(c *accesstoken.VerifierConfig) { c.Audience = []string{rs, ""} },
		"AT-4-4 no keys":                    func(c *accesstoken.VerifierConfig) { c.Keys = nil },
		"AT-4-5 a large leeway":             func(c *accesstoken.VerifierConfig) { c.Leeway = time.Minute + 1 },
		"B12 a large skew":                  func(c *accesstoken.VerifierConfig) { c.FutureSkew = time.Minute + 1 },
		"B12 a negative skew":               func(c *accesstoken.VerifierConfig) { c.FutureSkew = -1 },
		"a negative leeway":                 func(c *accesstoken.VerifierConfig) { c.Leeway = -1 },
		"AT-2.1-2 SP-5.4.1-1.2 RS256":       func(c *accesstoken.VerifierConfig) { c.Algorithms = []string{"ES256", "RS256"} },
		"AT-2.1-1 SP-5.4.1-1.3 none":        func(c *accesstoken.VerifierConfig) { c.Algorithms = []string{"none"} },
		"JWT-3.1-1 a list of no algorithms": func(c *accesstoken.VerifierConfig) { c.Algorithms = []string{} },
	})
	algs, aud := []string{"ES256"}, []string{rs}
	v := newVerifier(t, func(c *accesstoken.VerifierConfig) { c.Algorithms, c.Audience = algs, aud })
	algs[0], aud[0] = "PS256", "x"
	_, err := v.Verify(context.Background(), sign(t, maps.Clone(good())))
	require.NoError(t, err, "the configuration is copied")
}
