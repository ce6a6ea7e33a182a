package profile

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/jwks"
)

var (
	// ErrClientMetadata: client metadata is malformed or asks for what FAPI 2.0 forbids (RFC 7591 §3.2.2).
	ErrClientMetadata = oautherr.New("profile: unacceptable client metadata", "invalid_client_metadata", http.StatusBadRequest, "the client metadata is not acceptable")
	// ErrClientRedirectURI: one of the redirect_uris is unsafe, or there is none (RFC 7591 §3.2.2).
	ErrClientRedirectURI = oautherr.New("profile: unacceptable redirect_uris", "invalid_redirect_uri", http.StatusBadRequest, "a redirect_uri is missing or not acceptable")
)

// ClientMetadata is the registration of a client in the form of RFC 7591 and of the specifications around FAPI 2.0. What a
// host keeps for each client can be exactly this, as JSON. Members not listed are ignored, among them client_secret, which
// FAPI 2.0 has no use for.
//
// Nothing in it may be relied on before [ClientMetadata.Validate] has passed. It is safe for concurrent reading.
type ClientMetadata struct {
	// ClientID is 1 to 1024 printable ASCII characters. The server should choose it, at random: one that a client chooses
	// could be taken for a user's identifier where tokens of both kinds are accepted (SP-6.7-1). Required.
	ClientID string `json:"client_id"`

	// For consent pages. They come from the client: escape them.
	ClientName string   `json:"client_name,omitempty"`
	ClientURI  string   `json:"client_uri,omitempty"`
	LogoURI    string   `json:"logo_uri,omitempty"`
	PolicyURI  string   `json:"policy_uri,omitempty"`
	TosURI     string   `json:"tos_uri,omitempty"`
	Contacts   []string `json:"contacts,omitempty"`

	// RedirectURIs are https URLs, or http ones on 127.0.0.1 and [::1], compared as par.CheckRedirectURI does. Required with
	// the authorization_code grant.
	RedirectURIs []string `json:"redirect_uris,omitempty"`
	// GrantTypes are among authorization_code, refresh_token and client_credentials. Default: authorization_code alone.
	GrantTypes []string `json:"grant_types,omitempty"`
	// ResponseTypes can only be code, the default.
	ResponseTypes []string `json:"response_types,omitempty"`
	// ResponseModes are those that the client may use (MS-5.3.3-1): query, jwt, query.jwt, form_post.jwt. Default: any that
	// the server has.
	ResponseModes []string `json:"response_modes,omitempty"`
	// Scope is a list separated by spaces of what the client may ask for. Empty: nothing.
	Scope string `json:"scope,omitempty"`
	// AuthorizationDetailsTypes are the types of authorization details that the client may use (RAR-10-2).
	AuthorizationDetailsTypes []string `json:"authorization_details_types,omitempty"`

	// JWKS and JWKSURI are the client's public keys, by value or by an https URL; never both.
	JWKS    *jwks.Set `json:"jwks,omitempty"`
	JWKSURI string    `json:"jwks_uri,omitempty"`

	// TokenEndpointAuthMethod is private_key_jwt, tls_client_auth or self_signed_tls_client_auth. Required, as the default
	// of RFC 7591 is client_secret_basic.
	TokenEndpointAuthMethod string `json:"token_endpoint_auth_method,omitempty"`
	// TokenEndpointAuthSigningAlg narrows private_key_jwt to one algorithm. Default: any of FAPI 2.0 that a key fits.
	TokenEndpointAuthSigningAlg string `json:"token_endpoint_auth_signing_alg,omitempty"`
	// The subject of the certificate for tls_client_auth: exactly one of these (RFC 8705 §2.1.2).
	TLSClientAuthSubjectDN string `json:"tls_client_auth_subject_dn,omitempty"`
	TLSClientAuthSANDNS    string `json:"tls_client_auth_san_dns,omitempty"`
	TLSClientAuthSANURI    string `json:"tls_client_auth_san_uri,omitempty"`
	TLSClientAuthSANIP     string `json:"tls_client_auth_san_ip,omitempty"`
	TLSClientAuthSANEmail  string `json:"tls_client_auth_san_email,omitempty"`

	// How the client's access tokens are bound: by DPoP (DPOP-5.2-1) or by certificate (MTLS-3.4-1), exactly one.
	DPoPBoundAccessTokens                 bool `json:"dpop_bound_access_tokens,omitempty"`
	TLSClientCertificateBoundAccessTokens bool `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	// UseMTLSEndpointAliases makes the client call the aliases of all endpoints (SP-5.2.2.1.1-1).
	UseMTLSEndpointAliases bool `json:"use_mtls_endpoint_aliases,omitempty"`

	// RequirePushedAuthorizationRequests changes nothing under FAPI 2.0, which always requires them (PAR-6-1).
	RequirePushedAuthorizationRequests bool `json:"require_pushed_authorization_requests,omitempty"`

	// Signed requests (JAR-10.5-1, JAR-4-5).
	RequireSignedRequestObject bool   `json:"require_signed_request_object,omitempty"`
	RequestObjectSigningAlg    string `json:"request_object_signing_alg,omitempty"`
	RequestObjectEncryptionAlg string `json:"request_object_encryption_alg,omitempty"`
	RequestObjectEncryptionEnc string `json:"request_object_encryption_enc,omitempty"`

	// The algorithms of what the server signs for the client: authorization responses (JARM-3-1), introspection responses
	// (INT-9701-6-1), ID tokens, UserInfo. The default of each is not the RS256 of its specification, which FAPI 2.0
	// forbids, but the algorithm of the server's first key; of UserInfo it is a response that is not signed.
	AuthorizationSignedResponseAlg string `json:"authorization_signed_response_alg,omitempty"`
	IntrospectionSignedResponseAlg string `json:"introspection_signed_response_alg,omitempty"`
	IDTokenSignedResponseAlg       string `json:"id_token_signed_response_alg,omitempty"`
	UserInfoSignedResponseAlg      string `json:"userinfo_signed_response_alg,omitempty"`

	// How they are encrypted beside; empty: not at all. An enc without its alg is refused (JARM-3-2).
	AuthorizationEncryptedResponseAlg string `json:"authorization_encrypted_response_alg,omitempty"`
	AuthorizationEncryptedResponseEnc string `json:"authorization_encrypted_response_enc,omitempty"`
	IntrospectionEncryptedResponseAlg string `json:"introspection_encrypted_response_alg,omitempty"`
	IntrospectionEncryptedResponseEnc string `json:"introspection_encrypted_response_enc,omitempty"`
	IDTokenEncryptedResponseAlg       string `json:"id_token_encrypted_response_alg,omitempty"`
	IDTokenEncryptedResponseEnc       string `json:"id_token_encrypted_response_enc,omitempty"`

	// OpenID Connect Dynamic Client Registration §2.
	ApplicationType        string   `json:"application_type,omitempty"`
	SubjectType            string   `json:"subject_type,omitempty"`
	RequireAuthTime        bool     `json:"require_auth_time,omitempty"`
	DefaultACRValues       []string `json:"default_acr_values,omitempty"`
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`

	// RFC 7591 §2.
	SoftwareID      string `json:"software_id,omitempty"`
	SoftwareVersion string `json:"software_version,omitempty"`
}

