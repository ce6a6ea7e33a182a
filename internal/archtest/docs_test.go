package archtest_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// page is a Markdown file. Its prose has neither fenced nor indented code, its
// blocks are the code.
type page struct {
	name, text string
	prose      string // as many lines as text
	blocks     []block
}

// A block is a piece of code in a page.
type block struct {
	line     int // of the first line of code
	language string
	marker   string // the comment on the line above
	code     string
}

var (
	fenceLine  = regexp.MustCompile("^ *(?:```|~~~)(.*)$")
	markerLine = regexp.MustCompile(`^<!-- code: (\S+) (\S+) -->$`)
)

// pages returns the Markdown files in order.
func pages(r *repo) (list []*page) {
	for _, name := range slices.Sorted(maps.Keys(r.texts)) {
		if path.Ext(name) == ".md" {
			list = append(list, readPage(name, string(r.texts[name])))
		}
	}
	return list
}

func readPage(name, text string) *page {
	p := &page{name: name, text: text}
	var prose []string
	var open *block
	before, blank := "", true
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		fence := fenceLine.FindStringSubmatch(line)
		indented := open == nil && strings.HasPrefix(line, "    ") && (blank || len(p.blocks) > 0 && p.blocks[len(p.blocks)-1].ends() == i+1)
		switch {
		case open != nil && fence != nil:
			p.blocks, open = append(p.blocks, *open), nil
		case open != nil:
			open.code += line + "\n"
		case fence != nil:
			open = &block{line: i + 2, language: strings.TrimSpace(fence[1]), marker: before}
		case indented && blank:
			p.blocks = append(p.blocks, block{line: i + 1, code: line[4:] + "\n"})
		case indented:
			p.blocks[len(p.blocks)-1].code += line[4:] + "\n"
		default:
			before, blank = line, strings.TrimSpace(line) == ""
			prose = append(prose, line)
			continue
		}
		prose, blank = append(prose, ""), false
	}
	p.prose = strings.Join(prose, "\n")
	return p
}

// ends returns the number of the line after the block.
func (b *block) ends() int { return b.line + strings.Count(b.code, "\n") }

func (p *page) at(line int) string { return fmt.Sprintf("%s:%d", p.name, line) }

var (
	linkForm    = regexp.MustCompile(`\]\(([^)\s]+)(?: "[^"]*")?\)`)
	tagForm     = regexp.MustCompile(`(?:src|href)="([^"]+)"`)
	anchorForm  = regexp.MustCompile(`<a (?:id|name)="([^"]+)"`)
	headingForm = regexp.MustCompile(`^#{1,6} +(.*?) *#*$`)
	schemeForm  = regexp.MustCompile(`^[a-z]+:`)
)

// linkRule finds links to files, directories and headings that do not exist. It
// does not follow links to other sites.
func linkRule(r *repo) (findings []string) {
	list := pages(r)
	anchors := make(map[string]map[string]bool)
	for _, p := range list {
		anchors[p.name] = p.anchors()
	}
	exists := map[string]bool{".": true}
	for _, b := range r.blobs {
		for name := b.name; !exists[name]; name = path.Dir(name) {
			exists[name] = true
		}
	}
	for _, p := range list {
		for i, line := range strings.Split(p.prose, "\n") {
			line = mdSpan.ReplaceAllString(line, "")
			for _, m := range slices.Concat(linkForm.FindAllStringSubmatch(line, -1), tagForm.FindAllStringSubmatch(line, -1)) {
				file, anchor, hasAnchor := strings.Cut(m[1], "#")
				target := p.name
				if file != "" {
					target = path.Join(path.Dir(p.name), file)
				}
				switch {
				case schemeForm.MatchString(m[1]):
					if strings.HasPrefix(m[1], "http:") {
						findings = append(findings, fmt.Sprintf("%s: %s: want https", p.at(i+1), m[1]))
					}
				case file != "" && file[0] == '/' || !exists[target]:
					findings = append(findings, fmt.Sprintf("%s: %s does not exist", p.at(i+1), m[1]))
				case hasAnchor && !anchors[target][anchor]:
					findings = append(findings, fmt.Sprintf("%s: %s: no such heading", p.at(i+1), m[1]))
				}
			}
		}
	}
	return findings
}

