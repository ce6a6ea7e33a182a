package memstore

// Touched returns the number of accesses to entries, buckets and deadlines.
func (m *Store) Touched() int {
	return m.table.entries.touched + m.table.heads.touched + m.due.touched + m.owners.touched
}

// Held returns the number of entries, including expired ones.
func (m *Store) Held() int { return m.used.entries }

// Places returns the number of entries and accounts for which the store has
// memory.
func (m *Store) Places() int { return m.table.entries.len + m.owners.len }

// SetVersion sets the version of an entry.
func (m *Store) SetVersion(text string, version uint32) {
	k, _ := parseKey(text)
	m.table.entry(m.table.find(&k)).version = version
}
