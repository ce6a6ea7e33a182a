package accesstoken_test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

func newIssuer(t testing.TB, change func(*accesstoken.IssuerConfig)) *accesstoken.Issuer {
	t.Helper()
	cfg := accesstoken.IssuerConfig{Issuer: issuer, Key: testkit.ECKey(t, "as"), Now: func() time.Time { return t0 }}
	if change != nil {
		change(&cfg)
	}
	i, err := accesstoken.NewIssuer(cfg)
	require.NoError(t, err)
	return i
}

func grant() accesstoken.Claims {
	return accesstoken.Claims{Subject: "alice", ClientID: "fintech", Audience: []string{rs}, JKT: jkt}
}

func TestIssue(t *testing.T) {
	c := grant()
	c.Scope, c.X5TS256, c.ACR, c.AMR, c.AuthTime = "accounts", x5t, "gold", []string{"otp"}, t0.Add(-time.Minute)
	c.AuthorizationDetails = json.RawMessage(`[{"type":"payment"}]`)
	c.GrantID = "grant-1"
	c.Extra = map[string]any{"tenant": "a&b"}
	token, err := newIssuer(t, nil).Issue(c)
	require.NoError(t, err)
	header, claims := testkit.Segments(t, token)
	kid, err := jose.Thumbprint(testkit.ECKey(t, "as").Public())
	require.NoError(t, err)
	require.Equal(t, obj{"typ": "at+jwt", "alg": "ES256", "kid": kid}, header, "AT-2.1-1 AT-2.1-3")
	require.NotEmpty(t, claims["jti"])
	delete(claims, "jti")
	require.Equal(t, obj{
		"iss": issuer, "sub": "alice", "aud": rs, "client_id": "fintech", "iat": 1.8e9, "exp": 1.8e9 + 300, "scope": "accounts",
		"cnf": obj{"jkt": jkt, "x5t#S256": x5t}, "acr": "gold", "amr": []any{"otp"}, "auth_time": 1.8e9 - 60,
		"authorization_details": []any{obj{"type": "payment"}}, "grant_id": "grant-1", "tenant": "a&b",
	}, claims, "AT-2.2-1 AT-2.2.3-1 AT-3-1 DPOP-6.1-1 MTLS-3.1-1 SU-5-2")
	require.NotContains(t, token, "\\u0026")

	got, err := newVerifier(t, nil).Verify(context.Background(), token)
	require.NoError(t, err)
	require.Equal(t, "alice", got.Subject())
	require.Equal(t, "grant-1", got.GrantID())

	for name, key := range map[string]crypto.Signer{"EdDSA": testkit.Ed25519Key(t, "as"), "PS256": testkit.RSAKey(t, "as"), "Ed25519": testkit.Ed25519Key(t, "as")} {
		t.Run("AT-2.1-1 "+name, func(t *testing.T) {
			token, err := newIssuer(t, func(c *accesstoken.IssuerConfig) { c.Key, c.Algorithm, c.KeyID = key, name, "k" }).Issue(grant())
			require.NoError(t, err)
			header, _ := testkit.Segments(t, token)
			require.Equal(t, obj{"typ": "at+jwt", "alg": name, "kid": "k"}, header)
			_, err = newVerifier(t, nil).Verify(context.Background(), token)
			require.NoError(t, err)
		})
	}
	t.Run("SP-5.4.1-4 IDs are random", func(t *testing.T) {
		seen := make(map[any]bool)
		for range 100 {
			token, err := newIssuer(t, nil).Issue(grant())
			require.NoError(t, err)
			_, claims := testkit.Segments(t, token)
			require.Len(t, claims["jti"], 22) // 128 bits
			require.False(t, seen[claims["jti"]])
			seen[claims["jti"]] = true
		}
	})
	t.Run("several audiences, own ID and lifetime", func(t *testing.T) {
		c := grant()
		c.Audience, c.ID, c.Lifetime = []string{rs, "https://b.example.com"}, "mine", time.Minute
		token, err := newIssuer(t, nil).Issue(c)
		require.NoError(t, err)
		_, claims := testkit.Segments(t, token)
		require.Equal(t, []any{rs, "https://b.example.com"}, claims["aud"])
		require.Equal(t, "mine", claims["jti"])
		require.Equal(t, 1.8e9+60, claims["exp"])
	})
}

