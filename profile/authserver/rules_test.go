package authserver_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/dpop"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jar"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/gofapi/fapi2/profile/rules"
	"github.com/gofapi/fapi2/store"
	"github.com/stretchr/testify/require"
)

// ruled applies rules to all clients.
func ruled(set rules.Set) worldOption {
	set.Name = "test"
	return func(as *authserver.Config, _ *resourceserver.Config) { as.Rules = &set }
}

// ruledFor applies rules to one client.
func ruledFor(id string, set *rules.Set) worldOption {
	set.Name = "test"
	return func(as *authserver.Config, _ *resourceserver.Config) {
		as.ClientRules = func(client *profile.ClientMetadata) *rules.Set {
			if client.ClientID == id {
				return set
			}
			return nil
		}
	}
}

// counting keeps everything in a store that counts.
func counting(counted *countingStore) worldOption {
	counted.Store = testkit.Must(store.NewMemory(store.MemoryConfig{Now: time.Now}))
	return func(as *authserver.Config, _ *resourceserver.Config) { as.Store = counted }
}

// withMutualTLS permits certificates, which no client of the world presents.
func withMutualTLS(as *authserver.Config, _ *resourceserver.Config) {
	as.MutualTLS = new(authserver.MutualTLS)
}

// A ruleCase is a request under rules.
type ruleCase struct {
	name   string
	set    rules.Set
	client func(c *profile.ClientMetadata)
	form   func(w *world, id string) url.Values // nil for a plain push
	proofs func(w *world) []string
	code   string // "" if the request is accepted
	status int
}

// rsaAssertion replaces the assertion of a form by one with an RSA key.
func (w *world) rsaAssertion(id string, form url.Values) url.Values {
	auth, err := clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
		ClientID: id, Audience: w.as.Metadata().Issuer, Key: testkit.RSAKey(w.t, id), KeyID: id + "-key", Now: w.clock.Now,
	})
	require.NoError(w.t, err)
	assertion, err := auth.Assertion()
	require.NoError(w.t, err)
	form.Set("client_assertion", assertion)
	return form
}

