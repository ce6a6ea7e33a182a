// Package rartest tests whether a [rar.Type] keeps the laws that consent rests on. Run it in the tests of every type:
//
//	func TestTransfer(t *testing.T) {
//		rartest.TestType(t, transfer, rartest.Samples{
//			Valid:    []string{`{"type":"transfer","amount":"12.34"}`, …},
//			Invalid:  []string{`{"type":"transfer"}`, …},
//			Narrower: [][2]string{{`{"type":"transfer","amount":"12.34"}`, …}},
//		})
//	}
//
// The laws protect users. If Covers is not reflexive, users lose access. If it
// is not transitive, a chain of narrowings can end in a wider permission. If
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
	// Narrower are pairs: the first covers the second, which does not cover the first.
	Narrower [][2]string
	// Same are pairs of spellings of one permission that only the type can
	// recognise: "12.5" and "12.50", a default and its absence.
	Same [][2]string
	// Generate returns a random valid detail. It should draw from few values in
	// many spellings, so that generated details are often equal and often narrower
	// than another. If nil, the laws are tested on the other samples only.
	Generate func(r *rand.Rand) string
	// Apart are pairs of which neither covers the other: another payee, another currency.
	Apart [][2]string
	// Languages are the language tags in which details are described. The kit adds
	// the empty tag and an unknown one.
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

// kit has the samples parsed.
type kit struct {
	typ      *rar.Type
	registry *rar.Registry
	samples  Samples
	all      rar.Details // every valid sample, those in pairs and generated ones too
	texts    []string
	random   *rand.Rand
}

// generated is how many details are generated.
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
	k.random = rand.New(rand.NewPCG(1, 2)) // the same each time
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
		k.all = append(k.all, d...)
	}
	return k, nil
}

// parse reads one object.
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
	{"a valid detail comes back as it was", roundTrip},
	{"an invalid detail is refused with its place", refused},
	{"an unknown member is refused or not covered", unknownMember},
	{"a detail covers itself, in any order of members", reflexive},
	{"a detail is the same in other spellings", spellings},
	{"equal is what covers each other and has one digest", sameness},
	{"a normal form is the same detail and its own normal form", normalForm},
	{"narrowing makes no second permission", singleUse},
	{"covering is transitive", transitive},
	{"a narrower detail is covered and does not cover", narrower},
	{"details apart do not cover each other", apart},
	{"a longer list is not covered", longerList},
	{"a list that has been emptied is refused or not covered", emptiedList},
	{"merging covers both and changes nothing the second time", merging},
	{"merging permits nothing that neither permits", wideningMerge},
	{"a description says something in every language", describing},
	{"what Enrich returns may be granted", enriching},
	{"comparing changes nothing", unchanged},
}

func roundTrip(k *kit) error {
	for i, d := range k.all {
		once, err := json.Marshal(rar.Details{d})
		if err != nil {
			return err
		}
		again, err := k.registry.Parse(once, k.registry.Types())
		if err != nil {
			return fmt.Errorf("%s: refused after it was marshalled: %w", k.texts[i], err)
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

func refused(k *kit) error {
	for _, text := range k.samples.Invalid {
		details, err := k.parse(text)
		var at *rar.Error
		switch {
		case err == nil:
			return fmt.Errorf("accepted: %s", text)
		case details != nil:
			return fmt.Errorf("an error and details: %s", text)
		case !errors.As(err, &at) || at.Path == "":
			return fmt.Errorf("%s: the error does not say where: %w", text, err)
		}
	}
	return nil
}

func unknownMember(k *kit) error {
	for i, text := range k.texts {
		more, err := withMember(text, "rartest-unknown-member", "true")
		if err != nil {
			return err
		}
		if d, err := k.parse(more); err == nil && covers(k.all[i], d[0]) {
			return fmt.Errorf("covered by %s: %s", text, more)
		}
	}
	return nil
}

// withMember puts a member, which may be there already, at the end of an object.
func withMember(text, name, value string) (string, error) {
	members, err := membersOf(text)
	if err != nil {
		return "", err
	}
	members[name] = json.RawMessage(value)
	made, err := json.Marshal(members)
	return string(made), err
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
		members, err := membersOf(k.texts[i])
		if err != nil {
			return err
		}
		sorted, err := json.Marshal(members)
		if err != nil {
			return err
		}
		other, err := k.parse(string(sorted))
		if err != nil {
			return fmt.Errorf("%s: refused in another order: %w", k.texts[i], err)
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
					return fmt.Errorf("%s covers %s, which covers %s, but the first does not cover the last", k.texts[a], k.texts[b], k.texts[c])
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

// longerList adds an element to each array of strings that has one, where the type accepts that.
func longerList(k *kit) error {
	for i, text := range k.texts {
		members, err := membersOf(text)
		if err != nil {
			return err
		}
		for name, raw := range members {
			var list []string
			if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
				continue
			}
			longer, err := json.Marshal(append(list, "https://rartest.example/another"))
			if err != nil {
				return err
			}
			more, err := withMember(text, name, string(longer))
			if err != nil {
				return err
			}
			if d, err := k.parse(more); err == nil && covers(k.all[i], d[0]) {
				return fmt.Errorf("%s covers one more element of %s", text, name)
			}
		}
	}
	return nil
}

// emptiedList takes all elements out of each array that has some. Where none is asked for, an API may understand that nothing
// is to be left out.
func emptiedList(k *kit) error {
	for i, text := range k.texts {
		members, err := membersOf(text)
		if err != nil {
			return err
		}
		for name, raw := range members {
			var list []json.RawMessage
			if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
				continue
			}
			fewer, err := withMember(text, name, `[]`)
			if err != nil {
				return err
			}
			if d, err := k.parse(fewer); err == nil && covers(k.all[i], d[0]) {
				return fmt.Errorf("%s covers the same with an empty %s, which may mean all: refuse it, or do not cover it", text, name)
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
				return fmt.Errorf("merged, %s and %s permit less than each", k.texts[i], k.texts[j])
			}
			for _, d := range []rar.Detail{x, y} {
				again, err := k.registry.Merge(merged, rar.Details{d})
				if err != nil {
					return err
				}
				if !slices.EqualFunc(again, merged, rar.Detail.Equal) {
					return fmt.Errorf("%s and %s, merged a second time, became something else", k.texts[i], k.texts[j])
				}
				if x.Equal(y) && (len(merged) != 1 || merged[0] != x) {
					return fmt.Errorf("%s changed by merging the same again: %s", k.texts[i], k.texts[j])
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
				return fmt.Errorf("%s: nothing is said in %q", k.texts[i], language)
			}
			for _, f := range description.Fields {
				if f.Label == "" {
					return fmt.Errorf("%s: a line without a label in %q", k.texts[i], language)
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

// unchanged looks for functions that change what they are given: they would change the details of others.
func unchanged(k *kit) error {
	for i, text := range k.texts {
		fresh, err := k.parse(text)
		if err != nil {
			return err
		}
		for j, d := range k.all {
			if covers(k.all[i], d) != covers(fresh[0], d) || covers(d, k.all[i]) != covers(d, fresh[0]) {
				return fmt.Errorf("%s and %s compare otherwise than in the beginning", text, k.texts[j])
			}
		}
		if fmt.Sprint(fresh[0].Describe()) != fmt.Sprint(k.all[i].Describe()) {
			return fmt.Errorf("%s is described otherwise than in the beginning", text)
		}
	}
	return nil
}
