package claims_test

import (
	"fmt"

	"github.com/gofapi/fapi2/claims"
)

// An OpenID provider sends the claims that a client requested.
func Example() {
	request, err := claims.Parse(`{"id_token": {"email": {"essential": true}, "country": {"value": "NO"}}}`)
	if err != nil {
		return // invalid_request
	}
	user := map[string]any{"email": "alice@example.com", "country": "SE", "phone_number": "+46 1"}
	fmt.Println(request.IDToken.Select(user))
	// Output: map[email:alice@example.com]
}
