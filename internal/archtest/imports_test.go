package archtest_test

import (
	"fmt"
	"slices"
	"strings"
)

// isStandard reports whether a package belongs to the standard library. The
// first element of its path has no dot.
func isStandard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

func isBelow(importPath, parent string) bool {
	return importPath == parent || strings.HasPrefix(importPath, parent+"/")
}

// importRule finds imports across the borders of the rooms. A leaf imports no
// leaf, only profile composes leaves, only internal/jose imports jwx, and
// nested modules import public packages only, and the harness in tests.
func importRule(r *repo) (findings []string) {
	for _, s := range r.sources {
		from := r.room(s.dir)
		for _, spec := range s.file.Imports {
			p := importPath(spec)
			if isStandard(p) {
				continue
			}
			why := r.rejectImport(from, p, s.test)
			if dir, ok := r.inside(p); ok && why == "" {
				why = r.rejectRoom(from, r.room(dir), s.test)
				if why == "" && from == profileRoom && r.room(dir) == profileRoom && !s.test {
					why = rejectRole(s.dir, dir)
				}
			}
			if why != "" {
				findings = append(findings, fmt.Sprintf("%s: imports %s: %s", s.at(spec.Pos()), p, why))
			}
		}
	}
	return findings
}

// rejectImport returns the reason against importing a package of another
// module, or an empty string.
func (r *repo) rejectImport(from, p string, test bool) string {
	if _, ok := r.inside(p); ok {
		return ""
	}
	switch {
	case isBelow(p, testify):
		if !test {
			return "testify is for _test.go files"
		}
		return ""
	case from == nestedRoom:
		return ""
	case strings.HasPrefix(p, jwx):
		if from != joseRoom {
			return "internal/jose is the only importer of jwx"
		}
		return ""
	case isBelow(p, oauth2):
		if !isLeaf(from) && from != profileRoom && from != roleKitRoom {
			return "x/oauth2 is for leaves and profile"
		}
		return ""
	case isBelow(p, jsonschema):
		if from != "rar" {
			return "only rar needs JSON Schema"
		}
		return ""
	}
	return "not a dependency of this module"
}

// rejectRoom returns the reason against importing a package of this repository,
// or an empty string.
func (r *repo) rejectRoom(from, to string, test bool) string {
	switch {
	case from == nestedRoom:
		if to != nestedRoom && !public(to) && !(test && to == kitRoom) {
			return "a nested module sees public packages only: the versions may skew"
		}
		return ""
	case to == nestedRoom:
		return "the root module must not need a nested one"
	case to == kitRoom, to == roleKitRoom && from == profileRoom:
		if !test && from != kitRoom {
			return "the test harness is for _test.go files"
		}
		return ""
	case to == archRoom || to == specRoom || to == rootRoom || to == commandRoom && from != commandRoom:
		return "nothing to import there"
	case strings.HasPrefix(to, internalRoom):
		if from == rootRoom {
			return "the root holds no code"
		}
		return ""
	case from == to || from == profileRoom || from == roleKitRoom || from == commandRoom:
		return ""
	case isLeaf(from):
		return "a leaf imports no other leaf and not profile"
	}
	return "internal packages, spec and the root import no public package"
}

// rejectRole judges packages of the profile. Tests of a role may use the others.
func rejectRole(from, to string) string {
	const (
		authServer     = profileRoom + "/authserver"
		resourceServer = profileRoom + "/resourceserver"
		shared         = profileRoom + "/internal"
		kit            = profileRoom + "/profiletest"
		ruleSets       = profileRoom + "/rules"
	)
	switch {
	case from == to, from == kit:
		return ""
	case from == profileRoom:
		return "profile imports no package below it"
	case to == profileRoom:
		return ""
	case isBelow(from, shared):
		return "what the roles share imports no role"
	case from == ruleSets:
		return "the rules of ecosystems import no role"
	case to == ruleSets, isBelow(to, shared), from == authServer && to == resourceServer, isBelow(from, to):
		return ""
	}
	return "a role imports no other role"
}

// directDependencyRule reports dependencies that are not decided on. Each one is
// a burden for everyone who imports the module.
func directDependencyRule(r *repo) (findings []string) {
	allowed := []string{strings.TrimSuffix(jwx, "/") + "/v2", oauth2, jsonschema, testify}
	block := ""
	for i, line := range strings.Split(r.goMod, "\n") {
		text, comment, _ := strings.Cut(line, "//")
		fields := strings.Fields(text)
		switch {
		case len(fields) == 0:
			continue
		case fields[0] == ")":
			block = ""
			continue
		case len(fields) == 2 && fields[1] == "(":
			block = fields[0]
			continue
		case block != "":
			fields = append([]string{block}, fields...)
		}
		switch fields[0] {
		case "require":
			if strings.TrimSpace(comment) != "indirect" && !slices.Contains(allowed, fields[1]) {
				findings = append(findings, fmt.Sprintf("go.mod:%d: %s is not among the direct dependencies decided on", i+1, fields[1]))
			}
		case "replace", "exclude":
			findings = append(findings, fmt.Sprintf("go.mod:%d: %s has no effect for importers of the module", i+1, fields[0]))
		}
	}
	return findings
}
