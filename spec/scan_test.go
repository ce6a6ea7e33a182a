package spec_test

import (
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// places maps an ID to the files that cite it, each file once and in order.
type places map[string][]string

func (p places) add(id, file string) {
	if !slices.Contains(p[id], file) {
		p[id] = append(p[id], file)
	}
}

// trace is what a source tree contains for the tables.
type trace struct {
	code      places              // IDs in comments of files that are not tests
	tests     places              // IDs in string literals of tests
	gaps      places              // IDs in TODO(ID) in any comment: known gaps
	functions places              // test functions
	strings   map[string][]string // string literals of each test file
	problems  []string            // citations of an ID that the table does not have
	files     int
}

// todo matches a known gap, which may name several IDs.
var todo = regexp.MustCompile(`TODO\(([^)]*)\)`)

// scan reads every Go file of the tree, nested modules included. It omits
// testdata, node_modules, vendored and hidden directories. It also omits this
// package and the architecture tests, whose samples contain citations.
func scan(tree fs.FS, rows []row) (*trace, error) {
	s := newShape(rows)
	known := make(map[string]bool, len(rows))
	for _, r := range rows {
		known[r.id] = true
	}
	t := &trace{code: places{}, tests: places{}, gaps: places{}, functions: places{}, strings: make(map[string][]string)}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skipDir(name) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		src, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		t.files++
		t.scanFile(name, src, s, known)
		return nil
	})
	return t, err
}

func skipDir(name string) bool {
	base := path.Base(name)
	return name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") ||
		slices.Contains([]string{"testdata", "node_modules", "vendor"}, base) || name == "spec" || name == "internal/archtest")
}

func (t *trace) scanFile(name string, src []byte, s shape, known map[string]bool) {
	fset := token.NewFileSet()
	file := fset.AddFile(name, -1, len(src))
	test := strings.HasSuffix(name, "_test.go")
	cite := func(pos token.Pos, text string, to places) {
		for _, id := range s.citations(text) {
			if !known[id] {
				t.problems = append(t.problems,
					fmt.Sprintf("%s:%d: %s is not in the table", name, file.Line(pos), id))
			} else if to != nil {
				to.add(id, name)
			}
		}
	}
	var sc scanner.Scanner
	sc.Init(file, src, func(token.Position, string) {}, scanner.ScanComments) // the compiler reports other errors
	last := token.EOF
	for {
		pos, tok, lit := sc.Scan()
		before := last
		last = tok
		switch tok {
		case token.EOF:
			return
		case token.IDENT:
			if test && before == token.FUNC && strings.HasPrefix(lit, "Test") {
				t.functions.add(lit, name)
			}
		case token.COMMENT:
			for _, m := range todo.FindAllStringSubmatch(lit, -1) {
				cite(pos, m[1], t.gaps)
			}
			rest := todo.ReplaceAllString(lit, "")
			if test {
				cite(pos, rest, nil)
			} else {
				cite(pos, rest, t.code)
			}
		case token.STRING:
			text, err := strconv.Unquote(lit)
			if err != nil {
				text = lit
			}
			switch {
			case test:
				t.strings[name] = append(t.strings[name], text)
				cite(pos, text, t.tests)
			case strings.HasPrefix(name, "profile/lint"): // the rows of the lint tables name their clause
				cite(pos, text, t.code)
			default:
				cite(pos, text, nil)
			}
		}
	}
}

// check compares the states in the table with the citations in the tree.
func check(rows []row, t *trace) []string {
	problems := slices.Clone(t.problems)
	for _, r := range rows {
		if r.status != "done" {
			continue
		}
		code, tests, gaps := t.code[r.id], t.tests[r.id], t.gaps[r.id]
		if len(gaps) > 0 {
			problems = append(problems, fmt.Sprintf("%s: done, but %s has it as a TODO", r.id, strings.Join(gaps, ", ")))
		}
		switch {
		case r.mandatory():
			if len(code) == 0 {
				problems = append(problems, fmt.Sprintf("%s: %s and done, but no code cites it", r.id, r.level))
			}
			if len(tests) == 0 {
				problems = append(problems, fmt.Sprintf("%s: %s and done, but no test cites it", r.id, r.level))
			}
		case len(code) == 0 && len(tests) == 0:
			problems = append(problems, fmt.Sprintf("%s: done, but neither code nor test cites it", r.id))
		}
	}
	return problems
}
