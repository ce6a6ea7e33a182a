package claims_test

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/gofapi/fapi2/claims"
)

// Select finds the requested claims among all claims of a user. The country has
// another value than the requested one, so the response omits it.
func ExampleSet_Select() {
	request, err := claims.Parse(`{"userinfo": {"email": null, "country": {"values": ["NO", "DK"]}}}`)
	if err != nil {
		panic(err)
	}
	user := map[string]any{"email": "alice@example.com", "country": "SE", "phone_number": "+46 1"}
	fmt.Println(request.UserInfo.Select(user))
	// Output: map[email:alice@example.com]
}

// Limit removes everything that a client did not request, also inside
// verified_claims.
func ExampleSet_Limit() {
	request, err := claims.Parse(`{"id_token": {"verified_claims": {
		"verification": {"trust_framework": {"value": "au_connectid"}}, "claims": {"over18": null}}}}`)
	if err != nil {
		panic(err)
	}
	limited := request.IDToken.Limit(map[string]json.RawMessage{
		"email": json.RawMessage(`"alice@example.com"`),
		"verified_claims": json.RawMessage(`{
			"verification": {"trust_framework": "au_connectid", "time": "2026-01-01T00:00Z"},
			"claims": {"over18": true, "birthdate": "1990-01-01"}}`),
	})
	text, err := json.Marshal(limited)
	fmt.Println(string(text), err)
	// Output: {"verified_claims":{"claims":{"over18":true},"verification":{"trust_framework":"au_connectid"}}} <nil>
}

// A client requested a tax number. It rejects an ID token that has another one.
func ExampleSet_Check() {
	request, err := claims.Parse(`{"id_token": {"cpf": {"essential": true, "value": "12345678909"}}}`)
	if err != nil {
		panic(err)
	}
	for _, cpf := range []string{`"12345678909"`, `"98765432100"`} {
		token := map[string]json.RawMessage{"cpf": json.RawMessage(cpf)} // usually an idtoken.Token
		err := request.IDToken.Check(func(name string) json.RawMessage { return token[name] })
		fmt.Println(errors.Is(err, claims.ErrValue))
	}
	// Output:
	// false
	// true
}
