// Package wire holds what the roles of profile share and hosts do not need.
package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/rar"
)

// Grant types of token requests.
const (
	GrantAuthorizationCode = "authorization_code"
	GrantRefreshToken      = "refresh_token"
	GrantClientCredentials = "client_credentials"
)

// Outcomes of events.
const (
	Success        = "success"
	Rejected       = "rejected"
	Failed         = "failed"
	NonceChallenge = "nonce_challenge"
)

// SetResult sets the outcome, code and reason of an event. If err is nil, the
// outcome is a success.
func SetResult(e *profile.Event, err error) {
	if err == nil {
		e.Outcome = Success
		return
	}
	code, _, status := oautherr.From(err)
	e.Code, e.Reason = code, oautherr.Reason(err)
	switch {
	case code == "use_dpop_nonce":
		e.Outcome = NonceChallenge
	case status >= http.StatusInternalServerError:
		e.Outcome = Failed
	default:
		e.Outcome = Rejected
	}
}

// FutureSkew is how far ahead the times of a JWT may lie. FAPI 2.0 Security
// Profile §5.3.2.1 requires that 10 seconds pass and that 60 seconds do not.
// The value between them also suits a server whose own clock is a little slow.
const FutureSkew = 30 * time.Second // SP-5.3.2.1-13a, SP-5.3.2.1-13b

// IsNil reports whether v is nil or holds a nil pointer.
func IsNil(v any) bool {
	r := reflect.ValueOf(v)
	return v == nil || r.Kind() == reflect.Pointer && r.IsNil()
}

// CloneValues returns a deep copy.
func CloneValues(v url.Values) url.Values {
	out := make(url.Values, len(v))
	for name, all := range v {
		out[name] = slices.Clone(all)
	}
	return out
}

// Printable keeps to the characters that RFC 6749 §5.2 allows in error and
// error_description.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, text)
}

// Unavailable reports whether err is a failure that may pass in a moment: a
// store or a key is away, or a client has used up its share.
func Unavailable(err error) bool {
	_, _, status := oautherr.From(err)
	return err != nil && (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests)
}

// SetRetryAfter sets Retry-After for failures that pass.
func SetRetryAfter(h http.Header, err error) {
	if Unavailable(err) {
		h.Set("Retry-After", "5") // REV-2.2.1-3
	}
}

// LogRejection writes what an operator needs. No error of this module contains
// a secret.
func LogRejection(logger *slog.Logger, r *http.Request, err error) {
	code, _, status := oautherr.From(err)
	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	logger.LogAttrs(r.Context(), level, "request refused",
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", status), slog.String("error", code),
		slog.String("reason", oautherr.Reason(err)), slog.String("detail", err.Error()))
}

// KnownDetails parses those entries of an array of objects whose type is one of
// these.
func KnownDetails(registry *rar.Registry, raw json.RawMessage, types []string) (rar.Details, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var entries []json.RawMessage
	if err := strictjson.Decode(raw, &entries); err != nil {
		return nil, err
	}
	known := registry.Types()
	kept := make([]json.RawMessage, 0, len(entries))
	for _, entry := range entries {
		object, err := strictjson.ParseObject(entry)
		if err != nil {
			return nil, err
		}
		name, _, err := object.String("type")
		if err != nil {
			return nil, err
		}
		if slices.Contains(known, name) && slices.Contains(types, name) {
			kept = append(kept, entry)
		}
	}
	if len(kept) == 0 {
		return nil, nil
	}
	kept = slices.Clip(kept)
	array, err := json.Marshal(kept)
	if err != nil {
		return nil, err
	}
	return registry.Parse(array, known)
}

// Archive passes evidence to the Evidence function of a configuration, if there
// is one. A message that cannot be archived must not take effect.
func Archive(ctx context.Context, hook func(context.Context, profile.Evidence) error, e profile.Evidence) error {
	if hook == nil {
		return nil
	}
	if err := hook(ctx, e); err != nil {
		return fmt.Errorf("%w: %w", profile.ErrEvidence, err)
	}
	return nil
}

// GrantIDLength is the length of the ID of an authorization: 16 random bytes in
// base64url.
const GrantIDLength = 22

// HasGrant reports whether a token ID has the form of the authorization server:
// the ID of its authorization, a dot, and an ID of its own.
func HasGrant(tokenID string) bool {
	return len(tokenID) == 2*GrantIDLength+1 && tokenID[GrantIDLength] == '.'
}

// RevocationKey returns the key of the store under which the revocation of an
// authorization is recorded. An issuer has no space in it.
func RevocationKey(issuer, grantID string) string {
	return jose.SHA256Base64("revocation " + issuer + " " + grantID)
}
