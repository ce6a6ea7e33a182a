package dpop_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/testkit"
)

func secret(c string) []byte { return []byte(strings.Repeat(c, 32)) }

func newNonces(t testing.TB, now func() time.Time, keys ...[]byte) *dpop.NonceSource {
	t.Helper()
	s, err := dpop.NewNonceSource(dpop.NonceSourceConfig{Keys: keys, Step: time.Minute, Steps: 3, Now: now})
	require.NoError(t, err)
	return s
}

func TestNonces(t *testing.T) {
	key := testkit.ECKey(t, "client")
	store := &spy{}
	clock := testkit.NewClock(start.Truncate(time.Minute))
	demanding := func(keys ...[]byte) *dpop.Verifier {
		v, _ := newVerifier(t, func(c *dpop.VerifierConfig) {
			c.Nonces, c.Replay = newNonces(t, clock.Now, keys...), store
		})
		return v
	}
	v := demanding(secret("a"))
	try := func(v *dpop.Verifier, changes map[string]any) error {
		p, err := v.Check(request(sign(t, key, nil, with(changes))))
		if err != nil {
			require.Zero(t, p)
		}
		return err
	}
	nonce := newNonces(t, clock.Now, secret("a")).Nonce()
	type m = map[string]any

	t.Run("DPOP-4.3-10 a nonce given out now", func(t *testing.T) {
		require.NoError(t, try(v, m{"nonce": nonce}))
	})
	t.Run("DPOP-11.1-5 for several proofs", func(t *testing.T) {
		require.NoError(t, try(v, m{"nonce": nonce, "jti": "another"}))
	})
	for _, tc := range []struct {
		name  string
		nonce any
		want  error
	}{
		{"DPOP-11.3-1 none", nil, dpop.ErrNonce},
		{"DPOP-8-4 an empty one", "", dpop.ErrNonce},
		{"DPOP-8-4 a foreign one", newNonces(t, clock.Now, secret("b")).Nonce(), dpop.ErrNonce},
		{"DPOP-8-4 with a character more", nonce + "A", dpop.ErrNonce},
		{"DPOP-8-4 in capitals", strings.ToUpper(nonce), dpop.ErrNonce},
		{"DPOP-4.3-3 a number", 7, dpop.ErrMalformed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := try(v, m{"nonce": tc.nonce})
			require.ErrorIs(t, err, tc.want)
			if tc.want == dpop.ErrNonce {
				code, _, status := testkit.Wire(t, err)
				require.Equal(t, "use_dpop_nonce", code, "DPOP-8-1")
				require.Equal(t, 400, status, "DPOP-8-1 SP-5.3.2.1-10")
				_, err = v.VerifyToken(t.Context(), request(sign(t, key, nil, with(m{"nonce": tc.nonce}))), aToken, thumbprintOf(t, key))
				code, _, status = testkit.Wire(t, err)
				require.Equal(t, "use_dpop_nonce", code, "DPOP-9-1")
				require.Equal(t, 401, status, "DPOP-9-1")
			}
		})
	}
	require.Empty(t, store.keys, "nothing is written for want of a nonce")

	t.Run("whatever else is wrong comes first", func(t *testing.T) {
		for want, changes := range map[error]m{
			dpop.ErrMethod: {"htm": "GET"}, dpop.ErrURL: {"htu": origin}, dpop.ErrIssuedAt: {"iat": 1}, dpop.ErrMalformed: {"jti": nil},
		} {
			require.ErrorIs(t, try(v, changes), want)
		}
		_, err := v.Check(request(testkit.MutateJWS(sign(t, key, nil, claimsNow()), 400)))
		require.NotErrorIs(t, err, dpop.ErrNonce)
		_, err = v.Check(request())
		require.ErrorIs(t, err, dpop.ErrMissing)
		code, _, _ := testkit.Wire(t, err)
		require.Equal(t, "invalid_dpop_proof", code, "no proof is never use_dpop_nonce")
		_, err = v.CheckToken(request(sign(t, key, nil, claimsNow())), aToken, "another")
		require.ErrorIs(t, err, dpop.ErrBinding)
	})
	t.Run("DPOP-8-5 a window of recent nonces", func(t *testing.T) {
		for i, want := range []error{nil, nil, nil, dpop.ErrNonce, dpop.ErrNonce} {
			require.ErrorIs(t, try(v, m{"nonce": nonce}), want, "after %d minutes", i)
			clock.Advance(time.Minute)
		}
		clock.Advance(-6 * time.Minute)
		require.NoError(t, try(v, m{"nonce": nonce}), "of a process whose clock is a little ahead")
		clock.Advance(-time.Minute)
		require.ErrorIs(t, try(v, m{"nonce": nonce}), dpop.ErrNonce)
		clock.Advance(2 * time.Minute)
		require.NoError(t, try(v, m{"nonce": nonce}))
	})
	t.Run("keys rotate", func(t *testing.T) {
		a, both, turned, b := demanding(secret("a")), demanding(secret("a"), secret("b")), demanding(secret("b"), secret("a")), demanding(secret("b"))
		of := func(keys ...[]byte) string { return newNonces(t, clock.Now, keys...).Nonce() }
		fromA, fromBoth, fromTurned := of(secret("a")), of(secret("a"), secret("b")), of(secret("b"), secret("a"))
		require.Equal(t, fromA, fromBoth)
		for _, v := range []*dpop.Verifier{a, both, turned} {
			require.NoError(t, try(v, m{"nonce": fromA}))
		}
		require.ErrorIs(t, try(b, m{"nonce": fromA}), dpop.ErrNonce)
		for _, v := range []*dpop.Verifier{both, turned, b} {
			require.NoError(t, try(v, m{"nonce": fromTurned}))
		}
	})
}

