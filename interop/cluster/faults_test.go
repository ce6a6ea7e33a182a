package cluster_test

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testserver"
	"github.com/gofapi/fapi2/interop/cluster"
)

const (
	users = 3
	page  = "../../docs/faults.md"
	begin = "<!-- report -->\n"
	end   = "<!-- end of the report -->\n"
)

var (
	hold   = flag.Duration("hold", time.Second, "how long a fault lasts")
	report = flag.Bool("report", false, "write the report to docs/faults.md")
)

// A fault happens to a cluster under load.
type fault struct {
	name string
	// begin causes the fault.
	begin func(t *testing.T)
	// end ends the fault. If nil, the fault is over when begin returns.
	end func(t *testing.T)
	// outcomes are failures of requests other than 503 with Retry-After.
	outcomes []string
	// admits are the kinds of messages that are accepted twice, as the package
	// comment of redisstore says. Of all kinds together there must be one, if
	// forgets is true.
	admits  []string
	forgets bool
}

// A row is one line of the report.
type row struct {
	fault, store    string
	underWay, lost  int
	twice, messages int
	recovery        time.Duration
}

// A stage is a cluster with its servers.
type stage struct {
	name, store string
	// start starts the servers and the cluster.
	start  func(t *testing.T) *cluster.Cluster
	faults []fault
}

func TestFaults(t *testing.T) {
	all := stages()
	rows := make([][]row, len(all))
	t.Run("stores", func(t *testing.T) {
		for i, s := range all {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				c := s.start(t)
				tr := newTraffic(t, c)
				for _, f := range s.faults {
					t.Run(f.name, func(t *testing.T) {
						r := strike(t, tr, f)
						r.store = s.store
						rows[i] = append(rows[i], r)
					})
				}
			})
		}
	})
	text := table(slices.Concat(rows...))
	t.Log("\n" + text)
	if *report && !t.Failed() {
		before, _, rest := split(t)
		require.NoError(t, os.WriteFile(page, []byte(before+text+rest), 0o644))
	}
}

// strike causes a fault under load, and checks what must hold after it.
func strike(t *testing.T, tr *traffic, f fault) row {
	t.Helper()
	stop := tr.run(t.Context())
	t.Cleanup(stop)
	tr.awaitRounds(t)
	began := time.Now()
	f.begin(t)
	over := time.Now()
	if f.end != nil {
		time.Sleep(*hold)
		f.end(t)
		over = time.Now()
	}
	tr.awaitClean(t, over)
	stop()
	r := row{fault: f.name}
	var lost []string
	r.underWay, lost = tr.during(began, over)
	r.recovery = max(0, tr.lastFailure.Sub(over))
	for outcome, n := range tr.outcomes {
		if outcome != "503" && !slices.Contains(f.outcomes, outcome) {
			t.Errorf("%d requests failed: %s", n, outcome)
		}
	}
	finished, lostTokens := tr.lostTokens(t.Context())
	lost = append(lost, lostTokens...)
	// A replayed token request revokes its tokens, so it comes after them.
	tr.replay()
	twice, all := tr.twice()
	for kind, n := range all {
		r.messages += n
		r.twice += twice[kind]
		if twice[kind] > 0 && !slices.Contains(f.admits, kind) {
			t.Errorf("%d of %d messages were accepted twice: %s", twice[kind], n, kind)
		}
	}
	if f.forgets { // the test would see it
		require.NotZero(t, r.twice)
	}
	require.Empty(t, lost)
	r.lost = len(lost)
	t.Logf("%d flows under way, %d finished, %v, %v accepted twice of %v, recovery %v", r.underWay, finished,
		tr.outcomes, twice, all, r.recovery)
	return r
}

func table(rows []row) string {
	text := "| store | fault | flows under way | lost | accepted twice | seconds to recovery |\n" +
		"|---|---|---|---|---|---|\n"
	for _, r := range rows {
		text += fmt.Sprintf("| %s | %s | %d | %d | %d of %d | %.1f |\n", r.store, r.fault, r.underWay, r.lost, r.twice,
			r.messages, r.recovery.Seconds())
	}
	return text
}

