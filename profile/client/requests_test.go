package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

func TestRequestConfiguration(t *testing.T) {
	p := newPeer(t)
	for name, change := range map[string]func(*client.Config){
		"OmitClientID without SignedRequests": func(c *client.Config) { c.Requests = &client.RequestConfig{OmitClientID: true} },
		"OmitClientID with a certificate": func(c *client.Config) {
			c.Profile, c.Requests = profile.SignedRequests, &client.RequestConfig{OmitClientID: true}
			c.MutualTLS = &client.MutualTLS{Certificate: testkit.Certify(t, "c-1", nil), AuthMethod: "tls_client_auth"}
		},
		"AssertionClaims with a certificate": func(c *client.Config) {
			c.Requests = &client.RequestConfig{AssertionClaims: func(context.Context) (map[string]any, error) { return nil, nil }}
			c.MutualTLS = &client.MutualTLS{Certificate: testkit.Certify(t, "c-1", nil), AuthMethod: "tls_client_auth"}
		},
		"AssertionLifetime of an hour": func(c *client.Config) {
			c.Requests = &client.RequestConfig{AssertionLifetime: time.Hour}
		},
		"Transport and Certificate": func(c *client.Config) {
			c.MutualTLS = &client.MutualTLS{
				Certificate: testkit.Certify(t, "c-1", nil), BindTokens: true, Transport: http.DefaultTransport,
			}
		},
		"Transport that is a nil pointer": func(c *client.Config) {
			c.MutualTLS = &client.MutualTLS{BindTokens: true, Transport: (*http.Transport)(nil)}
		},
		"HTTPClient.Transport that cannot present the certificate": func(c *client.Config) {
			c.MutualTLS = &client.MutualTLS{Certificate: testkit.Certify(t, "c-1", nil), BindTokens: true}
			c.HTTPClient = &http.Client{Transport: roundTrip(p.http.Transport.RoundTrip)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.try(change)
			require.Error(t, err)
			require.NotErrorIs(t, err, profile.ErrServerMetadata)
		})
	}
	require.Empty(t, p.messages(metadataPath), "the errors precede the first request")
}

// ConnectID: the form of the push has the request object and the assertion, and
// nothing else.
func TestPushWithoutClientID(t *testing.T) {
	p := newPeer(t)
	c, err := p.try(func(c *client.Config) {
		c.Profile, c.Requests = profile.SignedRequests, &client.RequestConfig{OmitClientID: true}
	})
	require.NoError(t, err)
	p.begin(c, "a")
	form := p.last("/par").form
	require.Equal(t, []string{"client_assertion", "client_assertion_type", "request"}, parameters(form))
	require.Equal(t, "c-1", jwtClaims(t, form.Get("request"))["client_id"])
	_, err = c.ClientCredentials(t.Context(), client.Request{})
	require.NoError(t, err)
	require.Equal(t, "c-1", p.last("/token").form.Get("client_id"), "only the push omits it")
}

// HelseID: authorization_details in the client assertion. Singapore: assertions
// of at most 2 minutes.
func TestAssertionsOfAnEcosystem(t *testing.T) {
	p := newPeer(t)
	type key struct{}
	broken := error(nil)
	c, err := p.try(func(c *client.Config) {
		c.Requests = &client.RequestConfig{
			AssertionLifetime: 90 * time.Second,
			AssertionClaims: func(ctx context.Context) (map[string]any, error) {
				return map[string]any{"authorization_details": map[string]any{"type": ctx.Value(key{})}}, broken
			},
		}
	})
	require.NoError(t, err)
	ctx := context.WithValue(t.Context(), key{}, "helseid_authorization")
	_, err = c.ClientCredentials(ctx, client.Request{})
	require.NoError(t, err)
	claims := jwtClaims(t, p.last("/token").form.Get("client_assertion"))
	require.Equal(t, map[string]any{"type": "helseid_authorization"}, claims["authorization_details"])
	require.InDelta(t, 90, claims["exp"].(float64)-claims["iat"].(float64), 0)
	broken = errors.New("no role")
	_, err = c.ClientCredentials(ctx, client.Request{})
	require.ErrorIs(t, err, broken)
	require.Len(t, p.messages("/token"), 1)
}

