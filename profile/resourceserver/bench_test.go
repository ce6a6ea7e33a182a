package resourceserver_test

import (
	"crypto"
	"net/http"
	"net/http/httptest"
	"slices"
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
// check of its proof. The access token is known, and the proof is new. The rows
// called ratio measure both in turns.
func BenchmarkResourceServer(b *testing.B) {
	const resource, requests = "https://api.example.com", 64
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
		one, two := newServer(issuers[:1]), newServer(issuers)
		thumbprint, err := jose.Thumbprint(k.key.Public())
		require.NoError(b, err)
		issuer, err := accesstoken.NewIssuer(accesstoken.IssuerConfig{Issuer: asIssuer, Key: k.key, KeyID: "as-1", Now: clock})
		require.NoError(b, err)
		token, err := issuer.Issue(accesstoken.Claims{
			Subject: "alice", ClientID: "c-1", Audience: []string{resource}, Scope: "openid accounts", JKT: thumbprint,
		})
		require.NoError(b, err)
		prover, err := dpop.NewProver(dpop.ProverConfig{Key: k.key, Now: clock})
		require.NoError(b, err)
		ring := make([]*http.Request, requests)
		for i := range ring {
			proof, err := prover.Proof("GET", resource+"/v1/accounts/1234567890", dpop.ProofOptions{AccessToken: token})
			require.NoError(b, err)
			ring[i] = httptest.NewRequest("GET", resource+"/v1/accounts/1234567890?page=2", nil)
			ring[i].Header.Set("Authorization", "DPoP "+token)
			ring[i].Header.Set("DPoP", proof)
		}
		proof := ring[0].Header.Get("DPoP")
		_, bare := testkit.Bare(b, k.key, []byte(proof[:strings.LastIndexByte(proof, '.')]))
		next := 0
		checks := func(rs *resourceserver.Server) func() bool {
			return func() bool {
				next++
				_, err := rs.Verify(ring[next%requests], "accounts")
				return err == nil
			}
		}
		hot, several := checks(one), checks(two)
		require.True(b, bare())
		require.True(b, hot())
		require.True(b, several())
		testkit.Benchmark(b, k.name+"/bare", bare)
		testkit.Benchmark(b, k.name+"/hot", hot)
		testkit.Benchmark(b, k.name+"/two issuers", several)
		mtls, certificate := certificateChecks(b, resourceserver.Config{Resource: resource, Issuers: issuers[:1], Hooks: resourceserver.Hooks{Now: clock}}, issuer)
		testkit.Benchmark(b, k.name+"/mtls", mtls)
		testkit.Benchmark(b, k.name+"/certificate", certificate)
		b.Run(k.name+"/ratio", func(b *testing.B) {
			var quotients []float64
			for b.Loop() {
				quotients = append(quotients, float64(elapsed(hot))/float64(elapsed(bare)))
			}
			slices.Sort(quotients)
			b.ReportMetric(quotients[len(quotients)/2], "hot/bare")
			b.ReportMetric(0, "ns/op")
		})
	}
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

// elapsed returns the time of a few calls. Other load of the machine then affects
// both sides of a ratio.
func elapsed(f func() bool) time.Duration {
	start := time.Now()
	for range 20 {
		f()
	}
	return time.Since(start)
}
