package authserver_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gofapi/fapi2/profile/internal/roletest"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// What was consented arrives at the API, by a JWT, by introspection, and in the process of the server.
func TestDetailsAtTheAPI(t *testing.T) {
	for name, options := range map[string][]worldOption{"JWT": nil, "introspection": {opaque}, "in the same process": {opaque}} {
		t.Run(name, func(t *testing.T) {
			w := newRichWorld(t, options...)
			var err error
			cfg := resourceserver.Config{Resource: w.rsHTTP.URL, AuthorizationDetails: w.registry, Hooks: resourceserver.Hooks{Now: w.clock.Now}}
			switch name {
			case "introspection":
				cfg.Issuers = []resourceserver.Issuer{{ID: w.asHTTP.URL, Introspection: w.newIntrospection()}}
				w.rs, err = resourceserver.New(cfg)
			case "in the same process":
				w.rs, err = w.as.ResourceServer(cfg)
			}
			require.NoError(t, err)
			raw := w.redeem("authorization_details", join(readOnly, at(otherAPI))).body["access_token"].(string)
			try := func(details string) *httptest.ResponseRecorder {
				r := httptest.NewRequest(http.MethodGet, w.rsHTTP.URL+"/accounts", nil)
				r.Header.Set("Authorization", "DPoP "+raw)
				r.Header.Set("DPoP", w.apiProof("d", raw))
				recorder := httptest.NewRecorder()
				w.rs.Require()(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					w.rs.Allows(rw, r, roletest.Details(t, w.registry, details))
				})).ServeHTTP(recorder, r)
				return recorder
			}
			require.Equal(t, http.StatusOK, try(readOnly).Code, "RAR-9-1")
			require.Equal(t, http.StatusForbidden, try(readAndList).Code, "RAR-9-1")
			require.Equal(t, http.StatusForbidden, try(at(otherAPI)).Code, "RAR-13-1 what is for another API is not here")
		})
	}
}
