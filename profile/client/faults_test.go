package client_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// raw sends bytes that net/http would not write, and closes the connection.
func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		buffered.WriteString(text)
		buffered.Flush()
	}
}

func says(status int, media, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// faults are failures of servers. The client does not repeat the request.
var faults = map[string]http.HandlerFunc{
	"it hangs up":                             raw(""),
	"it hangs up in the status line":          raw("HTTP/1.1 20"),
	"it hangs up in the body":                 raw("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"access_token\":\"s3cret\""),
	"it hangs up in a chunk":                  raw("HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{\"request_uri\":\"urn:x\""),
	"no HTTP":                                 raw("SSH-2.0-OpenSSH_9.9\r\n"),
	"500 with a page":                         says(500, "text/html", "<h1>s3cret</h1>"),
	"500 with JSON that is no error":          says(500, "application/json", `{"message":"s3cret"}`),
	"503":                                     says(503, "application/json", `{"error":"temporarily_unavailable"}`, "Retry-After", "5"),
	"429":                                     says(429, "application/json", `{"error":"slow_down"}`, "Retry-After", "5"),
	"a redirect that keeps the method":        says(307, "text/plain", "", "Location", "/other"),
	"a redirect to a page":                    says(303, "text/plain", "", "Location", "/login"),
	"200 with a login page":                   says(200, "text/html", "<form>s3cret</form>"),
	"201 with a login page":                   says(201, "text/html", "<form>s3cret</form>"),
	"204":                                     says(204, "application/json", ""),
	"an empty object":                         says(200, "application/json", `{}`),
	"an empty object, created":                says(201, "application/json", `{}`),
	"null":                                    says(200, "application/json", `null`),
	"members of wrong types":                  says(200, "application/json", `{"access_token":1,"token_type":true,"request_uri":[],"expires_in":"soon"}`),
	"a body without end":                      says(200, "application/json", `{"access_token":"`+strings.Repeat("s3cret", 1<<20)),
	"use_dpop_nonce without a nonce":          says(400, "application/json", `{"error":"use_dpop_nonce"}`),
	"use_dpop_nonce, two nonces":              twoNonces,
	"use_dpop_nonce, a nonce of another kind": says(400, "application/json", `{"error":"use_dpop_nonce"}`, "DPoP-Nonce", "a b"),
}

func twoNonces(w http.ResponseWriter, r *http.Request) {
	w.Header()["Dpop-Nonce"] = []string{"a", "b"}
	says(400, "application/json", `{"error":"use_dpop_nonce"}`)(w, r)
}

// Every fault occurs at every endpoint of an authorization server.
func TestServerFaults(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	p.says("revocation_endpoint", p.as.URL+"/token/revoke")
	app := p.client()
	session := p.begin(app, "accounts")
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			p.push, p.token = fault, fault
			pushes, tokens := len(p.messages("/par")), len(p.messages("/token"))
			begun, err := app.Begin(ctx, client.Request{Scopes: []string{"accounts"}})
			require.Error(t, err, "SP-5.3.3.2-2 no push, no authorization")
			require.Nil(t, begun)
			checkFault(t, app, err)
			token, err := app.Finish(ctx, session, callback(session))
			require.Nil(t, token)
			require.Error(t, err)
			checkFault(t, app, err)
			source := app.TokenSource(ctx, stale(p, "rt"))
			_, err = testkit.Must(app.HTTPClient(source)).Get(p.api.URL + "/accounts")
			require.Error(t, err)
			require.NotContains(t, err.Error(), "s3cret")
			require.Empty(t, p.messages("/accounts"), "no API without a token")
			twice := 0
			if strings.HasPrefix(name, "use_dpop_nonce") {
				twice = 1 // package par may try once more, with whatever nonce has come meanwhile
			}
			require.LessOrEqual(t, len(p.messages("/par"))-pushes, 1+twice)
			require.Equal(t, 2, len(p.messages("/token"))-tokens)
			require.Empty(t, append(p.messages("/login"), p.messages("/other")...), "a redirect is not followed")
		})
	}
	p.push, p.token = nil, nil
	again := p.begin(app, "accounts")
	_, err := app.Finish(ctx, again, callback(again))
	require.NoError(t, err, "and none has left a trace")
}

