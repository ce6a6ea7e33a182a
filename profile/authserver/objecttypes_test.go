package authserver_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// typedObject is a push of a request object with members of any type.
func (w *world) typedObject(id string, members map[string]any) url.Values {
	params := w.pushForm(id)
	for _, name := range []string{"client_assertion", "client_assertion_type"} {
		params.Del(name)
	}
	return w.authenticated(id, url.Values{"client_id": {id}, "request": {w.objectWith(id, params, members)}})
}

// A parameter of another JSON type than its own is not ignored: the client would get another request than it has signed.
func TestG11TypesOfParametersInRequestObjects(t *testing.T) {
	w := newRichWorld(t)
	require.Equal(t, http.StatusCreated, w.send(w.parURL(), w.typedObject("client-1", nil)).status)
	texts := []string{"grant_management_action", "grant_id", "scope", "state", "nonce", "acr_values", "dpop_jkt", "response_mode", "response_type",
		"code_challenge", "code_challenge_method", "redirect_uri", "prompt", "login_hint", "id_token_hint", "ui_locales", "display"}
	wrong := map[string][]any{
		"resource": {1, true, map[string]any{}, []any{1}}, "authorization_details": {1, true, map[string]any{}, "x"},
		"claims": {1, true, []any{}, "x"}, "max_age": {true, map[string]any{}, []any{1}, "60", -1},
	}
	for _, name := range texts {
		wrong[name] = []any{1, true, map[string]any{}, []any{"create"}}
	}
	for name, values := range wrong {
		for _, value := range values {
			t.Run(fmt.Sprintf("GM-5.2-11 JAR-4-2 %s %v", name, value), func(t *testing.T) {
				got := w.send(w.parURL(), w.typedObject("client-1", map[string]any{name: value}))
				require.Equal(t, http.StatusBadRequest, got.status, "%v", got.body)
				require.Equal(t, "invalid_request_object", got.code)
			})
		}
	}
	for _, name := range []string{"grant_management_action", "grant_id", "state", "nonce", "acr_values", "dpop_jkt", "max_age", "claims", "authorization_details", "resource"} {
		t.Run("GM-5.2-11 null is absent: "+name, func(t *testing.T) {
			got := w.send(w.parURL(), w.typedObject("client-1", map[string]any{name: nil}))
			require.Equal(t, http.StatusCreated, got.status, "%v", got.body)
		})
	}
}
