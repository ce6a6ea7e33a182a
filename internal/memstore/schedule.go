package memstore

import "time"

// A deadline is the expiry of an entry, without loss.
type deadline struct {
	sec  int64 // Unix time
	nsec int32
	id   int32 // of the entry
}

func newDeadline(t time.Time, id int32) deadline {
	return deadline{t.Unix(), int32(t.Nanosecond()), id}
}

func (d deadline) before(e deadline) bool { return d.sec < e.sec || d.sec == e.sec && d.nsec < e.nsec }

func (d deadline) expired(now time.Time) bool { return !newDeadline(now, 0).before(d) }

// children is the number of children in the heap. With four of them, the heap
// has half the levels, and children are in one or two cache lines.
const children = 4

// A schedule is a heap of deadlines, the next due first. Entries contain the
// places of their deadlines.
type schedule struct {
	array[deadline]
	table *table
}

// next returns the deadline that is due first. The schedule must not be empty.
func (s *schedule) next() deadline { return *s.at(0) }

func (s *schedule) of(id int32) *deadline { return s.at(int(s.table.entry(id).place)) }

func (s *schedule) add(d deadline) { s.up(s.push(), d) }

// move gives an entry another deadline.
func (s *schedule) move(d deadline) { s.fix(int(s.table.entry(d.id).place), d) }

func (s *schedule) remove(id int32) {
	i, last := int(s.table.entry(id).place), s.pop()
	if last.id != id {
		s.fix(i, last)
	}
}

func (s *schedule) put(i int, d deadline) {
	*s.at(i) = d
	s.table.entry(d.id).place = int32(i)
}

// fix replaces the deadline at i.
func (s *schedule) fix(i int, d deadline) {
	if i > 0 && d.before(*s.at((i - 1) / children)) {
		s.up(i, d)
	} else {
		s.down(i, d)
	}
}

func (s *schedule) up(i int, d deadline) {
	for i > 0 {
		above := (i - 1) / children
		parent := *s.at(above)
		if !d.before(parent) {
			break
		}
		s.put(i, parent)
		i = above
	}
	s.put(i, d)
}

func (s *schedule) down(i int, d deadline) {
	for {
		best, least := i, d
		for c := children*i + 1; c < min(children*i+1+children, s.len); c++ {
			if child := *s.at(c); child.before(least) {
				best, least = c, child
			}
		}
		if best == i {
			break
		}
		s.put(i, least)
		i = best
	}
	s.put(i, d)
}
