package memstore

// Touched returns the number of accesses to entries, buckets and deadlines.
func (m *Store) Touched() int {
	return m.table.entries.touched + m.table.heads.touched + m.due.touched
}

// Held returns the number of entries, including expired ones.
func (m *Store) Held() int { return m.used.entries }
