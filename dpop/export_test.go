package dpop

// NormalURL is the comparison form of a URL, whose properties are tested apart from proofs.
var NormalURL = normalTarget

// ChallengesNonce is what decides whether a request is repeated.
var ChallengesNonce = challengesNonce