// anchors returns the anchors of the headings as the forge makes them, and
// those written as HTML.
func (p *page) anchors() map[string]bool {
	found := make(map[string]bool)
	for line := range strings.SplitSeq(p.prose, "\n") {
		for _, m := range anchorForm.FindAllStringSubmatch(line, -1) {
			found[m[1]] = true
		}
		if m := headingForm.FindStringSubmatch(line); m != nil {
			anchor := slug(m[1])
			for n := 1; found[anchor]; n++ {
				anchor = fmt.Sprintf("%s-%d", slug(m[1]), n)
			}
			found[anchor] = true
		}
	}
	return found
}

func slug(heading string) string {
	heading = mdTag.ReplaceAllString(mdLink.ReplaceAllString(heading, "$1"), "")
	return strings.Map(func(c rune) rune {
		switch {
		case c == ' ':
			return '-'
		case c == '-' || c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c):
			return unicode.ToLower(c)
		}
		return -1
	}, heading)
}

// snippetRule finds Go code that is not taken from a file that the compiler
// reads. The line above such code is <!-- code: FILE NAME -->. NAME is a
// function, whose body is the code, or a region of the file between the lines
// //docs:begin NAME and //docs:end.
func snippetRule(r *repo) (findings []string) {
	for _, p := range pages(r) {
		for _, b := range p.blocks {
			switch m := markerLine.FindStringSubmatch(b.marker); {
			case m == nil && b.language == "go":
				findings = append(findings, fmt.Sprintf("%s: Go code without the line <!-- code: FILE NAME --> above it", p.at(b.line)))
			case m != nil:
				code, err := r.snippet(m[1], m[2])
				if err != nil {
					findings = append(findings, fmt.Sprintf("%s: %v", p.at(b.line), err))
				} else if code != b.code {
					findings = append(findings, fmt.Sprintf("%s: differs from %s %s: run go test ./internal/archtest -update", p.at(b.line), m[1], m[2]))
				}
			}
		}
	}
	return findings
}

// snippet returns the code of a region or of the body of a function.
func (r *repo) snippet(file, name string) (string, error) {
	text, ok := r.texts[file]
	if !ok {
		return "", fmt.Errorf("%s does not exist", file)
	}
	var code []string
	inside, found := false, false
	for line := range strings.SplitSeq(string(text), "\n") {
		switch trimmed := strings.TrimSpace(line); {
		case trimmed == "//docs:begin "+name && !found:
			inside, found = true, true
		case strings.HasPrefix(trimmed, "//docs:begin ") && inside:
			return "", fmt.Errorf("%s: region %s contains another", file, name)
		case trimmed == "//docs:end":
			inside = false
		case inside:
			code = append(code, line)
		}
	}
	if inside {
		return "", fmt.Errorf("%s: region %s has no end", file, name)
	}
	if !found {
		code = r.body(file, name)
	}
	if len(code) == 0 {
		return "", fmt.Errorf("%s has neither a region nor a function %s", file, name)
	}
	return dedent(code), nil
}

// body returns the lines of a function without those of its braces and without
// its output.
func (r *repo) body(file, name string) []string {
	for _, s := range r.sources {
		if s.name != file {
			continue
		}
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == name {
				first, last := s.fset.Position(f.Body.Lbrace).Line, s.fset.Position(f.Body.Rbrace).Line
				code := strings.Split(string(r.texts[file]), "\n")[first : last-1]
				if i := slices.IndexFunc(code, func(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "// Output:") }); i >= 0 {
					code = code[:i]
				}
				return code
			}
		}
	}
	return nil
}

// dedent removes the tabs that all lines begin with, and empty lines at both
// ends.
func dedent(code []string) string {
	text := strings.Trim(strings.Join(code, "\n"), "\n")
	for strings.HasPrefix(text, "\t") && !regexp.MustCompile(`(?m)^[^\t\n]`).MatchString(text) {
		text = regexp.MustCompile(`(?m)^\t`).ReplaceAllString(text, "")
	}
	return text + "\n"
}

// rewritten returns a page with the code of its markers.
func rewritten(r *repo, p *page) string {
	lines := strings.Split(p.text, "\n")
	for _, b := range slices.Backward(p.blocks) {
		if m := markerLine.FindStringSubmatch(b.marker); m != nil {
			if code, err := r.snippet(m[1], m[2]); err == nil {
				lines = slices.Replace(lines, b.line-1, b.ends()-1, strings.Split(strings.TrimSuffix(code, "\n"), "\n")...)
			}
		}
	}
	return strings.Join(lines, "\n")
}

