package profile

import "time"

// An Event reports one finished request to the Observe function of a
// configuration. Observe is called after the response is known, for successes
// as for rejections, and it may be called concurrently. It must return quickly.
// An Event contains no secret and no personal data except ClientID.
type Event struct {
	// Endpoint is "pushed_authorization_request", "authorization", "token",
	// "introspection", "revocation", "userinfo", "grants", "resource", "host"
	// for an endpoint of an authorization server's host or, for a call of its
	// key source, "keys". A client reports the endpoint that it called, or
	// "jwks" and "metadata".
	Endpoint string
	// Outcome is "success", "rejected", "failed" if a store, a key or a peer
	// was unavailable, or "nonce_challenge" (RFC 9449 §8 and §9).
	Outcome string
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
	// Issuer is the authorization server of a client, and at a resource server
	// the issuer of a verified access token. An authorization server leaves it
	// empty. Client IDs of different issuers are different clients.
	Issuer string
	// ClientAuth is the client authentication method, for example
	// "private_key_jwt".
	ClientAuth string
	// Binding is the binding of the token: "DPoP", "mTLS", or "" if unknown.
	Binding string
	// InteractionID is the x-fapi-interaction-id of the request, if a client
	// sent one. It is for logs, and has too many values for metrics.
	InteractionID string
	// Duration is the time from the request to the response.
	Duration time.Duration
}
