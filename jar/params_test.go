package jar_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/jar"
)

// withJSON has a JSON parameter of its own.
func withJSON(t testing.TB) *server {
	return newServer(t, func(c *jar.VerifierConfig) { c.JSONParameters = []string{"registration"} })
}

func TestParametersInside(t *testing.T) {
	for _, tc := range []struct {
		name, claim string
		want        url.Values
	}{
		{"JAR-4-2 a string", `"state":"\u00e6 \"\\ \u2028"`, url.Values{"state": {"æ \"\\ \u2028"}}},
		{"an unknown parameter", `"x-own":"1"`, url.Values{"x-own": {"1"}}},
		{"an empty one is none", `"state":"","resource":["",""],"nonce":""`, nil},
		{"JAR-4-2 max_age", `"max_age":86400`, url.Values{"max_age": {"86400"}}},
		{"JAR-4-2 max_age of 0", `"max_age":0`, url.Values{"max_age": {"0"}}},
		{"JAR-4-2 max_age as some write it", `"max_age":6.0e1`, url.Values{"max_age": {"60"}}},
		{"RI-2.1-1 one resource", `"resource":"https://a.example"`, url.Values{"resource": {"https://a.example"}}},
		{"RI-2.1-1 one resource in an array", `"resource":["https://a.example"]`, url.Values{"resource": {"https://a.example"}}},
		{"RI-2.1-1 two resources", `"resource":["https://a.example","https://b.example"]`, url.Values{"resource": {"https://a.example", "https://b.example"}}},
		{"no resources", `"resource":[]`, nil},
		{"RAR-3-1 authorization_details", `"authorization_details":[ {"type" : "a<b", "n": 1.0 } ]`, url.Values{"authorization_details": {`[{"type":"a<b","n":1.0}]`}}},
		{"CASES F3: authorization_details as a string", `"authorization_details":"[ {\"type\":\"a\"} ]"`, url.Values{"authorization_details": {`[{"type":"a"}]`}}},
		{"CASES F3: claims as a string", `"claims":"{\"userinfo\":{}}"`, url.Values{"claims": {`{"userinfo":{}}`}}},
		{"CASES F3: empty strings", `"claims":"","authorization_details":""`, nil},
		{"CASES C4: nulls", `"state":null,"nonce":null,"claims":null,"max_age":null,"resource":null,"authorization_details":null,"registration":null,"jti":null,"iss":null,"iat":null,"sub":null`, nil},
		{"CASES G11: GM-5.2-11 nulls", `"grant_management_action":null,"grant_id":null`, nil},
		{"claims", `"claims":{ "id_token": {"acr":null} }`, url.Values{"claims": {`{"id_token":{"acr":null}}`}}},
		{"JSON by configuration", `"registration":{ "a": [1, true] }`, url.Values{"registration": {`{"a":[1,true]}`}}},
		{"JAR-4-2 a number by configuration", `"registration": 1e3`, url.Values{"registration": {`1e3`}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := withJSON(t)
			now := s.clock.Now().Unix()
			payload := fmt.Sprintf(`{"client_id":%q,"aud":%q,"nbf":%d,"exp":%d,%s}`, clientID, issuer, now, now+60, tc.claim)
			for name, verify := range s.entries() {
				r, err := verify(t.Context(), s.client, form(testkit.SignJWS(t, goodHeader, payload, testkit.ECKey(t, clientID))))
				require.NoError(t, err, name)
				want := url.Values{"client_id": {clientID}}
				for parameter, values := range tc.want {
					want[parameter] = values
				}
				require.Equal(t, want, r.Params(), name)
			}
		})
	}
}

// RFC 6749 §3.1 has unknown parameters ignored, and RFC 7519 §4 unknown claims.
func TestUnknownClaimsInside(t *testing.T) {
	for name, value := range map[string]any{
		"a number": 1.5, "a boolean": true, "null": (*int)(nil), "an object": obj{"a": 1}, "an array": []string{"a"},
	} {
		t.Run("JAR-6.3-1 "+name, func(t *testing.T) {
			s := withJSON(t)
			got, err := s.Verifier.Check(t.Context(), s.client, form(s.object(t, obj{"x-own": value, "txn": value})))
			require.NoError(t, err)
			require.False(t, got.Params().Has("x-own"))
			require.False(t, got.Params().Has("txn"))
			require.NotEmpty(t, got.Params().Get("client_id"))
			if value == any((*int)(nil)) {
				require.Empty(t, got.Dropped(), "nothing is lost with a null")
				return
			}
			require.Equal(t, []string{"txn", "x-own"}, got.Dropped())
		})
	}
}

