package rar_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/openbanking"
)

// The rule of types without Covers.
func TestCoversByDefault(t *testing.T) {
	r := registry(t, fromSchema(t, "c", `{"additionalProperties":true}`), fromSchema(t, "d", `{"additionalProperties":true}`))
	for _, tc := range []struct {
		name, granted, requested string
		path                     string // of the culprit; "" is covered
	}{
		{"the same", `{"type":"c","actions":["read"]}`, `{"type":"c","actions":["read"]}`, ""},
		{"members in another order", `{"type":"c","actions":["a","b"],"x":{"y":1,"z":2}}`, `{"x":{"z":2,"y":1},"actions":["b","a"],"type":"c"}`, ""},
		{"an element twice", `{"type":"c","actions":["a","b"]}`, `{"type":"c","actions":["a","a"]}`, ""},
		{"RAR-6.1-1 fewer actions", `{"type":"c","actions":["read","write"]}`, `{"type":"c","actions":["write"]}`, ""},
		{"RAR-6.1-1 fewer locations, datatypes and privileges", `{"type":"c","locations":["urn:a","urn:b"],"datatypes":["c","d"],"privileges":["e","f"]}`,
			`{"type":"c","locations":["urn:a"],"datatypes":["d"],"privileges":["f"]}`, ""},
		{"RAR-6-2 more actions", `{"type":"c","actions":["read"]}`, `{"type":"c","actions":["read","write"]}`, "[0].actions"},
		{"RAR-6-2 other locations", `{"type":"c","locations":["urn:a"]}`, `{"type":"c","locations":["urn:b"]}`, "[0].locations"},
		{"RAR-6-2 other datatypes", `{"type":"c","datatypes":["a"]}`, `{"type":"c","datatypes":["b"]}`, "[0].datatypes"},
		{"RAR-6-2 other privileges", `{"type":"c","privileges":["a"]}`, `{"type":"c","privileges":["admin"]}`, "[0].privileges"},
		{"RAR-6-2 another identifier", `{"type":"c","identifier":"1"}`, `{"type":"c","identifier":"2"}`, "[0].identifier"},
		{"a list that is left out may mean all", `{"type":"c","actions":["read"]}`, `{"type":"c"}`, "[0].actions"},
		{"a list that was not granted may mean none", `{"type":"c"}`, `{"type":"c","actions":["read"]}`, "[0].actions"},
		{"an empty list may mean all", `{"type":"c","actions":["read"]}`, `{"type":"c","actions":[]}`, "[0].actions"},
		{"an empty list that was granted is none", `{"type":"c","actions":[]}`, `{"type":"c","actions":["read"]}`, "[0].actions"},
		{"two empty lists", `{"type":"c","actions":[]}`, `{"type":"c","actions":[]}`, ""},
		{"a list of other things is no set", `{"type":"c","actions":[1,2]}`, `{"type":"c","actions":[1]}`, "[0].actions"},
		{"a list that is a string", `{"type":"c","actions":"read"}`, `{"type":"c","actions":["read"]}`, "[0].actions"},
		{"an unknown member that differs", `{"type":"c","limit":10}`, `{"type":"c","limit":9}`, "[0].limit"},
		{"an unknown member that is new", `{"type":"c"}`, `{"type":"c","all":true}`, "[0].all"},
		{"an unknown member that is left out", `{"type":"c","limit":10}`, `{"type":"c"}`, "[0].limit"},
		{"an unknown list in another order", `{"type":"c","steps":["a","b"]}`, `{"type":"c","steps":["b","a"]}`, "[0].steps"},
		{"an unknown list that is shorter", `{"type":"c","steps":["a","b"]}`, `{"type":"c","steps":["a"]}`, "[0].steps"},
		{"numbers by value", `{"type":"c","limit":10}`, `{"type":"c","limit":1.0e1}`, ""},
		{"a number and a string", `{"type":"c","limit":10}`, `{"type":"c","limit":"10"}`, "[0].limit"},
		{"null and nothing", `{"type":"c","limit":null}`, `{"type":"c"}`, "[0].limit"},
		{"false and null", `{"type":"c","limit":null}`, `{"type":"c","limit":false}`, "[0].limit"},
		{"RAR-12-2 escapes are another spelling", `{"type":"c","identifier":"A\/\u00e9"}`, `{"type":"c","identifier":"\u0041/é"}`, ""},
		{"RAR-12-2 not normalised: é and e with an accent", `{"type":"c","identifier":"\u00e9"}`, `{"type":"c","identifier":"e\u0301"}`, "[0].identifier"},
		{"RAR-12-2 not normalised: actions", `{"type":"c","actions":["\u00e9"]}`, `{"type":"c","actions":["e\u0301"]}`, "[0].actions"},
		{"RAR-12-2 case counts", `{"type":"c","actions":["read"]}`, `{"type":"c","actions":["Read"]}`, "[0].actions"},
		{"RAR-12-2 spaces count", `{"type":"c","actions":["read"]}`, `{"type":"c","actions":["read "]}`, "[0].actions"},
		{"RAR-12-2 astral characters", `{"type":"c","identifier":"\ud83d\ude00"}`, `{"type":"c","identifier":"😀"}`, ""},
		{"another type", `{"type":"c","actions":["read"]}`, `{"type":"d","actions":["read"]}`, "[0]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			granted, requested := parse(t, r, "["+tc.granted+"]"), parse(t, r, "["+tc.requested+"]")
			err := granted.Covers(requested)
			if tc.path == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, rar.ErrNotCovered)
			requireWire(t, err, "invalid_authorization_details", 400)
			var at *rar.Error
			require.ErrorAs(t, err, &at)
			require.Equal(t, tc.path, at.Path)
			require.Equal(t, 0, at.Index)
			require.Equal(t, requested[0].Type(), at.Type)
		})
	}
}