// pushRules are requests to the pushed authorization request endpoint.
var pushRules = []ruleCase{
	{name: "no rules"},
	{name: "unsigned requests", set: rules.Set{MessageSigning: []string{"requests"}}, code: "invalid_request", status: 400},
	{name: "a signed request", set: rules.Set{MessageSigning: []string{"requests"}}, form: pushSigned(nil)},
	{name: "unsigned responses", set: rules.Set{MessageSigning: []string{"responses"}}, code: "invalid_request", status: 400},
	{name: "signed responses", set: rules.Set{MessageSigning: []string{"responses"}}, form: pushWith("response_mode", "jwt")},
	{name: "a response mode that is not permitted", set: rules.Set{ResponseModes: []string{"query", "form_post.jwt"}},
		form: pushWith("response_mode", "jwt"), code: "invalid_request", status: 400},
	{name: "a default response mode that is not permitted", set: rules.Set{ResponseModes: []string{"jwt"}},
		code: "invalid_request", status: 400},
	{name: "JARM-2.3.4-1 another name of a response mode", set: rules.Set{ResponseModes: []string{"query.jwt"}}, form: pushWith("response_mode", "jwt")},
	{name: "the only response mode", set: rules.Set{ResponseModes: []string{"query"}}},

	{name: "another client authentication", set: rules.Set{ClientAuthentication: []string{"tls_client_auth"}}, code: "invalid_client", status: 401},
	{name: "the only client authentication", set: rules.Set{ClientAuthentication: []string{"private_key_jwt"}}},
	{name: "another binding", set: rules.Set{Bindings: []string{"mTLS"}}, code: "unauthorized_client", status: 400},
	{name: "the only binding", set: rules.Set{Bindings: []string{"DPoP"}}},

	{name: "another algorithm for everything", set: rules.Set{Algorithms: rules.Algorithms{Signing: []string{"PS256"}}}, code: "invalid_client", status: 401},
	{name: "the only algorithm for everything", set: rules.Set{Algorithms: rules.Algorithms{Signing: []string{"ES256"}}}},
	{name: "another algorithm of assertions", set: rules.Set{Algorithms: rules.Algorithms{Assertion: []string{"PS256"}}}, code: "invalid_client", status: 401},
	{name: "the only algorithm of assertions", set: rules.Set{Algorithms: rules.Algorithms{Assertion: []string{"PS256"}}},
		client: rsaKeys, form: func(w *world, id string) url.Values { return w.rsaAssertion(id, w.pushForm(id)) }},
	{name: "a small key of assertions", set: rules.Set{Algorithms: rules.Algorithms{RSABits: 3072}},
		client: rsaKeys, form: func(w *world, id string) url.Values { return w.rsaAssertion(id, w.pushForm(id)) }, code: "invalid_client", status: 401},
	{name: "another algorithm of request objects", set: rules.Set{Algorithms: rules.Algorithms{RequestObject: []string{"PS256"}}},
		form: pushSigned(nil), code: "invalid_request_object", status: 400},
	{name: "the only algorithm of request objects", set: rules.Set{Algorithms: rules.Algorithms{RequestObject: []string{"ES256"}}}, form: pushSigned(nil)},
	{name: "another algorithm of proofs", set: rules.Set{Algorithms: rules.Algorithms{Signing: []string{"ES256"}}},
		proofs: func(w *world) []string { return []string{w.rsaProof("POST", w.parURL())} }, code: "invalid_dpop_proof", status: 400},
	{name: "a small key of proofs", set: rules.Set{Algorithms: rules.Algorithms{RSABits: 3072}},
		proofs: func(w *world) []string { return []string{w.rsaProof("POST", w.parURL())} }, code: "invalid_dpop_proof", status: 400},
	{name: "an algorithm of ID tokens that is not permitted", set: rules.Set{Algorithms: rules.Algorithms{IDToken: []string{"PS256"}}},
		client: func(c *profile.ClientMetadata) { c.IDTokenSignedResponseAlg = "ES256" }, code: "unauthorized_client", status: 400},
	{name: "an algorithm of UserInfo responses that is not permitted", set: rules.Set{Algorithms: rules.Algorithms{UserInfo: []string{"PS256"}}},
		client: func(c *profile.ClientMetadata) { c.UserInfoSignedResponseAlg = "ES256" }, code: "unauthorized_client", status: 400},
	{name: "ID tokens without encryption", set: rules.Set{Encryption: rules.Encryption{IDToken: rules.Encrypted{Required: true}}},
		code: "unauthorized_client", status: 400},
	{name: "UserInfo responses without encryption", set: rules.Set{Encryption: rules.Encryption{UserInfo: rules.Encrypted{Required: true}}},
		code: "unauthorized_client", status: 400},
	{name: "another key encryption", set: rules.Set{Encryption: rules.Encryption{IDToken: rules.Encrypted{Algorithms: []string{"RSA-OAEP"}}}},
		client: func(c *profile.ClientMetadata) { c.IDTokenEncryptedResponseAlg = "ECDH-ES" }, code: "unauthorized_client", status: 400},
	{name: "another content encryption", set: rules.Set{Encryption: rules.Encryption{IDToken: rules.Encrypted{ContentEncryptions: []string{"A256GCM"}}}},
		client: func(c *profile.ClientMetadata) { c.IDTokenEncryptedResponseAlg = "ECDH-ES" }, code: "unauthorized_client", status: 400},

	{name: "no refresh tokens", set: rules.Set{RefreshTokens: rules.RefreshTokens{Required: true}},
		client: func(c *profile.ClientMetadata) { c.GrantTypes = nil }, code: "unauthorized_client", status: 400},
	{name: "refresh tokens", set: rules.Set{RefreshTokens: rules.RefreshTokens{Required: true}}},
	{name: "an assertion of 60 s", set: rules.Set{Lifetimes: rules.Lifetimes{Assertion: rules.Span{Max: 60 * time.Second}}}},
	{name: "an assertion of more than 59 s", set: rules.Set{Lifetimes: rules.Lifetimes{Assertion: rules.Span{Max: 59 * time.Second}}},
		code: "invalid_client", status: 401},
	{name: "a request object of 10 min", set: rules.Set{Lifetimes: rules.Lifetimes{RequestObject: rules.Span{Max: 10 * time.Minute}}},
		form: pushSigned(func(c *jar.SignerConfig) { c.Lifetime = 10 * time.Minute })},
	{name: "a request object of more than 10 min", set: rules.Set{Lifetimes: rules.Lifetimes{RequestObject: rules.Span{Max: 10 * time.Minute}}},
		form: pushSigned(func(c *jar.SignerConfig) { c.Lifetime = 10*time.Minute + time.Second }), code: "invalid_request_object", status: 400},
	{name: "a request object made almost 10 min ago", set: rules.Set{Lifetimes: rules.Lifetimes{RequestObjectAge: rules.Span{Max: 10 * time.Minute}}},
		form: pushSigned(made(10*time.Minute - time.Second))},
	{name: "a request object made more than 10 min ago", set: rules.Set{Lifetimes: rules.Lifetimes{RequestObjectAge: rules.Span{Max: 10 * time.Minute}}},
		form: pushSigned(made(10*time.Minute + time.Second)), code: "invalid_request_object", status: 400},

	{name: "no interaction ID", set: rules.Set{InteractionIDs: "require"}, code: "invalid_request", status: 400},
	{name: "no certificate at the endpoint", set: rules.Set{MutualTLS: []string{"pushed_authorization_request"}}, code: "invalid_client", status: 401},
	{name: "no certificate at another endpoint", set: rules.Set{MutualTLS: []string{"revocation", "resource"}}},
}

