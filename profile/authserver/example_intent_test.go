package authserver_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/profiletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/profile/rules"
)

// consents are the consents that clients have made at an API of the bank, which
// is not part of the example.
type consents struct {
	mu     sync.Mutex
	client map[string]string // of a consent
	text   map[string]string
	used   map[string]string // the request that was approved with a consent
}

// intent is the Config.Intent of the bank. A bank with a database makes the
// same checks in one transaction.
func (c *consents) intent(_ context.Context, q *authserver.Intent) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client[q.ID] != q.Client.ClientID {
		return fmt.Errorf("%w: unknown, or of another client", authserver.ErrIntent)
	}
	if used := c.used[q.ID]; used != "" && used != q.RequestID {
		return fmt.Errorf("%w: used", authserver.ErrIntent)
	}
	if q.Approval { // the user has agreed
		c.used[q.ID] = q.RequestID
	}
	q.Content = c.text[q.ID]
	return nil
}

// The scope of a request names a consent that exists before, as in Brazil. The
// user sees the consent. The token contains the scope, so the API knows it. A
// second request with the same consent is rejected.
func ExampleConfig_intent() {
	stored := &consents{
		client: map[string]string{"C1": "app-1"}, text: map[string]string{"C1": "read the balance"},
		used: map[string]string{},
	}
	test := func(t testing.TB) {
		server := profiletest.NewServer(t, profiletest.ServerConfig{
			Change: func(cfg *authserver.Config) {
				cfg.Rules = &rules.Set{Name: "bank", Intent: &rules.Intent{Scope: "consent:", Required: true}}
				cfg.Intent = stored.intent
			},
			Decide: func(a *authserver.Authorization) (authserver.Approval, error) {
				fmt.Printf("%s asks: %v (consent %s)\n", a.Client().ClientID, a.Intent().Content, a.Intent().ID)
				return authserver.Approval{Subject: "alice", Scopes: a.ScopesFor(a.Choices(), nil)}, nil
			},
			API: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				token, _ := resourceserver.TokenFromContext(r.Context())
				for _, scope := range token.Scopes() {
					if id, ok := strings.CutPrefix(scope, "consent:"); ok {
						fmt.Fprintf(w, "the API applies %s", id)
					}
				}
			}),
		})
		app, err := client.New(t.Context(), server.ClientConfig(t, "https://app.example/callback"))
		if err != nil {
			t.Fatal(err)
		}
		request := client.Request{Scopes: []string{"accounts", "consent:C1"}}
		session, err := app.Begin(t.Context(), request)
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
		fmt.Println(string(body), err)
		_, err = app.Begin(t.Context(), request)
		fmt.Println(err)
	}
	t := &exampleTB{}
	defer t.end()
	test(t)
	// Output:
	// app-1 asks: read the balance (consent C1)
	// the API applies C1 <nil>
	// oauth2: "invalid_scope" "the scope names no usable consent"
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
