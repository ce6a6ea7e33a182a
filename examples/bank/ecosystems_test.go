package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/gofapi/fapi2/idtoken"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/message"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/gofapi/fapi2/profile/ecosystems"
	"github.com/gofapi/fapi2/profile/rules"
)

// An ecosystem is a bank with the configuration of an ecosystem, and two
// clients with private_key_jwt, PS256 and certificate-bound tokens.
type ecosystem struct {
	*world
	name     string
	one, two *party
	manner   manner
}

// A manner is how a client of an ecosystem asks.
type manner struct {
	scope string
	own   string // the scope of the client's own token
	// ask returns what a request has beyond the common parameters. consent
	// creates a consent.
	ask func(e *ecosystem, consent func() string) []change
	// resource is the API that the ecosystem tries.
	resource string
}

const (
	interactionID  = "1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b"
	secondRedirect = "https://other.example/callback"
)

var rsaKeys = sync.OnceValues(func() (all [2]*rsa.PrivateKey, err error) {
	for i := range all {
		if all[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return all, err
		}
	}
	return all, nil
})

// newEcosystem starts a bank with the configuration of an ecosystem in the
// directory ecosystems, and further changes.
func newEcosystem(t testing.TB, name string, changes ...func(cfg object)) *ecosystem {
	t.Helper()
	keys, err := rsaKeys()
	require.NoError(t, err)
	m := manners[name]
	all := []func(cfg object){func(cfg object) {
		raw, err := os.ReadFile("ecosystems/" + name + ".json")
		require.NoError(t, err)
		var document object
		require.NoError(t, json.Unmarshal(raw, &document))
		maps.Copy(cfg, document)
		cfg["auto_approve"], cfg["resource_servers"] = "alice", object{}
		var clients []object
		for i, id := range []string{"mixed", "mixed-two"} {
			at := slices.IndexFunc(cfg["clients"].([]object), func(c object) bool { return c["client_id"] == id })
			client := cfg["clients"].([]object)[at]
			public := publicJWK(t, keys[i].Public())
			public["kid"], public["use"] = "key-of-"+id, "sig"
			if id == "mixed-two" { // another sector
				client["redirect_uris"] = []string{secondRedirect}
			}
			client["scope"], client["authorization_details_types"] = m.scope+" "+m.own, detailTypes(t, cfg)
			client["jwks"] = object{"keys": []object{public}}
			if name == "au-cdr" { // whose test tools demand an encrypted ID token
				encryption := maps.Clone(public)
				encryption["kid"], encryption["use"], encryption["alg"] = "encrypts", "enc", "RSA-OAEP-256"
				client["jwks"] = object{"keys": []object{public, encryption}}
				client["id_token_encrypted_response_alg"], client["id_token_encrypted_response_enc"] = "RSA-OAEP-256", "A256GCM"
			}
			clients = append(clients, client)
		}
		cfg["clients"] = clients
	}}
	e := &ecosystem{world: newWorld(t, append(all, changes...)...), name: name, manner: m}
	e.one, e.two = e.mixed, e.mixedTwo
	e.two.redirect = secondRedirect
	for i, p := range []*party{e.one, e.two} {
		p.key = keys[i]
		p.header = http.Header{"X-Fapi-Interaction-Id": {interactionID}}
	}
	return e
}

// detailTypes returns the configured types of authorization details.
func detailTypes(t testing.TB, cfg object) []string {
	file, ok := cfg["authorization_details_types"].(string)
	if !ok {
		return nil
	}
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	var types object
	require.NoError(t, json.Unmarshal(raw, &types))
	return slices.Sorted(maps.Keys(types))
}

// push is a right request of the ecosystem, with changes to its request object.
func (e *ecosystem) push(t testing.TB, p *party, changes ...change) *request {
	t.Helper()
	all := append([]change{claim("scope", e.manner.scope)}, e.manner.ask(e, func() string { return e.consent(t, p) })...)
	r := p.signedPush(append(all, changes...)...)
	r.form.Del("client_id")
	return r
}

// tokens completes a request.
func (e *ecosystem) tokens(t testing.TB, p *party, changes ...change) object {
	t.Helper()
	return p.redeem(e.code(t, p, changes...)).do().ok(http.StatusOK).json()
}

func (e *ecosystem) code(t testing.TB, p *party, changes ...change) string {
	t.Helper()
	q := e.callback(t, p, changes...)
	require.NotEmpty(t, q.Get("code"), "%v", q)
	return q.Get("code")
}

func (e *ecosystem) callback(t testing.TB, p *party, changes ...change) url.Values {
	t.Helper()
	pushed := e.push(t, p, changes...).do().ok(http.StatusCreated)
	require.Equal(t, interactionID, pushed.header.Get("X-Fapi-Interaction-Id"))
	return e.get(p.front(pushed.str("request_uri"))).location().Query()
}

