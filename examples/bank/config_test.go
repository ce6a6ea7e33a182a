package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/examples/internal/configfile"
)

// settings is a configuration that is right.
func settings() object {
	return object{
		"issuer": "https://bank.example", "listen": "localhost:9443",
		"users":   []object{{"username": "alice", "password": "secret of alice"}},
		"clients": []object{{"client_id": "one", "redirect_uris": []string{"https://app.example/cb"}, "token_endpoint_auth_method": "private_key_jwt", "dpop_bound_access_tokens": true, "jwks_uri": "https://app.example/jwks"}},
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	client := func(name string, value any) func(o object) {
		return func(o object) { set(o["clients"].([]object)[0], object{name: value}) }
	}
	for _, tc := range []struct {
		name   string
		change func(o object)
		says   string
	}{
		{"a name that is unknown", with("Issuer", "x"), `"Issuer" is unknown`},
		{"a value of the wrong type", with("openid", "yes"), "openid is a string, want true or false"},
		{"null", with("openid", json.RawMessage("null")), "openid is null, want true or false"},
		{"an issuer with a query", with("issuer", "https://bank.example?a=b"), "issuer"},
		{"an issuer by http", with("issuer", "http://bank.example"), "issuer"},
		{"an issuer that ends in a slash", with("issuer", "https://bank.example/"), "slash"},
		{"no port", with("listen", "localhost"), "listen"},
		{"port 0", with("mtls_listen", "localhost:0"), "mtls_listen"},
		{"one address for two", with("mtls_listen", "localhost:9443"), "the same as listen"},
		{"a certificate without its key", with("tls_cert_file", "a.pem"), "go together"},
		{"certificate files that are not there", func(o object) { o["tls_cert_file"], o["tls_key_file"] = "a.pem", "b.pem" }, "tls_cert_file: with tls_key_file"},
		{"a directory for write_ca_file that is not there", with("write_ca_file", "not-there/ca.pem"), "write_ca_file"},
		{"a client_ca_file that is not there", with("client_ca_file", "not-there.pem"), "client_ca_file"},
		{"a part of message signing that is unknown", with("message_signing", []string{"all"}), "message_signing"},
		{"4 s", with("request_uri_seconds", 4), "5 to 599"},
		{"600 s", with("request_uri_seconds", 600), "5 to 599"},
		{"half a second", with("request_uri_seconds", 5.5), "request_uri_seconds is a number, want a whole number"},
		{"a resource with a fragment", with("resources", []string{"https://api.example#x"}), "resources"},
		{"an API of the bank that is not https", with("resources", []string{"http://api.example"}), "not https"},
		{"a resource twice", with("resources", []string{"https://api.example", "https://api.example"}), "twice"},
		{"a server of a resource who is no client", with("resource_servers", object{"two": []string{"https://bank.example"}}), "not a client"},
		{"a server of no resource of ours", with("resource_servers", object{"one": []string{"https://api.example"}}), "not among"},
		{"another kind of token", with("access_token", "paseto"), "neither jwt nor opaque"},
		{"another store", with("store", "mongodb://user:secret@host"), "want memory:"},
		{"a store that is malformed, with its password", with("store", "postgres://bank:secret%@host"), "write special characters"},
		{"a file of SQLite without a name", with("store", "sqlite:"), "want sqlite:PATH"},
		{"replays in memory", func(o object) { o["store"], o["replay"] = "sqlite:x/bank.db", "memory:" }, "forgets used proofs"},
		{"replays of a bank in memory", with("replay", "redis://localhost"), "needs a store other than memory:"},
		{"an operator without a secret", with("operator_listen", "localhost:9446"), "go together"},
		{"a secret without an operator", with("operator_secret", "0123456789abcdef"), "go together"},
		{"an operator for the whole network", func(o object) { o["operator_listen"], o["operator_secret"] = ":9446", "0123456789abcdef" }, "loopback"},
		{"a short secret of the operator", func(o object) { o["operator_listen"], o["operator_secret"] = "[::1]:9446", "secret" }, "want 16 to"},
		{"an operator at the address of all", func(o object) { o["operator_listen"], o["operator_secret"] = "localhost:9443", "0123456789abcdef" }, "the same as listen"},
		{"a user without a password", with("users", []object{{"username": "bob"}}), "no password"},
		{"a user twice", with("users", []object{{"username": "b", "password": "p"}, {"username": "b", "password": "p"}}), "twice"},
		{"a member that no user has", with("users", []object{{"username": "b", "password": "p", "admin": true}}), "users"},
		{"a user who is called like a client", with("users", []object{{"username": "one", "password": "p"}}), "client_id of a client"},
		{"nobody to approve", with("auto_approve", "eve"), "no such user"},
		{"a client with a secret's method", client("token_endpoint_auth_method", "client_secret_basic"), "client_secret_basic"},
		{"a client that binds to nothing", client("dpop_bound_access_tokens", false), "one"},
		{"a client's own private key", client("jwks", object{"keys": []object{{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "AA"}}}), "clients"},
		{"a client with certificates, and no mtls_listen", client("use_mtls_endpoint_aliases", true), "mtls_listen"},
		{"RS256", client("id_token_signed_response_alg", "RS256"), "RS256"},
		{"user information without a signature", client("userinfo_signed_response_alg", "none"), "userinfo_signed_response_alg"},
		{"unsigned responses where signed ones are demanded", func(o object) {
			with("message_signing", []string{"authorization_response"})(o)
			client("response_modes", []string{"query"})(o)
		}, "message_signing"},
		{"an http redirect URI", client("redirect_uris", []string{"http://app.example/cb"}), "redirect"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := settings()
			tc.change(o)
			raw, err := json.Marshal(o)
			require.NoError(t, err)
			_, err = parseConfig(raw, "memory:")
			require.ErrorContains(t, err, tc.says)
			require.NotContains(t, err.Error(), "secret of alice")
			require.NotContains(t, err.Error(), "user:secret")
		})
	}
	for name, text := range map[string]string{
		"nothing": "", "an array": "[]", "two objects": "{}{}", "no end": `{"issuer":`, "a name twice": `{"issuer":"https://a.example","issuer":"https://b.example"}`,
	} {
		_, err := parseConfig([]byte(text), "memory:")
		require.Error(t, err, name)
	}
}

