package profile_test

import (
	"testing"

	"github.com/gofapi/fapi2/jwks"
	"github.com/gofapi/fapi2/profile"
)

// The samples of Lint: a change to a good document, and everything that is to be found in it then.

type lintServerSample struct {
	name    string
	profile profile.Profile
	edit    func(*profile.ServerMetadata)
	want    []string
}

var lintServerSamples = []lintServerSample{
	{"MD-2-1 an issuer over http", 0, func(m *profile.ServerMetadata) { m.Issuer = "http://as.example" }, []string{
		"error MD-2-1 issuer", "advice MD-2-2 authorization_endpoint", "advice MD-2-2 token_endpoint",
		"advice PAR-2-2 pushed_authorization_request_endpoint", "advice MD-2-4 jwks_uri"}},
	{"MD-3-1 an issuer with a slash at its end", 0, func(m *profile.ServerMetadata) { m.Issuer += "/" }, []string{"advice MD-3-1 issuer"}},
	{"MD-4-1 an issuer with a port that goes without saying", 0, func(m *profile.ServerMetadata) {
		*m = *publishable("https://as.example:443")
		m.IntrospectionEndpoint, m.IntrospectionSigningAlgValuesSupported = "", nil
	}, []string{"advice MD-4-1 issuer"}},
	{"MD-2-2 no token endpoint", 0, func(m *profile.ServerMetadata) { m.TokenEndpoint, m.MTLSEndpointAliases = "", nil }, []string{"error MD-2-2 token_endpoint"}},
	{"MD-2-4 signatures without keys", 0, func(m *profile.ServerMetadata) { m.JWKSURI = "" }, []string{"error MD-2-4 jwks_uri"}},
	{"SP-5.4.2-R1 no keys at all", 0, func(m *profile.ServerMetadata) {
		m.JWKSURI, m.ScopesSupported, m.ResponseModesSupported = "", []string{"accounts"}, []string{"query"}
		m.AuthorizationSigningAlgValuesSupported, m.IntrospectionSigningAlgValuesSupported, m.IDTokenSigningAlgValuesSupported = nil, nil, nil
	}, []string{"advice SP-5.4.2-R1 jwks_uri"}},
	{"MD-2-2 no authorization endpoint", 0, func(m *profile.ServerMetadata) { m.AuthorizationEndpoint = "" }, []string{"error MD-2-2 authorization_endpoint"}},
	{"SP-5.3.2.2-2, PAR-2-2 no pushed requests", 0, func(m *profile.ServerMetadata) {
		m.PushedAuthorizationRequestEndpoint, m.MTLSEndpointAliases.PushedAuthorizationRequestEndpoint = "", ""
	}, []string{"error SP-5.3.2.2-2 pushed_authorization_request_endpoint"}},
	{"PAR-5-1 requests that were not pushed", 0, func(m *profile.ServerMetadata) { m.RequirePushedAuthorizationRequests = false }, []string{"warning PAR-5-1 require_pushed_authorization_requests"}},
	{"SP-5.2.1-1 an endpoint over http", 0, func(m *profile.ServerMetadata) { m.RevocationEndpoint = "http://as.example/r" }, []string{"error SP-5.2.1-1 revocation_endpoint"}},
	{"SP-5.2.1-1 an alias over http", 0, func(m *profile.ServerMetadata) { m.MTLSEndpointAliases.TokenEndpoint = "http://as.example/t" }, []string{"error SP-5.2.1-1 mtls_endpoint_aliases.token_endpoint"}},
	{"SP-5.4.2-1 keys over http", 0, func(m *profile.ServerMetadata) { m.JWKSURI = "http://as.example/jwks" }, []string{"error SP-5.4.2-1 jwks_uri", "advice MD-2-4 jwks_uri"}},
	{"SP-5.2.1-1 a page that is a script", 0, func(m *profile.ServerMetadata) { m.OPTosURI = "javascript:alert(1)" }, []string{"warning SP-5.2.1-1 op_tos_uri"}},
	{"MD-2-2 a token endpoint elsewhere", 0, func(m *profile.ServerMetadata) { m.TokenEndpoint = "https://elsewhere.example/token" }, []string{"advice MD-2-2 token_endpoint"}},
	{"PRM-4-1 a resource over http", 0, func(m *profile.ServerMetadata) {
		m.ProtectedResources = []string{"https://api.example", "http://api.example"}
	}, []string{"advice PRM-4-1 protected_resources"}},

	{"MTLS-5-1 the alias of nothing", 0, func(m *profile.ServerMetadata) { m.MTLSEndpointAliases.UserInfoEndpoint = "https://mtls.example/u" }, []string{"error MTLS-5-1 mtls_endpoint_aliases.userinfo_endpoint"}},
	{"MTLS-5-1 an alias that is the endpoint", 0, func(m *profile.ServerMetadata) { m.MTLSEndpointAliases.RevocationEndpoint = m.RevocationEndpoint }, []string{"advice MTLS-5-1 mtls_endpoint_aliases.revocation_endpoint"}},
	{"MTLS-5-1 aliases, but none where certificates are the only way in", 0, func(m *profile.ServerMetadata) {
		m.RevocationEndpointAuthMethodsSupported = []string{"tls_client_auth"}
	}, []string{"warning MTLS-5-1 mtls_endpoint_aliases.revocation_endpoint"}},
	{"MTLS-5-1 aliases, but none where certificates are a way in", 0, func(m *profile.ServerMetadata) { m.MTLSEndpointAliases.PushedAuthorizationRequestEndpoint = "" }, []string{"advice MTLS-5-1 mtls_endpoint_aliases.pushed_authorization_request_endpoint"}},
	{"MTLS-5-1 aliases, but none where certificate-bound tokens are shown", 0, func(m *profile.ServerMetadata) { m.UserInfoEndpoint = "https://as.example/userinfo" }, []string{"advice MTLS-5-1 mtls_endpoint_aliases.userinfo_endpoint"}},
	{"MD-2-11 an endpoint without the scope for it", 0, func(m *profile.ServerMetadata) {
		m.ScopesSupported, m.TLSClientCertificateBoundAccessTokens, m.UserInfoEndpoint = []string{"accounts"}, false, "https://as.example/userinfo"
	}, []string{"warning MD-2-11 userinfo_endpoint"}},
	{"SP-5.2.2.1-2 browsers are asked for certificates", 0, func(m *profile.ServerMetadata) { m.MTLSEndpointAliases = nil }, []string{"advice SP-5.2.2.1-2 mtls_endpoint_aliases"}},

	{"MD-2-5 the default includes implicit", 0, func(m *profile.ServerMetadata) { m.GrantTypesSupported = nil }, []string{"error MD-2-5 grant_types_supported"}},
	{"SP-5.3.2.1-N2 none of FAPI 2.0", 0, func(m *profile.ServerMetadata) {
		m.GrantTypesSupported = []string{"urn:ietf:params:oauth:grant-type:jwt-bearer"}
	}, []string{"error SP-5.3.2.1-N2 grant_types_supported", "advice SP-5.3.2.1-N2 grant_types_supported"}},
	{"SP-5.3.2.1-2 the password grant", 0, func(m *profile.ServerMetadata) { m.GrantTypesSupported = append(m.GrantTypesSupported, "password") }, []string{"error SP-5.3.2.1-2 grant_types_supported"}},
	{"BCP-2.1.2-1 the implicit grant", 0, func(m *profile.ServerMetadata) { m.GrantTypesSupported = append(m.GrantTypesSupported, "implicit") }, []string{"error BCP-2.1.2-1 grant_types_supported"}},
	{"MD-2-3 no response types", 0, func(m *profile.ServerMetadata) { m.ResponseTypesSupported = nil }, []string{"error MD-2-3 response_types_supported"}},
	{"SP-5.3.2.2-1 no code", 0, func(m *profile.ServerMetadata) { m.ResponseTypesSupported = []string{"token"} }, []string{"error SP-5.3.2.2-1 response_types_supported"}},
	{"SP-5.3.2.2-1 hybrid", 0, func(m *profile.ServerMetadata) { m.ResponseTypesSupported = []string{"code", "code id_token"} }, []string{"error SP-5.3.2.2-1 response_types_supported"}},
	{"SP-5.3.2.2-5 plain alone", 0, func(m *profile.ServerMetadata) { m.CodeChallengeMethodsSupported = []string{"plain"} }, []string{"error SP-5.3.2.2-5 code_challenge_methods_supported"}},
	{"MD-2-9 plain beside S256", 0, func(m *profile.ServerMetadata) { m.CodeChallengeMethodsSupported = []string{"S256", "plain"} }, []string{"error MD-2-9 code_challenge_methods_supported"}},
	{"ISS-2.3-2, ISS-3-1 no iss", 0, func(m *profile.ServerMetadata) { m.AuthorizationResponseIssParameterSupported = false }, []string{"error ISS-2.3-2 authorization_response_iss_parameter_supported"}},
	{"MD-2-6 the default has fragment", 0, func(m *profile.ServerMetadata) {
		m.ResponseModesSupported, m.AuthorizationSigningAlgValuesSupported = nil, nil
	}, []string{"error MD-2-6 response_modes_supported"}},
	{"MD-2-6 form_post alone", 0, func(m *profile.ServerMetadata) {
		m.ResponseModesSupported, m.AuthorizationSigningAlgValuesSupported = []string{"form_post"}, nil
	}, []string{"error MD-2-6 response_modes_supported"}},
	{"MD-2-6 fragment", 0, func(m *profile.ServerMetadata) {
		m.ResponseModesSupported = append(m.ResponseModesSupported, "fragment")
	}, []string{"error MD-2-6 response_modes_supported"}},
	{"MS-5.4.2-1 query.jwt under its long name only", 0, func(m *profile.ServerMetadata) { m.ResponseModesSupported = []string{"query", "query.jwt"} }, []string{"warning MS-5.4.2-1 response_modes_supported"}},
	{"JARM-4-1 signed responses without algorithms", 0, func(m *profile.ServerMetadata) { m.AuthorizationSigningAlgValuesSupported = nil }, []string{"error JARM-4-1 authorization_signing_alg_values_supported"}},
	{"JARM-4-2 signed responses without their mode", 0, func(m *profile.ServerMetadata) { m.ResponseModesSupported = []string{"query"} }, []string{"error JARM-4-2 response_modes_supported"}},
	{"JAR-10.4-1 request_uri of clients", 0, func(m *profile.ServerMetadata) { m.RequestURIParameterSupported = true }, []string{"warning JAR-10.4-1 request_uri_parameter_supported"}},
	{"JAR-10.5-1 signed requests without algorithms", 0, func(m *profile.ServerMetadata) {
		m.RequireSignedRequestObject, m.RequestObjectSigningAlgValuesSupported = true, nil
	}, []string{"warning JAR-10.5-1 request_object_signing_alg_values_supported"}},

	{"MD-2-7 the default is a secret", 0, func(m *profile.ServerMetadata) {
		m.TokenEndpointAuthMethodsSupported, m.TLSClientCertificateBoundAccessTokens = nil, false
	}, []string{"error MD-2-7 token_endpoint_auth_methods_supported"}},
	{"MD-2-8 assertions with RS256 alone", 0, func(m *profile.ServerMetadata) {
		m.TokenEndpointAuthSigningAlgValuesSupported = []string{"RS256"}
	}, []string{"error MD-2-8 token_endpoint_auth_signing_alg_values_supported"}},
	{"SP-5.3.2.1-6 a secret beside", 0, func(m *profile.ServerMetadata) {
		m.TokenEndpointAuthMethodsSupported = append(m.TokenEndpointAuthMethodsSupported, "client_secret_jwt")
	}, []string{"error SP-5.3.2.1-6 token_endpoint_auth_methods_supported"}},
	{"MD-2-8 no algorithms for assertions", 0, func(m *profile.ServerMetadata) { m.IntrospectionEndpointAuthSigningAlgValuesSupported = nil }, []string{"error MD-2-8 introspection_endpoint_auth_signing_alg_values_supported"}},
	{"SP-5.4.1-1.2 assertions with RS256 too", 0, func(m *profile.ServerMetadata) {
		m.TokenEndpointAuthSigningAlgValuesSupported = []string{"PS256", "RS256"}
	}, []string{"error SP-5.4.1-1.2 token_endpoint_auth_signing_alg_values_supported"}},
	{"SP-5.4.1-1.3 assertions with none", 0, func(m *profile.ServerMetadata) {
		m.RevocationEndpointAuthSigningAlgValuesSupported = []string{"PS256", "RS256", "none"}
	}, []string{"error SP-5.4.1-1.3 revocation_endpoint_auth_signing_alg_values_supported"}},
	{"MD-2-10 methods of no endpoint", 0, func(m *profile.ServerMetadata) { m.RevocationEndpoint = "" }, []string{"advice MD-2-10 revocation_endpoint_auth_methods_supported"}},
	{"MD-2-10 revocation with the default", 0, func(m *profile.ServerMetadata) { m.RevocationEndpointAuthMethodsSupported = nil }, []string{"error MD-2-10 revocation_endpoint_auth_methods_supported"}},
	{"MD-2-10 introspection without methods", 0, func(m *profile.ServerMetadata) { m.IntrospectionEndpointAuthMethodsSupported = nil }, []string{"warning MD-2-10 introspection_endpoint_auth_methods_supported"}},
	{"SP-5.3.2.1-4 unbound tokens", 0, func(m *profile.ServerMetadata) {
		m.DPoPSigningAlgValuesSupported, m.TLSClientCertificateBoundAccessTokens = nil, false
	}, []string{"error SP-5.3.2.1-4 dpop_signing_alg_values_supported"}},
	{"SP-5.4.1-1.2 ID tokens with RS256", 0, func(m *profile.ServerMetadata) { m.IDTokenSigningAlgValuesSupported = []string{"RS256", "PS256"} }, []string{"error SP-5.4.1-1.2 id_token_signing_alg_values_supported"}},
	{"SP-5.4.1-1.3 request objects with none", 0, func(m *profile.ServerMetadata) { m.RequestObjectSigningAlgValuesSupported = []string{"none"} }, []string{"error SP-5.4.1-1.3 request_object_signing_alg_values_supported"}},
	{"SP-5.3.2.3-1 openid without algorithms", 0, func(m *profile.ServerMetadata) { m.IDTokenSigningAlgValuesSupported = nil }, []string{"error SP-5.3.2.3-1 id_token_signing_alg_values_supported"}},
	{"SP-5.3.2.3-1 openid without subject types", 0, func(m *profile.ServerMetadata) { m.SubjectTypesSupported = nil }, []string{"error SP-5.3.2.3-1 subject_types_supported"}},
	{"INT-9701-7-1 signed answers of no endpoint", 0, func(m *profile.ServerMetadata) {
		m.IntrospectionEndpoint, m.IntrospectionEndpointAuthMethodsSupported, m.IntrospectionEndpointAuthSigningAlgValuesSupported = "", nil, nil
	}, []string{"warning INT-9701-7-1 introspection_endpoint"}},
	{"JWT-3.2-2 padding of PKCS #1 v1.5", 0, func(m *profile.ServerMetadata) {
		m.IDTokenEncryptionAlgValuesSupported = []string{"RSA-OAEP-256", "RSA1_5"}
	}, []string{"warning JWT-3.2-2 id_token_encryption_alg_values_supported"}},
	{"JWT-3.2-2 padding of PKCS #1 v1.5 at UserInfo", 0, func(m *profile.ServerMetadata) {
		m.UserInfoEncryptionAlgValuesSupported = []string{"RSA1_5"}
	}, []string{"warning JWT-3.2-2 userinfo_encryption_alg_values_supported"}},
	{"JWT-BIS-1 passwords", 0, func(m *profile.ServerMetadata) {
		m.RequestObjectEncryptionAlgValuesSupported = []string{"PBES2-HS256+A128KW"}
	}, []string{"warning JWT-BIS-1 request_object_encryption_alg_values_supported"}},
	{"JWT-3.2-1 only RSA-OAEP with SHA-1", 0, func(m *profile.ServerMetadata) {
		m.UserInfoEncryptionAlgValuesSupported = []string{"RSA-OAEP"}
		m.IDTokenEncryptionAlgValuesSupported = []string{"RSA-OAEP", "RSA-OAEP-256"}
	}, []string{"advice JWT-3.2-1 userinfo_encryption_alg_values_supported"}},
	{"MS-6.1-1 encrypted responses", 0, func(m *profile.ServerMetadata) {
		m.AuthorizationEncryptionAlgValuesSupported = []string{"ECDH-ES"}
	}, []string{"advice MS-6.1-1 authorization_encryption_alg_values_supported"}},
	{"GM-7.1-1 an action of old", 0, func(m *profile.ServerMetadata) { m.GrantManagementActionsSupported = []string{"create", "update"} }, []string{"warning GM-7.1-1 grant_management_actions_supported"}},
	{"GM-7.1-2 queries to nowhere", 0, func(m *profile.ServerMetadata) { m.GrantManagementActionsSupported = []string{"query"} }, []string{"error GM-7.1-2 grant_management_endpoint", "warning GM-6.1-2 scopes_supported"}},
	{"GM-7.1-1 changes of what nobody can create", 0, func(m *profile.ServerMetadata) { m.GrantManagementActionsSupported = []string{"merge"} }, []string{"warning GM-7.1-1 grant_management_actions_supported"}},
	{"RAR-10-1 an empty type", 0, func(m *profile.ServerMetadata) { m.AuthorizationDetailsTypesSupported = []string{"account", ""} }, []string{"error RAR-10-1 authorization_details_types_supported"}},
	{"GM-7.1-3 an action that there is none of", 0, func(m *profile.ServerMetadata) { m.GrantManagementActionRequired = true }, []string{"warning GM-7.1-3 grant_management_action_required"}},
	{"MD-2-11 no scopes", 0, func(m *profile.ServerMetadata) { m.ScopesSupported = nil }, []string{"advice MD-2-11 scopes_supported"}},
	{"MD-2-11 two scopes in one", 0, func(m *profile.ServerMetadata) { m.ScopesSupported = []string{"openid accounts"} }, []string{"warning MD-2-11 scopes_supported"}},
	{"MD-3.2-1 a list without an element", 0, func(m *profile.ServerMetadata) { m.ACRValuesSupported = []string{} }, []string{"advice MD-3.2-1 acr_values_supported"}},
}