// Several details are a union. Each of them permits all combinations of its
// values.
func TestUnionOfProducts(t *testing.T) {
	r := registry(t, fromSchema(t, "c", commonSchema), fromSchema(t, "d", commonSchema))
	granted := parse(t, r, `[{"type":"c","locations":["urn:a"],"actions":["read"]},{"type":"c","locations":["urn:b"],"actions":["write"]},{"type":"d"}]`)
	for _, tc := range []struct {
		name, requested string
		index           int // of the culprit; -1 is covered
	}{
		{"RAR-2.2-2 the first", `[{"type":"c","locations":["urn:a"],"actions":["read"]}]`, -1},
		{"RAR-2.2-2 all of them, in another order", `[{"type":"d"},{"type":"c","locations":["urn:b"],"actions":["write"]},{"type":"c","locations":["urn:a"],"actions":["read"]}]`, -1},
		{"RAR-2.2-2 the same twice", `[{"type":"d"},{"type":"d"}]`, -1},
		{"RAR-2.2-2 the location of one and the action of the other", `[{"type":"c","locations":["urn:a"],"actions":["write"]}]`, 0},
		{"RAR-2.2-2 both locations and both actions", `[{"type":"d"},{"type":"c","locations":["urn:a","urn:b"],"actions":["read","write"]}]`, 1},
		{"RAR-2.2-2 both locations and one action", `[{"type":"c","locations":["urn:a","urn:b"],"actions":["read"]}]`, 0},
		{"RAR-2-3 one of three is too much", `[{"type":"d"},{"type":"d"},{"type":"d","identifier":"1"}]`, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := granted.Covers(parse(t, r, tc.requested))
			if tc.index < 0 {
				require.NoError(t, err)
				return
			}
			var at *rar.Error
			require.ErrorAs(t, err, &at)
			require.ErrorIs(t, err, rar.ErrNotCovered)
			require.Equal(t, tc.index, at.Index)
		})
	}
	for _, nothing := range []rar.Details{nil, {}} {
		err := granted.Covers(nothing)
		require.ErrorIs(t, err, rar.ErrNotCovered, "who asks for nothing has lost the question")
		require.Equal(t, "more than was granted", requireWire(t, err, "invalid_authorization_details", 400))
		require.ErrorIs(t, nothing.Covers(granted), rar.ErrNotCovered)
	}
}

