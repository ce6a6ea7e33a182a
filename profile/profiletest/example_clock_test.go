package profiletest_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/profile/profiletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

// A test moves the clock past the end of a token. The API and the issuer have
// the same clock.
func ExampleClock() {
	test := func(t testing.TB) {
		clock := profiletest.NewClock()
		issuer := profiletest.NewIssuer(t, profiletest.IssuerConfig{Now: clock.Now})
		api, err := resourceserver.New(resourceserver.Config{
			Resource: "https://api.example", Hooks: resourceserver.Hooks{Now: clock.Now},
			Issuers: []resourceserver.Issuer{{ID: issuer.ID(), Keys: issuer.Keys}},
		})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "https://api.example/accounts", nil)
		issuer.SetToken(t, r, accesstoken.Claims{Lifetime: time.Minute})
		_, err = api.Verify(r)
		fmt.Println(err)

		clock.Advance(time.Minute)
		_, err = api.Verify(r)
		fmt.Println(errors.Is(err, accesstoken.ErrExpired))
	}
	run(test)
	// Output:
	// <nil>
	// true
}
