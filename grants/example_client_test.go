package grants_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gofapi/fapi2/grants"
)

// A client queries and revokes a grant at a bank. Its http.Client adds the
// access token. Here the server is a stub.
func ExampleClient() {
	revoked := false
	bank := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case revoked:
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodDelete:
			revoked = true
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"scopes": [{"scope": "accounts", "resource": ["https://api.example.com"]}]}`)
		}
	}))
	defer bank.Close()
	client, err := grants.NewClient(grants.ClientConfig{Endpoint: bank.URL + "/grants", HTTPClient: bank.Client()})
	if err != nil {
		panic(err)
	}

	ctx, id := context.Background(), "TSdqirmAxDa0_-DB_1bASQ" // the grant_id of the token response
	grant, err := client.Query(ctx, id)
	fmt.Println(grant.ScopeValues("https://api.example.com"), err)
	fmt.Println(client.Revoke(ctx, id))
	_, err = client.Query(ctx, id)
	fmt.Println(errors.Is(err, grants.ErrNotFound))
	// Output:
	// [accounts] <nil>
	// <nil>
	// true
}
