package resourceserver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/tokenbinding"
)

const interactionID = "c770aef3-6784-41f7-8e0e-ff5f97bddb3a"

// nonced returns a guard of issuer A that requires nonces, and a current nonce.
func nonced(t testing.TB, change ...func(*resourceserver.Config)) (*resourceserver.Server, string) {
	nonces, err := dpop.NewNonceSource(dpop.NonceSourceConfig{})
	require.NoError(t, err)
	f := newFederation(t)
	own := func(c *resourceserver.Config) { c.Issuers, c.Nonces = f.issuers("a"), nonces }
	return newGuard(t, append([]func(*resourceserver.Config){own}, change...)...), nonces.Nonce()
}

// noncedRequest returns a request to nonced with a good token and proof.
func noncedRequest(t testing.TB, token, nonce string) *http.Request {
	prover, err := dpop.NewProver(dpop.ProverConfig{Key: testkit.ECKey(t, "client")})
	require.NoError(t, err)
	proof, err := prover.Proof(http.MethodGet, apiURL+"/accounts", dpop.ProofOptions{AccessToken: token, Nonce: nonce})
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodGet, apiURL+"/accounts", nil)
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", proof)
	r.Header.Set("X-Fapi-Interaction-Id", interactionID)
	return r
}

// Authorize, Require and Decide make the same decision and set the same
// headers.
func TestEntryPoints(t *testing.T) {
	token := issue(t, "a", "a")
	const ok = ""
	for _, tc := range []struct {
		name   string
		status int
		code   string // "" for a request that passes, or one without credentials
		scopes []string
		change func(r *http.Request)
	}{
		{"SP-5.3.4-4 without scope", 403, "insufficient_scope", []string{"accounts", "payments"}, func(*http.Request) {}},
		{"BASE-6750-3.1-2 without a token", 401, "", nil, func(r *http.Request) { r.Header.Del("Authorization") }},
		{"DPOP-9-1 attack: without a nonce", 401, "use_dpop_nonce", nil, func(r *http.Request) { *r = *noncedRequest(t, token, "") }},
		{"SP-5.3.4-5 attack: without a proof", 401, "invalid_dpop_proof", nil, func(r *http.Request) { r.Header.Del("DPoP") }},
		{"CS-16 attack: two proofs", 401, "invalid_dpop_proof", nil, func(r *http.Request) { r.Header.Add("DPoP", r.Header.Get("DPoP")) }},
		{"DPOP-7.2-1 attack: as Bearer", 401, "invalid_token", nil, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }},
		{"SP-5.3.4-2 attack: a token in the query", 400, "invalid_request", nil, func(r *http.Request) { r.URL.RawQuery = "access_token=x" }},
		{"CS-16 attack: another path", 401, "invalid_dpop_proof", nil, func(r *http.Request) { r.URL.Path = "/payments" }},
		{"CS-16 attack: another method", 401, "invalid_dpop_proof", nil, func(r *http.Request) { r.Method = http.MethodPost }},
		{"AT-4-2 attack: another issuer", 401, "invalid_token", nil, func(r *http.Request) { r.Header.Set("Authorization", "DPoP "+issue(t, "z", "a")) }},
		{"a good request", 200, ok, []string{"accounts"}, func(*http.Request) {}},
		{"a good request without scopes", 200, ok, nil, func(*http.Request) {}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			guard, nonce := nonced(t)
			made := func() *http.Request {
				r := noncedRequest(t, token, nonce)
				tc.change(r)
				return r
			}
			check := func(entry string, status int, h http.Header) {
				require.Equal(t, tc.status, status, entry)
				require.Equal(t, nonce, h.Get("DPoP-Nonce"), "DPOP-8.2-1 %s", entry)
				require.Equal(t, interactionID, h.Get("X-Fapi-Interaction-Id"), entry)
				require.Equal(t, "no-store", h.Get("Cache-Control"), "DPOP-8.2-2 %s", entry)
				challenge := h.Get("WWW-Authenticate")
				require.Equal(t, tc.status != 200, challenge != "", entry)
				require.Equal(t, tc.code != "", strings.Contains(challenge, `error="`+tc.code+`"`), "%s: %s", entry, challenge)
				if tc.scopes != nil && challenge != "" {
					require.Contains(t, challenge, `scope="`+strings.Join(tc.scopes, " ")+`"`, entry)
				}
			}

			recorder, r := httptest.NewRecorder(), made()
			verified, passed := guard.Authorize(recorder, r, tc.scopes...)
			check("Authorize", recorder.Code, recorder.Header())
			require.Equal(t, tc.status == 200, passed)
			require.Equal(t, passed, verified != nil)
			_, ok := resourceserver.TokenFromContext(r.Context())
			require.False(t, ok, "the caller's own request is unchanged")
			if passed {
				token, ok := resourceserver.TokenFromContext(verified.Context())
				require.True(t, ok)
				require.Equal(t, "alice", token.Subject())
			}

			var middleware func(http.Handler) http.Handler = guard.Require(tc.scopes...)
			var served bool
			recorder = httptest.NewRecorder()
			middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, served = resourceserver.TokenFromContext(r.Context())
				w.WriteHeader(http.StatusOK)
			})).ServeHTTP(recorder, made())
			check("Require", recorder.Code, recorder.Header())
			require.Equal(t, passed, served)

			d := guard.Decide(made(), tc.scopes...)
			check("Decide", d.Status, d.Header)
			require.Equal(t, passed, d.Token != nil)
			require.Equal(t, passed, d.Err == nil)
			written := recorder.Header().Clone()
			written.Del("Content-Type") // of the body
			require.Equal(t, written, d.Header)
		})
	}
}

