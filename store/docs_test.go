package store_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStoresPage(t *testing.T) {
	page, err := os.ReadFile("../docs/stores.md")
	require.NoError(t, err)
	plain := func(text string) string { return strings.Join(strings.Fields(text), " ") }
	for _, statement := range []string{sqlAdd, sqlSwap} {
		require.Contains(t, plain(string(page)), plain(statement), "the page shows the statements of the example")
	}
}
