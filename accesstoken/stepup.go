package accesstoken

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const stepUpCode = "insufficient_user_authentication"

// StepUp is what a resource demands of how its user was authenticated (RFC 9470). The zero StepUp demands nothing. It may
// be shared, if nobody changes it.
type StepUp struct {
	// ACRValues are authentication context classes, the preferred one first. One of them must have been met. Empty: any.
	ACRValues []string
	// MaxAge is how long ago the user may have authenticated, in whole seconds. 0: as long as the token lives.
	MaxAge time.Duration
}

// CheckStepUp returns [ErrInsufficientAuthentication] if the user has to authenticate again for s. A token that does not
// say how or when its user authenticated meets no demand.
func (t *Token) CheckStepUp(s StepUp) error {
	if len(s.ACRValues) > 0 && (t.acr == "" || !slices.Contains(s.ACRValues, t.acr)) {
		return fmt.Errorf("%w: acr is %.256q, want one of %q", ErrInsufficientAuthentication, t.acr, s.ACRValues)
	}
	if s.MaxAge == 0 {
		return nil
	}
	if t.authTime.IsZero() {
		return fmt.Errorf("%w: no auth_time", ErrInsufficientAuthentication)
	}
	if age := t.now().Sub(t.authTime); age > s.MaxAge {
		return fmt.Errorf("%w: authenticated %v ago, want at most %v", ErrInsufficientAuthentication, age.Round(time.Second), s.MaxAge)
	}
	return nil
}

// Challenge returns the parameters of the challenge, for a WWW-Authenticate header after the scheme that was used, DPoP or
// Bearer, and a space. The status is 401. Characters that may not stand in such a parameter are left out of ACRValues.
func (s StepUp) Challenge() string {
	var b strings.Builder
	// SU-3-1: the code tells the client that another token of the same authentication will not do.
	b.WriteString(`error="` + stepUpCode + `", error_description="A different or more recent authentication is required"`)
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
	if r <= ' ' || r > '~' || r == '"' || r == '\\' {
		return -1
	}
	return r
}
