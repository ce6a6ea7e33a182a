package idtoken

import "errors"

// What [Verifier.Verify] can find. All are local: nothing of an ID token is answered to a peer. A client that meets one of
// them ends the flow and uses neither the ID token nor the access token that came with it.
var (
	// ErrMalformed says that the token is not a JWS in compact serialization with strict JSON inside, or is too long.
	ErrMalformed = errors.New("idtoken: malformed token")
	// ErrAlgorithm says that the token is signed by an algorithm that is not allowed.
	ErrAlgorithm = errors.New("idtoken: algorithm not allowed")
	// ErrType says that the token is a JWT of another kind.
	ErrType = errors.New("idtoken: not an ID token")
	// ErrClaims says that a required claim is missing, or that a claim has not the form it must have.
	ErrClaims = errors.New("idtoken: claim missing or malformed")
	// ErrIssuer says that the token is of another issuer.
	ErrIssuer = errors.New("idtoken: wrong issuer")
	// ErrAudience says that the token is not for this client, or also for somebody who is not trusted.
	ErrAudience = errors.New("idtoken: wrong audience")
	// ErrAuthorizedParty says that the token was issued to another client ("azp").
	ErrAuthorizedParty = errors.New("idtoken: wrong authorized party")
	// ErrExpired says that the token has expired.
	ErrExpired = errors.New("idtoken: token expired")
	// ErrIssuedAt says that the token is from the future, or too old to be the answer to what was just asked.
	ErrIssuedAt = errors.New("idtoken: unlikely time of issue")
	// ErrNonce says that the nonce is not the one of the request: missing, other, or there without having been sent.
	ErrNonce = errors.New("idtoken: wrong nonce")
	// ErrSubject says that the token is about another user than expected.
	ErrSubject = errors.New("idtoken: wrong subject")
	// ErrAuthentication says that the user was not authenticated recently enough or not by the means that were asked for.
	ErrAuthentication = errors.New("idtoken: insufficient user authentication")
	// ErrAccessToken says that the token belongs to another access token ("at_hash").
	ErrAccessToken = errors.New("idtoken: wrong access token")
	// ErrSignature says that no key of the issuer verifies the token.
	ErrSignature = errors.New("idtoken: signature does not verify")
	// ErrUnavailable says that the issuer's keys could not be obtained. It wraps the cause.
	ErrUnavailable = errors.New("idtoken: keys unavailable")
)
