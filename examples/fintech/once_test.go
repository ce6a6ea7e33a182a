package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/stretchr/testify/require"
)

// runOnce is the whole program with -once.
func (w *world) runOnce() (exit int, o outcome) {
	var stdout bytes.Buffer
	var stderr journal
	exit = run(w.t.Context(), []string{"-config", w.configFile(), "-once"}, &stdout, &stderr)
	require.Empty(w.t, stderr.String())
	require.Equal(w.t, 1, strings.Count(stdout.String(), "\n"), "one line")
	for _, name := range []string{"ok", "stage", "error", "error_description", "token_type", "resource_status"} {
		require.Contains(w.t, stdout.String(), fmt.Sprintf("%q:", name))
	}
	require.NoError(w.t, json.Unmarshal(stdout.Bytes(), &o))
	return exit, o
}

func TestOnceWithEveryCombination(t *testing.T) {
	for _, advanced := range []bool{false, true} {
		for _, auth := range []string{"private_key_jwt", "tls_client_auth"} {
			for _, mtls := range []bool{false, true} {
				t.Run(fmt.Sprintf("advanced %t, %s, mtls %t", advanced, auth, mtls), func(t *testing.T) {
					w := newWorld(t, combination{advanced: advanced, auth: auth, mtls: mtls})
					exit, o := w.runOnce()
					tokenType := map[bool]string{false: "DPoP", true: "Bearer"}[mtls]
					require.Equal(t, outcome{OK: true, TokenType: tokenType, ResourceStatus: 200}, o)
					require.Zero(t, exit)
					for _, path := range []string{"/par", "/authorize", "/token", "/accounts"} {
						require.Equal(t, 1, w.count(path), path)
					}
					require.Zero(t, w.count("/callback"), "what comes back never goes over the network")
				})
			}
		}
	}
}

func TestOnceAnswersNoncesEverywhere(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt", nonces: true})
	exit, o := w.runOnce()
	require.Equal(t, outcome{OK: true, TokenType: "DPoP", ResourceStatus: 200}, o)
	require.Zero(t, exit)
	require.LessOrEqual(t, w.count("/accounts"), 2)
}

func TestOnceWithoutOpenID(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt"})
	w.settings["openid"] = false
	w.interact = func(rw http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
		require.Equal(t, []string{"accounts"}, a.Scopes())
		require.Empty(t, a.Params().Get("nonce"))
		w.approve(rw, r, a)
	}
	w.tampers["/jwks"] = status(http.StatusInternalServerError, "")
	exit, o := w.runOnce()
	require.True(t, o.OK, "%+v: nobody needs the keys", o)
	require.Zero(t, exit)
}

func TestOnceAsksForWhatTheConfigurationSays(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt", grants: true})
	w.settings["authorization_details"] = json.RawMessage(`[{"validUntil":"2031-01-31","type":"account_information","actions":["list_accounts"]}]`)
	w.interact = func(rw http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
		require.Equal(t, "account_information", a.Details()[0].Type())
		require.Equal(t, string(w.settings["authorization_details"].(json.RawMessage)), a.Params().Get("authorization_details"), "as it is written")
		require.True(t, a.GrantRequest().IsZero())
		w.approve(rw, r, a)
	}
	exit, o := w.runOnce()
	require.True(t, o.OK, "%+v", o)
	require.Zero(t, exit)

	w.tampers["/.well-known/oauth-authorization-server"] = edit(func(m map[string]any) { m["grant_management_action_required"] = true })
	w.interact = func(rw http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
		require.Equal(t, "create", a.GrantRequest().Action())
		w.approve(rw, r, a)
	}
	exit, o = w.runOnce()
	require.True(t, o.OK, "%+v", o)
	require.Zero(t, exit)
}

