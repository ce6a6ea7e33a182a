package jwks

// IsPublic is tested by itself where a connection would go out.
var IsPublic = isPublic
