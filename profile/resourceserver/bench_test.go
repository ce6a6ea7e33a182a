package resourceserver_test

import (
	"bufio"
	"bytes"
	"crypto"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/tokenbinding"
)

// BenchmarkResourceServer compares the check of a request with the bare signature
// check of its proof. The access token is known to the server, and so is the key
// of the proof. Everything else is fresh: [arrivals] reads each request anew, so
// no header string has been seen before. The rows called ratio measure both in
// turns. Their requests arrive before a block, so they are in the processor's
// cache, as after arrival on a connection.
func BenchmarkResourceServer(b *testing.B) {
	const resource = "https://api.example.com"
	for _, k := range []struct {
		name string
		key  crypto.Signer
	}{{"ES256", testkit.ECKey(b, "bench")}, {"Ed25519", testkit.Ed25519Key(b, "bench")}, {"PS256", testkit.RSAKey(b, "bench")}} {
		now := time.Now()
		clock := func() time.Time { return now }
		set, err := jwks.NewSet(jwks.Key{Public: k.key.Public(), KeyID: "as-1"})
		require.NoError(b, err)
		issuers := []resourceserver.Issuer{{ID: asIssuer, Keys: set.Keys}, {ID: "https://other.example", Keys: set.Keys}}
		newServer := func(issuers []resourceserver.Issuer) *resourceserver.Server {
			return newGuard(b, func(c *resourceserver.Config) {
				c.Resource, c.Issuers, c.Hooks.Now = resource, issuers, clock
				c.Replay = testkit.NewForgetful()
			})
		}
		thumbprint, err := jose.Thumbprint(k.key.Public())
		require.NoError(b, err)
		issuer, err := accesstoken.NewIssuer(accesstoken.IssuerConfig{Issuer: asIssuer, Key: k.key, KeyID: "as-1", Now: clock})
		require.NoError(b, err)
		token, err := issuer.Issue(accesstoken.Claims{
			Subject: "alice", ClientID: "c-1", Audience: []string{resource}, Scope: "openid accounts", JKT: thumbprint,
		})
		require.NoError(b, err)
		read, next, signed := arrivals(b, k.key, clock, resource+"/v1/accounts/1234567890", token)
		_, bare := testkit.Bare(b, k.key, signed)
		check := func(rs *resourceserver.Server) func() bool {
			return func() bool {
				_, err := rs.Verify(next(), "accounts")
				return err == nil
			}
		}
		fresh, several := check(newServer(issuers[:1])), check(newServer(issuers))
		testkit.Benchmark(b, k.name+"/bare", bare)
		benchmarkBlocks(b, k.name+"/fresh", read, fresh)
		benchmarkBlocks(b, k.name+"/two issuers", read, several)
		mtls, certificate := certificateChecks(b, resourceserver.Config{Resource: resource, Issuers: issuers[:1], Hooks: resourceserver.Hooks{Now: clock}}, issuer)
		testkit.Benchmark(b, k.name+"/mtls", mtls)
		testkit.Benchmark(b, k.name+"/certificate", certificate)
		b.Run(k.name+"/ratio", func(b *testing.B) {
			testkit.Ratios(b, bare, map[string]testkit.Measured{
				"fresh/bare": {Before: read, Run: fresh}, "two-issuers/bare": {Before: read, Run: several},
			})
		})
	}
}

// arrivals returns a source of requests with one token and different proofs, and
// the signed octets of one of the proofs. There are more proofs than the caches
// of a processor core hold. read parses the next block of requests as net/http
// does, so each request has strings of its own.
func arrivals(b *testing.B, key crypto.Signer, clock func() time.Time, url, token string) (
	read func(), next func() *http.Request, signed []byte,
) {
	prover, err := dpop.NewProver(dpop.ProverConfig{Key: key, Now: clock})
	require.NoError(b, err)
	received := make([][]byte, 4000)
	for i := range received {
		proof, err := prover.Proof("GET", url, dpop.ProofOptions{AccessToken: token})
		require.NoError(b, err)
		r := httptest.NewRequest("GET", url+"?page=2", nil)
		r.Header.Set("Accept", "application/json")
		r.Header.Set("Authorization", "DPoP "+token)
		r.Header.Set("DPoP", proof)
		var wire bytes.Buffer
		require.NoError(b, r.Write(&wire))
		received[i], signed = wire.Bytes(), []byte(proof[:strings.LastIndexByte(proof, '.')])
	}
	requests := make([]*http.Request, testkit.Block)
	n := 0
	read = func() {
		for i := range requests {
			r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(received[(n+i)%len(received)])))
			require.NoError(b, err)
			requests[i] = r
		}
	}
	return read, func() *http.Request { n++; return requests[(n-1)%testkit.Block] }, signed
}

// benchmarkBlocks is testkit.Benchmark for a function that needs a new block of
// requests after some runs. It does not measure their arrival.
func benchmarkBlocks(b *testing.B, name string, read func(), f func() bool) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%testkit.Block == 0 {
				b.StopTimer()
				read()
				b.StartTimer()
			}
			require.True(b, f())
		}
	})
}

// certificateChecks returns the check of a request whose token is bound to a
// certificate, and the part of it that concerns the certificate. The budget of
// that part is 5 microseconds.
func certificateChecks(b *testing.B, cfg resourceserver.Config, issuer *accesstoken.Issuer) (mtls, certificate func() bool) {
	connection, source := selfSigned(b)
	cfg.Certificates = source
	rs, err := resourceserver.New(cfg)
	require.NoError(b, err)
	bound := tokenbinding.Confirmation{X5TS256: tokenbinding.CertificateThumbprint(connection.PeerCertificates[0])}
	token, err := issuer.Issue(accesstoken.Claims{
		Subject: "alice", ClientID: "c-1", Audience: []string{cfg.Resource}, Scope: "openid accounts", X5TS256: bound.X5TS256,
	})
	require.NoError(b, err)
	r := httptest.NewRequest("GET", cfg.Resource+"/v1/accounts/1234567890?page=2", nil)
	r.TLS = connection
	r.Header.Set("Authorization", "Bearer "+token)
	mtls = func() bool {
		_, err := rs.Verify(r, "accounts")
		return err == nil
	}
	certificate = func() bool {
		c, err := source.Certificate(r)
		return err == nil && bound.Check(tokenbinding.Bearer, tokenbinding.Proof{X5TS256: c.Thumbprint}) == nil
	}
	require.True(b, mtls())
	require.True(b, certificate())
	return mtls, certificate
}
