package authserver_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/pkce"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

const (
	benchIssuer = "https://as.example.com"
	benchAPI    = "https://api.example.com"
	// flowsInBlock is the number of flows between two measurements of the bare
	// operations.
	flowsInBlock = 10
	callsOfToken = 10
)

// BenchmarkFlow compares whole flows with the bare operations of their
// cryptography. A flow is a pushed request, the authorization with the user's
// approval, the token request and one API call, by handler and without a
// network. The client uses private_key_jwt and sends a DPoP proof with the
// push. It receives an access token, an ID token and a refresh token. That is
// six signature checks and two signatures. Each request is made immediately
// before its handler is called, and only the handlers are timed.
//
// The metrics are medians. flow10 is a flow with ten API calls, and hot is one
// of the later nine. push, authorize and token are the times above the bare
// operations, in bare signature checks of ES256.
func BenchmarkFlow(b *testing.B) {
	for _, k := range []struct {
		alg string // of the server's signatures
		key crypto.Signer
	}{{"ES256", testkit.ECKey(b, "as")}, {"EdDSA", testkit.Ed25519Key(b, "as")}, {"PS256", testkit.RSAKey(b, "as")}} {
		b.Run(k.alg, func(b *testing.B) {
			f := newFlows(b, k.key, k.alg)
			sign, verifyToken := testkit.Bare(b, k.key, make([]byte, 700))
			_, verify := testkit.Bare(b, testkit.ECKey(b, "client"), make([]byte, 500))
			seen := map[string][]float64{}
			for b.Loop() {
				before := bareTimes{timed(verify), timed(verifyToken), timed(sign)}
				var s flowTimes
				for range flowsInBlock {
					f.run(&s)
				}
				one := before.mean(bareTimes{timed(verify), timed(verifyToken), timed(sign)})
				bare := 5*one.check + one.tokenCheck + 2*one.signature
				flow := s.push + s.authorize + s.token + s.first
				for name, value := range map[string]float64{
					"flow/bare":   flow / bare,
					"flow10/bare": (flow + s.more) / (bare + (callsOfToken-1)*one.check),
					"push":        (s.push - 2*one.check) / one.check,
					"authorize":   s.authorize / one.check,
					"token":       (s.token - 2*one.check - 2*one.signature) / one.check,
					"hot/bare":    s.more / ((callsOfToken - 1) * one.check),
					"µs/check":    one.check / flowsInBlock / 1e3,
				} {
					seen[name] = append(seen[name], value)
				}
			}
			testkit.ReportMedians(b, seen)
		})
	}
}

// BenchmarkFlowAllocations counts the allocations of the handlers in a flow.
func BenchmarkFlowAllocations(b *testing.B) {
	f := newFlows(b, testkit.ECKey(b, "as"), "ES256")
	var before, after runtime.MemStats
	count := map[string]float64{}
	f.serve = func(name string, h http.Handler, r *http.Request) time.Duration {
		runtime.ReadMemStats(&before)
		h.ServeHTTP(&f.response, r)
		runtime.ReadMemStats(&after)
		count[name] += float64(after.Mallocs - before.Mallocs)
		return 0
	}
	flows := 0
	for ; b.Loop(); flows++ {
		f.run(&flowTimes{})
	}
	total := 0.0
	for _, name := range []string{"push", "authorize", "token", "api"} {
		b.ReportMetric(count[name]/float64(flows), name+"-allocs")
		total += count[name] / float64(flows)
	}
	b.ReportMetric(total, "flow-allocs")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkFlowConnections compares flows whose requests each open a connection
// of TLS 1.3 with flows on kept connections. Client and server run in one
// process over loopback. The time contains both sides and the client's
// signatures.
func BenchmarkFlowConnections(b *testing.B) {
	f := newFlows(b, testkit.ECKey(b, "as"), "ES256")
	handlers := make(chan http.Handler, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(<-handlers).ServeHTTP(w, r)
	}))
	server.TLS = profile.TLSConfig()
	certificate := testkit.Certify(b, "as", nil, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	server.TLS.Certificates = []tls.Certificate{*certificate}
	server.StartTLS()
	b.Cleanup(server.Close)
	transport := func(kept bool) *http.Transport {
		t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "as.example"}, DisableKeepAlives: !kept}
		t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
		}
		b.Cleanup(t.CloseIdleConnections)
		return t
	}
	var through *http.Transport
	f.serve = func(_ string, h http.Handler, r *http.Request) time.Duration {
		handlers <- h
		r.RequestURI = ""
		response, err := through.RoundTrip(r)
		f.check(err)
		f.response.status, f.response.header = response.StatusCode, response.Header
		f.response.body, err = io.ReadAll(response.Body)
		f.check(err)
		f.check(response.Body.Close())
		return 0
	}
	f.calls = 1
	run := func(on *http.Transport) func() bool {
		return func() bool {
			through = on
			f.run(new(flowTimes))
			return true
		}
	}
	testkit.Ratios(b, run(transport(false)), map[string]testkit.Measured{"kept/new": {Run: run(transport(true))}})
}

