package expiring

import (
	"math"
	"math/bits"
	"sync"
	"time"
)

// evictShares is how many counts an Add takes out at most, so that it does not
// pause for all owners whose entries expire at one time.
const evictShares = 64

// shares counts the entries of each owner in a [Set], which does not keep the
// owner with an entry. It keeps a count for each owner and time of expiry. That
// time is rounded up, by at most a quarter of the life of the entry. An owner
// therefore has a few counts, however many entries it has, and its share becomes
// free a little late and never early.
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

// take counts one entry. It returns [ErrShare] if the owner has entries, and with
// this one would have more than what is free.
func (s *shares) take(owner string, now, expires time.Time) (share, error) {
	sh := share{owner, round(now, expires)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now, evictShares)
	if !s.room(owner) {
		s.expire(now, math.MaxInt)
		if !s.room(owner) {
			return share{}, ErrShare
		}
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

// giveBack ends a share whose entry has not been recorded.
func (s *shares) giveBack(sh share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if counts := s.due[sh.until]; counts[sh.owner] > 0 {
		counts[sh.owner]--
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

// expire takes out at most n counts that are due.
func (s *shares) expire(now time.Time, n int) {
	for len(s.due) > 0 && s.first <= now.Unix() {
		counts := s.due[s.first]
		for owner, held := range counts {
			if n == 0 {
				return
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
}
