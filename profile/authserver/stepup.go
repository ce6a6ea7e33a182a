package authserver

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofapi/fapi2/profile/internal/wire"
)

// maxAge is the largest max_age in seconds. Larger values are reduced to it.
const maxAge = 100 * 365 * 24 * 60 * 60

// parseMaxAge reads max_age (OpenID Connect Core §3.1.2.1), a number of
// seconds; ok is false if there is none.
func parseMaxAge(value string) (seconds int64, ok bool, err error) {
	if value == "" {
		return 0, false, nil
	}
	number, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return 0, false, fmt.Errorf("%w: malformed max_age %.32q", ErrParameter, value)
	}
	return int64(min(number, maxAge)), true, nil
}

// MaxAge returns the max_age of the request, the greatest permitted age of the
// login (OpenID Connect Core §3.1.2.1). It is in whole seconds, and ok is false
// without max_age. [Server.Approve] checks it. The value 0 requires a new
// login.
func (a *Authorization) MaxAge() (age time.Duration, ok bool) {
	seconds, ok, err := parseMaxAge(a.request.Get("max_age"))
	return time.Duration(seconds) * time.Second, ok && err == nil // it was checked when it was pushed
}

// ACRValues returns the authentication context classes that the client asks
// for, the preferred one first (OpenID Connect Core §3.1.2.1): see
// [Config.ACRValues].
func (a *Authorization) ACRValues() []string { return strings.Fields(a.request.Get("acr_values")) }

// checkLogin holds an approval to what the request demands of the user's login.
func (s *Server) checkLogin(a *Authorization, approval Approval) error {
	limit, ok, err := parseMaxAge(a.request.Get("max_age"))
	if err != nil {
		return err
	}
	if ok && approval.AuthTime.IsZero() {
		return errors.New("authserver: approval: AuthTime is required when the client sent max_age")
	}
	now, login := s.cfg.Hooks.Now().Unix(), approval.AuthTime.Unix()
	if ok && now-login > limit && login < a.pushed {
		// A login since the client asked is what it asked for, however long the
		// user then reads the page for consent.
		return fmt.Errorf("%w: the user logged in %d s ago, and max_age is %d", errMaxAge, now-login, limit)
	}
	// A time that no token can contain is rejected here, because the token
	// endpoint could not report it to the host.
	if !approval.AuthTime.IsZero() && approval.AuthTime.Unix() <= 0 {
		return errors.New("authserver: approval: AuthTime is before 1970")
	}
	if approval.AuthTime.After(s.cfg.Hooks.Now().Add(wire.FutureSkew)) {
		return errors.New("authserver: approval: AuthTime is in the future")
	}
	// SU-5-1: otherwise the API would reject the token again.
	wanted := a.ACRValues()
	if len(s.cfg.ACRValues) > 0 && len(wanted) > 0 && (approval.ACR == "" || !slices.Contains(wanted, approval.ACR)) {
		return fmt.Errorf("%w: acr is %.128q, and the client asks for one of %.512q",
			unmetACR(a.rules), approval.ACR, wanted)
	}
	if err := a.checkACRRule(approval); err != nil {
		return err
	}
	return a.checkClaims(approval)
}
