package rar_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/rar"
)

type precise struct {
	rar.Common
	Number json.Number     `json:"number,omitempty"`
	Any    json.RawMessage `json:"any,omitempty"`
	Order  []string        `json:"order,omitempty"`
}

// Types of each kind: made from a schema or from a struct, with the default rule
// or with Covers, with and without Normalize.
func samenessTypes(t testing.TB) []*rar.Type {
	t.Helper()
	made := func(typ *rar.Type, err error) *rar.Type {
		require.NoError(t, err)
		return typ
	}
	open := []byte(`{"additionalProperties":true}`)
	lower := func(d rar.Detail) rar.Detail {
		edited, err := rar.Edit(d, func(m *map[string]any) {
			if name, ok := (*m)["identifier"].(string); ok {
				(*m)["identifier"] = strings.ToLower(name)
			}
		})
		if err != nil {
			return rar.Detail{}
		}
		return edited
	}
	return []*rar.Type{
		made(rar.TypeFromSchema("schema", open, rar.TypeConfig[rar.Detail]{})),
		made(rar.TypeFromSchema("schema-normal", open, rar.TypeConfig[rar.Detail]{Normalize: lower})),
		made(rar.TypeFromSchema("schema-covers", open, rar.TypeConfig[rar.Detail]{Normalize: lower,
			Covers: func(granted, requested rar.Detail) error {
				return granted.Common().CoversCommon(requested.Common())
			},
			Single: func(d rar.Detail) rar.Detail {
				single, _ := rar.Edit(d, func(m *map[string]any) { *m = map[string]any{"identifier": (*m)["identifier"]} })
				return single
			}})),
		made(rar.TypeOf("struct", rar.TypeConfig[precise]{})),
		made(rar.TypeOf("struct-normal", rar.TypeConfig[precise]{Normalize: func(p precise) precise {
			p.Order = slices.Compact(slices.Sorted(slices.Values(p.Order)))
			if p.Number == "" {
				p.Number = "10"
			}
			return p
		}})),
	}
}

func requireSame(t *testing.T, want bool, a, b rar.Detail, text string) {
	t.Helper()
	covers := func(a, b rar.Detail) bool { return rar.Details{a}.Covers(rar.Details{b}) == nil }
	require.Equal(t, want, a.Equal(b), text)
	require.Equal(t, want, b.Equal(a), text)
	require.Equal(t, want, covers(a, b) && covers(b, a), text)
	require.Equal(t, want, a.Digest() == b.Digest(), text)
}

func TestSpellings(t *testing.T) {
	r := registry(t, samenessTypes(t)...)
	all := []string{"schema", "schema-normal", "struct", "struct-normal"}
	for _, tc := range []struct {
		name, a, b string
		types      []string // of these; nil is all
		same       bool
	}{
		{"members in another order", `"identifier":"x","number":1`, `"number":1,"identifier":"x"`, nil, true},
		{"a set in another order", `"actions":["a","b"]`, `"actions":["b","a"]`, nil, true},
		{"A1 an action twice", `"actions":["a"]`, `"actions":["a","a","a"]`, nil, true},
		{"A1 a location twice", `"locations":["urn:a"]`, `"locations":["urn:a","urn:a"]`, nil, true},
		{"a location in escapes", `"locations":["urn:a"]`, `"locations":["urn\u003aa"]`, nil, true},
		{"A3 a number with zeros", `"number":12.5`, `"number":12.500`, nil, true},
		{"A3 a number with exponent", `"number":125`, `"number":1.25e2`, nil, true},
		{"zero and minus zero", `"number":0`, `"number":-0.00`, nil, true},
		{"escapes", `"identifier":"a/b"`, `"identifier":"\u0061\/b"`, nil, true},
		{"a name in escapes", `"identifier":"a"`, `"\u0069dentifier":"a"`, nil, true},
		{"values inside", `"any":{"a":[1,{"b":"c"}],"d":null}`, "\"any\":{ \"d\" : null, \"a\" : [1.0,{\"b\":\"\\u0063\"}] }", nil, true},
		{"another number", `"number":12.5`, `"number":12.51`, nil, false},
		{"another order inside", `"any":[1,2]`, `"any":[2,1]`, nil, false},
		{"fewer actions", `"actions":["a","b"]`, `"actions":["a"]`, nil, false},
		{"an empty set", `"actions":[]`, `"actions":["a"]`, nil, false},
		{"a list that the type knows to be a set", `"order":["a","b"]`, `"order":["b","b","a"]`, []string{"struct-normal"}, true},
		{"a list that nobody knows to be a set", `"order":["a","b"]`, `"order":["b","a"]`, []string{"schema", "schema-normal", "struct"}, false},
		{"an absent member and its default", `"number":1e1`, `"identifier":""`, []string{"struct-normal"}, true},
		{"an absent member", `"number":1e1`, ``, []string{"schema", "schema-normal", "struct"}, false},
		{"case, where the type knows it to mean nothing", `"identifier":"Ab"`, `"identifier":"aB"`, []string{"schema-normal"}, true},
		{"case", `"identifier":"Ab"`, `"identifier":"aB"`, []string{"schema", "struct", "struct-normal"}, false},
		{"null and absent", `"x":null`, ``, []string{"schema", "schema-normal"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, typ := range cmpOr(tc.types, all) {
				object := func(members string) rar.Detail {
					if members != "" {
						members = "," + members
					}
					return parse(t, r, fmt.Sprintf(`[{"type":%q%s}]`, typ, members))[0]
				}
				a, b := object(tc.a), object(tc.b)
				requireSame(t, tc.same, a, b, typ)
				if !tc.same {
					continue
				}
				merged, err := r.Merge(rar.Details{a}, rar.Details{b})
				require.NoError(t, err)
				require.Equal(t, rar.Details{a}, merged, "merging the same changes nothing: %s", typ)
				require.NoError(t, r.CheckGrant(rar.Details{a}, rar.Details{b}))
				one, err := a.Single()
				require.NoError(t, err)
				two, err := b.Single()
				require.NoError(t, err)
				require.Equal(t, one, two)
			}
		})
	}
}

