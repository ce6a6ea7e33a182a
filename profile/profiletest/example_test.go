package profiletest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/profiletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

// accounts is a handler behind a guard.
func accounts(w http.ResponseWriter, r *http.Request) {
	token, ok := resourceserver.TokenFromContext(r.Context())
	if !ok {
		http.Error(w, "no token", http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "accounts of %s for %s", token.Subject(), token.ClientID())
}

// newAPI is the API of a program. Its issuer is a parameter, so that a test can
// be one.
func newAPI(issuer resourceserver.Issuer) (http.Handler, error) {
	guard, err := resourceserver.New(resourceserver.Config{
		Resource: "https://api.example", Issuers: []resourceserver.Issuer{issuer},
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /accounts", guard.Require("accounts")(http.HandlerFunc(accounts)))
	return mux, nil
}

// A handler that reads the token from its context needs no guard in its test.
func ExampleWithToken() {
	test := func(t testing.TB) {
		r := httptest.NewRequest("GET", "https://api.example/accounts", nil)
		w := httptest.NewRecorder()
		accounts(w, r.WithContext(profiletest.WithToken(t, t.Context(), accesstoken.Claims{Subject: "bob"})))
		fmt.Println(w.Code, w.Body)
	}
	run(test)
	// Output: 200 accounts of bob for app
}

// The test of an API sends a good token, and one without the scope.
func ExampleIssuer_SetToken() {
	test := func(t testing.TB) {
		issuer := profiletest.NewIssuer(t, profiletest.IssuerConfig{})
		api, err := newAPI(resourceserver.Issuer{ID: issuer.ID(), Keys: issuer.Keys})
		if err != nil {
			t.Fatal(err)
		}
		for _, scope := range []string{"accounts", "payments"} {
			r := httptest.NewRequest("GET", "https://api.example/accounts", nil)
			issuer.SetToken(t, r, accesstoken.Claims{Scope: scope})
			w := httptest.NewRecorder()
			api.ServeHTTP(w, r)
			fmt.Println(scope, w.Code)
		}
	}
	run(test)
	// Output:
	// accounts 200
	// payments 403
}

// The test of a client logs a user in and calls the API.
func ExampleNewServer() {
	test := func(t testing.TB) {
		server := profiletest.NewServer(t, profiletest.ServerConfig{API: http.HandlerFunc(accounts)})
		app, err := client.New(t.Context(), server.ClientConfig(t, "https://app.example/callback"))
		if err != nil {
			t.Fatal(err)
		}
		session, err := app.Begin(t.Context(), client.Request{Scopes: []string{"accounts"}})
		if err != nil {
			t.Fatal(err)
		}
		token, err := app.Finish(t.Context(), session, server.Browse(t, session.URL).Query())
		if err != nil {
			t.Fatal(err)
		}
		bank, err := app.HTTPClient(oauth2.StaticTokenSource(token))
		if err != nil {
			t.Fatal(err)
		}
		response, err := bank.Get(server.Resource + "/accounts")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		fmt.Println(response.StatusCode, string(body), err)
	}
	run(test)
	// Output: 200 accounts of alice for app-1 <nil>
}

// run runs a test in an example, where there is no testing.T.
func run(test func(t testing.TB)) {
	t := &exampleTB{}
	defer t.end()
	test(t)
}

// An exampleTB is a testing.TB that ends the program if the test fails.
type exampleTB struct {
	testing.TB
	cleanups []func()
}

func (*exampleTB) Helper() {}

func (*exampleTB) Context() context.Context { return context.Background() }

func (*exampleTB) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

func (*exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (t *exampleTB) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

func (t *exampleTB) end() {
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
}
