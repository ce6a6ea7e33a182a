package profile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/internal/syntax"
)

// ErrResourceMetadata: the metadata of a protected resource is malformed, says what FAPI 2.0 forbids or is that of another
// resource, resource and authorization server do not name each other, or the resource identifier is none that can have
// metadata. Nothing in the document may be used.
var ErrResourceMetadata = errors.New("profile: unusable protected resource metadata")

const resourceWellKnown = "/.well-known/oauth-protected-resource"

// ResourceMetadata is what an API publishes about itself (RFC 9728), under the registered names. Absent members have zero
// values, and zero values are omitted. Members not listed are ignored (PRM-3.2-1); so are names in other languages
// ("resource_name#de"), and signed_metadata, to which FAPI 2.0 gives no trusted issuer.
//
// An API fills it in, serves it with [ResourceMetadata.Handler] and puts its [ResourceMetadata.URL] into its challenges by
// [resourceserver.Config].ResourceMetadata. A client gets it from [DiscoverResource]. It is safe for concurrent reading.
type ResourceMetadata struct {
	// Resource is the resource identifier, an https URL without fragment, to be compared as a string (PRM-2-1). Required.
	Resource string `json:"resource"`
	// AuthorizationServers are the issuers whose tokens the API takes (PRM-2-2). A client that finds one here knows nothing
	// good about it yet: trust comes from its own configuration (PRM-7-1, SP-5.3.3.1-10). See [ResourceMetadata.CheckServer].
	AuthorizationServers []string `json:"authorization_servers,omitempty"`
	// JWKSURI has the keys that the API itself signs with; not those of access tokens (PRM-2-3).
	JWKSURI string `json:"jwks_uri,omitempty"`

	ScopesSupported                    []string `json:"scopes_supported,omitempty"`                      // PRM-2-3
	BearerMethodsSupported             []string `json:"bearer_methods_supported,omitempty"`              // PRM-2-4: header
	ResourceSigningAlgValuesSupported  []string `json:"resource_signing_alg_values_supported,omitempty"` // PRM-2-5
	AuthorizationDetailsTypesSupported []string `json:"authorization_details_types_supported,omitempty"`

	// How access tokens have to be bound (PRM-2-6). The first says that the API takes tokens bound to a certificate, the last
	// that it takes none but those bound to a DPoP key.
	TLSClientCertificateBoundAccessTokens bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	DPoPSigningAlgValuesSupported         []string `json:"dpop_signing_alg_values_supported,omitempty"`
	DPoPBoundAccessTokensRequired         bool     `json:"dpop_bound_access_tokens_required,omitempty"`

	// For people (PRM-2-7).
	ResourceName          string `json:"resource_name,omitempty"`
	ResourceDocumentation string `json:"resource_documentation,omitempty"`
	ResourcePolicyURI     string `json:"resource_policy_uri,omitempty"`
	ResourceTosURI        string `json:"resource_tos_uri,omitempty"`

	dropped []string
}

// Dropped returns the members that count as absent because they have another type
// than RFC 9728 gives them, sorted.
func (m *ResourceMetadata) Dropped() []string { return slices.Clone(m.dropped) }

// UnmarshalJSON reads a document of at most 1 MiB by exact member names. It
// rejects duplicate names, names that differ only by case, and a resource or
// authorization_servers of the wrong type. Any other member that is null or of
// the wrong type counts as absent (see [ResourceMetadata.Dropped]). If it
// returns an error, m is unchanged, and the error matches
// [ErrResourceMetadata]. It checks nothing else: see
// [ResourceMetadata.Validate].
func (m *ResourceMetadata) UnmarshalJSON(data []byte) error {
	if len(data) > maxMetadata {
		return fmt.Errorf("%w: %d bytes, at most %d are read", ErrResourceMetadata, len(data), maxMetadata)
	}
	var read ResourceMetadata
	dropped, err := readDocument(data, &read, "resource", "authorization_servers")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrResourceMetadata, err)
	}
	read.dropped = dropped
	*m = read
	return nil
}

// URL returns where the metadata of m.Resource is: the well-known string goes between host and path (RFC 9728 §3.1). The
// error matches [ErrResourceMetadata].
func (m *ResourceMetadata) URL() (string, error) {
	// PRM-2-1: https, no fragment. A query is allowed and belongs to the identifier.
	if problem := syntax.HTTPSProblem(m.Resource); problem != "" {
		return "", fmt.Errorf("%w: resource %.200q %s", ErrResourceMetadata, m.Resource, problem)
	}
	// PRM-3-1: between the host and what follows it. The slash that follows the host alone goes; any other stays.
	host, tail := m.Resource, ""
	if i := strings.IndexAny(m.Resource[len("https://"):], "/?"); i >= 0 {
		host, tail = m.Resource[:len("https://")+i], m.Resource[len("https://")+i:]
	}
	if tail == "/" || strings.HasPrefix(tail, "/?") {
		tail = tail[1:]
	}
	return host + resourceWellKnown + tail, nil
}

// Validate checks, for a client, that the document is the one of resource and well-formed: the identifier identical, every
// issuer one that can be an issuer, keys at an https URL. A document that fails must be discarded as a whole.
//
// For a document whose URL came from a WWW-Authenticate challenge, resource is the URL that the client had requested
// (PRM-3.3-2). The error matches [ErrResourceMetadata], and lists everything if the identifier is right.
func (m *ResourceMetadata) Validate(resource string) error {
	if _, err := (&ResourceMetadata{Resource: resource}).URL(); err != nil {
		return err
	}
	// PRM-3.3-1, PRM-3.3-2: identical code points, or one API could speak for another and send tokens meant for it elsewhere.
	if m.Resource != resource {
		return fmt.Errorf("%w: it is that of another resource: got %.200q, want %q", ErrResourceMetadata, m.Resource, resource)
	}
	p := m.lint(Baseline).problems(ErrResourceMetadata, in(malformed))
	return whyAbsent(p.err(), m.dropped)
}

