package introspection_test

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/introspection"
)

func question(form string, accept ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "https://as.example.com/introspect?token=of-the-url", strings.NewReader(form))
	r.Header.Set("Content-Type", formType)
	r.Header["Accept"] = accept
	return r
}

func TestParseRequest(t *testing.T) {
	t.Run("INT-7662-2-1 token and hint", func(t *testing.T) {
		req, err := introspection.ParseRequest(question("token=a%2Bb&token_type_hint=refresh_token&client_assertion=x&x=y"))
		require.NoError(t, err)
		require.Equal(t, introspection.Request{Token: "a+b", TokenTypeHint: "refresh_token", Form: url.Values{
			"token": {"a+b"}, "token_type_hint": {"refresh_token"}, "client_assertion": {"x"}, "x": {"y"},
		}}, req)
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			require.NotContains(t, fmt.Sprintf(format, req), "a+b")
		}
		require.NotContains(t, req.LogValue().String(), "a+b")
	})
	for _, tc := range []struct {
		name   string
		r      *http.Request
		status int
	}{
		{"INT-7662-2-1 no token", question("token_type_hint=access_token"), 400},
		{"INT-7662-2-1 an empty token", question("token="), 400},
		{"INT-7662-2-1 two tokens", question("token=a&token=b"), 400},
		{"INT-7662-2-1 two hints", question("token=a&token_type_hint=b&token_type_hint=c"), 400},
		{"INT-7662-2-1 GET", httptest.NewRequest(http.MethodGet, "/introspect?token=a", nil), 405},
		{"INT-7662-2-1 JSON", func() *http.Request {
			r := question(`{"token":"a"}`)
			r.Header.Set("Content-Type", "application/json")
			return r
		}(), 400},
		{"a flood", question("token=" + strings.Repeat("a", 1<<20)), 413},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req, err := introspection.ParseRequest(tc.r)
			require.Error(t, err)
			require.Zero(t, req)
			w := httptest.NewRecorder()
			newResponder(t, nil).WriteError(w, err)
			require.Equal(t, tc.status, w.Code)
			require.Equal(t, "application/json", w.Header().Get("Content-Type"))
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			require.Contains(t, w.Body.String(), `"error":"invalid_request"`)
			require.Equal(t, tc.status == 405, w.Header().Get("Allow") == "POST")
		})
	}
}

func TestAccept(t *testing.T) {
	for _, tc := range []struct {
		accept []string
		want   bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{mediaJWT}, true},
		{[]string{"Application/Token-Introspection+JWT"}, true},
		{[]string{"*/*"}, false},
		{[]string{"application/*"}, false},
		{[]string{"application/json"}, false},
		{[]string{"application/jwt"}, false},
		{[]string{"application/json, " + mediaJWT}, true},
		{[]string{"application/json", mediaJWT}, true},
		{[]string{mediaJWT + ";q=0"}, false},
		{[]string{mediaJWT + ";q=0.000, */*"}, false},
		{[]string{mediaJWT + ";q=0.5, application/json"}, false},
		{[]string{mediaJWT + ";q=0.5, application/json;q=0.5"}, true},
		{[]string{mediaJWT + ";q=0.5, application/json;q=0.4, */*"}, true},
		{[]string{mediaJWT + "; q=0.5 , */*;q=0.8"}, false},
		{[]string{mediaJWT + ";q=0.5, application/*;q=0.4, */*;q=0.8"}, true},
		{[]string{mediaJWT + ";q=2"}, false},
		{[]string{mediaJWT + ";q=NaN"}, false},
		{[]string{mediaJWT + ";q=x"}, false},
		{[]string{";;, , " + mediaJWT}, true},
		{[]string{mediaJWT + "x"}, false},
	} {
		t.Run(fmt.Sprintf("INT-9701-4-1 %q", tc.accept), func(t *testing.T) {
			req, err := introspection.ParseRequest(question("token=a", tc.accept...))
			require.NoError(t, err)
			require.Equal(t, tc.want, req.WantsJWT)
		})
	}
}

// payload reads what was signed, after checking the signature.
func payload(t testing.TB, jwt string, alg string, key crypto.PublicKey) (header, claims map[string]any) {
	t.Helper()
	c, err := jose.Split(jwt, 1<<20)
	require.NoError(t, err)
	require.NoError(t, c.Verify(alg, key))
	for segment, to := range map[string]*map[string]any{c.Header: &header, c.Payload: &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(segment)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(raw, to))
	}
	return header, claims
}

