package jwks

// IsPublic is tested alone, because a connection would leave the machine.
var IsPublic = isPublic
