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

// ErrResourceMetadata means that a resource server's metadata document is
// malformed, has forbidden values or belongs to another resource. It also means
// that resource and authorization server do not name each other, or that the
// resource identifier cannot have metadata. Do not use any member of the
// document.
var ErrResourceMetadata = errors.New("profile: unusable protected resource metadata")

const resourceWellKnown = "/.well-known/oauth-protected-resource"

// ResourceMetadata is the metadata document of a resource server (RFC 9728).
// Absent members have zero values, and zero values are omitted. Other members
// are ignored, for example names in other languages ("resource_name#de"). So is
// signed_metadata, because FAPI 2.0 does not define a trusted issuer for it.
//
// An API fills it in and serves it with [ResourceMetadata.Handler]. The Config
// of package resourceserver has a field for the URL, which the API then sends
// in its challenges. A client receives the document from [DiscoverResource]. It
// is safe for concurrent reading.
type ResourceMetadata struct {
	// Resource is the resource identifier, an https URL without fragment. It is
	// compared as a string. Required.
	Resource string `json:"resource"`
	// AuthorizationServers are the issuers whose tokens the API accepts. They
	// are not trusted because they are listed here: a client trusts the issuer
	// of its own configuration. See [ResourceMetadata.CheckServer].
	AuthorizationServers []string `json:"authorization_servers,omitempty"`
	// JWKSURI is the URL of the keys with which the API itself signs. Those of
	// access tokens are at the authorization server.
	JWKSURI string `json:"jwks_uri,omitempty"`

	// These members describe supported requests (RFC 9728 §2).
	ScopesSupported                    []string `json:"scopes_supported,omitempty"`
	BearerMethodsSupported             []string `json:"bearer_methods_supported,omitempty"`
	ResourceSigningAlgValuesSupported  []string `json:"resource_signing_alg_values_supported,omitempty"`
	AuthorizationDetailsTypesSupported []string `json:"authorization_details_types_supported,omitempty"`

	// These members describe the required binding of access tokens. The first
	// means that the API accepts tokens that are bound to a certificate. The
	// last means that it accepts only tokens that are bound to a DPoP key.
	TLSClientCertificateBoundAccessTokens bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	DPoPSigningAlgValuesSupported         []string `json:"dpop_signing_alg_values_supported,omitempty"`
	DPoPBoundAccessTokensRequired         bool     `json:"dpop_bound_access_tokens_required,omitempty"`

	// These members are for people.
	ResourceName          string `json:"resource_name,omitempty"`
	ResourceDocumentation string `json:"resource_documentation,omitempty"`
	ResourcePolicyURI     string `json:"resource_policy_uri,omitempty"`
	ResourceTosURI        string `json:"resource_tos_uri,omitempty"`

	dropped []string
}

// Dropped returns the names of the members that count as absent because they
// have the wrong type. They are sorted.
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
	dropped, _, err := readDocument(data, &read, "resource", "authorization_servers")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrResourceMetadata, err)
	}
	read.dropped = dropped
	*m = read
	return nil
}

// URL returns the URL of the metadata of m.Resource. The well-known string is
// between host and path (RFC 9728 §3.1). The error matches
// [ErrResourceMetadata].
func (m *ResourceMetadata) URL() (string, error) {
	if problem := resourceProblem(m.Resource); problem != nil {
		return "", fmt.Errorf("%w: %v", ErrResourceMetadata, problem)
	}
	// PRM-3-1: if the path is only a slash, the slash is removed.
	host, tail := m.Resource, ""
	if i := strings.IndexAny(m.Resource[len("https://"):], "/?"); i >= 0 {
		host, tail = m.Resource[:len("https://")+i], m.Resource[len("https://")+i:]
	}
	if tail == "/" || strings.HasPrefix(tail, "/?") {
		tail = tail[1:]
	}
	return host + resourceWellKnown + tail, nil
}

func resourceProblem(resource string) error {
	// PRM-2-1: a query is permitted and is part of the identifier.
	problem := syntax.HTTPSProblem(resource)
	return when(problem != "", "resource %.200q %s", resource, problem)
}

