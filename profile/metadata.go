package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/gofapi/fapi2/internal/strictjson"
)

var (
	// ErrIssuerMismatch means that a document names another issuer than the one
	// for which it was fetched. Do not use any of its members.
	ErrIssuerMismatch = errors.New("profile: metadata of another issuer")
	// ErrServerMetadata means that a server's metadata document is malformed,
	// or that it makes a FAPI 2.0 flow impossible.
	ErrServerMetadata = errors.New("profile: unusable authorization server metadata")
)

// maxMetadata bounds every metadata document. Those of known servers have a few
// kilobytes.
const maxMetadata = 1 << 20

// ServerMetadata is the metadata document of an authorization server: the
// registered members of RFC 8414, OpenID Connect Discovery and the
// specifications that FAPI 2.0 uses. Absent members have zero values, and zero
// values are omitted. The only exception is request_uri_parameter_supported,
// whose default is true. The member signed_metadata has no effect, because FAPI
// 2.0 does not define a trusted issuer for it.
//
// A client receives the document from [Discover]. A server fills it in and
// serves it with [ServerMetadata.Handler]. It is safe for concurrent reading.
type ServerMetadata struct {
	// Issuer is the issuer identifier. A client compares it as a string with
	// its configuration.
	Issuer string `json:"issuer"`

	// The endpoints are https URLs. Browsers open the authorization endpoint,
	// and clients call all others.
	AuthorizationEndpoint              string `json:"authorization_endpoint,omitempty"`
	TokenEndpoint                      string `json:"token_endpoint,omitempty"`
	PushedAuthorizationRequestEndpoint string `json:"pushed_authorization_request_endpoint,omitempty"`
	JWKSURI                            string `json:"jwks_uri,omitempty"`
	IntrospectionEndpoint              string `json:"introspection_endpoint,omitempty"`
	RevocationEndpoint                 string `json:"revocation_endpoint,omitempty"`
	UserInfoEndpoint                   string `json:"userinfo_endpoint,omitempty"`
	RegistrationEndpoint               string `json:"registration_endpoint,omitempty"`
	EndSessionEndpoint                 string `json:"end_session_endpoint,omitempty"`
	GrantManagementEndpoint            string `json:"grant_management_endpoint,omitempty"`

	// MTLSEndpointAliases are the endpoints for connections with a client
	// certificate: see [ServerMetadata.ForMTLS].
	MTLSEndpointAliases *MTLSEndpointAliases `json:"mtls_endpoint_aliases,omitempty"`

	// These members describe supported requests.
	ScopesSupported                    []string `json:"scopes_supported,omitempty"`
	ResponseTypesSupported             []string `json:"response_types_supported,omitempty"`
	ResponseModesSupported             []string `json:"response_modes_supported,omitempty"`
	GrantTypesSupported                []string `json:"grant_types_supported,omitempty"`
	CodeChallengeMethodsSupported      []string `json:"code_challenge_methods_supported,omitempty"`
	ACRValuesSupported                 []string `json:"acr_values_supported,omitempty"`
	PromptValuesSupported              []string `json:"prompt_values_supported,omitempty"`
	UILocalesSupported                 []string `json:"ui_locales_supported,omitempty"`
	ProtectedResources                 []string `json:"protected_resources,omitempty"`
	AuthorizationDetailsTypesSupported []string `json:"authorization_details_types_supported,omitempty"`

	// These members describe client authentication (RFC 8414 §2).
	TokenEndpointAuthMethodsSupported                  []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	TokenEndpointAuthSigningAlgValuesSupported         []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectionEndpointAuthMethodsSupported          []string `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	IntrospectionEndpointAuthSigningAlgValuesSupported []string `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
	RevocationEndpointAuthMethodsSupported             []string `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	RevocationEndpointAuthSigningAlgValuesSupported    []string `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`

	// These members describe the binding of access tokens to their client (RFC
	// 9449 §5.1, RFC 8705 §3.3).
	DPoPSigningAlgValuesSupported         []string `json:"dpop_signing_alg_values_supported,omitempty"`
	TLSClientCertificateBoundAccessTokens bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`

	// These members describe the protection of authorization requests and
	// responses (RFC 9126 §5, RFC 9207 §3, RFC 9101 §10.5, JARM §4).
	RequirePushedAuthorizationRequests         bool     `json:"require_pushed_authorization_requests,omitempty"`
	AuthorizationResponseIssParameterSupported bool     `json:"authorization_response_iss_parameter_supported,omitempty"`
	RequireSignedRequestObject                 bool     `json:"require_signed_request_object,omitempty"`
	RequestParameterSupported                  bool     `json:"request_parameter_supported,omitempty"`
	RequestObjectSigningAlgValuesSupported     []string `json:"request_object_signing_alg_values_supported,omitempty"`
	RequestObjectEncryptionAlgValuesSupported  []string `json:"request_object_encryption_alg_values_supported,omitempty"`
	RequestObjectEncryptionEncValuesSupported  []string `json:"request_object_encryption_enc_values_supported,omitempty"`
	AuthorizationSigningAlgValuesSupported     []string `json:"authorization_signing_alg_values_supported,omitempty"`
	AuthorizationEncryptionAlgValuesSupported  []string `json:"authorization_encryption_alg_values_supported,omitempty"`
	AuthorizationEncryptionEncValuesSupported  []string `json:"authorization_encryption_enc_values_supported,omitempty"`

	// RequestURIParameterSupported permits request_uri values that the client
	// hosts. FAPI 2.0 does not use them, and pushed requests do not depend on
	// this member. Absent means true, so false is always written.
	RequestURIParameterSupported bool `json:"request_uri_parameter_supported"`

	// These members describe signed introspection responses (RFC 9701 §7).
	IntrospectionSigningAlgValuesSupported    []string `json:"introspection_signing_alg_values_supported,omitempty"`
	IntrospectionEncryptionAlgValuesSupported []string `json:"introspection_encryption_alg_values_supported,omitempty"`
	IntrospectionEncryptionEncValuesSupported []string `json:"introspection_encryption_enc_values_supported,omitempty"`

	// These members are from OpenID Connect Discovery §3.
	SubjectTypesSupported                []string `json:"subject_types_supported,omitempty"`
	IDTokenSigningAlgValuesSupported     []string `json:"id_token_signing_alg_values_supported,omitempty"`
	IDTokenEncryptionAlgValuesSupported  []string `json:"id_token_encryption_alg_values_supported,omitempty"`
	IDTokenEncryptionEncValuesSupported  []string `json:"id_token_encryption_enc_values_supported,omitempty"`
	UserInfoSigningAlgValuesSupported    []string `json:"userinfo_signing_alg_values_supported,omitempty"`
	UserInfoEncryptionAlgValuesSupported []string `json:"userinfo_encryption_alg_values_supported,omitempty"`
	UserInfoEncryptionEncValuesSupported []string `json:"userinfo_encryption_enc_values_supported,omitempty"`
	ClaimTypesSupported                  []string `json:"claim_types_supported,omitempty"`
	ClaimsSupported                      []string `json:"claims_supported,omitempty"`
	ClaimsLocalesSupported               []string `json:"claims_locales_supported,omitempty"`
	ClaimsParameterSupported             bool     `json:"claims_parameter_supported,omitempty"`

	// These members are from Grant Management for OAuth 2.0 §7.1.
	GrantManagementActionsSupported []string `json:"grant_management_actions_supported,omitempty"`
	GrantManagementActionRequired   bool     `json:"grant_management_action_required,omitempty"`

	// These members are URLs of pages for people.
	ServiceDocumentation string `json:"service_documentation,omitempty"`
	OPPolicyURI          string `json:"op_policy_uri,omitempty"`
	OPTosURI             string `json:"op_tos_uri,omitempty"`

	// Other contains the members that have no field, as JSON. Ecosystems define
	// some. It is nil if there are none.
	Other map[string]json.RawMessage `json:"-"`

	dropped []string
}

