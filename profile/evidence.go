package profile

import (
	"crypto"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// Evidence is a signed message that was accepted or issued: what FAPI 2.0
// Message Signing makes so that nobody can deny later what was asked, answered
// and told. A host that wants to prove it archives the message with the key
// that verifies it, as keys are rotated.
//
// MS-7-1: what is archived is personal and, while it is young, usable. Keep it
// where few can read it and nobody can change it, a log that only grows; no
// longer than the dispute that it is for can arise; and not at all what the law
// does not ask for. MS-6.4-1: what went through the browser, client_id and
// request_uri, is not part of it.
//
// It holds personal data and shows none when it is printed or logged.
type Evidence struct {
	// Kind is "request object" (RFC 9101), "authorization response" (JARM) or
	// "introspection response" (RFC 9701).
	Kind string
	// Issued: we have signed it. Otherwise it was received and has passed every
	// check.
	Issued bool
	// ClientID is the client that sent or gets it, or the resource server that
	// asked; for an API, the client that uses the token.
	ClientID string
	// JWT is the message as it went over the wire, or what was inside if that
	// was encrypted.
	JWT string
	// Key is the public key that verifies it, nil for one that was received
	// from a server that publishes its keys.
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

// Kinds of [Evidence].
const (
	EvidenceRequestObject         = "request object"
	EvidenceAuthorizationResponse = "authorization response"
	EvidenceIntrospection         = "introspection response"
)

// ErrEvidence reports that the Evidence function of a configuration failed. The
// message did not take effect. Its code is server_error, its status 503.
var ErrEvidence = oautherr.New("profile: evidence not archived", oautherr.ServerError, http.StatusServiceUnavailable, "try again later")
