package interop_test

import (
	"crypto"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/interop/internal/testkit"
	"github.com/gofapi/fapi2/jarm"
	"github.com/gofapi/fapi2/par"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// The paths of oidc-provider.
const (
	metadataPath  = "/.well-known/*"
	pushPath      = "/request"
	authorizePath = "/auth"
	tokenPath     = "/token"
	keysPath      = "/jwks"
)

var (
	signing = combination{advanced: true, auth: privateKey}
	byTLS   = combination{auth: tlsAuth, mtls: true}
)

// A fault is a response with one error.
type fault struct {
	name   string
	make   change
	want   error       // what the client says
	code   string      // or: what it has the server saying, a *oauth2.RetrieveError
	client combination // Baseline, private_key_jwt and DPoP unless given
	then   []string    // requests that may follow all the same: for keys, or again with a nonce
	always bool        // wrong every time
}

// elsewhere sends the client to another origin.
func elsewhere(_ *proxy, a *answer) error {
	a.status = http.StatusFound
	a.header.Set("Location", "https://127.0.0.1:1/")
	return nil
}

var metadataFaults = []fault{
	{name: "SP-5.3.3.1-11 another issuer", make: with("issuer", "https://attacker.example"), want: profile.ErrIssuerMismatch},
	{name: "SP-5.3.3.1-11 the issuer with a slash at its end", make: members(func(m map[string]any) { m["issuer"] = m["issuer"].(string) + "/" }), want: profile.ErrIssuerMismatch},
	{name: "SP-5.3.3.1-11 the issuer in upper case", make: members(func(m map[string]any) { m["issuer"] = strings.ToUpper(m["issuer"].(string)) }), want: profile.ErrIssuerMismatch},
	{name: "no issuer", make: without("issuer"), want: profile.ErrIssuerMismatch},
	{name: "the issuer twice", make: text(`"issuer":"https://attacker.example"`), want: profile.ErrServerMetadata},
	{name: "a page at both URLs", make: instead(200, "text/html", "<!DOCTYPE html>"), always: true, want: profile.ErrDiscovery, then: []string{"GET /.well-known/openid-configuration"}},
	{name: "no token endpoint", make: without("token_endpoint"), want: profile.ErrServerMetadata},
	{name: "a token endpoint without TLS", make: with("token_endpoint", "http://127.0.0.1/token"), want: profile.ErrServerMetadata},
	{name: "no endpoint for pushed requests", make: without("pushed_authorization_request_endpoint"), want: profile.ErrServerMetadata},
	{name: "ISS-2.4-4 no iss in authorization responses", make: without("authorization_response_iss_parameter_supported"), want: profile.ErrServerMetadata},
	{name: "no algorithm for proofs that we have", make: with("dpop_signing_alg_values_supported", []string{"ES512"}), want: profile.ErrServerMetadata},
	{name: "authentication by secrets alone", make: with("token_endpoint_auth_methods_supported", []string{"client_secret_basic"}), want: profile.ErrServerMetadata},
	{name: "an alias is missing that the client needs", make: with("mtls_endpoint_aliases", map[string]string{"token_endpoint": "https://127.0.0.1:1/token"}), client: byTLS, want: profile.ErrServerMetadata},
	{name: "no certificate-bound tokens for a client that needs them", make: without("tls_client_certificate_bound_access_tokens"), client: byTLS, want: profile.ErrServerMetadata},
	{name: "a redirect to another origin at both URLs", make: elsewhere, always: true, want: profile.ErrDiscovery, then: []string{"GET /.well-known/openid-configuration"}},
	{name: "an internal error", make: instead(500, "application/json", `{}`), want: profile.ErrDiscovery},
}

var pushFaults = []fault{
	{name: "status 200", make: status(200), want: errSaid},
	{name: "garbage under status 200", make: instead(200, "application/json", "{{{"), want: errSaid},
	{name: "garbage", make: instead(201, "application/json", "{{{"), want: par.ErrResponse},
	{name: "a page", make: instead(201, "text/html", "<!DOCTYPE html>"), want: par.ErrResponse},
	{name: "no request_uri", make: without("request_uri"), want: par.ErrResponse},
	{name: "an empty request_uri", make: with("request_uri", ""), want: par.ErrResponse},
	{name: "a request_uri that is a number", make: with("request_uri", 1), want: par.ErrResponse},
	{name: "two request_uris", make: text(`"request_uri":"urn:other"`), want: par.ErrResponse},
	{name: "no expires_in", make: without("expires_in"), want: par.ErrResponse},
	{name: "expires_in as a string", make: with("expires_in", "60"), want: par.ErrResponse},
	{name: "expires_in 0", make: with("expires_in", 0), want: par.ErrResponse},
	{name: "redirect 303", make: sendTo(303), want: errSaid},
	{name: "redirect 307", make: sendTo(307), want: errSaid},
	{name: "redirect 308", make: sendTo(308), want: errSaid},
	{name: "an error", make: instead(400, "application/json", `{"error":"invalid_request"}`), code: "invalid_request"},
	{name: "another nonce, for ever", make: anotherNonce, always: true, code: "use_dpop_nonce", then: []string{"POST " + pushPath}},
}

var callbackFaults = []fault{
	{name: "ISS-2.4-3 no iss", make: callback(func(q url.Values) { q.Del("iss") }), want: client.ErrAuthorizationResponse},
	{name: "ISS-2.4-2 another iss", make: callback(func(q url.Values) { q.Set("iss", "https://attacker.example") }), want: client.ErrAuthorizationResponse},
	{name: "ISS-2.4-2 the iss with a slash at its end", make: callback(func(q url.Values) { q.Set("iss", q.Get("iss")+"/") }), want: client.ErrAuthorizationResponse},
	{name: "two iss", make: callback(func(q url.Values) { q.Add("iss", "https://attacker.example") }), want: client.ErrAuthorizationResponse},
	{name: "no state", make: callback(func(q url.Values) { q.Del("state") }), want: client.ErrAuthorizationResponse},
	{name: "another state", make: callback(func(q url.Values) { q.Set("state", q.Get("state")+"x") }), want: client.ErrAuthorizationResponse},
	{name: "two states", make: callback(func(q url.Values) { q.Add("state", "x") }), want: client.ErrAuthorizationResponse},
	{name: "code and error", make: callback(func(q url.Values) { q.Set("error", "access_denied") }), want: client.ErrAuthorizationResponse},
	{name: "two codes", make: callback(func(q url.Values) { q.Add("code", "x") }), want: client.ErrAuthorizationResponse},
	{name: "neither code nor error", make: callback(func(q url.Values) { q.Del("code") }), want: client.ErrAuthorizationResponse},
	{name: "an error with another state", make: callback(func(q url.Values) { q.Del("code"); q.Set("error", "access_denied"); q.Set("state", "x") }), want: client.ErrAuthorizationResponse},
	{name: "an error", make: callback(func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }), code: "access_denied"},
	{name: "another code", make: callback(func(q url.Values) { q.Set("code", strings.Repeat("x", 43)) }), code: "invalid_grant", then: []string{"POST " + tokenPath}},
}