// consent creates a consent and returns its identifier.
func (e *ecosystem) consent(t testing.TB, p *party) string {
	t.Helper()
	api := e.cfg.consents[0]
	mediaType, body := "application/json", `{"Data":{"Permissions":["ReadBalances"]}}`
	if api.MediaType == "jwt" {
		now := e.now().Unix()
		mediaType, body = "application/jwt", forge(t, p.key, object{"alg": p.alg(), "kid": "key-of-" + p.id, "typ": "JWT"},
			object{"iss": p.id, "aud": []string{e.issuer}, "iat": now, "nbf": now, "exp": now + 300, "jti": rand.Text(),
				"message": object{"Data": object{"Permissions": []string{"ReadAccountsBasic"}}}})
	}
	answer := p.consentCall(http.MethodPost, api.Path, e.manner.own, mediaType, body).do().ok(http.StatusCreated)
	require.Equal(t, interactionID, answer.header.Get("X-Fapi-Interaction-Id"))
	var members object
	if api.MediaType == "jwt" {
		head, claims := unseal(t, string(answer.body))
		require.Equal(t, "PS256", head["alg"])
		members = claims
	} else {
		members = answer.json()
	}
	id, _ := member(members, api.ID).(string)
	require.NotEmpty(t, id)
	return id
}

// decrypted returns an ID token that was encrypted to a client, if the client
// is registered for that.
func (e *ecosystem) decrypted(t testing.TB, p *party, token string) string {
	t.Helper()
	parts := split(token)
	if e.cfg.registered[p.id].IDTokenEncryptedResponseAlg == "" {
		require.Len(t, parts, 3)
		return token
	}
	require.Len(t, parts, 5, "a JWE")
	var raw [5][]byte
	for i, part := range parts {
		var err error
		raw[i], err = base64.RawURLEncoding.DecodeString(part)
		require.NoError(t, err)
	}
	key, err := rsa.DecryptOAEP(sha256.New(), nil, p.key.(*rsa.PrivateKey), raw[1], nil)
	require.NoError(t, err)
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	opened, err := cipher.NewGCM(block)
	require.NoError(t, err)
	text, err := opened.Open(nil, raw[2], append(raw[3], raw[4]...), []byte(parts[0]))
	require.NoError(t, err)
	return string(text)
}

// claimsRequest returns a claims parameter.
func claimsRequest(idToken object, top object) change {
	all := maps.Clone(top)
	if all == nil {
		all = object{}
	}
	all["id_token"] = idToken
	return claim("claims", all)
}

func ukClaims(id string, classes ...string) change {
	return claimsRequest(object{
		"openbanking_intent_id": object{"value": id, "essential": true}, "acr": object{"values": classes, "essential": true},
	}, nil)
}

const (
	ukSCA, ukCA = "urn:openbanking:psd2:sca", "urn:openbanking:psd2:ca"
	uaeType     = "urn:openfinanceuae:account-access-consent:v2.1"
)

func uaeDetail(e *ecosystem, until time.Duration) object {
	return object{"type": uaeType, "consent": object{
		"ConsentId": "c-1", "Permissions": []string{"ReadBalances"},
		"ExpirationDateTime": e.now().Add(until).UTC().Format(time.RFC3339),
	}}
}

// manners has the requests that ECOSYSTEMS' test tools send.
var manners = map[string]manner{
	"uk-obl": {scope: "openid accounts", own: "accounts", resource: "/accounts", ask: func(_ *ecosystem, consent func() string) []change {
		return []change{ukClaims(consent(), ukSCA, ukCA)}
	}},
	"au-cdr": {scope: "openid accounts", own: "accounts", resource: "/accounts", ask: func(*ecosystem, func() string) []change {
		return []change{claimsRequest(object{"acr": object{"value": "urn:cds.au:cdr:2", "essential": true}}, object{"sharing_duration": 7776000})}
	}},
	"br-opf": {scope: "openid accounts", own: "consents", resource: "/accounts", ask: func(_ *ecosystem, consent func() string) []change {
		return []change{claim("scope", "openid accounts consent:"+consent()),
			claimsRequest(object{"acr": object{"essential": true}, "cpf": object{"essential": true}}, nil)}
	}},
	"au-connectid": {scope: "openid", own: "openid", resource: "/userinfo", ask: func(*ecosystem, func() string) []change {
		return []change{claim("purpose", "to open an account"), claimsRequest(object{
			"given_name": nil, "family_name": object{"essential": true}, "birthdate": object{"essential": true}, "txn": object{"essential": true},
			"verified_claims": object{"verification": object{"trust_framework": object{"value": "au_connectid"}}, "claims": object{"given_name": nil}},
		}, nil)}
	}},
	"uae-cbuae": {scope: "openid accounts", own: "accounts", resource: "/accounts", ask: func(e *ecosystem, _ func() string) []change {
		return []change{claim("authorization_details", []object{uaeDetail(e, 24*time.Hour)})}
	}},
	"sa-ksa": {scope: "openid accounts", own: "accounts", resource: "/accounts", ask: func(_ *ecosystem, consent func() string) []change {
		return []change{claim("scope", "openid accounts accounts:"+consent())}
	}},
}

