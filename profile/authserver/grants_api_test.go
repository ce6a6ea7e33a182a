package authserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/grants"
	"github.com/gofapi/fapi2/internal/memstore"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/internal/roletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// The API takes any token of the server's own, from who it is bound to, for what it is for.
func TestGrantAPI(t *testing.T) {
	richKinds(t, func(t *testing.T, w *world) {
		tokens, id := w.create("authorization_details", readOnly, "scope", "accounts grant_management_query grant_management_revoke")
		query, revoke := w.own("client-1", "grant_management_query"), w.own("client-1", "grant_management_revoke")
		target := w.as.Metadata().GrantManagementEndpoint + "/" + id
		require.Equal(t, w.asHTTP.URL+"/grants/"+id, target, "GM-6.3-1 GM-6.2-1")
		call := func(method, target string, header ...string) answer {
			r, err := http.NewRequest(method, target, nil)
			require.NoError(t, err)
			for i := 0; i < len(header); i += 2 {
				r.Header.Add(header[i], header[i+1])
			}
			return w.do(r)
		}
		prove := func(key, method, target, token string) string {
			return w.proof(key, method, target, dpop.ProofOptions{AccessToken: token})
		}
		replayed := prove("d", "GET", target, query)
		require.Equal(t, http.StatusOK, call("GET", target, "Authorization", "DPoP "+query, "DPoP", replayed).status)
		expired := func() string {
			raw := w.own("client-1", "grant_management_revoke")
			w.clock.Advance(5 * time.Minute)
			query, revoke = w.own("client-1", "grant_management_query"), w.own("client-1", "grant_management_revoke")
			return raw
		}()
		revoked := w.own("client-1", "grant_management_revoke")
		require.Equal(t, http.StatusOK, w.revoke("client-1", revoked).status)
		user := w.renew(tokens).body["access_token"].(string)
		bob := func() string {
			w.agreeing(func(p *authserver.Approval) { p.Subject = "bob" })
			defer w.agreeing(nil)
			return w.redeem("scope", "grant_management_query grant_management_revoke").body["access_token"].(string)
		}()
		unknown := strings.TrimSuffix(target, id) + strings.Repeat("A", 43)
		dpopped := func(method, target, token string) []string {
			return []string{"Authorization", "DPoP " + token, "DPoP", prove("d", method, target, token)}
		}
		for _, tc := range []struct {
			name, method, target string
			header               []string
			status               int
			code                 string
		}{
			{"GM-6.6-3 no token", "DELETE", target, nil, 401, ""},
			{"GM-6.6-3 no token of ours", "DELETE", target, dpopped("DELETE", target, "abc"), 401, "invalid_token"},
			{"GM-6.6-3 the refresh token", "DELETE", target, dpopped("DELETE", target, tokens.body["refresh_token"].(string)), 401, "invalid_token"},
			{"GM-6.6-3 expired", "DELETE", target, dpopped("DELETE", target, expired), 401, "invalid_token"},
			{"GM-6.6-3 revoked", "DELETE", target, dpopped("DELETE", target, revoked), 401, "invalid_token"},
			{"GM-6.1-1 as Bearer", "DELETE", target, []string{"Authorization", "Bearer " + revoke}, 401, "invalid_token"},
			{"GM-6.1-1 without a proof", "DELETE", target, []string{"Authorization", "DPoP " + revoke}, 401, "invalid_dpop_proof"},
			{"GM-6.1-1 stolen, with another key", "DELETE", target, []string{"Authorization", "DPoP " + revoke, "DPoP", prove("attacker", "DELETE", target, revoke)}, 401, "invalid_token"},
			{"GM-6.1-1 a proof for GET", "DELETE", target, []string{"Authorization", "DPoP " + revoke, "DPoP", prove("d", "GET", target, revoke)}, 401, "invalid_dpop_proof"},
			{"GM-6.1-1 a proof for the endpoint", "DELETE", target, []string{"Authorization", "DPoP " + revoke, "DPoP", prove("d", "DELETE", strings.TrimSuffix(target, "/"+id), revoke)}, 401, "invalid_dpop_proof"},
			{"GM-6.1-1 a proof for another grant", "DELETE", target, []string{"Authorization", "DPoP " + revoke, "DPoP", prove("d", "DELETE", unknown, revoke)}, 401, "invalid_dpop_proof"},
			{"GM-6.1-1 a proof for another token", "DELETE", target, []string{"Authorization", "DPoP " + revoke, "DPoP", prove("d", "DELETE", target, query)}, 401, "invalid_dpop_proof"},
			{"GM-6.1-1 a proof used before", "GET", target, []string{"Authorization", "DPoP " + query, "DPoP", replayed}, 401, "invalid_dpop_proof"},
			{"GM-6.1-2 GM-6.6-2 the scope of queries", "DELETE", target, dpopped("DELETE", target, query), 403, "insufficient_scope"},
			{"GM-6.1-2 GM-6.6-2 the scope of revocations", "GET", target, dpopped("GET", target, revoke), 403, "insufficient_scope"},
			{"GM-6.6-1 an unknown grant", "DELETE", unknown, dpopped("DELETE", unknown, revoke), 404, ""},
			{"GM-6.6-4 GM-10-1 another client's grant", "GET", target, dpopped("GET", target, w.own("client-2", "grant_management_query")), 404, ""},
			{"GM-6.6-4 GM-10-1 another client's grant, to be revoked", "DELETE", target, dpopped("DELETE", target, w.own("client-2", "grant_management_revoke")), 404, ""},
			{"GM-6.6-4 GM-10-1 the token of another user", "GET", target, dpopped("GET", target, bob), 404, ""},
			{"GM-6.6-4 GM-10-1 the token of another user, to revoke", "DELETE", target, dpopped("DELETE", target, bob), 404, ""},
			{"GM-6.1-1 the user's own token", "GET", target, dpopped("GET", target, user), 200, ""},
			{"GM-6.4-1 the client's own", "GET", target, dpopped("GET", target, query), 200, ""},
		} {
			t.Run(tc.name, func(t *testing.T) {
				got := call(tc.method, tc.target, tc.header...)
				require.Equal(t, tc.status, got.status, "%v", got.body)
				require.Equal(t, tc.code, got.code)
				require.Contains(t, got.header.Get("Cache-Control"), "no-store", "GM-6.4-1")
				require.Empty(t, got.header.Get("Access-Control-Allow-Origin"))
				challenged := tc.status == 401 || tc.status == 403
				require.Equal(t, challenged, got.header.Get("WWW-Authenticate") != "")
				if challenged {
					require.Contains(t, got.header.Get("WWW-Authenticate"), "DPoP ")
					require.Contains(t, got.header.Get("WWW-Authenticate"), `scope="grant_management_`+map[string]string{"GET": "query", "DELETE": "revoke"}[tc.method]+`"`, "GM-6.1-2")
				}
			})
		}
		got := call("GET", target, dpopped("GET", target, query)...)
		require.Equal(t, "no-cache, no-store", got.header.Get("Cache-Control"), "GM-6.4-1")
		require.Equal(t, "application/json", got.header.Get("Content-Type"), "GM-6.4-1")
		all, err := json.Marshal(got.body)
		require.NoError(t, err)
		for _, secret := range []string{"access_token", "refresh_token"} {
			require.NotContains(t, string(all), tokens.body[secret], "GM-6-2")
		}
		require.NotContains(t, string(all), "alice", "GM-9-1")
		head := call("HEAD", target, dpopped("HEAD", target, query)...)
		require.Equal(t, http.StatusOK, head.status)
		require.Empty(t, head.body)
		for _, method := range []string{"POST", "PUT", "PATCH", "OPTIONS", "TRACE"} {
			got := call(method, target, dpopped(method, target, revoke)...)
			require.Equal(t, http.StatusMethodNotAllowed, got.status, "GM-6-1 %s", method)
			require.Equal(t, "GET, HEAD, DELETE", got.header.Get("Allow"), "GM-6-1")
		}
		require.Equal(t, http.StatusNoContent, call("DELETE", target, dpopped("DELETE", target, user)...).status, "GM-6.1-1 the user's own token")
		w.requireAlive(false, false, tokens, "GM-6.5-2 that token itself has ended, too")
		require.Equal(t, http.StatusUnauthorized, call("GET", target, dpopped("GET", target, user)...).status, "GM-6.5-3")
	})
}