// plainly responds as under Baseline, although a signed response was requested.
func plainly(p *proxy, a *answer) error {
	to, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		return err
	}
	j, err := testkit.ParseJWT(to.Query().Get("response"))
	if err != nil {
		return err
	}
	query := url.Values{"iss": {p.url}}
	for _, name := range []string{"code", "state"} {
		query.Set(name, j.Claims[name].(string))
	}
	a.header.Set("Location", redirectURI+"?"+query.Encode())
	return nil
}

// header changes the header and, if key is set, the signing key.
func header(name string, value any, key func(*proxy) crypto.Signer) forgery {
	return func(p *proxy, j *testkit.JWT) crypto.Signer {
		j.Header[name] = value
		if key == nil {
			return nil
		}
		return key(p)
	}
}

// The client's own key, which the authorization server does not have.
func foreign(p *proxy) crypto.Signer { return p.key }
func rsaKey(p *proxy) crypto.Signer  { return p.asRSAKey }

var keysOnly = []string{"GET " + keysPath}

var responseFaults = []fault{
	{name: "MS-5.4.2-1 a plain response", make: plainly, want: jarm.ErrNoResponse},
	{name: "no response", make: callback(func(q url.Values) { q.Del("response") }), want: jarm.ErrNoResponse},
	{name: "two responses", make: callback(func(q url.Values) { q.Add("response", q.Get("response")) }), want: jarm.ErrNoResponse},
	{name: "alg none", make: signedResponse(header("alg", "none", nil)), want: jarm.ErrAlgorithm},
	{name: "alg nOnE with a signature", make: signedResponse(header("alg", "nOnE", nil)), want: jarm.ErrAlgorithm},
	{name: "alg RS256", make: signedResponse(header("alg", "RS256", rsaKey)), want: jarm.ErrAlgorithm},
	{name: "alg HS256 with the public key", make: signedResponse(header("alg", "HS256", nil)), want: jarm.ErrAlgorithm},
	{name: "another key", make: signedResponse(header("kid", "unknown", foreign)), want: jarm.ErrSignature, then: keysOnly},
	{name: "another key under a known kid", make: signedResponse(header("typ", "JWT", foreign)), want: jarm.ErrSignature, then: keysOnly},
	{name: "the typ of an access token", make: signedResponse(header("typ", "at+jwt", nil)), want: jarm.ErrType, then: keysOnly},
	{name: "another iss", make: signedResponse(claimIs("iss", "https://attacker.example")), want: jarm.ErrIssuer, then: keysOnly},
	{name: "no iss", make: signedResponse(claimGone("iss")), want: jarm.ErrClaims, then: keysOnly},
	{name: "another aud", make: signedResponse(claimIs("aud", "other-client")), want: jarm.ErrAudience, then: keysOnly},
	{name: "a second aud", make: signedResponse(claimIs("aud", []string{signing.id(), "other-client"})), want: jarm.ErrAudience, then: keysOnly},
	{name: "no aud", make: signedResponse(claimGone("aud")), want: jarm.ErrClaims, then: keysOnly},
	{name: "expired", make: signedResponse(claim(func(_ *proxy, c map[string]any) { c["exp"] = time.Now().Add(-5 * time.Minute).Unix() })), want: jarm.ErrExpired, then: keysOnly},
	{name: "no exp", make: signedResponse(claimGone("exp")), want: jarm.ErrClaims, then: keysOnly},
	{name: "another state", make: signedResponse(claimIs("state", "x")), want: client.ErrAuthorizationResponse, then: keysOnly},
	{name: "no state", make: signedResponse(claimGone("state")), want: client.ErrAuthorizationResponse, then: keysOnly},
	{name: "code and error", make: signedResponse(claimIs("error", "access_denied")), want: jarm.ErrParameters, then: keysOnly},
	{name: "an error", make: signedResponse(claim(func(_ *proxy, c map[string]any) { delete(c, "code"); c["error"] = "access_denied" })), code: "access_denied", then: keysOnly},
}

