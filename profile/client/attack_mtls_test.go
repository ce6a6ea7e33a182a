package client_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
)

func TestPartialAliases(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	aliases := map[string]any{}
	p.metadata = func(m map[string]any) {
		m["registration_endpoint"], m["introspection_endpoint"] = p.as.URL+"/register", p.as.URL+"/introspect"
		m["mtls_endpoint_aliases"] = aliases
	}
	cfg := p.config()
	cfg.MutualTLS = &client.MutualTLS{UseEndpointAliases: true, Certificate: testkit.Certify(t, "c-1", nil)}
	aliases["token_endpoint"] = p.api.URL + "/token"
	_, err := client.New(ctx, cfg)
	require.ErrorIs(t, err, profile.ErrServerMetadata, "SP-5.2.2.1-3")
	require.ErrorContains(t, err, "mtls_endpoint_aliases lacks pushed_authorization_request_endpoint")
	aliases["pushed_authorization_request_endpoint"] = ""
	_, err = client.New(ctx, cfg)
	require.ErrorContains(t, err, "mtls_endpoint_aliases lacks pushed_authorization_request_endpoint")
	aliases["pushed_authorization_request_endpoint"] = "http" + strings.TrimPrefix(p.api.URL, "https") + "/par"
	_, err = client.New(ctx, cfg)
	require.ErrorContains(t, err, "mtls_endpoint_aliases.pushed_authorization_request_endpoint")

	// An endpoint that the client has no requests for needs no alias.
	aliases["pushed_authorization_request_endpoint"] = p.api.URL + "/par"
	_, err = client.New(ctx, cfg)
	require.NoError(t, err)

	// MTLS-5-1: without the metadata, what has no alias is at its usual place.
	delete(aliases, "pushed_authorization_request_endpoint")
	cfg.MutualTLS.UseEndpointAliases, cfg.MutualTLS.AuthMethod = false, "tls_client_auth"
	p.metadata = func(m map[string]any) {
		m["mtls_endpoint_aliases"], m["token_endpoint_auth_methods_supported"] = aliases, []string{"tls_client_auth"}
	}
	app, err := client.New(ctx, cfg)
	require.NoError(t, err)
	_, err = app.Begin(ctx, client.Request{Scopes: []string{"accounts"}})
	require.NoError(t, err)
	require.Len(t, p.messages("/par"), 1, "MTLS-5-1")
}

// The client rejects tokens with another binding than its own.
func TestTokenTypeConfusion(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	p.metadata = func(m map[string]any) { m["tls_client_certificate_bound_access_tokens"] = true }
	kind := ""
	p.token = func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"access_token": "at-1", "token_type": kind, "expires_in": 300})
	}
	for _, certificateBound := range []bool{false, true} {
		cfg := p.config()
		cfg.MutualTLS = &client.MutualTLS{BindTokens: certificateBound, Certificate: testkit.Certify(t, "c-1", nil)}
		app, err := client.New(ctx, cfg)
		require.NoError(t, err)
		for _, kind = range []string{"DPoP", "Bearer", "bearer", "mac", ""} {
			_, err := app.ClientCredentials(ctx, client.Request{})
			if strings.EqualFold(kind, "Bearer") == certificateBound && kind != "mac" && kind != "" {
				require.NoError(t, err, "CS-19 %s", kind)
				continue
			}
			require.ErrorIs(t, err, client.ErrTokenResponse, "DPOP-5-7 %q", kind)
		}
	}
}
