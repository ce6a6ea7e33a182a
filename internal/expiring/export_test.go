package expiring

// Counts returns the number of counts of owners.
func (s *Set) Counts() (n int) {
	for _, counts := range s.shares.due {
		n += len(counts)
	}
	return n
}
