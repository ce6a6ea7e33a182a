package jwks_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"

	"github.com/gofapi/fapi2/jwks"
)

// A program stores its signing key as a private JWK, and reads it when it
// starts again.
func ExampleMarshalPrivateKey() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	secret, err := jwks.MarshalPrivateKey(key, jwks.Key{KeyID: "2026-01"})
	if err != nil {
		panic(err)
	}
	// Here the program writes secret to a file that only the program can read.

	signer, public, err := jwks.ParsePrivateKey(secret)
	if err != nil {
		panic(err)
	}
	fmt.Println(key.PublicKey.Equal(signer.Public()), public.KeyID, public.Algorithm)
	// Output: true 2026-01 ES256
}

// The thumbprint of a DPoP key is the jkt of the tokens that are bound to it.
// The key is that of RFC 9449.
func ExampleThumbprint() {
	set, err := jwks.Parse([]byte(`{"keys": [{"kty": "EC", "crv": "P-256",
		"x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
		"y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}]}`))
	if err != nil {
		panic(err)
	}
	keys, err := set.Keys(context.Background(), "", "ES256")
	if err != nil {
		panic(err)
	}
	fmt.Println(jwks.Thumbprint(keys[0]))
	// Output: 0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I <nil>
}

// A client registered a URL that leads to a server inside the network. The
// second http.Client permits the addresses of a partner.
func ExamplePublicClient() {
	inside := httptest.NewServer(http.NotFoundHandler())
	defer inside.Close()

	client, err := jwks.PublicClient()
	if err != nil {
		panic(err)
	}
	_, err = client.Get(inside.URL)
	fmt.Println("rejected:", err != nil)

	client, err = jwks.PublicClient(netip.MustParsePrefix("127.0.0.0/8"))
	if err != nil {
		panic(err)
	}
	response, err := client.Get(inside.URL)
	if err != nil {
		panic(err)
	}
	response.Body.Close()
	fmt.Println("permitted:", response.StatusCode)
	// Output:
	// rejected: true
	// permitted: 404
}

// An authorization server rotates its keys without a restart. The new key is
// published together with the old one.
func ExampleCurrent() {
	oldKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	newKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	before, err := jwks.NewSet(jwks.Key{Public: oldKey.Public(), KeyID: "2026-01"})
	if err != nil {
		panic(err)
	}
	after, err := jwks.NewSet(
		jwks.Key{Public: oldKey.Public(), KeyID: "2026-01"}, jwks.Key{Public: newKey.Public(), KeyID: "2026-02"},
	)
	if err != nil {
		panic(err)
	}

	var set atomic.Pointer[jwks.Set]
	current := jwks.Current(func(context.Context) *jwks.Set { return set.Load() }) // the handler of the jwks_uri
	for _, next := range []*jwks.Set{before, after} {
		set.Store(next)
		keys, err := current.Keys(context.Background(), "2026-02", "ES256")
		fmt.Println(len(keys), err)
	}
	// Output:
	// 0 <nil>
	// 1 <nil>
}
