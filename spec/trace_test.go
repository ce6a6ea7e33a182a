package spec_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write coverage.md anew")

const (
	tableFile    = "requirements.tsv"
	coverageFile = "coverage.md"
)

func readTree(t *testing.T) ([]row, []string, *trace) {
	t.Helper()
	text, err := os.ReadFile(tableFile)
	require.NoError(t, err)
	rows, problems := parseTable(string(text))
	require.Greater(t, len(rows), 600, "the table has lost rows")
	tr, err := scan(os.DirFS(".."), rows)
	require.NoError(t, err)
	require.Positive(t, tr.files, "no Go file found: is the root of the tree where it was?")
	return rows, problems, tr
}

func TestTableIsWellFormed(t *testing.T) {
	_, problems, _ := readTree(t)
	report(t, problems)
}

func TestCodeAndTestsCiteWhatTheTableClaims(t *testing.T) {
	rows, _, tr := readTree(t)
	report(t, check(rows, tr))
}

func TestCoveragePageIsUpToDate(t *testing.T) {
	rows, _, tr := readTree(t)
	want := renderCoverage(rows, tr)
	if *update {
		require.NoError(t, os.WriteFile(coverageFile, []byte(want), 0o644))
	}
	got, err := os.ReadFile(coverageFile)
	require.NoError(t, err)
	if string(got) != want {
		t.Errorf("%s is out of date (%s): run go test ./spec -update", coverageFile, firstDifference(string(got), want))
	}
}

func report(t *testing.T, problems []string) {
	t.Helper()
	for _, p := range problems {
		t.Error(p)
	}
}

// firstDifference names the first line that differs, so that a failure says what moved.
func firstDifference(got, want string) string {
	w := strings.Split(want, "\n")
	for i, line := range strings.Split(got, "\n") {
		if i >= len(w) {
			return "it is longer than it should be"
		}
		if line != w[i] {
			return "it should say: " + w[i]
		}
	}
	return "it is shorter than it should be"
}
