package rules

import (
	"maps"
	"slices"

	"github.com/gofapi/fapi2/profile"
)

// LintServer returns the defects of a server's metadata document under the
// rules, errors first. They include the findings of
// [profile.ServerMetadata.Lint] under the parts of Message Signing that the Set
// adds. A finding about a rule has its source as the clause.
//
// LintServer never changes m and is safe for concurrent use.
func (s *Set) LintServer(m *profile.ServerMetadata) []profile.Finding {
	return s.findings(m.Lint(s.Profile()), slices.Concat(
		s.serverAuthenticationRules(m), s.serverAliasRules(m), s.serverRequestRules(m), s.serverAlgorithmRules(m),
		s.serverEncryptionRules(m), s.serverClaimRules(m), s.serverMemberRules(m)))
}

func (s *Set) serverAuthenticationRules(m *profile.ServerMetadata) (table []rule) {
	for _, e := range []struct {
		member  string
		methods []string
	}{
		{"token_endpoint_auth_methods_supported", m.TokenEndpointAuthMethodsSupported},
		{"introspection_endpoint_auth_methods_supported", m.IntrospectionEndpointAuthMethodsSupported},
		{"revocation_endpoint_auth_methods_supported", m.RevocationEndpointAuthMethodsSupported},
	} {
		method, found := excess(s.ClientAuthentication, e.methods)
		table = append(table, rule{"client_authentication", failure, e.member,
			when(found, "method %.64q in %s", method, e.member),
			"Publish only methods that the ecosystem permits."})
	}
	const dpopMember, mtlsMember = "dpop_signing_alg_values_supported", "tls_client_certificate_bound_access_tokens"
	dpop, bound := len(m.DPoPSigningAlgValuesSupported) > 0, m.TLSClientCertificateBoundAccessTokens
	return append(table, []rule{
		{"bindings", failure, dpopMember, when(dpop && !Permits(s.Bindings, "DPoP"), "DPoP is supported"),
			"Omit the member, and bind tokens by certificate."},
		{"bindings", failure, mtlsMember,
			when(bound && !Permits(s.Bindings, "mTLS"), "bound certificates are supported"),
			"Omit the member, and bind tokens by DPoP."},
		{"bindings", failure, dpopMember,
			when(!dpop && slices.Equal(s.Bindings, []string{"DPoP"}), "missing %s", dpopMember),
			"Support DPoP, and publish the algorithms of proofs."},
		{"bindings", failure, mtlsMember,
			when(!bound && slices.Equal(s.Bindings, []string{"mTLS"}), "missing %s", mtlsMember),
			"Bind tokens by certificate, and publish true."},
	}...)
}

// serverAliasRules are the rules for endpoints that require certificates. An
// endpoint without alias has to require a certificate of every client.
func (s *Set) serverAliasRules(m *profile.ServerMetadata) (table []rule) {
	aliases := profile.MTLSEndpointAliases{}
	if m.MTLSEndpointAliases != nil {
		aliases = *m.MTLSEndpointAliases
	}
	for _, e := range []struct{ endpoint, member, url, alias string }{
		{"pushed_authorization_request", "pushed_authorization_request_endpoint",
			m.PushedAuthorizationRequestEndpoint, aliases.PushedAuthorizationRequestEndpoint},
		{"token", "token_endpoint", m.TokenEndpoint, aliases.TokenEndpoint},
		{"introspection", "introspection_endpoint", m.IntrospectionEndpoint, aliases.IntrospectionEndpoint},
		{"revocation", "revocation_endpoint", m.RevocationEndpoint, aliases.RevocationEndpoint},
		{"userinfo", "userinfo_endpoint", m.UserInfoEndpoint, aliases.UserInfoEndpoint},
		{"grants", "grant_management_endpoint", m.GrantManagementEndpoint, aliases.GrantManagementEndpoint},
	} {
		required := slices.Contains(s.MutualTLS, e.endpoint)
		table = append(table, rule{"mutual_tls", warning, "mtls_endpoint_aliases." + e.member,
			when(required && e.url != "" && e.alias == "", "missing alias of %s", e.member),
			"Publish the alias, unless the endpoint itself requires a certificate."})
	}
	return table
}

func (s *Set) serverRequestRules(m *profile.ServerMetadata) []rule {
	details := s.Request.AuthorizationDetails
	mode, foreignMode := excess(s.ResponseModes, m.ResponseModesSupported)
	subject, foreignSubject := excess(s.SubjectTypes, m.SubjectTypesSupported)
	kind, foreignKind := excess(details.Types, m.AuthorizationDetailsTypesSupported)
	scope, noScope := lacks(m.ScopesSupported, s.Request.Scopes)
	return []rule{
		{"response_modes", failure, "response_modes_supported", when(foreignMode, "response mode %.64q", mode),
			"Publish only response modes that the ecosystem permits."},
		{"subject_types", failure, "subject_types_supported", when(foreignSubject, "subject type %.64q", subject),
			"Publish only subject types that the ecosystem permits."},
		{"refresh_tokens.required", failure, "grant_types_supported",
			when(s.RefreshTokens.Required && !slices.Contains(m.GrantTypesSupported, "refresh_token"),
				"grant_types_supported without refresh_token"),
			"Support and publish refresh_token."},
		{"request.authorization_details.types", failure, "authorization_details_types_supported",
			when(foreignKind, "type %.200q", kind), "Publish only types that the ecosystem permits."},
		{"request.authorization_details.required", failure, "authorization_details_types_supported",
			when(details.Required && len(m.AuthorizationDetailsTypesSupported) == 0,
				"missing authorization_details_types_supported"),
			"Support and publish the types of the ecosystem."},
		{"request.scopes", failure, "scopes_supported", when(noScope, "scopes_supported without %s", scope),
			"Publish the scope: each request must contain it."},
	}
}