// A replayed proof passes at exactly one entry point.
func TestEntryPointsShareTheReplayStore(t *testing.T) {
	guard, nonce := nonced(t)
	r := noncedRequest(t, issue(t, "a", "a"), nonce)
	require.NoError(t, guard.Decide(r).Err)
	_, ok := guard.Authorize(httptest.NewRecorder(), r)
	require.False(t, ok)
	d := guard.Decide(r)
	require.ErrorIs(t, d.Err, dpop.ErrReplayed)
	require.Equal(t, http.StatusUnauthorized, d.Status)
}

// gRPC and the protocols of proxies have header names in lower case.
func TestDecideWithLowerCaseNames(t *testing.T) {
	token := issue(t, "a", "a")
	lower := func(r *http.Request, names ...string) {
		for _, name := range names {
			r.Header[strings.ToLower(name)] = r.Header.Values(name)
			r.Header.Del(name)
		}
	}
	for _, tc := range []struct {
		name   string
		change func(r *http.Request)
		want   error
	}{
		{"CS-16 attack: a second proof under another name", func(r *http.Request) { r.Header["dpop"] = []string{r.Header.Get("DPoP")} }, dpop.ErrMalformed},
		{"DPOP-7.2-3 attack: a second token under another name", func(r *http.Request) { r.Header["authorization"] = []string{"Bearer x"} }, tokenbinding.ErrMultipleMethods},
		{"a token and no proof", func(r *http.Request) { lower(r, "Authorization"); r.Header.Del("DPoP") }, dpop.ErrMissing},
		{"no URL", func(r *http.Request) { r.URL = nil }, dpop.ErrURL},
		{"nothing at all", func(r *http.Request) { *r = http.Request{} }, tokenbinding.ErrNoToken},
		{"all names in lower case", func(r *http.Request) { lower(r, "Authorization", "DPoP", "X-Fapi-Interaction-Id") }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			guard, nonce := nonced(t)
			r := noncedRequest(t, token, nonce)
			tc.change(r)
			before := r.Header.Clone()
			d := guard.Decide(r, "accounts")
			require.ErrorIs(t, d.Err, tc.want)
			require.Equal(t, tc.want == nil, d.Token != nil)
			require.Equal(t, nonce, d.Header.Get("DPoP-Nonce"))
			require.Equal(t, before, r.Header, "the caller's own header is unchanged")
			if tc.want == nil {
				require.Equal(t, interactionID, d.Header.Get("X-Fapi-Interaction-Id"))
			}
		})
	}
}

// selfSigned returns a connection with a client certificate and a source that
// accepts it.
func selfSigned(t testing.TB) (*tls.ConnectionState, *tokenbinding.CertificateSource) {
	server := httptest.NewTLSServer(nil)
	t.Cleanup(server.Close)
	source, err := tokenbinding.NewCertificateSource(tokenbinding.CertificateSourceConfig{
		Now: func() time.Time { return server.Certificate().NotBefore.Add(time.Hour) }, SelfSignedCA: true,
	})
	require.NoError(t, err)
	return &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{server.Certificate()}}, source
}

