package dpoptest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/dpop/dpoptest"
	"github.com/gofapi/fapi2/internal/testkit"
)

// store is a correct store with a clock that can be set, and with one fault at choice.
type store struct {
	mu    sync.Mutex
	now   func() time.Time
	held  map[string]time.Time
	fault string
}

func (s *store) Use(ctx context.Context, key string, expires time.Time) (bool, error) {
	if s.fault == "collates" {
		key = strings.ToLower(key)
	}
	if ctx.Err() != nil && s.fault != "ignores the context" {
		return false, ctx.Err()
	}
	now := s.now()
	if !expires.After(now) && s.fault != "takes the past" {
		return false, errors.New("expired")
	}
	s.mu.Lock()
	until, ok := s.held[key]
	live := ok && until.After(now)
	switch {
	case s.fault == "races":
		s.mu.Unlock()
		time.Sleep(time.Millisecond)
		s.mu.Lock()
	case s.fault == "forgets early":
		live = ok && until.After(now.Add(time.Second))
	case s.fault == "never forgets":
		live = ok
	case s.fault == sweepsLate:
		live = ok && until.Add(5*time.Second).After(now)
	case s.fault == "": // rounding up is permitted
		live = ok && until.Add(2*time.Second).After(now)
	case s.fault == "moves the expiry":
		s.held[key] = expires
	}
	defer s.mu.Unlock()
	if !live {
		s.held[key] = expires
	}
	return !live, nil
}

var faults = []string{
	"races", "collates", "ignores the context", "takes the past", "forgets early", "never forgets", sweepsLate,
	"moves the expiry",
}

// sweepsLate keeps an entry for longer than an expiry may be rounded.
const sweepsLate = "D5: sweeps late"

const faultVariable = "DPOPTEST_FAULT"

func TestReplayStore(t *testing.T) {
	clock := testkit.NewClock(time.Unix(1_700_000_000, 0))
	dpoptest.TestReplayStore(t, func(*testing.T) dpop.ReplayStore {
		return &store{now: clock.Now, held: map[string]time.Time{}, fault: os.Getenv(faultVariable)}
	}, &dpoptest.Clock{Now: clock.Now, Advance: clock.Advance})
}

// TestFaultsAreFound runs TestReplayStore in another process with each fault, where it must fail.
func TestFaultsAreFound(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	for _, fault := range faults {
		t.Run(fault, func(t *testing.T) {
			cmd := exec.Command(exe, "-test.run=^TestReplayStore$")
			cmd.Env = append(os.Environ(), faultVariable+"="+fault)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "passes a store that %s\n%s", fault, out)
			require.Contains(t, string(out), "--- FAIL: TestReplayStore/")
		})
	}
}