// made makes a request object earlier, which is valid for an hour.
func made(ago time.Duration) func(*jar.SignerConfig) {
	return func(c *jar.SignerConfig) {
		now := c.Now
		c.Now, c.Lifetime = func() time.Time { return now().Add(-ago) }, time.Hour
	}
}

func rsaKeys(c *profile.ClientMetadata) { c.JWKS = nil }

func pushWith(fields ...string) func(w *world, id string) url.Values {
	return func(w *world, id string) url.Values {
		form := w.pushForm(id)
		with(fields...)(form)
		return form
	}
}

func pushSigned(change func(*jar.SignerConfig), fields ...string) func(w *world, id string) url.Values {
	return func(w *world, id string) url.Values {
		if change == nil {
			change = func(*jar.SignerConfig) {}
		}
		return w.signed(id, pushWith(fields...)(w, id), change)
	}
}

func (w *world) rsaProof(method, target string) string {
	prover, err := dpop.NewProver(dpop.ProverConfig{Key: testkit.RSAKey(w.t, "proof"), Now: w.clock.Now})
	require.NoError(w.t, err)
	proof, err := prover.Proof(method, target, dpop.ProofOptions{})
	require.NoError(w.t, err)
	return proof
}

// Each rule works alone, for all clients and for one. A rejected request writes nothing.
func TestRulesOfPushes(t *testing.T) {
	for _, tc := range pushRules {
		t.Run(tc.name, func(t *testing.T) {
			var counted countingStore
			set := tc.set
			options := []worldOption{withMutualTLS, withUserInfo(about), counting(&counted)}
			if tc.set.Algorithms.RSABits == 0 {
				options = append(options, withKeys(moreKeys(t)...))
			}
			for name, rule := range map[string]worldOption{"all": ruled(tc.set), "one": ruledFor("client-1", &set)} {
				w := newWorld(t, append(options, rule)...)
				w.requireCase(&counted, tc, name)
				if name == "one" && tc.client == nil && tc.code != "" { // another ecosystem's
					form, proofs := tc.request(w, "client-2")
					require.Equal(t, http.StatusCreated, w.send(w.parURL(), form, proofs...).status)
				}
			}
		})
	}
}

func (tc *ruleCase) request(w *world, id string) (form url.Values, proofs []string) {
	if tc.proofs != nil {
		proofs = tc.proofs(w)
	}
	if tc.form == nil {
		return w.pushForm(id), proofs
	}
	return tc.form(w, id), proofs
}

