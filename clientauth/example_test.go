package clientauth_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/gofapi/fapi2/clientauth"
)

// A client authenticates at a token endpoint. The same request is rejected the
// second time.
func Example() {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)

	// The authorization server knows the client and its public key.
	verifier, err := clientauth.NewVerifier(clientauth.VerifierConfig{
		Issuer: "https://as.example.com",
		Lookup: func(_ context.Context, id string) (clientauth.Client, error) {
			if id != "s6BhdRkqt3" {
				return clientauth.Client{}, clientauth.ErrUnknownClient
			}
			return clientauth.Client{ID: id, Keys: func(context.Context, string, string) ([]crypto.PublicKey, error) {
				return []crypto.PublicKey{key.Public()}, nil
			}}, nil
		},
	})
	if err != nil {
		panic(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, `{"error":"invalid_request"}`, http.StatusBadRequest)
			return
		}
		who, err := verifier.Verify(r.Context(), clientauth.Credentials{Form: r.PostForm, Authorization: r.Header.Values("Authorization")})
		if err != nil {
			reject(w, err)
			return
		}
		fmt.Fprintln(w, who.ClientID(), who.Method())
	}))
	defer server.Close()

	// The client signs a new assertion for every request.
	client, err := clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{ClientID: "s6BhdRkqt3", Audience: "https://as.example.com", Key: key})
	if err != nil {
		panic(err)
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if err := client.Authenticate(context.Background(), form); err != nil {
		panic(err)
	}
	for range 2 { // the second time without a new assertion
		resp, err := http.PostForm(server.URL, form)
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Printf("%d %s\n", resp.StatusCode, bytes.TrimSpace(body))
	}
	// Output:
	// 200 s6BhdRkqt3 private_key_jwt
	// 401 {"error":"invalid_client","error_description":"client assertion used before"}
}

// A client authenticates by the certificate of its connection, which has the
// registered subject. A request with the client_id of another client is rejected.
func ExampleMutualTLS() {
	ca, certificate := exampleCertificates("client", "Example")

	// The authorization server verifies chains in TLS, and knows the client by the subject of its certificate.
	verifier, err := clientauth.NewVerifier(clientauth.VerifierConfig{
		Issuer: "https://as.example.com",
		Lookup: func(_ context.Context, id string) (clientauth.Client, error) {
			subjects := map[string]string{"s6BhdRkqt3": "cn=Client, o=Example", "other": "CN=other,O=Example"}
			return clientauth.Client{ID: id, Method: clientauth.MethodTLSClientAuth, SubjectDN: subjects[id]}, nil
		},
	})
	if err != nil {
		panic(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, `{"error":"invalid_request"}`, http.StatusBadRequest)
			return
		}
		who, err := verifier.Verify(r.Context(), clientauth.Credentials{
			Form: r.PostForm, Authorization: r.Header.Values("Authorization"),
			Certificates: r.TLS.PeerCertificates, ChainVerified: len(r.TLS.VerifiedChains) > 0,
		})
		if err != nil {
			reject(w, err)
			return
		}
		fmt.Fprintln(w, who.ClientID(), who.Method())
	}))
	server.TLS = &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: ca}
	server.StartTLS()
	defer server.Close()

	// The client's connections have the certificate, and its forms its name.
	client := server.Client()
	client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{certificate}
	for _, id := range []clientauth.MutualTLS{"s6BhdRkqt3", "other"} {
		form := url.Values{"grant_type": {"client_credentials"}}
		if err := id.Authenticate(context.Background(), form); err != nil {
			panic(err)
		}
		resp, err := client.PostForm(server.URL, form)
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		fmt.Printf("%d %s\n", resp.StatusCode, bytes.TrimSpace(body))
	}
	// Output:
	// 200 s6BhdRkqt3 tls_client_auth
	// 401 {"error":"invalid_client","error_description":"client authentication failed"}
}

// exampleCertificates creates an authority and a certificate of it.
func exampleCertificates(name, organization string) (*x509.CertPool, tls.Certificate) {
	caKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ca := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Example CA"}, SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		Subject: pkix.Name{CommonName: name, Organization: []string{organization}}, SerialNumber: big.NewInt(2),
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		panic(err)
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	caCert, err := x509.ParseCertificate(caDER)
	if err != nil {
		panic(err)
	}
	pool.AddCert(caCert)
	return pool, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// reject writes the response that an error of a Verifier contains.
func reject(w http.ResponseWriter, err error) {
	var answer interface {
		OAuthError() (code, description string)
		HTTPStatus() int
	}
	if !errors.As(err, &answer) {
		http.Error(w, `{"error":"server_error"}`, http.StatusInternalServerError)
		return
	}
	code, description := answer.OAuthError()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(answer.HTTPStatus())
	json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": description})
}
