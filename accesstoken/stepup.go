package accesstoken

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofapi/fapi2/internal/syntax"
)

const stepUpCode = "insufficient_user_authentication"

// A StepUp is the user authentication that a resource requires (RFC 9470). The
// zero StepUp requires nothing. It is safe for concurrent reading.
type StepUp struct {
	// ACRValues contains the accepted authentication context classes, the
	// preferred one first. If empty, every class is accepted.
	ACRValues []string
	// MaxAge is the maximum time since the user authenticated, in whole
	// seconds. If 0, only the lifetime of the token limits it.
	MaxAge time.Duration
}

// CheckStepUp returns [ErrInsufficientAuthentication] if the user must
// authenticate again for s. If s requires a class or an age and the token has
// no acr or auth_time, the check fails.
func (t *Token) CheckStepUp(s StepUp) error {
	if len(s.ACRValues) > 0 && (t.acr == "" || !slices.Contains(s.ACRValues, t.acr)) {
		return fmt.Errorf("%w: acr is %.256q, want one of %q", ErrInsufficientAuthentication, t.acr, s.ACRValues)
	}
	if s.MaxAge == 0 {
		return nil
	}
	if t.authTime.IsZero() {
		return fmt.Errorf("%w: missing auth_time", ErrInsufficientAuthentication)
	}
	if age := t.now().Sub(t.authTime); age > s.MaxAge {
		return fmt.Errorf("%w: authenticated %v ago, want at most %v", ErrInsufficientAuthentication,
			age.Round(time.Second), s.MaxAge)
	}
	return nil
}

// Challenge returns the parameters of the challenge. The caller writes them
// into a WWW-Authenticate header, after the scheme of the request (DPoP or
// Bearer) and a space, with status 401. Challenge removes the characters of
// ACRValues that such a parameter cannot contain.
func (s StepUp) Challenge() string {
	var b strings.Builder
	// SU-3-1: the code means that another token of the same authentication does
	// not suffice.
	b.WriteString(`error="` + stepUpCode + `"`)
	b.WriteString(`, error_description="A different or more recent authentication is required"`)
	var values []string
	for _, v := range s.ACRValues {
		if v = strings.Map(quotable, v); v != "" {
			values = append(values, v)
		}
	}
	if len(values) > 0 {
		b.WriteString(`, acr_values="` + strings.Join(values, " ") + `"`) // SU-3-2
	}
	if s.MaxAge > 0 {
		b.WriteString(`, max_age="` + strconv.FormatInt(int64(s.MaxAge/time.Second), 10) + `"`)
	}
	return b.String()
}

func quotable(r rune) rune {
	if syntax.IsNQChar(r) {
		return r
	}
	return -1
}
