package archtest_test

import (
	"fmt"
	"go/ast"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

const (
	maxFunctionLines  = 70
	maxLeafNames      = 30
	maxInterfaceVerbs = 3
	maxFileBytes      = 256 << 10
)

// executables are the first bytes of programs: ELF, PE, and Mach-O for one
// architecture or several, in either byte order.
var executables = []string{
	"\x7fELF", "MZ", "\xfe\xed\xfa\xce", "\xfe\xed\xfa\xcf", "\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe", "\xca\xfe\xba\xbe",
}

// fileRule finds programs and large files, which every go get would download.
func fileRule(r *repo) (findings []string) {
	for _, b := range r.blobs {
		program := slices.ContainsFunc(executables, func(magic string) bool { return strings.HasPrefix(b.head, magic) })
		switch ext := path.Ext(b.name); {
		case program:
			findings = append(findings, b.name+": an executable")
		case b.size > maxFileBytes && ext != ".png" && ext != ".svg":
			findings = append(findings, fmt.Sprintf("%s: %d bytes, more than %d", b.name, b.size, maxFileBytes))
		}
	}
	return findings
}

// sizeRule finds functions that are too long.
func sizeRule(r *repo) (findings []string) {
	for _, s := range r.code() {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				lines := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
				if lines > maxFunctionLines {
					findings = append(findings, fmt.Sprintf("%s: %s has %d lines, more than %d", s.at(f.Pos()), f.Name.Name, lines, maxFunctionLines))
				}
			}
		}
	}
	return findings
}

// surfaceRule finds packages with too many exported names. Methods and fields
// do not count.
func surfaceRule(r *repo) (findings []string) {
	names := make(map[string]int)
	for _, s := range r.code() {
		if !public(r.room(s.dir)) || s.file.Name.Name == "main" {
			continue
		}
		for _, e := range exports(s) {
			if e.topLevel {
				names[s.dir]++
			}
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(names)) {
		if names[dir] > maxLeafNames {
			findings = append(findings, fmt.Sprintf("%s: %d exported names, more than %d", dir, names[dir], maxLeafNames))
		}
	}
	return findings
}

// interfaceRule finds exported interfaces with too many methods. Optional
// methods belong in a second interface.
func interfaceRule(r *repo) (findings []string) {
	for _, s := range r.code() {
		if !public(r.room(s.dir)) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || !spec.Name.IsExported() {
				return true
			}
			if t, ok := spec.Type.(*ast.InterfaceType); ok && len(t.Methods.List) > maxInterfaceVerbs {
				findings = append(findings, fmt.Sprintf("%s: %s has %d methods, more than %d", s.at(spec.Pos()), spec.Name.Name, len(t.Methods.List), maxInterfaceVerbs))
			}
			return true
		})
	}
	return findings
}

// initRule finds init functions. Importing a package must have no effect.
func initRule(r *repo) (findings []string) {
	for _, s := range r.code() {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				findings = append(findings, fmt.Sprintf("%s: an init function", s.at(f.Pos())))
			}
		}
	}
	return findings
}

// skipRule finds tests that skip themselves, since a skipped test passes. Only
// a function called Require… in a package called testkit may skip, because it
// can be configured to fail instead. The other exception is conformance.Server,
// whose callers must see the cases that were not run. Its own tests require
// that no case was skipped.
func skipRule(r *repo) (findings []string) {
	for _, s := range r.sources {
		if !slices.ContainsFunc(s.file.Imports, func(i *ast.ImportSpec) bool { return importPath(i) == "testing" }) {
			continue
		}
		for _, decl := range s.file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if ok && strings.HasPrefix(f.Name.Name, "Require") && path.Base(s.dir) == "testkit" {
				continue
			}
			if ok && s.dir == "conformance" && !s.test && f.Recv == nil && f.Name.Name == "Server" {
				continue
			}
			ast.Inspect(decl, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				sel, ok := call.Fun.(*ast.SelectorExpr)
				if ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
					findings = append(findings, fmt.Sprintf("%s: %s outside of testkit's Require", s.at(call.Pos()), sel.Sel.Name))
				}
				return true
			})
		}
	}
	return findings
}

// These words are written in two parts, so that this file and its tests pass
// their own rule.
var banned = []struct {
	form *regexp.Regexp
	why  string
}{
	{regexp.MustCompile(`(^|[^\w.$}~/-])/(work|root|home|Users)/`), "a path of one machine"},
	{regexp.MustCompile(`\bTO` + `DO\b`), "an open end without a clause: cite the row as in CONTRIBUTING.md"},
	{regexp.MustCompile(`\b(FIX` + `ME|HA` + `CK)\b`), "an open end"},
	{regexp.MustCompile(`proxy\.golang\.org|registry\.npmjs\.org`), "a package registry's host"},
}

var (
	gap     = regexp.MustCompile(`TO` + `DO\(ID\)|TO` + `DO\([A-Z]+-[0-9A-Za-z.-]+(, ?[A-Z]+-[0-9A-Za-z.-]+)*\)`)
	aboutIt = []string{"spec/"} // the tests about gaps, and their pages
)

// wordRule finds paths of one machine, and open ends without a clause.
func wordRule(r *repo) (findings []string) {
	for _, name := range slices.Sorted(maps.Keys(r.texts)) {
		if slices.ContainsFunc(aboutIt, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		for i, line := range strings.Split(string(r.texts[name]), "\n") {
			line = gap.ReplaceAllString(line, "")
			for _, b := range banned {
				if m := b.form.FindString(line); m != "" {
					findings = append(findings, fmt.Sprintf("%s:%d: %q: %s", name, i+1, strings.TrimSpace(m), b.why))
				}
			}
		}
	}
	return findings
}
