package rules

import (
	"context"
	"crypto/rsa"
	"slices"

	"github.com/gofapi/fapi2/internal/jose"
	"github.com/gofapi/fapi2/profile"
)

// LintClient returns the defects of a client registration under the rules,
// errors first. They include the findings of [profile.ClientMetadata.Lint]
// under the parts of Message Signing that the Set adds. A finding about a rule
// has its source as the clause.
//
// LintClient never changes c and is safe for concurrent use.
func (s *Set) LintClient(c *profile.ClientMetadata) []profile.Finding {
	return s.findings(c.Lint(s.Profile()), slices.Concat(
		s.clientAuthenticationRules(c), s.clientRequestRules(c), s.clientAlgorithmRules(c), s.clientKeyRules(c),
		s.clientEncryptionRules(c)))
}

func (s *Set) clientAuthenticationRules(c *profile.ClientMetadata) []rule {
	const dpopMember, mtlsMember = "dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens"
	method := c.TokenEndpointAuthMethod
	certificate := method != "private_key_jwt" || c.TLSClientCertificateBoundAccessTokens || c.UseMTLSEndpointAliases
	return []rule{
		{"client_authentication", failure, "token_endpoint_auth_method",
			when(method != "" && !Permits(s.ClientAuthentication, method), "method %.64q", method),
			"Register a method that the ecosystem permits."},
		{"bindings", failure, dpopMember,
			when(c.DPoPBoundAccessTokens && !Permits(s.Bindings, "DPoP"), "tokens bound by DPoP"),
			"Register " + mtlsMember + " instead."},
		{"bindings", failure, mtlsMember,
			when(c.TLSClientCertificateBoundAccessTokens && !Permits(s.Bindings, "mTLS"),
				"tokens bound by certificate"),
			"Register " + dpopMember + " instead."},
		{"mutual_tls", warning, "use_mtls_endpoint_aliases",
			when(len(s.MutualTLS) > 0 && !certificate, "a client without certificate"),
			"Register use_mtls_endpoint_aliases: endpoints of the ecosystem require a certificate."},
	}
}

func (s *Set) clientRequestRules(c *profile.ClientMetadata) []rule {
	if !c.HasGrantType("authorization_code") {
		return nil
	}
	mode, foreignMode := excess(s.ResponseModes, c.ResponseModes)
	details := s.Request.AuthorizationDetails
	kind, foreignKind := excess(details.Types, c.AuthorizationDetailsTypes)
	rules := []rule{
		{"response_modes", failure, "response_modes", when(foreignMode, "response mode %.64q", mode),
			"Register only response modes that the ecosystem permits."},
		{"subject_types", failure, "subject_type",
			when(c.SubjectType != "" && !Permits(s.SubjectTypes, c.SubjectType), "subject type %.64q", c.SubjectType),
			"Register a subject type that the ecosystem permits."},
		{"subject_types", advice, "subject_type",
			when(c.SubjectType == "" && len(s.SubjectTypes) > 0, "missing subject_type"),
			"Register the subject type, so that other software knows it as well."},
		{"refresh_tokens.required", failure, "grant_types",
			when(s.RefreshTokens.Required && !c.HasGrantType("refresh_token"), "grant_types without refresh_token"),
			"Register refresh_token as well."},
		{"request.authorization_details.required", failure, "authorization_details_types",
			when(details.Required && len(c.AuthorizationDetailsTypes) == 0, "missing authorization_details_types"),
			"Register the types of the details that the client sends."},
		{"request.authorization_details.types", failure, "authorization_details_types",
			when(foreignKind, "type %.200q", kind), "Register only types that the ecosystem permits."},
		{"acr.request", failure, "default_acr_values",
			when(s.ACR.Request == "forbidden" && len(c.DefaultACRValues) > 0, "default_acr_values"),
			"Remove the member: requests must not name classes."},
	}
	for _, scope := range s.Request.Scopes {
		rules = append(rules, rule{"request.scopes", failure, "scope",
			when(!c.AllowsScope(scope), "scope without %s", scope),
			"Register the scope: each request must contain it."})
	}
	return rules
}

// registered returns a list with an algorithm, or an empty list.
func registered(algorithm string) (list []string) {
	if algorithm != "" {
		list = []string{algorithm}
	}
	return list
}

