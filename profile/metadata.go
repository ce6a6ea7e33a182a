package profile

import (
	"errors"
	"fmt"
	"slices"
)

var (
	// ErrIssuerMismatch: the document names another issuer than the one it was fetched for. Nothing in it may be used.
	ErrIssuerMismatch = errors.New("profile: metadata of another issuer")
	// ErrServerMetadata: a metadata document is malformed, or no FAPI 2.0 flow is possible with what it says.
	ErrServerMetadata = errors.New("profile: unusable authorization server metadata")
)

// maxMetadata bounds a metadata document of either side. The largest that are in use have some kilobytes.
const maxMetadata = 1 << 20

// ServerMetadata is the metadata of an authorization server: the members of RFC 8414, OpenID Connect Discovery and the
// specifications around FAPI 2.0, under their registered names. Absent members have zero values, and zero values are
// omitted (MD-3.2-1), but for request_uri_parameter_supported, whose default is true. Members not listed are ignored;
// so is signed_metadata, to which FAPI 2.0 gives no trusted issuer.
//
// A client gets it from [Discover]; see [ServerMetadata.CheckBaseline] for what absent members mean to it. A server fills
// it in and serves it with [ServerMetadata.Handler]. It is safe for concurrent reading.
type ServerMetadata struct {
	// Issuer is the issuer identifier, to be compared as a string with what was configured.
	Issuer string `json:"issuer"`

	// Endpoints, https URLs. The authorization endpoint is for browsers; clients call all others themselves.
	AuthorizationEndpoint              string `json:"authorization_endpoint,omitempty"`
	TokenEndpoint                      string `json:"token_endpoint,omitempty"`
	PushedAuthorizationRequestEndpoint string `json:"pushed_authorization_request_endpoint,omitempty"` // PAR-2-2
	JWKSURI                            string `json:"jwks_uri,omitempty"`                              // MD-2-4
	IntrospectionEndpoint              string `json:"introspection_endpoint,omitempty"`                // MD-2-10
	RevocationEndpoint                 string `json:"revocation_endpoint,omitempty"`
	UserInfoEndpoint                   string `json:"userinfo_endpoint,omitempty"`
	RegistrationEndpoint               string `json:"registration_endpoint,omitempty"`
	EndSessionEndpoint                 string `json:"end_session_endpoint,omitempty"`
	GrantManagementEndpoint            string `json:"grant_management_endpoint,omitempty"`

	// MTLSEndpointAliases are the endpoints for connections with a client certificate; see [ServerMetadata.ForMTLS].
	MTLSEndpointAliases *MTLSEndpointAliases `json:"mtls_endpoint_aliases,omitempty"`

	// What requests may ask for.
	ScopesSupported                    []string `json:"scopes_supported,omitempty"`                 // MD-2-11
	ResponseTypesSupported             []string `json:"response_types_supported,omitempty"`         // MD-2-3
	ResponseModesSupported             []string `json:"response_modes_supported,omitempty"`         // MD-2-6, JARM-4-2
	GrantTypesSupported                []string `json:"grant_types_supported,omitempty"`            // MD-2-5
	CodeChallengeMethodsSupported      []string `json:"code_challenge_methods_supported,omitempty"` // MD-2-9
	ACRValuesSupported                 []string `json:"acr_values_supported,omitempty"`             // SU-7-1
	PromptValuesSupported              []string `json:"prompt_values_supported,omitempty"`
	UILocalesSupported                 []string `json:"ui_locales_supported,omitempty"`
	ProtectedResources                 []string `json:"protected_resources,omitempty"`                   // PRM-4-1
	AuthorizationDetailsTypesSupported []string `json:"authorization_details_types_supported,omitempty"` // RAR-10-1

	// How clients authenticate (MD-2-7, MD-2-8, MD-2-10).
	TokenEndpointAuthMethodsSupported                  []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	TokenEndpointAuthSigningAlgValuesSupported         []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectionEndpointAuthMethodsSupported          []string `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	IntrospectionEndpointAuthSigningAlgValuesSupported []string `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
	RevocationEndpointAuthMethodsSupported             []string `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	RevocationEndpointAuthSigningAlgValuesSupported    []string `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`

	// How access tokens are bound to their client (DPOP-5.1-1, MTLS-3.3-1).
	DPoPSigningAlgValuesSupported         []string `json:"dpop_signing_alg_values_supported,omitempty"`
	TLSClientCertificateBoundAccessTokens bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`

	// Protection of the authorization request and response (PAR-5-1, ISS-3-1, JAR-4-5, JAR-10.5-1, JARM-4-1).
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

	// RequestURIParameterSupported is about request_uri values that the client hosts itself. FAPI 2.0 has no use for them,
	// and a pushed request needs no announcement here. Absent means true, so that false is always written.
	RequestURIParameterSupported bool `json:"request_uri_parameter_supported"`

	// Signed introspection responses (INT-9701-7-1).
	IntrospectionSigningAlgValuesSupported    []string `json:"introspection_signing_alg_values_supported,omitempty"`
	IntrospectionEncryptionAlgValuesSupported []string `json:"introspection_encryption_alg_values_supported,omitempty"`
	IntrospectionEncryptionEncValuesSupported []string `json:"introspection_encryption_enc_values_supported,omitempty"`

	// OpenID Connect Discovery §3.
	SubjectTypesSupported               []string `json:"subject_types_supported,omitempty"`
	IDTokenSigningAlgValuesSupported    []string `json:"id_token_signing_alg_values_supported,omitempty"`
	IDTokenEncryptionAlgValuesSupported []string `json:"id_token_encryption_alg_values_supported,omitempty"`
	IDTokenEncryptionEncValuesSupported []string `json:"id_token_encryption_enc_values_supported,omitempty"`
	UserInfoSigningAlgValuesSupported   []string `json:"userinfo_signing_alg_values_supported,omitempty"`
	ClaimTypesSupported                 []string `json:"claim_types_supported,omitempty"`
	ClaimsSupported                     []string `json:"claims_supported,omitempty"`
	ClaimsLocalesSupported              []string `json:"claims_locales_supported,omitempty"`
	ClaimsParameterSupported            bool     `json:"claims_parameter_supported,omitempty"`

	// Grant Management for OAuth 2.0 §7.1.
	GrantManagementActionsSupported []string `json:"grant_management_actions_supported,omitempty"`
	GrantManagementActionRequired   bool     `json:"grant_management_action_required,omitempty"`

	// For people.
	ServiceDocumentation string `json:"service_documentation,omitempty"`
	OPPolicyURI          string `json:"op_policy_uri,omitempty"`
	OPTosURI             string `json:"op_tos_uri,omitempty"`

	dropped []string
}