// There is one URL for each grant, and nothing but grants below the endpoint; a proof has to be for exactly that URL.
func TestGrantPaths(t *testing.T) {
	for _, base := range []string{"", "/tenant/1"} {
		w := newRichWorld(t, func(as *authserver.Config, rs *resourceserver.Config) {
			as.Issuer += base
			rs.Issuers[0].ID = as.Issuer
			as.Endpoints.Token, as.Endpoints.Grants = "/oauth/token", "/oauth"
		})
		token := func(form url.Values) answer {
			target := w.as.Metadata().TokenEndpoint
			return w.send(target, form, w.proof("d", "POST", target, dpop.ProofOptions{}))
		}
		own := token(w.credentialsForm("client-1", "grant_management_query"))
		require.Equal(t, http.StatusOK, own.status, "an endpoint below that of grants is still there: %v", own.body)
		query := own.body["access_token"].(string)
		endpoint := w.as.Metadata().GrantManagementEndpoint
		require.Equal(t, w.asHTTP.URL+base+"/oauth", endpoint)
		form := w.pushForm("client-1")
		form.Set("grant_management_action", "create")
		pushed := w.send(w.as.Metadata().PushedAuthorizationRequestEndpoint, form)
		require.Equal(t, http.StatusCreated, pushed.status, "%v", pushed.body)
		code := w.browse(w.as.Metadata().AuthorizationEndpoint + "?" + url.Values{"client_id": {"client-1"}, "request_uri": {pushed.body["request_uri"].(string)}}.Encode()).Get("code")
		id := token(w.codeForm("client-1", code)).body["grant_id"].(string)
		require.Equal(t, http.StatusOK, w.grantAt("GET", endpoint+"/"+id, query, "d").status, "GM-6.3-1")
		require.Equal(t, http.StatusOK, w.grantAt("GET", endpoint+"/"+id+"?x=%2F#y", query, "d").status, "DPOP-4.3-9 the query is not part of htu")
		for _, path := range []string{
			"", "/", "/" + id + "/", "//" + id, "/./" + id, "/x/../" + id, "/%2e/" + id, "/" + id + "%2f", "/%2f" + id, "/" + id + "/x", "/" + id + ";x=1", "/" + id + "%00",
			"/" + strings.ToLower(id), "/%" + "41" + id[1:], "/" + id[:42], "/" + id + "A", "/..%2ftoken", "/../token", "/" + id + "%3Fx",
		} {
			r, err := http.NewRequest("GET", endpoint+path, nil)
			require.NoError(t, err)
			r.Header.Set("Authorization", "DPoP "+query)
			r.Header.Set("DPoP", w.proof("d", "GET", endpoint+path, dpop.ProofOptions{AccessToken: query}))
			got := w.do(r)
			require.Contains(t, []int{http.StatusNotFound, http.StatusUnauthorized, http.StatusMethodNotAllowed}, got.status, "GM-6-1 GM-6.6-1 %s", path)
			require.NotContains(t, got.body, "scopes", path)
			r.Header.Set("DPoP", w.proof("d", "GET", endpoint+"/"+id, dpop.ProofOptions{AccessToken: query}))
			require.NotEqual(t, http.StatusOK, w.do(r).status, "a proof for the grant at %s", path)
		}
		for _, near := range []string{"s/" + id, "%2f" + id, "x"} {
			require.Equal(t, http.StatusNotFound, w.visit(endpoint+near).StatusCode, "not below the endpoint")
		}
		require.Equal(t, http.StatusOK, w.visit(w.asHTTP.URL+"/.well-known/oauth-authorization-server"+base).StatusCode)
	}
	cfg := goodConfig(t)
	cfg.Grants = new(grants.ManagerConfig)
	cfg.Endpoints.Grants = "/.well-known"
	_, err := authserver.New(cfg)
	require.Error(t, err, "it would swallow the metadata")
}