// checkFault checks that only an error of the server is a *oauth2.RetrieveError,
// and that no error text contains a possible token.
func checkFault(t *testing.T, app *client.Client, err error) {
	require.NotContains(t, fmt.Sprintf("%v %+v", err, err), "s3cret")
	require.Less(t, len(err.Error()), 2000)
	said := (*oauth2.RetrieveError)(nil)
	if errors.As(err, &said) {
		require.NotNil(t, said.Response)
		if said.Response.Header.Get("Retry-After") != "" {
			require.Equal(t, 5*time.Second, app.RetryAfter(err))
		}
	}
}

func TestDiscoveryFaults(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			next := p.as.Config.Handler
			p.as.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/.well-known/") {
					fault(w, r)
					return
				}
				next.ServeHTTP(w, r)
			})
			app, err := p.try()
			require.Error(t, err)
			require.Nil(t, app)
			require.NotContains(t, err.Error(), "s3cret")
			require.Empty(t, p.messages("/par"))
		})
	}
}

// The client keeps to its configuration, even if the server demands less. New
// rejects a server that does not support the configuration.
func TestNoFallingBack(t *testing.T) {
	ctx := context.Background()
	signing := func(c *client.Config) { c.Profile = profile.SignedRequests | profile.SignedResponses }
	t.Run("SP-5.3.3.2-2 JAR-10.5-1 a server that demands nothing any more", func(t *testing.T) {
		p := newPeer(t)
		p.says("response_modes_supported", []string{"query", "jwt"})
		p.says("require_pushed_authorization_requests", false)
		p.says("require_signed_request_object", false)
		app, err := p.try(signing)
		require.NoError(t, err)
		session := p.begin(app, "accounts")
		require.True(t, p.last("/par").form.Has("request"))
		require.True(t, session.SignedResponse)
		_, err = app.Finish(ctx, session, callback(session))
		require.ErrorIs(t, err, client.ErrAuthorizationResponse, "MS-5.4.2-2")
	})
	for name, tc := range map[string]struct {
		member string
		value  any
		change func(*client.Config)
	}{
		"JAR-4-5 request objects by another algorithm":      {"request_object_signing_alg_values_supported", []string{"PS256"}, signing},
		"JARM-4-1 responses by algorithms that we refuse":   {"authorization_signing_alg_values_supported", []string{"RS256", "HS256"}, signing},
		"JARM-4-2 no signed responses":                      {"response_modes_supported", []string{"query"}, signing},
		"JARM-4-2 nothing said of signed responses":         {"response_modes_supported", nil, signing},
		"JAR-10.5-1 signed requests demanded":               {"require_signed_request_object", true, nil},
		"MD-2-8 assertions by another algorithm":            {"token_endpoint_auth_signing_alg_values_supported", []string{"PS256"}, nil},
		"DPOP-5.1-1 proofs by another algorithm":            {"dpop_signing_alg_values_supported", []string{"PS256"}, nil},
		"DPOP-5.1-1 no proofs":                              {"dpop_signing_alg_values_supported", nil, nil},
		"ISS-2.4-4 no iss":                                  {"authorization_response_iss_parameter_supported", false, nil},
		"SP-5.3.3.2-2 no pushed requests":                   {"pushed_authorization_request_endpoint", nil, nil},
		"MTLS-3.3-1 certificate-bound tokens not supported": {"tls_client_certificate_bound_access_tokens", false, bindToCertificate(t)},
		"SP-5.2.2.1-3 an alias is missing":                  {"mtls_endpoint_aliases", map[string]any{"token_endpoint": "https://mtls.example/token"}, aliased(t)},
		"SP-5.2.2.1-3 all aliases are missing":              {"mtls_endpoint_aliases", nil, aliased(t)},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			p.says("response_modes_supported", []string{"query", "jwt"})
			p.says(tc.member, tc.value)
			before := p.metadata
			p.metadata = func(m map[string]any) {
				before(m)
				if m[tc.member] == nil {
					delete(m, tc.member)
				}
			}
			var change []func(*client.Config)
			if tc.change != nil {
				change = append(change, tc.change)
			}
			app, err := p.try(change...)
			require.ErrorIs(t, err, profile.ErrServerMetadata)
			require.ErrorContains(t, err, strings.TrimSuffix(tc.member, "_supported"))
			require.Nil(t, app)
		})
	}
	t.Run("JAR-4-5 each list has its own name for Ed25519", func(t *testing.T) {
		p := newPeer(t)
		p.says("request_object_signing_alg_values_supported", []string{"Ed25519"})
		p.says("token_endpoint_auth_signing_alg_values_supported", []string{"EdDSA"})
		app, err := p.try(func(c *client.Config) { c.Profile, c.Key = profile.SignedRequests, testkit.Ed25519Key(t, "c-1") })
		require.NoError(t, err)
		p.begin(app, "accounts")
		require.Equal(t, "Ed25519", jwtHeader(t, p.last("/par").form.Get("request"))["alg"])
		require.Equal(t, "EdDSA", jwtHeader(t, p.last("/par").form.Get("client_assertion"))["alg"])
	})
	t.Run("MS-5.6.2-1 ID tokens by algorithms that we refuse, only if one is asked for", func(t *testing.T) {
		p := newPeer(t)
		p.says("id_token_signing_alg_values_supported", []string{"RS256"})
		app := p.client()
		_, err := app.Begin(ctx, client.Request{Scopes: []string{"openid"}})
		require.ErrorIs(t, err, profile.ErrServerMetadata)
		require.Empty(t, p.messages("/par"))
		p.begin(app, "accounts")
	})
}

