package embedding_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/tokenbinding"
)

// A guard accepts requests to an API that have a valid access token and a proof
// of the token's key.
type guard struct {
	tokens    *accesstoken.Verifier
	proofs    *dpop.Verifier
	challenge tokenbinding.Challenge
}

// newGuard returns a guard. It takes the identifier of the API, which is also
// its URL here, the issuer of its tokens, and the issuer's keys.
func newGuard(resource, issuer string, keys func(ctx context.Context, kid, alg string) ([]crypto.PublicKey, error)) (*guard, error) {
	tokens, err := accesstoken.NewVerifier(accesstoken.VerifierConfig{Issuer: issuer, Audience: []string{resource}, Keys: keys})
	if err != nil {
		return nil, err
	}
	proofs, err := dpop.NewVerifier(dpop.VerifierConfig{BaseURLs: []string{resource}})
	if err != nil {
		return nil, err
	}
	return &guard{tokens, proofs, tokenbinding.Challenge{Algorithms: proofs.Algorithms()}}, nil
}

// verify calls the packages in the required order. It records nothing about a
// rejected request, and it returns a token only after it has checked the
// binding. Certificate-bound tokens need a tokenbinding.CertificateSource,
// whose thumbprint goes into the Proof. They need a DPoP proof only if JKT is
// not empty.
func (g *guard) verify(r *http.Request, scopes ...string) (*accesstoken.Token, error) {
	presented, err := tokenbinding.FromRequest(r)
	if err != nil {
		return nil, err
	}
	token, err := g.tokens.Verify(r.Context(), presented.Token)
	if err != nil {
		return nil, err
	}
	bound := tokenbinding.Confirmation{JKT: token.JKT(), X5TS256: token.X5TS256()}
	if err := bound.CheckScheme(presented.Scheme); err != nil { // rejects a bound token sent as Bearer
		return nil, err
	}
	proof, err := g.proofs.CheckToken(r, presented.Token, token.JKT())
	if err != nil {
		return nil, err
	}
	if err := bound.Check(presented.Scheme, tokenbinding.Proof{JKT: proof.Thumbprint()}); err != nil {
		return nil, err
	}
	if err := token.CheckScope(scopes...); err != nil {
		return nil, err
	}
	if err := g.proofs.Commit(r.Context(), proof); err != nil { // last: records the proof as used
		return nil, err
	}
	return token, nil
}

// handle is middleware. The errors of all four packages contain the response.
func (g *guard) handle(scope string, next func(http.ResponseWriter, *http.Request, *accesstoken.Token)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := g.verify(r, scope)
		g.proofs.SetNonce(w.Header()) // no effect unless the Verifier has Nonces
		if err != nil {
			challenge := g.challenge
			challenge.Scope = scope
			challenge.WriteError(w, r, err)
			return
		}
		next(w, r, token)
	})
}

// This example has an API, the server whose tokens it accepts, and callers.
func Example_api() {
	const issuer = "https://as.example.com"
	ctx := context.Background()

	// The authorization server publishes a key and issues tokens that are bound
	// to the client's key.
	signing, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	set, _ := jwks.NewSet(jwks.Key{Public: signing.Public()})
	jwksURI := httptest.NewTLSServer(set)
	defer jwksURI.Close()
	as, _ := accesstoken.NewIssuer(accesstoken.IssuerConfig{Issuer: issuer, Key: signing})

	// The API.
	mux := http.NewServeMux()
	api := httptest.NewTLSServer(mux)
	defer api.Close()
	remote, err := jwks.NewRemote(jwks.RemoteConfig{URL: jwksURI.URL, HTTPClient: jwksURI.Client()})
	if err != nil {
		panic(err)
	}
	guard, err := newGuard(api.URL, issuer, remote.Keys)
	if err != nil {
		panic(err)
	}
	hello := func(w http.ResponseWriter, _ *http.Request, token *accesstoken.Token) {
		fmt.Fprintf(w, "hello %s, by %s", token.Subject(), token.ClientID())
	}
	mux.Handle("GET /accounts", guard.handle("accounts", hello))
	mux.Handle("GET /payments", guard.handle("payments", hello))

	// The client, and an attacker who has its token and another key.
	own, other := newTransport(api), newTransport(api)
	token, _ := as.Issue(accesstoken.Claims{
		Subject: "alice", ClientID: "fintech", Audience: []string{api.URL}, Scope: "accounts", JKT: own.thumbprint,
	})
	call := func(who string, t http.RoundTripper, tokenType, path string) {
		client := &http.Client{Transport: t}
		if tokenType != "" {
			source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token, TokenType: tokenType})
			client = oauth2.NewClient(context.WithValue(ctx, oauth2.HTTPClient, client), source)
		}
		resp, err := client.Get(api.URL + path)
		if err != nil {
			panic(err)
		}
		defer resp.Body.Close()
		challenge, _, _ := strings.Cut(resp.Header.Get("WWW-Authenticate"), ",")
		fmt.Println(strings.TrimSpace(fmt.Sprint(who, ": ", resp.StatusCode, " ", challenge)))
	}
	call("client", own, "DPoP", "/accounts")
	call("client, beyond its scope", own, "DPoP", "/payments")
	call("attacker, own key", other, "DPoP", "/accounts")
	call("attacker, no key", api.Client().Transport, "Bearer", "/accounts")
	call("no token", api.Client().Transport, "", "/accounts")
	// Output:
	// client: 200
	// client, beyond its scope: 403 DPoP error="insufficient_scope"
	// attacker, own key: 401 DPoP error="invalid_token"
	// attacker, no key: 401 DPoP error="invalid_token"
	// no token: 401 DPoP scope="accounts"
}

// A keyed transport sends proofs of one key.
type keyed struct {
	http.RoundTripper
	thumbprint string
}

func newTransport(to *httptest.Server) keyed {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	prover, err := dpop.NewProver(dpop.ProverConfig{Key: key})
	if err != nil {
		panic(err)
	}
	transport, err := dpop.NewTransport(dpop.TransportConfig{Prover: prover, Base: to.Client().Transport})
	if err != nil {
		panic(err)
	}
	return keyed{transport, prover.Thumbprint()}
}
