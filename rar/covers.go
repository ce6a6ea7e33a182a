package rar

import (
	"context"
	"errors"
	"slices"
)

// Covers reports whether the granted details permit all requested details. It
// returns nil, or an [*Error] that matches [ErrNotCovered] for the first
// requested detail that is not permitted, with its index and type. One granted
// detail must cover a requested detail alone, by the rule of the type. The
// order of details does not matter. An empty list of requested details is an
// error. Otherwise a caller that lost its list would read the result as a
// permission.
//
// An authorization server calls Covers before it narrows a token (RFC 9396 §6).
// An API calls it before it serves a request. The API makes the requested
// detail with [Registry.New] from the operation that it is about to perform.
// Never pass a detail from the client's request: its actions and locations are
// only claims of the client.
func (granted Details) Covers(requested Details) error {
	if len(requested) == 0 {
		return failure(ErrNotCovered, "nothing is requested").at(-1, "")
	}
	for i, d := range requested {
		if f := granted.coverOne(d); f != nil {
			return f.at(i, d.Type())
		}
	}
	return nil
}

// Covering returns the granted detail that alone permits the requested detail.
// If several do, it returns the first of them. If none does, it returns the
// error that Covers returns for the requested detail alone.
func (granted Details) Covering(requested Detail) (Detail, error) {
	g, f := granted.cover(requested)
	if f == nil && g.d == nil {
		f = failure(ErrNotCovered, "covered only by several granted details together")
	}
	if f != nil {
		return Detail{}, f.at(0, requested.Type())
	}
	return g, nil
}

// coverOne says why a detail is not permitted.
func (granted Details) coverOne(requested Detail) *fault {
	_, f := granted.cover(requested)
	return f
}

// cover returns the granted detail that permits requested, or the zero Detail
// if only several granted details together permit it.
func (granted Details) cover(requested Detail) (Detail, *fault) {
	if requested.d == nil {
		return Detail{}, failure(ErrNotCovered, "Detail not made by a registry")
	}
	t := requested.d.typ
	var same []Detail
	var reason error
	for _, g := range granted {
		if g.d == nil || g.d.typ != t {
			continue
		}
		// RAR-2.2-2: one object is a product, several are a union. Values of two granted objects must not be mixed.
		if reason = t.covers(g, requested); reason == nil {
			return g, nil
		}
		same = append(same, g)
	}
	switch {
	case len(same) == 0:
		return Detail{}, failure(ErrNotCovered, "no granted detail of this type")
	case t.together != nil && t.together(same, requested) == nil:
		return Detail{}, nil
	case len(same) == 1:
		return Detail{}, hookFault(ErrNotCovered, reason)
	}
	return Detail{}, failure(ErrNotCovered, "not covered by any of %d granted details", len(same))
}

// coversByDefault is the rule of types that have none. It says no when it does not know.
func coversByDefault(granted, requested Detail) error {
	g, f := granted.compared()
	if f != nil {
		return f.reason
	}
	r, f := requested.compared()
	if f != nil {
		return f.reason
	}
	granting, requesting := lookup(g), lookup(r)
	for i := range r.Members {
		name, want := r.Members[i].Name, &r.Members[i].Value
		have := granting(name)
		switch {
		case have == nil:
			return &fieldError{pathName(name)[1:], "was not granted"}
		case equal(have, want):
		case !slices.Contains(setMembers[:], name):
			return &fieldError{pathName(name)[1:], "is not what was granted"}
		default:
			some, ok1 := have.Strings()
			list, ok2 := want.Strings()
			if !ok1 || !ok2 || !narrows(some, list) {
				return &fieldError{name, "has more than was granted"}
			}
		}
	}
	for i := range g.Members { // what is left out may be a limit
		if name := g.Members[i].Name; requesting(name) == nil {
			return &fieldError{pathName(name)[1:], "is not requested, but was granted with a value"}
		}
	}
	return nil
}

// narrows reports whether list is a subset of set. An empty list is not one of a set that has elements: there are APIs that
// take "none" for "no restriction".
func narrows(set, list []string) bool {
	if len(list) == 0 {
		return len(set) == 0
	}
	if len(set)*len(list) <= 64 {
		for _, s := range list {
			if !slices.Contains(set, s) { // RAR-12-2
				return false
			}
		}
		return true
	}
	have := make(map[string]bool, len(set))
	for _, s := range set {
		have[s] = true
	}
	return !slices.ContainsFunc(list, func(s string) bool { return !have[s] })
}

