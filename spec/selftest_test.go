package spec_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// These tests show that each check can fail, on a small table and small trees.

const sampleTable = header + `
DPOP-4.3-7	RFC 9449	4.3	AS	MUST	dpop	done	The header's key is public
DPOP-4.3-8	RFC 9449	4.3	AS	MUST NOT	dpop	planned	Something | else
DPOP-4.3-9	RFC 9449	4.3	AS	SHOULD	dpop	planned	Something more
CA-OIDC-9-1	OpenID Connect Core 1.0	9	C	MUST	clientauth	planned	Members
INT-7662-2-1	RFC 7662	2	AS	MUST	accesstoken	planned	A form
CS-1	OpenID conformance suite	-	AS	MUST	clientauth	planned	The audience
AM-5.4a	FAPI 2.0 Attacker Model	5.4	C	INFO	profile	info	A goal
PAR-2-1	RFC 9126	2	AS	MUST	par	planned	A form
`

func sampleRows(t *testing.T, changes ...string) []row {
	t.Helper()
	rows, problems := parseTable(strings.NewReplacer(changes...).Replace(sampleTable))
	require.Empty(t, problems)
	return rows
}

func tree(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

const (
	goodCode = "package dpop\n\nfunc check() {\n\t// DPOP-4.3-7: a private key would let anyone sign.\n}\n"
	goodTest = "package dpop_test\n\nvar rows = []string{\"DPOP-4.3-7 a private key is refused\"}\n"
)

func TestParseTableReports(t *testing.T) {
	row := "DPOP-4.3-7\tRFC 9449\t4.3\tAS\tMUST\tdpop\tdone\tText\n"
	for _, tc := range []struct{ name, text, want string }{
		{"a duplicate ID", header + "\n" + row + row, "line 3: DPOP-4.3-7 is on line 2 already"},
		{"a status that is not allowed", header + "\n" + strings.Replace(row, "done", "Done", 1), `the status "Done"`},
		{"a level that is not allowed", header + "\n" + strings.Replace(row, "MUST", "SHALL", 1), `the level "SHALL"`},
		{"a role that is not allowed", header + "\n" + strings.Replace(row, "\tAS\t", "\tOP\t", 1), `the role "OP"`},
		{"a package that does not exist", header + "\n" + strings.Replace(row, "dpop", "dop", 1), `the package "dop"`},
		{"a missing field", header + "\n" + strings.Replace(row, "\tdpop", "", 1), "7 fields"},
		{"an empty requirement", header + "\n" + strings.Replace(row, "Text", "", 1), "an empty field"},
		{"a malformed ID", header + "\n" + strings.Replace(row, "DPOP-4.3-7", "dpop 7", 1), "is not an ID"},
		{"another header", "id\n" + row, "line 1: the header"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, problems := parseTable(tc.text)
			require.Len(t, problems, 1)
			require.Contains(t, problems[0], tc.want)
		})
	}
	rows, problems := parseTable(header + "\n" + row)
	require.Empty(t, problems)
	require.Len(t, rows, 1)
}

func TestCitationsAmongOtherWords(t *testing.T) {
	s := newShape(sampleRows(t))
	for _, tc := range []struct {
		text string
		want []string
	}{
		{"DPOP-4.3-7: reason", []string{"DPOP-4.3-7"}},
		{"see DPOP-4.3-7.", []string{"DPOP-4.3-7"}},
		{"(DPOP-4.3-7, PAR-2-1)", []string{"DPOP-4.3-7", "PAR-2-1"}},
		{"DPOP-4.3-12a/CS-1", []string{"DPOP-4.3-12a", "CS-1"}},
		{"a DPOP-4.3-7-like check", []string{"DPOP-4.3-7"}},
		{"CA-OIDC-9-1 and INT-7662-2-1", []string{"CA-OIDC-9-1", "INT-7662-2-1"}},
		{"CA-OIDC-9-99 and INT-9999-2-1", []string{"CA-OIDC-9-99", "INT-9999-2-1"}},
		{"AM-5.4a and AM-9", []string{"AM-5.4a", "AM-9"}},
		{"a section alone, DPOP-4.3, is a slip", []string{"DPOP-4.3"}},
		{"PS256-1 ES256-2 RFC-7636 RFC 7636 A-128 A128CBC-HS256", nil},
		{"xDPOP-4.3-7 X-DPOP-4.3-7 _DPOP-4.3-7 dpop-4.3-7", nil},
		{"DPOP-NONCE DPOP-Nonce PAR-only PAR-2 CA-1 INT-64 SP-800-38D CA-800-1", nil},
		{"DPOP-2026-01-02 PAR -2-1 CS-x", nil},
	} {
		require.Equal(t, tc.want, s.citations(tc.text), tc.text)
	}
}

