package clientauth_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/expiring"
	"github.com/gofapi/fapi2/internal/testkit"
)

func benchKeys(b *testing.B) map[string]crypto.Signer {
	return map[string]crypto.Signer{
		"ES256": testkit.ECKey(b, clientID), "PS256": testkit.RSAKey(b, clientID), "EdDSA": testkit.Ed25519Key(b, clientID),
	}
}

func BenchmarkVerify(b *testing.B) {
	for alg, key := range benchKeys(b) {
		public := []crypto.PublicKey{key.Public()}
		s := newServer(b, func(c *clientauth.VerifierConfig) {
			c.Replay = fresh{expiring.NewSet(expiring.SetConfig{})}
			c.Lookup = func(_ context.Context, id string) (clientauth.Client, error) {
				return clientauth.Client{ID: id, Keys: testkit.KeySource(public...)}, nil
			}
		})
		c := newClient(b, s, func(c *clientauth.PrivateKeyJWTConfig) { c.Key = key })
		assertion, err := c.Assertion()
		require.NoError(b, err)
		credentials := credentials(assertion)
		_, verify := testkit.Bare(b, key, []byte(assertion))
		authenticate := func() bool { _, err := s.Verify(b.Context(), credentials); return err == nil }
		testkit.Benchmark(b, alg+"/bare", verify)
		testkit.Benchmark(b, alg+"/assertion", authenticate)
		b.Run(alg+"/ratio", func(b *testing.B) {
			testkit.Ratios(b, verify, map[string]testkit.Measured{"assertion/bare": {Run: authenticate}})
		})
	}
}

// fresh says that every use is the first one, after asking the store.
type fresh struct{ *expiring.Set }

func (f fresh) Add(ctx context.Context, key string, _ []byte, expires time.Time) (bool, error) {
	_, err := f.Set.Add(ctx, key, nil, expires)
	return true, err
}

func BenchmarkCreate(b *testing.B) {
	for alg, key := range benchKeys(b) {
		c := newClient(b, newServer(b), func(c *clientauth.PrivateKeyJWTConfig) { c.Key = key })
		assertion, err := c.Assertion()
		require.NoError(b, err)
		sign, _ := testkit.Bare(b, key, []byte(assertion))
		create := func() bool { _, err := c.Assertion(); return err == nil }
		testkit.Benchmark(b, alg+"/bare", sign)
		testkit.Benchmark(b, alg+"/assertion", create)
		b.Run(alg+"/ratio", func(b *testing.B) {
			testkit.Ratios(b, sign, map[string]testkit.Measured{"assertion/bare": {Run: create}})
		})
	}
}

// BenchmarkCertificate: what authentication adds to a request of a connection whose handshake is done.
func BenchmarkCertificate(b *testing.B) {
	p := newPKI(b)
	cert := p.issue(b, sans)
	pool := x509.NewCertPool()
	pool.AddCert(p.ca.cert)
	public := []crypto.PublicKey{testkit.ECKey(b, "decoy").Public(), p.key.Public()}
	keys := testkit.KeySource(public...)
	for name, client := range map[string]clientauth.Client{
		"dn":          {Method: clientauth.MethodTLSClientAuth, SubjectDN: registeredDN},
		"dns":         {Method: clientauth.MethodTLSClientAuth, SANDNS: "client.example"},
		"email":       {Method: clientauth.MethodTLSClientAuth, SANEmail: "Ops@client.example"},
		"uri":         {Method: clientauth.MethodTLSClientAuth, SANURI: "https://client.example/A"},
		"self-signed": {Method: clientauth.MethodSelfSignedTLSClientAuth, Keys: keys},
		"dn-chain":    {Method: clientauth.MethodTLSClientAuth, SubjectDN: registeredDN},
	} {
		client.ID = clientID
		v, err := clientauth.NewVerifier(clientauth.VerifierConfig{
			Issuer: issuer, Lookup: func(context.Context, string) (clientauth.Client, error) { return client, nil },
			ClientCAs: map[string]*x509.CertPool{"dn-chain": pool}[name],
		})
		require.NoError(b, err)
		credentials := with(clientID, cert)
		testkit.Benchmark(b, name, func() bool { _, err := v.Verify(b.Context(), credentials); return err == nil })
	}
	leaf := *cert
	testkit.Benchmark(b, "bare-chain", func() bool {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: p.at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		return err == nil
	})
	testkit.Benchmark(b, "name-text-cold", func() bool { _, err := clientauth.ParseName(registeredDN); return err == nil })
	testkit.Benchmark(b, "name-encoded-cold", func() bool { _, err := clientauth.EncodedName(cert.RawSubject); return err == nil })
}
