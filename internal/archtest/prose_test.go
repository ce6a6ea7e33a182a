package archtest_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/token"
	"maps"
	"math"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

const (
	maxSentenceWords = 25
	maxCommentWidth  = 80
	maxCodeWidth     = 120
	tabWidth         = 4
)

// oddTurns has a pattern for each kind of phrase that the prose rules in
// CONTRIBUTING.md exclude. A pattern matches one sentence.
var oddTurns = []struct {
	rule string
	form *regexp.Regexp
}{
	{"a relative clause is the subject", regexp.MustCompile(`(^|[.:;!?] |— )(What|Who|Whose|Which|Whatever|Whichever|(One|Those|He|All|Any|Anything|Everything|Nothing) (that|who)|That the|That an?)\b`)},
	{"a relative clause is the subject", regexp.MustCompile(`([:;] |— |\()(what|who|whose|whatever|whichever|(one|those|all) (that|who)|that the)\b`)},
	{"the actor has no name", regexp.MustCompile(`(?i)\b(nobody|somebody|anybody|everybody|no one|someone|whoever|whomever|(those|one|all|him|them) who|who(ever)? (asks?|comes|calls|wants|speaks))\b`)},
	{"the noun is vague", regexp.MustCompile(`(?i)\b(what (it|they|he) (says?|said|is told)|all of it|none of it|the rest of it)\b`)},
	{"is no, is none", regexp.MustCompile(`(?i)\b(is|are|was|were|be|being|been) (no|none)\b`)},
	{"the verb is not the field's", regexp.MustCompile(`(?i)\b(refus(e|es|ed|al|als|ing)|mend(s|ed|ing)?|hand(s|ed|ing)? (out|to|over|in|back|on|it|them|its?|the|an?)|(is|are|was|were|be|been|being) (told|brought|asked after)|tells? (\w+ )?(apart|from|of|whose|which|what|that|whether|it|them)|brings?|brought|spends?|spent|minded|minds)\b`)},
	{"a default is not a sentence", regexp.MustCompile(`(?i)(^|[.;,(] )(nil|empty|zero|0|""|false|true|none|absent|unset|default): `)},
	{"an old-fashioned phrase", regexp.MustCompile(`(?i), say\b|(^|[,;:] )for one[,.;]|\b(as a rule|but for|beside|be it|be they|to be had|lest|whence|thence|thereof|therein|wherein|whereof|(none|nothing|any|nowhere|no other) but|for the asking|of a piece|at all events|by and by|what is more|as it were|so to speak|ever so|in good time|for its part|never mind|let alone|it is for the|(is|are) not for the)\b`)},
}

// fair matches phrases that look like odd turns and are plain English.
var fair = regexp.MustCompile(`(?i)\bthere (is|are|was|were|has been|must be|can be|may be|will be) (no|none)\b|\b(is|are|was|were|be) no (longer|more|less|later|earlier|greater|larger|smaller|other|way|one)\b`)

// prose is the measure of a package or of a Markdown file.
type prose struct {
	words, odd, long       int
	wideComments, wideCode int
	found                  []string // the odd turns and the long sentences, with their places
}

// abbreviation matches the end of a text that goes on after its full stop.
var abbreviation = regexp.MustCompile(`(?i)(^|[ (])(e\.g|i\.e|etc|cf|vs|no|st|al)\.$`)

var sentenceEnd = regexp.MustCompile(`[.!?]["”')\]]* `)

// sentences splits a paragraph.
func sentences(text string) (list []string) {
	text = strings.Join(strings.Fields(text), " ")
	start := 0
	for _, m := range sentenceEnd.FindAllStringIndex(text, -1) {
		if abbreviation.MatchString(text[start : m[0]+1]) {
			continue
		}
		list = append(list, text[start:m[1]-1])
		start = m[1]
	}
	if start < len(text) {
		list = append(list, text[start:])
	}
	return list
}

// add measures a paragraph.
func (p *prose) add(at, text string) {
	for _, s := range sentences(text) {
		words := len(strings.Fields(s))
		p.words += words
		if words > maxSentenceWords {
			p.long++
			p.found = append(p.found, at+": a sentence of "+strconv.Itoa(words)+" words: "+s)
		}
		plain := fair.ReplaceAllString(s, "…")
		for _, o := range oddTurns {
			for _, m := range o.form.FindAllString(plain, -1) {
				p.odd++
				p.found = append(p.found, at+": "+o.rule+": "+strconv.Quote(strings.TrimSpace(m))+" in: "+s)
			}
		}
	}
}