func TestOnceNamesTheStageOfEveryRefusal(t *testing.T) {
	for _, tc := range []struct {
		stage, name string
		reason      string // part of the error
		advanced    bool
		fault       func(w *world)
	}{
		{stageDiscovery, "no metadata", "404", false, func(w *world) {
			w.tampers["/.well-known/oauth-authorization-server"] = status(404, "")
			w.tampers["/.well-known/openid-configuration"] = status(404, "")
		}},
		{stageDiscovery, "metadata of another issuer", "another issuer", false, func(w *world) {
			w.tampers["/.well-known/oauth-authorization-server"] = edit(func(m map[string]any) { m["issuer"] = w.as.URL + "/" })
		}},
		{stageDiscovery, "no iss in responses", "authorization_response_iss_parameter_supported", false, func(w *world) {
			w.tampers["/.well-known/oauth-authorization-server"] = edit(func(m map[string]any) {
				delete(m, "authorization_response_iss_parameter_supported")
			})
		}},
		{stageDiscovery, "no keys", "500", false, func(w *world) { w.tampers["/jwks"] = status(500, "") }},
		{stageDiscovery, "a private key among the keys", "private", false, func(w *world) {
			w.tampers["/jwks"] = edit(func(m map[string]any) { m["keys"] = []any{privateJWK(w.t, w.key, "k")} })
		}},
		{stageDiscovery, "keys that no signature can be made with", "publishes no key", false, func(w *world) {
			w.tampers["/jwks"] = edit(func(m map[string]any) { m["keys"] = []any{} })
		}},
		{stagePAR, "an error", "invalid_scope (status 400)", false, func(w *world) { w.settings["scope"] = "openid other" }},
		{stagePAR, "a page", "status 503 without an error code", false, func(w *world) { w.tampers["/par"] = status(503, "<p>later") }},
		{stagePAR, "status 200", "status 200", false, func(w *world) {
			w.tampers["/par"] = status(200, `{"request_uri":"urn:ietf:params:oauth:request_uri:x","expires_in":60}`)
		}},
		{stagePAR, "not JSON", "par: ", false, func(w *world) { w.tampers["/par"] = status(201, "request_uri=x") }},
		{stageResponse, "the user's refusal", "access_denied", false, func(w *world) { w.interact = w.deny }},
		{stageResponse, "the user's refusal, signed", "access_denied", true, func(w *world) { w.interact = w.deny }},
		{stageResponse, "a page", "in place of a redirect", false, func(w *world) { w.tampers["/authorize"] = status(200, "<form>") }},
		{stageResponse, "an error page", "status 400", false, func(w *world) { w.tampers["/authorize"] = status(400, "<p>no") }},
		{stageResponse, "redirects without end", "redirects", false, func(w *world) {
			w.tampers["/authorize"] = func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
				http.Redirect(rw, r, r.URL.String(), http.StatusSeeOther)
			}
		}},
		{stageResponse, "a redirect to plain http", "https", false, func(w *world) {
			w.tampers["/authorize"] = func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
				http.Redirect(rw, r, "http://127.0.0.1:9/", http.StatusSeeOther)
			}
		}},
		{stageResponse, "another iss", "response: iss", false, func(w *world) { w.changeCallback(func(q url.Values) { q.Set("iss", "https://evil.example") }) }},
		{stageResponse, "no iss", "response: iss", false, func(w *world) { w.changeCallback(func(q url.Values) { q.Del("iss") }) }},
		{stageResponse, "another state", "state", false, func(w *world) { w.changeCallback(func(q url.Values) { q.Set("state", "x") }) }},
		{stageResponse, "no code", "neither code nor error", false, func(w *world) { w.changeCallback(func(q url.Values) { q.Del("code") }) }},
		{stageResponse, "an unsigned answer", "jarm", true, func(w *world) {
			w.changeCallback(func(q url.Values) { q.Del("response"); q.Set("code", "c"); q.Set("iss", w.as.URL) })
		}},
		{stageResponse, "a broken signature", "signature", true, func(w *world) {
			w.changeCallback(func(q url.Values) { q.Set("response", breakSignature(q.Get("response"))) })
		}},
		{stageToken, "an error", "invalid_grant (status 400)", false, func(w *world) { w.tampers["/token"] = status(400, `{"error":"invalid_grant"}`) }},
		{stageToken, "a page", "status 502", false, func(w *world) { w.tampers["/token"] = status(502, "<p>later") }},
		{stageToken, "a token of another type", "token_type", false, func(w *world) {
			w.tampers["/token"] = edit(func(m map[string]any) { m["token_type"] = "Bearer" })
		}},
		{stageToken, "no token", "access_token", false, func(w *world) { w.tampers["/token"] = edit(func(m map[string]any) { delete(m, "access_token") }) }},
		{stageIDToken, "none", "id_token", false, func(w *world) { w.tampers["/token"] = edit(func(m map[string]any) { delete(m, "id_token") }) }},
		{stageIDToken, "no string", "id_token", false, func(w *world) { w.tampers["/token"] = edit(func(m map[string]any) { m["id_token"] = 7 }) }},
		{stageIDToken, "a broken signature", "signature", false, func(w *world) {
			w.tampers["/token"] = edit(func(m map[string]any) { m["id_token"] = breakSignature(m["id_token"].(string)) })
		}},
		{stageIDToken, "an access token in its place", "idtoken: ", false, func(w *world) {
			w.tampers["/token"] = edit(func(m map[string]any) { m["id_token"] = m["access_token"] })
		}},
		{stageResource, "a refusal", "invalid_token (status 401)", false, func(w *world) {
			w.tampers["/accounts"] = func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
				rw.Header().Set("WWW-Authenticate", `DPoP error="invalid_token"`)
				rw.WriteHeader(http.StatusUnauthorized)
			}
		}},
		{stageResource, "a redirect", "status 302", false, func(w *world) {
			w.tampers["/accounts"] = func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
				http.Redirect(rw, r, "/elsewhere", http.StatusFound)
			}
		}},
	} {
		t.Run(tc.stage+" "+tc.name, func(t *testing.T) {
			w := newWorld(t, combination{auth: "private_key_jwt", advanced: tc.advanced})
			tc.fault(w)
			exit, o := w.runOnce()
			require.Equal(t, 1, exit)
			require.False(t, o.OK)
			require.Equal(t, tc.stage, o.Stage, o.Error)
			require.Contains(t, o.Error, tc.reason)
			require.NotRegexp(t, jws, o.Error, "no token")
			require.NotContains(t, o.Error, "request_uri=", "nothing that starts an authorization")
			// The client sends nothing after a rejected response.
			require.Equal(t, tc.stage == stageResource, w.count("/accounts") == 1, "the resource")
			require.Equal(t, tc.stage == stageResource || tc.stage == stageIDToken || tc.stage == stageToken, w.count("/token") == 1, "the token endpoint")
			require.Equal(t, tc.stage != stageDiscovery && tc.stage != stagePAR, w.count("/authorize") > 0, "the browser")
			require.Equal(t, tc.stage != stageDiscovery, w.count("/par") == 1, "the pushed request")
		})
	}
}

