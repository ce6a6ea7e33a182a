package authserver_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
)

// errArrangement is the response for an unknown arrangement, and for that of
// another client.
type errArrangement struct{}

func (errArrangement) Error() string { return "unknown arrangement" }
func (errArrangement) OAuthError() (code, description string) {
	return "invalid_arrangement", "the arrangement is unknown"
}
func (errArrangement) HTTPStatus() int { return http.StatusUnprocessableEntity }

// A client ends an arrangement, as the Consumer Data Right of Australia defines
// it. The host has put cdr_arrangement_id into the token response with
// Approval.TokenMembers, and has stored AuthorizationResponse.AuthorizationID.
func ExampleServer_ClientEndpoint() {
	key := newKey()
	keys, err := jwks.NewSet(jwks.Key{Public: key.Public(), KeyID: "client-key", Use: "sig"})
	if err != nil {
		log.Fatal(err)
	}
	server, err := authserver.New(authserver.Config{
		Issuer: "https://bank.example", Resources: []string{"https://api.bank.example"},
		Keys: []profile.SigningKey{{Key: newKey()}},
		Clients: func(_ context.Context, id string) (*profile.ClientMetadata, error) {
			return &profile.ClientMetadata{
				ClientID: id, JWKS: keys, TokenEndpointAuthMethod: "private_key_jwt", DPoPBoundAccessTokens: true,
				GrantTypes: []string{"client_credentials"},
			}, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	type arrangement struct{ clientID, authorizationID string }
	stored := map[string]arrangement{"arrangement-1": {"budget-app", "0123456789abcdefghijkl"}}

	revocation := server.ClientEndpoint(func(r *http.Request, q *authserver.ClientRequest) (http.Handler, error) {
		found, ok := stored[q.Param("cdr_arrangement_id")]
		if !ok || found.clientID != q.ClientID() {
			return nil, errArrangement{} // nothing is consumed
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := server.Withdraw(r.Context(), found.authorizationID); err != nil {
				server.WriteError(w, r, err)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		}), nil
	})
	mux := http.NewServeMux()
	mux.Handle("/arrangements/revoke", revocation)

	app, err := clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
		ClientID: "budget-app", Audience: "https://bank.example", Key: key, KeyID: "client-key",
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, id := range []string{"arrangement-2", "arrangement-1"} {
		form := url.Values{"cdr_arrangement_id": {id}}
		if err := app.Authenticate(context.Background(), form); err != nil {
			log.Fatal(err)
		}
		request := httptest.NewRequest("POST", "https://bank.example/arrangements/revoke", strings.NewReader(form.Encode()))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response := httptest.NewRecorder()
		mux.ServeHTTP(response, request)
		fmt.Println(id, response.Code)
	}
	revoked, err := server.Revoked(context.Background(), stored["arrangement-1"].authorizationID)
	fmt.Println(revoked, err)
	// Output:
	// arrangement-2 422
	// arrangement-1 204
	// true <nil>
}

func newKey() crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	return key
}