// issued checks the responses of each ecosystem.
var issued = map[string]func(t *testing.T, e *ecosystem, tokens, idToken object){
	"uk-obl": func(t *testing.T, _ *ecosystem, _, idToken object) {
		require.Regexp(t, "^urn:bank:", idToken["openbanking_intent_id"])
		require.Equal(t, ukSCA, idToken["acr"])
	},
	"br-opf": func(t *testing.T, _ *ecosystem, tokens, idToken object) {
		require.Contains(t, tokens["scope"], "consent:urn:bank:")
		require.Equal(t, "76109277673", idToken["cpf"])
		require.Equal(t, "urn:brasil:openbanking:loa2", idToken["acr"])
		require.NotEmpty(t, tokens["refresh_token"])
	},
	"au-cdr": func(t *testing.T, e *ecosystem, tokens, idToken object) {
		require.Equal(t, "urn:cds.au:cdr:2", idToken["acr"])
		require.NotEmpty(t, tokens["refresh_token"])
		require.NotEmpty(t, tokens["cdr_arrangement_id"])
	},
	"au-connectid": func(t *testing.T, _ *ecosystem, _, idToken object) {
		require.Equal(t, "Alice", idToken["given_name"])
		require.Equal(t, "1990-01-01", idToken["birthdate"])
		require.NotEmpty(t, idToken["txn"])
		require.NotContains(t, idToken, "email")
		require.Equal(t, object{"verification": object{"trust_framework": "au_connectid"}, "claims": object{"given_name": "Alice"}},
			idToken["verified_claims"])
	},
	"uae-cbuae": func(t *testing.T, _ *ecosystem, tokens, _ object) {
		require.Equal(t, uaeType, tokens["authorization_details"].([]any)[0].(object)["type"])
	},
	"sa-ksa": func(t *testing.T, _ *ecosystem, tokens, _ object) { require.Contains(t, tokens["scope"], "accounts:") },
}

// completes gets each client to the API, and checks the responses as the
// ecosystem does.
func (e *ecosystem) completes(t *testing.T) {
	for _, p := range []*party{e.one, e.two} {
		answer := p.redeem(e.code(t, p)).do().ok(http.StatusOK)
		require.Equal(t, interactionID, answer.header.Get("X-Fapi-Interaction-Id"))
		tokens := answer.json()
		require.Equal(t, "Bearer", tokens["token_type"])
		require.GreaterOrEqual(t, tokens["expires_in"], 300.0)
		require.LessOrEqual(t, tokens["expires_in"], 600.0)
		head, idToken := unseal(t, e.decrypted(t, p, tokens["id_token"].(string)))
		require.Equal(t, "PS256", head["alg"])
		issued[e.name](t, e, tokens, idToken)
		call := p.call(http.MethodGet, e.manner.resource, tokens["access_token"].(string))
		require.Equal(t, interactionID, call.do().ok(http.StatusOK).header.Get("X-Fapi-Interaction-Id"))
		if refresh, ok := tokens["refresh_token"].(string); ok {
			again := p.refresh(refresh).do().ok(http.StatusOK).json()
			require.Equal(t, tokens["scope"], again["scope"])
			require.Contains(t, []any{nil, refresh}, again["refresh_token"], "not rotated")
			require.Equal(t, tokens["cdr_arrangement_id"], again["cdr_arrangement_id"])
		}
	}
}

// An ecosystemCase is a behaviour that an ecosystem's test tools check.
type ecosystemCase struct {
	name string
	in   string // ecosystems; empty for all
	try  func(t *testing.T, e *ecosystem)
}

func (c ecosystemCase) isFor(name string) bool {
	return c.in == "" || slices.Contains(strings.Fields(c.in), name)
}

// refusedPush is a case of a pushed request that is rejected with one of the
// codes.
func refusedPush(name, in, codes string, changes func(t *testing.T, e *ecosystem) []change) ecosystemCase {
	return ecosystemCase{name, in, func(t *testing.T, e *ecosystem) {
		e.push(t, e.one, changes(t, e)...).do().refused(http.StatusBadRequest, strings.Fields(codes)...)
	}}
}

func fixed(changes ...change) func(*testing.T, *ecosystem) []change {
	return func(*testing.T, *ecosystem) []change { return changes }
}

// otherIntents are identifiers of consents that the first client cannot use.
func otherIntents(t *testing.T, e *ecosystem) map[string]string {
	used := e.consent(t, e.one)
	e.code(t, e.one, e.naming(used))
	return map[string]string{"made up": "urn:bank:made-up", "of another client": e.consent(t, e.two), "used": used}
}

// naming makes a request name a consent.
func (e *ecosystem) naming(id string) change {
	switch e.name {
	case "uk-obl":
		return ukClaims(id, ukSCA, ukCA)
	case "br-opf":
		return claim("scope", "openid accounts consent:"+id)
	default:
		return claim("scope", "openid accounts accounts:"+id)
	}
}

