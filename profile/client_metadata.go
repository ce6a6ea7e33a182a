package profile

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gofapi/fapi2/clientauth"
	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/internal/oautherr"
	"github.com/gofapi/fapi2/internal/strictjson"
	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/par"
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
	// forbids, but the server's own algorithm.
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

// UnmarshalJSON reads a document of at most 1 MiB by exact member names and refuses duplicates, names that differ by case
// only, members of the wrong type, and a jwks with a private key in it. On error c is unchanged. It checks nothing else:
// see [ClientMetadata.Validate]. The error matches [ErrClientMetadata].
func (c *ClientMetadata) UnmarshalJSON(data []byte) error {
	if len(data) > maxMetadata {
		return fmt.Errorf("%w: %d bytes, at most %d are read", ErrClientMetadata, len(data), maxMetadata)
	}
	type plain ClientMetadata
	var read plain
	if err := strictjson.Decode(data, &read); err != nil {
		return fmt.Errorf("%w: %w", ErrClientMetadata, err)
	}
	document, err := strictjson.ParseObject(data)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrClientMetadata, err)
	}
	read.JWKS = nil
	if raw, ok := document.Get("jwks"); ok && string(raw) != "null" {
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
// error that matches [ErrClientMetadata] or [ErrClientRedirectURI]. Keys behind a jwks_uri, and what
// a certain server supports of what FAPI 2.0 allows, are not looked at.
func (c *ClientMetadata) Validate() error {
	p := problems{sentinel: ErrClientMetadata}
	p.unless(c.ClientID != "" && len(c.ClientID) <= 1024 && haveOnlyVSCHAR(c.ClientID), "client_id is not 1 to 1024 printable ASCII characters")
	c.checkRequests(&p)
	c.checkAuthentication(&p)
	c.checkKeys(&p)
	c.checkAlgorithms(&p)
	// SP-5.3.2.1-4: no unbound tokens, whatever the client says it can do without. DPOP-5.2-1, MTLS-3.4-1: the default of
	// each is false. One token is bound in one way, so a client that names both has not decided.
	p.unless(c.DPoPBoundAccessTokens || c.TLSClientCertificateBoundAccessTokens,
		"neither dpop_bound_access_tokens nor tls_client_certificate_bound_access_tokens is true")
	p.unless(!c.DPoPBoundAccessTokens || !c.TLSClientCertificateBoundAccessTokens,
		"dpop_bound_access_tokens and tls_client_certificate_bound_access_tokens exclude each other")
	redirects := problems{sentinel: ErrClientRedirectURI}
	c.checkRedirectURIs(&redirects)
	p.list = append(p.list, redirects.list...)
	return p.err()
}

func haveOnlyVSCHAR(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e })
}

func (c *ClientMetadata) checkRequests(p *problems) {
	for _, grantType := range c.GrantTypes {
		// SP-5.3.2.1-2: password has no place, nor has implicit.
		p.unless(haveOne([]string{grantType}, "authorization_code", "refresh_token", "client_credentials"), "grant_types: %.100q", grantType)
	}
	p.unless(!c.HasGrantType("refresh_token") || c.HasGrantType("authorization_code"), "grant_types: refresh_token without authorization_code")
	for _, responseType := range c.ResponseTypes {
		p.unless(responseType == "code", "response_types: %.100q is not code", responseType) // SP-5.3.2.2-1
	}
	for _, mode := range c.ResponseModes {
		// MS-5.3.3-1. A fragment stays in the browser's history and passes through scripts.
		p.unless(haveOne([]string{mode}, "query", "jwt", "query.jwt", "form_post.jwt"), "response_modes: %.100q", mode)
	}
	if c.Scope != "" {
		for _, scope := range strings.Split(c.Scope, " ") {
			p.unless(validScope(scope), "scope: %.100q is not a scope value", scope)
		}
	}
	p.unless(!slices.Contains(c.AuthorizationDetailsTypes, ""), "authorization_details_types has an empty type")
	p.unless(haveOne([]string{c.ApplicationType}, "", "web", "native"), "application_type: %.100q", c.ApplicationType)
	p.unless(haveOne([]string{c.SubjectType}, "", "public", "pairwise"), "subject_type: %.100q", c.SubjectType)
}

func (c *ClientMetadata) checkAuthentication(p *problems) {
	method := c.TokenEndpointAuthMethod
	switch {
	case method == "": // RFC 7591 §2
		p.unless(false, "no token_endpoint_auth_method: the default is client_secret_basic")
	default:
		// SP-5.3.2.1-3, SP-5.3.2.1-6: no public clients, no shared secrets.
		p.unless(haveOne(clientAuthMethods(), method), "token_endpoint_auth_method: %.100q", method)
	}
	if haveOne(clientAuthMethods(), method) {
		// MTLS-2.1.2-1: one subject and no other, in a form that certificates can be compared with.
		a := c.authentication()
		a.ID, a.Algorithm = "any", "" // which are looked at elsewhere
		err := a.Validate()
		p.unless(err == nil, "tls_client_auth_*: %w", err)
	}
	p.unless(c.TokenEndpointAuthSigningAlg == "" || method == "private_key_jwt", "token_endpoint_auth_signing_alg without private_key_jwt")
}