var tokenFaults = []fault{
	{name: "DPOP-5-7 token_type Bearer", make: with("token_type", "Bearer"), want: client.ErrTokenResponse},
	{name: "no token_type", make: without("token_type"), want: client.ErrTokenResponse},
	{name: "no access_token", make: without("access_token"), want: client.ErrTokenResponse},
	{name: "an access_token that is no string", make: with("access_token", 1), want: client.ErrTokenResponse},
	{name: "an access_token that breaks the header", make: with("access_token", "a\r\nX: y"), want: client.ErrTokenResponse},
	{name: "two access_tokens", make: text(`"access_token":"x"`), want: client.ErrTokenResponse},
	{name: "two access_tokens that differ in case", make: text(`"Access_Token":"x"`), want: client.ErrTokenResponse},
	{name: "garbage", make: instead(200, "application/json", "{{{"), want: client.ErrTokenResponse},
	{name: "a page", make: instead(200, "text/html", "<!DOCTYPE html>"), want: client.ErrTokenResponse},
	{name: "an error under status 200", make: instead(200, "application/json", `{"error":"invalid_grant"}`), code: "invalid_grant"},
	{name: "status 201", make: status(201), want: errSaid},
	{name: "redirect 303", make: sendTo(303), want: errSaid},
	{name: "redirect 307", make: sendTo(307), want: errSaid},
	{name: "another nonce, for ever", make: anotherNonce, always: true, code: "use_dpop_nonce", then: []string{"POST " + tokenPath}},
	{name: "no id_token", make: without("id_token"), want: client.ErrTokenResponse, then: discarded},
	{name: "an id_token that is no string", make: with("id_token", map[string]any{}), want: client.ErrTokenResponse, then: discarded},
}