// ecosystemCases are the behaviours of all ecosystems.
func ecosystemCases() []ecosystemCase {
	after := func(d time.Duration) func(t *testing.T, e *ecosystem) []change {
		return func(_ *testing.T, e *ecosystem) []change { return []change{claim("exp", e.now().Add(d).Unix())} }
	}
	ten := "au-connectid uae-cbuae sa-ksa"
	return []ecosystemCase{
		refusedPush("a redirect URI that is not registered", "", "invalid_request invalid_request_object", fixed(claim("redirect_uri", "https://evil.example/cb"))),
		refusedPush("a request object that is valid for 15 minutes", ten, "invalid_request_object", after(15*time.Minute)),
		refusedPush("a request object from 15 minutes ago", ten, "invalid_request_object", func(_ *testing.T, e *ecosystem) []change {
			return []change{claim("nbf", e.now().Add(-15*time.Minute).Unix())}
		}),
		refusedPush("a signed response is requested", "uk-obl au-connectid uae-cbuae sa-ksa", "invalid_request", fixed(claim("response_mode", "jwt"))),
		refusedPush("a purpose of 301 characters", "au-connectid", "invalid_request", fixed(claim("purpose", strings.Repeat("한", 301)))),
		refusedPush("a purpose of 2 characters", "au-connectid", "invalid_request", fixed(claim("purpose", "한국"))),
		refusedPush("no purpose", "au-connectid", "invalid_request", fixed(claim("purpose", nil))),
		refusedPush("a requested acr", "au-connectid", "invalid_request", fixed(claim("acr_values", "urn:x"))),
		refusedPush("an id_token_hint", "br-opf", "invalid_request", fixed(claim("id_token_hint", "x"))),
		refusedPush("a negative sharing duration", "au-cdr", "invalid_request",
			fixed(claimsRequest(object{"acr": object{"essential": true}}, object{"sharing_duration": -1}))),
		refusedPush("two details", "uae-cbuae", "invalid_authorization_details", func(_ *testing.T, e *ecosystem) []change {
			return []change{claim("authorization_details", []object{uaeDetail(e, time.Hour), uaeDetail(e, 2*time.Hour)})}
		}),
		refusedPush("no details", "uae-cbuae", "invalid_authorization_details invalid_request", fixed(claim("authorization_details", nil))),
		refusedPush("an essential acr that no login meets", "uk-obl", "access_denied", func(t *testing.T, e *ecosystem) []change {
			return []change{ukClaims(e.consent(t, e.one), "urn:other")}
		}),
		refusedPush("acr is not essential", "uk-obl", "invalid_request", func(t *testing.T, e *ecosystem) []change {
			return []change{claimsRequest(object{"openbanking_intent_id": object{"value": e.consent(t, e.one), "essential": true}, "acr": nil}, nil)}
		}),
		refusedPush("acr with a value", "br-opf", "invalid_request",
			fixed(claimsRequest(object{"acr": object{"essential": true, "value": "urn:brasil:openbanking:loa2"}}, nil))),
		refusedPush("acr by the claims parameter", "au-connectid", "invalid_request", fixed(claimsRequest(object{"acr": object{"essential": true}}, nil))),
		refusedPush("claims without an essential txn", "au-connectid", "invalid_request", fixed(claimsRequest(object{"given_name": nil}, nil))),
		refusedPush("no consent", "br-opf sa-ksa", "invalid_scope", fixed(claim("scope", "openid accounts"))),
		refusedPush("no consent", "uk-obl", "invalid_request", fixed(claim("claims", nil))),
		refusedPush("a type of details that is unknown", "uae-cbuae", "invalid_authorization_details",
			fixed(claim("authorization_details", []object{{"type": "urn:openfinanceuae:account-access-consent:v9"}}))),
		refusedPush("a detail that its schema rejects", "uae-cbuae", "invalid_authorization_details",
			fixed(claim("authorization_details", []object{{"type": uaeType, "Consent": object{}}}))),
		{"an essential acr with one value", "uk-obl", func(t *testing.T, e *ecosystem) {
			for _, class := range []string{ukSCA, ukCA} {
				_, idToken := unseal(t, e.tokens(t, e.one, ukClaims(e.consent(t, e.one), class))["id_token"].(string))
				require.Equal(t, class, idToken["acr"])
			}
		}},
		{"nothing that was not requested", "au-connectid", func(t *testing.T, e *ecosystem) {
			tokens := e.tokens(t, e.one, claim("claims", nil))
			_, idToken := unseal(t, tokens["id_token"].(string))
			about := e.one.call(http.MethodGet, "/userinfo", tokens["access_token"].(string)).do().ok(http.StatusOK).json()
			for _, name := range []string{"name", "given_name", "birthdate", "verified_claims", "txn"} {
				require.NotContains(t, idToken, name)
				require.NotContains(t, about, name)
			}
		}},
		{"more than request and assertion in the form", "au-connectid", func(t *testing.T, e *ecosystem) {
			for _, name := range []string{"client_id", "state"} {
				e.push(t, e.one).with(name, e.one.id).do().refused(http.StatusBadRequest, "invalid_request")
			}
		}},
		{"more than client_id and request_uri from the browser", "sa-ksa", func(t *testing.T, e *ecosystem) {
			front := e.one.front(e.push(t, e.one).do().ok(http.StatusCreated).str("request_uri"))
			got := e.get(front + "&state=x")
			require.NotEqual(t, http.StatusOK, got.status)
			if got.status == http.StatusFound || got.status == http.StatusSeeOther {
				require.Equal(t, "invalid_request", got.location().Query().Get("error"))
			}
		}},
		{"no interaction ID", "br-opf", func(t *testing.T, e *ecosystem) {
			r := e.push(t, e.one)
			r.header["X-Fapi-Interaction-Id"] = nil
			r.do().refused(http.StatusBadRequest, "invalid_request")
		}},
		{"an interaction ID is made", "uk-obl uae-cbuae sa-ksa", func(t *testing.T, e *ecosystem) {
			r := e.push(t, e.one)
			r.header["X-Fapi-Interaction-Id"] = nil
			require.Len(t, r.do().ok(http.StatusCreated).header.Get("X-Fapi-Interaction-Id"), 36)
		}},
		{"a consent whose message has no jti", "sa-ksa", func(t *testing.T, e *ecosystem) {
			now := e.now().Unix()
			token := forge(t, e.one.key, object{"alg": "PS256", "kid": "key-of-mixed"}, object{"iss": "mixed", "aud": []string{e.issuer},
				"iat": now, "nbf": now, "exp": now + 60, "message": object{"Data": object{"Permissions": []string{"ReadBalances"}}}})
			send := func() reply {
				return e.one.consentCall(http.MethodPost, e.cfg.consents[0].Path, "accounts", "application/jwt", token).do()
			}
			send().ok(http.StatusCreated)
			send().refused(http.StatusBadRequest, "invalid_request")
		}},
		{"a bad signature of a consent", "sa-ksa", func(t *testing.T, e *ecosystem) {
			token := forge(t, e.two.key, object{"alg": "PS256", "kid": "key-of-mixed"}, object{"iss": "mixed", "aud": e.issuer,
				"iat": e.now().Unix(), "exp": e.now().Unix() + 60, "jti": rand.Text(), "message": object{}})
			e.one.consentCall(http.MethodPost, e.cfg.consents[0].Path, "accounts", "application/jwt", token).do().
				refused(http.StatusBadRequest, "invalid_request")
		}},
		{"subjects differ between sectors", "au-cdr au-connectid", func(t *testing.T, e *ecosystem) {
			subjects := map[any]bool{"alice": true}
			for _, p := range []*party{e.one, e.two, e.one} {
				tokens := e.tokens(t, p)
				_, idToken := unseal(t, e.decrypted(t, p, tokens["id_token"].(string)))
				about := p.call(http.MethodGet, "/userinfo", tokens["access_token"].(string)).do().ok(http.StatusOK).json()
				require.Equal(t, idToken["sub"], about["sub"])
				_, access := unseal(t, tokens["access_token"].(string))
				require.Equal(t, idToken["sub"], access["sub"])
				subjects[idToken["sub"]] = true
			}
			require.Len(t, subjects, 3)
			require.Equal(t, []any{"pairwise"}, e.get(e.issuer + "/.well-known/openid-configuration").json()["subject_types_supported"])
		}},
		{"a detail whose end is over", "uae-cbuae", func(t *testing.T, e *ecosystem) {
			q := e.callback(t, e.one, claim("authorization_details", []object{uaeDetail(e, -time.Hour)}))
			require.Equal(t, "access_denied", q.Get("error"))
		}},
		{"introspection of tokens by their client", "au-cdr", func(t *testing.T, e *ecosystem) {
			tokens := e.tokens(t, e.one)
			ask := func(p *party, token string) object {
				r := p.post("/introspect", url.Values{"token": {tokens[token].(string)}})
				return r.do().ok(http.StatusOK).json()
			}
			refresh := ask(e.one, "refresh_token")
			require.Equal(t, true, refresh["active"])
			require.Equal(t, tokens["cdr_arrangement_id"], refresh["cdr_arrangement_id"])
			require.InDelta(t, e.now().Unix()+7776000, refresh["exp"], 60)
			require.NotEmpty(t, refresh["scope"])
			require.Equal(t, object{"active": false}, ask(e.one, "access_token"))
			require.Equal(t, object{"active": false}, ask(e.two, "refresh_token"))
		}},
		{"a purpose of 280 characters of 3 bytes", "au-connectid", func(t *testing.T, e *ecosystem) {
			e.tokens(t, e.one, claim("purpose", strings.Repeat("한", 280)))
		}},
		{"an unsigned request", "", func(t *testing.T, e *ecosystem) {
			e.one.push().do().refused(http.StatusBadRequest, "invalid_request", "invalid_request_object")
		}},
		{"a request object by another algorithm", "", func(t *testing.T, e *ecosystem) {
			if e.name == "au-cdr" { // which permits ES256
				return
			}
			e.push(t, e.one, header("alg", "RS256")).do().refused(http.StatusBadRequest, "invalid_request_object")
		}},
		{"no certificate at the endpoint for pushed requests", "", func(t *testing.T, e *ecosystem) { withoutCertificate(t, e, e.push(t, e.one)) }},
		{"no certificate at the token endpoint", "", func(t *testing.T, e *ecosystem) { withoutCertificate(t, e, e.one.redeem(e.code(t, e.one))) }},
		{"no certificate at the API", "", func(t *testing.T, e *ecosystem) {
			call := e.one.call(http.MethodGet, e.manner.resource, e.tokens(t, e.one)["access_token"].(string))
			call.certificate = nil
			call.do().ok(http.StatusUnauthorized)
		}},
		{"consents of others", "uk-obl br-opf sa-ksa", func(t *testing.T, e *ecosystem) {
			code := map[string]string{"uk-obl": "invalid_request", "br-opf": "invalid_scope", "sa-ksa": "invalid_scope"}[e.name]
			for name, id := range otherIntents(t, e) {
				got := e.push(t, e.one, e.naming(id)).do()
				require.Equal(t, http.StatusBadRequest, got.status, name)
				got.refused(http.StatusBadRequest, code)
			}
		}},
	}
}