var lintServerSamplesOfProfiles = []lintServerSample{
	{"MS-5.4.1-1 no signed responses", profile.SignedResponses, func(m *profile.ServerMetadata) {
		m.ResponseModesSupported, m.AuthorizationSigningAlgValuesSupported = []string{"query"}, nil
	}, []string{"error MS-5.4.1-1 response_modes_supported", "error MS-5.4.1-1 response_modes_supported"}},
	{"MS-5.4.1-1 plain responses beside", profile.SignedResponses, func(m *profile.ServerMetadata) { m.ResponseModesSupported = []string{"jwt", "query"} }, []string{"error MS-5.4.1-1 response_modes_supported"}},
	{"MS-5.3.1-1 signed requests not required", profile.SignedRequests, func(m *profile.ServerMetadata) { m.RequireSignedRequestObject = false }, []string{"error MS-5.3.1-1 require_signed_request_object"}},
	{"JAR-4-5 signed requests without algorithms", profile.SignedRequests, func(m *profile.ServerMetadata) { m.RequestObjectSigningAlgValuesSupported = nil }, []string{"error JAR-4-5 request_object_signing_alg_values_supported"}},
	{"MS-5.5.1-1 no introspection", profile.SignedIntrospection, func(m *profile.ServerMetadata) {
		m.IntrospectionEndpoint, m.IntrospectionEndpointAuthMethodsSupported, m.IntrospectionEndpointAuthSigningAlgValuesSupported = "", nil, nil
		m.IntrospectionSigningAlgValuesSupported = nil
	}, []string{"error MS-5.5.1-1 introspection_endpoint"}},
	{"INT-9701-7-1 introspection without algorithms", profile.SignedIntrospection, func(m *profile.ServerMetadata) { m.IntrospectionSigningAlgValuesSupported = nil }, []string{"warning INT-9701-7-1 introspection_signing_alg_values_supported"}},
	{"a server without users has no authorization requests to sign", profile.SignedRequests | profile.SignedResponses, func(m *profile.ServerMetadata) {
		m.GrantTypesSupported, m.RequireSignedRequestObject = []string{"client_credentials"}, false
		m.ResponseModesSupported, m.AuthorizationSigningAlgValuesSupported, m.RequestObjectSigningAlgValuesSupported = nil, nil, nil
	}, nil},
}

