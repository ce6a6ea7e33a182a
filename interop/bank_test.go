package interop_test

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/interop/internal/testkit"
	"github.com/gofapi/fapi2/profile"
)

// otherClientID is a client that is as good as the first one.
const otherClientID = "another-client"

// A kindOfBank is the configuration of a bank.
type kindOfBank struct {
	advanced bool   // signed messages
	opaque   bool   // access tokens, else they are JWTs
	nonces   bool   // proofs need them
	alg      string // of what the bank signs
}

// kindsOfBank returns the configurations for all flows.
func kindsOfBank() []kindOfBank {
	return []kindOfBank{
		{alg: "ES256", nonces: true}, {alg: "PS256", opaque: true, nonces: true},
		{advanced: true, alg: "ES256", nonces: true}, {advanced: true, alg: "PS256", opaque: true},
	}
}

func (k kindOfBank) tokenForm() string {
	if k.opaque {
		return "opaque tokens"
	}
	return "JWTs"
}

// A bank is a running examples/bank whose user alice agrees to everything.
type bank struct {
	*world
	kindOfBank
	issuer, mtlsURL string // the second is where it asks for certificates
	clients         map[string]*profile.ClientMetadata
}

// startBank builds and starts a bank, with a client of each possible
// combination and a resource server.
func (w *world) startBank(t *testing.T, k kindOfBank) *bank {
	t.Helper()
	b := &bank{world: w, kindOfBank: k, clients: map[string]*profile.ClientMetadata{}}
	registrations := b.registrations(t)
	dir := t.TempDir()
	server := w.authority.ServerPEM(t)
	certificate, key, ca := writeFile(t, dir, "bank.crt", server.Cert), writeFile(t, dir, "bank.key", server.Key), writeFile(t, dir, "ca.pem", server.CA)
	path := testkit.Build(t, "bank")
	for range 3 { // a port that was free a moment ago can be another's
		listen, mtlsListen := freeAddress(t), freeAddress(t)
		b.issuer, b.mtlsURL = "https://"+listen, "https://"+mtlsListen
		document := map[string]any{
			"issuer": b.issuer, "listen": listen, "mtls_listen": mtlsListen, "tls_cert_file": certificate, "tls_key_file": key, "client_ca_file": ca,
			"openid": true, "require_dpop_nonce": k.nonces, "access_token": "jwt", "resource_servers": map[string]any{apiClientID: []string{b.issuer}},
			"users": []any{map[string]string{"username": "alice", "password": "correct horse"}}, "auto_approve": "alice", "clients": registrations,
		}
		if k.opaque {
			document["access_token"] = "opaque"
		}
		if k.advanced {
			document["message_signing"] = []string{"authorization_request", "authorization_response", "introspection"}
		}
		var ready struct {
			Ready  bool   `json:"ready"`
			Issuer string `json:"issuer"`
		}
		config, err := json.Marshal(document)
		require.NoError(t, err)
		if testkit.StartProgram(t, path, []string{"-config", writeFile(t, dir, "bank.json", string(config))}, &ready) {
			require.True(t, ready.Ready)
			require.Equal(t, b.issuer, ready.Issuer)
			return b
		}
	}
	require.Fail(t, "the bank does not start")
	return nil
}

func (b *bank) registrations(t *testing.T) (all []*profile.ClientMetadata) {
	t.Helper()
	add := func(m *profile.ClientMetadata) {
		require.NoError(t, m.Validate())
		b.clients[m.ClientID] = m
		all = append(all, m)
	}
	for _, c := range combinations() {
		if c.advanced == b.advanced {
			add(b.registration(t, c))
		}
	}
	other := b.registration(t, combination{advanced: b.advanced, auth: privateKey})
	other.ClientID = otherClientID
	add(other)
	api := b.registration(t, combination{advanced: b.advanced, auth: privateKey})
	api.ClientID, api.RedirectURIs, api.GrantTypes, api.ResponseTypes = apiClientID, nil, []string{"client_credentials"}, nil
	api.AuthorizationDetailsTypes = nil
	if b.advanced {
		api.IntrospectionSignedResponseAlg = b.alg
	}
	add(api)
	return all
}

// registration returns the registration of a client at this bank.
func (b *bank) registration(t *testing.T, c combination) *profile.ClientMetadata {
	t.Helper()
	m := b.ourRegistration(t, c)
	m.Scope = "openid profile accounts payments grant_management_query grant_management_revoke"
	m.AuthorizationDetailsTypes = []string{"payment_initiation", "account_information"}
	m.IDTokenSignedResponseAlg, m.AuthorizationSignedResponseAlg = b.alg, ""
	if c.advanced {
		m.AuthorizationSignedResponseAlg = b.alg
	}
	return m
}

// freeAddress returns an address where no program listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	socket, address := testkit.Listen(t)
	require.NoError(t, socket.Close())
	return strings.TrimPrefix(address, "https://")
}

