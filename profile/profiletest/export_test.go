package profiletest

import (
	"context"

	"github.com/gofapi/fapi2/profile/authserver"
)

// FailingCodes returns the names of the checks that s fails as a store for codes.
func FailingCodes(ctx context.Context, s authserver.CodeStore) []string {
	return append(failing[values](ctx, valueChecks, s), failing(ctx, codeChecks, s)...)
}

// FailingRevocations returns the names of the checks that s fails as a store for revocations.
func FailingRevocations(ctx context.Context, s authserver.RevocationStore) []string {
	return failing(ctx, revocationChecks, s)
}

// failing runs the checks all at once, as most of the time goes by with waiting.
func failing[S any](ctx context.Context, checks []check[S], s S) (names []string) {
	failed := make([]bool, len(checks))
	together(len(checks), func(i int) { failed[i] = checks[i].run(ctx, s) != nil })
	for i, c := range checks {
		if failed[i] {
			names = append(names, c.name)
		}
	}
	return names
}
