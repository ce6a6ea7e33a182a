package par

// NewMemoryStoreAt is NewMemoryStore with a clock.
var NewMemoryStoreAt = newMemoryStore
