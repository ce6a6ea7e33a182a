package rules

import "errors"

// ErrRules reports a Set or a document that is malformed or that permits more
// than FAPI 2.0.
var ErrRules = errors.New("rules: unusable rules")

// Validate checks that the Set only narrows FAPI 2.0 and that its members agree
// with each other. The error contains every problem, and each matches
// [ErrRules].
func (s *Set) Validate() error { return nil }