var idTokenFaults = []fault{
	{name: "another nonce", make: idToken(claimIs("nonce", "x")), want: idtoken.ErrNonce, then: keysOnly},
	{name: "no nonce", make: idToken(claimGone("nonce")), want: idtoken.ErrNonce, then: keysOnly},
	{name: "another aud", make: idToken(claimIs("aud", "other-client")), want: idtoken.ErrAudience, then: keysOnly},
	{name: "a second aud that nobody trusts", make: idToken(claimIs("aud", []string{combination{auth: privateKey}.id(), "other-client"})), want: idtoken.ErrAudience, then: keysOnly},
	{name: "another azp", make: idToken(claimIs("azp", "other-client")), want: idtoken.ErrAuthorizedParty, then: keysOnly},
	{name: "another iss", make: idToken(claimIs("iss", "https://attacker.example")), want: idtoken.ErrIssuer, then: keysOnly},
	{name: "the iss with a slash at its end", make: idToken(claim(func(p *proxy, c map[string]any) { c["iss"] = p.url + "/" })), want: idtoken.ErrIssuer, then: keysOnly},
	{name: "expired", make: idToken(claim(func(_ *proxy, c map[string]any) { c["exp"] = time.Now().Add(-10 * time.Minute).Unix() })), want: idtoken.ErrExpired, then: keysOnly},
	{name: "no exp", make: idToken(claimGone("exp")), want: idtoken.ErrClaims, then: keysOnly},
	{name: "no sub", make: idToken(claimGone("sub")), want: idtoken.ErrClaims, then: keysOnly},
	{name: "from the future", make: idToken(claim(func(_ *proxy, c map[string]any) { c["iat"] = time.Now().Add(10 * time.Minute).Unix() })), want: idtoken.ErrIssuedAt, then: keysOnly},
	{name: "another at_hash", make: idToken(claimIs("at_hash", "AAAAAAAAAAAAAAAAAAAAAA")), want: idtoken.ErrAccessToken, then: keysOnly},
	{name: "alg none", make: idToken(header("alg", "none", nil)), want: idtoken.ErrAlgorithm},
	{name: "alg nOnE with a signature", make: idToken(header("alg", "nOnE", nil)), want: idtoken.ErrAlgorithm},
	{name: "alg RS256", make: idToken(header("alg", "RS256", rsaKey)), want: idtoken.ErrAlgorithm},
	{name: "alg HS256 with the public key", make: idToken(header("alg", "HS256", nil)), want: idtoken.ErrAlgorithm},
	{name: "another key", make: idToken(func(p *proxy, j *testkit.JWT) crypto.Signer {
		j.Header["alg"], j.Header["kid"] = "ES256", "unknown"
		return p.key
	}), want: idtoken.ErrSignature, then: keysOnly},
	{name: "another key under a known kid", make: idToken(func(p *proxy, j *testkit.JWT) crypto.Signer {
		j.Header["alg"], j.Header["kid"] = "ES256", asKeyID
		return p.key
	}), want: idtoken.ErrSignature, then: keysOnly},
	{name: "a good key under a decoy's kid", make: idToken(func(p *proxy, j *testkit.JWT) crypto.Signer { j.Header["alg"] = "ES256"; return p.asKey }), want: idtoken.ErrSignature, then: keysOnly},
	{name: "an access token in its place", make: members(func(m map[string]any) { m["id_token"] = m["access_token"] }), want: idtoken.ErrType, then: keysOnly},
}

// private publishes every key with its private part. Such a key verifies
// nothing, because others can sign with it.
var private = members(func(m map[string]any) {
	for _, key := range m["keys"].([]any) {
		key.(map[string]any)["d"] = "AQAB"
	}
})

