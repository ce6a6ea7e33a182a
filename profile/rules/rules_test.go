package rules_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/rules"
)

// whole is a document with each kind of rule.
const whole = `{
  "name": "example", "title": "Example", "version": "1.0",
  "sources": {
    "message_signing": "§1", "client_authentication": "§1", "bindings": "§1", "mutual_tls": "§2", "response_modes": "§2",
    "subject_types": "§3", "interaction_ids": "§4", "algorithms": "§5", "encryption.id_token": "§6", "lifetimes": "§7",
    "refresh_tokens": "§8", "request": "§9", "claims": "§10", "acr": "§11", "intent": "§12", "token_members": "§13",
    "metadata.example_endpoint": "§14"
  },
  "host": ["The host asks a directory."], "open": ["The text does not say how."],
  "message_signing": ["requests"],
  "client_authentication": ["private_key_jwt"],
  "bindings": ["mTLS"],
  "mutual_tls": ["token", "resource"],
  "response_modes": ["query"],
  "subject_types": ["pairwise"],
  "interaction_ids": "require",
  "algorithms": {"signing": ["PS256", "ES256"], "id_token": ["PS256"], "rsa_bits": 3072},
  "encryption": {"id_token": {"required": true, "alg": ["RSA-OAEP-256"], "enc": ["A256GCM"]}},
  "lifetimes": {
    "request_object": "10m", "request_object_age": "10m", "request_uri": ["1m", ""], "access_token": ["5m", "15m"]
  },
  "refresh_tokens": {"required": true, "end_with_consent": true, "lifetime": "8760h"},
  "request": {
    "front_channel": ["client_id", "request_uri"],
    "push_form": ["request", "client_assertion", "client_assertion_type"],
    "parameters": {"purpose": {"required": true, "min_length": 3, "max_length": 300}, "id_token_hint": {"forbidden": true}},
    "scopes": ["openid"],
    "authorization_details": {"required": true, "types": ["urn:example:consent"], "max": 1}
  },
  "claims": {
    "supported": ["cpf"], "required": ["acr"], "only_requested": true, "top": {"sharing_duration": {"max": 31536000}}
  },
  "acr": {"supported": ["urn:example:2"], "request": "essential", "in_id_token": true, "unmet": "access_denied"},
  "intent": {"scope": "consent:", "required": true},
  "token_members": ["example_id"],
  "metadata": {"example_endpoint": "https://as.example/x"}
}`

func TestParse(t *testing.T) {
	set, err := rules.Parse([]byte(whole))
	require.NoError(t, err)
	require.Equal(t, rules.Span{Min: time.Minute}, set.Lifetimes.RequestURI)
	require.Equal(t, rules.Span{Min: 5 * time.Minute, Max: 15 * time.Minute}, set.Lifetimes.AccessToken)
	require.Equal(t, rules.Span{Max: 10 * time.Minute}, set.Lifetimes.RequestObject)
	require.Equal(t, rules.Parameter{Required: true, MinLength: 3, MaxLength: 300}, set.Request.Parameters["purpose"])
	require.Equal(t, "consent:", set.Intent.Scope)

	written, err := json.Marshal(set)
	require.NoError(t, err)
	again, err := rules.Parse(written)
	require.NoError(t, err)
	require.Equal(t, set, again)
	require.JSONEq(t, whole, string(written), "nothing is lost")
}

