// Package rartest tests whether a [rar.Type] compares details consistently. Run
// it in the tests of every type:
//
//	func TestTransfer(t *testing.T) {
//		rartest.TestType(t, transfer, rartest.Samples{
//			Valid:    []string{`{"type":"transfer","amount":"12.34"}`, …},
//			Invalid:  []string{`{"type":"transfer"}`, …},
//			Narrower: [][2]string{{`{"type":"transfer","amount":"12.34"}`, …}},
//		})
//	}
//
// The checks protect users. If Covers is not reflexive, users lose access. If
// it is not transitive, a chain of narrowings can end in a wider permission. If
// two spellings of a detail count as two permissions, the permission can be
// used twice. A merge that narrows removes permissions that the user granted,
// and a merge that widens adds permissions that the user did not grant.
//
// The kit writes each sample in other spellings: members in another order,
// escaped letters, repeated elements of sets. It does not know the meaning of a
// type. The samples define which details are narrower and which are the same.
package rartest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gofapi/fapi2/rar"
)

// Samples are details of a type, as JSON objects.
type Samples struct {
	// Valid are valid details. Required: at least one. Include one with every
	// member, one with as few members as possible, and some that differ in one
	// member.
	Valid []string
	// Invalid are details that the type must reject. Required: at least one.
	Invalid []string
	// Narrower are pairs of details. The first covers the second, and the
	// second does not cover the first.
	Narrower [][2]string
	// Same are pairs of spellings of one permission that only the type can
	// recognise: "12.5" and "12.50", a default and its absence.
	Same [][2]string
	// Generate returns a random valid detail. It should draw from few values in
	// many spellings, so that generated details are often equal and often
	// narrower than another. If nil, only the other samples are tested.
	Generate func(r *rand.Rand) string
	// Apart are pairs of details that do not cover each other, for example for
	// two payees.
	Apart [][2]string
	// Languages are the language tags in which details are described. The kit
	// adds the empty tag and an unknown one.
	Languages []string
}

// TestType runs every check as a subtest.
func TestType(t *testing.T, typ *rar.Type, samples Samples) {
	t.Helper()
	k, err := prepare(typ, samples)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			if err := k.run(c); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A kit has the parsed samples.
type kit struct {
	typ      *rar.Type
	registry *rar.Registry
	samples  Samples
	// all are the valid samples, those in pairs and generated ones. texts and
	// members have the same order.
	all     rar.Details
	texts   []string
	members []map[string]json.RawMessage
	random  *rand.Rand
}

// generated is the number of generated details.
const generated = 40

func prepare(typ *rar.Type, samples Samples) (*kit, error) {
	if len(samples.Valid) == 0 || len(samples.Invalid) == 0 {
		return nil, errors.New("rartest: missing valid or invalid sample")
	}
	registry, err := rar.NewRegistry(rar.RegistryConfig{Types: []*rar.Type{typ}, MaxBytes: 1 << 20, MaxEntries: 10000})
	if err != nil {
		return nil, err
	}
	k := &kit{typ: typ, registry: registry, samples: samples, texts: slices.Clone(samples.Valid)}
	k.random = rand.New(rand.NewPCG(1, 2)) // the same in each run
	for _, pair := range slices.Concat(samples.Narrower, samples.Same, samples.Apart) {
		k.texts = append(k.texts, pair[:]...)
	}
	for range generated {
		if samples.Generate != nil {
			k.texts = append(k.texts, samples.Generate(k.random))
		}
	}
	for _, text := range k.texts {
		d, err := k.parse(text)
		if err != nil {
			return nil, fmt.Errorf("rartest: valid sample rejected: %s: %w", text, err)
		}
		members, err := membersOf(text)
		if err != nil {
			return nil, err
		}
		k.all, k.members = append(k.all, d...), append(k.members, members)
	}
	return k, nil
}

// parse parses one object.
func (k *kit) parse(text string) (rar.Details, error) {
	return k.registry.Parse([]byte("["+text+"]"), k.registry.Types())
}

// covers reports whether one detail covers another.
func covers(granted, requested rar.Detail) bool {
	return rar.Details{granted}.Covers(rar.Details{requested}) == nil
}

func (k *kit) run(c check) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return c.run(k)
}

