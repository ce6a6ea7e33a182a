package clientauth_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/testkit"
)

func TestClientCAs(t *testing.T) {
	at := time.Now().Truncate(time.Second)
	root := newAuthority(t, "root", nil, at)
	issuing := newAuthority(t, "issuing", root, at)
	pool := x509.NewCertPool()
	pool.AddCert(root.cert)
	key := testkit.ECKey(t, clientID)
	leaf := certificate(t, issuing, key, at, nil)
	fresh := func(t *testing.T) *pki { return newPKI(t, func(c *clientauth.VerifierConfig) { c.ClientCAs = pool }) }

	unverified := func(chain ...*x509.Certificate) clientauth.Credentials {
		c := with(clientID, chain...)
		c.ChainVerified = false
		return c
	}
	t.Run("MTLS-7.5-1 MTLS-7.4-1 a chain that leads to an anchor", func(t *testing.T) {
		p := fresh(t)
		pool.AddCert(p.ca.cert) // too late for this verifier
		p.requireRefused(t, clientauth.ErrCertificate, unverified(p.issue(t, nil)))
		p.requireAccepted(t, clientauth.MethodTLSClientAuth, unverified(leaf, issuing.cert))
		p.requireAccepted(t, clientauth.MethodTLSClientAuth, unverified(leaf))
		require.NotErrorIs(t, p.requireRefused(t, clientauth.ErrCertificate, unverified(certificate(t, issuing, key, at, func(c *x509.Certificate) {
			c.SerialNumber = big.NewInt(2)
		}))), clientauth.ErrUnavailable, "another certificate of the same authority has to lead there too")
		p.clock.Advance(time.Hour + time.Second)
		p.requireRefused(t, clientauth.ErrExpired, unverified(leaf, issuing.cert))
	})
	t.Run("MTLS-2.1-1 another authority of the same name", func(t *testing.T) {
		p := fresh(t)
		other := &authority{certificate(t, nil, testkit.ECKey(t, "forged"), at, func(c *x509.Certificate) { isCA(c); c.Subject = issuing.cert.Subject }), testkit.ECKey(t, "forged")}
		forged := certificate(t, other, key, at, nil)
		for _, chain := range [][]*x509.Certificate{{forged, other.cert}, {forged, issuing.cert}, {certificate(t, nil, key, at, nil)}} {
			p.requireRefused(t, clientauth.ErrCertificate, unverified(chain...))
			p.requireRefused(t, clientauth.ErrCertificate, with(clientID, chain...)) // whatever others say
		}
	})
	t.Run("MTLS-2.1-1 an issuer that expires before its certificate", func(t *testing.T) {
		p := fresh(t)
		short := &authority{certificate(t, root, testkit.ECKey(t, "short"), at, func(c *x509.Certificate) {
			isCA(c)
			c.Subject, c.NotAfter = pkix.Name{CommonName: "short"}, at.Add(time.Minute)
		}), testkit.ECKey(t, "short")}
		c := unverified(certificate(t, short, key, at, nil), short.cert)
		p.requireAccepted(t, clientauth.MethodTLSClientAuth, c)
		p.clock.Advance(time.Minute + time.Second)
		p.requireRefused(t, clientauth.ErrCertificate, c)
	})
	t.Run("chains that are none", func(t *testing.T) {
		p := fresh(t)
		p.requireRefused(t, clientauth.ErrCertificate, unverified(leaf, nil))
		long := []*x509.Certificate{leaf}
		for range 10 {
			long = append(long, issuing.cert)
		}
		p.requireRefused(t, clientauth.ErrCertificate, unverified(long...))
	})
	t.Run("MTLS-2.2-1 self-signed ones need no chain", func(t *testing.T) {
		p := fresh(t)
		p.requireAccepted(t, clientauth.MethodSelfSignedTLSClientAuth, with(selfSigned, certificate(t, nil, key, at, nil)))
	})
}