// requireCase sends the request of a case as client-1.
func (w *world) requireCase(counted *countingStore, tc ruleCase, name string) {
	w.t.Helper()
	c := w.clients["client-1"]
	if tc.client != nil {
		tc.client(c)
		if c.JWKS == nil {
			c.JWKS = w.register("client-1", testkit.RSAKey(w.t, "client-1").Public()).JWKS
			w.clients["client-1"] = c
		}
	}
	form, proofs := tc.request(w, "client-1")
	counted.adds = 0
	got := w.send(w.parURL(), form, proofs...)
	require.Equal(w.t, tc.code, got.code, "%s: %v", name, got.body)
	if tc.code == "" {
		require.Equal(w.t, http.StatusCreated, got.status, name)
		return
	}
	require.Equal(w.t, tc.status, got.status, name)
	require.Zero(w.t, counted.adds, "%s: a rejected request consumes nothing", name)
}

// The rules may change between a push and the requests that follow it. Nothing is consumed then.
func TestRulesOfTokenRequests(t *testing.T) {
	var set rules.Set
	w := newWorld(t, withMutualTLS, ruledFor("client-1", &set))
	code := w.code("client-1", nil)
	tokens := w.tokens("client-1", "d")
	for name, tc := range map[string]struct {
		set  rules.Set
		code string
	}{
		"another client authentication": {rules.Set{ClientAuthentication: []string{"tls_client_auth"}}, "invalid_client"},
		"another algorithm":             {rules.Set{Algorithms: rules.Algorithms{Assertion: []string{"EdDSA"}}}, "invalid_client"},
		"another binding":               {rules.Set{Bindings: []string{"mTLS"}}, "unauthorized_client"},
		"a certificate":                 {rules.Set{MutualTLS: []string{"token"}}, "invalid_client"},
		"no key of the server":          {rules.Set{Algorithms: rules.Algorithms{IDToken: []string{"EdDSA"}}}, "unauthorized_client"},
	} {
		set = tc.set
		require.Equal(t, tc.code, w.send(w.tokenURL(), w.codeForm("client-1", code), w.tokenProof("d")).code, name)
		if name != "no key of the server" {
			form := w.refreshForm("client-1", tokens.body["refresh_token"].(string))
			require.Equal(t, tc.code, w.send(w.tokenURL(), form, w.tokenProof("d")).code, name)
		}
	}
	set = rules.Set{MutualTLS: []string{"revocation"}}
	revocation := w.as.Metadata().RevocationEndpoint
	refresh := url.Values{"token": {tokens.body["refresh_token"].(string)}}
	require.Equal(t, "invalid_client", w.send(revocation, w.authenticated("client-1", clone(refresh))).code)
	set = rules.Set{Algorithms: rules.Algorithms{Signing: []string{"ES256"}}}
	form, proof := w.codeForm("client-1", code), w.rsaProof("POST", w.tokenURL())
	require.Equal(t, "invalid_dpop_proof", w.send(w.tokenURL(), form, proof).code)
	set = rules.Set{}
	require.Equal(t, http.StatusOK, w.send(w.tokenURL(), form, w.tokenProof("d")).status, "the code and the assertion were not consumed")
	require.Equal(t, http.StatusOK, w.send(revocation, w.authenticated("client-1", refresh)).status)
}

// An API introspects by its own rules.
func TestRulesOfIntrospection(t *testing.T) {
	var set rules.Set
	w := newWorld(t, demanding(profile.Baseline), ruledFor("client-2", &set))
	token := w.tokens("client-1", "d").body["access_token"].(string)
	form := w.authenticated("client-2", url.Values{"token": {token}})
	for name, tc := range map[string]struct {
		set  rules.Set
		code string
	}{
		"without encryption":           {rules.Set{Encryption: rules.Encryption{Introspection: rules.Encrypted{Required: true}}}, "unauthorized_client"},
		"without a certificate":        {rules.Set{MutualTLS: []string{"introspection"}}, "invalid_client"},
		"without a key for signatures": {rules.Set{Algorithms: rules.Algorithms{Signing: []string{"PS256"}, Assertion: []string{"ES256"}}}, "unauthorized_client"},
	} {
		set = tc.set
		require.Equal(t, tc.code, w.send(w.as.Metadata().IntrospectionEndpoint, form).code, name)
	}
	set = rules.Set{MessageSigning: []string{"introspection"}}
	got := w.send(w.as.Metadata().IntrospectionEndpoint, form)
	require.Equal(t, http.StatusOK, got.status, "no rejection has consumed the assertion")
	require.Equal(t, mediaTypeIntrospection, got.header.Get("Content-Type"))
}