func TestIssueRefuses(t *testing.T) {
	testkit.RejectChanges(t, newIssuer(t, nil).Issue, grant(), map[string]func(*accesstoken.Claims){
		"AT-2.2-1 no subject":                      func(c *accesstoken.Claims) { c.Subject = "" },
		"AT-2.2-1 no client":                       func(c *accesstoken.Claims) { c.ClientID = "" },
		"AT-3-1 no audience":                       func(c *accesstoken.Claims) { c.Audience = nil },
		"AT-3-1 an empty audience":                 func(c *accesstoken.Claims) { c.Audience = []string{rs, ""} },
		"SP-5.3.4-5 no key":                        func(c *accesstoken.Claims) { c.JKT = "" },
		"DPOP-6.1-1 a jkt that is none":            func(c *accesstoken.Claims) { c.JKT = "x" },
		"DPOP-6.1-1 a jkt with padding":            func(c *accesstoken.Claims) { c.JKT = jkt[1:] + "=" },
		"MTLS-3.1-2 an x5t#S256 in hexadecimal":    func(c *accesstoken.Claims) { c.X5TS256 = strings.Repeat("ab", 32) },
		"MTLS-3.1-2 an x5t#S256 with a line break": func(c *accesstoken.Claims) { c.X5TS256 = x5t + "\n" },
		"AT-2.2.3-1 a scope with two spaces":       func(c *accesstoken.Claims) { c.Scope = "a  b" },
		"AT-2.2.3-1 a scope with a quote":          func(c *accesstoken.Claims) { c.Scope = `a"b` },
		"a scope that ends in a space":             func(c *accesstoken.Claims) { c.Scope = "a " },
		"a negative lifetime":                      func(c *accesstoken.Claims) { c.Lifetime = -time.Minute },
		"a lifetime of two days":                   func(c *accesstoken.Claims) { c.Lifetime = 48 * time.Hour },
		"JWT-3.7-1 an audience that is no UTF-8":   func(c *accesstoken.Claims) { c.Audience = []string{rs, "\xff"} },
		"JWT-3.7-1 a class that is no UTF-8":       func(c *accesstoken.Claims) { c.ACR = "\xff" },
		"JWT-3.7-1 a method that is no UTF-8":      func(c *accesstoken.Claims) { c.AMR = []string{"\xc3", "\xa4"} },
		"a subject that is no UTF-8":               func(c *accesstoken.Claims) { c.Subject = "\xff" },
		"a time before 1970":                       func(c *accesstoken.Claims) { c.AuthTime = time.Unix(-1, 0) },
		"details that are an object":               func(c *accesstoken.Claims) { c.AuthorizationDetails = json.RawMessage(`{}`) },
		"details with a member twice":              func(c *accesstoken.Claims) { c.AuthorizationDetails = json.RawMessage(`[{"a":1,"a":2}]`) },
		"details that are null":                    func(c *accesstoken.Claims) { c.AuthorizationDetails = json.RawMessage(`null`) },
		"an issuer among the extra claims":         func(c *accesstoken.Claims) { c.Extra = map[string]any{"iss": "x"} },
		"a CNF among the extra claims":             func(c *accesstoken.Claims) { c.Extra = map[string]any{"CNF": "x"} },
		"extra claims that differ by case":         func(c *accesstoken.Claims) { c.Extra = map[string]any{"a": 1, "A": 2} },
		"extra claims that are no JSON":            func(c *accesstoken.Claims) { c.Extra = map[string]any{"a": func() {}} },
		"more than 16 KiB":                         func(c *accesstoken.Claims) { c.Extra = map[string]any{"a": strings.Repeat("x", 16<<10)} },
	})
	t.Run("an unbound token is issued if told so", func(t *testing.T) {
		c := grant()
		c.JKT = ""
		_, err := newIssuer(t, func(c *accesstoken.IssuerConfig) { c.InsecureAllowBearer = true }).Issue(c)
		require.NoError(t, err)
	})
	t.Run("a key that does not sign", func(t *testing.T) {
		errBroken := errors.New("module out of reach")
		key := testkit.RemoteKey{Signer: testkit.ECKey(t, "as"), Err: errBroken}
		_, err := newIssuer(t, func(c *accesstoken.IssuerConfig) { c.Key = key }).Issue(grant())
		require.ErrorIs(t, err, errBroken)
	})
	testkit.RejectChanges(t, accesstoken.NewIssuer, accesstoken.IssuerConfig{Issuer: issuer, Key: testkit.ECKey(t, "as")}, map[string]func(*accesstoken.IssuerConfig){
		"no issuer":                            func(c *accesstoken.IssuerConfig) { c.Issuer = "" },
		"JWT-3.7-1 an issuer that is no UTF-8": func(c *accesstoken.IssuerConfig) { c.Issuer = "https://\xff" },
		"no key":                               func(c *accesstoken.IssuerConfig) { c.Key = nil },
		"AT-2.1-1 none":                        func(c *accesstoken.IssuerConfig) { c.Algorithm = "none" },
		"AT-2.1-2 RS256":                       func(c *accesstoken.IssuerConfig) { c.Key, c.Algorithm = testkit.RSAKey(t, "as"), "RS256" },
		"an algorithm of another key":          func(c *accesstoken.IssuerConfig) { c.Algorithm = "PS256" },
		"a lifetime of a millisecond":          func(c *accesstoken.IssuerConfig) { c.Lifetime = time.Millisecond },
		"a lifetime of more than 24 h":         func(c *accesstoken.IssuerConfig) { c.Lifetime = 25 * time.Hour },
	})
}