func bindToCertificate(t *testing.T) func(*client.Config) {
	return func(c *client.Config) {
		c.MutualTLS = &client.MutualTLS{BindTokens: true, Certificate: testkit.Certify(t, "c-1", nil)}
	}
}

func aliased(t *testing.T) func(*client.Config) {
	return func(c *client.Config) {
		c.MutualTLS = &client.MutualTLS{UseEndpointAliases: true, Certificate: testkit.Certify(t, "c-1", nil)}
	}
}

// A request whose body cannot be read again is not repeated.
func TestBodiesSentOnce(t *testing.T) {
	p, ctx := newPeer(t), context.Background()
	p.respond = nonces(401, "n-1", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "paid "+r.Form.Get("amount")) })
	app := p.client()
	api := testkit.Must(app.HTTPClient(app.TokenSource(ctx, dpopToken("at"))))
	pay := func() (*http.Response, error) {
		return api.Post(p.api.URL+"/pay", "application/x-www-form-urlencoded", bufio.NewReader(strings.NewReader("amount=7")))
	}
	_, err := pay()
	require.ErrorIs(t, err, client.ErrNotRepeatable, "SP-5.3.3.1-8")
	require.Len(t, p.messages("/pay"), 1)
	response, err := pay()
	require.NoError(t, err)
	require.Equal(t, "paid 7", string(testkit.Must(io.ReadAll(response.Body))))
	require.Len(t, p.messages("/pay"), 2, "the nonce is known by then")

	p.respond = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `DPoP error="invalid_token"`)
		w.WriteHeader(401)
	}
	response, err = pay()
	require.NoError(t, err)
	require.Equal(t, 401, response.StatusCode, "another refusal is the caller's to see")
}

// A new client can finish the sessions of the previous client.
func TestSessionsOutliveTheClient(t *testing.T) {
	p := newPeer(t)
	old := p.client()
	session := p.begin(old, "accounts")
	old.CloseIdleConnections()
	stored, err := json.Marshal(session)
	require.NoError(t, err)
	var found client.Session
	require.NoError(t, json.Unmarshal(stored, &found))
	_, err = p.client().Finish(context.Background(), &found, callback(session))
	require.NoError(t, err)
}
