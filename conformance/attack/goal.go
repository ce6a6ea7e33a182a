package attack

import "slices"

// A Goal is a security goal of the FAPI 2.0 Attacker Model §5.
type Goal string

// The goals have the names of the final text.
const (
	// Authorization means that no attacker accesses protected resources other
	// than its own (§5.2). It excludes the attacker's own resources.
	Authorization Goal = "authorization"
	// Authentication means that no attacker logs in at the client under the
	// identity of another user (§5.3). It excludes identities that the
	// attacker's authorization server has asserted, because they are the
	// attacker's.
	Authentication Goal = "authentication"
	// SessionIntegrity means that no attacker makes a user be logged in under
	// the attacker's identity or use the attacker's resources (§5.4). It
	// excludes identities of the attacker's authorization server if the user
	// has begun a login there.
	SessionIntegrity Goal = "session integrity"
)

// A Party is the owner of a connection.
type Party string

// The parties open connections. Servers that open none have no name.
const (
	User   Party = "user"   // browser of the honest user
	Client Party = "client" // client, a web application
	Foe    Party = "foe"    // attacker, with an own browser
)

// The accounts at the honest authorization server have these subjects.
const (
	Alice   = "alice"   // honest user
	Mallory = "mallory" // attacker
)

// A Kind is the kind of an [Event].
type Kind string

// The kinds are what the goals depend on.
const (
	// Began means that the party has begun a login at the issuer.
	Began Kind = "began"
	// LoggedIn means that the client has treated a request of the party as one
	// of the subject at the issuer.
	LoggedIn Kind = "logged in"
	// Delivered means that the party has received the resource of the subject.
	Delivered Kind = "delivered"
)

// An Event is an observation of an honest party.
type Event struct {
	// Kind is what has happened.
	Kind Kind
	// Party is the party that has sent the request.
	Party Party
	// Subject is the user that the client or the API has recognized. It is
	// empty for Began.
	Subject string
	// Issuer is the authorization server of the login. It is empty for
	// Delivered.
	Issuer string
}

// Broken returns the goals that the events contradict, in the order of the
// constants. honest is the issuer identifier of the honest authorization
// server.
func Broken(events []Event, honest string) (goals []Goal) {
	predicates := []struct {
		goal   Goal
		broken func(past []Event, e Event) bool
	}{
		{Authorization, func(_ []Event, e Event) bool {
			return e.Kind == Delivered && e.Party == Foe && e.Subject != Mallory
		}},
		{Authentication, func(_ []Event, e Event) bool {
			return e.Kind == LoggedIn && e.Party == Foe && e.Issuer == honest && e.Subject != Mallory
		}},
		{SessionIntegrity, func(past []Event, e Event) bool {
			switch {
			case e.Party != User:
				return false
			case e.Kind == Delivered:
				return e.Subject == Mallory
			case e.Kind != LoggedIn:
				return false
			case e.Issuer == honest:
				return e.Subject == Mallory
			}
			return !slices.Contains(past, Event{Kind: Began, Party: User, Issuer: e.Issuer})
		}},
	}
	for _, p := range predicates {
		for i, e := range events {
			if p.broken(events[:i], e) {
				goals = append(goals, p.goal)
				break
			}
		}
	}
	return goals
}
