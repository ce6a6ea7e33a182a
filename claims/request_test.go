package claims_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/claims"
)

// The example of OpenID Connect Core 1.0 §5.5.
const coreExample = `{
   "userinfo": {
     "given_name": {"essential": true},
     "nickname": null,
     "email": {"essential": true},
     "email_verified": {"essential": true},
     "picture": null,
     "http://example.info/claims/groups": null
   },
   "id_token": {
     "auth_time": {"essential": true},
     "acr": {"values": ["urn:mace:incommon:iap:silver"]}
   }
}`

func TestParse(t *testing.T) {
	c, err := claims.Parse(coreExample)
	require.NoError(t, err)
	require.Len(t, c.UserInfo, 6)
	require.True(t, c.UserInfo["given_name"].Essential)
	require.Equal(t, claims.Claim{JSON: json.RawMessage("null")}, c.UserInfo["nickname"])
	require.True(t, c.IDToken["auth_time"].Essential)
	require.Equal(t, []string{"urn:mace:incommon:iap:silver"}, c.IDToken["acr"].Strings())
	require.False(t, c.IDToken["acr"].Essential)
	require.Nil(t, c.Other)

	c, err = claims.Parse(`{"sharing_duration":7776000,"id_token":{"verified_claims":[{"verification":null}],
		"openbanking_intent_id":{"value":"id-1","essential":true,"purpose":"ignored"}},"userinfo":null}`)
	require.NoError(t, err)
	require.Equal(t, map[string]json.RawMessage{"sharing_duration": json.RawMessage("7776000")}, c.Other)
	require.Equal(t, []string{"id-1"}, c.IDToken["openbanking_intent_id"].Strings())
	require.JSONEq(t, `[{"verification":null}]`, string(c.IDToken["verified_claims"].JSON))

	for _, empty := range []string{"", "{}", `{"id_token":{}}`, `{"id_token":null}`} {
		c, err := claims.Parse(empty)
		require.NoError(t, err)
		require.True(t, c.IsZero(), empty)
	}
}

func TestMalformed(t *testing.T) {
	many := make([]string, 257)
	for i := range many {
		many[i] = fmt.Sprintf(`"claim%d":null`, i)
	}
	for name, text := range map[string]string{
		"not JSON":                      `{`,
		"two values":                    `{}{}`,
		"an array":                      `[]`,
		"a text":                        `"id_token"`,
		"a member twice":                `{"id_token":{"acr":null},"id_token":{}}`,
		"members that differ by case":   `{"id_token":{"acr":null},"ID_TOKEN":{}}`,
		"a claim twice":                 `{"id_token":{"acr":null,"acr":{"essential":true}}}`,
		"id_token that is an array":     `{"id_token":["acr"]}`,
		"userinfo that is a text":       `{"userinfo":"email"}`,
		"a claim that is true":          `{"id_token":{"acr":true}}`,
		"a claim that is an array":      `{"id_token":{"acr":["a"]}}`,
		"essential that is a text":      `{"id_token":{"acr":{"essential":"true"}}}`,
		"essential that is null":        `{"id_token":{"acr":{"essential":null}}}`,
		"values that is a text":         `{"id_token":{"acr":{"values":"a"}}}`,
		"values without a value":        `{"id_token":{"acr":{"values":[]}}}`,
		"value and values":              `{"id_token":{"acr":{"value":"a","values":["b"]}}}`,
		"attack: deep nesting":          `{"id_token":{"acr":{"value":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}}}`,
		"attack: too long":              `{"id_token":{"acr":{"value":"` + strings.Repeat("a", 16<<10) + `"}}}`,
		"attack: more than 256 claims":  `{"id_token":{` + strings.Join(many, ",") + `}}`,
		"attack: a text that is secret": `{"id_token":{"acr":{"essential":"secret"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			c, err := claims.Parse(text)
			require.ErrorIs(t, err, claims.ErrMalformed)
			require.True(t, c.IsZero())
			require.NotContains(t, err.Error(), "secret")
		})
	}
	_, err := claims.Parse(`{"id_token":{` + strings.Join(many[1:], ",") + `}}`)
	require.NoError(t, err, "256 claims")
}

func TestRequestedValues(t *testing.T) {
	c, err := claims.Parse(`{"id_token":{"any":null,"one":{"value":{"a":1e1,"b":["x"]}},"some":{"values":[1,"\u0061",null]},
		"acr":{"values":["high"]},"cnpj":{"essential":true,"values":[["1"],["2"]]},"verified_claims":{"claims":{"name":null}}}}`)
	require.NoError(t, err)
	for _, tc := range []struct {
		claim, value string
		accepted     bool
	}{
		{"any", `"x"`, true}, {"any", `{`, false}, {"one", `{"b":["x"],"a":10}`, true}, {"one", `{"a":10}`, false},
		{"some", `"a"`, true}, {"some", `1.0`, true}, {"some", `"1"`, false}, {"some", `null`, true}, {"some", `1e5000`, false},
		{"cnpj", `["2"]`, true}, {"cnpj", `["1","2"]`, false}, {"missing", `1`, true},
	} {
		require.Equal(t, tc.accepted, c.IDToken[tc.claim].Accepts(json.RawMessage(tc.value)), "%s %s", tc.claim, tc.value)
	}
	selected := c.IDToken.Select(map[string]any{
		"any": 7, "one": "x", "some": "a", "cnpj": []string{"1"}, "unrequested": 1, "verified_claims": map[string]any{}, "acr": func() {},
	})
	require.Equal(t, map[string]any{"any": 7, "some": "a", "cnpj": []string{"1"}}, selected)

	response := func(sent map[string]string) error {
		return c.IDToken.Check(func(name string) json.RawMessage {
			if value, ok := sent[name]; ok {
				return json.RawMessage(value)
			}
			return nil
		})
	}
	require.NoError(t, response(map[string]string{"any": `1`, "cnpj": `["1"]`, "some": `null`}))
	require.NoError(t, response(map[string]string{"acr": `"low"`}), "OpenID Connect Core 1.0 §5.5.1.1: it was voluntary")
	require.NoError(t, response(map[string]string{"one": `null`}), "null counts as absent")
	err = response(map[string]string{"cnpj": `["secret"]`})
	require.ErrorIs(t, err, claims.ErrValue)
	require.ErrorContains(t, err, "cnpj")
	require.NotContains(t, err.Error(), "secret")
}

func FuzzParse(f *testing.F) {
	f.Add(coreExample)
	f.Add(`{"id_token":{"a":{"values":[1,{"b":2}]}},"x":[]}`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := claims.Parse(text)
		if err != nil {
			require.ErrorIs(t, err, claims.ErrMalformed)
			require.True(t, c.IsZero())
			return
		}
		if text == "" {
			return
		}
		var reference struct {
			IDToken  map[string]json.RawMessage `json:"id_token"`
			UserInfo map[string]json.RawMessage `json:"userinfo"`
		}
		require.NoError(t, json.Unmarshal([]byte(text), &reference))
		require.Len(t, c.IDToken, len(reference.IDToken))
		require.Len(t, c.UserInfo, len(reference.UserInfo))
		for name, requested := range c.IDToken {
			require.JSONEq(t, string(reference.IDToken[name]), string(requested.JSON))
			for _, value := range requested.Values {
				require.True(t, requested.Accepts(value))
			}
		}
	})
}
