package idtoken

import "errors"

// Errors of [Verifier.Verify] and [Verifier.VerifyUserInfo]. They have no wire
// form, because a client sends no response to an ID token. After an error of
// Verify the client ends the flow. It uses neither the ID token nor the access
// token of the same response. After an error of VerifyUserInfo the client uses
// no claim of the response.
var (
	// ErrMalformed means that the token is not a compact JWT with strict JSON
	// inside, or is too long. It also means that a UserInfo response has
	// another Content-Type.
	ErrMalformed = errors.New("idtoken: malformed token")
	// ErrEncryption means that the token cannot be decrypted, for example
	// because it is encrypted to another key. It also means that the token is
	// not encrypted though the client requires it, or is encrypted though the
	// client has no decryption key.
	ErrEncryption = errors.New("idtoken: encryption missing or failed")
	// ErrAlgorithm means that the algorithm of the signature or of the
	// encryption is not accepted.
	ErrAlgorithm = errors.New("idtoken: algorithm not allowed")
	// ErrType means that the token is a JWT of another kind.
	ErrType = errors.New("idtoken: not an ID token")
	// ErrClaims means that a required claim is missing, or that a claim is
	// malformed.
	ErrClaims = errors.New("idtoken: claim missing or malformed")
	// ErrIssuer means that another issuer issued the token.
	ErrIssuer = errors.New("idtoken: wrong issuer")
	// ErrAudience means that the token is not for this client, or is also for a
	// party that the client does not trust.
	ErrAudience = errors.New("idtoken: wrong audience")
	// ErrAuthorizedParty means that the token was issued to another client
	// ("azp").
	ErrAuthorizedParty = errors.New("idtoken: wrong authorized party")
	// ErrExpired means that the token has expired.
	ErrExpired = errors.New("idtoken: token expired")
	// ErrIssuedAt means that "iat" is in the future, or too long ago for a
	// token of the current request.
	ErrIssuedAt = errors.New("idtoken: implausible time of issue")
	// ErrNonce means that the nonce differs from that of the request. It may be
	// missing, or present though the request had none.
	ErrNonce = errors.New("idtoken: wrong nonce")
	// ErrSubject means that the token is about another user than expected.
	ErrSubject = errors.New("idtoken: wrong subject")
	// ErrAuthentication means that the authentication of the user is too old or
	// has another class than the request requires.
	ErrAuthentication = errors.New("idtoken: insufficient user authentication")
	// ErrAccessToken means that the token belongs to another access token
	// ("at_hash").
	ErrAccessToken = errors.New("idtoken: wrong access token")
	// ErrSignature means that no key of the issuer verifies the signature, or
	// that a UserInfo response is not signed though the client requires it.
	ErrSignature = errors.New("idtoken: signature does not verify")
	// ErrUnavailable means that the keys of the issuer are unavailable. It
	// wraps the cause.
	ErrUnavailable = errors.New("idtoken: keys unavailable")
)
