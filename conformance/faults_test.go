package conformance_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/conformance"
)

type object = map[string]any

// An exchange is a request to our server and its response, which a fault
// changes.
type exchange struct {
	r                *http.Request
	form             url.Values
	assertion, proof parsed
	status           int
	header           http.Header
	body             []byte
	key              *ecdsa.PublicKey // of the client
	seen             *sync.Map        // jti values and codes of earlier requests
}

// A parsed is a JWT that is not verified.
type parsed struct {
	header, claims    object
	signed, signature string
}

func parse(token string) (p parsed) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return parsed{}
	}
	for i, o := range []*object{&p.header, &p.claims} {
		raw, _ := base64.RawURLEncoding.DecodeString(parts[i])
		_ = json.Unmarshal(raw, o)
	}
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	p.signed, p.signature = parts[0]+"."+parts[1], string(signature)
	return p
}

// damaged reports whether the signature is that of another key or content.
func (p parsed) damaged(key *ecdsa.PublicKey) bool {
	if p.header["alg"] != "ES256" || len(p.signature) != 64 {
		return false
	}
	digest, s := sha256.Sum256([]byte(p.signed)), []byte(p.signature)
	return !ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(s[:32]), new(big.Int).SetBytes(s[32:]))
}

// lacks reports whether a JWT has no claim of a name.
func (p parsed) lacks(claim string) bool {
	_, ok := p.claims[claim]
	return p.claims != nil && !ok
}

// in returns how far a time is in the future.
func (p parsed) in(claim string) time.Duration {
	seconds, ok := p.claims[claim].(float64)
	if !ok {
		return 0
	}
	return time.Until(time.Unix(int64(seconds), 0))
}

// A fault is a planted fault and the cases that must find it.
type fault struct {
	name  string
	finds []string
	plant func(x *exchange)
}

// faulty is a server with a fault.
func faulty(good http.Handler, key *ecdsa.PublicKey, plant func(x *exchange)) http.Handler {
	seen := &sync.Map{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		form, _ := url.ParseQuery(string(body))
		recorded := httptest.NewRecorder()
		good.ServeHTTP(recorded, r)
		x := &exchange{r: r, form: form, assertion: parse(form.Get("client_assertion")), proof: parse(r.Header.Get("DPoP")),
			status: recorded.Code, header: recorded.Header(), body: recorded.Body.Bytes(), key: key, seen: seen}
		plant(x)
		x.header.Del("Content-Length")
		maps.Copy(w.Header(), x.header)
		w.WriteHeader(x.status)
		_, _ = w.Write(x.body)
	})
}

// edit changes a JSON object in the response.
func (x *exchange) edit(change func(o object)) {
	var o object
	if json.Unmarshal(x.body, &o) == nil {
		change(o)
		x.body, _ = json.Marshal(o)
	}
}

func (x *exchange) at(path string) bool { return strings.HasSuffix(x.r.URL.Path, path) }

func (x *exchange) write(status int, body string) {
	x.status, x.body, x.header = status, []byte(body), http.Header{"Content-Type": {"application/json"}}
}

// document changes a member of both metadata documents. If value is nil, the
// member is removed.
func document(name string, value any) func(*exchange) {
	return func(x *exchange) {
		if strings.Contains(x.r.URL.Path, "/.well-known/") {
			x.edit(func(o object) {
				if o[name] = value; value == nil {
					delete(o, name)
				}
			})
		}
	}
}

// key changes the first key of the JWK Set.
func key(change func(o object)) func(*exchange) {
	return func(x *exchange) {
		if x.at("/jwks") {
			x.edit(func(o object) { change(o["keys"].([]any)[0].(object)) })
		}
	}
}

// pushes makes the server accept pushed requests that it must reject.
func pushes(when func(x *exchange) bool) func(*exchange) {
	return func(x *exchange) {
		if x.at("/par") && x.status >= 400 && when(x) {
			x.write(201, `{"request_uri":"urn:ietf:params:oauth:request_uri:`+rand.Text()+`","expires_in":60}`)
		}
	}
}