// timed returns the time of as many calls as there are flows in a block, in
// nanoseconds.
func timed(f func() bool) float64 {
	start := time.Now()
	for range flowsInBlock {
		f()
	}
	return float64(time.Since(start))
}

// bareTimes are the nanoseconds of the bare operations.
type bareTimes struct{ check, tokenCheck, signature float64 }

func (b bareTimes) mean(other bareTimes) bareTimes {
	return bareTimes{
		(b.check + other.check) / 2, (b.tokenCheck + other.tokenCheck) / 2, (b.signature + other.signature) / 2,
	}
}

// flowTimes are sums of nanoseconds.
type flowTimes struct{ push, authorize, token, first, more float64 }

// flows runs flows of one client.
type flows struct {
	t             testing.TB
	server        http.Handler
	guard         *resourceserver.Server
	authenticator *clientauth.PrivateKeyJWT
	prover        *dpop.Prover
	response      response
	calls         int // of the API with each token
	// serve passes a request to a handler and the response to f.response. It
	// returns its time.
	serve func(name string, h http.Handler, r *http.Request) time.Duration
}

func newFlows(t testing.TB, key crypto.Signer, alg string) *flows {
	clientKey := testkit.ECKey(t, "client")
	set, err := jwks.NewSet(jwks.Key{Public: clientKey.Public(), KeyID: "client-key"})
	require.NoError(t, err)
	registered := &profile.ClientMetadata{
		ClientID: "client-1", RedirectURIs: []string{redirectURI}, JWKS: set,
		GrantTypes: []string{"authorization_code", "refresh_token"}, Scope: "openid accounts payments",
		TokenEndpointAuthMethod: "private_key_jwt", DPoPBoundAccessTokens: true, IDTokenSignedResponseAlg: alg,
	}
	require.NoError(t, registered.Validate())
	var as *authserver.Server
	as, err = authserver.New(authserver.Config{
		Issuer: benchIssuer, Keys: []profile.SigningKey{{Key: key, KeyID: "as-1"}},
		Scopes: []string{"openid", "accounts", "payments"}, Resources: []string{benchAPI},
		Clients: func(context.Context, string) (*profile.ClientMetadata, error) { return registered, nil },
		Interact: func(w http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
			response, err := as.Approve(r.Context(), a, authserver.Approval{
				Subject: "alice", Scopes: a.Scopes(), AuthTime: time.Now(), ACR: "urn:bank:sca",
			})
			if err != nil {
				as.WriteAuthorizationError(w, r, a, err)
				return
			}
			response.ServeHTTP(w, r)
		},
	})
	require.NoError(t, err)
	guard, err := resourceserver.New(resourceserver.Config{
		Resource: benchAPI, Issuers: []resourceserver.Issuer{{ID: benchIssuer, Keys: as.Keys().Keys}},
	})
	require.NoError(t, err)
	f := &flows{t: t, server: as.Handler(), guard: guard}
	f.serve, f.calls = f.call, callsOfToken
	f.authenticator, err = clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
		ClientID: "client-1", Audience: benchIssuer, Key: clientKey, KeyID: "client-key",
	})
	require.NoError(t, err)
	f.prover, err = dpop.NewProver(dpop.ProverConfig{Key: testkit.ECKey(t, "client dpop")})
	require.NoError(t, err)
	return f
}