// rewriteSnippets writes the pages whose code has changed. It fails the test
// then, so that stale pages are not committed by accident.
func rewriteSnippets(t *testing.T) {
	r, err := load(os.DirFS("../.."))
	require.NoError(t, err)
	for _, p := range pages(r) {
		if text := rewritten(r, p); text != p.text {
			require.NoError(t, os.WriteFile("../../"+p.name, []byte(text), 0o644))
			t.Errorf("%s: rewritten: commit it and run the test again", p.name)
		}
	}
}

func TestSnippetsAreRewritten(t *testing.T) {
	const marker = "<!-- code: dpop/a_test.go "
	text := "# A\n\n" + marker + "ExampleF -->\n```go\nold\n```\n\n" + marker + "part -->\n```go\n```\n\n" + marker + "gone -->\n```go\nstays\n```\n"
	source := goFile("dpop_test", "func ExampleF() {\n\tf()\n\n\tif true {\n\t\tf()\n\t}\n\t// Output: 1\n}\n\nfunc f() {\n\t//docs:begin part\n\tf()\n\t//docs:end\n}\n")
	r := &repo{texts: map[string][]byte{"dpop/a_test.go": []byte(source)}}
	require.NoError(t, r.parse("dpop/a_test.go", []byte(source)))
	require.Equal(t, strings.NewReplacer("old\n", "f()\n\nif true {\n\tf()\n}\n", "part -->\n```go\n", "part -->\n```go\nf()\n").Replace(text),
		rewritten(r, readPage("a.md", text)))
}

// dictionary knows the exported names of the tree.
type dictionary struct {
	packages map[string]bool              // names of packages
	top      map[string]bool              // package.Name
	members  map[string]map[string]string // type, or package.Type, to member to the name of the member's type
	tests    map[string]bool
}

func newDictionary(r *repo) *dictionary {
	d := &dictionary{make(map[string]bool), make(map[string]bool), make(map[string]map[string]string), make(map[string]bool)}
	for _, s := range r.sources {
		if s.test {
			for _, decl := range s.file.Decls {
				if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
					d.tests[f.Name.Name] = true
				}
			}
			continue
		}
		pkg := s.file.Name.Name
		if pkg == "main" || slices.Contains(strings.Split(s.dir, "/"), "internal") {
			continue
		}
		d.packages[pkg] = true
		for _, e := range exports(s) {
			if e.topLevel {
				d.top[pkg+"."+e.name] = true
			}
			if on, member, ok := strings.Cut(e.name, "."); ok {
				d.member(pkg, on, member, "")
			}
		}
		d.fieldTypes(s)
	}
	return d
}

func (d *dictionary) member(pkg, on, member, of string) {
	for _, key := range []string{on, pkg + "." + on} {
		if d.members[key] == nil {
			d.members[key] = make(map[string]string)
		}
		if d.members[key][member] == "" {
			d.members[key][member] = of
		}
	}
}

// fieldTypes adds the types of fields, and embedded types.
func (d *dictionary) fieldTypes(s *source) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		t, ok := spec.Type.(*ast.StructType)
		if !ok {
			return true
		}
		for _, f := range t.Fields.List {
			for _, id := range f.Names {
				d.member(s.file.Name.Name, spec.Name.Name, id.Name, embeddedName(f.Type))
			}
			if len(f.Names) == 0 {
				d.member(s.file.Name.Name, spec.Name.Name, embeddedName(f.Type), embeddedName(f.Type))
			}
		}
		return true
	})
}

// has reports whether the type, or package.Type, has the members one after the
// other. It accepts members of types that it does not know.
func (d *dictionary) has(on string, members []string) bool {
	for i, member := range members {
		of, ok := d.members[on][member]
		if !ok {
			return false
		}
		if i == len(members)-1 || of == "" || d.members[of] == nil {
			return true
		}
		on = of
	}
	return true
}

