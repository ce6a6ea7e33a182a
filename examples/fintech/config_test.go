package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBadConfigurationIsRefusedWithStatus2(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(w *world)
		want   string // part of what is printed
	}{
		{"an unknown member", func(w *world) { w.settings["client_secret"] = "x" }, "client_secret is unknown"},
		{"a member in other case", func(w *world) { w.settings["Issuer"] = w.as.URL }, `"Issuer" is unknown`},
		{"no issuer", func(w *world) { delete(w.settings, "issuer") }, "issuer: "},
		{"an issuer by http", func(w *world) { w.settings["issuer"] = "http://localhost" }, "issuer: "},
		{"no client_id", func(w *world) { delete(w.settings, "client_id") }, "client_id: missing"},
		{"a number for a string", func(w *world) { w.settings["client_id"] = 7 }, "client_id is a number, want a string"},
		{"null", func(w *world) { w.settings["openid"] = nil }, "openid is null, want true or false"},
		{"no redirect_uri", func(w *world) { delete(w.settings, "redirect_uri") }, "redirect_uri: missing"},
		{"a redirect_uri by http", func(w *world) { w.settings["redirect_uri"] = "http://fintech.example/cb" }, "redirect_uri: neither https"},
		{"no resource_url", func(w *world) { delete(w.settings, "resource_url") }, "resource_url: missing"},
		{"a resource_url by http", func(w *world) { w.settings["resource_url"] = "http://localhost/accounts" }, "resource_url: missing, or not an https URL"},
		{"another way to authenticate", func(w *world) { w.settings["token_endpoint_auth_method"] = "client_secret_basic" }, "\"client_secret_basic\" is not"},
		{"tokens bound to both", func(w *world) { w.settings["tls_client_certificate_bound_access_tokens"] = true }, "true, as is tls_client"},
		{"tokens bound to nothing", func(w *world) { w.settings["dpop_bound_access_tokens"] = false }, "bound to something"},
		{"no certificate for mutual TLS", func(w *world) { w.settings["token_endpoint_auth_method"] = "tls_client_auth" }, "mutual TLS needs them"},
		{"a certificate without its key", func(w *world) { w.settings["tls_cert_file"] = "ca.pem" }, "go together"},
		{"a certificate that is not there", func(w *world) {
			w.settings["tls_cert_file"], w.settings["tls_key_file"] = "no.pem", "no.key"
		}, "tls_cert_file: with tls_key_file: "},
		{"no such ca_file", func(w *world) { w.settings["ca_file"] = "no.pem" }, "ca_file: "},
		{"a ca_file without certificates", func(w *world) { w.settings["ca_file"] = "fintech.json" }, "ca_file: no certificate"},
		{"an unknown part of message signing", func(w *world) { w.settings["message_signing"] = []string{"token"} }, `message_signing: unknown part "token"`},
		{"details that are no array", func(w *world) { w.settings["authorization_details"] = map[string]any{"type": "a"} }, "authorization_details is an object, want a list of objects"},
		{"details without a type", func(w *world) { w.settings["authorization_details"] = []any{map[string]any{"Type": "a"}} }, "without a type"},
		{"no keys", func(w *world) { delete(w.settings, "jwks") }, "jwks: no private key"},
		{"a public key", func(w *world) { delete(w.jwk(), "d") }, "jwks.keys[0]: "},
		{"halves that do not belong together", func(w *world) { w.jwk()["d"] = privateJWK(w.t, newKey(w.t), "")["d"] }, "jwks.keys[0]: "},
		{"a symmetric key", func(w *world) { w.setKeys(map[string]any{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ"}) }, "jwks.keys[0]: "},
		{"a key for encryption alone", func(w *world) { w.jwk()["use"] = "enc" }, "jwks: no private key"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, combination{auth: "private_key_jwt"})
			secret, _ := w.jwk()["d"].(string)
			tc.change(w)
			var stdout, stderr bytes.Buffer
			require.Equal(t, 2, run(t.Context(), []string{"-once", "-config", w.configFile()}, &stdout, &stderr))
			require.Empty(t, stdout.String())
			require.Contains(t, stderr.String(), tc.want)
			require.NotContains(t, stderr.String(), secret)
			require.NotContains(t, stderr.String(), "c2VjcmV0")
			require.Zero(t, w.count("/par"))
		})
	}
}

func TestAllProblemsAreListed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bad.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"one":1,"two":2,"scope":"a","scope":"b","token_endpoint_auth_method":"none","ca_file":"x"}`), 0o600))
	var stdout, stderr bytes.Buffer
	require.Equal(t, 2, run(t.Context(), []string{"-config", path}, &stdout, &stderr))
	for _, want := range []string{"one is unknown", "two is unknown", "scope is there twice", "issuer", "client_id", "resource_url", "redirect_uri", "token_endpoint_auth_method", "ca_file"} {
		require.Contains(t, stderr.String(), want)
	}
	for _, text := range []string{"", "[]", "{", `{"issuer":"https://a"}{}`, `{"issuer":}`} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.Equal(t, 2, run(t.Context(), []string{"-config", path}, &stdout, &stderr), text)
	}
	require.Empty(t, stdout.String())
}

func TestUsage(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"-h"}, &stdout, &stderr))
	for _, m := range new(config).members() {
		require.Contains(t, stderr.String(), "\n  "+m.Name+"\n        ", "CASES E2")
		require.NotEmpty(t, m.Meaning, "CASES E2: %s", m.Name)
	}
	require.Equal(t, 2, run(t.Context(), []string{"-twice"}, &stdout, &stderr))
	require.Equal(t, 2, run(t.Context(), []string{"more"}, &stdout, &stderr))
	require.Equal(t, 2, run(t.Context(), []string{"-config", filepath.Join(t.TempDir(), "none")}, &stdout, &stderr))
	require.Empty(t, stdout.String())
}

func TestTheKeyIsTheFirstThatSigns(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt"})
	first := privateJWK(t, newKey(t), "enc")
	first["use"], first["alg"] = "enc", "ECDH-ES"
	w.setKeys(first, w.jwk(), privateJWK(t, newKey(t), "later"))
	exit, o := w.runOnce()
	require.True(t, o.OK, "%+v", o)
	require.Zero(t, exit)
}

func TestWhatIsLeftOut(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt"})
	for _, name := range []string{"token_endpoint_auth_method", "dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens", "openid"} {
		delete(w.settings, name)
	}
	c, err := loadConfig(w.configFile())
	require.NoError(t, err)
	require.Equal(t, "private_key_jwt", c.banks[0].AuthMethod)
	require.False(t, c.banks[0].certificateBound())
	require.Equal(t, []string{"openid", "accounts"}, c.banks[0].scopes())
	for _, tc := range []struct {
		scope  string
		openid bool
		want   string
	}{{"accounts", true, "openid accounts"}, {"accounts openid", true, "openid accounts"}, {"accounts openid", false, "accounts"}, {"", true, "openid"}} {
		w.settings["scope"], w.settings["openid"] = tc.scope, tc.openid
		c, err := loadConfig(w.configFile())
		require.NoError(t, err)
		require.Equal(t, tc.want, strings.Join(c.banks[0].scopes(), " "))
	}
	w.settings["redirect_uri"] = "http://127.0.0.1:1/cb"
	c, err = loadConfig(w.configFile())
	require.NoError(t, err, "plain http is for loopback")
	require.Error(t, c.checkPages())
	w.settings["redirect_uri"] = "https://localhost:1/accounts"
	c, err = loadConfig(w.configFile())
	require.NoError(t, err)
	require.Error(t, c.checkPages())
}

// fintech uses the bank's configuration only if no other user can have written
// it.
func TestTheDefaultConfiguration(t *testing.T) {
	temp := t.TempDir()
	demo := filepath.Join(temp, "demo")
	w := newWorld(t, combination{auth: "private_key_jwt"})
	runIt := func() (int, string) {
		var stdout, stderr journal
		return run(t.Context(), []string{"-once", "-state", demo}, &stdout, &stderr), stdout.String() + stderr.String()
	}
	exit, said := runIt()
	require.Equal(t, 2, exit)
	require.Contains(t, said, "start the bank first")

	require.NoError(t, os.Symlink(w.dir, demo))
	w.configFile()
	exit, said = runIt()
	require.Equal(t, 2, exit, said)
	require.NoError(t, os.Remove(demo))

	require.NoError(t, os.Mkdir(demo, 0o755))
	w.dir = demo
	w.write("ca.pem", "CERTIFICATE", w.as.Certificate().Raw)
	w.configFile()
	exit, said = runIt()
	require.Equal(t, 2, exit)
	require.Contains(t, said, "only you can use")
	require.NoError(t, os.Chmod(demo, 0o700))
	exit, said = runIt()
	require.Zero(t, exit, said)
	var o outcome
	require.NoError(t, json.Unmarshal([]byte(said), &o))
	require.True(t, o.OK)
}

// jwk is the client's key in the settings.
func (w *world) jwk() map[string]any {
	return w.settings["jwks"].(map[string]any)["keys"].([]any)[0].(map[string]any)
}

func (w *world) setKeys(keys ...any) { w.settings["jwks"] = map[string]any{"keys": keys} }
