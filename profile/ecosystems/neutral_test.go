package ecosystems_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/profile/ecosystems"
)

// TestNoCodeKnowsAnEcosystem looks for values of the documents in the strings
// of all programs. An ecosystem is data, so a change of its text needs no code.
func TestNoCodeKnowsAnEcosystem(t *testing.T) {
	var values []string
	for _, name := range ecosystems.Names() {
		set := load(t, name)
		values = append(values, name)
		values = slices.Concat(values, set.ACR.Supported, set.TokenMembers, slices.Collect(maps.Keys(set.Claims.Top)))
		if set.Intent != nil && set.Intent.Claim != "" {
			values = append(values, set.Intent.Claim)
		}
	}
	files := 0
	require.NoError(t, filepath.WalkDir("../..", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files++
		ast.Inspect(parsed, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				for _, value := range values {
					require.NotContains(t, literal.Value, value, file)
				}
			}
			return true
		})
		return nil
	}))
	require.Greater(t, files, 200)
}
