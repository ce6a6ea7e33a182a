package frameworks

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/gofapi/fapi2/profile/resourceserver"
)

// Gin returns an API on gin.
func Gin(api *resourceserver.Server) http.Handler {
	r := gin.New()
	r.GET("/health", func(c *gin.Context) { c.Status(http.StatusOK) }) // without a token
	r.GET("/accounts/:id", ginRequire(api, "accounts"), func(c *gin.Context) {
		token, _ := resourceserver.TokenFromContext(c.Request.Context())
		c.String(http.StatusOK, "account %s of %s", c.Param("id"), token.Subject())
	})
	return r
}

//docs:begin gin

// ginRequire is middleware of gin that lets only requests pass whose token has
// all the scopes.
func ginRequire(api *resourceserver.Server, scopes ...string) gin.HandlerFunc {
	return func(c *gin.Context) {
		r, ok := api.Authorize(c.Writer, c.Request, scopes...)
		if !ok {
			c.Abort() // Authorize has written the response
			return
		}
		c.Request = r
	}
}

//docs:end
