package tokenbinding_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/gofapi/fapi2/tokenbinding"
)

// A proxy terminates TLS and forwards the certificate of the client as RFC 9440
// specifies. The header is valid only on connections from the proxy.
func ExampleCertificateSource() {
	source, err := tokenbinding.NewCertificateSource(tokenbinding.CertificateSourceConfig{
		Proxy: "rfc9440", TrustedPeers: []netip.Prefix{netip.MustParsePrefix("10.0.0.7/32")},
	})
	if err != nil {
		panic(err)
	}
	certificate := clientCertificate()
	for _, peer := range []string{"10.0.0.7:52814", "192.0.2.1:40000"} {
		r := httptest.NewRequest(http.MethodGet, "https://api.example.com/accounts", nil)
		r.TLS, r.RemoteAddr = nil, peer // the proxy connects without TLS
		r.Header.Set("Client-Cert", ":"+base64.StdEncoding.EncodeToString(certificate.Raw)+":")
		client, err := source.Certificate(r)
		if errors.Is(err, tokenbinding.ErrCertificateSource) {
			fmt.Println("rejected") // the request is not from the proxy
			continue
		}
		fmt.Println(client.Thumbprint == tokenbinding.CertificateThumbprint(certificate), err)
	}
	// Output:
	// true <nil>
	// rejected
}

// An authorization server binds a token to the certificate of the client. An
// API compares the confirmation with the certificate of the request.
func ExampleCertificateThumbprint() {
	own, another := clientCertificate(), clientCertificate()
	confirmation := tokenbinding.Confirmation{X5TS256: tokenbinding.CertificateThumbprint(own)}
	for _, certificate := range []*x509.Certificate{own, another} {
		proof := tokenbinding.Proof{X5TS256: tokenbinding.CertificateThumbprint(certificate)}
		fmt.Println(confirmation.Check(tokenbinding.Bearer, proof))
	}
	// Output:
	// <nil>
	// tokenbinding: token is bound to another key: certificate
}

// An API checks the confirmation of a token that is bound to a DPoP key. The
// token is rejected with the scheme Bearer and without a proof.
func ExampleConfirmation() {
	const cnf = `{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}` // of the verified token
	confirmation, err := tokenbinding.ParseConfirmation([]byte(cnf))
	if err != nil {
		panic(err)
	}
	proof := tokenbinding.Proof{JKT: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"} // of the verified proof
	fmt.Println(confirmation.TokenType())
	fmt.Println(confirmation.Check(tokenbinding.DPoP, proof))
	fmt.Println(confirmation.Check(tokenbinding.Bearer, proof))
	fmt.Println(confirmation.Check(tokenbinding.DPoP, tokenbinding.Proof{}))
	// Output:
	// DPoP
	// <nil>
	// tokenbinding: DPoP-bound token presented as Bearer
	// tokenbinding: no DPoP proof
}

// clientCertificate returns a self-signed certificate.
func clientCertificate() *x509.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return certificate
}