// Dropped returns the names of the members that count as absent because they
// have the wrong type. They are sorted. The name of a member of
// mtls_endpoint_aliases begins with that name and a dot.
func (m *ServerMetadata) Dropped() []string { return slices.Clone(m.dropped) }

// MTLSEndpointAliases are the URLs of endpoints for clients with a certificate
// (RFC 8705 §5). If an alias is empty, the URL of the endpoint is used. An
// alias of the authorization endpoint is ignored, because clients do not call
// that endpoint. It is a plain value.
type MTLSEndpointAliases struct {
	// The endpoints are those of [ServerMetadata].
	TokenEndpoint                      string `json:"token_endpoint,omitempty"`
	PushedAuthorizationRequestEndpoint string `json:"pushed_authorization_request_endpoint,omitempty"`
	IntrospectionEndpoint              string `json:"introspection_endpoint,omitempty"`
	RevocationEndpoint                 string `json:"revocation_endpoint,omitempty"`
	UserInfoEndpoint                   string `json:"userinfo_endpoint,omitempty"`
	RegistrationEndpoint               string `json:"registration_endpoint,omitempty"`
	GrantManagementEndpoint            string `json:"grant_management_endpoint,omitempty"`
}

// UnmarshalJSON reads a document of at most 1 MiB by exact member names. It
// rejects duplicate names, names that differ only by case, and an issuer,
// protected_resources or mtls_endpoint_aliases of the wrong type. Any other
// member that is null or of the wrong type counts as absent (see
// [ServerMetadata.Dropped]). If it returns an error, m is unchanged, and the
// error matches [ErrServerMetadata]. It checks nothing else: see
// [ServerMetadata.Validate].
func (m *ServerMetadata) UnmarshalJSON(data []byte) error {
	if len(data) > maxMetadata {
		return fmt.Errorf("%w: %d bytes, at most %d are read", ErrServerMetadata, len(data), maxMetadata)
	}
	read := ServerMetadata{RequestURIParameterSupported: true}
	dropped, other, err := readDocument(data, &read, "issuer", "protected_resources", "mtls_endpoint_aliases")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrServerMetadata, err)
	}
	read.dropped, read.Other = dropped, other
	*m = read
	return nil
}