func TestTypesOfOneName(t *testing.T) {
	a, b := registry(t, fromSchema(t, "c", commonSchema)), registry(t, fromSchema(t, "c", commonSchema))
	one, other := parse(t, a, `[{"type":"c"}]`), parse(t, b, `[{"type":"c"}]`)
	require.ErrorIs(t, one.Covers(other), rar.ErrNotCovered)
	require.False(t, one[0].Equal(other[0]))
	require.ErrorIs(t, a.CheckGrant(one, other), rar.ErrUnknownType)
	_, err := a.Merge(one, other)
	require.ErrorIs(t, err, rar.ErrUnknownType)
}

type limit struct {
	Amount int    `json:"amount"`
	ID     string `json:"id,omitempty"`
}

func limitType(t testing.TB, change ...func(*rar.TypeConfig[limit])) *rar.Type {
	t.Helper()
	cfg := rar.TypeConfig[limit]{Covers: func(granted, requested limit) error {
		if requested.ID != granted.ID {
			return rar.FieldError("id", "another one")
		}
		if requested.Amount > granted.Amount {
			return rar.FieldError("amount", "too much")
		}
		return nil
	}}
	for _, c := range change {
		c(&cfg)
	}
	typ, err := rar.TypeOf("limit", cfg)
	require.NoError(t, err)
	return typ
}

func TestCoversTogether(t *testing.T) {
	sum := func(cfg *rar.TypeConfig[limit]) {
		cfg.CoversTogether = func(granted []limit, requested limit) error {
			total := 0
			for _, g := range granted {
				total += g.Amount
			}
			if requested.Amount > total {
				return errors.New("more than all of them")
			}
			return nil
		}
	}
	for _, tc := range []struct {
		name     string
		together bool
		amount   int
		ok       bool
	}{
		{"RAR-6.1-1 within the larger one", false, 20, true},
		{"RAR-2.2-2 within both, which do not add up", false, 21, false},
		{"RAR-6.1-1 within both, which add up if their type says so", true, 30, true},
		{"more than both", true, 31, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			typ := limitType(t)
			if tc.together {
				typ = limitType(t, sum)
			}
			r := registry(t, typ)
			granted, err := r.New("limit", limit{Amount: 10}, limit{Amount: 20})
			require.NoError(t, err)
			requested, err := r.New("limit", limit{Amount: tc.amount})
			require.NoError(t, err)
			require.Equal(t, tc.ok, granted.Covers(requested) == nil)
		})
	}
}

func TestCovering(t *testing.T) {
	r := registry(t, limitType(t, func(cfg *rar.TypeConfig[limit]) {
		cfg.CoversTogether = func(granted []limit, requested limit) error {
			if requested.Amount > 30 {
				return errors.New("more than all of them")
			}
			return nil
		}
	}))
	granted := append(parse(t, r, `[{"type":"limit","amount":10},{"type":"limit","amount":20}]`), rar.Detail{})
	for amount, position := range map[int]int{5: 0, 10: 0, 20: 1, 25: -1, 31: -1} {
		requested, err := r.New("limit", limit{Amount: amount})
		require.NoError(t, err)
		found, err := granted.Covering(requested[0])
		if position >= 0 {
			require.NoError(t, err)
			require.Equal(t, granted[position], found, "amount %d", amount)
			continue
		}
		require.Equal(t, rar.Detail{}, found)
		require.ErrorIs(t, err, rar.ErrNotCovered, "amount %d", amount)
	}
	_, err := granted.Covering(rar.Detail{})
	require.ErrorIs(t, err, rar.ErrNotCovered)
}

