package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// A result is how a step or an attack went. Kind is "step" or "attack". OK says that it went as it should: that an attack
// was refused with the status and the error code that were expected of it.
type result struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Code   string `json:"code"`
	Status int    `json:"status"`
	Clause string `json:"clause"`
	Reason string `json:"reason,omitempty"` // why it is not OK

	exchanges []exchange
}

// A printer shows results.
type printer interface {
	opening(w *world)
	chapter(title string)
	result(r result)
	closing(all []result)
}

// jsonLines prints an object for each result and nothing else.
type jsonLines struct{ out io.Writer }

func (p *jsonLines) opening(*world)   {}
func (p *jsonLines) chapter(string)   {}
func (p *jsonLines) closing([]result) {}
func (p *jsonLines) result(r result) {
	json.NewEncoder(p.out).Encode(r) //nolint:errcheck // nobody to tell
}

// width is how many columns the dialogue takes.
const width = 100

// A dialogue prints for people.
type dialogue struct {
	out io.Writer
	n   int
}

func (p *dialogue) line(format string, args ...any) {
	fmt.Fprintln(p.out, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

func (p *dialogue) opening(w *world) {
	p.line("FAPI 2.0 Security Profile with private_key_jwt and DPoP: three TLS servers, a user, and thieves.")
	p.line("")
	p.line("  AS      %s  authorization server", w.asURL)
	p.line("  API     %s  resource server", w.apiURL)
	p.line("  client  %s  web application", w.appURL)
	p.line("")
	p.line("At the right: the clause that is answered, as in spec/requirements.tsv.")
}

func (p *dialogue) chapter(title string) {
	p.line("")
	p.line("%s %s", title, strings.Repeat("─", width-1-utf8.RuneCountInString(title)))
}

func (p *dialogue) result(r result) {
	if r.Kind == "step" {
		p.step(r)
		return
	}
	outcome := fmt.Sprintf("%d %s", r.Status, r.Code)
	mark := "✓"
	if !r.OK {
		mark = "✗"
	}
	p.columns(fmt.Sprintf("%s %s", mark, r.Name), outcome, r.Clause)
	p.reason(r)
}

func (p *dialogue) step(r result) {
	p.n++
	p.line("%2d %s %s", p.n, pad(r.Name, width-4-len(r.Clause)), r.Clause)
	for _, e := range r.exchanges {
		p.exchange(e)
	}
	p.reason(r)
}

// exchange prints a request, what it has, and what came back.
func (p *dialogue) exchange(e exchange) {
	const column = 38
	head := fmt.Sprintf("     %-7s → %-6s %-4s %s", e.from, e.to, e.method, e.path)
	for _, text := range wrap(strings.Join(e.with, ", "), width-column-3) {
		p.line("%s   %s", pad(head, column), text)
		head = ""
	}
	p.line("%s ← %d %s", pad(head, column), e.status, e.gives)
}

func (p *dialogue) reason(r result) {
	if r.OK {
		return
	}
	for _, text := range wrap("FAILED: "+r.Reason, width-5) {
		p.line("     %s", text)
	}
}

// columns prints what an attack tries, how it is refused and why.
func (p *dialogue) columns(name, outcome, clause string) {
	p.line("  %s %s %17s", pad(name, 50), pad(outcome, 29), clause)
}

func (p *dialogue) closing(all []result) {
	count := func(kind string, ok bool) (n int) {
		for _, r := range all {
			if r.Kind == kind && r.OK == ok {
				n++
			}
		}
		return n
	}
	p.line("")
	p.line("%d steps succeeded, %d attacks refused", count("step", true), count("attack", true))
	if !slices.ContainsFunc(all, func(r result) bool { return !r.OK }) {
		return
	}
	p.line("%d steps FAILED, %d attacks NOT REFUSED AS EXPECTED:", count("step", false), count("attack", false))
	for _, r := range all {
		if !r.OK {
			p.line("  %s (%s)", r.Name, r.Clause)
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