// MarshalJSON writes the document, with the members of Other at the end. It
// returns an error if a member of Other has a field, also in another letter
// case, or is not JSON.
func (m ServerMetadata) MarshalJSON() ([]byte, error) {
	type plain ServerMetadata
	document, err := json.Marshal(plain(m))
	if err != nil || len(m.Other) == 0 {
		return document, err
	}
	for name := range m.Other {
		if isMember(reflect.TypeFor[ServerMetadata](), name) {
			return nil, fmt.Errorf("%w: %.64q of Other has a field", ErrServerMetadata, name)
		}
	}
	more, err := json.Marshal(m.Other) // sorted by name
	if err != nil {
		return nil, err
	}
	document = append(append(document[:len(document)-1], ','), more[1:]...)
	if err := strictjson.Valid(document); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrServerMetadata, err)
	}
	return document, nil
}

// ForMTLS returns a copy in which every endpoint with an alias has the URL of
// that alias. A client with mutual TLS uses the copy, whether for
// authentication or for binding tokens. So does a client that is registered
// with use_mtls_endpoint_aliases. The copy shares the slices of m.
func (m *ServerMetadata) ForMTLS() *ServerMetadata {
	out := *m
	// SP-5.3.3.1-7, SP-5.2.2.1-3, MTLS-5-1
	for _, e := range out.aliased() {
		if *e.alias != "" {
			*e.url = *e.alias
		}
	}
	out.MTLSEndpointAliases = nil
	return &out
}