type vector struct {
	ID       string `json:"id"`
	Spec     string `json:"spec"`
	Token    string `json:"token"`
	Typ      string `json:"typ"`
	Payload  obj    `json:"payload"`
	Cnf      obj    `json:"cnf"`
	Issuer   string `json:"issuer"`
	Audience string `json:"audience"`
	Now      int64  `json:"now"`
	Want     string `json:"want"`
}

var classes = map[string]error{
	"": nil, "type": accesstoken.ErrType, "algorithm": accesstoken.ErrAlgorithm, "claims": accesstoken.ErrClaims,
	"confirmation": accesstoken.ErrConfirmation, "expired": accesstoken.ErrExpired,
}

func TestPublishedVectors(t *testing.T) {
	vectors := testkit.LoadVectors[vector](t, "testdata/published.json")
	vectors = append(vectors, testkit.LoadVectors[vector](t, "testdata/claims.json")...)
	for _, v := range vectors {
		t.Run(v.ID, func(t *testing.T) {
			want, ok := classes[v.Want]
			require.True(t, ok)
			if v.Token == "" { // published without a signature that could be checked: signed here
				if len(v.Cnf) > 0 {
					v.Payload["cnf"] = v.Cnf
				}
				body, err := json.Marshal(v.Payload)
				require.NoError(t, err)
				v.Token = testkit.SignPayload(t, string(body), jose.SignerOptions{Type: v.Typ}, testkit.ECKey(t, "as"))
			}
			for _, size := range []int{0, -1} {
				verifier := newVerifier(t, func(c *accesstoken.VerifierConfig) {
					c.Issuer, c.Audience, c.CacheSize = v.Issuer, []string{v.Audience}, size
					c.Now = func() time.Time { return time.Unix(v.Now, 0) }
				})
				got, err := verifier.Verify(context.Background(), v.Token)
				require.ErrorIs(t, err, want)
				require.Equal(t, want == nil, got != nil)
			}
		})
	}
}

type challengeVector struct {
	ID         string   `json:"id"`
	ACRValues  []string `json:"acr_values"`
	MaxAge     int      `json:"max_age"`
	Parameters []string `json:"parameters"`
}

func TestStepUpChallenge(t *testing.T) {
	for _, v := range testkit.LoadVectors[challengeVector](t, "testdata/challenges.json") {
		t.Run("SU-3-1 SU-3-2 "+v.ID, func(t *testing.T) {
			got := accesstoken.StepUp{ACRValues: v.ACRValues, MaxAge: time.Duration(v.MaxAge) * time.Second}.Challenge()
			for _, p := range v.Parameters {
				require.Contains(t, got, p)
			}
			require.Equal(t, v.MaxAge > 0, strings.Contains(got, "max_age"))
			require.Equal(t, len(v.ACRValues) > 0, strings.Contains(got, "acr_values"))
		})
	}
	got := accesstoken.StepUp{ACRValues: []string{"a\"b\r\nc\\", "\n", "ü"}}.Challenge()
	require.Contains(t, got, `, acr_values="abc"`)
	require.NotContains(t, got, "\n")
}