func TestOncePrintsTheErrorDescription(t *testing.T) {
	for name, want := range map[string]string{
		"unknown scope other": "unknown scope other",
		"the code eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl is bad": "the code (left out) is bad",
	} {
		w := newWorld(t, combination{auth: "private_key_jwt"})
		body, err := json.Marshal(map[string]string{"error": "invalid_scope", "error_description": name})
		require.NoError(t, err)
		w.tampers["/par"] = status(400, string(body))
		exit, o := w.runOnce()
		require.Equal(t, 1, exit)
		require.Equal(t, outcome{Stage: stagePAR, Error: "invalid_scope (status 400)", Description: want}, o, "CASES E10")
	}
	w := newWorld(t, combination{auth: "private_key_jwt"})
	w.changeCallback(func(q url.Values) {
		q.Del("code")
		q.Set("error", "access_denied")
		q.Set("error_description", "the user said no")
	})
	_, o := w.runOnce()
	require.Equal(t, outcome{Stage: stageResponse, Error: "access_denied", Description: "the user said no"}, o, "CASES E10: of the authorization endpoint")
}

func TestOnceAtAServerThatIsNotThere(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt"})
	w.as.Close()
	exit, o := w.runOnce()
	require.Equal(t, 1, exit)
	require.Equal(t, stageDiscovery, o.Stage)
}

// The browser keeps its cookies, and goes through as many pages as a login
// takes.
func TestOnceFollowsRedirectsWithCookies(t *testing.T) {
	w := newWorld(t, combination{auth: "private_key_jwt"})
	w.tampers["/login"] = func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.SetCookie(rw, &http.Cookie{Name: "in", Value: "yes", Path: "/", Secure: true})
		http.Redirect(rw, r, "/authorize?"+r.URL.RawQuery, http.StatusTemporaryRedirect)
	}
	w.tampers["/authorize"] = func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if _, err := r.Cookie("in"); err != nil {
			http.Redirect(rw, r, "login?"+r.URL.RawQuery, http.StatusFound)
			return
		}
		next.ServeHTTP(rw, r)
	}
	exit, o := w.runOnce()
	require.True(t, o.OK, "%+v", o)
	require.Zero(t, exit)
}

func (w *world) deny(rw http.ResponseWriter, r *http.Request, a *authserver.Authorization) {
	to, err := w.server.Deny(r.Context(), a, "access_denied", "")
	require.NoError(w.t, err)
	to.ServeHTTP(rw, r)
}

// changeCallback has the redirect to the client changed.
func (w *world) changeCallback(change func(q url.Values)) {
	w.tamper("/authorize", func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		to, err := answer.Result().Location()
		require.NoError(w.t, err)
		query := to.Query()
		change(query)
		to.RawQuery = query.Encode()
		rw.Header().Set("Location", to.String())
		rw.WriteHeader(answer.Code)
	})
}

func status(code int, body string) tamper {
	return func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
		if strings.HasPrefix(body, "{") {
			rw.Header().Set("Content-Type", "application/json")
		}
		rw.WriteHeader(code)
		_, _ = rw.Write([]byte(body))
	}
}

// edit changes a JSON answer.
func edit(change func(m map[string]any)) tamper {
	return func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		var m map[string]any
		if err := json.Unmarshal(answer.Body.Bytes(), &m); err != nil {
			panic(err)
		}
		change(m)
		for name, values := range answer.Header() {
			rw.Header()[name] = values
		}
		rw.Header().Del("Content-Length")
		rw.WriteHeader(answer.Code)
		_ = json.NewEncoder(rw).Encode(m)
	}
}

// breakSignature changes one bit in the middle of a JWS's signature.
func breakSignature(token string) string {
	at := strings.LastIndexByte(token, '.') + 1
	raw, err := base64.RawURLEncoding.DecodeString(token[at:])
	if err != nil {
		panic(err)
	}
	raw[len(raw)/2] ^= 1
	return token[:at] + base64.RawURLEncoding.EncodeToString(raw)
}
