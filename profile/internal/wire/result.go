package wire

import (
	"log/slog"
	"net/http"

	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/profile"
)

// These are the outcomes of a profile.Event.
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

// Unavailable reports whether the request can succeed later: a store or a key
// is unavailable, or a client has exceeded its share.
func Unavailable(err error) bool {
	_, _, status := oautherr.From(err)
	return err != nil && (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests)
}

// SetRetryAfter sets Retry-After if err is a temporary failure.
func SetRetryAfter(h http.Header, err error) {
	if Unavailable(err) {
		h.Set("Retry-After", "5") // REV-2.2.1-3
	}
}

// LogRejection logs the reason of a rejection for the operator. No error of
// this module contains a secret.
func LogRejection(logger *slog.Logger, r *http.Request, err error) {
	code, _, status := oautherr.From(err)
	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", status), slog.String("error", code),
		slog.String("reason", oautherr.Reason(err)), slog.String("detail", err.Error()),
	}
	if id := InteractionID(r); id != "" {
		attrs = append(attrs, slog.String("interaction_id", id))
	}
	logger.LogAttrs(r.Context(), level, "request rejected", attrs...)
}