// authentication is what clientauth has to know of the client, but for its keys.
func (c *ClientMetadata) authentication() clientauth.Client {
	return clientauth.Client{
		ID: c.ClientID, Method: c.TokenEndpointAuthMethod, Algorithm: c.TokenEndpointAuthSigningAlg,
		SubjectDN: c.TLSClientAuthSubjectDN, SANDNS: c.TLSClientAuthSANDNS, SANURI: c.TLSClientAuthSANURI,
		SANIP: c.TLSClientAuthSANIP, SANEmail: c.TLSClientAuthSANEmail,
	}
}

func (c *ClientMetadata) checkKeys(p *problems) {
	p.unless(c.JWKS == nil || c.JWKSURI == "", "jwks and jwks_uri exclude each other") // RFC 7591 §2
	if c.JWKSURI != "" {
		problem := httpsProblem(c.JWKSURI) // SP-5.4.2-1
		p.unless(problem == "", "jwks_uri %.200q %s", c.JWKSURI, problem)
	}
	signed := c.RequireSignedRequestObject || c.RequestObjectSigningAlg != ""
	needed := signed || haveOne([]string{c.TokenEndpointAuthMethod}, "private_key_jwt", "self_signed_tls_client_auth")
	p.unless(!needed || c.JWKS != nil || c.JWKSURI != "", "neither jwks nor jwks_uri")
	if c.JWKS == nil {
		return
	}
	hasKey := func(algs ...string) bool {
		return slices.ContainsFunc(algs, func(alg string) bool {
			keys, err := c.JWKS.Keys(context.Background(), "", alg) // in memory: nothing to wait for
			return err == nil && len(keys) > 0
		})
	}
	// Keys that nothing can be verified with are better found here than at the first request.
	p.unless(hasKey(jose.Algorithms()...), "jwks has no key that FAPI 2.0 can use")
	for _, alg := range []string{c.TokenEndpointAuthSigningAlg, c.RequestObjectSigningAlg} {
		p.unless(!jose.Allowed(alg) || hasKey(alg), "jwks has no key for %s", alg)
	}
}

func (c *ClientMetadata) checkAlgorithms(p *problems) {
	for _, a := range []struct{ name, alg string }{
		{"token_endpoint_auth_signing_alg", c.TokenEndpointAuthSigningAlg},
		{"request_object_signing_alg", c.RequestObjectSigningAlg},
		{"authorization_signed_response_alg", c.AuthorizationSignedResponseAlg}, // JARM-3-1
		{"introspection_signed_response_alg", c.IntrospectionSignedResponseAlg}, // INT-9701-6-1
		{"id_token_signed_response_alg", c.IDTokenSignedResponseAlg},
		{"userinfo_signed_response_alg", c.UserInfoSignedResponseAlg},
	} {
		// SP-5.4.1-1.2, SP-5.4.1-1.3: neither RS256 nor none, not even when it is the registered default.
		p.unless(a.alg == "" || jose.Allowed(a.alg), "%s: %.100q is no algorithm of FAPI 2.0", a.name, a.alg)
	}
	for _, e := range []struct{ name, alg, enc string }{
		{"request_object_encryption", c.RequestObjectEncryptionAlg, c.RequestObjectEncryptionEnc},
		{"authorization_encrypted_response", c.AuthorizationEncryptedResponseAlg, c.AuthorizationEncryptedResponseEnc}, // JARM-3-2
		{"introspection_encrypted_response", c.IntrospectionEncryptedResponseAlg, c.IntrospectionEncryptedResponseEnc}, // INT-9701-6-1
		{"id_token_encrypted_response", c.IDTokenEncryptedResponseAlg, c.IDTokenEncryptedResponseEnc},
	} {
		p.unless(e.enc == "" || e.alg != "", "%s_enc without %[1]s_alg", e.name)
	}
}

func (c *ClientMetadata) checkRedirectURIs(p *problems) {
	p.unless(len(c.RedirectURIs) > 0 || !c.HasGrantType("authorization_code"), "none, with the authorization_code grant")
	for _, uri := range c.RedirectURIs {
		// BCP-2.6-3, SP-5.3.2.2-8: http on the loopback interface only. What a pushed request may use decides, but for an
		// app's own scheme: any other app can take it, and a client that keeps a key has an https URL.
		err := par.CheckRedirectURI([]string{uri}, uri)
		p.unless(err == nil, "%.200q: %w", uri, err)
		p.unless(err != nil || strings.HasPrefix(uri, "https://") || strings.HasPrefix(uri, "http://"), "%.200q is neither https nor http on loopback", uri)
	}
}