func cmpOr(list, otherwise []string) []string {
	if list == nil {
		return otherwise
	}
	return list
}

// generatedDetail returns a detail that has few values in many spellings.
func generatedDetail(r *rand.Rand, typ string) string {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	list := func(name string, elements ...string) string {
		var chosen []string
		for range r.IntN(4) {
			chosen = append(chosen, pick(elements...))
		}
		if chosen == nil {
			return ""
		}
		return `"` + name + `":[` + strings.Join(chosen, ",") + `]`
	}
	members := []string{`"type":"` + typ + `"`,
		list("locations", `"urn:a"`, `"urn:\u0061"`, `"urn:b"`), list("actions", `"r"`, `"w"`, `"\u0077"`), list("privileges", `"p"`),
		pick("", `"identifier":"x"`, `"identifier":"\u0058"`), pick("", `"number":1`, `"number":1.0`, `"number":10e-1`, `"number":10`),
	}
	if !strings.HasSuffix(typ, "covers") { // which does not look at these
		members = append(members, list("order", `"1"`, `"2"`), pick("", `"any":{"a":1,"b":[]}`, `"any":{"b":[],"a":1e0}`))
	} else {
		members[5] = ""
	}
	members = slices.DeleteFunc(members, func(m string) bool { return m == "" })
	r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return "{" + strings.Join(members, pick(",", " , ")) + "}"
}

func requireLaws(t *testing.T, registry *rar.Registry, r *rand.Rand, typ string) {
	texts := make([]string, 3)
	for i := range texts {
		texts[i] = generatedDetail(r, typ)
	}
	all, err := registry.Parse([]byte("["+strings.Join(texts, ",")+"]"), registry.Types())
	require.NoError(t, err)
	covers := func(a, b rar.Detail) bool { return rar.Details{a}.Covers(rar.Details{b}) == nil }
	for i, a := range all {
		for j, b := range all {
			pair := texts[i] + "\n" + texts[j]
			requireSame(t, covers(a, b) && covers(b, a), a, b, pair)
			require.True(t, i != j || a.Equal(b), pair)
			one, err1 := a.Single()
			two, err2 := b.Single()
			require.NoError(t, errors.Join(err1, err2))
			require.False(t, covers(a, b) && one != two, "narrowing makes no second permission: %s", pair)
			normal, err := b.Normal()
			require.NoError(t, err)
			requireSame(t, a.Equal(b), a, normal, "the normal form is the same: "+pair)
			if a.Equal(b) {
				merged, err := registry.Merge(rar.Details{a}, rar.Details{b})
				require.NoError(t, err)
				require.Equal(t, rar.Details{a}, merged, "merging the same changes nothing: %s", pair)
			}
			for _, c := range all {
				require.False(t, covers(a, b) && covers(b, c) && !covers(a, c), "covering is transitive: %s", pair)
				require.False(t, a.Equal(b) && b.Equal(c) && !a.Equal(c), "sameness is transitive: %s", pair)
			}
		}
	}
}

