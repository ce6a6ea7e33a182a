package interop_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/interop/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/stretchr/testify/require"
)

const (
	apiClientID  = "the-api"
	clientRSAKey = "client-rsa"
)

// A server is this module's authorization server with a user who approves
// everything. It demands nonces.
type server struct {
	*authserver.Server
	issuer string
}

// startServer starts a server with a profile, with all possible clients, and an
// API that may introspect.
func (w *world) startServer(t *testing.T, p profile.Profile, more ...*profile.ClientMetadata) *server {
	t.Helper()
	socket, issuer := testkit.Listen(t)
	mtlsSocket, mtlsURL := testkit.Listen(t)
	clients := map[string]*profile.ClientMetadata{}
	for _, c := range combinations() {
		if c.profile() == p {
			more = append(more, w.ourRegistration(t, c))
		}
	}
	apiClient := w.ourRegistration(t, combination{auth: privateKey})
	apiClient.ClientID, apiClient.RedirectURIs, apiClient.GrantTypes = apiClientID, nil, []string{"client_credentials"}
	apiClient.ResponseTypes = nil
	apiClient.RequireSignedRequestObject = p == profile.Advanced
	for _, m := range append(more, apiClient) {
		require.NoError(t, m.Validate())
		clients[m.ClientID] = m
	}
	nonces, err := dpop.NewNonceSource(dpop.NonceSourceConfig{})
	require.NoError(t, err)
	s := &server{issuer: issuer}
	s.Server, err = authserver.New(authserver.Config{
		Profile: p, Issuer: issuer, Keys: []profile.SigningKey{{Key: w.asKey, KeyID: asKeyID}},
		Scopes: []string{"openid", "accounts"}, Resources: []string{w.api.url}, Nonces: nonces,
		MutualTLS: &authserver.MutualTLS{ClientCAs: w.authority.Pool, BaseURL: mtlsURL},
		Clients: func(_ context.Context, id string) (*profile.ClientMetadata, error) {
			if m, ok := clients[id]; ok {
				return m, nil
			}
			return nil, clientauth.ErrUnknownClient
		},
		Introspection: &authserver.Introspection{ResourceServers: func(_ context.Context, id string) ([]string, error) {
			if id == apiClientID {
				return []string{w.api.url}, nil
			}
			return nil, nil
		}},
		Interact: s.agree,
	})
	require.NoError(t, err)
	w.authority.Serve(t, socket, false, s.Handler())
	w.authority.Serve(t, mtlsSocket, true, s.Handler())
	return s
}

func (s *server) agree(w http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
	response, err := s.Approve(r.Context(), a, authserver.Approval{Subject: "alice", Scopes: a.Scopes(), AuthTime: time.Now()})
	if err != nil {
		s.WriteAuthorizationError(w, r, a, err)
		return
	}
	response.ServeHTTP(w, r)
}

// ourRegistration returns the registration of a client at this server.
func (w *world) ourRegistration(t *testing.T, c combination) *profile.ClientMetadata {
	t.Helper()
	m := w.registration(t, c)
	m.Scope = "openid accounts"
	if c.advanced {
		m.AuthorizationSignedResponseAlg = "ES256"
	}
	var err error
	m.JWKS, err = jwks.NewSet(jwks.Key{Public: w.key.Public(), KeyID: authKeyID}, jwks.Key{Public: w.rsaKey.Public(), KeyID: clientRSAKey})
	require.NoError(t, err)
	return m
}
