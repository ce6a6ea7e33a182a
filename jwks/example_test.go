package jwks_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log"
	"net/http/httptest"

	"github.com/gofapi/fapi2/jwks"
)

// An authorization server publishes its keys, and a resource server finds one
// of them.
func Example() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}

	// The authorization server: the set is the handler of its jwks_uri.
	set, err := jwks.NewSet(jwks.Key{Public: key.Public(), KeyID: "2026-01"})
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewTLSServer(set)
	defer server.Close()

	// The resource server: remote.Keys is the Keys function of its verifiers.
	remote, err := jwks.NewRemote(jwks.RemoteConfig{URL: server.URL, HTTPClient: server.Client()})
	if err != nil {
		log.Fatal(err)
	}
	for _, kid := range []string{"2026-01", "1999-12"} {
		keys, err := remote.Keys(context.Background(), kid, "ES256")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(kid, len(keys))
	}
	// Output:
	// 2026-01 1
	// 1999-12 0
}
