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

// ErrIssuer: an issuer identifier is not an https URL without query and fragment.
var ErrIssuer = errors.New("profile: not an issuer identifier")

const (
	oauthWellKnown  = "/.well-known/oauth-authorization-server"
	openidWellKnown = "/.well-known/openid-configuration"
)

// CheckIssuer reports whether issuer can identify an authorization server (RFC 8414 §2): an https URL with a host and
// without user information, query and fragment. There is no exception for http on the loopback interface. The error
// matches [ErrIssuer].
//
// Issuers are compared as strings: a trailing slash counts, as does the case of the host.
func CheckIssuer(issuer string) error {
	problem := syntax.HTTPSProblem(issuer)
	// MD-2-1, ISS-2-2: a bare "?" is an empty query, and another string.
	if problem == "" && strings.Contains(issuer, "?") {
		problem = "has a query"
	}
	if problem != "" {
		return fmt.Errorf("%w: %.200q %s", ErrIssuer, issuer, problem)
	}
	return nil
}

// WellKnownURLs returns where the metadata of an issuer is: its RFC 8414 document, for which the well-known string goes
// between host and path, and its OpenID Connect Discovery document, for which it is appended. The error matches [ErrIssuer].
func WellKnownURLs(issuer string) (oauth, openid string, err error) {
	if err := CheckIssuer(issuer); err != nil {
		return "", "", err
	}
	// MD-3-1: one slash at the end of the issuer goes; it does not make two issuers share an identifier, as each document
	// names its own. The spelling of the rest, percent-encoding included, stays.
	base := strings.TrimSuffix(issuer, "/")
	host := len(base)
	if slash := strings.IndexByte(base[len("https://"):], '/'); slash >= 0 {
		host = len("https://") + slash
	}
	return base[:host] + oauthWellKnown + base[host:], base + openidWellKnown, nil
}

// metadataAge is for how long, in seconds, clients may keep the document.
const metadataAge = 300

// Handler serves the document, as it is now, at both well-known paths of its issuer, to GET and HEAD; every other path is
// 404. Mount it where requests for both paths reach it: for an issuer without a path "/.well-known/" will do.
//
// A document that [ServerMetadata.CheckPublished] refuses is never served: the handler answers 500 to everything. Call
// CheckPublished at start-up to learn why.
func (m *ServerMetadata) Handler() http.Handler {
	document, err := json.Marshal(m)
	if err == nil {
		err = m.CheckPublished()
	}
	if err != nil {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		})
	}
	oauth, openid, _ := WellKnownURLs(m.Issuer) // CheckPublished has checked the issuer
	// SP-5.3.2.1-1, MD-3-1: both forms. MD-9068-1: the same bytes, so that they cannot disagree.
	return &metadataHandler{document: document, paths: [2]string{syntax.URLPath(oauth), syntax.URLPath(openid)}}
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