func TestScanFindsCitationsWhereTheyCount(t *testing.T) {
	rows := sampleRows(t)
	tr, err := scan(tree(map[string]string{
		"dpop/verifier.go":            goodCode,
		"dpop/verifier_test.go":       goodTest,
		"dpop/other.go":               "package dpop\n\n/* DPOP-4.3-7 */\nconst s = \"DPOP-4.3-8 in a string is no enforcement\"\n",
		"profile/lint_x.go":           "package profile\n\nvar row = rule{\"PAR-2-1\"}\n",
		"dpop/other_test.go":          "package dpop_test\n\n// DPOP-4.3-8 in a test's comment is no test.\nvar s = `DPOP-4.3-7`\n",
		"dpop/gap.go":                 "package dpop\n\n// TODO(DPOP-4.3-8, DPOP-4.3-9): not there yet.\n",
		"store/sql/nested.go":         "package sql // PAR-2-1\n",
		"dpop/testdata/x.go":          "package x // PAR-2-9\n",
		"interop/node_modules/a/b.go": "package x // PAR-2-9\n",
		".hidden/x.go":                "package x // PAR-2-9\n",
		"spec/x_test.go":              "package x // PAR-2-9\n",
		"internal/archtest/x_test.go": "package x // PAR-2-9\n",
		"README.md":                   "PAR-2-9",
	}), rows)
	require.NoError(t, err)
	require.Empty(t, tr.problems)
	require.Equal(t, places{"DPOP-4.3-7": {"dpop/other.go", "dpop/verifier.go"}, "PAR-2-1": {"profile/lint_x.go", "store/sql/nested.go"}}, tr.code)
	require.Equal(t, places{"DPOP-4.3-7": {"dpop/other_test.go", "dpop/verifier_test.go"}}, tr.tests)
	require.Equal(t, places{"DPOP-4.3-8": {"dpop/gap.go"}, "DPOP-4.3-9": {"dpop/gap.go"}}, tr.gaps)
	require.Equal(t, 7, tr.files)
}

func TestCheckReports(t *testing.T) {
	for _, tc := range []struct {
		name    string
		changes []string
		files   map[string]string
		want    []string
	}{
		{"nothing when all is cited", nil,
			map[string]string{"a.go": goodCode, "a_test.go": goodTest}, nil},
		{"a missing test", nil,
			map[string]string{"a.go": goodCode}, []string{"DPOP-4.3-7: MUST and done, but no test cites it"}},
		{"a missing comment", nil,
			map[string]string{"a_test.go": goodTest}, []string{"DPOP-4.3-7: MUST and done, but no code cites it"}},
		{"a comment in a test instead of a name", nil,
			map[string]string{"a.go": goodCode, "a_test.go": "package a // DPOP-4.3-7\n"},
			[]string{"DPOP-4.3-7: MUST and done, but no test cites it"}},
		{"a string in the code instead of a comment", nil,
			map[string]string{"a.go": "package a\nconst s = \"DPOP-4.3-7\"\n", "a_test.go": goodTest},
			[]string{"DPOP-4.3-7: MUST and done, but no code cites it"}},
		{"a MUST NOT like a MUST", []string{"MUST NOT\tdpop\tplanned", "MUST NOT\tdpop\tdone"},
			map[string]string{"a.go": goodCode, "a_test.go": goodTest},
			[]string{"DPOP-4.3-8: MUST NOT and done, but no code cites it", "DPOP-4.3-8: MUST NOT and done, but no test cites it"}},
		{"a SHOULD that is done and cited nowhere", []string{"SHOULD\tdpop\tplanned", "SHOULD\tdpop\tdone"},
			map[string]string{"a.go": goodCode, "a_test.go": goodTest},
			[]string{"DPOP-4.3-9: done, but neither code nor test cites it"}},
		{"a gap in what is done", nil,
			map[string]string{"a.go": goodCode + "// TODO(DPOP-4.3-7): half.\n", "a_test.go": goodTest},
			[]string{"DPOP-4.3-7: done, but a.go has it as a TODO"}},
		{"a gap instead of the code", nil,
			map[string]string{"a.go": "package a // TODO(DPOP-4.3-7): later\n", "a_test.go": goodTest},
			[]string{"DPOP-4.3-7: done, but a.go has it as a TODO", "DPOP-4.3-7: MUST and done, but no code cites it"}},
		{"an unknown ID in code", nil,
			map[string]string{"a.go": goodCode + "// DPOP-4.3-77\n", "a_test.go": goodTest},
			[]string{"a.go:6: DPOP-4.3-77 is not in the table"}},
		{"an unknown ID in a test", nil,
			map[string]string{"a.go": goodCode, "a_test.go": goodTest + "var _ = `CS-99`\n"},
			[]string{"a_test.go:4: CS-99 is not in the table"}},
		{"an unknown ID in a gap", nil,
			map[string]string{"a.go": goodCode + "// TODO(PAR-9-9)\n", "a_test.go": goodTest},
			[]string{"a.go:6: PAR-9-9 is not in the table"}},
		{"nothing for a planned row that is cited", []string{"MUST\tdpop\tdone", "MUST\tdpop\tplanned"},
			map[string]string{"a.go": goodCode}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rows := sampleRows(t, tc.changes...)
			tr, err := scan(tree(tc.files), rows)
			require.NoError(t, err)
			require.Equal(t, tc.want, check(rows, tr))
		})
	}
}

