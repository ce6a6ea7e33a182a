package authserver_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gofapi/fapi2/profile/authserver"
	"github.com/gofapi/fapi2/profile/rules"
	"github.com/stretchr/testify/require"
)

func parameter(name string, rule rules.Parameter) rules.Set {
	return rules.Set{Request: rules.Request{Parameters: map[string]rules.Parameter{name: rule}}}
}

// What the parameters of a request may be, in a form and in a request object.
func TestRulesOfParameters(t *testing.T) {
	purpose := parameter("purpose", rules.Parameter{Required: true, MinLength: 3, MaxLength: 300})
	hangul := func(n int) string { return strings.Repeat("한", n) }
	for _, tc := range []struct {
		name   string
		set    rules.Set
		fields []string
		code   string
	}{
		{"a missing parameter", purpose, nil, "invalid_request"},
		{"an empty parameter", purpose, []string{"purpose", ""}, "invalid_request"},
		{"2 characters", purpose, []string{"purpose", hangul(2)}, "invalid_request"},
		{"3 characters", purpose, []string{"purpose", hangul(3)}, ""},
		{"280 characters of three bytes each", purpose, []string{"purpose", hangul(280)}, ""},
		{"300 characters", purpose, []string{"purpose", hangul(300)}, ""},
		{"301 characters", purpose, []string{"purpose", hangul(301)}, "invalid_request"},
		{"an optional parameter that is absent", parameter("purpose", rules.Parameter{MinLength: 3}), nil, ""},
		{"a forbidden parameter", parameter("id_token_hint", rules.Parameter{Forbidden: true}), []string{"id_token_hint", "x"}, "invalid_request"},
		{"no forbidden parameter", parameter("id_token_hint", rules.Parameter{Forbidden: true}), nil, ""},
		{"a value that is not permitted", parameter("prompt", rules.Parameter{Values: []string{"login", "consent"}}), []string{"prompt", "none"}, "invalid_request"},
		{"a permitted value", parameter("prompt", rules.Parameter{Values: []string{"login", "consent"}}), []string{"prompt", "consent"}, ""},
		{"a code of its own", parameter("purpose", rules.Parameter{Required: true, Error: "invalid_purpose"}), nil, "invalid_purpose"},
		{"one of two resources", parameter("resource", rules.Parameter{Values: []string{"https://other-api.example"}}),
			[]string{"resource", "https://third-api.example"}, "invalid_request"},
		{"a missing scope", rules.Set{Request: rules.Request{Scopes: []string{"accounts", "payments"}}}, nil, "invalid_scope"},
		{"all scopes", rules.Set{Request: rules.Request{Scopes: []string{"accounts", "payments"}}}, []string{"scope", "payments accounts"}, ""},
	} {
		for form, push := range map[string]func(*world, string) url.Values{"plain": pushWith(tc.fields...), "signed": pushSigned(nil, tc.fields...)} {
			t.Run(tc.name+", "+form, func(t *testing.T) {
				eachRuled(t, tc.set, func(t *testing.T, w *world) {
					got := w.send(w.parURL(), push(w, "client-1"))
					require.Equal(t, tc.code, got.code, "%v", got.body)
					if description, _ := got.body["error_description"].(string); got.code == "invalid_request" {
						require.Less(t, len(description), 100)
						require.NotContains(t, description, "한한")
					}
				})
			})
		}
	}
}

// The rules may change before the browser arrives. The client receives their code.
func TestRulesOfParametersAgain(t *testing.T) {
	var set rules.Set
	w := newWorld(t, ruledFor("client-1", &set))
	target := w.authorizationURL("client-1", w.pushForm("client-1"))
	set = parameter("purpose", rules.Parameter{Required: true, Error: "invalid_purpose"})
	require.Equal(t, "invalid_purpose", w.browse(target).Get("error"))
}