func TestSameness(t *testing.T) {
	registry := registry(t, samenessTypes(t)...)
	r := rand.New(rand.NewPCG(5, 6))
	for _, typ := range registry.Types() {
		for range 300 {
			requireLaws(t, registry, r, typ)
		}
	}
}

func FuzzSameness(f *testing.F) {
	registry := registry(f, samenessTypes(f)...)
	f.Add(uint64(1), byte(0))
	f.Fuzz(func(t *testing.T, seed uint64, which byte) {
		requireLaws(t, registry, rand.New(rand.NewPCG(seed, 0)), registry.Types()[int(which)%len(registry.Types())])
	})
}

func TestDigest(t *testing.T) {
	r := registry(t, samenessTypes(t)...)
	d := parse(t, r, `[{"type":"struct","number":1.0},{"type":"schema","number":1}]`)
	require.Len(t, d[0].Digest(), 43)
	require.NotEqual(t, d[0].Digest(), d[1].Digest(), "types differ")
	single, err := d[0].Single()
	require.NoError(t, err)
	require.Len(t, single, 43)
	require.NotEqual(t, single, d[0].Digest(), "one cannot pass for the other")
	again := registry(t, samenessTypes(t)...)
	require.Equal(t, d[0].Digest(), parse(t, again, `[{"number":1,"type":"struct"}]`)[0].Digest(), "in every process")
	require.Empty(t, rar.Detail{}.Digest())
	_, err = rar.Detail{}.Single()
	require.ErrorIs(t, err, rar.ErrUnknownType)
	_, err = rar.Detail{}.Normal()
	require.ErrorIs(t, err, rar.ErrUnknownType)
	limit, err := registry(t, limitType(t)).New("limit", limit{Amount: 1})
	require.NoError(t, err)
	_, err = limit[0].Single()
	require.ErrorIs(t, err, rar.ErrHook, "a rule without Single")
	requireWire(t, err, "server_error", 500)
}

// Normal returns the normal form and does not change the parsed detail.
func TestNormal(t *testing.T) {
	r := registry(t, samenessTypes(t)...)
	const text = `[{"type":"struct-normal","order":["b","a"],"actions":["y","x","y"]}]`
	d := parse(t, r, text)
	normal, err := d[0].Normal()
	require.NoError(t, err)
	kept, err := json.Marshal(d)
	require.NoError(t, err)
	require.Equal(t, text, string(kept))
	got, err := rar.Get[precise](d[0])
	require.NoError(t, err)
	require.Equal(t, precise{Common: rar.Common{Actions: []string{"y", "x", "y"}}, Order: []string{"b", "a"}}, got)
	made, err := json.Marshal(normal)
	require.NoError(t, err)
	require.JSONEq(t, `{"type":"struct-normal","order":["a","b"],"actions":["x","y"],"number":10}`, string(made))
}

// A detail whose Normalize fails permits nothing.
func TestNormalizeFails(t *testing.T) {
	other := parse(t, registry(t, fromSchema(t, "c", commonSchema)), `[{"type":"c"}]`)[0]
	for name, normalize := range map[string]func(rar.Detail) rar.Detail{
		"nothing": func(rar.Detail) rar.Detail { return rar.Detail{} }, "another type": func(rar.Detail) rar.Detail { return other },
	} {
		t.Run(name, func(t *testing.T) {
			permissive := rar.TypeConfig[rar.Detail]{
				Normalize: normalize,
				Covers:    func(_, _ rar.Detail) error { return nil }, Enriches: func(_, _ rar.Detail) error { return nil },
				CoversTogether: func([]rar.Detail, rar.Detail) error { return nil }, Single: func(d rar.Detail) rar.Detail { return d },
				Merge: func(a, _ rar.Detail) (rar.Detail, bool) { return a, true },
			}
			for _, cfg := range []rar.TypeConfig[rar.Detail]{permissive, {Normalize: normalize}} {
				r := registry(t, fromSchema(t, "c", commonSchema, cfg))
				d := parse(t, r, `[{"type":"c"}]`)
				require.ErrorIs(t, d.Covers(d), rar.ErrNotCovered)
				require.ErrorIs(t, r.CheckGrant(d, d), rar.ErrNotRequested)
				require.False(t, d[0].Equal(d[0]))
				require.Empty(t, d[0].Digest())
				_, err := d[0].Single()
				require.ErrorIs(t, err, rar.ErrHook)
				_, err = d[0].Normal()
				require.ErrorIs(t, err, rar.ErrHook)
				require.NotEmpty(t, d[0].Describe("en").Title)
			}
		})
	}
}

