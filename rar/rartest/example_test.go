package rartest_test

import (
	"flag"
	"fmt"
	"math/big"
	"testing"

	"github.com/gofapi/fapi2/rar"
	"github.com/gofapi/fapi2/rar/rartest"
)

// A donation is a type of details with an upper limit.
type donation struct {
	rar.Common
	Most  string `json:"most"` // a decimal number
	Payee string `json:"payee"`
}

// euros returns an amount, or an error for a text that is not a number.
func euros(text string) (*big.Rat, error) {
	amount, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, rar.FieldError("most", "not a number")
	}
	return amount, nil
}

// The test of a type whose limit covers a lower limit to the same payee. Two
// spellings of an amount are one permission, because Normalize has one spelling
// for it.
func ExampleTestType() {
	donations, err := rar.TypeOf("donation", rar.TypeConfig[donation]{
		Check: func(d donation) error {
			_, err := euros(d.Most)
			return err
		},
		Normalize: func(d donation) donation {
			if most, err := euros(d.Most); err == nil {
				d.Most = most.FloatString(2)
			}
			return d
		},
		Covers: func(granted, requested donation) error {
			most, err := euros(granted.Most)
			if err != nil {
				return err
			}
			wanted, err := euros(requested.Most)
			if err != nil {
				return err
			}
			if wanted.Cmp(most) > 0 {
				return rar.FieldError("most", "more than granted")
			}
			if requested.Payee != granted.Payee {
				return rar.FieldError("payee", "another payee")
			}
			return granted.CoversCommon(requested.Common)
		},
	})
	if err != nil {
		panic(err)
	}
	sample := func(most, payee string) string {
		return fmt.Sprintf(`{"type":"donation","most":%q,"payee":%q}`, most, payee)
	}
	test := func(t *testing.T) {
		rartest.TestType(t, donations, rartest.Samples{
			Valid:    []string{sample("20", "museum"), sample("7.25", "zoo")},
			Invalid:  []string{`{"type":"donation","payee":"museum"}`, sample("a lot", "museum")},
			Narrower: [][2]string{{sample("20", "museum"), sample("9.50", "museum")}},
			Same:     [][2]string{{sample("20", "museum"), sample("20.0", "museum")}},
			Apart:    [][2]string{{sample("20", "museum"), sample("20", "zoo")}},
		})
	}
	fmt.Println("passed:", run("TestDonations", test))
	// Output: passed: true
}

// run runs a test inside an example, as go test does without -v.
func run(name string, test func(t *testing.T)) (passed bool) {
	verbose := flag.Lookup("test.v").Value.String()
	flag.Set("test.v", "false")
	defer flag.Set("test.v", verbose)
	all := func(_, _ string) (bool, error) { return true, nil }
	return testing.RunTests(all, []testing.InternalTest{{Name: name, F: test}})
}
