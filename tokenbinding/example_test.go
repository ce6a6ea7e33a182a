package tokenbinding_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gofapi/fapi2/tokenbinding"
)

// An authorization server binds a token to a DPoP key, and an API rejects the
// token without a proof. In this example the thumbprint takes the place of a
// verified proof.
func Example() {
	const thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

	// The authorization server, after it has verified the proof of the token request.
	binding, _ := tokenbinding.Bind(tokenbinding.Proof{JKT: thumbprint})
	cnf, _ := json.Marshal(binding)
	fmt.Println(binding.TokenType(), string(cnf))

	// The API has verified the token, which contains cnf.
	challenge := tokenbinding.Challenge{Algorithms: []string{"ES256"}}
	api := func(proof tokenbinding.Proof) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			presented, err := tokenbinding.FromRequest(r)
			if err != nil {
				challenge.WriteError(w, r, err)
				return
			}
			bound, err := tokenbinding.ParseConfirmation(cnf)
			if err == nil {
				err = bound.Check(presented.Scheme, proof)
			}
			if err != nil {
				challenge.WriteError(w, r, err)
			}
		}
	}

	// The client uses the token, and then an attacker does.
	call := func(scheme tokenbinding.Scheme, proof tokenbinding.Proof) {
		r, w := httptest.NewRequest("GET", "https://rs.example.com/", nil), httptest.NewRecorder()
		tokenbinding.Presented{Scheme: scheme, Token: "the-token"}.Set(r.Header)
		api(proof)(w, r)
		fmt.Println(w.Code, w.Header().Values("WWW-Authenticate"))
	}
	call(tokenbinding.DPoP, tokenbinding.Proof{JKT: thumbprint})
	call(tokenbinding.Bearer, tokenbinding.Proof{})
	// Output:
	// DPoP {"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}
	// 200 []
	// 401 [DPoP error="invalid_token", error_description="The access token is bound to a DPoP key", algs="ES256"]
}
