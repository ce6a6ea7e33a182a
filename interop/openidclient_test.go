package interop_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/interop/internal/testkit"
	"github.com/gofapi/fapi2/profile"
)

// A stage is openid-client's report of one stage of its flow.
type stage struct {
	OK          bool            `json:"ok"`
	Code        string          `json:"code"`
	Error       string          `json:"error"`
	Description string          `json:"description"`
	Message     string          `json:"message"`
	Cause       string          `json:"cause"`
	Parameters  []string        `json:"parameters"`
	TokenType   string          `json:"token_type"`
	Refresh     bool            `json:"refresh_token"`
	Rotated     bool            `json:"rotated"`
	Other       bool            `json:"other"`
	Alg         string          `json:"alg"`
	Then        string          `json:"then"`
	Status      int             `json:"status"`
	Type        string          `json:"type"`
	Claims      map[string]any  `json:"claims"`
	Answer      json.RawMessage `json:"answer"`
	Details     json.RawMessage `json:"authorization_details"`
}

// An exchange is a request of openid-client and its result.
type exchange struct {
	Method string `json:"method"`
	URL    string `json:"url"`
	Status int    `json:"status"`
	Type   string `json:"type"`
}

// An outcome is openid-client's report of a flow.
type outcome struct {
	Stages map[string]stage `json:"stages"`
	Wire   []exchange       `json:"wire"`
}

// openIDClient configures openid-client as one of our kinds of client. more goes over the configuration.
func (w *world) openIDClient(t *testing.T, issuer string, c combination, m *profile.ClientMetadata, more map[string]any) map[string]any {
	t.Helper()
	tls := w.authority.PEM(t, nil)
	if c.usesCertificate() {
		tls = w.authority.PEM(t, w.certificate)
	}
	name, binding := "baseline", "dpop"
	if c.advanced {
		name = "advanced"
	}
	if c.mtls {
		binding = "mtls"
	}
	config := map[string]any{
		"issuer": issuer, "client": m, "key": testkit.JWK(t, w.key, authKeyID, "ES256"), "tls": tls, "profile": name, "binding": binding,
		"redirectURI": redirectURI, "scope": "openid accounts",
	}
	maps.Copy(config, more)
	return config
}

// runOpenIDClient runs flows by openid-client, all at once in one process.
func runOpenIDClient(t *testing.T, flows map[string]map[string]any) map[string]outcome {
	t.Helper()
	testkit.RequirePeers(t, "openid-client", "undici")
	var outcomes map[string]outcome
	testkit.Run(t, "client.mjs", flows, &outcomes)
	require.Len(t, outcomes, len(flows))
	return outcomes
}

// requireStages requires that all stages ran and succeeded.
func requireStages(t *testing.T, result outcome, want ...string) {
	t.Helper()
	for name, s := range result.Stages {
		require.True(t, s.OK, "%s: %+v\n%+v", name, s, result.Wire)
	}
	require.Equal(t, slices.Sorted(slices.Values(want)), slices.Sorted(maps.Keys(result.Stages)))
}

// openid-client against our authorization server and our API.
func TestOpenIDClientAgainstAuthorizationServer(t *testing.T) {
	t.Parallel()
	flows := map[string]map[string]any{}
	for _, p := range []profile.Profile{profile.Baseline, profile.Advanced} {
		w := newWorld(t)
		s := w.startServer(t, p)
		w.guard(t, s.issuer, s.Metadata().JWKSURI)
		for _, c := range combinations() {
			if c.profile() == p {
				flows[c.String()] = atOurServer(t, w, s, c)
			}
		}
	}
	outcomes := runOpenIDClient(t, flows)
	for _, c := range combinations() {
		t.Run(c.String()+" OpenID", func(t *testing.T) { requireOurAnswers(t, c, outcomes[c.String()]) })
	}
}

func atOurServer(t *testing.T, w *world, s *server, c combination) map[string]any {
	t.Helper()
	m := w.ourRegistration(t, c)
	m.IDTokenSignedResponseAlg = "ES256" // else openid-client expects RS256
	asking := w.ourRegistration(t, combination{auth: privateKey})
	asking.ClientID = apiClientID
	if c.advanced {
		asking.IntrospectionSignedResponseAlg = "ES256"
	}
	wellKnown := "oidc"
	if c.mtls { // either is good for all
		wellKnown = "oauth2"
	}
	return w.openIDClient(t, s.issuer, c, m, map[string]any{
		"wellKnown": wellKnown, "resource": w.api.url, "api": w.api.at(c),
		"introspection": map[string]any{"client": asking, "key": testkit.JWK(t, w.key, authKeyID, "ES256")},
	})
}