// The server does not encrypt to a small key.
func TestRulesOfEncryptionKeys(t *testing.T) {
	for bits, code := range map[int]string{2048: "", 3072: "unauthorized_client"} {
		eachRuled(t, rules.Set{Algorithms: rules.Algorithms{RSABits: bits}}, func(t *testing.T, w *world) {
			w.encryptFor("RSA-OAEP-256", "A256GCM")
			require.Equal(t, code, w.send(w.parURL(), w.pushForm("client-1")).code)
		})
	}
}

// The rules choose the key of a client that is registered for no algorithm.
func TestRulesChooseKeys(t *testing.T) {
	signing := rules.Algorithms{Signing: []string{"EdDSA", "PS256"}, Assertion: []string{"PS256"}, IDToken: []string{"EdDSA"}, UserInfo: []string{"PS256"}}
	set := rules.Set{Algorithms: signing}
	for _, rule := range []worldOption{ruled(set), ruledFor("client-1", &set)} {
		w := newWorld(t, rule, withUserInfo(about), withKeys(moreKeys(t)...))
		w.clients["client-1"].JWKS = w.register("rsa", testkit.RSAKey(t, "client-1").Public()).JWKS
		w.clients["client-1"].UserInfoSignedResponseAlg = "PS256"
		resign := func(form url.Values) url.Values {
			auth, err := clientauth.NewPrivateKeyJWT(clientauth.PrivateKeyJWTConfig{ClientID: "client-1", Audience: w.asHTTP.URL, Key: testkit.RSAKey(t, "client-1"), Now: w.clock.Now})
			require.NoError(t, err)
			form.Del("client_assertion")
			require.NoError(t, auth.Authenticate(t.Context(), form))
			return form
		}
		prover, err := dpop.NewProver(dpop.ProverConfig{Key: testkit.Ed25519Key(t, "d"), Now: w.clock.Now})
		require.NoError(t, err)
		callback := w.browse(w.authorizationURL("client-1", resign(w.pushForm("client-1"))))
		form := resign(w.codeForm("client-1", callback.Get("code")))
		got := w.send(w.tokenURL(), form, testkit.Must(prover.Proof("POST", w.tokenURL(), dpop.ProofOptions{})))
		require.Equal(t, http.StatusOK, got.status, "%v", got.body)
		w.requireSigned("PS256", got.body["access_token"].(string))
		w.requireSigned("EdDSA", got.body["id_token"].(string))
	}
}

// The metadata announces what the rules permit.
func TestRulesNarrowMetadata(t *testing.T) {
	w := newWorld(t, withMutualTLS, withUserInfo(about), withKeys(moreKeys(t)...), demanding(profile.Baseline), ruled(rules.Set{
		MessageSigning: []string{"requests"}, ResponseModes: []string{"query", "jwt"},
		ClientAuthentication: []string{"private_key_jwt", "tls_client_auth"}, Bindings: []string{"mTLS"},
		Algorithms: rules.Algorithms{
			Signing: []string{"PS256", "EdDSA"}, Assertion: []string{"PS256"}, RequestObject: []string{"PS256"},
			IDToken: []string{"PS256"}, UserInfo: []string{"EdDSA"},
		},
		Encryption: rules.Encryption{IDToken: rules.Encrypted{Algorithms: []string{"RSA-OAEP"}, ContentEncryptions: []string{"A256GCM"}}},
	}))
	m := w.as.Metadata()
	ps := []string{"PS256"}
	require.True(t, m.RequireSignedRequestObject)
	require.Equal(t, []string{"query", "jwt", "query.jwt"}, m.ResponseModesSupported)
	for _, methods := range [][]string{m.TokenEndpointAuthMethodsSupported, m.RevocationEndpointAuthMethodsSupported, m.IntrospectionEndpointAuthMethodsSupported} {
		require.Equal(t, []string{"private_key_jwt", "tls_client_auth"}, methods)
	}
	for _, list := range [][]string{m.TokenEndpointAuthSigningAlgValuesSupported, m.RevocationEndpointAuthSigningAlgValuesSupported,
		m.IntrospectionEndpointAuthSigningAlgValuesSupported, m.RequestObjectSigningAlgValuesSupported, m.IDTokenSigningAlgValuesSupported} {
		require.Equal(t, ps, list)
	}
	require.Equal(t, []string{"EdDSA", "Ed25519"}, m.UserInfoSigningAlgValuesSupported)
	require.Equal(t, []string{"PS256", "EdDSA", "Ed25519"}, m.AuthorizationSigningAlgValuesSupported)
	require.Empty(t, m.DPoPSigningAlgValuesSupported)
	require.True(t, m.TLSClientCertificateBoundAccessTokens)
	require.Equal(t, []string{"RSA-OAEP"}, m.IDTokenEncryptionAlgValuesSupported)
	require.Equal(t, []string{"A256GCM"}, m.IDTokenEncryptionEncValuesSupported)
	require.NoError(t, m.CheckPublished())

	certificates := newWorld(t, withMutualTLS, ruled(rules.Set{ClientAuthentication: []string{"tls_client_auth"}, Bindings: []string{"DPoP"}})).as.Metadata()
	require.Empty(t, certificates.TokenEndpointAuthSigningAlgValuesSupported)
	require.False(t, certificates.TLSClientCertificateBoundAccessTokens)
	require.NoError(t, certificates.CheckPublished())
}