type check struct {
	name string
	run  func(k *kit) error
}

var checks = []check{
	{"a valid detail survives marshalling", roundTrip},
	{"an invalid detail is rejected with its path", rejected},
	{"an unknown member is rejected or not covered", unknownMember},
	{"a detail covers itself, in any order of members", reflexive},
	{"a detail is the same in other spellings", spellings},
	{"details that cover each other are equal and have one digest", sameness},
	{"a normal form is the same detail and its own normal form", normalForm},
	{"narrowing does not create a second permission", singleUse},
	{"covering is transitive", transitive},
	{"a narrower detail is covered and does not cover", narrower},
	{"unrelated details do not cover each other", apart},
	{"a longer list is not covered", longerList},
	{"an emptied list is rejected or not covered", emptiedList},
	{"merging covers both and has no effect the second time", merging},
	{"merging permits nothing that neither permits", wideningMerge},
	{"a description has title and fields in every language", describing},
	{"the result of Enrich may be granted", enriching},
	{"comparing does not change details", unchanged},
}

func roundTrip(k *kit) error {
	for i, d := range k.all {
		once, err := json.Marshal(rar.Details{d})
		if err != nil {
			return err
		}
		again, err := k.registry.Parse(once, k.registry.Types())
		if err != nil {
			return fmt.Errorf("%s: rejected after it was marshalled: %w", k.texts[i], err)
		}
		twice, err := json.Marshal(again)
		if err != nil {
			return err
		}
		if !again[0].Equal(d) || !bytes.Equal(once, twice) {
			return fmt.Errorf("%s became %s", k.texts[i], twice)
		}
	}
	return nil
}

func rejected(k *kit) error {
	for _, text := range k.samples.Invalid {
		details, err := k.parse(text)
		var at *rar.Error
		switch {
		case err == nil:
			return fmt.Errorf("accepted: %s", text)
		case details != nil:
			return fmt.Errorf("error together with details: %s", text)
		case !errors.As(err, &at) || at.Path == "":
			return fmt.Errorf("%s: error without a path: %w", text, err)
		}
	}
	return nil
}

func unknownMember(k *kit) error {
	for i := range k.all {
		if err := k.notCovered(i, "rartest-unknown-member", "true"); err != nil {
			return err
		}
	}
	return nil
}

// notCovered returns an error if sample i covers the same detail with another
// value of a member.
func (k *kit) notCovered(i int, name, value string) error {
	members := maps.Clone(k.members[i])
	members[name] = json.RawMessage(value)
	other := marshal(members)
	if d, err := k.parse(other); err == nil && covers(k.all[i], d[0]) {
		return fmt.Errorf("%s covers %s", k.texts[i], other)
	}
	return nil
}

// marshal returns v as JSON. A panic in a check is a failure of the check.
func marshal(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func membersOf(text string) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		return nil, fmt.Errorf("rartest: sample is not a JSON object: %w", err)
	}
	return members, nil
}

func reflexive(k *kit) error {
	for i, d := range k.all {
		other, err := k.parse(marshal(k.members[i])) // with sorted members
		if err != nil {
			return fmt.Errorf("%s: rejected in another order: %w", k.texts[i], err)
		}
		if !covers(d, d) || !covers(d, other[0]) || !covers(other[0], d) {
			return fmt.Errorf("%s does not cover itself", k.texts[i])
		}
	}
	return nil
}

func transitive(k *kit) error {
	covered := make([][]bool, len(k.all))
	for a, x := range k.all {
		for _, y := range k.all {
			covered[a] = append(covered[a], covers(x, y))
		}
	}
	for a := range k.all {
		for b := range k.all {
			for c := range k.all {
				if covered[a][b] && covered[b][c] && !covered[a][c] {
					return fmt.Errorf("%s covers %s, which covers %s, but the first does not cover the last",
						k.texts[a], k.texts[b], k.texts[c])
				}
			}
		}
	}
	return nil
}

