package attack

import (
	"errors"
	"slices"
)

// An Attacker is an attacker of the FAPI 2.0 Attacker Model §7.
type Attacker string

// The attackers have the names of the final text.
const (
	A1  Attacker = "A1"  // web attacker (§7.2)
	A1a Attacker = "A1a" // web attacker that takes part as an authorization server (§7.3)
	A3a Attacker = "A3a" // reads authorization requests (§7.5)
	A5  Attacker = "A5"  // reads requests to the resource server (§7.7)
)

// A Capability is one thing that an attacker can do.
type Capability string

// Every attacker has the capabilities of the web attacker: SendMessages,
// TakePart and SendLinks.
const (
	// SendMessages sends any request to any party.
	SendMessages Capability = "send messages"
	// TakePart uses an own browser and an own account at the authorization
	// server.
	TakePart Capability = "take part in flows"
	// SendLinks makes the browser of an honest user open a URL that the
	// attacker knows. The user completes what the pages request.
	SendLinks Capability = "send links"
	// RunAuthServer answers the requests to one of the authorization servers
	// that the client is registered at.
	RunAuthServer Capability = "run an authorization server"
	// ReadAuthorizationRequests reads the URLs that the browser of the user
	// sends to the authorization server.
	ReadAuthorizationRequests Capability = "read authorization requests"
	// ReadResourceRequests reads requests to the API after it has processed
	// them.
	ReadResourceRequests Capability = "read resource requests"
)

// ErrCapability means that an attacker used a capability that it does not have.
var ErrCapability = errors.New("attack: capability of another attacker")

// Capabilities returns what the attacker can do. It is empty for an unknown
// attacker.
func (a Attacker) Capabilities() []Capability {
	web := []Capability{SendMessages, TakePart, SendLinks}
	switch a {
	case A1:
		return web
	case A1a:
		return append(web, RunAuthServer)
	case A3a:
		return append(web, ReadAuthorizationRequests)
	case A5:
		return append(web, ReadResourceRequests)
	}
	return nil
}

// Can reports whether the attacker has a capability.
func (a Attacker) Can(c Capability) bool { return slices.Contains(a.Capabilities(), c) }
