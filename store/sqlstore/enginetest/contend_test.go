package enginetest_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/store/sqlstore"
)

// settings are parameters of the drivers and databases that must not matter.
var settings = map[sqlstore.Dialect][][]string{
	sqlstore.PostgreSQL: {
		{"default_transaction_isolation=repeatable%20read", "default_query_exec_mode=exec"},
		{"default_transaction_isolation=serializable", "default_query_exec_mode=simple_protocol", "timezone=Asia/Kolkata"},
	},
	sqlstore.MySQL: {
		{"clientFoundRows=true", "innodb_snapshot_isolation=ON", "multiStatements=true"},
		{"tx_isolation=%27READ-COMMITTED%27", "sql_mode=ANSI"},
		// With clientFoundRows, the row counts of INSERT … ON DUPLICATE KEY
		// UPDATE would make each of 64 calls win.
		{
			"clientFoundRows=true", "interpolateParams=true", "tx_isolation=%27SERIALIZABLE%27",
			"collation=utf8mb4_general_ci", "time_zone=%27%2B05%3A30%27", "loc=Local", "parseTime=true",
		},
	},
	sqlstore.SQLite: {
		{"_pragma=synchronous(1)", "_txlock=immediate"},
	},
}

// testSettings runs the kit with the last settings of an engine.
func testSettings(t *testing.T, e engine) {
	all := settings[e.dialect]
	parameters := all[len(all)-1]
	cfg := e.config(t, parameters...)
	kits(t, cfg, func(t *testing.T) *sql.DB { return e.open(t, parameters...) })
}

// oneWins calls f in 64 goroutines on two stores.
func oneWins(t *testing.T, stores []*sqlstore.Store, f func(*sqlstore.Store) (bool, error)) {
	t.Helper()
	require.Equal(t, 1, testkit.Winners(t, 64, func(i int) (bool, error) { return f(stores[i%len(stores)]) }))
}

func testGoroutines(t *testing.T, e engine) {
	for _, parameters := range append([][]string{nil}, settings[e.dialect]...) {
		t.Run(fmt.Sprint(parameters), func(t *testing.T) {
			cfg := e.config(t, parameters...)
			other := cfg
			other.DB = e.open(t, parameters...)
			stores := []*sqlstore.Store{newStore(t, cfg), newStore(t, other)}
			for range 5 {
				key := newKey()
				oneWins(t, stores, func(s *sqlstore.Store) (bool, error) { return s.Add(t.Context(), key, nil, hour()) })
				oneWins(t, stores, func(s *sqlstore.Store) (bool, error) { return s.Swap(t.Context(), key, 1, nil, hour()) })
				execute(t, cfg.DB, "UPDATE %s SET expires = 1 WHERE id = '%s'", cfg.Table, key)
				oneWins(t, stores, func(s *sqlstore.Store) (bool, error) { return s.Add(t.Context(), key, nil, hour()) })
			}
		})
	}
}

// A task is what a child process does. The child prints its result.
type task struct {
	Driver, DSN string
	Dialect     sqlstore.Dialect
	Table       string
	Start       time.Time // when the contenders start
	Migrate     bool
	Keys        []string // the child adds and swaps each of them
	Set         string   // the child changes this set
	Child       int      // the number of the child
	Endless     bool     // the child puts members until it is killed, and prints them
}

type result struct {
	Added, Swapped int
	Err            string
}

const taskVariable = "ENGINETEST_TASK"

func TestMain(m *testing.M) {
	if text, app := os.LookupEnv(appVariable); app {
		if err := runApp(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	text, child := os.LookupEnv(taskVariable)
	if !child {
		flag.Parse()
		flag.Set("test.parallel", "8") //nolint:errcheck // the tests wait more than they work
		os.Exit(m.Run())
	}
	var r result
	if err := work(text, &r); err != nil {
		r.Err = err.Error()
	}
	json.NewEncoder(os.Stdout).Encode(r) //nolint:errcheck // the parent finds no result
}

func work(text string, r *result) error {
	var w task
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	db, err := openDB(w.Driver, w.DSN)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // the process ends
	cfg := sqlstore.Config{DB: db, Dialect: w.Dialect, Table: w.Table}
	if w.Migrate {
		time.Sleep(time.Until(w.Start))
		if err := sqlstore.Migrate(ctx, cfg); err != nil {
			return err
		}
	}
	s, err := sqlstore.New(ctx, cfg)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // it returns nil
	time.Sleep(time.Until(w.Start))
	for _, key := range w.Keys {
		added, err := s.Add(ctx, key, []byte{1}, hour())
		if err != nil {
			return err
		}
		swapped, err := s.Swap(ctx, key, 1, []byte{2}, hour())
		if err != nil {
			return err
		}
		if added {
			r.Added++
		}
		if swapped {
			r.Swapped++
		}
	}
	switch {
	case w.Endless:
		return putEndlessly(ctx, s, w.Set)
	case w.Set != "":
		return changeSet(ctx, s, w.Set, w.Child)
	}
	return nil
}

// processes runs a task in 8 processes and adds up their results.
func processes(t *testing.T, w task) (sum result) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	w.Start = time.Now().Add(time.Second)
	var mu sync.Mutex
	testkit.Hammer(8, func(i int) {
		w := w
		w.Child = i
		var stdout, stderr bytes.Buffer
		cmd := child(t, self, w)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		var r result
		if err == nil {
			err = json.Unmarshal(stdout.Bytes(), &r)
		}
		if err != nil || r.Err != "" {
			t.Error(err, r.Err, stderr.String())
		}
		mu.Lock()
		defer mu.Unlock()
		sum.Added += r.Added
		sum.Swapped += r.Swapped
	})
	return sum
}

// child returns a process that works on a task.
func child(t *testing.T, self string, w task) *exec.Cmd {
	text, err := json.Marshal(w)
	if err != nil {
		t.Error(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), taskVariable+"="+string(text))
	return cmd
}

func testProcesses(t *testing.T, e engine) {
	cfg := e.config(t)
	w := task{Driver: e.driver, DSN: e.dsn(), Dialect: e.dialect, Table: cfg.Table}
	for range 30 {
		w.Keys = append(w.Keys, newKey())
	}
	require.Equal(t, result{Added: len(w.Keys), Swapped: len(w.Keys)}, processes(t, w))
}
