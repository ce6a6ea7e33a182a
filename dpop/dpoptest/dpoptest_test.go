package dpoptest_test

import (
	"testing"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/dpop/dpoptest"
)

// The store in memory lives by the machine's clock.
func TestMemoryReplayStore(t *testing.T) {
	dpoptest.TestReplayStore(t, func(*testing.T) dpop.ReplayStore { return dpop.NewMemoryReplayStore(0) }, nil)
}
