package jar_test

import (
	"context"
	"crypto"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jar"
)

func TestReplay(t *testing.T) {
	t.Run("a second use is refused", func(t *testing.T) {
		s := newServer(t)
		f := form(s.object(t, nil))
		_, err := s.Verify(t.Context(), s.client, f)
		require.NoError(t, err)
		r, err := s.Verify(t.Context(), s.client, f)
		require.ErrorIs(t, err, jar.ErrReplayed)
		require.Zero(t, r)
		requireAnswer(t, jar.ErrReplayed, err)
		_, err = s.Verify(t.Context(), s.client, form(s.object(t, obj{"scope": "other"})))
		require.ErrorIs(t, err, jar.ErrReplayed, "the jti counts, not the bytes")
	})
	t.Run("it is remembered to the last instant at which it is accepted", func(t *testing.T) {
		s := newServer(t)
		f := form(s.object(t, nil))
		r, err := s.Verify(t.Context(), s.client, f)
		require.NoError(t, err)
		require.Len(t, s.replay.Used, 1)
		for key, expires := range s.replay.Used {
			require.Len(t, key, 43)
			require.True(t, expires.Equal(s.clock.Now().Add(5*time.Minute)))
		}
		s.clock.Advance(5*time.Minute - time.Nanosecond)
		require.ErrorIs(t, s.Commit(t.Context(), r), jar.ErrReplayed)
		s.clock.Advance(time.Nanosecond)
		_, err = s.Check(t.Context(), s.client, f)
		require.ErrorIs(t, err, jar.ErrExpired)
		require.ErrorIs(t, s.Commit(t.Context(), r), jar.ErrExpired)
	})
	t.Run("a jti belongs to a client", func(t *testing.T) {
		s := newServer(t)
		_, err := s.Verify(t.Context(), s.client, form(s.object(t, nil)))
		require.NoError(t, err)
		s.client.ID = "client-2"
		_, err = s.Verify(t.Context(), s.client, url.Values{"request": {s.object(t, obj{"iss": "client-2", "client_id": "client-2"})}})
		require.NoError(t, err)
	})
	t.Run("without a jti there is nothing to remember", func(t *testing.T) {
		s := newServer(t)
		for range 2 {
			_, err := s.Verify(t.Context(), s.client, form(s.object(t, obj{"jti": nil})))
			require.NoError(t, err)
		}
		require.Zero(t, s.replay.Calls)
	})
	t.Run("Check uses nothing up", func(t *testing.T) {
		s := newServer(t)
		f := form(s.object(t, nil))
		for range 3 {
			_, err := s.Check(t.Context(), s.client, f)
			require.NoError(t, err)
		}
		require.Zero(t, s.replay.Calls)
		_, err := s.Verify(t.Context(), s.client, f)
		require.NoError(t, err)
	})
	t.Run("what this verifier has not checked is refused", func(t *testing.T) {
		s := newServer(t)
		require.Error(t, s.Commit(t.Context(), jar.Request{}))
		other := newServer(t)
		r, err := other.Check(t.Context(), other.client, form(s.object(t, nil)))
		require.NoError(t, err)
		require.Error(t, s.Commit(t.Context(), r))
		require.Zero(t, s.replay.Calls)
	})
	t.Run("a store that fails is no first use", func(t *testing.T) {
		s := newServer(t)
		s.replay.Err = errors.New("down")
		r, err := s.Verify(t.Context(), s.client, form(s.object(t, nil)))
		require.ErrorIs(t, err, jar.ErrUnavailable)
		require.ErrorIs(t, err, s.replay.Err)
		requireAnswer(t, jar.ErrUnavailable, err)
		require.Zero(t, r)
	})
	t.Run("the default store follows the verifier's clock and the caller's context", func(t *testing.T) {
		s := newServer(t)
		v := newServer(t, func(c *jar.VerifierConfig) { c.Replay, c.Now = nil, s.clock.Now })
		s.clock.Advance(-100 * time.Hour) // an entry would be expired by the clock of the machine
		f := form(s.object(t, nil))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := v.Verify(ctx, s.client, f)
		require.ErrorIs(t, err, context.Canceled)
		_, err = v.Verify(t.Context(), s.client, f)
		require.NoError(t, err)
		_, err = v.Verify(t.Context(), s.client, f)
		require.ErrorIs(t, err, jar.ErrReplayed)
	})
}

func TestOneWinner(t *testing.T) {
	for name, verify := range map[string]func(*server, context.Context, url.Values) error{
		"Verify": func(s *server, ctx context.Context, f url.Values) error {
			_, err := s.Verify(ctx, s.client, f)
			return err
		},
		"Check and Commit": func(s *server, ctx context.Context, f url.Values) error {
			r, err := s.Check(ctx, s.client, f)
			if err != nil {
				return err
			}
			return s.Commit(ctx, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			public := []crypto.PublicKey{testkit.ECKey(t, clientID).Public()}
			s := newServer(t, func(c *jar.VerifierConfig) { c.Replay = nil })
			s.client.Keys = testkit.KeySource(public...)
			f := form(s.object(t, nil))
			testkit.OneWinner(t, jar.ErrReplayed, func() error { return verify(s, t.Context(), f) })
		})
	}
}