// redeems makes the server accept token requests that it must reject.
func redeems(when func(x *exchange) bool) func(*exchange) {
	return func(x *exchange) {
		if x.at("/token") && x.status >= 400 && when(x) {
			x.write(200, `{"access_token":"x","token_type":"DPoP","expires_in":60}`)
			x.header.Set("Cache-Control", "no-store")
		}
	}
}

// pushed changes the response to good pushed requests.
func pushed(change func(o object)) func(*exchange) {
	return func(x *exchange) {
		if x.at("/par") && x.status == 201 {
			x.edit(change)
		}
	}
}

// refuses makes the server reject requests that it must accept.
func refuses(path, code string, when func(x *exchange) bool) func(*exchange) {
	return func(x *exchange) {
		if x.at(path) && x.status < 300 && when(x) {
			x.write(400, `{"error":"`+code+`"}`)
		}
	}
}

func parameter(name, value string) func(*exchange) bool {
	return func(x *exchange) bool { return x.form.Get(name) == value }
}

func absent(name string) func(*exchange) bool {
	return func(x *exchange) bool { return !x.form.Has(name) }
}

func metadataFaults() []fault {
	return []fault{
		{"the OpenID document is absent", []string{"metadata/openid"}, func(x *exchange) {
			if x.at("/openid-configuration") {
				x.write(404, "{}")
			}
		}},
		{"the OpenID document is of another issuer", []string{"metadata/openid"}, func(x *exchange) {
			if x.at("/openid-configuration") {
				x.edit(func(o object) { o["issuer"] = "https://other.example" })
			}
		}},
		{"the implicit flow is announced", []string{"metadata/response-types"},
			document("response_types_supported", []string{"code", "token"})},
		{"the password grant is announced", []string{"metadata/grant-types"},
			document("grant_types_supported", []string{"authorization_code", "password"})},
		{"iss is not announced", []string{"metadata/iss"}, document("authorization_response_iss_parameter_supported", false)},
		{"PKCE is not announced", []string{"metadata/pkce"}, document("code_challenge_methods_supported", nil)},
		{"plain is announced", []string{"metadata/pkce"}, document("code_challenge_methods_supported", []string{"plain"})},
		{"client secrets are announced", []string{"metadata/client-authentication"},
			document("token_endpoint_auth_methods_supported", []string{"client_secret_basic"})},
		{"RS256 is announced for assertions", []string{"metadata/client-authentication"},
			document("token_endpoint_auth_signing_alg_values_supported", []string{"RS256"})},
		{"RS256 is announced for proofs", []string{"metadata/binding"},
			document("dpop_signing_alg_values_supported", []string{"RS256"})},
		{"RS256 is announced for ID tokens", []string{"metadata/id-token"},
			document("id_token_signing_alg_values_supported", []string{"RS256"})},
		{"an alias has no TLS", []string{"metadata/aliases"},
			document("mtls_endpoint_aliases", object{"token_endpoint": "http://as.example/token"})},
		{"RS256 is announced for request objects", []string{"metadata/others"},
			document("request_object_signing_alg_values_supported", []string{"RS256"})},
		{"a key is private", []string{"keys/public"}, key(func(o object) { o["d"] = "AA" })},
		{"a key has no kid", []string{"keys/kid"}, key(func(o object) { delete(o, "kid") })},
		{"an RSA key is short", []string{"keys/rsa"}, func(x *exchange) {
			if x.at("/jwks") {
				x.edit(func(o object) {
					o["keys"] = append(o["keys"].([]any), object{"kty": "RSA", "kid": "r", "e": "AQAB", "n": strings.Repeat("q", 171)})
				})
			}
		}},
	}
}