func TestRulesOfPushForm(t *testing.T) {
	set := rules.Set{Request: rules.Request{PushForm: []string{"request", "client_assertion", "client_assertion_type"}}}
	eachRuled(t, set, func(t *testing.T, w *world) {
		require.Equal(t, "invalid_request", w.send(w.parURL(), w.pushForm("client-1")).code, "an unsigned request")
		form := w.signed("client-1", w.pushForm("client-1"))
		form.Set("client_id", "client-1")
		require.Equal(t, "invalid_request", w.send(w.parURL(), form).code)
		form.Del("client_id")
		require.Equal(t, http.StatusCreated, w.send(w.parURL(), form).status, "the rejection consumed nothing")
	})
}

// A link with further parameters shows a page, and the request remains.
func TestRulesOfFrontChannel(t *testing.T) {
	set := rules.Set{Request: rules.Request{FrontChannel: []string{"client_id", "request_uri"}}}
	eachRuled(t, set, func(t *testing.T, w *world) {
		target := w.authorizationURL("client-1", w.pushForm("client-1"))
		u, err := url.Parse(target)
		require.NoError(t, err)
		query := u.Query()
		query.Set("scope", "accounts")
		page := w.visit(target + "&scope=accounts")
		page.Body.Close()
		require.Equal(t, http.StatusBadRequest, page.StatusCode)
		posted := w.postForm(w.asHTTP.URL+"/authorize", "application/x-www-form-urlencoded", query.Encode())
		require.Equal(t, http.StatusBadRequest, posted.StatusCode)
		require.NotEmpty(t, w.browse(target).Get("code"))
	})
	w := newWorld(t, ruledFor("client-1", &set))
	require.NotEmpty(t, w.browse(w.authorizationURL("client-2", w.pushForm("client-2"))+"&scope=accounts").Get("code"), "the rules of another client")
	response := w.visit(w.asHTTP.URL + "/authorize?client_id=nobody&request_uri=urn:x&scope=y")
	response.Body.Close()
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
}

func TestRulesOfDetails(t *testing.T) {
	for _, tc := range []struct {
		name    string
		rule    rules.AuthorizationDetails
		details string
		code    string
	}{
		{"no details", rules.AuthorizationDetails{Required: true}, "", "invalid_authorization_details"},
		{"a detail", rules.AuthorizationDetails{Required: true, Max: 1, Types: []string{"payment"}}, payACME, ""},
		{"another type", rules.AuthorizationDetails{Types: []string{"account"}}, join(readOnly, payACME), "invalid_authorization_details"},
		{"too many details", rules.AuthorizationDetails{Max: 1}, join(readOnly, payACME), "invalid_authorization_details"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set := rules.Set{Name: "test", Request: rules.Request{AuthorizationDetails: tc.rule}}
			w := newRichWorld(t, ruledFor("client-1", &set))
			form := w.pushForm("client-1")
			if tc.details != "" {
				form.Set("authorization_details", tc.details)
			}
			got := w.send(w.parURL(), form)
			require.Equal(t, tc.code, got.code, "%v", got.body)
		})
	}
}

// The host has to provide the members of its ecosystem.
func TestRulesOfTokenMembers(t *testing.T) {
	eachRuled(t, rules.Set{TokenMembers: []string{"cdr_arrangement_id"}}, func(t *testing.T, w *world) {
		a := w.load("client-1", w.pushForm("client-1"))
		approval := authserver.Approval{Subject: "alice", Scopes: a.Scopes()}
		_, err := w.as.Approve(t.Context(), a, approval)
		require.ErrorContains(t, err, "without cdr_arrangement_id")
		approval.TokenMembers = map[string]json.RawMessage{"cdr_arrangement_id": json.RawMessage(" null")}
		_, err = w.as.Approve(t.Context(), a, approval)
		require.ErrorContains(t, err, "without cdr_arrangement_id", "null counts as absent")
		approval.TokenMembers = map[string]json.RawMessage{"cdr_arrangement_id": json.RawMessage(`"a-1"`)}
		tokens := w.send(w.tokenURL(), w.codeForm("client-1", w.approve(a, approval)), w.tokenProof("d"))
		require.Equal(t, "a-1", tokens.body["cdr_arrangement_id"])
	})
}
