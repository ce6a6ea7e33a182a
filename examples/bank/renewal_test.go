package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheCertificateIsRenewed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	w := newWorld(t, with("write_ca_file", file))
	inUse := func() *x509.Certificate {
		c, err := tls.Dial("tcp", w.issuer[len("https://"):], &tls.Config{RootCAs: w.roots, MinVersion: tls.VersionTLS13})
		require.NoError(t, err)
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0]
	}
	first := inUse()
	require.NoError(t, w.bank.renew(t.Context(), w.shown))
	require.True(t, first.Equal(inUse()), "it lasts")

	old := *w.shown.current.Load()
	leaf := *old.Leaf
	leaf.NotAfter = time.Now().Add(renewal - time.Minute)
	old.Leaf = &leaf
	w.shown.current.Store(&old)
	require.NoError(t, w.bank.renew(t.Context(), w.shown))
	second := inUse()
	require.False(t, first.Equal(second))
	require.Equal(t, first.Issuer, second.Issuer)
	ca, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(w.cfg.authority.pem()), string(ca))

	ends := *w.cfg.authority.certificate
	ends.NotAfter = time.Now().Add(renewal - time.Minute)
	w.cfg.authority.certificate = &ends
	require.NoError(t, w.bank.renew(t.Context(), w.shown))
	ca, err = os.ReadFile(file)
	require.NoError(t, err)
	w.roots = newPool(t, ca)
	require.False(t, second.Equal(inUse()), "from a new CA")
	w.get(w.issuer + "/healthz").ok(http.StatusOK)
}