func (s *Set) serverAlgorithmRules(m *profile.ServerMetadata) []rule {
	a := s.Algorithms
	return s.algorithmRules([]algorithmUse{
		{"token_endpoint_auth_signing_alg_values_supported", m.TokenEndpointAuthSigningAlgValuesSupported,
			a.Assertion, "assertion"},
		{"introspection_endpoint_auth_signing_alg_values_supported",
			m.IntrospectionEndpointAuthSigningAlgValuesSupported, a.Assertion, "assertion"},
		{"revocation_endpoint_auth_signing_alg_values_supported",
			m.RevocationEndpointAuthSigningAlgValuesSupported, a.Assertion, "assertion"},
		{"request_object_signing_alg_values_supported", m.RequestObjectSigningAlgValuesSupported,
			a.RequestObject, "request_object"},
		{"id_token_signing_alg_values_supported", m.IDTokenSigningAlgValuesSupported, a.IDToken, "id_token"},
		{"userinfo_signing_alg_values_supported", m.UserInfoSigningAlgValuesSupported, a.UserInfo, "userinfo"},
		{"dpop_signing_alg_values_supported", m.DPoPSigningAlgValuesSupported, nil, ""},
		{"authorization_signing_alg_values_supported", m.AuthorizationSigningAlgValuesSupported, nil, ""},
		{"introspection_signing_alg_values_supported", m.IntrospectionSigningAlgValuesSupported, nil, ""},
	})
}

func (s *Set) serverEncryptionRules(m *profile.ServerMetadata) (table []rule) {
	for _, e := range []struct {
		path, member string
		alg, enc     []string
		rule         Encrypted
	}{
		{"encryption.id_token", "id_token_encryption",
			m.IDTokenEncryptionAlgValuesSupported, m.IDTokenEncryptionEncValuesSupported, s.Encryption.IDToken},
		{"encryption.userinfo", "userinfo_encryption",
			m.UserInfoEncryptionAlgValuesSupported, m.UserInfoEncryptionEncValuesSupported, s.Encryption.UserInfo},
		{"encryption.introspection", "introspection_encryption",
			m.IntrospectionEncryptionAlgValuesSupported, m.IntrospectionEncryptionEncValuesSupported,
			s.Encryption.Introspection},
	} {
		algMember, encMember := e.member+"_alg_values_supported", e.member+"_enc_values_supported"
		alg, foreignAlg := excess(e.rule.Algorithms, e.alg)
		enc, foreignEnc := excess(e.rule.ContentEncryptions, e.enc)
		table = append(table, []rule{
			{e.path + ".required", failure, algMember,
				when(e.rule.Required && len(e.alg) == 0, "missing %s", algMember),
				"Support and publish the encryption that the ecosystem requires."},
			{e.path + ".alg", failure, algMember, when(foreignAlg, "algorithm %.64q", alg),
				"Publish only algorithms that the ecosystem permits."},
			{e.path + ".enc", failure, encMember, when(foreignEnc, "algorithm %.64q", enc),
				"Publish only algorithms that the ecosystem permits."},
		}...)
	}
	return table
}

func (s *Set) serverClaimRules(m *profile.ServerMetadata) []rule {
	path, needed := s.usesClaims()
	isSupported := func(claim string) bool { return slices.Contains(m.ClaimsSupported, claim) }
	claim, noClaim := lacks(m.ClaimsSupported, s.Claims.Required)
	class, noClass := lacks(m.ACRValuesSupported, s.ACR.Supported)
	rules := []rule{
		{path, failure, "claims_parameter_supported",
			when(needed && !m.ClaimsParameterSupported, "claims_parameter_supported is not true"),
			"Support the parameter claims, and publish true."},
		{"claims.supported", failure, "claims_supported",
			when(len(s.Claims.Supported) > 0 && !slices.ContainsFunc(s.Claims.Supported, isSupported),
				"claims_supported with none of %v", s.Claims.Supported),
			"Support and publish one of these claims at least."},
		{"claims.required", failure, "claims_supported", when(noClaim, "claims_supported without %s", claim),
			"Support and publish the claim."},
		{"acr.supported", failure, "acr_values_supported", when(noClass, "acr_values_supported without %s", class),
			"Support and publish the class."},
	}
	if s.Intent != nil && s.Intent.Claim != "" {
		rules = append(rules, rule{"intent.claim", warning, "claims_supported",
			when(!isSupported(s.Intent.Claim), "claims_supported without %s", s.Intent.Claim),
			"Publish the claim that names a consent."})
	}
	return rules
}

// serverMemberRules are the rules for members without a field.
func (s *Set) serverMemberRules(m *profile.ServerMetadata) (table []rule) {
	for _, name := range slices.Sorted(maps.Keys(s.Metadata)) {
		table = append(table, rule{"metadata." + name, failure, name,
			when(!sameJSON(s.Metadata[name], m.Other[name]), "missing or different %s", name),
			"Publish the member with the value of the ecosystem."})
	}
	return table
}
