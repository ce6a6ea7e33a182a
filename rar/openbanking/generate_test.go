package openbanking_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/rar"
)

// The generators draw from few values in many spellings. Two details are
// therefore often the same, and often one is narrower.

func pick(r *rand.Rand, list ...string) string { return list[r.IntN(len(list))] }

// generated returns an object with members in random order. It omits members
// whose value is "".
func generated(r *rand.Rand, pairs ...string) string {
	var members []string
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			members = append(members, fmt.Sprintf("%q%s:%s", pairs[i], pick(r, "", " ", "\n\t"), pairs[i+1]))
		}
	}
	r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return "{" + strings.Join(members, ",") + "}"
}

// some returns a list of some elements in random order, and sometimes "". If
// repeat is true, elements may be repeated.
func some(r *rand.Rand, repeat bool, list ...string) string {
	var chosen []string
	for _, element := range list {
		for range r.IntN(2) * (1 + r.IntN(2)) {
			chosen = append(chosen, element)
			if !repeat {
				break
			}
		}
	}
	if len(chosen) == 0 {
		return ""
	}
	r.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	return "[" + strings.Join(chosen, ",") + "]"
}

func locations(r *rand.Rand) string {
	return some(r, true, `"https://a.example"`, `"https:\/\/b.example"`)
}

func money(r *rand.Rand) string {
	switch r.IntN(4) {
	case 0:
		return generated(r, "currency", `"JPY"`, "amount", `"12"`)
	case 1:
		return generated(r, "currency", `"BHD"`, "amount", pick(r, `"12.5"`, `"12.50"`, `"12.500"`, `"\u0031"`))
	default:
		return generated(r, "currency", `"E\u0055R"`, "amount", pick(r, `"12.5"`, `"12.50"`, `"12"`, `"12.0"`, `"12.00"`))
	}
}

func dayOrNone(r *rand.Rand) string { return pick(r, "", `"2027-03-31"`, `"2027-04-01"`) }

func generatePayment(r *rand.Rand) string {
	return generated(r, "type", `"payment_initiation"`, "locations", locations(r), "actions", some(r, true, `"initiate"`, `"status"`, `"cancel"`),
		"instructedAmount", money(r), "creditorName", pick(r, `"ACME"`, `"\u0041CME"`), "creditorAccount", pick(r, "", ibanA),
		"debtorAccount", pick(r, "", ibanB, local), "endToEndIdentification", pick(r, "", `"1"`))
}

func generateInformation(r *rand.Rand) string {
	actions := some(r, true, `"list_accounts"`, `"read_balances"`, `"read_transactions"`)
	if actions == "" {
		actions = `["read_balances"]`
	}
	return generated(r, "type", `"account_information"`, "locations", locations(r), "actions", actions,
		"accounts", some(r, false, ibanA, ibanB, local, `{"bic":"MARKDEFF","iban":"DE02100100109307118603"}`), "validUntil", dayOrNone(r))
}

func generateRecurring(r *rand.Rand) string {
	limit := ""
	if r.IntN(2) == 0 {
		limit = generated(r, "period", pick(r, `"day"`, `"month"`), "maximum", generated(r, "currency", `"EUR"`, "amount", pick(r, `"60"`, `"60.00"`, `"70.0"`)))
	}
	return generated(r, "type", `"recurring_payment"`, "locations", locations(r), "creditorName", `"Gym"`, "creditorAccount", ibanA,
		"debtorAccount", pick(r, "", ibanB), "maximumAmount", generated(r, "currency", `"EUR"`, "amount", pick(r, `"30"`, `"30.0"`, `"30.00"`, `"29.9"`, `"29.90"`)),
		"periodLimit", limit, "maximumCount", pick(r, "", "1", "2"), "validFrom", pick(r, "", `"2027-01-01"`), "validUntil", pick(r, `"2027-03-31"`, `"2027-04-01"`))
}

func generateFunds(r *rand.Rand) string {
	maximum := ""
	if r.IntN(2) == 0 {
		maximum = money(r)
	}
	return generated(r, "type", `"funds_confirmation"`, "locations", locations(r), "account", pick(r, "", ibanA, ibanB),
		"maximumAmount", maximum, "validUntil", pick(r, `"2027-03-31"`, `"2027-04-01"`))
}

var generators = []func(r *rand.Rand) string{generatePayment, generateInformation, generateRecurring, generateFunds}

// requireLaws checks for three details of a type that all functions agree which
// of them are the same.
func requireLaws(t *testing.T, r *rar.Registry, texts [3]string) {
	var all rar.Details
	for _, text := range texts {
		d, err := r.Parse([]byte("["+text+"]"), r.Types())
		require.NoError(t, err, text)
		all = append(all, d...)
	}
	covers := func(a, b rar.Detail) bool { return rar.Details{a}.Covers(rar.Details{b}) == nil }
	for i, a := range all {
		require.True(t, covers(a, a) && a.Equal(a), "reflexive: %s", texts[i])
		for j, b := range all {
			pair := texts[i] + "\n" + texts[j]
			equal := a.Equal(b)
			require.Equal(t, equal, covers(a, b) && covers(b, a), "A3 equal is covering each other: %s", pair)
			require.Equal(t, equal, b.Equal(a), "symmetric: %s", pair)
			require.Equal(t, equal, a.Digest() == b.Digest(), "equal is one digest: %s", pair)
			one, err1 := a.Single()
			two, err2 := b.Single()
			require.Equal(t, err1 == nil, err2 == nil)
			if covers(a, b) {
				require.Equal(t, one, two, "narrowing makes no second permission: %s", pair)
			}
			merged, err := r.Merge(rar.Details{a}, rar.Details{b})
			require.NoError(t, err)
			if equal {
				require.Equal(t, rar.Details{a}, merged, "merging the same changes nothing: %s", pair)
				require.NoError(t, r.CheckGrant(rar.Details{a}, rar.Details{b}))
				require.Equal(t, a.Describe("en").Fields, b.Describe("en").Fields, "described alike: %s", pair)
			}
			for _, c := range all {
				require.False(t, covers(a, b) && covers(b, c) && !covers(a, c), "covering is transitive: %s", pair)
				require.False(t, a.Equal(b) && b.Equal(c) && !a.Equal(c), "sameness is transitive: %s", pair)
			}
		}
	}
}

// CASES A3: the spelling of amounts and lists does not matter.
func TestSameness(t *testing.T) {
	registry := newRegistry(t)
	r := rand.New(rand.NewPCG(3, 4))
	for _, generate := range generators {
		for range 600 {
			requireLaws(t, registry, [3]string{generate(r), generate(r), generate(r)})
		}
	}
}

func FuzzSameness(f *testing.F) {
	registry := newRegistry(f)
	f.Add(uint64(1), byte(0))
	f.Fuzz(func(t *testing.T, seed uint64, which byte) {
		r, generate := rand.New(rand.NewPCG(seed, 0)), generators[int(which)%len(generators)]
		requireLaws(t, registry, [3]string{generate(r), generate(r), generate(r)})
	})
}