var (
	spanForm      = regexp.MustCompile("`([^`]+)`")
	qualifiedForm = regexp.MustCompile(`(^|[^\w./"-])([a-z][a-z0-9]*)\.([A-Z]\w*)((?:\.[A-Z]\w*)*)`)
	memberForm    = regexp.MustCompile(`^([A-Z]\w*)((?:\.[A-Z]\w*)+)(?:\(.*\))?$`)
	testForm      = regexp.MustCompile(`^(Test|Example|Fuzz|Benchmark)([A-Z_]\w*)?$`)
)

// nameRule finds names in code spans that no package exports, such as
// `dpop.Nothing` or `Verifier.Nothing`. It knows the packages of this tree only.
func nameRule(r *repo) (findings []string) {
	d := newDictionary(r)
	for _, p := range pages(r) {
		for i, line := range strings.Split(p.prose, "\n") {
			for _, span := range spanForm.FindAllStringSubmatch(line, -1) {
				for _, name := range d.missing(span[1]) {
					findings = append(findings, fmt.Sprintf("%s: `%s` does not exist", p.at(i+1), name))
				}
			}
		}
	}
	return findings
}

// missing returns the names in a code span that do not exist.
func (d *dictionary) missing(span string) (names []string) {
	for _, m := range qualifiedForm.FindAllStringSubmatch(span, -1) {
		pkg, name, rest := m[2], m[3], m[4]
		if !d.packages[pkg] {
			continue
		}
		if !d.top[pkg+"."+name] || rest != "" && !d.has(pkg+"."+name, strings.Split(rest[1:], ".")) {
			names = append(names, pkg+"."+name+rest)
		}
	}
	names = append(names, d.missingKeys(span)...)
	if m := memberForm.FindStringSubmatch(span); m != nil && !d.has(m[1], strings.Split(m[2][1:], ".")) {
		names = append(names, span)
	}
	if testForm.MatchString(span) && !d.tests[span] {
		names = append(names, span)
	}
	return names
}

// missingKeys returns the fields that a composite literal in a code span sets
// and its type does not have.
func (d *dictionary) missingKeys(span string) (names []string) {
	file, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc _() {\n"+span+"\n}", parser.SkipObjectResolution)
	if err != nil {
		return nil // not a statement
	}
	ast.Inspect(file, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		of, ok := lit.Type.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := of.X.(*ast.Ident)
		if !ok || !d.top[pkg.Name+"."+of.Sel.Name] {
			return true
		}
		for _, element := range lit.Elts {
			pair, ok := element.(*ast.KeyValueExpr)
			if !ok {
				continue
			}
			on := pkg.Name + "." + of.Sel.Name
			if key, ok := pair.Key.(*ast.Ident); ok && !d.has(on, []string{key.Name}) {
				names = append(names, on+"."+key.Name)
			}
		}
		return true
	})
	return names
}

var (
	commandForm = regexp.MustCompile(`^(?:\$ )?(?:[A-Z_]+=\S+ )*((?:go (?:run|test|get|install|vet|doc)|cd|\.ci/\w+)(?: .*)?)$`)
	flagForm    = `\b(?:String|Bool|Int|Int64|Uint|Duration|Float64|Func|BoolFunc|Text)(?:Var)?\((?:&?[\w.]+, )?"%s"`
	ownFlags    = strings.Fields("v run race count shuffle fuzz fuzztime fuzzminimizetime bench benchmem benchtime cpu timeout short json tags list parallel failfast cover")
)

// commandRule finds commands that name directories, tests, flags or scripts
// that do not exist. Commands of a page run in the root of the repository, or
// in the directory of a cd above them in the same block.
func commandRule(r *repo) (findings []string) {
	for _, p := range pages(r) {
		check := func(line int, dir, text string) string {
			text, _, _ = strings.Cut(text, " #")
			m := commandForm.FindStringSubmatch(strings.TrimSpace(text))
			if m == nil {
				return dir
			}
			fields := strings.Fields(m[1])
			if fields[0] == "cd" {
				if len(fields) == 2 && r.hasDir(path.Join(dir, fields[1])) {
					return path.Join(dir, fields[1])
				}
				return dir
			}
			if why := r.rejectCommand(dir, fields); why != "" {
				findings = append(findings, fmt.Sprintf("%s: %s: %s", p.at(line), strings.TrimSpace(text), why))
			}
			return dir
		}
		for _, b := range p.blocks {
			if b.language == "" || slices.Contains([]string{"sh", "bash", "console"}, b.language) {
				dir := "."
				for i, line := range strings.Split(b.code, "\n") {
					dir = check(b.line+i, dir, line)
				}
			}
		}
		for i, line := range strings.Split(p.prose, "\n") {
			for _, span := range spanForm.FindAllStringSubmatch(line, -1) {
				check(i+1, ".", span[1])
			}
		}
	}
	return findings
}

