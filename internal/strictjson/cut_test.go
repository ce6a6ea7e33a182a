package strictjson_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/strictjson"
)

func TestCut(t *testing.T) {
	value, rest, err := strictjson.Cut([]byte(` {"a":1,"keys":[{"x":1,"x":2},null],"b\u003c":{"c":[2]}} `), "keys")
	require.NoError(t, err)
	require.Equal(t, `{"a":1,"b\u003c":{"c":[2]}}`, string(rest))
	entries, err := strictjson.Elements(value)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	require.Equal(t, `{"x":1,"x":2}`, string(entries[0]))

	value, rest, err = strictjson.Cut([]byte(`{}`), "keys")
	require.NoError(t, err)
	require.Nil(t, value)
	require.Equal(t, `{}`, string(rest))
	for _, array := range []string{"", "null", "{}", `"a"`} {
		_, err = strictjson.Elements([]byte(array))
		require.ErrorIs(t, err, strictjson.ErrInvalid)
	}
	for _, bad := range []string{
		``, `[]`, `{"keys":[],"keys":[]}`, `{"keys":[{"x":1,"x":2}],"KEYS":[]}`, `{"keys":[{"x":1,"x":2}],"a":1,"a":1}`,
		`{"keys":[],"a":{"x":1,"x":1}}`, `{"keys":[]}{}`, `{"keys":[}`, `{"keys":[{"x":1,"x":2,"x":3}],"b":1,"B":2}`,
	} {
		value, rest, err = strictjson.Cut([]byte(bad), "keys")
		require.ErrorIs(t, err, strictjson.ErrInvalid, bad)
		require.Nil(t, value)
		require.Nil(t, rest)
	}
}