func TestAnswerSigned(t *testing.T) {
	keys := map[string]crypto.Signer{"ES256": testkit.ECKey(t, "as"), "EdDSA": testkit.Ed25519Key(t, "as"), "PS256": testkit.RSAKey(t, "as")}
	for alg, key := range keys {
		t.Run("MS-5.5.1-1 INT-9701-5-1 INT-9701-5-2 "+alg, func(t *testing.T) {
			s := newResponder(t, func(c *introspection.ResponderConfig) { c.Key, c.KeyID = key, "k1" })
			require.Equal(t, alg, s.Algorithm())
			w := httptest.NewRecorder()
			w.Header().Set("Content-Length", "3")
			require.NoError(t, s.Write(w, introspection.Request{WantsJWT: true}, caller, active()))
			require.Equal(t, 200, w.Code)
			require.Equal(t, []string{mediaJWT}, w.Header()["Content-Type"])
			require.Equal(t, []string{"no-store"}, w.Header()["Cache-Control"])
			require.Empty(t, w.Header()["Content-Length"])
			header, claims := payload(t, w.Body.String(), alg, key.Public())
			require.Equal(t, map[string]any{"alg": alg, "typ": typ, "kid": "k1"}, header)
			require.Equal(t, map[string]any{ // and no sub, no exp: INT-9701-5-4
				"iss": issuer, "aud": rs, "iat": float64(t0.Unix()), "token_introspection": map[string]any{
					"active": true, "iss": issuer, "sub": "alice", "aud": api, "client_id": "fintech", "exp": float64(t0.Unix() + 300),
					"jti": "id-1", "scope": "accounts payments", "token_type": "DPoP", "cnf": map[string]any{"jkt": jkt},
				},
			}, claims, "INT-9701-5-4")
		})
	}
	t.Run("INT-9701-8.1-1 JWT-3.12-1 it has not the type of an access token, nor the claims of one", func(t *testing.T) {
		_, body, err := newResponder(t, nil).Answer(caller, true, active())
		require.NoError(t, err)
		c, err := jose.Split(string(body), 1<<20)
		require.NoError(t, err)
		h, err := c.ParseHeader()
		require.NoError(t, err)
		require.False(t, h.IsType("at+jwt"))
		claims, err := c.Claims()
		require.NoError(t, err)
		for _, name := range []string{"sub", "exp", "client_id", "jti", "cnf", "scope"} {
			require.False(t, claims.Has(name), name)
		}
	})
}

func TestAnswerIsInactive(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*introspection.Response)
		rs     introspection.ResourceServer
	}{
		{"INT-7662-2.2-2 unknown", func(r *introspection.Response) { *r = introspection.Response{} }, caller},
		{"INT-7662-2.2-2b INT-9701-5-3 revoked, whatever else there is", func(r *introspection.Response) { r.Active, r.Extra = false, map[string]any{"x": 1} }, caller},
		{"INT-7662-4-1 expired now", func(r *introspection.Response) { r.Expires = t0 }, caller},
		{"INT-7662-4-1 expires within this second", func(r *introspection.Response) { r.Expires = t0.Add(999 * time.Millisecond) }, caller},
		{"INT-7662-4-1 not yet valid", func(r *introspection.Response) { r.NotBefore = t0.Add(time.Second) }, caller},
		{"INT-9701-3-1 for another resource server", func(r *introspection.Response) { r.Audience = []string{"https://other.example.com"} }, caller},
		{"INT-9701-3-1 for nobody", func(r *introspection.Response) { r.Audience = nil }, caller},
		{"MS-6.2-1 an ordinary client asks", func(*introspection.Response) {}, introspection.ResourceServer{ID: "fintech"}},
		{"MS-6.2-1 an ordinary client whom the token names", func(r *introspection.Response) { r.Audience = []string{"fintech"} }, introspection.ResourceServer{ID: "fintech"}},
		{"MS-6.2-1 nothing equals nothing", func(r *introspection.Response) { r.Audience = []string{""} }, introspection.ResourceServer{ID: rs, Audience: []string{""}}},
		{"INT-7662-2.2-2 even if it could not be told", func(r *introspection.Response) { r.Active, r.Scope, r.JKT = false, `"`, "" }, caller},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp := active()
			tc.change(&resp)
			s := newResponder(t, nil)
			mediaType, body, err := s.Answer(tc.rs, false, resp)
			require.NoError(t, err)
			require.Equal(t, "application/json", mediaType)
			require.Equal(t, `{"active":false}`, string(body))
			w := httptest.NewRecorder()
			require.NoError(t, s.Write(w, introspection.Request{WantsJWT: true}, tc.rs, resp))
			require.Equal(t, 200, w.Code)
			_, claims := payload(t, w.Body.String(), "ES256", testkit.ECKey(t, "as").Public())
			require.Equal(t, map[string]any{
				"iss": issuer, "aud": tc.rs.ID, "iat": float64(t0.Unix()), "token_introspection": map[string]any{"active": false},
			}, claims)
		})
	}
}

