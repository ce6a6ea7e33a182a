package client_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/claims"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/client"
	"github.com/stretchr/testify/require"
)

func TestRequiredClaims(t *testing.T) {
	p := newPeer(t)
	p.metadata = func(m map[string]any) { m["revocation_endpoint"] = p.as.URL + "/revoke" }
	c := p.client()
	nonce, extra := "", ""
	p.token = func(w http.ResponseWriter, _ *http.Request) {
		now := p.clock.Now().Unix()
		idToken := testkit.SignJWS(t, `{"alg":"ES256","kid":"k1"}`, fmt.Sprintf(
			`{"iss":%q,"aud":"c-1","sub":"alice","iat":%d,"exp":%d,"nonce":%q%s}`, p.as.URL, now, now+300, nonce, extra),
			testkit.ECKey(t, "peer"))
		reply(w, 200, map[string]any{"access_token": "at-1", "refresh_token": "rt-1", "token_type": "DPoP", "id_token": idToken})
	}
	const (
		intent    = `{"id_token":{"openbanking_intent_id":{"value":"i-1","essential":true}}}`
		acr       = `{"id_token":{"acr":{"essential":true,"values":["sca","ca"]}}}`
		subject   = `{"id_token":{"sub":{"value":"alice"},"acr":null,"txn":{"essential":true}}}`
		number    = `{"id_token":{"amount":{"value":1.50}}}`
		structure = `{"id_token":{"address":{"value":{"a":1,"b":[true]}}}}`
	)
	for _, row := range []struct{ name, request, idToken, want string }{
		{"the value", intent, `,"openbanking_intent_id":"i-1"`, ""},
		{"another value", intent, `,"openbanking_intent_id":"i-2"`, `"openbanking_intent_id"`},
		{"another type", intent, `,"openbanking_intent_id":["i-1"]`, `"openbanking_intent_id"`},
		{"no claim", intent, ``, `"openbanking_intent_id"`},
		{"null", intent, `,"openbanking_intent_id":null`, `"openbanking_intent_id"`},
		{"one of the values", acr, `,"acr":"ca"`, ""},
		{"none of the values", acr, `,"acr":"pwd"`, `"acr"`},
		{"no essential claim with values", acr, ``, `"acr"`},
		{"the user", subject, ``, ""},
		{"another user", `{"id_token":{"sub":{"value":"bob"}}}`, ``, `"sub"`},
		{"a voluntary claim with values", `{"id_token":{"acr":{"values":["sca"]}}}`, `,"acr":"pwd"`, ""},
		{"a claim of UserInfo", `{"userinfo":{"name":{"value":"A"}}}`, ``, ""},
		{"the number", number, `,"amount":1.50`, ""},
		{"a number spelled differently", number, `,"amount":1.5`, ""}, {"another number", number, `,"amount":15`, `"amount"`},
		{"the object in another order", structure, `,"address":{"b":[true],"a":1}`, ""},
		{"no claims requested", ``, ``, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			session, err := c.Begin(t.Context(), client.Request{
				Scopes: []string{"openid"}, Params: url.Values{"claims": {row.request}},
			})
			require.NoError(t, err)
			nonce, extra = session.Nonce, row.idToken
			revoked := len(p.messages("/revoke"))
			token, err := c.Finish(t.Context(), session, callback(session))
			if row.want == "" {
				require.NoError(t, err)
				return
			}
			require.Nil(t, token)
			require.ErrorIs(t, err, claims.ErrValue)
			require.ErrorIs(t, err, client.ErrTokenResponse)
			require.ErrorContains(t, err, row.want)
			require.NotContains(t, err.Error(), "i-")
			require.Len(t, p.messages("/revoke"), revoked+1, "the tokens are revoked")
		})
	}
	pushed := len(p.messages("/par"))
	for name, request := range map[string]string{
		"not JSON": `{`, "an array": `[]`, "id_token of another type": `{"id_token":1}`,
		"a claim of another type": `{"id_token":{"acr":"sca"}}`, "values of another type": `{"id_token":{"acr":{"essential":true,"values":"a"}}}`,
		"essential of another type": `{"id_token":{"acr":{"essential":"true"}}}`, "a name twice": `{"id_token":{},"id_token":{}}`,
		"too long": `{"id_token":{"acr":{"value":"` + strings.Repeat("a", 2000) + `"}}}`,
	} {
		_, err := c.Begin(t.Context(), client.Request{Scopes: []string{"openid"}, Params: url.Values{"claims": {request}}})
		require.ErrorContains(t, err, "client: ", name)
	}
	_, err := c.Begin(t.Context(), client.Request{Scopes: []string{"a"}, Params: url.Values{"claims": {intent}}})
	require.ErrorContains(t, err, "without scope openid")
	require.Len(t, p.messages("/par"), pushed)
}
