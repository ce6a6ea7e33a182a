package par

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// maxRequestURI bounds a request_uri that somebody else chose.
const maxRequestURI = 2048

// ParseAuthorizationRequest takes the two parameters that count from an authorization request, usually r.URL.Query().
//
// Everything else is ignored, whatever it says and however often it occurs: the pushed request alone is valid. It returns an
// error that wraps [ErrNotPushed] when one of the two is missing or repeated; there is no client and no redirect URI to trust
// then, so the error belongs on a page of the server's own.
func ParseAuthorizationRequest(query url.Values) (clientID, requestURI string, err error) {
	// JAR-5-3: parameters beside the reference have no effect. CS-8: nothing beside it is required.
	// SP-5.3.2.2-3, PAR-4-5: there is no other way in. PAR-5-2: and no metadata about request_uri that could close this one.
	for _, p := range []struct {
		name string
		to   *string
	}{{"client_id", &clientID}, {"request_uri", &requestURI}} {
		switch values := query[p.name]; {
		case len(values) == 0 || len(values) == 1 && values[0] == "":
			return "", "", fmt.Errorf("%w: no %s", ErrNotPushed, p.name)
		case len(values) > 1: // BASE-6749-3.1-1: which of them would be meant?
			return "", "", fmt.Errorf("%w: %s is repeated", ErrNotPushed, p.name)
		default:
			*p.to = values[0]
		}
	}
	return clientID, requestURI, nil
}

// AuthorizationURL returns the URL to send the user's browser to: endpoint, which is the authorization server's
// authorization_endpoint (https, no fragment, its query is kept), with client_id and request_uri and nothing more. Each
// request_uri is good for one authorization (§4): push again for the next.
//
// It returns an error when an argument is empty or malformed, or the endpoint's query has one of the two already.
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
		return "", errors.New("par: no client_id")
	}
	if err := checkRequestURI(requestURI); err != nil {
		return "", fmt.Errorf("par: %w", err)
	}
	// SP-5.3.3.2-6: whatever else the client wants to say it has pushed.
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
	case u.Scheme != "https" || u.Hostname() == "": // PAR-2-1: over http anybody on the way could answer
		return nil, errors.New("par: the endpoint is not an https URL")
	case u.User != nil || strings.Contains(endpoint, "#"):
		return nil, errors.New("par: the endpoint has user information or a fragment")
	}
	return u, nil
}

// checkRequestURI checks a request_uri of another party's making: an absolute URI, which need not be the URN that we issue.
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
