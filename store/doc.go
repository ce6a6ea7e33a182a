// Package store defines the storage contract of this module, and implements it
// in memory.
//
// Most hosts do not implement [Store]. They use [NewMemory] for one process. A
// host with a shared database implements three methods. Only [Store.Add] and
// [Store.Swap] write. Of several concurrent calls of Add on one key, or of Swap
// on one version, at most one succeeds. A code is therefore redeemed once, a
// permission used once and a session ended once, across all processes.
//
// Callers derive keys by hashing, with a prefix for the kind of entry and for
// the issuer, so one table serves all uses. A key does not disclose its input.
// Values may contain personal data. Protect a shared store like the host's own
// database.
//
// An [Index] lists the members of a set. It is optional. [Memory] has its
// methods as well.
//
// The package does not cache, does not encrypt and does not retry.
package store