type lintClientSample struct {
	name    string
	profile profile.Profile
	edit    func(*profile.ClientMetadata)
	want    []string
}

func lintClientSamples(t testing.TB) []lintClientSample {
	return []lintClientSample{
		{"PAR-2.1-2 no client_id", 0, func(c *profile.ClientMetadata) { c.ClientID = "" }, []string{"error PAR-2.1-2 client_id"}},
		{"SP-6.7-1, BCP-2.6-2 a client_id like a user's", 0, func(c *profile.ClientMetadata) { c.ClientID = "alice@client.example" }, []string{"advice SP-6.7-1 client_id"}},
		{"SP-5.2.1-1 a logo over http", 0, func(c *profile.ClientMetadata) { c.LogoURI = "http://client.example/logo.png" }, []string{"warning SP-5.2.1-1 logo_uri"}},
		{"SP-5.3.2.2-8 an unknown application type", 0, func(c *profile.ClientMetadata) { c.ApplicationType = "spa" }, []string{"error SP-5.3.2.2-8 application_type"}},
		{"SP-5.3.2.3-1 an unknown subject type", 0, func(c *profile.ClientMetadata) { c.SubjectType = "x" }, []string{"error SP-5.3.2.3-1 subject_type"}},
		{"CA-OIDC-8.1-3 pairwise subjects for two hosts", 0, func(c *profile.ClientMetadata) {
			c.SubjectType, c.RedirectURIs = "pairwise", append(c.RedirectURIs, "https://two.example/cb")
		}, []string{"error CA-OIDC-8.1-3 sector_identifier_uri"}},
		{"CA-OIDC-8.1-3 two hosts and a sector", 0, func(c *profile.ClientMetadata) {
			c.SubjectType, c.RedirectURIs = "pairwise", append(c.RedirectURIs, "https://two.example/cb")
			c.SectorIdentifierURI = "https://sector.example/uris.json"
		}, nil},
		{"CA-OIDC-8.1-3 pairwise subjects for all native clients", 0, func(c *profile.ClientMetadata) {
			c.SubjectType, c.ApplicationType, c.RedirectURIs = "pairwise", "native", []string{"http://127.0.0.1:8080/cb"}
		}, []string{"error CA-OIDC-8.1-3 sector_identifier_uri"}},
		{"CA-OIDC-8.1-4 a sector without TLS", 0, func(c *profile.ClientMetadata) {
			c.SectorIdentifierURI = "http://sector.example/uris.json"
		}, []string{"error CA-OIDC-8.1-4 sector_identifier_uri"}},
		{"SP-5.3.2.1-2 the password grant", 0, func(c *profile.ClientMetadata) { c.GrantTypes = append(c.GrantTypes, "password") }, []string{"error SP-5.3.2.1-2 grant_types"}},
		{"BCP-2.1.2-1 the implicit grant", 0, func(c *profile.ClientMetadata) { c.GrantTypes = append(c.GrantTypes, "implicit") }, []string{"error BCP-2.1.2-1 grant_types"}},
		{"SP-5.3.2.1-N2 another grant", 0, func(c *profile.ClientMetadata) { c.GrantTypes = append(c.GrantTypes, "x") }, []string{"error SP-5.3.2.1-N2 grant_types"}},
		{"BASE-6749-6-1 refresh tokens of nothing", 0, func(c *profile.ClientMetadata) { c.GrantTypes = []string{"refresh_token"} }, []string{"error BASE-6749-6-1 grant_types"}},
		{"SP-5.3.2.2-1 hybrid", 0, func(c *profile.ClientMetadata) { c.ResponseTypes = []string{"code id_token"} }, []string{"error SP-5.3.2.2-1 response_types"}},
		{"BCP-2.3-1 a scope that is none", 0, func(c *profile.ClientMetadata) { c.Scope = `a"b` }, []string{"error BCP-2.3-1 scope"}},
		{"RAR-10-2 an empty type", 0, func(c *profile.ClientMetadata) { c.AuthorizationDetailsTypes = []string{""} }, []string{"error RAR-10-2 authorization_details_types"}},
		{"MS-5.3.3-1 fragment", 0, func(c *profile.ClientMetadata) { c.ResponseModes = []string{"query", "fragment"} }, []string{"error MS-5.3.3-1 response_modes"}},
		{"SP-5.3.2.1-6 the default is a secret", 0, func(c *profile.ClientMetadata) { c.TokenEndpointAuthMethod = "" }, []string{"error SP-5.3.2.1-6 token_endpoint_auth_method"}},
		{"SP-5.3.2.1-6 a secret", 0, func(c *profile.ClientMetadata) { c.TokenEndpointAuthMethod = "client_secret_basic" }, []string{"error SP-5.3.2.1-6 token_endpoint_auth_method"}},
		{"SP-5.3.2.1-3 a public client", 0, func(c *profile.ClientMetadata) { c.TokenEndpointAuthMethod = "none" }, []string{"error SP-5.3.2.1-3 token_endpoint_auth_method"}},
		{"MTLS-2.1.2-1 a certificate without a subject", 0, func(c *profile.ClientMetadata) { c.TokenEndpointAuthMethod = "tls_client_auth" }, []string{"error MTLS-2.1.2-1 tls_client_auth_subject_dn"}},
		{"SP-5.3.2.1-6 an algorithm for no assertions", 0, func(c *profile.ClientMetadata) {
			c.TokenEndpointAuthMethod, c.TokenEndpointAuthSigningAlg = "self_signed_tls_client_auth", "ES256"
		}, []string{"error SP-5.3.2.1-6 token_endpoint_auth_signing_alg"}},
		{"SP-5.4.2-R2 keys in two ways", 0, func(c *profile.ClientMetadata) { c.JWKS = keySet(t) }, []string{"error SP-5.4.2-R2 jwks"}},
		{"SP-5.4.2-R2 no keys", 0, func(c *profile.ClientMetadata) { c.JWKSURI = "" }, []string{"error SP-5.4.2-R2 jwks_uri"}},
		{"SP-5.4.2-1 keys over http", 0, func(c *profile.ClientMetadata) { c.JWKSURI = "http://client.example/jwks" }, []string{"error SP-5.4.2-1 jwks_uri"}},
		{"SP-6.8-1 keys by value", 0, func(c *profile.ClientMetadata) { c.JWKS, c.JWKSURI = keySet(t), "" }, []string{"advice SP-6.8-1 jwks"}},
		{"CASES C6: SP-5.4.2-R2 a private key among the keys", 0, func(c *profile.ClientMetadata) {
			c.JWKS, c.JWKSURI = readKeySet(t, `{"kty":"oct","k":"AAAA"}`), ""
		}, []string{"error SP-5.4.2-R2 jwks", "advice SP-6.8-1 jwks"}},
		{"CASES C6: SP-5.4.2-R2 a null among the keys", 0, func(c *profile.ClientMetadata) {
			c.JWKS, c.JWKSURI = readKeySet(t, `null`), ""
		}, []string{"warning SP-5.4.2-R2 jwks", "advice SP-6.8-1 jwks"}},
		{"SP-5.4.1-1.2 keys that nobody can use", 0, func(c *profile.ClientMetadata) { c.JWKS, c.JWKSURI = new(jwks.Set), "" }, []string{"error SP-5.4.1-1.2 jwks", "advice SP-6.8-1 jwks"}},
		{"JWT-3.1-2 a key for another algorithm", 0, func(c *profile.ClientMetadata) {
			c.JWKS, c.JWKSURI, c.TokenEndpointAuthSigningAlg = keySet(t), "", "PS256"
		}, []string{"error JWT-3.1-2 jwks", "advice SP-6.8-1 jwks"}},
		{"SP-5.4.1-1.2 ID tokens with RS256", 0, func(c *profile.ClientMetadata) { c.IDTokenSignedResponseAlg = "RS256" }, []string{"error SP-5.4.1-1.2 id_token_signed_response_alg"}},
		{"SP-5.4.1-1.3 assertions with none", 0, func(c *profile.ClientMetadata) { c.TokenEndpointAuthSigningAlg = "none" }, []string{"error SP-5.4.1-1.3 token_endpoint_auth_signing_alg"}},
		{"JARM-3-1 responses with RS256", 0, func(c *profile.ClientMetadata) { c.AuthorizationSignedResponseAlg = "RS256" }, []string{"error JARM-3-1 authorization_signed_response_alg"}},
		{"INT-9701-6-1 introspection with RS256", 0, func(c *profile.ClientMetadata) { c.IntrospectionSignedResponseAlg = "RS256" }, []string{"error INT-9701-6-1 introspection_signed_response_alg"}},
		{"SP-5.4.1-1.2 ID tokens with the default, RS256", 0, func(c *profile.ClientMetadata) { c.IDTokenSignedResponseAlg = "" }, []string{"warning SP-5.4.1-1.2 id_token_signed_response_alg"}},
		{"JARM-3-1 responses with the default, RS256, by the client's own wish", 0, func(c *profile.ClientMetadata) { c.ResponseModes = []string{"jwt"} }, []string{"warning JARM-3-1 authorization_signed_response_alg"}},
		{"JARM-3-1 responses with the default, RS256", profile.SignedResponses, func(c *profile.ClientMetadata) { c.AuthorizationSignedResponseAlg = "" }, []string{"warning JARM-3-1 authorization_signed_response_alg"}},
		{"MS-5.4.2-1 plain responses alone", profile.SignedResponses, func(c *profile.ClientMetadata) { c.ResponseModes = []string{"query"} }, []string{"error MS-5.4.2-1 response_modes", "warning MS-5.3.3-1 response_modes"}},
		{"MS-5.3.3-1 plain responses beside", profile.SignedResponses, func(c *profile.ClientMetadata) { c.ResponseModes = []string{"query", "jwt"} }, []string{"warning MS-5.3.3-1 response_modes"}},
		{"MS-5.3.3-1 any response mode", profile.SignedResponses, func(c *profile.ClientMetadata) { c.ResponseModes = nil }, []string{"advice MS-5.3.3-1 response_modes"}},
		{"INT-9701-6-1 introspection with the default, RS256, of an ordinary client", profile.SignedIntrospection, func(c *profile.ClientMetadata) { c.IntrospectionSignedResponseAlg = "" }, []string{"advice INT-9701-6-1 introspection_signed_response_alg"}},
		{"INT-9701-6-1 introspection with the default, RS256", profile.SignedIntrospection, func(c *profile.ClientMetadata) {
			c.GrantTypes, c.RedirectURIs, c.IntrospectionSignedResponseAlg = []string{"client_credentials"}, nil, ""
		}, []string{"warning INT-9701-6-1 introspection_signed_response_alg"}},
		{"JAR-10.5-1 held to signed requests by the server alone", profile.SignedRequests, func(c *profile.ClientMetadata) { c.RequireSignedRequestObject = false }, []string{"advice JAR-10.5-1 require_signed_request_object"}},
		{"JAR-4-5 requests with any algorithm", profile.SignedRequests, func(c *profile.ClientMetadata) { c.RequestObjectSigningAlg = "" }, []string{"advice JAR-4-5 request_object_signing_alg"}},
		{"SP-5.4.2-R2 signed requests without keys", profile.SignedRequests, func(c *profile.ClientMetadata) {
			c.JWKSURI, c.RequireSignedRequestObject, c.RequestObjectSigningAlg = "", false, ""
			c.TokenEndpointAuthMethod, c.TLSClientAuthSANDNS = "tls_client_auth", "client.example"
		}, []string{"error SP-5.4.2-R2 jwks_uri", "advice JAR-10.5-1 require_signed_request_object", "advice JAR-4-5 request_object_signing_alg"}},
		{"JARM-3-2 enc without alg", 0, func(c *profile.ClientMetadata) { c.AuthorizationEncryptedResponseEnc = "A256GCM" }, []string{"error JARM-3-2 authorization_encrypted_response_alg"}},
		{"INT-9701-6-1 alg with the default enc", 0, func(c *profile.ClientMetadata) { c.IntrospectionEncryptedResponseAlg = "ECDH-ES" }, []string{"advice INT-9701-6-1 introspection_encrypted_response_enc"}},
		{"MS-6.1-1 encrypted responses", 0, func(c *profile.ClientMetadata) {
			c.AuthorizationEncryptedResponseAlg, c.AuthorizationEncryptedResponseEnc = "RSA1_5", "A256GCM"
		}, []string{"warning JWT-3.2-2 authorization_encrypted_response_alg", "advice MS-6.1-1 authorization_encrypted_response_alg"}},
		{"CA-OIDC-10.2-1 an ID token that no key decrypts", 0, func(c *profile.ClientMetadata) {
			c.IDTokenEncryptedResponseAlg, c.IDTokenEncryptedResponseEnc = "ECDH-ES+A256KW", "A256CBC-HS512"
			c.JWKS, c.JWKSURI = keySet(t), ""
		}, []string{"warning CA-OIDC-10.2-1 jwks", "advice SP-6.8-1 jwks"}},
		{"CA-OIDC-10.2-1 UserInfo that is encrypted and not signed", 0, func(c *profile.ClientMetadata) {
			c.UserInfoEncryptedResponseAlg, c.UserInfoEncryptedResponseEnc = "RSA-OAEP-256", "A256GCM"
		}, []string{"warning CA-OIDC-10.2-1 userinfo_signed_response_alg"}},
		{"JWT-3.2-1 an ID token by RSA-OAEP with SHA-1", 0, func(c *profile.ClientMetadata) {
			c.IDTokenEncryptedResponseAlg, c.IDTokenEncryptedResponseEnc = "RSA-OAEP", "A256GCM"
		}, []string{"advice JWT-3.2-1 id_token_encrypted_response_alg"}},
		{"INT-9701-6-1 an introspection response that no key decrypts", 0, func(c *profile.ClientMetadata) {
			c.IntrospectionEncryptedResponseAlg, c.IntrospectionEncryptedResponseEnc = "ECDH-ES", "A256GCM"
			c.JWKS, c.JWKSURI = keySet(t), ""
		}, []string{"warning INT-9701-6-1 jwks", "advice SP-6.8-1 jwks"}},
		{"SP-5.3.2.3-1 UserInfo with enc without alg", 0, func(c *profile.ClientMetadata) { c.UserInfoEncryptedResponseEnc = "A256GCM" }, []string{"error SP-5.3.2.3-1 userinfo_encrypted_response_alg"}},
		{"JARM-3-2 encrypted responses, and no key for that", 0, func(c *profile.ClientMetadata) {
			c.AuthorizationEncryptedResponseAlg, c.AuthorizationEncryptedResponseEnc = "ECDH-ES", "A256GCM"
			c.JWKS, c.JWKSURI = keySet(t), ""
		}, []string{"warning JARM-3-2 jwks", "advice SP-6.8-1 jwks", "advice MS-6.1-1 authorization_encrypted_response_alg"}},
		{"SP-5.3.2.1-4 unbound tokens", 0, func(c *profile.ClientMetadata) { c.DPoPBoundAccessTokens = false }, []string{"error SP-5.3.2.1-4 dpop_bound_access_tokens"}},
		{"SP-5.3.2.1-5 tokens bound twice", 0, func(c *profile.ClientMetadata) { c.TLSClientCertificateBoundAccessTokens = true }, []string{"error SP-5.3.2.1-5 dpop_bound_access_tokens"}},
		{"SP-5.3.2.2-6 no redirect URI", 0, func(c *profile.ClientMetadata) { c.RedirectURIs = nil }, []string{"error SP-5.3.2.2-6 redirect_uris"}},
		{"BCP-2.6-3, SP-5.3.2.2-8 a redirect over http", 0, func(c *profile.ClientMetadata) { c.RedirectURIs = []string{"http://client.example/cb"} }, []string{"error BCP-2.6-3 redirect_uris"}},
		{"SP-5.3.2.2-8 a scheme of an app", 0, func(c *profile.ClientMetadata) { c.RedirectURIs = []string{"com.example.app:/cb"} }, []string{"error SP-5.3.2.2-8 redirect_uris"}},
		{"SP-5.3.2.2-8 the loopback interface, for a web client", 0, func(c *profile.ClientMetadata) { c.RedirectURIs = append(c.RedirectURIs, "http://127.0.0.1/cb") }, []string{"warning SP-5.3.2.2-8 redirect_uris"}},
		{"SP-5.3.2.2-8 the loopback interface, for a native client", 0, func(c *profile.ClientMetadata) {
			c.ApplicationType, c.RedirectURIs = "native", []string{"http://127.0.0.1/cb"}
		}, nil},
		{"BCP-2.1-2 a redirect after logout over http", 0, func(c *profile.ClientMetadata) { c.PostLogoutRedirectURIs = []string{"http://client.example"} }, []string{"warning BCP-2.1-2 post_logout_redirect_uris"}},
	}
}