// The host of Decide sets TLS of the request for certificate-bound tokens.
func TestDecideWithACertificate(t *testing.T) {
	connection, source := selfSigned(t)
	own := connection.PeerCertificates[0]
	other := &x509.Certificate{Raw: []byte("another"), NotBefore: own.NotBefore, NotAfter: own.NotAfter}
	f := newFederation(t)
	f.claims.Confirmation = tokenbinding.Confirmation{X5TS256: tokenbinding.CertificateThumbprint(own)}
	guard := newGuard(t, func(c *resourceserver.Config) { c.Issuers, c.Certificates = f.issuers("d"), source })
	for _, tc := range []struct {
		name        string
		certificate *x509.Certificate
		want        error
	}{
		{"MTLS-3-3 attack: without a certificate", nil, tokenbinding.ErrNoCertificate},
		{"MTLS-3-3 attack: another certificate", other, tokenbinding.ErrMismatch},
		{"MTLS-3-3 the certificate of the token", own, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &http.Request{Method: "POST", Header: http.Header{"authorization": {"Bearer opaque"}}}
			if tc.certificate != nil {
				r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{tc.certificate}}
			}
			d := guard.Decide(r)
			require.ErrorIs(t, d.Err, tc.want)
			if tc.want == nil {
				require.Equal(t, idOf("d"), d.Token.Issuer())
				return
			}
			_, _, status := oautherr.From(d.Err)
			require.Equal(t, status, d.Status)
		})
	}
}

// An API may require a certificate with each token. It need not be that of any token.
func TestRequireCertificate(t *testing.T) {
	connection, source := selfSigned(t)
	w := newAPI(t, func(c *resourceserver.Config) { c.Certificates, c.RequireCertificate = source, true })
	token := w.token()
	r := httptest.NewRequest(http.MethodGet, "/accounts", nil)
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", w.forge(token, testkit.ECKey(t, "client")))
	_, err := w.rs.Verify(r, "accounts")
	require.ErrorIs(t, err, tokenbinding.ErrNoCertificate)
	code, _, status := oautherr.From(err)
	require.Equal(t, "invalid_token", code)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Zero(t, w.uses.Load(), "the proof is not consumed")
	r.TLS = connection
	verified, err := w.rs.Verify(r, "accounts")
	require.NoError(t, err)
	require.Empty(t, verified.Confirmation().X5TS256)
}

// Reject responds to an error after Decide as WriteError does.
func TestReject(t *testing.T) {
	guard, nonce := nonced(t)
	r := noncedRequest(t, issue(t, "a", "a"), nonce)
	token, err := guard.Verify(r)
	require.NoError(t, err)
	for _, tc := range []struct {
		name      string
		err       error
		status    int
		challenge string
	}{
		{"SP-5.3.4-4 a scope", token.CheckScope("payments"), 403, `error="insufficient_scope"`},
		{"SU-3-2 a step-up", token.CheckStepUp(accesstoken.StepUp{ACRValues: []string{"gold"}}), 401, `acr_values="gold"`},
		{"details without types", token.CheckDetails(nil), 500, ""},
		{"an error of the host", errors.New("secret"), 500, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, written := guard.Reject(r, tc.err, "payments"), httptest.NewRecorder()
			guard.WriteError(written, r, tc.err, "payments")
			require.Nil(t, d.Token)
			require.Equal(t, tc.err, d.Err)
			require.Equal(t, tc.status, d.Status)
			require.Equal(t, written.Code, d.Status)
			written.Header().Del("Content-Type") // of the body
			require.Equal(t, written.Header(), d.Header)
			require.Contains(t, d.Header.Get("WWW-Authenticate"), tc.challenge)
			require.Equal(t, nonce, d.Header.Get("DPoP-Nonce"))
			require.Equal(t, interactionID, d.Header.Get("X-Fapi-Interaction-Id"))
		})
	}
}

func TestRejectWithoutAnError(t *testing.T) {
	guard, nonce := nonced(t)
	d := guard.Reject(noncedRequest(t, issue(t, "a", "a"), nonce), nil)
	require.Equal(t, http.StatusInternalServerError, d.Status)
	require.Error(t, d.Err)
	require.Nil(t, d.Token)
}

func TestContextWithToken(t *testing.T) {
	guard, nonce := nonced(t)
	token, err := guard.Verify(noncedRequest(t, issue(t, "a", "a"), nonce))
	require.NoError(t, err)
	found, ok := resourceserver.TokenFromContext(resourceserver.ContextWithToken(context.Background(), token))
	require.True(t, ok)
	require.Same(t, token, found)
}