// By certificate, at the alias, with a path of its own below which the endpoint of the issuer's own URL is.
func TestGrantAPIAtTheAliases(t *testing.T) {
	for _, certificateBound := range []bool{true, false} {
		registry := roletest.Types(t)
		m := newMTLSWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
			as.AuthorizationDetails, as.Grants = registry, new(grants.ManagerConfig)
			as.ClientDetails = nil
			as.MutualTLS.BaseURL += "/grants"
		})
		c := m.enrol("app", "tls_client_auth", certificateBound)
		m.enrich(c)
		m.clients["app"] = c
		certificate := testkit.Certify(t, "app", m.ca)
		endpoint := m.as.Metadata().MTLSEndpointAliases.GrantManagementEndpoint
		require.Equal(t, m.aliases.URL+"/grants/grants", endpoint, "MTLS-5-1 SP-5.2.2.1-2 GM-6.2-1")
		send := func(target string, form url.Values) answer {
			form.Set("client_id", "app")
			var proofs []string
			if !certificateBound {
				proofs = append(proofs, m.proof("d", "POST", target, dpop.ProofOptions{}))
			}
			got := m.sendWith(certificate, target, form, proofs...)
			require.Less(t, got.status, 300, "%v", got.body)
			return got
		}
		aliases := m.as.Metadata().MTLSEndpointAliases
		m.decide = func(a *authserver.Authorization) (*authserver.AuthorizationResponse, error) { return m.agree(a, nil) }
		form := m.pushForm("client-1")
		for _, name := range []string{"client_assertion", "client_assertion_type"} {
			form.Del(name)
		}
		with("authorization_details", readOnly, "grant_management_action", "create")(form)
		pushed := send(aliases.PushedAuthorizationRequestEndpoint, form)
		code := m.browse(m.asHTTP.URL + "/authorize?" + url.Values{"client_id": {"app"}, "request_uri": {pushed.body["request_uri"].(string)}}.Encode()).Get("code")
		tokens := send(aliases.TokenEndpoint, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier}})
		require.JSONEq(t, readOnly, tokens.told("authorization_details"), "RAR-7-1")
		_, payload := claims(t, tokens.body["access_token"])
		require.JSONEq(t, readOnly, string(payload["authorization_details"]), "RAR-9.1-1")
		id := tokens.body["grant_id"].(string)
		own := send(aliases.TokenEndpoint, url.Values{"grant_type": {"client_credentials"}, "scope": {"grant_management_query grant_management_revoke"}}).body["access_token"].(string)

		call := func(with *http.Client, method, target string) int {
			r, err := http.NewRequest(method, target, nil)
			require.NoError(t, err)
			scheme := "Bearer "
			if !certificateBound {
				scheme = "DPoP "
				r.Header.Set("DPoP", m.proof("d", method, target, dpop.ProofOptions{AccessToken: own}))
			}
			r.Header.Set("Authorization", scheme+own)
			response, err := with.Do(r)
			require.NoError(t, err)
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
			return response.StatusCode
		}
		require.Equal(t, http.StatusOK, call(m.with(certificate), "GET", endpoint+"/"+id), "GM-6.4-1 MTLS-3-3")
		if certificateBound {
			require.Equal(t, http.StatusUnauthorized, call(m.with(nil), "DELETE", endpoint+"/"+id), "GM-6.1-1 MTLS-3-3")
			require.Equal(t, http.StatusUnauthorized, call(m.with(testkit.Certify(t, "attacker", m.ca)), "DELETE", endpoint+"/"+id), "GM-6.1-1 MTLS-3-3")
		} else {
			require.Equal(t, http.StatusOK, call(m.with(nil), "GET", m.asHTTP.URL+"/grants/"+id), "GM-6.3-1 at the issuer's own URL")
		}
		require.Equal(t, http.StatusNoContent, call(m.with(certificate), "DELETE", endpoint+"/"+id), "GM-6.5-1")
		require.Equal(t, http.StatusNotFound, call(m.with(certificate), "GET", endpoint+"/"+id), "GM-6.6-1")
		refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.body["refresh_token"].(string)}, "client_id": {"app"}}
		var proofs []string
		if !certificateBound {
			proofs = append(proofs, m.proof("d", "POST", aliases.TokenEndpoint, dpop.ProofOptions{}))
		}
		require.Equal(t, "invalid_grant", m.sendWith(certificate, aliases.TokenEndpoint, refresh, proofs...).code, "GM-6.5-2")
	}
}