// UnmarshalJSON reads a document of at most 1 MiB by exact member names. It
// rejects duplicate names, names that differ only by case, and members of the
// wrong type. It drops unusable entries of jwks: see [jwks.Set.Dropped]. If it
// returns an error, c is unchanged, and the error matches [ErrClientMetadata].
// It checks nothing else. [ClientMetadata.Validate] reports a private key in
// jwks.
func (c *ClientMetadata) UnmarshalJSON(data []byte) error {
	if len(data) > maxMetadata {
		return fmt.Errorf("%w: %d bytes, at most %d are read", ErrClientMetadata, len(data), maxMetadata)
	}
	type plain ClientMetadata
	var read plain
	raw, rest, err := strictjson.Cut(data, "jwks")
	if err == nil {
		err = strictjson.Decode(rest, &read)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrClientMetadata, err)
	}
	if raw != nil && string(raw) != "null" {
		if read.JWKS, err = jwks.Parse(raw); err != nil {
			return fmt.Errorf("%w: %w", ErrClientMetadata, err)
		}
	}
	*c = ClientMetadata(read)
	return nil
}

// HasGrantType reports whether the client may use a grant type. A client registered without any may use
// authorization_code (RFC 7591 §2).
func (c *ClientMetadata) HasGrantType(grantType string) bool {
	if len(c.GrantTypes) == 0 {
		return grantType == "authorization_code"
	}
	return slices.Contains(c.GrantTypes, grantType)
}

// AllowsScope reports whether the client may ask for one scope value. A client registered without scope may ask for none:
// the server that wants a default writes it into the registration.
func (c *ClientMetadata) AllowsScope(scope string) bool {
	return scope != "" && slices.Contains(strings.Split(c.Scope, " "), scope)
}

// AllowsResponseMode reports whether the client may use a response mode that the server has (MS-5.3.3-1). jwt and
// query.jwt are one mode with two names.
func (c *ClientMetadata) AllowsResponseMode(mode string) bool {
	if len(c.ResponseModes) == 0 {
		return true
	}
	return haveOne(c.ResponseModes, mode) || mode == "jwt" && haveOne(c.ResponseModes, "query.jwt") ||
		mode == "query.jwt" && haveOne(c.ResponseModes, "jwt")
}

// Validate checks that the registration is one that FAPI 2.0 allows. The error lists everything that is wrong, each as an
// error that matches [ErrClientMetadata] or [ErrClientRedirectURI]. Keys behind a jwks_uri, and what a certain server
// supports of what FAPI 2.0 allows, are not looked at.
func (c *ClientMetadata) Validate() error {
	l := c.lint(Baseline)
	p, redirects := l.problems(ErrClientMetadata, notIn(redirectFault)), l.problems(ErrClientRedirectURI, in(redirectFault))
	p.list = append(p.list, redirects.list...)
	return p.err()
}

func haveOnlyVSCHAR(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e })
}

// Authentication returns how the client authenticates, for package clientauth.
// It contains the keys of neither JWKS nor JWKSURI.
func (c *ClientMetadata) Authentication() clientauth.Client {
	return clientauth.Client{
		ID: c.ClientID, Method: c.TokenEndpointAuthMethod, Algorithm: c.TokenEndpointAuthSigningAlg,
		SubjectDN: c.TLSClientAuthSubjectDN, SANDNS: c.TLSClientAuthSANDNS, SANURI: c.TLSClientAuthSANURI,
		SANIP: c.TLSClientAuthSANIP, SANEmail: c.TLSClientAuthSANEmail,
	}
}
