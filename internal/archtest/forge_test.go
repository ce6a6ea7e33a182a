package archtest_test

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	usesForm   = regexp.MustCompile(`^(?:- )?uses: (.*)$`)
	pinnedForm = regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	stepForm   = regexp.MustCompile(`^(?:- )?run: (.*)$`)
	updateForm = regexp.MustCompile(`(?m)^ +- package-ecosystem: (\S+)\n +directory: (\S+)$`)
)

const (
	dependabot = ".github/dependabot.yml"
	releasing  = "docs/releasing.md"
)

// forgeRule finds actions that are not pinned to a commit, commands of
// workflows that do not exist, and modules whose dependencies or releases are
// forgotten.
func forgeRule(r *repo) (findings []string) {
	for _, name := range slices.Sorted(maps.Keys(r.texts)) {
		if !strings.HasPrefix(name, ".github/workflows/") {
			continue
		}
		for i, line := range strings.Split(string(r.texts[name]), "\n") {
			line = strings.TrimSpace(line)
			if m := usesForm.FindStringSubmatch(line); m != nil && !pinnedForm.MatchString(m[1]) {
				findings = append(findings, fmt.Sprintf("%s:%d: %s: want a commit of 40 digits and # vX.Y.Z", name, i+1, m[1]))
			}
			step := stepForm.FindStringSubmatch(line)
			if step == nil {
				continue
			}
			for command := range strings.FieldsFuncSeq(step[1], func(c rune) bool { return c == ';' || c == '|' || c == '&' }) {
				m := commandForm.FindStringSubmatch(strings.TrimSpace(command))
				if m == nil {
					continue
				}
				if why := r.rejectCommand(".", strings.Fields(m[1])); why != "" {
					findings = append(findings, fmt.Sprintf("%s:%d: %s: %s", name, i+1, m[1], why))
				}
			}
		}
	}
	return slices.Concat(findings, r.updates(), r.releases())
}

// releases finds modules that the page about releases does not mention.
func (r *repo) releases() (findings []string) {
	page, ok := r.texts[releasing]
	for _, dir := range r.nested {
		if ok && !strings.Contains(string(page), "`"+dir+"`") && !strings.Contains(string(page), "`"+r.module+"/"+dir+"`") {
			findings = append(findings, fmt.Sprintf("%s: does not say whether %s is released", releasing, dir))
		}
	}
	return findings
}

// updates compares the directories that Dependabot reads with the tree.
func (r *repo) updates() (findings []string) {
	found := make(map[string]bool)
	for _, m := range updateForm.FindAllStringSubmatch(string(r.texts[dependabot]), -1) {
		found[m[1]+" "+m[2]] = true
	}
	wanted := make(map[string]bool)
	for name := range r.texts {
		switch dir := path.Join("/", path.Dir(name)); {
		case path.Base(name) == "go.mod":
			wanted["gomod "+dir] = true
		case path.Base(name) == "package.json":
			wanted["npm "+dir] = true
		case strings.HasPrefix(name, ".github/workflows/"):
			wanted["github-actions /"] = true
		}
	}
	if len(wanted) == 1 && len(found) == 0 {
		return nil // a sample with nothing but its root module
	}
	for _, entry := range slices.Sorted(maps.Keys(wanted)) {
		if !found[entry] {
			findings = append(findings, fmt.Sprintf("%s: no entry for %s", dependabot, entry))
		}
	}
	for _, entry := range slices.Sorted(maps.Keys(found)) {
		if !wanted[entry] {
			findings = append(findings, fmt.Sprintf("%s: nothing to update for %s", dependabot, entry))
		}
	}
	return findings
}
