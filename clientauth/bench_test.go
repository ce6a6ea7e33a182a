package clientauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
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

var pss = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}

// bare returns signing and verifying of a message without anything around it.
func bare(b *testing.B, key crypto.Signer, message []byte) (sign, verify func() bool) {
	digest := sha256.Sum256(message)
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		sig, err := ecdsa.SignASN1(rand.Reader, k, digest[:])
		require.NoError(b, err)
		return func() bool { _, err := ecdsa.SignASN1(rand.Reader, k, digest[:]); return err == nil },
			func() bool { return ecdsa.VerifyASN1(&k.PublicKey, digest[:], sig) }
	case ed25519.PrivateKey:
		sig := ed25519.Sign(k, message)
		return func() bool { return len(ed25519.Sign(k, message)) > 0 },
			func() bool { return ed25519.Verify(k.Public().(ed25519.PublicKey), message, sig) }
	}
	k := key.(*rsa.PrivateKey)
	sig, err := rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest[:], pss)
	require.NoError(b, err)
	return func() bool { _, err := rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest[:], pss); return err == nil },
		func() bool { return rsa.VerifyPSS(&k.PublicKey, crypto.SHA256, digest[:], sig, pss) == nil }
}

func run(b *testing.B, name string, f func() bool) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !f() {
				b.Fatal("failed")
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for alg, key := range benchKeys(b) {
		public := []crypto.PublicKey{key.Public()}
		s := newServer(b, func(c *clientauth.VerifierConfig) {
			c.Replay = fresh{expiring.NewSet(expiring.SetConfig{})}
			c.Lookup = func(_ context.Context, id string) (clientauth.Client, error) {
				return clientauth.Client{ID: id, Keys: func(context.Context, string, string) ([]crypto.PublicKey, error) { return public, nil }}, nil
			}
		})
		c := newClient(b, s, func(c *clientauth.PrivateKeyJWTConfig) { c.Key = key })
		assertion, err := c.Assertion()
		require.NoError(b, err)
		credentials := credentials(assertion)
		_, verify := bare(b, key, []byte(assertion))
		run(b, alg+"/assertion", func() bool { _, err := s.Verify(b.Context(), credentials); return err == nil })
		run(b, alg+"/bare", verify)
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
		sign, _ := bare(b, key, []byte(assertion))
		run(b, alg+"/assertion", func() bool { _, err := c.Assertion(); return err == nil })
		run(b, alg+"/bare", sign)
	}
}

// BenchmarkCertificate: what authentication adds to a request of a connection whose handshake is done.
func BenchmarkCertificate(b *testing.B) {
	p := newPKI(b)
	cert := p.issue(b, sans)
	pool := x509.NewCertPool()
	pool.AddCert(p.ca.cert)
	public := []crypto.PublicKey{testkit.ECKey(b, "decoy").Public(), p.key.Public()}
	keys := func(context.Context, string, string) ([]crypto.PublicKey, error) { return public, nil }
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
		run(b, name, func() bool { _, err := v.Verify(b.Context(), credentials); return err == nil })
	}
	leaf := *cert
	run(b, "bare-chain", func() bool {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: p.at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		return err == nil
	})
	run(b, "name-text-cold", func() bool { _, err := clientauth.ParseName(registeredDN); return err == nil })
	run(b, "name-encoded-cold", func() bool { _, err := clientauth.EncodedName(cert.RawSubject); return err == nil })
}