func TestAllProblemsAreListed(t *testing.T) {
	o := settings()
	for name, value := range (object{"listen": "x", "store": "sql:", "access_token": "?", "unknown": 1, "auto_approve": "eve", "request_uri_seconds": 1}) {
		o[name] = value
	}
	raw, err := json.Marshal(o)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "bank.json")
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	var stdout, stderr bytes.Buffer
	require.Equal(t, 2, run(context.Background(), []string{"-config", path}, &stdout, &stderr))
	require.Empty(t, stdout.String())
	require.Contains(t, stderr.String(), "has 6 problems")
	require.Len(t, strings.Split(strings.TrimSpace(stderr.String()), "\n"), 7)
	for _, name := range []string{"listen", "store", "access_token", "unknown", "auto_approve", "request_uri_seconds"} {
		require.Contains(t, stderr.String(), name)
	}
	o["clients"] = []object{{"client_id": "two"}} // has two problems, and each names this client
	raw, err = json.Marshal(o)
	require.NoError(t, err)
	_, err = parseConfig(raw, "memory:")
	require.Equal(t, 2, strings.Count(err.Error(), `line 1: clients[0]: "two"`), "%v", err)
	require.Equal(t, 2, run(context.Background(), []string{"-config", filepath.Join(t.TempDir(), "not-there")}, &stdout, &stderr))
	require.Equal(t, 2, run(context.Background(), []string{"-unknown"}, &stdout, &stderr))
	require.Equal(t, 2, run(context.Background(), []string{"argument"}, &stdout, &stderr))
}

func TestAWrongTypeHidesNoOtherProblem(t *testing.T) {
	_, err := parseConfig([]byte(`{
	"issuer": 7,
	"openid": "yes",
	"request_uri_seconds": 1,
	"access_token": "paseto",
	"users": [{"username": "b"}, {"username": 4, "password": "p"}],
	"listen": "localhost",
	"clients": [{"client_id": "a"}],
	"resource_servers": {"b": ["https://api.example"]}
}`), "memory:")
	for _, want := range []string{
		"line 2: issuer is a number, want a string\n", "line 3: openid is a string, want true or false\n", "line 4: request_uri_seconds: 1 is not 5 to 599\n",
		"line 5: access_token: ", "line 6: users[0]: no password", "line 6: users[1].username is a number, want a string\n", `line 7: listen: "localhost" is not host:port`,
		`line 8: clients[0]: "a": `, `line 9: resource_servers: "b" is not a client`,
	} {
		require.ErrorContains(t, err, want, "CASES E1")
	}
	require.NotContains(t, err.Error(), "issuer: missing", "CASES E1: nothing is said twice")
}

func TestHelpNamesEveryMember(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"-h"}, &stdout, &stderr))
	words := strings.Join(strings.Fields(stderr.String()), " ")
	for _, m := range newConfig().members() {
		require.Contains(t, stderr.String(), "\n  "+m.Name+"\n        ", "CASES E2")
		require.Contains(t, words, " "+m.Name+" "+configfile.TypeName(reflect.TypeOf(m.Into).Elem())+"; ", "CASES E2")
		require.NotEmpty(t, m.Meaning, "CASES E2: %s", m.Name)
		require.NotEmpty(t, m.Default, "CASES E2: %s", m.Name)
	}
}

func TestWhatFollowsFromAConfiguration(t *testing.T) {
	parse := func(changes ...func(o object)) *config {
		o := settings()
		for _, change := range changes {
			change(o)
		}
		raw, err := json.Marshal(o)
		require.NoError(t, err)
		c, err := parseConfig(raw, "memory:")
		require.NoError(t, err)
		return c
	}
	c := parse(with("issuer", "https://bank.example:9443/a"), with("listen", ""), with("mtls_listen", ":9444"))
	require.Equal(t, "bank.example:9443", c.listen)
	require.Equal(t, "https://bank.example:9444/a", c.mtlsURL())
	require.Equal(t, []string{"https://bank.example:9443/a"}, c.resources)
	require.Equal(t, 90, c.requestSeconds)
	require.Equal(t, []string{"ES256"}, c.algorithms)
	require.NotContains(t, c.scopes(), "openid")
	require.Contains(t, parse(with("openid", true)).scopes(), "openid")
	named := parse(func(o object) {
		set(o["clients"].([]object)[0], object{"authorization_signed_response_alg": "PS256", "introspection_signed_response_alg": "EdDSA", "userinfo_signed_response_alg": "PS256"})
	})
	require.Equal(t, []string{"PS256", "EdDSA"}, named.algorithms, "each once, and no other")
	require.True(t, c.registered["one"].AllowsScope("accounts"), "a client without a scope has those of the bank")
	require.False(t, c.registered["one"].AllowsScope("openid"))
	silent := parse(func(o object) { delete(o["clients"].([]object)[0], "dpop_bound_access_tokens") })
	require.True(t, silent.registered["one"].DPoPBoundAccessTokens, "a client that says nothing of it has its tokens bound by DPoP")
}
