package strictjson

import (
	"slices"
	"time"
)

// A Lenient reads members on which no check depends. A member that is null or
// has another type counts as absent. See the package documentation. A Lenient
// is not safe for concurrent use.
type Lenient struct {
	from    Object
	dropped []string
}

// Lenient returns a reader of the optional members of o.
func (o Object) Lenient() *Lenient { return &Lenient{from: o} }

// String returns a string, or "".
func (l *Lenient) String(name string) string { return optional(l, name, l.from.String) }

// Strings returns an array of strings, or nil. The whole array counts as absent
// if one element has another type.
func (l *Lenient) Strings(name string) []string { return optional(l, name, l.from.Strings) }

// Time returns a NumericDate (RFC 7519 §2), or the zero Time.
func (l *Lenient) Time(name string) time.Time { return optional(l, name, l.from.Time) }

// Drop records that a member counts as absent.
func (l *Lenient) Drop(name string) { l.dropped = append(l.dropped, name) }

// Dropped returns the members that had another type, sorted.
func (l *Lenient) Dropped() []string {
	slices.Sort(l.dropped)
	return slices.Clone(slices.Compact(l.dropped))
}

func optional[T any](l *Lenient, name string, read func(string) (T, bool, error)) T {
	value, _, err := read(name)
	if err != nil {
		l.Drop(name)
	}
	return value
}