// Each bank behaves as the test tools of its ecosystem demand.
func TestEcosystems(t *testing.T) {
	cases := append(ecosystemCases(),
		ecosystemCase{"the flow completes", "", func(t *testing.T, e *ecosystem) { e.completes(t) }},
		ecosystemCase{"a client of this module completes", "", func(t *testing.T, e *ecosystem) { e.applicationCompletes(t) }},
		ecosystemCase{"the metadata follow the rules", "", func(t *testing.T, e *ecosystem) { e.publishes(t) }},
	)
	for name := range manners {
		t.Run(name, func(t *testing.T) {
			e := newEcosystem(t, name)
			for _, c := range cases {
				if c.isFor(name) {
					t.Run(c.name, func(t *testing.T) {
						e.t = t
						c.try(t, e)
					})
				}
			}
			e.t = t
		})
	}
}

func withoutCertificate(t *testing.T, e *ecosystem, r *request) {
	r.certificate = nil
	got := r.do()
	require.Contains(t, []int{http.StatusBadRequest, http.StatusUnauthorized}, got.status, e.name)
	got.refused(got.status, "invalid_client", "invalid_request")
}

// status returns the state of a consent.
func (e *ecosystem) status(t testing.TB, id string) string {
	t.Helper()
	api := e.cfg.consents[0]
	read := e.one.consentCall(http.MethodGet, api.Path+"/"+id, e.manner.own, "", "").do().ok(http.StatusOK)
	status, _ := member(read.json(), api.Status).(string)
	return status
}