func writeFile(t *testing.T, dir, name, content string) (path string) {
	t.Helper()
	path = filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// This test runs other software and this module's client against the bank as a
// separate program, once for each configuration.
func TestBank(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	banks := map[kindOfBank]*bank{}
	for _, k := range kindsOfBank() {
		banks[k] = w.startBank(t, k)
	}
	t.Run("openid-client", func(t *testing.T) { openIDClientAtBanks(t, banks) })
	t.Run("fintech", func(t *testing.T) { fintechAtBanks(t, banks) })
	t.Run("raw requests", func(t *testing.T) { rawRequestsToBanks(t, w, banks) })
}

// openIDClientAtBanks runs every combination, at banks with tokens of either form, with and without nonces.
func openIDClientAtBanks(t *testing.T, banks map[kindOfBank]*bank) {
	t.Parallel()
	testkit.RequirePeers(t, "openid-client", "undici")
	flows := map[string]map[string]any{}
	all := bankFlows(banks)
	require.Len(t, all, 32)
	for _, f := range all {
		flows[f.String()] = f.openIDFlow(t)
	}
	outcomes := runOpenIDClient(t, flows)
	for _, f := range all {
		t.Run(f.String(), func(t *testing.T) {
			f.checkAnswers(t, outcomes[f.String()])
			f.checkAliases(t, outcomes[f.String()].Wire)
		})
	}
}

// A bankFlow is the flow of one client at one bank.
type bankFlow struct {
	*bank
	combination
	rar bool // a payment or accounts in detail, else OpenID Connect
}

// bankFlows returns the flows of all clients.
func bankFlows(banks map[kindOfBank]*bank) (all []bankFlow) {
	for _, k := range kindsOfBank() {
		for _, c := range combinations() {
			if c.advanced == k.advanced {
				all = append(all, bankFlow{banks[k], c, false}, bankFlow{banks[k], c, true})
			}
		}
	}
	return all
}

func (f bankFlow) String() string {
	what := "OpenID"
	if f.rar {
		what = "RAR"
	}
	return f.combination.String() + " " + what + ", " + f.tokenForm()
}

// at returns the URL of a path of the API for the flow's client.
func (f bankFlow) at(path string) string {
	if f.mtls {
		return f.mtlsURL + path
	}
	return f.issuer + path
}

// openIDFlow configures openid-client for a flow at the bank.
func (f bankFlow) openIDFlow(t *testing.T) map[string]any {
	t.Helper()
	more := map[string]any{
		"introspection": map[string]any{"client": f.clients[apiClientID], "key": testkit.JWK(t, f.key, authKeyID, "ES256")},
	}
	if f.rar { // the server's other metadata document, too
		more["wellKnown"], more["resource"] = "oauth2", f.issuer
		more["scope"], more["authorizationDetails"] = "payments", json.RawMessage(payment)
		more["api"], more["order"] = f.at("/payments"), json.RawMessage(order)
	} else {
		more["userinfo"], more["api"] = true, f.at("/accounts")
	}
	return f.openIDClient(t, f.issuer, f.combination, f.clients[f.id()], more)
}

// order is the granted payment as the request to the bank's API.
var order = strings.Trim(payment, "[]")

func (f bankFlow) checkAnswers(t *testing.T, result outcome) {
	t.Helper()
	stages := []string{"discovery", "par", "authorization", "token", "id_token", "userinfo", "api", "refresh", "introspection", "revocation"}
	if f.rar {
		stages = []string{"discovery", "par", "authorization", "token", "api", "refresh", "introspection", "revocation"}
	}
	requireStages(t, result, stages...)
	requireFAPI(t, f.combination, result)
	got := result.Stages
	require.Equal(t, 401, got["revocation"].Status, "what was issued goes with the refresh token")
	if !f.rar {
		require.Equal(t, f.alg, got["id_token"].Alg)
		require.Equal(t, "alice", got["userinfo"].Claims["sub"])
		var accounts struct {
			Owner    string           `json:"owner"`
			Accounts []map[string]any `json:"accounts"`
		}
		require.NoError(t, json.Unmarshal(got["api"].Answer, &accounts))
		require.Equal(t, "alice", accounts.Owner)
		require.Len(t, accounts.Accounts, 2)
		require.JSONEq(t, string(got["api"].Answer), string(got["refresh"].Answer))
		return
	}
	for _, name := range []string{"token", "refresh", "introspection"} {
		require.JSONEq(t, payment, string(got[name].Details), name)
	}
	require.Equal(t, 201, got["api"].Status)
	require.Equal(t, 201, got["refresh"].Status, "the same attempt with a refreshed token")
	require.JSONEq(t, string(got["api"].Answer), string(got["refresh"].Answer))
}

// checkAliases checks the addresses of requests. A client with certificates
// uses the addresses that request certificates, except for the published
// documents. Any other client never does. The client that introspects has no
// certificate.
func (f bankFlow) checkAliases(t *testing.T, wire []exchange) {
	t.Helper()
	statuses := map[string][]int{}
	for _, e := range wire {
		u, err := url.Parse(e.URL)
		require.NoError(t, err)
		base := "https://" + u.Host
		switch path := u.Path; {
		case strings.HasPrefix(path, "/.well-known/"), path == "/jwks", path == "/introspect":
			require.Equal(t, f.issuer, base, e)
		case path == "/accounts", path == "/payments":
			require.Equal(t, f.at(path), base+path)
		case f.usesCertificate():
			require.Equal(t, f.mtlsURL, base, e)
		default:
			require.Equal(t, f.issuer, base, e)
		}
		statuses[u.Path] = append(statuses[u.Path], e.Status)
	}
	for _, path := range []string{"/par", "/token", "/introspect", "/revoke"} {
		require.NotEmpty(t, statuses[path], path)
	}
	api := append(statuses["/accounts"], statuses["/payments"]...)
	require.Equal(t, f.nonces && !f.mtls, api[0] == 401, "a nonce is demanded where the configuration says so: %v", statuses)
	require.Equal(t, f.nonces && !f.mtls, statuses["/par"][0] == 400 || statuses["/token"][0] == 400, "%v", statuses)
}
