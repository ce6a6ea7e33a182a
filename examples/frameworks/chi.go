package frameworks

import (
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/gofapi/fapi2/profile/resourceserver"
)

// Chi returns an API on chi, whose middleware has the type of
// [resourceserver.Server.Require]. Each route has Require once: a second check
// would reject the proof of the first one as replayed.
func Chi(api *resourceserver.Server) http.Handler {
	r := chi.NewRouter()
	r.Get("/health", func(http.ResponseWriter, *http.Request) {}) // without a token
	r.Group(func(r chi.Router) {
		r.Use(api.Require("accounts"))
		r.Get("/accounts/{id}", func(w http.ResponseWriter, r *http.Request) {
			token, _ := resourceserver.TokenFromContext(r.Context())
			fmt.Fprintf(w, "account %s of %s", chi.URLParam(r, "id"), token.Subject())
		})
	})
	return r
}
