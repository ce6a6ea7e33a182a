package grants_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// The documentation promises nothing for which an authorization request has no
// mechanism here.
func TestG12DocsHaveNoRecipesWithoutAHook(t *testing.T) {
	for _, file := range []string{"doc.go", "../docs/grant-management.md"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, name := range []string{"consent:", "openbanking_intent_id", "cdr_arrangement_id", "ConsentId"} {
			require.NotContains(t, string(text), name)
		}
	}
}
