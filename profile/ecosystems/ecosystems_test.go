package ecosystems_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/profile/ecosystems"
	"github.com/gofapi/fapi2/profile/rules"
)

// load returns the rules of a document.
func load(t testing.TB, name string) *rules.Set {
	t.Helper()
	set, err := ecosystems.Rules(name)
	require.NoError(t, err)
	return set
}

func TestDocuments(t *testing.T) {
	names := ecosystems.Names()
	require.True(t, slices.IsSorted(names))
	require.ElementsMatch(t, []string{
		"uae-cbuae", "au-connectid", "sa-ksa", "uk-obl", "au-cdr", "br-opf", "sg-singpass", "no-helseid",
	}, names)
	comment, err := os.ReadFile("ecosystems.go")
	require.NoError(t, err)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			set := load(t, name)
			require.Equal(t, name, set.Name, "a document has the name of its file")
			require.NotEmpty(t, set.Title)
			require.NotEmpty(t, set.Version)
			require.NotEmpty(t, set.Host)
			require.NotEmpty(t, set.Open)
			require.Contains(t, string(comment), "//   - "+name+": ", "the package comment lists the document")

			set.Name, set.Bindings = "changed", nil
			require.Equal(t, name, load(t, name).Name, "each call returns a Set of its own")
		})
	}
}

func TestUnknownName(t *testing.T) {
	for _, name := range []string{"", "UK-OBL", "uk-obl.json", "../ecosystems", "documents/uk-obl", strings.Repeat("x", 1000)} {
		_, err := ecosystems.Rules(name)
		require.ErrorIs(t, err, ecosystems.ErrUnknown)
		require.ErrorContains(t, err, "uk-obl")
		require.Less(t, len(err.Error()), 300)
		_, err = ecosystems.Document(name)
		require.ErrorIs(t, err, ecosystems.ErrUnknown)
	}
}
