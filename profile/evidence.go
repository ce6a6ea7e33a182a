package profile

import (
	"crypto"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// Evidence is a signed message that was accepted or issued. FAPI 2.0 Message
// Signing makes messages non-repudiable. To prove one later, a host archives it
// together with the key that verifies it, because keys are rotated.
//
// The archive has personal data, and recent messages can still be used. Store
// it append-only and with few readers. Delete a message when no dispute about
// it is possible, and archive only what the law requires (FAPI 2.0 Message
// Signing §7). The parameters in the browser, client_id and request_uri, are
// not part of it.
//
// Printing and logging omit the message. It is a plain value.
type Evidence struct {
	// Kind is EvidenceRequestObject, EvidenceAuthorizationResponse or
	// EvidenceIntrospection.
	Kind string
	// Issued means that this role signed the message. Otherwise the role
	// received it, and all checks have passed.
	Issued bool
	// ClientID is the client that sent or receives the message. For an
	// introspection response it is the resource server or, at the API, the
	// client that uses the token.
	ClientID string
	// JWT is the message as it was sent, decrypted if it was encrypted.
	JWT string
	// Key is the public key that verifies the message. It is nil if the message
	// came from a server that publishes its keys.
	Key crypto.PublicKey
	// Time is the time of acceptance or issuance.
	Time time.Time
}

// String omits the message.
func (e Evidence) String() string {
	return fmt.Sprintf("%s, client %q, issued here: %t", e.Kind, e.ClientID, e.Issued)
}

// GoString is String.
func (e Evidence) GoString() string { return e.String() }

// LogValue is String.
func (e Evidence) LogValue() slog.Value { return slog.StringValue(e.String()) }

// These are the kinds of [Evidence].
const (
	EvidenceRequestObject         = "request object"         // RFC 9101
	EvidenceAuthorizationResponse = "authorization response" // JARM
	EvidenceIntrospection         = "introspection response" // RFC 9701
)

// ErrEvidence reports that the Evidence function of a configuration failed. The
// message did not take effect. Its code is server_error, its status 503.
var ErrEvidence = oautherr.New("profile: evidence not archived",
	oautherr.ServerError, http.StatusServiceUnavailable, "try again later")
