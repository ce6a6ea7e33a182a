package client_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"testing"

	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/profiletest"
	"github.com/gofapi/fapi2/rar/openbanking"
)

// A client with handlers of its own logs a user in and calls an API. Package
// profiletest stands for the bank and the browser.
func Example() {
	t := &exampleTB{}
	defer t.end()
	ctx, bank := t.Context(), profiletest.NewServer(t, profiletest.ServerConfig{})
	app, err := client.New(ctx, bank.ClientConfig(t, "https://app.example/callback"))
	if err != nil {
		t.Fatal(err)
	}
	session, err := app.Begin(ctx, client.Request{Scopes: []string{"openid", "accounts"}})
	if err != nil {
		t.Fatal(err)
	}
	callback := bank.Browse(t, session.URL) // the user approves
	token, err := app.Finish(ctx, session, callback.Query())
	if err != nil {
		t.Fatal(err)
	}
	api, err := app.HTTPClient(oauth2.StaticTokenSource(token))
	if err != nil {
		t.Fatal(err)
	}
	response, err := api.Get(bank.Resource + "/accounts")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	fmt.Println(client.Subject(token), response.StatusCode, string(body), err)
	// Output: alice 200 alice <nil>
}

// A client requests a payment, and reads the details that the user has granted.
func ExampleAuthorizationDetails() {
	t := &exampleTB{}
	defer t.end()
	types, err := openbanking.NewRegistry(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, bank := t.Context(), profiletest.NewServer(t, profiletest.ServerConfig{Types: types})
	app, err := client.New(ctx, bank.ClientConfig(t, "https://app.example/callback"))
	if err != nil {
		t.Fatal(err)
	}
	session, err := app.Begin(ctx, client.Request{AuthorizationDetails: json.RawMessage(`[{
		"type": "payment_initiation", "creditorName": "ACME", "instructedAmount": {"currency": "EUR", "amount": "12.34"}
	}]`)})
	if err != nil {
		t.Fatal(err)
	}
	token, err := app.Finish(ctx, session, bank.Browse(t, session.URL).Query())
	if err != nil {
		t.Fatal(err)
	}
	var granted []openbanking.Payment
	err = json.Unmarshal(client.AuthorizationDetails(token), &granted)
	fmt.Println(granted[0].InstructedAmount.Amount, "EUR to", granted[0].CreditorName, err)
	// Output: 12.34 EUR to ACME <nil>
}

// A client authenticates with its certificate, to which its tokens are bound
// too. It needs no other key.
func ExampleMutualTLS() {
	var certificate tls.Certificate // with its key, for example of tls.LoadX509KeyPair

	app, err := client.New(context.Background(), client.Config{
		Issuer: "https://as.bank.example", ClientID: "my-app", RedirectURI: "https://app.example/callback",
		MutualTLS: &client.MutualTLS{
			Certificate: &certificate, AuthMethod: "tls_client_auth", BindTokens: true,
		},
	})
	fmt.Println(app, err)
}

// An exampleTB is a testing.TB that ends the program if the test fails.
type exampleTB struct {
	testing.TB
	cleanups []func()
}

func (*exampleTB) Helper()                           {}
func (*exampleTB) Context() context.Context          { return context.Background() }
func (*exampleTB) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (*exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (t *exampleTB) Cleanup(f func())                { t.cleanups = append(t.cleanups, f) }

func (t *exampleTB) end() {
	for len(t.cleanups) > 0 {
		last := len(t.cleanups) - 1
		t.cleanups[last]()
		t.cleanups = t.cleanups[:last]
	}
}
