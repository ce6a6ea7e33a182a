// Package redisstore implements store.Store on Redis 6.2 or later, or Valkey: a
// single node, Sentinel or a Cluster.
//
// [New] receives a go-redis client of the host and checks the server. Each
// entry is one string: 8 bytes with the version, 8 random bytes that identify
// the write, and the value. Each operation touches one key.
//
// The clock of the server decides when an entry ends. Redis removes it 0.9
// seconds after its expiry. The entry therefore does not end too early while
// the clocks of the instances agree with that of the server within half a
// second. If the clock of the server is further ahead, writes fail with
// [ErrClock]. Clocks that are behind only prolong entries.
//
// The client may repeat a write whose response was lost. The store then
// recognizes its own write. If it cannot, it returns [ErrOutcome].
//
// Redis confirms a write before it is safe. A single node loses nothing with
// appendfsync always, up to two seconds with everysec, and everything at a
// restart without appendonly. At a failover of Sentinel or of a Cluster, the
// new master lacks the writes that it has not received. A lost entry can be
// added again: a used proof, assertion or code is then accepted twice.
//
// [Config.Replicas] limits that: a write succeeds only after so many replicas
// have it in memory. It survives a failover if the replica that is promoted is
// one of them. Nonces and short lifetimes of proofs limit the damage of a loss.
// Store codes, tokens and grants in a SQL database, and replays here:
//
//	config.Store = sql
//	config.Replay = redis
//
// The package does not encrypt and starts no goroutine. The host closes the
// client.
package redisstore
