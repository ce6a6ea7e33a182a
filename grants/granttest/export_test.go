package granttest

import (
	"context"

	"github.com/gofapi/fapi2/grants"
)

// Failing returns the names of the checks that s fails. They run side by side, since some wait for an expiry.
func Failing(ctx context.Context, s grants.Store) (names []string) {
	errs := make([]error, len(checks))
	together(len(checks), func(i int) { errs[i] = checks[i].run(ctx, s) })
	for i, err := range errs {
		if err != nil {
			names = append(names, checks[i].name)
		}
	}
	return names
}

// Fails reports whether s fails a check, by name, within a number of times.
func Fails(ctx context.Context, s grants.Store, name string, times int) bool {
	for _, c := range checks {
		for i := 0; c.name == name && i < times; i++ {
			if c.run(ctx, s) != nil {
				return true
			}
		}
	}
	return false
}
