package attack_test

import (
	"context"
	"fmt"
	"log"

	"github.com/gofapi/fapi2/conformance/attack"
)

// Every attack loses against the roles of this module.
func Example() {
	for _, s := range attack.Scripts() {
		w, err := attack.NewWorld(attack.Config{})
		if err != nil {
			log.Fatal(err)
		}
		result := s.Run(context.Background(), w)
		w.Close()
		fmt.Printf("%s: %s, %s broken: %t\n", s.Attacker, s.Name, s.Breaks, len(result.Broken) > 0)
	}
	// Output:
	// A1a: mix-up of two authorization servers, authorization broken: false
	// A1: attacker's code injected into the user's browser, session integrity broken: false
	// A1: browser swapping with the attacker's request_uri, authentication broken: false
	// A3a: second use of the user's request_uri, session integrity broken: false
	// A5: access token stolen from a resource request, authorization broken: false
	// A5: DPoP proof replayed with its access token, authorization broken: false
}
