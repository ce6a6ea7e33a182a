package par_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/gofapi/fapi2/par"
)

// An authorization server checks a pushed request, consumes the client
// assertion, and then stores the request. An invalid request consumes nothing.
func ExampleCheckedRequest() {
	ctx := context.Background()
	server, err := par.NewServer(par.ServerConfig{Check: func(_ context.Context, _ string, params url.Values) error {
		return par.CheckRedirectURI([]string{"https://app.example/cb"}, params.Get("redirect_uri"))
	}})
	if err != nil {
		panic(err)
	}
	for _, redirectURI := range []string{"https://app.example/cb", "https://attacker.example/cb"} {
		checked, err := server.Check(ctx, par.PushRequest{ClientID: "app", Params: url.Values{
			"client_id": {"app"}, "response_type": {"code"}, "redirect_uri": {redirectURI},
		}})
		if errors.Is(err, par.ErrRedirectURI) {
			fmt.Println("rejected")
			continue
		}
		// Here the server consumes the assertion: see clientauth.Verifier.Commit.
		pushed, err := server.Store(ctx, checked)
		fmt.Println(checked.Params().Get("redirect_uri"), pushed.ExpiresIn, err)
	}
	// Output:
	// https://app.example/cb 1m30s <nil>
	// rejected
}
