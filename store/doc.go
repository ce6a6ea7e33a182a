// Package store has the one contract for what the roles of this module keep, and
// an implementation of it in memory.
//
// Most hosts write no [Store]: they use [NewMemory] for one process, or one of the
// modules for shared databases. A host with another database implements three
// methods. [Store.Add] and [Store.Swap] are the only ones that write, and each has
// at most one winner, so that a host cannot write a race: a code is redeemed, a
// permission is used and a session is ended once, in whatever process.
//
// Callers derive keys by hashing, with a prefix for the kind of entry and for the
// issuer, so that one table serves all uses. A key discloses nothing of what it was
// derived from. Values may contain personal data; protect a shared store like the
// host's own database.
//
// The package does not cache, does not encrypt and does not retry.
package store
