// Package attack is the FAPI 2.0 Attacker Model as a program: a [World] of an
// authorization server, an API, a client and their users on TLS sockets, and an
// [Attacker] who tries to break a security [Goal].
//
// A [Script] is one attack. It receives an [Adversary] and can do only what its
// attacker can do: each method of the Adversary requires a [Capability], and
// returns [ErrCapability] to an attacker without it. A script does not decide
// whether it has won. [Broken] reads the events that the honest parties have
// recorded, and returns the goals that they contradict.
//
// The honest parties are the roles of this module, without an option that
// weakens them. A [Config] can put a handler in front of a party, or in its
// place. With it, a test takes one defence away and shows that the attack then
// wins. Without it, the attack must lose. Both results together show that the
// defence is necessary and works. [Scripts] returns the attacks of this
// package. [Limits] returns those that the protocol does not prevent.
//
// The attackers are A1, A1a, A3a and A5 of the final text. TLS is assumed to
// hold, as in §6 of the text, so a network attacker (A2) is not modelled. A4 is
// a client with a wrong token endpoint. The text keeps it for information only,
// because clients discover their endpoints.
//
// The package does not replace the formal analysis of FAPI 2.0. That analysis
// proves a model of the protocol. This package runs the code.
package attack
