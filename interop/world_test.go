package interop_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/interop/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/tokenbinding"
	"github.com/stretchr/testify/require"
)

const (
	redirectURI = "https://client.example/callback"
	clientHost  = "client.example" // in the client's certificate
	authKeyID   = "client-es256"
	asKeyID     = "as-es256"
	asRSAKeyID  = "as-ps256"
	privateKey  = "private_key_jwt"
	tlsAuth     = "tls_client_auth"
)

// A combination is a kind of client.
type combination struct {
	advanced bool
	auth     string
	mtls     bool // tokens are bound to the certificate, else to a DPoP key
}

// combinations returns all combinations.
func combinations() (all []combination) {
	for _, advanced := range []bool{false, true} {
		for _, auth := range []string{privateKey, tlsAuth} {
			for _, mtls := range []bool{false, true} {
				all = append(all, combination{advanced, auth, mtls})
			}
		}
	}
	return all
}

func (c combination) String() string {
	name, binding := "Baseline", "DPoP"
	if c.advanced {
		name = "Advanced"
	}
	if c.mtls {
		binding = "mTLS"
	}
	return name + " " + c.auth + " " + binding
}

// id returns the client_id.
func (c combination) id() string {
	id := "baseline-"
	if c.advanced {
		id = "advanced-"
	}
	if id += c.auth; c.mtls {
		return id + "-mtls"
	}
	return id + "-dpop"
}

func (c combination) usesCertificate() bool { return c.mtls || c.auth == tlsAuth }

func (c combination) profile() profile.Profile {
	if c.advanced {
		return profile.Advanced
	}
	return profile.Baseline
}

func (c combination) tokenType() string {
	if c.mtls {
		return "Bearer"
	}
	return "DPoP"
}

// A world contains the parts of all tests: certificates, the keys of the client
// and of an authorization server, and the API.
type world struct {
	authority   *testkit.Authority
	key         *ecdsa.PrivateKey // the client's
	rsaKey      *rsa.PrivateKey   // the client's too
	certificate *tls.Certificate  // the client's
	asKey       *ecdsa.PrivateKey
	asRSAKey    *rsa.PrivateKey
	api         *api
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		authority: testkit.NewAuthority(t), key: testkit.NewKey(t), rsaKey: testkit.NewRSAKey(t), asKey: testkit.NewKey(t), asRSAKey: testkit.NewRSAKey(t),
	}
	w.certificate = w.authority.Client(t, clientHost)
	w.api = newAPI(t, w.authority)
	return w
}

// registration returns the registration of a client.
func (w *world) registration(t *testing.T, c combination) *profile.ClientMetadata {
	t.Helper()
	keys, err := jwks.NewSet(jwks.Key{Public: w.key.Public(), KeyID: authKeyID})
	require.NoError(t, err)
	m := &profile.ClientMetadata{
		ClientID: c.id(), RedirectURIs: []string{redirectURI}, GrantTypes: []string{"authorization_code", "refresh_token", "client_credentials"},
		ResponseTypes: []string{"code"}, JWKS: keys, TokenEndpointAuthMethod: c.auth,
		DPoPBoundAccessTokens: !c.mtls, TLSClientCertificateBoundAccessTokens: c.mtls, RequirePushedAuthorizationRequests: true,
	}
	if c.auth == tlsAuth {
		m.TLSClientAuthSANDNS = clientHost
	}
	if c.advanced {
		m.RequireSignedRequestObject, m.ResponseModes = true, []string{"jwt"}
	}
	return m
}

// clientConfig returns the configuration of this module's client.
func (w *world) clientConfig(t *testing.T, issuer string, c combination) client.Config {
	t.Helper()
	cfg := client.Config{
		Issuer: issuer, ClientID: c.id(), RedirectURI: redirectURI, Profile: c.profile(), HTTPClient: w.authority.HTTPClient(t),
	}
	if c.auth == privateKey || c.advanced {
		cfg.Key, cfg.KeyID = w.key, authKeyID
	}
	if c.usesCertificate() {
		cfg.MutualTLS = &client.MutualTLS{
			Certificate: w.certificate, AuthMethod: c.auth, BindTokens: c.mtls, UseEndpointAliases: true,
		}
	}
	return cfg
}

// An api is an API behind a resourceserver.Server, on two sockets of which one
// requests certificates.
type api struct {
	url, mtlsURL string
	asks         func(issuer string, keys *jwks.Remote)
}

// newAPI opens the sockets. The API serves nothing before guard is called.
func newAPI(t *testing.T, authority *testkit.Authority) *api {
	t.Helper()
	socket, url := testkit.Listen(t)
	mtlsSocket, mtlsURL := testkit.Listen(t)
	a := &api{url: url, mtlsURL: mtlsURL}
	a.asks = func(issuer string, keys *jwks.Remote) {
		nonces, err := dpop.NewNonceSource(dpop.NonceSourceConfig{})
		require.NoError(t, err)
		guard, err := resourceserver.New(resourceserver.Config{
			Resource: a.url, Issuers: []resourceserver.Issuer{{ID: issuer, Keys: keys.Keys}},
			Certificates: new(tokenbinding.CertificateSource), Nonces: nonces,
		})
		require.NoError(t, err)
		handler := guard.Require("accounts")(http.HandlerFunc(tellToken))
		authority.Serve(t, socket, false, handler)
		authority.Serve(t, mtlsSocket, true, handler)
	}
	return a
}

// guard serves the API with the tokens of an issuer.
func (w *world) guard(t *testing.T, issuer, jwksURI string) {
	t.Helper()
	keys, err := jwks.NewRemote(jwks.RemoteConfig{URL: jwksURI, HTTPClient: w.authority.HTTPClient(t)})
	require.NoError(t, err)
	w.api.asks(issuer, keys)
}

// at returns the URL of the API for a kind of client.
func (a *api) at(c combination) string {
	if c.mtls {
		return a.mtlsURL + "/accounts"
	}
	return a.url + "/accounts"
}

// told is the API's response about the token of a request.
type told struct {
	Subject string          `json:"subject"`
	Client  string          `json:"client"`
	JKT     string          `json:"jkt"`
	X5T     string          `json:"x5t"`
	Scopes  []string        `json:"scopes"`
	Details json.RawMessage `json:"details"`
}

func tellToken(w http.ResponseWriter, r *http.Request) {
	token, ok := resourceserver.TokenFromContext(r.Context())
	if !ok {
		http.Error(w, "no token", http.StatusInternalServerError)
		return
	}
	bound := token.Confirmation()
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(told{ //nolint:errcheck // the client is gone
		Subject: token.Subject(), Client: token.ClientID(), JKT: bound.JKT, X5T: bound.X5TS256, Scopes: token.Scopes(), Details: token.AuthorizationDetails(),
	})
}
