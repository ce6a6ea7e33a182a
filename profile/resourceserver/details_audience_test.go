package resourceserver_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gofapi/fapi2/accesstoken"
	"github.com/gofapi/fapi2/internal/testkit"
	"github.com/gofapi/fapi2/profile/resourceserver"
	"github.com/stretchr/testify/require"
)

// The guard requires the scope that goes with a detail.
func TestDetailsNeedTheirScope(t *testing.T) {
	registry := boundTypes(t)
	for _, tc := range []struct {
		name, scope string
		status      int
	}{{"A5 with it", "accounts payments", 200}, {"A5 without it", "accounts", 403}} {
		t.Run(tc.name, func(t *testing.T) {
			w := newAPI(t, func(cfg *resourceserver.Config) { cfg.AuthorizationDetails = registry })
			token := w.token(func(_ *accesstoken.IssuerConfig, c *accesstoken.Claims) {
				c.AuthorizationDetails, c.Scope = []byte(payACME), tc.scope
			})
			r := httptest.NewRequest(http.MethodGet, w.cfg.Resource+"/accounts", nil)
			r.Header.Set("Authorization", "DPoP "+token)
			r.Header.Set("DPoP", w.forge(token, testkit.ECKey(t, "client")))
			recorder := httptest.NewRecorder()
			w.rs.Require()(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				w.rs.Allows(rw, r, want(t, registry, payACME))
			})).ServeHTTP(recorder, r)
			require.Equal(t, tc.status, recorder.Code)
			if tc.status == 403 {
				require.Contains(t, recorder.Header().Get("WWW-Authenticate"), `error="insufficient_scope"`)
				require.Contains(t, recorder.Header().Get("WWW-Authenticate"), `scope="payments"`)
			}
		})
	}
}