func (r *repo) hasDir(dir string) bool {
	return slices.ContainsFunc(r.sources, func(s *source) bool { return dir == "." || s.dir == dir || strings.HasPrefix(s.dir, dir+"/") })
}

// rejectCommand returns the reason against a command, or an empty string.
func (r *repo) rejectCommand(dir string, fields []string) string {
	if fields[0] != "go" {
		if r.texts[fields[0]] == nil {
			return "no such script"
		}
		return ""
	}
	verb, test := fields[1], ""
	var flags []string
	var where []string
	for i := 2; i < len(fields); i++ {
		field := strings.Trim(fields[i], `'"`)
		switch name, value, joined := strings.Cut(strings.TrimLeft(field, "-"), "="); {
		case field[0] != '-':
			if verb == "run" && len(where) == 1 || verb == "doc" && len(where) == 1 {
				continue // an argument of the program
			}
			where = append(where, field)
		case verb == "run" && len(where) == 0:
			// a flag of the go command
		case verb == "test" && slices.Contains(ownFlags, name):
			if takesValue := !slices.Contains([]string{"v", "race", "benchmem", "short", "json", "failfast", "cover"}, name); takesValue && !joined {
				i++
				value = strings.Trim(fields[min(i, len(fields)-1)], `'"`)
			}
			if name == "run" || name == "fuzz" || name == "bench" {
				test = value
			}
		default:
			flags = append(flags, name)
			if verb == "test" {
				i = len(fields) // the rest are arguments of the test
			}
		}
	}
	if len(where) == 0 {
		return "" // the name of a command, or the package of the directory
	}
	for _, target := range where {
		if why := r.rejectTarget(dir, verb, target, flags); why != "" {
			return why
		}
	}
	if test != "" && test != "^$" {
		return r.rejectPattern(dir, where, test)
	}
	return ""
}

// rejectTarget judges a package that a command names.
func (r *repo) rejectTarget(dir, verb, target string, flags []string) string {
	target, _, versioned := strings.Cut(target, "@")
	own, inside := r.inside(target)
	switch {
	case inside:
		target = own
	case target == "work" || versioned || verb == "get" || verb == "doc" && !strings.HasPrefix(target, "."):
		return ""
	case !strings.HasPrefix(target, "."):
		return "write ./" + target
	default:
		target = path.Join(dir, target)
	}
	parent, all := strings.CutSuffix(target, "/...")
	if all || target == "..." {
		if target == "..." {
			parent = "."
		}
		if !r.hasDir(parent) {
			return "no such directory"
		}
		return ""
	}
	if target == "." && verb == "get" {
		return ""
	}
	program := false
	texts := ""
	for _, s := range r.sources {
		if s.dir == target {
			program = program || !s.test && s.file.Name.Name == "main"
			texts += string(r.texts[s.name])
		}
	}
	if texts == "" && verb != "get" || !r.hasDir(target) {
		return "no such package"
	}
	if (verb == "run" || verb == "install") && !program {
		return "not a program"
	}
	for _, name := range flags {
		if !regexp.MustCompile(fmt.Sprintf(flagForm, regexp.QuoteMeta(name))).MatchString(texts) {
			return "no flag -" + name
		}
	}
	return ""
}

// rejectPattern judges the pattern of -run.
func (r *repo) rejectPattern(dir string, where []string, pattern string) string {
	top, _, _ := strings.Cut(pattern, "/")
	form, err := regexp.Compile(top)
	if err != nil {
		return err.Error()
	}
	for _, s := range r.sources {
		if !s.test || !slices.ContainsFunc(where, func(target string) bool {
			parent, all := strings.CutSuffix(path.Join(dir, target), "/...")
			return target == "work" || target == "./..." || s.dir == parent || all && strings.HasPrefix(s.dir, parent+"/")
		}) {
			continue
		}
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && testForm.MatchString(f.Name.Name) && form.MatchString(f.Name.Name) {
				return ""
			}
		}
	}
	return "no test matches " + pattern
}
