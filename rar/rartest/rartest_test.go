package rartest_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/rartest"
)

type transfer struct {
	rar.Common
	Amount int    `json:"amount"`
	ID     string `json:"id,omitempty"`
}

// good is the configuration of a type that passes all checks.
func good() rar.TypeConfig[transfer] {
	return rar.TypeConfig[transfer]{
		Covers: func(granted, requested transfer) error {
			if requested.Amount > granted.Amount || requested.ID != granted.ID {
				return rar.FieldError("amount", "too much")
			}
			return granted.CoversCommon(requested.Common)
		},
		Single: func(t transfer) transfer { return transfer{ID: t.ID} },
		Enriches: func(requested, granted transfer) error {
			if requested.ID != "" {
				return errors.New("there is one")
			}
			granted.ID = ""
			if granted.Amount > requested.Amount {
				return errors.New("more")
			}
			return requested.CoversCommon(granted.Common)
		},
		Enrich: func(_ context.Context, t transfer) (transfer, error) {
			if t.ID == "" {
				t.ID = "new"
			}
			return t, nil
		},
		Describe: func(t transfer, language string) rar.Description {
			return rar.Description{Title: "Transfer " + language, Fields: []rar.Field{{Label: "ID", Value: t.ID}}}
		},
		Languages: []string{"en"},
	}
}

func samples() rartest.Samples {
	return rartest.Samples{
		Valid:     []string{`{"type":"transfer","amount":2}`, `{"type":"transfer","amount":1}`, `{"type":"transfer","amount":3,"actions":["a"]}`, `{"type":"transfer","amount":3,"id":"x"}`},
		Invalid:   []string{`{"type":"transfer"}`, `{"type":"transfer","amount":"1"}`},
		Narrower:  [][2]string{{`{"type":"transfer","amount":4}`, `{"type":"transfer","amount":3}`}},
		Apart:     [][2]string{{`{"type":"transfer","amount":4,"id":"x"}`, `{"type":"transfer","amount":4,"id":"y"}`}},
		Languages: []string{"en", "de"},
		Same:      [][2]string{{`{"type":"transfer","amount":3,"actions":["a","b"]}`, `{"amount":3,"actions":["b","a","b"],"type":"transfer"}`}},
		Generate: func(r *rand.Rand) string {
			t := transfer{Amount: r.IntN(3)}
			if r.IntN(2) == 0 {
				t.ID = string("xyX"[r.IntN(3)])
			}
			for range r.IntN(4) {
				t.Actions = append(t.Actions, string("abc"[r.IntN(3)]))
			}
			text, _ := json.Marshal(t)
			return `{"type":"transfer",` + string(text[1:])
		},
	}
}

func make1(t *testing.T, cfg rar.TypeConfig[transfer]) *rar.Type {
	typ, err := rar.TypeOf("transfer", cfg)
	require.NoError(t, err)
	return typ
}

func TestGoodType(t *testing.T) {
	rartest.TestType(t, make1(t, good()), samples())
	plain, err := rar.TypeOf("transfer", rar.TypeConfig[transfer]{})
	require.NoError(t, err)
	s := samples()
	s.Narrower, s.Apart = [][2]string{{`{"type":"transfer","amount":1,"actions":["a","b"]}`, `{"type":"transfer","amount":1,"actions":["b"]}`}}, s.Narrower
	rartest.TestType(t, plain, s)
}

