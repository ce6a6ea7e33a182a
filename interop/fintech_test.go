package interop_test

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/interop/internal/testkit"
)

// information is the detail that the fintech requests at the bank, to list
// accounts without the scope.
const information = `[{"type":"account_information","actions":["list_accounts"]}]`

// onceSays is the line that examples/fintech -once prints.
type onceSays struct {
	OK             bool   `json:"ok"`
	Stage          string `json:"stage"`
	Error          string `json:"error"`
	TokenType      string `json:"token_type"`
	ResourceStatus int    `json:"resource_status"`
}

// runFintech runs one authorization of examples/fintech as one kind of client.
// more overrides the configuration.
func (w *world) runFintech(t *testing.T, c combination, more map[string]any) (exit int, said onceSays) {
	t.Helper()
	dir := t.TempDir()
	config := map[string]any{
		"client_id": c.id(), "redirect_uri": redirectURI, "token_endpoint_auth_method": c.auth, "openid": true, "scope": "accounts",
		"message_signing": []string{},
	}
	tls := w.authority.PEM(t, w.certificate)
	config["ca_file"] = writeFile(t, dir, "ca.pem", tls.CA)
	if c.usesCertificate() {
		writeFile(t, dir, "own.crt", tls.Cert)
		writeFile(t, dir, "own.key", tls.Key)
		config["tls_cert_file"], config["tls_key_file"] = "own.crt", "own.key" // beside the configuration
	}
	if c.auth == privateKey || c.advanced {
		config["jwks"] = map[string]any{"keys": []any{testkit.JWK(t, w.key, authKeyID, "ES256")}}
	}
	if c.mtls {
		config["tls_client_certificate_bound_access_tokens"] = true
	} else {
		config["dpop_bound_access_tokens"] = true
	}
	if c.advanced {
		config["message_signing"] = []string{"authorization_request", "authorization_response", "introspection"}
	}
	maps.Copy(config, more)
	document, err := json.Marshal(config)
	require.NoError(t, err)
	exit, stdout, stderr := testkit.RunProgram(t, testkit.Build(t, "fintech"), "-once", "-config", writeFile(t, dir, "fintech.json", string(document)))
	require.NotEqual(t, 2, exit, "%s", stderr)
	require.Empty(t, stderr)
	require.NoError(t, json.Unmarshal(stdout, &said), "%s", stdout)
	return exit, said
}

// requireOnce requires a complete authorization and the resource.
func requireOnce(t *testing.T, c combination, exit int, said onceSays) {
	t.Helper()
	require.Equal(t, onceSays{OK: true, TokenType: c.tokenType(), ResourceStatus: 200}, said)
	require.Zero(t, exit)
}

// fintechAtBanks runs the flows of openid-client with fintech.
func fintechAtBanks(t *testing.T, banks map[kindOfBank]*bank) {
	t.Parallel()
	testkit.Build(t, "fintech")
	for _, f := range bankFlows(banks) {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			config := map[string]any{"issuer": f.issuer, "resource_url": f.at("/accounts")}
			if f.rar {
				config["openid"], config["scope"], config["authorization_details"] = false, "payments", json.RawMessage(information)
			}
			exit, said := f.runFintech(t, f.combination, config)
			requireOnce(t, f.combination, exit, said)
		})
	}
	t.Run("a client that the bank does not know", func(t *testing.T) {
		t.Parallel()
		b := banks[kindsOfBank()[0]]
		exit, said := b.runFintech(t, combination{auth: privateKey}, map[string]any{"issuer": b.issuer, "resource_url": b.issuer + "/accounts", "client_id": "nobody"})
		require.Equal(t, onceSays{Stage: "par", Error: "invalid_client (status 401)"}, said)
		require.Equal(t, 1, exit)
	})
}

// The fintech requests no resource. The server's default resource is this
// module's API.
func TestFintechAgainstOIDCProvider(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.startProvider(t, map[string]any{"defaultResource": w.api.url})
	w.guard(t, p.Issuer, p.Issuer+"/jwks")
	testkit.Build(t, "fintech")
	for _, c := range combinations() {
		t.Run(c.String()+" OpenID", func(t *testing.T) {
			t.Parallel()
			exit, said := w.runFintech(t, c, map[string]any{"issuer": p.Issuer, "resource_url": w.api.at(c)})
			requireOnce(t, c, exit, said)
		})
		t.Run(c.String()+" RAR", func(t *testing.T) {
			t.Parallel()
			exit, said := w.runFintech(t, c, map[string]any{
				"issuer": p.Issuer, "resource_url": w.api.at(c), "openid": false, "authorization_details": json.RawMessage(payment),
			})
			requireOnce(t, c, exit, said)
		})
	}
}
