package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile/profiletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
)

func TestAPI(t *testing.T) {
	as := profiletest.NewServer(t, profiletest.ServerConfig{})
	keys, err := jwks.NewRemote(jwks.RemoteConfig{URL: as.AuthServer.Metadata().JWKSURI, HTTPClient: as.HTTPClient})
	require.NoError(t, err)
	mux := http.NewServeMux()
	api := httptest.NewTLSServer(mux)
	defer api.Close()
	handler, err := newAPI(api.URL, resourceserver.Issuer{ID: as.ID(), Keys: keys.Keys})
	require.NoError(t, err)
	mux.Handle("/", handler)

	send := func(issuer *profiletest.Issuer, claims accesstoken.Claims, change func(*http.Request)) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.URL+"/accounts", nil)
		require.NoError(t, err)
		issuer.SetToken(t, r, claims)
		change(r)
		response, err := as.HTTPClient.Do(r)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(body)
	}
	good, unchanged := accesstoken.Claims{Scope: "accounts"}, func(*http.Request) {}
	status, body := send(as.Issuer, good, unchanged)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"owner":"alice","iban":"DE89370400440532013000"}`, body)

	stranger := profiletest.NewIssuer(t, profiletest.IssuerConfig{ID: as.ID()})
	for name, c := range map[string]struct {
		issuer *profiletest.Issuer
		claims accesstoken.Claims
		change func(*http.Request)
		status int
	}{
		"attack: a stolen token without its key": {as.Issuer, good, func(r *http.Request) {
			r.Header.Del("DPoP")
		}, 401},
		"attack: a stolen token as a bearer token": {as.Issuer, good, func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer"+r.Header.Get("Authorization")[len("DPoP"):])
			r.Header.Del("DPoP")
		}, 401},
		"attack: a forged token": {stranger, good, unchanged, 401},
		"a token of another API": {as.Issuer, accesstoken.Claims{Audience: []string{as.Resource}}, unchanged, 401},
		"a token without scope":  {as.Issuer, accesstoken.Claims{Scope: "payments"}, unchanged, 403},
		"no token":               {as.Issuer, good, func(r *http.Request) { r.Header = http.Header{} }, 401},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := send(c.issuer, c.claims, c.change)
			require.Equal(t, c.status, status)
			require.NotContains(t, body, "DE89")
		})
	}
}