// Dropped returns the members that count as absent because they have another type
// than their specification gives them, sorted. A member of mtls_endpoint_aliases
// has that name and a dot before its own.
func (m *ServerMetadata) Dropped() []string { return slices.Clone(m.dropped) }

// MTLSEndpointAliases are the URLs of endpoints for clients that present a certificate (RFC 8705 §5). An empty one means
// the endpoint's ordinary URL. There is none for the authorization endpoint, which clients do not call (MTLS-5-2); one
// in a peer's document is ignored. A plain value, safe for concurrent reading.
type MTLSEndpointAliases struct {
	// As in [ServerMetadata].
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
	dropped, err := readDocument(data, &read, "issuer", "protected_resources", "mtls_endpoint_aliases")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrServerMetadata, err)
	}
	read.dropped = dropped
	*m = read
	return nil
}

// ForMTLS returns a copy in which every endpoint that has an alias stands under that alias. A client that uses mutual TLS
// in any way, to authenticate or to bind tokens, takes all endpoints from it, as does one that is registered with
// use_mtls_endpoint_aliases. The slices are shared with m.
func (m *ServerMetadata) ForMTLS() *ServerMetadata {
	out := *m
	// SP-5.3.3.1-7, SP-5.2.2.1-3, MTLS-5-1: the alias goes before; where there is none the ordinary URL holds.
	for _, e := range out.aliased() {
		if *e.alias != "" {
			*e.url = *e.alias
		}
	}
	out.MTLSEndpointAliases = nil
	return &out
}

// A metadataEndpoint is a URL of the document, with its alias if it can have one.
type metadataEndpoint struct {
	name       string
	url, alias *string
}

