package client_test

import (
	"crypto"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/rules"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

func follow(set rules.Set) func(*client.Config) {
	set.Name = "example"
	return func(c *client.Config) { c.Rules = &set }
}

func TestRulesAgainstConfiguration(t *testing.T) {
	p := newPeer(t)
	for name, c := range map[string]struct {
		rules   rules.Set
		problem string
	}{
		"wider than FAPI 2.0":     {rules.Set{Bindings: []string{"Bearer"}}, "bindings"},
		"another authentication":  {rules.Set{ClientAuthentication: []string{"tls_client_auth"}}, "authentication by private_key_jwt"},
		"another binding":         {rules.Set{Bindings: []string{"mTLS"}}, "tokens bound by DPoP"},
		"no certificate":          {rules.Set{MutualTLS: []string{"token"}}, "missing MutualTLS"},
		"another algorithm":       {rules.Set{Algorithms: rules.Algorithms{Assertion: []string{"PS256"}}}, "client assertions signed with ES256"},
		"another proof algorithm": {rules.Set{Algorithms: rules.Algorithms{Signing: []string{"PS256"}, Assertion: []string{"PS256"}}}, "proofs signed with ES256"},
		"signed request objects": {rules.Set{
			MessageSigning: []string{"requests"}, Algorithms: rules.Algorithms{RequestObject: []string{"PS256"}},
		}, "request objects signed with ES256"},
		"an ID token that cannot be decrypted": {rules.Set{Encryption: rules.Encryption{
			IDToken: rules.Encrypted{Required: true},
		}}, "IDTokenDecryptionKeys"},
		"UserInfo that cannot be decrypted": {rules.Set{Encryption: rules.Encryption{
			UserInfo: rules.Encrypted{Required: true},
		}}, "UserInfo.DecryptionKeys"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.try(follow(c.rules))
			require.ErrorContains(t, err, c.problem)
		})
	}
	_, err := p.try(follow(rules.Set{Lifetimes: rules.Lifetimes{Assertion: rules.Span{Max: 30 * time.Second}}}),
		func(c *client.Config) { c.Requests = &client.RequestConfig{AssertionLifetime: time.Minute} })
	require.ErrorContains(t, err, "AssertionLifetime is 1m0s, want at most 30s")
	_, err = p.try(follow(rules.Set{ResponseModes: []string{"query"}}),
		func(c *client.Config) { c.Profile = profile.SignedResponses })
	require.ErrorContains(t, err, "SignedResponses")
	_, err = p.try(follow(rules.Set{Algorithms: rules.Algorithms{RSABits: 4096}}), func(c *client.Config) {
		c.Key, c.DPoPKey = testkit.RSAKey(t, "c-1"), testkit.ECKey(t, "proofs")
	})
	require.ErrorContains(t, err, "Key has 2048 bits, want at least 4096")
	_, err = p.try(follow(rules.Set{Algorithms: rules.Algorithms{UserInfo: []string{"PS256"}}}), func(c *client.Config) {
		c.OpenID = &client.OpenID{UserInfo: idtoken.UserInfoConfig{Algorithms: []string{"ES256"}}}
	})
	require.ErrorContains(t, err, "OpenID.UserInfo.Algorithms has ES256")
	key := idtoken.DecryptionKey{Key: testkit.RSAKey(t, "enc"), Algorithm: "RSA-OAEP", ContentEncryption: "A256GCM"}
	keys := []idtoken.DecryptionKey{{Key: testkit.ECKey(t, "enc")}, key}
	ecdh := rules.Encrypted{Algorithms: []string{"ECDH-ES"}}
	_, err = p.try(follow(rules.Set{Encryption: rules.Encryption{IDToken: ecdh, UserInfo: ecdh}}), func(c *client.Config) {
		c.OpenID = &client.OpenID{IDTokenDecryptionKeys: keys, UserInfo: idtoken.UserInfoConfig{DecryptionKeys: keys}}
	})
	require.ErrorContains(t, err, "algorithms of OpenID.IDTokenDecryptionKeys[1]")
	require.ErrorContains(t, err, "algorithms of OpenID.UserInfo.DecryptionKeys[1]")
	require.NotContains(t, err.Error(), "Keys[0]")
	require.Empty(t, p.messages(metadataPath), "the errors precede the first request")
}

// The client sends what the rules require, without further configuration.
func TestRulesChangeRequests(t *testing.T) {
	p := newPeer(t)
	c, err := p.try(follow(rules.Set{
		MessageSigning: []string{"requests"}, InteractionIDs: "require",
		Lifetimes: rules.Lifetimes{
			RequestObject: rules.Span{Max: time.Minute}, Assertion: rules.Span{Max: 30 * time.Second},
		},
		Request: rules.Request{PushForm: []string{"request", "client_assertion", "client_assertion_type"}},
	}))
	require.NoError(t, err)
	p.begin(c, "a")
	sent := p.last("/par")
	require.Equal(t, []string{"client_assertion", "client_assertion_type", "request"}, parameters(sent.form))
	require.NotEmpty(t, sent.header.Get("X-Fapi-Interaction-Id"))
	assertion, object := jwtClaims(t, sent.form.Get("client_assertion")), jwtClaims(t, sent.form.Get("request"))
	require.Equal(t, 30.0, assertion["exp"].(float64)-assertion["iat"].(float64))
	require.Equal(t, 60.0, object["exp"].(float64)-object["nbf"].(float64))
}

