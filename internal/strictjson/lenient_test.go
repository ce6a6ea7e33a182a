package strictjson_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/strictjson"
)

func TestLenient(t *testing.T) {
	o, err := strictjson.ParseObject(`{"s":"x","list":["a","b"],"date":7,"null":null,"number":1,"mixed":["a",null],"object":{}}`)
	require.NoError(t, err)
	l := o.Lenient()
	require.Equal(t, "x", l.String("s"))
	require.Equal(t, []string{"a", "b"}, l.Strings("list"))
	require.Equal(t, time.Unix(7, 0), l.Time("date"))
	require.Empty(t, l.String("null"))
	require.Empty(t, l.String("none"))
	require.Empty(t, l.Dropped(), "neither null nor an absent member is dropped")

	require.Empty(t, l.String("number"))
	require.Nil(t, l.Strings("mixed"), "no part of a list counts")
	require.Zero(t, l.Time("object"))
	require.Zero(t, l.Time("object"))
	l.Drop("another")
	require.Equal(t, []string{"another", "mixed", "number", "object"}, l.Dropped())
	raw, ok := o.Get("number")
	require.True(t, ok)
	require.Equal(t, json.RawMessage("1"), raw, "the object keeps what is dropped")
}

// A Lenient returns the value that the Object returns, or an empty one where
// the Object returns an error. It does not affect other members.
func FuzzLenient(f *testing.F) {
	for _, seed := range []string{`{"a":"x","b":"y"}`, `{"a":null}`, `{"a":7,"b":["x"]}`, `{"a":["x",1],"b":1e9}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, document string) {
		o, err := strictjson.ParseObject(document)
		if err != nil {
			return
		}
		before := map[string]string{}
		for _, name := range o.Names() {
			before[name], _ = o.Text(name)
		}
		l := o.Lenient()
		for _, name := range o.Names() {
			wantText, _, textErr := o.String(name)
			wantList, _, listErr := o.Strings(name)
			wantDate, _, dateErr := o.Time(name)
			require.Equal(t, wantText, l.String(name))
			require.Equal(t, wantList, l.Strings(name))
			require.Equal(t, wantDate, l.Time(name))
			if textErr != nil || listErr != nil || dateErr != nil {
				require.Contains(t, l.Dropped(), name)
			}
		}
		for name, value := range before {
			after, _ := o.Text(name)
			require.Equal(t, value, after)
		}
	})
}