// downGrants is a store that cannot be reached, at times.
type downGrants struct {
	grants.Store
	down bool
}

func (d *downGrants) Get(ctx context.Context, key string) ([]byte, int64, error) {
	if d.down {
		return nil, 0, errors.New("db: connection refused by 10.1.2.3")
	}
	return d.Store.Get(ctx, key)
}

func TestGrantsFailClosed(t *testing.T) {
	store := &downGrants{Store: memstore.New(memstore.Config{})}
	w := newRichWorld(t, managed(func(m *grants.ManagerConfig) { m.Store = store }))
	tokens, id := w.create()
	merge := w.code("client-1", with("grant_management_action", "merge", "grant_id", id))
	waiting := w.authorizationURL("client-1", func() url.Values {
		f := w.pushForm("client-1")
		with("grant_management_action", "merge", "grant_id", id)(f)
		return f
	}())
	query, revoke := w.own("client-1", "grant_management_query"), w.own("client-1", "grant_management_revoke")
	push := w.pushForm("client-1")
	with("grant_management_action", "merge", "grant_id", id)(push)
	store.down = true
	for name, got := range map[string]answer{
		"push": w.send(w.parURL(), push), "code": w.spend(merge), "refresh": w.renew(tokens), "GM-6.4-8 query": w.grant("GET", id, query), "GM-6.4-8 revocation": w.grant("DELETE", id, revoke),
	} {
		require.Equal(t, http.StatusServiceUnavailable, got.status, "%s: %v", name, got.body)
		require.Equal(t, "server_error", got.code, name)
		require.NotEmpty(t, got.header.Get("Retry-After"), "GM-6.4-8 %s", name)
		require.NotContains(t, got.body["error_description"], "10.1.2.3")
	}
	require.Equal(t, http.StatusServiceUnavailable, w.visit(waiting).StatusCode, "a page, as it may be gone at the next attempt")
	store.down = false
	require.NotEmpty(t, w.browse(waiting).Get("code"))
	require.Equal(t, http.StatusOK, w.renew(tokens).status)
	require.Equal(t, http.StatusOK, w.spend(merge).status, "the code was lost")
	require.Equal(t, http.StatusNoContent, w.grant("DELETE", id, revoke).status)
}

