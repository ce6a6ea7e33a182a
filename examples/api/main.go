// Command api is an API whose access tokens are useless to a thief. Each token
// is bound to a key, and each request proves possession of the key.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"net/http"
	"time"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

func main() {
	resource := flag.String("resource", "https://api.example", "`URL` of this API, as clients see it")
	issuer := flag.String("issuer", "https://as.example", "`issuer` whose tokens are accepted")
	listen := flag.String("listen", ":8443", "`address` of the socket")
	cert := flag.String("cert", "api.crt", "`file` with the certificate of this API")
	key := flag.String("key", "api.key", "`file` with the key of the certificate")
	flag.Parse()

	handler, err := newAPI(*resource, resourceserver.Issuer{ID: *issuer}) // its metadata name its keys
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Addr: *listen, Handler: handler, TLSConfig: profile.TLSConfig(),
		ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute,
	}
	log.Fatal(server.ListenAndServeTLS(*cert, *key))
}

// newAPI returns an API for the tokens of one issuer.
func newAPI(resource string, issuer resourceserver.Issuer) (http.Handler, error) {
	issuers := []resourceserver.Issuer{issuer}
	guard, err := resourceserver.New(resourceserver.Config{Resource: resource, Issuers: issuers})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /accounts", guard.Require("accounts")(http.HandlerFunc(accounts)))
	return mux, nil
}

func accounts(w http.ResponseWriter, r *http.Request) {
	token, ok := resourceserver.TokenFromContext(r.Context())
	if !ok { // the route has no guard
		http.Error(w, "no token", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]string{"owner": token.Subject(), "iban": "DE89370400440532013000"})
}
