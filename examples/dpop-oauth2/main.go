// Command dpop-oauth2 adds DPoP (RFC 9449) to a program on golang.org/x/oauth2.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/jwks"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func main() {
	key, _, err := jwks.ParsePrivateKey(must(os.ReadFile("dpop.jwk")))
	if err != nil {
		log.Fatal(err)
	}
	prover := must(dpop.NewProver(dpop.ProverConfig{Key: key}))
	api := newClient(clientcredentials.Config{
		ClientID: os.Getenv("CLIENT_ID"), ClientSecret: os.Getenv("CLIENT_SECRET"), Scopes: []string{"rates"},
		TokenURL: "https://as.example/token", AuthStyle: oauth2.AuthStyleInHeader, // the default tries two styles
	}, must(dpop.NewTransport(dpop.TransportConfig{Prover: prover})))
	os.Stdout.Write(must(get(api, "https://api.example/rates")))
}

// get returns the response of the API.
func get(api *http.Client, url string) ([]byte, error) {
	response, err := api.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the API responded with status %s", response.Status)
	}
	return io.ReadAll(http.MaxBytesReader(nil, response.Body, 1<<20))
}

// newClient returns a client that adds a token and a new proof to each request.
func newClient(cfg clientcredentials.Config, transport http.RoundTripper) *http.Client {
	base := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, base)
	api := oauth2.NewClient(ctx, bound{cfg.TokenSource(ctx)})
	api.Timeout = base.Timeout
	return api
}

// A bound rejects tokens that the server has not bound to the key.
type bound struct{ oauth2.TokenSource }

func (b bound) Token() (*oauth2.Token, error) {
	token, err := b.TokenSource.Token()
	if err == nil && !strings.EqualFold(token.TokenType, "DPoP") {
		return nil, fmt.Errorf("token of type %q, want DPoP", token.TokenType)
	}
	return token, err
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
