package spec_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// module is a line of certification.tsv: a test module of the conformance suite
// and the tests in this tree that check the same.
type module struct {
	plan, name string
	tests      []string // Function, or Function/text of a case
}

const (
	certificationFile   = "certification.tsv"
	certificationPage   = "certification.md"
	certificationHeader = "plan\tmodule\ttests"
)

// parseModules reads certification.tsv.
func parseModules(text string) (list []module, problems []string) {
	seen := make(map[string]bool)
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		f := strings.Split(line, "\t")
		switch {
		case i == 0:
			if line != certificationHeader {
				problems = append(problems, fmt.Sprintf("line 1: the header is not %q", certificationHeader))
			}
			continue
		case len(f) != 3 || f[1] == "" || f[2] == "":
			problems = append(problems, fmt.Sprintf("line %d: want three fields", i+1))
			continue
		case f[0] != "server" && f[0] != "client":
			problems = append(problems, fmt.Sprintf("line %d: the plan %q is neither server nor client", i+1, f[0]))
		case seen[f[0]+f[1]]:
			problems = append(problems, fmt.Sprintf("line %d: %s is listed twice", i+1, f[1]))
		}
		seen[f[0]+f[1]] = true
		list = append(list, module{f[0], f[1], strings.Split(f[2], "; ")})
	}
	return list, problems
}

// find returns the files that have a test: its function, and a string that
// contains the text of the case.
func (t *trace) find(test string) (files []string) {
	function, text, _ := strings.Cut(test, "/")
	for _, file := range t.functions[function] {
		if slices.ContainsFunc(t.strings[file], func(s string) bool { return strings.Contains(s, text) }) {
			files = append(files, file)
		}
	}
	return files
}

// missing returns the tests of certification.tsv that the tree does not have.
func missing(list []module, t *trace) (problems []string) {
	for _, m := range list {
		for _, test := range m.tests {
			if len(t.find(test)) == 0 {
				problems = append(problems, fmt.Sprintf("%s of the %s plan: no test %q", m.name, m.plan, test))
			}
		}
	}
	return problems
}

// renderCertification renders the page that links each module to its tests.
func renderCertification(list []module, t *trace) string {
	var b strings.Builder
	b.WriteString(`# Certification

Generated from [certification.tsv](../certification.tsv) by ` + "`go test ./spec -update`" + `; do not edit.
[The guide](../README.md#certification) explains the modules.

| Plan | Module | Tests |
|---|---|---|
`)
	for _, m := range list {
		var cells []string
		for _, test := range m.tests {
			cells = append(cells, fmt.Sprintf("`%s` in %s", test, links(t.find(test))))
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", m.plan, m.name, strings.Join(cells, "<br>"))
	}
	return b.String()
}

func readModules(t *testing.T) []module {
	t.Helper()
	text, err := os.ReadFile(certificationFile)
	require.NoError(t, err)
	list, problems := parseModules(string(text))
	report(t, problems)
	require.Greater(t, len(list), 90, "the table has lost lines")
	return list
}

func TestCertificationNamesTests(t *testing.T) {
	_, _, tr := readTree(t)
	report(t, missing(readModules(t), tr))
}

func TestCertificationReports(t *testing.T) {
	rows := sampleRows(t)
	tr, err := scan(tree(map[string]string{
		"par/a_test.go": "package par_test\n\nfunc TestPush() { run(\"PAR-2-1 a form\") }\n\nfunc (w *world) TestHelper() {}\n",
		"par/a.go":      "package par\n\nfunc TestNothing() {}\n",
	}), rows)
	require.NoError(t, err)
	list, problems := parseModules(certificationHeader + "\nserver\tA\tTestPush; TestPush/a form\nclient\tA\tTestPush/PAR-2-1\n")
	require.Empty(t, problems)
	require.Empty(t, missing(list, tr))
	require.Contains(t, renderCertification(list, tr),
		"| server | A | `TestPush` in [par/a_test.go](../../par/a_test.go)<br>`TestPush/a form` in [par/a_test.go](../../par/a_test.go) |\n")

	list, _ = parseModules(certificationHeader + "\nserver\tA\tTestPull; TestPush/a page\nclient\tB\tTestNothing; TestHelper\n")
	require.Equal(t, []string{
		`A of the server plan: no test "TestPull"`, `A of the server plan: no test "TestPush/a page"`,
		`B of the client plan: no test "TestNothing"`, `B of the client plan: no test "TestHelper"`,
	}, missing(list, tr))

	_, problems = parseModules("plan\nserver\tA\nrobot\tA\tTestPush\nserver\tB\tTestPush\nserver\tB\tTestPush\n")
	require.Equal(t, []string{
		`line 1: the header is not "plan\tmodule\ttests"`, "line 2: want three fields",
		`line 3: the plan "robot" is neither server nor client`, "line 5: B is listed twice",
	}, problems)
}