var keysFaults = []fault{
	{name: "a private key, which costs itself", make: members(func(m map[string]any) {
		m["keys"].([]any)[0].(map[string]any)["d"] = "AQAB"
	}), want: idtoken.ErrSignature},
	{name: "private keys alone", make: private, want: idtoken.ErrUnavailable},
	{name: "a symmetric key", make: with("keys", []any{map[string]string{"kty": "oct", "k": "AQAB"}}), want: idtoken.ErrUnavailable},
	{name: "no keys", make: with("keys", []any{}), want: idtoken.ErrSignature},
	{name: "garbage", make: instead(200, "application/json", "{{{"), want: idtoken.ErrUnavailable},
	{name: "gone", make: instead(404, "text/plain", ""), want: idtoken.ErrUnavailable},
}

var responseKeysFaults = []fault{
	{name: "private keys alone", make: private, want: jarm.ErrUnavailable},
	{name: "no keys", make: with("keys", []any{}), want: jarm.ErrSignature},
	{name: "garbage", make: instead(200, "application/json", "{{{"), want: jarm.ErrUnavailable},
}

// errSaid stands for a *oauth2.RetrieveError without a code: the response is
// not an OAuth error.
var errSaid = errors.New("an answer without a code")

// discarded is what a client sends that rejects a login after the exchange: it
// revokes the tokens.
var discarded = []string{"POST /token/revocation"}

// Each response is that of oidc-provider with one change. The client must
// reject it at once.
func TestClientRefusesFaultyAnswers(t *testing.T) {
	t.Parallel()
	p := startFaulty(t)
	for _, at := range []struct {
		name, path, stage string
		client            combination
		also              error // what the error is besides, if it is no answer of the server
		faults            []fault
		then              []string // requests that may follow
	}{
		{"metadata", metadataPath, "discovery", combination{}, nil, metadataFaults, nil},
		{"pushed request", pushPath, "push", combination{}, nil, pushFaults, nil},
		{"callback", authorizePath + "/*", "callback", combination{}, client.ErrAuthorizationResponse, callbackFaults, nil},
		{"signed callback", authorizePath + "/*", "callback", signing, client.ErrAuthorizationResponse, responseFaults, nil},
		{"keys of a signed callback", keysPath, "callback", signing, client.ErrAuthorizationResponse, responseKeysFaults, nil},
		{"token", tokenPath, "callback", combination{}, client.ErrTokenResponse, tokenFaults, nil},
		{"ID token", tokenPath, "callback", combination{}, client.ErrTokenResponse, idTokenFaults, discarded},
		{"keys", keysPath, "callback", combination{}, client.ErrTokenResponse, keysFaults, discarded},
	} {
		for _, f := range at.faults {
			t.Run(at.name+" "+f.name, func(t *testing.T) {
				if f.client == (combination{}) {
					f.client = at.client
				}
				p.arm(at.path, f.always, f.make)
				stage, err := p.run(t, f.client)
				after, struck := p.since(t)
				require.True(t, struck, "the answer did not come: %v", after)
				require.Equal(t, at.stage, stage, "%v", err)
				requireRefusal(t, f, at.also, err)
				for _, request := range append(f.then, at.then...) {
					if i := slices.Index(after, request); i >= 0 {
						after = slices.Delete(after, i, i+1)
					}
				}
				require.Empty(t, after, "requests after the answer")
			})
		}
	}
}

func requireRefusal(t *testing.T, f fault, also, err error) {
	t.Helper()
	if f.code == "" && !errors.Is(f.want, errSaid) {
		require.ErrorIs(t, err, f.want)
		if also != nil {
			require.ErrorIs(t, err, also)
		}
		return
	}
	var said *oauth2.RetrieveError
	require.ErrorAs(t, err, &said)
	require.Equal(t, f.code, said.ErrorCode)
}