// CheckGrant reports whether a server may grant what it is about to grant: each detail is within one that was requested, or
// is an enrichment of one that its type permits (TypeConfig.Enriches), and together they can be parsed again. Granting
// less, or nothing, is always right (RAR-3-2). It does not count: that a payment which was requested once is not granted
// twice, from two accounts, is for the host to see to.
//
// It returns an [*Error] with the index among the granted details, matching [ErrNotRequested], [ErrUnknownType] when a
// detail is of another registry, or [ErrTooLarge].
func (r *Registry) CheckGrant(requested, granted Details) error {
	if err := r.fits(granted); err != nil {
		return err
	}
	for i, d := range granted {
		if f := requested.justify(d); f != nil {
			return f.at(i, d.Type())
		}
	}
	return nil
}

func (requested Details) justify(granted Detail) *fault {
	f := requested.coverOne(granted)
	if f == nil {
		return nil
	}
	t := granted.d.typ
	for _, d := range requested {
		// RAR-7.1-1: only if the type says so.
		if d.d != nil && d.d.typ == t && t.enriches != nil && t.enriches(d, granted) == nil {
			return nil
		}
	}
	f.kind = ErrNotRequested
	return f
}

// Enrich returns the requested details with what their types add to them by themselves (TypeConfig.Enrich), before the user
// is asked: what is shown is what will be granted. Details of types that add nothing are returned as they are.
//
// It returns an [*Error] that matches [ErrHook] when a type's function fails, returns something invalid, or something that
// its type does not permit; [ErrTooLarge] when the result could not be parsed again.
func (r *Registry) Enrich(ctx context.Context, requested Details) (Details, error) {
	enriched := slices.Clone(requested)
	for i, d := range requested {
		if d.d == nil || d.d.typ.enrich == nil {
			continue
		}
		e, err := d.d.typ.enrich(ctx, d)
		if err != nil {
			return nil, (&fault{kind: ErrHook, reason: concealed(err)}).at(i, d.Type())
		}
		if f := (Details{d}).justify(e); f != nil {
			return nil, (&fault{kind: ErrHook, path: f.path, reason: errors.New("Enrich returned what Enriches does not permit")}).at(i, d.Type())
		}
		enriched[i] = e
	}
	if err := r.fits(enriched); err != nil {
		return nil, err
	}
	return enriched, nil
}

// Merge returns what is permitted by either of two lists. It never permits less than existing did; merging the same details
// again changes nothing. Details that are covered by others are dropped, details that their type can merge are merged
// (TypeConfig.Merge), all others are kept side by side (RAR-11.2-2).
//
// It returns an [*Error] that matches [ErrTooLarge] when the result would not be parsed again, [ErrUnknownType] when a detail
// is of another registry, and [ErrHook] when a type merges two details into one that does not cover both. The index is one
// of added.
func (r *Registry) Merge(existing, added Details) (Details, error) {
	merged := slices.Clone(existing)
	for i, d := range added {
		if d.d == nil {
			return nil, failure(ErrUnknownType, "Detail not made by a registry").at(i, "")
		}
		if merged.coverOne(d) == nil {
			continue
		}
		one, at, f := merged.combine(d)
		if f != nil {
			return nil, f.at(i, d.Type())
		}
		// What the new one covers is superfluous; covering is transitive, so nothing is lost.
		rest := make(Details, 0, len(merged)+1)
		for j, e := range merged {
			if j != at && (e.d == nil || e.d.typ != one.d.typ || one.d.typ.covers(one, e) != nil) {
				rest = append(rest, e)
			}
		}
		merged = append(rest, one)
	}
	if err := r.fits(merged); err != nil {
		return nil, err
	}
	return merged, nil
}

// combine lets the type make one detail of added and one that is there, whose index it returns. Without such a detail the
// result is added and -1.
func (existing Details) combine(added Detail) (Detail, int, *fault) {
	t := added.d.typ
	if t.merge == nil {
		return added, -1, nil
	}
	for j, e := range existing {
		if e.d == nil || e.d.typ != t {
			continue
		}
		m, ok, err := t.merge(e, added)
		switch {
		case err != nil:
			return Detail{}, -1, &fault{kind: ErrHook, reason: concealed(err)}
		case !ok:
			continue
		case t.covers(m, e) != nil || t.covers(m, added) != nil: // GM-8.2-1: a merge that narrows would be no merge
			return Detail{}, -1, failure(ErrHook, "Merge returned what does not cover both")
		}
		return m, j, nil
	}
	return added, -1, nil
}

// concealed keeps an error of this package from being taken for the peer's mistake.
func concealed(err error) error {
	if at := (*Error)(nil); errors.As(err, &at) {
		return errors.New(at.Error())
	}
	return err
}