// call serves a request without a network.
func (f *flows) call(_ string, h http.Handler, r *http.Request) time.Duration {
	start := time.Now()
	h.ServeHTTP(&f.response, r)
	return time.Since(start)
}

// request serves a request and adds its time.
func (f *flows) request(name string, sum *float64, h http.Handler, r *http.Request) {
	f.response.reset()
	*sum += float64(f.serve(name, h, r))
}

func (f *flows) run(s *flowTimes) {
	verifier := pkce.NewVerifier()
	challenge, err := pkce.Challenge(verifier)
	f.check(err)
	push := f.post("/par", url.Values{
		"response_type": {"code"}, "redirect_uri": {redirectURI}, "scope": {"openid accounts"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
		"state": {jose.RandomString(32)}, "nonce": {jose.RandomString(32)},
	})
	f.request("push", &s.push, f.server, push)
	pushed := f.body(http.StatusCreated)

	query := url.Values{"client_id": {"client-1"}, "request_uri": {pushed["request_uri"].(string)}}
	browser := httptest.NewRequest(http.MethodGet, benchIssuer+"/authorize?"+query.Encode(), nil)
	f.request("authorize", &s.authorize, f.server, browser)
	if f.response.status != http.StatusSeeOther {
		f.t.Fatalf("authorization: %d %s", f.response.status, f.response.body)
	}
	location, err := url.Parse(f.response.header.Get("Location"))
	f.check(err)

	redeem := f.post("/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {location.Query().Get("code")},
		"redirect_uri": {redirectURI}, "code_verifier": {verifier},
	})
	f.request("token", &s.token, f.server, redeem)
	token := f.body(http.StatusOK)["access_token"].(string)

	for i := range f.calls {
		call := httptest.NewRequest(http.MethodGet, benchAPI+"/v1/accounts/1234567890?page=2", nil)
		proof, err := f.prover.Proof(http.MethodGet, benchAPI+"/v1/accounts/1234567890", dpop.ProofOptions{AccessToken: token})
		f.check(err)
		call.Header.Set("Authorization", "DPoP "+token)
		call.Header.Set("DPoP", proof)
		sum, name := &s.first, "api"
		if i > 0 {
			sum, name = &s.more, "api again"
		}
		f.request(name, sum, f.api(), call)
		if f.response.status != http.StatusNoContent {
			f.t.Fatalf("API: %d %s", f.response.status, f.response.header)
		}
	}
}

// api is an API that responds with nothing.
func (f *flows) api() http.Handler {
	return f.guard.Require("accounts")(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
}

// post returns an authenticated request with a proof, as net/http would pass it
// to a handler.
func (f *flows) post(path string, form url.Values) *http.Request {
	f.check(f.authenticator.Authenticate(f.t.Context(), form))
	proof, err := f.prover.Proof(http.MethodPost, benchIssuer+path, dpop.ProofOptions{})
	f.check(err)
	r := httptest.NewRequest(http.MethodPost, benchIssuer+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("DPoP", proof)
	return r
}

func (f *flows) check(err error) {
	if err != nil {
		f.t.Helper()
		f.t.Fatal(err)
	}
}

// body returns the JSON object of a response.
func (f *flows) body(status int) (members map[string]any) {
	f.t.Helper()
	if f.response.status != status || json.Unmarshal(f.response.body, &members) != nil {
		f.t.Fatalf("status %d: %s", f.response.status, f.response.body)
	}
	return members
}

// A response is an http.ResponseWriter that is used again.
type response struct {
	header http.Header
	status int
	body   []byte
}

func (r *response) reset()              { *r = response{header: http.Header{}, body: r.body[:0]} }
func (r *response) Header() http.Header { return r.header }
func (r *response) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}
func (r *response) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	r.body = append(r.body, b...)
	return len(b), nil
}