func TestTheUserDecidesAboutAConsent(t *testing.T) {
	e := newEcosystem(t, "uk-obl", with("auto_approve", nil))
	for button, want := range map[string]string{"approve": "Authorised", "deny": "Rejected"} {
		id := e.consent(t, e.one)
		push := func() string { return e.push(t, e.one, e.naming(id)).do().ok(http.StatusCreated).str("request_uri") }
		first, second := push(), push()
		b, other := e.newBrowser(), e.newBrowser()
		page := b.logIn(b.open(e.one.front(first)), "alice", "correct horse")
		require.Contains(t, string(page.body), "ReadBalances")
		late := other.logIn(other.open(e.one.front(second)), "alice", "correct horse")
		require.Equal(t, "AwaitingAuthorisation", e.status(t, id))
		to := b.press(page, button, nil).location().Query()
		require.Equal(t, want, e.status(t, id))
		if button == "approve" {
			tokens := e.one.redeem(to.Get("code")).do().ok(http.StatusOK).json()
			_, idToken := unseal(t, tokens["id_token"].(string))
			require.Equal(t, id, idToken["openbanking_intent_id"])
		} else {
			require.Equal(t, "access_denied", to.Get("error"))
		}
		q := other.press(late, "approve", nil).location().Query()
		require.Empty(t, q.Get("code"), "a consent is decided once")
		require.Equal(t, "invalid_request", q.Get("error"))
		require.Equal(t, want, e.status(t, id))
	}
}

func TestAUserEndsAConsent(t *testing.T) {
	e := newEcosystem(t, "uk-obl", with("auto_approve", nil))
	id, b := e.consent(t, e.one), e.newBrowser()
	front := e.one.front(e.push(t, e.one, e.naming(id)).do().ok(http.StatusCreated).str("request_uri"))
	to := b.press(b.logIn(b.open(front), "alice", "correct horse"), "approve", nil).location().Query()
	token := e.one.redeem(to.Get("code")).do().ok(http.StatusOK).str("access_token")
	e.one.call(http.MethodGet, "/accounts", token).do().ok(http.StatusOK)
	require.NoError(t, e.bank.forget(t.Context(), "alice"))
	e.one.call(http.MethodGet, "/accounts", token).do().ok(http.StatusUnauthorized)
	require.Equal(t, "Revoked", e.status(t, id))
	one, err := e.bank.consents.of(t.Context(), e.one.id, id)
	require.NoError(t, err)
	require.Empty(t, one.Body)
}

func TestOneOfSeveralRequestsHasAConsentApproved(t *testing.T) {
	e := newEcosystem(t, "br-opf")
	id := e.consent(t, e.one)
	const n = 12
	fronts := make([]string, n)
	for i := range fronts {
		fronts[i] = e.one.front(e.push(t, e.one, e.naming(id)).do().ok(http.StatusCreated).str("request_uri"))
	}
	codes := make(chan string, n)
	var all sync.WaitGroup
	for _, front := range fronts {
		all.Go(func() { codes <- e.get(front).location().Query().Get("code") })
	}
	all.Wait()
	close(codes)
	winners := 0
	for code := range codes {
		if code != "" {
			winners++
			e.one.redeem(code).do().ok(http.StatusOK)
		}
	}
	require.Equal(t, 1, winners)
	require.Equal(t, "AUTHORISED", e.status(t, id))
}

