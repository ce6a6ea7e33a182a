package introspection_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/introspection"
)

func TestToken(t *testing.T) {
	resp := active()
	resp.Audience = []string{"https://other.example.com", api}
	resp.X5TS256, resp.Username, resp.ACR, resp.AMR = x5t, "alice@example.com", "urn:strong", []string{"hwk", "pin"}
	resp.IssuedAt, resp.AuthTime = t0.Add(-time.Second), t0.Add(-time.Hour)
	resp.GrantID = "grant-1"
	resp.AuthorizationDetails = json.RawMessage(`[{"type":"account","amount":"1.00"}]`)
	mediaType, body, err := newResponder(t, nil).Answer(caller, true, resp)
	require.NoError(t, err)
	got, err := newClient(t, answer(mediaType, string(body)), nil).Introspect(t.Context(), opaque)
	require.NoError(t, err)
	t.Run("INT-7662-2.2-1 what was said is what is read", func(t *testing.T) {
		require.Equal(t, issuer, got.Issuer())
		require.Equal(t, "alice", got.Subject())
		require.Equal(t, "fintech", got.ClientID())
		require.Equal(t, "id-1", got.ID())
		require.Equal(t, resp.Audience, got.Audience())
		require.True(t, got.IssuedAt().Equal(resp.IssuedAt))
		require.True(t, got.ExpiresAt().Equal(resp.Expires))
		require.Equal(t, jkt, got.JKT(), "DPOP-6.2-1")
		require.Equal(t, x5t, got.X5TS256(), "MTLS-3.2-1")
		require.True(t, got.AuthTime().Equal(resp.AuthTime), "SU-6.2-1")
		require.Equal(t, "urn:strong", got.ACR())
		require.Equal(t, resp.AMR, got.AMR())
		require.Equal(t, "grant-1", got.GrantID())
		require.JSONEq(t, string(resp.AuthorizationDetails), string(got.AuthorizationDetails()), "RAR-9.2-1")
		require.JSONEq(t, `"alice@example.com"`, string(got.Claim("username")))
		require.Equal(t, string(body), got.Signed())
		require.Equal(t, []string{"accounts", "payments"}, got.Scopes())
	})
	t.Run("scopes", func(t *testing.T) {
		require.True(t, got.HasScope("accounts"))
		require.False(t, got.HasScope("account"))
		require.False(t, got.HasScope(""))
		require.NoError(t, got.CheckScope())
		require.NoError(t, got.CheckScope("payments", "accounts"))
		require.ErrorIs(t, got.CheckScope("accounts", "admin"), introspection.ErrInsufficientScope)
	})
	t.Run("nobody can change it", func(t *testing.T) {
		got.Audience()[0], got.AMR()[0], got.AuthorizationDetails()[0], got.Claim("sub")[1] = "x", "x", 'x', 'x'
		require.Equal(t, resp.Audience, got.Audience())
		require.Equal(t, resp.AMR, got.AMR())
		require.JSONEq(t, `"alice"`, string(got.Claim("sub")))
	})
	t.Run("printed it tells little", func(t *testing.T) {
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			require.Equal(t, `access token "id-1" of client "fintech"`, fmt.Sprintf(format, got))
		}
		require.NotContains(t, got.LogValue().String(), "alice")
	})
}