// CheckPublished reports, for an API, why its document must not be published. It lists everything that
// [ResourceMetadata.Lint] has as an error; the error matches [ErrResourceMetadata].
func (m *ResourceMetadata) CheckPublished() error {
	p := m.lint(Baseline).problems(ErrResourceMetadata, notIn(0)) // all
	return p.err()
}

// CheckServer reports whether the API and an authorization server whose metadata has been validated name each other
// (RFC 9728 §4). A side without a list leaves the question to the other one. The error matches
// [ErrResourceMetadata].
func (m *ResourceMetadata) CheckServer(server *ServerMetadata) error {
	// PRM-4-2: a list that lacks the other side says that one of the two documents is not what it seems.
	if len(m.AuthorizationServers) > 0 && !slices.Contains(m.AuthorizationServers, server.Issuer) {
		return fmt.Errorf("%w: authorization_servers of %.200q lacks %.200q", ErrResourceMetadata, m.Resource, server.Issuer)
	}
	if len(server.ProtectedResources) > 0 && !slices.Contains(server.ProtectedResources, m.Resource) {
		return fmt.Errorf("%w: protected_resources of %.200q lacks %.200q", ErrResourceMetadata, server.Issuer, m.Resource)
	}
	return nil
}

// Handler serves the document, as it is now, at the well-known path of its resource, to GET and HEAD; every other path is
// 404. Mount it in front of what checks access tokens: it is for those who have none yet.
//
// A document that [ResourceMetadata.CheckPublished] refuses is never served: the handler answers 500 to everything. Call
// CheckPublished at start-up to learn why.
func (m *ResourceMetadata) Handler() http.Handler {
	document, err := json.Marshal(m)
	if err == nil {
		err = m.CheckPublished()
	}
	if err != nil {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		})
	}
	at, _ := m.URL() // CheckPublished has checked the resource
	path, query, hasQuery := strings.Cut(syntax.URLPath(at), "?")
	// PRM-3-1, PRM-3.2-1
	inner := &metadataHandler{document: document, paths: [2]string{path, path}}
	if !hasQuery {
		return inner
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != query { // another resource's
			http.NotFound(w, r)
			return
		}
		inner.ServeHTTP(w, r)
	})
}

// DiscoverResource fetches the metadata of a protected resource from its RFC 9728 well-known URL and validates it with
// [ResourceMetadata.Validate].
//
// resource must come from configuration, or be the URL of an API that the client has reason to call; the URL of the
// metadata is always made from it. One that a challenge names (WWW-Authenticate: resource_metadata) is not needed, and
// fetching it would let any server send the client anywhere. Nothing in the document makes an authorization server
// trustworthy: take the issuer from configuration and confirm it with [ResourceMetadata.CheckServer].
//
// httpClient is as in [Discover]. The error matches [ErrDiscovery] or [ErrResourceMetadata]. Nothing is cached.
func DiscoverResource(ctx context.Context, httpClient *http.Client, resource string) (*ResourceMetadata, error) {
	// PRM-7-1: the resource that the caller trusts decides where the request goes, over https and within its origin.
	from, err := (&ResourceMetadata{Resource: resource}).URL()
	if err != nil {
		return nil, err
	}
	client, done := discoveryClient(httpClient)
	defer done()
	body, err := fetchDocument(ctx, client, from)
	if err != nil {
		return nil, err
	}
	m := new(ResourceMetadata)
	if err := m.UnmarshalJSON(body); err != nil {
		return nil, err
	}
	if err := m.Validate(resource); err != nil { // PRM-3.3-1: nothing of it gets out
		return nil, err
	}
	return m, nil
}

// fetchDocument returns a JSON document of at most maxMetadata bytes and one, so that a longer one is refused and not cut.
// The error matches [ErrDiscovery], and errNoDocument if the server says that there is none.
func fetchDocument(ctx context.Context, client *http.Client, from string) ([]byte, error) {
	failed := func(cause error) error { return fmt.Errorf("%w: %s: %w", ErrDiscovery, from, cause) }
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, failed(err)
	}
	r.Header.Set("Accept", "application/json")
	response, err := client.Do(r)
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err // it repeats the URL
		}
		return nil, failed(err)
	}
	defer response.Body.Close()
	if err := checkConnection(response.TLS); err != nil {
		return nil, failed(err)
	}
	switch status := response.StatusCode; {
	case status == http.StatusTooManyRequests || status == http.StatusRequestTimeout:
		return nil, failed(fmt.Errorf("status %d", status)) // says nothing about what is there
	case status >= 500:
		return nil, failed(fmt.Errorf("status %d", status))
	case status != http.StatusOK:
		return nil, failed(fmt.Errorf("%w: status %d", errNoDocument, status))
	}
	types := response.Header.Values("Content-Type")
	if len(types) != 1 {
		return nil, failed(errors.New("not exactly one Content-Type"))
	}
	// MD-3.2-1, PRM-3.2-1: a page for people is not a document. Some sites serve
	// one, with status 200, for every path that they do not know.
	if mediaType, _, err := mime.ParseMediaType(types[0]); err != nil || mediaType != "application/json" {
		return nil, failed(fmt.Errorf("%w: media type %.100q is not application/json", errNoDocument, types[0]))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxMetadata+1))
	if err != nil {
		return nil, failed(err)
	}
	if len(body) <= maxMetadata && !json.Valid(body) {
		return nil, failed(fmt.Errorf("%w: the body is not JSON", errNoDocument))
	}
	return body, nil
}
