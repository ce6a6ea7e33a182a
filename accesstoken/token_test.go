package accesstoken_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/internal/testkit"
)

func TestTokenSaysWhatWasIssued(t *testing.T) {
	claims := set("aud", []string{rs, "https://b.example.com"}, "acr", "gold", "amr", []string{"pwd", "otp"}, "auth_time", t0.Unix()-60,
		"cnf", obj{"jkt": jkt, "x5t#S256": x5t}, "authorization_details", []any{obj{"type": "payment"}}, "extra", obj{"a": 1})
	got, err := newVerifier(t, nil).Verify(context.Background(), sign(t, claims))
	require.NoError(t, err)
	require.Equal(t, issuer, got.Issuer())
	require.Equal(t, "fintech", got.ClientID())
	require.Equal(t, "id-1", got.ID())
	require.Equal(t, []string{rs, "https://b.example.com"}, got.Audience())
	require.Equal(t, t0, got.IssuedAt())
	require.Equal(t, t0.Add(5*time.Minute), got.ExpiresAt())
	require.Equal(t, jkt, got.JKT())
	require.Equal(t, x5t, got.X5TS256())
	require.Equal(t, t0.Add(-time.Minute), got.AuthTime())
	require.Equal(t, "gold", got.ACR())
	require.Equal(t, []string{"pwd", "otp"}, got.AMR())
	require.JSONEq(t, `[{"type":"payment"}]`, string(got.AuthorizationDetails()))
	require.JSONEq(t, `{"a":1}`, string(got.Claim("extra")))
	require.Nil(t, got.Claim("Extra"))
	require.Equal(t, []string{"accounts", "payments"}, got.Scopes())

	// What is handed out is a copy.
	got.Audience()[0], got.AMR()[0], got.Claim("extra")[0], got.AuthorizationDetails()[0] = "x", "x", 'x', 'x'
	require.Equal(t, rs, got.Audience()[0])
	require.Equal(t, "pwd", got.AMR()[0])
	require.JSONEq(t, `{"a":1}`, string(got.Claim("extra")))
	require.JSONEq(t, `[{"type":"payment"}]`, string(got.AuthorizationDetails()))

	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "token", got)
	for _, text := range []string{fmt.Sprint(got), fmt.Sprintf("%v %+v", got, got), log.String()} {
		require.Contains(t, text, "fintech")
		require.NotContains(t, text, "alice")
		require.NotContains(t, text, jkt)
	}
}

func TestTokenHash(t *testing.T) {
	first, second := sign(t, good()), sign(t, good())
	for name, size := range map[string]int{"with a cache": 0, "without a cache": -1} {
		v := newVerifier(t, func(c *accesstoken.VerifierConfig) { c.CacheSize = size })
		for _, token := range []string{first, second, first, second} {
			got, err := v.Verify(context.Background(), token)
			require.NoError(t, err)
			sum := sha256.Sum256([]byte(token))
			require.Equal(t, base64.RawURLEncoding.EncodeToString(sum[:]), got.Hash(), "DPOP-4.2-8 %s", name)
		}
	}
}

func TestScope(t *testing.T) {
	got, err := newVerifier(t, nil).Verify(context.Background(), sign(t, good()))
	require.NoError(t, err)
	for value, want := range map[string]bool{"accounts": true, "payments": true, "account": false, "Accounts": false, "": false, "accounts payments": false} {
		t.Run(fmt.Sprintf("SP-5.3.4-4 %q", value), func(t *testing.T) {
			require.Equal(t, want, got.HasScope(value))
			err := got.CheckScope("accounts", value)
			if want {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, accesstoken.ErrInsufficientScope)
			_, _, status := testkit.Wire(t, err)
			require.Equal(t, http.StatusForbidden, status)
		})
	}
	require.NoError(t, got.CheckScope())
}
