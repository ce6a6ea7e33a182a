// Package message implements signed application messages: JSON objects as JSON
// Web Signatures (RFC 7515) with the claims iss, aud, iat, jti and exp of RFC
// 7519. Consent and payment APIs of open banking ecosystems use them as bodies
// of requests and responses.
//
// A sender signs a body with a [Signer] and sends the token as application/jwt.
// The recipient reads the token with [ReadBody] and checks it with a
// [Verifier]. Only a Verifier returns a [Message], whose members the recipient
// decodes. Package jwks provides the keys of the other party. A bank usually
// publishes its keys at its jwks_uri or in a directory. A client registers its
// keys.
//
// A signature proves the sender of a message. It does not prove that the
// message belongs to this request. The Verifier therefore requires the
// audience, a recent iat and a jti, and can reject a repeated jti. An API first
// checks the access token of the request, then the message. It compares the
// members of the body, for example the client and the consent, with the token.
// It requires members that other JWTs of the sender do not have, or a Type.
//
// The algorithms are ES256, PS256 and EdDSA. Encrypted messages, detached
// signatures (the header x-jws-signature of some ecosystems), the unencoded
// payloads of RFC 7797, and several signatures are not supported. HTTP Message
// Signatures (RFC 9421) are another mechanism.
package message

import "errors"

// MediaType is the Content-Type of a signed message.
const MediaType = "application/jwt"

// maxMessage bounds a message. A body with the transactions of a user may be
// large.
const maxMessage = 1 << 20

// Errors of [ReadBody] and [Verifier.Verify]. They have no wire form, because
// each API defines its own error responses.
var (
	// ErrMalformed means that the body is not one compact JWS with strict JSON
	// inside, or is too long.
	ErrMalformed = errors.New("message: malformed message")
	// ErrMediaType means that the Content-Type of the body is not
	// application/jwt.
	ErrMediaType = errors.New("message: wrong media type")
	// ErrAlgorithm means that the signature algorithm is not accepted.
	ErrAlgorithm = errors.New("message: algorithm not allowed")
	// ErrType means that the message is a JWT of another kind.
	ErrType = errors.New("message: not an application message")
	// ErrClaims means that a required claim is missing, or that a claim is
	// malformed.
	ErrClaims = errors.New("message: claim missing or malformed")
	// ErrIssuer means that the message names another sender.
	ErrIssuer = errors.New("message: wrong issuer")
	// ErrAudience means that the message is for another recipient.
	ErrAudience = errors.New("message: wrong audience")
	// ErrExpired means that the message has expired, or is not valid yet.
	ErrExpired = errors.New("message: message expired")
	// ErrIssuedAt means that iat is in the future or too long ago.
	ErrIssuedAt = errors.New("message: implausible time of issue")
	// ErrReplayed means that a message with the same jti was accepted before.
	ErrReplayed = errors.New("message: message replayed")
	// ErrReplayStore means that the replay store failed. It wraps the cause.
	ErrReplayStore = errors.New("message: replay store failed")
	// ErrSignature means that no key of the issuer verifies the signature.
	ErrSignature = errors.New("message: signature does not verify")
	// ErrUnavailable means that the keys of the issuer are unavailable. It
	// wraps the cause.
	ErrUnavailable = errors.New("message: keys unavailable")
)