// The wire form has no detail of the error.
func TestDecideKeepsDetailsLocal(t *testing.T) {
	f := newFederation(t)
	d := f.guard("a b").Decide(request(t, issue(t, "internal-host", "a")))
	require.ErrorIs(t, d.Err, accesstoken.ErrIssuer)
	require.ErrorContains(t, d.Err, "internal-host")
	for name, values := range d.Header {
		require.NotContains(t, strings.Join(values, " "), "internal-host", name)
	}
}

func TestAPINonces(t *testing.T) {
	w := newAPI(t, func(c *resourceserver.Config) {
		var err error
		c.Nonces, err = dpop.NewNonceSource(dpop.NonceSourceConfig{Now: c.Hooks.Now})
		require.NoError(t, err)
	})
	token, key := w.token(), testkit.ECKey(t, "client")
	response, body := w.good("/accounts", token)
	require.Equal(t, http.StatusUnauthorized, response.StatusCode, "DPOP-9-1")
	require.JSONEq(t, `"use_dpop_nonce"`, member(t, body, "error"))
	require.Contains(t, response.Header.Get("WWW-Authenticate"), `DPoP error="use_dpop_nonce"`)
	nonce := response.Header.Values("DPoP-Nonce")
	require.Len(t, nonce, 1, "DPOP-8-3")
	require.Zero(t, w.uses.Load())
	with := func(nonce string) func(_, claims map[string]any) {
		return func(_, c map[string]any) { c["nonce"] = nonce }
	}
	response, _ = w.call("/accounts", "Authorization", "DPoP "+token, "DPoP", w.forge(token, key, with(nonce[0])))
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Len(t, response.Header.Values("DPoP-Nonce"), 1, "DPOP-8.2-1 on success too")
	response, _ = w.call("/accounts", "Authorization", "DPoP "+token, "DPoP", w.forge(token, key, with("mine")))
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
}

func TestInteractionID(t *testing.T) {
	w := newAPI(t)
	const name, id = "X-Fapi-Interaction-Id", "c770aef3-6784-41F7-8e0e-ff5f97bddb3a"
	for _, tc := range []struct {
		name string
		sent []string
		want []string
	}{
		{"a UUID", []string{id}, []string{id}},
		{"none", nil, nil},
		{"two", []string{id, id}, nil},
		{"something else", []string{"abc"}, nil},
		{"longer", []string{id + "0"}, nil},
		{"another separator", []string{strings.ReplaceAll(id, "-", "_")}, nil},
		{"no hexadecimal", []string{"g" + id[1:]}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var fields []string
			for _, value := range tc.sent {
				fields = append(fields, name, value)
			}
			response, _ := w.good("/accounts", w.token(), fields...)
			require.Equal(t, http.StatusOK, response.StatusCode)
			require.Equal(t, tc.want, response.Header.Values(name))
			refused, _ := w.call("/accounts", fields...)
			require.Equal(t, http.StatusUnauthorized, refused.StatusCode)
			require.Equal(t, tc.want, refused.Header.Values(name))
		})
	}
}

func TestChallengeOfAPI(t *testing.T) {
	w := newAPI(t, func(c *resourceserver.Config) {
		c.Realm, c.ResourceMetadata = `accounts" evil="1`, "https://api.example/.well-known/oauth-protected-resource"
	})
	response, _ := w.call("/accounts")
	require.Equal(t, `DPoP realm="accounts? evil=?1", scope="accounts", resource_metadata="https://api.example/.well-known/oauth-protected-resource", `+
		`algs="ES256 PS256 EdDSA Ed25519"`, response.Header.Get("WWW-Authenticate"), "DPOP-7.1-3")
}

func TestInteractionIDSettings(t *testing.T) {
	const name = "X-Fapi-Interaction-Id"
	for _, setting := range []string{"make", "require"} {
		var seen []string
		w := newAPI(t, func(c *resourceserver.Config) {
			c.InteractionIDs = setting
			c.Hooks.Observe = func(_ context.Context, e profile.Event) { seen = append(seen, e.InteractionID) }
		})
		response, _ := w.good("/accounts", w.token(), name, interactionID)
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Equal(t, []string{interactionID}, response.Header.Values(name))
		response, _ = w.good("/accounts", w.token(), name, "x")
		if setting == "require" {
			require.Equal(t, http.StatusBadRequest, response.StatusCode)
			require.Contains(t, response.Header.Get("WWW-Authenticate"), `error="invalid_request"`)
			continue
		}
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Len(t, response.Header.Get(name), len(interactionID))
		require.NotEqual(t, interactionID, response.Header.Get(name))
		require.Equal(t, []string{interactionID, response.Header.Get(name)}, seen)
	}
}
