package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// A result is the result of a step or an attack. Kind is "step" or "attack". OK
// is true if a step has succeeded, or if an attack was rejected with the
// expected status and error code.
type result struct {
	Profile     string `json:"profile"`     // baseline or advanced
	Combination string `json:"combination"` // as private_key_jwt+dpop
	Kind        string `json:"kind"`
	Name        string `json:"name"`
	OK          bool   `json:"ok"`
	Code        string `json:"code"`
	Status      int    `json:"status"`
	Clause      string `json:"clause"`
	Reason      string `json:"reason,omitempty"` // why it is not OK

	exchanges []exchange
	notes     []string // further lines to print
}

// A printer shows results.
type printer interface {
	header(combinations int)
	servers(w *world)
	section(title string)
	result(r result)
	footer(all []outcome)
}

// jsonLines prints an object for each result and nothing else.
type jsonLines struct{ out io.Writer }

func (p *jsonLines) header(int)       {}
func (p *jsonLines) servers(*world)   {}
func (p *jsonLines) section(string)   {}
func (p *jsonLines) footer([]outcome) {}
func (p *jsonLines) result(r result) {
	json.NewEncoder(p.out).Encode(r) //nolint:errcheck // the output is the only place for errors
}

// width is how many columns the dialogue takes.
const width = 100

// A dialogue prints text for people. It prints the first combination in full,
// and only the differences of the others.
type dialogue struct {
	out  io.Writer
	n    int             // steps of this combination
	seen map[string]bool // results that have been printed
	same int             // results of this section that have been printed before
}

func (p *dialogue) line(format string, args ...any) {
	fmt.Fprintln(p.out, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

func (p *dialogue) header(combinations int) {
	p.line("FAPI 2.0 Security Profile: TLS servers on loopback, a user, and attackers.")
	if combinations > 1 {
		p.line("There are %d combinations, each with its own servers: one in full, the others without repetition.",
			combinations)
	}
	p.line("At the right: the clause that is answered, as in spec/requirements.tsv.")
}

// headings contains the names of the profiles for people, and meanings
// describes the profiles.
var (
	headings = map[string]string{"baseline": "Baseline", "advanced": "Advanced"}
	meanings = map[string]string{
		"baseline": "the Security Profile alone",
		"advanced": "requests, authorization responses and introspection responses are signed",
	}
)

// labels are the names of bindings for people.
var labels = map[string]string{"dpop": "DPoP", "mtls": "mutual TLS"}

func (p *dialogue) servers(w *world) {
	p.flush()
	p.n = 0
	p.line("")
	p.line("%s", strings.Repeat("═", width))
	p.line("%s: %s.", headings[w.profile], meanings[w.profile])
	p.line("The client authenticates by %s, and its access tokens are bound by %s.", w.auth, labels[w.binding])
	p.line("")
	p.line("  AS      %s, and for certificates  %s", w.asURL, w.asMTLSURL)
	p.line("  API     %s, and for certificates  %s", w.apiURL, w.apiMTLSURL)
	p.line("  client  %s", w.appURL)
}

func (p *dialogue) section(title string) {
	p.flush()
	p.line("")
	p.line("%s %s", title, strings.Repeat("─", width-1-utf8.RuneCountInString(title)))
}

// flush prints the number of results that a section has omitted.
func (p *dialogue) flush() {
	if p.same > 0 {
		p.line("  ✓ %d as before", p.same)
	}
	p.same = 0
}

// repeats reports whether an equal result has been printed before.
func (p *dialogue) repeats(r result) bool {
	r.Profile, r.Combination = "", ""
	key := fmt.Sprintf("%+v", r)
	if p.seen[key] && r.OK {
		return true
	}
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	p.seen[key] = true
	return false
}

func (p *dialogue) result(r result) {
	if r.Kind == "step" {
		p.n++
	}
	switch {
	case p.repeats(r):
		p.same++
	case r.Kind == "step":
		p.step(r)
	default:
		p.columns(fmt.Sprintf("%s %s", either(r.OK, "✓", "✗"), r.Name), fmt.Sprintf("%d %s", r.Status, r.Code),
			r.Clause)
		p.reason(r)
	}
}

func (p *dialogue) step(r result) {
	p.line("%2d %s %s", p.n, pad(r.Name, width-4-len(r.Clause)), r.Clause)
	for _, e := range r.exchanges {
		p.exchange(e)
	}
	for _, note := range r.notes {
		p.line("     %s", note)
	}
	p.reason(r)
}

// exchange prints a request and its response.
func (p *dialogue) exchange(e exchange) {
	const column = 40
	head := fmt.Sprintf("     %-7s → %-8s %-4s %s", e.from, e.to, e.method, e.path)
	for _, text := range wrap(strings.Join(e.with, ", "), width-column-3) {
		p.line("%s   %s", pad(head, column), text)
		head = ""
	}
	gives := append(wrap(e.gives, width-column-7), "")
	p.line("%s ← %d %s", pad(head, column), e.status, gives[0])
	for _, text := range gives[1:max(1, len(gives)-1)] {
		p.line("%s       %s", pad("", column), text)
	}
}

func (p *dialogue) reason(r result) {
	if r.OK {
		return
	}
	for _, text := range wrap("FAILED: "+r.Reason, width-5) {
		p.line("     %s", text)
	}
}

// columns prints an attack, its outcome and its clause.
func (p *dialogue) columns(name, outcome, clause string) {
	p.line("%s %s", pad("  "+pad(name, 54)+" "+outcome, width-1-len(clause)), clause)
}

func (p *dialogue) footer(all []outcome) {
	p.flush()
	p.failures(all)
	p.line("")
	const row = "%-9s %-24s %-18s %18s %18s"
	p.line(row, "profile", "client authentication", "tokens bound by", "steps succeeded", "attacks refused")
	for _, a := range all {
		of := func(kind string, planned int) string {
			n := a.count(kind)
			return fmt.Sprintf("%d of %d%s", n, planned, either(n == planned, " ✓", " ✗"))
		}
		p.line(row, headings[a.profile], a.auth, labels[a.binding], of("step", a.steps), of("attack", a.attacks))
	}
}

// failures repeats the results that are not as expected.
func (p *dialogue) failures(all []outcome) {
	for _, a := range all {
		if a.ok() {
			continue
		}
		p.line("")
		p.line("FAILED under %s with %s and %s:", headings[a.profile], a.auth, labels[a.binding])
		for _, r := range a.results {
			if !r.OK {
				p.line("  %s %q (%s)", either(r.Kind == "step", "the step", "NOT REFUSED AS EXPECTED:"), r.Name,
					r.Clause)
			}
		}
		if missing := a.steps + a.attacks - len(a.results); missing > 0 {
			p.line("  and %d steps and attacks that were not run after that", missing)
		}
	}
}

// pad counts characters, not bytes.
func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-utf8.RuneCountInString(text)))
}

// wrap breaks a text at spaces.
func wrap(text string, columns int) (lines []string) {
	var line string
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > columns {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	if line == "" {
		return lines
	}
	return append(lines, line)
}
