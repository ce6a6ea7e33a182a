package dpop_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
)

// with returns the claims of a good proof with some changed, nil meaning left out.
func with(changes map[string]any) map[string]any {
	claims := claimsNow()
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

func TestAccepted(t *testing.T) {
	key := testkit.ECKey(t, "client")
	type m = map[string]any
	for _, tc := range []struct {
		name           string
		header, claims m
	}{
		{"DPOP-4.3-6 a good proof", nil, nil},
		{"DPOP-4.2-10 unknown header and claim members", m{"x": m{"y": 1}, "kid": "k", "cty": "z"}, m{"x": []int{1}}},
		{"DPOP-4.3-4 typ in capitals, as the media type that it is", m{"typ": "DPOP+JWT"}, nil},
		{"DPOP-4.3-4 typ with application/", m{"typ": "application/dpop+jwt"}, nil},
		{"CS-4 exp long past", nil, m{"exp": 1}},
		{"CS-4 nbf far ahead", nil, m{"nbf": start.Unix() + 86400}},
		{"CS-4 exp and nbf of wrong types", nil, m{"exp": "x", "nbf": nil, "aud": 7}},
		{"DPOP-11.1-3 a jti of 256 bytes", nil, m{"jti": strings.Repeat("j", 256)}},
		{"DPOP-11.1-3 a jti of one byte", nil, m{"jti": "j"}},
		{"DPOP-11.1-3 a jti with characters of all kinds", nil, m{"jti": "\x00 é\U0001F600\"\\"}},
		{"CS-2 SP-5.3.2.1-13a iat 8 seconds ahead", nil, m{"iat": start.Unix() + 8}},
		{"CS-2 SP-5.3.2.1-13a iat 10 seconds ahead", nil, m{"iat": start.Unix() + 10}},
		{"DPOP-4.3-11 iat 10 seconds ago", nil, m{"iat": start.Unix() - 10}},
		{"DPOP-4.3-11 iat a minute ago", nil, m{"iat": start.Unix() - 60}},
		{"DPOP-4.3-11 iat with a fraction", nil, m{"iat": float64(start.Unix()) - 0.25}},
		{"DPOP-4.3-10 a nonce that nobody asked for", nil, m{"nonce": "x"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, _ := newVerifier(t, nil)
			proof := sign(t, key, tc.header, with(tc.claims))
			p, err := v.CheckToken(request(proof), aToken, thumbprintOf(t, key))
			require.NoError(t, err)
			require.Equal(t, thumbprintOf(t, key), p.Thumbprint())
			_, err = v.Verify(t.Context(), request(proof))
			require.NoError(t, err)
		})
	}
	t.Run("DPOP-4.3-12a no ath, or any, where no token is expected", func(t *testing.T) {
		v, _ := newVerifier(t, nil)
		for _, value := range []any{nil, "x", 7} {
			_, err := v.Check(request(sign(t, key, nil, with(m{"ath": value}))))
			require.NoError(t, err)
		}
	})
	t.Run("DPOP-4.1-1 a header field written dpop", func(t *testing.T) {
		v, _ := newVerifier(t, nil)
		r := request()
		r.Header.Set("dpop", sign(t, key, nil, claimsNow()))
		_, err := v.Check(r)
		require.NoError(t, err)
	})
}

func TestEveryAlgorithm(t *testing.T) {
	for _, k := range []struct {
		alg string
		dpop.ProverConfig
	}{
		{"ES256", dpop.ProverConfig{Key: testkit.ECKey(t, "client")}},
		{"PS256", dpop.ProverConfig{Key: testkit.RSAKey(t, "client")}},
		{"EdDSA", dpop.ProverConfig{Key: testkit.Ed25519Key(t, "client")}},
		{"Ed25519", dpop.ProverConfig{Key: testkit.Ed25519Key(t, "client"), Algorithm: "Ed25519"}},
	} {
		t.Run("DPOP-4.3-5 "+k.alg, func(t *testing.T) {
			k.Now = func() time.Time { return start }
			p, err := dpop.NewProver(k.ProverConfig)
			require.NoError(t, err)
			require.Equal(t, k.alg, p.Algorithm())
			proof, err := p.Proof("POST", tokenEP, dpop.ProofOptions{AccessToken: aToken})
			require.NoError(t, err)
			v, _ := newVerifier(t, nil)
			for range 2 { // with and without the header known
				checked, err := v.CheckToken(request(proof), aToken, p.Thumbprint())
				require.NoError(t, err)
				require.True(t, jose.Same(k.alg, checked.Algorithm()), checked.Algorithm())
				require.True(t, jose.Equal(k.Key.Public(), checked.PublicKey()))
			}
			require.Empty(t, dpop.Proof{}.Algorithm())
			require.Nil(t, dpop.Proof{}.PublicKey())
			only, _ := newVerifier(t, func(c *dpop.VerifierConfig) { c.Algorithms = []string{k.alg} })
			_, err = only.Check(request(proof))
			require.NoError(t, err)
			for _, alg := range only.Algorithms() {
				require.Equal(t, k.alg, alg)
			}
			other := "ES256"
			if k.alg == other {
				other = "PS256"
			}
			none, _ := newVerifier(t, func(c *dpop.VerifierConfig) { c.Algorithms = []string{other} })
			_, err = none.Check(request(proof))
			require.ErrorIs(t, err, dpop.ErrAlgorithm)
		})
	}
}

func TestProofSize(t *testing.T) {
	v, _ := newVerifier(t, nil)
	key := testkit.ECKey(t, "client")
	proof := sign(t, key, nil, with(map[string]any{"x": strings.Repeat("x", 5000)}))
	require.Less(t, len(proof), 8<<10)
	_, err := v.Check(request(proof))
	require.NoError(t, err)
	for _, n := range []int{7000, 1 << 20} {
		_, err = v.Check(request(sign(t, key, nil, with(map[string]any{"jti": strings.Repeat("j", n)}))))
		require.ErrorIs(t, err, dpop.ErrMalformed, "DPOP-11.1-3 a jti of a mebibyte is not even looked at")
		require.Less(t, len(err.Error()), 200)
	}
}

func TestTimes(t *testing.T) {
	key := testkit.ECKey(t, "client")
	const age, skew = 30 * time.Second, 20 * time.Second
	newSpied := func() (*dpop.Verifier, *testkit.Clock, *spy) {
		store := &spy{}
		v, clock := newVerifier(t, func(c *dpop.VerifierConfig) {
			c.MaxAge, c.FutureSkew, c.Replay = age, skew, store
		})
		return v, clock, store
	}
	proof := sign(t, key, nil, with(map[string]any{"iat": start.Unix() + 100}))
	iat := start.Add(100 * time.Second)
	for _, tc := range []struct {
		name string
		now  time.Time
		ok   bool
	}{
		{"DPOP-11.1-4 a nanosecond too early", iat.Add(-skew - 1), false},
		{"DPOP-11.1-4 as early as can be", iat.Add(-skew), true},
		{"DPOP-11.1-1 as late as can be", iat.Add(age), true},
		{"DPOP-11.1-1 a nanosecond too late", iat.Add(age + 1), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, clock, _ := newSpied()
			clock.Advance(tc.now.Sub(clock.Now()))
			_, err := v.Check(request(proof))
			if tc.ok {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, dpop.ErrIssuedAt)
			require.Contains(t, err.Error(), "iat is 2023-11-14T22:15:00Z, now is 2023-11-14T22:1")
			require.Contains(t, err.Error(), "want at most 30s before and 20s after")
		})
	}
	t.Run("DPOP-11.1-2 the replay entry outlives the proof", func(t *testing.T) {
		v, clock, store := newSpied()
		local, _ := newVerifier(t, func(c *dpop.VerifierConfig) { c.MaxAge, c.FutureSkew, c.Now = age, skew, clock.Now })
		clock.Advance(iat.Add(-skew).Sub(clock.Now())) // the earliest possible use
		_, err := v.Verify(t.Context(), request(proof))
		require.NoError(t, err)
		require.Equal(t, []time.Time{iat.Add(age + skew)}, store.expires)
		_, err = local.Verify(t.Context(), request(proof))
		require.NoError(t, err)
		for range int((age+skew)/time.Second) * 2 {
			_, err = local.Verify(t.Context(), request(proof))
			require.ErrorIs(t, err, dpop.ErrReplayed)
			clock.Advance(time.Second / 2)
		}
		require.Equal(t, iat.Add(age), clock.Now())
		_, err = local.Verify(t.Context(), request(proof))
		require.ErrorIs(t, err, dpop.ErrReplayed, "the latest possible use")
		clock.Advance(1)
		_, err = local.Verify(t.Context(), request(proof))
		require.ErrorIs(t, err, dpop.ErrIssuedAt)
	})
	t.Run("a Commit after the entry would have expired is refused", func(t *testing.T) {
		v, clock, store := newSpied()
		clock.Advance(100 * time.Second)
		p, err := v.Check(request(proof))
		require.NoError(t, err)
		clock.Advance(age + skew)
		require.ErrorIs(t, v.Commit(t.Context(), p), dpop.ErrIssuedAt)
		require.Empty(t, store.keys)
		clock.Advance(-1)
		require.NoError(t, v.Commit(t.Context(), p))
	})
}

