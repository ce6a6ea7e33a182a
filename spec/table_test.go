// Package spec_test compares the requirements of the specifications with the
// code and the tests. requirements.tsv has a row for each requirement, comments
// cite the rows that a statement enforces, and names of tests cite the rows that
// they prove. The pages in coverage are generated from the three.
package spec_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// row is one requirement: a line of requirements.tsv.
type row struct {
	id, spec, clause, role, level, pkg, status, requirement string
}

// mandatory reports whether the level is MUST or MUST NOT.
func (r row) mandatory() bool { return r.level == "MUST" || r.level == "MUST NOT" }

const header = "ID\tspec\tclause\trole\tlevel\tpackage\tstatus\trequirement"

var (
	idForm   = regexp.MustCompile(`^[A-Z]+(-[0-9A-Z][0-9A-Za-z.]*)*-[0-9A-Z][0-9A-Za-z.]*$`)
	levels   = []string{"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "INFO"}
	roles    = []string{"AS", "RS", "C", "all", "AS,C", "AS,RS"}
	statuses = []string{
		"done",    // enforced and tested
		"planned", // not yet
		"info",    // nothing to enforce: background, or advice taken up in the documentation
		"out",     // outside this library's scope
		"host",    // a duty of the deploying host or of another party; the library documents it
	}
	packages = []string{
		"-", "accesstoken", "claims", "clientauth", "dpop", "grants", "idtoken", "internal/jose",
		"introspection", "jar", "jarm", "jwks", "par", "pkce",
		"profile", "rar", "rar/openbanking", "rar/rartest", "tokenbinding",
	}
)

// parseTable reads requirements.tsv. It returns the problems, and the rows that
// can be read.
func parseTable(text string) (rows []row, problems []string) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[0] != header {
		problems = append(problems, fmt.Sprintf("line 1: the header is not %q", header))
	}
	seen := make(map[string]int)
	for i, line := range lines[1:] {
		report := func(format string, args ...any) {
			problems = append(problems, fmt.Sprintf("line %d: ", i+2)+fmt.Sprintf(format, args...))
		}
		f := strings.Split(line, "\t")
		if len(f) != 8 {
			report("%d fields instead of 8", len(f))
			continue
		}
		r := row{f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7]}
		if !idForm.MatchString(r.id) {
			report("%q is not an ID", r.id)
			continue
		}
		if first, ok := seen[r.id]; ok {
			report("%s is on line %d already", r.id, first)
			continue
		}
		seen[r.id] = i + 2
		for _, c := range []struct {
			column, value string
			allowed       []string
		}{
			{"role", r.role, roles}, {"level", r.level, levels}, {"package", r.pkg, packages}, {"status", r.status, statuses},
		} {
			if !slices.Contains(c.allowed, c.value) {
				report("%s: the %s %q is none of %s", r.id, c.column, c.value, strings.Join(c.allowed, ", "))
			}
		}
		if r.spec == "" || r.clause == "" || strings.TrimSpace(r.requirement) == "" {
			report("%s: an empty field", r.id)
		}
		rows = append(rows, r)
	}
	return rows, problems
}

// shape recognizes IDs by the rows of the table. Words such as "PS256-1",
// "RFC-7636" or "A-128" are not IDs, a mistyped ID is one.
type shape struct {
	words map[string][]string // prefix to the words and document numbers in its IDs, as OIDC in CA-OIDC-9-1
	short map[string]bool     // prefixes with IDs that have no section, as CS-1
}

var (
	candidate = regexp.MustCompile(`[A-Za-z0-9_.]*[A-Za-z0-9_](?:-[0-9A-Za-z_.]+)+`)
	section   = regexp.MustCompile(`^[0-9]{1,2}(\.[0-9]+)*[a-z]?$`)
	document  = regexp.MustCompile(`^[0-9]{4}$`)
)

func newShape(rows []row) shape {
	s := shape{words: make(map[string][]string), short: make(map[string]bool)}
	for _, r := range rows {
		parts := strings.Split(r.id, "-")
		words := s.words[parts[0]]
		for _, p := range parts[1 : len(parts)-1] {
			if !section.MatchString(p) && !slices.Contains(words, p) {
				words = append(words, p)
			}
		}
		s.words[parts[0]] = words
		if len(parts) == 2 {
			s.short[parts[0]] = true
		}
	}
	return s
}

// citations returns the ID-shaped words of text, in order, known or not.
func (s shape) citations(text string) []string {
	var ids []string
	for _, word := range candidate.FindAllString(text, -1) {
		parts := strings.Split(strings.TrimRight(word, "."), "-")
		for len(parts) > 1 && !startsLikeAnID(parts[len(parts)-1]) {
			parts = parts[:len(parts)-1] // DPOP-4.3-7-like
		}
		words, ok := s.words[parts[0]]
		if !ok || len(parts) < 2 {
			continue
		}
		fits := section.MatchString(parts[1]) || slices.Contains(words, parts[1]) ||
			document.MatchString(parts[1]) && slices.ContainsFunc(words, document.MatchString)
		if fits && (len(parts) > 2 || s.short[parts[0]] || strings.Contains(parts[1], ".")) {
			ids = append(ids, strings.Join(parts, "-"))
		}
	}
	return ids
}

func startsLikeAnID(part string) bool {
	return part != "" && (part[0] >= '0' && part[0] <= '9' || part[0] >= 'A' && part[0] <= 'Z')
}
