package authserver

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/internal/testkit"
)

// These tests are in the package, because the records have no exported form.

type encoder interface {
	decoder
	encode() []byte
}

type decoder interface{ decode(value []byte) error }

var recordKinds = []func() encoder{
	func() encoder { return new(codeRecord) },
	func() encoder { return new(refreshRecord) },
	func() encoder { return new(reference) },
	func() encoder { return new(pushedData) },
}

func randomRecord(t testing.TB, r *rand.Rand, empty func() encoder) encoder {
	record := empty()
	testkit.Fill(r, record)
	if code, ok := record.(*codeRecord); ok && r.IntN(2) == 0 {
		code.Change = new(grants.Change)
		text := `{"action":"merge","until":1700000000,"added":{"subject":"alice","data":{"a": "<"}}}`
		require.NoError(t, code.Change.UnmarshalJSON([]byte(text)))
	}
	return record
}

func TestRecordsAreReadAsTheyWereWritten(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for i, empty := range recordKinds {
		for range 1000 {
			want, got := randomRecord(t, random, empty), empty()
			value := want.encode()
			require.True(t, json.Valid(value))
			require.NoError(t, got.decode(value), "%s", value)
			if read, ok := got.(*reference); ok {
				read.members = nil
			}
			require.Equal(t, want, got)
			for j, other := range recordKinds[:2] { // the others have no kind
				require.Equal(t, i == j, other().decode(value) == nil)
			}
			requireStable(t, empty, testkit.Damage(random, value))
		}
	}
}

// requireStable requires that a value is malformed, or that it is written as it
// was read.
func requireStable(t *testing.T, empty func() encoder, value []byte) {
	t.Helper()
	first, second := empty(), empty()
	if err := first.decode(value); err != nil {
		require.ErrorIs(t, err, strictjson.ErrInvalid)
		return
	}
	require.NoError(t, second.decode(first.encode()), "%s", value)
	require.Equal(t, string(first.encode()), string(second.encode()))
}

func TestDamagedRecordsAreRejected(t *testing.T) {
	for _, tc := range []struct {
		name, record string
		to           decoder
	}{
		{"empty", ``, new(codeRecord)},
		{"null", `null`, new(codeRecord)},
		{"without a kind", `{"expires":1}`, new(codeRecord)},
		{"attack: the record of a refresh token", `{"kind":"refresh","expires":1,"grant":{"id":"x"}}`, new(codeRecord)},
		{"attack: the record of a code", `{"kind":"code","expires":1,"grant":{"id":"x"}}`, new(refreshRecord)},
		{"a member twice", `{"kind":"code","attempt":"a","attempt":""}`, new(codeRecord)},
		{"a member in another case", `{"kind":"code","attempt":"a","Attempt":""}`, new(codeRecord)},
		{"a null", `{"kind":"code","attempt":null}`, new(codeRecord)},
		{"a grant of another type", `{"kind":"code","grant":[]}`, new(codeRecord)},
		{"a member of the grant of another type", `{"kind":"code","grant":{"scopes":"a"}}`, new(codeRecord)},
		{"a time that is a text", `{"kind":"refresh","grant":{"ends":"2026-01-02T03:04:05Z"}}`, new(refreshRecord)},
		{"a fraction", `{"kind":"refresh","expires":1.5}`, new(refreshRecord)},
		{"details with a member twice", `{"kind":"refresh","grant":{"authorization_details":[{"a":1,"a":2}]}}`, new(refreshRecord)},
		{"another change", `{"kind":"code","change":[]}`, new(codeRecord)},
		{"a binding of another type", `{"v":1,"cnf":"x"}`, new(reference)},
		{"two records", `{"v":1}{"v":1}`, new(reference)},
	} {
		t.Run(tc.name, func(t *testing.T) { require.ErrorIs(t, tc.to.decode([]byte(tc.record)), strictjson.ErrInvalid) })
	}
}

func FuzzRecords(f *testing.F) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, empty := range recordKinds {
		for range 20 {
			f.Add(randomRecord(f, random, empty).encode())
		}
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, empty := range recordKinds {
			requireStable(t, empty, value)
		}
	})
}
