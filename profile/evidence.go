package profile

import (
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"time"
)

// Evidence is a signed message that was accepted or issued: what FAPI 2.0 Message Signing makes so that nobody can deny
// later what was asked, answered and told. A host that wants to prove it archives the message with the key that verifies it,
// as keys are rotated.
//
// MS-7-1: what is archived is personal and, while it is young, usable. Keep it where few can read it and nobody can change
// it, a log that only grows; no longer than the dispute that it is for can arise; and not at all what the law does not ask
// for. MS-6.4-1: what went through the browser, client_id and request_uri, is not part of it.
//
// It holds personal data and shows none when it is printed or logged.
type Evidence struct {
	// Kind is "request object" (RFC 9101), "authorization response" (JARM) or "introspection response" (RFC 9701).
	Kind string
	// Issued: we have signed it. Otherwise it was received and has passed every check.
	Issued bool
	// ClientID is the client that sent or gets it, or the resource server that asked; for an API, the client that uses the token.
	ClientID string
	// JWT is the message as it went over the wire, or what was inside if that was encrypted.
	JWT string
	// Key is the public key that verifies it, nil for one that was received from a server that publishes its keys.
	Key crypto.PublicKey
	// Time is when it was accepted or issued.
	Time time.Time
}

// String leaves the message out.
func (e Evidence) String() string {
	return fmt.Sprintf("%s, client %q, issued here: %t", e.Kind, e.ClientID, e.Issued)
}

// GoString is String.
func (e Evidence) GoString() string { return e.String() }

// LogValue is String.
func (e Evidence) LogValue() slog.Value { return slog.StringValue(e.String()) }

// Kinds of evidence.
const (
	evidenceRequest       = "request object"
	evidenceResponse      = "authorization response"
	evidenceIntrospection = "introspection response"
)

// hand gives evidence to a host that wants it. What cannot be archived must not take effect.
func (e Evidence) hand(ctx context.Context, hook func(context.Context, Evidence) error) error {
	if hook == nil {
		return nil
	}
	if err := hook(ctx, e); err != nil {
		return fmt.Errorf("%w: archiving a signed message: %w", ErrStore, err)
	}
	return nil
}