// TestNarrow replaces one member of a good document by a value that is malformed
// or that permits more than FAPI 2.0.
func TestNarrow(t *testing.T) {
	for _, c := range []struct{ member, value, problem string }{
		{"name", `""`, "name"},
		{"name", `"Example"`, "name"},
		{"message_signing", `["none"]`, "message_signing"},
		{"client_authentication", `["client_secret_basic"]`, "client_authentication"},
		{"client_authentication", `["private_key_jwt", "private_key_jwt"]`, "repeated"},
		{"bindings", `["Bearer"]`, "bindings"},
		{"mutual_tls", `["authorization"]`, "mutual_tls"},
		{"response_modes", `["fragment"]`, "response_modes"},
		{"response_modes", `["form_post"]`, "response_modes"},
		{"message_signing", `["requests", "responses"]`, "query is not signed"},
		{"subject_types", `["ephemeral"]`, "subject_types"},
		{"interaction_ids", `"ignore"`, "interaction_ids"},
		{"algorithms", `{"signing": ["RS256"]}`, "algorithms.signing"},
		{"algorithms", `{"signing": ["none"]}`, "algorithms.signing"},
		{"algorithms", `{"signing": ["PS256"], "id_token": ["ES256"]}`, "algorithms.id_token"},
		{"algorithms", `{"assertion": ["HS256"]}`, "algorithms.assertion"},
		{"algorithms", `{"request_object": ["none"]}`, "algorithms.request_object"},
		{"algorithms", `{"userinfo": ["RS256"]}`, "algorithms.userinfo"},
		{"algorithms", `{"rsa_bits": 1024}`, "algorithms.rsa_bits"},
		{"algorithms", `{"rsa_bits": -1}`, "algorithms.rsa_bits"},
		{"encryption", `{"id_token": {"alg": ["RSA1_5"]}}`, "encryption.id_token.alg"},
		{"encryption", `{"id_token": {"enc": ["A128CBC"]}}`, "encryption.id_token.enc"},
		{"lifetimes", `{"request_object": "61m"}`, "lifetimes.request_object"},
		{"lifetimes", `{"request_object": ["1m", "10m"]}`, "lifetimes.request_object"},
		{"lifetimes", `{"request_object_age": "61m"}`, "lifetimes.request_object_age"},
		{"lifetimes", `{"request_uri": "600s"}`, "lifetimes.request_uri"},
		{"lifetimes", `{"request_uri": ["600s", ""]}`, "lifetimes.request_uri"},
		{"lifetimes", `{"code": "61s"}`, "lifetimes.code"},
		{"lifetimes", `{"access_token": "25h"}`, "lifetimes.access_token"},
		{"lifetimes", `{"access_token": ["10m", "5m"]}`, "lifetimes.access_token"},
		{"lifetimes", `{"access_token": "1500ms"}`, "lifetimes.access_token"},
		{"lifetimes", `{"access_token": "-5m"}`, "lifetimes.access_token"},
		{"lifetimes", `{"access_token": "5"}`, "not a duration"},
		{"lifetimes", `{"access_token": ["5m"]}`, "not a duration"},
		{"lifetimes", `{"access_token": ["5m", "x"]}`, "not a duration"},
		{"lifetimes", `{"access_token": 300}`, "not a duration"},
		{"lifetimes", `{"assertion": "2h"}`, "lifetimes.assertion"},
		{"refresh_tokens", `{"lifetime": "87601h"}`, "refresh_tokens.lifetime"},
		{"request", `{"front_channel": ["client_id"]}`, "request.front_channel"},
		{"request", `{"push_form": ["request"]}`, "request.push_form"},
		{"request", `{"push_form": ["client_assertion", "client_assertion_type"]}`, "request is missing"},
		{"request", `{"scopes": ["a b"]}`, "request.scopes"},
		{"request", `{"parameters": {"code_challenge": {"forbidden": true}}}`, "code_challenge"},
		{"request", `{"parameters": {"response_type": {"values": ["token"]}}}`, "response_type"},
		{"request", `{"parameters": {"code_challenge_method": {"values": ["S256", "plain"]}}}`, "code_challenge_method"},
		{"request", `{"parameters": {"x": {}}}`, "no rule"},
		{"request", `{"parameters": {"x": {"forbidden": true, "required": true}}}`, "forbidden"},
		{"request", `{"parameters": {"x": {"min_length": 4, "max_length": 3}}}`, "not a range"},
		{"request", `{"parameters": {"x": {"required": true, "error": "Not OK"}}}`, "error code"},
		{"request", `{"parameters": {"": {"required": true}}}`, "name of a parameter"},
		{"request", `{"authorization_details": {"max": -1}}`, "authorization_details.max"},
		{"request", `{"authorization_details": {"types": [""]}}`, "authorization_details.types"},
		{"claims", `{"top": {"id_token": {"max": 1}}}`, "claims.top"},
		{"claims", `{"top": {"n": {"min": 2, "max": 1}}}`, "claims.top.n"},
		{"claims", `{"supported": [""]}`, "claims.supported"},
		{"acr", `{"request": "optional"}`, "acr.request"},
		{"acr", `{"unmet": "server_error"}`, "acr.unmet"},
		{"acr", `{"supported": ["a b"]}`, "acr.supported"},
		{"intent", `{}`, "intent"},
		{"intent", `{"scope": "a:", "claim": "b"}`, "intent"},
		{"intent", `{"scope": "a b"}`, "intent.scope"},
		{"intent", `{"claim": "sub"}`, "intent.claim"},
		{"intent", `{"detail": "a..b"}`, "intent.detail"},
		{"token_members", `["access_token"]`, "token_members"},
		{"metadata", `{"example_endpoint": "x", "issuer": "https://other.example"}`, "metadata"},
		{"metadata", `{"example_endpoint": "x", "Issuer": "https://other.example"}`, "metadata"},
	} {
		t.Run(c.member+" "+c.value, func(t *testing.T) {
			var document map[string]json.RawMessage
			require.NoError(t, json.Unmarshal([]byte(whole), &document))
			document[c.member] = json.RawMessage(c.value)
			sources := fmt.Sprintf(`{%q: "§1"}`, c.member)
			for member := range document {
				switch member {
				case "name", "title", "version", "host", "open", "sources", c.member:
				default:
					sources = strings.TrimSuffix(sources, "}") + fmt.Sprintf(`, %q: "§1"}`, member)
				}
			}
			document["sources"] = json.RawMessage(sources)
			changed, err := json.Marshal(document)
			require.NoError(t, err)
			_, err = rules.Parse(changed)
			require.ErrorIs(t, err, rules.ErrRules)
			require.ErrorContains(t, err, c.problem)
		})
	}
}

