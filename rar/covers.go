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

// coverOne returns the reason why a detail is not permitted, or nil.
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
		// RAR-2.2-2: one detail permits all combinations of its values. Values
		// of two granted details must not be mixed.
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

// coversByDefault is the strict rule of [TypeConfig].Covers. It denies every
// member that it does not know.
func coversByDefault(granted, requested Detail) error {
	g, f := granted.compared()
	if f != nil {
		return f.reason
	}
	r, f := requested.compared()
	if f != nil {
		return f.reason
	}
	granting, requesting := g.Lookup(), r.Lookup()
	for i := range r.Members {
		name, want := r.Members[i].Name, &r.Members[i].Value
		have := granting(name)
		switch {
		case have == nil:
			return &fieldError{pathName(name)[1:], "was not granted"}
		case have.Equal(want):
		case !slices.Contains(setMembers[:], name):
			return &fieldError{pathName(name)[1:], "differs from the granted value"}
		default:
			some, ok1 := have.Strings()
			list, ok2 := want.Strings()
			if !ok1 || !ok2 || !narrows(some, list) {
				return &fieldError{name, "exceeds the granted list"}
			}
		}
	}
	for i := range g.Members { // an absent member may be a limit
		if name := g.Members[i].Name; requesting(name) == nil {
			return &fieldError{pathName(name)[1:], "is granted with a value and absent in the request"}
		}
	}
	return nil
}

// narrows reports whether list is a subset of set. An empty list narrows only
// an empty set, because some APIs read an empty list as "no restriction".
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

// CheckGrant checks the details that a server is about to grant. Each detail
// must be covered by a requested one, or must be an enrichment that its type
// permits (TypeConfig.Enriches). Together they must be small enough to be
// parsed again. A server may always grant less than requested, or nothing.
// CheckGrant does not count. The host makes sure that it does not grant one
// requested payment twice, from two accounts.
//
// The error is an [*Error] with the index among the granted details. It matches
// [ErrNotRequested], [ErrUnknownType] for a detail of another registry, or
// [ErrTooLarge].
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
		// RAR-7.1-1: enrichment only if the type permits it.
		if d.d != nil && d.d.typ == t && t.enriches != nil && t.enriches(d, granted) == nil {
			return nil
		}
	}
	f.kind = ErrNotRequested
	return f
}

// Enrich returns the requested details with the members that their types add
// (TypeConfig.Enrich). A server calls it before the consent, so that the user
// sees the details that will be granted. Details of types that add nothing are
// unchanged.
//
// The error is an [*Error]. It matches [ErrHook] if a type's function fails, or
// returns a detail that is invalid or not permitted by its type. It matches
// [ErrTooLarge] if the result is too large to be parsed again.
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
			f.reason = errors.New("Enrich returned a detail that Enriches does not permit")
			return nil, f.hook().at(i, d.Type())
		}
		enriched[i] = e
	}
	if err := r.fits(enriched); err != nil {
		return nil, err
	}
	return enriched, nil
}

// Merge returns details that permit everything that either of two lists
// permits. It never permits less than existing. Merging the same details again
// changes nothing. Merge drops details that others cover, and merges details
// where their type permits it (TypeConfig.Merge). It keeps all others (RFC 9396
// §11.2).
//
// The error is an [*Error] with the index among the added details. It matches
// [ErrTooLarge] if the result is too large to be parsed again, and
// [ErrUnknownType] for a detail of another registry. It matches [ErrHook] if a
// type merges two details into one that does not cover both.
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
		// Drop the details that the new one covers. Covering is transitive, so
		// nothing is lost.
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

// combine lets the type merge added with an existing detail. It returns the
// merged detail and the index of the existing one. If the type merges none, it
// returns added and -1.
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
		case t.covers(m, e) != nil || t.covers(m, added) != nil: // GM-8.2-1: a merge must not narrow
			return Detail{}, -1, failure(ErrHook, "Merge returned a detail that does not cover both")
		}
		return m, j, nil
	}
	return added, -1, nil
}

// concealed returns err as a plain error, if it is an [*Error]. The caller
// would otherwise report it as an error of the client.
func concealed(err error) error {
	if at := (*Error)(nil); errors.As(err, &at) {
		return errors.New(at.Error())
	}
	return err
}
