package grants_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/gofapi/fapi2/grants"
)

// A fintech creates a grant, adds to it, looks at it and revokes it. Package
// profile plays the server's part, tokens included.
func Example() {
	ctx := context.Background()

	// The authorization server.
	manager, err := grants.NewManager(grants.ManagerConfig{
		Issuer: "https://as.example.com",
		Events: func(_ context.Context, e grants.Event) error {
			fmt.Println("audit:", e.Kind, e.New.ScopeValues(), "revoke the access tokens of", e.EndedAccess)
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	authorize := func(authorizationID, scope string, params url.Values) (grantID string) {
		request, _ := manager.Check(ctx, "fintech", params) // when it is pushed
		change, err := manager.Prepare(ctx, request, grants.Approval{
			AuthorizationID: authorizationID, Subject: "alice", Scopes: []grants.Scope{{Scope: scope}},
		}) // when Alice has consented
		if err != nil {
			return err.Error()
		}
		grant, _ := manager.Claim(ctx, change) // when the code is redeemed
		return grant.ID                        // for the token response
	}
	api, _ := grants.NewHandler(grants.HandlerConfig{
		Manager: manager, Path: "/grants",
		Authorize: func(*http.Request, string) (clientID, subject string, err error) { return "fintech", "", nil }, // see resourceserver.Server
	})
	as := httptest.NewTLSServer(api)
	defer as.Close()

	// The fintech.
	id := authorize("authorization-one", "accounts", url.Values{"grant_management_action": {"create"}})
	authorize("authorization-two", "payments", url.Values{"grant_management_action": {"merge"}, "grant_id": {id}})
	client, _ := grants.NewClient(grants.ClientConfig{Endpoint: as.URL + "/grants", HTTPClient: as.Client()})
	grant, err := client.Query(ctx, id)
	fmt.Println(grant.ScopeValues(), err)

	// The refresh token of the first authorization ended with the merge.
	_, err = manager.CheckRefresh(ctx, id, "authorization-one")
	fmt.Println(errors.Is(err, grants.ErrInactive))

	fmt.Println(client.Revoke(ctx, id))
	_, err = client.Query(ctx, id)
	fmt.Println(errors.Is(err, grants.ErrNotFound))
	// Output:
	// audit: created [accounts] revoke the access tokens of []
	// audit: merged [accounts payments] revoke the access tokens of []
	// [accounts payments] <nil>
	// true
	// audit: revoked [accounts payments] revoke the access tokens of [authorization-one authorization-two]
	// <nil>
	// true
}
