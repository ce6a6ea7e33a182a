package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/profile/profiletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

// A world is an authorization server with client secrets, and an API. Both
// require nonces in proofs.
type world struct {
	issuer    *profiletest.Issuer
	as, api   *httptest.Server
	tokenType string // of the responses
}

func newWorld(t *testing.T) *world {
	w := &world{tokenType: "DPoP"}
	asMux, apiMux := http.NewServeMux(), http.NewServeMux()
	w.as, w.api = httptest.NewTLSServer(asMux), httptest.NewTLSServer(apiMux)
	t.Cleanup(w.as.Close)
	t.Cleanup(w.api.Close)
	w.issuer = profiletest.NewIssuer(t, profiletest.IssuerConfig{ID: w.as.URL})
	nonces, err := dpop.NewNonceSource(dpop.NonceSourceConfig{})
	require.NoError(t, err)
	guard, err := resourceserver.New(resourceserver.Config{
		Resource: w.api.URL, Issuers: []resourceserver.Issuer{{ID: w.as.URL, Keys: w.issuer.Keys}}, Nonces: nonces,
	})
	require.NoError(t, err)
	apiMux.Handle("GET /rates", guard.Require("rates")(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "1.2345")
	})))
	verifier, err := dpop.NewVerifier(dpop.VerifierConfig{BaseURLs: []string{w.as.URL}, Nonces: nonces})
	require.NoError(t, err)
	asMux.HandleFunc("POST /token", func(rw http.ResponseWriter, r *http.Request) {
		verifier.SetNonce(rw.Header())
		proof, err := verifier.Verify(r.Context(), r)
		if err != nil {
			verifier.WriteError(rw, err)
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		if _, secret, _ := r.BasicAuth(); secret != "s3cret" {
			rw.WriteHeader(http.StatusUnauthorized)
			io.WriteString(rw, `{"error":"invalid_client"}`)
			return
		}
		token := w.issue(t, proof.Thumbprint())
		fmt.Fprintf(rw, `{"access_token":%q,"token_type":%q,"expires_in":300}`, token, w.tokenType)
	})
	return w
}

// issue returns a token that is bound to a key.
func (w *world) issue(t *testing.T, thumbprint string) string {
	r := httptest.NewRequest(http.MethodGet, w.api.URL, nil)
	w.issuer.SetToken(t, r, accesstoken.Claims{Subject: "job", ClientID: "job", Scope: "rates", JKT: thumbprint})
	return r.Header.Get("Authorization")[len("DPoP "):]
}

func (w *world) client(t *testing.T, secret string) *http.Client {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	prover, err := dpop.NewProver(dpop.ProverConfig{Key: key})
	require.NoError(t, err)
	transport, err := dpop.NewTransport(dpop.TransportConfig{Prover: prover, Base: w.as.Client().Transport})
	require.NoError(t, err)
	return newClient(clientcredentials.Config{
		ClientID: "job", ClientSecret: secret, TokenURL: w.as.URL + "/token", AuthStyle: oauth2.AuthStyleInHeader,
	}, transport)
}

func TestDPoPOverOAuth2(t *testing.T) {
	t.Run("a token with a nonce, and two calls", func(t *testing.T) {
		w := newWorld(t)
		api := w.client(t, "s3cret")
		for range 2 {
			response, err := api.Get(w.api.URL + "/rates")
			require.NoError(t, err)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, "1.2345", string(body))
		}
	})
	t.Run("attack: the token with another key", func(t *testing.T) {
		w := newWorld(t)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.api.URL+"/rates", nil)
		require.NoError(t, err)
		other := profiletest.NewIssuer(t, profiletest.IssuerConfig{})
		other.SetToken(t, r, accesstoken.Claims{}) // a proof of another key
		r.Header.Set("Authorization", "DPoP "+w.issue(t, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"))
		response, err := w.as.Client().Do(r)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	})
	t.Run("attack: a server that does not bind the token", func(t *testing.T) {
		w := newWorld(t)
		w.tokenType = "Bearer"
		_, err := w.client(t, "s3cret").Get(w.api.URL + "/rates")
		require.ErrorContains(t, err, `token of type "Bearer", want DPoP`)
	})
	t.Run("an API that rejects the request", func(t *testing.T) {
		w := newWorld(t)
		_, err := get(w.client(t, "s3cret"), w.api.URL+"/other")
		require.ErrorContains(t, err, "status 404 Not Found")
		body, err := get(w.client(t, "s3cret"), w.api.URL+"/rates")
		require.NoError(t, err)
		require.Equal(t, "1.2345", string(body))
	})
	t.Run("a wrong client secret", func(t *testing.T) {
		w := newWorld(t)
		_, err := w.client(t, "wrong").Get(w.api.URL + "/rates")
		require.ErrorContains(t, err, "invalid_client")
	})
}
