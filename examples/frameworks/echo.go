package frameworks

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/gofapi/fapi2/profile/resourceserver"
)

// Echo returns an API on echo.
func Echo(api *resourceserver.Server) http.Handler {
	e := echo.New()
	e.GET("/health", func(c echo.Context) error { return c.NoContent(http.StatusOK) }) // without a token
	e.GET("/accounts/:id", func(c echo.Context) error {
		token, _ := resourceserver.TokenFromContext(c.Request().Context())
		return c.String(http.StatusOK, "account "+c.Param("id")+" of "+token.Subject())
	}, echoRequire(api, "accounts"))
	return e
}

//docs:begin echo

// echoRequire is middleware of echo that lets only requests pass whose token
// has all the scopes.
func echoRequire(api *resourceserver.Server, scopes ...string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r, ok := api.Authorize(c.Response(), c.Request(), scopes...)
			if !ok {
				return nil // Authorize has written the response
			}
			c.SetRequest(r)
			return next(c)
		}
	}
}

//docs:end
