package spec_test

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the pages in coverage anew")

const (
	tableFile    = "requirements.tsv"
	coverageDir  = "coverage"
	tableMinimum = 600 // rows; fewer means that the table has lost some
)

func readTree(t *testing.T) ([]row, []string, *trace) {
	t.Helper()
	text, err := os.ReadFile(tableFile)
	require.NoError(t, err)
	rows, problems := parseTable(string(text))
	require.Greater(t, len(rows), tableMinimum, "the table has lost rows")
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

func TestCoveragePagesAreUpToDate(t *testing.T) {
	rows, _, tr := readTree(t)
	want := pages(rows, tr)
	want[certificationPage] = renderCertification(readModules(t), tr)
	if *update {
		require.NoError(t, os.RemoveAll(coverageDir))
		require.NoError(t, os.Mkdir(coverageDir, 0o755))
		for name, text := range want {
			require.NoError(t, os.WriteFile(filepath.Join(coverageDir, name), []byte(text), 0o644))
		}
	}
	report(t, stale(os.DirFS(coverageDir), want))
}

// listed matches a line of the table of prefixes in README.md.
var listed = regexp.MustCompile("(?m)^\\| `([A-Z]+)` \\| ([^|]+) \\| \\[[^\\]]+\\]\\(https://[^)]+\\) \\| [^|]+ \\|$")

// unlisted compares the table of prefixes with the rows, both ways.
func unlisted(rows []row, readme string) (problems []string) {
	named := make(map[string]bool)
	for _, m := range listed.FindAllStringSubmatch(readme, -1) {
		named[m[1]+" of "+m[2]] = true
	}
	used := distinct(rows, func(r row) string {
		prefix, _, _ := strings.Cut(r.id, "-")
		return prefix + " of " + r.spec
	})
	for _, u := range used {
		if !named[u] {
			problems = append(problems, "README.md does not list the prefix "+u)
		}
		delete(named, u)
	}
	for _, n := range slices.Sorted(maps.Keys(named)) {
		problems = append(problems, "README.md lists the prefix "+n+", and no row has it")
	}
	return problems
}

func TestReadmeListsThePrefixes(t *testing.T) {
	rows, _, _ := readTree(t)
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	report(t, unlisted(rows, string(text)))
}

// stale compares the pages in a directory with those that should be there.
func stale(dir fs.FS, want map[string]string) (problems []string) {
	const remedy = ": run go test ./spec -update"
	files, err := fs.ReadDir(dir, ".")
	if err != nil {
		return []string{err.Error() + remedy}
	}
	for _, f := range files {
		if _, ok := want[f.Name()]; !ok {
			problems = append(problems, f.Name()+" belongs to no specification"+remedy)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		got, err := fs.ReadFile(dir, name)
		switch {
		case err != nil:
			problems = append(problems, name+" is missing"+remedy)
		case string(got) != want[name]:
			problems = append(problems, fmt.Sprintf("%s is out of date (%s)%s", name, firstDifference(string(got), want[name]), remedy))
		}
	}
	return problems
}

func report(t *testing.T, problems []string) {
	t.Helper()
	for _, p := range problems {
		t.Error(p)
	}
}

// firstDifference returns the first line that differs.
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