func keysOf(err error, keys ...[]byte) func(context.Context) ([][]byte, error) {
	return func(context.Context) ([][]byte, error) { return keys, err }
}

// Two processes refresh their keys at different times. Each accepts what the other makes, at any moment of a rotation.
func TestNonceKeysRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var keys [][]byte
		var down error
		var reports int
		change := func(err error, next ...[]byte) {
			mu.Lock()
			defer mu.Unlock()
			keys, down = next, err
		}
		change(nil, secret("a"))
		process := func() (*dpop.NonceSource, *dpop.Verifier) {
			nonces, err := dpop.NewNonceSource(dpop.NonceSourceConfig{
				KeySource: func(context.Context) ([][]byte, error) {
					mu.Lock()
					defer mu.Unlock()
					return keys, down
				},
				Report: func(context.Context, error) {
					mu.Lock()
					defer mu.Unlock()
					reports++
				},
			})
			require.NoError(t, err)
			require.True(t, nonces.Shared())
			v, err := dpop.NewVerifier(dpop.VerifierConfig{BaseURLs: []string{origin}, Nonces: nonces})
			require.NoError(t, err)
			return nonces, v
		}
		prover, err := dpop.NewProver(dpop.ProverConfig{Key: testkit.ECKey(t, "client")})
		require.NoError(t, err)
		try := func(v *dpop.Verifier, nonce string) error {
			defer synctest.Wait()
			proof, err := prover.Proof(http.MethodPost, origin+"/token", dpop.ProofOptions{Nonce: nonce})
			require.NoError(t, err)
			r := httptest.NewRequest(http.MethodPost, "/token", nil)
			r.Header.Set("DPoP", proof)
			_, err = v.Check(r)
			return err
		}
		nonces1, v1 := process()
		time.Sleep(17 * time.Second)
		nonces2, v2 := process()
		follow := func(d time.Duration) {
			for range d / (7 * time.Second) {
				time.Sleep(7 * time.Second)
				require.NoError(t, try(v2, nonces1.Nonce()))
				require.NoError(t, try(v1, nonces2.Nonce()))
			}
		}
		follow(time.Minute)
		change(nil, secret("b"), secret("a"))
		follow(3 * time.Minute)
		change(errors.New("down"))
		follow(10 * time.Minute)
		require.NotZero(t, reports)
		change(nil, secret("b"), secret("a"))
		follow(time.Minute)
		change(nil, secret("b"))
		follow(3 * time.Minute)
		require.ErrorIs(t, try(v1, newNonces(t, time.Now, secret("a")).Nonce()), dpop.ErrNonce, "of a removed key")
		require.NoError(t, try(v1, newNonces(t, time.Now, secret("b")).Nonce()))
	})
	for shared, keys := range map[bool][][]byte{false: nil, true: {secret("a")}} {
		require.Equal(t, shared, newNonces(t, time.Now, keys...).Shared())
	}
}

