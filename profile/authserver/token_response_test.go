package authserver_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gofapi/fapi2/profile/authserver"
)

// A host that encodes a TokenResponse itself sends the same members.
func TestTokenResponseMembers(t *testing.T) {
	w := newWorld(t)
	full := authserver.TokenResponse{
		AccessToken: `a"<&`, TokenType: "DPoP", ExpiresIn: 300, RefreshToken: "r", Scope: "openid accounts", IDToken: "i.d.t",
		AuthorizationDetails: json.RawMessage(`[{"type":"payment"}]`), GrantID: "g",
		Members: map[string]json.RawMessage{"b": json.RawMessage(`{"x":1}`), "a": json.RawMessage(`"<&"`)},
	}
	for value, i := reflect.ValueOf(full), 0; i < value.NumField(); i++ {
		require.False(t, value.Field(i).IsZero(), "the test has every member: %s", value.Type().Field(i).Name)
	}
	for name, response := range map[string]authserver.TokenResponse{
		"every member":                 full,
		"as few as possible":           {AccessToken: "a", TokenType: "DPoP", ExpiresIn: 1},
		"RAR-7-1 no detail is granted": {AccessToken: "a", TokenType: "DPoP", ExpiresIn: 1, AuthorizationDetails: json.RawMessage("[]")},
		"a token without a lifetime":   {AccessToken: "a", TokenType: "DPoP"},
		"empty details are omitted":    {AccessToken: "a", TokenType: "DPoP", ExpiresIn: 1, AuthorizationDetails: json.RawMessage{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := httptest.NewRecorder()
			w.as.WriteTokenResponse(got, &response)
			type fields authserver.TokenResponse
			want, err := json.Marshal(fields(response))
			for name, value := range response.Members {
				want = append(append(want[:len(want)-1], `,"`+name+`":`+string(value)...), '}')
			}
			require.NoError(t, err)
			again, err := json.Marshal(response)
			require.JSONEq(t, string(want), string(again))
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, got.Code)
			require.Equal(t, "no-store", got.Header().Get("Cache-Control"), "BASE-6749-5.1-1")
			require.JSONEq(t, string(want), got.Body.String())
		})
	}
	details, members := full, full
	details.AuthorizationDetails = json.RawMessage(`[{]`)
	members.Members = map[string]json.RawMessage{"access_token": json.RawMessage(`"evil"`)}
	for _, bad := range []authserver.TokenResponse{details, members} {
		got := httptest.NewRecorder()
		w.as.WriteTokenResponse(got, &bad)
		require.Equal(t, http.StatusInternalServerError, got.Code)
		require.JSONEq(t, `{"error":"server_error"}`, got.Body.String())
		_, err := json.Marshal(bad)
		require.Error(t, err)
	}
}