func TestAnswerPlain(t *testing.T) {
	all := active()
	all.Audience = []string{"https://other.example.com", api}
	all.X5TS256, all.Username, all.ACR, all.AMR = x5t, "alice@example.com", "urn:strong", []string{"hwk"}
	all.IssuedAt, all.NotBefore, all.AuthTime = t0, t0, t0.Add(-time.Hour)
	all.AuthorizationDetails = json.RawMessage(`[{"type":"account"}]`)
	all.GrantID = "grant-1"
	all.Extra = map[string]any{"grant": "a&b"}
	certificate := active()
	certificate.JKT, certificate.X5TS256 = "", x5t
	mayKnow := caller
	mayKnow.Scopes = []string{"payments", "more"}
	nothing := caller
	nothing.Scopes = []string{}
	refresh := introspection.Response{
		Active: true, RefreshToken: true, Audience: []string{api}, Expires: t0.Add(time.Hour), Scope: "accounts", Subject: "alice",
		Extra: map[string]any{"cdr_arrangement_id": "a-1"},
	}
	for _, tc := range []struct {
		name string
		rs   introspection.ResourceServer
		resp introspection.Response
		want string
	}{
		{"INT-7662-2.2-1 DPOP-6.2-1 MTLS-3.2-1 SU-6.2-1 RAR-9.2-1 all there is", caller, all, `{"active":true,"iss":"https://as.example.com","sub":"alice",` +
			`"aud":["https://other.example.com","https://api.example.com"],"client_id":"fintech","username":"alice@example.com","token_type":"DPoP","iat":1800000000,"nbf":1800000000,` +
			`"exp":1800000300,"jti":"id-1","scope":"accounts payments","cnf":{"jkt":"` + jkt + `","x5t#S256":"` + x5t + `"},"auth_time":1799996400,"acr":"urn:strong","amr":["hwk"],` +
			`"authorization_details":[{"type":"account"}],"grant_id":"grant-1","grant":"a&b"}`},
		{"MTLS-3.2-1 a certificate, with which the type is Bearer", caller, certificate, `{"active":true,"iss":"https://as.example.com","sub":"alice","aud":"https://api.example.com",` +
			`"client_id":"fintech","token_type":"Bearer","exp":1800000300,"jti":"id-1","scope":"accounts payments","cnf":{"x5t#S256":"` + x5t + `"}}`},
		{"INT-9701-5-5 INT-7662-2.2-3 only scope values that concern the resource server", mayKnow, certificate, `{"active":true,"iss":"https://as.example.com","sub":"alice","aud":"https://api.example.com",` +
			`"client_id":"fintech","token_type":"Bearer","exp":1800000300,"jti":"id-1","scope":"payments","cnf":{"x5t#S256":"` + x5t + `"}}`},
		{"a refresh token of the caller", caller, refresh, `{"active":true,"exp":1800003600,"scope":"accounts","cdr_arrangement_id":"a-1"}`},
		{"INT-9701-5-5 none of them", nothing, certificate, `{"active":true,"iss":"https://as.example.com","sub":"alice","aud":"https://api.example.com",` +
			`"client_id":"fintech","token_type":"Bearer","exp":1800000300,"jti":"id-1","cnf":{"x5t#S256":"` + x5t + `"}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mediaType, body, err := newResponder(t, nil).Answer(tc.rs, false, tc.resp)
			require.NoError(t, err)
			require.Equal(t, "application/json", mediaType)
			require.Equal(t, tc.want, string(body))
		})
	}
}

func TestAnswerRequiresJWT(t *testing.T) {
	registered := caller
	registered.RequireJWT = true
	keyless := newResponder(t, func(c *introspection.ResponderConfig) { c.Key = nil })
	require.Empty(t, keyless.Algorithm())
	always := newResponder(t, func(c *introspection.ResponderConfig) { c.RequireJWT = true })
	for _, tc := range []struct {
		name     string
		s        *introspection.Responder
		rs       introspection.ResourceServer
		wantsJWT bool
		want     string
	}{
		{"MS-5.5.1-1 asked for", newResponder(t, nil), caller, true, mediaJWT},
		{"not asked for", newResponder(t, nil), caller, false, "application/json"},
		{"MS-5.5.1-1 registered, though not asked for", newResponder(t, nil), registered, false, mediaJWT},
		{"MS-5.5.1-1 for all, though not asked for", always, caller, false, mediaJWT},
		{"no key", keyless, caller, true, "application/json"},
		{"MS-5.5.1-1 registered and no key", keyless, registered, true, ""},
	} {
		for _, resp := range []introspection.Response{active(), {}} {
			t.Run(fmt.Sprint(tc.name, ", active ", resp.Active), func(t *testing.T) {
				w := httptest.NewRecorder()
				err := tc.s.Write(w, introspection.Request{WantsJWT: tc.wantsJWT}, tc.rs, resp)
				if tc.want == "" {
					require.Error(t, err)
					require.Equal(t, 500, w.Code)
					require.Equal(t, `{"error":"server_error"}`, w.Body.String())
					return
				}
				require.NoError(t, err)
				require.Equal(t, tc.want, w.Header().Get("Content-Type"))
			})
		}
	}
}

func TestUnauthenticated(t *testing.T) {
	failed := wireError{"invalid_client", 401}
	keyless := newResponder(t, func(c *introspection.ResponderConfig) { c.Key = nil })
	for _, tc := range []struct {
		name   string
		s      *introspection.Responder
		req    introspection.Request
		err    error // nil: nobody asks
		status int
		code   string
	}{
		{"INT-9701-4-2 INT-9701-5-7 nobody wants a JWT", newResponder(t, nil), introspection.Request{WantsJWT: true}, nil, 400, "invalid_client"},
		{"INT-9701-4-2 INT-9701-5-7 nobody wants JSON: no way down", newResponder(t, nil), introspection.Request{}, nil, 400, "invalid_client"},
		{"INT-9701-5-7 bad credentials", newResponder(t, nil), introspection.Request{}, failed, 400, "invalid_client"},
		{"INT-7662-2.1-1 nobody, without signatures", keyless, introspection.Request{}, nil, 401, "invalid_client"},
		{"INT-7662-2.3-1 bad credentials, without signatures", keyless, introspection.Request{WantsJWT: true}, failed, 401, "invalid_client"},
		{"what is unavailable stays so", newResponder(t, nil), introspection.Request{}, wireError{"server_error", 503}, 503, "server_error"},
		{"a status that is none", keyless, introspection.Request{}, wireError{"x\"y", 200}, 500, "x?y"},
		{"an error that says nothing", keyless, introspection.Request{}, errors.New("redis: secret"), 500, "server_error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			if tc.err == nil {
				require.ErrorIs(t, tc.s.Write(w, tc.req, introspection.ResourceServer{Audience: []string{api}}, active()), introspection.ErrUnauthenticated)
			} else {
				tc.s.WriteError(w, tc.err)
			}
			require.Equal(t, tc.status, w.Code)
			var body struct{ Error string }
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
			require.Equal(t, tc.code, body.Error)
			require.NotContains(t, w.Body.String(), "active")
			require.NotContains(t, w.Body.String(), "secret")
		})
	}
}

type wireError struct {
	code   string
	status int
}

func (e wireError) Error() string                          { return "local" }
func (e wireError) OAuthError() (code, description string) { return e.code, "" }
func (e wireError) HTTPStatus() int                        { return e.status }

func TestAnswerRefusesMistakes(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*introspection.Response)
	}{
		{"no Expires", func(r *introspection.Response) { r.Expires = time.Time{} }},
		{"DPOP-6.2-1 MTLS-3.2-1 bound to nothing", func(r *introspection.Response) { r.JKT = "" }},
		{"DPOP-6.2-1 a JKT that is none", func(r *introspection.Response) { r.JKT = jkt[1:] }},
		{"DPOP-6.2-1 a JKT with padding", func(r *introspection.Response) { r.JKT = jkt[1:] + "=" }},
		{"MTLS-3.2-1 an X5TS256 that is none", func(r *introspection.Response) { r.X5TS256 = "x" }},
		{"DPOP-6.2-1 Bearer with a DPoP key", func(r *introspection.Response) { r.TokenType = "Bearer" }},
		{"DPOP-6.2-1 DPoP with a certificate", func(r *introspection.Response) { r.JKT, r.X5TS256, r.TokenType = "", x5t, "DPoP" }},
		{"an empty Audience beside", func(r *introspection.Response) { r.Audience = append(r.Audience, "") }},
		{"a Subject that is not UTF-8", func(r *introspection.Response) { r.Subject = "\xff" }},
		{"two halves of a character", func(r *introspection.Response) { r.Subject, r.ClientID = "\xc3", "\xa4" }},
		{"an AMR that is not UTF-8", func(r *introspection.Response) { r.AMR = []string{"\xff"} }},
		{"an Audience that is not UTF-8", func(r *introspection.Response) { r.Audience = append(r.Audience, "\xff") }},
		{"a scope with a quote", func(r *introspection.Response) { r.Scope = `a"b` }},
		{"a scope with two spaces", func(r *introspection.Response) { r.Scope = "a  b" }},
		{"a scope that ends in one", func(r *introspection.Response) { r.Scope = "a " }},
		{"RAR-9.2-1 details that are no array", func(r *introspection.Response) { r.AuthorizationDetails = json.RawMessage(`{"type":"a"}`) }},
		{"RAR-9.2-1 details that are no objects", func(r *introspection.Response) { r.AuthorizationDetails = json.RawMessage(`["a"]`) }},
		{"RAR-9.2-1 details with a member twice", func(r *introspection.Response) { r.AuthorizationDetails = json.RawMessage(`[{"type":"a","type":"b"}]`) }},
		{"RAR-9.2-1 details that are null", func(r *introspection.Response) { r.AuthorizationDetails = json.RawMessage(`null`) }},
		{"IssuedAt before 1970", func(r *introspection.Response) { r.IssuedAt = time.Unix(-1, 0) }},
		{"Extra with active", func(r *introspection.Response) { r.Extra = map[string]any{"active": false} }},
		{"Extra with cnf in another case", func(r *introspection.Response) { r.Extra = map[string]any{"CNF": 1} }},
		{"Extra with one name in two cases", func(r *introspection.Response) { r.Extra = map[string]any{"a": 1, "A": 2} }},
		{"Extra that is no JSON", func(r *introspection.Response) { r.Extra = map[string]any{"a": func() {}} }},
		{"more than is read", func(r *introspection.Response) { r.Extra = map[string]any{"a": strings.Repeat("x", 64<<10)} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp := active()
			tc.change(&resp)
			for _, wantsJWT := range []bool{false, true} {
				mediaType, body, err := newResponder(t, nil).Answer(caller, wantsJWT, resp)
				require.Error(t, err)
				require.Empty(t, mediaType)
				require.Nil(t, body)
			}
		})
	}
	t.Run("bound to nothing, insecurely", func(t *testing.T) {
		resp := active()
		resp.JKT, resp.TokenType = "", "bearer"
		_, body, err := newResponder(t, func(c *introspection.ResponderConfig) { c.InsecureAllowBearer = true }).Answer(caller, false, resp)
		require.NoError(t, err)
		require.NotContains(t, string(body), "cnf")
		require.Contains(t, string(body), `"token_type":"Bearer"`)
	})
	t.Run("an ID that is not UTF-8", func(t *testing.T) {
		_, _, err := newResponder(t, nil).Answer(introspection.ResourceServer{ID: "\xff", Audience: []string{api}}, true, active())
		require.Error(t, err)
	})
	t.Run("a key that fails", func(t *testing.T) {
		cause := errors.New("module out of reach")
		key := testkit.RemoteKey{Signer: testkit.ECKey(t, "as"), Err: cause}
		s := newResponder(t, func(c *introspection.ResponderConfig) { c.Key = key })
		w := httptest.NewRecorder()
		require.ErrorIs(t, s.Write(w, introspection.Request{WantsJWT: true}, caller, active()), cause)
		require.Equal(t, 500, w.Code)
		require.NotContains(t, w.Body.String(), "module")
	})
}

func TestNewResponder(t *testing.T) {
	testkit.Reject(t, introspection.NewResponder, map[string]introspection.ResponderConfig{
		"no Issuer":                        {Key: testkit.ECKey(t, "as")},
		"an Issuer that is not UTF-8":      {Issuer: "\xff", Key: testkit.ECKey(t, "as")},
		"MS-5.5.1-1 RequireJWT and no Key": {Issuer: issuer, RequireJWT: true},
		"KeyID and no Key":                 {Issuer: issuer, KeyID: "k"},
		"Algorithm and no Key":             {Issuer: issuer, Algorithm: "ES256"},
		"JWT-3.1-1 RS256":                  {Issuer: issuer, Key: testkit.RSAKey(t, "as"), Algorithm: "RS256"},
		"an algorithm that does not fit":   {Issuer: issuer, Key: testkit.ECKey(t, "as"), Algorithm: "PS256"},
	})
	_, err := introspection.NewResponder(introspection.ResponderConfig{Issuer: issuer})
	require.NoError(t, err)
}