func (s *Set) clientAlgorithmRules(c *profile.ClientMetadata) []rule {
	a := s.Algorithms
	return s.algorithmRules([]algorithmUse{
		{"token_endpoint_auth_signing_alg", registered(c.TokenEndpointAuthSigningAlg), a.Assertion, "assertion"},
		{"request_object_signing_alg", registered(c.RequestObjectSigningAlg), a.RequestObject, "request_object"},
		{"id_token_signed_response_alg", registered(c.IDTokenSignedResponseAlg), a.IDToken, "id_token"},
		{"userinfo_signed_response_alg", registered(c.UserInfoSignedResponseAlg), a.UserInfo, "userinfo"},
		{"authorization_signed_response_alg", registered(c.AuthorizationSignedResponseAlg), nil, ""},
		{"introspection_signed_response_alg", registered(c.IntrospectionSignedResponseAlg), nil, ""},
	})
}

// clientKeyRules are the rules for keys in the registration. Keys at a jwks_uri
// are not fetched.
func (s *Set) clientKeyRules(c *profile.ClientMetadata) (table []rule) {
	if c.JWKS == nil {
		return nil
	}
	ctx := context.Background() // the keys are in memory
	for _, u := range []struct {
		use    []string
		path   string
		signed bool
	}{
		{s.Algorithms.Assertion, "assertion", c.TokenEndpointAuthMethod == "private_key_jwt"},
		{s.Algorithms.RequestObject, "request_object", c.RequireSignedRequestObject || c.RequestObjectSigningAlg != ""},
	} {
		permitted, path := s.Algorithms.of(u.use, u.path)
		usable := func(alg string) bool {
			keys, err := c.JWKS.Keys(ctx, "", alg)
			return err == nil && len(keys) > 0
		}
		table = append(table, rule{path, failure, "jwks",
			when(u.signed && len(permitted) > 0 && !slices.ContainsFunc(permitted, usable),
				"jwks without a key for %v", permitted),
			"Register a key for an algorithm that the ecosystem permits."})
	}
	keys, _ := c.JWKS.Keys(ctx, "", jose.PS256)
	for _, key := range keys {
		if public, ok := key.(*rsa.PublicKey); ok {
			table = append(table, rule{"algorithms.rsa_bits", failure, "jwks",
				when(public.N.BitLen() < s.Algorithms.RSABits, "RSA key of %d bits", public.N.BitLen()),
				"Register a longer RSA key."})
		}
	}
	return table
}

func (s *Set) clientEncryptionRules(c *profile.ClientMetadata) (table []rule) {
	user := c.HasGrantType("authorization_code") && (c.Scope == "" || c.AllowsScope("openid"))
	for _, e := range []struct {
		path, member, alg, enc string
		rule                   Encrypted
		concerned              bool
	}{
		{"encryption.id_token", "id_token_encrypted_response",
			c.IDTokenEncryptedResponseAlg, c.IDTokenEncryptedResponseEnc, s.Encryption.IDToken, user},
		{"encryption.userinfo", "userinfo_encrypted_response",
			c.UserInfoEncryptedResponseAlg, c.UserInfoEncryptedResponseEnc, s.Encryption.UserInfo, user},
		{"encryption.introspection", "introspection_encrypted_response",
			c.IntrospectionEncryptedResponseAlg, c.IntrospectionEncryptedResponseEnc, s.Encryption.Introspection,
			!c.HasGrantType("authorization_code")}, // resource servers
	} {
		enc := e.enc
		if enc == "" {
			enc = jose.A128CBCHS256 // the default of RFC 7591
		}
		table = append(table, []rule{
			{e.path + ".required", failure, e.member + "_alg",
				when(e.concerned && e.rule.Required && e.alg == "", "missing %s_alg", e.member),
				"Register the algorithm with which the server encrypts."},
			{e.path + ".alg", failure, e.member + "_alg",
				when(e.alg != "" && !Permits(e.rule.Algorithms, e.alg), "algorithm %.64q", e.alg),
				"Register an algorithm that the ecosystem permits."},
			{e.path + ".enc", failure, e.member + "_enc",
				when(e.alg != "" && !Permits(e.rule.ContentEncryptions, enc), "algorithm %.64q", enc),
				"Register a content encryption that the ecosystem permits. The default is A128CBC-HS256."},
		}...)
	}
	return table
}
