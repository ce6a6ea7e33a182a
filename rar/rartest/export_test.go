package rartest

import "github.com/gofapi/fapi2/rar"

// Failing returns the names of the checks that a type fails.
func Failing(typ *rar.Type, samples Samples) (names []string, err error) {
	k, err := prepare(typ, samples)
	if err != nil {
		return nil, err
	}
	for _, c := range checks {
		if k.run(c) != nil {
			names = append(names, c.name)
		}
	}
	return names, nil
}

// Checks returns the names of all checks.
func Checks() (names []string) {
	for _, c := range checks {
		names = append(names, c.name)
	}
	return names
}