// net/http recovers the panic of a request. Other requests may still use its
// details.
func TestNormalizePanics(t *testing.T) {
	covers := func(granted, requested rar.Detail) error {
		return granted.Common().CoversCommon(requested.Common())
	}
	for name, cfg := range map[string]rar.TypeConfig[rar.Detail]{
		"the default rule":   {},
		"a rule of its own":  {Covers: covers, Single: func(d rar.Detail) rar.Detail { return d }},
		"a rule for several": {CoversTogether: func([]rar.Detail, rar.Detail) error { return nil }, Single: func(d rar.Detail) rar.Detail { return d }},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Normalize = func(rar.Detail) rar.Detail { panic("out of memory") }
			r := registry(t, fromSchema(t, "c", commonSchema, cfg))
			granted, requested := parse(t, r, `[{"type":"c","actions":["read"]}]`), parse(t, r, `[{"type":"c","actions":["write"]}]`)
			for range 2 {
				require.Panics(t, func() { _ = append(slices.Clip(granted), requested...).Covers(requested) })
				granted, requested = requested, granted
			}
			require.ErrorIs(t, granted.Covers(requested), rar.ErrNotCovered)
			require.False(t, granted[0].Equal(requested[0]))
			require.Empty(t, granted[0].Digest())
			_, err := granted[0].Single()
			require.ErrorIs(t, err, rar.ErrHook)
			_, err = granted[0].Normal()
			require.ErrorIs(t, err, rar.ErrHook)
		})
	}
}

// Two granted details may together permit a detail with another Single. Only the
// type knows which of the three can be used once.
func TestSingleOfSeveral(t *testing.T) {
	for name, tc := range map[string]struct {
		single func(limit) limit
		usable bool
	}{
		"the type does not say what can be used once": {nil, false},
		"the type says it":                            {func(limit) limit { return limit{} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			typ, err := rar.TypeOf("limit", rar.TypeConfig[limit]{Single: tc.single, CoversTogether: func(granted []limit, requested limit) error {
				for _, g := range granted {
					requested.Amount -= g.Amount
				}
				if requested.Amount > 0 {
					return errors.New("more")
				}
				return nil
			}})
			require.NoError(t, err)
			r := registry(t, typ)
			granted, want := parse(t, r, `[{"type":"limit","amount":5},{"type":"limit","amount":7}]`), parse(t, r, `[{"type":"limit","amount":12}]`)
			require.NoError(t, granted.Covers(want))
			for _, d := range append(granted, want...) {
				_, err = d.Single()
				require.Equal(t, tc.usable, err == nil, "%v", err)
				require.True(t, tc.usable || errors.Is(err, rar.ErrHook))
			}
		})
	}
}

type listed struct {
	rar.Common
	Inner []inner             `json:"inner,omitempty"`
	Names map[string][]string `json:"names,omitempty"`
}

type inner struct {
	List  []string          `json:"list,omitempty"`
	Map   map[string]string `json:"map,omitempty"`
	Other *innermost        `json:"other,omitempty"`
}

type innermost struct {
	List []string `json:"list,omitempty"`
}

// An empty list may mean none, and an absent list may mean all. A Go struct with omitempty marshals both to the same JSON.
func TestEmptyIsNotAbsent(t *testing.T) {
	same := func(l listed) listed { return l }
	strict := func(granted, requested listed) error {
		if !reflect.DeepEqual(granted, requested) {
			return errors.New("another one")
		}
		return nil
	}
	for name, cfg := range map[string]rar.TypeConfig[listed]{
		"no functions": {}, "Normalize": {Normalize: same}, "Normalize and Covers": {Normalize: same, Covers: strict},
	} {
		typ, err := rar.TypeOf("listed", cfg)
		require.NoError(t, err)
		r := registry(t, typ)
		for _, pair := range [][2]string{
			{`"actions":[]`, ``},
			{`"inner":[]`, ``},
			{`"names":{}`, ``},
			{`"names":{"a":[]}`, `"names":{}`},
			{`"inner":[{"list":[]}]`, `"inner":[{}]`},
			{`"inner":[{"map":{}}]`, `"inner":[{}]`},
			{`"inner":[{"other":{"list":[]}}]`, `"inner":[{"other":{}}]`},
		} {
			t.Run(name+" "+pair[0], func(t *testing.T) {
				object := func(members string) rar.Detail {
					return parse(t, r, strings.Replace(`[{"type":"listed",`+members+`}]`, ",}", "}", 1))[0]
				}
				empty, absent := object(pair[0]), object(pair[1])
				requireSame(t, false, empty, absent, pair[0])
				for _, d := range []rar.Detail{empty, absent} {
					normal, err := d.Normal()
					require.NoError(t, err)
					requireSame(t, true, d, normal, pair[0])
				}
			})
		}
	}
}