func pushFaults() []fault {
	constant := "urn:ietf:params:oauth:request_uri:" + rand.Text()
	return []fault{
		{"request_uri lives for too long", []string{"push/accepted"}, pushed(func(o object) { o["expires_in"] = 600 })},
		{"state is limited", []string{"push/long-state"}, refuses("/par", "invalid_request", func(x *exchange) bool {
			return len(x.form.Get("state")) > 100
		})},
		{"unknown parameters are rejected", []string{"push/unknown-parameter"}, refuses("/par", "invalid_request",
			func(x *exchange) bool {
				return strings.Contains(strings.Join(slices.Collect(maps.Keys(x.form)), " "), "unknown_")
			})},
		{"request_uri is constant", []string{"push/unique"}, func(x *exchange) {
			if x.form.Get("state") == "constant" {
				pushed(func(o object) { o["request_uri"] = constant })(x)
			}
		}},
		{"request_uri is short", []string{"push/unique"}, func(x *exchange) {
			if x.form.Get("state") == "constant" {
				pushed(func(o object) { o["request_uri"] = "urn:x:" + rand.Text()[:8] })(x)
			}
		}},
		{"GET is accepted", []string{"push/get"}, pushes(func(x *exchange) bool { return x.r.Method == http.MethodGet })},
		{"PUT is accepted", []string{"push/put"}, pushes(func(x *exchange) bool { return x.r.Method == http.MethodPut })},
		{"PKCE is optional", []string{"push/no-challenge"}, pushes(absent("code_challenge"))},
		{"S256 is assumed", []string{"push/no-challenge-method"}, pushes(func(x *exchange) bool {
			return x.form.Has("code_challenge") && !x.form.Has("code_challenge_method")
		})},
		{"plain is accepted", []string{"push/plain-challenge"}, pushes(parameter("code_challenge_method", "plain"))},
		{"short challenges are accepted", []string{"push/short-challenge"}, pushes(func(x *exchange) bool {
			return len(x.form.Get("code_challenge")) == 42
		})},
		{"the implicit flow is accepted", []string{"push/response-type-token"}, pushes(parameter("response_type", "token"))},
		{"the hybrid flow is accepted", []string{"push/response-type-hybrid"},
			pushes(parameter("response_type", "code id_token"))},
		{"response_type is optional", []string{"push/no-response-type"}, pushes(func(x *exchange) bool {
			return x.r.Method == http.MethodPost && !x.form.Has("response_type")
		})},
		{"redirect_uri is optional", []string{"push/no-redirect-uri"}, pushes(absent("redirect_uri"))},
		{"request_uri is accepted", []string{"push/request-uri"}, pushes(func(x *exchange) bool {
			return x.form.Has("request_uri")
		})},
		{"duplicates are accepted", []string{"push/duplicate-parameter"},
			pushes(func(x *exchange) bool { return len(x.form["state"]) > 1 })},
		{"dpop_jkt is not checked", []string{"push/malformed-jkt"}, pushes(parameter("dpop_jkt", "x"))},
		{"an error is a page", []string{"push/malformed-jkt"}, func(x *exchange) {
			if x.form.Get("dpop_jkt") == "x" {
				x.header.Set("Content-Type", "text/html")
			}
		}},
		{"the server fails", []string{"push/malformed-jkt"}, func(x *exchange) {
			if x.form.Get("dpop_jkt") == "x" {
				x.status = 500
			}
		}},
		{"the error is another", []string{"push/plain-challenge"}, func(x *exchange) {
			if x.form.Get("code_challenge_method") == "plain" {
				x.write(400, `{"error":"access_denied"}`)
			}
		}},
	}
}

