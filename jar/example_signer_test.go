package jar_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"

	"github.com/gofapi/fapi2/jar"
)

// A client signs its authorization request. The form to push has only the
// client_id and the request object, and the client adds its authentication.
func ExampleSigner() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	signer, err := jar.NewSigner(jar.SignerConfig{ClientID: "s6BhdRkqt3", Audience: "https://as.example.com", Key: key, KeyID: "2026-01"})
	if err != nil {
		panic(err)
	}
	form, err := signer.Form(url.Values{
		"response_type": {"code"}, "redirect_uri": {"https://client.example.org/cb"}, "scope": {"accounts"},
		"code_challenge": {"K2-ltc83acc4h0c9w6ESC_rEMTJ3bwwuCHaoeK1t8U_"}, "code_challenge_method": {"S256"},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(len(form), form.Get("client_id"), form.Has("request"), form.Has("scope"))
	// Output: 2 s6BhdRkqt3 true false
}

// An authorization server checks a request object, makes all other checks, and
// records the use of the object last. It keeps the object as evidence.
func ExampleVerifier() {
	ctx := context.Background()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	signer, _ := jar.NewSigner(jar.SignerConfig{ClientID: "s6BhdRkqt3", Audience: "https://as.example.com", Key: key})
	form, _ := signer.Form(url.Values{"response_type": {"code"}, "scope": {"accounts"}})

	verifier, err := jar.NewVerifier(jar.VerifierConfig{Issuer: "https://as.example.com"})
	if err != nil {
		panic(err)
	}
	client := jar.Client{ID: "s6BhdRkqt3", Keys: func(context.Context, string, string) ([]crypto.PublicKey, error) {
		return []crypto.PublicKey{key.Public()}, nil
	}}
	request, err := verifier.Check(ctx, client, form)
	if err != nil {
		panic(err)
	}
	// Here the server checks request.Params like the parameters of a plain form.
	fmt.Println(request.Params().Get("scope"), verifier.Commit(ctx, request))
	fmt.Println(request.Raw() == form.Get("request"), key.PublicKey.Equal(request.PublicKey())) // the evidence

	_, err = verifier.Check(ctx, jar.Client{ID: "another", Keys: client.Keys}, form)
	fmt.Println(errors.Is(err, jar.ErrForm))
	// Output:
	// accounts <nil>
	// true true
	// true
}