// Each check fails for some faulty type.
func TestEachCheckCanFail(t *testing.T) {
	seen := make(map[string]bool)
	calls := 0
	open := func(cfg rar.TypeConfig[rar.Detail]) *rar.Type {
		typ, err := rar.TypeFromSchema("transfer", []byte(`{"additionalProperties":true}`), cfg)
		require.NoError(t, err)
		return typ
	}
	with := func(change func(cfg *rar.TypeConfig[transfer])) *rar.Type {
		cfg := good()
		change(&cfg)
		return make1(t, cfg)
	}
	for _, tc := range []struct {
		name    string
		typ     *rar.Type
		samples func(*rartest.Samples)
		fails   []string
	}{
		{"a type that accepts everything", open(rar.TypeConfig[rar.Detail]{}), func(s *rartest.Samples) { s.Narrower, s.Apart = nil, nil },
			[]string{"an invalid detail is rejected with its path"}},
		{"a type that covers unknown members", open(rar.TypeConfig[rar.Detail]{Covers: func(_, _ rar.Detail) error { return nil }}),
			func(s *rartest.Samples) {
				s.Invalid = []string{`{"type":"other"}`}
			}, []string{"an unknown member is rejected or not covered", "a narrower detail is covered and does not cover", "unrelated details do not cover each other", "a longer list is not covered",
				"an emptied list is rejected or not covered"}},
		{"a rule that compares only the elements of lists", with(func(cfg *rar.TypeConfig[transfer]) {
			cfg.Covers = func(granted, requested transfer) error {
				for _, action := range requested.Actions {
					if !slices.Contains(granted.Actions, action) {
						return errors.New("more")
					}
				}
				granted.Actions, requested.Actions = nil, nil
				return granted.CoversCommon(requested.Common)
			}
		}), nil, []string{"an emptied list is rejected or not covered"}},
		{"nothing covers anything", with(func(cfg *rar.TypeConfig[transfer]) {
			cfg.Covers = func(_, _ transfer) error { return errors.New("no") }
		}), nil, []string{"a detail covers itself, in any order of members", "a narrower detail is covered and does not cover", "merging covers both and has no effect the second time"}},
		{"covering that is not transitive", with(func(cfg *rar.TypeConfig[transfer]) {
			cfg.Covers = func(granted, requested transfer) error {
				if d := granted.Amount - requested.Amount; d < 0 || d > 1 || granted.ID != requested.ID {
					return errors.New("too far")
				}
				return granted.CoversCommon(requested.Common)
			}
		}), nil, []string{"covering is transitive"}},
		{"a function that panics", with(func(cfg *rar.TypeConfig[transfer]) {
			cfg.Describe = func(transfer, string) rar.Description { panic("no") }
		}), nil, []string{"a description has title and fields in every language", "comparing does not change details"}},
		{"lines without labels", with(func(cfg *rar.TypeConfig[transfer]) {
			cfg.Describe = func(transfer, string) rar.Description {
				return rar.Description{Title: "x", Fields: []rar.Field{{}}}
			}
		}), nil, []string{"a description has title and fields in every language"}},
		{"only a title", with(func(cfg *rar.TypeConfig[transfer]) {
			cfg.Describe = func(transfer, string) rar.Description { return rar.Description{Title: "x"} }
		}), nil, []string{"a description has title and fields in every language"}},
		{"a merge that narrows", with(func(cfg *rar.TypeConfig[transfer]) {
			cfg.Merge = func(a, b transfer) (transfer, bool) { return transfer{Amount: 1}, true }
		}), nil, []string{"merging covers both and has no effect the second time"}},
		{"a merge that widens", with(func(cfg *rar.TypeConfig[transfer]) {
			cfg.Merge = func(a, b transfer) (transfer, bool) {
				a.Amount += b.Amount
				return a, a.ID == b.ID && slices.Equal(a.Actions, b.Actions)
			}
		}), nil, []string{"merging permits nothing that neither permits"}},
		{"a merge that mixes the values of two details", with(func(cfg *rar.TypeConfig[transfer]) {
			cfg.Merge = func(a, b transfer) (transfer, bool) {
				if a.Actions != nil && b.Actions != nil {
					a.Amount, a.Actions = max(a.Amount, b.Amount), append(slices.Clone(a.Actions), b.Actions...)
				}
				return a, a.ID == b.ID && a.Actions != nil && b.Actions != nil
			}
		}), nil, []string{"merging permits nothing that neither permits"}},
		{"a rule that equates two spellings, without a normal form", with(func(cfg *rar.TypeConfig[transfer]) {
			cfg.Covers = func(granted, requested transfer) error {
				granted.ID, requested.ID = strings.ToLower(granted.ID), strings.ToLower(requested.ID)
				return good().Covers(granted, requested)
			}
		}), func(s *rartest.Samples) { s.Valid = append(s.Valid, `{"type":"transfer","amount":3,"id":"X"}`) },
			[]string{"details that cover each other are equal and have one digest"}},
		{"a rule that distinguishes two spellings of one permission", make1(t, good()), func(s *rartest.Samples) {
			s.Same = append(s.Same, [2]string{`{"type":"transfer","amount":3,"id":"x"}`, `{"type":"transfer","amount":3,"id":"X"}`})
		}, []string{"a detail is the same in other spellings"}},
		{"a rule that changes with each call", with(func(cfg *rar.TypeConfig[transfer]) {
			cfg.Covers = func(_, _ transfer) error {
				if calls++; calls%3 == 0 {
					return errors.New("not this time")
				}
				return nil
			}
		}), nil, []string{"a detail is the same in other spellings", "details that cover each other are equal and have one digest"}},
		{"a normal form that is not its own", with(func(cfg *rar.TypeConfig[transfer]) {
			cfg.Normalize = func(t transfer) transfer { t.ID += "x"; return t }
		}), nil, []string{"a normal form is the same detail and its own normal form"}},
		{"a normal form that is invalid", with(func(cfg *rar.TypeConfig[transfer]) {
			cfg.Check = func(t transfer) error {
				if t.ID == "none" {
					return errors.New("reserved")
				}
				return nil
			}
			cfg.Normalize = func(t transfer) transfer { t.ID = cmp.Or(t.ID, "none"); return t }
		}), nil, []string{"a normal form is the same detail and its own normal form"}},
		{"a normal form without the amount", with(func(cfg *rar.TypeConfig[transfer]) {
			cfg.Normalize = func(t transfer) transfer { t.Amount = 0; return t }
		}), nil, []string{"a narrower detail is covered and does not cover"}},
		{"a single use for each list of actions", with(func(cfg *rar.TypeConfig[transfer]) {
			cfg.Single = func(t transfer) transfer { t.Amount = 0; return t }
		}), nil, []string{"narrowing does not create a second permission"}},
		{"a single use for each amount", with(func(cfg *rar.TypeConfig[transfer]) {
			cfg.Single = func(t transfer) transfer { t.Actions = nil; return t }
		}), nil, []string{"narrowing does not create a second permission"}},
		{"an enrichment that widens", with(func(cfg *rar.TypeConfig[transfer]) {
			cfg.Enrich = func(_ context.Context, t transfer) (transfer, error) { t.Amount++; return t, nil }
		}), nil, []string{"the result of Enrich may be granted"}},
		{"a type that rejects an accepted detail", with(func(cfg *rar.TypeConfig[transfer]) {
			n := 0
			cfg.Check = func(transfer) error {
				if n++; n > 51 { // as many as there are samples
					return errors.New("enough")
				}
				return nil
			}
		}), nil, []string{"a valid detail survives marshalling", "a detail covers itself, in any order of members"}},
		{"a description that changes with each call", with(func(cfg *rar.TypeConfig[transfer]) {
			cfg.Describe = func(t transfer, _ string) rar.Description {
				calls++
				return rar.Description{Title: string(rune('a' + calls%26)), Fields: []rar.Field{{Label: "x", Value: "y"}}}
			}
		}), nil, []string{"comparing does not change details"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := samples()
			if tc.samples != nil {
				tc.samples(&s)
			}
			failing, err := rartest.Failing(tc.typ, s)
			require.NoError(t, err)
			for _, name := range tc.fails {
				require.Contains(t, failing, name)
			}
			for _, name := range failing {
				seen[name] = true
			}
		})
	}
	for _, name := range rartest.Checks() {
		require.True(t, seen[name], "no faulty type fails: %s", name)
	}
}

func TestSamplesAreRequired(t *testing.T) {
	typ := make1(t, good())
	for _, s := range []rartest.Samples{{}, {Valid: []string{`{"type":"transfer","amount":1}`}}, {Invalid: []string{`{}`}}, {Valid: []string{`{}`}, Invalid: []string{`{}`}}} {
		_, err := rartest.Failing(typ, s)
		require.Error(t, err)
	}
}