func assertionFaults() []fault {
	accepted := func(name, finds string, when func(x *exchange, a parsed) bool) fault {
		return fault{name, []string{"client/" + finds}, pushes(func(x *exchange) bool { return when(x, x.assertion) })}
	}
	return []fault{
		accepted("anonymous clients are accepted", "none", func(x *exchange, a parsed) bool {
			return x.r.Method == http.MethodPost && a.claims == nil && !x.form.Has("client_id")
		}),
		accepted("public clients are accepted", "only-id", func(x *exchange, a parsed) bool {
			return a.claims == nil && x.form.Has("client_id")
		}),
		accepted("aud is optional", "no-audience", func(_ *exchange, a parsed) bool { return a.lacks("aud") }),
		accepted("aud is not checked", "other-audience", func(_ *exchange, a parsed) bool {
			return a.claims["aud"] == "https://other.example"
		}),
		accepted("aud may be an endpoint", "endpoint-audience", func(_ *exchange, a parsed) bool {
			aud, _ := a.claims["aud"].(string)
			return strings.HasSuffix(aud, "/par")
		}),
		accepted("aud may be an array", "audience-array", func(_ *exchange, a parsed) bool {
			_, ok := a.claims["aud"].([]any)
			return ok
		}),
		accepted("sub is optional", "no-subject", func(_ *exchange, a parsed) bool { return a.lacks("sub") }),
		accepted("sub is not checked", "other-subject", func(_ *exchange, a parsed) bool {
			sub, _ := a.claims["sub"].(string)
			return strings.HasPrefix(sub, "other-")
		}),
		accepted("iss is optional", "no-issuer", func(_ *exchange, a parsed) bool { return a.lacks("iss") }),
		accepted("exp is optional", "no-expiry", func(_ *exchange, a parsed) bool { return a.lacks("exp") }),
		accepted("exp is not checked", "expired", func(_ *exchange, a parsed) bool { return a.in("exp") < 0 }),
		accepted("iat is not checked", "far-issue", func(_ *exchange, a parsed) bool { return a.in("iat") > time.Minute }),
		accepted("nbf is not checked", "far-start", func(_ *exchange, a parsed) bool { return a.in("nbf") > time.Minute }),
		{"signatures are not checked", []string{"client/foreign-key", "client/damaged"},
			pushes(func(x *exchange) bool { return x.assertion.damaged(x.key) })},
		accepted("none is accepted", "unsigned", func(_ *exchange, a parsed) bool { return a.header["alg"] == "none" }),
		accepted("jti is optional", "no-jti", func(_ *exchange, a parsed) bool { return a.lacks("jti") }),
		{"assertions can be replayed", []string{"client/replay"}, func(x *exchange) {
			jti, _ := x.assertion.claims["jti"].(string)
			if _, again := x.seen.LoadOrStore(jti, true); again && jti != "" {
				pushes(func(*exchange) bool { return true })(x)
			}
		}},
		{"clocks must be exact", []string{"client/early"}, refuses("/par", "invalid_client",
			func(x *exchange) bool { return x.assertion.in("iat") > 3*time.Second })},
	}
}

func tokenFaults() []fault {
	const redirectURI = "https://other.example/callback"
	return []fault{
		{"the response has no iss", []string{"response/iss"}, location(func(q url.Values) { q.Del("iss") })},
		{"the response has another iss", []string{"response/iss"},
			location(func(q url.Values) { q.Set("iss", "https://other.example") })},
		{"token responses can be stored", []string{"token/cache"}, func(x *exchange) {
			if x.at("/token") {
				x.header.Del("Cache-Control")
			}
		}},
		{"ID tokens are always issued", []string{"token/id-token"}, func(x *exchange) {
			if x.at("/token") && x.status == 200 {
				x.edit(func(o object) { o["id_token"] = "x" })
			}
		}},
		{"codes can be used twice", []string{"token/code-twice"}, func(x *exchange) {
			if !x.at("/token") || x.form.Get("code") == "" {
				return
			}
			if _, again := x.seen.Load(x.form.Get("code")); again {
				redeems(func(*exchange) bool { return true })(x)
			} else if x.status == 200 {
				x.seen.Store(x.form.Get("code"), true)
			}
		}},
		{"the password grant is supported", []string{"token/password"}, redeems(parameter("grant_type", "password"))},
		{"the verifier is optional", []string{"token/no-verifier"}, redeems(func(x *exchange) bool {
			return x.form.Has("code") && !x.form.Has("code_verifier")
		})},
		{"verifiers are not compared", []string{"token/wrong-verifier"}, func(x *exchange) {
			redeems(func(x *exchange) bool {
				return x.form.Has("code_verifier") && strings.Contains(string(x.body), "verifier")
			})(x)
		}},
		{"unknown codes are accepted", []string{"token/wrong-code"}, redeems(parameter("code", "unknown"))},
		{"the code is optional", []string{"token/no-code"}, redeems(func(x *exchange) bool {
			return x.form.Get("grant_type") == "authorization_code" && !x.form.Has("code")
		})},
		{"redirect_uri is not compared", []string{"token/wrong-redirect-uri"},
			redeems(parameter("redirect_uri", redirectURI))},
		{"clients are not authenticated", []string{"token/no-client"}, redeems(absent("client_assertion"))},
		{"none is accepted", []string{"token/unsigned-client"}, redeems(func(x *exchange) bool {
			return x.assertion.header["alg"] == "none"
		})},
	}
}