func TestParametersInsideRefused(t *testing.T) {
	many := obj{}
	for i := range 256 {
		many[fmt.Sprint("p", i)] = "1"
	}
	for _, tc := range []struct {
		name   string
		change obj
	}{
		{"JAR-4-2 a number in the place of a string", obj{"state": 1}},
		{"JAR-4-2 a boolean", obj{"state": true}},
		{"JAR-4-2 an array of strings", obj{"scope": []string{"a", "b"}}},
		{"JAR-4-2 an object", obj{"redirect_uri": obj{"a": 1}}},
		{"JAR-4-2 a number that is a PKCE challenge", obj{"code_challenge": 1}},
		{"JAR-4-2 a nonce in an array", obj{"nonce": []string{"a"}}},
		{"JAR-4-2 a boolean for a key's thumbprint", obj{"dpop_jkt": true}},
		{"JAR-4-2 max_age as a string", obj{"max_age": "86400"}},
		{"JAR-4-2 a negative max_age", obj{"max_age": -1}},
		{"JAR-4-2 half a second", obj{"max_age": 0.5}},
		{"JAR-4-2 max_age beyond exact numbers", obj{"max_age": 1e300}},
		{"CASES G11: GM-5.2-11 a grant_management_action that is a number", obj{"grant_management_action": 1}},
		{"CASES G11: GM-5.2-11 a grant_management_action in an array", obj{"grant_management_action": []string{"create"}}},
		{"CASES G11: GM-5.2-11 a grant_id in an array", obj{"grant_id": []string{"a"}}},
		{"CASES G11: GM-5.2-11 a grant_id that is an object", obj{"grant_id": obj{}}},
		{"RI-2.1-1 a number among resources", obj{"resource": []any{"https://a.example", 1}}},
		{"RI-2.1-1 an object as resource", obj{"resource": obj{}}},
		{"CASES F3: RAR-3-1 authorization_details as a string with an object", obj{"authorization_details": `{"type":"a"}`}},
		{"CASES F3: RAR-3-1 authorization_details as a string with a member twice", obj{"authorization_details": `[{"type":"a","type":"b"}]`}},
		{"CASES F3: authorization_details as a string within a string", obj{"authorization_details": `"[]"`}},
		{"CASES F3: authorization_details as a string that is not JSON", obj{"authorization_details": "payment"}},
		{"RAR-3-1 authorization_details as an object", obj{"authorization_details": obj{"type": "a"}}},
		{"CASES F3: claims as a string with an array", obj{"claims": `[]`}},
		{"claims as an array", obj{"claims": []int{}}},
		{"JSON by configuration as a string", obj{"registration": "{}"}},
		{"a NUL, which no form may have", obj{"state": "a\x00b"}},
		{"more parameters than a form may have", many},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := withJSON(t)
			s.requireRefused(t, jar.ErrParameter, form(s.object(t, tc.change)))
			require.Empty(t, s.fetches, "no key is asked for")
			if len(tc.change) > 1 || strings.HasPrefix(tc.name, "a NUL") {
				return
			}
			_, err := s.Check(t.Context(), s.client, form(s.object(t, tc.change)))
			for name := range tc.change {
				_, description, _ := testkit.Wire(t, err)
				require.Contains(t, description, name, "CASES F3: the client reads which parameter it is")
				require.ErrorContains(t, err, name)
			}
		})
	}
	t.Run("nested members that repeat", func(t *testing.T) {
		s := newServer(t)
		s.requireRefused(t, jar.ErrMalformed, form(testkit.SignJWS(t, goodHeader, `{"authorization_details":[{"amount":"1","amount":"2"}]}`, testkit.ECKey(t, clientID))))
	})
	t.Run("nesting without end", func(t *testing.T) {
		s := newServer(t)
		s.requireRefused(t, jar.ErrMalformed, form(testkit.SignJWS(t, goodHeader, `{"claims":`+strings.Repeat(`{"a":`, 5000)+`1`+strings.Repeat(`}`, 5001), testkit.ECKey(t, clientID))))
	})
}