func TestTheEndOfAConsentEndsItsTokens(t *testing.T) {
	t.Run("the client deletes it", func(t *testing.T) {
		e := newEcosystem(t, "br-opf")
		id := e.consent(t, e.one)
		tokens := e.tokens(t, e.one, e.naming(id))
		e.one.consentCall(http.MethodDelete, e.cfg.consents[0].Path+"/"+id, e.manner.own, "", "").do().ok(http.StatusNoContent)
		e.one.call(http.MethodGet, "/accounts", tokens["access_token"].(string)).do().ok(http.StatusUnauthorized)
		e.one.refresh(tokens["refresh_token"].(string)).do().refused(http.StatusBadRequest, "invalid_grant")
	})
	t.Run("the user does not decide in time", func(t *testing.T) {
		e := newEcosystem(t, "uk-obl")
		id := e.consent(t, e.one)
		e.advance(consentWaits)
		e.push(t, e.one, e.naming(id)).do().refused(http.StatusBadRequest, "invalid_request")
		require.Equal(t, "Expired", e.status(t, id))
	})
	t.Run("its time is over", func(t *testing.T) {
		e := newEcosystem(t, "uae-cbuae")
		tokens := e.tokens(t, e.one)
		e.advance(23 * time.Hour)
		e.one.refresh(tokens["refresh_token"].(string)).do().ok(http.StatusOK)
		e.advance(time.Hour)
		e.one.refresh(tokens["refresh_token"].(string)).do().refused(http.StatusBadRequest, "invalid_grant")
	})
	t.Run("nothing to share", func(t *testing.T) {
		e := newEcosystem(t, "au-cdr")
		acr := object{"acr": object{"essential": true}}
		for _, top := range []object{nil, {"sharing_duration": 0}} {
			require.NotContains(t, e.tokens(t, e.one, claimsRequest(acr, top)), "refresh_token")
		}
		tokens := e.tokens(t, e.one, claimsRequest(acr, object{"sharing_duration": 9007199254740991}))
		e.advance(364 * 24 * time.Hour)
		e.one.refresh(tokens["refresh_token"].(string)).do().ok(http.StatusOK)
		e.advance(48 * time.Hour)
		e.one.refresh(tokens["refresh_token"].(string)).do().refused(http.StatusBadRequest, "invalid_grant")
	})
}

// Two ecosystems are served by one bank.
func TestRulesOfSingleClients(t *testing.T) {
	e := newEcosystem(t, "uk-obl", with("rules", nil), with("client_rules", object{"mixed": "uk-obl"}))
	e.push(t, e.one, claim("claims", nil)).do().refused(http.StatusBadRequest, "invalid_request")
	e.push(t, e.two, claim("claims", nil)).do().ok(http.StatusCreated)
}

func (e *ecosystem) rules(t testing.TB) *rules.Set {
	set, err := ecosystems.Rules(e.name)
	require.NoError(t, err)
	return set
}

// asApplication returns a client of this module for the first client, as its
// ecosystem requires it.
func (e *ecosystem) asApplication(t testing.TB) *client.Client {
	t.Helper()
	cfg := client.Config{
		Issuer: e.issuer, ClientID: e.one.id, RedirectURI: e.one.redirect, Key: e.one.key, KeyID: "key-of-" + e.one.id,
		Rules:      e.rules(t),
		HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: e.roots, MinVersion: tls.VersionTLS13}}},
		MutualTLS:  &client.MutualTLS{Certificate: e.one.certificate, BindTokens: true, UseEndpointAliases: true},
		Profile:    profile.SignedRequests, // which the document may not require
		Requests:   &client.RequestConfig{InteractionID: true},
	}
	if e.cfg.registered[e.one.id].IDTokenEncryptedResponseAlg != "" {
		cfg.OpenID = &client.OpenID{IDTokenDecryptionKeys: []idtoken.DecryptionKey{{Key: e.one.key, KeyID: "encrypts",
			Algorithm: "RSA-OAEP-256", ContentEncryption: "A256GCM"}}}
	}
	c, err := client.New(t.Context(), cfg)
	require.NoError(t, err)
	return c
}

// consentBy creates a consent as an application does.
func (e *ecosystem) consentBy(t testing.TB, c *client.Client) string {
	t.Helper()
	token, err := c.ClientCredentials(t.Context(), client.Request{Scopes: []string{e.manner.own}})
	require.NoError(t, err)
	caller, err := c.HTTPClient(oauth2.StaticTokenSource(token))
	require.NoError(t, err)
	api, mediaType, body := e.cfg.consents[0], "application/json", []byte(`{"Data":{"Permissions":["ReadBalances"]}}`)
	if api.MediaType == "jwt" {
		signer, err := message.NewSigner(message.SignerConfig{Issuer: e.one.id, Key: e.one.key, KeyID: "key-of-" + e.one.id, Algorithm: "PS256"})
		require.NoError(t, err)
		signed, err := signer.Sign(e.issuer, object{"message": object{"Data": object{"Permissions": []string{"ReadBalances"}}}})
		require.NoError(t, err)
		mediaType, body = message.MediaType, []byte(signed)
	}
	answer, err := caller.Post(e.mtls+api.Path, mediaType, bytes.NewReader(body))
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusCreated, answer.StatusCode)
	if api.MediaType == "json" {
		raw, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		members, err := parseMembers(raw)
		require.NoError(t, err)
		return member(members, api.ID).(string)
	}
	keys, err := jwks.NewRemote(jwks.RemoteConfig{URL: e.issuer + "/jwks", HTTPClient: e.http(nil)})
	require.NoError(t, err)
	verifier, err := message.NewVerifier(message.VerifierConfig{Issuer: e.issuer, Audience: []string{e.one.id}, Keys: keys.Keys})
	require.NoError(t, err)
	signed, err := message.ReadBody(answer.Header, answer.Body)
	require.NoError(t, err)
	m, err := verifier.Verify(t.Context(), signed)
	require.NoError(t, err)
	members, err := parseMembers(m.Claim("message"))
	require.NoError(t, err)
	return member(members, "Data.ConsentId").(string)
}

