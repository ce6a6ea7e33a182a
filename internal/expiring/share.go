package expiring

import (
	"math"
	"math/bits"
	"sync"
	"time"
)

// evictShares is the maximum number of counts that one call removes. It bounds
// the pause when the entries of all owners expire at the same time.
const evictShares = 64

// shares counts the entries of each owner in a [Set], whose entries do not
// contain the owner. It keeps one count for each owner and time of expiry. It
// rounds that time up by at most a quarter of the entry's lifetime. An owner
// therefore has few counts, even with many entries. Its room becomes free a
// little late and never early.
type shares struct {
	mu        sync.Mutex
	max, used int
	owners    map[string]int
	due       map[int64]map[string]int // by second of expiry, then by owner
	first     int64                    // the earliest second in due
}

// A share is one counted entry.
type share struct {
	owner string
	until int64
}

// round returns the second of expiry under which an entry is counted.
func round(now, expires time.Time) int64 {
	life := max(expires.Unix()-now.Unix(), 1)
	width := int64(1) << max(bits.Len64(uint64(life))-3, 0)
	return expires.Unix()/width*width + width
}

// take counts one entry. It returns [ErrShare] if the owner already has entries
// and would then have more than the free room.
//
// While expired entries are still counted, the free room is not known, and take
// returns no error. Each such call counts one entry and frees the room of many.
func (s *shares) take(owner string, now, expires time.Time) (share, error) {
	sh := share{owner, round(now, expires)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if more := s.expire(now); !more && !s.room(owner) {
		return share{}, ErrShare
	}
	if s.owners == nil {
		s.owners, s.due, s.first = map[string]int{}, map[int64]map[string]int{}, sh.until
	}
	if s.due[sh.until] == nil {
		s.due[sh.until] = map[string]int{}
		s.first = min(s.first, sh.until)
	}
	s.due[sh.until][owner]++
	s.count(owner, 1)
	return sh, nil
}

// giveBack removes the share of an entry that was not recorded.
func (s *shares) giveBack(sh share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if counts := s.due[sh.until]; counts[sh.owner] > 0 {
		if counts[sh.owner]--; counts[sh.owner] == 0 {
			delete(counts, sh.owner)
		}
		s.count(sh.owner, -1)
	}
}

func (s *shares) room(owner string) bool {
	own := s.owners[owner]
	return own == 0 || own+1 <= s.max-s.used
}

func (s *shares) count(owner string, n int) {
	s.used += n
	if s.owners[owner] += n; s.owners[owner] == 0 {
		delete(s.owners, owner)
	}
}

// expire removes some of the counts that are due, and reports whether more are
// due.
func (s *shares) expire(now time.Time) (more bool) {
	n := evictShares
	for len(s.due) > 0 && s.first <= now.Unix() {
		counts := s.due[s.first]
		for owner, held := range counts {
			if n == 0 {
				return true
			}
			n--
			s.count(owner, -held)
			delete(counts, owner)
		}
		delete(s.due, s.first)
		s.first = math.MaxInt64
		for until := range s.due { // fewer than a hundred
			s.first = min(s.first, until)
		}
	}
	return false
}
