package resourceserver

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
)

// A stepUpError knows what the challenge has to say beside the error code.
type stepUpError struct {
	error
	demand accesstoken.StepUp
}

func (e *stepUpError) Unwrap() error { return e.error }

// CheckStepUp checks how and when the user has logged in (RFC 9470 §3). A token that does not say so meets no demand. The
// error, which matches [accesstoken.ErrInsufficientAuthentication], is for [Server.WriteError], which adds to the
// challenge what is demanded, so that the client can ask for an authorization that meets it.
func (t *Token) CheckStepUp(demand accesstoken.StepUp) error {
	refuse := func(format string, args ...any) error {
		return &stepUpError{fmt.Errorf("%w: "+format, append([]any{accesstoken.ErrInsufficientAuthentication}, args...)...), demand}
	}
	if acr := t.ACR(); len(demand.ACRValues) > 0 && (acr == "" || !slices.Contains(demand.ACRValues, acr)) {
		return refuse("acr is %.256q, want one of %q", acr, demand.ACRValues)
	}
	if demand.MaxAge == 0 {
		return nil
	}
	if t.AuthTime().IsZero() {
		return refuse("no auth_time")
	}
	if age := t.now().Sub(t.AuthTime()); age > demand.MaxAge {
		return refuse("authenticated %v ago, want at most %v", age.Round(time.Second), demand.MaxAge)
	}
	return nil
}

// stepUpParameters are those of a challenge for err: SU-3-2.
func stepUpParameters(err error) map[string]string {
	var e *stepUpError
	if !errors.As(err, &e) {
		return nil
	}
	parameters := make(map[string]string, 2)
	if len(e.demand.ACRValues) > 0 {
		parameters["acr_values"] = strings.Join(e.demand.ACRValues, " ")
	}
	if e.demand.MaxAge > 0 {
		parameters["max_age"] = strconv.FormatInt(int64(e.demand.MaxAge/time.Second), 10)
	}
	return parameters
}