// location changes the redirect to the client.
func location(change func(q url.Values)) func(*exchange) {
	return func(x *exchange) {
		if u, err := url.Parse(x.header.Get("Location")); err == nil && u.Query().Has("code") {
			q := u.Query()
			change(q)
			u.RawQuery = q.Encode()
			x.header.Set("Location", u.String())
		}
	}
}

func proofFaults() []fault {
	accepted := func(name, finds string, when func(x *exchange, p parsed) bool) fault {
		return fault{name, []string{"proof/" + finds}, redeems(func(x *exchange) bool { return when(x, x.proof) })}
	}
	return []fault{
		accepted("proofs are optional", "none", func(x *exchange, _ parsed) bool { return x.r.Header.Get("DPoP") == "" }),
		accepted("htm is not checked", "method", func(_ *exchange, p parsed) bool { return p.claims["htm"] == "GET" }),
		accepted("htu is not checked", "url", func(_ *exchange, p parsed) bool {
			return p.claims["htu"] == "https://other.example/token"
		}),
		accepted("htm is optional", "no-method", func(_ *exchange, p parsed) bool { return p.lacks("htm") }),
		accepted("htu is optional", "no-url", func(_ *exchange, p parsed) bool { return p.lacks("htu") }),
		accepted("jti is optional", "no-jti", func(_ *exchange, p parsed) bool { return p.lacks("jti") }),
		accepted("iat is optional", "no-iat", func(_ *exchange, p parsed) bool { return p.lacks("iat") }),
		accepted("typ is not checked", "type", func(_ *exchange, p parsed) bool { return p.header["typ"] == "JWT" }),
		accepted("none is accepted", "unsigned", func(_ *exchange, p parsed) bool { return p.header["alg"] == "none" }),
		accepted("jwk is optional", "no-key", func(_ *exchange, p parsed) bool {
			return p.header != nil && p.header["jwk"] == nil
		}),
		accepted("private keys are accepted", "private-key", func(_ *exchange, p parsed) bool {
			jwk, _ := p.header["jwk"].(object)
			return jwk["d"] != nil
		}),
		accepted("signatures are not checked", "damaged", func(_ *exchange, p parsed) bool {
			jwk, _ := p.header["jwk"].(object)
			key := publicKey(jwk)
			return key != nil && p.damaged(key)
		}),
		accepted("old proofs are accepted", "old", func(_ *exchange, p parsed) bool { return p.in("iat") < -time.Minute }),
		accepted("future proofs are accepted", "future", func(_ *exchange, p parsed) bool {
			return p.in("iat") > time.Minute
		}),
		accepted("two proofs are accepted", "two", func(x *exchange, _ parsed) bool {
			return len(x.r.Header["Dpop"]) == 2
		}),
		{"dpop_jkt is rejected", []string{"proof/bound-code"}, refuses("/par", "invalid_request", isBound)},
		{"codes are not bound", []string{"proof/other-key"}, func(x *exchange) {
			if x.at("/par") {
				x.seen.Store("bound", isBound(x))
			}
			if bound, _ := x.seen.Load("bound"); bound == true {
				redeems(func(x *exchange) bool { return x.form.Has("code") })(x)
			}
		}},
		{"clocks must not be late", []string{"proof/early"}, refuses("/token", "invalid_dpop_proof",
			func(x *exchange) bool { return x.proof.in("iat") > 3*time.Second })},
		{"clocks must not be early", []string{"proof/late"}, refuses("/token", "invalid_dpop_proof",
			func(x *exchange) bool { return x.proof.in("iat") < -5*time.Second })},
		{"a missing proof is answered by a request for a nonce", []string{"proof/none"}, func(x *exchange) {
			if x.at("/token") && x.r.Header.Get("DPoP") == "" && x.status >= 400 {
				x.write(400, `{"error":"use_dpop_nonce"}`)
			}
		}},
	}
}

