package archtest_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"regexp"
	"slices"
	"strings"
)

const (
	troubleshooting = "docs/troubleshooting.md"
	checklist       = "docs/deployment-checklist.md"
	requirements    = "spec/requirements.tsv"
)

// A sentinel is an exported error variable of a package that users import.
type sentinel struct {
	src  *source
	pos  token.Pos
	text string // a part of its text, or empty if it is an alias
}

// sentinels returns the error variables by package.Name.
func sentinels(r *repo) map[string]sentinel {
	found := make(map[string]sentinel)
	for _, s := range r.code() {
		room := r.room(s.dir)
		elements := strings.Split(s.dir, "/")
		if !public(room) && room != nestedRoom || s.file.Name.Name == "main" || slices.Contains(elements, "internal") || elements[0] == "examples" || elements[0] == "interop" {
			continue
		}
		imports := s.imports()
		for _, decl := range s.file.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok || d.Tok != token.VAR {
				continue
			}
			for _, spec := range d.Specs {
				v := spec.(*ast.ValueSpec)
				for i, id := range v.Names {
					if id.IsExported() && isSentinel(v, i, imports) {
						found[s.file.Name.Name+"."+id.Name] = sentinel{s, id.Pos(), firstText(v.Values, i)}
					}
				}
			}
		}
	}
	return found
}

// firstText returns the first string in the value of a variable that does not
// only wrap other errors.
func firstText(values []ast.Expr, i int) (text string) {
	if i >= len(values) {
		return ""
	}
	ast.Inspect(values[i], func(n ast.Node) bool {
		if e, ok := n.(ast.Expr); ok && text == "" {
			if t := literal(e); !strings.HasPrefix(t, "%w") {
				text = t
			}
		}
		return text == ""
	})
	return text
}

var troubleRow = regexp.MustCompile("^\\| `([^`]+)` \\| `(\\w+\\.Err\\w*)` \\| (.+) \\| (.+) \\|$")

// troubleRule finds error sentinels without a row in the page about
// troubleshooting, and rows that are out of date.
func troubleRule(r *repo) (findings []string) {
	text, ok := r.texts[troubleshooting]
	if !ok {
		return nil
	}
	all := sentinels(r)
	rows := make(map[string]bool)
	for i, line := range strings.Split(string(text), "\n") {
		at := fmt.Sprintf("%s:%d", troubleshooting, i+1)
		m := troubleRow.FindStringSubmatch(line)
		switch {
		case m == nil && strings.HasPrefix(line, "| `"):
			findings = append(findings, at+": want | `text` | `package.ErrName` | cause | what to do |")
		case m == nil:
		case rows[m[2]]:
			findings = append(findings, fmt.Sprintf("%s: %s has two rows", at, m[2]))
		default:
			rows[m[2]] = true
			if s, ok := all[m[2]]; !ok {
				findings = append(findings, fmt.Sprintf("%s: %s does not exist", at, m[2]))
			} else if !strings.HasSuffix(m[1], s.text) {
				findings = append(findings, fmt.Sprintf("%s: the text of %s is %q", at, m[2], s.text))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if s := all[name]; !rows[name] {
			findings = append(findings, fmt.Sprintf("%s: %s has no row in %s", s.src.at(s.pos), name, troubleshooting))
		}
	}
	return findings
}

var clauseForm = regexp.MustCompile("`([A-Z]+-(?:[A-Z]+-)?[0-9][0-9A-Za-z.-]*)`")

// dutyRule finds duties of hosts that are missing in the checklist, and clauses
// of the checklist that do not exist.
func dutyRule(r *repo) (findings []string) {
	page, ok := r.texts[checklist]
	if !ok {
		return nil
	}
	cited := make(map[string]bool)
	for _, m := range clauseForm.FindAllStringSubmatch(string(page), -1) {
		cited[m[1]] = true
	}
	known := make(map[string]bool)
	for line := range strings.SplitSeq(string(r.texts[requirements]), "\n") {
		fields := strings.Split(line, "\t")
		if len(fields) < 8 {
			continue
		}
		known[fields[0]] = true
		if fields[6] == "host" && !cited[fields[0]] {
			findings = append(findings, fmt.Sprintf("%s: no row for %s, a duty of the host", checklist, fields[0]))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(cited)) {
		if !known[id] {
			findings = append(findings, fmt.Sprintf("%s: %s is not in %s", checklist, id, requirements))
		}
	}
	return findings
}
