// Package redisstore implements store.Store and store.Index on Redis 6.2 or
// later, or Valkey: a single node, Sentinel or a Cluster.
//
// [New] receives a go-redis client of the host and checks the server. Each
// entry is one string: 8 bytes with the version, 8 random bytes that identify
// the write, and the value. The store recognizes its own write if the client
// repeats it after a lost response, or returns [ErrOutcome]. Each set of the
// index is one sorted set.
//
// The clock of the server decides. Redis removes an entry 0.9 seconds after its
// expiry, because clocks differ. If the server is more than half a second ahead
// of an instance, its writes fail with [ErrClock].
//
// Redis confirms a write before it is safe. A single node loses nothing with
// appendfsync always, up to two seconds with everysec, and everything at a
// restart without appendonly. At a failover of Sentinel or of a Cluster, writes
// are lost that the new master has not received. Their callers succeed again: a
// used proof, assertion or code is accepted twice. With [Config.Replicas], a
// write succeeds only after so many replicas have it in memory. It is safe if
// one of them is promoted. Nonces and short lifetimes limit the damage. Store
// codes, tokens and grants in a SQL database, and replays here:
//
//	config.Store = sql
//	config.Replay = replays
//
// The package does not encrypt. The host closes the client.
package redisstore