func TestNonceSyntax(t *testing.T) {
	clock := testkit.NewClock(start)
	s := newNonces(t, clock.Now)
	seen := map[string]bool{}
	for range 100 {
		nonce := s.Nonce()
		require.Regexp(t, `^[\x21\x23-\x5B\x5D-\x7E]+$`, nonce, "DPOP-8.1-1")
		require.False(t, seen[nonce])
		seen[nonce] = true
		clock.Advance(time.Minute)
	}
	require.NotEqual(t, newNonces(t, clock.Now).Nonce(), newNonces(t, clock.Now).Nonce(), "DPOP-8-2: without keys, a random one")
}

func TestNewNonceSourceRefuses(t *testing.T) {
	testkit.Reject(t, dpop.NewNonceSource, map[string]dpop.NonceSourceConfig{
		"DPOP-8-2 a short key":    {Keys: [][]byte{secret("a"), make([]byte, 31)}},
		"an empty key":            {Keys: [][]byte{nil}},
		"a key of 65 bytes":       {Keys: [][]byte{make([]byte, 65)}},
		"nine keys":               {Keys: make([][]byte, 9)},
		"a step of a millisecond": {Step: time.Millisecond},
		"a negative step":         {Step: -time.Minute},
		"one step":                {Steps: 1},
		"65 steps":                {Steps: 65},

		"Keys and KeySource":                  {Keys: [][]byte{secret("a")}, KeySource: keysOf(nil, secret("a"))},
		"DPOP-8-2 a short key of KeySource":   {KeySource: keysOf(nil, secret("a"), make([]byte, 31))},
		"no key of KeySource":                 {KeySource: keysOf(nil)},
		"nine keys of KeySource":              {KeySource: keysOf(nil, make([][]byte, 9)...)},
		"a failing KeySource":                 {KeySource: keysOf(errors.New("down"), secret("a"))},
		"keys that are refreshed each second": {KeySource: keysOf(nil, secret("a")), KeyRefresh: time.Second},
	})
	key := secret("a")
	s := newNonces(t, func() time.Time { return start }, key)
	before := s.Nonce()
	clear(key)
	require.Equal(t, before, newNonces(t, func() time.Time { return start }, secret("a")).Nonce(), "keys are copied")
}

func TestTextsOmitNonceKeys(t *testing.T) {
	cfg := dpop.NonceSourceConfig{Keys: [][]byte{secret("a")}}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		text := fmt.Sprintf(format, cfg)
		require.Equal(t, "dpop.NonceSourceConfig(1 keys, 0 × 0s)", text)
		require.Contains(t, fmt.Sprintf(format, []any{cfg}), text, "in another value")
	}
	require.Equal(t, cfg.String(), slog.AnyValue(cfg).Resolve().String())
}

