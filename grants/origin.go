package grants

// An Origin names the authorization and the managed grant that a token comes
// from. It is zero for an unknown token.
type Origin struct {
	// AuthorizationID is the identifier of the authorization, as in
	// [Approval.AuthorizationID].
	AuthorizationID string
	// GrantID is the identifier of the live grant that the token belongs to. It
	// is empty if there is none, and if the grant of the token is not known.
	GrantID string
	// Refresh is true if the token is a refresh token.
	Refresh bool
}
