package authserver_test

import (
	"context"
	"crypto"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// One key signs a JWT of every kind, for one issuer, client and audience. Each verifier takes its own kind and no other.
func TestTokenConfusion(t *testing.T) {
	const issuer, clientID, target = "https://as.example", "client-1", "https://as.example/token"
	ctx, key := context.Background(), testkit.ECKey(t, "everything")
	keys := func(context.Context, string, string) ([]crypto.PublicKey, error) {
		return []crypto.PublicKey{key.Public()}, nil
	}

	tokens := map[string]string{}
	prover, err := dpop.NewProver(dpop.ProverConfig{Key: key})
	require.NoError(t, err)
	tokens["DPoP proof"], err = prover.Proof(http.MethodPost, target, dpop.ProofOptions{})
	require.NoError(t, err)
	assertions, err := clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{ClientID: clientID, Audience: issuer, Key: key})
	require.NoError(t, err)
	tokens["client assertion"], err = assertions.Assertion()
	require.NoError(t, err)
	access, err := accesstoken.NewIssuer(accesstoken.IssuerConfig{Issuer: issuer, Key: key})
	require.NoError(t, err)
	tokens["access token"], err = access.Issue(accesstoken.Claims{Subject: clientID, ClientID: clientID, Audience: []string{clientID, issuer}, JKT: prover.Thumbprint()})
	require.NoError(t, err)
	ids, err := idtoken.NewIssuer(idtoken.IssuerConfig{Issuer: issuer, Key: key})
	require.NoError(t, err)
	tokens["ID token"], err = ids.Issue(idtoken.Claims{Subject: clientID, ClientID: clientID})
	require.NoError(t, err)

	proofs, err := dpop.NewVerifier(dpop.VerifierConfig{BaseURLs: []string{issuer}})
	require.NoError(t, err)
	clients, err := clientauth.NewVerifier(clientauth.VerifierConfig{
		Issuer: issuer, Lookup: func(context.Context, string) (clientauth.Client, error) {
			return clientauth.Client{ID: clientID, Keys: keys}, nil
		},
	})
	require.NoError(t, err)
	accessVerifier, err := accesstoken.NewVerifier(accesstoken.VerifierConfig{Issuer: issuer, Audience: []string{clientID}, Keys: keys})
	require.NoError(t, err)
	idVerifier, err := idtoken.NewVerifier(idtoken.VerifierConfig{Issuer: issuer, ClientID: clientID, Keys: keys})
	require.NoError(t, err)

	verifiers := map[string]func(token string) error{
		"DPoP proof": func(token string) error {
			r := httptest.NewRequest(http.MethodPost, target, nil)
			r.Header.Set("DPoP", token)
			_, err := proofs.Verify(ctx, r)
			return err
		},
		"client assertion": func(token string) error {
			_, err := clients.Verify(ctx, clientauth.Credentials{Form: url.Values{
				"client_assertion": {token}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			}})
			return err
		},
		"access token": func(token string) error { _, err := accessVerifier.Verify(ctx, token); return err },
		"ID token":     func(token string) error { _, err := idVerifier.Verify(ctx, token, idtoken.Expected{}); return err },
	}
	require.Len(t, verifiers, len(tokens))
	for kind, token := range tokens {
		for verifier, verify := range verifiers {
			t.Run("SP-5.4.1-1.1 JWT-3.12-1 "+kind+" as "+verifier, func(t *testing.T) {
				if err := verify(token); kind == verifier {
					require.NoError(t, err)
				} else {
					require.Error(t, err)
				}
			})
		}
	}
}

// SP-5.1.2-1: no field of a configuration of this package can turn a MUST off.
func TestNoInsecureOptions(t *testing.T) {
	for _, cfg := range []any{authserver.Config{}, resourceserver.Config{}, client.Config{}} {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(cfg)) {
			for _, word := range []string{"Insecure", "Skip", "Disable", "Allow", "Optional"} {
				require.False(t, strings.Contains(field.Name, word), "SP-5.1.2-1 %T.%s", cfg, field.Name)
			}
		}
	}
	_, err := authserver.New(authserver.Config{Profile: 77})
	require.ErrorContains(t, err, "unknown profile", "SP-5.1.2-1 a profile that is none")
}