func TestCheckGrant(t *testing.T) {
	r := bankRegistry(t)
	requested := parse(t, r, `[{"type":"c","actions":["read","write"]},`+payment[1:])
	for _, tc := range []struct {
		name, granted string
		index         int // of the culprit, -1 is right
	}{
		{"RAR-3-2 all of it", `[{"type":"c","actions":["read","write"]},` + payment[1:], -1},
		{"RAR-3-2 nothing", `[]`, -1},
		{"RAR-3-2 one entry", payment, -1},
		{"RAR-3-2 one entry, narrowed", `[{"type":"c","actions":["read"]}]`, -1},
		{"RAR-7.1-1 the type permits no enrichment", `[{"type":"c","actions":["read"],"identifier":"1"}]`, 0},
		{"RAR-3-2 wider", `[` + payment[1:len(payment)-1] + `,{"type":"c","actions":["admin"]}]`, 1},
		{"another type", `[{"type":"n"}]`, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := r.CheckGrant(requested, parse(t, r, tc.granted))
			if tc.index < 0 {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, rar.ErrNotRequested)
			require.NotErrorIs(t, err, rar.ErrNotCovered)
			var at *rar.Error
			require.ErrorAs(t, err, &at)
			require.Equal(t, tc.index, at.Index)
			require.Empty(t, requireWire(t, err, "server_error", 500))
		})
	}
	many := make(rar.Details, 101)
	for i := range many {
		many[i] = requested[0]
	}
	require.ErrorIs(t, r.CheckGrant(requested, many), rar.ErrTooLarge)
}

func TestEnrich(t *testing.T) {
	cause := errors.New("the cause")
	with := func(enrich func(context.Context, limit) (limit, error)) *rar.Registry {
		return registry(t, limitType(t, func(cfg *rar.TypeConfig[limit]) {
			cfg.Enrich = enrich
			cfg.Enriches = func(requested, granted limit) error {
				if requested.ID != "" || granted.ID == "" || granted.Amount > requested.Amount {
					return errors.New("no")
				}
				return nil
			}
		}), fromSchema(t, "c", commonSchema))
	}
	for _, tc := range []struct {
		name   string
		enrich func(context.Context, limit) (limit, error)
		want   string
		err    error
	}{
		{"RAR-7.1-1 an identifier is added", func(_ context.Context, l limit) (limit, error) { l.ID = "7"; return l, nil }, `[{"type":"c"},{"type":"limit","amount":10,"id":"7"}]`, nil},
		{"nothing is added", func(_ context.Context, l limit) (limit, error) { return l, nil }, `[{"type":"c"},{"type":"limit","amount":10}]`, nil},
		{"RAR-7.1-1 more than may be added", func(_ context.Context, l limit) (limit, error) { return limit{11, "7"}, nil }, "", rar.ErrHook},
		{"it fails", func(context.Context, limit) (limit, error) { return limit{}, cause }, "", cause},
		{"it fails with an error of the peer's kind", func(context.Context, limit) (limit, error) {
			_, err := bankRegistry(t).Parse(nil, nil)
			return limit{}, err
		}, "", rar.ErrHook},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := with(tc.enrich)
			requested := parse(t, r, `[{"type":"c"},{"type":"limit","amount":10}]`)
			enriched, err := r.Enrich(t.Context(), requested)
			if tc.err != nil {
				require.Nil(t, enriched)
				require.ErrorIs(t, err, tc.err)
				require.ErrorIs(t, err, rar.ErrHook)
				require.NotErrorIs(t, err, rar.ErrMalformed)
				requireWire(t, err, "server_error", 500)
				return
			}
			require.NoError(t, err)
			text, err := json.Marshal(enriched)
			require.NoError(t, err)
			require.JSONEq(t, tc.want, string(text))
			require.NoError(t, r.CheckGrant(requested, enriched))
		})
	}
}

// The enrichment of RFC 9396 §7.1, by a type that is made from a schema.
func TestEnrichPublished(t *testing.T) {
	type information struct {
		Access map[string][]json.RawMessage `json:"access"`
	}
	typ := fromSchema(t, "account_information", `{"properties":{"recurringIndicator":{"type":"boolean"},
		"access":{"additionalProperties":{"type":"array","items":{"type":"object","additionalProperties":{"type":"string"}}}}}}`,
		rar.TypeConfig[rar.Detail]{Enriches: func(requested, granted rar.Detail) error {
			asked, err := rar.Get[information](requested)
			if err != nil {
				return err
			}
			given, err := rar.Get[information](granted)
			if err != nil {
				return err
			}
			for name, accounts := range given.Access {
				if of, ok := asked.Access[name]; !ok || len(of) > 0 || len(accounts) == 0 {
					return rar.FieldError("access", "not asked for")
				}
			}
			return nil
		}})
	r := registry(t, typ)
	requested := parse(t, r, `[{"type":"account_information","access":{"accounts":[],"balances":[],"transactions":[]},"recurringIndicator":true}]`)
	enriched := parse(t, r, `[{"type":"account_information","access":{"accounts":[{"iban":"DE2310010010123456789"},{"maskedPan":"123456xxxxxx1234"}],
		"balances":[{"iban":"DE2310010010123456789"}],"transactions":[{"iban":"DE2310010010123456789"},{"maskedPan":"123456xxxxxx1234"}]},"recurringIndicator":true}]`)
	require.NoError(t, r.CheckGrant(requested, enriched), "RAR-7.1-1")
	require.ErrorIs(t, requested.Covers(enriched), rar.ErrNotCovered)
	require.ErrorIs(t, r.CheckGrant(enriched, requested), rar.ErrNotRequested)
}