// split returns the page before, in and after the report.
func split(t *testing.T) (before, text, after string) {
	t.Helper()
	content, err := os.ReadFile(page)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(content), begin)
	require.True(t, found)
	text, after, found = strings.Cut(rest, end)
	require.True(t, found)
	return before + begin, text, end + after
}

func TestReportNamesAllFaults(t *testing.T) {
	_, text, _ := split(t)
	var want []string
	for _, s := range stages() {
		for _, f := range s.faults {
			want = append(want, fmt.Sprintf("| %s | %s |", s.store, f.name))
		}
	}
	for _, line := range want {
		require.Contains(t, text, line)
	}
	require.Len(t, strings.Split(strings.TrimSpace(text), "\n"), 2+len(want))
}

func stages() []stage {
	return []stage{instancesStage(), postgreSQLStage(), redisStage(), mariaDBStage()}
}

// everyThird returns a function that is true for every third request that
// writes. Others are forwarded.
func everyThird(writes ...string) func(request []byte) bool {
	var n atomic.Int64
	return func(request []byte) bool {
		return slices.ContainsFunc(writes, func(w string) bool { return bytes.Contains(request, []byte(w)) }) &&
			n.Add(1)%3 == 0
	}
}

// killed are the failures of requests that an instance had received when it was
// killed. HAProxy responds with 502, or closes the connection.
var killed = []string{
	"connection", "502 /par", "502 /token", "502 /accounts", "502 /authorize", "502 /consent", "502 /login",
}

// restart stops an instance and starts it with its clock ahead.
func restart(t *testing.T, one *cluster.Instance, ahead time.Duration) {
	t.Helper()
	one.SetClock(ahead)
	one.Stop()
	one.Start()
}

// repeat calls f ten times a second as long as a fault lasts.
func repeat(f func()) {
	for end := time.Now().Add(*hold); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		f()
	}
}

func losesReplies(proxy **testserver.Proxy, writes ...string) fault {
	var before int
	return fault{
		name: "connections cut after the commit and before its reply",
		begin: func(*testing.T) {
			before = (*proxy).Lost()
			(*proxy).LoseReplies(everyThird(writes...))
		},
		end: func(t *testing.T) {
			lost := func() bool { return (*proxy).Lost() > before }
			require.Eventually(t, lost, flowTime, 10*time.Millisecond)
			(*proxy).LoseReplies(nil)
		},
	}
}

func instancesStage() stage {
	var c *cluster.Cluster
	s := stage{name: "instances", store: "PostgreSQL", start: func(t *testing.T) *cluster.Cluster {
		c = cluster.Start(t, cluster.Config{
			Instances: 3, Pages: true, Users: users, Store: testserver.PostgreSQL(t).PostgreSQLURL("postgres", ""),
		})
		return c
	}}
	s.faults = []fault{{
		name:     "kill -9 of an instance",
		begin:    func(*testing.T) { c.Instances[1].Kill() },
		outcomes: killed,
		end: func(t *testing.T) {
			c.Instances[1].Start()
			c.Instances[1].WaitReady(t)
		},
	}, {
		name: "the clock of an instance two minutes ahead",
		begin: func(t *testing.T) {
			restart(t, c.Instances[2], 2*time.Minute)
			response, err := c.Instances[2].HTTPClient(t).Get(c.Issuer + "/readyz")
			require.NoError(t, err)
			defer response.Body.Close()
			require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
		},
		end: func(t *testing.T) {
			restart(t, c.Instances[2], 0)
			c.Instances[2].WaitReady(t)
		},
	}}
	return s
}