// measureGo adds the comments, the texts of errors and the widths of a file.
func (p *prose) measureGo(s *source, text string) {
	own := make(map[int]bool) // lines that are comments alone
	for _, g := range s.file.Comments {
		p.addComment(s, g)
		for line := s.fset.Position(g.Pos()).Line; line <= s.fset.Position(g.End()).Line; line++ {
			own[line] = true
		}
	}
	for _, call := range errorCalls(s.file) {
		for _, arg := range call.Args {
			p.add(s.at(arg.Pos()), literal(arg))
		}
	}
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimLeft(line, "\t")
		width := utf8.RuneCountInString(trimmed) + tabWidth*(len(line)-len(trimmed))
		switch comment, ok := strings.CutPrefix(trimmed, "//"); {
		case ok && own[i+1]:
			text, ok := strings.CutPrefix(comment, " ") // else it is an example
			if ok && width > maxCommentWidth && strings.Contains(text, " ") {
				p.wideComments++
			}
		case width > maxCodeWidth:
			p.wideCode++
		}
	}
}

func (p *prose) addComment(s *source, g *ast.CommentGroup) {
	var blocks func([]comment.Block)
	blocks = func(list []comment.Block) {
		for _, b := range list {
			switch b := b.(type) {
			case *comment.Paragraph:
				p.add(s.at(g.Pos()), flat(b.Text))
			case *comment.List:
				for _, item := range b.Items {
					blocks(item.Content)
				}
			}
		}
	}
	var parser comment.Parser
	blocks(parser.Parse(g.Text()).Content)
}

// flat returns the words of a paragraph without its markup.
func flat(list []comment.Text) string {
	var b strings.Builder
	for _, t := range list {
		switch t := t.(type) {
		case comment.Plain:
			b.WriteString(string(t))
		case comment.Italic:
			b.WriteString(string(t))
		case *comment.Link:
			b.WriteString(flat(t.Text))
		case *comment.DocLink:
			b.WriteString(flat(t.Text))
		}
	}
	return b.String()
}

// errorCalls returns the calls of errors.New, fmt.Errorf and oautherr.New.
func errorCalls(f *ast.File) (calls []*ast.CallExpr) {
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
			if pkg, ok := sel.X.(*ast.Ident); ok {
				switch pkg.Name + "." + sel.Sel.Name {
				case "errors.New", "fmt.Errorf", "oautherr.New":
					calls = append(calls, call)
				}
			}
		}
		return true
	})
	return calls
}

// literal returns the text of a string literal or of a sum of them, and an
// empty string for every other expression.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, _ := strconv.Unquote(e.Value) // the parser has checked it
			return text
		}
	case *ast.BinaryExpr:
		return literal(e.X) + literal(e.Y)
	}
	return ""
}

var (
	mdFence = regexp.MustCompile("(?ms)^ *(```|~~~).*?^ *(```|~~~) *$")
	mdSpan  = regexp.MustCompile("`[^`]*`")
	mdLink  = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	mdTag   = regexp.MustCompile(`<[^>]*>`)
	mdBreak = regexp.MustCompile(`^ *([-*+]|[0-9]+\.|#+|>) +`)
)

// measureMarkdown adds a Markdown file without its code blocks. A list item, a
// heading and a table cell are paragraphs of their own.
func (p *prose) measureMarkdown(name, text string) {
	text = mdFence.ReplaceAllStringFunc(text, func(block string) string { return strings.Repeat("\n", strings.Count(block, "\n")) })
	start, paragraph := 1, ""
	flush := func(next int) {
		p.add(fmt.Sprintf("%s:%d", name, start), paragraph)
		start, paragraph = next, ""
	}
	for i, line := range strings.Split(text, "\n") {
		code := strings.HasPrefix(line, "    ") && paragraph == ""
		line = mdLink.ReplaceAllString(mdSpan.ReplaceAllString(line, "code"), "$1")
		line = strings.ReplaceAll(mdTag.ReplaceAllString(line, ""), "*", "")
		switch {
		case code:
		case strings.TrimSpace(line) == "":
			flush(i + 2)
		case strings.HasPrefix(line, "|"):
			flush(i + 1)
			for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
				paragraph = strings.Trim(cell, " -:")
				flush(i + 1)
			}
		default:
			if mark := mdBreak.FindString(line); mark != "" {
				flush(i + 1)
				line = line[len(mark):]
			}
			paragraph += line + "\n"
		}
	}
	flush(0)
}

