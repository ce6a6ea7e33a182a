package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/profiletest"
)

// command runs the program.
func command(args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = run(args, &out, &err)
	return status, out.String(), err.String()
}

func TestKeygen(t *testing.T) {
	for flag, alg := range map[string]string{"ES256": "ES256", "Ed25519": "Ed25519", "EdDSA": "EdDSA", "PS256": "PS256"} {
		t.Run(flag, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "app.jwk")
			status, stdout, stderr := command("keygen", "-alg", flag, "-out", file, "-kid", "2026-11",
				"-client-id", "my-app", "-redirect-uri", "https://app.example/callback", "-scope", "openid accounts")
			require.Zero(t, status, stderr)
			require.Contains(t, stderr, file)

			data, err := os.ReadFile(file)
			require.NoError(t, err)
			info, err := os.Stat(file)
			require.NoError(t, err)
			if runtime.GOOS != "windows" {
				require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
			}
			key, public, err := jwks.ParsePrivateKey(data)
			require.NoError(t, err)
			require.Equal(t, []string{"2026-11", alg}, []string{public.KeyID, public.Algorithm})

			var registration profile.ClientMetadata
			require.NoError(t, json.Unmarshal([]byte(stdout), &registration), "one document")
			require.Empty(t, registration.JWKS.Dropped(), "the set has no private key")
			found, err := registration.JWKS.Keys(t.Context(), "2026-11", alg)
			require.NoError(t, err)
			require.Len(t, found, 1)
			require.Equal(t, key.Public(), found[0])
			findings := registration.Lint(profile.Baseline)
			require.Len(t, findings, 1)
			require.Equal(t, "jwks", findings[0].Member, "the advice to publish the keys at a jwks_uri")
			require.NoError(t, registration.Validate())
			var secret struct{ D string }
			require.NoError(t, json.Unmarshal(data, &secret))
			require.NotContains(t, stdout+stderr, secret.D)

			// A login with the key and the registration.
			server := profiletest.NewServer(t, profiletest.ServerConfig{})
			server.Register(t, &registration)
			app, err := client.New(t.Context(), client.Config{
				Issuer: server.ID(), ClientID: registration.ClientID, RedirectURI: registration.RedirectURIs[0],
				Key: key, KeyID: public.KeyID, HTTPClient: server.HTTPClient,
			})
			require.NoError(t, err)
			session, err := app.Begin(t.Context(), client.Request{Scopes: []string{"openid"}})
			require.NoError(t, err)
			_, err = app.Finish(t.Context(), session, server.Browse(t, session.URL).Query())
			require.NoError(t, err)
		})
	}
}

func TestKeygenOfAServer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "as.jwk")
	status, stdout, stderr := command("keygen", "-out", file)
	require.Zero(t, status, stderr)
	set, err := jwks.Parse([]byte(stdout))
	require.NoError(t, err, "the set is the only document")
	require.Empty(t, set.Dropped())
}

func TestKeygenOfAJob(t *testing.T) {
	file := filepath.Join(t.TempDir(), "job.jwk")
	status, stdout, stderr := command("keygen", "-out", file, "-client-id", "job", "-scope", "rates")
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "client_credentials")
	require.NotContains(t, stdout, "redirect_uris")
}

func TestKeygenOfACommandLineClient(t *testing.T) {
	status, stdout, stderr := command("keygen", "-out", filepath.Join(t.TempDir(), "cli.jwk"), "-client-id", "cli",
		"-redirect-uri", "http://127.0.0.1/callback")
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, `"application_type": "native"`)
}

func TestKeygenRejects(t *testing.T) {
	directory := t.TempDir()
	there := filepath.Join(directory, "there.jwk")
	require.NoError(t, os.WriteFile(there, []byte("a key"), 0o600))
	link := filepath.Join(directory, "link.jwk")
	require.NoError(t, os.Symlink(filepath.Join(directory, "target.jwk"), link))
	free := filepath.Join(directory, "free.jwk")
	for name, c := range map[string]struct {
		status  int
		message string
		args    []string
	}{
		"no subcommand":             {2, "usage", nil},
		"an unknown subcommand":     {2, "usage", []string{"keys"}},
		"an unknown flag":           {2, "-bits", []string{"keygen", "-bits", "1024"}},
		"an argument":               {2, "my-app", []string{"keygen", "-out", free, "my-app"}},
		"a file that exists":        {1, "exist", []string{"keygen", "-out", there}},
		"a link to no file":         {1, "exist", []string{"keygen", "-out", link}},
		"a directory that does not": {1, "missing", []string{"keygen", "-out", filepath.Join(directory, "missing", "a.jwk")}},
		"a forbidden algorithm":     {1, `"RS256", want ES256`, []string{"keygen", "-out", free, "-alg", "RS256"}},
		"a redirect URI with http": {1, "http://app.example",
			[]string{"keygen", "-out", free, "-client-id", "a", "-redirect-uri", "http://app.example/"}},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := command(c.args...)
			require.Equal(t, c.status, status)
			require.Contains(t, stderr, c.message)
			require.Empty(t, stdout)
			require.NoFileExists(t, free)
		})
	}
	kept, err := os.ReadFile(there)
	require.NoError(t, err)
	require.Equal(t, "a key", string(kept))
	status, _, stderr := command("keygen", "-h")
	require.Zero(t, status)
	require.Contains(t, stderr, "-redirect-uri")
}
