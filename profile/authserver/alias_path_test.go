package authserver_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// The one Handler serves the aliases that the metadata names, also where issuer and MTLSBaseURL differ in their paths.
func TestAliasesUnderAnotherPath(t *testing.T) {
	m := newMTLSWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		as.MutualTLS.BaseURL += "/mtls"
	})
	m.enrol("app", "tls_client_auth", true)
	certificate := testkit.Certify(t, "app", m.ca)
	aliases := m.as.Metadata().MTLSEndpointAliases
	got := m.sendWith(certificate, aliases.TokenEndpoint, url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}, "client_id": {"app"}})
	require.Equal(t, http.StatusOK, got.status, "MTLS-5-1 %v", got.body)
	got = m.sendWith(certificate, aliases.PushedAuthorizationRequestEndpoint, url.Values{"client_id": {"app"}})
	require.Equal(t, "invalid_request", got.code, "MTLS-5-1 it is there")
	proof := m.proof("d", "POST", aliases.TokenEndpoint, dpop.ProofOptions{})
	require.Equal(t, http.StatusOK, m.send(aliases.TokenEndpoint, m.credentialsForm("client-1", "accounts"), proof).status)
}