// Validate checks, for a client, that the document is that of resource and that
// it is well-formed. The identifier must be identical. The issuers must be
// issuer identifiers, and the keys at an https URL. If Validate returns an
// error, do not use any member of the document. The error matches
// [ErrResourceMetadata]. It has every problem if the identifier is correct.
//
// If the URL of the document came from a WWW-Authenticate challenge, resource
// is the URL that the client had requested (RFC 9728 §3.3).
func (m *ResourceMetadata) Validate(resource string) error {
	if _, err := (&ResourceMetadata{Resource: resource}).URL(); err != nil {
		return err
	}
	// PRM-3.3-1, PRM-3.3-2: identical code points. Otherwise one API could
	// speak for another and redirect its tokens.
	if m.Resource != resource {
		return fmt.Errorf("%w: metadata of another resource: got %.200q, want %q",
			ErrResourceMetadata, m.Resource, resource)
	}
	return whyAbsent(problems(m.rules(), malformed, ErrResourceMetadata), m.dropped)
}

// CheckPublished reports, for an API, why its document must not be published.
// The error has every error of [ResourceMetadata.Lint] and matches
// [ErrResourceMetadata].
func (m *ResourceMetadata) CheckPublished() error {
	return errors.Join(problems(m.rules(), anyError, ErrResourceMetadata)...)
}

// CheckServer checks that the API and an authorization server name each other
// (RFC 9728 §4). The metadata of the server must have been validated. If one
// document has no list, the list of the other decides. The error matches
// [ErrResourceMetadata].
func (m *ResourceMetadata) CheckServer(server *ServerMetadata) error {
	// PRM-4-2: if a list lacks the other side, one of the documents is false.
	if len(m.AuthorizationServers) > 0 && !slices.Contains(m.AuthorizationServers, server.Issuer) {
		return fmt.Errorf("%w: authorization_servers of %.200q lacks %.200q",
			ErrResourceMetadata, m.Resource, server.Issuer)
	}
	if len(server.ProtectedResources) > 0 && !slices.Contains(server.ProtectedResources, m.Resource) {
		return fmt.Errorf("%w: protected_resources of %.200q lacks %.200q",
			ErrResourceMetadata, server.Issuer, m.Resource)
	}
	return nil
}

// Handler serves the present document at the well-known path of its resource,
// for GET and HEAD. Other paths are 404. Mount it so that it is reachable
// without an access token.
//
// If [ResourceMetadata.CheckPublished] returns an error, the handler answers
// every request with status 500. Call CheckPublished at start-up.
func (m *ResourceMetadata) Handler() http.Handler {
	document, err := json.Marshal(m)
	if err != nil || m.CheckPublished() != nil {
		return http.HandlerFunc(serveFailure)
	}
	at, _ := m.URL() // CheckPublished has checked the resource
	path, query, hasQuery := strings.Cut(syntax.URLPath(at), "?")
	// PRM-3-1, PRM-3.2-1
	inner := &metadataHandler{document: document, paths: [2]string{path, path}}
	if !hasQuery {
		return inner
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != query { // that of another resource
			http.NotFound(w, r)
			return
		}
		inner.ServeHTTP(w, r)
	})
}

// DiscoverResource fetches the metadata of a resource server from its RFC 9728
// well-known URL and validates it with [ResourceMetadata.Validate].
//
// The resource must come from configuration, or be the URL of an API that the
// client calls. The URL of the metadata is always derived from it. The URL in a
// challenge (WWW-Authenticate: resource_metadata) is ignored, because it could
// send the client anywhere. The document does not make an authorization server
// trustworthy: use the configured issuer and confirm it with
// [ResourceMetadata.CheckServer].
//
// For httpClient, see [Discover]. The error matches [ErrDiscovery] or
// [ErrResourceMetadata]. Nothing is cached.
func DiscoverResource(ctx context.Context, httpClient *http.Client, resource string) (*ResourceMetadata, error) {
	// PRM-7-1: the request goes to the origin of the trusted resource only.
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
	if err := m.Validate(resource); err != nil { // PRM-3.3-1
		return nil, err
	}
	return m, nil
}

// fetchDocument returns a JSON document of at most maxMetadata bytes. It
// returns one byte more of a longer document, so that the parser rejects it.
// The error matches [ErrDiscovery], and errNoDocument if the URL has no
// document.
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
			err = wrapped.Err // without the URL, which failed adds
		}
		return nil, failed(err)
	}
	defer response.Body.Close()
	if err := checkConnection(response.TLS); err != nil {
		return nil, failed(err)
	}
	switch status := response.StatusCode; {
	case status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500:
		return nil, failed(fmt.Errorf("status %d", status)) // the URL may have a document
	case status != http.StatusOK:
		return nil, failed(fmt.Errorf("%w: status %d", errNoDocument, status))
	}
	types := response.Header.Values("Content-Type")
	if len(types) != 1 {
		return nil, failed(errors.New("not exactly one Content-Type"))
	}
	// MD-3.2-1, PRM-3.2-1: some sites serve an HTML page with status 200 for
	// every unknown path.
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
