package client

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/gofapi/fapi2/claims"
	"github.com/gofapi/fapi2/idtoken"
)

// maxRequiredClaims bounds the requested values of claims in a session, which
// must fit into a cookie.
const maxRequiredClaims = 1 << 10

// requiredClaims returns the part of the parameter claims that requests values
// in the ID token. It is empty if there is none.
func requiredClaims(parameter string) (string, error) {
	request, err := claims.Parse(parameter)
	if err != nil {
		return "", fmt.Errorf("client: %w", err)
	}
	required := make(map[string]json.RawMessage)
	for name, claim := range request.IDToken {
		if claim.Values != nil {
			required[name] = claim.JSON
		}
	}
	if len(required) == 0 {
		return "", nil
	}
	encoded, err := json.Marshal(map[string]any{"id_token": required})
	if err != nil {
		return "", fmt.Errorf("client: %w", err)
	}
	if len(encoded) > maxRequiredClaims {
		return "", fmt.Errorf("client: claims with values: %d bytes, want at most %d", len(encoded), maxRequiredClaims)
	}
	return string(encoded), nil
}

// checkRequiredClaims checks an ID token against the result of requiredClaims.
// A claim that is essential or has one permitted value must not be absent.
// Otherwise the client would not notice that the server ignores the value, for
// example the ID of a consent.
func checkRequiredClaims(required string, token *idtoken.Token) error {
	request, err := claims.Parse(required)
	if err != nil {
		return fmt.Errorf("client: Claims of the session: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(request.IDToken)) {
		claim, value := request.IDToken[name], token.Claim(name)
		absent := value == nil || string(value) == "null"
		if absent && (claim.Essential || len(claim.Values) == 1) {
			return fmt.Errorf("%w: missing %.64q", claims.ErrValue, name)
		}
	}
	return request.IDToken.Check(token.Claim)
}
