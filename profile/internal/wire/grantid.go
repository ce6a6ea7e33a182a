package wire

import "github.com/gofapi/fapi2/internal/jose"

// GrantIDLength is the length of the ID of an authorization: 16 random bytes in
// base64url.
const GrantIDLength = 22

// HasGrant reports whether a token ID has the form of the authorization server:
// the ID of its authorization, a dot, and its own ID.
func HasGrant(tokenID string) bool {
	return len(tokenID) == 2*GrantIDLength+1 && tokenID[GrantIDLength] == '.'
}

// RevocationKey returns the key of the store under which the revocation of an
// authorization is recorded. An issuer has no space in it.
func RevocationKey(issuer, grantID string) string {
	return jose.SHA256Base64("revocation ", issuer, " ", grantID)
}