// A metadataEndpoint is an endpoint that can have an alias.
type metadataEndpoint struct {
	name       string
	url, alias *string
}

// aliased returns the endpoints that can have an alias. If the document has no
// aliases, they are empty.
func (m *ServerMetadata) aliased() []metadataEndpoint {
	a := &MTLSEndpointAliases{}
	if m.MTLSEndpointAliases != nil {
		*a = *m.MTLSEndpointAliases
	}
	return []metadataEndpoint{
		{"token_endpoint", &m.TokenEndpoint, &a.TokenEndpoint},
		{"pushed_authorization_request_endpoint",
			&m.PushedAuthorizationRequestEndpoint, &a.PushedAuthorizationRequestEndpoint},
		{"introspection_endpoint", &m.IntrospectionEndpoint, &a.IntrospectionEndpoint},
		{"revocation_endpoint", &m.RevocationEndpoint, &a.RevocationEndpoint},
		{"userinfo_endpoint", &m.UserInfoEndpoint, &a.UserInfoEndpoint},
		{"registration_endpoint", &m.RegistrationEndpoint, &a.RegistrationEndpoint},
		{"grant_management_endpoint", &m.GrantManagementEndpoint, &a.GrantManagementEndpoint},
	}
}

// clientAuthMethods returns the methods of FAPI 2.0 (SP-5.3.2.1-6).
func clientAuthMethods() []string { return append(mtlsMethods(), "private_key_jwt") }

func mtlsMethods() []string { return []string{"tls_client_auth", "self_signed_tls_client_auth"} }

// usesCode reports whether the server has the authorization code flow. An
// absent list includes it (MD-2-5).
func (m *ServerMetadata) usesCode() bool {
	return m.GrantTypesSupported == nil || slices.Contains(m.GrantTypesSupported, "authorization_code")
}

// Validate checks, for a client, that the document is that of issuer and that
// it is well-formed. The issuer must be identical. The required members must be
// present, and the endpoints must be https URLs. If Validate returns an error,
// do not use any member of the document.
//
// The error matches [ErrIssuer] if issuer is malformed. Otherwise it matches
// [ErrIssuerMismatch], or [ErrServerMetadata] and has every problem.
func (m *ServerMetadata) Validate(issuer string) error {
	if err := CheckIssuer(issuer); err != nil {
		return err
	}
	// MD-3.3-1, SP-5.3.3.1-11, MD-4-1: identical code points. With any
	// normalization, one server could speak for another.
	if m.Issuer != issuer {
		return fmt.Errorf("%w: got %.200q, want %q", ErrIssuerMismatch, m.Issuer, issuer)
	}
	return whyAbsent(problems(m.rules(Baseline), malformed, ErrServerMetadata), m.dropped)
}

// CheckBaseline reports, for a client, why no FAPI 2.0 flow is possible with
// this server. The error has every reason and matches [ErrServerMetadata].
//
// Where it is safe, an absent member has the value that FAPI 2.0 requires:
// grant types, response modes, PKCE methods and assertion algorithms. At worst,
// the server rejects a request. Other absent members are reasons, because their
// default is forbidden. Examples are pushed requests, iss in authorization
// responses, client authentication and bound tokens.
func (m *ServerMetadata) CheckBaseline() error {
	return whyAbsent(problems(m.rules(Baseline), unusable, ErrServerMetadata), m.dropped)
}

// CheckPublished reports, for a server, why its document must not be published.
// The error has every error of [ServerMetadata.Lint] under [Baseline]. Those
// include the problems of [ServerMetadata.Validate] and
// [ServerMetadata.CheckBaseline], absent members with a forbidden default, and
// forbidden values. The error matches [ErrServerMetadata], or [ErrIssuer] for
// the issuer.
func (m *ServerMetadata) CheckPublished() error {
	if err := CheckIssuer(m.Issuer); err != nil {
		return err
	}
	return errors.Join(problems(m.rules(Baseline), anyError, ErrServerMetadata)...)
}