// The client must accept unusual responses that are valid.
func TestClientBearsOddAnswers(t *testing.T) {
	t.Parallel()
	p := startFaulty(t)
	decoy := testkit.PublicJWK(t, testkit.NewKey(t), "decoy", "ES256")
	twin := testkit.PublicJWK(t, testkit.NewKey(t), asRSAKeyID, "ES256") // another key's kid
	for _, odd := range []struct {
		name, path string
		make       change
	}{
		{"nothing", "/nowhere", nil},
		{"CASES B10: metadata a page at the first URL", metadataPath, instead(200, "text/html", "<!DOCTYPE html>")},
		{"CASES B10: metadata a redirect to another origin at the first URL", metadataPath, elsewhere},
		{"CASES B11: metadata a member of another type", metadataPath, with("revocation_endpoint_auth_methods_supported", "private_key_jwt")},
		{"CASES B1: a refresh token that is null", tokenPath, with("refresh_token", nil)},
		{"CASES C1: ID token with nulls", tokenPath, idToken(claim(func(_ *proxy, c map[string]any) { c["acr"], c["azp"], c["amr"] = nil, nil, "pwd" }))},
		{"metadata unknown members", metadataPath, with("x_unknown", map[string]any{"a": 1})},
		{"metadata an alias for browsers", metadataPath, members(func(m map[string]any) {
			m["mtls_endpoint_aliases"].(map[string]any)["authorization_endpoint"] = "https://127.0.0.1:1/auth"
		})},
		{"pushed request unknown members", pushPath, with("x_unknown", true)},
		{"callback unknown parameters", authorizePath + "/*", callback(func(q url.Values) { q["session_state"] = []string{"x", "y"} })},
		{"CS-19 token_type in lower case", tokenPath, with("token_type", "dpop")},
		{"CS-19 no expires_in", tokenPath, without("expires_in")},
		{"expires_in as a string", tokenPath, with("expires_in", "300")},
		{"a huge expires_in", tokenPath, members(func(m map[string]any) { m["expires_in"] = 1e300 })},
		{"unknown members of a token response", tokenPath, members(func(m map[string]any) { m["refresh_expires_in"], m["grant_id"] = 0, "x" })},
		{"ID token with aud as an array of one", tokenPath, idToken(claim(func(_ *proxy, c map[string]any) { c["aud"] = []any{c["aud"]} }))},
		{"CASES C6: keys with a private one, a symmetric one and null", keysPath, members(func(m map[string]any) {
			private := testkit.PublicJWK(t, testkit.NewKey(t), "private", "ES256")
			private["d"] = "AQAB"
			m["keys"] = append([]any{private, map[string]string{"kty": "oct", "k": "AQAB"}, nil}, m["keys"].([]any)...)
		})},
		{"keys with decoys", keysPath, members(func(m map[string]any) {
			m["keys"] = append([]any{decoy, twin, map[string]string{"kty": "OKP", "crv": "Ed448", "x": "AA"}}, m["keys"].([]any)...)
		})},
	} {
		t.Run(odd.name, func(t *testing.T) {
			p.arm(odd.path, false, odd.make)
			stage, err := p.run(t, combination{})
			_, struck := p.since(t)
			require.Equal(t, odd.make != nil, struck)
			require.NoError(t, err)
			require.Equal(t, "token", stage)
		})
	}
}

// startFaulty starts oidc-provider behind a proxy, which is its issuer.
func startFaulty(t *testing.T) *proxy {
	t.Helper()
	w := newWorld(t)
	p, stand := newProxy(t, w)
	stand(w.startProvider(t, map[string]any{"issuer": p.url}).URL)
	return p
}

// run runs a client as far as possible, and returns where it has stopped: discovery, push, callback; or token.
func (p *proxy) run(t *testing.T, c combination) (stage string, err error) {
	t.Helper()
	if c == (combination{}) {
		c.auth = privateKey
	}
	app, err := client.New(t.Context(), p.clientConfig(t, p.url, c))
	if err != nil {
		return "discovery", err
	}
	session, err := app.Begin(t.Context(), client.Request{Scopes: []string{"openid", "accounts"}, Resources: []string{p.api.url}})
	if err != nil {
		return "push", err
	}
	token, err := app.Finish(t.Context(), session, p.authority.Browse(t, session.URL, redirectURI))
	if err != nil {
		require.Nil(t, token)
		return "callback", err
	}
	return "token", nil
}