func TestMalformedDocuments(t *testing.T) {
	for problem, document := range map[string]string{
		"unknown field":    `{"name": "x", "nane": "y"}`,
		"letter case":      `{"name": "x", "Bindings": ["DPoP"]}`,
		"invalid JSON":     `{"name": "x", "name": "x"}`,
		"no source":        `{"name": "x", "bindings": ["DPoP"]}`,
		"path of no":       `{"name": "x", "sources": {"bindings": "§1"}}`,
		"is empty":         `{"name": "x", "bindings": ["DPoP"], "sources": {"bindings": " "}}`,
		"at most 1048576":  `{"name": "` + strings.Repeat("x", 1<<20) + `"}`,
		"cannot unmarshal": `{"name": 1}`,
		"bindings":         `{"name": "x", "bindings": "DPoP", "sources": {"bindings": "§1"}}`,
		"lower-case":       `null`,
	} {
		t.Run(problem, func(t *testing.T) {
			_, err := rules.Parse([]byte(document))
			require.ErrorIs(t, err, rules.ErrRules)
			require.ErrorContains(t, err, problem)
		})
	}
}

func TestSources(t *testing.T) {
	set, err := rules.Parse([]byte(`{"name": "x", "algorithms": {"signing": ["PS256"], "rsa_bits": 2048},
		"sources": {"algorithms.signing": "§1", "algorithms.rsa_bits": "§2"}}`))
	require.NoError(t, err)
	require.Len(t, set.Sources, 2)
	_, err = rules.Parse([]byte(`{"name": "x", "algorithms": {"signing": ["PS256"], "rsa_bits": 2048},
		"sources": {"algorithms.signing": "§1"}}`))
	require.ErrorContains(t, err, "algorithms.rsa_bits: no source")
}

func TestSpan(t *testing.T) {
	for text, c := range map[string]struct {
		span    rules.Span
		nearest time.Duration // to two minutes
	}{
		"any":         {rules.Span{}, 2 * time.Minute},
		"at most 90s": {rules.Span{Max: 90 * time.Second}, 90 * time.Second},
		"at least 1h": {rules.Span{Min: time.Hour}, time.Hour},
		"60s to 90s":  {rules.Span{Min: time.Minute, Max: 90 * time.Second}, 90 * time.Second},
		"2m":          {rules.Span{Min: 2 * time.Minute, Max: 2 * time.Minute}, 2 * time.Minute},
	} {
		require.Equal(t, c.nearest, c.span.Nearest(2*time.Minute), text)
		require.Equal(t, c.nearest == 2*time.Minute, c.span.Contains(2*time.Minute), text)
	}
	require.Equal(t, "at most 1m30s", rules.Span{Max: 90 * time.Second}.String())
	require.Equal(t, "at least 1h", rules.Span{Min: time.Hour}.String())
	require.Equal(t, "1m to 10m", rules.Span{Min: time.Minute, Max: 10 * time.Minute}.String())
}

// FuzzParse checks that a document that is accepted is accepted again after a
// round trip, with the same rules.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(`{"name": "x"}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		set, err := rules.Parse(document)
		if err != nil {
			require.ErrorIs(t, err, rules.ErrRules)
			return
		}
		written, err := json.Marshal(set)
		require.NoError(t, err)
		again, err := rules.Parse(written)
		require.NoError(t, err)
		rewritten, err := json.Marshal(again)
		require.NoError(t, err)
		require.JSONEq(t, string(written), string(rewritten))
	})
}

func TestPermitted(t *testing.T) {
	require.False(t, rules.Permits([]string{"query"}, "jwt"))
	require.False(t, rules.Permits([]string{"query"}, ""))
	require.True(t, rules.Permits([]string{"query"}, "query"))
	require.True(t, rules.Permits(nil, "jwt"), "no rule")
	var all rules.Algorithms
	require.Equal(t, []string{"ES256", "PS256", "EdDSA", "Ed25519"}, all.For(all.UserInfo), "no rule")
	narrow := rules.Algorithms{Signing: []string{"ES256", "PS256"}, UserInfo: []string{"PS256"}}
	require.Equal(t, []string{"PS256"}, narrow.For(narrow.UserInfo))
	require.Equal(t, []string{"ES256", "PS256"}, narrow.For(narrow.IDToken), "the rule for every use")
	require.Equal(t, []string{"ES256", "PS256"}, narrow.For(nil))
	set := rules.Set{MessageSigning: []string{"responses", "introspection", "unknown"}}
	require.Equal(t, profile.SignedResponses|profile.SignedIntrospection, set.Profile())
}
