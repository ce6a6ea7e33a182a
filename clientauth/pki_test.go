package clientauth_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/testkit"
)

const registeredDN = "CN=client-1,OU=A+OU=B,O=Example,C=US"

// authority is a certification authority made for a test.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// certificate makes a certificate for a key, by an authority or, if that is nil, self-signed.
func certificate(t testing.TB, by *authority, key crypto.Signer, at time.Time, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: at.Add(-time.Hour), NotAfter: at.Add(time.Hour), BasicConstraintsValid: true,
		Subject:     pkix.Name{Country: []string{"US"}, Organization: []string{"Example"}, OrganizationalUnit: []string{"A", "B"}, CommonName: clientID},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if change != nil {
		change(template)
	}
	if by == nil {
		by = &authority{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return cert
}

func isCA(c *x509.Certificate) {
	c.IsCA, c.KeyUsage, c.ExtKeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature, nil
}

func newAuthority(t testing.TB, name string, by *authority, at time.Time) *authority {
	key := testkit.ECKey(t, name)
	return &authority{certificate(t, by, key, at, func(c *x509.Certificate) {
		isCA(c)
		c.Subject = pkix.Name{CommonName: name}
	}), key}
}

// pki is a server with clients of all methods, and the means to make certificates.
type pki struct {
	*server
	at  time.Time
	ca  *authority
	key crypto.Signer
}

const (
	selfSigned = "self-signed"
	assertive  = "assertive"
)

func newPKI(t testing.TB, change ...func(*clientauth.VerifierConfig)) *pki {
	s := newServer(t, change...)
	p := &pki{server: s, at: s.clock.Now(), key: testkit.ECKey(t, clientID)}
	p.ca = newAuthority(t, "ca", nil, p.at)
	s.clients[assertive] = clientauth.Client{ID: assertive, Keys: s.clients[clientID].Keys}
	s.clients[selfSigned] = clientauth.Client{ID: selfSigned, Method: clientauth.MethodSelfSignedTLSClientAuth, Keys: s.clients[clientID].Keys}
	s.clients["client-2"] = clientauth.Client{ID: "client-2", Method: clientauth.MethodTLSClientAuth, SANDNS: "client-2.example"}
	s.clients[clientID] = clientauth.Client{ID: clientID, Method: clientauth.MethodTLSClientAuth, SubjectDN: registeredDN, Keys: s.clients[clientID].Keys}
	return p
}

// issue makes a certificate of the authority.
func (p *pki) issue(t testing.TB, change func(*x509.Certificate)) *x509.Certificate {
	return certificate(t, p.ca, p.key, p.at, change)
}

// with returns the credentials of a request with a certificate whose chain has been verified.
func with(id string, chain ...*x509.Certificate) clientauth.Credentials {
	return clientauth.Credentials{Form: url.Values{"client_id": {id}}, Certificates: chain, ChainVerified: true}
}

// register changes the registration of client-1 for tls_client_auth.
func (p *pki) register(change func(*clientauth.Client)) {
	c := p.clients[clientID]
	c.SubjectDN = ""
	change(&c)
	p.clients[clientID] = c
}

func (p *pki) requireAccepted(t *testing.T, method string, c clientauth.Credentials) {
	t.Helper()
	a, err := p.Verify(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, c.Form.Get("client_id"), a.ClientID())
	require.Equal(t, method, a.Method())
	require.NoError(t, p.Commit(t.Context(), a), "every request of a connection has the same certificate")
	require.Zero(t, p.replay.Calls, "there is nothing to record")
}