func TestReplay(t *testing.T) {
	key := testkit.ECKey(t, "client")
	t.Run("DPOP-11.1-2 a proof is used once", func(t *testing.T) {
		v, _ := newVerifier(t, nil)
		proof := sign(t, key, nil, claimsNow())
		p, err := v.Check(request(proof))
		require.NoError(t, err)
		_, err = v.Check(request(proof))
		require.NoError(t, err, "Check writes nothing")
		require.NoError(t, v.Commit(t.Context(), p))
		require.ErrorIs(t, v.Commit(t.Context(), p), dpop.ErrReplayed)
		got, err := v.Verify(t.Context(), request(proof))
		require.ErrorIs(t, err, dpop.ErrReplayed)
		require.Zero(t, got)
		code, _, status := testkit.Wire(t, err)
		require.Equal(t, "invalid_dpop_proof", code)
		require.Equal(t, 400, status)

		got, err = v.VerifyToken(t.Context(), request(proof), aToken, thumbprintOf(t, key))
		require.ErrorIs(t, err, dpop.ErrReplayed)
		require.Zero(t, got)
		_, _, status = testkit.Wire(t, err)
		require.Equal(t, 401, status)
	})
	t.Run("DPOP-11.1-2 another signature over the same claims, or another URL, is the same proof", func(t *testing.T) {
		v, _ := newVerifier(t, nil)
		_, err := v.Verify(t.Context(), request(sign(t, key, nil, claimsNow())))
		require.NoError(t, err)
		_, err = v.Verify(t.Context(), request(sign(t, key, nil, claimsNow())))
		require.ErrorIs(t, err, dpop.ErrReplayed)
		_, err = v.Verify(t.Context(), requestTo("POST", origin+"/par", sign(t, key, nil, with(map[string]any{"htu": origin + "/par"}))))
		require.ErrorIs(t, err, dpop.ErrReplayed)
	})
	t.Run("an identifier belongs to a key", func(t *testing.T) {
		v, _ := newVerifier(t, nil)
		for _, name := range []string{"client", "other"} {
			_, err := v.Verify(t.Context(), request(sign(t, testkit.ECKey(t, name), nil, claimsNow())))
			require.NoError(t, err)
		}
	})
	t.Run("DPOP-11.1-3 the store sees a hash", func(t *testing.T) {
		store := &spy{}
		v, _ := newVerifier(t, func(c *dpop.VerifierConfig) { c.Replay = store })
		for _, id := range []string{"a", strings.Repeat("é", 128)} {
			_, err := v.Verify(t.Context(), request(sign(t, key, nil, with(map[string]any{"jti": id}))))
			require.NoError(t, err)
		}
		for _, stored := range store.keys {
			require.Regexp(t, `^[A-Za-z0-9_-]{43}$`, stored)
		}
	})
	t.Run("a store that fails refuses the request", func(t *testing.T) {
		cause := errors.New("connection refused")
		v, _ := newVerifier(t, func(c *dpop.VerifierConfig) { c.Replay = &spy{err: cause} })
		_, err := v.VerifyToken(t.Context(), request(sign(t, key, nil, claimsNow())), aToken, thumbprintOf(t, key))
		require.ErrorIs(t, err, dpop.ErrStore)
		require.ErrorIs(t, err, cause)
		code, _, status := testkit.Wire(t, err)
		require.Equal(t, "server_error", code)
		require.Equal(t, 503, status)
	})
	t.Run("a context that is done refuses the request", func(t *testing.T) {
		v, _ := newVerifier(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := v.Verify(ctx, request(sign(t, key, nil, claimsNow())))
		require.ErrorIs(t, err, dpop.ErrStore)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("the zero Proof is none", func(t *testing.T) {
		v, _ := newVerifier(t, nil)
		require.ErrorIs(t, v.Commit(t.Context(), dpop.Proof{}), dpop.ErrMissing)
	})
	t.Run("DPOP-11.1-2 of 64 uses at once one wins", func(t *testing.T) {
		v, _ := newVerifier(t, nil)
		for round := range 20 {
			proof := sign(t, key, nil, with(map[string]any{"jti": time.Duration(round).String()}))
			var won, replayed atomic.Int32
			testkit.Hammer(64, func(int) {
				p, err := v.VerifyToken(context.Background(), request(proof), aToken, thumbprintOf(t, key))
				switch {
				case err == nil && p.Thumbprint() != "":
					won.Add(1)
				case errors.Is(err, dpop.ErrReplayed) && p == (dpop.Proof{}):
					replayed.Add(1)
				}
			})
			require.EqualValues(t, 1, won.Load())
			require.EqualValues(t, 63, replayed.Load())
		}
	})
}

func TestTokenBinding(t *testing.T) {
	v, _ := newVerifier(t, nil)
	key := testkit.ECKey(t, "client")
	thumbprint := thumbprintOf(t, key)
	proof := sign(t, key, nil, claimsNow())
	for _, tc := range []struct {
		name, token, thumbprint string
		want                    error
	}{
		{"DPOP-7.1-2 token and key are those of the proof", aToken, thumbprint, nil},
		{"DPOP-4.3-12a another token", aToken + "x", thumbprint, dpop.ErrTokenHash},
		{"DPOP-4.3-12a no token", "", thumbprint, dpop.ErrTokenHash},
		{"DPOP-4.3-12b a token bound to no key", aToken, "", dpop.ErrBinding},
		{"DPOP-4.3-12b a token bound to another key", aToken, thumbprintOf(t, testkit.ECKey(t, "other")), dpop.ErrBinding},
		{"DPOP-4.3-12b a thumbprint cut short", aToken, thumbprint[:42], dpop.ErrBinding},
		{"DPOP-4.3-12b a thumbprint in capitals", aToken, strings.ToUpper(thumbprint), dpop.ErrBinding},
	} {
		t.Run(tc.name, func(t *testing.T) {
			hash := ""
			if tc.token != "" {
				hash = ath(tc.token)
			}
			for _, check := range []func() (dpop.Proof, error){
				func() (dpop.Proof, error) { return v.CheckToken(request(proof), tc.token, tc.thumbprint) },
				func() (dpop.Proof, error) { return v.CheckTokenHash(request(proof), hash, tc.thumbprint) },
			} {
				p, err := check()
				require.ErrorIs(t, err, tc.want)
				if tc.want != nil {
					require.Zero(t, p)
					_, _, status := testkit.Wire(t, err)
					require.Equal(t, 401, status)
					require.NotContains(t, err.Error(), aToken)
				}
			}
		})
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	anyURL := func(r *http.Request) ([]*url.URL, error) { return []*url.URL{r.URL}, nil }
	testkit.Reject(t, dpop.NewVerifier, map[string]dpop.VerifierConfig{
		"no URL":                                    {},
		"two URLs":                                  {BaseURLs: []string{origin}, URLs: anyURL},
		"a second base without scheme":              {BaseURLs: []string{origin, "server.example.com"}},
		"a base without scheme":                     {BaseURLs: []string{"server.example.com"}},
		"a base of another scheme":                  {BaseURLs: []string{"ftp://server.example.com"}},
		"a base with userinfo":                      {BaseURLs: []string{"https://u@server.example.com"}},
		"a base with query":                         {BaseURLs: []string{origin + "/?x"}},
		"a base with fragment":                      {BaseURLs: []string{origin + "#"}},
		"a base with an escape that is none":        {BaseURLs: []string{origin + "/%zz"}},
		"DPOP-11.1-1 a MaxAge of an hour":           {BaseURLs: []string{origin}, MaxAge: time.Hour},
		"a negative MaxAge":                         {BaseURLs: []string{origin}, MaxAge: -1},
		"SP-5.3.2.1-13a a FutureSkew of 9 seconds":  {BaseURLs: []string{origin}, FutureSkew: 9 * time.Second},
		"SP-5.3.2.1-13b a FutureSkew of 61 seconds": {BaseURLs: []string{origin}, FutureSkew: 61 * time.Second},
		"DPOP-11.6-1 RS256":                         {BaseURLs: []string{origin}, Algorithms: []string{"ES256", "RS256"}},
		"DPOP-11.6-1 none":                          {BaseURLs: []string{origin}, Algorithms: []string{"none"}},
		"no algorithm at all":                       {BaseURLs: []string{origin}, Algorithms: []string{}},
	})
	v, err := dpop.NewVerifier(dpop.VerifierConfig{BaseURLs: []string{origin}})
	require.NoError(t, err)
	require.Equal(t, []string{"ES256", "PS256", "EdDSA", "Ed25519"}, v.Algorithms())
	v.Algorithms()[0] = "none"
	require.Equal(t, "ES256", v.Algorithms()[0])
	p := newProverNow(t)
	proof, err := p.Proof("GET", origin+"/", dpop.ProofOptions{})
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), httptestRequest("GET", "/", proof))
	require.NoError(t, err, "with the clock of the machine")
}

func newProverNow(t *testing.T) *dpop.Prover {
	p, err := dpop.NewProver(dpop.ProverConfig{Key: testkit.ECKey(t, "client")})
	require.NoError(t, err)
	return p
}

func httptestRequest(method, target, proof string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.Header.Set("DPoP", proof)
	return r
}