// isBound reports whether a pushed request has a well-formed dpop_jkt.
func isBound(x *exchange) bool { return len(x.form.Get("dpop_jkt")) == 43 }

func publicKey(jwk object) *ecdsa.PublicKey {
	x, _ := jwk["x"].(string)
	y, _ := jwk["y"].(string)
	point, err := base64.RawURLEncoding.DecodeString(x)
	rest, err2 := base64.RawURLEncoding.DecodeString(y)
	if err != nil || err2 != nil {
		return nil
	}
	key, _ := ecdsa.ParseUncompressedPublicKey(p256, slices.Concat([]byte{4}, point, rest))
	return key
}

// baseFaults are in requests on which other cases depend. Those are skipped.
func baseFaults() []fault {
	return []fault{
		{"the document is of another issuer", []string{"metadata/oauth"}, func(x *exchange) {
			if x.at("/oauth-authorization-server") {
				document("issuer", "https://other.example")(x)
			}
		}},
		{"the token endpoint has no TLS", []string{"metadata/endpoints"},
			document("token_endpoint", "http://as.example/token")},
		{"the JWK Set is empty", []string{"keys/served"}, func(x *exchange) {
			if x.at("/jwks") {
				x.write(200, `{"keys":[]}`)
			}
		}},
		{"pushed requests are rejected", []string{"push/accepted"},
			refuses("/par", "invalid_request", func(*exchange) bool { return true })},
		{"the response has no code", []string{"response/code"}, location(func(q url.Values) { q.Del("code") })},
		{"the state is another", []string{"response/code"}, location(func(q url.Values) { q.Set("state", "x") })},
		{"tokens are not bound", []string{"token/accepted"}, func(x *exchange) {
			if x.at("/token") && x.status == 200 {
				x.edit(func(o object) { o["token_type"] = "Bearer" })
			}
		}},
	}
}

// Each planted fault is found by its case, and by no other case. Each case
// finds a fault.
func TestFaultsAreFound(t *testing.T) {
	base := baseFaults()
	covered := map[string]bool{}
	faults := slices.Concat(base, metadataFaults(), pushFaults(), assertionFaults(), tokenFaults(), proofFaults())
	for i, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			report, err := conformance.CheckServer(t.Context(), newServer(t, f.plant))
			require.NoError(t, err)
			var found []string
			for _, r := range report.Results {
				switch r.Outcome {
				case conformance.Fail, conformance.Warn:
					found = append(found, r.ID)
					require.NotEmpty(t, r.Reason)
					require.NotEmpty(t, r.Sent)
					require.NotEmpty(t, r.Expected)
				case conformance.Skip:
					require.True(t, i < len(base) || strings.HasPrefix(r.Reason, f.finds[0]), r)
				}
			}
			require.Equal(t, f.finds, found)
		})
		for _, id := range f.finds {
			covered[id] = true
		}
	}
	for _, c := range conformance.ServerCases() {
		require.True(t, covered[c.ID], c.ID)
	}
}
