package wire

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/gofapi/fapi2/internal/oautherr"
)

// InteractionHeader is the header field of interaction IDs.
const InteractionHeader = "X-Fapi-Interaction-Id"

// ErrInteractionID reports a request without an interaction ID.
var ErrInteractionID = oautherr.New("missing or malformed x-fapi-interaction-id", "invalid_request",
	http.StatusBadRequest, "x-fapi-interaction-id has to be one UUID")

// Settings of InteractionIDs in the configuration of a server. The empty
// setting is EchoInteractionIDs.
const (
	EchoInteractionIDs    = "echo"
	MakeInteractionIDs    = "make"
	RequireInteractionIDs = "require"
)

// InteractionIDsProblem returns what is wrong with a setting, or "".
func InteractionIDsProblem(setting string) string {
	switch setting {
	case "", EchoInteractionIDs, MakeInteractionIDs, RequireInteractionIDs:
		return ""
	}
	return fmt.Sprintf("unknown InteractionIDs %q, want echo, make or require", setting)
}

// InteractionID returns the interaction ID of a request, or "" if it has none.
// With several values it has none, because two readers could choose different
// ones.
func InteractionID(r *http.Request) string {
	if values := r.Header[InteractionHeader]; len(values) == 1 && isUUID(values[0]) {
		return values[0]
	}
	return ""
}

// Interact applies a setting to a request. If it makes an ID, the returned
// request has that in its header. Otherwise the returned request is r.
func Interact(r *http.Request, setting string) (*http.Request, error) {
	switch {
	case InteractionID(r) != "" || setting != MakeInteractionIDs && setting != RequireInteractionIDs:
		return r, nil
	case setting == RequireInteractionIDs:
		return r, ErrInteractionID
	}
	made := r.WithContext(r.Context())
	made.Header = r.Header.Clone()
	made.Header[InteractionHeader] = []string{NewUUID()}
	return made, nil
}

// SetInteractionID writes the ID of a request into the header of its response.
func SetInteractionID(h http.Header, r *http.Request) {
	if id := InteractionID(r); id != "" {
		h.Set(InteractionHeader, id)
	}
}

// NewUUID returns a random UUID (RFC 9562 §5.4).
func NewUUID() string {
	var id [16]byte
	rand.Read(id[:]) // never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	text := hex.EncodeToString(id[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

// isUUID reports whether s has the form of a UUID (RFC 9562 §4).
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'):
			return false
		}
	}
	return true
}
