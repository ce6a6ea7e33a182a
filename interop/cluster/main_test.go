package cluster_test

import (
	"os"
	"testing"

	"github.com/gofapi/fapi2/interop/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(testkit.Main(m)) }