var uuid4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestInteractionIDs(t *testing.T) {
	p := newPeer(t)
	p.metadata = func(m map[string]any) {
		m["revocation_endpoint"], m["userinfo_endpoint"] = p.as.URL+"/revoke", p.as.URL+"/userinfo"
	}
	c, events, err := observed(p, func(c *client.Config) { c.Requests = &client.RequestConfig{InteractionID: true} })
	require.NoError(t, err)
	session, err := c.Begin(t.Context(), client.Request{Scopes: []string{"a"}})
	require.NoError(t, err)
	_, err = c.Finish(t.Context(), session, callback(session))
	require.NoError(t, err)
	_, err = c.Refresh(t.Context(), "rt-1", client.Request{})
	require.NoError(t, err)
	_, err = c.ClientCredentials(t.Context(), client.Request{})
	require.NoError(t, err)
	require.Error(t, c.Revoke(t.Context(), "rt-1", ""))
	_, err = c.UserInfoOf(t.Context(), "alice", oauth2.StaticTokenSource(dpopToken("at-1")))
	require.Error(t, err)
	p.respond = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }
	api, err := c.HTTPClient(oauth2.StaticTokenSource(dpopToken("at-1")))
	require.NoError(t, err)
	response, err := api.Get(p.api.URL + "/accounts")
	require.NoError(t, err)

	seen := make(map[string]bool)
	for _, path := range []string{"/par", "/token", "/revoke", "/userinfo", "/accounts"} {
		for _, m := range p.messages(path) {
			id := m.header.Get("X-Fapi-Interaction-Id")
			require.Regexp(t, uuid4, id, path)
			require.False(t, seen[id], "a new ID for each request")
			seen[id] = true
		}
	}
	require.Len(t, seen, 7)
	require.True(t, seen[response.Request.Header.Get("X-Fapi-Interaction-Id")], "the application can log it")
	for _, e := range drain(t, events) {
		switch e.Endpoint {
		case "metadata", "jwks", "authorization":
		default:
			require.True(t, seen[e.InteractionID], e.Endpoint)
		}
	}
}

func TestHeaderOfTheCaller(t *testing.T) {
	p := newPeer(t)
	type key struct{}
	chosen := http.Header{"X-Fapi-Interaction-Id": {"c770aef3-6784-41f7-8e0e-ff5f97bddb3a"}, "X-Fapi-Customer-Ip-Address": {"203.0.113.7"}}
	c, events, err := observed(p, func(c *client.Config) {
		c.Requests = &client.RequestConfig{InteractionID: true, Header: func(ctx context.Context) http.Header {
			h, _ := ctx.Value(key{}).(http.Header)
			return h
		}}
	})
	require.NoError(t, err)
	ctx := context.WithValue(t.Context(), key{}, chosen)
	_, err = c.Begin(ctx, client.Request{Scopes: []string{"a"}})
	require.NoError(t, err)
	_, err = c.ClientCredentials(ctx, client.Request{})
	require.NoError(t, err)
	p.respond = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }
	api, err := c.HTTPClient(oauth2.StaticTokenSource(dpopToken("at-1")))
	require.NoError(t, err)
	get := func(h http.Header) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.api.URL+"/accounts", nil)
		require.NoError(t, err)
		r.Header = h.Clone()
		_, err = api.Do(r)
		require.NoError(t, err)
		require.Equal(t, h, r.Header, "the request of the caller is not changed")
	}
	get(http.Header{})
	for _, path := range []string{"/par", "/token", "/accounts"} {
		for name, want := range chosen {
			require.Equal(t, want, p.last(path).header[name], path)
		}
		require.NotEmpty(t, p.last(path).proof, path)
	}
	get(http.Header{"X-Fapi-Interaction-Id": {"own"}})
	require.Equal(t, "own", p.last("/accounts").header.Get("X-Fapi-Interaction-Id"), "the field of the request has precedence")
	all := drain(t, events)
	require.Equal(t, "own", all[len(all)-1].InteractionID)
	require.Equal(t, chosen.Get("X-Fapi-Interaction-Id"), all[len(all)-2].InteractionID)
	require.Len(t, chosen, 2, "the header of the host is not changed")

	_, err = c.ClientCredentials(t.Context(), client.Request{})
	require.NoError(t, err)
	require.Regexp(t, uuid4, p.last("/token").header.Get("X-Fapi-Interaction-Id"))
}

// The certificate is in a proxy, or in a transport of the application.
func TestTransportWithACertificate(t *testing.T) {
	p := newPeer(t)
	p.as.TLS.ClientAuth = tls.RequestClientCert
	p.metadata = func(m map[string]any) { m["tls_client_certificate_bound_access_tokens"] = true }
	p.token = func(w http.ResponseWriter, r *http.Request) {
		require.Len(t, r.TLS.PeerCertificates, 1)
		reply(w, 200, `{"access_token":"at-1","token_type":"Bearer"}`)
	}
	own := p.http.Transport.(*http.Transport).Clone()
	own.TLSClientConfig.Certificates = []tls.Certificate{*testkit.Certify(t, "c-1", nil)}
	used := 0
	c, err := p.try(func(c *client.Config) {
		c.MutualTLS = &client.MutualTLS{BindTokens: true, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			used++
			return own.RoundTrip(r)
		})}
	})
	require.NoError(t, err)
	_, err = c.ClientCredentials(t.Context(), client.Request{})
	require.NoError(t, err)
	require.Equal(t, 1, used, "metadata are fetched without the certificate")
}
