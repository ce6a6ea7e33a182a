// Package wire has the rules that several roles of profile share and that hosts
// do not need. They concern names on the wire, observation, logging, known
// authorization details, evidence and grant IDs.
package wire

import (
	"reflect"
	"time"
)

// These are the grant types of token requests.
const (
	GrantAuthorizationCode = "authorization_code"
	GrantRefreshToken      = "refresh_token"
	GrantClientCredentials = "client_credentials"
)

// FutureSkew is the accepted difference between a time in a JWT and the clock.
// FAPI 2.0 Security Profile §5.3.2.1 requires that 10 seconds are accepted and
// that more than 60 seconds are rejected. The value between them also suits a
// server with a slow clock.
const FutureSkew = 30 * time.Second // SP-5.3.2.1-13a, SP-5.3.2.1-13b

// IsNil reports whether v is nil or holds a nil pointer or a nil function.
func IsNil(v any) bool {
	r := reflect.ValueOf(v)
	return v == nil || (r.Kind() == reflect.Pointer || r.Kind() == reflect.Func) && r.IsNil()
}