func (k *kit) pairs(pairs [][2]string, forth bool) error {
	for _, pair := range pairs {
		a, err := k.parse(pair[0])
		if err != nil {
			return err
		}
		b, err := k.parse(pair[1])
		if err != nil {
			return err
		}
		if covers(a[0], b[0]) != forth {
			return fmt.Errorf("%s covers %s: %t", pair[0], pair[1], !forth)
		}
		if covers(b[0], a[0]) {
			return fmt.Errorf("%s covers %s", pair[1], pair[0])
		}
	}
	return nil
}

func narrower(k *kit) error { return k.pairs(k.samples.Narrower, true) }

func apart(k *kit) error { return k.pairs(k.samples.Apart, false) }

// longerList adds an element to each array of strings that is not empty.
func longerList(k *kit) error {
	for i := range k.all {
		for name, raw := range k.members[i] {
			var list []string
			if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
				continue
			}
			longer := marshal(append(list, "https://rartest.example/another"))
			if err := k.notCovered(i, name, longer); err != nil {
				return err
			}
		}
	}
	return nil
}

// emptiedList removes all elements of each array. An API may read an empty list
// as "no restriction", so the type rejects it or does not cover it.
func emptiedList(k *kit) error {
	for i := range k.all {
		for name, raw := range k.members[i] {
			var list []json.RawMessage
			if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
				continue
			}
			if err := k.notCovered(i, name, `[]`); err != nil {
				return err
			}
		}
	}
	return nil
}

func merging(k *kit) error {
	for i, x := range k.all {
		for j, y := range k.all {
			merged, err := k.registry.Merge(rar.Details{x}, rar.Details{y})
			if err != nil {
				return fmt.Errorf("%s and %s: %w", k.texts[i], k.texts[j], err)
			}
			if merged.Covers(rar.Details{x}) != nil || merged.Covers(rar.Details{y}) != nil {
				return fmt.Errorf("%s and %s permit less after a merge", k.texts[i], k.texts[j])
			}
			for _, d := range []rar.Detail{x, y} {
				again, err := k.registry.Merge(merged, rar.Details{d})
				if err != nil {
					return err
				}
				if !slices.EqualFunc(again, merged, rar.Detail.Equal) {
					return fmt.Errorf("%s and %s changed in a second merge", k.texts[i], k.texts[j])
				}
				if x.Equal(y) && (len(merged) != 1 || merged[0] != x) {
					return fmt.Errorf("%s changed in a merge with the same detail: %s", k.texts[i], k.texts[j])
				}
			}
		}
	}
	return nil
}

func describing(k *kit) error {
	for i, d := range k.all {
		for _, language := range append(slices.Clone(k.samples.Languages), "", "x-rartest") {
			description := d.Describe(language)
			if description.Title == "" || len(description.Fields) == 0 {
				return fmt.Errorf("%s: no title or field in %q", k.texts[i], language)
			}
			for _, f := range description.Fields {
				if f.Label == "" {
					return fmt.Errorf("%s: field without label in %q", k.texts[i], language)
				}
			}
		}
	}
	return nil
}

func enriching(k *kit) error {
	for i, d := range k.all {
		enriched, err := k.registry.Enrich(context.Background(), rar.Details{d})
		if err != nil {
			return fmt.Errorf("%s: %w", k.texts[i], err)
		}
		if err := k.registry.CheckGrant(rar.Details{d}, enriched); err != nil {
			return fmt.Errorf("%s: %w", k.texts[i], err)
		}
	}
	return nil
}

// unchanged detects functions that change their arguments. They would change
// the details of other callers.
func unchanged(k *kit) error {
	for i, text := range k.texts {
		fresh, err := k.parse(text)
		if err != nil {
			return err
		}
		for j, d := range k.all {
			if covers(k.all[i], d) != covers(fresh[0], d) || covers(d, k.all[i]) != covers(d, fresh[0]) {
				return fmt.Errorf("%s and %s compare differently than at the start", text, k.texts[j])
			}
		}
		if fmt.Sprint(fresh[0].Describe()) != fmt.Sprint(k.all[i].Describe()) {
			return fmt.Errorf("%s is described differently than at the start", text)
		}
	}
	return nil
}
