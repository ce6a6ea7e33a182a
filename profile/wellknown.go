package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/gofapi/fapi2/internal/syntax"
)

// ErrIssuer means that an issuer identifier is not an https URL without query
// and fragment.
var ErrIssuer = errors.New("profile: not an issuer identifier")

const (
	oauthWellKnown  = "/.well-known/oauth-authorization-server"
	openidWellKnown = "/.well-known/openid-configuration"
)

// CheckIssuer checks that issuer can identify an authorization server (RFC 8414
// §2). It must be an https URL with a host and without user information, query
// and fragment. There is no exception for http on the loopback interface. The
// error matches [ErrIssuer].
//
// Issuers are compared as strings: a trailing slash and the case of the host
// are significant.
func CheckIssuer(issuer string) error {
	if problem := issuerProblem(issuer); problem != nil {
		return fmt.Errorf("%w: %v", ErrIssuer, problem)
	}
	return nil
}

func issuerProblem(issuer string) error {
	problem := syntax.HTTPSProblem(issuer)
	// MD-2-1, ISS-2-2: "?" at the end is an empty query, and another string.
	if problem == "" && strings.Contains(issuer, "?") {
		problem = "has a query"
	}
	return when(problem != "", "%.200q %s", issuer, problem)
}

// WellKnownURLs returns the URLs of an issuer's metadata documents. For the RFC
// 8414 document, the well-known string is between host and path. For the OpenID
// Connect Discovery document, it is at the end. The error matches [ErrIssuer].
func WellKnownURLs(issuer string) (oauth, openid string, err error) {
	if err := CheckIssuer(issuer); err != nil {
		return "", "", err
	}
	// MD-3-1: one slash at the end is removed. Two issuers can then share a
	// URL, but each document names its own issuer. The spelling of the path is
	// unchanged.
	base := strings.TrimSuffix(issuer, "/")
	host := len(base)
	if slash := strings.IndexByte(base[len("https://"):], '/'); slash >= 0 {
		host = len("https://") + slash
	}
	return base[:host] + oauthWellKnown + base[host:], base + openidWellKnown, nil
}

// metadataAge is the number of seconds for which clients may cache a document.
const metadataAge = 300

// Handler serves the present document at both well-known paths of its issuer,
// for GET and HEAD. Other paths are 404. Mount it so that it receives requests
// for both paths. For an issuer without a path, "/.well-known/" is sufficient.
//
// If [ServerMetadata.CheckPublished] returns an error, the handler answers
// every request with status 500. Call CheckPublished at start-up.
func (m *ServerMetadata) Handler() http.Handler {
	document, err := json.Marshal(m)
	if err != nil || m.CheckPublished() != nil {
		return http.HandlerFunc(serveFailure)
	}
	oauth, openid, _ := WellKnownURLs(m.Issuer) // CheckPublished has checked the issuer
	// SP-5.3.2.1-1, MD-3-1, MD-9068-1: the same bytes at both paths, so that
	// they cannot disagree.
	return &metadataHandler{document: document, paths: [2]string{syntax.URLPath(oauth), syntax.URLPath(openid)}}
}

func serveFailure(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
}

type metadataHandler struct {
	document []byte
	paths    [2]string
}

func (h *metadataHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path := r.URL.EscapedPath(); path != h.paths[0] && path != h.paths[1] {
		http.NotFound(w, r)
		return
	}
	header := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	header.Set("Content-Type", "application/json") // MD-3.2-1
	header.Set("Content-Length", strconv.Itoa(len(h.document)))
	header.Set("Cache-Control", "public, max-age="+strconv.Itoa(metadataAge))
	header.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodGet {
		w.Write(h.document) //nolint:errcheck // the peer is gone
	}
}
