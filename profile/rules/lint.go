package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/profile"
)

// A rule is a row of a lint table: a member of the Set that a document does not
// follow.
type rule struct {
	path     string // of the member of the Set
	severity string
	member   string // of the document
	problem  error  // nil if the document follows the rule
	remedy   string
}

const (
	failure = "error"
	warning = "warning"
	advice  = "advice"
)

// when returns a problem if the condition is true, and nil otherwise.
func when(condition bool, format string, args ...any) error {
	if !condition {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// findings adds the problems of a table to the findings of package profile,
// errors first.
func (s *Set) findings(general []profile.Finding, table []rule) (out []profile.Finding) {
	for _, r := range table {
		if r.problem != nil {
			general = append(general, profile.Finding{
				Clause: s.source(r.path), Severity: r.severity,
				Member: r.member, Problem: r.problem.Error(), Remedy: r.remedy,
			})
		}
	}
	for _, severity := range []string{failure, warning, advice} {
		for _, f := range general {
			if f.Severity == severity {
				out = append(out, f)
			}
		}
	}
	return out
}

// source returns the source of a member. A Set without sources is its own
// source.
func (s *Set) source(path string) string {
	for at := path; at != ""; {
		if source := s.Sources[at]; source != "" {
			return source
		}
		at = at[:max(strings.LastIndexByte(at, '.'), 0)]
	}
	return strings.TrimSpace(s.Name + " " + path)
}

// excess returns the first value that a list of the Set does not include.
func excess(list, values []string) (value string, found bool) {
	for _, value := range values {
		if !Permits(list, value) {
			return value, true
		}
	}
	return "", false
}

// lacks returns the first of some required values that is not among values.
func lacks(values, required []string) (value string, found bool) {
	for _, value := range required {
		if !slices.Contains(values, value) {
			return value, true
		}
	}
	return "", false
}

// An algorithmUse is a member of a document with signature algorithms.
type algorithmUse struct {
	member string
	values []string
	use    []string // the list of the Set for this use
	path   string
}

func (s *Set) algorithmRules(uses []algorithmUse) (table []rule) {
	for _, u := range uses {
		permitted, path := s.Algorithms.of(u.use, u.path)
		value, found := excess(permitted, u.values)
		table = append(table, rule{path, failure, u.member, when(found, "%s has %.64q", u.member, value),
			"Use " + strings.Join(permitted, " or ") + "."})
	}
	return table
}

// usesClaims reports whether requests need the parameter claims.
func (s *Set) usesClaims() (path string, uses bool) {
	switch {
	case len(s.Claims.Essential) > 0:
		return "claims.essential", true
	case len(s.Claims.Top) > 0:
		return "claims.top", true
	case s.Intent != nil && s.Intent.Claim != "":
		return "intent.claim", true
	case strings.HasPrefix(s.ACR.Request, "essential"):
		return "acr.request", true
	}
	return "claims.supported", len(s.Claims.Supported) > 0
}

// sameJSON reports whether two JSON values are equal.
func sameJSON(a, b []byte) bool {
	x, _, errX := strictjson.Parse(string(a), maxDocument)
	y, _, errY := strictjson.Parse(string(b), maxDocument)
	return errX == nil && errY == nil && x.Equal(&y)
}
