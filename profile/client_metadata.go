package profile

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/jwks"
)

var (
	// ErrClientMetadata means that a registration is malformed or has values
	// that FAPI 2.0 forbids (RFC 7591 §3.2.2).
	ErrClientMetadata = oautherr.New("profile: unacceptable client metadata",
		"invalid_client_metadata", http.StatusBadRequest, "the client metadata is not acceptable")
	// ErrClientRedirectURI means that redirect_uris is missing or has an unsafe
	// URI (RFC 7591 §3.2.2).
	ErrClientRedirectURI = oautherr.New("profile: unacceptable redirect_uris",
		"invalid_redirect_uri", http.StatusBadRequest, "a redirect_uri is missing or not acceptable")
)

// ClientMetadata is the registration of a client: the members of RFC 7591 and
// of the specifications that FAPI 2.0 uses. A host can store it for each client
// as JSON. Other members are ignored. One of them is client_secret, which FAPI
// 2.0 does not use.
//
// Do not use a registration before [ClientMetadata.Validate] returns nil. It is
// safe for concurrent reading.
type ClientMetadata struct {
	// ClientID is 1 to 1024 printable ASCII characters. Required. The server
	// should choose a random one. A client could choose the identifier of a
	// user, and an API that accepts both kinds of tokens would confuse them.
	ClientID string `json:"client_id"`

	// These members are for consent pages. They come from the client, so escape
	// them.
	ClientName string   `json:"client_name,omitempty"`
	ClientURI  string   `json:"client_uri,omitempty"`
	LogoURI    string   `json:"logo_uri,omitempty"`
	PolicyURI  string   `json:"policy_uri,omitempty"`
	TosURI     string   `json:"tos_uri,omitempty"`
	Contacts   []string `json:"contacts,omitempty"`

	// RedirectURIs are https URLs, or http URLs on 127.0.0.1 and [::1].
	// par.CheckRedirectURI compares them. Required for the authorization_code
	// grant.
	RedirectURIs []string `json:"redirect_uris,omitempty"`
	// GrantTypes are some of authorization_code, refresh_token and
	// client_credentials. The default is authorization_code.
	GrantTypes []string `json:"grant_types,omitempty"`
	// ResponseTypes can only be code, which is also the default.
	ResponseTypes []string `json:"response_types,omitempty"`
	// ResponseModes are the modes that the client may use: query, jwt,
	// query.jwt, form_post.jwt. If empty, the client may use any mode of the
	// server.
	ResponseModes []string `json:"response_modes,omitempty"`
	// Scope has the scopes that the client may request, separated by spaces. If
	// empty, it may not request any.
	Scope string `json:"scope,omitempty"`
	// AuthorizationDetailsTypes are the types of authorization details that the
	// client may use (RFC 9396 §10).
	AuthorizationDetailsTypes []string `json:"authorization_details_types,omitempty"`

	// JWKS has the client's public keys, and JWKSURI is their https URL. At
	// most one of them may be present.
	JWKS    *jwks.Set `json:"jwks,omitempty"`
	JWKSURI string    `json:"jwks_uri,omitempty"`

	// TokenEndpointAuthMethod is private_key_jwt, tls_client_auth or
	// self_signed_tls_client_auth. Required, because the default of RFC 7591 is
	// client_secret_basic.
	TokenEndpointAuthMethod string `json:"token_endpoint_auth_method,omitempty"`
	// TokenEndpointAuthSigningAlg restricts private_key_jwt to one algorithm.
	// If empty, any FAPI 2.0 algorithm that suits a key is accepted.
	TokenEndpointAuthSigningAlg string `json:"token_endpoint_auth_signing_alg,omitempty"`
	// Exactly one of these is the subject of the certificate for
	// tls_client_auth (RFC 8705 §2.1.2).
	TLSClientAuthSubjectDN string `json:"tls_client_auth_subject_dn,omitempty"`
	TLSClientAuthSANDNS    string `json:"tls_client_auth_san_dns,omitempty"`
	TLSClientAuthSANURI    string `json:"tls_client_auth_san_uri,omitempty"`
	TLSClientAuthSANIP     string `json:"tls_client_auth_san_ip,omitempty"`
	TLSClientAuthSANEmail  string `json:"tls_client_auth_san_email,omitempty"`

	// Exactly one of these is true. It is the binding of the client's access
	// tokens: by DPoP (RFC 9449 §5.2) or by certificate (RFC 8705 §3.4).
	DPoPBoundAccessTokens                 bool `json:"dpop_bound_access_tokens,omitempty"`
	TLSClientCertificateBoundAccessTokens bool `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	// UseMTLSEndpointAliases means that the client calls the aliases of all
	// endpoints (FAPI 2.0 Security Profile §5.2.2.1.1).
	UseMTLSEndpointAliases bool `json:"use_mtls_endpoint_aliases,omitempty"`

	// RequirePushedAuthorizationRequests has no effect, because FAPI 2.0 always
	// requires pushed requests (RFC 9126 §6).
	RequirePushedAuthorizationRequests bool `json:"require_pushed_authorization_requests,omitempty"`

	// These members describe signed requests (RFC 9101 §10.5).
	RequireSignedRequestObject bool   `json:"require_signed_request_object,omitempty"`
	RequestObjectSigningAlg    string `json:"request_object_signing_alg,omitempty"`
	RequestObjectEncryptionAlg string `json:"request_object_encryption_alg,omitempty"`
	RequestObjectEncryptionEnc string `json:"request_object_encryption_enc,omitempty"`

	// These are the algorithms with which the server signs for the client. The
	// default is the algorithm of the server's first key, because FAPI 2.0
	// forbids the RS256 of the specifications. If UserInfoSignedResponseAlg is
	// empty, UserInfo responses are not signed.
	AuthorizationSignedResponseAlg string `json:"authorization_signed_response_alg,omitempty"`
	IntrospectionSignedResponseAlg string `json:"introspection_signed_response_alg,omitempty"`
	IDTokenSignedResponseAlg       string `json:"id_token_signed_response_alg,omitempty"`
	UserInfoSignedResponseAlg      string `json:"userinfo_signed_response_alg,omitempty"`

	// These are the algorithms with which the server encrypts its signed
	// responses. If alg is empty, it does not encrypt, and enc must be empty.
	AuthorizationEncryptedResponseAlg string `json:"authorization_encrypted_response_alg,omitempty"`
	AuthorizationEncryptedResponseEnc string `json:"authorization_encrypted_response_enc,omitempty"`
	IntrospectionEncryptedResponseAlg string `json:"introspection_encrypted_response_alg,omitempty"`
	IntrospectionEncryptedResponseEnc string `json:"introspection_encrypted_response_enc,omitempty"`
	IDTokenEncryptedResponseAlg       string `json:"id_token_encrypted_response_alg,omitempty"`
	IDTokenEncryptedResponseEnc       string `json:"id_token_encrypted_response_enc,omitempty"`
	UserInfoEncryptedResponseAlg      string `json:"userinfo_encrypted_response_alg,omitempty"`
	UserInfoEncryptedResponseEnc      string `json:"userinfo_encrypted_response_enc,omitempty"`

	// These members are from OpenID Connect Dynamic Client Registration §2.
	ApplicationType string `json:"application_type,omitempty"`
	SubjectType     string `json:"subject_type,omitempty"`
	// SectorIdentifierURI is an https URL. Its document is a JSON array that
	// contains each redirect URI, which the registration must check. See
	// [ClientMetadata.SectorIdentifier].
	SectorIdentifierURI    string   `json:"sector_identifier_uri,omitempty"`
	RequireAuthTime        bool     `json:"require_auth_time,omitempty"`
	DefaultACRValues       []string `json:"default_acr_values,omitempty"`
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`

	// These members are from RFC 7591 §2.
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

// HasGrantType reports whether the client may use a grant type. A client
// without GrantTypes may use authorization_code (RFC 7591 §2).
func (c *ClientMetadata) HasGrantType(grantType string) bool {
	if len(c.GrantTypes) == 0 {
		return grantType == "authorization_code"
	}
	return slices.Contains(c.GrantTypes, grantType)
}

// AllowsScope reports whether the client may request one scope. If Scope is
// empty, it may not request any. A server with a default scope writes it into
// the registration.
func (c *ClientMetadata) AllowsScope(scope string) bool {
	return scope != "" && slices.Contains(strings.Split(c.Scope, " "), scope)
}

// AllowsResponseMode reports whether the client may use a response mode of the
// server. For the code flow, jwt and query.jwt are two names of one mode.
func (c *ClientMetadata) AllowsResponseMode(mode string) bool {
	if len(c.ResponseModes) == 0 {
		return true
	}
	// MS-5.3.3-1
	same := []string{mode}
	if isOne(mode, "jwt", "query.jwt") {
		same = []string{"jwt", "query.jwt"}
	}
	return hasAny(c.ResponseModes, same...)
}

// SectorIdentifier returns the host for which pairwise subjects are made
// (OpenID Connect Core §8.1). Clients with the same host receive the same
// subjects. It is the host of SectorIdentifierURI, or that of RedirectURIs. It
// returns an error if redirect URIs have several hosts, or one on loopback, and
// there is no SectorIdentifierURI. The error matches [ErrClientMetadata].
func (c *ClientMetadata) SectorIdentifier() (string, error) {
	sector, err := c.sector()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrClientMetadata, err)
	}
	return sector, nil
}