func TestReplies(t *testing.T) {
	v, clock := newVerifier(t, func(c *dpop.VerifierConfig) { c.Algorithms = []string{"ES256", "PS256"} })
	nonces := newNonces(t, clock.Now)
	demanding, _ := newVerifier(t, func(c *dpop.VerifierConfig) { c.Nonces = nonces })
	key := testkit.ECKey(t, "client")
	_, missing := v.CheckToken(request(), aToken, thumbprintOf(t, key))
	_, unbound := v.CheckToken(request(sign(t, key, nil, claimsNow())), aToken, "")
	_, noNonce := demanding.CheckToken(request(sign(t, key, nil, claimsNow())), aToken, thumbprintOf(t, key))

	for _, tc := range []struct {
		name, want string
		err        error
	}{
		{"DPOP-7.1-3 DPOP-7.1-5 no credentials", `DPoP algs="ES256 PS256"`, nil},
		{"DPOP-7.1-4 no proof", `DPoP error="invalid_dpop_proof", error_description="DPoP proof is missing", algs="ES256 PS256"`, missing},
		{"DPOP-7.1-4 another key", `DPoP error="invalid_token", error_description="Invalid DPoP key binding", algs="ES256 PS256"`, unbound},
		{"DPOP-9-1 no nonce", `DPoP error="use_dpop_nonce", error_description="DPoP proof requires a recent nonce", algs="ES256 PS256"`, noNonce},
		{"DPOP-7.1-4 the caller's own error", `DPoP error="insufficient_scope", error_description="needs read and write", algs="ES256 PS256"`, scopeError{}},
	} {
		t.Run(tc.name, func(t *testing.T) { require.Equal(t, tc.want, v.Challenge(tc.err)) })
	}

	t.Run("DPOP-9-1 at a resource server", func(t *testing.T) {
		w := httptest.NewRecorder()
		w.Header().Set("DPoP-Nonce", "old")
		demanding.WriteError(w, noNonce)
		require.Equal(t, 401, w.Code)
		require.Equal(t, []string{nonces.Nonce()}, w.Header().Values("DPoP-Nonce"), "DPOP-8-3: one")
		require.Contains(t, w.Header().Get("WWW-Authenticate"), `DPoP error="use_dpop_nonce"`)
		require.Empty(t, w.Header().Values("Proxy-Authenticate"), "DPOP-7.1-7")
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"), "DPOP-8.2-2")
	})
	t.Run("DPOP-8-1 at an authorization server", func(t *testing.T) {
		_, err := demanding.Check(request(sign(t, key, nil, claimsNow())))
		w := httptest.NewRecorder()
		demanding.WriteError(w, err)
		require.Equal(t, 400, w.Code)
		require.Equal(t, []string{nonces.Nonce()}, w.Header().Values("DPoP-Nonce"))
		require.Empty(t, w.Header().Values("WWW-Authenticate"))
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		require.JSONEq(t, `{"error":"use_dpop_nonce","error_description":"DPoP proof requires a recent nonce"}`, w.Body.String())
	})
	t.Run("DPOP-5-2 a bad proof at a token endpoint", func(t *testing.T) {
		_, err := v.Check(request("x"))
		w := httptest.NewRecorder()
		v.WriteError(w, err)
		require.Equal(t, 400, w.Code)
		require.JSONEq(t, `{"error":"invalid_dpop_proof","error_description":"DPoP proof is malformed"}`, w.Body.String())
		require.Empty(t, w.Header().Values("DPoP-Nonce"), "none without a source")
	})
	t.Run("403 and errors of any kind", func(t *testing.T) {
		w := httptest.NewRecorder()
		v.WriteError(w, scopeError{})
		require.Equal(t, 403, w.Code)
		require.NotEmpty(t, w.Header().Get("WWW-Authenticate"))
		w = httptest.NewRecorder()
		v.WriteError(w, http.ErrAbortHandler)
		require.Equal(t, 500, w.Code)
		require.JSONEq(t, `{"error":"server_error"}`, w.Body.String())
	})
	t.Run("DPOP-8.2-2 SetNonce on a response of success", func(t *testing.T) {
		h := http.Header{"Cache-Control": {"max-age=60"}, "Dpop-Nonce": {"a", "b"}}
		demanding.SetNonce(h)
		require.Equal(t, http.Header{"Cache-Control": {"no-store"}, "Dpop-Nonce": {nonces.Nonce()}}, h)
		h = http.Header{"Cache-Control": {"max-age=60"}}
		v.SetNonce(h)
		require.Equal(t, http.Header{"Cache-Control": {"max-age=60"}}, h)
	})
}

// scopeError is an error of somebody else's.
type scopeError struct{}

func (scopeError) Error() string { return "local detail" }
func (scopeError) OAuthError() (code, description string) {
	return "insufficient_scope", "needs \"read\" and\n \\write"
}
func (scopeError) HTTPStatus() int { return 403 }