// A client sends x-fapi-interaction-id where servers at least echo it. The
// texts of ecosystems whose servers make one require it of clients as well.
func TestRulesOfInteractionIDs(t *testing.T) {
	p := newPeer(t)
	for treatment, sends := range map[string]bool{"": false, "echo": true, "make": true, "require": true} {
		c, err := p.try(follow(rules.Set{InteractionIDs: treatment}))
		require.NoError(t, err)
		p.begin(c, "a")
		require.Equal(t, sends, p.last("/par").header.Get("X-Fapi-Interaction-Id") != "", treatment)
	}
}

// A request that the server would reject is not sent.
func TestRulesOfAuthorizationRequests(t *testing.T) {
	p := newPeer(t)
	claim := func(text string) client.Request {
		return client.Request{Scopes: []string{"openid"}, Params: url.Values{"claims": {text}}}
	}
	param := func(name, value string) client.Request {
		return client.Request{Scopes: []string{"openid"}, Params: url.Values{name: {value}}}
	}
	purpose := rules.Set{Request: rules.Request{
		Parameters: map[string]rules.Parameter{"purpose": {Required: true, MinLength: 3, MaxLength: 300}},
	}}
	details := rules.Set{Request: rules.Request{
		AuthorizationDetails: rules.AuthorizationDetails{Required: true, Types: []string{"a"}, Max: 1},
	}}
	acr := func(request string) rules.Set { return rules.Set{ACR: rules.ACR{Request: request}} }
	duration := rules.Set{Claims: rules.Claims{Top: map[string]rules.Integer{"sharing_duration": {Required: true, Max: 10}}}}
	intent := func(i rules.Intent) rules.Set {
		i.Required = true
		return rules.Set{Intent: &i}
	}
	for name, c := range map[string]struct {
		rules   rules.Set
		request client.Request
		problem string // empty if the request is sent
	}{
		"purpose":                     {purpose, param("purpose", "abc"), ""},
		"300 characters of 3 bytes":   {purpose, param("purpose", strings.Repeat("한", 300)), ""},
		"301 characters of 3 bytes":   {purpose, param("purpose", strings.Repeat("한", 301)), "purpose has 301 characters"},
		"a short purpose":             {purpose, param("purpose", "ab"), "purpose has 2 characters"},
		"an empty purpose":            {rules.Set{Request: rules.Request{Parameters: map[string]rules.Parameter{"purpose": {Required: true}}}}, param("purpose", ""), "purpose is missing"},
		"no purpose":                  {purpose, client.Request{}, "purpose is missing"},
		"no scope":                    {rules.Set{Request: rules.Request{Scopes: []string{"accounts"}}}, client.Request{}, "missing scope accounts"},
		"a forbidden parameter":       {rules.Set{Request: rules.Request{Parameters: map[string]rules.Parameter{"id_token_hint": {Forbidden: true}}}}, param("id_token_hint", "x"), "id_token_hint is not permitted"},
		"a detail":                    {details, client.Request{AuthorizationDetails: []byte(`[{"type":"a"}]`)}, ""},
		"no detail":                   {details, client.Request{}, "needs a detail"},
		"two details":                 {details, client.Request{AuthorizationDetails: []byte(`[{"type":"a"},{"type":"a"}]`)}, "2 details"},
		"a detail of another type":    {details, client.Request{AuthorizationDetails: []byte(`[{"type":"b"}]`)}, "type is not permitted"},
		"essential acr":               {acr("essential"), claim(`{"id_token":{"acr":{"essential":true,"value":"2"}}}`), ""},
		"acr that is not essential":   {acr("essential"), claim(`{"id_token":{"acr":null}}`), "acr is not essential"},
		"acr with a value":            {acr("essential_without_values"), claim(`{"id_token":{"acr":{"essential":true,"value":"2"}}}`), "without value"},
		"acr_values":                  {acr("forbidden"), param("acr_values", "2"), "unexpected request for acr"},
		"a duration":                  {duration, claim(`{"sharing_duration":10}`), ""},
		"no duration":                 {duration, claim(`{}`), "sharing_duration is missing"},
		"a long duration":             {duration, claim(`{"sharing_duration":11}`), "integer from 0 to 10"},
		"a duration in words":         {duration, claim(`{"sharing_duration":"10"}`), "integer from 0 to 10"},
		"malformed claims":            {duration, claim(`[]`), "claims"},
		"a consent in a scope":        {intent(rules.Intent{Scope: "consent:"}), client.Request{Scopes: []string{"consent:1"}}, ""},
		"no consent in a scope":       {intent(rules.Intent{Scope: "consent:"}), client.Request{Scopes: []string{"openid"}}, "missing consent"},
		"two consents":                {intent(rules.Intent{Scope: "consent:"}), client.Request{Scopes: []string{"consent:1", "consent:2"}}, "more than one consent"},
		"a consent in a claim":        {intent(rules.Intent{Claim: "id"}), claim(`{"id_token":{"id":{"value":"1"}}}`), ""},
		"no consent in a claim":       {intent(rules.Intent{Claim: "id"}), claim(`{"id_token":{}}`), "missing consent"},
		"a consent in a detail":       {intent(rules.Intent{Detail: "consent.id"}), client.Request{AuthorizationDetails: []byte(`[{"type":"a","consent":{"id":"1"}}]`)}, ""},
		"no consent in a detail":      {intent(rules.Intent{Detail: "consent.id"}), client.Request{AuthorizationDetails: []byte(`[{"type":"a"}]`)}, "missing consent"},
		"a parameter outside of them": {purpose, client.Request{Params: url.Values{"purpose": {"abc"}, "x": {"y"}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			app, err := p.try(follow(c.rules))
			require.NoError(t, err)
			before := len(p.messages("/par"))
			_, err = app.Begin(t.Context(), c.request)
			if c.problem == "" {
				require.NoError(t, err)
				require.Len(t, p.messages("/par"), before+1)
				return
			}
			require.ErrorContains(t, err, c.problem)
			require.Len(t, p.messages("/par"), before, "nothing was sent")
			if name != "malformed claims" {
				require.ErrorIs(t, err, rules.ErrRequest)
			}
		})
	}
}

// The client holds the signatures of the server to the rules for each use.
func TestRulesOfSignaturesOfTheServer(t *testing.T) {
	only := func(name string) []string { return []string{name} }
	ec, rsa := crypto.Signer(testkit.ECKey(t, "peer")), crypto.Signer(testkit.RSAKey(t, "peer")) // of 2048 bits
	for name, c := range map[string]struct {
		key               crypto.Signer
		algorithms        rules.Algorithms
		idToken, userInfo bool // accepted
	}{
		"no rule":                         {ec, rules.Algorithms{}, true, true},
		"attack: ES256 ID tokens":         {ec, rules.Algorithms{IDToken: only("PS256")}, false, true},
		"attack: ES256 UserInfo":          {ec, rules.Algorithms{UserInfo: only("PS256")}, true, false},
		"one algorithm for each":          {ec, rules.Algorithms{IDToken: only("ES256"), UserInfo: only("PS256")}, true, false},
		"RSA keys of a size, and EC keys": {ec, rules.Algorithms{RSABits: 4096}, true, true},
		"an RSA key":                      {rsa, rules.Algorithms{RSABits: 2048}, true, true},
		"attack: a short RSA key":         {rsa, rules.Algorithms{RSABits: 4096}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t)
			p.keys = []jwks.Key{{Public: c.key.Public(), KeyID: "k1"}}
			sign := func(payload string) string {
				return testkit.SignPayload(t, payload, jose.SignerOptions{KeyID: "k1"}, c.key)
			}
			p.informs("application/jwt", sign(p.userInfo()))
			app, err := p.try(follow(rules.Set{Algorithms: c.algorithms}))
			require.NoError(t, err)
			_, err = p.login(app, func(raw string) string {
				claims := jwtClaims(t, raw)
				delete(claims, "at_hash")
				payload, err := json.Marshal(claims)
				require.NoError(t, err)
				return sign(string(payload))
			})
			require.Equal(t, c.idToken, err == nil, "%v", err)
			token := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "at-1", TokenType: "DPoP"})
			_, err = app.UserInfoOf(t.Context(), "alice", token)
			require.Equal(t, c.userInfo, err == nil, "%v", err)
		})
	}
}

// The client accepts authorization responses only if their signature is within
// the rules.
func TestRulesOfSignedResponses(t *testing.T) {
	p := newPeer(t)
	p.says("response_modes_supported", []string{"jwt"})
	for _, c := range []struct {
		name     string
		signing  []string
		accepted bool
	}{{"ES256", []string{"ES256"}, true}, {"attack: ES256 under rules for PS256", []string{"PS256"}, false}} {
		t.Run(c.name, func(t *testing.T) {
			app, err := p.try(follow(rules.Set{
				MessageSigning: []string{"responses"}, Algorithms: rules.Algorithms{Signing: c.signing},
			}), func(cfg *client.Config) {
				if !c.accepted {
					cfg.Key, cfg.DPoPKey = testkit.RSAKey(t, "c-1"), testkit.RSAKey(t, "proofs")
				}
			})
			require.NoError(t, err)
			session := p.begin(app, "a")
			_, err = app.Finish(t.Context(), session, p.signedCallback("k1", session))
			require.Equal(t, c.accepted, err == nil, "%v", err)
		})
	}
}