func (c *ClientMetadata) sector() (string, error) {
	uris := c.RedirectURIs
	if c.SectorIdentifierURI != "" {
		uris = []string{c.SectorIdentifierURI}
	}
	var sector string
	for _, uri := range uris {
		u, err := url.Parse(uri)
		if err != nil || u.Hostname() == "" {
			return "", fmt.Errorf("no host in %.200q", uri)
		}
		host := strings.ToLower(u.Hostname())
		if sector != "" && host != sector { // CA-OIDC-8.1-3
			return "", errors.New("redirect_uris with several hosts and no sector_identifier_uri")
		}
		sector = host
	}
	if sector == "" || sector == "127.0.0.1" || sector == "::1" { // every native client has it
		return "", errors.New("missing sector_identifier_uri")
	}
	return sector, nil
}

// Validate checks that FAPI 2.0 permits the registration. The error has every
// problem, and each matches [ErrClientMetadata] or [ErrClientRedirectURI].
// Validate does not fetch a jwks_uri, and does not know what a certain server
// supports.
func (c *ClientMetadata) Validate() error {
	rules := c.rules(Baseline)
	return errors.Join(append(problems(rules, forbidden, ErrClientMetadata),
		problems(rules, badRedirect, ErrClientRedirectURI)...)...)
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