func TestMerge(t *testing.T) {
	c := fromSchema(t, "c", commonSchema)
	plain := registry(t, c, limitType(t))
	larger := func(merged func(a, b limit) (limit, bool)) *rar.Registry {
		return registry(t, c, limitType(t, func(cfg *rar.TypeConfig[limit]) { cfg.Merge = merged }))
	}
	for _, tc := range []struct {
		name                  string
		r                     *rar.Registry
		existing, added, want string // want: "" is ErrHook
	}{
		{"RAR-11.2-2 nothing and nothing", plain, `[]`, `[]`, `[]`},
		{"RAR-11.2-2 the same", plain, `[{"type":"c","actions":["a"]}]`, `[{"actions":["a"],"type":"c"}]`, `[{"type":"c","actions":["a"]}]`},
		{"RAR-11.2-2 less", plain, `[{"type":"c","actions":["a","b"]}]`, `[{"type":"c","actions":["b"]}]`, `[{"type":"c","actions":["a","b"]}]`},
		{"RAR-11.2-2 more", plain, `[{"type":"limit","amount":1},{"type":"c","actions":["b"]}]`, `[{"type":"c","actions":["a","b"]}]`, `[{"type":"limit","amount":1},{"type":"c","actions":["a","b"]}]`},
		{"RAR-2.2-2 other things stay side by side", plain, `[{"type":"c","locations":["urn:x"],"actions":["a"]}]`, `[{"type":"c","locations":["urn:y"],"actions":["b"]}]`,
			`[{"type":"c","locations":["urn:x"],"actions":["a"]},{"type":"c","locations":["urn:y"],"actions":["b"]}]`},
		{"RAR-11.2-2 a type that merges", larger(func(a, b limit) (limit, bool) { return limit{max(a.Amount, b.Amount) + 1, a.ID}, a.ID == b.ID }),
			`[{"type":"limit","amount":1,"id":"x"},{"type":"limit","amount":5}]`, `[{"type":"limit","amount":7}]`, `[{"type":"limit","amount":1,"id":"x"},{"type":"limit","amount":8}]`},
		{"GM-8.2-1 a type that merges into less", larger(func(a, b limit) (limit, bool) { return limit{min(a.Amount, b.Amount), a.ID}, true }),
			`[{"type":"limit","amount":5}]`, `[{"type":"limit","amount":7}]`, ""},
		{"GM-8.2-1 a type that merges into something else", larger(func(a, b limit) (limit, bool) { return limit{9, "y"}, true }),
			`[{"type":"limit","amount":5}]`, `[{"type":"limit","amount":7}]`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			existing, added := parse(t, tc.r, tc.existing), parse(t, tc.r, tc.added)
			merged, err := tc.r.Merge(existing, added)
			if tc.want == "" {
				require.Nil(t, merged)
				require.ErrorIs(t, err, rar.ErrHook)
				requireWire(t, err, "server_error", 500)
				return
			}
			require.NoError(t, err)
			text, err := json.Marshal(merged)
			require.NoError(t, err)
			require.JSONEq(t, tc.want, string(text))
			again, err := tc.r.Merge(merged, added)
			require.NoError(t, err)
			require.Equal(t, merged, again)
			untouched, err := json.Marshal(existing)
			require.NoError(t, err)
			require.JSONEq(t, tc.existing, string(untouched), "the arguments stay as they were")
		})
	}
	// A grant cannot become too large to be parsed again.
	grown := rar.Details{}
	var err error
	for i := 0; err == nil; i++ {
		require.Less(t, i, 101)
		var next rar.Details
		next, err = plain.New("c", rar.Common{Identifier: strings.Repeat("x", i+1)})
		require.NoError(t, err)
		if next, err = plain.Merge(grown, next); err == nil {
			grown = next
		}
	}
	require.ErrorIs(t, err, rar.ErrTooLarge)
	require.Len(t, grown, 100)
}

