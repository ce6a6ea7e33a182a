package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/strictjson"
)

// maxDocument is the greatest length of a document.
const maxDocument = 1 << 20

// Parse reads a document of at most 1 MiB. It rejects duplicate members,
// unknown members and members in another letter case, a member without a
// source, and what [Set.Validate] rejects. The error matches [ErrRules].
func Parse(document []byte) (*Set, error) {
	set, err := decode(document)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRules, err)
	}
	if err := errors.Join(set.checkSources(), set.Validate()); err != nil {
		return nil, err
	}
	return set, nil
}

func decode(document []byte) (*Set, error) {
	if len(document) > maxDocument {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(document), maxDocument)
	}
	if err := strictjson.Valid(document); err != nil {
		return nil, err
	}
	exact, known := new(Set), new(Set)
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(known); err != nil {
		return nil, err
	}
	if err := strictjson.Decode(document, exact); err != nil {
		return nil, err
	}
	// encoding/json ignores the case of a name, and strictjson then ignores the
	// member.
	if !reflect.DeepEqual(exact, known) {
		return nil, errors.New("a member differs from a known one only by letter case")
	}
	return exact, nil
}

// notRules are members that describe the document itself.
var notRules = []string{"name", "title", "version", "sources", "host", "open"}

// checkSources checks that each rule has a source, and each source a rule.
func (s *Set) checkSources() error {
	var found problems
	unused := maps.Clone(s.Sources)
	for _, path := range s.members() {
		sourced := false
		for source := range s.Sources {
			if path == source || strings.HasPrefix(path, source+".") {
				sourced = true
				delete(unused, source)
			}
		}
		if !sourced {
			found.add(path, "no source")
		}
	}
	for _, source := range slices.Sorted(maps.Keys(unused)) {
		found.add("sources", "%.128q is the path of no member", source)
	}
	for _, source := range slices.Sorted(maps.Keys(s.Sources)) {
		if strings.TrimSpace(s.Sources[source]) == "" {
			found.add("sources", "%.128q is empty", source)
		}
	}
	return errors.Join(found...)
}

// members returns the paths of the rules. A list is one member, and so is a
// value of Metadata.
func (s *Set) members() []string {
	document, err := json.Marshal(s)
	if err != nil {
		return nil // Validate reports the value
	}
	var root map[string]any
	if err := json.Unmarshal(document, &root); err != nil {
		return nil
	}
	for _, name := range notRules {
		delete(root, name)
	}
	var paths []string
	var walk func(path string, value any)
	walk = func(path string, value any) {
		object, ok := value.(map[string]any)
		if !ok || strings.HasPrefix(path, "metadata.") {
			paths = append(paths, path)
			return
		}
		for name, member := range object {
			walk(strings.TrimPrefix(path+"."+name, "."), member)
		}
	}
	walk("", root)
	slices.Sort(paths)
	return paths
}

// UnmarshalJSON reads the longest duration, or an array of the shortest and the
// longest. An empty string in the array is an open end.
func (s *Span) UnmarshalJSON(data []byte) error {
	var longest string
	if json.Unmarshal(data, &longest) == nil {
		limit, err := time.ParseDuration(longest)
		if err != nil {
			return fmt.Errorf("not a duration: %.64q", longest)
		}
		*s = Span{Max: limit}
		return nil
	}
	var ends []string
	if err := json.Unmarshal(data, &ends); err != nil || len(ends) != 2 {
		return errors.New("not a duration, and not an array of two durations")
	}
	var read Span
	for i, end := range []*time.Duration{&read.Min, &read.Max} {
		if ends[i] == "" {
			continue
		}
		var err error
		if *end, err = time.ParseDuration(ends[i]); err != nil {
			return fmt.Errorf("not a duration: %.64q", ends[i])
		}
	}
	*s = read
	return nil
}

// MarshalJSON writes the form that UnmarshalJSON reads.
func (s Span) MarshalJSON() ([]byte, error) {
	if s.Min == 0 {
		return json.Marshal(text(s.Max))
	}
	return json.Marshal([]string{text(s.Min), text(s.Max)})
}

// String returns the span for people, for example "60s to 90s".
func (s Span) String() string {
	switch {
	case s == Span{}:
		return "any"
	case s.Min == 0:
		return "at most " + text(s.Max)
	case s.Max == 0:
		return "at least " + text(s.Min)
	case s.Min == s.Max:
		return text(s.Min)
	}
	return text(s.Min) + " to " + text(s.Max)
}

// text is the shortest spelling of a duration. It is empty for an open end.
func text(d time.Duration) string {
	if d == 0 {
		return ""
	}
	spelled := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(spelled, zero) {
			spelled = spelled[:len(spelled)-2]
		}
	}
	return spelled
}

// Contains reports whether the span includes d.
func (s Span) Contains(d time.Duration) bool { return s.Nearest(d) == d }

// Nearest returns the duration in the span that is nearest to d.
func (s Span) Nearest(d time.Duration) time.Duration {
	if s.Max != 0 {
		d = min(d, s.Max)
	}
	return max(d, s.Min)
}