func TestCoveragePages(t *testing.T) {
	rows := sampleRows(t)
	tr, err := scan(tree(map[string]string{
		"dpop/a.go": goodCode + "// TODO(DPOP-4.3-8)\n", "dpop/a_test.go": goodTest,
	}), rows)
	require.NoError(t, err)
	all := pages(rows, tr)
	require.Equal(t, []string{
		"README.md", "fapi-2.0-attacker-model.md", "openid-conformance-suite.md", "openid-connect-core-1.0.md", "rfc7662.md", "rfc9126.md", "rfc9449.md",
	}, slices.Sorted(maps.Keys(all)))
	for _, want := range []string{
		"| [RFC 9449](rfc9449.md) | 3 | 1 | 1 | 1 | 2 | 0 | 0 | 0 |\n",
		"| dpop | 3 | 1 | 1 | 1 | 2 | 0 | 0 | 0 |\n",
		"| **all** | 8 | 1 | 5 | 1 | 6 | 1 | 0 | 0 |\n",
	} {
		require.Contains(t, all["README.md"], want)
	}
	for _, want := range []string{
		"| DPOP-4.3-7 | MUST | AS | done | The header's key is public | [dpop/a.go](../../dpop/a.go) | [dpop/a_test.go](../../dpop/a_test.go) |\n",
		"| DPOP-4.3-8 | MUST NOT | AS | planned | Something \\| else | TODO in [dpop/a.go](../../dpop/a.go) |  |\n",
	} {
		require.Contains(t, all["rfc9449.md"], want)
	}
	require.NotContains(t, all["rfc9126.md"], "DPOP")

	moved, err := scan(tree(map[string]string{
		"dpop/a.go": "package dpop\n\n\n\n" + strings.TrimPrefix(goodCode, "package dpop\n") + "// TODO(DPOP-4.3-8)\n", "dpop/a_test.go": goodTest,
	}), rows)
	require.NoError(t, err)
	require.Equal(t, all, pages(rows, moved), "moving lines must not change a page")
}

func TestStalePagesAreReported(t *testing.T) {
	want := map[string]string{"a.md": "a\nb", "b.md": "b"}
	require.Empty(t, stale(tree(want), want))
	require.Equal(t, []string{
		"c.md belongs to no specification: run go test ./spec -update",
		"a.md is out of date (it should say: b): run go test ./spec -update",
		"b.md is missing: run go test ./spec -update",
	}, stale(tree(map[string]string{"a.md": "a\nc", "c.md": ""}), want))
	require.NotEmpty(t, stale(os.DirFS("no such directory"), want))
}

func TestUnlistedPrefixesAreReported(t *testing.T) {
	rows := sampleRows(t)[:4] // DPOP of RFC 9449, CA of OpenID Connect Core 1.0
	dpop := "| `DPOP` | RFC 9449 | [DPoP](https://a.example/) | 2023 |\n"
	core := "| `CA` | OpenID Connect Core 1.0 | [Core](https://a.example/) | 2014 |\n"
	require.Empty(t, unlisted(rows, dpop+core))
	require.Equal(t, []string{
		"README.md does not list the prefix CA of OpenID Connect Core 1.0",
		"README.md lists the prefix PAR of RFC 9126, and no row has it",
	}, unlisted(rows, dpop+"| `CA` | OpenID Connect Core 1.0 | no link | 2014 |\n| `PAR` | RFC 9126 | [PAR](https://a.example/) | 2021 |\n"))
}