func postgreSQLStage() stage {
	var primary, replica *testserver.Server
	var proxy *testserver.Proxy
	s := stage{name: "database", store: "PostgreSQL", start: func(t *testing.T) *cluster.Cluster {
		// Every commit waits for the replica, as docs/stores.md requires it.
		primary = testserver.PostgreSQL(t, "synchronous_standby_names=*")
		replica = primary.Replica("wal_retrieve_retry_interval=100ms")
		proxy = testserver.NewProxy(t, primary.Addr)
		url := strings.Replace(primary.PostgreSQLURL("postgres", ""), primary.Addr, proxy.Addr, 1)
		// The proxy recognizes statements by their text.
		return cluster.Start(t, cluster.Config{
			Instances: 3, Pages: true, Users: users, Store: url + "&default_query_exec_mode=exec",
		})
	}}
	s.faults = []fault{{
		name:  "kill -9 of the database, and its start",
		begin: func(*testing.T) { primary.Kill() },
		end:   func(*testing.T) { primary.Start() },
	}, losesReplies(&proxy, "INSERT", "UPDATE"), {
		name:  "all connections cut, ten times a second",
		begin: func(*testing.T) { repeat(proxy.Cut) },
	}, {
		name:  "all connections half closed, ten times a second",
		begin: func(*testing.T) { repeat(proxy.HalfClose) },
	}, {
		name: "two connections for all instances, each reply delayed by 20 ms",
		begin: func(*testing.T) {
			proxy.SetDelay(20 * time.Millisecond)
			proxy.SetLimit(2)
		},
		end: func(*testing.T) {
			proxy.SetLimit(0)
			proxy.SetDelay(0)
		},
	}, {
		name: "failover to the replica",
		begin: func(*testing.T) {
			primary.Kill()
			replica.Promote()
			proxy.SetTarget(replica.Addr)
		},
	}}
	return s
}

func redisStage() stage {
	var primary, replica *testserver.Server
	var proxy *testserver.Proxy
	s := stage{name: "replays", store: "PostgreSQL, replays in Redis", start: func(t *testing.T) *cluster.Cluster {
		database := testserver.PostgreSQL(t)
		primary = testserver.Redis(t, "appendonly=yes", "appendfsync=always")
		replica = primary.RedisReplica("appendonly=yes")
		proxy = testserver.NewProxy(t, primary.Addr)
		return cluster.Start(t, cluster.Config{
			Instances: 3, Pages: true, Users: users, Store: database.PostgreSQLURL("postgres", ""),
			Replay: "redis://" + proxy.Addr,
		})
	}}
	s.faults = []fault{{
		name:  "kill -9 of Redis, and its start",
		begin: func(*testing.T) { primary.Kill() },
		end:   func(*testing.T) { primary.Start() },
	}, losesReplies(&proxy, "set", "SET"), {
		name:   "Redis flushed",
		begin:  func(*testing.T) { primary.Flush() },
		admits: []string{assertionKind, proofKind}, forgets: true,
	}, {
		name: "failover by Sentinel",
		begin: func(t *testing.T) {
			testserver.RedisSentinel(t, primary, 1)
			primary.Kill()
			replica.AwaitPromotion()
			proxy.SetTarget(replica.Addr)
		},
		admits: []string{assertionKind, proofKind},
	}}
	return s
}

func mariaDBStage() stage {
	var server *testserver.Server
	var proxy *testserver.Proxy
	s := stage{name: "MariaDB", store: "MariaDB", start: func(t *testing.T) *cluster.Cluster {
		server = testserver.MariaDB(t)
		proxy = testserver.NewProxy(t, server.Addr)
		return cluster.Start(t, cluster.Config{
			Instances: 3, Pages: true, Users: users, Store: "mysql://root@" + proxy.Addr + "/test?timeout=5s",
		})
	}}
	s.faults = []fault{{
		name:  "kill -9 of the database, and its start",
		begin: func(*testing.T) { server.Kill() },
		end:   func(*testing.T) { server.Start() },
	}, losesReplies(&proxy, "\x00\x00\x00\x17")} // the execution of a prepared statement
	return s
}