// generated are Markdown files that a test writes from other files.
func generated(name string) bool { return strings.HasPrefix(name, "spec/coverage") }

// measures returns the measure of each package and of each Markdown file.
func measures(r *repo) map[string]*prose {
	m := make(map[string]*prose)
	of := func(name string) *prose {
		if m[name] == nil {
			m[name] = new(prose)
		}
		return m[name]
	}
	for _, s := range r.code() {
		of(s.dir).measureGo(s, string(r.texts[s.name]))
	}
	for name, text := range r.texts {
		if path.Ext(name) == ".md" && !generated(name) {
			of(name).measureMarkdown(name, string(text))
		}
	}
	return m
}

// figures are measures or their limits: odd turns and sentences of more than 25
// words per 1,000 words, comment lines over 80 columns, code lines over 120.
type figures [4]float64

const proseTable = "internal/archtest/prose.tsv"

var (
	figureNames = [...]string{"odd turns per 1,000 words", "long sentences per 1,000 words", "comment lines over 80 columns", "code lines over 120 columns"}
	// newLimits apply to what the table does not list.
	newLimits = figures{3, 3, 0, 0}
	// slack is how far a figure may fall before its limit has to follow, so
	// that changes made at the same time do not all edit the table.
	slack = figures{2, 2, 10, 10}
)

// figures returns the measure, with rates rounded up to a tenth.
func (p *prose) figures() figures {
	rate := func(n int) float64 { return math.Ceil(float64(n)*10000/float64(max(p.words, 1))) / 10 }
	if p.words < 300 { // one phrase would exceed any limit
		rate = func(n int) float64 { return float64(n) }
	}
	return figures{rate(p.odd), rate(p.long), float64(p.wideComments), float64(p.wideCode)}
}

// parseLimits reads the table: a name and four figures, separated by tabs. The
// lower of two limits for one name counts, so that lines may be merged blindly.
func parseLimits(text string) (map[string]figures, error) {
	limits := make(map[string]figures)
	for i, line := range strings.Split(text, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Split(line, "\t")
		if len(fields) != 1+len(figures{}) {
			return nil, fmt.Errorf("%s:%d: %d fields, want 5", proseTable, i+1, len(fields))
		}
		var f figures
		for k, field := range fields[1:] {
			n, err := strconv.ParseFloat(field, 64)
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %q is not a number", proseTable, i+1, field)
			}
			f[k] = n
			if old, ok := limits[fields[0]]; ok {
				f[k] = min(n, old[k])
			}
		}
		limits[fields[0]] = f
	}
	return limits, nil
}

// proseRule compares the measures with the limits of the table. A limit may
// only fall: a figure far below its limit is a finding as well.
func proseRule(r *repo) (findings []string) {
	limits, err := parseLimits(string(r.texts[proseTable]))
	if err != nil {
		return []string{err.Error()}
	}
	m := measures(r)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		limit, listed := limits[name]
		if !listed {
			limit = newLimits
		}
		for k, n := range m[name].figures() {
			switch {
			case n > limit[k]:
				findings = append(findings, fmt.Sprintf("%s: %v %s, more than %v (CONTRIBUTING.md, Prose)", name, n, figureNames[k], limit[k]))
			case listed && limit[k] > newLimits[k] && n < limit[k]-slack[k]:
				findings = append(findings, fmt.Sprintf("%s: %v %s, and the limit is still %v: run go test ./internal/archtest -update", name, n, figureNames[k], limit[k]))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		if m[name] == nil {
			findings = append(findings, fmt.Sprintf("%s:%s: no such package or file: move or delete the line", proseTable, name))
		}
	}
	return findings
}

// measured returns the figures of a package, or zeros if there is no such package.
func measured(m map[string]*prose, name string) figures {
	if p := m[name]; p != nil {
		return p.figures()
	}
	return figures{}
}

// lowered returns the table with each limit that is too high lowered to its
// figure. It drops lines without a package, and the lines of packages that keep
// the limits of a package that is not listed.
func lowered(limits map[string]figures, m map[string]*prose) string {
	var b strings.Builder
	b.WriteString("# Limits of the prose rule: see CONTRIBUTING.md. Written by go test ./internal/archtest -update.\n")
	b.WriteString("# package or file\todd turns\tlong sentences\tcomments over 80\tcode over 120\n")
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		limit := limits[name]
		needed := false
		for k, n := range measured(m, name) {
			needed = needed || n > newLimits[k]
			if n < limit[k]-slack[k] {
				limit[k] = max(math.Ceil(n), newLimits[k])
			}
		}
		if !needed {
			continue
		}
		// The empty line keeps changes of neighbours apart when branches are
		// merged.
		fmt.Fprintf(&b, "\n%s\t%v\t%v\t%v\t%v\n", name, limit[0], limit[1], limit[2], limit[3])
	}
	return b.String()
}

