package par

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// maxRequestURI bounds a request_uri of another authorization server.
const maxRequestURI = 2048

// ParseAuthorizationRequest returns client_id and request_uri of an
// authorization request, usually of r.URL.Query(). It ignores all other
// parameters, because only the pushed request counts.
//
// It returns an error that wraps [ErrNotPushed] if one of the two is missing or
// repeated. Show that error on a page: no redirect URI is known to be safe.
func ParseAuthorizationRequest(query url.Values) (clientID, requestURI string, err error) {
	// JAR-5-3, CS-8: other parameters have no effect and are not required.
	// SP-5.3.2.2-3, PAR-4-5: a request must be pushed. PAR-5-2: no metadata
	// about request_uri can disable this.
	for _, p := range []struct {
		name string
		to   *string
	}{{"client_id", &clientID}, {"request_uri", &requestURI}} {
		switch values := query[p.name]; {
		case len(values) == 0 || len(values) == 1 && values[0] == "":
			return "", "", fmt.Errorf("%w: no %s", ErrNotPushed, p.name)
		case len(values) > 1: // BASE-6749-3.1-1
			return "", "", fmt.Errorf("%w: %s is repeated", ErrNotPushed, p.name)
		default:
			*p.to = values[0]
		}
	}
	return clientID, requestURI, nil
}

// AuthorizationURL returns the URL for the user's browser: the
// authorization_endpoint of the server with client_id and request_uri. The
// endpoint is an https URL without a fragment, and its query is kept. A
// request_uri is for one authorization (RFC 9126 §4). Push again for the next.
//
// AuthorizationURL returns an error if an argument is empty or malformed, or if
// the query of the endpoint has one of the two parameters.
func AuthorizationURL(endpoint, clientID, requestURI string) (string, error) {
	u, err := parseEndpoint(endpoint)
	if err != nil {
		return "", err
	}
	existing, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", errors.New("par: the endpoint has a malformed query")
	}
	if existing.Has("client_id") || existing.Has("request_uri") {
		return "", errors.New("par: the endpoint has client_id or request_uri in its query")
	}
	if clientID == "" {
		return "", errors.New("par: missing client_id")
	}
	if err := checkRequestURI(requestURI); err != nil {
		return "", fmt.Errorf("par: %w", err)
	}
	// SP-5.3.3.2-6: all other parameters were pushed.
	query := "client_id=" + url.QueryEscape(clientID) + "&request_uri=" + url.QueryEscape(requestURI)
	if u.RawQuery != "" {
		query = u.RawQuery + "&" + query
	}
	u.RawQuery = query
	return u.String(), nil
}

// parseEndpoint parses the https URL of an endpoint.
func parseEndpoint(endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return nil, errors.New("par: the endpoint is not a URL")
	case u.Scheme != "https" || u.Hostname() == "": // PAR-2-1: http has no server authentication
		return nil, errors.New("par: the endpoint is not an https URL")
	case u.User != nil || strings.Contains(endpoint, "#"):
		return nil, errors.New("par: the endpoint has user information or a fragment")
	}
	return u, nil
}

// checkRequestURI checks a request_uri of an authorization server. It is an
// absolute URI, not necessarily a URN of this package.
func checkRequestURI(uri string) error {
	if uri == "" || len(uri) > maxRequestURI {
		return fmt.Errorf("request_uri has %d characters, not 1 to %d", len(uri), maxRequestURI)
	}
	for i := range len(uri) {
		if uri[i] <= ' ' || uri[i] > '~' {
			return errors.New("request_uri has a character that a URI cannot have")
		}
	}
	if u, err := url.Parse(uri); err != nil || u.Scheme == "" {
		return errors.New("request_uri is not an absolute URI")
	}
	return nil
}
