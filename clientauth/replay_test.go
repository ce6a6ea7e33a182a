package clientauth_test

import (
	"context"
	"crypto"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/testkit"
)

func TestReplay(t *testing.T) {
	t.Run("CA-7523-3-7 a second use is refused", func(t *testing.T) {
		s := newServer(t)
		c := credentials(s.assertion(t, nil))
		_, err := s.Verify(t.Context(), c)
		require.NoError(t, err)
		a, err := s.Verify(t.Context(), c)
		require.ErrorIs(t, err, clientauth.ErrReplayed)
		require.Zero(t, a)
		code, _, status := testkit.Wire(t, err)
		require.Equal(t, "invalid_client", code)
		require.Equal(t, 401, status)
		_, err = s.Verify(t.Context(), credentials(s.assertion(t, claims{"x": 1})))
		require.ErrorIs(t, err, clientauth.ErrReplayed, "the jti counts, not the bytes")
	})
	t.Run("CA-7523-3-7 it is remembered to the last instant at which it is accepted", func(t *testing.T) {
		s := newServer(t)
		c := credentials(s.assertion(t, nil))
		a, err := s.Verify(t.Context(), c)
		require.NoError(t, err)
		require.Len(t, s.replay.Used, 1)
		for key, expires := range s.replay.Used {
			require.Len(t, key, 43)
			require.True(t, expires.Equal(s.clock.Now().Add(time.Minute)))
		}
		s.clock.Advance(time.Minute - time.Nanosecond)
		require.ErrorIs(t, s.Commit(t.Context(), a), clientauth.ErrReplayed)
		s.clock.Advance(time.Nanosecond)
		_, err = s.Check(t.Context(), c)
		require.ErrorIs(t, err, clientauth.ErrExpired)
		require.ErrorIs(t, s.Commit(t.Context(), a), clientauth.ErrExpired)
	})
	t.Run("CA-7523-3-7 a jti belongs to a client", func(t *testing.T) {
		s := newServer(t)
		_, err := s.Verify(t.Context(), credentials(s.assertion(t, nil)))
		require.NoError(t, err)
		other := testkit.SignJWS(t, claims{"alg": "ES256"}, s.good(claims{"iss": "client-2", "sub": "client-2"}), testkit.ECKey(t, "client-2"))
		_, err = s.Verify(t.Context(), credentials(other))
		require.NoError(t, err)
	})
	t.Run("Check uses nothing up", func(t *testing.T) {
		s := newServer(t)
		c := credentials(s.assertion(t, nil), "client_id", clientID)
		for range 3 {
			_, err := s.Check(t.Context(), c)
			require.NoError(t, err)
		}
		require.Zero(t, s.replay.Calls)
		_, err := s.Verify(t.Context(), c)
		require.NoError(t, err)
	})
	t.Run("what no verifier has made is refused", func(t *testing.T) {
		s := newServer(t)
		require.ErrorIs(t, s.Commit(t.Context(), clientauth.Authentication{}), clientauth.ErrNoCredentials)
		a, err := newServer(t).Check(t.Context(), credentials(s.assertion(t, nil)))
		require.NoError(t, err)
		require.ErrorIs(t, s.Commit(t.Context(), a), clientauth.ErrNoCredentials)
		require.Zero(t, s.replay.Calls)
	})
}

func TestOneWinner(t *testing.T) {
	for name, verify := range map[string]func(*server, context.Context, clientauth.Credentials) error{
		"Verify": func(s *server, ctx context.Context, c clientauth.Credentials) error {
			_, err := s.Verify(ctx, c)
			return err
		},
		"Check and Commit": func(s *server, ctx context.Context, c clientauth.Credentials) error {
			a, err := s.Check(ctx, c)
			if err != nil {
				return err
			}
			return s.Commit(ctx, a)
		},
	} {
		t.Run(name, func(t *testing.T) {
			public := []crypto.PublicKey{testkit.ECKey(t, clientID).Public()}
			s := newServer(t, func(c *clientauth.VerifierConfig) {
				c.Replay = nil
				c.Lookup = func(_ context.Context, id string) (clientauth.Client, error) {
					return clientauth.Client{ID: id, Keys: testkit.KeySource(public...)}, nil
				}
			})
			c := credentials(s.assertion(t, nil), "client_id", clientID)
			testkit.OneWinner(t, clientauth.ErrReplayed, func() error { return verify(s, t.Context(), c) })
		})
	}
}

func TestDefaultReplayStoreFollowsTheVerifiersClock(t *testing.T) {
	s := newServer(t, func(c *clientauth.VerifierConfig) { c.Replay = nil })
	s.clock.Advance(-1000 * time.Hour) // an entry would be expired by the clock of the machine
	v := newServer(t, func(c *clientauth.VerifierConfig) { c.Replay, c.Now = nil, s.clock.Now })
	c := credentials(s.assertion(t, nil))
	_, err := v.Verify(t.Context(), c)
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), c)
	require.ErrorIs(t, err, clientauth.ErrReplayed)
}

func TestReplayOfALongAssertion(t *testing.T) {
	clock := testkit.NewClock(time.Unix(1_800_000_000, 0))
	s := newServer(t, func(cfg *clientauth.VerifierConfig) { cfg.Now, cfg.Replay = clock.Now, nil })
	now := clock.Now().Unix()
	a := credentials(testkit.SignJWS(t, claims{"alg": "ES256", "typ": "client-authentication+jwt"}, claims{
		"iss": clientID, "sub": clientID, "aud": issuer, "jti": "long", "iat": now, "exp": now + 3600,
	}, testkit.ECKey(t, clientID)))
	_, err := s.Verify(t.Context(), a)
	require.NoError(t, err, "CASES F4: an assertion for an hour")
	clock.Advance(time.Hour - time.Second)
	_, err = s.Verify(t.Context(), a)
	require.ErrorIs(t, err, clientauth.ErrReplayed, "CASES F4: its jti is kept for as long")
	clock.Advance(time.Second)
	_, err = s.Verify(t.Context(), a)
	require.ErrorIs(t, err, clientauth.ErrExpired)
}
