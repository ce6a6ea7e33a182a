package profile

import "time"

// An Event reports one finished request to the Observe function of a
// configuration. Observe is called after the response is known, for successes
// as for rejections, and it may be called concurrently. It must return quickly.
// An Event contains no secret and no personal data except ClientID.
type Event struct {
	// Endpoint is "pushed_authorization_request", "authorization", "token",
	// "introspection", "revocation", "userinfo", "grants" or "resource". A
	// client reports the endpoint that it called, or "jwks" and "metadata".
	Endpoint string
	// Outcome is one of the Outcome constants.
	Outcome Outcome
	// GrantType is the grant_type of a token request.
	GrantType string
	// Code is the OAuth error code of a rejection or a failure.
	Code string
	// Reason is the text of one of the errors of this module, from a fixed set.
	// It never quotes a request.
	Reason string
	// ClientID is empty until the client is authenticated or its token
	// verified.
	ClientID string
	// ClientAuth is the client authentication method, for example
	// "private_key_jwt".
	ClientAuth string
	// Binding is what the token is bound to: "DPoP", "mTLS", or "" if unknown.
	Binding string
	// Duration is the time from the request to the response.
	Duration time.Duration
}

// An Outcome is how a request ended.
type Outcome uint8

// Outcomes of requests. A nonce challenge is part of the DPoP protocol, and
// therefore neither a success nor a rejection.
const (
	Success        Outcome = iota
	Rejected               // by a check
	Failed                 // because a store, a key or a peer was unavailable
	NonceChallenge         // RFC 9449 §8 and §9
)

// String returns "success", "rejected", "failed" or "nonce_challenge".
func (o Outcome) String() string {
	switch o {
	case Success:
		return "success"
	case Rejected:
		return "rejected"
	case Failed:
		return "failed"
	case NonceChallenge:
		return "nonce_challenge"
	}
	return "unknown"
}