var lintResourceSamples = []struct {
	name string
	edit func(*profile.ResourceMetadata)
	want []string
}{
	{"PRM-2-1 no resource", func(m *profile.ResourceMetadata) { m.Resource = "" }, []string{"error PRM-2-1 resource"}},
	{"PRM-2-1 a resource over http", func(m *profile.ResourceMetadata) { m.Resource = "http://api.example" }, []string{"error PRM-2-1 resource"}},
	{"PRM-2-1 a fragment", func(m *profile.ResourceMetadata) { m.Resource += "#x" }, []string{"error PRM-2-1 resource"}},
	{"PRM-3-1 a query", func(m *profile.ResourceMetadata) { m.Resource += "?x" }, []string{"advice PRM-3-1 resource"}},
	{"PRM-2-2 no issuers", func(m *profile.ResourceMetadata) { m.AuthorizationServers = nil }, []string{"advice PRM-2-2 authorization_servers"}},
	{"PRM-2-2 what cannot be an issuer", func(m *profile.ResourceMetadata) { m.AuthorizationServers = []string{"as.example"} }, []string{"error PRM-2-2 authorization_servers"}},
	{"PRM-2-3, SP-5.4.2-1 keys over http", func(m *profile.ResourceMetadata) { m.JWKSURI = "http://api.example" }, []string{"error SP-5.4.2-1 jwks_uri"}},
	{"PRM-2-4 no methods", func(m *profile.ResourceMetadata) { m.BearerMethodsSupported = nil }, []string{"advice PRM-2-4 bearer_methods_supported"}},
	{"PRM-2-4, SP-5.3.4-1 no header", func(m *profile.ResourceMetadata) { m.BearerMethodsSupported = []string{"body"} }, []string{"error SP-5.3.4-1 bearer_methods_supported", "warning PRM-2-4 bearer_methods_supported"}},
	{"PRM-2-4, SP-5.3.4-2 the query", func(m *profile.ResourceMetadata) { m.BearerMethodsSupported = []string{"header", "query"} }, []string{"error SP-5.3.4-2 bearer_methods_supported"}},
	{"PRM-2-6, SP-5.3.4-5 unbound tokens", func(m *profile.ResourceMetadata) {
		m.DPoPSigningAlgValuesSupported, m.DPoPBoundAccessTokensRequired = nil, false
	}, []string{"error SP-5.3.4-5 dpop_bound_access_tokens_required"}},
	{"PRM-2-6 unbound tokens beside DPoP", func(m *profile.ResourceMetadata) { m.DPoPBoundAccessTokensRequired = false }, []string{"warning PRM-2-6 dpop_bound_access_tokens_required"}},
	{"PRM-2-6 certificates that are not enough", func(m *profile.ResourceMetadata) { m.TLSClientCertificateBoundAccessTokens = true }, []string{"warning PRM-2-6 dpop_bound_access_tokens_required"}},
	{"PRM-2-6 certificates or DPoP", func(m *profile.ResourceMetadata) {
		m.TLSClientCertificateBoundAccessTokens, m.DPoPBoundAccessTokensRequired = true, false
	}, nil},
	{"PRM-2-6 proofs with any algorithm", func(m *profile.ResourceMetadata) { m.DPoPSigningAlgValuesSupported = nil }, []string{"warning PRM-2-6 dpop_signing_alg_values_supported"}},
	{"PRM-2-6, SP-5.4.1-1.2 proofs with RS256", func(m *profile.ResourceMetadata) { m.DPoPSigningAlgValuesSupported = []string{"ES256", "RS256"} }, []string{"error SP-5.4.1-1.2 dpop_signing_alg_values_supported"}},
	{"PRM-2-5 none", func(m *profile.ResourceMetadata) { m.ResourceSigningAlgValuesSupported = []string{"none", "ES256"} }, []string{"error PRM-2-5 resource_signing_alg_values_supported"}},
	{"PRM-2-5, SP-5.4.1-1.2 RS256", func(m *profile.ResourceMetadata) { m.ResourceSigningAlgValuesSupported = []string{"RS256"} }, []string{"error SP-5.4.1-1.2 resource_signing_alg_values_supported"}},
	{"PRM-2-3 signatures without keys", func(m *profile.ResourceMetadata) { m.JWKSURI = "" }, []string{"warning PRM-2-3 jwks_uri"}},
	{"PRM-2-3 no scopes", func(m *profile.ResourceMetadata) { m.ScopesSupported = nil }, []string{"advice PRM-2-3 scopes_supported"}},
	{"PRM-2-7 a page over http", func(m *profile.ResourceMetadata) { m.ResourcePolicyURI = "http://api.example/policy" }, []string{"warning SP-5.2.1-1 resource_policy_uri"}},
	{"PRM-3.2-1 a list without an element", func(m *profile.ResourceMetadata) { m.AuthorizationDetailsTypesSupported = []string{} }, []string{"advice PRM-3.2-1 authorization_details_types_supported"}},
}
