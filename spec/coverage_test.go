package spec_test

import (
	"fmt"
	"slices"
	"strings"
)

// renderCoverage writes coverage.md. It names files and not lines, so that the page changes only when a citation comes
// or goes.
func renderCoverage(rows []row, t *trace) string {
	var b strings.Builder
	b.WriteString(`# Coverage of the specifications

Generated from [requirements.tsv](requirements.tsv) and the citations in the tree by ` + "`go test ./spec -update`" + `; do not edit.

A row is a normative clause in this project's own words. *Code* are the files with a comment that cites the row where a
statement enforces it, *tests* those with a test named after it. A row with level MUST or MUST NOT is **done** only with
both. The other states: **planned**; **info** (background or advice, nothing to enforce); **out** (outside this
library's scope); **host** (a duty of the deploying host or of another party, which the library documents).

## Summary

`)
	summary(&b, "Specification", rows, func(r row) string { return r.spec })
	b.WriteString("\n")
	summary(&b, "Package", rows, func(r row) string { return r.pkg })
	for _, spec := range distinct(rows, func(r row) string { return r.spec }) {
		fmt.Fprintf(&b, "\n## %s\n\n| ID | Level | Role | Status | Requirement | Code | Tests |\n|---|---|---|---|---|---|---|\n", spec)
		for _, r := range rows {
			if r.spec != spec {
				continue
			}
			code := links(t.code[r.id])
			for _, gap := range t.gaps[r.id] {
				code = strings.TrimPrefix(code+", TODO in "+link(gap), ", ")
			}
			cells := []string{r.id, r.level, r.role, r.status, r.requirement, code, links(t.tests[r.id])}
			for _, cell := range cells {
				b.WriteString("| " + strings.ReplaceAll(cell, "|", `\|`) + " ")
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}

// summary writes one line of counts for each value of key, in the order of their first row (the specifications) and a
// line of totals.
func summary(b *strings.Builder, title string, rows []row, key func(row) string) {
	fmt.Fprintf(b, "| %s | Rows | MUST done | MUST open | done | planned | info | out | host |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n", title)
	line := func(name string, of func(row) bool) {
		counts := make(map[string]int)
		for _, r := range rows {
			if !of(r) {
				continue
			}
			counts["rows"]++
			counts[r.status]++
			switch {
			case r.mandatory() && r.status == "done":
				counts["must done"]++
			case r.mandatory() && r.status == "planned":
				counts["must open"]++
			}
		}
		fmt.Fprintf(b, "| %s |", name)
		for _, column := range append([]string{"rows", "must done", "must open"}, statuses...) {
			fmt.Fprintf(b, " %d |", counts[column])
		}
		b.WriteString("\n")
	}
	for _, name := range distinct(rows, key) {
		line(name, func(r row) bool { return key(r) == name })
	}
	line("**all**", func(row) bool { return true })
}

func distinct(rows []row, key func(row) string) []string {
	var values []string
	for _, r := range rows {
		if v := key(r); !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
}

func link(file string) string { return fmt.Sprintf("[%s](../%s)", file, file) }

func links(files []string) string {
	out := make([]string, len(files))
	for i, f := range files {
		out[i] = link(f)
	}
	return strings.Join(out, ", ")
}