func requireOurAnswers(t *testing.T, c combination, result outcome) {
	requireStages(t, result, "discovery", "par", "authorization", "token", "id_token", "api", "refresh", "introspection", "revocation")
	requireFAPI(t, c, result)
	stages := result.Stages
	require.Equal(t, "ES256", stages["id_token"].Alg)
	for _, name := range []string{"api", "refresh"} {
		var what told
		require.NoError(t, json.Unmarshal(stages[name].Answer, &what))
		require.Equal(t, "alice", what.Subject)
		require.Equal(t, c.id(), what.Client)
		require.Equal(t, c.mtls, what.X5T != "")
		require.Equal(t, !c.mtls, what.JKT != "")
	}
}

// requireFAPI checks the properties of every flow at this module's servers.
func requireFAPI(t *testing.T, c combination, result outcome) {
	t.Helper()
	stages := result.Stages
	require.Equal(t, []string{"client_id", "request_uri"}, stages["par"].Parameters)
	if c.advanced {
		require.Equal(t, []string{"response"}, stages["authorization"].Parameters)
	} else {
		require.Equal(t, []string{"code", "iss", "state"}, stages["authorization"].Parameters)
	}
	require.Equal(t, strings.ToLower(c.tokenType()), stages["token"].TokenType) // openid-client writes it so
	require.True(t, stages["token"].Refresh)
	if id, ok := stages["id_token"]; ok {
		require.Equal(t, "alice", id.Claims["sub"])
	}
	require.False(t, stages["refresh"].Rotated)
	require.True(t, stages["refresh"].Other)
	var introspected struct {
		Active  bool              `json:"active"`
		Subject string            `json:"sub"`
		Client  string            `json:"client_id"`
		Bound   map[string]string `json:"cnf"`
	}
	require.NoError(t, json.Unmarshal(stages["introspection"].Answer, &introspected))
	require.True(t, introspected.Active)
	require.Equal(t, "alice", introspected.Subject)
	require.Equal(t, c.id(), introspected.Client)
	require.Len(t, introspected.Bound, 1)
	require.Equal(t, c.mtls, introspected.Bound["x5t#S256"] != "")
	if c.advanced {
		require.Equal(t, "application/token-introspection+jwt", stages["introspection"].Type)
	}
	require.Equal(t, "invalid_grant", stages["revocation"].Then)
}

// This test runs the same script against oidc-provider. A failure here is not
// an error of this module's servers.
func TestOpenIDClientAgainstOIDCProvider(t *testing.T) {
	t.Parallel()
	testkit.RequirePeers(t, "openid-client", "undici")
	w := newWorld(t)
	p := w.startProvider(t, nil)
	w.guard(t, p.Issuer, p.Issuer+"/jwks")
	flows := map[string]map[string]any{}
	both := []combination{{auth: privateKey}, {advanced: true, auth: tlsAuth, mtls: true}}
	for _, c := range both {
		m := w.registration(t, c)
		m.IDTokenSignedResponseAlg, m.AuthorizationSignedResponseAlg = "PS256", "PS256"
		if c.advanced {
			m.IDTokenSignedResponseAlg, m.AuthorizationSignedResponseAlg = "ES256", "ES256"
		}
		flows[c.String()+" OpenID"] = w.openIDClient(t, p.Issuer, c, m, map[string]any{"scope": "openid", "userinfo": true})
		flows[c.String()+" RAR"] = w.openIDClient(t, p.Issuer, c, m, map[string]any{
			"scope": "accounts", "resource": w.api.url, "api": w.api.at(c), "authorizationDetails": json.RawMessage(payment),
		})
	}
	outcomes := runOpenIDClient(t, flows)
	for _, c := range both {
		t.Run(c.String()+" OpenID", func(t *testing.T) {
			result := outcomes[c.String()+" OpenID"]
			requireStages(t, result, "discovery", "par", "authorization", "token", "id_token", "userinfo", "refresh", "revocation")
			require.Equal(t, "alice", result.Stages["userinfo"].Claims["sub"])
			require.Equal(t, "invalid_grant", result.Stages["revocation"].Then)
		})
		t.Run(c.String()+" RAR", func(t *testing.T) {
			result := outcomes[c.String()+" RAR"]
			requireStages(t, result, "discovery", "par", "authorization", "token", "api", "refresh", "revocation")
			require.JSONEq(t, payment, string(result.Stages["token"].Details))
		})
	}
}
