package testkit_test

import (
	"crypto"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/testkit"
)

func TestSignJWS(t *testing.T) {
	for alg, key := range map[string]crypto.Signer{
		"ES256": testkit.ECKey(t, "a"), "EdDSA": testkit.Ed25519Key(t, "a"), "PS256": testkit.RSAKey(t, "a"),
	} {
		token := testkit.SignJWS(t, map[string]any{"alg": alg}, `{"a":1}`, key)
		header, claims := testkit.Segments(t, token)
		require.Equal(t, map[string]any{"alg": alg}, header)
		require.Equal(t, map[string]any{"a": 1.0}, claims)
		c, err := jose.Split(token, 1<<10)
		require.NoError(t, err)
		require.NoError(t, c.Verify(alg, key.Public()))
		c, err = jose.Split(testkit.WithHeader(token, `{"alg":"`+alg+`","x":1}`), 1<<10)
		require.NoError(t, err)
		require.ErrorIs(t, c.Verify(alg, key.Public()), jose.ErrSignature)
		_, verify := testkit.Bare(t, key, []byte("x"))
		require.True(t, verify())
	}
	for _, key := range []any{testkit.PKCS1Key{PrivateKey: testkit.RSAKey(t, "a")}, []byte("secret")} {
		testkit.Segments(t, testkit.SignJWS(t, `{}`, `{}`, key))
	}
	require.NotEmpty(t, record(t, func(t testing.TB) { testkit.SignJWS(t, `{}`, `{}`, "no key") }).failed)
	require.NotEmpty(t, record(t, func(t testing.TB) { testkit.Segments(t, "a.b") }).failed)
}

func TestChange(t *testing.T) {
	claims := map[string]any{"a": 1, "b": 2}
	require.Equal(t, map[string]any{"b": 3, "c": 4}, testkit.Change(claims, "a", nil, "b", 3, "c", 4))
	require.Len(t, claims, 2, "the original is unchanged")
}

func TestWire(t *testing.T) {
	code, description, status := testkit.Wire(t, oautherr.New("text", "code", 400, "description"))
	require.Equal(t, []any{"code", "description", 400}, []any{code, description, status})
	require.NotEmpty(t, record(t, func(t testing.TB) { testkit.Wire(t, errors.New("x")) }).failed)
}

func TestRecorder(t *testing.T) {
	r := &testkit.Recorder{}
	for _, want := range []bool{true, false} {
		added, err := r.Add(t.Context(), "k", nil, time.Unix(1, 0))
		require.NoError(t, err)
		require.Equal(t, want, added)
	}
	r.Err = errors.New("down")
	_, err := r.Add(t.Context(), "other", nil, time.Unix(1, 0))
	require.ErrorIs(t, err, r.Err)
	require.Equal(t, 3, r.Calls)
	require.Len(t, r.Used, 1)
}

func TestForgetful(t *testing.T) {
	store := testkit.NewForgetful()
	for range 2 {
		added, err := store.Add(t.Context(), "k", nil, time.Now().Add(time.Hour))
		require.NoError(t, err)
		require.True(t, added)
	}
}
