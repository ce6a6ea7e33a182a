package rartest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/rar"
)

// sets are the members of every type whose order and repetitions do not matter.
var sets = []string{"locations", "actions", "datatypes", "privileges"}

// respell returns an object in another spelling: members in another order, some
// characters escaped, additional spaces, elements of sets in another order. If
// repeat is true, it also repeats some elements.
func respell(r *rand.Rand, members map[string]json.RawMessage, repeat bool) string {
	members = maps.Clone(members)
	for _, name := range sets {
		var list []string
		if json.Unmarshal(members[name], &list) != nil || len(list) == 0 {
			continue
		}
		if repeat {
			list = append(list, list[r.IntN(len(list))])
		}
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		members[name] = json.RawMessage(marshal(list))
	}
	return respellValue(r, members)
}

// respellValue writes members in random order, those of inner objects as well.
func respellValue(r *rand.Rand, members map[string]json.RawMessage) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		raw := members[name]
		value := string(raw)
		var inner map[string]json.RawMessage
		var text string
		if json.Unmarshal(raw, &inner) == nil && inner != nil {
			value = respellValue(r, inner)
		} else if json.Unmarshal(raw, &text) == nil && value != "null" {
			value = respellString(r, text)
		}
		list = append(list, respellString(r, name)+strings.Repeat(" ", r.IntN(2))+":"+value)
	}
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return "{" + strings.Join(list, ",\n") + "}"
}

// respellString escapes some of the characters that need no escape.
func respellString(r *rand.Rand, s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		plain, err := json.Marshal(string(c))
		if text := strings.Trim(string(plain), `"`); c > 0xffff || err != nil || r.IntN(8) > 0 || len(plain) < 3 {
			b.WriteString(text)
			continue
		}
		fmt.Fprintf(&b, `\u%04x`, c)
	}
	b.WriteByte('"')
	return b.String()
}

// same returns an error if two details are not one permission.
func same(a, b rar.Detail) error {
	first, err1 := a.Single()
	second, err2 := b.Single()
	switch {
	case !covers(a, b) || !covers(b, a):
		return errors.New("details that do not cover each other")
	case !a.Equal(b) || !b.Equal(a):
		return errors.New("details that are not equal")
	case a.Digest() != b.Digest():
		return errors.New("details with different digests")
	case first != second || (err1 == nil) != (err2 == nil):
		return errors.New("details with different Single")
	}
	return nil
}

func spellings(k *kit) error {
	for i, text := range k.texts {
		for _, repeat := range []bool{false, true} {
			other := respell(k.random, k.members[i], repeat)
			d, err := k.parse(other)
			switch {
			case err != nil && repeat: // the type may require unique elements
				continue
			case err != nil:
				return fmt.Errorf("%s: rejected in another spelling: %w", other, err)
			}
			if err := same(k.all[i], d[0]); err != nil {
				return fmt.Errorf("%s and %s: %w", text, other, err)
			}
		}
	}
	for _, pair := range k.samples.Same {
		a, err1 := k.parse(pair[0])
		b, err2 := k.parse(pair[1])
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if err := same(a[0], b[0]); err != nil {
			return fmt.Errorf("%s and %s: %w", pair[0], pair[1], err)
		}
	}
	return nil
}

func sameness(k *kit) error {
	for i, x := range k.all {
		if len(x.Digest()) != 43 {
			return fmt.Errorf("%s has no digest", k.texts[i])
		}
		for j, y := range k.all {
			each := covers(x, y) && covers(y, x)
			if x.Equal(y) != each || y.Equal(x) != each || (x.Digest() == y.Digest()) != each {
				return fmt.Errorf("%s and %s: equal %t, %t, cover each other %t, one digest %t", k.texts[i], k.texts[j],
					x.Equal(y), y.Equal(x), each, x.Digest() == y.Digest())
			}
		}
	}
	return nil
}

func normalForm(k *kit) error {
	for i, d := range k.all {
		normal, err := d.Normal()
		if err != nil {
			return fmt.Errorf("%s: %w", k.texts[i], err)
		}
		again, err := normal.Normal()
		if err != nil {
			return fmt.Errorf("%s: %w", k.texts[i], err)
		}
		once, err1 := json.Marshal(normal)
		twice, err2 := json.Marshal(again)
		switch err := errors.Join(err1, err2, same(d, normal)); {
		case err != nil:
			return fmt.Errorf("%s and its normal form %s: %w", k.texts[i], once, err)
		case string(once) != string(twice):
			return fmt.Errorf("%s became %s and then %s", k.texts[i], once, twice)
		}
	}
	return nil
}

func singleUse(k *kit) error {
	singles := make([]string, len(k.all))
	missing := 0
	for i, d := range k.all {
		var err error
		if singles[i], err = d.Single(); err != nil {
			missing++
		}
	}
	switch missing {
	case 0:
	case len(k.all): // the type has no Single
		return nil
	default:
		return fmt.Errorf("%d of %d details have no Single", missing, len(k.all))
	}
	for i, x := range k.all {
		for j, y := range k.all {
			if covers(x, y) && singles[i] != singles[j] {
				return fmt.Errorf("%s covers %s, and both can be used once", k.texts[i], k.texts[j])
			}
		}
	}
	return nil
}

// wideningMerge searches for details that only the merged detail permits. Such
// a detail may combine parts of both details if each part is permitted. A part
// has one element of each list.
func wideningMerge(k *kit) error {
	for i, x := range k.all {
		for j, y := range k.all {
			both := rar.Details{x, y}
			merged, err := k.registry.Merge(both[:1], both[1:])
			if err != nil {
				return fmt.Errorf("%s and %s: %w", k.texts[i], k.texts[j], err)
			}
			for n, z := range k.all {
				if merged.Covers(rar.Details{z}) != nil || both.Covers(rar.Details{z}) == nil {
					continue
				}
				if err := k.partsWithin(k.members[n], both); err != nil {
					return fmt.Errorf("%s and %s, merged, permit more: %w", k.texts[i], k.texts[j], err)
				}
			}
		}
	}
	return nil
}

// partsWithin returns an error that names a part of a detail that is not
// permitted.
func (k *kit) partsWithin(members map[string]json.RawMessage, granted rar.Details) error {
	parts := []map[string]json.RawMessage{members}
	for name, raw := range members {
		var list []json.RawMessage
		if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
			continue
		}
		var more []map[string]json.RawMessage
		for _, part := range parts {
			for _, element := range list {
				one := maps.Clone(part)
				one[name] = json.RawMessage("[" + string(element) + "]")
				more = append(more, one)
			}
		}
		parts = more
	}
	for _, part := range parts {
		text := marshal(part)
		if d, err := k.parse(text); err != nil || granted.Covers(d) != nil {
			return errors.New(text)
		}
	}
	return nil
}
