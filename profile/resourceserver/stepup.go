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

// A stepUpError has the parameters of the challenge.
type stepUpError struct {
	error
	demand accesstoken.StepUp
}

func (e *stepUpError) Unwrap() error { return e.error }

// CheckStepUp checks how and when the user authenticated (RFC 9470 §3). A token
// without this information meets no demand. The error matches
// [accesstoken.ErrInsufficientAuthentication]. [Server.WriteError] adds the
// demand to the challenge, so that the client can request an authorization that
// meets it.
func (t *Token) CheckStepUp(demand accesstoken.StepUp) error {
	reject := func(format string, args ...any) error {
		args = append([]any{accesstoken.ErrInsufficientAuthentication}, args...)
		return &stepUpError{fmt.Errorf("%w: "+format, args...), demand}
	}
	acr := t.ACR()
	if len(demand.ACRValues) > 0 && (acr == "" || !slices.Contains(demand.ACRValues, acr)) {
		return reject("acr is %.256q, want one of %q", acr, demand.ACRValues)
	}
	if demand.MaxAge == 0 {
		return nil
	}
	if t.AuthTime().IsZero() {
		return reject("no auth_time")
	}
	if age := t.server.cfg.Hooks.Now().Sub(t.AuthTime()); age > demand.MaxAge {
		return reject("authenticated %v ago, want at most %v", age.Round(time.Second), demand.MaxAge)
	}
	return nil
}

// stepUpParameters returns the parameters of a challenge for err: SU-3-2.
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