func TestCheckStepUp(t *testing.T) {
	now := t0.Unix()
	for _, tc := range []struct {
		name   string
		claims obj
		demand accesstoken.StepUp
		ok     bool
	}{
		{"nothing is demanded", good(), accesstoken.StepUp{}, true},
		{"one of the classes", set("acr", "b"), accesstoken.StepUp{ACRValues: []string{"a", "b"}}, true},
		{"another class", set("acr", "c"), accesstoken.StepUp{ACRValues: []string{"a", "b"}}, false},
		{"no class", good(), accesstoken.StepUp{ACRValues: []string{"a"}}, false},
		{"an empty class is none", good(), accesstoken.StepUp{ACRValues: []string{""}}, false},
		{"recent enough", set("auth_time", now-60), accesstoken.StepUp{MaxAge: time.Minute}, true},
		{"too long ago", set("auth_time", now-61), accesstoken.StepUp{MaxAge: time.Minute}, false},
		{"no time", good(), accesstoken.StepUp{MaxAge: time.Minute}, false},
		{"both are needed", set("auth_time", now, "acr", "c"), accesstoken.StepUp{MaxAge: time.Minute, ACRValues: []string{"a"}}, false},
	} {
		t.Run("SU-3-1 "+tc.name, func(t *testing.T) {
			got, err := newVerifier(t, nil).Verify(context.Background(), sign(t, tc.claims))
			require.NoError(t, err)
			err = got.CheckStepUp(tc.demand)
			if tc.ok {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, accesstoken.ErrInsufficientAuthentication)
			code, _, status := testkit.Wire(t, err)
			require.Equal(t, "insufficient_user_authentication", code)
			require.Equal(t, http.StatusUnauthorized, status)
		})
	}
}

// Two halves of a character, each invalid, are not made valid by standing side by side.
func TestIssueRefusesHalfCharacters(t *testing.T) {
	issuer, err := accesstoken.NewIssuer(accesstoken.IssuerConfig{Issuer: "https://as.example", Key: testkit.ECKey(t, "halves")})
	require.NoError(t, err)
	_, err = issuer.Issue(accesstoken.Claims{Subject: "\xc8", ClientID: "\xb3", Audience: []string{"https://api.example"}, JKT: strings.Repeat("A", 43)})
	require.ErrorContains(t, err, "UTF-8")
}

func TestSize(t *testing.T) {
	for _, key := range []crypto.Signer{testkit.ECKey(t, "as"), testkit.Ed25519Key(t, "as"), testkit.RSAKey(t, "as")} {
		issuer, err := accesstoken.NewIssuer(accesstoken.IssuerConfig{Issuer: "https://as.example.com", Key: key})
		require.NoError(t, err)
		for n := range 4 { // every remainder of base64
			c := accesstoken.Claims{Subject: "alice", ClientID: "c", Audience: []string{"https://api.example.com"}, JKT: strings.Repeat("A", 43),
				ACR: strings.Repeat("<", n), AuthorizationDetails: json.RawMessage(`[{"type":"a"}]`)}
			size, err := issuer.Size(c)
			require.NoError(t, err)
			token, err := issuer.Issue(c)
			require.NoError(t, err)
			require.Len(t, token, size)
		}
		long := accesstoken.Claims{Subject: "alice", ClientID: "c", Audience: []string{"https://api.example.com"}, JKT: strings.Repeat("A", 43), ACR: strings.Repeat("a", 13<<10)}
		size, err := issuer.Size(long)
		require.ErrorIs(t, err, accesstoken.ErrTooLong)
		require.Greater(t, size, 16<<10)
		_, err = issuer.Issue(long)
		require.ErrorIs(t, err, accesstoken.ErrTooLong)
		_, err = issuer.Size(accesstoken.Claims{})
		require.Error(t, err)
	}
}