// aliased lists the endpoints that can have an alias. Without aliases in the document all are empty.
func (m *ServerMetadata) aliased() []metadataEndpoint {
	a := &MTLSEndpointAliases{}
	if m.MTLSEndpointAliases != nil {
		*a = *m.MTLSEndpointAliases
	}
	return []metadataEndpoint{
		{"token_endpoint", &m.TokenEndpoint, &a.TokenEndpoint},
		{"pushed_authorization_request_endpoint", &m.PushedAuthorizationRequestEndpoint, &a.PushedAuthorizationRequestEndpoint},
		{"introspection_endpoint", &m.IntrospectionEndpoint, &a.IntrospectionEndpoint},
		{"revocation_endpoint", &m.RevocationEndpoint, &a.RevocationEndpoint},
		{"userinfo_endpoint", &m.UserInfoEndpoint, &a.UserInfoEndpoint},
		{"registration_endpoint", &m.RegistrationEndpoint, &a.RegistrationEndpoint},
		{"grant_management_endpoint", &m.GrantManagementEndpoint, &a.GrantManagementEndpoint},
	}
}

// clientAuthMethods are all that FAPI 2.0 has (SP-5.3.2.1-6); mutual TLS comes first.
func clientAuthMethods() []string {
	return []string{"tls_client_auth", "self_signed_tls_client_auth", "private_key_jwt"}
}

// usesCode says whether the authorization code flow exists there. MD-2-5: an absent list includes it.
func (m *ServerMetadata) usesCode() bool {
	return m.GrantTypesSupported == nil || slices.Contains(m.GrantTypesSupported, "authorization_code")
}

// Validate checks, for a client, that the document is the one of issuer and well-formed: the issuer identical, every
// endpoint an https URL, the required members there. A document that fails must be discarded as a whole. The error matches
// [ErrIssuerMismatch] or [ErrServerMetadata], and lists everything in the latter case.
func (m *ServerMetadata) Validate(issuer string) error {
	if err := CheckIssuer(issuer); err != nil {
		return err
	}
	// MD-3.3-1, SP-5.3.3.1-11, MD-4-1: identical code points. Whoever normalises here lets one server speak for another.
	if m.Issuer != issuer {
		return fmt.Errorf("%w: got %.200q, want %q", ErrIssuerMismatch, m.Issuer, issuer)
	}
	p := m.lint(Baseline).problems(ErrServerMetadata, in(malformed))
	return whyAbsent(p.err(), m.dropped)
}

// CheckBaseline reports, for a client, why no FAPI 2.0 flow is possible with this server, listing every reason. An absent
// member means what the FAPI 2.0 Security Profile makes of it where that is safe: a server that does not list its grant
// types, response modes, PKCE methods or assertion algorithms is believed to have the required ones, since it can do no
// worse than refuse them. Where absence means something that FAPI forbids it is a reason: no pushed requests, no iss in
// authorization responses, authentication by client secret, unbound access tokens. The error matches [ErrServerMetadata].
func (m *ServerMetadata) CheckBaseline() error {
	p := m.lint(Baseline).problems(ErrServerMetadata, in(unusable))
	return whyAbsent(p.err(), m.dropped)
}

// CheckPublished reports, for a server, why its document must not be published: whatever [ServerMetadata.Validate] and
// [ServerMetadata.CheckBaseline] find, members left out whose default FAPI 2.0 forbids, and values that it forbids. It
// lists everything that [ServerMetadata.Lint] has as an error under [Baseline]; the error matches [ErrServerMetadata], or
// [ErrIssuer] for the issuer.
func (m *ServerMetadata) CheckPublished() error {
	if err := CheckIssuer(m.Issuer); err != nil {
		return err
	}
	p := m.lint(Baseline).problems(ErrServerMetadata, notIn(0)) // all
	return p.err()
}

func haveOne(list []string, of ...string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return slices.Contains(of, s) })
}

func haveOnly(list []string, of ...string) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !slices.Contains(of, s) })
}

// problems collects everything that is wrong, since whoever mends a configuration wants to do it once.

type problems struct {
	sentinel error
	list     []error
}

// unless adds a problem that holds if ok does not.
func (p *problems) unless(ok bool, format string, args ...any) {
	if !ok {
		p.list = append(p.list, fmt.Errorf("%w: %w", p.sentinel, fmt.Errorf(format, args...)))
	}
}

func (p *problems) err() error { return errors.Join(p.list...) }