// A nonce of the server is asked for here as at its other endpoints.
func TestGrantAPINonces(t *testing.T) {
	w := newRichWorld(t, func(as *authserver.Config, _ *resourceserver.Config) {
		var err error
		as.Nonces, err = dpop.NewNonceSource(dpop.NonceSourceConfig{Now: as.Hooks.Now})
		require.NoError(t, err)
	})
	form := w.credentialsForm("client-1", "grant_management_query")
	nonce := w.send(w.tokenURL(), form, w.tokenProof("d")).header.Get("DPoP-Nonce")
	own := w.send(w.tokenURL(), form, w.proof("d", "POST", w.tokenURL(), dpop.ProofOptions{Nonce: nonce})).body["access_token"].(string)
	target := w.as.Metadata().GrantManagementEndpoint + "/" + strings.Repeat("A", 43)
	got := w.grantAt("GET", target, own, "d")
	require.Equal(t, http.StatusUnauthorized, got.status, "DPOP-9-1")
	require.Equal(t, "use_dpop_nonce", got.code, "DPOP-9-1")
	r, err := http.NewRequest("GET", target, nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "DPoP "+own)
	r.Header.Set("DPoP", w.proof("d", "GET", target, dpop.ProofOptions{AccessToken: own, Nonce: got.header.Get("DPoP-Nonce")}))
	require.Equal(t, http.StatusNotFound, w.do(r).status)

	r, err = http.NewRequest("PUT", target, nil) // a response that the guard does not write
	require.NoError(t, err)
	got = w.do(r)
	require.Equal(t, http.StatusMethodNotAllowed, got.status)
	require.NotEmpty(t, got.header.Get("DPoP-Nonce"), "DPOP-8.2-1")
}