// A configuration that contradicts its rules.
func TestRulesAgainstConfiguration(t *testing.T) {
	type config = authserver.Config
	for name, tc := range map[string]struct {
		set    rules.Set
		change func(*config)
		says   string
	}{
		"rules that permit more than FAPI 2.0": {rules.Set{Algorithms: rules.Algorithms{Signing: []string{"RS256"}}}, nil, "algorithms.signing"},
		"certificates without mutual TLS":      {rules.Set{ClientAuthentication: []string{"tls_client_auth"}}, nil, "requires MutualTLS"},
		"binding to certificates without it":   {rules.Set{Bindings: []string{"mTLS"}}, nil, "requires MutualTLS"},
		"demanded certificates without it":     {rules.Set{MutualTLS: []string{"token"}}, nil, "require MutualTLS"},
		"no key for access tokens":             {rules.Set{Algorithms: rules.Algorithms{Signing: []string{"PS256"}}}, nil, "no key signs"},
		"no key for ID tokens":                 {rules.Set{Algorithms: rules.Algorithms{IDToken: []string{"PS256"}}}, nil, "no key signs ID tokens"},
		"no key for UserInfo responses":        {rules.Set{Algorithms: rules.Algorithms{UserInfo: []string{"PS256"}}}, func(c *config) { c.UserInfo = about }, "no key signs UserInfo responses"},
		"a small key": {rules.Set{Algorithms: rules.Algorithms{RSABits: 3072}}, func(c *config) {
			c.Keys[0].Key = testkit.RSAKey(t, "rsa")
		}, "fewer than 3072 bits"},
		"signed introspection without introspection": {rules.Set{MessageSigning: []string{"introspection"}}, nil, "requires Introspection"},
		"no signed response mode":                    {rules.Set{ResponseModes: []string{"query"}}, func(c *config) { c.Profile = profile.SignedResponses }, "only response mode"},
		"weaker treatment of interaction IDs":        {rules.Set{InteractionIDs: "make"}, func(c *config) { c.InteractionIDs = "echo" }, "want at least"},
		"a scope that does not exist":                {rules.Set{Request: rules.Request{Scopes: []string{"accounts"}}}, nil, "not among Scopes"},
		"details without their types":                {rules.Set{Request: rules.Request{AuthorizationDetails: rules.AuthorizationDetails{Required: true}}}, nil, "AuthorizationDetails is nil"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := goodConfig(t)
			if tc.change != nil {
				tc.change(&cfg)
			}
			cfg.Rules = &rules.Set{Name: "empty"}
			_, err := authserver.New(cfg)
			require.NoError(t, err)
			tc.set.Name = "test"
			cfg.Rules = &tc.set
			_, err = authserver.New(cfg)
			require.ErrorContains(t, err, tc.says)
		})
	}
}
