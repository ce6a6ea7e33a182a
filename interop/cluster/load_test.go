package cluster_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testserver"
	"github.com/gofapi/fapi2/interop/cluster"
	"github.com/gofapi/fapi2/interop/internal/testkit"
)

// The flags of TestThroughput and TestSoak. PERFORMANCE.md lists the commands.
// With the defaults, the tests only show that the measurements work.
var (
	turn = flag.Duration("turn", shortTurn, "the time of one turn of a measurement")
	soak = flag.Duration("soak", time.Second, "the time of the soak")
)

const (
	shortTurn = 100 * time.Millisecond
	turns     = 3
	// clients is the number of applications that run flows at the same time.
	clients = 6
	// soakFlows is the number of flows per second in the soak.
	soakFlows = 20
)

// engines return the members store and replay of the bank's configuration.
var engines = map[string]func(t testing.TB) (store, replay string){
	"SQLite": func(t testing.TB) (string, string) {
		return "sqlite:" + filepath.Join(t.TempDir(), "data", "bank.db"), ""
	},
	"PostgreSQL": func(t testing.TB) (string, string) { return postgreSQLStore(t), "" },
	"MariaDB": func(t testing.TB) (string, string) {
		return "mysql://root@" + testserver.MariaDB(t, "innodb-flush-log-at-trx-commit=1").Addr + "/test", ""
	},
	"Redis": func(t testing.TB) (string, string) { return "redis://" + testserver.Redis(t).Addr, "" },
	"PostgreSQL and Redis": func(t testing.TB) (string, string) {
		return postgreSQLStore(t), "redis://" + testserver.Redis(t).Addr
	},
}

func postgreSQLStore(t testing.TB) string {
	return testserver.PostgreSQL(t, "fsync=on").PostgreSQLURL("postgres", "")
}

// TestThroughput measures whole flows of one instance in memory, and of one and
// three instances on an engine, in turns. It fails only if a flow does.
func TestThroughput(t *testing.T) {
	testkit.Require(t, "Linux", runtime.GOOS == "linux") // its /proc
	memory := startLoad(t, cluster.Config{Store: "memory:"})
	for name, start := range engines {
		t.Run(name, func(t *testing.T) {
			store, replay := start(t)
			memory.rates, memory.cpu = nil, nil
			all := []*load{memory, startLoad(t, cluster.Config{Store: store, Replay: replay})}
			// SQLite is a file of one machine. The short run has one cluster.
			if name != "SQLite" && (*turn > shortTurn || name == "PostgreSQL and Redis") {
				store, replay = start(t)
				all = append(all, startLoad(t, cluster.Config{Instances: 3, Store: store, Replay: replay}))
			}
			for range turns {
				for _, l := range all {
					l.run(t, *turn)
				}
			}
			for i, l := range all {
				rate, cpu := median(l.rates), median(l.cpu)
				t.Logf("%-6s %5.1f flows/s, %.2f × memory; %.2f ms of CPU in the instances for a flow, %.2f × memory",
					[]string{"memory", "one", "three"}[i], rate, rate/median(memory.rates), cpu, cpu/median(memory.cpu))
			}
		})
	}
}

// TestSoak runs flows at a constant rate and logs the memory of the instance in
// each twelfth of the time.
func TestSoak(t *testing.T) {
	testkit.Require(t, "Linux", runtime.GOOS == "linux") // its /proc
	l := startLoad(t, cluster.Config{Store: postgreSQLStore(t)})
	pid := l.cluster.Instances[0].PID()
	ctx, cancel := context.WithTimeout(t.Context(), *soak)
	defer cancel()
	var running sync.WaitGroup
	var flows atomic.Int64
	for _, driver := range l.drivers {
		running.Go(func() {
			ticker := time.NewTicker(time.Second * clients / soakFlows)
			defer ticker.Stop()
			for ctx.Err() == nil {
				if _, err := driver.Flow(t.Context()); err != nil {
					t.Errorf("a flow failed: %v", err)
				}
				flows.Add(1)
				select {
				case <-ticker.C:
				case <-ctx.Done():
				}
			}
		})
	}
	for part := 1; part <= 12; part++ {
		var most int64
		for end := time.Now().Add(*soak / 12); time.Now().Before(end); time.Sleep(*soak / 200) {
			most = max(most, residentKiB(t, pid))
		}
		t.Logf("%2d/12: at most %.1f MiB after %d flows", part, float64(most)/1024, flows.Load())
	}
	running.Wait()
}

// load is a cluster with its applications, and what was measured.
type load struct {
	cluster *cluster.Cluster
	drivers []*cluster.Driver
	rates   []float64 // flows per second
	cpu     []float64 // milliseconds of the instances for a flow
}

func startLoad(t *testing.T, cfg cluster.Config) *load {
	t.Helper()
	l := &load{cluster: cluster.Start(t, cfg)}
	for range clients {
		driver := l.cluster.NewDriver(t, cluster.DriverConfig{})
		_, err := driver.Flow(t.Context()) // opens connections
		require.NoError(t, err)
		l.drivers = append(l.drivers, driver)
	}
	return l
}

// run runs flows without a pause for a turn.
func (l *load) run(t *testing.T, d time.Duration) {
	t.Helper()
	var flows atomic.Int64
	var running sync.WaitGroup
	start, before := time.Now(), l.milliseconds(t)
	for _, driver := range l.drivers {
		running.Go(func() {
			for first := true; first || time.Since(start) < d; first = false {
				if _, err := driver.Flow(t.Context()); err != nil {
					t.Errorf("a flow failed: %v", err)
					return
				}
				flows.Add(1)
			}
		})
	}
	running.Wait()
	l.rates = append(l.rates, float64(flows.Load())/time.Since(start).Seconds())
	l.cpu = append(l.cpu, (l.milliseconds(t)-before)/float64(flows.Load()))
}

// milliseconds returns the CPU time of all instances.
func (l *load) milliseconds(t testing.TB) (sum float64) {
	t.Helper()
	for _, one := range l.cluster.Instances {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", one.PID()))
		require.NoError(t, err)
		// The name of the program, which is in parentheses, can contain spaces.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		for _, field := range fields[11:13] { // user and system, in hundredths of a second
			var ticks float64
			_, err := fmt.Sscan(field, &ticks)
			require.NoError(t, err)
			sum += 10 * ticks
		}
	}
	return sum
}

// residentKiB returns the memory of a process.
func residentKiB(t testing.TB, pid int) (size int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	_, err = fmt.Sscan(after, &size)
	require.NoError(t, err)
	return size
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}
