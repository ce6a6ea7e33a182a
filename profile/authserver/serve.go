package authserver

import (
	"html/template"
	"net/http"
	"strings"

	"github.com/gofapi/fapi2/internal/syntax"
	"github.com/gofapi/fapi2/profile"
	"github.com/gofapi/fapi2/profile/internal/wire"
)

// Handler serves everything that [Server.Metadata] names and that is
// configured: both metadata documents, the JWK Set and the endpoints. It does
// not serve endpoints that [Config.Metadata] adds. Without [Config.Interact],
// the host serves the authorization endpoint itself. Handler responds with 404
// to any other path, so a host may mount it together with its own handlers.
// Serve it with [profile.TLSConfig].
//
// A host that mounts the endpoints one by one serves the metadata with
// [profile.ServerMetadata.Handler] of Metadata, and the JWK Set with Keys.
func (s *Server) Handler() http.Handler {
	metadata := s.ownMetadata() // an endpoint that the host has added is not one of this server
	// SP-5.3.2.2-10, BCP-2.1-5: a ServeMux would redirect other spellings of a
	// path with 307, and the browser would post a password again. Each path has
	// one spelling.
	endpoints := map[string]http.Handler{syntax.URLPath(metadata.JWKSURI): s.Keys()}
	if s.cfg.Interact != nil {
		endpoints[syntax.URLPath(metadata.AuthorizationEndpoint)] = s.observed("authorization", s.serveAuthorization)
	}
	mount := func(endpoint http.Handler, urls ...string) {
		for _, u := range urls {
			if u != "" {
				endpoints[syntax.URLPath(u)] = endpoint
			}
		}
	}
	var aliases profile.MTLSEndpointAliases
	if metadata.MTLSEndpointAliases != nil { // MTLS-5-1: the same endpoints, possibly at other paths
		aliases = *metadata.MTLSEndpointAliases
	}
	mount(s.called("pushed_authorization_request", s.servePush),
		metadata.PushedAuthorizationRequestEndpoint, aliases.PushedAuthorizationRequestEndpoint)
	mount(s.called("token", s.serveToken), metadata.TokenEndpoint, aliases.TokenEndpoint)
	mount(s.revocation(), metadata.RevocationEndpoint, aliases.RevocationEndpoint)
	mount(s.called("introspection", s.serveIntrospection),
		metadata.IntrospectionEndpoint, aliases.IntrospectionEndpoint)
	mount(s.UserInfo(), metadata.UserInfoEndpoint, aliases.UserInfoEndpoint)
	documents := s.Metadata().Handler()
	below := s.grantPaths(metadata)
	grantAPI := s.called("grants", s.serveGrants)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		if endpoint, ok := endpoints[path]; ok { // first, as it may be below that of grants
			endpoint.ServeHTTP(w, r)
			return
		}
		for _, prefix := range below { // GM-6.3-1
			if path == prefix || strings.HasPrefix(path, prefix+"/") {
				http.StripPrefix(prefix, grantAPI).ServeHTTP(w, r)
				return
			}
		}
		documents.ServeHTTP(w, r)
	})
}

// WriteError writes the error response of the pushed authorization request,
// token or revocation endpoint. It is a JSON object (RFC 6749 §5.2) with the
// code and the status of err, and never contains the cause. An error of the
// host without a code is a server_error with status 500. A status below 400
// becomes 500.
func (s *Server) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	s.reportError(r, err)
	response, status := newErrorResponse(err)
	h := w.Header()
	s.tokenProofs.SetNonce(h) // DPOP-8-1, DPOP-8-4
	switch {
	case status == http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodPost) // PAR-2.3-5
	case status == http.StatusUnauthorized && r.Header.Get("Authorization") != "":
		// BASE-6749-5.2-1: name the scheme that was tried, though it cannot
		// succeed.
		h.Set("WWW-Authenticate", triedScheme(r.Header.Get("Authorization"))+` realm="`+s.cfg.Issuer+`"`)
	}
	wire.SetRetryAfter(w.Header(), err)
	writeJSON(w, status, response)
}

// triedScheme returns the scheme of an Authorization header, Basic if it has
// none that could be repeated.
func triedScheme(authorization string) string {
	scheme, _, _ := strings.Cut(authorization, " ")
	isNoLetter := func(r rune) bool { return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') }
	if scheme == "" || len(scheme) > 32 || strings.ContainsFunc(scheme, isNoLetter) {
		return "Basic"
	}
	return scheme
}

// reportError reports a rejection to the logger and in the event of the
// request. No error of this module contains a secret.
func (s *Server) reportError(r *http.Request, err error) {
	noteError(r.Context(), err)
	wire.LogRejection(s.cfg.Hooks.Logger, r, err)
}

var errorPage = template.Must(template.New("error").Parse(`<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Request refused</title>
<h1>This request cannot be completed</h1>
<p>{{.Description}}</p>
<p>Error: <code id="error">{{.Code}}</code></p>
<p>Go back to the application that sent you here and start again.</p>
</html>
`))

// plainErrorPage is the default of [Config.ErrorPage].
func plainErrorPage(w http.ResponseWriter, _ *http.Request, err error) {
	response, status := newErrorResponse(err)
	if status == http.StatusUnauthorized { // a browser has nothing to authenticate with
		status = http.StatusBadRequest
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	errorPage.Execute(w, response) //nolint:errcheck // the peer is gone
}