// The payment of the consent is the payment of the token and of the API.
func TestPaymentFromRequestToAPI(t *testing.T) {
	as := bankRegistry(t)
	requested, err := as.Parse([]byte(payment), []string{openbanking.PaymentType})
	require.NoError(t, err)
	chosen, err := rar.Edit(requested[0], func(p *openbanking.Payment) {
		p.DebtorAccount = &openbanking.Account{IBAN: "GB33BUKB20201555555555"}
	})
	require.NoError(t, err)
	granted := rar.Details{chosen}
	require.NoError(t, as.CheckGrant(requested, granted))
	token, err := json.Marshal(granted.ForResource("https://example.com/payments"))
	require.NoError(t, err)

	api := bankRegistry(t)
	held := parse(t, api, string(token))
	want, err := rar.Get[openbanking.Payment](held[0])
	require.NoError(t, err)
	want.Actions = []openbanking.PaymentAction{"initiate"}
	do, err := api.New(openbanking.PaymentType, want)
	require.NoError(t, err)
	require.NoError(t, held.Covers(do))
	want.InstructedAmount.Amount = "123.51"
	do, err = api.New(openbanking.PaymentType, want)
	require.NoError(t, err)
	require.ErrorIs(t, held.Covers(do), rar.ErrNotCovered)
}

// Comparison is reflexive, transitive and consistent for any three lists of
// details.
func FuzzLaws(f *testing.F) {
	for _, text := range seeds(f) {
		f.Add(text, payment, text)
		f.Add(text, strings.Replace(text, `"initiate",`, "", 1), strings.Replace(text, `"initiate","status",`, "", 1))
	}
	f.Add(`[{"type":"c","actions":["a","b"]}]`, `[{"type":"c","actions":["a"]}]`, `[{"type":"c","actions":["b"]}]`)
	f.Add(`[{"type":"limit","amount":3}]`, `[{"type":"limit","amount":2}]`, `[{"type":"limit","amount":1}]`)
	known, err := openbanking.NewRegistry(nil)
	require.NoError(f, err)
	var types []*rar.Type
	for _, name := range known.Types() {
		types = append(types, known.Type(name))
	}
	r, err := rar.NewRegistry(rar.RegistryConfig{Types: append(types, limitType(f), fromSchema(f, "c", commonSchema), fromSchema(f, "n", `{"additionalProperties":true}`)), MaxBytes: 1 << 20, MaxEntries: 1000})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text1, text2, text3 string) {
		var lists [3]rar.Details
		for i, text := range []string{text1, text2, text3} {
			var err error
			if lists[i], err = r.Parse([]byte(text), r.Types()); err != nil || len(lists[i]) == 0 {
				return
			}
		}
		for _, a := range lists {
			require.NoError(t, a.Covers(a), "reflexive")
			for _, b := range lists {
				for _, c := range lists {
					if a.Covers(b) == nil && b.Covers(c) == nil {
						require.NoError(t, a.Covers(c), "transitive")
					}
				}
				merged, err := r.Merge(a, b)
				require.NoError(t, err)
				require.NoError(t, merged.Covers(a), "a merge does not narrow")
				require.NoError(t, merged.Covers(b), "a merge has all of both")
				for _, d := range []rar.Details{a, b} {
					again, err := r.Merge(merged, d)
					require.NoError(t, err)
					require.True(t, slices.EqualFunc(merged, again, rar.Detail.Equal), "a merge is idempotent")
				}
				for _, d := range merged { // and nothing that is in neither
					if d.Type() == "c" || d.Type() == "n" || d.Type() == "limit" {
						require.True(t, a.Covers(rar.Details{d}) == nil || b.Covers(rar.Details{d}) == nil)
					}
				}
			}
		}
	})
}
