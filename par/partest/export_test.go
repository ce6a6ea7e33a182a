package partest

import (
	"context"

	"github.com/gofapi/fapi2/par"
)

// Failing returns the names of the checks that s fails.
func Failing(ctx context.Context, s par.Store) (names []string) {
	for _, c := range checks {
		if c.run(ctx, s) != nil {
			names = append(names, c.name)
		}
	}
	return names
}
