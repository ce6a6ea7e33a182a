package grants

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/internal/testkit"
)

// These tests are in the package, because a record has no exported form.

func randomRecord(random *rand.Rand) *record {
	r := new(record)
	testkit.Fill(random, r)
	for i := range r.Authorizations {
		r.Authorizations[i].ID = newGrantID()
	}
	simplify := func(g *Grant) {
		for i := range g.History {
			g.History[i].Kind, g.History[i].Time = merged, g.History[i].Time.Truncate(time.Second)
		}
	}
	simplify(&r.Grant)
	for i := range r.Pending {
		simplify(&r.Pending[i].Old)
	}
	return r
}

func TestRecordIsReadAsItWasWritten(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		want := randomRecord(random)
		value := want.encode()
		require.True(t, json.Valid(value))
		got, err := decodeRecord(value)
		require.NoError(t, err, "%s", value)
		require.Equal(t, want, got)
		requireStable(t, testkit.Damage(random, value))

		var c, again Change
		testkit.Fill(random, &c.c)
		c.c.Added.History = nil
		text, err := json.Marshal(c)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &again))
		// encoding/json may have changed the spelling of the JSON in it.
		first, _ := c.MarshalJSON()
		second, _ := again.MarshalJSON()
		require.JSONEq(t, string(first), string(second))
		require.NoError(t, again.UnmarshalJSON(first))
		require.Equal(t, c, again)
	}
}

// requireStable requires that a value is malformed, or that it is written as it
// was read.
func requireStable(t *testing.T, value []byte) {
	t.Helper()
	first, err := decodeRecord(value)
	if err != nil {
		require.ErrorIs(t, err, strictjson.ErrInvalid)
		return
	}
	second, err := decodeRecord(first.encode())
	require.NoError(t, err, "%s", value)
	require.Equal(t, string(first.encode()), string(second.encode()))
}

func TestMalformedRecords(t *testing.T) {
	for _, bad := range []string{
		``, `null`, `[]`, `{}{}`, `{"grant":{"id":"a"},"grant":{"id":"b"}}`, `{"grant":{"id":"a","ID":"b"}}`, `{"grant":null}`, `{"grant":{"id":7}}`,
		`{"grant":{"scopes":["a"]}}`, `{"grant":{"version":1.5}}`, `{"grant":{"expires_at":"2026-01-02T03:04:05Z"}}`, `{"grant":{"data":{"a":1,"a":2}}}`,
		`{"authorizations":"id 1"}`, `{"authorizations":"id x 2"}`, `{"authorizations":["id"]}`, `{"grant":{"history":["1 2 merged"]}}`,
		`{"grant":{"history":["x 2 merged c"]}}`, `{"pending":{}}`, `{"pending":[1]}`, `{"pending":[{"old":{"extra":[]}}]}`,
	} {
		_, err := decodeRecord([]byte(bad))
		require.ErrorIs(t, err, strictjson.ErrInvalid, bad)
	}
	for _, bad := range []string{``, `null`, `{"added":[]}`, `{"until":"x"}`, `{"action":"merge","action":"create"}`} {
		c := Change{change{Action: actionMerge}}
		require.Error(t, c.UnmarshalJSON([]byte(bad)), bad)
		require.Zero(t, c)
	}
}

func FuzzRecord(f *testing.F) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		f.Add(randomRecord(random).encode())
	}
	f.Fuzz(requireStable)
}
