package enginetest_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/store"
	"github.com/gofapi/fapi2/store/sqlstore"
)

// each is how many members a child of testIndexProcesses puts.
const each = 30

// changeSet puts members of one child, each of which it must list at once, and
// deletes every third one. All children also put one member with different
// expiries.
func changeSet(ctx context.Context, s *sqlstore.Store, set string, child int) error {
	for i := range each {
		member := fmt.Sprintf("m%d-%02d", child, i)
		if err := s.Put(ctx, set, member, hour()); err != nil {
			return err
		}
		if err := s.Put(ctx, set, "common", time.UnixMilli(commonExpiry+int64(child*each+i))); err != nil {
			return err
		}
		if members, err := s.List(ctx, set, "", store.MaxList); err != nil || !slices.Contains(members, member) {
			return fmt.Errorf("%d members without %s, error %w", len(members), member, err)
		}
		if i%3 != 0 {
			continue
		}
		if err := s.Delete(ctx, set, member); err != nil {
			return err
		}
		if members, err := s.List(ctx, set, "", store.MaxList); err != nil || slices.Contains(members, member) {
			return fmt.Errorf("%d members with %s, which was deleted, error %w", len(members), member, err)
		}
	}
	return nil
}

// commonExpiry is in the year 2100.
const commonExpiry = 4_102_444_800_000

func testIndexProcesses(t *testing.T, e engine) {
	cfg := e.config(t)
	w := task{Driver: e.driver, DSN: e.dsn(), Dialect: e.dialect, Table: cfg.Table, Set: newKey()}
	processes(t, w)
	want := []string{"common"}
	for child := range 8 {
		for i := range each {
			if i%3 != 0 {
				want = append(want, fmt.Sprintf("m%d-%02d", child, i))
			}
		}
	}
	members, err := newStore(t, cfg).List(t.Context(), w.Set, "", store.MaxList)
	require.NoError(t, err)
	require.Equal(t, want, members)
	require.EqualValues(t, 1, countMembers(t, cfg, fmt.Sprintf("member = 'common' AND expires = %d", commonExpiry+8*each-1)),
		"the latest expiry stays")
}

// putEndlessly prints each member whose Put has returned.
func putEndlessly(ctx context.Context, s *sqlstore.Store, set string) error {
	for i := 0; ; i++ {
		member := fmt.Sprintf("m%06d", i)
		if err := s.Put(ctx, set, member, hour()); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(os.Stdout, member); err != nil {
			return err
		}
	}
}

// A process is killed at an arbitrary place, again and again. The next process
// finds each member whose Put has returned, and at most one other.
func testIndexKilled(t *testing.T, e engine) {
	cfg := e.config(t)
	self, err := os.Executable()
	require.NoError(t, err)
	s := newStore(t, cfg)
	for round := range 4 {
		w := task{Driver: e.driver, DSN: e.dsn(), Dialect: e.dialect, Table: cfg.Table, Set: newKey(), Endless: true}
		cmd := child(t, self, w)
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines, returned := bufio.NewScanner(stdout), []string(nil)
		for lines.Scan() {
			if returned = append(returned, lines.Text()); len(returned) == 20+7*round {
				require.NoError(t, cmd.Process.Kill())
			}
		}
		require.Error(t, cmd.Wait(), "it was killed")
		require.GreaterOrEqual(t, len(returned), 20)
		// The database may execute the last statement a little later.
		members := listAll(t, s, w.Set)
		require.GreaterOrEqual(t, len(members), len(returned))
		require.Equal(t, returned, members[:len(returned)])
		require.LessOrEqual(t, len(members), len(returned)+1)
		require.NoError(t, s.Put(t.Context(), w.Set, members[0], hour()), "the set goes on")
	}
}

// listAll returns all members, in pages.
func listAll(t *testing.T, s *sqlstore.Store, set string) (all []string) {
	t.Helper()
	for after := ""; ; after = all[len(all)-1] {
		page, err := s.List(t.Context(), set, after, 10)
		require.NoError(t, err)
		if all = append(all, page...); len(page) < 10 {
			return all
		}
	}
}

// A page that fails in the middle is an error, and its repetition has no member
// twice.
func testPartOfPage(t *testing.T, e engine) {
	f := newFaults(t, e)
	cfg := e.config(t)
	cfg.DB = f.db
	s, set := newStore(t, cfg), newKey()
	want := []string{"a", "b", "c", "d"}
	for _, member := range want {
		require.NoError(t, s.Put(t.Context(), set, member, hour()))
	}
	for _, err := range others[e.dialect] {
		f.set(func(string) error {
			if f.attempts == 3 {
				return err
			}
			return nil
		}, nil)
		members, got := s.List(t.Context(), set, "", 9)
		require.ErrorIs(t, got, err)
		require.Empty(t, members)
	}
	f.set(func(string) error {
		if f.attempts == 3 {
			return rollbacks[e.dialect][0]
		}
		return nil
	}, nil)
	members, err := s.List(t.Context(), set, "", 9)
	require.NoError(t, err)
	require.Equal(t, want, members)
	f.set(nil, nil)
}

func testIndexArguments(t *testing.T, e engine) {
	s, set := newStore(t, e.config(t)), newKey()
	for _, bad := range [][2]string{
		{set[1:], "a"}, {set + "A", "a"}, {set[1:] + " ", "a"}, {set, ""}, {set, "a "}, {set, "ä"}, {set, "a\x00"},
		{set, strings.Repeat("a", store.MaxMember+1)},
	} {
		require.ErrorIs(t, s.Put(t.Context(), bad[0], bad[1], hour()), store.ErrInvalid)
		require.ErrorIs(t, s.Delete(t.Context(), bad[0], bad[1]), store.ErrInvalid)
		if bad[1] != "" {
			_, err := s.List(t.Context(), bad[0], bad[1], 9)
			require.ErrorIs(t, err, store.ErrInvalid)
		}
	}
	for _, limit := range []int{-1, 0, store.MaxList + 1} {
		_, err := s.List(t.Context(), set, "", limit)
		require.ErrorIs(t, err, store.ErrInvalid)
	}
	require.ErrorIs(t, s.Put(t.Context(), set, "a", time.Now().Add(-time.Minute)), store.ErrInvalid)
}

func countMembers(t testing.TB, cfg sqlstore.Config, where string) int64 {
	t.Helper()
	cfg.Table += "_members"
	return count(t, cfg, where)
}