var (
	update = flag.Bool("update", false, "lower the limits of prose.tsv to today's figures")
	show   = flag.String("prose", "", "print each odd turn and each long sentence of the package or Markdown file")
)

// lowerLimits writes the table.
func lowerLimits(t *testing.T) {
	r, err := load(os.DirFS("../.."))
	require.NoError(t, err)
	limits, err := parseLimits(string(r.texts[proseTable]))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile("prose.tsv", []byte(lowered(limits, measures(r))), 0o644))
}

// TestProse prints what the flag -prose asks for.
func TestProse(t *testing.T) {
	r, err := load(os.DirFS("../.."))
	require.NoError(t, err)
	m := measures(r)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if *show == name || *show == "all" {
			t.Logf("%s: %d words, figures %v\n%s", name, m[name].words, m[name].figures(), strings.Join(m[name].found, "\n"))
		}
	}
	require.Positive(t, m["pkce"].words)
}

func TestEachProseRuleCanFail(t *testing.T) {
	for _, tc := range []struct {
		text string
		odd  int
	}{
		{"What the request asks for is checked.", 1},
		{"Request: what is asked for.", 1},
		{"One that comes late is rejected.", 1},
		{"That the user agrees is required.", 1},
		{"What follows is code: whose?", 2},
		{"The issuer returns what the store returns.", 0},
		{"It reaches nobody.", 1},
		{"It is shown to those who can read.", 1},
		{"Users who have an account see it.", 0},
		{"It stores all of it.", 1},
		{"A store is no cache.", 1},
		{"The claims are none.", 1},
		{"There is no default, and the value is no longer used.", 0},
		{"The server refuses it.", 1},
		{"The peer is told the code, the store hands it over.", 2},
		{"The server rejects the request and returns an error.", 0},
		{"nil: none.", 1},
		{"Scopes of the token; empty: all.", 1},
		{"If nil, time.Now is used. The default is 90 seconds.", 0},
		{"The header, say, or as a rule the form, be it long.", 3},
		{"For one, it is beside the point.", 2},
		{"The store is for one process, for example a test.", 0},
	} {
		var p prose
		p.add("", tc.text)
		require.Equal(t, tc.odd, p.odd, "%q: %q", tc.text, p.found)
	}
}

func TestSentences(t *testing.T) {
	require.Equal(t, []string{"One, e.g. a or i.e. b.", "Two (RFC 9126 §2.1).", `"Three."`, "Four"},
		sentences("One, e.g. a or i.e. b. Two\n(RFC 9126 §2.1).\t\"Three.\" Four"))
	require.Empty(t, sentences(" \n"))
	var p prose
	p.add("", strings.Repeat("a ", maxSentenceWords)+". "+strings.Repeat("b ", maxSentenceWords))
	require.Equal(t, 1, p.long, "the full stop is a word here")
}

func TestLimitsOnlyFall(t *testing.T) {
	limits, err := parseLimits("# a comment\n\nb\t9\t9\t50\t0\na\t9\t9\t9\t9\nb\t10\t8\t60\t0\ngone\t4\t3\t0\t0\n")
	require.NoError(t, err)
	require.Equal(t, map[string]figures{"a": {9, 9, 9, 9}, "b": {9, 8, 50, 0}, "gone": {4, 3, 0, 0}}, limits, "the lower one of two lines")
	table := lowered(limits, map[string]*prose{
		"a":   {words: 1000, odd: 2, long: 1},
		"b":   {words: 10000, odd: 41, long: 900, wideComments: 70, wideCode: 5},
		"new": {words: 1000, odd: 9},
	})
	require.Equal(t, []string{"b\t5\t8\t50\t0"}, strings.Split(strings.TrimSpace(strings.ReplaceAll(table, "\n\n", "\n")), "\n")[2:])

	for _, bad := range []string{"a\t1\t2\t3", "a\t1\t2\t3\tx"} {
		_, err := parseLimits(bad)
		require.Error(t, err)
	}
}