// applicationCompletes gets a client of this module to the API.
func (e *ecosystem) applicationCompletes(t *testing.T) {
	m := e.manner
	c, wanted := e.asApplication(t), object{"scope": m.scope}
	for _, change := range m.ask(e, func() string { return e.consentBy(t, c) }) {
		change(object{}, wanted)
	}
	request := client.Request{Scopes: strings.Fields(wanted["scope"].(string)), Params: url.Values{}}
	for name, value := range wanted {
		raw, err := json.Marshal(value)
		require.NoError(t, err)
		switch name {
		case "scope":
		case "authorization_details":
			request.AuthorizationDetails = raw
		case "claims":
			request.Params.Set(name, string(raw))
		default:
			request.Params.Set(name, value.(string))
		}
	}
	session, err := c.Begin(t.Context(), request)
	require.NoError(t, err)
	token, err := c.Finish(t.Context(), session, e.get(session.URL).location().Query())
	require.NoError(t, err)
	if m.resource == "/userinfo" {
		about, err := c.UserInfo(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, client.Subject(token), about.Subject())
		return
	}
	caller, err := c.HTTPClient(c.TokenSource(t.Context(), token))
	require.NoError(t, err)
	answer, err := caller.Get(e.mtls + m.resource)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Len(t, answer.Header.Get("X-Fapi-Interaction-Id"), 36)
}

// publishes checks that the metadata follow the rules.
func (e *ecosystem) publishes(t *testing.T) {
	m := e.bank.server.Metadata()
	for _, finding := range e.cfg.rules.LintServer(m) {
		require.NotEqual(t, "error", finding.Severity, finding)
	}
	published := e.get(e.issuer + "/.well-known/openid-configuration").json()
	require.Equal(t, []any{"PS256"}, published["id_token_signing_alg_values_supported"])
	require.Contains(t, published["request_object_signing_alg_values_supported"], "PS256")
	require.Equal(t, true, published["require_signed_request_object"])
	aliases := published["mtls_endpoint_aliases"].(object)
	for _, endpoint := range []string{"token_endpoint", "pushed_authorization_request_endpoint", "userinfo_endpoint"} {
		require.NotEmpty(t, aliases[endpoint], endpoint)
	}
	want := map[string][]string{
		"uk-obl": {"acr", "openbanking_intent_id"}, "au-cdr": {"acr", "sharing_duration"}, "br-opf": {"acr", "cpf"},
		"au-connectid": {"given_name", "verified_claims"},
	}[e.name]
	require.Subset(t, published["claims_supported"], want)
	if e.name == "uae-cbuae" {
		require.Contains(t, published["authorization_details_types_supported"], uaeType)
	}
}

func TestRegistrationsAgainstTheRulesAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(o object)
		says   string
	}{
		{"tokens bound by DPoP", func(object) {}, `clients[0]: "one": rules uk-obl: `},
		{"unknown rules", with("rules", "atlantis"), "rules: "},
		{"a file that is not there", with("rules", "./not-there.json"), "rules: "},
		{"a file with other JSON", with("rules", "testdata/consent.json"), "rules: "},
		{"rules of nobody", with("client_rules", object{"two": "au-cdr"}), `client_rules: "two" is not a client`},
		{"unknown rules of a client", with("client_rules", object{"one": "atlantis"}), `client_rules: "one"`},
		{"consents that cannot be created", with("consents", []object{}), "which needs consents"},
		{"a member without a name", with("detail_end", "a..b"), "detail_end"},
		{"a short secret", with("pairwise_secret", "short"), "5 bytes, want at least 32"},
		{"no secret", with("rules", "au-cdr"), "which needs pairwise_secret"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := settings()
			o["rules"], o["openid"] = "uk-obl", true
			o["consents"] = []object{{"path": "/consents", "scope": "accounts"}}
			tc.change(o)
			raw, err := json.Marshal(o)
			require.NoError(t, err)
			_, err = parseConfig(raw, "memory:")
			require.ErrorContains(t, err, tc.says)
		})
	}
}

// Rules can require certificates of clients whose tokens are bound to keys.
func TestCertificatesAtTheAPI(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"name":"x","mutual_tls":["resource"],"sources":{"mutual_tls":"a test"}}`), 0o600))
	w := newWorld(t, func(cfg object) { cfg["rules"] = path })
	call := w.one.call(http.MethodGet, "/accounts", w.one.accessToken())
	require.Equal(t, http.StatusUnauthorized, call.do().status)
	call.url = w.mtls + "/accounts"
	require.Equal(t, http.StatusUnauthorized, call.do().status)
	call.certificate = w.tlsOne.certificate
	call.do().ok(http.StatusOK)
}
